"""serve: what clients must not be able to do to it. (BANTAM_FULL=1: 500 slow clients, 2,000 requests at once, 1,000 cancels.)
 Raw bytes over sockets, slow and half-finished requests, floods, clients that
go away. After each, the server answers others as before and holds nothing of what was refused."""
import json
import os
import random
import resource
import socket
import time
import unittest

from server import Server
from support import Case, main

HOST = "Host: localhost\r\n"
JSON_TYPE = "Content-Type: application/json\r\n"


def post(path, body, headers="", length=None):
    size = len(body.encode()) if length is None else length
    return "POST %s HTTP/1.1\r\n%s%sContent-Length: %s\r\n%s\r\n%s" % (path, HOST, JSON_TYPE, size, headers, body)


def chunked(path, chunks, headers=""):
    return "POST %s HTTP/1.1\r\n%s%sTransfer-Encoding: chunked\r\n%s\r\n%s" % (path, HOST, JSON_TYPE, headers, chunks)


def raw_requests():
    """About 150 requests, most of them wrong in one way each."""
    chat = "/v1/chat/completions"
    good = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
    get = "GET /health HTTP/1.1\r\n"
    yield from (
        "", "\r\n", "\r\n\r\n", "\n\n", "\0" * 64, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "x" * 40, "GET\r\n\r\n", "GET /\r\n\r\n",
        "GET / HTTP/1.1\n" + HOST + "\n", get + "Host: localhost\n\n", get + "\r\n", get + HOST + HOST + "\r\n",
        "GET /health HTTP/9.9\r\n" + HOST + "\r\n", "GET /health HTTP/1.1 extra\r\n" + HOST + "\r\n", "GET  /health HTTP/1.1\r\n" + HOST + "\r\n",
        "GET /health HTTP/1.0\r\n\r\n", "GET /health HTTP/1.0\r\n" + HOST + "\r\n", "get /health HTTP/1.1\r\n" + HOST + "\r\n",
        "BREW /health HTTP/1.1\r\n" + HOST + "\r\n", "\x00ET /health HTTP/1.1\r\n" + HOST + "\r\n", "OPTIONS * HTTP/1.1\r\n" + HOST + "\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\n" + HOST + "\r\n", "TRACE / HTTP/1.1\r\n" + HOST + "\r\n", "DELETE " + chat + " HTTP/1.1\r\n" + HOST + "\r\n",
        "GET http://evil.example/ HTTP/1.1\r\n" + HOST + "\r\n", "GET /health\0 HTTP/1.1\r\n" + HOST + "\r\n", "GET /%00 HTTP/1.1\r\n" + HOST + "\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\n" + HOST + "\r\n", "GET /ui/../../../etc/passwd HTTP/1.1\r\n" + HOST + "\r\n",
        "GET /ui/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HOST + "\r\n", "GET /v1/models/../../x HTTP/1.1\r\n" + HOST + "\r\n",
        "GET /" + "a" * 9000 + " HTTP/1.1\r\n" + HOST + "\r\n", "GET /?" + "a" * 9000 + " HTTP/1.1\r\n" + HOST + "\r\n",
        get + HOST + "X: " + "a" * 20000 + "\r\n\r\n", get + HOST + "".join("X%d: 1\r\n" % i for i in range(200)) + "\r\n",
        get + HOST + "a" * 20000, get + HOST + "NoColon\r\n\r\n", get + HOST + ": empty\r\n\r\n", get + HOST + "Bad Name: 1\r\n\r\n",
        get + HOST + " folded: 1\r\n\r\n", get + HOST + "X: a\r\n b\r\n\r\n", get + HOST + "X: a\0b\r\n\r\n", get + HOST + "X: \x7f\r\n\r\n",
        get + HOST + "X\xff: 1\r\n\r\n", get + "Host: evil.example\r\n\r\n", get + "Host: localhost.evil.example\r\n\r\n", get + "Host: \r\n\r\n",
        get + "Host: 127.0.0.1:99999\r\n\r\n", get + "Host: [::1\r\n\r\n", get + HOST + "Origin: http://evil.example\r\n\r\n", get + HOST + "Origin: null\r\n\r\n",
    )
    for length in ("-1", "+5", "0x10", "1e3", "5, 5", "5\r\nContent-Length: 6", "99999999999999999999", "18446744073709551616", "9000000", " ", "abc", "2147483648"):
        yield post(chat, good, length=length)
    for smuggled in ("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n",
                     "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding:\tchunked\r\n", "Transfer-Encoding: xchunked\r\n"):
        yield post(chat, good, smuggled)
    for chunks in ("-1\r\nab\r\n0\r\n\r\n", "ffffffffffffffff\r\nab", "fffffffffffffffff\r\nab", "1;" + "x" * 9000 + "\r\na\r\n0\r\n\r\n", "g\r\n", "\r\n\r\n",
                   "2\r\nabc\r\n0\r\n\r\n", "2\nab\n0\n\n", "0\r\n" + "T: 1\r\n" * 5000 + "\r\n", "0\r\nContent-Length: 5\r\n\r\n", "1000000\r\n" + "a" * 100,
                   "%x\r\n%s\r\n0\r\n\r\n" % (len(good), good), "".join("1\r\n%s\r\n" % c for c in good) + "0\r\n\r\n", "0x2\r\nab\r\n0\r\n\r\n", " 2\r\nab\r\n0\r\n\r\n"):
        yield chunked(chat, chunks)
    for encoding in ("gzip", "deflate", "br", "identity", "gzip, gzip"):
        yield post(chat, good, "Content-Encoding: %s\r\n" % encoding)
    for body in ("", "{", "[]", "null", "1", '"a"', "{}", '{"messages":1}', '{"messages":[]}', '{"messages":[1]}', '{"messages":[{}]}', good + "x", good + good, "\ufeff" + good,
                 '{"messages":[{"role":"user","content":"\ud83d"}]}'.encode("utf-8", "replace").decode(), '{"a":' * 200 + "1" + "}" * 200, "[" * 100000, '{"messages":"' + "a" * 100000,
                 '{"messages":[{"role":"user","content":"\\ud800"}],"max_tokens":1}', '{"messages":[{"role":"user","content":"a\\u0000b"}],"max_tokens":1}',
                 '{"messages":[{"role":"user","content":"hi"}],"messages":[],"max_tokens":1}', '{"model":"../../etc/passwd","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'):
        yield post(chat, body)
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx\0"):
        yield "POST %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (chat, HOST, kind, len(good), good)
    for path in ("/v1/completions", "/tokenize", "/detokenize", "/apply-template", "/v1/nothing"):
        for body in ("{}", '{"prompt":null}', '{"tokens":[-1]}', '{"tokens":[1e99]}', '{"content":[]}', '{"messages":{}}'):
            yield post(path, body)
    yield get + HOST + "\r\n" + get + HOST + "\r\n"  # pipelined
    yield get + HOST + "Expect: 100-continue\r\n\r\n"
    yield post(chat, good, "Expect: 100-continue\r\n")
    yield post(chat, good, "Upgrade: websocket\r\nConnection: Upgrade\r\n")
    yield post(chat, good, "Connection: close\r\n")
    yield post(chat, good, "Authorization: Bearer " + "x" * 5000 + "\r\n")


FULL = os.environ.get("BANTAM_FULL") == "1"

FIELDS = ("temperature", "top_p", "min_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed", "max_tokens",
          "max_completion_tokens", "n", "stream", "stop", "logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice", "messages", "model",
          "enable_thinking", "think", "thinking", "thinking_budget", "chat_template_kwargs", "reasoning_effort", "response_format", "stream_options",
          "return_progress", "prefix_token_ids", "user", "parallel_tool_calls", "unknown", "prompt", "echo")
VALUES = ("null", "true", "false", "0", "-0", "1", "-1", "2", "9", "0.5", "1e999", "-1e999", "1e-400", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
          "4294967296", '""', '"a"', '"' + "a" * 5000 + '"', "[]", "{}", "[[]]", "[0]", "[-1]", '["a","b"]', '{"1":1}', '{"type":"text"}', '{"a":{"b":[1,2,{"c":null}]}}')


def read_all(sock, seconds=20):
    sock.settimeout(seconds)
    out = b""
    try:
        while True:
            data = sock.recv(65536)
            if not data:
                break
            out += data
    except (socket.timeout, ConnectionError):
        pass
    return out


def status_of(reply):
    return int(reply[9:12]) if reply.startswith(b"HTTP/1.1 ") else None


class Hostile(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--header-timeout", "2", "--queue", "256" if FULL else "8", "--parallel", "64" if FULL else "4", "--max-per-address", "3000",
                            "--max-connections", "3000")
        cls.addClassCleanup(cls.server.stop)

    def tearDown(self):
        self.canary()

    def canary(self):
        self.assertEqual(self.server.get("/health")[0], 200)

    def send_slowly(self, request):
        with self.server.connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = request.encode("latin-1", "replace") if isinstance(request, str) else request
            try:
                step = 1 if len(data) < 2000 else len(data) // 500
                for i in range(0, len(data), step):
                    sock.sendall(data[i:i + step])
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all of it was sent
            return read_all(sock)

    def test_raw_requests(self):
        count = 0
        for request in raw_requests():
            reply = self.send_slowly(request)
            status = status_of(reply)
            self.assertTrue(status is None or 200 <= status < 500 or status == 100, "%r -> %r" % (request[:200], reply[:300]))
            count += 1
            if count % 25 == 0:
                self.canary()
        self.assertGreater(count, 140)

    def test_fields(self):
        """Every field with every kind of value: a reply or a refusal that names the field, never a failure."""
        refused = 0
        with self.server.session() as http:
            for field in FIELDS:
                for value in VALUES:
                    body = '{"messages":[{"role":"user","content":"hi"}],"max_tokens":1,"%s":%s}' % (field, value)
                    path = "/v1/completions" if field in ("prompt", "echo") else "/v1/chat/completions"
                    status, _, data = http.post(path, body)
                    self.assertIn(status, (200, 400, 404), (field, value[:50], data[:300]))
                    if status == 400:
                        refused += 1
                        self.assertTrue(json.loads(data)["error"]["message"], (field, value[:50]))
        self.assertGreater(refused, 200)

    def test_errors_name_no_insides(self):
        for body in ("{", '{"messages":[{"role":"x"}]}', '{"messages":[{"role":"user","content":"hi"}],"temperature":"hot"}'):
            _, _, data = self.server.post("/v1/chat/completions", body)
            for secret in (b"0x", b"/src/", b".cpp", b"std::", b"boost"):
                self.assertNotIn(secret, data)

    def test_slow_clients_end_at_their_deadline_and_disturb_nobody(self):
        slow = []
        for i in range(500 if FULL else 200):
            sock = self.server.connect()
            sock.sendall((b"GET /hea", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n", b"")[i % 3])
            slow.append(sock)
        worst = 0.0
        for _ in range(20):
            begin = time.monotonic()
            self.assertEqual(self.server.chat("hi", max_tokens=2)[0], 200)
            worst = max(worst, time.monotonic() - begin)
        self.assertLess(worst, 2.0)
        deadline = time.monotonic() + 15
        for sock in slow:
            reply = read_all(sock, max(0.1, deadline - time.monotonic()))
            self.assertIn(status_of(reply), (None, 408))
            sock.close()
        self.assertLess(time.monotonic(), deadline, "slow headers were not cut off")

    def test_a_flood_is_refused_not_absorbed(self):
        count = 2000 if FULL else 200
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8})
        before = self.server.rss_mb()
        request = ("POST /v1/chat/completions HTTP/1.0\r\n" + HOST + JSON_TYPE + "Content-Length: %d\r\n\r\n%s" % (len(body), body)).encode()
        socks = []
        for _ in range(count):
            sock = self.server.connect()
            sock.sendall(request)
            socks.append(sock)
        begin = time.monotonic()
        self.canary()
        self.assertLess(time.monotonic() - begin, 2.0, "health waits for the flood")
        statuses = [status_of(read_all(sock, 60)) for sock in socks]
        for sock in socks:
            sock.close()
        self.assertEqual(set(statuses) - {200, 429}, set())
        self.assertEqual(statuses.count(200) + statuses.count(429), count)
        self.assertGreater(statuses.count(200), 0)
        self.server.wait_until_idle()
        self.assertLess(self.server.rss_mb() - before, 64)

    def test_clients_that_go_away_leave_nothing(self):
        rng = random.Random(5)
        for i in range(1000 if FULL else 60):
            body = json.dumps({"messages": [{"role": "user", "content": "count " * rng.choice((1, 300))}], "stream": bool(i % 2),
                               "max_tokens": 2000, "temperature": 1, "logit_bias": {"4096": -100, "4097": -100, "4098": -100}})
            with self.server.connect() as sock:
                sock.sendall(post("/v1/chat/completions", body).encode())
                time.sleep(rng.random() * 0.05)
        self.server.wait_until_idle()
        health = json.loads(self.server.get("/health")[2])
        self.assertEqual((health["answers_open"], health["running"], health["waiting"]), (0, 0, 0))

    def test_a_request_that_can_never_fit_is_no_busy_server(self):
        """More than --queue and --parallel together: waiting would not help, so it is not told to."""
        most = 256 + 64 if FULL else 8 + 4
        status, _, data = self.server.post("/v1/embeddings", {"input": ["a"] * (most + 1)})
        self.assertEqual(status, 400, data[:1000])
        self.assertIn(str(most), json.loads(data)["error"]["message"])
        self.assertEqual(self.server.post("/v1/embeddings", {"input": ["a"] * most})[0], 200)
        self.server.wait_until_idle()

    def test_a_large_piece_is_no_slow_reader(self):
        server = Server()
        self.addCleanup(server.stop)
        prompt = "\x01" * 1500  # six bytes each as JSON
        body = {"prompt": [prompt] * 32, "n": 8, "echo": True, "stream": True, "max_tokens": 1}
        status, _, data = server.post("/v1/completions", body)
        self.assertEqual(status, 200)
        self.assertTrue(data.endswith(b"data: [DONE]\n\n"), data[-100:])
        self.assertGreater(len(data), 1 << 20)

    def test_many_small_values_are_refused_before_they_are_many_bytes(self):
        server = Server()
        self.addCleanup(server.stop)
        status, _, data = server.post("/v1/completions", '{"prompt":[' + "1," * 3_500_000 + "1]}")
        self.assertEqual((status, json.loads(data)["error"]["message"]), (400, "body: expected at most 1048576 JSON values"))
        self.assertLess(server.rss_mb(), 450)

    def test_chunk_extensions_are_not_hoarded(self):
        def resident_kb():
            with open("/proc/%d/status" % self.server.process.pid, encoding="ascii") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

        before = resident_kb()
        with self.server.connect() as sock:
            sock.sendall(chunked("/v1/chat/completions", "1;").encode())
            try:
                for _ in range(64):
                    sock.sendall(b"x" * (1 << 20))
            except OSError:
                pass  # refused before all of it was sent
        self.assertLess(resident_kb() - before, 32 << 10)

    def test_too_many_connections_of_one_address(self):
        server = Server("--max-per-address", "3")
        self.addCleanup(server.stop)
        held = [server.connect() for _ in range(3)]
        for sock in held:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(status_of(sock.recv(4096)), 200)
        with server.connect() as one_more:
            self.assertIn(status_of(read_all(one_more, 5)), (503, None))
        for sock in held:
            sock.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if server.get("/health")[0] == 200:
                    break
            except (OSError, ValueError):
                time.sleep(0.05)
        self.assertEqual(server.get("/health")[0], 200)

    def test_out_of_descriptors(self):
        server = Server(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
        self.addCleanup(server.stop)
        socks = []
        for _ in range(100):
            sock = server.connect()
            socks.append(sock)
        for sock in socks:
            sock.close()
        deadline = time.monotonic() + 20
        status = None
        while time.monotonic() < deadline and status != 200:
            try:
                status = server.get("/health")[0]
            except (OSError, ValueError):
                time.sleep(0.1)
        self.assertEqual(status, 200)


if __name__ == "__main__":
    main()
