#!/usr/bin/env python3
"""Load on `bantam serve`, and what it must not change.

    tools/bench_server.py load [MODEL] [--clients 1,4,16,64] [--csv bench/results/server.csv]
        Streams at each number of clients: tokens per second, time to first token and between tokens, and the same requests through
        `bantam generate` (the same scheduler without HTTP), which shows what the server costs. Both read prompts at one pace
        (--max-slowdown 0): the server's default trades throughput for others' latency, which is no cost of serving.
    tools/bench_server.py offline [MODEL] [--clients 16,64]
        `bantam generate` as it comes against the server at the number of clients where it is fastest.
    tools/bench_server.py prefill [MODEL] [--prompt 8192]
        How much one long prompt raises the time between tokens of 8 streams.
    tools/bench_server.py slow [MODEL] [--slow 500]
        8 streams with and without slow clients beside them (headers and bodies that do not go on, answers nobody reads): p99 of the time to the
        first token and between tokens, and their ratios.
    tools/bench_server.py day [MODEL] [--requests 86400]
        As many small requests as a day has seconds, each answer compared: what memory, descriptors and times do meanwhile. Exit
        code 1 when an answer differs, a descriptor is left, or memory grows by 1 KiB and more per 1,000 requests.
    tools/bench_server.py invariance [MODEL] [--streams 1000]
        Random requests at random times, some cancelled, with and without the prefix cache: every answer (tokens and
        log-probabilities) must be the one its request gets alone. Exit code 1 when one differs.

The client runs on the same machine and takes its share of it. Standard library only."""
import argparse
import asyncio
import csv
import datetime
import http.client
import json
import os
import pathlib
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ("time year people way day man thing woman life child world school state family student group country problem hand part place case "
         "week company system program question work government number night point home water room mother area money story fact month").split()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Server:
    def __init__(self, program, model, *args):
        self.log = tempfile.TemporaryFile()
        command = [program, "serve", *([model] if model else []), "--port", "0", "--max-per-address", "4096", "--max-connections", "4096", *args]
        self.process = subprocess.Popen(command, stderr=self.log, stdout=subprocess.DEVNULL)
        while True:
            text = os.pread(self.log.fileno(), 1 << 16, 0).decode()
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", text)
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                sys.exit("the server does not start:\n" + text)
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def rss_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1000


async def request(port, method, path, body=None):
    """Status, header lines and a reader of the body's lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    data = json.dumps(body).encode() if body is not None else b""
    writer.write(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return int(head.split(" ", 2)[1]), reader, writer


async def get_json(port, path):
    _, reader, writer = await request(port, "GET", path)
    data = json.loads(await reader.read())
    writer.close()
    return data


class Answer:
    """A streamed completion: when its pieces came, and what they were."""

    def __init__(self):
        self.times, self.text, self.logprobs, self.usage, self.status = [], "", [], None, 0


async def stream(port, body, cancel_after=None):
    answer = Answer()
    answer.began = time.perf_counter()
    answer.status, reader, writer = await request(port, "POST", "/v1/chat/completions", dict(body, stream=True, stream_options={"include_usage": True}))
    if answer.status != 200:
        writer.close()
        return answer
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter()
        event = json.loads(line[6:])
        if event.get("usage"):
            answer.usage = event["usage"]
        for choice in event["choices"]:
            delta = choice["delta"]
            piece = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
            if piece:
                answer.times.append(now)
                answer.text += piece
            for kind in ("reasoning", "content"):
                answer.logprobs += [(t["id"], t["logprob"]) for t in (choice.get("logprobs") or {}).get(kind, [])]
        if cancel_after is not None and len(answer.times) >= cancel_after:
            break
    writer.close()
    return answer


def conversation(rng, words):
    return [{"role": "user", "content": " ".join(rng.choice(WORDS) for _ in range(words))}]


async def never_ends(port):
    """logit_bias that keeps a model from ending its turn."""
    info = await get_json(port, "/tokenizer_info")
    return {str(i): -100 for i in info["stop_ids"]}


def git_commit():
    return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()


def generate_rate(options, bodies, clients=None):
    """Tokens per second of the same requests without HTTP; in batches of `clients`, or of the program's own choice."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "in.jsonl"), os.path.join(folder, "out.jsonl")
        with open(source, "w", encoding="utf-8") as file:
            for i, body in enumerate(bodies):
                file.write(json.dumps({"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n")
        done = subprocess.run([options.program, "generate", *([options.model] if options.model else []), source, out, *(["--batch", str(clients)] if clients else []), *options.args],
                              capture_output=True, text=True, check=True)
        return float(re.search(r"([\d.]+) tokens/s", done.stderr).group(1))


def send(port, body):
    data = json.dumps(dict(body, stream=True, stream_options={"include_usage": True})).encode()
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    return sock


def load_level(port, options, clients, rng):
    """Asks from `clients` clients at a time. Pieces are counted, not read: what this program computes is taken from the server."""
    bias = asyncio.run(never_ends(port))
    count = max(clients, options.requests // 4 if clients < 4 else options.requests)
    count = (count + clients - 1) // clients * clients
    bodies = [{"messages": conversation(rng, options.words), "max_tokens": options.tokens, "temperature": 0, "enable_thinking": False, "logit_bias": bias}
              for _ in range(count)]
    waiting, first, between, tokens = list(bodies), [], [], 0
    selector = selectors.DefaultSelector()

    def ask():
        if waiting:
            selector.register(send(port, waiting.pop()), selectors.EVENT_READ, {"began": time.perf_counter(), "last": None, "tail": b""})

    began = time.perf_counter()
    for _ in range(clients):
        ask()
    while selector.get_map():
        for key, _ in selector.select():
            data, now, state = key.fileobj.recv(1 << 16), time.perf_counter(), key.data
            if data:
                pieces = data.count(b'content":"')
                if pieces and state["last"] is None:
                    first.append(now - state["began"])
                elif pieces:
                    between.append(now - state["last"])
                    between += [0.0] * (pieces - 1)
                if pieces:
                    state["last"] = now
                state["tail"] = (state["tail"] + data)[-2000:]
                continue
            tokens += int(re.search(rb'"completion_tokens":(\d+)', state["tail"]).group(1))
            selector.unregister(key.fileobj)
            key.fileobj.close()
            ask()
    seconds = time.perf_counter() - began
    return bodies, {"clients": clients, "requests": count, "tok_s": tokens / seconds, "ttft_p50_ms": 1000 * percentile(first, 0.5),
                    "ttft_p99_ms": 1000 * percentile(first, 0.99), "itl_p50_ms": 1000 * percentile(between, 0.5), "itl_p99_ms": 1000 * percentile(between, 0.99)}


def load(options):
    rows = []
    rng = random.Random(1)
    for clients in (int(c) for c in options.clients.split(",")):
        rounds = []
        for _ in range(options.rounds):  # in turns: with and without the server
            with Server(options.program, options.model, "--no-prefix-cache", "--max-slowdown", "0", *options.serve_args) as server:
                load_level(server.port, argparse.Namespace(**{**vars(options), "requests": clients, "tokens": 4}), clients, rng)
                bodies, row = load_level(server.port, options, clients, rng)
                row["rss_mb"] = server.rss_mb()
            row["bare_tok_s"] = generate_rate(options, bodies, clients)
            row["overhead"] = 1 - row["tok_s"] / row["bare_tok_s"]
            rounds.append(row)
        row = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        print("clients {clients:3.0f}: {tok_s:8.1f} tokens/s (without HTTP {bare_tok_s:8.1f}, overhead {overhead:5.1%}), first token {ttft_p50_ms:.1f} / {ttft_p99_ms:.1f} ms, "
              "between tokens {itl_p50_ms:.2f} / {itl_p99_ms:.2f} ms (p50 / p99)".format(**row), flush=True)
        rows.append(row)
    write_rows(options, "load", rows)


def offline(options):
    rng = random.Random(1)
    ratios = []
    for _ in range(options.rounds):
        rates, bodies = {}, []
        for clients in (int(c) for c in options.clients.split(",")):
            with Server(options.program, options.model, "--no-prefix-cache", "--max-slowdown", "0", *options.serve_args) as server:
                load_level(server.port, argparse.Namespace(**{**vars(options), "requests": clients, "tokens": 4}), clients, rng)
                asked, row = load_level(server.port, options, clients, rng)
            rates[clients] = row["tok_s"]
            bodies = asked if len(asked) >= len(bodies) else bodies
        best = max(rates, key=rates.get)
        rate = generate_rate(options, bodies)
        ratios.append(rate / rates[best])
        print(f"generate {rate:.0f} tokens/s, the server at its best ({best} clients) {rates[best]:.0f}: {ratios[-1]:.2f}x", flush=True)
    print(f"median {statistics.median(ratios):.2f}x")


def slow_client(port, kind):
    """A connection that costs its server patience: of its header, of its body, or of its answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if kind == 0:
        sock.sendall(b"GET /hea")
    elif kind == 1:
        sock.sendall(head + b"Content-Length: 1000\r\n\r\n{")
    else:  # answers of some 2 MB that nobody takes
        sock.sendall(b"GET /ui/js/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
    sock.setblocking(False)
    return sock


async def healthy_streams(port, options, seconds):
    """First-token times and times between tokens of 8 clients that ask one answer after the other."""
    bias = await never_ends(port)
    first, between = [], []
    until = time.perf_counter() + seconds

    async def ask(seed):
        rng = random.Random(seed)
        while time.perf_counter() < until:
            answer = await stream(port, {"messages": conversation(rng, options.words), "max_tokens": options.tokens, "temperature": 0, "enable_thinking": False,
                                         "logit_bias": bias})
            if answer.status != 200 or answer.usage["completion_tokens"] != options.tokens:
                sys.exit(f"a healthy stream was harmed: {answer.status}, {answer.usage}")
            first.append(answer.times[0] - answer.began)
            between.extend(b - a for a, b in zip(answer.times, answer.times[1:]))

    await asyncio.gather(*(ask(seed) for seed in range(8)))
    return 1000 * percentile(first, 0.99), 1000 * percentile(between, 0.99), len(between)


def slow(options):
    ratios = []
    for _ in range(options.rounds):
        with Server(options.program, options.model, "--header-timeout", "60", *options.serve_args) as server:
            asyncio.run(healthy_streams(server.port, options, 0.5))
            quiet = asyncio.run(healthy_streams(server.port, options, options.quiet_s))
            clients = [slow_client(server.port, i % 3) for i in range(options.slow)]
            time.sleep(options.quiet_s)  # until those that do not read have had what the system holds for them
            beside = asyncio.run(healthy_streams(server.port, options, options.quiet_s))
            for sock in clients:
                sock.close()
        ratios.append((beside[0] / quiet[0], beside[1] / quiet[1]))
        print(f"8 streams, p99 alone and beside {options.slow} slow clients: first token {quiet[0]:.1f} and {beside[0]:.1f} ms ({ratios[-1][0]:.2f}x), "
              f"between tokens {quiet[1]:.2f} and {beside[1]:.2f} ms ({ratios[-1][1]:.2f}x, {quiet[2]} and {beside[2]} of them)", flush=True)
    print(f"median {statistics.median(r[0] for r in ratios):.2f}x and {statistics.median(r[1] for r in ratios):.2f}x")


def day(options):
    """One kept-alive connection per client, so that what grows is the server's."""
    count = options.requests if options.requests > 64 else 86400
    plans = [{"messages": [{"role": "user", "content": f"What is {i} + {i * 7 % 50}?"}], "max_tokens": 4, "temperature": 0, "seed": i, "enable_thinking": False}
             for i in range(50)]
    golden, wrong, times, rss = {}, [], [0.0] * count, []
    with Server(options.program, options.model, *options.serve_args) as server:
        def fds():
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        def ask(first, step):
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            for i in range(first, count, step):
                began = time.perf_counter()
                # The first 50 of one client say what is right.
                connection.request("POST", "/v1/chat/completions", json.dumps(plans[i % 50]), {"Content-Type": "application/json"})
                reply = connection.getresponse()
                data = json.loads(reply.read())
                times[i] = time.perf_counter() - began
                if reply.status != 200 or data["choices"][0]["message"] != golden[i % 50]:
                    wrong.append(data)
                if first == 0 and i // step % 250 == 0:
                    rss.append((i, server.rss_mb()))
            connection.close()

        fds_before = fds()
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for i, plan in enumerate(plans):
            connection.request("POST", "/v1/chat/completions", json.dumps(plan), {"Content-Type": "application/json"})
            golden[i] = json.loads(connection.getresponse().read())["choices"][0]["message"]
        connection.close()
        began = time.perf_counter()
        threads = [threading.Thread(target=ask, args=(i, 4)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        time.sleep(0.5)
        left = fds() - fds_before
    warm = [point for point in rss if point[0] >= count / 5]  # pages of keys and values are touched one by one until then
    mean_x, mean_y = statistics.mean(x for x, _ in warm), statistics.mean(y for _, y in warm)
    slope_kb = 1e6 * sum((x - mean_x) * (y - mean_y) for x, y in warm) / sum((x - mean_x) ** 2 for x, _ in warm)
    tenth = count // 10
    early, late = percentile(times[:tenth], 0.99), percentile(times[-tenth:], 0.99)
    print(f"{count} requests in {seconds:.0f} s: {len(wrong)} wrong answers, {left} descriptors left, memory {slope_kb:+.2f} KB per 1,000 requests after the first fifth, "
          f"p99 {1000 * early:.1f} ms in the first tenth, {1000 * late:.1f} ms in the last ({late / early:.2f}x)")
    sys.exit(1 if wrong or left > 0 or slope_kb >= 1.0 else 0)


def write_rows(options, work, rows):
    if not options.csv:
        return
    new = not os.path.exists(options.csv)
    with open(options.csv, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["date", "commit", "cpu", "model", "work", "clients", "requests", "tok_s", "bare_tok_s", "overhead", "ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms",
                             "itl_p99_ms", "rss_mb"])
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            cpu = re.search(r"model name\s*: (.*)", info.read()).group(1)
        for row in rows:
            writer.writerow([datetime.date.today(), git_commit(), cpu, os.path.basename(options.model) or "bantam-nano", work] +
                            [f"{row[k]:.4g}" if k in row else "" for k in ("clients", "requests", "tok_s", "bare_tok_s", "overhead", "ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms",
                                                                            "itl_p99_ms", "rss_mb")])


async def prefill_beside(port, options):
    """Times between tokens of 8 streams, alone and while a long prompt is read."""
    bias = await never_ends(port)
    rng = random.Random(2)
    body = {"max_tokens": options.tokens, "temperature": 0, "enable_thinking": False, "logit_bias": bias}
    streams = [asyncio.create_task(stream(port, dict(body, messages=conversation(rng, 8)))) for _ in range(8)]
    await asyncio.sleep(options.quiet_s)
    sent = time.perf_counter()
    ids = [1 + i % 200 for i in range(options.prompt)]
    _, reader, writer = await request(port, "POST", "/v1/completions", {"prompt": ids, "max_tokens": 1})
    await reader.read()
    writer.close()
    done = time.perf_counter()
    quiet, beside = [], []
    for answer in await asyncio.gather(*streams):
        for a, b in zip(answer.times[1:], answer.times[2:]):
            (quiet if b < sent else beside if a >= sent and b <= done else []).append(b - a)
    return percentile(quiet, 0.99), percentile(beside, 0.99), len(quiet), len(beside), done - sent


def prefill(options):
    ratios = []
    for _ in range(options.rounds):
        with Server(options.program, options.model, "--pool", str(3 * options.prompt), *options.serve_args) as server:
            quiet, beside, n, m, seconds = asyncio.run(prefill_beside(server.port, options))
        if not m:
            sys.exit("the streams ended before the prompt was read: more --tokens are needed")
        ratios.append(beside / quiet)
        print(f"8 streams: p99 between tokens {1000 * quiet:.1f} ms alone ({n}), {1000 * beside:.1f} ms beside a prompt of {options.prompt} tokens ({m}, {seconds:.1f} s): "
              f"{beside / quiet:.2f}x", flush=True)
    print(f"median {statistics.median(ratios):.2f}x")


async def one_by_one(port, bodies):
    return [await stream(port, body) for body in bodies]


async def in_company(port, bodies, rng, together):
    gate = asyncio.Semaphore(together)

    async def ask(body, delay, cancel_after):
        await asyncio.sleep(delay)
        async with gate:
            return await stream(port, body, cancel_after)

    plans = [(body, rng.random() * len(bodies) / 200, rng.randrange(1, 20) if rng.random() < 0.15 else None) for body in bodies]
    return await asyncio.gather(*(ask(*plan) for plan in plans))


def invariance(options):
    rng = random.Random(options.seed)
    bodies = []
    opening = " ".join(rng.choice(WORDS) for _ in range(120))
    for i in range(options.streams):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 3, 20, 150))))
        bodies.append({"messages": [{"role": "user", "content": (opening + " " if i % 3 == 0 else "") + text}], "max_tokens": rng.randrange(1, 48), "seed": i,
                       "temperature": rng.choice((0, 0.7, 1.0)), "top_p": rng.choice((1, 0.9)), "logprobs": True, "enable_thinking": bool(i % 2)})
    with Server(options.program, options.model, "--parallel", "1", "--no-prefix-cache", *options.serve_args) as server:
        alone = asyncio.run(one_by_one(server.port, bodies))
    wrong = cut = 0
    for args in ([], ["--no-prefix-cache"], ["--prefill", "17", "--parallel", "64"]):
        with Server(options.program, options.model, "--queue", str(options.streams), *args, *options.serve_args) as server:
            answers = asyncio.run(in_company(server.port, bodies, rng, options.together))
            health = asyncio.run(get_json(server.port, "/health"))
        for one, other in zip(alone, answers):
            n = len(other.logprobs)
            cut += n < len(one.logprobs)
            if other.status != 200 or other.logprobs != one.logprobs[:n] or not one.text.startswith(other.text) or n == 0:
                wrong += 1
        if health["answers_open"]:
            sys.exit(f"answers are left open: {health}")
    total = 3 * len(bodies)
    print(f"{total} answers in company of up to {options.together}, {cut} of them cancelled: {wrong} differ from the answer alone")
    sys.exit(1 if wrong else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("load", "offline", "prefill", "slow", "day", "invariance"))
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--program", default=str(ROOT / "build/release/bantam"))
    parser.add_argument("--serve-args", default="", help="more options for the server, as one text", type=str.split)
    parser.add_argument("--args", default="", help="the same for both programs", type=str.split)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, help="of an answer; default: 128, for `prefill` enough to be there while the prompt is read")
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", default="")
    parser.add_argument("--prompt", type=int, default=8192)
    parser.add_argument("--quiet-s", type=float, default=2.0)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--together", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.serve_args += options.args
    if options.tokens is None:
        options.tokens = 8000 if options.work == "prefill" else 128
    {"load": load, "offline": offline, "prefill": prefill, "slow": slow, "day": day, "invariance": invariance}[options.work](options)


if __name__ == "__main__":
    main()
