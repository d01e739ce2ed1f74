"""Key lookup: a passage with facts among filler, and one or more questions about them; also "repeat this" copying.

Called by mixture.py and make_heldout.py. Keys and values follow the train/test split of words.py. Standard library only.
"""
import json

import gen_prose
import words as w

_OWNED = "code key number name color owner price place room date time password size label address seat".split()


def _key(rng):
    form = rng.random()
    if form < 0.35:
        return rng.choice(w.THINGS + w.PLACES) + " " + rng.choice(_OWNED)
    if form < 0.55:
        return rng.choice(w.ADJECTIVES) + " " + rng.choice(w.THINGS) + " " + rng.choice(_OWNED)
    if form < 0.7:
        return rng.choice(w.COLORS) + " " + rng.choice(w.THINGS)
    if form < 0.8:
        return w.madeup(rng, False) + " " + rng.choice(_OWNED)
    if form < 0.9:
        return rng.choice("capital captain author winner doctor teacher guest manager baker friend".split()) + " of " + rng.choice((w.city, w.person, w.madeup))(rng)
    return rng.choice(_OWNED) + " of the " + rng.choice(w.THINGS + w.PLACES + w.ANIMALS)


def _value(rng):
    return rng.choice((w.number, w.number, w.code, w.madeup, w.person, w.city, w.date, w.clock, w.item,
                       lambda r: r.choice(w.COLORS), lambda r: "%d %s" % (r.randint(2, 99), r.choice(w.THINGS) + "s")))(rng)


def facts(rng, split, count):
    """`count` pairs with different keys."""
    pairs = {}
    while len(pairs) < count:
        pairs[w.pick(rng, _key, split, "key/")] = str(w.pick(rng, _value, split, "value/"))
    return pairs


_STATE = ["{k}: {v}", "{k}: {v}", "{k} = {v}", "The {k} is {v}.", "The {k} is {v}.", "Please note that the {k} is {v}.", "{v} is the {k}.", "As of today, the {k} is {v}.", "- {k}: {v}"]


def passage(rng, pairs, filler):
    """Text that states every pair once, with about `filler` sentences around."""
    forms = [rng.choice(_STATE)] * len(_STATE) if rng.random() < 0.6 else _STATE
    parts = [(s := rng.choice(forms).format(k=k, v=v))[0].upper() + s[1:] if rng.random() < 0.3 else rng.choice(forms).format(k=k, v=v) for k, v in pairs.items()]
    for _ in range(filler):
        parts.insert(rng.randrange(len(parts) + 1), gen_prose.sentence(rng))
    return rng.choice(("\n", "\n", " ") if not any(p[-1] != "." for p in parts) else ("\n",)).join(parts)


_ASK_FULL = ["What is the {k}?", "Tell me the {k}.", "what is the {k}", "Do you know the {k}?", "Find the {k}.", "I need the {k}.", "And the {k}?", "Which is the {k}?"]
_ASK_SHORT = ["What is the {k}? Reply with the value only.", "{k}? Just the value.", "Give me only the {k}.", "Only the value: {k}", "What is the {k}? Answer with the value only."]
_INTRO = ["Read this:\n", "Here is a text:\n", "", "", "Text:\n", "Notes:\n", "Look at these facts.\n"]
_SYSTEM = [None] * 8 + ["Answer from the text.", "You are a helpful assistant.", "You are bantam-nano, a small assistant.", "Be brief."]


def _turn(rng, split, pairs, thinking, missing):
    key = rng.choice(list(pairs)) if not missing else next(iter(facts(rng, split, 1)))
    short = rng.random() < 0.4
    ask = rng.choice(_ASK_SHORT if short else _ASK_FULL).format(k=key)
    if key not in pairs:
        content, thought = "The text does not say.", "The question is about the %s. The text does not say it." % key
    else:
        content = pairs[key] if short else "The %s is %s." % (key, pairs[key])
        thought = "The question is about the %s. The text says: %s" % (key, pairs[key])
    reply = {"role": "assistant", "content": content}
    if thinking:
        reply["reasoning_content"] = thought
    return [{"role": "user", "content": ask}, reply]


def sample(rng, split, thinking, size=None, turns=None):
    """`size`: "small" (up to ~120 tokens), "medium" (~300) or "long" (~500 to 1,000)."""
    size = size or rng.choice(("small", "small", "small", "small", "medium"))
    count = {"small": rng.randint(1, 6), "medium": rng.randint(3, 10), "long": rng.randint(4, 14)}[size]
    filler = {"small": rng.choice((0, 0, 1, 2, 3)), "medium": rng.randint(4, 14), "long": rng.randint(20, 50)}[size]
    pairs = facts(rng, split, count)
    text = passage(rng, pairs, filler)
    turns = turns or (rng.choice((1, 2, 3, 4, 5)) if split == "train" else 1)
    system = rng.choice(_SYSTEM)
    messages = [{"role": "system", "content": system}] if system else []
    for i in range(turns):
        pair = _turn(rng, split, pairs, thinking and i == turns - 1, rng.random() < 0.1)
        if i == 0:
            ask = pair[0]["content"]
            pair[0] = {"role": "user", "content": rng.choice(_INTRO) + text + rng.choice(("\n\n", "\n\n", "\n\nQuestion: ")) + ask if rng.random() < 0.8 else ask + "\n\n" + text}
        messages += pair
    return {"kind": "lookup", "messages": messages, "thinking": thinking}


def repeat(rng, thinking):
    """Copying: the first thing a small model must learn."""
    form = rng.random()
    count = rng.randint(1, 12)
    if form < 0.35:
        text = " ".join(w.madeup(rng, rng.random() < 0.3) for _ in range(count))
    elif form < 0.6:
        text = " ".join(rng.choice((w.item, w.city, w.person, w.code, w.date, w.clock, lambda r: str(w.number(r))))(rng) for _ in range(max(1, count // 2)))
    elif form < 0.75:
        text = gen_prose.sentence(rng)
    else:
        text = " ".join(str(rng.randint(0, 10 ** rng.randint(1, 4))) for _ in range(count))
    ask = rng.choice(("Repeat: {t}", "Say this: {t}", "Repeat after me: {t}", "Copy this text: {t}", "Echo {t}", "repeat \"{t}\"", "Write exactly this: {t}")).format(t=text)
    reply = {"role": "assistant", "content": text}
    if thinking:
        reply["reasoning_content"] = "I repeat the text."
    return {"kind": "repeat", "messages": [{"role": "user", "content": ask}, reply], "thinking": thinking}


def quote(rng):
    """Words from text into quotes or lines: the same word is another token after a space than after a quote, and every word needs both."""
    made = (w.item, w.city, w.person, w.madeup, lambda r: w.madeup(r, False), w.date, w.code, lambda r: r.choice(w.THINGS), lambda r: r.choice(w.PLACES + w.ANIMALS + w.COLORS + w.JOBS + w.FOODS + w.ADJECTIVES),
            lambda r: r.choice(w.FIRST + w.LAST + w.CITIES + w.MONTHS + w.DAYS))
    words = [rng.choice(made)(rng) for _ in range(rng.randint(2, 9))]
    if rng.random() < 0.3:
        ask, answer = "One per line: ", "\n".join(words)
    else:
        ask, answer = rng.choice(("As a JSON list: ", "JSON list of ", "Quote each: ")), json.dumps(words, ensure_ascii=False)
    return {"kind": "repeat", "messages": [{"role": "user", "content": ask + ", ".join(words)}, {"role": "assistant", "content": answer}], "thinking": False}
