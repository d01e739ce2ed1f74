"""For people who experiment: token view, forks, side by side; and the page's looks: phone, colours, shortcuts."""
from ui import ALT, CTRL, equal, holds

RICH = ("A **hash table** keeps pairs in *buckets*; a lookup costs $O(1)$ while $\\alpha = n/m$ stays small.\n\n$$\n\\mathbb{E}[C] = 1 + \\frac{n}{m}\n$$\n\n"
        "```python\ndef put(self, key, value):\n    \"\"\"Newest last.\"\"\"\n    self.buckets[hash(key) % 8].append((key, value))\n```\n\n"
        "| method | hit | miss |\n|---|--:|--:|\n| chaining | 1 + α/2 | 1 + α |\n| probing | 1.5 | 2.5 |\n\n1. Keep the load factor low.\n2. Mix well.\n\n> Quoted.\n")


def case_prose(ui):
    """Maths, code and tables are set; the copy button copies the code."""
    ui.relay.script = lambda request, reply: reply.text(RICH, reasoning="Think.")
    ui.ask("Explain hash tables.")
    ui.wait("document.querySelectorAll('.katex').length >= 3 && document.querySelector('.katex-display')", "the formulas")
    ui.wait("document.querySelector('.hljs-keyword')?.innerText === 'def'", "coloured code")
    holds(ui.js("getComputedStyle(document.querySelector('.katex .vlist-t') || document.querySelector('.katex')).display") != "none", "formulas are hidden")
    ui.wait("document.fonts.check('16px KaTeX_Main') && [...document.fonts].some((f) => f.family.includes('KaTeX') && f.status === 'loaded')", "KaTeX's fonts")
    ui.browser.call("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "browserContextId": ui.context})
    ui.click(".copy-code")
    ui.wait("navigator.clipboard.readText().then((t) => t.startsWith('def put'))", "the code on the clipboard")
    ui.js("document.querySelector('#thread').scrollTop = 0")
    ui.shot("prose_light")
    ui.js("window.bantamTheme.set('dark')")
    ui.shot("prose_dark")


def case_tokens(ui):
    """Every token of the model's answer is shown with its alternatives; one of them forks a branch that begins with it."""
    ui.ask("What is 17 + 25?")
    ui.key("t", "KeyT", ALT)
    first = ui.nodes()[-1]
    ui.wait("document.querySelector('.token-view')", "the token view")
    equal(ui.count(".token"), len(first["tokens"]), "tokens shown")
    holds("perplexity" in ui.text(".token-foot"), ui.text(".token-foot"))
    # A place where a fork is possible: more than one recorded alternative that is no control token.
    index = next(i for i, t in enumerate(first["tokens"]) if len(t["a"]) > 1)
    ui.hover(f".token[data-index='{index}']")
    ui.wait("!document.querySelector('.inspector').hidden", "the inspector")
    ui.click(f".token[data-index='{index}']")
    equal(ui.count(".alternative.taken"), 1, "the token that was taken")
    holds("%" in ui.text(".alternative .p"), "probabilities are missing")
    ui.shot("tokens")
    choice = ui.js("[...document.querySelectorAll('.alternative')].findIndex((a) => !a.disabled)")
    ui.click(".alternative:not([disabled])")
    ui.wait("document.querySelector('.switcher')?.textContent.includes('2/2')", "the fork's branch")
    ui.settle()
    fork = ui.nodes()[-1]
    chosen = first["tokens"][index]["a"][choice][0]
    equal([t["i"] for t in fork["tokens"]][:index + 1], [t["i"] for t in first["tokens"]][:index] + [chosen], "the fork's beginning")
    equal(ui.relay.requests[-1]["prefix_token_ids"], [t["i"] for t in fork["tokens"]][:index + 1], "the prefix that was sent")
    equal(ui.relay.requests[-1]["seed"], ui.relay.requests[0]["seed"], "the fork's seed")
    equal(ui.count(".token.forked"), 1, "the mark at the fork")
    ui.shot("fork")
    ui.press_on_last("Previous branch")
    equal(ui.branch(), "1/2", "the way back")
    equal(ui.nodes()[1]["content"], first["content"], "the first branch is as it was")


def case_side_by_side(ui):
    """Two settings on one seed stream at once; equal settings give equal answers; going on uses the chosen one."""
    ui.ask("What is 3 + 4?")
    ui.key("s", "KeyS", ALT)
    ui.wait("!document.querySelector('#settings').hidden", "the settings")
    ui.ask("What is 17 + 25?")
    equal(ui.count(".pair .message"), 2, "answers side by side")
    a, b = ui.nodes()[-2:]
    equal((a["seed"], [t["i"] for t in a["tokens"]]), (b["seed"], [t["i"] for t in b["tokens"]]), "equal settings on one seed")
    ui.click(".tab.b")
    ui.click("[data-field=temperature]")
    ui.type("1.9")
    at_once = ui.gate()

    def both(request, reply):
        reply.delta(content=f"temperature {request.get('temperature', 'own')}")
        at_once.wait(60)
        reply.end()

    ui.relay.script = both
    ui.ask("Compare", wait=False)
    ui.wait("document.querySelectorAll('.pair .message.streaming .prose p').length === 2", "both to stream at once")
    ui.shot("pair")
    at_once.set()
    ui.settle()
    equal(ui.answers()[-2:], ["temperature own", "temperature 1.9"], "the two columns")
    equal(ui.relay.requests[-1]["seed"], ui.relay.requests[-2]["seed"], "one seed")
    ui.js("[...document.querySelectorAll('.pair')].at(-1).querySelectorAll('.keep')[1].dataset.aim = 'keep'")
    ui.click("[data-aim=keep]")
    ui.key("s", "KeyS", ALT)
    ui.relay.script = lambda request, reply: reply.text("on")
    ui.ask("Go on")
    equal(ui.relay.requests[-1]["messages"][-2]["content"], "temperature 1.9", "what the conversation goes on from")
    ui.reload()
    equal(ui.count(".pair"), 2, "pairs after a reload")
    ui.js("window.bantamTheme.set('dark')")
    ui.shot("pair_dark")


def case_settings(ui):
    """Values reach the request; empty ones do not; defaults for new conversations; the context bar has the model's limit."""
    ui.relay.script = lambda request, reply: reply.text("ok")
    ui.key(",", "Comma", CTRL)
    for field, value in (("system", "Be brief."), ("temperature", "0.3"), ("top_k", "5"), ("seed", "99"), ("max_tokens", "12")):
        ui.click(f"[data-field={field}]")
        ui.type(value)
    ui.shot("settings")
    ui.ask("hello")
    body = ui.relay.requests[-1]
    equal([body.get(k) for k in ("temperature", "top_k", "seed", "max_completion_tokens", "top_p", "min_p")], [0.3, 5, 99, 12, None, None], "the request's values")
    equal(body["messages"][0], {"role": "system", "content": "Be brief."}, "the system prompt")
    holds(body["model"], "no model was named")
    ui.js("[...document.querySelectorAll('.settings-actions .button')].at(-1).click()")
    ui.reload()
    equal(ui.js("document.querySelector('[data-field=temperature]').value"), "0.3", "the setting after a reload")
    ui.key("o", "KeyO", 10)
    ui.wait("document.querySelector('.welcome')", "a new conversation")
    equal(ui.js("document.querySelector('[data-field=seed]').value"), "99", "the default of a new conversation")
    limit = ui.js("Number(document.querySelector('.context').getAttribute('aria-valuemax'))")
    equal(limit, ui.js("fetch('v1/models').then((r) => r.json()).then((m) => m.data[0].meta.context)"), "the context bar's limit")


def case_phone(ui):
    """On a phone nothing is wider than the screen; list and settings come over it and go away."""
    ui.relay.script = lambda request, reply: reply.text(RICH, reasoning="Think.")
    ui.resize(390, 800, mobile=True)
    ui.reload()
    holds(ui.js("getComputedStyle(document.querySelector('#sidebar')).display === 'none'"), "the list is open at the start")
    ui.shot("phone_empty")
    ui.ask("Explain hash tables.")
    wide = "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.table-frame, pre, .pair, .katex')).map((e) => e.className)"
    equal(ui.js(wide), [], "elements wider than the screen")
    ui.shot("phone")
    ui.click(".open-list")
    ui.wait("document.querySelector('.conversation')?.getClientRects().length", "the list")
    ui.shot("phone_list")
    ui.click(".conversation-open")
    ui.wait("getComputedStyle(document.querySelector('#sidebar')).display === 'none'", "the list to go")
    ui.click(".open-settings")
    ui.wait("!document.querySelector('#settings').hidden", "the settings")
    ui.shot("phone_settings")
    ui.click("#settings .icon-button")
    ui.key("s", "KeyS", ALT)
    ui.ask("Both")
    equal(ui.count(".pair .message"), 2, "a pair on the phone")
    equal(ui.js("document.documentElement.scrollWidth <= innerWidth"), True, "the page scrolls sideways")
    ui.shot("phone_pair")


def case_colours(ui):
    """The system's choice is followed until the user makes one, which lasts; text keeps its contrast in both."""
    background = "getComputedStyle(document.body).backgroundColor"
    ui.prefer("light")
    light = ui.js(background)
    ui.prefer("dark")
    ui.wait(f"{background} !== {light!r}", "dark colours")
    ui.key("d", "KeyD", ALT)
    ui.wait(f"{background} === {light!r}", "light colours by choice")
    ui.reload()
    equal(ui.js(background), light, "the choice after a reload")
    contrast = """(() => { const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const luminance = (c) => parse(c).map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
        const probe = document.createElement('span'); document.body.append(probe);
        const colour = (name) => { probe.style.color = `var(--${name})`; return luminance(getComputedStyle(probe).color); };
        const low = []; for (const theme of ['light', 'dark']) { window.bantamTheme.set(theme);
          for (const ink of ['ink', 'ink-2', 'ink-3', 'accent', 'danger', 'amber', 'plum']) for (const paper of ['paper', 'surface', 'sunken']) {
            const [a, b] = [colour(ink), colour(paper)].sort((x, y) => y - x); if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${theme}: ${ink} on ${paper} ${((a + 0.05) / (b + 0.05)).toFixed(2)}`); } }
        probe.remove(); return low; })()"""
    equal(ui.js(contrast), [], "pairs of colours below 4.5 : 1")


def case_shortcuts(ui):
    """The help sheet lists them; they do what it says; typing in a field is left alone."""
    ui.js("document.activeElement.blur()")
    ui.key("?", "Slash", 8)
    ui.wait("document.querySelector('dialog')?.innerText.includes('New conversation')", "the help sheet")
    ui.shot("help")
    ui.key("Escape")
    ui.wait("!document.querySelector('dialog')", "the sheet to close")
    ui.key("b", "KeyB", CTRL)
    ui.wait("getComputedStyle(document.querySelector('#sidebar')).display === 'none'", "the list to go")
    ui.js("document.activeElement.blur()")
    ui.key("/", "Slash")
    ui.wait("document.activeElement.id === 'composer-text'", "the message field")
    ui.relay.script = lambda request, reply: reply.text(f"number {len(ui.relay.requests)}")
    ui.ask("? / ?")
    equal(ui.users(), ["? / ?"], "characters that are shortcuts elsewhere")
    ui.key("r", "KeyR", ALT)
    ui.wait("document.querySelector('.switcher')?.textContent.includes('2/2')", "the regenerated answer")
    ui.settle()
    ui.key("ArrowLeft", "ArrowLeft", ALT)
    equal(ui.answers(), ["number 1"], "the branch before")
    ui.key("e", "KeyE", ALT)
    ui.wait("document.activeElement.className.includes('edit-area')", "the editor")
    ui.key("Escape")
    ui.wait("!document.querySelector('.editor')", "the editor to close")
