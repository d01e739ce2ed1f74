"""Conversations: asking, persistence, branches, editing, stopping, attachments, errors, keys."""
import json
import pathlib
import tempfile

from ui import ALT, CTRL, SHIFT, equal, holds

UNITS = pathlib.Path(__file__).with_name("units.js")


def case_units(ui):
    """The pure modules, in the page's own engine."""
    complaints = ui.js(UNITS.read_text(encoding="utf-8"))
    holds(not complaints, "\n".join(complaints))


def case_persists(ui):
    """The house model answers; a reload shows the same; search finds it; rename and delete with undo."""
    ui.shot("empty")
    ui.ask("What is 17 + 25?")
    answer = ui.answers()
    holds(answer and answer[0], f"expected an answer, got {answer}")
    equal(ui.text(".title"), "What is 17 + 25?", "the title")
    holds(ui.nodes()[-1]["tokens"], "the answer's tokens were not kept")
    ui.reload()
    equal(ui.users(), ["What is 17 + 25?"], "messages after a reload")
    equal(ui.answers(), answer, "the answer after a reload")
    ui.key("o", "KeyO", CTRL | SHIFT)
    ui.wait("document.querySelector('.welcome')", "an empty conversation")
    ui.ask("Second topic")
    equal(ui.count(".conversation"), 2, "conversations")
    ui.key("k", "KeyK", CTRL)
    ui.type("17")
    ui.wait("document.querySelectorAll('.conversation').length === 1", "one to be found")
    ui.key("Enter")
    ui.wait("document.querySelector('.title').textContent.startsWith('What is 17')", "the one found to open")
    ui.click(".title")
    ui.js("document.querySelector('dialog input').select()")
    ui.type("Sums")
    ui.key("Enter")
    ui.wait("document.querySelector('.title').textContent === 'Sums'", "the new title")
    ui.key("k", "KeyK", CTRL)
    ui.key("Escape")
    ui.wait("document.querySelectorAll('.conversation').length === 2", "all conversations")
    ui.click(".conversation.here .icon-button")
    ui.click(".menu .danger")
    ui.wait("document.querySelectorAll('.conversation').length === 1", "the conversation to go")
    ui.click(".toast .link")
    ui.wait("document.querySelectorAll('.conversation').length === 2 && document.querySelector('.title').textContent === 'Sums'", "the undo")
    ui.reload()
    equal(ui.users(), ["What is 17 + 25?"], "messages after undo and reload")


def case_branches(ui):
    """Regenerating and editing make siblings; the switcher and the rail walk between them; deleting is undone."""
    ui.relay.script = lambda request, reply: reply.text(f"answer {len(ui.relay.requests)} to {request['messages'][-1]['content']}")
    ui.ask("one")
    ui.press_on_last("Regenerate")
    ui.wait("document.querySelector('.switcher')?.textContent.includes('2/2')", "two branches")
    ui.settle()
    equal(ui.answers(), ["answer 2 to one"], "the regenerated answer")
    holds(ui.relay.requests[0]["seed"] != ui.relay.requests[1]["seed"], "regenerating kept the seed")
    ui.press_on_last("Previous branch")
    equal(ui.answers(), ["answer 1 to one"], "the first branch")
    ui.click(".message.assistant .rail .dot:last-child")
    equal(ui.answers(), ["answer 2 to one"], "the branch of the rail's dot")
    ui.ask("two")
    equal(ui.relay.requests[-1]["messages"][1]["content"], "answer 2 to one", "the history that was sent")
    ui.press_on_last("Edit", "user")
    ui.js("document.querySelector('.edit-area').select()")
    ui.type("deux")
    ui.click(".editor .primary")
    ui.wait("document.querySelectorAll('.message.user')[1]?.querySelector('.plain')?.textContent === 'deux'", "the edited message")
    ui.settle()
    equal(ui.users(), ["one", "deux"], "the edit's branch")
    equal(ui.answers()[-1], "answer 4 to deux", "the edit's answer")
    ui.press_on_last("Previous branch", "user")
    equal(ui.users(), ["one", "two"], "the branch before the edit")
    ui.reload()
    equal(ui.users(), ["one", "two"], "the branch after a reload")
    ui.press_on_last("Delete", "user")
    equal(ui.users(), ["one", "deux"], "its sibling after deleting")
    equal(len(ui.nodes()), 5, "messages in the database")
    ui.click(".toast .link")
    ui.wait("document.querySelectorAll('.message.user')[1].querySelector('.plain').textContent === 'two'", "the undo")
    ui.press_on_last("Edit")
    ui.js("document.querySelector('.edit-area').select()")
    ui.type("my own words")
    ui.click(".editor .button:nth-of-type(2)")
    ui.wait("[...document.querySelectorAll('.prose')].at(-1).textContent.trim() === 'my own words'", "the edited answer")
    equal(ui.branch(), "2/2", "the edited answer is a branch")
    ui.shot("branches")


def case_stop_and_continue(ui):
    """Stop keeps what has come; continue sends its ids back and appends; a broken stream can be continued too."""
    hold = ui.gate()

    def entry(token, number):
        return {"token": token, "id": number, "logprob": -0.1, "bytes": list(token.encode()), "top_logprobs": []}

    def slow(request, reply):
        reply.delta(content="alpha ", logprobs={"content": [entry("alpha ", 11)], "reasoning": []})
        hold.wait(60)
        reply.text("late")

    ui.relay.script = slow
    ui.ask("go", wait=False)
    ui.wait("document.querySelector('.prose')?.textContent.includes('alpha')", "the first words")
    holds(ui.js("document.querySelector('.send').getAttribute('aria-label').startsWith('Stop')"), "no stop button")
    ui.key("Escape")
    ui.settle()
    equal(ui.text(".end-note"), "Stopped.", "the note")
    hold.set()

    def rest(request, reply):
        reply.delta(content="beta", logprobs={"content": [entry("beta", 12)], "reasoning": []})

    ui.relay.script = rest  # ends without finish: a connection that broke
    ui.press_on_last("Continue")
    ui.wait("document.querySelector('.error:not([hidden])')", "the broken stream to be said")
    equal(ui.relay.requests[-1]["prefix_token_ids"], [11], "the prefix")
    equal(ui.answers(), ["alpha beta"], "what was kept")
    holds("broke off" in ui.text(".error"), ui.text(".error"))
    ui.relay.script = lambda request, reply: reply.text("gamma")
    ui.press_on_last("Continue")
    ui.wait("document.querySelector('.prose').textContent.includes('gamma')", "the rest")
    ui.settle()
    equal(ui.relay.requests[-1]["prefix_token_ids"], [11, 12], "the longer prefix")
    equal(ui.branch(), None, "continuing makes no branch")
    holds(not ui.js("document.querySelector('.error:not([hidden])')"), "the error is still shown")


def case_real_continue(ui):
    """Against the model itself: an answer cut after a few tokens and continued equals the whole one of the same seed."""
    ui.key(",", "Comma", CTRL)
    ui.click("[data-field=seed]")
    ui.type("7")
    ui.ask("What is 17 + 25?")
    whole = ui.nodes()[-1]
    ui.click("[data-field=max_tokens]")
    ui.type("2")
    ui.press_on_last("Regenerate")
    ui.wait("document.querySelector('.switcher')", "the second branch")
    ui.settle()
    equal(ui.nodes()[-1]["finish"], "length", "the end of the cut answer")
    ui.click("[data-field=max_tokens]")
    ui.js("document.querySelector('[data-field=max_tokens]').select()")
    ui.key("Backspace", "Backspace")
    ui.js("(() => { const f = document.querySelector('[data-field=max_tokens]'); f.value = ''; f.dispatchEvent(new Event('input')); })()")
    ui.press_on_last("Continue")
    ui.settle()
    joined = ui.nodes()[-1]
    equal([t["i"] for t in joined["tokens"]], [t["i"] for t in whole["tokens"]], "token ids of the continued answer")
    equal((joined["content"], joined["reasoning"]), (whole["content"], whole["reasoning"]), "text of the continued answer")


def case_edited_continue(ui):
    """The model goes on from the user's words; control tokens among them are text."""
    ui.ask("What is 17 + 25?")
    ui.press_on_last("Edit")
    ui.js("document.querySelector('.edit-area').select()")
    ui.type("17 + 25 = 4")
    ui.click(".editor .primary")
    ui.wait("document.querySelector('.switcher')?.textContent.includes('2/2')", "the edited branch")
    ui.settle()
    holds(ui.nodes()[-1]["content"].startswith("17 + 25 = 4"), ui.nodes()[-1]["content"])
    body = ui.relay.requests[-1]
    equal(body["enable_thinking"], False, "thinking before the user's words")
    plain, asked = len(body["prefix_token_ids"]), len(ui.relay.requests)
    ui.press_on_last("Edit")
    ui.js("document.querySelector('.edit-area').select()")
    ui.type("17 + 25 = 4<|im_end|>")
    ui.click(".editor .primary")
    ui.wait("document.querySelector('.switcher')?.textContent.includes('3/3')", "the third branch")
    ui.wait_for(lambda: len(ui.relay.requests) > asked, "the request")
    # After such words the small model may go on without an end.
    ui.wait("(document.querySelector('.send.stopping')?.click(), !document.querySelector('.send.stopping'))", "the answer to stop")
    ui.settle()
    holds(len(ui.relay.requests[-1]["prefix_token_ids"]) > plain + 1, "a control token was made of the user's text")


def case_thinking(ui):
    """The switch reaches the request; thinking streams open and folds when the answer begins."""
    hold = ui.gate()

    def think(request, reply):
        reply.event({"choices": [], "prompt_progress": {"total": 900, "cache": 300, "processed": 600, "time_ms": 1}})
        reply.delta(reasoning_content="Let me see. " * 30)
        hold.wait(60)
        reply.text("Done.")

    ui.relay.script = think
    ui.click("[data-thinking=on]")
    ui.ask("why", wait=False)
    ui.wait("document.querySelector('.think')?.open && document.querySelector('.think.live')", "open thinking")
    ui.shot("thinking")
    hold.set()
    ui.settle()
    holds(not ui.js("document.querySelector('.think').open"), "thinking stayed open")
    equal(ui.relay.requests[-1]["enable_thinking"], True, "thinking on")
    ui.relay.script = lambda request, reply: reply.text("ok")
    ui.key("h", "KeyH", ALT)
    ui.ask("again")
    equal(ui.relay.requests[-1]["enable_thinking"], False, "thinking off, by its shortcut")
    ui.key("h", "KeyH", ALT)
    ui.ask("again")
    holds("enable_thinking" not in ui.relay.requests[-1], "auto sends a choice")


def case_hostile_text(ui):
    """Markup from the user and from the model is text; nothing runs and nothing is fetched."""
    attacks = ['<img src=x onerror="window.pwned=1">', "<script>window.pwned=1</script>", "[x](javascript:window.pwned=1)", "![x](https://127.0.0.1:9/leak.png)",
               "<svg onload=window.pwned=1>", "$\\href{javascript:window.pwned=1}{x}$", "```\"><img src=x onerror=window.pwned=1>\n<b>\n```"]
    text = "\n\n".join(attacks)
    ui.relay.script = lambda request, reply: reply.text(text, reasoning=text)
    ui.ask(text.replace("\n\n", " "))
    ui.js("document.querySelector('.think').open = true")
    ui.press_on_last("Markdown source")
    ui.press_on_last("Markdown source")
    ui.browser.pump(0.5)
    equal(ui.js("window.pwned"), None, "something ran")
    equal(ui.count(".thread-list img, .thread-list script, .thread-list svg[onload]"), 0, "elements made of text")
    holds(ui.answers()[0].startswith('<img src=x onerror="window.pwned=1">'), ui.answers()[0])
    equal(ui.js("[...document.querySelectorAll('.thread-list a')].filter((a) => a.href && !/^https?:/.test(a.href)).length"), 0, "links that are no links")
    equal(ui.js("performance.getEntriesByType('resource').filter((e) => !e.name.startsWith(location.origin)).length"), 0, "requests to elsewhere")
    evil = ui.js("document.title")
    holds("<img" in evil, "the title is text")
    ui.relay.script = lambda request, reply: reply.error(400, '<img src=x onerror="window.pwned=1">')
    ui.ask("error")
    equal(ui.js("window.pwned"), None, "something in an error ran")
    equal(ui.problems, [], "what the page's policy had to stop")
    # The last lock: what all others missed would still not run, nor reach another host.
    ui.js("""(() => { const script = document.createElement('script'); script.textContent = 'window.pwned = 2'; document.body.append(script);
             const box = document.createElement('div'); document.body.append(box); box.innerHTML = '<img src=x onerror="window.pwned=3">'; })()""")
    ui.browser.pump(0.3)
    equal(ui.js("window.pwned ?? null"), None, "the policy let a script in")
    equal(ui.js("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"), "refused", "a request to elsewhere")
    holds(all(any(word in p for p in ui.problems) for word in ("inline script", "inline event handler", "connect-src")), f"violations in {ui.problems}")
    ui.problems.clear()


def case_attachments(ui):
    """A file, a long paste and a drop become attachments, are sent as fenced text, and stay after a reload."""
    ui.relay.script = lambda request, reply: reply.text("read")
    with tempfile.TemporaryDirectory() as folder:
        text, binary = pathlib.Path(folder) / "notes.md", pathlib.Path(folder) / "photo.txt"
        text.write_text("# Notes\n```\ncode\n```\n", encoding="utf-8")
        binary.write_bytes(b"\x89PNG\xff\x00")
        field = ui.call("DOM.querySelector", {"nodeId": ui.call("DOM.getDocument")["root"]["nodeId"], "selector": "#composer input[type=file]"})
        ui.call("DOM.setFileInputFiles", {"files": [str(text), str(binary)], "nodeId": field["nodeId"]})
        ui.wait("document.querySelectorAll('#composer .chip').length === 1", "the text file's chip")
        ui.wait("document.querySelector('.toast')?.innerText.includes('not a text file')", "the refusal of the binary file")
    ui.js("""(() => { const data = new DataTransfer(); data.setData('text/plain', 'x'.repeat(3000));
             document.querySelector('#composer-text').dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); })()""")
    ui.wait("document.querySelectorAll('#composer .chip').length === 2", "the long paste's chip")
    ui.js("""(() => { const data = new DataTransfer(); data.items.add(new File(['dropped'], 'd.txt'));
             for (const type of ['dragover', 'drop']) document.querySelector('#thread').dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true})); })()""")
    ui.wait("document.querySelectorAll('#composer .chip').length === 3", "the dropped file's chip")
    ui.click("#composer .chip:nth-child(2) .icon-button")
    ui.ask("Summarise")
    sent = ui.relay.requests[-1]["messages"][-1]["content"]
    equal(sent, "File notes.md:\n````\n# Notes\n```\ncode\n```\n````\n\nFile d.txt:\n```\ndropped\n```\n\nSummarise", "the message")
    ui.reload()
    equal(ui.count(".message.user .chip"), 2, "attachments after a reload")
    ui.click(".message.user .chip-open")
    ui.wait("document.querySelector('dialog .file-text')?.innerText.includes('# Notes')", "the file's text")


def case_errors(ui):
    """Overflow with its numbers, a busy server that is tried again, one that is gone and comes back."""
    ui.relay.script = lambda request, reply: reply.error(400, "the prompt has 40,112 tokens, the context holds 4,096", "context_length_exceeded")
    ui.ask("long")
    holds("no longer fits" in ui.text(".error") and "40,112" in ui.text(".error"), ui.text(".error"))
    ui.shot("overflow")
    tries = []

    def busy(request, reply):
        tries.append(1)
        if len(tries) < 3:
            reply.error(429, "queue full", "queue_full", [("Retry-After", "1")])
        else:
            reply.text("made it")

    ui.relay.script = busy
    ui.click(".error .button")
    ui.wait("document.querySelector('.waiting')?.innerText.includes('busy')", "busy to be said")
    ui.settle()
    equal((len(tries), ui.answers()), (3, ["made it"]), "tries and the answer")
    equal(ui.branch(), None, "a failed try is no branch")
    ui.relay.down = True
    ui.write("anyone?")
    ui.key("Enter")
    ui.wait("document.querySelector('.error:not([hidden])')?.innerText.includes('does not answer')", "the server's absence to be said")
    ui.wait("!document.querySelector('#notice').hidden", "the notice")
    ui.shot("gone")
    ui.relay.down = False
    ui.wait("document.querySelector('#notice').hidden", "the server's return to be noticed")
    ui.relay.script = lambda request, reply: reply.text("back")
    ui.press_on_last("Regenerate")
    ui.wait("[...document.querySelectorAll('.prose')].at(-1).textContent.trim() === 'back'", "the answer after its return")


def case_key(ui):
    """401 asks for the key; it is sent, and kept for the tab only."""
    def locked(request, reply):
        if request["authorization"] != "Bearer secret":
            reply.error(401, "missing or wrong API key")
        else:
            reply.text("welcome")

    ui.relay.script = locked
    ui.ask("hello", wait=False)
    ui.wait("document.querySelector('dialog input[type=password]')", "the dialog")
    ui.shot("key")
    ui.type("secret")
    ui.key("Enter")
    ui.wait("!document.querySelector('dialog')", "the dialog to close")
    ui.click(".error .button:not(.primary)")
    ui.wait("[...document.querySelectorAll('.prose')].at(-1).textContent.trim() === 'welcome'", "the answer")
    equal(ui.js("[sessionStorage['bantam.key'], localStorage['bantam.key'] ?? null]"), ["secret", None], "where the key is kept")


def case_tools(ui):
    """A call is shown with its arguments; the result given by hand goes back with the call's id."""
    def call(request, reply):
        if request["messages"][-1]["role"] == "tool":
            reply.text("It is cold.")
            return
        reply.delta(tool_calls=[{"index": 0, "id": "call_7", "type": "function", "function": {"name": "weather", "arguments": ""}}])
        for piece in ('{"city":', '"Oslo"}'):
            reply.delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}])
        reply.delta(finish="tool_calls")
        reply.event("[DONE]")

    ui.relay.script = call
    ui.key(",", "Comma", CTRL)
    ui.click("[data-field=tools]")
    ui.type('[{"name": "weather", "parameters": {}}]')
    ui.ask("Weather?")
    equal(ui.relay.requests[-1]["tools"][0]["function"]["name"], "weather", "the tool sent")
    ui.wait("document.querySelector('.tool .code-block')?.innerText.includes('\"city\": \"Oslo\"')", "the arguments")
    ui.shot("tool")
    ui.click(".tool-result")
    ui.type("-12 C")
    ui.click(".tools > .button")
    ui.wait("[...document.querySelectorAll('.prose')].at(-1).textContent.trim() === 'It is cold.'", "the answer")
    equal(ui.relay.requests[-1]["messages"][-2:], [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}]},
        {"role": "tool", "tool_call_id": "call_7", "content": "-12 C"}], "the tool round")


def case_transfer(ui):
    """What is exported comes back by import, beside what is there."""
    ui.relay.script = lambda request, reply: reply.text("an answer")
    ui.ask("keep me")
    exported = ui.js("""(async () => { const real = URL.createObjectURL; let blob; URL.createObjectURL = (b) => { blob = b; return real.call(URL, b); };
        document.querySelector('[title="Export all conversations"]').click();
        while (!blob) await new Promise((r) => setTimeout(r, 10)); URL.createObjectURL = real; return blob.text(); })()""")
    equal(json.loads(exported)["conversations"][0]["title"], "keep me", "the exported title")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "export.json"
        path.write_text(exported, encoding="utf-8")
        field = ui.call("DOM.querySelector", {"nodeId": ui.call("DOM.getDocument")["root"]["nodeId"], "selector": "#sidebar input[type=file]"})
        ui.call("DOM.setFileInputFiles", {"files": [str(path)], "nodeId": field["nodeId"]})
        ui.wait("document.querySelectorAll('.conversation').length === 2", "the imported conversation")
    ui.click(".conversation:not(.here) .conversation-open")
    equal((ui.users(), ui.answers()), (["keep me"], ["an answer"]), "the imported messages")
