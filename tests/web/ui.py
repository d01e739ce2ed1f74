"""What the tests say to the page: the words of a user, on top of browser.Page."""
import json
import threading

from browser import Page

ALT, CTRL, SHIFT = 1, 2, 8


class Ui(Page):
    """A page of its own storage on a relay. `shots` is a folder for screenshots, or None."""

    def __init__(self, browser, relay, shots=None, width=1280, height=860):
        super().__init__(browser, width, height)
        self.relay = relay
        self.shots = shots
        self.gates = []
        relay.script, relay.down, relay.requests = None, False, []
        self.open(relay.url)

    def close(self):
        for gate in self.gates:
            gate.set()
        super().close()

    def shot(self, name):
        if self.shots:
            self.browser.pump(0.4)  # fonts and transitions
            self.screenshot(f"{self.shots}/{name}.png")

    def gate(self):
        """An event a script can wait for; set at the latest when the page closes."""
        self.gates.append(threading.Event())
        return self.gates[-1]

    def write(self, text):
        self.click("#composer-text")
        self.type(text)

    def ask(self, text, wait=True):
        before = len(self.relay.requests)
        self.write(text)
        self.key("Enter")
        self.wait_for(lambda: len(self.relay.requests) > before, "the request")
        if wait:
            self.settle()

    def wait_for(self, condition, what):
        """Until something outside the page is true."""
        for _ in range(3000):
            if condition():
                return
            self.browser.pump(0.02)
        raise AssertionError(f"waited 60 s for {what}")

    def settle(self):
        """Until every answer is complete and saved."""
        self.wait("!document.querySelector('.send.stopping') && !document.querySelector('.message.streaming') && document.querySelector('.message.assistant')",
                  "the answers to be complete")

    def press_on_last(self, label, role="assistant"):
        """Clicks an action of the last message of a role."""
        selector = json.dumps(f'[aria-label="{label}"]')
        self.wait("(() => { document.querySelectorAll('[data-aim]').forEach((e) => delete e.dataset.aim);"
                  f" const b = [...document.querySelectorAll('.message.{role}')].at(-1)?.querySelector({selector});"
                  " if (b) b.dataset.aim = 'here'; return !!b; })()", f"the button {label}")
        self.click("[data-aim=here]")

    def users(self):
        return self.js("[...document.querySelectorAll('.message.user .plain')].map((e) => e.textContent)")

    def answers(self):
        return self.js("[...document.querySelectorAll('.message.assistant .prose')].map((e) => e.textContent.trim())")

    def branch(self):
        """ "2/3" of the last answer, None when it has no siblings."""
        return self.js("[...document.querySelectorAll('.message.assistant')].at(-1).querySelector('.switcher')?.textContent.trim()")

    def nodes(self):
        """What the database holds of the messages."""
        return self.js("""new Promise((resolve) => { const open = indexedDB.open('bantam');
            open.onsuccess = () => { const all = open.result.transaction('nodes').objectStore('nodes').getAll();
                                     all.onsuccess = () => { open.result.close(); resolve(all.result.sort((a, b) => a.created - b.created)); }; }; })""")


def equal(got, expected, what):
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"


def holds(condition, what):
    assert condition, what
