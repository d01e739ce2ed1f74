"""Ctrl+C outside of chat: exit code 130, nothing half-written, what was answered so far stays on stdout."""
import json
import os
import signal
import subprocess
import time

from support import BANTAM, NANO, Case, environment, main

ENDLESS = [arg for i in (4096, 4097, 4098) for arg in ("--logit-bias", "%d:-1000" % i)]


class Interrupt(Case):
    def start(self, *args, **more):
        return subprocess.Popen([BANTAM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), **more)

    def wait_for_handler(self, pid):
        """Until the program catches SIGINT, and a little longer, so that it waits for input by then."""
        until = time.time() + 60
        while time.time() < until:
            with open("/proc/%d/status" % pid, encoding="ascii") as file:
                caught = next(line for line in file if line.startswith("SigCgt:"))
            if int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1:
                break
            time.sleep(0.02)
        time.sleep(0.3)

    def test_an_answer(self):
        for command in (["complete", "-p", "Once"], ["run", "-p", "hi", "--no-think"]):
            with self.start(*command, *ENDLESS, "--temperature", "1") as process:
                self.assertTrue(process.stdout.read(1), "it answers")
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
                self.assertEqual(process.returncode, 130, err)
                self.assertNotIn(b"Traceback", err)

    def test_waiting_for_input(self):
        for args in (["run"], ["complete"], ["tokenize"], ["tokenize", "--jsonl"], ["score", "-"]):
            with self.start(*args) as process:
                self.wait_for_handler(process.pid)
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(timeout=30), 130, args)

    def test_score_and_forward(self):
        lines = self.write("l", '{"ids": %s}\n' % json.dumps([7] * 3000) * 300)
        with self.start("score", lines) as process:
            self.assertTrue(json.loads(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate()
            self.assertEqual(process.returncode, 130)
            for line in out.splitlines():
                json.loads(line)
        with self.start("forward", lines, "-o", self.path("o"), "--last") as process:
            until = time.time() + 60
            while not self.leftovers() and time.time() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.communicate()
            self.assertEqual(process.returncode, 130)
        self.assertFalse(os.path.exists(self.path("o")))
        self.assertEqual(self.leftovers(), [])

    def test_a_reader_that_goes_away(self):
        process = self.start("complete", NANO, "-p", "Once", *ENDLESS, "--temperature", "1")
        self.assertTrue(process.stdout.read(1))
        process.stdout.close()
        process.stdin.close()
        begin = time.time()
        self.assertEqual(process.wait(timeout=60), 1)
        self.assertLess(time.time() - begin, 20, "it stops generating")
        self.assertNotIn(b"cannot write", process.stderr.read())
        process.stderr.close()


if __name__ == "__main__":
    main()
