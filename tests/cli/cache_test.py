"""The packed cache as its user meets it: a second start reads it, `bantam cache` shows and clears it, options and variables
move, limit and switch it off, and a damaged file is said and made again."""
import os

from support import Case, environment, main


class CacheTest(Case):
    def setUp(self):
        super().setUp()
        self.env = environment(BANTAM_CACHE_DIR=self.path("cache"), BANTAM_CACHE_SIZE="1GB")
        self.packed = os.path.join(self.path("cache"), "packed")

    def synth(self):
        """The smallest model that the cache keeps: one layer and a whole vocabulary, about 90 MB."""
        model = self.path("one-layer.gguf")
        self.run_bantam("synth", "qwen3-0.6b", model, "--type", "q4_0", "--layers", "1")
        return model

    def load(self, model, *options, env=None):
        requests = self.write("ids.jsonl", '{"ids":[1,2,3]}\n')
        out = self.path("out.safetensors")
        reply = self.run_bantam("forward", model, requests, "-o", out, "--last", "--ctx", "64", *options, env=env or self.env)
        with open(out, "rb") as file:
            return file.read(), reply.err

    def files(self):
        return sorted(os.listdir(self.packed)) if os.path.isdir(self.packed) else []

    def entries(self):
        return self.run_bantam("cache", "--json", env=self.env).json()["entries"]

    def test_second_load_damage_and_clear(self):
        model = self.synth()
        first, err = self.load(model)
        self.assertIn("keeping the packed weights", err)
        self.assertEqual(len(self.files()), 1)
        self.assertTrue(self.files()[0].endswith(".packed"))
        entry, = self.entries()
        self.assertEqual(entry["model"], "one-layer")
        self.assertGreater(entry["bytes"], 64_000_000)
        path = os.path.join(self.packed, self.files()[0])
        os.utime(path, (1_000_000_000, 1_000_000_000))
        self.assertEqual(self.entries()[0]["last_used"], "2001-09-09T01:46:40Z")
        second, err = self.load(model)
        self.assertNotIn("keeping", err)
        self.assertEqual(second, first, "the same bits from the cache")
        self.assertGreater(os.stat(path).st_mtime, 1_000_000_000, "it was used")

        with open(path, "r+b") as file:
            file.seek(50_000_000)
            byte = file.read(1)
            file.seek(50_000_000)
            file.write(bytes([byte[0] ^ 1]))
        third, err = self.load(model)
        self.assertEqual(third, first)
        self.assertIn("made again", err)
        fourth, err = self.load(model)
        self.assertEqual(fourth, first)
        self.assertNotIn("made again", err)

        self.assertIn("one-layer", self.run_bantam("cache", env=self.env).out)
        freed = self.run_bantam("cache", "clear", "--json", env=self.env).json()["freed_bytes"]
        self.assertGreater(freed, 64_000_000)
        self.assertEqual(self.files(), [])

        for options, env in ((("--no-cache",), self.env), (("--cache-size", "0"), self.env), (("--cache-size", "1MB"), self.env),
                             ((), dict(self.env, BANTAM_CACHE_SIZE="0"))):
            self.assertEqual(self.load(model, *options, env=env)[0], first)
            self.assertEqual(self.files(), [], options)

    def test_where(self):
        def path(**variables):
            env = {k: v for k, v in environment().items() if k not in ("BANTAM_CACHE_DIR", "XDG_CACHE_HOME", "HOME")}
            return self.run_bantam("cache", "path", env=dict(env, **variables)).out.strip()

        self.assertEqual(path(BANTAM_CACHE_DIR="/a", XDG_CACHE_HOME="/b", HOME="/c"), "/a/packed")
        self.assertEqual(path(XDG_CACHE_HOME="/b", HOME="/c"), "/b/bantam/packed")
        self.assertEqual(path(XDG_CACHE_HOME="relative", HOME="/c"), "/c/.cache/bantam/packed")
        self.assertEqual(path(HOME="/c"), "/c/.cache/bantam/packed")

    def test_usage(self):
        self.run_bantam("cache", "empty", expect=2, env=self.env)
        self.assertIn("SIZE", self.run_bantam("run", "--help").out)
        self.run_bantam("run", "-p", "x", "--cache-size", "lots", expect=2, env=self.env)
        self.run_bantam("run", "-p", "x", expect=2, env=dict(self.env, BANTAM_CACHE_SIZE="lots"))
        listing = self.run_bantam("cache", "list", "--json", env=self.env).json()
        self.assertEqual(listing, {"folder": self.packed, "bytes": 0, "max_bytes": 10**9, "entries": []})

    def test_the_house_model_is_never_kept(self):
        self.run_bantam("run", "-p", "x", "-n", "1", env=self.env)
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    main()
