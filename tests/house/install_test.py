#!/usr/bin/env python3
"""Installs the build into an empty prefix and uses it as a stranger would: the example of docs/howto/embed.md is
compiled against it with pkg-config and with CMake, and must choose the tokens that `bantam forward` likes best; the man page
and the completions must be well formed.

    install_test.py --build BUILD --compiler CXX --sanitize WORDS"""
import argparse
import array
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OPTIONS = None
MODEL = ROOT / "models/nano"
COUNT = 4


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def code_block(language):
    text = (ROOT / "docs/howto/embed.md").read_text(encoding="utf-8")
    return re.search(rf"```{language}\n(.*?)```", text, re.S).group(1)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = pathlib.Path(cls.folder.name) / "prefix"
        run("cmake", "--install", OPTIONS.build, "--prefix", cls.prefix)
        cls.bantam = cls.prefix / "bin/bantam"
        cls.library = next(cls.prefix.rglob("libbantam.a")).parent

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def likeliest(self, ids):
        """The id with the largest logit after each of `ids`, as the installed program computes them."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.safetensors"
            run(self.bantam, "forward", MODEL, "-", "-o", out, "--quiet", input=json.dumps({"ids": ids}))
            data = out.read_bytes()
        size = int.from_bytes(data[:8], "little")
        entry = json.loads(data[8:8 + size])["0/logits"]
        rows, columns = entry["shape"]
        values = array.array("f", data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
        return [max(range(columns), key=lambda c: values[r * columns + c]) for r in range(rows)]

    def flags(self):
        return [f"-fsanitize={OPTIONS.sanitize}"] if OPTIONS.sanitize else []

    def check_example(self, program):
        ids = json.loads(run(self.bantam, "render", MODEL, "-p", "Hello!", "--json"))["ids"]
        out = [int(i) for i in run(program, MODEL, COUNT, *ids).split()]
        self.assertEqual(out, self.likeliest(ids + out)[len(ids) - 1:-1])

    def test_example_with_pkg_config(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "complete.cpp"
            source.write_text(code_block("cpp"), encoding="utf-8")
            environment = dict(os.environ, PKG_CONFIG_PATH=str(self.library / "pkgconfig"))
            flags = run("pkg-config", "--cflags", "--libs", "bantam", env=environment).split()
            program = pathlib.Path(folder) / "complete"
            run(OPTIONS.compiler, "-Wall", "-Wextra", "-Werror", *self.flags(), source, *flags, "-o", program)
            self.check_example(program)

    def test_example_with_cmake(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "complete.cpp").write_text(code_block("cpp"), encoding="utf-8")
            (folder / "CMakeLists.txt").write_text(code_block("cmake"), encoding="utf-8")
            run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                f"-DCMAKE_CXX_COMPILER={OPTIONS.compiler}", f"-DCMAKE_CXX_FLAGS={' '.join(self.flags())}")
            run("cmake", "--build", folder / "build")
            self.check_example(folder / "build/complete")

    def test_layout(self):
        for path in ("include/bantam/engine.h", "include/bantam/session.h", "include/bantam/result.h",
                     "share/man/man1/bantam.1", "share/doc/bantam/LICENSE"):
            self.assertTrue((self.prefix / path).is_file(), path)
        self.assertEqual(len(list((self.prefix / "include").rglob("*.h"))), 3)

    def test_man_page_names_every_command(self):
        page = (self.prefix / "share/man/man1/bantam.1").read_text(encoding="ascii")
        words = re.findall(r"^  (\w+) {2,}", run(self.bantam, "--help").split("Subcommands:")[1].split("Examples")[0], re.M)
        self.assertGreater(len(words), 10)
        for word in words:
            self.assertIn(f"\n.SS {word}\n", page)
        self.assertIn("\n.B \\-\\-numerics", page)
        unknown = [line for line in page.splitlines() if line[:1] == "." and line.split()[0] not in
                   {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".br", ".nf", ".fi"}]
        self.assertEqual(unknown, [])
        if shutil.which("groff"):
            warnings = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True)
            self.assertEqual(warnings.stderr, "")

    def test_completions(self):
        bash = self.prefix / "share/bash-completion/completions/bantam"
        words = run("bash", "-c", f"source {bash}; COMP_WORDS=(bantam ben); COMP_CWORD=1; _bantam; echo ${{COMPREPLY[@]}}; "
                    "COMP_WORDS=(bantam run --numer); COMP_CWORD=2; _bantam; echo ${COMPREPLY[@]}")
        self.assertEqual(words.split(), ["bench", "--numerics"])
        zsh = (self.prefix / "share/zsh/vendor-completions/_bantam").read_text(encoding="utf-8")
        self.assertTrue(zsh.startswith("#compdef bantam\n"))
        fish = (self.prefix / "share/fish/vendor_completions.d/bantam.fish").read_text(encoding="utf-8")
        self.assertIn("complete -c bantam", fish)
        for shell, file in (("zsh", "zsh/vendor-completions/_bantam"), ("fish", "fish/vendor_completions.d/bantam.fish")):
            if shutil.which(shell):
                run(shell, "-n", self.prefix / "share" / file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--sanitize", default="")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
