#!/usr/bin/env python3
"""Makes tests/golden/model: tiny random checkpoints with the logits that transformers computes for them in fp32.

Run with the oracle environment (./dev setup --oracles):  .oracles/bin/python tools/make_golden.py [NAME...]
Each folder is a checkpoint in Hugging Face layout plus golden.safetensors:
  ids.T     i32 [T]       the input of length T
  rows.T    i32 [R]       positions whose logits are kept
  logits.T  f32 [R, V]    Qwen3ForCausalLM / Qwen2ForCausalLM, fp32, eager attention
  hidden.T  f32 [L+1, T, D] and attention.LAYER.T f32 [Hq, T, T], where a case asks for them
rope.json holds inverse frequencies and attention factors for real and stretched configurations.
Weights come from numpy's PCG64 with fixed seeds, so a second run writes the same weights; logits may differ in the
last bits from machine to machine, which the tests' tolerance covers.
"""

import json
import os
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "model")


def case(name, family="qwen3", dtype="bfloat16", style=5, scaling=None, shards=1, lengths=(1, 19, 70), probe=None,
         gain=1.0, **fields):
    base = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, vocab_size=128, rope_theta=1e6, tie_word_embeddings=True,
                rms_norm_eps=1e-6, max_position_embeddings=1024)
    base.update(fields)
    return dict(name=name, family=family, dtype=dtype, style=style, scaling=scaling, shards=shards, lengths=lengths,
                probe=probe, gain=gain, fields=base)


YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256)
CASES = [
    case("q3-base", probe=dict(length=19, attention=[0, 1]), lengths=(1, 2, 19, 64, 65, 700)),
    case("q3-untied-f32", dtype="float32", style=4, tie_word_embeddings=False, hidden_size=40, intermediate_size=67,
         num_hidden_layers=2, num_key_value_heads=4, head_dim=32, vocab_size=111, rope_theta=1e4, lengths=(1, 33, 257)),
    case("q3-gqa8", hidden_size=40, intermediate_size=77, num_attention_heads=8, num_key_value_heads=1, rope_theta=5e6,
         lengths=(3, 63, 512)),
    case("q3-gqa4-dh48", style=4, hidden_size=24, intermediate_size=83, num_attention_heads=8, head_dim=48,
         vocab_size=97, rope_theta=1e5, lengths=(1, 100)),
    case("q3-deep40", tie_word_embeddings=False, hidden_size=24, intermediate_size=29, num_hidden_layers=40,
         num_attention_heads=2, num_key_value_heads=1, vocab_size=100, lengths=(1, 40, 300)),
    case("q3-one-layer", style=4, hidden_size=50, intermediate_size=121, num_hidden_layers=1, num_attention_heads=2,
         head_dim=64, vocab_size=300, rope_theta=5e6, tie_word_embeddings=False, lengths=(1, 128, 700)),
    case("q3-dh128", hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=128,
         shards=3, lengths=(5, 129)),
    case("q3-odd-hidden", dtype="float32", hidden_size=33, intermediate_size=51, num_attention_heads=3,
         num_key_value_heads=3, vocab_size=101, rope_theta=5e6, lengths=(1, 17, 90)),
    case("q3-f16", dtype="float16", style=4, hidden_size=48, num_attention_heads=6, num_key_value_heads=2,
         rms_norm_eps=1e-5, lengths=(1, 50)),
    case("q3-small-init", style=4, gain=0.02, intermediate_size=131, lengths=(1, 77)),
    case("q3-yarn", scaling=YARN, hidden_size=32, head_dim=32, lengths=(1, 60, 700)),
    case("q3-yarn-tuned", style=4, hidden_size=32, head_dim=64, num_attention_heads=2, num_key_value_heads=1, rope_theta=1e4,
         scaling=dict(rope_type="yarn", factor=2.5, original_max_position_embeddings=100, beta_fast=16.0,
                      beta_slow=2.0, attention_factor=1.2, truncate=False), lengths=(1, 250)),
    case("q3-yarn-mscale", hidden_size=32, head_dim=32, scaling=dict(YARN, mscale=1.0, mscale_all_dim=0.7), lengths=(1, 80)),
    case("q3-linear", style=4, scaling=dict(rope_type="linear", factor=3.0), lengths=(1, 90)),
    case("q2-tied", family="qwen2", style=4, intermediate_size=90, lengths=(1, 19, 400)),
    case("q2-untied", family="qwen2", hidden_size=48, intermediate_size=110, num_hidden_layers=3,
         num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=False, vocab_size=120, rope_theta=1e4, lengths=(1, 66)),
    case("q2-yarn", family="qwen2", scaling=YARN, style=4, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
         lengths=(1, 120)),
]


def make_config(c):
    f = dict(c["fields"])
    theta = f.pop("rope_theta")
    if c["family"] == "qwen2":
        assert f.pop("head_dim") * f["num_attention_heads"] == f["hidden_size"], c["name"]
    rope = dict(c["scaling"] or {"rope_type": "default"}, rope_theta=theta)
    kind = Qwen3Config if c["family"] == "qwen3" else Qwen2Config
    return kind(**f, rope_parameters=rope, attn_implementation="eager", eos_token_id=1, bos_token_id=0)


def fill(model, seed, gain):
    rng = np.random.Generator(np.random.PCG64(seed))
    for name, p in sorted(model.named_parameters()):
        noise = torch.from_numpy(rng.standard_normal(tuple(p.shape), dtype=np.float32))
        if p.dim() == 1:
            value = noise * 0.5 if name.endswith("bias") else 1 + 0.3 * noise
        elif "embed_tokens" in name:
            value = noise * gain
        else:
            value = noise * gain / p.shape[1] ** 0.5
        p.data.copy_(value)


def write_config(config, c, folder):
    d = config.to_dict()
    d["architectures"] = ["Qwen3ForCausalLM" if c["family"] == "qwen3" else "Qwen2ForCausalLM"]
    for key in ("_name_or_path", "attn_implementation", "layer_types", "transformers_version"):
        if key != "layer_types" or c["style"] == 4:
            d.pop(key, None)
    d["dtype"] = c["dtype"]
    if c["style"] == 4:
        rope = d.pop("rope_parameters")
        d["rope_theta"] = rope.pop("rope_theta")
        d["rope_scaling"] = None if rope["rope_type"] == "default" else rope
        d["torch_dtype"] = d.pop("dtype")
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write(json.dumps(d, indent=2, sort_keys=True) + "\n")


def write_weights(state, shards, folder):
    if shards == 1:
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    names, index = sorted(state), {}
    for i in range(shards):
        part = {n: state[n] for n in names[i::shards]}
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file(part, os.path.join(folder, file), metadata={"format": "pt"})
        index.update({n: file for n in part})
    size = sum(t.numel() * t.element_size() for t in state.values())
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": size}, "weight_map": index}, f, indent=1, sort_keys=True)


def make_case(c, seed):
    folder = os.path.join(ROOT, c["name"])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    config = make_config(c)
    model = (Qwen3ForCausalLM if c["family"] == "qwen3" else Qwen2ForCausalLM)(config).eval()
    fill(model, seed, c["gain"])
    dtype = getattr(torch, c["dtype"])
    state = {n: p.detach().to(dtype).contiguous() for n, p in model.named_parameters()}
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(state[n].float())
    write_config(config, c, folder)
    write_weights(state, c["shards"], folder)

    rng, golden = np.random.Generator(np.random.PCG64(seed + 1000)), {}
    for length in c["lengths"]:
        ids = torch.from_numpy(rng.integers(0, config.vocab_size, length).astype(np.int32))
        want_probe = c["probe"] and c["probe"]["length"] == length
        with torch.no_grad():
            out = model(ids.long()[None], output_hidden_states=True, output_attentions=True)
        rows = sorted({0, length // 2, length - 1})
        golden[f"ids.{length}"] = ids
        golden[f"rows.{length}"] = torch.tensor(rows, dtype=torch.int32)
        golden[f"logits.{length}"] = out.logits[0, rows].float().contiguous()
        if want_probe:
            golden[f"hidden.{length}"] = torch.stack([h[0] for h in out.hidden_states]).float().contiguous()
            for layer in c["probe"]["attention"]:
                golden[f"attention.{layer}.{length}"] = out.attentions[layer][0].float().contiguous()
    save_file(golden, os.path.join(folder, "golden.safetensors"))


def make_rope():
    rows = []
    plain = dict(rope_type="default")
    yarn4 = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768)
    yarn_odd = dict(rope_type="yarn", factor=1.7, original_max_position_embeddings=32768)
    for theta, dim, scaling in [(1e6, 128, plain), (5e6, 128, plain), (1e4, 64, plain), (1e4, 80, plain),
                                (123456.0, 48, plain), (1e6, 128, yarn4), (1e6, 128, yarn_odd), (1e6, 64, yarn4),
                                (1e6, 128, dict(yarn4, truncate=False)), (1e6, 128, dict(yarn4, attention_factor=1.0)),
                                (1e6, 128, dict(rope_type="linear", factor=8.0))]:
        c = Qwen3Config(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
                        num_key_value_heads=1, head_dim=dim, max_position_embeddings=40960,
                        rope_parameters=dict(scaling, rope_theta=theta))
        emb = Qwen3ForCausalLM(c).model.rotary_emb
        rows.append(dict(rope_theta=theta, head_dim=dim, rope_scaling=None if scaling is plain else scaling,
                         attention_factor=float(emb.attention_scaling), inv_freq=[float(x) for x in emb.inv_freq]))
    with open(os.path.join(ROOT, "rope.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def main():
    torch.set_num_threads(1)
    os.makedirs(ROOT, exist_ok=True)
    wanted = set(sys.argv[1:])
    for i, c in enumerate(CASES):
        if not wanted or c["name"] in wanted:
            make_case(c, 7000 + i)
            print(c["name"])
    if not wanted or "rope" in wanted:
        make_rope()


if __name__ == "__main__":
    main()
