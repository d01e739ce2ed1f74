#!/usr/bin/env python3
"""What quantised weights, `fast` and the KV types cost in accuracy on the trained house model: the table of
docs/numerics.md.

    .oracles/bin/python tools/oracles/accuracy.py [--bantam build/release/bantam] [--items N] [--types T,T] [--write]

Reference: transformers in fp32 on models/nano (bf16 weights). Texts: the held-out items of tests/golden/nano, the
first N of each kind, rendered as conversations and followed by the reference model's own greedy answer. Compared are
the distributions over the next token at every position after the first: mean KL(reference || bantam) in nats, and how
often the most likely token is the same. Every block type that `bantam quantize` writes (--pure: the head too) runs in
`exact` with f32 KV (what the weights cost), in `fast` with f32 KV, and `fast` is compared with `exact` on the same
weights (what `fast` itself costs); then every KV type that `--kv` takes runs on the unquantised weights.
--write puts the table between the markers of docs/numerics.md. Several minutes on one core.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/numerics.md"
BEGIN, END = "<!-- accuracy: written by tools/oracles/accuracy.py -->", "<!-- end of accuracy -->"
TYPES = "q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_nl iq4_xs bq4 q3_k q2_k".split()
KV_TYPES = "f16 q8_0 q4_0".split()
ANSWER_TOKENS = 96


def jsonl(command, requests):
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in requests)
    done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def sequences(bantam, per_kind):
    """Ids of conversations and their greedy answers."""
    count, asks = {}, []
    for line in open(ROOT / "tests/golden/nano/heldout.jsonl", encoding="utf-8"):
        item = json.loads(line)
        count[item["kind"]] = count.get(item["kind"], 0) + 1
        if count[item["kind"]] > per_kind:
            continue
        ask = {"messages": item["messages"], "add_generation_prompt": True, "enable_thinking": item["enable_thinking"]}
        asks.append(ask | ({"tools": item["tools"]} if "tools" in item else {}))
    prompts = [r["ids"] for r in jsonl([bantam, "render", "--jsonl", "-"], asks)]
    return prompts


def reference(prompts):
    """[(ids, log-probabilities [T, V])] of transformers, each prompt continued greedily."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(ROOT / "models/nano", dtype=torch.float32).eval()
    out = []
    with torch.no_grad():
        for prompt in prompts:
            ids = model.generate(torch.tensor([prompt]), max_new_tokens=ANSWER_TOKENS, do_sample=False)
            logits = model(ids).logits[0]
            out.append((ids[0].tolist(), torch.log_softmax(logits.double(), -1).numpy().astype(np.float64)))
    return out


def read_safetensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, "r", offset=8 + size)
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            yield name, data[begin:end].view(np.float32).reshape(t["shape"])


def run(bantam, model, ids_file, folder, numerics, kv):
    """Log-probabilities [T, V] of every sequence, or None when the program does not take this KV type."""
    out = folder / "out.safetensors"
    command = [bantam, "forward"] + ([str(model)] if model else [""]) + [str(ids_file), "-o", str(out), "--quiet"]
    done = subprocess.run(command + ["--numerics", numerics, "--kv", kv], stderr=subprocess.PIPE, text=True)
    if done.returncode == 2 and "--kv" in done.stderr:
        return None
    if done.returncode != 0:
        sys.exit(done.stderr)
    result = {}
    for name, logits in read_safetensors(out):
        logits = logits.astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        result[int(name.split("/")[0])] = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return [result[i] for i in sorted(result)]


def compare(want, got):
    """(mean KL(want || got) in nats, share of equal most likely tokens)"""
    kl = np.concatenate([(np.exp(a[1:]) * (a[1:] - b[1:])).sum(-1) for a, b in zip(want, got)])
    same = np.concatenate([a[1:].argmax(-1) == b[1:].argmax(-1) for a, b in zip(want, got)])
    return float(np.mean(kl)), float(np.mean(same))


def cells(pair):
    return f"{max(pair[0], 0.0):.2g} | {100 * pair[1]:.2f} %"


def table(bantam, per_kind, types, folder):
    refs = reference(sequences(bantam, per_kind))
    want = [r[1] for r in refs]
    ids_file = folder / "ids.jsonl"
    ids_file.write_text("".join(json.dumps({"ids": r[0], "name": str(i)}) + "\n" for i, r in enumerate(refs)))
    yield (f"{len(refs)} conversations, {sum(len(w) - 1 for w in want):,} positions, house model of "
           f"{(ROOT / 'models/nano/model.safetensors').stat().st_size:,} bytes; all matrices of one type, KV in f32.")
    yield ""
    yield "| weights | `exact`: KL | same top-1 | `fast`: KL | same top-1 | `fast` against `exact`: KL | same top-1 |"
    yield "|---|---|---|---|---|---|---|"
    exact = run(bantam, "", ids_file, folder, "exact", "f32")
    yield f"| bf16 (`fast` is `exact`) | {cells(compare(want, exact))} | | | | |"
    for name in types:
        model = folder / "model.gguf"
        subprocess.run([bantam, "quantize", "", str(model), "--type", name, "--pure", "--force", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        exact = run(bantam, model, ids_file, folder, "exact", "f32")
        fast = run(bantam, model, ids_file, folder, "fast", "f32")
        yield f"| {name} | {cells(compare(want, exact))} | {cells(compare(want, fast))} | {cells(compare(exact, fast))} |"
    yield ""
    yield "| KV type (bf16 weights) | KL | same top-1 |"
    yield "|---|---|---|"
    for kv in ["f32"] + KV_TYPES:
        got = run(bantam, "", ids_file, folder, "exact", kv)
        if got is not None:
            yield f"| {kv} | {cells(compare(want, got))} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bantam", default=str(ROOT / "build/release/bantam"))
    parser.add_argument("--items", type=int, default=12, help="conversations of each kind")
    parser.add_argument("--types", default=",".join(TYPES), help="default: every block type")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in table(args.bantam, args.items, args.types.split(","), pathlib.Path(folder)):
            print(line, flush=True)
            lines.append(line)
    if args.write:
        page = PAGE.read_text(encoding="utf-8")
        block = BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END
        PAGE.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, page, flags=re.S),
                        encoding="utf-8")


if __name__ == "__main__":
    main()
