#!/usr/bin/env python3
"""What surrounds the kernels, measured from outside: starting, and sharing the machine.

    tools/measure_start.py [--bantam PATH] [--csv FILE] start MODEL    first and warm starts to the first token, memory
    tools/measure_start.py [--bantam PATH] [--csv FILE] share MODEL    decode beside a two-job compile, of its quiet speed

`start` runs whole `bantam forward` processes, so a model needs no tokenizer: one without the cache, one that writes it
into a folder of its own (and waits for that at exit), then warm ones, each a prompt of eight tokens and the logits after
it. `share` takes `bantam bench`'s decode row, quietly and beside two compilers in turns. --csv appends
rows (date, commit, model, work, value, unit)."""
import argparse
import csv
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def forward(args, tokens, env, *options):
    """Seconds and peak resident bytes of a process that computes `tokens` tokens."""
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder) / "ids.jsonl"
        lines.write_text(json.dumps({"ids": [(i * 37 + 11) % 1000 for i in range(tokens)]}) + "\n", encoding="utf-8")
        command = [args.bantam, "forward", args.model, str(lines), "-o", os.path.join(folder, "out"), "--last", "--quiet"]
        begin = time.monotonic()
        with subprocess.Popen(command + list(options), env=env) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
        seconds = time.monotonic() - begin
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: exit {status}")
    return seconds, usage.ru_maxrss * 1024


def start(args, env):
    size = os.path.getsize(args.model)
    with tempfile.TemporaryDirectory(prefix="bantam-start-", dir=args.folder) as folder:
        env = dict(env, BANTAM_CACHE_DIR=folder)
        yield "start without the cache", forward(args, 8, env, "--no-cache")[0], "s"
        yield "first start, the cache written before it exits", forward(args, 8, env)[0], "s"
        packed = [p.stat().st_size for p in pathlib.Path(folder).rglob("*.packed")]
        if not packed:
            raise SystemExit("nothing was kept")
        os.sync()  # a start beside the disk's writing is another measurement
        rows = [forward(args, 8, env) for _ in range(args.repeats)]
        yield "warm start to the first token", statistics.median(seconds for seconds, _ in rows), "s"
        yield "peak resident memory of the model file's size", rows[-1][1] / size, "x"
        yield "cache file of the model file's size", packed[0] / size, "x"


def compile_for(stop):
    source = ROOT / "src" / "base" / "json.cpp"
    command = ["c++", "-std=c++20", "-O2", f"-I{ROOT / 'src'}", f"-I{ROOT / 'include'}", "-c", str(source), "-o", os.devnull]
    while not stop.is_set():
        subprocess.run(command, check=True)


def tokens_per_second(args, env):
    command = [args.bantam, "bench", args.model, "--prefill", "1", "--context", "0", "--batch", "1", "--repeats", "1",
               "--decode-tokens", str(args.tokens), "--json", "--quiet"]
    out = subprocess.run(command, env=env, capture_output=True, check=True).stdout
    return next(row["tok_s"] for row in json.loads(out)["rows"] if row["work"] == "decode")


def share(args, env):
    quiet, loaded = [], []
    for _ in range(args.repeats):
        quiet.append(tokens_per_second(args, env))
        stop = threading.Event()
        jobs = [threading.Thread(target=compile_for, args=(stop,)) for _ in range(2)]
        for job in jobs:
            job.start()
        try:
            loaded.append(tokens_per_second(args, env))
        finally:
            stop.set()
            for job in jobs:
                job.join()
        print(f"  quiet {quiet[-1]:.2f} tok/s, beside the compile {loaded[-1]:.2f}", flush=True)
    yield "decode, quiet", statistics.median(quiet), "tok/s"
    yield "decode beside a two-job compile", statistics.median(loaded), "tok/s"
    yield "its share of the quiet speed", statistics.median(b / a for a, b in zip(quiet, loaded)), "x"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=("start", "share"))
    parser.add_argument("model")
    parser.add_argument("--bantam", default=str(ROOT / "build" / "release" / "bantam"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=60, help="tokens of one run of `share`")
    parser.add_argument("--folder", help="where `start` keeps its cache files; default: the system's temporary folder")
    parser.add_argument("--csv")
    args = parser.parse_args()
    version = json.loads(subprocess.run([args.bantam, "version", "--json"], capture_output=True, check=True).stdout)
    rows = []
    for work, value, unit in (start if args.work == "start" else share)(args, dict(os.environ)):
        print(f"{work:48} {value:8.3f} {unit}", flush=True)
        rows.append([datetime.date.today().isoformat(), version.get("commit", ""), pathlib.Path(args.model).name, work, f"{value:.4g}", unit])
    if args.csv:
        new = not os.path.exists(args.csv)
        with open(args.csv, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "commit", "model", "work", "value", "unit"])
            writer.writerows(rows)


if __name__ == "__main__":
    main()
