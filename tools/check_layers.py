#!/usr/bin/env python3
"""Fails when a file under src/ includes a room that docs/architecture.md does not allow it to.

The table of rooms in docs/architecture.md ("| room | may include |") is the only source of the rules."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALWAYS = {"base", "tensor"}


def allowed_rooms():
    rules = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) < 4 or not re.fullmatch(r"[a-z, /]+", cells[1]) or cells[1] == "room":
            continue
        includes = set(re.findall(r"[a-z]+", cells[2])) if cells[2] != "-" else set()
        for room in re.findall(r"[a-z]+", cells[1]):
            rules[room] = includes | ALWAYS | {room}
    return rules


def main():
    rules = allowed_rooms()
    rooms = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    bad = [f"src/{room}: no row in docs/architecture.md" for room in sorted(rooms - rules.keys())]
    files = 0
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
            continue
        files += 1
        room = path.relative_to(ROOT / "src").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
            target = match and match.group(1)
            if not target or (target == "bantam" and room in {"base", "engine", "cli", "server"}):
                continue
            if room in rules and "all" not in rules[room] and target not in rules[room]:
                bad.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {target}")
            if target in {"cli"} and room != "cli":
                bad.append(f"{path.relative_to(ROOT)}:{number}: nothing includes cli")
    print("\n".join(bad) if bad else f"layers: {files} files, {len(rooms)} rooms, every include allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
