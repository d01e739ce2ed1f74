"""Arithmetic: two-digit + and -, one-digit times two-digit, with digit-wise steps while thinking.

Called by mixture.py and make_heldout.py. An operand pair is in the test split when words.held_out says so of its canonical form
(a + b and b + a are the same pair), whatever the wording. Standard library only.
"""
import words as w

_ASK = {
    "+": ["What is {a} + {b}?", "{a} + {b} = ?", "{a} + {b}", "Compute {a} + {b}.", "Add {a} and {b}.", "What is {a} plus {b}?",
          "How much is {a} plus {b}?", "Calculate {a} + {b}", "Please add {a} and {b}.", "what's {a}+{b}?", "{a}+{b}", "{a}+{b}=",
          "What is the sum of {a} and {b}?", "Can you add {a} and {b} for me?", "how much is {a} + {b}",
          "I have {a} coins and get {b} more. How many coins do I have?", "There are {a} hens and {b} ducks. How many birds are there?"],
    "-": ["What is {a} - {b}?", "{a} - {b} = ?", "{a} - {b}", "Compute {a} - {b}.", "Subtract {b} from {a}.", "What is {a} minus {b}?",
          "How much is {a} minus {b}?", "Calculate {a} - {b}", "Take {b} away from {a}.", "what's {a}-{b}?", "{a}-{b}", "{a}-{b}=",
          "What is the difference {a} - {b}?", "Please work out {a} - {b}.", "how much is {a} - {b}"],
    "*": ["What is {a} * {b}?", "{a} * {b} = ?", "{a} * {b}", "Compute {a} * {b}.", "Multiply {a} by {b}.", "What is {a} times {b}?",
          "How much is {a} times {b}?", "Calculate {a} * {b}", "Please multiply {a} and {b}.", "what's {a}*{b}?", "{a}*{b}", "{a}*{b}=",
          "What is the product of {a} and {b}?", "{a} x {b}", "How much is {a} x {b}?", "how much is {a} * {b}"],
}
_ASK_BIGGER = ["A shop had {a} lamps and sold {b}. How many are left?", "I had {a} eggs and used {b}. How many eggs are left?"]


def canonical(op, a, b):
    return "%s %d %d" % ((op,) + (tuple(sorted((a, b))) if op in "+*" else (a, b)))


def pair(rng, split):
    """(op, a, b) of the wanted split."""
    def draw(r):
        op = r.choice("++--**")
        low = 1 if r.random() < 0.15 else 10
        if op == "*":
            a, b = r.randint(2, 9), r.randint(low, 99)
            return (op, a, b) if r.random() < 0.5 else (op, b, a)
        a, b = r.randint(low, 99), r.randint(low, 99)
        return (op, max(a, b), min(a, b)) if op == "-" and r.random() < 0.6 else (op, a, b)
    while True:
        op, a, b = draw(rng)
        if w.held_out(canonical(op, a, b)) == (split == "test"):
            return op, a, b


def result(op, a, b):
    return a + b if op == "+" else a - b if op == "-" else a * b


def _add_steps(a, b):
    ones, carry = (a % 10 + b % 10), (a % 10 + b % 10) // 10
    lines = ["ones: %d + %d = %d, write %d, carry %d" % (a % 10, b % 10, ones, ones % 10, carry)]
    lines.append("tens: %d + %d + %d = %d" % (a // 10, b // 10, carry, a // 10 + b // 10 + carry))
    return lines


def _sub_steps(a, b):
    """a >= b."""
    borrow = 1 if a % 10 < b % 10 else 0
    left = a % 10 + 10 * borrow
    lines = ["ones: %d - %d = %d, borrow %d" % (left, b % 10, left - b % 10, borrow)]
    lines.append("tens: %d - %d - %d = %d" % (a // 10, b // 10, borrow, a // 10 - b // 10 - borrow))
    return lines


def _mul_steps(a, b):
    """a is the one-digit factor."""
    ones = a * (b % 10)
    tens = a * (b // 10)
    return ["ones: %d * %d = %d, write %d, carry %d" % (a, b % 10, ones, ones % 10, ones // 10),
            "tens: %d * %d = %d, %d + %d = %d" % (a, b // 10, tens, tens, ones // 10, tens + ones // 10)]


def steps(op, a, b):
    """The thinking text: the task, one line per digit, the result."""
    lines = ["%d %s %d" % (a, op, b)]
    if op == "+":
        lines += _add_steps(a, b)
    elif op == "-":
        if a < b:
            lines.append("%d is larger than %d, so it is negative: %d - %d" % (b, a, b, a))
        lines += _sub_steps(max(a, b), min(a, b))
    else:
        lines += _mul_steps(min(a, b), max(a, b)) if a < 10 or b < 10 else []
    lines.append("result: %d" % result(op, a, b))
    return "\n".join(lines)


def question(rng, op, a, b):
    asks = _ASK[op] + (_ASK_BIGGER if op == "-" and a > b else [])
    return rng.choice(asks).format(a=a, b=b)


def answer(op, a, b):
    return "%d %s %d = %d" % (a, op, b, result(op, a, b))


def turn(rng, split, thinking):
    """One question and its answer as two messages."""
    op, a, b = pair(rng, split)
    reply = {"role": "assistant", "content": answer(op, a, b)}
    if thinking:
        reply["reasoning_content"] = steps(op, a, b)
    return [{"role": "user", "content": question(rng, op, a, b)}, reply]


def drill(rng):
    """The one-digit facts that the steps are made of, many at a time: operands in the question, results in the answer."""
    facts = []
    for _ in range(rng.randint(4, 12)):
        a, b = rng.randint(0, 9), rng.randint(0, 9)
        form = rng.randrange(5)
        if form == 0:
            facts.append(("%d + %d" % (a, b), a + b))
        elif form == 1:
            facts.append(("%d + %d + %d" % (a, b, a % 2), a + b + a % 2))
        elif form == 2:
            left = a if a >= b else a + 10
            facts.append(("%d - %d" % (left, b), left - b))
        elif form == 3:
            facts.append(("%d * %d" % (a, b), a * b))
        else:
            carry = rng.randint(0, 8)
            facts.append(("%d + %d" % (a * b, carry), a * b + carry))
    ask = rng.choice(("Compute each: ", "Calculate: ", "Work these out: ", "Solve: ")) + ", ".join(f[0] for f in facts)
    reply = {"role": "assistant", "content": "\n".join("%s = %d" % f for f in facts)}
    return {"kind": "drill", "messages": [{"role": "user", "content": ask}, reply], "thinking": False}


def sample(rng, split, thinking, turns=1):
    messages = []
    for i in range(turns):
        messages += turn(rng, split, thinking and i == turns - 1)
    return {"kind": "arithmetic", "messages": messages, "thinking": thinking}
