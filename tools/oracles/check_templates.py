"""Byte equality of the native chat templates with transformers' Jinja environment on generated conversations.

  check_templates.py --tool build/release/tests/text/template_tool [--count 20000] [--seed 1]
  check_templates.py --tool ... --fingerprints      prints what chat_template_match.cpp's kKnown must hold

`count` conversations per run, taking the five templates in turn. Then `count` / 20 edited sources (white space, signs,
comments, quotes): one that the tool calls exact must render as the original does. Exit 1 on any difference, with the
first few printed.
"""
import argparse
import collections
import json
import random
import subprocess
import sys

from template_cases import CONTROL, Cases
from template_reference import NAMES, Reference, load_sources


def ask(tool, lines):
    """The tool's replies to JSON lines."""
    done = subprocess.run([tool], input="\n".join(lines) + "\n", capture_output=True, text=True, encoding="utf-8",
                          errors="surrogatepass", check=True)
    replies = [json.loads(reply) for reply in done.stdout.split("\n")[:-1]]
    if len(replies) != len(lines):
        sys.exit(f"{tool}: {len(lines)} requests, {len(replies)} replies")
    return replies


def owned_text(reply):
    """The reply's text with everything that came with the request cut out."""
    data, at, out = reply["text"].encode("utf-8"), 0, []
    for begin, end in reply["given"]:
        out.append(data[at:begin])
        at = end
    return b"\0".join(out + [data[at:]]).decode("utf-8")


def allowed_controls(line):
    """Control tokens that the template itself may write for this request, counted by kind: an upper bound."""
    messages = json.loads(line)["messages"]
    turns = len(messages) + 2
    return {"<|im_start|>": turns, "<|im_end|>": turns, "<think>": turns, "</think>": turns,
            "<tool_response>": turns, "</tool_response>": turns,
            "<tool_call>": None, "</tool_call>": None}  # None: as many as there are calls, not bounded here


def check(tool, count, seed):
    reference = Reference()
    cases = Cases(seed)
    lines = [cases.request(NAMES[i % len(NAMES)]) for i in range(count)]
    bad, stats = 0, collections.Counter()
    for line, reply in zip(lines, ask(tool, lines)):
        want, got = reference.render(line), reply.get("text")
        stats["errors" if want is None else "texts"] += 1
        problem = None if want == got else "different"
        if got is not None and problem is None:
            owned, bound = owned_text(reply), allowed_controls(line)
            for token in CONTROL:
                most = bound.get(token, 0)
                if most is not None and owned.count(token) > most:
                    problem = f"{token} as template text"
        if problem:
            bad += 1
            if bad <= 5:
                print(f"{problem}:\n  request {line}\n  want    {want!r}\n  got     {got!r}\n  {reply.get('error')}")
    print(f"templates: {count} conversations (seed {seed}), {stats['texts']} rendered by the reference, "
          f"{stats['errors']} raise, {bad} different")
    return bad


def edited(source, rng):
    """The source after one to three small edits, some of them without meaning and some not."""
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(source) + 1)
        kind = rng.randrange(6)
        if kind == 0:  # white space, or a comment, anywhere
            extra = rng.choice([" ", "\n", "\t", "\r\n", "{# c #}", "{#- c -#}\n", "\u00a0"])
            source = source[:at] + extra + source[at:]
        elif kind == 1:  # one character less, if it is white space or a sign
            if source[at:at + 1] in (" ", "\n", "-"):
                source = source[:at] + source[at + 1:]
        else:
            old, new = rng.choice([("%}", " -%}"), ("%}", "+%}"), ("}}", "-}}"), ("{%-", "{%"), ("{{-", "{{"),
                                   ("'", '"'), ("\n    ", "\n"), ("\n", " \n"), ("{%-", "\n{%-"), ("%}\n", "%}"),
                                   ("== ", "=="),
                                   ("\\n", "\n"), ("(", "( "), ("tools", "tool s")])
            found = [i for i in range(len(source)) if source.startswith(old, i)]
            i = rng.choice(found) if found else 0
            source = source[:i] + new + source[i + len(old):] if found else source
    return source


def check_sources(tool, count, seed):
    from transformers.utils import chat_template_utils
    rng, cases, reference = random.Random(seed), Cases(seed + 1), Reference()
    variants = [edited(reference.sources[NAMES[i % len(NAMES)]], rng) for i in range(count)]
    probes = {name: [line for line in (cases.request(name) for _ in range(60)) if reference.render(line)]
              for name in NAMES}
    want = {name: [reference.render(line) for line in lines] for name, lines in probes.items()}
    bad, stats = 0, collections.Counter()
    for i, (source, reply) in enumerate(zip(variants, ask(tool, [json.dumps({"source": s}) for s in variants]))):
        name = NAMES[i % len(NAMES)]
        if not reply.get("exact"):
            stats["other"] += 1
            continue
        stats["exact"] += 1
        reference.templates[name] = chat_template_utils._compile_jinja_template(source)
        if reply["name"] != name or [reference.render(line) for line in probes[name]] != want[name]:
            bad += 1
            print(f"called exact, renders otherwise: {name}\n{source}")
    print(f"sources: {count} edited, {stats['exact']} called exact, {bad} of them render otherwise")
    return bad


def fingerprints(tool):
    sources = load_sources()
    for name, reply in zip(sources, ask(tool, [json.dumps({"source": s}) for s in sources.values()])):
        print(f"    {{0x{reply['fingerprint'].upper()}, TemplateKind::{name.replace('-', '_').replace('.', '_')}}},"
              f"  // exact {reply['exact']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fingerprints", action="store_true")
    args = parser.parse_args()
    if args.fingerprints:
        fingerprints(args.tool)
        return 0
    bad = check(args.tool, args.count, args.seed)
    bad += check_sources(args.tool, args.count // 20, args.seed)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
