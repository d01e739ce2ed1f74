#!/usr/bin/env python3
"""Writes the README's speed tables from the measurements in bench/results, between the two markers.

    tools/readme_numbers.py            rewrites README.md
    tools/readme_numbers.py --check    exits 1 when README.md is not what the measurements give

The CSV files are appended to by `bantam bench --csv` (columns: src/cli/bench_report.cpp). Of every (machine, model,
type, numerics, KV type) the newest date counts; of several rows for the same work on that date the last one."""
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


def newest(rows):
    """{group: its rows of the newest date, one per work}, in the order of the files."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[c] for c in GROUP), []).append(row)
    for key, members in groups.items():
        date = max(r["date"] for r in members)
        last = {(r["work"], r["tokens"], r["context"], r["batch"]): r for r in members if r["date"] == date}
        groups[key] = list(last.values())
    return groups


def what(row):
    if row["work"] == "prefill":
        return f"prefill of {int(row['tokens']):,} tokens"
    batch = "" if row["batch"] == "1" else f", {row['batch']} sequences together"
    return f"decode after {int(row['context']):,} tokens{batch}"


def order(row):
    return row["work"] != "prefill", int(row["batch"]), int(row["context"]), int(row["tokens"])


def table(rows):
    r = rows[0]
    yield (f"**{r['model']}, {r['type']}**, numerics {r['numerics']}, KV {r['kv']}; {r['cpu']}, {r['threads']} threads, "
           f"{r['isa']}, on which {float(r['read_gbs']):.1f} GB/s of reading, {float(r['fma_gflops']):.0f} GFLOP/s of fp32 "
           f"FMA and {float(r['int8_gops']):.0f} GOP/s of int8 dots were measured in the same run "
           f"({r['date']}, commit {r['commit']}):")
    yield ""
    yield "| work | tokens/s | share of the limit | limited by |"
    yield "|---|---|---|---|"
    for row in sorted(rows, key=order):
        yield f"| {what(row)} | {float(row['tok_s']):.1f} | {100 * float(row['limit_share']):.0f} % | {row['bound']} |"
    yield ""


def numbers(folder):
    groups = newest(read_rows(folder))
    if not groups:
        return "No measurements are in bench/results yet; `./dev bench MODEL --csv bench/results/FILE.csv` adds some.\n"
    return "\n".join(line for rows in groups.values() for line in table(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    options = parser.parse_args()
    readme = options.root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{readme}: expected the markers {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    wanted = f"{head}{BEGIN}\n{numbers(options.root / 'bench/results')}{END}{rest.split(END)[1]}"
    if wanted == text:
        print("README.md: the numbers are those of bench/results")
    elif options.check:
        sys.exit("README.md: the numbers are not those of bench/results; tools/readme_numbers.py rewrites them")
    else:
        readme.write_text(wanted, encoding="utf-8")
        print("README.md: numbers rewritten")


if __name__ == "__main__":
    main()
