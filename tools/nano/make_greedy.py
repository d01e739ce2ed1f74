"""Writes tests/golden/nano/greedy.json: 256-token greedy continuations of the house model by transformers.

Usage: .oracles/bin/python tools/nano/make_greedy.py
fp32 (the bf16 weights widened), eager attention, raw argmax over all rows with nothing masked, going on past the end mark. A prompt is
recorded only when the gap between the best and the second logit never falls below MIN_GAP, so that another correct fp32 order of
summation cannot change a token. File: {"model_sha256", "min_gap", "cases": [{"name", "ids", "continuation", "gap"}]}.
"""
import hashlib
import json
import os
import random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import gen_json
import gen_lookup
import gen_math
import gen_prose
import gen_talk
import gen_tools

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "models", "nano")
STEPS, CASES, MIN_GAP = 256, 8, 1e-4


def prompts(tokenizer):
    """An endless list of (name, ids): chats of every kind and two raw texts."""
    rng = random.Random(11)
    while True:
        for name, make in (("talk", gen_talk.sample), ("arithmetic", gen_math.sample), ("tool", gen_tools.sample), ("json", gen_json.sample), ("lookup", gen_lookup.sample)):
            sample = make(rng, "test", rng.random() < 0.5)
            text = tokenizer.apply_chat_template(sample["messages"][:-1], tools=sample.get("tools"), tokenize=False, add_generation_prompt=True, enable_thinking=sample["thinking"])
            yield name, tokenizer(text, add_special_tokens=False)["input_ids"]
        yield "raw", tokenizer(gen_prose.paragraph(rng, 3), add_special_tokens=False)["input_ids"]


def greedy(model, ids):
    """(continuation, smallest gap)."""
    out, gap, past, feed = [], float("inf"), None, torch.tensor([ids])
    with torch.no_grad():
        for _ in range(STEPS):
            step = model(feed, past_key_values=past, use_cache=True)
            past = step.past_key_values
            top = step.logits[0, -1].topk(2)
            gap = min(gap, float(top.values[0] - top.values[1]))
            if gap < MIN_GAP:
                break
            out.append(int(top.indices[0]))
            feed = torch.tensor([[out[-1]]])
    return out, gap


def main():
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    cases, tried, per_kind = [], 0, {}
    for name, ids in prompts(tokenizer):
        tried += 1
        if per_kind.get(name, 0) >= 2:
            continue
        continuation, gap = greedy(model, ids)
        if gap >= MIN_GAP:
            per_kind[name] = per_kind.get(name, 0) + 1
            cases.append({"name": "%s-%d" % (name, per_kind[name]), "ids": ids, "continuation": continuation, "gap": gap})
        if len(cases) == CASES or tried > 60:
            break
    with open(os.path.join(MODEL, "model.safetensors"), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    path = os.path.join(ROOT, "tests", "golden", "nano", "greedy.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write('{"model_sha256": "%s", "min_gap": %g, "cases": [\n' % (digest, MIN_GAP) + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
    os.replace(path + ".part", path)
    print("%d cases, smallest gaps %s" % (len(cases), [round(c["gap"], 5) for c in cases]))


if __name__ == "__main__":
    main()
