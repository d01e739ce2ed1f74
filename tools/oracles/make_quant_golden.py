#!/usr/bin/env python3
"""Makes tests/quant/golden/TYPE.bin: a few blocks of every weight type, then the floats the reference decodes them to.

Reference: the `gguf` package's gguf.dequantize; PyTorch for f8_e4m3. The first blocks carry special scales (zero,
subnormal, largest, infinite, NaN), the rest random bytes with and without ordinary scales. Deterministic.

usage: make_quant_golden.py [OUT_DIR]
"""
import os
import sys

import gguf
import numpy as np

from check_quant import BLOCK_TYPES, qtype

SCALE_FIELDS = {"q4_1": (0, 2), "q5_1": (0, 2), "q2_k": (80, 82), "q3_k": (108,), "q4_k": (0, 2), "q5_k": (0, 2),
                "q6_k": (208,)}
SPECIAL = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0x7C00, 0xFC00, 0x7E01], np.uint16)


def blocks_of(name, rng):
    elems, size = gguf.GGML_QUANT_SIZES[qtype(name)]
    count = 12 if elems == 256 else 24
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for k, at in enumerate(SCALE_FIELDS.get(name, (0,))):
        blocks[: len(SPECIAL), at : at + 2] = np.roll(SPECIAL, k).view(np.uint8).reshape(-1, 2)
        ordinary = (rng.standard_normal(count - len(SPECIAL) - 2) * 0.01).astype(np.float16)
        blocks[len(SPECIAL) : count - 2, at : at + 2] = ordinary.view(np.uint8).reshape(-1, 2)
    return blocks


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../tests/quant/golden")
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(20240607)
    golden = {name: blocks_of(name, rng) for name in BLOCK_TYPES}
    for name in ("f16", "bf16"):
        golden[name] = rng.integers(0, 65536, 256, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    for name, blocks in golden.items():
        with np.errstate(all="ignore"):
            floats = gguf.dequantize(blocks, qtype(name)).astype("<f4")
        with open(os.path.join(out, name + ".bin"), "wb") as f:
            f.write(blocks.tobytes() + floats.tobytes())
    import torch

    every = torch.arange(256, dtype=torch.uint8)
    with open(os.path.join(out, "f8_e4m3.bin"), "wb") as f:
        f.write(every.numpy().tobytes() + every.view(torch.float8_e4m3fn).float().numpy().astype("<f4").tobytes())


if __name__ == "__main__":
    main()
