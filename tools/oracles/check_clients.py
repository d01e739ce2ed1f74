#!/usr/bin/env python3
"""The server as the official clients see it: a tour of behaviours with the `openai` and `anthropic` packages, every reply
parsed into their types, then langchain-openai's standard integration tests for chat models.

  .oracles/bin/python tools/oracles/check_clients.py [--bantam build/release/bantam] [--no-langchain]

Uses the house model, which adds small numbers and calls tools. Nothing leaves this machine.
"""
import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))

parser = argparse.ArgumentParser()
parser.add_argument("--bantam", default=os.path.join(ROOT, "build", "release", "bantam"))
parser.add_argument("--no-langchain", action="store_true")
ARGS = parser.parse_args()
os.environ["BANTAM"] = os.path.abspath(ARGS.bantam)

import anthropic
import openai
from server import Server
from support import environment

NAME = "bantam-nano"
SECOND = os.path.join(ROOT, "models", "nano")  # the same model from its files, as another one
SUM = [{"role": "user", "content": "What is 12 + 30?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Get the weather", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
RESULT = '{"temperature": 21, "condition": "sunny"}'
OFF, ON = {"enable_thinking": False}, {"enable_thinking": True}
failures, passed = [], 0


@contextlib.contextmanager
def running(*args, **more):
    server = Server(*args, **more)
    try:
        yield server
    finally:
        server.stop()


def behaviour(test):
    """Runs it now; a behaviour is a function that raises when it does not hold."""
    global passed
    try:
        result = test()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    except Exception:  # whatever went wrong is the finding
        failures.append(test.__name__)
        print("FAIL  " + test.__name__, flush=True)
        traceback.print_exc(limit=4)
    else:
        passed += 1
        print("ok    " + test.__name__, flush=True)


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("expected " + kind.__name__)


def chat_tour(server):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    asynchronous = lambda: openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    ask = lambda **more: client.chat.completions.create(**{"model": NAME, "messages": SUM, "temperature": 0, "extra_body": OFF, **more})

    @behaviour
    def chat_text():
        reply = ask()
        assert "42" in reply.choices[0].message.content and reply.choices[0].finish_reason == "stop"
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
        assert reply.object == "chat.completion" and reply.model == NAME

    @behaviour
    def chat_stream_equals_whole():
        chunks = list(ask(stream=True, stream_options={"include_usage": True}))
        assert chunks[0].choices[0].delta.role == "assistant" and all(not c.choices[0].delta.role for c in chunks[1:-1])
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == ask().choices[0].message.content
        assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
        assert chunks[-2].choices[0].finish_reason == "stop"

    @behaviour
    def chat_stream_without_usage():
        assert all(c.choices and c.usage is None for c in ask(stream=True))

    @behaviour
    def chat_stream_helper():
        with client.chat.completions.stream(model=NAME, messages=SUM, temperature=0, extra_body=OFF) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
        assert "42" in final.choices[0].message.content

    @behaviour
    def chat_thinking_on():
        message = ask(extra_body=ON).choices[0].message
        assert message.reasoning_content == message.reasoning and message.reasoning_content

    @behaviour
    def chat_thinking_off():
        reply = ask()
        assert not hasattr(reply.choices[0].message, "reasoning_content")
        assert reply.usage.completion_tokens_details.reasoning_tokens == 0

    @behaviour
    def chat_reasoning_tokens_are_counted():
        assert ask(extra_body=ON).usage.completion_tokens_details.reasoning_tokens > 5

    @behaviour
    def chat_thinking_budget():
        reply = ask(extra_body={**ON, "thinking_budget": 4}, max_completion_tokens=300)
        assert reply.usage.completion_tokens_details.reasoning_tokens < ask(extra_body=ON).usage.completion_tokens_details.reasoning_tokens + 60
        assert reply.choices[0].message.reasoning_content != ask(extra_body=ON).choices[0].message.reasoning_content

    @behaviour
    def chat_reasoning_effort():
        assert ask(extra_body=None, reasoning_effort="none").usage.completion_tokens_details.reasoning_tokens == 0
        assert ask(extra_body=None, reasoning_effort="low").usage.completion_tokens_details.reasoning_tokens > 0

    @behaviour
    def chat_reasoning_streams():
        chunks = list(ask(stream=True, extra_body=ON))
        thought = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks)
        assert thought == ask(extra_body=ON).choices[0].message.reasoning_content

    @behaviour
    def chat_tool_round_trip():
        call = ask(messages=WEATHER, tools=TOOLS)
        assert call.choices[0].finish_reason == "tool_calls"
        tool = call.choices[0].message.tool_calls[0]
        assert tool.type == "function" and tool.function.name == "get_weather" and json.loads(tool.function.arguments) == {"city": "Paris"}
        answer = ask(messages=WEATHER + [call.choices[0].message, {"role": "tool", "tool_call_id": tool.id, "content": RESULT}], tools=TOOLS)
        assert "sunny" in answer.choices[0].message.content

    @behaviour
    def chat_tool_stream_merges():
        with client.chat.completions.stream(model=NAME, messages=WEATHER, tools=TOOLS, temperature=0, extra_body=OFF) as stream:
            for _ in stream:
                pass
            tool = stream.get_final_completion().choices[0].message.tool_calls[0]
        assert tool.function.name == "get_weather" and json.loads(tool.function.arguments) == {"city": "Paris"}

    @behaviour
    def chat_tool_stream_id_once():
        deltas = [d for c in ask(messages=WEATHER, tools=TOOLS, stream=True) for d in c.choices[0].delta.tool_calls or []]
        assert [d.index for d in deltas] == [0] * len(deltas) and len(deltas) > 2
        assert deltas[0].id and deltas[0].function.name and all(d.id is None and d.function.name is None for d in deltas[1:])

    @behaviour
    def chat_tool_choice_none():
        assert not ask(messages=WEATHER, tools=TOOLS, tool_choice="none").choices[0].message.tool_calls

    @behaviour
    def chat_tool_choice_forced_is_refused():
        error = raises(openai.BadRequestError, lambda: ask(messages=WEATHER, tools=TOOLS, tool_choice="required"))
        assert error.param == "tool_choice"

    @behaviour
    def chat_logprobs():
        choice = ask(logprobs=True, top_logprobs=3).choices[0]
        entries = choice.logprobs.content
        assert len(entries) > 1 and all(len(e.top_logprobs) == 3 and e.logprob <= 0 for e in entries)
        assert entries[0].top_logprobs[0].token == entries[0].token

    @behaviour
    def chat_logprobs_stream():
        whole = [e.logprob for e in ask(logprobs=True, top_logprobs=1).choices[0].logprobs.content]
        streamed = [e.logprob for c in ask(logprobs=True, top_logprobs=1, stream=True) if c.choices[0].logprobs for e in c.choices[0].logprobs.content]
        assert streamed == whole

    @behaviour
    def chat_n_choices():
        reply = ask(n=3, temperature=1.5, seed=5)
        assert [c.index for c in reply.choices] == [0, 1, 2]

    @behaviour
    def chat_n_choices_stream():
        assert {c.choices[0].index for c in ask(n=3, stream=True)} == {0, 1, 2}

    @behaviour
    def chat_stop():
        reply = ask(stop=["2"])
        assert "2" not in reply.choices[0].message.content and reply.choices[0].finish_reason == "stop"

    @behaviour
    def chat_length():
        reply = ask(max_completion_tokens=2)
        assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 2
        assert ask(max_tokens=2).usage.completion_tokens == 2

    @behaviour
    def chat_seed_repeats():
        one = lambda seed: ask(temperature=2, top_p=1, seed=seed, max_tokens=40).choices[0].message.content
        assert one(1) == one(1) != one(2)

    @behaviour
    def chat_logit_bias():
        ids = [i["id"] for i in json.loads(server.post("/tokenize", {"content": "42", "with_pieces": True})[2])["tokens"]]
        assert "42" not in ask(logit_bias={str(i): -100 for i in ids}, max_tokens=20).choices[0].message.content

    @behaviour
    def chat_roles_and_parts():
        reply = ask(messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "12 + 30?"}]}])
        assert "42" in reply.choices[0].message.content

    @behaviour
    def chat_second_turn_is_cached():
        first = ask(messages=[{"role": "system", "content": "You are a helpful assistant. " * 30}] + SUM)
        turns = [{"role": "system", "content": "You are a helpful assistant. " * 30}] + SUM + [first.choices[0].message, {"role": "user", "content": "What is 7 + 8?"}]
        reply = ask(messages=turns)
        assert reply.usage.prompt_tokens_details.cached_tokens >= 128, reply.usage

    @behaviour
    async def chat_async():
        async with asynchronous() as c:
            replies = await asyncio.gather(*[c.chat.completions.create(model=NAME, messages=SUM, temperature=0, extra_body=OFF) for _ in range(4)])
        assert len({r.choices[0].message.content for r in replies}) == 1

    @behaviour
    async def chat_async_stream():
        async with asynchronous() as c:
            text = ""
            async for chunk in await c.chat.completions.create(model=NAME, messages=SUM, temperature=0, extra_body=OFF, stream=True):
                text += chunk.choices[0].delta.content or ""
        assert "42" in text

    @behaviour
    def chat_unknown_field_is_named():
        raw = client.chat.completions.with_raw_response.create(model=NAME, messages=SUM, temperature=0, extra_body={**OFF, "frobnicate": 1})
        assert raw.headers["x-bantam-warning"] == "ignored fields: frobnicate" and raw.parse().choices

    @behaviour
    def chat_bad_field():
        assert raises(openai.BadRequestError, lambda: ask(temperature="hot")).param == "temperature"
        assert raises(openai.BadRequestError, lambda: ask(messages=[{"role": "robot", "content": ""}])).param == "messages[0].role"

    @behaviour
    def chat_context_overflow():
        error = raises(openai.BadRequestError, lambda: ask(messages=[{"role": "user", "content": "word " * 60000}]))
        assert error.code == "context_length_exceeded" and any(c.isdigit() for c in error.message)

    @behaviour
    def chat_response_format_text_only():
        assert ask(response_format={"type": "text"}).choices
        assert raises(openai.BadRequestError, lambda: ask(response_format={"type": "json_object"})).param == "response_format"


def other_openai_tour(server):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)

    @behaviour
    def models():
        listed = client.models.list().data
        assert [m.id for m in listed] == [NAME] and client.models.retrieve(NAME).id == NAME
        raises(openai.NotFoundError, lambda: client.models.retrieve("nobody"))

    @behaviour
    def completion_echo_and_logprobs():
        choice = client.completions.create(model=NAME, prompt="What is 12 + 30?", max_tokens=3, echo=True, logprobs=1, temperature=0).choices[0]
        assert choice.text.startswith("What is 12 + 30?") and choice.logprobs.token_logprobs[0] is None
        assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == len(choice.logprobs.text_offset)

    @behaviour
    def completion_stream_and_batch():
        make = lambda **more: client.completions.create(model=NAME, prompt=["Once", "Twice"], max_tokens=5, temperature=0, **more)
        texts = ["", ""]
        for chunk in make(stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert texts == [c.text for c in make().choices]

    @behaviour
    def embeddings():
        reply = client.embeddings.create(model=NAME, input=["one", "two"])  # the client asks for base64
        assert len(reply.data) == 2 and len(reply.data[0].embedding) == 256 and reply.usage.prompt_tokens > 0
        plain = client.embeddings.create(model=NAME, input="one", encoding_format="float").data[0].embedding
        assert max(abs(a - b) for a, b in zip(plain, reply.data[0].embedding)) < 1e-6
        assert raises(openai.BadRequestError, lambda: client.embeddings.create(model=NAME, input="a", dimensions=3)).param == "dimensions"

    respond = lambda **more: client.responses.create(**{"model": NAME, "input": "What is 12 + 30?", "temperature": 0, "reasoning": {"effort": "none"}, **more})

    @behaviour
    def responses_text():
        reply = respond(instructions="Be brief.")
        assert "42" in reply.output_text and reply.status == "completed" and reply.usage.input_tokens > 0

    @behaviour
    def responses_reasoning():
        reply = respond(reasoning={"effort": "high"})
        assert reply.output[0].type == "reasoning" and reply.output[0].content[0].text and reply.usage.output_tokens_details.reasoning_tokens > 0
        summed = respond(reasoning={"effort": "high", "summary": "auto"})
        assert summed.output[0].summary[0].text == reply.output[0].content[0].text

    @behaviour
    def responses_stream_helper():
        with client.responses.stream(model=NAME, input="What is 12 + 30?", temperature=0) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed" and "response.reasoning_text.delta" in kinds
        assert "42" in final.output_text

    @behaviour
    def responses_tool_round_trip():
        tools = [{"type": "function", **FUNCTION, "strict": False}]
        with client.responses.stream(model=NAME, input=WEATHER, tools=tools, temperature=0, reasoning={"effort": "none"}) as stream:
            for _ in stream:
                pass
            call = stream.get_final_response().output[-1]
        assert call.type == "function_call" and json.loads(call.arguments) == {"city": "Paris"}
        history = WEATHER + [{"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
                             {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}]
        assert "sunny" in respond(input=history, tools=tools).output_text

    @behaviour
    def responses_incomplete():
        reply = respond(max_output_tokens=1)
        assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"

    @behaviour
    def responses_keep_nothing():
        assert raises(openai.BadRequestError, lambda: respond(previous_response_id="resp_1")).param == "previous_response_id"

    @behaviour
    async def responses_async_stream():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none") as c:
            text = ""
            async for event in await c.responses.create(model=NAME, input="What is 12 + 30?", temperature=0, reasoning={"effort": "none"}, stream=True):
                text += event.delta if event.type == "response.output_text.delta" else ""
        assert "42" in text


def anthropic_tour(server):
    client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)
    tools = [{"name": "get_weather", "description": "Get the weather", "input_schema": SCHEMA}]
    # The client's types know no temperature beside thinking; greedy by top_k.
    make = lambda **more: client.messages.create(**{"model": NAME, "max_tokens": 300, "messages": SUM, "extra_body": {"top_k": 1}, **more})

    @behaviour
    def messages_text():
        reply = make(system="Be brief.")
        assert "42" in reply.content[0].text and reply.stop_reason == "end_turn" and reply.role == "assistant"
        assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0

    @behaviour
    def messages_thinking():
        reply = make(thinking={"type": "enabled", "budget_tokens": 1024})
        assert [b.type for b in reply.content] == ["thinking", "text"] and reply.content[0].thinking

    @behaviour
    def messages_stream_helper():
        with client.messages.stream(model=NAME, max_tokens=300, messages=SUM, thinking={"type": "enabled", "budget_tokens": 1024}, extra_body={"top_k": 1}) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_message()
        assert kinds[0] == "message_start" and kinds[-1] == "message_stop" and {"text", "thinking", "content_block_stop"} <= set(kinds), kinds
        assert [b.type for b in final.content] == ["thinking", "text"] and "42" in final.content[1].text and final.stop_reason == "end_turn"
        assert final.usage.output_tokens > 0

    @behaviour
    def messages_text_stream():
        with client.messages.stream(model=NAME, max_tokens=100, messages=SUM, extra_body={"top_k": 1}) as stream:
            assert "42" in "".join(stream.text_stream)

    @behaviour
    def messages_tool_round_trip():
        call = make(messages=WEATHER, tools=tools)
        assert call.stop_reason == "tool_use" and call.content[-1].input == {"city": "Paris"}
        result = {"type": "tool_result", "tool_use_id": call.content[-1].id, "content": RESULT}
        answer = make(messages=WEATHER + [{"role": "assistant", "content": call.content}, {"role": "user", "content": [result]}], tools=tools)
        assert "sunny" in answer.content[0].text

    @behaviour
    def messages_tool_stream():
        with client.messages.stream(model=NAME, max_tokens=100, messages=WEATHER, tools=tools, extra_body={"top_k": 1}) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            final = stream.get_final_message()
        assert json.loads("".join(pieces)) == final.content[-1].input == {"city": "Paris"}

    @behaviour
    def messages_stop_sequence():
        reply = make(stop_sequences=["2"])
        assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "2")

    @behaviour
    def messages_max_tokens():
        assert make(max_tokens=1).stop_reason == "max_tokens"

    @behaviour
    def messages_count_tokens():
        assert client.messages.count_tokens(model=NAME, messages=SUM).input_tokens == make().usage.input_tokens + make().usage.cache_read_input_tokens

    @behaviour
    def messages_cache():
        system = "You are a helpful assistant. " * 31
        make(system=system)
        assert make(system=system).usage.cache_read_input_tokens >= 64

    @behaviour
    def messages_errors():
        error = raises(anthropic.BadRequestError, lambda: make(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]))
        assert error.body["error"]["type"] == "invalid_request_error" and "images" in error.body["error"]["message"]

    @behaviour
    async def messages_async():
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="none") as c:
            reply = await c.messages.create(model=NAME, max_tokens=100, messages=SUM, extra_body={"top_k": 1})
            assert "42" in reply.content[0].text
            async with c.messages.stream(model=NAME, max_tokens=100, messages=SUM, extra_body={"top_k": 1}) as stream:
                assert (await stream.get_final_message()).content[0].text == reply.content[0].text


def access_tour(server):
    openai_client = lambda key: openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
    ask = lambda key, model=NAME: openai_client(key).chat.completions.create(model=model, messages=SUM, max_tokens=5)

    @behaviour
    def wrong_key():
        assert raises(openai.AuthenticationError, lambda: ask("wrong")).code == "invalid_api_key"
        raises(anthropic.AuthenticationError, lambda: anthropic.Anthropic(base_url=server.url, api_key="wrong").messages.create(model=NAME, max_tokens=1, messages=SUM))
        assert ask("secret").choices

    @behaviour
    def unknown_model():
        assert raises(openai.NotFoundError, lambda: ask("secret", "nobody")).code == "model_not_found"
        error = raises(anthropic.NotFoundError, lambda: anthropic.Anthropic(base_url=server.url, api_key="secret", max_retries=0).messages.create(model="nobody", max_tokens=1, messages=SUM))
        assert error.body["error"]["type"] == "not_found_error"

    @behaviour
    def full_queue():
        client = openai_client("secret")
        with client.completions.create(model=NAME, prompt="One", max_tokens=4000, stream=True) as held:
            next(iter(held))
            error = raises(openai.RateLimitError, lambda: client.chat.completions.create(model=NAME, messages=SUM))
        assert error.code == "queue_full" and error.response.headers["retry-after"]

    @behaviour
    def more_answers_than_the_queue_holds():
        raises(openai.BadRequestError, lambda: openai_client("secret").chat.completions.create(model=NAME, messages=SUM, n=2))


# langchain's cases that this server or a model of 5 million parameters cannot pass, with the reason.
LANGCHAIN_LEFT_OUT = {
    "test_structured_output": "needs constrained output",
    "test_structured_output_async": "needs constrained output",
    "test_structured_output_pydantic_2_v1": "needs constrained output",
    "test_structured_output_optional_param": "needs constrained output",
    "test_json_mode": "needs constrained output",
    "test_tool_choice": "needs a forced call",
    "test_tool_calling": "asks in a form the house model was not trained on",
    "test_tool_calling_async": "asks in a form the house model was not trained on",
    "test_bind_runnables_as_tools": "asks in a form the house model was not trained on",
    "test_tool_calling_with_no_arguments": "asks in a form the house model was not trained on",
    "test_unicode_tool_call_integration": "needs a forced call",
    "test_structured_few_shot_examples": "needs constrained output",
    "test_agent_loop": "asks in a form the house model was not trained on",
    "test_stream_time": "needs VCR recordings",
    "test_image_inputs": "a text model",
    "test_pdf_inputs": "a text model",
    "test_audio_inputs": "a text model",
    "test_image_tool_message": "a text model",
    "test_pdf_tool_message": "a text model",
    "test_anthropic_inputs": "for Anthropic's own classes",
}

LANGCHAIN_SUITE = '''
import os
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

LEFT_OUT = %s


class TestBantam(ChatModelIntegrationTests):
    chat_model_class = ChatOpenAI
    chat_model_params = {"model": "bantam-nano", "base_url": os.environ["BANTAM_URL"] + "/v1", "api_key": "none", "temperature": 0,
                         "max_tokens": 200, "stream_usage": True, "extra_body": {"enable_thinking": False}}
    has_tool_calling = True
    has_tool_choice = False
    has_structured_output = False
    supports_json_mode = False
    supports_image_inputs = False
    returns_usage_metadata = True
    model_override_value = os.environ["BANTAM_OTHER_MODEL"]


for name, reason in LEFT_OUT.items():
    if hasattr(TestBantam, name):
        setattr(TestBantam, name, pytest.mark.skip(reason=reason)(getattr(TestBantam, name)))
'''


def langchain_tour(server):
    other = json.loads(server.get("/v1/models")[2])["data"][1]["id"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "test_bantam.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(LANGCHAIN_SUITE % LANGCHAIN_LEFT_OUT)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto",
                               "-o", "asyncio_default_fixture_loop_scope=session", "-o", "asyncio_default_test_loop_scope=session", path],
                              env={**os.environ, "BANTAM_URL": server.url, "BANTAM_OTHER_MODEL": other, "LANGSMITH_TRACING": "false"}, capture_output=True, text=True, check=False)
    print(done.stdout[-8000:] + done.stderr[-2000:])
    if done.returncode != 0:
        failures.append("langchain")


with running() as shared:
    chat_tour(shared)
    other_openai_tour(shared)
    anthropic_tour(shared)
if not ARGS.no_langchain:
    with running("", SECOND) as two:
        langchain_tour(two)
with running("", SECOND, "--queue", "0", "--parallel", "1", env=environment(BANTAM_API_KEY="secret")) as small:
    access_tour(small)
print("%d behaviours hold%s" % (passed, "; FAILED: " + ", ".join(failures) if failures else ""))
sys.exit(1 if failures else 0)
