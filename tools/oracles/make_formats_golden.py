#!/usr/bin/env python3
"""Writes small model files with the reference packages (`gguf`, `safetensors`) and what is in them.

    .oracles/bin/python tools/oracles/make_formats_golden.py [OUT [SEED]]

OUT defaults to tests/formats/golden, whose files are committed; another SEED gives fresh ones for the differential
that `./dev test --oracles` runs. expected.json lists, per file, every tensor (name, dtype, shape, FNV-1a hash of its
bytes) and every metadata key as bantam prints it.
"""

import json
import os
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.torch import save_file

QUANTS = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in bytes(data):
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def row(name, dtype, shape, data):
    return {"name": name, "dtype": dtype, "shape": list(shape), "fnv": fnv1a(data)}


def torch_row(name, tensor):
    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float8_e4m3fn: "f8_e4m3",
             torch.int64: "i64", torch.int32: "i32", torch.int8: "i8", torch.uint8: "u8"}
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return row(name, names[tensor.dtype], tensor.shape, data)


def some_tensors(rng):
    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    return {
        "f32": normal(3, 5),
        "f16": normal(4).half(),
        "model.layers.0.self_attn.q_proj.weight": normal(2, 3, 4).bfloat16(),
        "f8": normal(2, 4).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(float(rng.standard_normal())),
        "empty": torch.zeros(0, 7),
        "i64": torch.tensor([int(rng.integers(-2**60, 2**60)), -1]),
        "i32": torch.tensor([1, -2, 3], dtype=torch.int32),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "quote\"back\\slash é 日本 \U0001F600": torch.tensor([7], dtype=torch.uint8),
    }


def make_safetensors(out, rng, expected):
    tensors = some_tensors(rng)
    save_file(tensors, os.path.join(out, "tiny.safetensors"), metadata={"format": "pt", "note": "a \"b\" é"})
    expected["tiny.safetensors"] = {"tensors": [torch_row(n, t) for n, t in tensors.items()]}


def make_folder(out, rng, expected):
    folder = os.path.join(out, "folder")
    os.makedirs(folder, exist_ok=True)
    tensors = some_tensors(rng)
    names = list(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:4], "model-00002-of-00002.safetensors": names[4:]}
    for shard, held in shards.items():
        save_file({n: tensors[n] for n in held}, os.path.join(folder, shard), metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1, "nested": [{"a": [1, {}, []]}, None, True, 1.5e3, "x"]},
             "weight_map": {n: shard for shard, held in shards.items() for n in held}}
    texts = {
        "model.safetensors.index.json": json.dumps(index, indent=2),
        "config.json": json.dumps({"model_type": "qwen3", "rope_theta": 1e6, "hidden_size": 64}, indent=2),
        "generation_config.json": json.dumps({"temperature": 0.6, "eos_token_id": [151645, 151643]}),
        "tokenizer_config.json": json.dumps({"chat_template": "{{ 'x' }}"}),
        "LICENSE": "a licence\n",
    }
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    expected["folder"] = {"tensors": [torch_row(n, t) for n, t in tensors.items()]}


def add_tensor(writer, rows, rng, name, kind, shape):
    """Plain types hold numbers, block types random bytes: nothing is decoded here."""
    if kind in (T.F32, T.F16):
        data = rng.standard_normal(shape).astype(np.float32 if kind == T.F32 else np.float16)
        writer.add_tensor(name, data)
    elif kind == T.I32:
        data = rng.integers(-9, 9, shape).astype(np.int32)
        writer.add_tensor(name, data)
    else:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = rng.integers(0, 256, (*shape[:-1], shape[-1] // block * size)).astype(np.uint8)
        writer.add_tensor(name, data, raw_dtype=kind)
    rows.append(row(name, kind.name.lower(), shape, data.tobytes()))


def add_metadata(writer):
    """Every value type; returns key -> text as bantam prints it."""
    writer.add_uint8("t.u8", 255)
    writer.add_int8("t.i8", -128)
    writer.add_uint16("t.u16", 65535)
    writer.add_int16("t.i16", -32768)
    writer.add_uint32("t.u32", 2**32 - 1)
    writer.add_int32("t.i32", -2**31)
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_int64("t.i64", -2**63)
    writer.add_float32("t.f32", 1.5)
    writer.add_float64("t.f64", -0.25)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "Grüße, 世界")
    writer.add_array("t.strings", ["a", "", "Ġb", "\n"])
    writer.add_array("t.i32s", [1, -2, 3])
    writer.add_array("t.f32s", [0.5, -1.0])
    writer.add_array("t.bools", [True, False])
    return {
        "general.architecture": "qwen3", "t.u8": "255", "t.i8": "-128", "t.u16": "65535", "t.i16": "-32768",
        "t.u32": "4294967295", "t.i32": "-2147483648", "t.u64": "18446744073709551615",
        "t.i64": "-9223372036854775808", "t.f32": "1.5", "t.f64": "-0.25", "t.bool": "true",
        "t.string": "Grüße, 世界", "t.strings": "[a, , Ġb, \\x0a]", "t.i32s": "[1, -2, 3]", "t.f32s": "[0.5, -1]",
        "t.bools": "[true, false]",
    }


def make_gguf(out, rng, expected):
    path = os.path.join(out, "tiny.gguf")
    writer = gguf.GGUFWriter(path, "qwen3")
    metadata = add_metadata(writer)
    rows = []
    add_tensor(writer, rows, rng, "f32", T.F32, (3, 5))
    add_tensor(writer, rows, rng, "blk.0.attn_norm.weight", T.F32, (7,))
    add_tensor(writer, rows, rng, "rank4", T.F16, (2, 1, 3, 5))
    add_tensor(writer, rows, rng, "i32", T.I32, (3,))
    add_tensor(writer, rows, rng, "bf16", T.BF16, (2, 3))
    for kind in QUANTS:
        add_tensor(writer, rows, rng, "blk." + kind.name, kind, (2, gguf.GGML_QUANT_SIZES[kind][0]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected["tiny.gguf"] = {"tensors": rows, "metadata": metadata}


def make_aligned_gguf(out, rng, expected):
    path = os.path.join(out, "aligned.gguf")
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_custom_alignment(256)
    rows = []
    for i in range(3):
        add_tensor(writer, rows, rng, f"t{i}", T.F32, (i + 1,))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected["aligned.gguf"] = {"tensors": rows,
                                "metadata": {"general.architecture": "qwen3", "general.alignment": "256"}}


def make_split_gguf(out, rng, expected):
    writer = gguf.GGUFWriter(os.path.join(out, "split.gguf"), "qwen3", split_max_tensors=2)
    writer.add_uint32("qwen3.block_count", 2)
    rows = []
    for i in range(5):
        add_tensor(writer, rows, rng, f"t{i}", T.F32, (2, i + 1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected["split-00001-of-00003.gguf"] = {
        "tensors": rows,
        "metadata": {"general.architecture": "qwen3", "qwen3.block_count": "2", "split.no": "0", "split.count": "3",
                     "split.tensors.count": "5"}}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..", "tests", "formats", "golden")
    rng = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 20240901)
    os.makedirs(out, exist_ok=True)
    expected = {}
    for make in (make_safetensors, make_folder, make_gguf, make_aligned_gguf, make_split_gguf):
        make(out, rng, expected)
    for folder, _, names in os.walk(out):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)  # safetensors writes 0600
    with open(os.path.join(out, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(expected, f, indent=1, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    main()
