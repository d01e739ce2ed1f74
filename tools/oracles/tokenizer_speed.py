#!/usr/bin/env python3
"""Speed of bantam's tokenizer beside Hugging Face `tokenizers` on one thread, in one run: English, code and Chinese
text, each encoded whole, best of several, in processor time on both sides (so that other work on the machine does not
count). `tokenizers` is timed by its faster entry (encode or encode_batch_fast).
Then how bantam's time grows with length: the exponent from 4 to 16 MiB of Chinese text and of single-class runs (both
sizes beyond the caches and on fresh pages; between smaller ones those two effects would be measured instead).
Exit status 1 below 5x or above an exponent of 1.2; a quadratic step anywhere would show as 2.
    .oracles/bin/python tools/oracles/tokenizer_speed.py build/release/tests/text/tokenizer_tool
"""
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402  (reads the environment when imported)

import tokenizer_texts as texts  # noqa: E402

FOLDER = texts.shared("qwen3-tokenizer")


def best_of(times, work):
    best = math.inf
    for _ in range(times):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def bench(tool, contents):
    """{name: text} -> load seconds, {name: (seconds, ids)} from one run of the tool."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in contents.items():
            paths.append(os.path.join(folder, name))
            with open(paths[-1], "w", encoding="utf-8", newline="") as file:
                file.write(text)
        out = subprocess.run([tool, "bench", FOLDER, *paths], stdout=subprocess.PIPE, check=True).stdout
    load, *rows = map(json.loads, out.decode().splitlines())
    return load["load_s"], {os.path.basename(row["file"]): (row["s"], row["ids"]) for row in rows}


def main():
    if not os.path.exists(FOLDER):
        print(f"skipped: {FOLDER} is not there")
        return 0
    tool, failed = sys.argv[1], False
    rng = random.Random(1)
    contents = {"english": texts.english(), "code": texts.code()[:1_500_000], "chinese": texts.chinese(rng, 300_000)}
    begin = time.process_time()
    reference = Tokenizer.from_file(os.path.join(FOLDER, "tokenizer.json"))
    reference_load = time.process_time() - begin
    load, ours = bench(tool, contents)
    print(f"load        bantam {load * 1e3:7.1f} ms   tokenizers {reference_load * 1e3:7.1f} ms")
    for name, text in contents.items():
        theirs = min(best_of(3, lambda: reference.encode(text, add_special_tokens=False)),
                     best_of(3, lambda: reference.encode_batch_fast([text], add_special_tokens=False)))
        seconds, ids = ours[name]
        megabytes = len(text.encode()) / 1e6
        print(f"{name:10}  bantam {megabytes / seconds:7.1f} MB/s  tokenizers {megabytes / theirs:7.2f} MB/s  "
              f"{theirs / seconds:6.1f}x  ({megabytes:.2f} MB, {ids} ids)")
        failed |= theirs < 5 * seconds
    small, large = 1 << 22, 1 << 24
    runs = {"chinese": texts.chinese(rng, large), "letters": "a" * large, "symbols": "!?" * (large // 2),
            "spaces": " " * large, "line breaks": "\n " * (large // 2), "marks": "a" + "\u0301\u0323" * (large // 2)}
    _, times = bench(tool, {f"{name} {size}": text[:size] for name, text in runs.items() for size in (small, large)})
    for name in runs:
        low, high = times[f"{name} {small}"][0], times[f"{name} {large}"][0]
        exponent = math.log(high / low) / math.log(large / small)
        print(f"{name:12} {small >> 10} KiB {low * 1e3:8.2f} ms   {large >> 10} KiB {high * 1e3:8.1f} ms   "
              f"exponent {exponent:.2f}")
        failed |= exponent > 1.2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
