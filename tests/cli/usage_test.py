"""Help, exit codes, wrong usage and the small commands: what a newcomer meets first."""
import json
import os
import subprocess

from support import BANTAM, NANO, Case, environment, main

COMMANDS = ("chat run complete tokenize detokenize render forward score show plan convert quantize synth bench completion "
            "version help").split()


class Help(Case):
    def test_the_list(self):
        bare, flag, command = self.run_bantam(), self.run_bantam("--help"), self.run_bantam("help")
        self.assertEqual(bare.out, flag.out)
        self.assertEqual(bare.out, command.out)
        for name in COMMANDS:
            self.assertRegex(bare.out, r"(?m)^  %s  +\S" % name)

    def test_every_command_has_help_with_examples(self):
        for name in COMMANDS:
            by_flag = self.run_bantam(name, "--help").out
            self.assertIn("Usage:", by_flag)
            self.assertEqual(by_flag, self.run_bantam("help", name).out.replace("bantam bantam", "bantam"))
            if name not in ("version", "help"):
                self.assertIn("\n  bantam " + name, by_flag, "an example of the command itself")

    def test_unknown_commands_get_a_suggestion(self):
        reply = self.run_bantam("tokenise", expect=2)
        self.assertIn('did you mean "tokenize"', reply.err)
        self.assertEqual(reply.out, "")
        self.assertNotIn("did you mean", self.run_bantam("frobnicate", expect=2).err)
        self.assertIn("did you mean", self.run_bantam("help", "chta", expect=2).err)

    def test_version(self):
        info = self.run_bantam("version", "--json").json()
        self.assertEqual({"version", "commit", "compiler", "build_type", "build_options", "isa_tables"}, set(info))
        self.assertIn("generic", info["isa_tables"])
        self.assertIn(info["version"], self.run_bantam("version").out)
        self.assertIn(info["version"], self.run_bantam("--version").out)

    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.run_bantam("completion", shell).out
            for word in ("tokenize", "temperature", "log-level"):
                self.assertIn(word, script)
        bash = self.write("complete.bash", self.run_bantam("completion", "bash").out)
        subprocess.run(["bash", "-n", bash], check=True)
        self.run_bantam("completion", "tcsh", expect=2)
        self.run_bantam("completion", expect=2)


class WrongUsage(Case):
    def test_exit_code_2_and_a_hint(self):
        for args in (["--nope"], ["run", "--nope"], ["run", "-p"], ["run", "-p", "x", "--temperature", "abc"],
                     ["run", "-p", "x", "--temperature", "nan"], ["run", "-p", "x", "--top-p", "1.5"],
                     ["run", "-p", "x", "--ctx", "3"], ["run", "-p", "x", "--ctx", "99999999"], ["run", "-p", "x", "--kv", "q2"],
                     ["run", "-p", "x", "--numerics", "loose"], ["run", "-p", "x", "--isa", "mmx"],
                     ["run", "-p", "x", "--threads", "0"], ["run", "-p", "x", "--think", "--no-think"],
                     ["run", "-p", "x", "--logit-bias", "a:b"], ["run", "-p", "x", "--logit-bias", "5"],
                     ["run", "-p", "x", "--logit-bias", "999999:1"], ["run", "-p", "x", "--max-tokens", "-1"],
                     ["run", "-p", "x", "--template", "chatml"], ["run", "-p", "  "], ["run"], ["complete"], ["complete", "-p", ""],
                     ["render"], ["render", "-p", "x", "--template", "nope"], ["score"], ["forward", "x"], ["forward", "-o", "y"],
                     ["convert"], ["convert", "a"], ["quantize", "a", "b"], ["synth", "qwen3-4b"], ["synth", "nope", self.path("x")],
                     ["synth", "qwen3-4b", self.path("x.gguf"), "--type", "q9"], ["help", "nope"], ["detokenize", "1", "x"],
                     ["bench", "--batch", "x"], ["bench", "--prefill", "0"], ["version", "extra"]):
            reply = self.run_bantam(*args, expect=2)
            self.assertEqual(reply.out, "", args)
            self.assertTrue(reply.err.startswith("bantam: ") or "\nbantam: " in reply.err, (args, reply.err))

    def test_bad_isa_variable(self):
        self.assertIn("mmx", self.run_bantam("run", "-p", "x", expect=2, env=environment(BANTAM_ISA="mmx")).err)
        self.run_bantam("run", "-p", "x", "-n", "1", env=environment(BANTAM_ISA="generic"))

    def test_options_take_one_value(self):
        """--stop and --logit-bias must not swallow MODEL, and brackets are text."""
        for args in (["--stop", "x"], ["--logit-bias", "5:1"]):
            self.assertIn("nano ·", self.run_bantam("complete", *args, NANO, "-p", "hello", "-n", "1").err)
        reply = self.run_bantam("complete", "--stop", "[", "--stop", "[x,y]", "-p", "a", "-n", "2")
        self.assertEqual(reply.code, 0)

    def test_text_that_looks_like_an_option(self):
        self.assertEqual(self.run_bantam("tokenize", "--json", "--", "-x -y").json()["pieces"][0], "-")
        self.assertEqual(self.run_bantam("complete", "-p", "--help", "-n", "0", "-q").out, "\n")
        ids = self.run_bantam("tokenize", "--json", "[a,b]").json()
        self.assertEqual("".join(ids["pieces"]), "[a,b]")


class WrongModels(Case):
    def test_exit_code_3_names_what_is_wrong(self):
        os.mkdir(self.path("empty"))
        text = self.write("note.gguf", "not a model")
        half = self.nano_copy("half", ["config.json", "tokenizer.json", "tokenizer_config.json"])
        for model, word in ((self.path("nowhere"), "nowhere"), (self.path("empty"), "empty: expected"), (text, "note.gguf"),
                            (half, "model.safetensors")):
            for args in (["run", model, "-p", "x"], ["complete", model, "-p", "x"], ["score", model, "-"], ["plan", model],
                         ["bench", model, "--prefill", "8", "--context", "0", "--batch", "1"], ["convert", model, self.path("o.gguf")],
                         ["quantize", model, self.path("o.gguf"), "--type", "q8_0"], ["forward", model, "-", "-o", self.path("o")]):
                if args[0] == "bench" and model != text:
                    continue  # it measures the machine first; one is enough
                reply = self.run_bantam(*args, expect=3)
                self.assertIn(word, reply.err, args)
                self.assertEqual(reply.out.count("{"), 0)
        self.run_bantam("tokenize", self.path("nowhere"), "x", expect=3)
        self.run_bantam("show", self.path("nowhere"), expect=3)
        self.assertFalse(os.path.exists(self.path("o.gguf")))

    def test_damaged_files(self):
        folder = self.nano_copy("damaged", ["config.json", "tokenizer_config.json", "model.safetensors"])
        self.write("damaged/tokenizer.json", '{"model": {}}')
        self.assertIn("tokenizer.json", self.run_bantam("tokenize", folder, "x", expect=3).err)
        self.write("damaged/config.json", "{")
        self.assertIn("config.json", self.run_bantam("plan", folder, expect=3).err)
        with open(self.path("damaged/model.safetensors"), "r+b") as file:
            file.truncate(5000)
        self.run_bantam("convert", folder, self.path("x.gguf"), expect=3)

    def test_not_enough_memory(self):
        def little():
            import resource
            resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
        reply = self.run_bantam("run", "-p", "x", "--ctx", "131072", expect=4, limits=little)
        self.assertIn("memory", reply.err)
        lines = self.write_lines("a.jsonl", [{"ids": list(range(1000))}] * 3)
        reply = self.run_bantam("plan", "--ctx", "200000", expect=2)
        self.assertIn("--ctx", reply.err)
        self.run_bantam("forward", lines, "-o", self.path("o"), "--batch", "2", "--ctx", "131072", expect=4, limits=little)
        self.assertEqual(self.leftovers(), [])

    def test_full_stdout(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for args in (["show"], ["tokenize", "hello"], ["version", "--json"]):
                done = subprocess.run([BANTAM, *args], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
                self.assertEqual(done.returncode, 4, args)
                self.assertIn(b"stdout", done.stderr)


class Small(Case):
    def test_show(self):
        info = self.run_bantam("show", "--json").json()
        for key in ("name", "container", "file_bytes", "parameters", "config", "tensors", "tokenizer", "template", "licence"):
            self.assertIn(key, info)
        self.assertEqual(info["config"]["model_type"], "qwen3")
        self.assertEqual(info["template"]["name"], "qwen3-hybrid")
        text = self.run_bantam("show", NANO, "--tensors").out
        self.assertIn("model.layers.0.self_attn.q_proj.weight", text)
        config_only = self.nano_copy("config", ["config.json"])
        self.assertIsNone(self.run_bantam("show", config_only, "--json").json()["tokenizer"])

    def test_plan(self):
        plan = self.run_bantam("plan", "--json").json()
        self.assertEqual(plan["total_bytes"], plan["weights_bytes"] + plan["kv_bytes"] + plan["workspace_bytes"])
        self.assertGreater(plan["expected"]["decode_tok_s"], 0)
        longer = self.run_bantam("plan", NANO, "--ctx", "65536", "--kv", "f32", "--json").json()
        self.assertEqual(longer["context"], 65536)
        self.assertEqual(longer["kv_bytes"], 65536 * 2 * plan["kv_bytes_per_token"])
        small = self.run_bantam("plan", NANO, "--kv", "q8_0", "--json").json()
        self.assertEqual(small["kv_bytes_per_token"] * 32, plan["kv_bytes_per_token"] * 17)

    def test_bench(self):
        csv = self.path("rows.csv")
        args = ["bench", "--prefill", "16", "--context", "0,64", "--batch", "1,2", "--decode-tokens", "2", "--repeats", "1", "-t", "1"]
        report = self.run_bantam(*args, "--json", "--csv", csv).json()
        self.assertEqual({"machine", "model", "start", "rows"}, set(report))
        for key in ("cpu", "isa", "threads", "read_gbs", "fma_gflops", "int8_gops"):
            self.assertIn(key, report["machine"])
        for key in ("name", "type", "bytes"):
            self.assertIn(key, report["model"])
        self.assertEqual([r["work"] for r in report["rows"]], ["prefill"] + ["decode"] * 4)
        for row in report["rows"]:
            self.assertLessEqual({"work", "tokens", "context", "batch", "tok_s", "limit_share", "bound"}, set(row))
            self.assertGreater(row["tok_s"], 0)
            self.assertIn(row["bound"], ("memory", "fma", "int8"))
        with open(csv, encoding="utf-8") as file:
            rows = file.read().splitlines()
        self.assertEqual(len(rows), 7)
        self.assertTrue(all(len(json.dumps(r)) > 20 for r in rows))

    def test_quiet_and_levels(self):
        args = ["run", "-p", "hi", "-n", "2", "--seed", "1", "--no-think"]
        self.assertIn("context", self.run_bantam(*args).err)
        self.assertEqual(self.run_bantam(*args, "-q").err, "")
        self.assertEqual(self.run_bantam(*args, "--log-level", "warning").err, "")
        self.assertIn("debug: template qwen3-hybrid", self.run_bantam(*args, "--log-level", "debug").err)


if __name__ == "__main__":
    main()
