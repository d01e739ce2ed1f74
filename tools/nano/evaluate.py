#!/usr/bin/env python3
"""Exact match of the house model on the held-out items, per kind.

Usage: tools/nano/evaluate.py --bantam build/release/bantam [--model FOLDER] [--items N] [--kind K] [--show N]
       .oracles/bin/python tools/nano/evaluate.py --torch models/nano [--items N] ...
With --bantam: `bantam render --jsonl` makes the prompts' ids, `bantam complete --jsonl` answers them greedily; needs the standard
library only. With --torch the same items go through transformers in fp32. Both must print the same table in `exact` numerics.
--model names a folder for bantam (default: the embedded model); --items takes the first N of each kind; --show prints N misses per kind;
--min K=PERCENT (repeatable) makes the exit code 1 when a kind falls below.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_TOKENS = {"arithmetic": 128, "tool": 160, "json": 160, "lookup": 96}


def load(items, kinds):
    """The first `items` of each kind, in file order."""
    out, count = [], {}
    with open(os.path.join(ROOT, "tests", "golden", "nano", "heldout.jsonl"), encoding="utf-8") as file:
        for line in file:
            item = json.loads(line)
            count[item["kind"]] = count.get(item["kind"], 0) + 1
            if count[item["kind"]] <= items and (not kinds or item["kind"] in kinds):
                out.append(item)
    return out


def jsonl(command, requests):
    """Runs a JSONL command: one reply per request, in order."""
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in requests)
    done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=False)
    replies = [json.loads(line) for line in done.stdout.decode().splitlines()]
    bad = next((r for r in replies if "error" in r), None)
    if done.returncode != 0 or len(replies) != len(requests):
        sys.exit("%s: exit code %d, %d replies to %d requests%s" % (" ".join(command), done.returncode, len(replies), len(requests), "; %s" % bad if bad else ""))
    return replies


def request(item):
    out = {"messages": item["messages"], "add_generation_prompt": True, "enable_thinking": item["enable_thinking"]}
    if "tools" in item:
        out["tools"] = item["tools"]
    return out


def with_bantam(program, model, items):
    name = [model] if model else []
    rendered = jsonl([program, "render"] + name + ["--jsonl", "-"], [request(i) for i in items])
    asks = [{"ids": r["ids"], "max_tokens": MAX_TOKENS[i["kind"]], "temperature": 0} for i, r in zip(items, rendered)]
    return [r["text"] for r in jsonl([program, "complete"] + name + ["--jsonl", "-", "--numerics", "exact", "--kv", "f32"], asks)]


def with_torch(folder, items):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer.padding_side = "left"
    prompts = [tokenizer.apply_chat_template(i["messages"], tools=i.get("tools"), tokenize=False, add_generation_prompt=True, enable_thinking=i["enable_thinking"]) for i in items]
    texts = [""] * len(items)
    order = sorted(range(len(items)), key=lambda i: (items[i]["kind"], len(prompts[i])))
    for kind in MAX_TOKENS:
        of_kind = [i for i in order if items[i]["kind"] == kind]
        for part in (of_kind[at:at + 25] for at in range(0, len(of_kind), 25)):
            feed = tokenizer([prompts[i] for i in part], return_tensors="pt", add_special_tokens=False, padding=True)
            with torch.no_grad():
                out = model.generate(**feed, max_new_tokens=MAX_TOKENS[kind], do_sample=False, temperature=None, top_k=None, top_p=None)
            for i, row in zip(part, out):  # skipping drops <|im_end|> and keeps <think> and <tool_call>
                texts[i] = tokenizer.decode(row[feed["input_ids"].shape[1]:], skip_special_tokens=True)
    return texts


def answer_of(text):
    """What follows the thinking, without the end mark."""
    text = text.split("<|im_end|>")[0]
    return (text.split("</think>", 1)[1] if "</think>" in text else text).strip("\n")


def calls_in(text):
    calls = []
    for body in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S):
        try:
            calls.append(json.loads(body))
        except ValueError:
            calls.append(None)
    return calls


def right(item, text):
    answer = answer_of(text)
    if item["kind"] == "tool":
        return calls_in(answer) == item["want"] and answer.count("<tool_call>") == len(item["want"])
    if item["kind"] == "json":
        try:
            return json.loads(answer) == item["want"]
        except ValueError:
            return False
    return answer == item["want"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    engine = parser.add_mutually_exclusive_group(required=True)
    engine.add_argument("--bantam")
    engine.add_argument("--torch")
    parser.add_argument("--model")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--min", action="append", default=[], metavar="KIND=PERCENT")
    args = parser.parse_args()
    items = load(args.items, args.kind)
    start = time.time()
    texts = with_bantam(args.bantam, args.model, items) if args.bantam else with_torch(args.torch, items)
    rows = {}
    for item, text in zip(items, texts):
        row = rows.setdefault(item["kind"], [0, 0, 0])
        good = right(item, text)
        row[0], row[1] = row[0] + good, row[1] + 1
        if not good and row[2] < args.show:
            row[2] += 1
            print("MISS %s\n  asked:  %r\n  wanted: %s\n  got:    %r" % (item["kind"], item["messages"][-1]["content"], json.dumps(item["want"], ensure_ascii=False), text))
    print("%-12s %6s %6s %8s" % ("kind", "right", "items", "exact"))
    for kind, (good, total, _) in rows.items():
        print("%-12s %6d %6d %7.1f%%" % (kind, good, total, 100.0 * good / total))
    print("%d items in %.1f s" % (len(items), time.time() - start), file=sys.stderr)
    low = [m for m in args.min if m.split("=")[0] in rows and 100.0 * rows[m.split("=")[0]][0] / rows[m.split("=")[0]][1] < float(m.split("=")[1])]
    if low:
        sys.exit("evaluate: below the wanted share: " + ", ".join(low))


if __name__ == "__main__":
    main()
