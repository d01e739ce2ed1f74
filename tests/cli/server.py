"""A running `bantam serve` for tests: starts it on a free port, talks HTTP to it, stops it. Standard library only."""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

from support import BANTAM, environment


class Session:
    """One kept-alive connection."""

    def __init__(self, connection):
        self.connection = connection

    def request(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})


class Server:
    """`args` as after `bantam serve`. The program's stderr is kept in a file: log()."""

    def __init__(self, *args, env=None, limits=None, ready="listening on "):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen([BANTAM, "serve", "--port", "0", *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.stderr,
                                        env=env or environment(), preexec_fn=limits)
        until = time.monotonic() + 60
        while ready not in self.log():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError("the server does not start: " + self.log())
            time.sleep(0.01)
        self.url = self.log().split("listening on ", 1)[1].split()[0] if "listening on " in self.log() else ""
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url.startswith("http") else 0

    def log(self):
        return self.text if self.stderr.closed else os.pread(self.stderr.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self, sig=signal.SIGKILL):
        """Ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(60)
        if not self.stderr.closed:
            self.text = self.log()
            self.stderr.close()
        return code

    def rss_mb(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmRSS:")).split()[1]) / 1000

    def connect(self, timeout=60):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    @contextlib.contextmanager
    def session(self, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            yield Session(connection)
        finally:
            connection.close()

    def get(self, path, headers=None):
        with self.session() as http_session:
            return http_session.get(path, headers)

    def post(self, path, body, headers=None):
        with self.session() as http_session:
            return http_session.post(path, body, headers)

    def chat(self, text, **fields):
        return self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **fields})

    def events(self, path, body, headers=None):
        """The `data:` lines of a streamed answer, parsed; the last one, [DONE], is left out. (event, data) pairs where events are named."""
        status, _, data = self.post(path, body, headers)
        assert status == 200, data
        out, name = [], None
        for line in data.decode().split("\n"):
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and line != "data: [DONE]":
                value = json.loads(line[6:])
                out.append((name, value) if name else value)
                name = None
        return out

    def wait_until_idle(self, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            health = json.loads(self.get("/health")[2])
            if health["answers_open"] == 0 and health["running"] == 0 and health["waiting"] == 0:
                return
            time.sleep(0.02)
        raise AssertionError("answers are still open: %s" % health)
