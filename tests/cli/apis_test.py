"""Anthropic's Messages, OpenAI's Responses, completions and embeddings, and Ollama's API, as their clients meet them on the
wire: one server with the house model, which can add, extract and call tools."""
import base64
import json
import math
import signal
import struct
import unittest

from server import Server
from support import environment, main

SERVER = None
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK_SUM = [{"role": "user", "content": "What is 12 + 30?"}]
ASK_TOOL = [{"role": "user", "content": "What is the weather in Paris?"}]
OPENAI_TOOL = {"name": "get_weather", "description": "Get the weather", "parameters": WEATHER}


def setUpModule():
    global SERVER
    SERVER = Server()


def tearDownModule():
    SERVER.stop(signal.SIGTERM)


class Api(unittest.TestCase):
    maxDiff = None

    def post(self, path, body, expect=200):
        status, _, reply = SERVER.post(path, body)
        self.assertEqual(status, expect, reply)
        return json.loads(reply)

    def get(self, path):
        return json.loads(SERVER.get(path)[2])

    def events(self, path, body):
        return SERVER.events(path, {**body, "stream": True})


class Messages(Api):
    BODY = {"model": "any", "max_tokens": 200, "temperature": 0}

    def whole_of(self, events):
        """What a client puts together."""
        self.assertEqual([name for name, _ in events], [data["type"] for _, data in events])
        self.assertEqual((events[0][0], events[1][0]), ("message_start", "ping"))
        self.assertEqual((events[-2][0], events[-1][0]), ("message_delta", "message_stop"))
        message, partial = events[0][1]["message"], ""
        for name, data in events[2:-2]:
            if name == "content_block_start":
                self.assertEqual(data["index"], len(message["content"]))
                message["content"].append(data["content_block"])
                partial = ""
            elif name == "content_block_delta":
                delta, block = data["delta"], message["content"][data["index"]]
                if delta["type"] == "input_json_delta":
                    partial += delta["partial_json"]
                else:
                    field = delta["type"].split("_")[0]
                    block[field] += delta[field]
            elif message["content"][data["index"]]["type"] == "tool_use":
                message["content"][data["index"]]["input"] = json.loads(partial)
        message.update(events[-2][1]["delta"], usage=events[-2][1]["usage"])
        return message

    def both(self, **more):
        """A request whole and streamed: equal but for ids and what came from the cache."""
        body = {**self.BODY, **more}
        streamed, whole = self.whole_of(self.events("/v1/messages", body)), self.post("/v1/messages", body)
        total = lambda m: m["usage"]["input_tokens"] + m["usage"]["cache_read_input_tokens"]
        self.assertEqual(total(streamed), total(whole))
        for message in (streamed, whole):
            self.assertTrue(message["id"].startswith("msg"))
        strip = lambda m: [{k: v for k, v in block.items() if k != "id"} for block in m["content"]]
        for field in ("type", "role", "model", "stop_reason", "stop_sequence"):
            self.assertEqual(streamed[field], whole[field])
        self.assertEqual(strip(streamed), strip(whole))
        return whole

    def test_text_without_thinking(self):
        answer = self.both(messages=ASK_SUM, system="Be brief.")
        self.assertEqual([b["type"] for b in answer["content"]], ["text"])
        self.assertIn("42", answer["content"][0]["text"])
        self.assertEqual((answer["stop_reason"], answer["model"]), ("end_turn", "bantam-nano"))

    def test_thinking_and_its_budget(self):
        answer = self.both(messages=ASK_SUM, thinking={"type": "enabled", "budget_tokens": 1024})
        self.assertEqual([b["type"] for b in answer["content"]], ["thinking", "text"])
        self.assertIn("42", answer["content"][1]["text"])
        cut = self.both(messages=ASK_SUM, thinking={"type": "enabled", "budget_tokens": 4}, max_tokens=300)
        self.assertNotEqual(cut["content"][0].get("thinking"), answer["content"][0]["thinking"])

    def test_a_tool_there_and_back(self):
        tools = [{"name": "get_weather", "description": "Get the weather", "input_schema": WEATHER}]
        call = self.both(messages=ASK_TOOL, tools=tools)
        self.assertEqual(call["stop_reason"], "tool_use")
        block = call["content"][-1]
        self.assertEqual((block["type"], block["name"], block["input"]), ("tool_use", "get_weather", {"city": "Paris"}))
        result = {"type": "tool_result", "tool_use_id": block["id"], "content": [{"type": "text", "text": '{"temperature": 21, "condition": "sunny"}'}]}
        answer = self.both(messages=ASK_TOOL + [{"role": "assistant", "content": call["content"]}, {"role": "user", "content": [result]}], tools=tools)
        self.assertEqual(answer["stop_reason"], "end_turn")
        self.assertIn("sunny", answer["content"][0]["text"])
        none = self.both(messages=ASK_TOOL, tools=tools, tool_choice={"type": "none"})
        self.assertNotEqual(none["stop_reason"], "tool_use")

    def test_stop_sequence_limit_and_prefill(self):
        stopped = self.both(messages=ASK_SUM, stop_sequences=["zzz", "2"])
        self.assertEqual((stopped["stop_reason"], stopped["stop_sequence"]), ("stop_sequence", "2"))
        self.assertNotIn("2", stopped["content"][0]["text"])
        self.assertEqual(self.both(messages=ASK_SUM, max_tokens=1)["stop_reason"], "max_tokens")
        begun = self.both(messages=ASK_SUM + [{"role": "assistant", "content": "12 + 30 ="}])
        self.assertTrue(begun["content"][0]["text"].lstrip().startswith("42"), begun)

    def test_count_tokens_and_cache(self):
        system = "You are a helpful assistant. " * 20
        header = lambda n: {"type": "text", "text": "x-anthropic-billing-header: cch=%d;" % n}
        body = lambda n: {**self.BODY, "system": [header(n), {"type": "text", "text": system}], "messages": ASK_SUM}
        tok = self.post("/v1/messages/count_tokens", body(1))["input_tokens"]
        self.post("/v1/messages", body(1))
        again = self.post("/v1/messages", body(2))
        self.assertEqual(again["usage"]["input_tokens"] + again["usage"]["cache_read_input_tokens"], tok)
        self.assertGreaterEqual(again["usage"]["cache_read_input_tokens"], 64, "the changing header hid the prompt from the cache")

    def test_errors_in_its_words(self):
        image = [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}]}]
        for body, word in (({"messages": image}, "images are not supported"), ({"messages": []}, "messages: expected"),
                           ({"messages": ASK_SUM, "top_k": "x"}, "top_k: expected"), ({"messages": ASK_SUM * 9000}, "context holds")):
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                if "context" in word and "count" in path:
                    continue
                error = self.post(path, {**self.BODY, **body}, expect=400)
                self.assertEqual((error["type"], error["error"]["type"]), ("error", "invalid_request_error"))
                self.assertIn(word, error["error"]["message"])

    def test_unknown_fields_are_named(self):
        body = {**self.BODY, "messages": ASK_SUM, "frobnicate": 1, "tools": [{"type": "bash_20250124", "name": "bash"}], "metadata": {"user_id": "u"}}
        status, headers, _ = SERVER.post("/v1/messages", body)
        self.assertEqual((status, headers["x-bantam-warning"]), (200, "ignored fields: frobnicate, tools[0](bash_20250124)"))


class Responses(Api):
    BODY = {"model": "any", "temperature": 0, "max_output_tokens": 300}

    def both(self, **more):
        body = {**self.BODY, **more}
        events = self.events("/v1/responses", body)
        self.assertEqual([data["sequence_number"] for _, data in events], list(range(len(events))))
        self.assertEqual([name for name, _ in events], [data["type"] for _, data in events])
        self.assertEqual([name for name, _ in events[:2]], ["response.created", "response.in_progress"])
        streamed, whole = events[-1][1]["response"], self.post("/v1/responses", body)
        done = [data["item"] for name, data in events if name == "response.output_item.done"]
        self.assertEqual(done, streamed["output"])
        text = "".join(data["delta"] for name, data in events if name == "response.output_text.delta")
        self.assertEqual(text, self.text_of(streamed))
        for field in ("status", "incomplete_details", "model", "tools", "temperature", "top_p"):
            self.assertEqual(streamed[field], whole[field])
        self.assertEqual(text, self.text_of(whole))
        self.assertEqual(streamed["usage"]["total_tokens"], whole["usage"]["total_tokens"])
        return whole

    def text_of(self, response):
        return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])

    def test_text_thinking_and_limit(self):
        off = self.both(input="What is 12 + 30?", reasoning={"effort": "none"})
        self.assertEqual(([i["type"] for i in off["output"]], off["status"]), (["message"], "completed"))
        self.assertIn("42", self.text_of(off))
        on = self.both(input=ASK_SUM, reasoning={"effort": "medium"})
        self.assertEqual([i["type"] for i in on["output"]], ["reasoning", "message"])
        self.assertGreater(on["usage"]["output_tokens_details"]["reasoning_tokens"], 0)
        cut = self.both(input="What is 12 + 30?", max_output_tokens=1)
        self.assertEqual((cut["status"], cut["incomplete_details"]), ("incomplete", {"reason": "max_output_tokens"}))

    def test_a_tool_there_and_back(self):
        tools = [{"type": "web_search"}, {"type": "function", **OPENAI_TOOL}]
        status, headers, _ = SERVER.post("/v1/responses", {**self.BODY, "input": "hi", "tools": tools})
        self.assertEqual((status, headers["x-bantam-warning"]), (200, "ignored fields: tools[0](web_search)"))
        call = self.both(input=ASK_TOOL, tools=tools, reasoning={"effort": "none"})
        item = call["output"][-1]
        self.assertEqual((item["type"], item["name"], json.loads(item["arguments"])), ("function_call", "get_weather", {"city": "Paris"}))
        result = {"type": "function_call_output", "call_id": item["call_id"], "output": '{"temperature": 21, "condition": "sunny"}'}
        answer = self.both(input=ASK_TOOL + call["output"] + [result], tools=tools, reasoning={"effort": "none"})
        self.assertIn("sunny", self.text_of(answer))

    def test_refusals(self):
        for body, param in (({"input": "a", "previous_response_id": "r"}, "previous_response_id"), ({}, "input"),
                            ({"input": "a", "text": {"format": {"type": "json_object"}}}, "text.format.type")):
            self.assertEqual(self.post("/v1/responses", body, expect=400)["error"]["param"], param)


class WithoutTools(Api):
    """A model that writes a call although nobody offered it a tool has written text."""
    BODY = {"messages": ASK_SUM, "temperature": 0, "max_tokens": 3, "logit_bias": {"4110": 100}, "enable_thinking": False}
    TEXT = "<tool_call>" * 3

    def test_chat(self):
        for more in ({}, {"tools": [{"type": "function", "function": OPENAI_TOOL}], "tool_choice": "none"}, {"tools": []}):
            choice = self.post("/v1/chat/completions", {**self.BODY, **more})["choices"][0]
            self.assertEqual((choice["message"]["content"], choice["message"].get("tool_calls"), choice["finish_reason"]), (self.TEXT, None, "length"))
            deltas = [c["delta"] for event in self.events("/v1/chat/completions", {**self.BODY, **more}) for c in event["choices"]]
            self.assertEqual("".join(d.get("content") or "" for d in deltas), self.TEXT)

    def test_messages_and_responses(self):
        message = self.post("/v1/messages", self.BODY)
        self.assertEqual([(b["type"], b["text"]) for b in message["content"]], [("text", self.TEXT)])
        response = self.post("/v1/responses", {"input": "hi", "max_output_tokens": 3, **{k: self.BODY[k] for k in ("logit_bias", "enable_thinking", "temperature")}})
        self.assertEqual([(o["type"], o["content"][0]["text"]) for o in response["output"]], [("message", self.TEXT)])

    def test_with_tools_it_is_the_beginning_of_a_call(self):
        tools = [{"type": "function", "function": OPENAI_TOOL}]
        choice = self.post("/v1/chat/completions", {**self.BODY, "messages": ASK_TOOL, "logit_bias": {}, "max_tokens": 200, "tools": tools})["choices"][0]
        self.assertEqual(choice["message"]["tool_calls"][0]["function"]["name"], "get_weather")


class Completions(Api):
    def test_streamed_logprobs_are_the_whole_ones(self):
        body = {"prompt": "What is 12 + 30?", "max_tokens": 8, "temperature": 0, "logprobs": 2}
        whole = self.post("/v1/completions", body)["choices"][0]
        text, joined = "", {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for data in self.events("/v1/completions", body):
            for choice in data["choices"]:
                text += choice["text"]
                for key, values in (choice["logprobs"] or {}).items():
                    joined[key] += values
        self.assertEqual((text, joined), (whole["text"], whole["logprobs"]))
        self.assertEqual(len(joined["tokens"]), 8)

    def test_an_echoed_prompts_logprobs_are_streamed(self):
        body = {"prompt": ["Once upon a", [5, 6, 7]], "max_tokens": 6, "n": 2, "logprobs": 2, "echo": True, "seed": 3}
        for tokens in (6, 0):
            body["max_tokens"] = tokens
            whole = self.post("/v1/completions", body)
            texts, logprobs = [""] * 4, [{"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []} for _ in range(4)]
            first = {}
            for event in self.events("/v1/completions", body):
                for choice in event["choices"]:
                    first.setdefault(choice["index"], choice)
                    texts[choice["index"]] += choice["text"]
                    for key, values in (choice["logprobs"] or {}).items():
                        logprobs[choice["index"]][key] += values
            for i, choice in enumerate(whole["choices"]):
                self.assertEqual((texts[i], logprobs[i]), (choice["text"], choice["logprobs"]), i)
                self.assertIsNone(logprobs[i]["token_logprobs"][0], "nothing precedes the first token")
            self.assertEqual([len(first[i]["logprobs"]["tokens"]) for i in (2, 3)], [3, 3], "the prompt is the first piece")

    def test_suffix_is_refused(self):
        self.assertEqual(self.post("/v1/completions", {"prompt": "a", "suffix": "b"}, expect=400)["error"]["param"], "suffix")


class Embeddings(Api):
    def vectors(self, **body):
        return self.post("/v1/embeddings", body)

    def test_forms_agree(self):
        reply = self.vectors(input=["one text", "another one"])
        self.assertEqual([d["index"] for d in reply["data"]], [0, 1])
        first = reply["data"][0]["embedding"]
        self.assertEqual(len(first), 256)
        self.assertAlmostEqual(math.fsum(x * x for x in first), 1, places=5)
        self.assertEqual(self.vectors(input="one text")["data"][0]["embedding"], first)
        ids = self.post("/tokenize", {"content": "one text"})["tokens"]
        self.assertEqual(self.vectors(input=ids)["data"][0]["embedding"], first)
        self.assertEqual(self.vectors(input=[ids, ids])["usage"], {"prompt_tokens": 2 * len(ids), "total_tokens": 2 * len(ids)})
        packed = base64.b64decode(self.vectors(input="one text", encoding_format="base64", dimensions=256)["data"][0]["embedding"])
        for x, y in zip(struct.unpack("<256f", packed), first):
            self.assertAlmostEqual(x, y, places=6)
        mean = self.vectors(input="one text", pooling="mean")["data"][0]["embedding"]
        self.assertAlmostEqual(math.fsum(x * x for x in mean), 1, places=5)
        self.assertNotEqual(mean, first)

    def test_refusals(self):
        for body, param in (({"input": []}, "input"), ({"input": ""}, "input"), ({"input": "a", "dimensions": 8}, "dimensions"), ({"input": [[1], ["x"]]}, "input"),
                            ({"input": "a", "encoding_format": "int8"}, "encoding_format"), ({"input": "a", "pooling": "max"}, "pooling"), ({"input": [99999999]}, None)):
            error = self.post("/v1/embeddings", body, expect=400)["error"]
            if param:
                self.assertEqual(error["param"], param, error)


class Ollama(Api):
    OPTIONS = {"temperature": 0, "num_predict": 200}

    def lines(self, path, body):
        status, headers, reply = SERVER.post(path, body)
        self.assertEqual((status, headers["content-type"]), (200, "application/x-ndjson"), reply)
        return [json.loads(line) for line in reply.decode().splitlines()]

    def both(self, path, **body):
        body["options"] = {**self.OPTIONS, **body.get("options", {})}
        lines, whole = self.lines(path, body), self.post(path, {**body, "stream": False})
        self.assertEqual([line["done"] for line in lines], [False] * (len(lines) - 1) + [True])
        joined, calls = {"content": "", "thinking": ""}, []
        for line in lines:
            message = line.get("message", {"content": line.get("response"), "thinking": line.get("thinking", "")})
            joined["content"] += message["content"]
            joined["thinking"] += message.get("thinking", "")
            calls += message.get("tool_calls", [])
        message = whole.get("message", {"content": whole.get("response"), "thinking": whole.get("thinking", "")})
        self.assertEqual(joined, {"content": message["content"], "thinking": message.get("thinking", "")})
        self.assertEqual(calls, message.get("tool_calls", []))
        for field in ("done_reason", "prompt_eval_count", "eval_count"):
            self.assertEqual(lines[-1][field], whole[field])
        for field in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"):
            self.assertIsInstance(whole[field], int)
        self.assertGreaterEqual(whole["total_duration"], whole["eval_duration"])
        return whole

    def test_about_models(self):
        self.assertRegex(self.get("/api/version")["version"], r"^\d+\.\d+\.\d+$")
        tag = self.get("/api/tags")["models"][0]
        self.assertEqual((tag["name"], tag["details"]["family"], len(tag["digest"])), ("bantam-nano", "qwen3", 64))
        self.assertEqual(self.get("/api/ps")["models"][0]["model"], "bantam-nano")
        shown = self.post("/api/show", {"model": "bantam-nano"})
        self.assertEqual(shown["capabilities"], ["completion", "tools", "thinking"])
        self.assertEqual(shown["model_info"]["qwen3.embedding_length"], 256)
        self.assertIn("temperature", shown["parameters"])

    def test_chat_and_generate(self):
        plain = self.both("/api/chat", model="m", messages=ASK_SUM, think=False)
        self.assertIn("42", plain["message"]["content"])
        self.assertNotIn("thinking", plain["message"])
        thought = self.both("/api/chat", model="m", messages=ASK_SUM, think=True)
        self.assertTrue(thought["message"]["thinking"])
        self.assertIn("42", self.both("/api/generate", model="m", prompt="What is 12 + 30?", think=False)["response"])
        self.assertEqual(self.both("/api/generate", model="m", prompt="Once", raw=True, options={"num_predict": 3})["done_reason"], "length")

    def test_tools(self):
        tools = [{"type": "function", "function": OPENAI_TOOL}]
        call = self.both("/api/chat", model="m", messages=ASK_TOOL, tools=tools, think=False)["message"]
        self.assertEqual(call["tool_calls"][0]["function"]["arguments"], {"city": "Paris"})
        turns = ASK_TOOL + [call, {"role": "tool", "tool_name": "get_weather", "content": '{"temperature": 21, "condition": "sunny"}'}]
        self.assertIn("sunny", self.both("/api/chat", model="m", messages=turns, tools=tools, think=False)["message"]["content"])

    def test_loading_and_errors(self):
        for path in ("/api/chat", "/api/generate"):
            self.assertEqual(self.post(path, {"model": "m"})["done_reason"], "load")
        self.assertEqual(self.post("/api/generate", {"prompt": "x", "format": "json"}, expect=400), {"error": "format: not supported: answers are plain text"})
        self.assertEqual(set(self.post("/api/chat", {"messages": [{"role": "x"}]}, expect=400)), {"error"})


class Words(unittest.TestCase):
    def test_each_api_refuses_in_its_own_words(self):
        guarded = Server(env=environment(BANTAM_API_KEY="secret"))
        self.addCleanup(guarded.stop)

        def refused(path):
            status, _, reply = guarded.post(path, {})
            self.assertEqual(status, 401)
            return json.loads(reply)
        body = refused("/v1/messages")
        self.assertEqual((body["type"], body["error"]["type"]), ("error", "authentication_error"))
        self.assertIsInstance(refused("/api/chat")["error"], str)
        self.assertEqual(refused("/v1/responses")["error"]["code"], "invalid_api_key")
        self.assertEqual(guarded.post("/v1/messages/count_tokens", {"messages": ASK_SUM}, {"x-api-key": "secret"})[0], 200)


if __name__ == "__main__":
    main()
