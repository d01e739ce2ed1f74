"""A Hugging Face hub on loopback that can misbehave, for the downloader's tests. Standard library only.

Two servers: the hub on 127.0.0.1, and on 127.0.0.2 (another host, another port) the place where large files lie, to which
the hub redirects. Both note every request with the Authorization it carried. A Fault says what goes wrong, at which
requests, and how often; after that the server behaves."""
import gzip
import hashlib
import http.server
import json
import random
import re
import socket
import struct
import threading
import time
import urllib.parse

LARGE = 4096  # files from this size on are "LFS": named by SHA-256, served elsewhere


def git_blob_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def content_hash(data):
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_blob_sha1(data)


class Repo:
    """Versions of a repository; the last is what `main` means."""

    def __init__(self, name, files):
        self.name, self.versions = name, []
        self.push(files)

    def push(self, files):
        text = json.dumps({k: content_hash(v) for k, v in files.items()}, sort_keys=True)
        self.versions.append((hashlib.sha1(("%d" % len(self.versions) + text).encode()).hexdigest(), dict(files)))

    @property
    def commit(self):
        return self.versions[-1][0]

    @property
    def files(self):
        return self.versions[-1][1]

    def at(self, revision):
        if revision == "main":
            return self.versions[-1]
        return next((v for v in self.versions if v[0] == revision), None)


# What can go wrong with the body of a file, and what with any answer.
BODY_FAULTS = ("cut", "reset", "stall", "flip", "longer", "shorter", "other_range", "whole", "gzip", "slow", "chunked")
ANSWER_FAULTS = ("416", "429", "500", "503", "403", "loop", "nowhere", "garbage", "silent", "foreign", "downgrade")
MODES = ("ok",) + BODY_FAULTS + ANSWER_FAULTS + ("changed",)


class Fault:
    def __init__(self, mode="ok", times=1, seed=0, where="file"):
        """where: "file" (any request for bytes), "head" (the hub's answer about a file) or "api" (lists of files)."""
        self.mode, self.left, self.where = mode, times, where
        self.random = random.Random(seed)
        self.lock = threading.Lock()

    def take(self, where):
        """The mode when this request is to go wrong, else "ok"; and a number from 0 to 1 that says how."""
        with self.lock:
            if self.mode == "ok" or self.where != where or self.left <= 0:
                return "ok", 0.0
            self.left -= 1
            return self.mode, self.random.random()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.hub.note(self.server.foreign, self.command, self.path, self.headers.get("Authorization"), self.headers.get("Range"))
        try:
            (self.answer_foreign if self.server.foreign else self.answer_hub)(urllib.parse.urlsplit(self.path))
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            self.close_connection = True

    def send(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, value, headers=()):
        self.send(200, dict(headers, **{"Content-Type": "application/json"}), json.dumps(value).encode())

    # --- the hub -------------------------------------------------------------------------------------------------

    def answer_hub(self, url):
        path = urllib.parse.unquote(url.path)
        if self.hub.private and self.headers.get("Authorization") != "Bearer " + self.hub.token:
            return self.send(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path)
        if match:
            return self.answer_api(*match.groups(), urllib.parse.parse_qs(url.query))
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match:
            return self.answer_resolve(*match.groups())
        return self.send(404, {"X-Error-Code": "EntryNotFound"})

    def answer_api(self, name, what, revision, query):
        repo = self.hub.repos.get(name)
        mode, how = self.hub.fault.take("api")
        if mode != "ok":
            return self.misbehave(mode, how)
        if repo is None:
            return self.send(404, {"X-Error-Code": "RepoNotFound"})
        version = repo.at(revision)
        if version is None:
            return self.send(404, {"X-Error-Code": "RevisionNotFound"})
        commit, files = version
        if what == "revision":
            return self.send_json({"id": name, "sha": commit, "private": False, "tags": [], "downloads": 0,
                                   "siblings": [{"rfilename": f} for f in files]})
        if self.hub.tree is not None:
            return self.send_json(self.hub.tree)
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        for path, data in sorted(files.items()):
            entry = {"type": "file", "oid": git_blob_sha1(data), "size": len(data), "path": path}
            if len(data) >= LARGE:
                entry["lfs"] = {"oid": content_hash(data), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        at = int(query.get("cursor", ["0"])[0])
        headers = {}
        if at + self.hub.page < len(entries):
            headers["Link"] = '<%s%s?recursive=true&cursor=%d>; rel="next"' % (self.hub.url, urllib.parse.urlsplit(self.path).path, at + self.hub.page)
        return self.send_json(entries[at:at + self.hub.page], headers)

    def answer_resolve(self, name, revision, path):
        repo = self.hub.repos.get(name)
        version = repo.at(revision) if repo else None
        if version is None or path not in version[1]:
            return self.send(404, {"X-Error-Code": "EntryNotFound"})
        data = version[1][path]
        headers = {"X-Repo-Commit": version[0], "ETag": '"%s"' % content_hash(data), "Accept-Ranges": "bytes"}
        large = len(data) >= LARGE
        mode, how = self.hub.fault.take("head") if self.command == "HEAD" or not large else ("ok", 0)
        if mode == "changed":
            # Somebody pushes between the list of files and the first byte; what the old commit named is gone.
            if len(repo.versions) == 1:
                repo.push({k: bytes(reversed(v)) + b"!" for k, v in version[1].items()})
            headers["ETag"] = '"%s"' % content_hash(repo.files[path])
            headers["X-Linked-Etag"] = headers["ETag"]
            return self.send(200, headers, repo.files[path])
        if mode != "ok":
            return self.misbehave(mode, how)
        if not large:
            return self.send_file(data, headers)
        headers.update({"X-Linked-Etag": '"%s"' % content_hash(data), "X-Linked-Size": str(len(data)),
                        "Location": "%s/%s?signature=secret-%d" % (self.hub.foreign_url, content_hash(data), self.hub.next_number())})
        return self.send(302, headers, b"Found. Redirecting")

    # --- where large files lie -----------------------------------------------------------------------------------

    def answer_foreign(self, url):
        data = self.hub.contents(url.path.strip("/"))
        if data is None:
            return self.send(404)
        return self.send_file(data, {"ETag": '"another-kind-of-tag"', "Accept-Ranges": "bytes"})

    def wanted_range(self, size):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not match:
            return None
        return int(match.group(1)), min(int(match.group(2) or size - 1), size - 1)

    def send_file(self, data, headers):
        mode, how = self.hub.fault.take("file") if self.command == "GET" else ("ok", 0)
        if mode in ANSWER_FAULTS:
            return self.misbehave(mode, how)
        wanted = self.wanted_range(len(data))
        if wanted and mode != "whole":
            if wanted[0] > wanted[1]:
                return self.send(416, {"Content-Range": "bytes */%d" % len(data)})
            first, last, size = wanted[0], wanted[1], len(data)
            if mode == "other_range":
                first, last = (first + 1, last) if first < last else (max(0, first - 1), last - 1 if last else 0)
            if mode in ("longer", "shorter"):
                size += 17 if mode == "longer" else -1
            body, status = data[first:last + 1], 206
            headers = dict(headers, **{"Content-Range": "bytes %d-%d/%d" % (first, last, size)})
        else:
            body, status = data, 200
            if mode == "longer":
                body = body + b"more"
            if mode == "shorter":
                body = body[:-1]
        return self.send_body(mode, how, status, headers, body)

    def send_body(self, mode, how, status, headers, body):
        if mode == "flip" and body:
            at = int(how * len(body))
            body = body[:at] + bytes([body[at] ^ 1 << int(how * 8000) % 8]) + body[at + 1:]
        if mode == "gzip":
            return self.send(status, dict(headers, **{"Content-Encoding": "gzip"}), gzip.compress(body, 1))
        if mode == "chunked":
            return self.send_chunked(status, headers, body)
        if mode not in ("cut", "reset", "stall", "slow"):
            return self.send(status, headers, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mode == "slow":
            for at in range(0, len(body), 1 + len(body) // 8):
                self.wfile.write(body[at:at + 1 + len(body) // 8])
                self.wfile.flush()
                time.sleep(0.005)
            return None
        self.wfile.write(body[:int(how * len(body))])
        self.wfile.flush()
        if mode == "stall":
            self.hub.stopping.wait(10)
        if mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        return None

    def send_chunked(self, status, headers, body):
        """No length ahead, and the connection ends before the body does."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        part = body[:len(body) // 2]
        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if part else b"")
        self.close_connection = True

    def misbehave(self, mode, how):
        here = self.hub.foreign_url if self.server.foreign else self.hub.url
        other = self.hub.url if self.server.foreign else self.hub.foreign_url
        if mode == "loop":
            return self.send(302, {"Location": here + self.path})
        if mode == "nowhere":
            return self.send(302, {"Location": ["ftp://127.0.0.1/x", "file:///etc/hostname", "http://", "//["][int(how * 4)]})
        if mode == "foreign":
            return self.send(307, {"Location": other + "/elsewhere" + self.path})
        if mode == "downgrade":
            return self.send(301, {"Location": "gopher://127.0.0.2/"})
        if mode == "garbage":
            self.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            self.close_connection = True
            return None
        if mode == "silent":
            self.hub.stopping.wait(10)
            self.close_connection = True
            return None
        headers = {"Retry-After": "0" if how < 0.5 else "Wed, 21 Oct 2015 07:28:00 GMT"} if mode == "429" else {}
        return self.send(int(mode), headers, b"no")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *args):
        pass


class FaultHub:
    """with FaultHub({"Qwen/X-GGUF": {"x-Q4_K_M.gguf": b"..."}}) as hub: ... hub.url"""

    def __init__(self, repos, token="hf_canary_token_0123456789", page=3):
        self.repos = {name: Repo(name, files) for name, files in repos.items()}
        self.token, self.page, self.private = token, page, False
        self.fault = Fault()
        self.tree = None  # what the list of files says instead of the truth
        self.requests, self.lock, self.number = [], threading.Lock(), 0
        self.stopping = threading.Event()
        self.servers = []
        for host, foreign in (("127.0.0.1", False), ("127.0.0.2", True)):
            server = Server((host, 0), Handler)
            server.hub, server.foreign = self, foreign
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.servers[0].server_port
        self.foreign_url = "http://127.0.0.2:%d" % self.servers[1].server_port

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stopping.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def set_fault(self, fault):
        """From now on; what stalls under the old one ends."""
        self.stopping.set()
        self.stopping = threading.Event()
        self.fault = fault

    def note(self, foreign, method, path, authorization, wanted):
        with self.lock:
            self.requests.append({"foreign": foreign, "method": method, "path": path, "authorization": authorization, "range": wanted})

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def contents(self, name):
        for repo in self.repos.values():
            for _, files in repo.versions:
                for data in files.values():
                    if content_hash(data) == name:
                        return data
        return None

    def leaked(self):
        """Requests to the foreign host that carried an Authorization."""
        with self.lock:
            return [r for r in self.requests if r["foreign"] and r["authorization"]]

    def authorized(self):
        with self.lock:
            return sum(1 for r in self.requests if not r["foreign"] and r["authorization"] == "Bearer " + self.token)
