#!/usr/bin/env python3
"""Fails when a page points at a file that is not there, or when any file names a path of somebody's own machine.

    tools/check_docs.py [ROOT]

In Markdown, relative links and back-quoted paths that start with a folder of the repository are looked up; glob
characters and braces are expanded. Everywhere, home folders and other machine paths are refused."""
import glob
import pathlib
import re
import sys

FOLDERS = ("src/", "web/", "include/", "tests/", "tools/", "docs/", "bench/", "models/", "cmake/")
SKIP = {".git", "build", ".oracles", ".cache", "__pycache__", "golden", "cases"}
TEXT = {".md", ".h", ".cpp", ".py", ".sh", ".txt", ".cmake", ".json", ".in", ".js", ".css", ".html", ""}
MACHINE_PATH = re.compile(r"(?<![\w.$}*])/(?:home|root|work|Users|mnt)/[A-Za-z0-9_]")


def files(root):
    for path in sorted(root.rglob("*")):
        if not SKIP.intersection(path.relative_to(root).parts) and path.is_file() and path.suffix in TEXT:
            if path.stat().st_size < 1 << 20:
                yield path


def expand(pattern):
    """a/{b,c}.d as a/b.d and a/c.d."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        return [pattern]
    return [whole for part in match.group(1).split(",")
            for whole in expand(pattern[:match.start()] + part.strip() + pattern[match.end():])]


def is_there(base, target):
    return all(glob.glob(str(base / p.replace("[", "[[]"))) for p in expand(target))


def check_page(root, path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.relative_to(root)}:{number}"
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
            if "://" not in target and not is_there(path.parent, target):
                yield f"{where}: link to {target}, which is not there"
        for target in re.findall(r"`([^`\s]+)`", line):
            target = target.split(":")[0]
            if target.startswith(FOLDERS) and re.fullmatch(r"[\w./*{},+-]+", target) and not is_there(root, target):
                if not re.search(r"[A-Z]{3,}", target):  # NAME and ROOM stand for something
                    yield f"{where}: {target} is not there"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    bad, pages, seen = [], 0, 0
    for path in files(root):
        seen += 1
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line):
                bad.append(f"{path.relative_to(root)}:{number}: a path of one machine: {line.strip()[:100]}")
        if path.suffix == ".md":
            pages += 1
            bad += check_page(root, path)
    print("\n".join(bad) if bad else f"docs: {pages} pages, {seen} files, every path is there")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
