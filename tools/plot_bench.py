#!/usr/bin/env python3
"""Draws the rows of `bantam bench --csv` with the machine's limit as a line, one figure per machine and model.

    tools/plot_bench.py [--out DIR] [--format png|svg] CSV...

Four panels: prefill against prompt length, prefill of the longest measured prompt against context, decode of one sequence
against context, decode against sequences together. Of several rows for the same work the last one of the newest date
counts; of another engine's settings the best. Needs matplotlib (Debian: python3-matplotlib)."""
import argparse
import csv
import pathlib
import re
import sys

GROUP = ("cpu", "isa", "threads", "model", "type", "numerics", "kv")
NEEDED = GROUP + ("date", "work", "tokens", "context", "batch", "tok_s", "limit_share", "engine", "flags")
OWN = "bantam"
# Colours that stay apart in print and for colour-blind readers (Okabe and Ito); ours first.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "oDs^vP"


def read(paths):
    """{group: rows of its newest date}, each row with its numbers as numbers."""
    groups = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = set(NEEDED) - set(reader.fieldnames or ())
            if missing:
                sys.exit(f"{path}: expected the columns of `bantam bench --csv`; missing: {', '.join(sorted(missing))}")
            for number, row in enumerate(reader, 2):
                try:
                    row.update({c: int(row[c]) for c in ("tokens", "context", "batch")})
                    row.update({c: float(row[c]) for c in ("tok_s", "limit_share")})
                except (TypeError, ValueError) as error:
                    sys.exit(f"{path}: line {number}: {error}")
                groups.setdefault(tuple(row[c] for c in GROUP), []).append(row)
    for key, rows in groups.items():
        date = max(r["date"] for r in rows)
        groups[key] = [r for r in rows if r["date"] == date]
    return groups


def curves(rows, axis):
    """{engine: {x: speed}} and {x: limit}; ours first."""
    last = {(r["engine"], r["flags"], r[axis]): r for r in rows}
    speeds, limit = {}, {}
    for (engine, _, x), row in sorted(last.items(), key=lambda item: (item[0][0] != OWN, item[0])):
        points = speeds.setdefault(engine, {})
        points[x] = max(points.get(x, 0), row["tok_s"])
        if engine == OWN and row["limit_share"] > 0:
            limit[x] = row["tok_s"] / row["limit_share"]
    return speeds, limit


def panels(rows):
    """(title, what x is, rows, column of x, whether zero is an x) of what was measured at more than one place."""
    prefill, decode = ([r for r in rows if r["work"] == work] for work in ("prefill", "decode"))
    deep = max((r["tokens"] for r in prefill if r["context"] > 0), default=0)
    shallow = min((r["context"] for r in decode), default=0)
    chosen = (("prefill", "tokens of prompt", [r for r in prefill if r["context"] == 0], "tokens"),
              (f"prefill of {deep:,} tokens", "tokens before them", [r for r in prefill if r["tokens"] == deep], "context"),
              ("decode, one sequence", "tokens of context", [r for r in decode if r["batch"] == 1], "context"),
              (f"decode at context {shallow:,}, in all", "sequences together", [r for r in decode if r["context"] == shallow],
               "batch"))
    return [panel for panel in chosen if len({r[panel[3]] for r in panel[2]}) > 1]


def draw(plt, key, rows, path):
    shown = panels(rows)
    if not shown:
        print(f"{'/'.join(key[3:5])}: no work was measured at two places; nothing to draw", file=sys.stderr)
        return
    engines = sorted({r["engine"] for r in rows}, key=lambda e: (e != OWN, e))
    figure, axes = plt.subplots(1, len(shown), figsize=(4.3 * len(shown), 4.2), squeeze=False, layout="constrained")
    for axis, (title, label, chosen, column) in zip(axes[0], shown):
        speeds, limit = curves(chosen, column)
        axis.plot(list(limit), list(limit.values()), color="0.35", linestyle="--", linewidth=1.3, label="the machine's limit")
        for engine, points in speeds.items():
            i = engines.index(engine)
            axis.plot(list(points), list(points.values()), color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
                      linewidth=2.2 if engine == OWN else 1.4, label=engine)
        places = sorted({x for points in speeds.values() for x in points})
        if places[0] == 0:
            axis.set_xscale("symlog", base=2, linthresh=max(1, places[1] // 2))
        else:
            axis.set_xscale("log", base=2)
        axis.set_xticks(places, [f"{x:,}" for x in places], rotation=30 if places[-1] > 999 else 0)
        axis.set_xticks([], minor=True)
        axis.set_ylim(bottom=0)
        axis.set(title=title, xlabel=label)
        axis.grid(True, color="0.9")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("tokens per second")
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncol=len(handles), frameon=False)
    cpu, isa, threads, model, weights, numerics, kv = key
    figure.suptitle(f"{model}, {weights}, numerics {numerics}, KV {kv}\n{cpu}, {threads} threads, {isa}; {rows[0]['date']}",
                    fontsize=10)
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="folder for the figures")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    options = parser.parse_args()
    groups = read(options.csv)
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        sys.exit("plot_bench.py needs matplotlib: `./dev setup --oracles` or apt-get install python3-matplotlib")
    options.out.mkdir(parents=True, exist_ok=True)
    for key, rows in groups.items():
        name = re.sub(r"[^a-z0-9]+", "-", "-".join(key[3:] + key[1:3]).lower()).strip("-")
        draw(plt, key, rows, options.out / f"{name}.{options.format}")


if __name__ == "__main__":
    main()
