"""bantam generate: answers in OpenAI's batch format, equal to what `complete` gives alone; bad lines; stopping and going on."""
import json
import os
import signal
import subprocess
import time

from support import BANTAM, Case, environment, main


def chat(custom_id, text, **body):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "any", "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 12, **body}}


def completion(custom_id, prompt, **body):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": {"prompt": prompt, "temperature": 0, **body}}


class Generate(Case):
    def results(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return {line["custom_id"] or line["line"]: line for line in lines}, len(lines)

    def run_all(self, requests, *args, expect=0):
        source = self.write_lines("in.jsonl", requests)
        self.run_bantam("generate", source, self.path("out.jsonl"), *args, expect=expect)
        return self.results("out.jsonl")[0]

    def test_answers_are_those_given_alone(self):
        prompts = ["What is %d + %d?" % (i, 3 * i + 11) for i in range(20)] + ["The pen is in the"] * 3
        results = self.run_all([completion(str(i), p, max_tokens=4 + i) for i, p in enumerate(prompts)], "--batch", "7")
        lines = [{"prompt": p, "temperature": 0, "max_tokens": 4 + i, "special": True} for i, p in enumerate(prompts)]
        alone = self.run_bantam("complete", "--jsonl", "-q", stdin="".join(json.dumps(x) + "\n" for x in lines)).lines()
        for i, line in enumerate(alone):
            choice = results[str(i)]["response"]["body"]["choices"][0]
            self.assertEqual(choice["text"], line["text"])
            self.assertEqual(choice["finish_reason"], line["finish_reason"])
            self.assertEqual(results[str(i)]["response"]["body"]["usage"]["completion_tokens"], len(line["ids"]))

    def test_chat(self):
        tool = {"type": "function", "function": {"name": "get_time", "description": "the time in a city",
                                                 "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
        results = self.run_all([
            chat("plain", "What is 2 + 2?", enable_thinking=False),
            chat("thinking", "What is 12 + 30?", max_tokens=60),
            chat("effort", "What is 12 + 30?", reasoning_effort="none"),
            chat("two", "Hello!", n=2, temperature=1, seed=5, logprobs=True, top_logprobs=2, enable_thinking=False),
            chat("parts", [{"type": "text", "text": "What is "}, {"type": "text", "text": "2 + 2?"}], enable_thinking=False),
            chat("tools", "What time is it in Oslo?", tools=[tool], max_completion_tokens=60, enable_thinking=False),
            chat("no-tools", "What time is it in Oslo?", tools=[tool], tool_choice="none", enable_thinking=False),
        ])
        body = {k: v["response"]["body"] for k, v in results.items()}
        self.assertEqual({v["response"]["status_code"] for v in results.values()}, {200})
        self.assertEqual(body["plain"]["object"], "chat.completion")
        self.assertEqual(body["plain"]["choices"][0]["message"], body["parts"]["choices"][0]["message"])
        self.assertTrue(body["thinking"]["choices"][0]["message"]["reasoning_content"])
        self.assertGreater(body["thinking"]["usage"]["completion_tokens_details"]["reasoning_tokens"], 0)
        self.assertNotIn("reasoning_content", body["effort"]["choices"][0]["message"])
        self.assertEqual([c["index"] for c in body["two"]["choices"]], [0, 1])
        entry = body["two"]["choices"][0]["logprobs"]["content"][0]
        self.assertEqual(len(entry["top_logprobs"]), 2)
        self.assertLessEqual(entry["logprob"], 0)
        self.assertGreater(body["tools"]["usage"]["prompt_tokens"], body["no-tools"]["usage"]["prompt_tokens"])

    def test_bad_lines_are_answered_with_errors(self):
        good = chat("good", "Hello!")
        bad = ["", "not json", "[1]", "{}", json.dumps({"custom_id": "x1", "url": "/v1/embeddings", "body": {}}),
               json.dumps({"custom_id": "x2", "url": "/v1/chat/completions"}), json.dumps(chat("x3", 5)),
               json.dumps(chat("x4", "a", temperature="hot")), json.dumps(chat("x5", "a", n=9)), json.dumps(chat("x6", "a", stop=[3])),
               json.dumps(chat("x7", "a", logit_bias={"a": 1})), json.dumps(chat("x8", "a", response_format={"type": "json_object"})),
               json.dumps(chat("x9", "a", tool_choice="required")), json.dumps(completion("x10", [5, -1])),
               json.dumps(completion("x11", "")), json.dumps(completion("x12", [10 ** 6])),
               json.dumps(chat("x13", [{"type": "image_url"}])), json.dumps(completion("x14", "word " * 20000))]
        source = self.write("in.jsonl", json.dumps(good) + "\n" + "\n".join(bad) + "\n" + json.dumps(chat("last", "Hello!")) + "\n")
        reply = self.run_bantam("generate", source, self.path("out.jsonl"), "--ctx", "4096", expect=1)
        self.assertIn("%d of %d lines failed" % (len(bad), len(bad) + 2), reply.err)
        results, count = self.results("out.jsonl")
        self.assertEqual(count, len(bad) + 2)
        self.assertEqual([results[k]["response"]["status_code"] for k in ("good", "last")], [200, 200])
        for line in results.values():
            if line["custom_id"] in ("good", "last"):
                continue
            self.assertEqual(line["response"]["status_code"], 400, line)
            self.assertTrue(line["response"]["body"]["error"]["message"])
        self.assertEqual(results["x14"]["response"]["body"]["error"]["code"], "context_length_exceeded")
        again = self.run_bantam("generate", source, self.path("out.jsonl"), "--ctx", "4096")
        self.assertIn("%d were there already" % count, again.err)
        self.assertEqual(self.results("out.jsonl")[1], count)

    def test_twins_and_strangers(self):
        source = self.write_lines("in.jsonl", [chat("a", "x"), chat("b", "x"), chat("a", "y")])
        reply = self.run_bantam("generate", source, self.path("out.jsonl"), expect=3)
        self.assertIn("line 3: custom_id \"a\" is that of line 1", reply.err)
        self.write("out.jsonl", "my diary\n")
        reply = self.run_bantam("generate", source, self.path("out.jsonl"), expect=3)
        self.assertIn("line 1: expected a result of an earlier run", reply.err)
        with open(self.path("out.jsonl"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "my diary\n")
        self.assertIn("expected IN.jsonl and OUT.jsonl", self.run_bantam("generate", source, expect=2).err)
        self.assertIn("no-such", self.run_bantam("generate", "no-such.jsonl", self.path("o"), expect=3).err)

    def test_goes_on_after_a_kill(self):
        requests = [completion(str(i), "What is %d + %d?" % (i, i), max_tokens=40 + i % 30) for i in range(300)]
        source = self.write_lines("in.jsonl", requests)
        out = self.path("out.jsonl")
        for ending in (signal.SIGKILL, signal.SIGINT):
            process = subprocess.Popen([BANTAM, "generate", source, out, "--batch", "4"], env=environment(), stderr=subprocess.DEVNULL)
            before = os.path.getsize(out) if os.path.exists(out) else 0
            deadline = time.time() + 60
            while process.poll() is None and time.time() < deadline and not (os.path.exists(out) and os.path.getsize(out) > before):
                time.sleep(0.005)
            process.send_signal(ending)
            self.assertEqual(process.wait(timeout=60), -9 if ending == signal.SIGKILL else 130)
        partial = self.results("out.jsonl")[1]
        self.assertGreater(partial, 0)
        self.assertLess(partial, len(requests), "it finished before it could be stopped")
        with open(out, "a", encoding="utf-8") as file:
            file.write('{"id":"batch_req-1","custom_id":"1","li')  # a torn line
        self.run_bantam("generate", source, out)
        results, count = self.results("out.jsonl")
        self.assertEqual(count, len(requests))
        self.assertEqual(set(results), {str(i) for i in range(300)})
        os.remove(out)
        self.run_bantam("generate", source, out)
        whole = self.results("out.jsonl")[0]
        for key, line in whole.items():
            self.assertEqual(line["response"]["body"]["choices"], results[key]["response"]["body"]["choices"])


if __name__ == "__main__":
    main()
