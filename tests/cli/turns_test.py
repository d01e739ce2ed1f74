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
WHO = [{"role": "user", "content": "Who are you?"}]
NEXT = {"role": "user", "content": "And what is 7 + 8?"}
LIMIT = 150
WILD = {"temperature": 2.0, "top_p": 1, "top_k": 0}


def setUpModule():
    global SERVER
    SERVER = Server()


def tearDownModule():
    SERVER.stop(signal.SIGTERM)


# One API each: the first turns, a request's body, what an answer looks like when it is sent back, and the counts of a
# reply: tokens of the prompt, of these from the cache (None where it does not tell), and of the answer.

class Chat:
    path = "/v1/chat/completions"

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream, sampling):
        return {"messages": turns, "enable_thinking": thinking, "stream": stream, "max_tokens": LIMIT, "stream_options": {"include_usage": True}, **({"tools": TOOLS} if tools else {}), **sampling}

    def read(self, reply, stream):
        usage = reply[-1]["usage"] if stream else reply["usage"]
        message = self.joined(reply) if stream else reply["choices"][0]["message"]
        return [message], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]

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
    path = "/v1/messages"

    def start(self, system, text):
        self.system = system
        return [{"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream, sampling):
        body = {"system": self.system, "messages": turns, "thinking": {"type": "enabled" if thinking else "disabled"}, "stream": stream, "max_tokens": LIMIT, **sampling}
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
        cached = usage["cache_read_input_tokens"]
        return [{"role": "assistant", "content": blocks}], usage["input_tokens"] + cached, cached, usage["output_tokens"]

    def result(self, answer):
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": answer[-1]["content"][-1]["id"], "content": RESULT}]}]


class Responses:
    path = "/v1/responses"

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream, sampling):
        return {"input": turns, "enable_thinking": thinking, "stream": stream, "max_output_tokens": LIMIT, **({"tools": [{"type": "function", **FUNCTION}]} if tools else {}), **sampling}

    def read(self, reply, stream):
        whole = reply[-1][1]["response"] if stream else reply
        usage = whole["usage"]
        return whole["output"], usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"], usage["output_tokens"]

    def result(self, answer):
        return [{"type": "function_call_output", "call_id": answer[-1]["call_id"], "output": RESULT}]


class Ollama:
    path = "/api/chat"

    def start(self, system, text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def body(self, turns, thinking, tools, stream, sampling):
        options = {"num_predict": LIMIT, **sampling}
        return {"model": "m", "messages": turns, "think": thinking, "stream": stream, "options": options, **({"tools": TOOLS} if tools else {})}

    def read(self, reply, stream):
        if stream:
            message = {"role": "assistant", "content": "".join(line["message"]["content"] for line in reply), "tool_calls": [call for line in reply for call in line["message"].get("tool_calls", [])]}
        else:
            message = reply["message"]
        last = reply[-1] if stream else reply
        return [message], last["prompt_eval_count"], None, last["eval_count"]

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
            body = {"messages": WHO, **WILD, "seed": seed, "logprobs": True, "max_tokens": 60, **more}
            choice = self.post("/v1/chat/completions", body, server, key)["choices"][0]
            ids = [entry["id"] for entry in choice["logprobs"]["content"]]
            text = choice["message"]["content"] or ""
            if choice["finish_reason"] == "stop":
                ids.pop()
            if text and not set(text) & set("\ufffd<\n") and self.decode(ids) == text and self.encode(text) != ids:
                return text, ids
        self.fail("no answer in unusual tokens")

    def assert_contains(self, ids, part):
        self.assertTrue(any(ids[i:i + len(part)] == part for i in range(len(ids))), "%s is not in %s" % (part, ids))

    def test_unusual_tokens_come_back(self):
        off = {"enable_thinking": False}
        text, ids = self.odd_answer(**off)
        turns = WHO + [{"role": "assistant", "content": text}, NEXT]
        prompt = self.ids_of(turns, **off)
        self.assert_contains(prompt, ids)
        self.assertEqual(self.decode(prompt), self.post("/apply-template", {"messages": turns, **off})["prompt"], "other bytes")
        self.assertNotEqual(prompt, self.encode(self.decode(prompt)))
        # One letter more, and it is another text; the same words of the user's are not the model's.
        for edited in ({"role": "assistant", "content": text + "x"}, {"role": "user", "content": text}):
            prompt = self.ids_of(WHO + [edited, NEXT], **off)
            self.assertEqual(prompt, self.encode(self.decode(prompt)))

    def test_nobody_elses(self):
        path = self.write("keys", "one\ntwo\n")
        os.chmod(path, 0o600)
        server = Server("--api-key-file", path)
        self.addCleanup(server.stop)
        one, two = ({"Authorization": "Bearer " + key} for key in ("one", "two"))
        text, ids = self.odd_answer(server, one, enable_thinking=False)
        turns = WHO + [{"role": "assistant", "content": text}, NEXT]
        self.assert_contains(self.ids_of(turns, server, one, enable_thinking=False), ids)
        others = self.ids_of(turns, server, two, enable_thinking=False)
        self.assertEqual(others, self.encode(self.decode(others)))

    def frame(self, said, thinking):
        """What the next turn of a conversation has after its history, in tokens."""
        return len(self.encode(said + "<|im_end|>\n<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n")))

    def test_a_next_turn_costs_its_new_tokens(self):
        forms = itertools.product((Chat, Messages, Responses, Ollama), (False, True), (False, True), (False, True))
        for number, (form, thinking, tools, stream) in enumerate(forms):
            with self.subTest(api=form.__name__, thinking=thinking, tools=tools, stream=stream):
                api, greedy = form(), {"temperature": 0}
                turns = api.start("Talk number %d." % number, "What is the weather in Paris?" if tools else "What is 12 + 30?")
                answer, before, _, _ = api.read(self.send(api, api.body(turns, thinking, tools, stream, greedy)), stream)
                new = api.result(answer) if tools else [NEXT]
                self.wait_until_prepared()
                _, after, cached, _ = api.read(self.send(api, api.body(turns + answer + new, thinking, tools, stream, greedy)), stream)
                self.assertGreater(after, before)
                if cached is not None:
                    self.assertEqual(after - cached, self.frame(RESULT + "\n</tool_response>" if tools else NEXT["content"], thinking))

    def test_so_it_does_after_unusual_tokens(self):
        for number, (form, stream) in enumerate(itertools.product((Chat, Messages, Responses, Ollama), (False, True))):
            with self.subTest(api=form.__name__, stream=stream):
                api, system = form(), "Tale number %d." % number
                turns = api.start(system, "Who are you?")
                for seed in range(200):
                    answer, _, _, tok = api.read(self.send(api, api.body(turns, False, False, stream, {**WILD, "seed": seed})), stream)
                    text = answer[-1]["content"]
                    text = text if isinstance(text, str) else text[0]["text"] if len(text) == 1 else ""
                    # Of the tokens one is the end; control tokens among words stay words, so such an answer will not do.
                    if text and not set(text) & set("\ufffd<\n") and tok < LIMIT and tok - 1 < len(self.encode(text)):
                        break
                else:
                    self.fail("no answer in unusual tokens")
                self.wait_until_prepared()
                _, after, cached, _ = api.read(self.send(api, api.body(turns + answer + [NEXT], False, False, stream, {"temperature": 0})), stream)
                chat = Chat().start(system, "Who are you?") + [{"role": "assistant", "content": text}, NEXT]
                plain = self.post("/apply-template", {"messages": chat, "enable_thinking": False})["prompt"]
                self.assertLess(after, len(self.encode(plain)), "the text's own tokens came back")
                if cached is not None:
                    self.assertEqual(after - cached, self.frame(NEXT["content"], False))


if __name__ == "__main__":
    main()
