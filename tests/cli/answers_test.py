"""run and complete: what is on stdout and what is not, determinism, stops, limits, and the JSON shape."""
import json

from support import NANO, Case, main

USAGE = {"prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"}
TIMINGS = {"prompt_n", "prompt_ms", "prompt_per_second", "predicted_n", "predicted_ms", "predicted_per_second", "load_ms"}


class Run(Case):
    def test_json_shape_and_nothing_else(self):
        for command in (["run", "-p", "What is 12 + 30?"], ["complete", "-p", "The"]):
            reply = self.run_bantam(*command, "--json", "--seed", "1", "-n", "8")
            self.assertEqual(reply.out.count("\n"), 1)
            answer = reply.json()
            self.assertEqual(set(answer), {"text", "reasoning", "tool_calls", "finish_reason", "usage", "timings"})
            self.assertEqual(set(answer["usage"]), USAGE)
            self.assertEqual(set(answer["timings"]), TIMINGS)
            self.assertLessEqual(answer["usage"]["completion_tokens"], 8)
            self.assertEqual(answer["timings"]["prompt_n"], answer["usage"]["prompt_tokens"])

    def test_only_the_answer_is_on_stdout(self):
        for extra in ([], ["--no-think"]):
            args = ["run", "-p", "What is 12 + 30?", "--temperature", "0", "-n", "40", *extra]
            self.assertEqual(self.run_bantam(*args).out, self.run_bantam(*args, "--json").json()["text"] + "\n")

    def test_same_seed_same_answer(self):
        args = ["complete", "-p", "Once", "-n", "30", "-q", "--temperature", "1.5", "--top-k", "0"]
        first = self.run_bantam(*args, "--seed", "5").out
        self.assertEqual(self.run_bantam(*args, "--seed", "5").out, first)
        self.assertEqual(self.run_bantam(*args, "--seed", "5", "--isa", "generic", "-t", "1").out, first)
        self.assertNotEqual(self.run_bantam(*args, "--seed", "6").out, first)

    def test_prompt_from_stdin(self):
        args = ["run", "--temperature", "0", "-n", "5", "--json"]
        a, b = self.run_bantam(*args, stdin="hello").json(), self.run_bantam(*args, "-p", "hello").json()
        self.assertEqual((a["text"], a["usage"]), (b["text"], b["usage"]))
        self.assertIn("prompt", self.run_bantam("run", stdin="", expect=2).err)

    def test_system_think_and_template(self):
        with_system = self.run_bantam("run", "-p", "hi", "--system", "Be brief.", "-n", "1", "--json").json()
        self.assertGreater(with_system["usage"]["prompt_tokens"], self.run_bantam("run", "-p", "hi", "-n", "1", "--json").json()["usage"]["prompt_tokens"])
        off = self.run_bantam("run", "-p", "hi", "--no-think", "-n", "1", "--json").json()
        self.assertEqual(off["usage"]["reasoning_tokens"], 0)
        self.assertIn("no thinking switch", self.run_bantam("run", "-p", "hi", "--think", "-n", "1", "--template", "qwen3-instruct-2507").err)

    def test_limits(self):
        cut = self.run_bantam("complete", "-p", "Once upon", "-n", "3", "--json", "--logit-bias", "4098:-100", "--logit-bias", "4096:-100").json()
        self.assertEqual((cut["finish_reason"], cut["usage"]["completion_tokens"]), ("length", 3))
        self.assertEqual(self.run_bantam("complete", "-p", "Once", "-n", "0", "--json").json()["text"], "")
        bias = [arg for i in (4096, 4097, 4098) for arg in ("--logit-bias", "%d:-1000" % i)]
        full = self.run_bantam("complete", "-p", "Once", "--ctx", "16", *bias)
        self.assertIn("context is full", full.err)
        long = self.run_bantam("run", "-p", "word " * 200, "--ctx", "64", expect=1)
        self.assertIn("64", long.err)
        self.assertEqual(long.out, "")

    def test_stop_strings(self):
        args = ["complete", "-p", "Once", "-n", "40", "-q", "--temperature", "0"]
        text = self.run_bantam(*args).out.rstrip("\n")
        self.assertGreater(len(text), 8)
        for stop in (text[3:6], text[5], text[-2:]):
            self.assertEqual(self.run_bantam(*args, "--stop", stop, "--stop", "\x01never").out, text[:text.index(stop)] + "\n")
        answer = self.run_bantam(*args, "--stop", text[3:6], "--json").json()
        self.assertEqual(answer["finish_reason"], "stop")

    def test_logit_bias_decides(self):
        letter = self.run_bantam("tokenize", "A", "--json").json()["ids"][0]
        out = self.run_bantam("complete", "-p", "x", "-n", "4", "-q", "--logit-bias", "%d:100" % letter)
        self.assertEqual(out.out, "AAAA\n")

    def test_complete_lines(self):
        requests = [{"prompt": "Once", "max_tokens": 4, "temperature": 0}, {"ids": [300, 301], "max_tokens": 0},
                    {"prompt": "<|im_end|>", "special": True, "max_tokens": 1, "seed": 9007199254740993},
                    {"prompt": "x", "top_k": 1e15}, {"prompt": "x", "temperature": -1}, {"prompt": "x", "max_tokens": 1.5}]
        out = self.run_bantam("complete", NANO, "--jsonl", "-q", stdin="\n".join(map(json.dumps, requests)), expect=1).lines()
        self.assertEqual(len(out[0]["ids"]), 4)
        self.assertEqual(out[1], {"text": "", "ids": [], "finish_reason": "length"})
        self.assertEqual([("error" in line) for line in out], [False] * 3 + [True] * 3)
        one = self.run_bantam("complete", NANO, "-p", "Once", "-n", "4", "--temperature", "0", "--json").json()
        self.assertEqual(one["text"], out[0]["text"], "a line among others, or alone")


if __name__ == "__main__":
    main()
