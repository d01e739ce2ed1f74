"""Headless Chromium through the DevTools protocol, with the standard library only.

Owns the browser process and its profile; talks over --remote-debugging-pipe (JSON messages that end in a zero byte, file
descriptors 3 and 4), so no port and no WebSocket is needed. Used by the tests beside it. Not thread-safe. Every wait has
a deadline and says what it waited for."""
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE_S = int(os.environ.get("BANTAM_WEB_PATIENCE_S", "60"))  # for one wait; slow machines under load need seconds where this one needs milliseconds


def find_chromium():
    """The browser's path, or None."""
    named = os.environ.get("BANTAM_CHROMIUM")
    candidates = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((found for found in map(shutil.which, candidates) if found), None)


class BrowserError(Exception):
    pass


class Browser:
    """One browser with an empty profile. `on_event(method, session, params)` hears what nobody waits for."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="bantam-web-test-")
        to_browser, self.out = os.pipe()
        self.inn, from_browser = os.pipe()

        def descriptors():
            # 3 and 4 may be among the four above, so they go out of the way first.
            read, write = os.dup(to_browser), os.dup(from_browser)
            high = [os.dup2(fd, 200 + i) for i, fd in enumerate((read, write))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        arguments = [program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--no-first-run", "--disable-gpu",
                     "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--mute-audio", "--hide-scrollbars",
                     "--no-default-browser-check", "--disable-component-update", "--force-color-profile=srgb", "about:blank"]
        if os.geteuid() == 0:
            arguments.insert(1, "--no-sandbox")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        close_fds=False, preexec_fn=descriptors)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.answers = {}
        self.listeners = []

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.inn)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _read(self, timeout_s):
        """Takes in what has come; False when nothing came in time."""
        ready, _, _ = select.select([self.inn], [], [], timeout_s)
        if not ready:
            return False
        piece = os.read(self.inn, 1 << 20)
        if not piece:
            raise BrowserError("the browser has ended")
        *messages, self.buffer = (self.buffer + piece).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                for listener in self.listeners:
                    listener(message["method"], message.get("sessionId"), message.get("params", {}))
        return True

    def send(self, method, params=None, session=None):
        """Sends without waiting for the answer; its number."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        return self.number

    def call(self, method, params=None, session=None):
        number = self.send(method, params, session)
        deadline = time.monotonic() + PATIENCE_S
        while number not in self.answers:
            if not self._read(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                raise BrowserError(f"{method}: no answer within {PATIENCE_S} s")
        answer = self.answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return answer.get("result", {})

    def pump(self, seconds):
        """Lets events arrive."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)


class Page:
    """One tab with storage of its own. Collects what the page reports as wrong: exceptions, console errors, violations of its CSP."""

    def __init__(self, browser, width=1280, height=860):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", {"url": "about:blank", "browserContextId": self.context})["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.problems = []
        browser.listeners.append(self._event)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.bringToFront")
        self.call("Emulation.setFocusEmulationEnabled", {"enabled": True})
        self.resize(width, height)

    def close(self):
        self.browser.listeners.remove(self._event)
        self.browser.call("Target.disposeBrowserContext", {"browserContextId": self.context})

    def call(self, method, params=None):
        return self.browser.call(method, params, self.session)

    def _event(self, method, session, params):
        if session != self.session:
            return
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            # A refused request is often what a test is about; the page has to show it, not to keep it off the log.
            if params["entry"]["source"] != "network":
                self.problems.append(params["entry"]["text"])

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, url):
        self.call("Page.navigate", {"url": url})
        self.wait("document.documentElement.dataset.ready === 'true'", "the page to be ready")

    def reload(self):
        """Once what was done is in the database: nobody reloads within a millisecond of a click."""
        self.wait("!(Number(document.documentElement.dataset.saves) > 0)", "the changes to be saved")
        self.js("delete document.documentElement.dataset.ready")
        self.call("Page.reload")
        self.wait("document.documentElement.dataset.ready === 'true'", "the page to be ready again")

    def js(self, expression):
        """The value of an expression (awaited) in the page."""
        answer = self.call("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True})
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(f"{expression}: {details.get('exception', {}).get('description') or details['text']}")
        return answer["result"].get("value")

    def wait(self, expression, what, patience_s=PATIENCE_S):
        """Until the expression is true. An expression that fails counts as false: between two pages some do."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                value = self.js(f"!!({expression})")
            except BrowserError:
                value = False
            if value:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience_s} s for {what}: {expression}")
            self.browser.pump(0.02)

    def _centre(self, selector):
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"!!({found} && {found}.getClientRects().length)", f"{selector} to be shown")
        # The middle once it has stopped moving: fonts and answers that arrive shift what stands below them.
        return self.js(f"(async () => {{ await document.fonts.ready; let before = ''; for (let i = 0; i < 60; i++) {{ const e = {found};"
                       " e?.scrollIntoView({block: 'nearest', behavior: 'instant'}); const r = e?.getClientRects()[0];"
                       " const now = r && [r.left + r.width / 2, r.top + r.height / 2]; if (now && String(now) === before) return now;"
                       " before = String(now); await new Promise((f) => setTimeout(f, 40)); } throw new Error('it never stands still'); })()")

    def hover(self, selector):
        x, y = self._centre(selector)
        self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    def click(self, selector):
        """A real click in the middle of the element: fails as a user's would when something lies over it."""
        x, y = self._centre(selector)
        self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1})

    def type(self, text):
        self.call("Input.insertText", {"text": text})

    def key(self, key, code=None, modifiers=0, text=None):
        """modifiers: Alt 1, Ctrl 2, Meta 4, Shift 8."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        number = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        event = {"key": key, "code": code or key, "modifiers": modifiers, "windowsVirtualKeyCode": number}
        text = text if text is not None else ("\r" if key == "Enter" else "")
        self.call("Input.dispatchKeyEvent", {"type": "keyDown", **event, **({"text": text} if text else {})})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText")

    def count(self, selector):
        return self.js(f"document.querySelectorAll({json.dumps(selector)}).length")

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", {"format": "png"})["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
