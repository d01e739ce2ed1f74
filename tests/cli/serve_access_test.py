"""serve: who may call, over what, and how it starts and ends."""
import email.utils
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from server import Server, Session
from support import NANO, Case, environment, main

ENDLESS = {"logit_bias": {"4096": -100, "4097": -100, "4098": -100}, "temperature": 1, "max_tokens": 20000}


class Access(Case):
    def serve(self, *args, **kwargs):
        server = Server(*args, **kwargs)
        self.addCleanup(server.stop)
        return server

    def test_every_route_needs_the_key(self):
        path = self.write("keys", "# two people\nsecret-one\nsecret-two  # the other\n")
        os.chmod(path, 0o600)
        server = self.serve("--api-key-file", path)
        self.assertEqual(server.get("/health")[0], 200)
        bearer = {"Authorization": "Bearer secret-two"}
        routes = json.loads(server.get("/openapi.json", bearer)[2])["paths"]
        self.assertGreater(len(routes), 8)
        open_routes = set()
        for path, methods in routes.items():
            for method in methods:
                with server.session() as http_session:
                    if http_session.request(method.upper(), path.replace("{", "").replace("}", ""), "{}", {"Content-Type": "application/json"})[0] != 401:
                        open_routes.add(path)
        self.assertEqual(open_routes, {"/health", "/", "/ui/{file}"})
        for headers, expected in ((bearer, 200), ({"x-api-key": "secret-one"}, 200), ({"Authorization": "bearer secret-one"}, 200), ({}, 401),
                                  ({"Authorization": "Bearer secret-on"}, 401), ({"Authorization": "Bearer "}, 401), ({"Authorization": "secret-one"}, 401),
                                  ({"Authorization": "Bearer secret-two  # the other"}, 401), ({"x-api-key": ""}, 401)):
            self.assertEqual(server.get("/v1/models", headers)[0], expected, headers)
        self.assertNotIn("secret", server.log())

    def test_key_files_others_can_read_and_public_addresses_without_a_key(self):
        path = self.write("keys", "secret\n")
        os.chmod(path, 0o644)
        self.assertIn("others can read", self.run_bantam("serve", "--port", "0", "--api-key-file", path, expect=3).err)
        self.assertIn("a key is needed", self.run_bantam("serve", "--port", "0", "--host", "0.0.0.0", expect=2).err)

    def test_foreign_hosts_and_origins(self):
        server = self.serve("--allow-host", "box.lan", "--cors-origin", "https://app.example")
        own = "http://127.0.0.1:%d" % server.port
        for headers, expected in (({"Host": "localhost:1"}, 200), ({"Host": "box.lan"}, 200), ({"Host": "evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
                                  ({"Origin": "https://app.example"}, 200), ({"Origin": own}, 200), ({"Origin": "https://app.example.evil"}, 403),
                                  ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403)):
            self.assertEqual(server.get("/v1/models", headers)[0], expected, headers)
        _, headers, _ = server.get("/v1/models", {"Origin": "https://app.example"})
        self.assertEqual(headers["access-control-allow-origin"], "https://app.example")
        self.assertNotIn("access-control-allow-credentials", headers)
        self.assertNotIn("access-control-allow-origin", server.get("/v1/models")[1])
        with server.session() as http_session:
            status, headers, _ = http_session.request("OPTIONS", "/v1/chat/completions", None, {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"})
        self.assertEqual(status, 204)
        self.assertIn("authorization", headers["access-control-allow-headers"])
        form = {"Content-Type": "text/plain"}  # what a page may send without asking
        self.assertEqual(server.post("/v1/chat/completions", "{}", form)[0], 415)

    def test_the_description_names_every_route(self):
        server = self.serve()
        paths = json.loads(server.get("/openapi.json")[2])["paths"]
        for path, methods in paths.items():
            for method in methods:
                with server.session() as http_session:
                    status = http_session.request(method.upper(), path.replace("{model}", "bantam-nano").replace("{file}", "js/app.js"), "{}",
                                                  {"Content-Type": "application/json", "Accept-Encoding": "gzip"})[0]
                self.assertNotIn(status, (404, 405, 500), (method, path))
        self.assertEqual(server.get("/v1/nothing")[0], 404)
        status, headers, _ = server.get("/v1/chat/completions")
        self.assertEqual((status, headers["allow"]), (405, "POST"))

    def test_responses_are_counted_by_route_and_status(self):
        server = self.serve()
        server.chat("hi", max_tokens=1)
        server.events("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "stream": True})
        server.post("/v1/chat/completions", "{")
        server.get("/v1/models/no-such-model")
        server.get("/no-such-route/with-a-name-of-the-client")
        with server.connect() as sock:
            sock.sendall(b"no HTTP\r\n\r\n")
            sock.recv(4096)
        counts = {}
        for line in server.get("/metrics")[2].decode().splitlines():
            if line.startswith("bantam_responses_total{"):
                labels, count = line[len("bantam_responses_total"):].rsplit(" ", 1)
                counts[labels] = int(count)
        self.assertEqual(counts, {'{route="/v1/chat/completions",status="200"}': 2, '{route="/v1/chat/completions",status="400"}': 1,
                                  '{route="/v1/models/{model}",status="404"}': 1, '{route="",status="404"}': 1, '{route="",status="400"}': 1})

    def test_metrics_keep_to_prometheus_conventions(self):
        server = self.serve()
        long = "word " * 150
        for _ in range(2):
            server.chat(long, max_tokens=4, temperature=0, enable_thinking=False)
        server.wait_until_idle()
        types, helps, values = {}, set(), {}
        for line in server.get("/metrics")[2].decode().splitlines():
            if line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                self.assertNotIn(name, types)
                types[name] = kind
            elif line.startswith("# HELP "):
                helps.add(line[7:].split(" ", 1)[0])
            else:
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        self.assertEqual(helps, set(types))
        for name, kind in types.items():
            self.assertRegex(name, "^bantam_[a-z_]+$")
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertEqual(kind == "histogram", name.endswith("_seconds"), name)
        for name in values:
            plain = name.split("{")[0]
            self.assertTrue(plain in types or plain.rsplit("_", 1)[0] in types, name)
        self.assertEqual(values["bantam_step_generated_tokens_total"], 8)
        self.assertGreaterEqual(values["bantam_steps_total"], 8)
        self.assertGreaterEqual(values["bantam_prefix_cache_hit_tokens_total"], 128)
        self.assertGreater(values["bantam_prefix_cache_prompt_tokens_total"], values["bantam_prefix_cache_hit_tokens_total"])
        self.assertEqual(values["bantam_kv_pages"], values["bantam_kv_pages_free"] + values["bantam_kv_pages_used"])
        self.assertGreater(values["bantam_kv_pages_remembered"], 0)

    def test_replies_say_when_they_were_made(self):
        server = self.serve()
        date = email.utils.parsedate_to_datetime(server.get("/health")[1]["date"])
        self.assertLess(abs(date.timestamp() - time.time()), 5)

    def test_refusals_come_before_the_body(self):
        path = self.write("keys", "secret\n")
        os.chmod(path, 0o600)
        server = self.serve("--api-key-file", path)
        head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n"
        key = "Authorization: Bearer secret\r\n"
        for more, status in (("Host: localhost\r\n", b"401"), ("Host: evil.example\r\n" + key, b"403"), ("Host: localhost\r\nOrigin: http://evil.example\r\n" + key, b"403")):
            with server.connect(20) as sock:
                sock.sendall((head + more + "\r\n").encode())
                reply = b""
                while data := sock.recv(4096):  # it closes: of a body that never came, nobody could tell the end
                    reply += data
            self.assertEqual(reply[9:12], status, reply)
        with server.connect(20) as sock:
            sock.sendall((head + "Host: localhost\r\n" + key + "\r\n").encode())
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 100 "))

    def test_answers_without_a_body(self):
        server = self.serve()
        with server.session() as http_session:
            etag = http_session.get("/", {"Accept-Encoding": "gzip"})[1]["etag"]
            status, headers, data = http_session.get("/", {"Accept-Encoding": "gzip", "If-None-Match": etag})
            self.assertEqual((status, data), (304, b""))
            self.assertNotIn("content-length", headers)
            status, headers, data = http_session.request("OPTIONS", "/v1/models")
            self.assertEqual((status, data, headers["allow"]), (204, b"", "GET"))
            self.assertNotIn("content-length", headers)
            self.assertEqual(http_session.request("HEAD", "/health")[::2], (200, b""))
            self.assertEqual(http_session.get("/health")[0], 200)  # the same connection

    def test_an_ipv6_address_that_is_listened_on(self):
        own = "::ffff:127.0.0.1"  # not among the names that are always allowed
        try:
            socket.create_server((own, 0), family=socket.AF_INET6, dualstack_ipv6=True).close()
        except OSError as error:
            self.skipTest("SKIPPED: no IPv6: %s" % error)
        server = self.serve("--host", own, "--insecure-no-auth")
        port = int(server.log().split("]:")[1].split()[0])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(("GET /health HTTP/1.0\r\nHost: [%s]:%d\r\n\r\n" % (own, port)).encode())
            self.assertIn(b"200 OK", sock.recv(4096))

    def test_unix_socket(self):
        path = self.path("socket")
        server = self.serve("--unix-socket", path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o700 & os.stat(path).st_mode)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        self.assertEqual(Session(connection).get("/health")[0], 200)
        connection.close()
        self.assertEqual(self.run_bantam("serve", "--unix-socket", path, expect=1).code, 1)
        self.assertEqual(server.stop(signal.SIGTERM), 0)
        self.assertFalse(os.path.exists(path))

    def test_tls(self):
        key, certificate = self.path("key.pem"), self.path("cert.pem")
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
                               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("SKIPPED: no certificate: " + done.stderr.decode()[-200:])
        server = self.serve("--tls-cert", certificate, "--tls-key", key, ready="listening on https://")
        port = int(server.log().split("listening on https://127.0.0.1:")[1].split()[0])
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        session = Session(connection)
        self.assertEqual(session.get("/health")[0], 200)
        self.assertEqual(session.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2})[0], 200)
        connection.close()
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            plain.settimeout(10)
            self.assertNotIn(b"200 OK", plain.recv(4096))
        self.assertIn("both", self.run_bantam("serve", "--port", "0", "--tls-cert", certificate, expect=2).err)
        self.assertIn("expected a PEM", self.run_bantam("serve", "--port", "0", "--tls-cert", key, "--tls-key", key, expect=3).err)


class Life(Case):
    def test_starts_within_a_second_and_says_what_it_serves(self):
        begin = time.monotonic()
        server = Server()
        self.addCleanup(server.stop)
        self.assertEqual(server.get("/health")[0], 200)
        self.assertLess(time.monotonic() - begin, 5)  # measured figure: bench/results; this only notices a wait
        self.assertIn("bantam-nano", server.log())

    def test_a_port_that_is_taken(self):
        server = Server()
        self.addCleanup(server.stop)
        reply = self.run_bantam("serve", "--port", str(server.port), expect=1)
        self.assertIn(str(server.port), reply.err)

    def test_a_model_that_is_not_there(self):
        self.assertIn("nonexistent", self.run_bantam("serve", "--port", "0", "/nonexistent", expect=3).err)

    def stream_while(self, server, act, **fields):
        """The events of an endless answer, while `act` is done after its first one."""
        out = []

        def read():
            with server.connect() as sock:
                body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True, **ENDLESS, **fields})
                sock.sendall(("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)).encode())
                with sock.makefile("rb") as file:
                    out.extend(line for line in file if line.startswith(b"data: "))

        thread = threading.Thread(target=read)
        thread.start()
        until = time.monotonic() + 30
        while time.monotonic() < until and json.loads(server.get("/health")[2])["running"] == 0:
            time.sleep(0.01)
        act()
        thread.join(60)
        self.assertFalse(thread.is_alive())
        return out

    def test_sigterm_drains_and_a_second_one_stops(self):
        server = Server("--drain", "60")
        self.addCleanup(server.stop)

        def stop_twice():
            server.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + 10
            while "draining" not in server.log() and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.2)
            self.assertIsNone(server.process.poll(), "it does not wait for the answer in work")
            with self.assertRaises(OSError):
                server.connect()
            server.process.send_signal(signal.SIGTERM)

        lines = self.stream_while(server, stop_twice)
        self.assertEqual(server.process.wait(20), 0)
        for line in lines:
            json.loads(line[6:])  # none is cut
        self.assertIn("error", json.loads(lines[-1][6:]), "a stream that was ended says so")

    def test_an_answer_in_work_is_finished(self):
        server = Server()
        self.addCleanup(server.stop)
        result = []
        thread = threading.Thread(target=lambda: result.append(server.chat("hi", **{**ENDLESS, "max_tokens": 1500})))
        thread.start()
        until = time.monotonic() + 30
        while time.monotonic() < until and json.loads(server.get("/health")[2])["running"] == 0:
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        thread.join(60)
        self.assertEqual(server.process.wait(20), 0)
        self.assertEqual(result[0][0], 200)
        self.assertEqual(json.loads(result[0][2])["usage"]["completion_tokens"], 1500)

    def test_several_models(self):
        first, second = self.path("a"), self.path("b")
        for folder in (first, second):
            os.symlink(NANO, folder)
        server = Server(first, second, env=environment())
        self.addCleanup(server.stop)
        states = {m["id"]: m["meta"]["state"] for m in json.loads(server.get("/v1/models")[2])["data"]}
        self.assertEqual(states, {"a": "loaded", "b": "unloaded"})
        body = {"messages": [{"role": "user", "content": "What is 2 + 3?"}], "temperature": 0}
        replies = [json.loads(server.post("/v1/chat/completions", {**body, "model": model})[2]) for model in ("a", "b")]
        self.assertEqual([r["model"] for r in replies], ["a", "b"])
        self.assertEqual(replies[0]["choices"][0]["message"], replies[1]["choices"][0]["message"])
        status, _, data = server.post("/v1/chat/completions", {**body, "model": "c"})
        self.assertEqual(status, 404)
        self.assertIn("a, b", json.loads(data)["error"]["message"])

    def test_a_model_that_cannot_be_loaded_is_tried_again(self):
        first, second = self.path("a"), self.path("b")
        for folder in (first, second):
            os.symlink(NANO, folder)
        server = Server(first, second, env=environment())
        self.addCleanup(server.stop)
        body = {"model": "b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        os.unlink(second)
        status, _, data = server.post("/v1/chat/completions", body)
        self.assertEqual((status, json.loads(data)["error"]["code"]), (503, "model_not_loaded"))
        self.assertNotIn(self.folder, data.decode())
        states = {m["id"]: m["meta"]["state"] for m in json.loads(server.get("/v1/models")[2])["data"]}
        self.assertEqual(states, {"a": "loaded", "b": "failed"})
        os.symlink(NANO, second)
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(server.post("/v1/chat/completions", body)[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(replies, [200] * 4)

    def test_a_budget_of_memory_is_kept(self):
        first, second = self.path("a"), self.path("b")
        for folder in (first, second):
            os.symlink(NANO, folder)
        server = Server(first, second, "--memory", "15MB", env=environment())
        self.addCleanup(server.stop)
        other = {"model": "b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        refused = []

        lines = self.stream_while(server, lambda: refused.append(server.post("/v1/chat/completions", other)), max_tokens=1500)
        self.assertGreater(len(lines), 100)
        status, headers, data = refused[0]
        self.assertEqual(status, 503, data)
        self.assertIn("0.015 GB", json.loads(data)["error"]["message"])
        self.assertIn("retry-after", headers)
        until = time.monotonic() + 30
        while (status := server.post("/v1/chat/completions", other)[0]) == 503 and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(status, 200)
        states = {m["id"]: m["meta"]["state"] for m in json.loads(server.get("/v1/models")[2])["data"]}
        self.assertEqual(states, {"a": "unloaded", "b": "loaded"})
        for model in ([first], []):  # without a name: the house model
            told = self.run_bantam("serve", *model, "--port", "0", "--memory", "1MB", expect=4).err
            self.assertIn("0.001 GB", told)

    def test_kept_conversations(self):
        body = {"messages": [{"role": "user", "content": "word " * 200 + "What is 2 + 3?"}], "temperature": 0, "max_tokens": 40}
        os.mkdir(self.path("slots"))
        replies, tokens = [], []
        for _ in range(2):
            server = Server("--slots", self.path("slots"))
            self.addCleanup(server.stop)
            status, _, data = server.post("/slots/restore", {"name": "talk"})
            tokens.append(json.loads(data).get("restored_tokens", status))
            replies.append(json.loads(server.post("/v1/chat/completions", body)[2]))
            server.wait_until_idle()
            saved = json.loads(server.post("/slots/save", {"name": "talk", **body})[2])
            server.stop(signal.SIGTERM)
        self.assertEqual(replies[0]["choices"], replies[1]["choices"])
        self.assertEqual((tokens[0], tokens[1]), (400, saved["saved_tokens"]))
        self.assertGreaterEqual(saved["saved_tokens"], 192)
        self.assertGreaterEqual(replies[1]["usage"]["prompt_tokens_details"]["cached_tokens"], 192)
        server = Server("--slots", self.path("slots"))
        self.addCleanup(server.stop)
        for name in ("../talk", ".talk", "a/b", "", "a" * 65, "a\0b", None, 5):
            self.assertEqual(server.post("/slots/restore", {"name": name})[0], 400, name)
        self.assertEqual([slot["name"] for slot in json.loads(server.get("/slots")[2])["slots"]], ["talk"])
        with server.session() as http_session:
            self.assertEqual(http_session.request("DELETE", "/slots/..%2ftalk")[0], 404)
            self.assertEqual(http_session.request("DELETE", "/slots/talk")[0], 200)
        self.assertEqual(json.loads(server.get("/slots")[2])["slots"], [])
        server.stop(signal.SIGTERM)
        plain = Server()
        self.addCleanup(plain.stop)
        self.assertEqual(plain.get("/slots")[0], 404)

    def test_ps_knows_it(self):
        env = environment(XDG_RUNTIME_DIR=self.folder)
        server = Server(env=env)
        self.addCleanup(server.stop)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            servers = self.run_bantam("ps", "--json", env=env).json()["servers"]
            if servers and servers[0]["models"]:
                break
            time.sleep(0.05)
        self.assertEqual((servers[0]["pid"], servers[0]["url"]), (server.process.pid, server.url))
        self.assertEqual(servers[0]["models"][0]["name"], "bantam-nano")
        server.stop(signal.SIGTERM)
        self.assertEqual(self.run_bantam("ps", "--json", env=env).json()["servers"], [])


if __name__ == "__main__":
    main()
