#!/usr/bin/env python3
"""huggingface_hub and bantam share one cache, and download from the same hub on loopback (tests/hub/fault_hub.py).

  .oracles/bin/python tools/oracles/check_hub.py [--bantam build/release/bantam]

1. What `bantam pull` wrote, huggingface_hub finds offline: try_to_load_from_cache, hf_hub_download, snapshot_download,
   scan_cache_dir without warnings, and its own verification of every file's hash where it has one.
2. What huggingface_hub downloaded, bantam lists, opens by name without a request for bytes, and removes.
3. huggingface_hub downloads from the fault server, with its redirects to a foreign host: our server speaks the protocol.
4. Both at once on one file: one download, because they take the same lock.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))
from fault_hub import Fault, FaultHub, content_hash, git_blob_sha1  # noqa: E402

REPO = "Qwen/Oracle-GGUF"
failures = []


def check(ok, text):
    print(("ok    " if ok else "FAIL  ") + text, flush=True)
    if not ok:
        failures.append(text)


def library(hub, cache, code, **more):
    """Runs Python with huggingface_hub in a process of its own: it reads its settings when it is imported."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("HF_")}
    env.update(HF_ENDPOINT=hub.url, HF_HOME=cache, HF_TOKEN=hub.token, HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1",
               HF_HUB_DISABLE_XET="1", **more)
    text = "import json, huggingface_hub as h\nREPO = %r\n%s" % (REPO, code)
    done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def bantam(options, hub, cache, *args):
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("HF_")}
    env.update(HF_ENDPOINT=hub.url, HF_HOME=cache, HF_TOKEN=hub.token, XDG_DATA_HOME=os.path.join(cache, "data"))
    done = subprocess.run([options.bantam, *args, "--json"], env=env, capture_output=True, text=True, timeout=300, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr}


def same(path, data):
    try:
        with open(path, "rb") as file:
            return file.read() == data
    except (OSError, TypeError):
        return False


def check_ours(options, hub, files, cache):
    pulled = bantam(options, hub, cache, "pull", REPO + ":Q8_0")["models"][0]
    name = "X-Q8_0.gguf"
    found = library(hub, cache, "print(json.dumps(h.try_to_load_from_cache(REPO, %r)))" % name)
    check(found == pulled["path"], "try_to_load_from_cache finds what bantam pulled: %s" % found)
    before = len(hub.requests)
    path = library(hub, cache, "print(json.dumps(h.hf_hub_download(REPO, %r)))" % name, HF_HUB_OFFLINE="1")
    check(path == pulled["path"] and same(path, files[name]), "hf_hub_download offline returns it")
    folder = library(hub, cache, "print(json.dumps(h.snapshot_download(REPO, local_files_only=True)))")
    check(folder == os.path.dirname(pulled["path"]), "snapshot_download offline returns its snapshot: %s" % folder)
    online = library(hub, cache, "print(json.dumps(h.hf_hub_download(REPO, %r)))" % name)
    sent = [r for r in hub.requests[before:] if r["foreign"]]
    check(online == path and not sent, "hf_hub_download online asks for no bytes")
    scan = library(hub, cache, """
info = h.scan_cache_dir()
print(json.dumps({"warnings": [str(w) for w in info.warnings], "repos": [[r.repo_id, r.nb_files, r.size_on_disk, sorted(r.refs)] for r in info.repos]}))""")
    check(scan == {"warnings": [], "repos": [[REPO, 1, len(files[name]), ["main"]]]}, "scan_cache_dir: %s" % scan)
    verify = library(hub, cache, """
api = h.HfApi()
result = api.verify_repo_checksums(REPO) if hasattr(api, "verify_repo_checksums") else None
print(json.dumps(None if result is None else [result.checked_count, len(result.mismatches)]))""")
    check(verify is None or verify == [1, 0], "its own verification of hashes: %s" % verify)


def check_theirs(options, hub, files, cache):
    folder = library(hub, cache, "print(json.dumps(h.snapshot_download(REPO)))")
    check(all(same(os.path.join(folder, n), d) for n, d in files.items()), "snapshot_download from the fault server: every file")
    check(not hub.leaked(), "it keeps the token from the foreign host, too")
    rows = {m["name"]: m["path"] for m in bantam(options, hub, cache, "ls")["models"]}
    check(rows.get(REPO + ":Q8_0") == os.path.join(folder, "X-Q8_0.gguf"), "bantam ls shows what it downloaded")
    before = len(hub.requests)
    pulled = bantam(options, hub, cache, "pull", REPO + ":Q8_0")["models"][0]
    check(pulled["path"] == rows.get(REPO + ":Q8_0") and pulled["downloaded_bytes"] == 0 and
          not [r for r in hub.requests[before:] if "resolve" in r["path"] or r["foreign"]], "bantam pull finds it here")
    freed = bantam(options, hub, cache, "rm", REPO + ":Q8_0").get("freed_bytes")
    left = library(hub, cache, "info = h.scan_cache_dir()\nprint(json.dumps([[str(w) for w in info.warnings], [r.nb_files for r in info.repos]]))")
    check(freed == len(files["X-Q8_0.gguf"]) and left == [[], [len(files) - 1]], "bantam rm leaves a cache it still reads: %s" % left)


def check_both(options, hub, files, cache):
    hub.set_fault(Fault("slow", 10**9))
    got = []
    theirs = threading.Thread(target=lambda: got.append(library(hub, cache, "print(json.dumps(h.hf_hub_download(REPO, 'X-Q4_K_M.gguf')))")))
    theirs.start()
    ours = bantam(options, hub, cache, "pull", REPO + ":Q4_K_M")
    theirs.join()
    hub.set_fault(Fault())
    check(got == [ours["models"][0]["path"]] and same(got[0], files["X-Q4_K_M.gguf"]), "both at once: one file, both have it")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bantam", default="build/release/bantam")
    options = parser.parse_args()
    options.bantam = os.path.abspath(options.bantam)
    files = {"X-Q8_0.gguf": b"GGUF" + os.urandom(300_000), "X-Q4_K_M.gguf": b"GGUF" + os.urandom(200_000), "config.json": b"{}",
             "folder/small.txt": b"small", "empty": b""}
    assert git_blob_sha1(b"") == content_hash(b"")
    for step in (check_ours, check_theirs, check_both):
        cache = tempfile.mkdtemp(prefix="bantam-hub-")
        try:
            with FaultHub({REPO: files}) as hub:
                step(options, hub, files, cache)
        finally:
            shutil.rmtree(cache, ignore_errors=True)
    import huggingface_hub
    print("%s with huggingface_hub %s" % ("FAILED: %d" % len(failures) if failures else "all passed", huggingface_hub.__version__))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
