#!/usr/bin/env python3
"""The file-size meter: prints median, 90th percentile, maximum and the share of lines in files over 1,000 lines.

Fails when that share passes 5 %, or when a file over 800 lines does not say why in its banner ("long because")."""
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".py", ".js"}


def main():
    failed = False
    for top in ("src", "tests", "tools"):
        counts = {p: len(p.read_text(errors="replace").splitlines())
                  for p in (ROOT / top).rglob("*") if p.suffix in SUFFIXES and p.is_file()}
        if not counts:
            continue
        sizes = sorted(counts.values())
        total = sum(sizes)
        over = sum(n for n in sizes if n > 1000)
        p90 = sizes[min(len(sizes) - 1, int(len(sizes) * 0.9))]
        print(f"{top:6} {len(sizes):4} files  median {statistics.median(sizes):4.0f}  p90 {p90:4}  max {sizes[-1]:5}  "
              f"in >1k {100 * over / total:4.1f} %")
        if over > 0.05 * total:
            failed = True
            print(f"{top}: more than 5 % of the lines are in files over 1,000 lines")
        for path, lines in counts.items():
            if lines > 800 and "long because" not in "\n".join(path.read_text().splitlines()[:12]).lower():
                failed = True
                print(f"{path.relative_to(ROOT)}: {lines} lines and no sentence in its banner saying why")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
