#!/usr/bin/env python3
"""The house's checks must be able to fail: each is run on small trees that break one rule each."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = """| room | may include | must never know |
|---|---|---|
| base, tensor | - | domain words |
| quant | - | files |
| model, engine | quant | HTTP |
| cli | all | nothing includes it |
"""
CSV = "date,commit,cpu,isa,threads,read_gbs,fma_gflops,int8_gops,model,type,numerics,kv,work,tokens,context,batch,tok_s,limit_share,bound\n"
ROW = '{date},abc,"A CPU, of 2",avx2,2,20.0,100.0,400.0,M,q4_0,fast,f16,decode,16,0,1,{speed},0.5,memory\n'


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("docs/architecture.md", TABLE)
        for room in ("base", "tensor", "quant", "model", "engine", "cli"):
            self.write(f"src/{room}/{room}.h", "#include <vector>\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run_tool(self, tool, *arguments):
        done = subprocess.run([sys.executable, ROOT / "tools" / tool, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def expect(self, tool, code, *words):
        status, output = self.run_tool(tool, self.root)
        self.assertEqual(status, code, output)
        for word in words:
            self.assertIn(word, output)


class Layers(Tree):
    def test_a_good_tree_passes(self):
        self.write("src/model/a.cpp", '#include "model/model.h"\n#include "quant/quant.h"\n#include "tensor/tensor.h"\n')
        self.write("src/cli/a.cpp", '#include "model/model.h"\n#include "embedded/files.h"\n#include "bantam/engine.h"\n')
        self.write("include/bantam/engine.h", '#include <span>\n#include "bantam/result.h"\n')
        self.expect("check_layers.py", 0, "every include allowed")

    def test_a_room_too_far(self):
        self.write("src/quant/a.cpp", '\n  #  include "model/model.h"\n')
        self.expect("check_layers.py", 1, "src/quant/a.cpp:2: quant may not include model")

    def test_nobody_includes_cli(self):
        self.write("src/model/a.h", '#include "cli/cli.h"\n')
        self.expect("check_layers.py", 1, "nothing includes cli")

    def test_paths_start_at_src(self):
        self.write("src/quant/a.h", '#include "../model/model.h"\n#include "near.h"\n')
        self.expect("check_layers.py", 1, "a.h:1: expected a path from src/", "a.h:2: expected a path from src/")

    def test_a_room_without_a_row(self):
        self.write("src/attic/a.h", "")
        self.expect("check_layers.py", 1, "src/attic: no row")

    def test_public_headers_use_the_standard_library_only(self):
        self.write("include/bantam/engine.h", '#include <fmt/format.h>\n#include "model/model.h"\n')
        self.expect("check_layers.py", 1, "engine.h:1: expected the standard", "engine.h:2: expected the standard")


class Sizes(Tree):
    def fill(self, path, lines, banner=""):
        self.write(path, banner + "// x\n" * lines)

    def test_a_good_tree_passes(self):
        self.fill("src/base/a.cpp", 200)
        self.expect("check_sizes.py", 0, "median")

    def test_a_long_file_says_why(self):
        for i in range(9):
            self.fill(f"src/base/b{i}.cpp", 1)
        self.fill("src/base/a.cpp", 801)
        self.expect("check_sizes.py", 1, "src/base/a.cpp: 801 lines")
        self.fill("src/base/a.cpp", 801, "// Long because it is a table.\n")
        self.expect("check_sizes.py", 0)

    def test_too_many_lines_in_huge_files(self):
        self.fill("src/base/a.cpp", 1200, "// Long because it is a table.\n")
        self.expect("check_sizes.py", 1, "more than 5 %")

    def test_medians(self):
        for i in range(20):
            self.fill(f"tools/a{i}.py", 201)
        self.expect("check_sizes.py", 1, "tools: expected a median")


class Docs(Tree):
    def test_what_is_there_passes(self):
        self.write("docs/a.md", "[x](architecture.md#rooms) `src/{base,model}/*.h` `src/ROOM/new.h` [y](https://a.b/c)\n")
        self.expect("check_docs.py", 0)

    def test_what_is_not_there_fails(self):
        self.write("docs/a.md", "[x](gone.md)\n`src/{base,gone}/*.h`\n")
        self.expect("check_docs.py", 1, "a.md:1: link to gone.md", "a.md:2: src/{base,gone}/*.h")

    def test_machine_paths_fail(self):
        self.write("tools/a.py", "open('/" + "home/somebody/x')\n")
        self.expect("check_docs.py", 1, "tools/a.py:1")


class Numbers(Tree):
    MARKS = "a\n<!-- numbers: written by tools/readme_numbers.py -->\n{}<!-- end of numbers -->\nb\n"

    def numbers(self, *arguments):
        return self.run_tool("readme_numbers.py", "--root", self.root, *arguments)

    def test_tables_follow_the_newest_measurements(self):
        self.write("README.md", self.MARKS.format("typed by hand\n"))
        self.write("docs/speed.md", self.MARKS.format(""))
        self.write("bench/results/a.csv", CSV + ROW.format(date="2026-01-02", speed=7) + ROW.format(date="2026-01-01", speed=9))
        self.assertEqual(self.numbers("--check")[0], 1)
        self.assertEqual(self.numbers()[0], 0)
        text = (self.root / "README.md").read_text(encoding="utf-8")
        self.assertIn("| decode after 0 tokens | 7.0 | 50 % | memory |", text)
        self.assertNotIn("9.0", text)
        self.assertTrue(text.startswith("a\n") and text.endswith("\nb\n"))
        self.assertEqual((self.root / "docs/speed.md").read_text(encoding="utf-8"), text)
        self.assertEqual(self.numbers("--check")[0], 0)
        self.write("docs/speed.md", self.MARKS.format("typed by hand\n"))
        self.assertEqual(self.numbers("--check")[0], 1)

    def test_the_readme_has_the_rows_with_another_engine_beside_them(self):
        for page in ("README.md", "docs/speed.md"):
            self.write(page, self.MARKS.format(""))
        def row(kv, speed, engine, ratio):
            plain = ROW.format(date="2026-01-01", speed=speed).replace(",f16,", f",{kv},").rstrip("\n")
            return f"{plain},{engine},,{ratio}\n"

        rows = row("f16", 7, "bantam", "") + row("f16", 3, "other", "2.33") + row("q8_0", 9, "bantam", "")
        self.write("bench/results/a.csv", CSV.replace("bound", "bound,engine,flags,ratio") + rows)
        self.assertEqual(self.numbers()[0], 0)
        readme, all_of_it = ((self.root / page).read_text(encoding="utf-8") for page in ("README.md", "docs/speed.md"))
        self.assertIn("| 7.0 | 50 % | memory | 2.33x of 3.0 |", readme)
        self.assertNotIn("9.0", readme)
        self.assertIn("| 9.0 | 50 % | memory |", all_of_it)

    def test_no_markers_is_an_error(self):
        self.write("README.md", "a\n")
        self.assertEqual(self.numbers()[0], 1)


del Tree  # only its children are tests
if __name__ == "__main__":
    unittest.main()
