"""What the tests of the command line share: running the binary, files to feed it, reading safetensors. Standard library only."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BANTAM = os.environ.get("BANTAM") or os.path.join(ROOT, "build", "release", "bantam")
NANO = os.path.join(ROOT, "models", "nano")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def environment(**more):
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "BANTAM_ISA", "BANTAM_CACHE_DIR")}
    env.update({"TERM": "xterm-256color", "LC_ALL": "C", "BANTAM_CACHE_SIZE": "0"})
    env.update(more)
    return env


class Reply:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Case(unittest.TestCase):
    """A test with a folder of its own and the binary at hand."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="bantam-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return self.path(name)

    def write_lines(self, name, objects):
        return self.write(name, "".join(json.dumps(o) + "\n" for o in objects))

    def run_bantam(self, *args, stdin="", expect=0, env=None, limits=None):
        """Runs it; fails unless the exit code is `expect`. Text that is not UTF-8 would fail here too."""
        done = subprocess.run([BANTAM, *args], input=stdin.encode() if isinstance(stdin, str) else stdin, capture_output=True,
                              env=env or environment(), preexec_fn=limits, timeout=240, check=False)
        reply = Reply(done.returncode, done.stdout.decode(), done.stderr.decode())
        if expect is not None:
            self.assertEqual(reply.code, expect, "%s\nstdout: %s\nstderr: %s" % (args, reply.out[-2000:], reply.err[-2000:]))
        self.assertNotIn("\x1b", reply.out + reply.err, "an escape code in a pipe")
        return reply

    def nano_copy(self, name, files):
        os.mkdir(self.path(name))
        for file in files:
            shutil.copy(os.path.join(NANO, file), self.path(name))
        return self.path(name)

    def leftovers(self):
        return sorted(name for name in os.listdir(self.folder) if ".part-" in name)


def read_safetensors(path):
    """{name: (dtype, shape, list of floats for F32, else bytes)}."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    out = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        raw = data[8 + size + begin:8 + size + end]
        values = struct.unpack("<%df" % (len(raw) // 4), raw) if info["dtype"] == "F32" else raw
        out[name] = (info["dtype"], info["shape"], values)
    return out


def main():
    unittest.main(verbosity=1)
