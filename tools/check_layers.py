#!/usr/bin/env python3
"""Fails when a file includes a room that docs/architecture.md does not allow it to.

    tools/check_layers.py [ROOT]

The table of rooms in docs/architecture.md ("| room | may include |") is the only source of the rules. Under
include/bantam only the standard library and bantam/ itself are allowed."""
import pathlib
import re
import sys

ALWAYS = {"base", "tensor"}
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
GENERATED = {"embedded"}  # folders that the build writes


def allowed_rooms(root):
    """{room: the rooms it may include} from the table; {"all"} for cli."""
    rules = {}
    for line in (root / "docs/architecture.md").read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) < 4 or not re.fullmatch(r"[a-z, /]+", cells[1]) or cells[1] == "room":
            continue
        includes = set(re.findall(r"[a-z]+", cells[2])) if cells[2] != "-" else set()
        for room in re.findall(r"[a-z]+", cells[1]):
            rules[room] = includes | ALWAYS | {room}
    return rules


def includes(path):
    """(line number, quoted?, path) of every include directive."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^">]+)[">]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_room(root, path, rules):
    room = path.relative_to(root / "src").parts[0]
    for number, quoted, target in includes(path):
        if not quoted:
            continue
        where = f"{path.relative_to(root)}:{number}"
        other = target.split("/")[0]
        if "/" not in target or other in {".", ".."}:
            yield f'{where}: expected a path from src/, got "{target}"'
        elif other == "bantam":
            if room not in {"base", "engine", "cli", "server"}:
                yield f"{where}: {room} may not include the public headers"
        elif other == "cli" and room != "cli":
            yield f"{where}: nothing includes cli"
        elif other not in GENERATED and "all" not in rules.get(room, {"all"}) and other not in rules[room]:
            yield f"{where}: {room} may not include {other}"


def check_public(root, path):
    for number, quoted, target in includes(path):
        if quoted and not target.startswith("bantam/") or not quoted and ("/" in target or "." in target):
            yield f"{path.relative_to(root)}:{number}: expected the standard library or bantam/, got {target}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    rules = allowed_rooms(root)
    rooms = {p.name for p in (root / "src").iterdir() if p.is_dir()}
    bad = [f"src/{room}: no row in docs/architecture.md" for room in sorted(rooms - rules.keys())]
    files = [p for p in sorted((root / "src").rglob("*")) if p.suffix in SUFFIXES]
    for path in files:
        bad += check_room(root, path, rules)
    for path in sorted((root / "include").rglob("*.h")):
        bad += check_public(root, path)
    print("\n".join(bad) if bad else f"layers: {len(files)} files, {len(rooms)} rooms, every include allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
