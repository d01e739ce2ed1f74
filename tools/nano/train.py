"""Trains the house model from scratch on generated data. One core, in pieces, to a time budget.

Usage: .oracles/bin/python tools/nano/train.py --total 95 --minutes 80 [--resume]
  --total     training minutes over all pieces: the learning-rate schedule and the curriculum are planned for it
  --minutes   stop this piece after so many minutes (with a checkpoint)
  --resume    go on from build/nano/NAME/checkpoint.pt
Writes build/nano/NAME/checkpoint.pt (weights, their running mean, optimizer, data position) every ten minutes (and on SIGTERM) and log.jsonl.
The clock is training time, so a busy machine gives fewer steps, never a cut schedule.
"""
import argparse
import collections
import json
import math
import os
import random
import signal
import sys
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import gen_json
import gen_lookup
import gen_math
import gen_talk
import gen_tools
import mixture
import model as model_file
import render

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUCKETS = (64, 96, 128, 160, 192, 224, 256, 320, 384, 512, 640, 832, 1024)
CHUNK = 512  # samples generated at a time
PAD = 4096   # <|endoftext|>; never looked at: rows are padded on the right and attention is causal


class Data:
    """An endless stream of (ids [B, T+1], flags) by length bucket. `chunk` is the whole state worth keeping."""

    def __init__(self, tokenizer, seed, batch_tokens, chunk=0):
        self.tokenizer, self.seed, self.batch_tokens, self.chunk = tokenizer, seed, batch_tokens, chunk
        self.buckets, self.ready = collections.defaultdict(list), []

    def next(self, progress):
        while not self.ready:
            for sample in mixture.batch(self.seed * 1000003 + self.chunk, CHUNK, progress):
                ids, flags = render.encode(self.tokenizer, sample)
                size = next((b for b in BUCKETS if len(ids) <= b + 1), None)
                if size is None:
                    continue
                self.buckets[size].append((ids, flags))
                if len(self.buckets[size]) == max(1, self.batch_tokens // size):
                    self.ready.append(stack(self.buckets.pop(size), size))
            self.chunk += 1
            random.Random(self.chunk).shuffle(self.ready)
        return self.ready.pop()


def stack(rows, size):
    ids = torch.full((len(rows), size + 1), PAD, dtype=torch.long)
    flags = torch.zeros((len(rows), size + 1), dtype=torch.long)
    for i, (a, b) in enumerate(rows):
        ids[i, :len(a)] = torch.tensor(a)
        flags[i, :len(b)] = torch.tensor(b)
    return ids, flags


def probes(tokenizer, count=24):
    """Held-out samples per kind. Under teacher forcing "every trained token is the argmax" is greedy exact match."""
    rng = random.Random(99)
    kinds = {
        "math": lambda: gen_math.sample(rng, "test", True), "math0": lambda: gen_math.sample(rng, "test", False),
        "tool": lambda: gen_tools.call(rng, "test", rng.random() < 0.5, False), "tool_read": lambda: gen_tools.call(rng, "test", False, True),
        "json": lambda: gen_json.sample(rng, "test", rng.random() < 0.5), "lookup": lambda: gen_lookup.sample(rng, "test", rng.random() < 0.5, turns=1),
        "look_long": lambda: gen_lookup.sample(rng, "test", False, size="long", turns=1), "repeat": lambda: gen_lookup.repeat(rng, False),
        "talk": lambda: gen_talk.sample(rng, "test", rng.random() < 0.5),
    }
    out = {}
    for kind, make in kinds.items():
        rows = [r for r in (render.encode(tokenizer, make()) for _ in range(count // 4 if kind == "look_long" else count)) if len(r[0]) <= 1025]
        out[kind] = [stack(rows[i:i + 16], max(len(r[0]) for r in rows[i:i + 16]) - 1) for i in range(0, len(rows), 16)]
    return out


def exact_rates(net, tests):
    """Share of rows whose last trained run is predicted without a mistake, per kind."""
    rates = {}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for kind, batches in tests.items():
            good = total = 0
            for ids, flags in batches:
                wrong = (net(ids[:, :-1]).argmax(-1) != ids[:, 1:]) & flags[:, 1:].bool()
                good += int((~wrong.any(1)).sum())
                total += ids.shape[0]
            rates[kind] = round(good / total, 3)
    return rates


def optimizers(net, args):
    matrices = [p for n, p in net.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for n, p in net.named_parameters() if p.dim() != 2]
    table = [net.model.embed_tokens.weight]
    adam = lambda groups: torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), eps=1e-9)
    if args.muon:
        groups = [{"params": table, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
        return [torch.optim.Muon(matrices, lr=args.muon_lr, weight_decay=0.05, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"), adam(groups)]
    return [adam([{"params": matrices + table, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}])]


def rate(progress):
    """Share of the top learning rate: 2 % warm-up, flat, then a straight line to zero over the last 60 %."""
    return min(1.0, progress / 0.02) * min(1.0, max(0.0, (1.0 - progress) / 0.6))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="main")
    parser.add_argument("--tokenizer", default=os.path.join(ROOT, "models", "nano"))
    parser.add_argument("--total", type=float, default=95)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--muon-lr", type=float, default=5e-3)
    parser.add_argument("--muon", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--batch-tokens", type=int, default=3072)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    folder = os.path.join(ROOT, "build", "nano", args.name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "checkpoint.pt")
    tokenizer = Tokenizer.from_file(os.path.join(args.tokenizer, "tokenizer.json"))
    net = model_file.Model(model_file.CONFIG)
    opts = optimizers(net, args)
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    state = {"seconds": 0.0, "step": 0, "tokens": 0, "chunk": 0}
    if args.resume:
        saved = torch.load(path)
        net.load_state_dict(saved["model"])
        for opt, values in zip(opts, saved["optimizers"]):
            opt.load_state_dict(values)
        mean, state = saved["mean"], saved["state"]
    data = Data(tokenizer, args.seed, args.batch_tokens, state["chunk"])
    tests = probes(tokenizer)
    hidden, head = net.hidden, lambda h, table, wanted: F.cross_entropy(F.linear(h, table).float(), wanted)
    if args.compile:
        hidden, head = torch.compile(hidden, dynamic=True), torch.compile(head, dynamic=True)

    def save():
        state["chunk"] = data.chunk
        torch.save({"model": net.state_dict(), "mean": mean, "optimizers": [o.state_dict() for o in opts], "state": state, "args": vars(args)}, path + ".part")
        os.replace(path + ".part", path)

    def report(**more):
        line = json.dumps(dict(state, seconds=round(state["seconds"]), **more))
        with open(os.path.join(folder, "log.jsonl"), "a") as log:
            log.write(line + "\n")
        print(line, flush=True)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    begin, warm = time.time(), 0
    piece, saved_at, shown, losses = 0.0, time.time(), state["seconds"], []
    while not stop and piece < args.minutes * 60 and state["seconds"] < args.total * 60:
        progress = state["seconds"] / (args.total * 60)
        ids, flags = data.next(progress)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = (args.muon_lr if isinstance(opt, torch.optim.Muon) else args.lr) * rate(progress)
        rows = flags[:, 1:].flatten().nonzero().squeeze(1)  # index_select has a fast backward, a boolean mask has not
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = hidden(ids[:, :-1]).flatten(0, 1).index_select(0, rows)
            loss = head(h, net.model.embed_tokens.weight, ids[:, 1:].flatten().index_select(0, rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        with torch.no_grad():
            keep = min(0.998, 1 - 1 / (1 + state["step"] / 10))
            torch._foreach_lerp_(list(mean.values()), list(net.state_dict().values()), 1 - keep)
        losses.append(loss.item())
        state["step"] += 1
        state["tokens"] += ids.numel()
        now = time.time()
        spent, begin, warm = now - begin if warm >= 3 else 0.0, now, warm + 1  # compiling is not training
        piece, state["seconds"] = piece + spent, state["seconds"] + spent
        if not math.isfinite(losses[-1]):
            sys.exit("train: loss is %r at step %d" % (losses[-1], state["step"]))
        if state["seconds"] - shown > 420:
            shown = state["seconds"]
            report(loss=round(sum(losses) / len(losses), 4), **exact_rates(net, tests))
            losses = []
        if time.time() - saved_at > 600 or state["step"] == 50:
            save()
            saved_at = time.time()
    save()
    report(loss=round(sum(losses) / max(1, len(losses)), 4), **exact_rates(net, tests))


if __name__ == "__main__":
    main()
