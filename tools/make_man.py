#!/usr/bin/env python3
"""Writes the manual page from what the program says about itself, so that it never lags behind.

    tools/make_man.py BANTAM OUT.1

BANTAM is asked for `--help`, `help COMMAND` for each command and `version --json`. Options that many commands share
with the same words are described once, under COMMON OPTIONS. Run by the build (cmake/install.cmake)."""
import collections
import json
import re
import subprocess
import sys

SHARED_BY = 5  # commands
EXIT_CODES = [("0", "done"), ("1", "the work failed"), ("2", "wrong usage"), ("3", "a bad input file"),
              ("4", "not enough memory or disk"), ("130", "interrupted")]
ENVIRONMENT = [("BANTAM_ISA", "the instruction set to use, as --isa"), ("NO_COLOR", "no colours when set")]

Item = collections.namedtuple("Item", "name text")


def ask(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, encoding="utf-8", check=True).stdout


def sections(help_text):
    """{heading: [Item]} of a help text; "" holds its free lines, "usage" its usage line."""
    out, heading, items = {"": [], "usage": []}, "", None
    for line in help_text.splitlines():
        group = re.match(r"\[Option Group: (.*)\]$", line)
        if line.startswith("Usage: "):
            out["usage"].append(line[7:])
        elif group or re.match(r"[A-Z][^`]*:$", line) and line != "Examples:":
            heading = group.group(1).capitalize() if group else line[:-1]
            items = out.setdefault(heading, [])
        elif line.startswith("Examples:"):
            heading, items = "Examples", out.setdefault("Examples", [])
        elif items is None or heading == "Examples":
            out[heading].append(Item(line, ""))
        elif match := re.match(r" {2,4}(-\S.*?|\S.*?)(?: {2,}(\S.*))?$", line):
            if not line.strip().endswith("Options:") and (match.group(2) or re.match(r" {2,4}\S", line)):
                items.append(Item(match.group(1), match.group(2) or ""))
        elif line.strip() and items:
            items[-1] = Item(items[-1].name, (items[-1].text + " " + line.strip()).strip())
    return out


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in text)
    return "\\&" + text if text.startswith((".", "'")) else text


def named(items):
    """Option lines as .TP entries. CLI11 writes TYPE:CHECK=DEFAULT: what is accepted stays, what is doubled goes."""
    for item in items:
        name = re.sub(r" Excludes: \S+", "", re.sub(r"\b(INT|FLOAT):(?=INT|FLOAT)|\bTEXT:(?=\{)", "", item.name))
        yield f".TP\n.B {roff(name)}\n{roff(item.text) if item.text else '.br'}"


def command_part(name, about, parts, shared, top_examples):
    yield f".SS {roff(name)}\n{roff(about)}.\n.PP\n.B {roff(parts['usage'][0])}"
    for heading, items in parts.items():
        if heading in {"", "usage", "Examples", "Subcommands"}:
            continue
        own = [i for i in items if i not in shared and not i.name.startswith(("-h,", "--help")) and i.text]
        if own and heading not in {"Options", "Positionals"}:
            yield f".PP\n{roff(heading)}:"
        yield from named(own)
    lines = [i.name.strip() for i in parts.get("Examples", []) if i.name.startswith("  ")]
    if lines and lines != top_examples:
        yield ".PP\nExamples:\n.nf\n" + "\n".join(roff(line) for line in lines) + "\n.fi"


def page(program):
    top = sections(ask(program, "--help"))
    version = json.loads(ask(program, "version", "--json"))["version"]
    commands = {i.name: (i.text, sections(ask(program, "help", i.name))) for i in top["Subcommands"]}
    counts = collections.Counter(item for about, parts in commands.values() for heading, items in parts.items()
                                 if heading not in {"", "usage", "Examples"} for item in items)
    shared = [item for item, n in counts.items() if n >= SHARED_BY and not item.name.startswith(("-h,", "--help"))]
    yield f'.TH BANTAM 1 "" "bantam {version}" "User Commands"'
    yield ".SH NAME\nbantam \\- run the Qwen3 language\\-model family on your own machine"
    yield ".SH SYNOPSIS\n.B bantam\n.I COMMAND\n[OPTIONS] [ARGUMENTS]"
    yield ".SH DESCRIPTION\n" + "\n.br\n".join(roff(i.name.strip()) for i in top[""] if i.name.strip())
    yield ".SH COMMANDS"
    for name, (about, parts) in commands.items():
        yield from command_part(name, about, parts, set(shared), [i.name.strip() for i in top["Examples"]])
    yield ".SH COMMON OPTIONS\nWhat most commands understand."
    yield from named(shared)
    yield ".SH EXIT STATUS"
    yield from named(Item(code, text) for code, text in EXIT_CODES)
    yield ".SH ENVIRONMENT"
    yield from named(Item(name, text) for name, text in ENVIRONMENT)
    yield ".SH EXAMPLES"
    for item in top.get("Examples", []):
        if item.name.startswith("  "):
            command, _, what = item.name.strip().partition("   ")
            yield f".TP\n.B {roff(command)}\n{roff(what.strip())}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    text = "\n".join(page(sys.argv[1])) + "\n"
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write(text)


if __name__ == "__main__":
    main()
