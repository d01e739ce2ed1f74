#!/usr/bin/env python3
"""Writes the speed tables from the measurements in bench/results, between two markers of README.md and docs/speed.md.

    tools/readme_numbers.py            rewrites both
    tools/readme_numbers.py --check    exits 1 when one is not what the measurements give

The CSV files are appended to by `bantam bench --csv` (columns: src/cli/bench_report.cpp). Of every (machine, model,
type, numerics, KV type) the newest date counts; of several rows for the same work on that date the last one. Rows of
other engines become a column: of each engine the setting that is best for it. docs/speed.md has all tables, the README
those with another engine beside ours, or all where none has."""
import argparse
import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- numbers: written by tools/readme_numbers.py -->", "<!-- end of numbers -->"
GROUP = ("cpu", "isa", "threads", "model", "type", "numerics", "kv")


def read_rows(folder):
    rows = []
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not set(GROUP) <= set(reader.fieldnames):
                continue  # another kind of measurement
            rows += reader
    return rows


def own(row):
    return row.get("engine", "bantam") == "bantam"


def work_of(row):
    # How many steps a decode row took is no other work.
    return tuple(row[c] for c in ("work", "context", "batch")) + ((row["tokens"],) if row["work"] == "prefill" else ())


def newest(rows):
    """{group: its rows of the newest date, one per work, engine and flags}, in the order of the files."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[c] for c in GROUP), []).append(row)
    for key, members in groups.items():
        date = max(r["date"] for r in members)
        last = {(work_of(r), r.get("engine", "bantam"), r.get("flags", "")): r for r in members if r["date"] == date}
        groups[key] = list(last.values())
    return groups


def what(row):
    if row["work"] == "start":
        return "start to first token"
    if row["work"] == "prefill":
        after = "" if row["context"] == "0" else f" after {int(row['context']):,}"
        return f"prefill of {int(row['tokens']):,} tokens{after}"
    batch = "" if row["batch"] == "1" else f", {row['batch']} sequences together"
    return f"decode after {int(row['context']):,} tokens{batch}"


def order(row):
    return ("start", "prefill", "decode").index(row["work"]), int(row["batch"]), int(row["context"]), int(row["tokens"])


def speed(row):
    if row["work"] == "start":
        memory = f", {float(row['rss_mb']) / 1000:.2f} GB resident" if row.get("rss_mb") else ""
        return f"{1 / float(row['tok_s']):.2f} s{memory}"
    return f"{float(row['tok_s']):.1f}"


def spread(rows, column, digits):
    low, high = min(float(r[column]) for r in rows), max(float(r[column]) for r in rows)
    texts = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def against(row, peers):
    """The peer's best setting for the same work: the one that leaves the smallest ratio."""
    same = [p for p in peers if work_of(p) == work_of(row)]
    if not same:
        return "-"
    best = min(same, key=lambda p: float(p["ratio"]))
    return f"{float(best['ratio']):.2f}x of {speed(best)}" + (f" ({best['flags']})" if best["flags"] else "")


def table(rows):
    ours, r = [row for row in rows if own(row)], rows[0]
    engines = {}
    for row in rows:
        if not own(row):
            engines.setdefault(row["engine"], []).append(row)
    names = [name + "".join(f" {commit}" for commit in sorted({p["commit"] for p in peers} - {""}))
             for name, peers in engines.items()]
    yield (f"**{r['model']}, {r['type']}**, numerics {r['numerics']}, KV {r['kv']}; {r['cpu']}, {r['threads']} thread{'' if r['threads'] == '1' else 's'}, "
           f"{r['isa']}, on which {spread(ours, 'read_gbs', 1)} GB/s of reading, {spread(ours, 'fma_gflops', 0)} GFLOP/s of "
           f"fp32 FMA and {spread(ours, 'int8_gops', 0)} GOP/s of int8 dots were measured in the same run "
           f"({r['date']}, commit {', '.join(dict.fromkeys(row['commit'] for row in ours))})" + ("; ratios are medians of pairs run in turns:" if names else ":"))
    yield ""
    yield "| work | tokens/s | share of the limit | limited by |" + "".join(f" against {name} |" for name in names)
    yield "|---|---|---|---|" + "---|" * len(names)
    for row in sorted(ours, key=order):
        cells = "".join(f" {against(row, peers)} |" for peers in engines.values())
        yield f"| {what(row)} | {speed(row)} | {100 * float(row['limit_share']):.0f} % | {row['bound']} |{cells}"
    yield ""


def numbers(groups):
    if not groups:
        return "No measurements are in bench/results yet; `./dev bench MODEL --csv bench/results/FILE.csv` adds some.\n"
    return "\n".join(line for rows in groups for line in table(rows))


def update(page, groups, check):
    """Puts the tables between the page's markers, or only looks."""
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{page}: expected the markers {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    wanted = f"{head}{BEGIN}\n{numbers(groups)}{END}{rest.split(END)[1]}"
    if wanted == text:
        print(f"{page.name}: the numbers are those of bench/results")
    elif check:
        sys.exit(f"{page.name}: the numbers are not those of bench/results; tools/readme_numbers.py rewrites them")
    else:
        page.write_text(wanted, encoding="utf-8")
        print(f"{page.name}: numbers rewritten")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    options = parser.parse_args()
    groups = list(newest(read_rows(options.root / "bench/results")).values())
    compared = [rows for rows in groups if not all(map(own, rows))]
    update(options.root / "README.md", compared or groups, options.check)
    update(options.root / "docs/speed.md", groups, options.check)


if __name__ == "__main__":
    main()
