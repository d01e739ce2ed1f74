#!/usr/bin/env python3
"""Reads files that bantam's writers made with the reference packages and compares them with DIR/expected.json.

    .oracles/bin/python tools/oracles/check_formats.py DIR

expected.json: {file: {"tensors": [{"name", "dtype", "shape", "fnv"}], "metadata": {key: value}?,
"metadata_of": path of a GGUF file whose keys must all be there unchanged?}}. A file is a .gguf, a .safetensors or a
folder. Exit code 1 and one line per difference when something differs. Called by the formats tests with
BANTAM_ORACLES=1.
"""

import json
import os
import sys

import gguf
from safetensors import safe_open
from safetensors.torch import load_file

from make_formats_golden import row, torch_row


def read_gguf(path):
    reader = gguf.GGUFReader(path)
    rows = []
    for t in reader.tensors:
        shape = [int(d) for d in reversed(t.shape.tolist())]
        rows.append(row(t.name, t.tensor_type.name.lower(), shape, t.data.tobytes()))
        if t.data_offset % reader.alignment:
            rows[-1]["offset"] = f"{t.data_offset} is not aligned"
    fields = {k: (f.types, f.contents()) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    return rows, fields


def read_safetensors(path):
    with safe_open(path, "pt") as f:
        order = list(f.keys())
    tensors = load_file(path)
    return [torch_row(n, tensors[n]) for n in order]


def read_folder(path):
    if os.path.exists(os.path.join(path, "model.safetensors")):
        return read_safetensors(os.path.join(path, "model.safetensors"))
    with open(os.path.join(path, "model.safetensors.index.json"), encoding="utf-8") as f:
        index = json.load(f)
    rows = []
    for shard in sorted(set(index["weight_map"].values())):
        rows += [r for r in read_safetensors(os.path.join(path, shard)) if index["weight_map"][r["name"]] == shard]
    return rows


def differences(base, name, expected):
    path = os.path.join(base, name)
    fields = {}
    if name.endswith(".gguf"):
        rows, fields = read_gguf(path)
    elif os.path.isdir(path):
        rows = read_folder(path)
    else:
        rows = read_safetensors(path)
    by_name = {r["name"]: r for r in rows}
    if len(by_name) != len(expected["tensors"]):
        yield f"{name}: expected {len(expected['tensors'])} tensors, got {len(by_name)}"
    for want in expected["tensors"]:
        got = by_name.get(want["name"])
        if got != want:
            yield f"{name}: expected {want}, got {got}"
    for key, value in expected.get("metadata", {}).items():
        got = fields.get(key, (None, None))[1]
        if got != value:
            yield f"{name}: key {key}: expected {value!r}, got {got!r}"
    if "metadata_of" in expected:
        for key, (types, value) in read_gguf(expected["metadata_of"])[1].items():
            if fields.get(key) != (types, value) and key not in expected.get("metadata", {}):
                yield f"{name}: key {key}: expected {types} {value!r}, got {fields.get(key)!r}"


def main():
    base = sys.argv[1]
    with open(os.path.join(base, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    found = [d for name, want in expected.items() for d in differences(base, name, want)]
    for line in found:
        print(line)
    print(f"check_formats: {len(expected)} files, {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
