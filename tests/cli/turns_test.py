"""Conversations that come back: the second turn of each API reads what the model wrote, token for token, and computes
nothing but what is new. The house model answers; a high temperature makes it spell words in unusual tokens."""
import itertools
import json
import os
import signal
import time
import unittest

from server import Server
from support import Case, main

SERVER = None
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Get the weather", "parameters": WEATHER}
TOOLS = [{"type": "function", "function": FUNCTION}]
RESULT = '{"temperature": 21, "condition": "sunny"}'
STORY = [{"role": "user", "content": "Tell me a story."}]
NEXT = {"role": "user", "content": "And what is 7 + 8?"}
WILD = {"temperature": 1.6, "top_p": 1, "top_k": 0}


def setUpModule():
    global SERVER
    SERVER = Server()


def tearDownModule():
    SERVER.stop(signal.SIGTERM)


# One API each: a first request, what its answer looks like when it is sent back, and the counts of a reply. All take the
# whole conversation as `turns`, in that API's own form.

class Chat:
    path, calls_by_id = "/v1/chat/completions", True

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream):
        return {"messages": turns, "enable_thinking": thinking, "stream": stream, "stream_options": {"include_usage": True}, **({"tools": TOOLS} if tools else {})}

    def read(self, reply, stream):
        """The answer as turns, and the numbers of tokens of the prompt and of those from the cache."""
        usage = reply[-1]["usage"] if stream else reply["usage"]
        message = self.joined(reply) if stream else reply["choices"][0]["message"]
        return [message], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]

    def joined(self, chunks):
        message = {"role": "assistant", "content": ""}
        for delta in (choice["delta"] for chunk in chunks for choice in chunk["choices"]):
            message["content"] += delta.get("content") or ""
            for call in delta.get("tool_calls", []):
                calls = message.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    calls.append(call)
                else:
                    calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        return message

    def result(self, answer):
        return [{"role": "tool", "tool_call_id": answer[-1]["tool_calls"][0]["id"], "content": RESULT}]


class Messages:
    path, calls_by_id = "/v1/messages", True

    def start(self, system, text):
        self.system = system
        return [{"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream):
        body = {"system": self.system, "messages": turns, "thinking": {"type": "enabled" if thinking else "disabled"}, "stream": stream, "max_tokens": 400}
        return {**body, "tools": [{"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": WEATHER}]} if tools else body

    def read(self, reply, stream):
        if stream:
            blocks, usage = [], reply[-2][1]["usage"]
            for _, data in reply:
                if data["type"] == "content_block_start":
                    blocks.append({**data["content_block"], "json": ""})
                elif data["type"] == "content_block_delta":
                    for key, value in data["delta"].items():
                        if key != "type":
                            key = {"partial_json": "json"}.get(key, key)
                            blocks[-1][key] += value
            for block in blocks:
                written = block.pop("json")
                if written:
                    block["input"] = json.loads(written)
        else:
            blocks, usage = reply["content"], reply["usage"]
        return [{"role": "assistant", "content": blocks}], usage["input_tokens"] + usage["cache_read_input_tokens"], usage["cache_read_input_tokens"]

    def result(self, answer):
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": answer[-1]["content"][-1]["id"], "content": RESULT}]}]


class Responses:
    path, calls_by_id = "/v1/responses", True

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream):
        return {"input": turns, "enable_thinking": thinking, "stream": stream, **({"tools": [{"type": "function", **FUNCTION}]} if tools else {})}

    def read(self, reply, stream):
        whole = reply[-1][1]["response"] if stream else reply
        return whole["output"], whole["usage"]["input_tokens"], whole["usage"]["input_tokens_details"]["cached_tokens"]

    def result(self, answer):
        return [{"type": "function_call_output", "call_id": answer[-1]["call_id"], "output": RESULT}]


class Ollama:
    path, calls_by_id = "/api/chat", False

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream):
        options = {"num_predict": 400}
        return {"model": "m", "messages": turns, "think": thinking, "stream": stream, "options": options, **({"tools": TOOLS} if tools else {})}

    def read(self, reply, stream):
        if stream:
            message = {"role": "assistant", "content": "".join(line["message"]["content"] for line in reply), "tool_calls": [call for line in reply for call in line["message"].get("tool_calls", [])]}
        else:
            message = reply["message"]
        # Ollama does not tell what came from the cache.
        return [message], (reply[-1] if stream else reply)["prompt_eval_count"], None

    def result(self, answer):
        return [{"role": "tool", "tool_name": "get_weather", "content": RESULT}]


class Turns(Case):
    def post(self, path, body, server=None, key=None):
        status, _, reply = (server or SERVER).post(path, body, key)
        self.assertEqual(status, 200, reply)
        return json.loads(reply)

    def send(self, api, body):
        if not body["stream"]:
            return self.post(api.path, body)
        if isinstance(api, Ollama):
            return [json.loads(line) for line in SERVER.post(api.path, body)[2].decode().splitlines()]
        return SERVER.events(api.path, body)

    def wait_until_prepared(self):
        until = time.monotonic() + 60
        while json.loads(SERVER.get("/health")[2])["preparing"] > 0:
            self.assertLess(time.monotonic(), until, "histories are still being prepared")
            time.sleep(0.005)

    def ids_of(self, messages, server=None, key=None, **more):
        """The prompt as the server reads it."""
        return self.post("/apply-template", {"messages": messages, **more}, server, key)["tokens"]

    def decode(self, ids):
        return self.post("/detokenize", {"tokens": ids})["content"]

    def encode(self, text):
        return self.post("/tokenize", {"content": text})["tokens"]

    def odd_answer(self, server=None, key=None, **more):
        """An answer and its ids, which are not those of its text."""
        for seed in range(200):
            body = {"messages": STORY, **WILD, "seed": seed, "logprobs": True, "max_tokens": 60, **more}
            choice = self.post("/v1/chat/completions", body, server, key)["choices"][0]
            ids = [entry["id"] for entry in choice["logprobs"]["content"]]
            text = choice["message"]["content"] or ""
            if choice["finish_reason"] == "stop":
                ids.pop()
            if text and "\ufffd" not in text and self.decode(ids) == text and self.encode(text) != ids:
                return text, ids
        self.fail("no answer in unusual tokens")

    def assert_contains(self, ids, part):
        self.assertTrue(any(ids[i:i + len(part)] == part for i in range(len(ids))), "%s is not in %s" % (part, ids))

    def test_unusual_tokens_come_back(self):
        off = {"enable_thinking": False}
        text, ids = self.odd_answer(**off)
        turns = STORY + [{"role": "assistant", "content": text}, NEXT]
        prompt = self.ids_of(turns, **off)
        self.assert_contains(prompt, ids)
        self.assertEqual(self.decode(prompt), self.post("/apply-template", {"messages": turns, **off})["prompt"], "other bytes")
        self.assertNotEqual(prompt, self.encode(self.decode(prompt)))
        # One letter more, and it is another text; the same words of the user's are not the model's.
        for edited in ({"role": "assistant", "content": text + "x"}, {"role": "user", "content": text}):
            prompt = self.ids_of(STORY + [edited, NEXT], **off)
            self.assertEqual(prompt, self.encode(self.decode(prompt)))

    def test_nobody_elses(self):
        path = self.write("keys", "one\ntwo\n")
        os.chmod(path, 0o600)
        server = Server("--api-key-file", path)
        self.addCleanup(server.stop)
        one, two = ({"Authorization": "Bearer " + key} for key in ("one", "two"))
        text, ids = self.odd_answer(server, one, enable_thinking=False)
        turns = STORY + [{"role": "assistant", "content": text}, NEXT]
        self.assert_contains(self.ids_of(turns, server, one, enable_thinking=False), ids)
        others = self.ids_of(turns, server, two, enable_thinking=False)
        self.assertEqual(others, self.encode(self.decode(others)))

    def test_a_next_turn_costs_its_new_tokens(self):
        forms = itertools.product((Chat, Messages, Responses, Ollama), (False, True), (False, True), (False, True), (0, 1.3))
        for number, (form, thinking, tools, stream, temperature) in enumerate(forms):
            with self.subTest(api=form.__name__, thinking=thinking, tools=tools, stream=stream, temperature=temperature):
                api, wishes = form(), {"temperature": temperature, "seed": number}
                if form is Ollama:
                    wishes = {}
                question = "What is the weather in Paris?" if tools else "What is 12 + 30?"
                turns = api.start("Talk number %d." % number, question)
                first = self.send(api, {**api.body(turns, thinking, tools, stream), **wishes})
                answer, before, _ = api.read(first, stream)
                called = "tool_calls" in answer[-1] and answer[-1]["tool_calls"] or answer[-1].get("type") == "function_call" \
                    or isinstance(answer[-1].get("content"), list) and answer[-1]["content"][-1].get("type") == "tool_use"
                if tools and temperature == 0:
                    self.assertTrue(called, answer)
                new = api.result(answer) if called else [NEXT]
                self.wait_until_prepared()
                second = self.send(api, {**api.body(turns + answer + new, thinking, tools, stream), "temperature": 0})
                _, after, cached = api.read(second, stream)
                said = RESULT + "\n</tool_response>" if called else NEXT["content"]
                frame = said + "<|im_end|>\n<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n")
                self.assertGreater(after, before)
                if cached is not None:
                    self.assertEqual(after - cached, len(self.encode(frame)), (answer, before))


if __name__ == "__main__":
    main()
