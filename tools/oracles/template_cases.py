"""Generated conversations for the chat template oracles: request lines of `bantam render --jsonl`, as JSON text.

Half of them are what well-behaved clients send; the rest have absent, null and odd-typed fields, turns in any order
and text that looks like control tokens. A line is JSON text rather than an object because the spelling of numbers
matters. Standard library only; one seed gives one list.
"""
import json
import random
import unicodedata

CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_call>",
           "<tool_response>", "</tool_response>", "<|vision_start|>", "<|fim_prefix|>"]
WORDS = ["hello", "weather in Paris?", "2+2", "", " ", "\n", "\n\n", "a\nb", "line one\n", "\n\nlead", "tab\there",
         "quote \" and ' both", "it's", 'say "hi"', "back\\slash", "naïve café",
         "你好，世界", "مرحبا", "नमस्ते", "👩‍👩‍👧 family",
         "e\u0301", "\u00a0nbsp", "\u2028sep", "\u200bzero", "\x7f", "\x00", "\x1b[0m", "\u0085next", "\ud83d\ude00",
         "{{ messages }}", "{% if %}", "${x}", "<b>&amp;</b>", "/no_think", "\r\n", "\u3000", "\U000f0000", "\ue000",
         "\u0378", "x" * 40]
NUMBERS = ["0", "-0", "1", "-7", "0.0", "-0.0", "1e5", "1E400", "-1e400", "1e-400", "1e-7", "1e16", "1e15",
           "123456789.125",
           "0.1", "3.0", "1e22", "5e-324", "1.7976931348623157e308", "2.2250738585072011e-308", "0.0001", "0.00001",
           "12345678901234567890", "123456789012345678901234567890", "100000000000000000000.0", "9007199254740993.0",
           "0e999", "-1.50", "1.0E+2", "4.35", "0.30000000000000004"]
NAMES = ["get_weather", "search", "add", "naïve", 'a"b', "", "<tool_call>"]


class Raw:
    """JSON text to be pasted as it is."""

    def __init__(self, text):
        self.text = text


def dump(value, rng):
    """JSON text of a tree with Raw leaves; strings sometimes escaped to ASCII, separators sometimes spaced."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, str):
        ascii_only = rng.random() < 0.2 or any(0xD800 <= ord(c) < 0xE000 for c in value)
        return json.dumps(value, ensure_ascii=ascii_only)
    if isinstance(value, dict):
        return "{" + ", ".join(json.dumps(k) + ": " + dump(v, rng) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(v, rng) for v in value) + "]"
    return json.dumps(value)


class Cases:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def chance(self, p):
        return self.rng.random() < p

    def number(self):
        r = self.rng
        kind = r.randrange(6)
        if kind < 3:
            return Raw(r.choice(NUMBERS))
        if kind == 3:
            return Raw(str(r.randrange(-10**r.randrange(1, 30), 10**r.randrange(1, 30))))
        if kind == 4:
            return Raw(repr(r.uniform(-1, 1) * 10.0**r.randrange(-30, 30)))
        digits = "".join(r.choice("0123456789") for _ in range(r.randrange(1, 25)))
        mark = r.choice(["e", "E", "e+", "e-"])
        return Raw(f"{r.choice(['', '-'])}{r.randrange(1, 10)}.{digits}{mark}{r.randrange(330)}")

    def random_char(self):
        """Any character assigned in this Python's Unicode: repr of later ones depends on the version."""
        while True:
            c = chr(self.rng.randrange(0x110000 if self.chance(0.3) else 0x3000))
            if unicodedata.category(c) not in ("Cn", "Cs"):
                return c

    def text(self):
        r = self.rng
        kind = r.randrange(12)
        if kind < 6:
            return r.choice(WORDS)
        if kind < 8:
            return " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 5)))
        if kind == 8:
            return "".join(r.choice(CONTROL + WORDS) for _ in range(r.randrange(1, 5)))
        if kind == 9:
            return "".join(self.random_char() for _ in range(r.randrange(1, 12)))
        return f"message {r.randrange(1000)}"

    def thinking(self):
        r = self.rng
        nl = lambda: "\n" * r.randrange(4)
        form = r.randrange(7)
        if form == 0:
            return f"<think>{nl()}{self.text()}{nl()}</think>{nl()}{self.text()}"
        if form == 1:
            return f"{self.text()}{nl()}</think>{nl()}{self.text()}"
        if form == 2:
            return f"<think>a<think>{nl()}{self.text()}</think>{nl()}b</think>{nl()}{self.text()}"
        if form == 3:
            return f"{self.text()}<think>{self.text()}"
        if form == 4:
            return f"<think>{nl()}</think>{nl()}"
        if form == 5:
            return f"{nl()}<think>{nl()}{self.text()}{nl()}</think>{nl()}"
        return f"<think>\n{self.text()}\n</think>\n\n{self.text()}{nl()}"

    def value(self, depth=0):
        r = self.rng
        kind = r.randrange(10 if depth < 4 else 6)
        if kind < 2:
            return self.text()
        if kind < 4:
            return self.number()
        if kind == 4:
            return r.choice([True, False])
        if kind == 5:
            return None
        if kind < 8:
            return {self.text(): self.value(depth + 1) for _ in range(r.randrange(4))}
        return [self.value(depth + 1) for _ in range(r.randrange(4))]

    def arguments(self, odd):
        r = self.rng
        if odd and self.chance(0.3):
            return self.value()
        if self.chance(0.4):
            return r.choice(['{"city": "Paris"}', "{}", "", '{"a":1}', self.text()])
        return {r.choice(["city", "n", "naïve", 'q"']): self.value(2) for _ in range(r.randrange(3))}

    def tool_call(self, odd):
        call = {"name": self.rng.choice(NAMES), "arguments": self.arguments(odd)}
        if odd and self.chance(0.15):
            del call[self.rng.choice(["name", "arguments"])]
        if odd and self.chance(0.1):
            call["name"] = self.value()
        if self.chance(0.6):
            call = {"id": "call_1", "type": "function", "function": call}
            if odd and self.chance(0.1):
                call["function"] = self.value()
                call.update(self.rng.choice([{}, {"name": "outer", "arguments": {}}]))
        return self.value() if odd and self.chance(0.05) else call

    def content(self, odd, plain=False):
        if odd and self.chance(0.25):
            return self.rng.choice([None, self.value(), [{"type": "text", "text": self.text()}], {}, []])
        if not plain and self.chance(0.35):
            return self.thinking()
        return self.text()

    def message(self, role, odd):
        r = self.rng
        message = {"role": role}
        if role == "user" and self.chance(0.15):
            head = r.choice(["<tool_response>", "<tool_response>\n", "x<tool_response>", ""])
            tail = r.choice(["</tool_response>", "\n</tool_response>", "</tool_response>\n", ""])
            message["content"] = head + self.text() + tail
        elif role == "assistant":
            message["content"] = self.content(odd)
            if self.chance(0.35):
                message["reasoning_content"] = r.choice(["\n", ""]) + self.text() + r.choice(["\n\n", ""])
            if odd and self.chance(0.15):
                message["reasoning_content"] = r.choice([None, "", self.value()])
            if self.chance(0.4):
                message["tool_calls"] = [self.tool_call(odd) for _ in range(r.randrange(1, 4))]
                if self.chance(0.4):
                    message["content"] = r.choice(["", None]) if odd or self.chance(0.3) else ""
            if odd and self.chance(0.1):
                message["tool_calls"] = r.choice([None, [], self.value()])
        else:
            message["content"] = self.content(odd, plain=True)
        if odd and self.chance(0.06):
            message.pop(r.choice(list(message)))
        if odd and self.chance(0.02):
            message["role"] = r.choice(["developer", "function", "ipython", "", None, 5, "USER"])
        if self.chance(0.05):
            message["name"] = self.text()
        if self.chance(0.3):
            message = dict(r.sample(list(message.items()), len(message)))
        return message

    def polite_roles(self):
        r = self.rng
        roles = ["system"] if self.chance(0.5) else []
        for _ in range(r.randrange(1, 4)):
            roles.append("user")
            while self.chance(0.3):
                roles += ["assistant"] + ["tool"] * r.randrange(1, 4)
            if self.chance(0.8):
                roles.append("assistant")
        return roles

    def tool(self):
        function = {"name": self.rng.choice(NAMES), "description": self.text(), "parameters": {
            "type": "object", "required": ["x"],
            "properties": {"x": {"type": "number", "default": self.number(), "enum": [self.value(2)]}}}}
        return {"type": "function", "function": function} if self.chance(0.7) else function

    def request(self, template):
        odd = self.chance(0.5)
        if odd:
            roles = [self.rng.choice(["user", "assistant", "tool", "system"]) for _ in range(self.rng.randrange(1, 8))]
        else:
            roles = self.polite_roles()
        request = {"template": template, "messages": [self.message(role, odd and self.chance(0.4)) for role in roles]}
        if self.chance(0.35):
            request["tools"] = [self.tool() for _ in range(self.rng.randrange(1, 4))]
        elif self.chance(0.2):
            request["tools"] = self.rng.choice([None, []])
        if self.chance(0.6):
            request["add_generation_prompt"] = self.rng.choice([True, True, False])
        if self.chance(0.5):
            request["enable_thinking"] = self.rng.choice([True, False])
        return dump(request, self.rng)
