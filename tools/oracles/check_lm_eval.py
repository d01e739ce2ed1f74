#!/usr/bin/env python3
"""Evaluations over HTTP give the figures computed in-process: lm-evaluation-harness and an OpenAI-style chat eval against
`bantam serve`, beside `bantam score`, `bantam complete` and `bantam generate` on the same items.

  .oracles/bin/python tools/oracles/check_lm_eval.py [--bantam build/release/bantam] [--items N]

1. local-completions: every log-likelihood (to 1e-6 of its sum; greedy or not), every generated text and every figure, with the
   house model's tokenizer here or the server's own, token ids or texts, 1 or 8 prompts a request, one request or 8 at a time.
2. local-chat-completions and the `openai` client: every answer and the accuracy, thinking or not.

Uses the house model: its held-out sums, and school problems of ../shared (BANTAM_SHARED) where they are. Tasks are YAML over
JSON files in a temporary folder; nothing leaves this machine.
"""
import argparse
import asyncio
import json
import math
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))

parser = argparse.ArgumentParser()
parser.add_argument("--bantam", default=os.path.join(ROOT, "build", "release", "bantam"))
parser.add_argument("--items", type=int, default=24, help="of each task")
ARGS = parser.parse_args()
FOLDER = tempfile.TemporaryDirectory(prefix="bantam-lm-eval-")
os.environ.update(BANTAM=os.path.abspath(ARGS.bantam), HF_HOME=FOLDER.name, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_EVALUATE_OFFLINE="1",
                  HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false", LOGLEVEL="WARNING", TQDM_DISABLE="1", NO_PROXY="127.0.0.1")

import lm_eval
import openai
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.tasks import TaskManager
from server import Server
from support import BANTAM, NANO, environment

TOLERANCE = 1e-6  # of a sum of log-probabilities
SHARED = os.path.join(os.environ.get("BANTAM_SHARED") or os.path.join(ROOT, "..", "shared"), "data", "math")
ANSWER = r"</think>\s*([^\n]*)"  # what follows the thinking; re and the harness's filter read it alike
failures = []


def check(ok, text):
    print(("ok    " if ok else "FAIL  ") + text, flush=True)
    if not ok:
        failures.append(text)


# ---- in-process: what the command line says about the same items


def bantam(command, requests, *args):
    """Runs a JSONL command of the program: one reply per request, in order."""
    text = "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run([BANTAM, *command, *args], input=text.encode(), capture_output=True, env=environment(), check=False)
    replies = [json.loads(line) for line in done.stdout.decode().splitlines()]
    if done.returncode != 0 or len(replies) != len(requests):
        sys.exit("%s: exit code %d, %d replies to %d requests\n%s" % (command, done.returncode, len(replies), len(requests), done.stderr.decode()[-2000:]))
    return replies


def tokenized(texts):
    return [r["ids"] for r in bantam(["tokenize", "--jsonl", "-"], [{"text": t, "special": True} for t in texts])]


def log_likelihoods(pairs):
    """(sum, greedy) of each (context, continuation). The text is split into tokens as a whole, as the harness does it, and an
    empty context is the end token. No context here ends with white space, which the harness would move to the continuation.
    Greedy: the most likely tokens after the context are the continuation."""
    whole = tokenized([context + continuation for context, continuation in pairs])
    before = tokenized([context or "<|im_end|>" for context, _ in pairs])
    whole = [ids if context else first + ids for (context, _), first, ids in zip(pairs, before, whole)]
    scored = bantam(["score", "-q", "-"], [{"ids": ids} for ids in whole])
    likely = bantam(["complete", "-q", "--jsonl", "-"],
                    [{"ids": first, "max_tokens": len(ids) - len(first), "temperature": 0} for first, ids in zip(before, whole)])
    return [(sum(s["logprobs"][len(first):]), best["ids"] == ids[len(first):]) for s, best, first, ids in zip(scored, likely, before, whole)]


def completions(prompts, task):
    settings = task["generation_kwargs"]
    stops = [word for text in settings["until"] for word in ("--stop", text)]
    requests = [{"prompt": p, "special": True, "max_tokens": settings["max_gen_toks"], "temperature": 0} for p in prompts]
    return [r["text"] for r in bantam(["complete", "-q", "--jsonl", "-"], requests, *stops)]


def generated(bodies):
    """The contents of the answers of `bantam generate` to bodies of chat requests; empty where the answer is a tool call, as the
    harness has it."""
    requests, results = os.path.join(FOLDER.name, "requests.jsonl"), os.path.join(FOLDER.name, "results.jsonl")
    with open(requests, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": b}) + "\n" for i, b in enumerate(bodies))
    if os.path.exists(results):
        os.remove(results)
    subprocess.run([BANTAM, "generate", "-q", "", requests, results], env=environment(), check=True)
    with open(results, encoding="utf-8") as file:
        replies = {int(r["custom_id"]): r["response"]["body"]["choices"][0]["message"]["content"] or "" for r in map(json.loads, file)}
    return [replies[i] for i in range(len(bodies))]


# ---- the items


def held_out_sums():
    with open(os.path.join(ROOT, "tests", "golden", "nano", "heldout.jsonl"), encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    return [{"question": i["messages"][0]["content"], "want": i["want"]} for i in items if i["kind"] == "arithmetic"][:ARGS.items]


def shared(name, count):
    """The first items of a set in ../shared; none when it is not there."""
    path = os.path.join(SHARED, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(count))]


def school_problems():
    """Worked problems: from ../shared, or made of the sums."""
    made = [{"question": s["question"], "answer": "We get %s.\n#### %s" % (s["want"], s["want"].split()[-1])} for s in held_out_sums()]
    return shared("gsm8k_test.jsonl", ARGS.items) or made


def running_texts():
    return [p["problem"] + "\n" + p["solution"] for p in shared("math500.jsonl", ARGS.items)] or [p["question"] + "\n" + p["answer"] for p in school_problems()]


def shuffled(right, wrong, n):
    """The choices with the right one at a place that goes round, and that place."""
    at = n % (len(wrong) + 1)
    return wrong[:at] + [right] + wrong[at:], at


def sum_choices():
    for n, item in enumerate(held_out_sums()):
        left, value = item["want"].rsplit(" ", 1)
        choices, gold = shuffled(int(value), [int(value) + 1, int(value) + 10, abs(int(value) - 2)], n)
        yield {"prompt": chat_prompt(item["question"]) + "<think>\n\n</think>", "choices": ["\n\n%s %d" % (left, c) for c in choices], "gold": gold}


def problem_choices():
    """Two worked examples before each question: the requests share a long beginning."""
    problems = school_problems()
    shots = "".join("Question: %s\nAnswer: %s\n\n" % (p["question"], p["answer"]) for p in problems[:2])
    for n, item in enumerate(problems[2:]):
        right = item["answer"].split("#### ")[1]
        choices, gold = shuffled(" " + right, [" 1" + right, " " + right + "0", " 7"], n)
        yield {"prompt": shots + "Question: %s\nAnswer:" % item["question"], "choices": choices, "gold": gold}


def chat_prompt(question):
    return "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n" % question


SCORED = {"test_split": "test", "doc_to_text": "prompt", "target_delimiter": ""}
CHOICE = {**SCORED, "output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "gold",
          "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]}
GENERATED = {**SCORED, "output_type": "generate_until", "doc_to_target": "want", "metric_list": [{"metric": "exact_match"}]}
PERPLEXITIES = ("word_perplexity", "byte_perplexity", "bits_per_byte")
TASKS = {
    "sums_choice": CHOICE,
    "problems_choice": CHOICE,
    "solutions": {**SCORED, "output_type": "loglikelihood", "doc_to_target": "want", "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}]},
    "rolling": {**SCORED, "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "prompt",
                "metric_list": [{"metric": m} for m in PERPLEXITIES]},
    "sums": {**GENERATED, "generation_kwargs": {"until": ["<|im_end|>"], "max_gen_toks": 128, "temperature": 0},
             "filter_list": [{"name": "none", "filter": [{"function": "regex", "regex_pattern": ANSWER}, {"function": "take_first"}]}]},
    "problems": {**GENERATED, "generation_kwargs": {"until": ["\n\n", "Question:", " is"], "max_gen_toks": 64, "temperature": 0}},
}
CHAT = {**GENERATED, "generation_kwargs": {"until": ["<|im_end|>"], "max_gen_toks": 200, "temperature": 0}}
TASKS["chat_thinking"] = CHAT
TASKS["chat"] = {**CHAT, "generation_kwargs": {**CHAT["generation_kwargs"], "enable_thinking": False}}


def make_items():
    sums, problems = held_out_sums(), school_problems()
    thought = completions([chat_prompt("Hello")], TASKS["sums"])[0].removeprefix("<think>")
    asked = [{"prompt": s["question"], "want": s["want"]} for s in sums] + [{"prompt": p["question"], "want": p["answer"].split("#### ")[1]} for p in problems[:6]]
    return {
        "sums_choice": list(sum_choices()),
        "problems_choice": list(problem_choices()),
        # The harness's perplexity is of whole continuations, so these are short. The last two: one that is greedy, and one
        # whose context is empty.
        "solutions": [{"prompt": "Question: %s\nAnswer:" % p["question"], "want": " " + " ".join(p["answer"].split()[:8])} for p in problems] +
                     [{"prompt": chat_prompt("Hello") + "<think>", "want": thought}, {"prompt": "", "want": "Hello"}],
        "rolling": [{"prompt": text} for text in running_texts()],
        "sums": [{"prompt": chat_prompt(s["question"]), "want": s["want"]} for s in sums],
        "problems": [{"prompt": "Question: %s\nAnswer:" % p["question"], "want": p["answer"]} for p in problems],
        "chat_thinking": asked,
        "chat": asked,
    }


def write_tasks(items):
    for name, task in TASKS.items():
        data = os.path.join(FOLDER.name, name + ".jsonl")
        with open(data, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"n": n, **item}) + "\n" for n, item in enumerate(items[name]))
        metrics = [{"aggregation": a, "higher_is_better": h, **m} for m in task["metric_list"] for a, h in [aggregation(m["metric"])]]
        with open(os.path.join(FOLDER.name, name + ".yaml"), "w", encoding="utf-8") as file:  # JSON is YAML
            json.dump({"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": data}}, **task, "metric_list": metrics}, file, indent=1)
    return TaskManager(include_path=FOLDER.name, include_defaults=False)


def aggregation(metric):
    return {"perplexity": ("perplexity", False), "word_perplexity": ("weighted_perplexity", False), "byte_perplexity": ("weighted_perplexity", False),
            "bits_per_byte": ("bits_per_byte", False)}.get(metric, ("mean", True))


# ---- what the harness must get: per item its answers, and the task's figures


def pairs_of(name, item):
    kind = TASKS[name]["output_type"]
    if kind == "multiple_choice":
        return [(item["prompt"], choice) for choice in item["choices"]]
    return [("", item["prompt"])] if kind == "loglikelihood_rolling" else [(item["prompt"], item["want"])]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def figures_of(name, items, answers):
    kind = TASKS[name]["output_type"]
    if kind == "multiple_choice":
        best = lambda values: max(range(len(values)), key=values.__getitem__)
        return {"acc": mean(best([s for s, _ in a]) == i["gold"] for i, a in zip(items, answers)),
                "acc_norm": mean(best([s / len(c) for (s, _), c in zip(a, i["choices"])]) == i["gold"] for i, a in zip(items, answers))}
    if kind == "loglikelihood":
        return {"perplexity": math.exp(-mean(a[0][0] for a in answers)), "acc": mean(a[0][1] for a in answers)}
    if kind == "loglikelihood_rolling":
        total = -sum(a[0][0] for a in answers)
        per_byte = total / sum(len(i["prompt"].encode()) for i in items)
        return dict(zip(PERPLEXITIES, (math.exp(total / sum(len(re.split(r"\s+", i["prompt"])) for i in items)), math.exp(per_byte), per_byte / math.log(2))))
    found = lambda text: (re.findall(ANSWER, text) or ["[invalid]"])[0].strip() if "filter_list" in TASKS[name] else text
    return {"exact_match": mean(found(a[0]) == i["want"] for i, a in zip(items, answers))}


def in_process(name, items):
    if name.startswith("chat"):
        settings = dict(TASKS[name]["generation_kwargs"])
        body = {"max_tokens": settings.pop("max_gen_toks"), "stop": settings.pop("until"), **settings}
        return [[text] for text in generated([{"messages": [{"role": "user", "content": i["prompt"]}], **body} for i in items])]
    if TASKS[name]["output_type"] == "generate_until":
        return [[text] for text in completions([i["prompt"] for i in items], TASKS[name])]
    pairs = [pairs_of(name, i) for i in items]
    flat = iter(log_likelihoods([p for of_item in pairs for p in of_item]))
    return [[next(flat) for _ in of_item] for of_item in pairs]


def check_prompt_and_completion(items):
    """`bantam score` given {"prompt", "completion"}: the same sums, and greedy, without token ids in between."""
    pairs = [p for item in items for p in pairs_of("problems_choice", item)]
    replies = bantam(["score", "-q", "-"], [{"prompt": p, "completion": c} for p, c in pairs])
    check([(-r["nll"], r["greedy"]) for r in replies] == log_likelihoods(pairs), "score: %d prompts with completions as their token ids" % len(pairs))


# ---- the harness


def differences(want, got):
    """How many of an item's answers differ, and the largest difference of a log-likelihood."""
    wrong, largest = abs(len(want) - len(got)), 0.0
    for expected, answer in zip(want, got):
        if isinstance(expected, str) or isinstance(answer, (str, float)):
            answer = answer[0] if isinstance(answer, tuple) else answer
            if isinstance(expected, str):
                wrong += answer != expected
            else:  # rolling: the sum only
                largest = max(largest, abs(answer - expected[0]))
                wrong += abs(answer - expected[0]) > TOLERANCE
            continue
        largest = max(largest, abs(answer[0] - expected[0]))
        wrong += abs(answer[0] - expected[0]) > TOLERANCE or answer[1] != expected[1]
    return wrong, largest


def run_harness(label, lm, names, manager, want, figures):
    chat = isinstance(lm, LocalChatCompletion)
    found = lm_eval.simple_evaluate(lm, tasks=names, task_manager=manager, log_samples=True, bootstrap_iters=0, apply_chat_template=chat)
    for name in names:
        samples = sorted(found["samples"][name], key=lambda s: s["doc"]["n"])
        results = [differences(w, [r[0] for r in s["resps"]]) for w, s in zip(want[name], samples)]
        wrong = sum(r[0] for r in results) + abs(len(samples) - len(want[name]))
        theirs = {m: found["results"][name][m + ",none"] for m in figures[name]}
        equal = all(math.isclose(theirs[m], value, rel_tol=1e-9) for m, value in figures[name].items())
        print_figures = ", ".join("%s %.6g (in-process %.6g)" % (m, theirs[m], value) for m, value in figures[name].items())
        largest = max(r[1] for r in results)
        check(wrong == 0 and equal, "%s, %s: %d of %d answers differ%s; %s" % (
            label, name, wrong, sum(map(len, want[name])), ", by %.1e at most" % largest if isinstance(want[name][0][0], tuple) else "", print_figures))


def check_openai_client(server, items, want):
    """The eval people write themselves: eight questions in flight through the `openai` client."""
    settings = dict(TASKS["chat"]["generation_kwargs"])

    async def ask_all():
        gate = asyncio.Semaphore(8)
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
            async def ask(item):
                async with gate:
                    reply = await client.chat.completions.create(
                        model="bantam-nano", messages=[{"role": "user", "content": item["prompt"]}], temperature=0, stop=settings["until"],
                        max_completion_tokens=settings["max_gen_toks"], extra_body={"enable_thinking": False})
                return reply.choices[0].message.content or ""
            return await asyncio.gather(*[ask(i) for i in items])

    answers = asyncio.run(ask_all())
    accuracy = lambda texts: mean(re.findall(r"-?\d+", t)[-1:] == re.findall(r"-?\d+", i["want"])[-1:] for t, i in zip(texts, items))
    expected = [a[0] for a in want]
    check(answers == expected, "openai client, 8 at a time: %d of %d answers differ; last number right %.6g (in-process %.6g)" % (
        sum(a != b for a, b in zip(answers, expected)), len(items), accuracy(answers), accuracy(expected)))


def main():
    items = make_items()
    manager = write_tasks(items)
    want = {name: in_process(name, items[name]) for name in TASKS}
    figures = {name: figures_of(name, items[name], want[name]) for name in TASKS}
    check_prompt_and_completion(items["problems_choice"])
    raw = [name for name in TASKS if not name.startswith("chat")]
    server = Server()
    try:
        here = {"tokenizer": NANO, "tokenizer_backend": "huggingface"}
        there = {"tokenizer_backend": "auto"}  # the server's, since it has one
        local = lambda **more: LocalCompletionsAPI(base_url=server.url + "/v1/completions", model="bantam-nano", max_length=4096, max_retries=1, **more)
        run = lambda label, names, **more: run_harness(label, local(**more), names, manager, want, figures)
        run("token ids, batch 1", raw, batch_size=1, **here)
        run("token ids, batch 8", raw, batch_size=8, **here)
        run("token ids, 8 at a time", raw, batch_size=1, num_concurrent=8, **here)
        run("texts, batch 8", raw, batch_size=8, tokenized_requests=False, **here)
        run("the server's tokenizer, batch 8", raw, batch_size=8, **there)
        run("no tokenizer, batch 8", ["sums", "problems"], batch_size=8, tokenizer_backend="none")
        chat = LocalChatCompletion(base_url=server.url + "/v1/chat/completions", model="bantam-nano", max_retries=1)
        run_harness("chat", chat, ["chat_thinking", "chat"], manager, want, figures)
        chat = LocalChatCompletion(base_url=server.url + "/v1/chat/completions", model="bantam-nano", max_retries=1, num_concurrent=8)
        run_harness("chat, 8 at a time", chat, ["chat_thinking", "chat"], manager, want, figures)
        check_openai_client(server, items["chat"], want["chat"])
    finally:
        server.stop()
        FOLDER.cleanup()
    print("%d failed: %s" % (len(failures), "; ".join(failures)) if failures else "the harness's figures are the ones computed in-process")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
