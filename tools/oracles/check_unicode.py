#!/usr/bin/env python3
"""Compares the split and NFC with Hugging Face `tokenizers` for every code point, one by one, in several surroundings:
alone, among letters, digits, spaces and symbols, after apostrophes, between combining marks, and every pair of a
code point that NFC treats specially with every mark it may join. Exit status 1 on a difference.
    .oracles/bin/python tools/oracles/check_unicode.py build/release/tests/text/tokenizer_tool
"""
import itertools
import json
import subprocess
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
NFC = normalizers.NFC()
SPLIT = pre_tokenizers.Split(Regex(PATTERN), "isolated")


def surroundings(c):
    yield c
    yield f"a{c}b 1{c}2 .{c}. {c}\n{c}{c} {c}\r{c}  x"
    yield f"'{c}a 'l{c} 'r{c} 'v{c} '{c}e '{c}l {c}'s{c}'T"
    yield f"a\u0323\u0301{c}\u0301\u0323\u0345{c}\u3099"
    yield f"\u1100{c}\u11a8 \uac00{c} \u0915{c}\u093c {c}\u1161"


def strings():
    for code in range(0x110000):
        if not 0xD800 <= code <= 0xDFFF:
            yield " ".join(surroundings(chr(code)))
    # Every primary composite's parts, in order, swapped, and with marks between.
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if parts and not parts[0].startswith("<"):
            text = "".join(chr(int(p, 16)) for p in parts)
            first, rest = text[0], text[1:]
            yield f"{text} {text[::-1]} {first}\u0334{rest} {first}\u0345{rest} {text}{text} {chr(code)}{rest}"
    marks = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]
    for first in marks:
        yield "".join(f"a{first}{second}{first}" for second in marks[::7]) + f"{first}\u0300\u0316"


def words_of(tool, texts):
    """The tool's split of each text's NFC form."""
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    done = subprocess.run([tool, "words"], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    # Not splitlines(): the texts hold every kind of line separator.
    return [json.loads(line)["words"] for line in done.stdout.decode().rstrip("\n").split("\n")]


def main():
    total = wrong = 0
    texts = strings()
    while batch := list(itertools.islice(texts, 20000)):
        got_all = words_of(sys.argv[1], batch)
        for text, got in zip(batch, got_all, strict=True):
            want = [piece for piece, _ in SPLIT.pre_tokenize_str(NFC.normalize_str(text))]
            total += 1
            if got != want:
                wrong += 1
                if wrong <= 10:
                    at = next(i for i, (g, w) in enumerate(zip(got + [None], want + [None])) if g != w)
                    print(f"differs: {text!r}\n  at {at}: got {got[at:at + 4]!r}, reference {want[at:at + 4]!r}")
    print(f"unicode: {total} strings over all 1,112,064 scalar values, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
