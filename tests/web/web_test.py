#!/usr/bin/env python3
"""Tests the web UI in headless Chromium: types, clicks and looks at what comes, against a real `bantam serve`.

    tests/web/web_test.py --program build/release/bantam [--only NAME] [--shots FOLDER] [--url URL] [--web web]

--url uses a server that runs already; --web takes the page from a folder, so that a change needs no build; --shots keeps screenshots. Cases are the case_ functions of chat_cases.py and lab_cases.py,
each with storage of its own. Exits with 77 (skipped) when Chromium is not installed."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import traceback

import chat_cases
import lab_cases
from browser import Browser, BrowserError, find_chromium
from relay import Relay
from ui import Ui

SKIPPED = 77


def start_server(program):
    """(process, URL) of `bantam serve` with the house model on a free port."""
    process = subprocess.Popen([program, "serve", "--port", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    heard = ""
    for line in process.stderr:
        heard += line
        match = re.search(r"listening on (http://\S+)", line)
        if match:
            return process, match.group(1)
    raise SystemExit(f"bantam serve ended with {process.wait()}:\n{heard}")


def run_case(browser, relay, name, case, shots):
    """None, or what went wrong."""
    start = time.monotonic()
    ui = Ui(browser, relay, shots)
    try:
        case(ui)
        wrong = "\n".join(["the page reported:", *ui.problems]) if ui.problems else None
    except (AssertionError, BrowserError) as error:
        wrong = "".join(traceback.format_exception_only(error)) + f"  in {traceback.extract_tb(error.__traceback__)[1].line}"
        if ui.problems:
            wrong += "\n  the page reported: " + "\n".join(ui.problems)
        if shots:
            ui.screenshot(f"{shots}/failed_{name}.png")
    ui.close()
    print(f"{'FAILED' if wrong else 'ok':6} {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return wrong and f"{name}: {wrong}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--url")
    parser.add_argument("--only", default="")
    parser.add_argument("--shots")
    parser.add_argument("--web")
    options = parser.parse_args()
    program = find_chromium()
    if not program:
        print("SKIPPED: the web UI is not tested, for Chromium is not installed (./dev setup --web installs it)")
        return SKIPPED
    if options.shots:
        pathlib.Path(options.shots).mkdir(parents=True, exist_ok=True)
    cases = [(name[5:], case) for module in (chat_cases, lab_cases) for name, case in vars(module).items()
             if name.startswith("case_") and options.only in name]
    server, url = (None, options.url) if options.url else start_server(os.path.abspath(options.program))
    relay = Relay(url, options.web)
    browser = Browser(program)
    try:
        wrong = list(filter(None, (run_case(browser, relay, name, case, options.shots) for name, case in cases)))
    finally:
        browser.close()
        relay.close()
        if server:
            server.terminate()
            server.wait(30)
    print("\n\n".join(wrong) if wrong else f"{len(cases)} cases passed")
    return 1 if wrong or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
