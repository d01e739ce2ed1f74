"""A running `bantam serve` and plain HTTP to it, for the tests of its APIs. Standard library only."""
import http.client
import json
import os
import signal
import subprocess
import tempfile

from support import BANTAM, environment


class Server:
    """Starts `bantam serve --port 0 ...` and waits until it takes requests; close() ends it."""

    def __init__(self, *args, env=None):
        # A file, so that nothing the server says can block it; the first line that matters is awaited in it.
        self.log = tempfile.TemporaryFile()
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen([BANTAM, "serve", "--port", "0", *args], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=write_end, env=env or environment())
        os.close(write_end)
        self.errors = os.fdopen(read_end, encoding="utf-8", errors="replace")
        said = []
        for line in self.errors:
            said.append(line)
            if line.startswith("listening on "):
                break
        else:
            raise RuntimeError("bantam serve did not start:\n" + "".join(said))
        self.url = said[-1].split()[-1]
        self.host = self.url.split("//")[1].rstrip("/")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGINT)  # the second signal does not wait for answers in work
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.errors.close()
            self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, path, body=None, headers=None):
        """Status, headers (a dictionary in lower case) and the whole body as bytes."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            data = None if body is None else body if isinstance(body, (bytes, str)) else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def get(self, path, **more):
        status, _, body = self.request("GET", path, **more)
        return status, json.loads(body)

    def post(self, path, body, **more):
        status, _, reply = self.request("POST", path, body, **more)
        return status, json.loads(reply)

    def events(self, path, body, **more):
        """[(event name or "", data)] of a stream of events; data is JSON, or the text where it is none ("[DONE]")."""
        status, headers, reply = self.request("POST", path, {**body, "stream": True}, **more)
        if status != 200 or not headers["content-type"].startswith("text/event-stream"):
            raise AssertionError("%d %s %r" % (status, headers, reply[:500]))
        out = []
        for event in reply.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.split("\n") if line and not line.startswith(":"))
            if "data" in fields:
                data = fields["data"]
                out.append((fields.get("event", ""), json.loads(data) if data.startswith("{") else data))
        return out

    def lines(self, path, body):
        """The lines of a stream of JSON lines."""
        status, headers, reply = self.request("POST", path, body)
        if status != 200 or headers["content-type"] != "application/x-ndjson":
            raise AssertionError("%d %s %r" % (status, headers, reply[:500]))
        return [json.loads(line) for line in reply.decode().splitlines()]
