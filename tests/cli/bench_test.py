"""bench: its rows, the peer beside it (a fake llama-bench that behaves, crashes, lies or hangs), CSV history and --check."""
import csv
import json
import os
import signal
import subprocess
import sys
import time

from support import BANTAM, Case, environment, main

# argv[0] of what it pretends to be; MODE decides how it fails.
FAKE = r'''#!%s
import json, os, sys, time
args = sys.argv[1:]
if "--help" in args:
    print("usage: llama-bench\n  -p, --n-prompt <n>\n  -n, --n-gen <n>\n  -d, --n-depth <n>\n  --no-warmup")
    sys.exit(0)
value = lambda name: args[len(args) - 1 - args[::-1].index(name) + 1] if name in args else "0"
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(json.dumps(args) + "\n")
mode = os.environ.get("FAKE_MODE", "")
if mode == "crash":
    print("the peer's dying words", file=sys.stderr)
    os.abort()
if mode == "hang":
    with open(os.environ["FAKE_LOG"] + ".pid", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
if "-npl" in args:
    print("|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |")
    print("|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|")
    print("| %%s | %%s | %%s |  60 | 0.1 | 40.0 | 0.2 | 250.5 | 0.3 | 99.0 |" %% (value("-npp"), value("-ntg"), value("-npl")))
    sys.exit(0)
row = {"build_commit": "abc123", "n_prompt": int(value("-p")), "n_gen": int(value("-n")), "n_depth": int(value("-d")),
       "avg_ts": 50.0 if value("-fa") == "1" else 25.0}
if mode == "zero":
    row["avg_ts"] = 0
if mode == "other":
    row["n_prompt"] += 1
print("a remark before the array")
print("nothing of the kind" if mode == "prose" else json.dumps([row], indent=1))
'''


def rows(**options):
    """Options for little work on one thread; another value goes in by name."""
    small = {"threads": "1", "repeats": "1", "prefill": "16", "context": "0", "batch": "1", "decode-tokens": "4"}
    small.update({name.replace("_", "-"): value for name, value in options.items()})
    return [word for name, value in small.items() for word in ("--" + name, value)]


class Bench(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("m.gguf")
        self.run_bantam("convert", "", self.model, "--type", "q8_0", "-q")
        self.peer = self.write("llama-bench", FAKE % sys.executable)
        os.chmod(self.peer, 0o755)
        self.log = self.path("log")

    def fake(self, mode=""):
        return environment(FAKE_LOG=self.log, FAKE_MODE=mode)

    def calls(self):
        with open(self.log, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_rows_and_their_history(self):
        history = self.path("h.csv")
        args = ["bench", self.model, *rows(repeats="2", prefill_context="0,64", context="0,64", batch="1,2")]
        reply = self.run_bantam(*args, "--json", "--csv", history).json()
        machine = reply["machine"]
        self.assertEqual((machine["threads"], machine["placement"], machine["ping_pong_ns"]), (1, "one thread", 0))
        self.assertEqual([(r["work"], r["tokens"], r["context"], r["batch"]) for r in reply["rows"]],
                         [("prefill", 16, 0, 1), ("prefill", 16, 64, 1), ("decode", 4, 0, 1),
                          ("decode", 4, 0, 2), ("decode", 4, 64, 1), ("decode", 4, 64, 2)])
        start = reply["start"]
        for row in [start, *reply["rows"]]:
            self.assertEqual(len(row["turns_tok_s"]), 2)
            self.assertAlmostEqual(row["tok_s"], sum(row["turns_tok_s"]) / 2, places=3)
            self.assertGreater(row["limit_share"], 0)
            self.assertGreater(row["probe"]["read_gbs"], 0)
        self.assertGreater(start["peak_rss_bytes"], os.path.getsize(self.model))
        self.assertLess(start["peak_rss_bytes"], 1 << 30)
        with open(history, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        self.assertEqual([(line["engine"], line["work"]) for line in lines], [("bantam", r["work"]) for r in [start, *reply["rows"]]])
        # The file's own rows are measured again, and the shares are compared.
        again = self.run_bantam("bench", self.model, "--threads", "1", "--repeats", "1", "--check", history, "--tolerance",
                                "1", "--json").json()
        self.assertEqual([(r["work"], r["context"], r["batch"]) for r in again["rows"]],
                         [(r["work"], r["context"], r["batch"]) for r in reply["rows"]])
        self.assertEqual(len(again["check"]), 7)

    def test_check(self):
        history = self.path("h.csv")
        small = ["bench", self.model, *rows(), "--no-start"]
        self.run_bantam(*small, "--csv", history)
        with open(history, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))

        def rewrite(**cells):
            with open(history, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, lines[0].keys())
                writer.writeheader()
                writer.writerows({**line, **cells} for line in lines)

        rewrite(limit_share="99")
        reply = self.run_bantam(*small, "--check", history, expect=1)
        self.assertEqual(reply.out.count("WORSE"), 2)
        self.assertIn("2 of 2 figures are more than 15 % below", reply.err)
        rewrite(cpu="Another CPU")
        self.assertIn("has no rows of this CPU", self.run_bantam(*small, "--check", history, expect=1).err)
        rewrite(context="9999999999999")
        self.assertIn("line 2", self.run_bantam("bench", self.model, "--threads", "1", "--check", history, expect=3).err)
        with open(history, "w", encoding="utf-8") as file:
            file.write("date,commit\n")
        self.assertIn("expected the columns", self.run_bantam(*small, "--csv", history, expect=1).err)

    def test_a_peer_in_turns(self):
        history = self.path("h.csv")
        reply = self.run_bantam("bench", self.model, *rows(repeats="2", prefill_context="64", batch="1,2"), "--json", "--csv",
                                history, "--peer", self.peer, "--peer-args", "-fa 0", "--peer-args", "-fa '1'",
                                "--peer-name", "other, engine", "--peer-batched", self.peer, env=self.fake()).json()
        start = reply["start"]
        prefill, single, pair = reply["rows"]
        for row in (prefill, single):
            slow, quick = row["peers"]
            self.assertEqual((slow["engine"], slow["commit"], slow["flags"], slow["tok_s"]), ("other, engine", "abc123", "-fa 0", 25))
            self.assertEqual((quick["flags"], quick["tok_s"]), ("-fa '1'", 50))
            self.assertAlmostEqual(slow["ratio"], row["tok_s"] / 25, places=3)
            self.assertAlmostEqual(quick["limit_share"] / row["limit_share"], 50 / row["tok_s"], places=3)
        self.assertEqual([p["tok_s"] for p in pair["peers"]], [250.5])
        self.assertGreater(start["peers"][0]["peak_rss_bytes"], 0)
        calls = self.calls()
        self.assertEqual([c[c.index("-fa") + 1] for c in calls[:4]], ["0", "1", "0", "1"], "in turns")
        self.assertEqual(sum("-d" in c and c[c.index("-d") + 1] == "64" for c in calls), 4)
        for call in calls:
            self.assertEqual(call[call.index("-m") + 1], self.model)
            self.assertEqual(call[call.index("-t") + 1], "1")
        with open(history, newline="", encoding="utf-8") as file:
            engines = [(line["engine"], line["flags"]) for line in csv.DictReader(file)]
        self.assertEqual(engines[:3], [("bantam", ""), ("other, engine", "-fa 0"), ("other, engine", "-fa '1'")])

    def test_a_peer_that_fails_is_quoted(self):
        small = ["bench", self.model, *rows(), "--no-start", "--peer", self.peer]
        for mode, words in (("crash", "the peer's dying words"), ("prose", "nothing of the kind"), ("zero", "plausible avg_ts"),
                            ("other", "expected a test with n_prompt 16")):
            reply = self.run_bantam(*small, env=self.fake(mode), expect=1)
            self.assertIn(words, reply.err)
            self.assertIn("llama-bench", reply.err)
        self.assertIn("not done after 1 s", self.run_bantam(*small, "--time-limit", "1", env=self.fake("hang"), expect=1).err)
        self.assertIn("cannot start", self.run_bantam(*small[:-1], self.path("nowhere"), expect=1).err)
        self.assertIn("expected llama-bench", self.run_bantam(*small[:-1], "/bin/true", expect=1).err)

    def test_usage(self):
        self.assertIn(".gguf", self.run_bantam("bench", "--peer", self.peer, expect=2).err)
        self.assertIn("--peer", self.run_bantam("bench", self.model, "--peer-args", "x", expect=2).err)
        self.assertIn("closing", self.run_bantam("bench", self.model, "--peer", self.peer, "--peer-args", "'x", expect=2).err)

    def test_an_interrupt_ends_the_peer_too(self):
        with subprocess.Popen([BANTAM, "bench", self.model, *rows(), "--no-start", "--peer", self.peer], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.fake("hang")) as process:
            until = time.time() + 60
            while not os.path.exists(self.log + ".pid") and time.time() < until:
                time.sleep(0.05)
            time.sleep(0.1)
            with open(self.log + ".pid", encoding="ascii") as file:
                child = int(file.read())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
        with self.assertRaises(ProcessLookupError):
            os.kill(child, 0)


if __name__ == "__main__":
    main()
