"""The JSONL commands and their plain forms: tokenize, detokenize, render, score, complete, forward. Order, bad lines, 100,000 lines,
folders that hold only what a command needs."""
import json
import math
import os
import subprocess
import time

from support import BANTAM, NANO, TOKENIZER_FILES, Case, environment, main, read_safetensors

BAD_LINES = ["", "   ", "not json", "[1]", "3", '{"ids": "a"}', '{"ids": [1.5]}', '{"ids": [-1]}', '{"ids": [999999999999]}', "{}", '{"ids": [',
             '{"text": 5, "prompt": [], "messages": 3, "ids": null}', "\x00", '{"ids": ' + "[" * 500]


class Contract(Case):
    def check_bad_lines(self, args, good, keys):
        """A good line before, between and after every bad one gets its reply in place; exit code 1; errors say which line."""
        lines = [good]
        for bad in BAD_LINES:
            lines += [bad, good]
        reply = self.run_bantam(*args, stdin="\n".join(lines), expect=1)
        out = reply.lines()
        self.assertEqual(len(out), len(lines))
        for i, line in enumerate(out):
            if i % 2 == 0:
                self.assertEqual(set(line), set(keys))
                self.assertEqual(line, out[0])
            else:
                self.assertEqual(line["line"], i + 1)
                self.assertEqual(set(line["error"]), {"code", "message"})
                self.assertTrue(line["error"]["message"])
        self.assertIn("%d of %d lines failed" % (len(BAD_LINES), len(lines)), reply.err)

    def test_bad_lines(self):
        self.check_bad_lines(["tokenize", "--jsonl"], '{"text": "hello"}', ["ids"])
        self.check_bad_lines(["detokenize", "--jsonl", "-"], '{"ids": [65, 66]}', ["text"])
        self.check_bad_lines(["render", "--jsonl"], '{"messages": [{"role": "user", "content": "x"}]}', ["text", "ids"])
        self.check_bad_lines(["score", "-"], '{"ids": [5, 6, 7]}', ["logprobs", "nll", "tokens", "greedy"])
        self.check_bad_lines(["complete", "--jsonl", "-q"], '{"ids": [5, 6], "max_tokens": 1, "temperature": 0}',
                             ["text", "ids", "finish_reason"])

    def test_windows_line_ends_and_no_final_newline(self):
        out = self.run_bantam("tokenize", "--jsonl", stdin='{"text": "a"}\r\n{"text": "a"}').lines()
        self.assertEqual(out[0], out[1])

    def test_empty_input(self):
        for args in (["tokenize", "--jsonl"], ["detokenize", "--jsonl"], ["render", "--jsonl"], ["score", "-"], ["complete", "--jsonl"]):
            self.assertEqual(self.run_bantam(*args, stdin="").out, "")

    def test_missing_file(self):
        for args in (["tokenize", "--jsonl"], ["detokenize", "--jsonl"], ["render", "--jsonl"], ["score"], ["complete", "--jsonl"]):
            self.run_bantam(*args, self.path("nowhere.jsonl"), expect=3)
            self.run_bantam(*args, self.folder, expect=3)

    def test_hundred_thousand_lines(self):
        n = 100000
        texts = self.write_lines("t", [{"text": "line %d, hello" % i} for i in range(n)])
        ids = self.write("i", self.run_bantam("tokenize", "--jsonl", texts).out)
        back = self.run_bantam("detokenize", "--jsonl", ids).lines()
        self.assertEqual([b["text"] for b in back], ["line %d, hello" % i for i in range(n)])
        chats = self.write("c", "".join('{"messages": [{"role": "user", "content": "%d"}]}\n' % i for i in range(n)))
        out = self.run_bantam("render", "--jsonl", chats).out.splitlines()
        self.assertEqual(len(out), n)
        self.assertIn("99999", json.loads(out[-1])["text"])
        # The model's commands: bad lines make most of the hundred thousand, so that this stays quick.
        lines = self.write("s", "".join('{"ids": [%d, 7]}\n' % (i // 50 % 4000) if i % 50 == 0 else "\n" for i in range(n)))
        for args in (["score", lines], ["complete", "--jsonl", lines, "-n", "1", "-q"]):
            out = self.run_bantam(*args, expect=1).out.splitlines()
            self.assertEqual(len(out), n)
            self.assertEqual(json.loads(out[-1])["line"], n)

    def test_replies_flow_while_the_writer_waits(self):
        for args, request in ((["tokenize", "--jsonl"], b'{"text": "a"}\n'), (["score", "-", "-q"], b'{"ids": [1, 2]}\n')):
            with subprocess.Popen([BANTAM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
                for _ in range(3):
                    process.stdin.write(request)
                    process.stdin.flush()
                    self.assertTrue(json.loads(process.stdout.readline()))
                process.stdin.close()
                self.assertEqual(process.wait(), 0)


class Tokens(Case):
    def test_round_trip_and_special(self):
        text = "Hello <|im_end|> wörld 世界 🙂\n\t  x"
        plain = self.run_bantam("tokenize", text, "--json").json()
        self.assertEqual("".join(plain["pieces"]).count("�"), "".join(plain["pieces"]).count("�"))
        special = self.run_bantam("tokenize", text, "--json", "--special").json()
        self.assertIn("<|im_end|>", special["pieces"])
        self.assertNotIn("<|im_end|>", plain["pieces"])
        for ids in (plain["ids"], special["ids"]):
            self.assertEqual(self.run_bantam("detokenize", "--json", stdin=json.dumps(ids)).json()["text"], text)
        lines = self.run_bantam("tokenize", "--jsonl", stdin=json.dumps({"text": text, "special": True})).lines()
        self.assertEqual(lines[0]["ids"], special["ids"])

    def test_arguments(self):
        ids = self.run_bantam("tokenize", "hello").out
        self.assertEqual(self.run_bantam("tokenize", NANO, "hello").out, ids)
        self.assertEqual(self.run_bantam("tokenize", stdin="hello").out, ids)
        self.assertEqual(self.run_bantam("tokenize", NANO, stdin="hello").out, ids)
        self.assertEqual(self.run_bantam("tokenize", NANO, "").out, "\n")
        self.assertIn("quotes", self.run_bantam("tokenize", "two", "words", expect=3).err)
        self.assertEqual(self.run_bantam("detokenize", *ids.split()).out, "hello")
        self.assertEqual(self.run_bantam("detokenize", NANO, stdin=ids).out, "hello")
        self.assertEqual(self.run_bantam("detokenize", NANO, "[%s]" % ",".join(ids.split())).out, "hello")
        file = self.write_lines("t.jsonl", [{"text": "hello"}])
        for args in ([NANO, "--jsonl", file], ["--jsonl", file, NANO]):
            self.assertEqual(self.run_bantam("tokenize", *args).lines(), [{"ids": [int(i) for i in ids.split()]}])
        self.assertEqual(len(self.run_bantam("tokenize", "--jsonl", NANO, stdin='{"text": "hello"}').lines()), 1)
        self.run_bantam("detokenize", "99999999", expect=3)

    def test_invalid_utf8(self):
        out = self.run_bantam("detokenize", "--jsonl", stdin=json.dumps({"ids": [162]})).lines()[0]["text"]
        self.assertEqual(len(out), 1)
        self.run_bantam("tokenize", stdin=b"a\xff\xfeb")


class OnlyWhatIsNeeded(Case):
    def test_a_folder_with_tokenizer_files_only(self):
        folder = self.nano_copy("tok", TOKENIZER_FILES)
        split = self.nano_copy("split", ("vocab.json", "merges.txt", "tokenizer_config.json"))
        want = self.run_bantam("tokenize", "hello there").out
        for model in (folder, split):
            self.assertEqual(self.run_bantam("tokenize", model, "hello there").out, want)
            self.assertEqual(self.run_bantam("detokenize", model, *want.split()).out, "hello there")
            self.assertEqual(self.run_bantam("render", model, "-p", "x").out, self.run_bantam("render", "-p", "x").out)

    def test_a_folder_without_tokenizer_files(self):
        folder = self.nano_copy("weights", ("config.json", "model.safetensors"))
        lines = self.write_lines("ids.jsonl", [{"ids": [1, 2, 3]}])
        self.run_bantam("forward", folder, lines, "-o", self.path("a"))
        self.run_bantam("forward", NANO, lines, "-o", self.path("b"))
        with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.run_bantam("convert", folder, self.path("x.gguf"))
        self.run_bantam("quantize", folder, self.path("y.gguf"), "--type", "q8_0")
        self.run_bantam("convert", self.path("x.gguf"), self.path("z"))
        self.assertTrue(os.path.exists(self.path("z/model.safetensors")))
        self.assertEqual(self.run_bantam("score", folder, lines).lines(), self.run_bantam("score", NANO, lines).lines())
        reply = self.run_bantam("score", folder, "-", stdin='{"text": "x"}', expect=1)
        self.assertIn("tokenizer", reply.lines()[0]["error"]["message"])
        self.run_bantam("run", folder, "-p", "x", expect=3)


class Render(Case):
    def test_templates_and_thinking(self):
        request = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|im_end|>"}],
                   "add_generation_prompt": True}
        text = self.run_bantam("render", "--jsonl", stdin=json.dumps(request)).lines()[0]["text"]
        self.assertEqual(text, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
        off = self.run_bantam("render", "--jsonl", stdin=json.dumps({**request, "enable_thinking": False})).lines()[0]["text"]
        self.assertTrue(off.endswith("<think>\n\n</think>\n\n"))
        thinking = self.run_bantam("render", "--jsonl", "--template", "qwen3-thinking-2507", stdin=json.dumps(request)).lines()[0]["text"]
        self.assertTrue(thinking.endswith("<think>\n"))
        self.assertEqual(self.run_bantam("render", "-p", "Hi <|im_end|>", "--system", "Be brief.").out, text)

    def test_text_never_becomes_a_control_token(self):
        reply = self.run_bantam("render", "-p", "<|im_end|>", "--json").json()
        end = self.run_bantam("tokenize", "<|im_end|>", "--special", "--json").json()["ids"]
        self.assertEqual(len(end), 1)
        self.assertEqual(reply["ids"].count(end[0]), 1, "the template's own")

    def test_a_template_of_another_family(self):
        folder = self.nano_copy("other", TOKENIZER_FILES)
        with open(self.path("other/tokenizer_config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["chat_template"] = "{% for m in messages %}[INST]{{ m.content }}{% endfor %}"
        self.write("other/tokenizer_config.json", json.dumps(config))
        self.assertIn("--template", self.run_bantam("render", folder, "-p", "x", expect=3).err)
        self.run_bantam("render", folder, "-p", "x", "--template", "qwen3-hybrid")


class Forward(Case):
    def logits(self, *args, lines):
        path = self.write_lines("f.jsonl", lines)
        self.run_bantam("forward", path, "-o", self.path("f.safetensors"), *args)
        return read_safetensors(self.path("f.safetensors"))

    def test_shapes_names_and_invariance(self):
        lines = [{"ids": list(range(100, 137))}, {"ids": [5], "name": "one"}, {"ids": list(range(70))}]
        want = self.logits(lines=lines)
        vocab = want["0/logits"][1][1]
        self.assertEqual({k: v[1] for k, v in want.items()}, {"0/logits": [37, vocab], "one/logits": [1, vocab], "2/logits": [70, vocab]})
        for args in (["--chunk", "1"], ["--chunk", "16", "--batch", "3"], ["--decode", "5"], ["--batch", "2", "-t", "2"],
                     ["--isa", "generic"], ["--ctx", "256"]):
            self.assertEqual(self.logits(*args, lines=lines), want, args)
        last = self.logits("--last", "--batch", "2", lines=lines)
        self.assertEqual(last["0/logits"][1], [1, vocab])
        self.assertEqual(last["2/logits"][2], want["2/logits"][2][-vocab:])

    def test_hidden_and_attention(self):
        lines = [{"ids": list(range(30))}, {"ids": list(range(40, 49))}]
        got = self.logits("--hidden", "--attention", "0,3", lines=lines)
        config = self.run_bantam("show", "--json").json()["config"]
        layers, heads, hidden = (config[k] for k in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
        self.assertEqual(got["0/hidden"][1], [layers + 1, 30, hidden])
        self.assertEqual(got["1/attention.3"][1], [heads, 9, 9])
        rows = got["1/attention.0"][2]
        for t in range(9):
            row = rows[t * 9:(t + 1) * 9]
            self.assertAlmostEqual(sum(row), 1, places=4)
            self.assertEqual(row[t + 1:], (0.0,) * (8 - t))
        self.assertEqual(self.logits("--hidden", "--attention", "0,3", "--chunk", "7", "--batch", "2", lines=lines), got)

    def test_bad_lines(self):
        file = self.write("bad.jsonl", '{"ids": [1, 2]}\n\n{"ids": [4160]}\n{"ids": []}\n{"ids": [3], "name": "0"}\n{"ids": [3], "name": "x"}\n')
        reply = self.run_bantam("forward", file, "-o", self.path("o"), expect=1)
        self.assertEqual([e["line"] for e in reply.lines()], [2, 3, 4, 5])
        self.assertEqual(set(read_safetensors(self.path("o"))), {"0/logits", "x/logits"})
        self.run_bantam("forward", "-", "-o", self.path("p"), stdin='{"ids": [1]}')
        self.assertEqual(set(read_safetensors(self.path("p"))), {"0/logits"})
        self.run_bantam("forward", file, "-o", self.path("q"), "--attention", "99", expect=2)
        self.run_bantam("forward", "-", "-o", self.path("r"), stdin=json.dumps({"ids": [1] * 50000}), expect=1)
        self.assertFalse(os.path.exists(self.path("q")))

    def test_a_line_of_commas_costs_no_context(self):
        text = json.dumps({"ids": [1, 2], "name": "," * 200000})
        begin = time.time()
        self.run_bantam("forward", "-", "-o", self.path("o"), stdin=text)
        self.assertLess(time.time() - begin, 30)

    def test_many_lines(self):
        file = self.write("many.jsonl", "".join('{"ids": [7]}\n' if i % 500 == 0 else "x\n" for i in range(100000)))
        reply = self.run_bantam("forward", file, "-o", self.path("o"), "--last", "--batch", "64", expect=1)
        self.assertEqual(len(reply.out.splitlines()), 100000 - 200)
        self.assertEqual(len(read_safetensors(self.path("o"))), 200)


class Score(Case):
    def test_equals_what_forward_says(self):
        ids = [(i * 37 + 11) % 4000 for i in range(150)]
        short = [[9], [5, 6], [7, 8, 9, 10]]
        file = self.write_lines("s.jsonl", [{"ids": ids}] + [{"ids": s} for s in short])
        scored = self.run_bantam("score", file).lines()
        self.run_bantam("forward", file, "-o", self.path("o"))
        tensors = read_safetensors(self.path("o"))
        for i, sequence in enumerate([ids] + short):
            _, (count, vocab), flat = tensors["%d/logits" % i]
            self.assertEqual(count, len(sequence))
            self.assertIsNone(scored[i]["logprobs"][0])
            total, greedy = 0.0, True
            for t in range(1, count):
                row = flat[(t - 1) * vocab:t * vocab]
                top = max(row)
                want = row[sequence[t]] - top - math.log(math.fsum(math.exp(v - top) for v in row))
                self.assertAlmostEqual(scored[i]["logprobs"][t], want, places=9)
                total -= want
                greedy = greedy and row.index(top) == sequence[t]
            self.assertAlmostEqual(scored[i]["nll"], total, places=6)
            self.assertEqual((scored[i]["tokens"], scored[i]["greedy"]), (count - 1, greedy))

    def test_prompt_and_completion(self):
        both = self.run_bantam("score", "-", stdin='{"prompt": "hello there", "completion": " world again"}').lines()[0]
        head = self.run_bantam("tokenize", "hello there", "--json").json()["ids"]
        tail = self.run_bantam("tokenize", " world again", "--json").json()["ids"]
        whole = self.run_bantam("score", "-", stdin=json.dumps({"ids": head + tail})).lines()[0]
        self.assertEqual(both["logprobs"], [None] * len(head) + whole["logprobs"][len(head):])
        self.assertEqual(both["tokens"], len(tail))
        empty = self.run_bantam("score", "-", stdin='{"prompt": "", "completion": " world again"}').lines()[0]
        self.assertEqual(empty["tokens"], len(tail) - 1, "nothing comes before the first token")
        text = self.run_bantam("score", "-", stdin='{"text": "hello there"}').lines()[0]
        self.assertEqual(text["tokens"], len(head) - 1)

    def test_company_does_not_matter(self):
        lines = [{"ids": [(i * j + 3) % 4000 for j in range(1 + i % 90)]} for i in range(60)]
        together = self.run_bantam("score", self.write_lines("t", lines)).lines()
        for i in (0, 17, 44, 59):
            self.assertEqual(self.run_bantam("score", "-", stdin=json.dumps(lines[i])).lines()[0], together[i])

    def test_too_long_and_summary(self):
        reply = self.run_bantam("score", "-", "--ctx", "16", stdin=json.dumps({"ids": [1] * 17}), expect=1)
        self.assertIn("--ctx", reply.lines()[0]["error"]["message"])
        self.assertIn("perplexity", self.run_bantam("score", "-", stdin='{"ids": [1, 2, 3]}').err)


if __name__ == "__main__":
    main()
