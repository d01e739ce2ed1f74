#!/usr/bin/env python3
"""Compares bantam's tokenizer with Hugging Face `tokenizers` on the real Qwen3 files: at least 200,000 strings in every
script and corner, added tokens on and off, runs of a megabyte, decoding of random ids whole and streamed; then again on
the vocab.json + merges.txt form and on a variant with every kind of added token. Exit status 1 on a difference.
    .oracles/bin/python tools/oracles/check_tokenizer.py build/release/tests/text/tokenizer_tool [STRINGS] [SEED]
"""
import collections
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

import tokenizer_texts as texts

FOLDER = texts.shared("qwen3-tokenizer")
ODD_ADDED = [  # content, lstrip, rstrip, normalized, special
    ("<left>", True, False, False, False), ("<right>", False, True, False, True), ("<both>", True, True, False, False),
    ("<normal>", False, False, True, False), ("<norm\u00e9>", True, True, True, False),
    ("e\u0301x", False, False, True, True), ("caf\u00e9", False, False, False, False),
    ("<left><right>", False, False, False, False), ("a b", False, False, True, False),
    ("hello", False, False, True, False), ("\u4f60\u597d", False, False, False, False), (" lead", False, True, False, False)]


class Pair:
    """One set of tokenizer files, read by both sides."""

    def __init__(self, tool, folder, reference_json):
        self.tool, self.folder = tool, folder
        self.with_added = Tokenizer.from_str(reference_json)
        plain = json.loads(reference_json)
        plain["added_tokens"] = []
        self.plain = Tokenizer.from_str(json.dumps(plain))
        self.controls = [token["content"] for token in json.loads(reference_json)["added_tokens"]]

    def ask(self, verb, lines):
        data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        done = subprocess.run([self.tool, verb, self.folder], input=data.encode(), stdout=subprocess.PIPE, check=True)
        return [json.loads(line) for line in done.stdout.decode().rstrip("\n").split("\n")]

    def check_encoding(self, cases):
        """cases: (category, text, special). Returns (count, differences), both by category."""
        count, wrong = collections.Counter(), collections.Counter()
        while batch := list(itertools.islice(cases, 20000)):
            answers = self.ask("tokenize", [{"text": text, "special": special} for _, text, special in batch])
            for (category, text, special), answer in zip(batch, answers, strict=True):
                reference = self.with_added if special else self.plain
                want = reference.encode(text, add_special_tokens=False).ids
                count[category] += 1
                if answer["ids"] != want:
                    wrong[category] += 1
                    if wrong[category] <= 3:
                        print(f"  {category}, special={special}: {text[:120]!r}\n    got       {answer['ids'][:24]}"
                              f"\n    reference {want[:24]}")
        return count, wrong

    def check_decoding(self, rng, sequences):
        wrong = 0
        size = self.with_added.get_vocab_size()
        batch = [[rng.randrange(size + 300) if rng.random() < 0.7 else rng.randrange(300) for _ in
                  range(rng.randint(0, 24))] for _ in range(sequences)]
        for ids, answer in zip(batch, self.ask("detokenize", [{"ids": ids} for ids in batch]), strict=True):
            want = self.with_added.decode(ids, skip_special_tokens=False)
            if answer["text"] != want or answer["streamed"] != want:
                wrong += 1
                if wrong <= 3:
                    print(f"  decode {ids}: got {answer!r}, reference {want!r}")
        return wrong


def cases(rng, count, controls):
    """Endless kinds in turn, `count` strings in all."""
    prose, code = texts.english(), texts.code()
    files = ("math/math500.jsonl", "geo/world-cities.csv", "ifeval/input_data.jsonl")
    other = [texts.read(texts.shared(path)) for path in files]
    slice_of = lambda text, longest: next(texts.slices(rng, text, 1, longest))
    mixed = lambda: "".join(
        rng.choice([texts.white, texts.digits, texts.contraction, texts.emoji, texts.combining])(rng) for _ in range(3))
    kinds = {
        "prose": lambda: slice_of(prose, 300), "code": lambda: slice_of(code, 300),
        "data": lambda: slice_of(rng.choice(other), 300), "chinese": lambda: texts.chinese(rng, rng.randint(1, 80)),
        "emoji": lambda: texts.emoji(rng), "white space": lambda: texts.white(rng), "digits": lambda: texts.digits(rng),
        "contractions": lambda: texts.contraction(rng), "combining": lambda: texts.combining(rng),
        "decomposed": lambda: texts.decomposed(rng, slice_of(other[1], 60) + texts.block_text(rng, "latin")),
        "random bytes": lambda: texts.random_bytes(rng), "mixed": mixed,
        "random unicode": lambda: "".join(texts.scalar(rng) for _ in range(rng.randint(1, 40))),
        "control tokens": lambda: texts.with_control(rng, rng.choice([mixed(), slice_of(prose, 60)]), controls)}
    for name in texts.BLOCKS:
        kinds[name] = lambda name=name: texts.block_text(rng, name)
    for category in itertools.islice(itertools.cycle(kinds), count):
        yield category, kinds[category](), rng.random() < 0.5


def odd_tokenizer(reference_json):
    """The same tokenizer with added tokens of every kind, some of them parts of others or of the vocabulary."""
    file = json.loads(reference_json)
    vocabulary = file["model"]["vocab"]
    next_id = max(token["id"] for token in file["added_tokens"]) + 1
    for content, lstrip, rstrip, normalized, special in ODD_ADDED:
        token_id = vocabulary.get(content, next_id)
        next_id += token_id == next_id
        file["added_tokens"].append({"id": token_id, "content": content, "single_word": False, "lstrip": lstrip,
                                     "rstrip": rstrip, "normalized": normalized, "special": special})
    return json.dumps(file, ensure_ascii=False)


def report(name, count, wrong, decoded=0, wrong_decoded=0):
    print(f"{name}: {sum(count.values())} strings, {sum(wrong.values())} differ; "
          f"{decoded} id sequences decoded, {wrong_decoded} differ")
    print("  " + ", ".join(f"{category} {n}" for category, n in count.items()))
    return sum(wrong.values()) + wrong_decoded


def main():
    tool = sys.argv[1]
    strings = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if not os.path.exists(FOLDER):
        print(f"skipped: {FOLDER} is not there")
        return 0
    rng = random.Random(seed)
    with open(os.path.join(FOLDER, "tokenizer.json"), encoding="utf-8") as file:
        qwen_json = file.read()
    wrong = 0
    qwen = Pair(tool, FOLDER, qwen_json)
    sequences = strings // 5
    wrong += report("tokenizer.json", *qwen.check_encoding(cases(rng, strings, qwen.controls)), sequences,
                    qwen.check_decoding(rng, sequences))
    runs = (("1 MiB runs", text, False) for text in texts.long_runs(1 << 20))
    wrong += report("long runs", *qwen.check_encoding(runs))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            shutil.copy(os.path.join(FOLDER, name), folder)
        pair = Pair(tool, folder, qwen_json)
        wrong += report("vocab.json + merges.txt", *pair.check_encoding(cases(rng, strings // 10, pair.controls)))
    with tempfile.TemporaryDirectory() as folder:
        odd_json = odd_tokenizer(qwen_json)
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
            file.write(odd_json)
        pair = Pair(tool, folder, odd_json)
        odd = [content for content, *_ in ODD_ADDED]
        wrong += report("odd added tokens", *pair.check_encoding(
            ("odd", texts.with_control(rng, texts.white(rng) + texts.combining(rng), odd), True)
            for _ in range(strings // 10)), sequences, pair.check_decoding(rng, sequences))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
