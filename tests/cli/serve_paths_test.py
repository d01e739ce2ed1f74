"""serve: no request can name a file. 500 ways to ask for one that lies beside what the server may read; the kernel says
whether anybody looked (inotify)."""
import ctypes
import json
import os
import signal
import urllib.parse

from server import Server
from support import Case, main

IN_OPEN, IN_CREATE, IN_NONBLOCK = 0x20, 0x100, os.O_NONBLOCK
SECRET = "canary-5f1d-of-nobody"


def spellings(path):
    """Ways to write a path, and things that some program somewhere turned into one."""
    climb = "../" * 12 + path.lstrip("/")
    plain = [path, climb, "./" + climb, "a/" + climb, path + "\0.gguf", path + "?x", path + "#x", path + "/", path + "/.", "//" + path, "~/" + climb,
             climb.replace("../", "....//"), climb.replace("/", "\\"), climb.replace("..", "%2e%2e"), "file://" + path, "file:" + path, "FILE://localhost" + path]
    coded = [urllib.parse.quote(path, safe=""), urllib.parse.quote(climb, safe=""), urllib.parse.quote(urllib.parse.quote(climb, safe=""), safe="")]
    code = ["{{ open('%s').read() }}", "{%% include '%s' %%}", "${file:%s}", "$(cat %s)", "`cat %s`", "@%s", "<!ENTITY x SYSTEM \"%s\">", "|cat %s", "{\"$ref\":\"file://%s\"}"]
    return plain + coded + [form % path for form in code]


def bodies(value):
    """(method, path, body): every place of a request that takes a text, and some that only look so."""
    user = [{"role": "user", "content": value}]
    chat = {"messages": user, "max_tokens": 1}
    yield "POST", "/v1/chat/completions", chat
    yield "POST", "/v1/chat/completions", {**chat, "model": value}
    yield "POST", "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": value}}]}]}
    yield "POST", "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": value}}]}]}
    yield "POST", "/v1/chat/completions", {**chat, "chat_template": value, "template": value, "chat_template_kwargs": {"chat_template": value}}
    yield "POST", "/v1/chat/completions", {**chat, "tools": [{"type": "function", "function": {"name": value, "description": value, "parameters": {"$ref": value}}}]}
    yield "POST", "/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": value}}}}
    yield "POST", "/v1/chat/completions", {**chat, "grammar": value, "lora": value, "adapter": value, "documents": [value], "user": value}
    yield "POST", "/v1/completions", {"prompt": value, "max_tokens": 1, "model": value}
    yield "POST", "/v1/messages", {"max_tokens": 1, "system": value, "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": value}}]}]}
    yield "POST", "/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": value}]}], "max_output_tokens": 1}
    yield "POST", "/v1/embeddings", {"input": value, "model": value}
    yield "POST", "/api/show", {"name": value, "model": value}
    yield "POST", "/api/generate", {"prompt": "", "model": value, "template": value, "images": [value]}
    yield "POST", "/slots/save", {"name": value, "messages": user}
    yield "POST", "/slots/restore", {"name": value}
    for route in ("/ui/%s", "/v1/models/%s", "/slots/%s", "%s"):
        yield "DELETE" if route.startswith("/slots") else "GET", route % urllib.parse.quote(value, safe="/%.\\~?#:@"), None


class Paths(Case):
    def test_no_request_names_a_file(self):
        hidden, slots = self.path("hidden"), self.path("slots")
        os.mkdir(hidden)
        os.mkdir(slots)
        secret = self.write("hidden/secret.json", json.dumps({"model": SECRET, "chat_template": SECRET}))
        server = Server("--slots", slots)
        self.addCleanup(server.stop)
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(IN_NONBLOCK)
        self.addCleanup(os.close, watch)
        for place in (hidden, secret):
            self.assertGreaterEqual(libc.inotify_add_watch(watch, place.encode(), IN_OPEN | IN_CREATE), 0)
        count = 0
        with server.session() as http_session:
            for value in spellings(secret):
                for method, path, body in bodies(value):
                    http_session.connection.putrequest(method, path if path.startswith("/") else "/" + path, skip_host=False)
                    data = json.dumps(body).encode() if body is not None else b""
                    for name, header in (("Content-Type", "application/json"), ("Content-Length", str(len(data)))):
                        http_session.connection.putheader(name, header)
                    http_session.connection.endheaders(data)
                    reply = http_session.connection.getresponse()
                    text = reply.read().decode()
                    self.assertTrue(200 <= reply.status < 500, (reply.status, path, value, text[:200]))
                    self.assertNotIn(SECRET, text, (path, value))
                    count += 1
        self.assertGreaterEqual(count, 500)
        with self.assertRaises(BlockingIOError, msg="somebody opened what no request may name"):
            os.read(watch, 4096)
        with open(secret, encoding="utf-8"):
            self.assertTrue(os.read(watch, 4096), "the watch works")
        self.assertEqual(os.listdir(slots), [])
        self.assertEqual(server.stop(signal.SIGTERM), 0)


if __name__ == "__main__":
    main()
