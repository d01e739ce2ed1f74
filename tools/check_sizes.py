#!/usr/bin/env python3
"""The file-size meter: prints median, 90th percentile, maximum and the share of lines in files over 1,000 lines.

    tools/check_sizes.py [ROOT]

Fails when a median passes 200 or a 90th percentile 450 lines, when files over 1,000 lines hold more than 5 % of the
lines, when a file over 800 lines does not say why in its banner ("long because"), or when the web UI's own scripts and
styles pass 150,000 bytes without their comment lines."""
import pathlib
import statistics
import sys

SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".py", ".js"}
MEDIAN, P90, LONG, HUGE, HUGE_SHARE = 200, 450, 800, 1000, 0.05
WEB_BYTES = 150_000


def line_counts(folder):
    return {p: len(p.read_text(encoding="utf-8", errors="replace").splitlines())
            for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file()}


def check(root, top):
    """Prints one line of figures; yields complaints."""
    counts = line_counts(root / top)
    if not counts:
        return
    sizes = sorted(counts.values())
    median, p90 = statistics.median(sizes), sizes[min(len(sizes) - 1, int(len(sizes) * 0.9))]
    share = sum(n for n in sizes if n > HUGE) / max(1, sum(sizes))
    print(f"{top:7} {len(sizes):4} files  median {median:4.0f}  p90 {p90:4}  max {sizes[-1]:5}  "
          f"over {HUGE}: {100 * share:4.1f} % of the lines")
    if median > MEDIAN or p90 > P90:
        yield f"{top}: expected a median of at most {MEDIAN} and a 90th percentile of at most {P90} lines"
    if share > HUGE_SHARE:
        yield f"{top}: more than {100 * HUGE_SHARE:.0f} % of the lines are in files over {HUGE} lines"
    for path, lines in sorted(counts.items()):
        banner = "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[:12]).lower()
        if lines > LONG and "long because" not in banner:
            yield f'{path.relative_to(root)}: {lines} lines and no "long because" in its banner'


def check_web(root):
    """The page's budget: it comes from a small machine and runs on phones. Libraries are not counted."""
    code = 0
    for path in sorted((root / "web").rglob("*")):
        if path.suffix in (".js", ".css"):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            code += sum(len(line.encode()) for line in lines if not line.lstrip().startswith(("//", "/*")))
    if code:
        print(f"{'web':7} {code:,} bytes of scripts and styles without comments, of {WEB_BYTES:,}")
    if code > WEB_BYTES:
        yield f"web: expected at most {WEB_BYTES:,} bytes of scripts and styles, got {code:,}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    bad = [complaint for top in ("include", "src", "tests", "bench", "tools", "web") if (root / top).is_dir()
           for complaint in check(root, top)]
    bad += check_web(root)
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
