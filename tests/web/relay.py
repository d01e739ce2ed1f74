"""A server between the browser and bantam: passes everything on, except chat requests that a test has a script for.

A script is a function(request body, Reply) that answers in bantam's place: errors, hostile text, streams that stop half-way
or wait for the test. Needed because the house model cannot be made to say such things. One thread per connection; scripts run
on them, and talk to the test through threading.Event."""
import http.client
import http.server
import json
import pathlib
import threading
import urllib.parse

DROPPED = {"connection", "transfer-encoding", "keep-alive", "host", "origin", "referer"}


class Reply:
    """What a script answers with."""

    def __init__(self, handler):
        self.handler = handler
        self.begun = False

    def error(self, status, message, code="", headers=()):
        body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}}).encode()
        self.handler.send_response(status)
        for name, value in [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]:
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def event(self, data):
        """One server-sent event; a dict is sent as JSON."""
        if not self.begun:
            self.begun = True
            self.handler.send_response(200)
            self.handler.send_header("Content-Type", "text/event-stream")
            self.handler.send_header("Connection", "close")
            self.handler.end_headers()
        self.handler.close_connection = True
        self.handler.wfile.write(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())
        self.handler.wfile.flush()

    def delta(self, finish=None, logprobs=None, **delta):
        self.event({"object": "chat.completion.chunk", "model": "scripted", "choices": [
            {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]})

    def text(self, content, reasoning=""):
        """A whole answer."""
        if reasoning:
            self.delta(reasoning_content=reasoning)
        self.delta(content=content)
        self.end()

    def end(self, finish="stop", prompt=10, made=5, cached=0):
        self.delta(finish=finish)
        self.event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": made, "prompt_tokens_details": {"cached_tokens": cached},
                                             "completion_tokens_details": {"reasoning_tokens": 0}}})
        self.event("[DONE]")


class Relay:
    """`script`: what answers chat requests now, or None. `requests`: the bodies of all chat requests so far."""

    def __init__(self, upstream, folder=None):
        self.folder = folder and pathlib.Path(folder)  # the page's files come from here, as they are now
        self.upstream = urllib.parse.urlparse(upstream)
        self.script = None
        self.down = False  # cut every connection, as if the server were gone
        self.requests = []
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                relay.serve(self, None)

            def do_POST(self):
                relay.serve(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # the browser left: that is what stopping an answer does

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler, body):
        if self.down:
            handler.close_connection = True
            return
        if body is not None and handler.path.endswith("/chat/completions"):
            request = json.loads(body)
            self.requests.append(request)
            request["authorization"] = handler.headers.get("Authorization", "")
            if self.script:
                self.script(request, Reply(handler))
                return
        self.forward(handler, body)

    def own_file(self, path):
        """The content of a file of the page in the folder, whose headers the server still makes."""
        name = "index.html" if path == "/" else path[4:] if path.startswith("/ui/") else None
        file = self.folder / name if self.folder and name else None
        return file.read_bytes() if file and file.is_file() else None

    def forward(self, handler, body):
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=120)
        try:
            own = self.own_file(handler.path)
            headers = {k: v for k, v in handler.headers.items() if k.lower() not in DROPPED}
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            handler.send_response(answer.status)
            dropped = DROPPED | {"date", "server"} | ({"content-length", "content-encoding", "etag"} if own is not None else set())
            for name, value in answer.getheaders():
                if name.lower() not in dropped:
                    handler.send_header(name, value)
            if own is not None:
                handler.send_header("Content-Length", str(len(own)))
                handler.end_headers()
                handler.wfile.write(own)
                return
            streaming = answer.getheader("Content-Length") is None
            if streaming:
                handler.send_header("Connection", "close")
                handler.close_connection = True
            handler.end_headers()
            while piece := answer.read1(1 << 16):
                handler.wfile.write(piece)
                handler.wfile.flush()
        finally:
            connection.close()
