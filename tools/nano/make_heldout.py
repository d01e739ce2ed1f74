"""Writes tests/golden/nano/heldout.jsonl: the house model's held-out items, 200 per kind.

Usage: python3 tools/nano/make_heldout.py
One item per line: {"kind", "messages", "tools"?, "enable_thinking", "want"}; `want` is the answer text (arithmetic, lookup), the JSON
value (json) or the list of calls (tool). Operand pairs, keys, string values and function signatures are of the test split of words.py,
so training never saw them. Standard library only.
"""
import json
import os
import random

import gen_json
import gen_lookup
import gen_math
import gen_tools

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = 7
PER_KIND = 200


def _item(kind, sample, want):
    item = {"kind": kind, "messages": sample["messages"], "enable_thinking": sample["thinking"], "want": want}
    if sample.get("tools"):
        item["tools"] = sample["tools"]
    return item


def _prompt(sample):
    """The messages up to the answer, and the answer."""
    return dict(sample, messages=sample["messages"][:-1]), sample["messages"][-1]


def arithmetic(rng, i):
    sample, answer = _prompt(gen_math.sample(rng, "test", True))
    return _item("arithmetic", sample, answer["content"])


def tool(rng, i):
    """Nine of ten call one or two functions, the tenth has none that fits."""
    thinking = i % 2 == 0
    sample = gen_tools.no_fit(rng, "test", thinking) if i % 10 == 9 else gen_tools.call(rng, "test", thinking, follow=False)
    sample, answer = _prompt(sample)
    return _item("tool", sample, [c["function"] for c in answer.get("tool_calls", [])])


def json_(rng, i):
    sample, answer = _prompt(gen_json.sample(rng, "test", i % 2 == 0))
    return _item("json", sample, json.loads(answer["content"]))


def lookup(rng, i):
    """Lengths: of ten items seven small, two medium; one in twenty long (up to about 1,000 tokens)."""
    size = "long" if i % 20 == 19 else "medium" if i % 10 in (3, 6, 9) else "small"
    sample, answer = _prompt(gen_lookup.sample(rng, "test", i % 2 == 0, size=size, turns=1))
    return _item("lookup", sample, answer["content"])


def main():
    rng = random.Random(SEED)
    path = os.path.join(ROOT, "tests", "golden", "nano", "heldout.jsonl")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for make in (arithmetic, tool, json_, lookup):
            seen = set()
            while len(seen) < PER_KIND:
                item = make(rng, len(seen))
                line = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
                if json.dumps(item["messages"]) not in seen:
                    seen.add(json.dumps(item["messages"]))
                    file.write(line + "\n")
    print(path, os.path.getsize(path))


if __name__ == "__main__":
    main()
