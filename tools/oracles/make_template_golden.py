"""Writes tests/text/cases/templates.jsonl: small generated conversations with the reference's text, or error.

One line per case: {"request": {...}, "text": "..."} or {"request": {...}, "error": true}. The request is pasted as
generated, since the spelling of its numbers matters. Needs the oracle environment; same seed, same file.
"""
import collections
import json
import sys

from template_cases import Cases
from template_reference import NAMES, ROOT, Reference

SEED, COUNT, MAX_BYTES = 20, 300, 1600

# Message lists that generated ones meet too rarely to be sure of; each is rendered with every template.
Q, R = '{"role":"user","content":"q"}', '{"role":"user","content":"r"}'
RARE = [
    f'[{Q},{{"role":"assistant","content":"","tool_calls":[{{"function":{{}},"name":"f","arguments":1}},'
    '{"function":null,"name":"g","arguments":null}]}]',
    f'[{Q},{{"role":"assistant","content":"a</think>b","reasoning_content":null}}]',
    f'[{Q},{{"role":"assistant","content":"a</think>b","reasoning_content":["r"]}}]',
    f'[{Q},{{"role":"assistant","content":"a</think>b","reasoning_content":0}},{R}]',
    f'[{Q},{{"role":"assistant","content":"c","reasoning_content":[]}},{{"role":"tool","content":"t"}}]',
    f'[{Q},{{"role":"tool","content":[-0,-0.0,1e5,1E400,"it\'s","\\u00a0\\ud83d\\ude00",null,{{"a":true}}]}}]',
]


def main():
    reference, cases = Reference(), Cases(SEED)
    out, errors = [], collections.Counter()
    for messages in RARE:
        for template in NAMES:
            line = '{"template": "%s", "messages": %s}' % (template, messages)
            text = reference.render(line)
            answer = {"error": True} if text is None else {"text": text}
            out.append('{"request": ' + line + ", " + json.dumps(answer, ensure_ascii=False)[1:])
    while len(out) < COUNT:
        template = NAMES[len(out) % len(NAMES)]
        line = cases.request(template)
        text = reference.render(line)
        if text is None:
            if errors[template] >= 10:
                continue
            errors[template] += 1
        answer = {"error": True} if text is None else {"text": text}
        whole = '{"request": ' + line + ", " + json.dumps(answer, ensure_ascii=False)[1:]
        if len(whole.encode()) <= MAX_BYTES:
            out.append(whole)
    path = ROOT / "tests" / "text" / "cases" / "templates.jsonl"
    path.write_text("\n".join(out) + "\n", encoding="utf-8", newline="\n")
    print(f"{path}: {len(out)} cases, {path.stat().st_size} bytes, errors {dict(errors)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
