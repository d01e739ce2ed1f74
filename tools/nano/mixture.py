"""What share of which kind the training data has, and how it changes while training goes on.

Called by train.py and make_tokenizer.py. `batch(seed, count, progress)` is a pure function: resuming needs only the chunk number.
Standard library only.
"""
import random

import gen_json
import gen_lookup
import gen_math
import gen_talk
import gen_tools

# kind: (weight at the start, weight at the end); in between linear over the first third of the training.
WEIGHTS = {
    "repeat": (24, 3), "quote": (6, 8), "lookup_small": (26, 22), "lookup_medium": (2, 16), "lookup_long": (0, 2), "arithmetic": (18, 4), "drill": (8, 2),
    "arithmetic_direct": (2, 2), "json": (12, 9), "tool": (10, 40), "talk": (10, 6), "mixed": (2, 3),
}


def _mixed(rng, thinking):
    """A conversation that changes its subject."""
    messages = []
    makers = [lambda t: gen_talk.turn(rng, "train", t), lambda t: gen_math.turn(rng, "train", t),
              lambda t: gen_lookup.repeat(rng, t)["messages"], lambda t: gen_talk.turn(rng, "train", t)]
    system = rng.choice(gen_talk.SYSTEM)
    if system:
        messages.append({"role": "system", "content": system})
    tools = [t for t in gen_tools.call(rng, "train", False)["tools"]] if rng.random() < 0.25 else None
    turns = rng.randint(1 if tools else 2, 4)
    for i in range(turns):
        messages += rng.choice(makers)(thinking and i == turns - 1)
    sample = {"kind": "mixed", "messages": messages, "thinking": thinking}
    if tools:
        sample["tools"] = tools
    return sample


def draw(rng, kind):
    thinking = rng.random() < 0.5
    if kind == "repeat":
        return gen_lookup.repeat(rng, rng.random() < 0.2)
    if kind.startswith("lookup_"):
        return gen_lookup.sample(rng, "train", thinking, size=kind[7:])
    if kind == "arithmetic":
        return gen_math.sample(rng, "train", True, turns=rng.choice((1, 1, 1, 2, 3)))
    if kind == "arithmetic_direct":
        return gen_math.sample(rng, "train", False, turns=rng.choice((1, 2, 4)))
    if kind == "quote":
        return gen_lookup.quote(rng)
    if kind == "drill":
        return gen_math.drill(rng)
    if kind == "mixed":
        return _mixed(rng, thinking)
    return {"json": gen_json, "tool": gen_tools, "talk": gen_talk}[kind].sample(rng, "train", thinking)


def _soft_switch(rng, sample):
    """The family's /think and /no_think at the end of a user turn, now and then."""
    if rng.random() < 0.03 and sample["messages"][-2]["role"] == "user":
        query = dict(sample["messages"][-2])
        query["content"] += " /think" if sample["thinking"] else " /no_think"
        sample["messages"][-2] = query
    return sample


def batch(seed, count, progress):
    """`count` training samples for progress 0..1."""
    rng = random.Random(seed)
    ramp = min(1.0, progress * 3)
    kinds = list(WEIGHTS)
    weights = [a + (b - a) * ramp for a, b in WEIGHTS.values()]
    return [_soft_switch(rng, draw(rng, k)) for k in rng.choices(kinds, weights, k=count)]
