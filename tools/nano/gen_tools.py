"""Tool calls: one, two parallel, the turn that reads results, and requests that no tool fits.

Called by mixture.py and make_heldout.py. A function's signature and every string value follow the train/test split of words.py.
Standard library only.
"""
import json

import words as w
from tool_families import FAMILIES

_VERBS = "start stop archive check close count create delete export find import list lock merge move open print publish rename reset scan sort store sync tag test unlock update upload".split()
_NOUNS = "account album archive backup batch board branch channel counter device folder form gate group invoice job key label ledger list lock locker meter model page parcel plan player queue record report robot room sensor server session shelf signal table task team ticket valve vault".split()
_ARGS = "name id label color size place owner level count code title path city day speed width height weight group target mode".split()


def _value(rng, make, split):
    value = make(rng)
    if isinstance(value, str) and make_is_open(value):
        value = w.pick(rng, make, split, "value/")
    return value


_CLOSED = set(w.DAYS + w.CURRENCIES + w.LANGUAGES) | {"on", "off", "kitchen", "bedroom", "bathroom", "hall", "office", "garage", "cellar", "garden", "attic", "living room"}


def make_is_open(value):
    """Closed sets (weekdays, currencies, rooms) are not split: both sides need all of them."""
    return value not in _CLOSED and ":" not in value[:3]


def signature(tool):
    f = tool["function"]
    return f["name"] + "(" + ",".join(f["parameters"]["properties"]) + ")"


def _schema(name, about, args, rng):
    describe = rng.random() < 0.5
    props = {}
    for arg, kind, text in args:
        props[arg] = {"type": kind, "description": text} if describe and text else {"type": kind}
    parameters = {"type": "object", "properties": props}
    if args and rng.random() < 0.8:
        parameters["required"] = [a[0] for a in args]
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


def _from_family(rng, family):
    args = [(rng.choice(a[0]), a[1], a[2], a[3]) for a in family["args"]]
    return {"schema": _schema(rng.choice(family["names"]), rng.choice(family["about"]), [a[:3] for a in args], rng),
            "args": [(a[0], a[3]) for a in args], "asks": family["asks"], "result": family["result"], "reply": family["reply"],
            "topic": family["about"][0]}


def _invented(rng):
    """A function that no list knows, asked for by its name or by verb and noun."""
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS) if rng.random() < 0.7 else w.madeup(rng, False)
    names = rng.sample(_ARGS, rng.choice((1, 1, 2, 2, 3)))
    makers = {"count": lambda r: r.randint(1, 99), "level": lambda r: r.randint(1, 9), "size": lambda r: r.randint(1, 999), "speed": lambda r: r.randint(1, 200),
              "width": lambda r: r.randint(1, 999), "height": lambda r: r.randint(1, 999), "weight": lambda r: r.randint(1, 99), "city": w.city, "owner": w.person,
              "code": w.code, "id": w.code, "color": lambda r: r.choice(w.COLORS), "day": lambda r: r.choice(w.DAYS), "title": w.item,
              "path": lambda r: w.madeup(r, False) + "/" + r.choice(w.THINGS) + ".txt"}
    args = [(n, makers.get(n, lambda r: r.choice((w.madeup(r, False), r.choice(w.THINGS), w.item(r))))) for n in names]
    kinds = [(n, "integer" if n in ("count", "level", "size", "speed", "width", "height", "weight") else "string", None) for n in names]
    name = rng.choice(("%s_%s", "%s_%s", "%s_%s", "%s_the_%s")) % (verb, noun)
    given = rng.choice((" and ", ", ")).join("%s {%d}" % (n, i) for i, n in enumerate(names))
    equal = ", ".join("%s={%d}" % (n, i) for i, n in enumerate(names))
    asks = ["%s the %s with %s." % (verb.capitalize(), noun, given), "Call %s with %s." % (name, given), "Please %s the %s: %s" % (verb, noun, given),
            "Use %s: %s" % (name, equal), "I want to %s a %s with %s." % (verb, noun, given), "Run %s with %s" % (name, equal)]
    return {"schema": _schema(name, rng.choice(("%s a %s", "%s the %s")) % (verb.capitalize(), noun), kinds, rng), "args": args, "asks": asks,
            "result": {"status": lambda r: r.choice(("ok", "done", "ready", "waiting", "failed")), "number": lambda r: r.randint(1, 9999)},
            "reply": "The tool says {status}; the number is {number}.", "topic": "%s a %s" % (verb.capitalize(), noun)}


def _draw_tools(rng, count, split):
    """`count` tools of different families; the first one's signature is of the wanted split."""
    tools, topics = [], set()
    while len(tools) < count:
        tool = _invented(rng) if rng.random() < 0.35 else _from_family(rng, rng.choice(FAMILIES))
        names = [t["schema"]["function"]["name"] for t in tools]
        if tool["topic"] in topics or tool["schema"]["function"]["name"] in names:
            continue
        if split == "train" or not tools:
            if w.held_out("signature/" + signature(tool["schema"])) != (split == "test"):
                continue
        topics.add(tool["topic"])
        tools.append(tool)
    return tools


def _call(rng, tool, split):
    """(call, question) for one use of a tool."""
    values = [_value(rng, make, split) for _, make in tool["args"]]
    ask = rng.choice(tool["asks"]).format(*values)
    name = tool["schema"]["function"]["name"]
    return {"name": name, "arguments": {a[0]: v for a, v in zip(tool["args"], values)}}, ask, values


def _lower(ask):
    return ask[0].lower() + ask[1:] if ask[:2] != "I " and not ask[:2].isupper() else ask


def _outcome(rng, tool, values):
    """(JSON text that the tool returns, the sentence that reports it)."""
    fields = {k: make(rng) for k, make in tool["result"].items()}
    if rng.random() < 0.06:
        error = rng.choice(("not found", "no connection", "not allowed", "timeout", "bad value"))
        return json.dumps({"error": error}), "The tool reports an error: %s." % error
    reply = tool["reply"].format(*values, **fields)
    return json.dumps(fields), reply[0].upper() + reply[1:] if not reply[0].isdigit() else reply


def _think_call(calls):
    names = " and ".join(dict.fromkeys(c["name"] for c in calls))
    return "The tool %s fits. I call it%s." % (names, " twice" if len(calls) == 2 and calls[0]["name"] == calls[1]["name"] else "") if " and " not in names else \
        "The tools %s fit. I call both." % names


def _assistant_call(calls, thinking):
    message = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": c} for c in calls]}
    if thinking:
        message["reasoning_content"] = _think_call(calls)
    return message


_SYSTEM = [None] * 6 + ["You are a helpful assistant.", "You are bantam-nano, a small assistant.", "Use the tools when they fit.", "Be brief.",
                        "You can call functions. Call one only when it fits."]


def _start(rng):
    system = rng.choice(_SYSTEM)
    return [{"role": "system", "content": system}] if system else []


def no_fit(rng, split, thinking):
    """The request belongs to a family that is not offered."""
    tools = _draw_tools(rng, rng.choice((1, 2, 3)) + 1, split)
    wanted, offered = tools[-1], tools[:-1]
    ask = _call(rng, wanted, split)[1]
    messages = _start(rng) + [{"role": "user", "content": ask}, {"role": "assistant", "content": "I have no tool for that."}]
    if thinking:
        messages[-1]["reasoning_content"] = "No tool here fits this request."
    return {"kind": "tool", "messages": messages, "tools": [t["schema"] for t in offered], "thinking": thinking}


def _use(rng, offered, first, split):
    """One request: (what the user asks, the calls, results as (JSON text, sentence))."""
    used = [first]
    if rng.random() < 0.3:
        used.append(rng.choice(offered) if split == "train" else first)
    uses = [_call(rng, t, split) for t in used]
    if len(uses) == 2 and uses[0][0] == uses[1][0]:
        uses, used = uses[:1], used[:1]
    ask = uses[0][1]
    if len(uses) == 2:
        joints = (" And ", " Also: ", "\n") if ask[-1] == "?" else (". Also: ", ". And ", ". Then ", "\n")
        ask = (ask if ask[-1] == "?" else ask.rstrip(".")) + rng.choice(joints) + _lower(uses[1][1])
    return ask, [u[0] for u in uses], [_outcome(rng, t, u[2]) for t, u in zip(used, uses)]


def call(rng, split, thinking, follow=None, turns=1):
    """`turns` requests of one or two calls each; earlier ones are answered, with `follow` the last one too."""
    offered = _draw_tools(rng, rng.choice((1, 1, 2, 2, 2, 3, 3, 4)), split)
    messages = _start(rng)
    for turn in range(turns):
        last = turn == turns - 1
        ask, calls, outcomes = _use(rng, offered, offered[0] if last else rng.choice(offered), split)
        messages += [{"role": "user", "content": ask}, _assistant_call(calls, thinking and last)]
        if not last or (follow if follow is not None else rng.random() < 0.35):
            messages += [{"role": "tool", "content": o[0]} for o in outcomes]
            messages.append({"role": "assistant", "content": " ".join(o[1] for o in outcomes)})
            if thinking and last:
                messages[-1]["reasoning_content"] = "The tool answered. I report it."
    rng.shuffle(offered)
    return {"kind": "tool", "messages": messages, "tools": [t["schema"] for t in offered], "thinking": thinking}


def sample(rng, split, thinking):
    return no_fit(rng, split, thinking) if rng.random() < 0.07 else call(rng, split, thinking, turns=rng.choice((1, 1, 2, 3)) if split == "train" else 1)
