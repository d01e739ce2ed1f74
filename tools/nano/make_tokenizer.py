"""Trains the house model's byte-level BPE on our own generated text and writes the tokenizer files of models/nano.

Usage: .oracles/bin/python tools/nano/make_tokenizer.py --family FOLDER --out FOLDER
FOLDER of --family holds the family's tokenizer_config.json, tokenizer.json and chat_templates/qwen3-hybrid.jinja: from them come the
pre-tokenizer expression, the 26 added tokens and the template; the vocabulary and the merges are our own. Once made, the files in
models/nano are the source of truth: a new tokenizer means training from scratch.
"""
import argparse
import json
import os
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import gen_prose
import mixture
import render

BPE_SIZE = 4096
SEED = 20240501


def corpus(samples, progress=1.0):
    """Text between control tokens: what BPE sees."""
    for chunk in range(samples // 1000):
        for sample in mixture.batch(SEED + chunk, 1000, progress):
            text = "".join(s[0] for s in render.spans(sample))
            # The boilerplate of the tool prompt would swamp the counts: once in a while is enough.
            if sample.get("tools") and random.Random(len(text)).random() < 0.8:
                text = text.replace(render.TOOLS_HEAD, "").replace(render.TOOLS_TAIL, "")
            for mark in ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"):
                text = text.replace(mark, "\0")
            yield from (part for part in text.split("\0") if part)
    rng = random.Random(SEED)
    for _ in range(samples // 20):
        yield gen_prose.paragraph(rng, 20)
    # Plain English of everyday use beyond the grammar: the program's own help words and this family of scripts' documentation.
    here = os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(here)):
        if name.endswith((".py", ".md")):
            with open(os.path.join(here, name), encoding="utf-8") as file:
                yield from file.read().split("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--samples", type=int, default=60000)
    args = parser.parse_args()
    with open(os.path.join(args.family, "tokenizer.json"), encoding="utf-8") as file:
        family = json.load(file)
    with open(os.path.join(args.family, "tokenizer_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(args.family, "chat_templates", "qwen3-hybrid.jinja"), encoding="utf-8") as file:
        template = file.read()

    # The family's own normalizer and pre-tokenizer, taken over as JSON, so that only vocabulary and merges are ours.
    shell = {k: family[k] for k in ("version", "truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")}
    shell["added_tokens"] = []
    shell["model"] = dict(family["model"], vocab={}, merges=[])
    tokenizer = Tokenizer.from_str(json.dumps(shell))
    tokenizer.model = models.BPE()
    trainer = trainers.BpeTrainer(vocab_size=BPE_SIZE, min_frequency=2, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(corpus(args.samples), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    if len(trained["vocab"]) != BPE_SIZE:
        raise SystemExit("make_tokenizer: expected %d tokens, got %d: give more --samples" % (BPE_SIZE, len(trained["vocab"])))

    shell["model"]["vocab"], shell["model"]["merges"] = trained["vocab"], trained["merges"]
    shell["added_tokens"] = [dict(t, id=BPE_SIZE + i) for i, t in enumerate(family["added_tokens"])]
    config["added_tokens_decoder"] = {str(BPE_SIZE + i): t for i, t in enumerate(config["added_tokens_decoder"].values())}
    config["chat_template"] = template
    config["model_max_length"] = 32768

    os.makedirs(args.out, exist_ok=True)
    dump = lambda name, value, **kw: open(os.path.join(args.out, name), "w", encoding="utf-8").write(json.dumps(value, ensure_ascii=False, **kw) + "\n")
    dump("tokenizer.json", shell, indent=1)
    dump("tokenizer_config.json", config, indent=2)
    dump("vocab.json", trained["vocab"])
    with open(os.path.join(args.out, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join((m if isinstance(m, str) else " ".join(m)) + "\n" for m in trained["merges"]))
    print("%d tokens + %d added" % (BPE_SIZE, len(shell["added_tokens"])))


if __name__ == "__main__":
    main()
