"""chat: through a pipe, and through a pseudo terminal as a person would use it."""
import fcntl
import json
import os
import pty
import unittest
import re
import select
import signal
import struct
import termios
import time

from support import BANTAM, Case, environment, main

ENDLESS = [arg for i in (4096, 4097, 4098) for arg in ("--logit-bias", "%d:-1000" % i)]


class Piped(Case):
    def test_plain_text_only(self):
        reply = self.run_bantam("chat", "--temperature", "0", "-n", "5", stdin="hello\n/ctx\n/quit\nnever\n")
        self.assertNotIn(">>>", reply.out)
        self.assertIn("tokens/s", reply.err)
        self.assertIn("tokens used", reply.err)
        quiet = self.run_bantam("chat", "-q", "--no-think", "--temperature", "0", "-n", "5", stdin="hello\n")
        one = self.run_bantam("run", "-q", "--no-think", "--temperature", "0", "-n", "5", "-p", "hello")
        self.assertEqual(quiet.out, one.out)
        self.assertEqual(quiet.err, "")

    def test_nonsense(self):
        commands = ["/nope", "/set", "/set x", "/set temperature", "/set temperature hot", "/set temperature nan", "/set seed -1",
                    "/set thinking sideways", "/load", "/load /nonexistent", "/save", "/save /nonexistent/x", "/undo", "/drop", "/regen",
                    "/expand", "/tokens", "/clear", "/system", "/think now", "/", "//", "\\", '"""', '"""']
        reply = self.run_bantam("chat", "-n", "1", stdin="\n".join(commands) + "\n")
        self.assertIn("no command /nope", reply.err)
        self.assertGreaterEqual(reply.err.count("cannot set"), 5)
        self.assertIn("nothing to answer", reply.err)

    def test_save_load_undo_regen(self):
        path = self.path("talk.json")
        talk = "/system Be brief.\nfirst\nsecond\n/undo\nthird\n/regen\n/save %s\n" % path
        self.run_bantam("chat", "--temperature", "0", "-n", "3", stdin=talk)
        with open(path, encoding="utf-8") as file:
            messages = json.load(file)["messages"]
        self.assertEqual([m["role"] for m in messages], ["system", "user", "assistant", "user", "assistant"])
        self.assertEqual([messages[i]["content"] for i in (0, 1, 3)], ["Be brief.", "first", "third"])
        again = self.run_bantam("chat", "-n", "1", "--load", path, stdin="/drop\n/save %s\n" % self.path("b.json"))
        self.assertIn("5 messages", again.err)
        with open(self.path("b.json"), encoding="utf-8") as file:
            self.assertEqual([m["content"] for m in json.load(file)["messages"] if m["role"] == "user"], ["third"])
        self.write("bad.json", '{"messages": [{"role": "user"}]}')
        self.assertIn("expected", self.run_bantam("chat", stdin="/load %s\n" % self.path("bad.json")).err)

    def test_what_was_read_is_kept(self):
        path = self.path("talk.json")
        talk = "/system %s\nfirst\n/save %s --kv\n" % ("Be brief and kind. " * 20, path)
        self.assertIn("tokens as they were read", self.run_bantam("chat", "--temperature", "0", "-n", "3", stdin=talk).err)
        more = "/load %s\nsecond\n" % path
        again = self.run_bantam("chat", "--temperature", "0", "-n", "3", stdin=more)
        self.assertIn("need not be read again", again.err)
        other = self.run_bantam("chat", "--temperature", "0", "-n", "3", "--kv", "f32", stdin=more)
        self.assertIn("will be read again", other.err)
        self.assertIn("expected keys and values as f32, got f16", other.err)
        os.remove(path + ".kv")
        anew = self.run_bantam("chat", "--temperature", "0", "-n", "3", stdin=more)
        self.assertNotIn("read again", anew.err)
        self.assertEqual(again.out, anew.out)

    def test_a_budget_of_thinking(self):
        reply = self.run_bantam("chat", "--temperature", "0", "-n", "60", "--think", stdin="/set budget 0\nhello\n/set budget x\n/expand\n")
        self.assertIn("Considering the limited time", reply.err)
        self.assertIn("the thinking was ended", reply.err)
        self.assertIn("cannot set", reply.err)

    def test_several_lines_in_one_message(self):
        path = self.path("t.json")
        self.run_bantam("chat", "-n", "1", stdin='one\\\ntwo\n"""three\n\nfour"""\n"""\nfive\n"""\n/save %s\n' % path)
        with open(path, encoding="utf-8") as file:
            said = [m["content"] for m in json.load(file)["messages"] if m["role"] == "user"]
        self.assertEqual(said, ["one\ntwo", "three\n\nfour", "five"])

    def test_a_full_context_is_explained_and_nothing_is_cut(self):
        path = self.path("t.json")
        words = "word " * 80
        reply = self.run_bantam("chat", "--ctx", "64", "-n", "4", "--no-think",
                                stdin="hi\n%s\n/undo\nhello\n/save %s\n" % (words, path))
        self.assertIn("context is full", reply.err)
        self.assertIn("/drop", reply.err)
        with open(path, encoding="utf-8") as file:
            messages = json.load(file)["messages"]
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"], ["hi", "hello"])
        self.assertIn("context is full", self.run_bantam("chat", "--ctx", "32", *ENDLESS, stdin="hello\n").err)


class Terminal(Case):
    def start(self, *args, **env):
        try:
            pid, self.fd = pty.fork()
        except OSError as error:
            raise unittest.SkipTest(f"SKIPPED: this machine gives no pseudo terminal ({error}); is /dev/pts mounted?")
        if pid == 0:
            os.execve(BANTAM, [BANTAM, "chat", *args], environment(XDG_STATE_HOME=self.path("state"), HOME=self.folder, **env))
        self.pid, self.seen = pid, b""
        self.addCleanup(self.end)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        return self.wait_for(">>> ")

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def wait_for(self, text, timeout=60):
        """All output up to and including `text`."""
        until = time.time() + timeout
        while time.time() < until:
            at = self.seen.find(text.encode())
            if at >= 0:
                at += len(text.encode())
                out, self.seen = self.seen[:at], self.seen[at:]
                return out.decode(errors="replace")
            if not select.select([self.fd], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        return self.fail("waited for %r, got %r" % (text, self.seen.decode(errors="replace")[-1500:]))

    def say(self, text, until=">>> "):
        os.write(self.fd, text.encode())
        return self.wait_for(until)

    def exit_code(self):
        until = time.time() + 30
        while time.time() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            try:  # a full terminal would keep it from ending
                if select.select([self.fd], [], [], 0.02)[0]:
                    os.read(self.fd, 4096)
            except OSError:
                pass
        self.fail("it does not end")

    def messages(self):
        path = self.path("talk.json")
        self.say("/save %s\r" % path, "messages to")
        self.wait_for(">>> ")
        with open(path, encoding="utf-8") as file:
            return [m["content"] for m in json.load(file)["messages"] if m["role"] == "user"]

    def test_a_conversation(self):
        greeting = self.start("--seed", "1", "-n", "6")
        self.assertIn("house model", greeting)
        self.assertIn("/help", greeting)
        self.assertIn("/regen", self.say("/help\r"))
        self.assertIn("tokens/s", self.say("hello\r"))
        self.say("/set temperature 0.25\r")
        self.assertIn("temperature 0.25", self.say("/set\r"))
        self.say("grüße 世界\r")
        self.assertIn("tokens/s", self.say("/regen\r"))
        self.assertIn("took back: gr", self.say("/undo\r"))
        self.say("two\\\r", "... ")
        self.say("lines\r", "tokens/s")
        self.wait_for(">>> ")
        self.assertEqual(self.messages(), ["hello", "two\nlines"])
        os.write(self.fd, b"/quit\r")
        self.assertEqual(self.exit_code(), 0)
        with open(self.path("state/bantam/history"), encoding="utf-8", errors="replace") as file:
            self.assertIn("hello", file.read())

    def test_utf8_and_pasted_lines(self):
        self.start("-n", "1", LC_ALL="C")
        self.say("grüße 世界\r", "tokens/s")
        self.wait_for(">>> ")
        self.say("\x1b[200~pasted é\rsecond line\x1b[201~ end\r", "tokens/s")
        self.wait_for(">>> ")
        self.assertEqual(self.messages(), ["grüße 世界", "pasted é\nsecond line end"])

    def test_interrupts(self):
        self.start("--temperature", "1", "--no-think", *ENDLESS)
        os.write(self.fd, b"hello\r")
        time.sleep(1.5)
        self.assertIn("stopped", self.say("\x03"))
        os.write(self.fd, b"half a line")
        for _ in range(20):
            self.assertIn("leaves", self.say("\x03"))
        self.assertIn("/regen", self.say("/help\r"), "the half line is gone, the program is not")
        os.write(self.fd, b"\x04")
        self.assertEqual(self.exit_code(), 0)

    def test_no_color(self):
        for args, env in (([], {"NO_COLOR": "1"}), (["--no-color"], {}), ([], {"TERM": "dumb"})):
            self.start("-n", "4", *args, **env)
            out = self.say("hello\r", "tokens/s")
            self.assertFalse(re.search(r"\x1b\[[0-9;]*m", out), out)
            self.end()
        self.start("-n", "4")
        self.assertTrue(re.search(r"\x1b\[2m", self.say("hello\r", "tokens/s")))


if __name__ == "__main__":
    main()
