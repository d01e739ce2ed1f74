#!/usr/bin/env python3
"""Weight codecs against the references, at scale.

Decode: random blocks of every type (all bit patterns, subnormal, infinite and NaN scales included) must decode to
exactly the floats of the `gguf` package; NaN equals NaN. f8_e4m3 is compared with PyTorch, bq4, which is our own, with
a second decoder written here from docs/formats/bq4.md.
Encode: RMSE of our quantisers on several weight distributions must not exceed the gguf package's (types it writes) nor
ggml's as llama-cpp-python ships it (all block types); bq4 must beat q4_0 on every bell-shaped distribution. Prints a
table; exits 1 when anything is worse or unequal. --own prints the error table of docs/formats/bq4.md and stops.

usage: check_quant.py --tool build/release/tests/quant/quant_tool [--blocks N] [--elems N] [--seed S] [--no-llama] [--own]
"""
import argparse
import ctypes
import glob
import importlib.util
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np

BLOCK_TYPES = "q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs".split()
FLOAT_TYPES = "f32 f16 bf16".split()
PACKAGE_WRITES = "f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1".split()
MUST_BEAT = {"q4_0", "q4_k", "q6_k"}  # strictly better on every bell-shaped or uniform distribution
STRICT_ON = {"gaussian", "student t3", "uniform", "outliers"}


OWN_TYPES = {"bq4": (256, 136)}
BQ4_VALUES = np.array([-36, -29, -22, -17, -13, -9, -6, -3, 0, 3, 6, 9, 13, 17, 21, 27], np.float32)
BQ4_MUST_BEAT_Q4_0 = "gaussian", "student t3", "outliers", "laplace", "mixed rows", "zero blocks", "big 1e4"


def decode_bq4(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    words = blocks[:, 2:8].reshape(-1, 2, 3).astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
    scales = (words[:, :, None] >> np.array([0, 6, 12, 18])) & 63
    scales = ((scales ^ 32) - 32).reshape(-1, 8).astype(np.float32)
    codes = blocks[:, 8:].reshape(-1, 8, 16)
    codes = np.concatenate([codes & 15, codes >> 4], axis=2)
    return (d * scales)[:, :, None] * BQ4_VALUES[codes]


def sizes(name):
    return OWN_TYPES[name] if name in OWN_TYPES else gguf.GGML_QUANT_SIZES[qtype(name)]


def reference_decode(name, blocks):
    """The floats of [N, block bytes], flat."""
    with np.errstate(all="ignore"):
        floats = decode_bq4(blocks) if name == "bq4" else gguf.dequantize(blocks, qtype(name))
    return floats.reshape(-1).astype(np.float32)


def qtype(name):
    upper = name.upper()
    return getattr(gguf.GGMLQuantizationType, upper.replace("_k", "_K"))


class Tool:
    def __init__(self, path):
        self.path = path
        self.dir = tempfile.TemporaryDirectory()

    def run(self, verb, name, data, dtype):
        source, target = (os.path.join(self.dir.name, x) for x in ("in", "out"))
        data.tofile(source)
        subprocess.run([self.path, verb, name, source, target], check=True)
        return np.fromfile(target, dtype)


def random_blocks(rng, name, count):
    """Uniform bytes; in a third of the blocks the f16 fields are replaced by scales of ordinary size."""
    elems, size = sizes(name)
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    fields = {"q2_k": (80, 82), "q3_k": (108,), "q6_k": (208,), "q4_1": (0, 2), "q5_1": (0, 2), "q4_k": (0, 2),
              "q5_k": (0, 2)}.get(name, (0,))
    if name not in FLOAT_TYPES:
        third = count // 3
        for at in fields:
            scale = (rng.standard_normal(third) * 10.0 ** rng.uniform(-7, 2, third)).astype(np.float16)
            blocks[:third, at : at + 2] = scale.view(np.uint8).reshape(third, 2)
    return blocks, elems


def check_decode(tool, rng, blocks_per_type, chunk=100_000):
    bad = 0
    for name in FLOAT_TYPES + BLOCK_TYPES + list(OWN_TYPES):
        unequal, done = 0, 0
        while done < blocks_per_type:
            n = min(chunk, blocks_per_type - done)
            blocks, _ = random_blocks(rng, name, n)
            ours = tool.run("decode", name, blocks, np.float32)
            want = reference_decode(name, blocks)
            same = (ours.view(np.uint32) == want.view(np.uint32)) | (np.isnan(ours) & np.isnan(want))
            unequal += int((~same).sum())
            done += n
        print(f"decode {name:8} {done:9,} blocks  {unequal} elements differ")
        bad += unequal > 0
    return bad


def check_f8(tool):
    import torch

    every = np.arange(256, dtype=np.uint8)
    ours = tool.run("decode", "f8_e4m3", every, np.float32)
    want = torch.from_numpy(every).view(torch.float8_e4m3fn).float().numpy()
    decode_ok = np.all((ours.view(np.uint32) == want.view(np.uint32)) | (np.isnan(ours) & np.isnan(want)))
    rng = np.random.default_rng(3)
    values = (rng.standard_normal(1_000_000) * 10.0 ** rng.uniform(-4, 2, 1_000_000)).astype(np.float32)
    values = values[np.abs(values) < 448]
    codes = tool.run("encode", "f8_e4m3", values, np.uint8)
    want_codes = torch.from_numpy(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    encode_ok = np.array_equal(codes, want_codes)
    print(f"f8_e4m3  decode {'equal' if decode_ok else 'DIFFERS'}  encode {'equal' if encode_ok else 'DIFFERS'}")
    return (not decode_ok) + (not encode_ok)


def distributions(rng, n):
    yield "gaussian", rng.standard_normal(n) * 0.02
    yield "student t3", rng.standard_t(3, n) * 0.02
    yield "uniform", rng.uniform(-0.05, 0.05, n)
    outliers = rng.standard_normal(n) * 0.02
    outliers[rng.random(n) < 0.004] *= 20
    yield "outliers", outliers
    yield "laplace", rng.laplace(0, 0.02, n)
    yield "positive", rng.uniform(0.5, 1.5, n)
    rows = rng.standard_normal(n).reshape(-1, 256) * np.exp(rng.standard_normal(n // 256) * 1.5)[:, None] * 0.02
    yield "mixed rows", rows.reshape(-1)
    zeros = rng.standard_normal(n).reshape(-1, 256) * 0.02
    zeros[rng.random(len(zeros)) < 0.5] = 0
    yield "zero blocks", zeros.reshape(-1)
    for run in (32, 256):
        one = np.zeros((n // run, run))
        one[np.arange(len(one)), rng.integers(0, run, len(one))] = rng.standard_normal(len(one))
        yield f"one in {run}", one.reshape(-1)
    yield "small 1e-6", rng.standard_normal(n) * 1e-6
    yield "tiny 1e-30", rng.standard_normal(n) * 1e-30
    yield "big 1e4", rng.standard_normal(n) * 1e4
    yield "huge 1e30", rng.standard_normal(n) * 1e30


class Ggml:
    """ggml_quantize_chunk of the library that llama-cpp-python installs."""

    def __init__(self):
        import llama_cpp

        path = glob.glob(os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so*"))[0]
        self.lib = ctypes.CDLL(path)
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                                 ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

    def quantize(self, name, values):
        elems, size = gguf.GGML_QUANT_SIZES[qtype(name)]
        row = 4096 if values.size % 4096 == 0 else 256
        out = np.empty(values.size // elems * size, np.uint8)
        self.lib.ggml_quantize_chunk(int(qtype(name)), values.ctypes.data, out.ctypes.data, 0, values.size // row, row,
                                     None)
        return out


def rmse(values, blocks, name):
    """(root mean square error, number of values that decode to infinity or NaN)"""
    decoded = reference_decode(name, blocks.reshape(-1, sizes(name)[1])).astype(np.float64)
    broken = ~np.isfinite(decoded)
    error = np.where(broken, values, values - decoded)  # a broken value counts as lost, not as infinite
    return float(np.sqrt(np.mean(error**2))), int(broken.sum())


def verdict(ours, theirs, strict):
    """True when ours is acceptable beside theirs."""
    if ours[1] > 0:
        return False
    if theirs[1] > 0:
        return True
    return ours[0] < theirs[0] if strict and theirs[0] > 0 else ours[0] <= theirs[0] * (1 + 1e-7)


def check_encode(tool, seed, n, llama):
    ggml = Ggml() if llama else None
    bad = 0
    print(f"{'type':8} {'distribution':12} {'ours':>12} {'gguf':>12} {'ggml':>12}   ours/gguf ours/ggml")
    for name in ["f16", "bf16"] + BLOCK_TYPES:
        for label, values in distributions(np.random.default_rng(seed), n):
            values = np.clip(values, -3e38, 3e38).astype(np.float32)
            exact = values.astype(np.float64)
            ours = rmse(exact, tool.run("encode", name, values, np.uint8), name)
            strict = name in MUST_BEAT and label in STRICT_ON
            columns, ratios, ok = [], [], ours[1] == 0
            references = []
            with np.errstate(all="ignore"):
                references.append(gguf.quantize(values, qtype(name)).view(np.uint8) if name in PACKAGE_WRITES else None)
            references.append(ggml.quantize(name, values) if ggml and name in BLOCK_TYPES else None)
            for blocks in references:
                if blocks is None:
                    columns.append(f"{'-':>12}")
                    ratios.append("       - ")
                    continue
                theirs = rmse(exact, blocks, name)
                ok = ok and verdict(ours, theirs, strict)
                columns.append(f"{theirs[0]:12.5e}" if theirs[1] == 0 else f"{'broken':>12}")
                comparable = theirs[1] == 0 and theirs[0] > 0
                ratios.append(f"{ours[0] / theirs[0]:9.5f}" if comparable else "       - ")
            print(f"{name:8} {label:12} {ours[0]:12.5e} {' '.join(columns)}   {' '.join(ratios)}{'' if ok else '  WORSE'}")
            bad += not ok
    return bad


def check_own(tool, seed, n):
    """bq4 beside the types it competes with: 100 * RMSE / RMS of the values. Returns the number of lost comparisons."""
    names, bad = ["q4_0", "iq4_xs", "q4_k", "bq4"], 0
    print("| weights | " + " | ".join(names) + " |")
    for label, values in distributions(np.random.default_rng(seed), n):
        values = np.clip(values, -3e38, 3e38).astype(np.float32)
        exact = values.astype(np.float64)
        errors = [100 * rmse(exact, tool.run("encode", t, values, np.uint8), t)[0] / np.sqrt(np.mean(exact**2)) for t in names]
        worse = label in BQ4_MUST_BEAT_Q4_0 and errors[3] >= errors[0]
        print(f"| {label} | " + " | ".join(f"{e:.2f}" for e in errors) + f" |{'  WORSE' if worse else ''}")
        bad += worse
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="build/release/tests/quant/quant_tool")
    parser.add_argument("--blocks", type=int, default=1_000_000, help="random blocks per type for decode")
    parser.add_argument("--elems", type=int, default=1 << 18, help="values per distribution for encode")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-llama", action="store_true", help="skip the comparison with llama-cpp-python")
    parser.add_argument("--own", action="store_true", help="only the error table of bq4")
    args = parser.parse_args()
    tool = Tool(args.tool)
    if args.own:
        return 0 if check_own(tool, args.seed, args.elems) == 0 else 1
    llama = not args.no_llama
    if llama and importlib.util.find_spec("llama_cpp") is None:
        print("llama-cpp-python is not installed in this environment: comparing with the gguf package only")
        llama = False
    bad = check_f8(tool)
    bad += check_encode(tool, args.seed, args.elems, llama)
    bad += check_own(tool, args.seed, args.elems)
    bad += check_decode(tool, np.random.default_rng(args.seed), args.blocks)
    print("ok" if bad == 0 else f"{bad} checks failed")
    return 0 if bad == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
