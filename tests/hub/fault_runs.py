#!/usr/bin/env python3
"""Downloads from a hub that misbehaves, many times over: not one wrong file may be accepted, and the token may never
reach a foreign host, a message or a file.

    tests/hub/fault_runs.py [--bantam build/release/bantam] [--runs 500] [--seed N] [--verbose]

Each run draws a kind of fault, where and how often it strikes, sizes of files, connections and block size, and perhaps a
kill -9, a full disk or a second process in the middle. After the faults the same command must bring the model."""
import argparse
import collections
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fault_hub import ANSWER_FAULTS, BODY_FAULTS, Fault, FaultHub, content_hash, git_blob_sha1  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REPO = "Qwen/Fault-GGUF"
TOKEN = "hf_canary_token_0123456789"


class Wrong(Exception):
    pass


def check(ok, text):
    if not ok:
        raise Wrong(text)


def environment(cache, hub):
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith(("HF_", "XDG_", "BANTAM_"))}
    env.update(HF_HUB_CACHE=cache, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HOME=cache, LC_ALL="C")
    return env


def command(bantam, rng, stall):
    """On a busy machine an honest server can be silent for a while: only who is to meet silence has little patience."""
    return [bantam, "pull", REPO, "--stall-timeout", stall, "--backoff", "0.005", "--connections", str(rng.choice([1, 2, 4, 7])),
            "--block-size", str(rng.choice([4096, 8192, 30000, 1 << 20]))]


def check_cache(cache, hub):
    """Whatever happened: a name of the cache only ever means the bytes it was given to."""
    for folder, _, names in os.walk(cache):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.basename(folder) == "blobs" and ".bantam." not in name:
                with open(path, "rb") as file:
                    data = file.read()
                real = hashlib.sha256(data).hexdigest() if len(name) == 64 else git_blob_sha1(data)
                check(real == name, "a wrong file was accepted: %s is %s" % (name, real))
            if not os.path.islink(path) and ".bantam.incomplete" not in name:
                with open(path, "rb") as file:
                    check(TOKEN.encode() not in file.read(), "the token is in %s" % path)
    check(not hub.leaked(), "the token went to the foreign host: %s" % hub.leaked()[:1])


def check_model(cache, hub):
    """What main means now is there, whole."""
    repo = hub.repos[REPO]
    base = os.path.join(cache, "models--" + REPO.replace("/", "--"))
    with open(os.path.join(base, "refs", "main"), encoding="ascii") as file:
        commit = file.read()
    check(commit == repo.commit, "refs/main is %s, expected %s" % (commit, repo.commit))
    for name, data in repo.files.items():
        path = os.path.join(base, "snapshots", commit, name)
        with open(path, "rb") as file:
            check(file.read() == data, "%s is not what the hub has" % name)
        check(os.path.islink(path), "%s is no link" % name)
    left = [n for n in os.listdir(os.path.join(base, "blobs")) if ".bantam." in n]
    check(not left, "left behind: %s" % left)


def finish(process, timeout=60):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Wrong("it hangs")
    text = out + err
    check(TOKEN.encode() not in text, "the token is in a message: %r" % text[-300:])
    check(b"signature=" not in text, "a signed address is in a message: %r" % text[-300:])
    check(process.returncode in (0, 1, 4, -signal.SIGKILL), "exit code %s: %r" % (process.returncode, text[-500:]))
    return process.returncode, err.decode()


def start(arguments, env, limit=None):
    def limits():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.Popen(arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limits)


def random_files(rng):
    """A GGUF of one or three parts, or a folder with small files around its weights."""
    def size():
        return rng.choice([0, 1, 4095, 4096, 8192, rng.randrange(4096, 60000), rng.randrange(4096, 400000)])
    kind = rng.random()
    if kind < 0.6:
        return {"x-Q4_K_M.gguf": rng.randbytes(max(1, size())), "README.md": b"not asked for"}
    if kind < 0.8:
        return {"Q4_K_M/x-Q4_K_M-%05d-of-00003.gguf" % (i + 1): rng.randbytes(1 + size() // 2) for i in range(3)}
    return {"config.json": b"{}", "tokenizer.json": rng.randbytes(size()), "LICENSE": b"", "chat_template.jinja": b"x" * 700,
            "model.safetensors": rng.randbytes(1 + size())}


def one_run(bantam, rng, verbose):
    """Returns what happened, for the tally. Files that nobody asked for are left out of the hub's list of wishes."""
    mode = rng.choice(("ok",) + BODY_FAULTS * 2 + ANSWER_FAULTS + ("changed", "changed", "kill", "kill", "kill", "disk", "disk", "two"))
    files = random_files(rng)
    times = rng.choice([1, 2, 3, 5, 10**9])
    where = "head" if mode == "changed" else rng.choice(["file", "file", "head", "api"]) if mode in ANSWER_FAULTS else "file"
    cache = tempfile.mkdtemp(prefix="bantam-hub-")
    with FaultHub({REPO: files}, token=TOKEN, page=rng.choice([1, 2, 100])) as hub:
        hub.private = rng.random() < 0.5
        env, arguments = environment(cache, hub), command(bantam, rng, "20")
        try:
            if mode == "kill":
                kills(hub, arguments, env, rng, cache)
            elif mode == "disk":
                limit = rng.randrange(1, max(2, max(len(d) for d in files.values())))
                code, err = finish(start(arguments, env, limit))
                check(code == (4 if code else 0), "a full disk: exit code %s: %s" % (code, err))
            elif mode == "two":
                hub.set_fault(Fault("slow", 3, rng.random()))
                pair = [start(arguments, env), start(arguments, env)]
                check([finish(p)[0] for p in pair] == [0, 0], "two at once")
            else:
                hub.set_fault(Fault(mode, times, rng.random(), where))
                code, err = finish(start(command(bantam, rng, "0.3") if mode in ("stall", "silent") else arguments, env))
                if verbose:
                    print("   ", mode, times, where, "exit", code, err.splitlines()[-1:])
            check_cache(cache, hub)
            hub.set_fault(Fault())
            code, err = finish(start(arguments, env))
            check(code == 0, "without faults: exit code %s: %s" % (code, err))
            wanted(hub)
            check_cache(cache, hub)
            check_model(cache, hub)
            check(hub.authorized() > 0, "the hub itself got the token")
        finally:
            shutil.rmtree(cache, ignore_errors=True)
    return mode


def wanted(hub):
    for _, files in hub.repos[REPO].versions:
        if any(name.endswith(".gguf") for name in files):
            files.pop("README.md", None)


def kills(hub, arguments, env, rng, cache):
    """kill -9 at random moments of a slow download, again and again."""
    for _ in range(rng.choice([1, 2, 4])):
        hub.set_fault(Fault("slow", 10**9, rng.random()))
        process = start(arguments, env)
        time.sleep(rng.random() * 0.15)
        process.kill()
        finish(process)
        check_cache(cache, hub)


def negative_control(bantam):
    """What this program must notice, it notices: a flipped bit under a blob's name, a token at the foreign host."""
    cache = tempfile.mkdtemp(prefix="bantam-hub-")
    try:
        with FaultHub({REPO: {"x-Q4_K_M.gguf": bytes(9000)}}, token=TOKEN) as hub:
            finish(start([bantam, "pull", REPO], environment(cache, hub)))
            check_model(cache, hub)
            check_cache(cache, hub)
            blobs = os.path.join(cache, "models--" + REPO.replace("/", "--"), "blobs")
            with open(os.path.join(blobs, os.listdir(blobs)[0]), "r+b") as file:
                file.write(b"\x01")
            for look in (check_model, check_cache):
                try:
                    look(cache, hub)
                except Wrong:
                    continue
                raise AssertionError("a wrong file goes unnoticed")
            hub.note(True, "GET", "/", "Bearer " + TOKEN, None)
            if not hub.leaked():
                raise AssertionError("a leaked token goes unnoticed")
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bantam", default=os.environ.get("BANTAM") or os.path.join(ROOT, "build", "release", "bantam"))
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    negative_control(options.bantam)
    tally, wrong, started = collections.Counter(), 0, time.time()
    for run in range(options.runs):
        try:
            tally[one_run(options.bantam, random.Random(options.seed * 1_000_003 + run), options.verbose)] += 1
        except Wrong as error:
            wrong += 1
            print("run %d (--seed %d): WRONG: %s" % (run, options.seed, error), flush=True)
    print("%d runs in %.0f s, seed %d: %d wrong; %s" % (options.runs, time.time() - started, options.seed, wrong,
                                                      ", ".join("%s %d" % item for item in sorted(tally.items()))))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
