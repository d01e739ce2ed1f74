"""convert, quantize, synth: round trips, refusals, and that nothing half-written ever stands under the final name."""
import json
import os
import random
import signal
import subprocess
import time

from support import BANTAM, NANO, Case, environment, main, read_safetensors

PROMPT = {"ids": [(i * 53 + 7) % 4000 for i in range(40)]}


class RoundTrip(Case):
    def logits(self, *model):
        lines = self.write_lines("p.jsonl", [PROMPT])
        self.run_bantam("forward", *model, lines, "-o", self.path("l.safetensors"), "--last", "--numerics", "exact", "--kv", "f32")
        return read_safetensors(self.path("l.safetensors"))["0/logits"][2]

    def test_folder_to_gguf_to_folder(self):
        gguf, folder, again = self.path("n.gguf"), self.path("back"), self.path("again.gguf")
        self.run_bantam("convert", NANO, gguf)
        self.run_bantam("convert", gguf, folder)
        self.run_bantam("convert", folder, again, "--type", "bf16")
        want = self.logits(NANO)
        texts = self.write_lines("t", [{"text": t, "special": s} for t in ("Hello wörld 世界 🙂", "<|im_end|><think>", "123  \n\n x")
                                       for s in (False, True)])
        chats = self.write_lines("c", [{"messages": [{"role": "user", "content": "a <tool_call> b"}], "add_generation_prompt": True,
                                        "tools": [{"type": "function", "function": {"name": "f"}}]}])
        tokens, rendered = self.run_bantam("tokenize", NANO, "--jsonl", texts).out, self.run_bantam("render", NANO, "--jsonl", chats).out
        for model in (gguf, folder, again):
            self.assertEqual(self.logits(model), want, "bf16 to bf16 loses nothing")
            self.assertEqual(self.run_bantam("tokenize", model, "--jsonl", texts).out, tokens)
            self.assertEqual(self.run_bantam("render", model, "--jsonl", chats).out, rendered)
            run = ["run", model, "-p", "What is 2 + 2?", "--temperature", "0", "--json", "-n", "30"]
            house = ["run", NANO] + run[2:]
            self.assertEqual(self.run_bantam(*run).json()["text"], self.run_bantam(*house).json()["text"])
        with open(os.path.join(NANO, "config.json"), encoding="utf-8") as a, open(self.path("back/config.json"), encoding="utf-8") as b:
            one, other = json.load(a), json.load(b)
        for key in ("hidden_size", "num_hidden_layers", "rope_theta", "tie_word_embeddings", "head_dim", "rms_norm_eps", "vocab_size"):
            self.assertEqual(one[key], other[key])

    def test_the_house_model(self):
        self.run_bantam("convert", "", self.path("house.gguf"))
        self.assertEqual(self.logits(self.path("house.gguf")), self.logits())

    def test_float_types(self):
        want = self.logits(NANO)
        for kind, out in (("f32", "f32"), ("f16", "f16.gguf")):
            self.run_bantam("convert", NANO, self.path(out), "--type", kind)
            worst = max(abs(a - b) for a, b in zip(self.logits(self.path(out)), want))
            self.assertLess(worst, 1e-12 if kind == "f32" else 0.05)

    def test_quantize_then_run(self):
        for kind in ("q8_0", "q4_0", "q4_k", "q6_k", "q4_k_m", "bq4"):
            out = self.path(kind + ".gguf")
            report = self.run_bantam("quantize", NANO, out, "--type", kind, "--json").json()["tensors"]
            self.assertEqual(set(report[0]), {"name", "type", "rmse", "max_abs", "relative"})
            limit = {"q8_0": 0.01, "q6_k": 0.03}.get(kind, 0.12)
            self.assertTrue(all(0 < t["relative"] < limit for t in report), [t for t in report if not 0 < t["relative"] < limit])
            self.assertGreater(len(report), 20)
            answer = self.run_bantam("run", out, "-p", "What is 2 + 2?", "--temperature", "0", "-n", "10", "--json").json()
            self.assertGreater(answer["usage"]["completion_tokens"], 0)
            self.assertIn(kind[:4], self.run_bantam("plan", out).err + self.run_bantam("show", out).out)
        table = self.run_bantam("quantize", NANO, self.path("t.gguf"), "--type", "q8_0").out
        self.assertIn("all quantised tensors", table)

    def test_synth(self):
        for out, kind in ((self.path("s.gguf"), "q4_0"), (self.path("s"), "bf16")):
            self.run_bantam("synth", "qwen3-0.6b", out, "--type", kind, "--layers", "1")
            info = self.run_bantam("show", out, "--json").json()
            self.assertEqual((info["config"]["num_hidden_layers"], info["config"]["hidden_size"]), (1, 1024))
            lines = self.write_lines("p.jsonl", [PROMPT])
            self.run_bantam("forward", out, lines, "-o", self.path("o"), "--last")
            self.assertTrue(all(abs(v) < 1e4 for v in read_safetensors(self.path("o"))["0/logits"][2]))
            self.run_bantam("synth", "qwen3-0.6b", out, "--type", kind, "--layers", "1", expect=2)
        self.run_bantam("synth", "qwen3-0.6b", self.path("x"), "--type", "q4_0", expect=2)
        self.assertFalse(os.path.exists(self.path("x")))


class Refusals(Case):
    def test_wrong_outputs(self):
        taken = self.write("taken.gguf", "mine")
        for args in ([NANO, taken], [NANO, self.path("x"), "--type", "q4_0"], [NANO, NANO], [NANO, self.path("x.gguf"), "--type", "f8"],
                     [NANO, taken + "/x.gguf/"]):
            self.assertIn(self.run_bantam("convert", *args, expect=None).code, (1, 2), args)
        with open(taken, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")
        self.run_bantam("convert", NANO, taken, "--force")
        self.run_bantam("plan", taken)
        os.mkdir(self.path("dir.gguf"))
        self.run_bantam("convert", NANO, self.path("dir.gguf"), expect=2)
        self.run_bantam("convert", NANO, self.path("no/where.gguf"), expect=1)
        self.assertEqual(self.leftovers(), [])


class NothingHalfWritten(Case):
    def assert_clean(self, *outs):
        for out in outs:
            self.assertFalse(os.path.exists(out), out)

    def test_disk_full(self):
        def small():
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
        lines = self.write_lines("p.jsonl", [{"ids": [1] * 500}])
        for args in (["convert", NANO, self.path("o.gguf")], ["convert", NANO, self.path("o")],
                     ["quantize", NANO, self.path("o.gguf"), "--type", "q8_0"],
                     ["synth", "qwen3-0.6b", self.path("o.gguf"), "--layers", "1"],
                     ["synth", "qwen3-0.6b", self.path("o"), "--layers", "1", "--type", "bf16"],
                     ["forward", lines, "-o", self.path("o")]):
            reply = self.run_bantam(*args, expect=4, limits=small)
            self.assertIn("bantam: ", reply.err)
            self.assert_clean(self.path("o.gguf"), self.path("o"))
            self.assertEqual(self.leftovers(), [])

    def test_signals_at_random_moments(self):
        rng = random.Random(3)
        for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            for out in (self.path("o.gguf"), self.path("o")):
                for _ in range(2):
                    args = ["synth", "qwen3-0.6b", out, "--layers", "4", "--type", "bf16"]
                    with subprocess.Popen([BANTAM, *args], env=environment(), stderr=subprocess.PIPE) as process:
                        until = time.time() + 20
                        while not self.leftovers() and process.poll() is None and time.time() < until:
                            time.sleep(0.005)
                        time.sleep(rng.random() * 0.05)
                        process.send_signal(number)
                        process.stderr.read()
                        code = process.wait()
                    if code == 0:  # it was faster than we
                        subprocess.run(["rm", "-rf", out], check=True)
                        continue
                    self.assertEqual(code, -9 if number == signal.SIGKILL else 130)
                    self.assert_clean(out)
                    if number == signal.SIGKILL:
                        subprocess.run("rm -rf '%s'/*.part-*" % self.folder, shell=True, check=True)
                    self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    main()
