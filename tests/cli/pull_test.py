"""pull, ls, rm, ps and names of models, against a hub on loopback."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from support import BANTAM, NANO, ROOT, Case, environment, main

sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))
from fault_hub import Fault, FaultHub, content_hash  # noqa: E402

QUICK = ["--backoff", "0.01"]


def nano_files():
    out = {}
    for name in os.listdir(NANO):
        with open(os.path.join(NANO, name), "rb") as file:
            out[name] = file.read()
    return out


class Hub(Case):
    """A hub with the house model as a folder and as GGUFs, and a machine that has nothing yet."""

    def setUp(self):
        super().setUp()
        self.gguf = {"X-Q8_0.gguf": b"GGUF" + os.urandom(70_000), "X-Q4_K_M.gguf": b"GGUF" + os.urandom(50_000), "README.md": b"read me"}
        self.hub = FaultHub({"Qwen/X-GGUF": self.gguf, "Qwen/Nano": nano_files(), "Qwen/Qwen3-4B-GGUF": {"Qwen3-4B-Q4_K_M.gguf": b"GGUF" * 2000}})
        self.addCleanup(self.hub.__exit__)
        env = {k: v for k, v in environment().items() if not k.lower().endswith("_proxy") and not k.startswith(("HF_", "XDG_", "HUGGING"))}
        self.env = dict(env, HF_HOME=self.path("hf"), HF_ENDPOINT=self.hub.url, XDG_DATA_HOME=self.path("data"), XDG_RUNTIME_DIR=self.path("run"),
                        HOME=self.folder)

    def bantam(self, *args, expect=0, env=None, **more):
        return self.run_bantam(*args, expect=expect, env=dict(self.env, **(env or {})), **more)

    def cached(self, repo, file):
        return os.path.join(self.path("hf"), "hub", "models--" + repo.replace("/", "--"), "snapshots", self.hub.repos[repo].commit, file)


class Pull(Hub):
    def test_prints_the_path_and_says_what_it_checked(self):
        reply = self.bantam("pull", "Qwen/X-GGUF", *QUICK)
        self.assertEqual(reply.out.strip(), self.cached("Qwen/X-GGUF", "X-Q4_K_M.gguf"))
        self.assertIn("SHA-256 is right", reply.err)
        with open(reply.out.strip(), "rb") as file:
            self.assertEqual(file.read(), self.gguf["X-Q4_K_M.gguf"])
        before = len(self.hub.requests)
        again = self.bantam("pull", "Qwen/X-GGUF", *QUICK)
        self.assertIn("is here", again.err)
        self.assertFalse([r for r in self.hub.requests[before:] if "resolve" in r["path"]], "nothing is downloaded twice")

    def test_json(self):
        reply = self.bantam("pull", "Qwen/X-GGUF:q8_0", "qwen3:4b", "--json", *QUICK)
        models = reply.json()["models"]
        self.assertEqual([m["repo"] for m in models], ["Qwen/X-GGUF", "Qwen/Qwen3-4B-GGUF"])
        self.assertEqual(models[0]["files"], [{"name": "X-Q8_0.gguf", "bytes": 70_004, "hash": content_hash(self.gguf["X-Q8_0.gguf"])}])
        self.assertEqual((models[0]["bytes"], models[0]["downloaded_bytes"], models[0]["quantized"]), (70_004, 70_004, None))
        self.assertEqual(models[0]["commit"], self.hub.repos["Qwen/X-GGUF"].commit)
        self.assertTrue(os.path.isfile(models[0]["path"]))

    def test_what_cannot_be_pulled(self):
        self.assertIn("did you mean qwen3:4b", self.bantam("pull", "qwen3:4bb", expect=2).err)
        self.assertIn("not there", self.bantam("pull", "Qwen/Nope", expect=1).err)
        self.assertIn("Q4_K_M, Q8_0", self.bantam("pull", "Qwen/X-GGUF:F16", expect=3).err)
        self.assertIn("HF_HUB_OFFLINE", self.bantam("pull", "Qwen/X-GGUF", expect=2, env={"HF_HUB_OFFLINE": "1"}).err)
        self.assertIn("quantised already", self.bantam("pull", "Qwen/X-GGUF", "--quantize", "q4_0", expect=2).err)
        self.bantam("pull", "Qwen/Nano", "--quantize", "q9_9", expect=2)
        self.bantam("pull", "Qwen/X-GGUF", "--revision", "../x", expect=2)
        self.bantam("pull", "Qwen/X-GGUF", "--revision", "no-such-tag", expect=1)
        self.bantam("pull", expect=2)
        self.bantam("pull", "Qwen/X-GGUF", expect=2, env={"HF_ENDPOINT": "ftp://127.0.0.1"})
        self.assertFalse(os.path.exists(os.path.join(self.path("hf"), "hub", "models--Qwen--X-GGUF", "refs")))

    def test_nothing_a_hub_says_names_a_file_elsewhere(self):
        outside = self.path("outside")
        good = {"type": "file", "oid": "a" * 40, "size": 5000, "path": "X-Q8_0.gguf", "lfs": {"oid": "b" * 64, "size": 5000, "pointerSize": 1}}
        names = ["../X.gguf", "../" * 9 + "X.gguf", outside + "/X.gguf", "/X.gguf", "a/../../X.gguf", "..", ".", "", "a//X.gguf", "a/./X.gguf", "X.gguf/",
                 "..\\X.gguf", "a\\..\\X.gguf", "X\n.gguf", "X\x00.gguf", "X\x1b[2J.gguf", "x" * 300 + ".gguf", "a/" * 700 + "X.gguf", 7, None, [], {}]
        hashes = ["../" * 16 + "aaaaaaaaaaaaaaaa", "../X", "/" + "a" * 63, "B" * 64, "b" * 63, "b" * 65, "sha256:" + "b" * 64, "", 7, None, {}]
        sizes = [-1, 1.5, 1 << 60, 10**30, "5000", None]
        trees = [[dict(good, path=name)] for name in names] + [[dict(good, oid=h, lfs=None)] for h in hashes]
        trees += [[dict(good, lfs=dict(good["lfs"], oid=h))] for h in hashes] + [[dict(good, size=n, lfs=None)] for n in sizes]
        trees += [[dict(good, lfs=dict(good["lfs"], size=n))] for n in sizes] + [{}, [[]], [7], "x"]
        for tree in trees:
            self.hub.tree = tree
            reply = self.bantam("pull", "Qwen/X-GGUF:Q8_0", "--retries", "0", *QUICK, expect=None)
            self.assertIn(reply.code, (1, 3), tree)
        found = [os.path.join(folder, n) for folder, _, names in os.walk(self.folder) for n in names if "gguf" in n]
        self.assertEqual(found, [])
        self.assertFalse(os.path.exists(outside))

    def test_another_family_is_refused_before_its_weights_come(self):
        self.hub.repos["Qwen/Nano"].push({"config.json": b'{"model_type": "whisper"}', "model.safetensors": os.urandom(50_000)})
        self.assertIn("this is \"whisper\"", self.bantam("pull", "Qwen/Nano", *QUICK, expect=3).err)
        self.assertFalse([r for r in self.hub.requests if r["foreign"]])

    def test_the_token_goes_to_its_origin_only(self):
        self.hub.private = True
        without = self.bantam("pull", "Qwen/X-GGUF", expect=1)
        self.assertIn("HF_TOKEN is not set", without.err)
        wrong = self.bantam("pull", "Qwen/X-GGUF", expect=1, env={"HF_TOKEN": "hf_wrong_canary"})
        self.assertNotIn("hf_wrong_canary", wrong.err)
        bad = self.bantam("pull", "Qwen/X-GGUF", expect=2, env={"HF_TOKEN": "canary\r\nX-Evil: 1"})
        self.assertNotIn("canary", bad.err)
        os.makedirs(self.path("hf"))
        self.write("hf/token", self.hub.token + "\n")  # where `hf auth login` keeps it
        reply = self.bantam("pull", "Qwen/X-GGUF", "--log-level", "debug", *QUICK)
        self.assertNotIn(self.hub.token, reply.err)
        self.assertTrue(self.hub.authorized())
        self.assertTrue([r for r in self.hub.requests if r["foreign"]], "the bytes come from another host")
        self.assertEqual(self.hub.leaked(), [])

    def test_through_a_proxy(self):
        self.hub.page = 100
        env = {"http_proxy": self.hub.url, "no_proxy": "127.0.0.2", "HF_ENDPOINT": "http://hub.invalid", "HF_TOKEN": self.hub.token}
        self.bantam("pull", "Qwen/X-GGUF", *QUICK, env=env)
        self.assertTrue(all(r["path"].startswith("http://hub.invalid/") for r in self.hub.requests if not r["foreign"]))
        self.assertEqual(self.hub.leaked(), [])

    def test_goes_on_where_it_was_cut(self):
        data = b"GGUF" + os.urandom(1_000_000)
        self.hub.repos["Qwen/X-GGUF"].push({"X-Q8_0.gguf": data})
        options = ["Qwen/X-GGUF", "--block-size", "16KB", "--connections", "2", "--retries", "0", *QUICK]
        self.hub.set_fault(Fault("cut", 10**9, 5))
        bytes_here = 0
        for _ in range(9):  # six left 196,608 bytes once: where two connections are cut is chance
            self.assertIn("what came is kept", self.bantam("pull", *options, expect=1).err)
            row = next((m for m in self.bantam("ls", "--json").json()["models"] if m["kind"] == "unfinished"), None)
            self.assertGreaterEqual(row["bytes_here"], bytes_here)
            bytes_here = row["bytes_here"]
        self.assertGreater(bytes_here, 200_000)
        self.assertIn("unfinished", self.bantam("ls").out)
        self.hub.set_fault(Fault())
        before = len(self.hub.requests)
        self.bantam("pull", *options)
        asked = 0
        for request in self.hub.requests[before:]:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", request["range"] or "")
            asked += int(match[2]) - int(match[1]) + 1 if match and request["foreign"] else 0
        self.assertEqual(asked, len(data) - bytes_here, "only what was missing")

    def test_a_full_disk_is_exit_code_4_and_keeps_what_came(self):
        import resource
        reply = self.bantam("pull", "Qwen/X-GGUF:Q8_0", "--block-size", "4096", *QUICK, expect=4,
                            limits=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)))
        self.assertIn("no room", reply.err)
        row = self.bantam("ls", "--json").json()["models"][0]
        self.assertGreaterEqual(row["bytes_here"], 8192)
        self.bantam("pull", "Qwen/X-GGUF:Q8_0", *QUICK)

    def test_a_silent_server_is_asked_again(self):
        self.hub.set_fault(Fault("silent", 1, 1))
        self.assertIn("no byte for 0.2 s", self.bantam("pull", "Qwen/X-GGUF", "--stall-timeout", "0.2", "--retries", "100", *QUICK).err)

    def test_ctrl_c(self):
        self.hub.set_fault(Fault("stall", 10**9, 1))
        with subprocess.Popen([BANTAM, "pull", "Qwen/X-GGUF", "--stall-timeout", "60"], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until = time.time() + 60
            while not [r for r in self.hub.requests if r["foreign"]] and time.time() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
        self.hub.set_fault(Fault())
        self.bantam("pull", "Qwen/X-GGUF", *QUICK)

    def test_two_at_once(self):
        self.hub.set_fault(Fault("slow", 10**9, 1))
        pair = [subprocess.Popen([BANTAM, "pull", "Qwen/X-GGUF"], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        replies = [p.communicate(timeout=60) for p in pair]
        self.assertEqual([p.returncode for p in pair], [0, 0], replies)
        self.assertEqual(replies[0][0], replies[1][0])

    def test_verify(self):
        path = self.bantam("pull", "Qwen/X-GGUF", *QUICK).out.strip()
        with open(path, "r+b") as file:
            file.seek(1000)
            file.write(b"damage")
        self.assertIn("is here", self.bantam("pull", "Qwen/X-GGUF", *QUICK).err)
        self.assertIn("damaged", self.bantam("pull", "Qwen/X-GGUF", "--verify", *QUICK).err)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), self.gguf["X-Q4_K_M.gguf"])

    def test_revisions(self):
        old = self.hub.repos["Qwen/X-GGUF"].commit
        self.hub.repos["Qwen/X-GGUF"].push({"X-Q8_0.gguf": b"GGUF" + b"n" * 5000})
        first = self.bantam("pull", "Qwen/X-GGUF:Q8_0@" + old, expect=2)  # the type comes last
        self.assertIn("expected", first.err)
        path = self.bantam("pull", "Qwen/X-GGUF@%s:Q8_0" % old, *QUICK).out.strip()
        self.assertIn(old, path)
        self.assertEqual(os.path.getsize(path), 70_004)
        self.assertEqual(os.path.getsize(self.bantam("pull", "Qwen/X-GGUF", "--revision", "main", *QUICK).out.strip()), 5004)


class Names(Hub):
    def test_a_model_is_found_by_name_and_runs(self):
        missing = self.bantam("run", "Qwen/Nano", "-p", "hi", expect=3)
        self.assertIn("bantam pull Qwen/Nano", missing.err)
        self.assertIn("no file or folder", self.bantam("run", "./nowhere", "-p", "hi", expect=3).err)
        pulled = self.bantam("pull", "Qwen/Nano", *QUICK)
        self.assertIn("bantam pull Qwen/Nano --quantize q4_k_m", pulled.err)
        run = ["-p", "hi", "--temperature", "0", "-n", "5", "--no-think"]
        by_name = self.bantam("run", "Qwen/Nano", *run)
        self.assertEqual(by_name.out, self.bantam("run", NANO, *run).out)
        self.assertIn("Nano ·", by_name.err)  # by its repository, not its commit
        self.assertEqual(self.bantam("tokenize", "Qwen/Nano", "hello").code, 0)
        self.assertIn("Nano", self.bantam("show", "Qwen/Nano").out)

    def test_quantised_after_the_download(self):
        for words in (["Qwen/Nano", "--quantize", "q8_0"], ["Qwen/Nano:Q4_0"]):
            path = self.bantam("pull", *words, *QUICK).out.strip().splitlines()[-1]
            self.assertEqual(os.path.dirname(path), os.path.join(self.path("data"), "bantam", "models", "Qwen--Nano"))
        self.assertIn("Nano-Q8_0", self.bantam("run", "Qwen/Nano:q8_0", "-p", "hi", "-n", "2").err)
        rows = {m["name"]: m["kind"] for m in self.bantam("ls", "--json").json()["models"]}
        self.assertEqual(rows, {"Qwen/Nano": "safetensors", "Qwen/Nano:Q4_0": "quantized", "Qwen/Nano:Q8_0": "quantized"})
        self.bantam("rm", "Qwen/Nano:Q8_0")
        self.assertIn("pull Qwen/Nano:Q8_0", self.bantam("run", "Qwen/Nano:Q8_0", "-p", "hi", expect=3).err)
        self.bantam("rm", "Qwen/Nano")
        self.assertEqual(self.bantam("ls", "--json").json()["models"], [])

    def test_a_folder_of_that_name_comes_first(self):
        os.makedirs(self.path("Qwen"))
        os.symlink(NANO, self.path("Qwen/X-GGUF"))
        done = subprocess.run([BANTAM, "show", "Qwen/X-GGUF"], cwd=self.folder, env=self.env, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


class Listing(Hub):
    def test_ls_and_rm(self):
        self.assertIn("no models", self.bantam("ls").err)
        for name in ("Qwen/X-GGUF:Q8_0", "Qwen/X-GGUF:Q4_K_M"):
            self.bantam("pull", name, *QUICK)
        listing = self.bantam("ls", "--json").json()
        self.assertEqual(listing["folder"], os.path.join(self.path("hf"), "hub"))
        self.assertEqual([(m["name"], m["kind"], m["bytes"]) for m in listing["models"]],
                         [("Qwen/X-GGUF:Q4_K_M", "gguf", 50_004), ("Qwen/X-GGUF:Q8_0", "gguf", 70_004)])
        self.assertEqual(len(self.bantam("ls").out.splitlines()), 2)
        self.assertEqual(self.bantam("rm", "Qwen/X-GGUF:Q8_0", "--json").json()["freed_bytes"], 70_004)
        self.assertEqual([m["name"] for m in self.bantam("ls", "--json").json()["models"]], ["Qwen/X-GGUF:Q4_K_M"])
        self.assertIn("on this machine", self.bantam("rm", "Qwen/X-GGUF:Q8_0", expect=3).err)
        self.assertIn("50.0 kB freed", self.bantam("rm", "Qwen/X-GGUF").err)
        self.assertFalse(os.path.exists(os.path.join(listing["folder"], "models--Qwen--X-GGUF")))

    def test_others_in_the_shared_cache_are_let_be(self):
        folder = os.path.join(self.path("hf"), "hub", "models--openai--whisper", "snapshots", "3" * 40)
        os.makedirs(folder)
        for name, text in (("config.json", '{"model_type": "whisper"}'), ("model.safetensors", "x")):
            self.write(os.path.relpath(os.path.join(folder, name), self.folder), text)
        os.makedirs(os.path.join(self.path("hf"), "hub", "datasets--a--b"))
        self.assertEqual(self.bantam("ls", "--json").json()["models"], [])

    def test_ps(self):
        self.assertEqual(self.bantam("ps", "--json").json(), {"servers": []})
        self.assertIn("no bantam server", self.bantam("ps").err)
        folder = self.path("run/bantam")
        os.makedirs(folder)
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        record = {"pid": os.getpid(), "ticks": ticks, "url": "http://127.0.0.1:8080", "started": int(time.time()) - 70,
                  "models": [{"name": "Qwen3-4B-Q4_K_M", "bytes": 2_500_000_000}]}
        self.write("run/bantam/%d.json" % os.getpid(), json.dumps(record))
        self.write("run/bantam/1.json", json.dumps(dict(record, pid=1, ticks=1 << 60)))
        reply = self.bantam("ps")
        self.assertIn("1 min 1", reply.out)
        self.assertIn("Qwen3-4B-Q4_K_M  2.50 GB", reply.out)
        del record["ticks"]
        self.assertEqual(self.bantam("ps", "--json").json(), {"servers": [record]})
        self.assertEqual(os.listdir(folder), ["%d.json" % os.getpid()], "the dead are swept")


class Terminal(Hub):
    def on_terminal(self, *args, answer=None):
        """Runs it on a terminal of 100 columns; (exit code, what was shown)."""
        try:
            leader, follower = pty.openpty()
        except OSError as error:
            raise unittest.SkipTest(f"SKIPPED: this machine gives no pseudo terminal ({error}); is /dev/pts mounted?")
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        process = subprocess.Popen([BANTAM, *args], env=self.env, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(follower)
        shown, until = "", time.time() + 120
        while time.time() < until:
            if not select.select([leader], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            shown += data.decode(errors="replace")
            if answer is not None and shown.rstrip().endswith("]"):
                os.write(leader, answer.encode() + b"\n")
                answer = None
        os.close(leader)
        return process.wait(timeout=30), shown

    def test_bars_with_rate_and_time_left(self):
        self.hub.repos["Qwen/X-GGUF"].push({"X-Q8_0-0000%d-of-00002.gguf" % i: os.urandom(300_000) for i in (1, 2)})
        self.hub.set_fault(Fault("slow", 10**9, 1))
        code, shown = self.on_terminal("pull", "Qwen/X-GGUF", "--block-size", "4096", "--connections", "1")
        self.assertEqual(code, 0, shown)
        self.assertRegex(shown, r"█.*%.*kB / 300 kB")
        self.assertRegex(shown, r"[01] of 2 files .*kB/s  \d+ s left")

    def test_it_offers_to_quantise(self):
        code, shown = self.on_terminal("pull", "Qwen/Nano", answer="n")
        self.assertEqual(code, 0, shown)
        self.assertIn("Quantise them now? [Y/n]", shown)
        self.assertIn("--quantize q4_k_m", shown)
        code, shown = self.on_terminal("pull", "Qwen/Nano", answer="")
        self.assertEqual(code, 0, shown)
        self.assertIn("ready: bantam chat Qwen/Nano:q4_k_m", shown)
        self.assertIn("q4_k", self.bantam("show", "Qwen/Nano:Q4_K_M").out)
        self.assertNotIn("Quantise them now", self.on_terminal("pull", "Qwen/Nano")[1], "asked once")

    def test_ctrl_c_at_a_question(self):
        code, shown = self.on_terminal("pull", "Qwen/Nano", answer="\x03")
        self.assertEqual(code, 130, shown)
        code, shown = self.on_terminal("rm", "Qwen/Nano", answer="\x03")
        self.assertEqual(code, 130, shown)
        self.assertEqual(len(self.bantam("ls", "--json").json()["models"]), 1)

    def test_rm_asks(self):
        self.bantam("pull", "Qwen/X-GGUF", *QUICK)
        code, shown = self.on_terminal("rm", "Qwen/X-GGUF", answer="n")
        self.assertEqual(code, 1, shown)
        self.assertIn("Remove this, 50.0 kB?", shown)
        self.assertEqual(len(self.bantam("ls", "--json").json()["models"]), 1)
        code, shown = self.on_terminal("rm", "Qwen/X-GGUF", answer="y")
        self.assertEqual(code, 0, shown)
        self.assertEqual(self.bantam("ls", "--json").json()["models"], [])


if __name__ == "__main__":
    main()
