"""Writes a checkpoint as the Hugging Face folder models/nano (bf16), every file replaced in one rename.

Usage: .oracles/bin/python tools/nano/export.py [--checkpoint build/nano/main/checkpoint.pt] [--out models/nano] [--mean]
--mean takes the running mean of the weights, which is better while the learning rate is still high.
"""
import argparse
import json
import os

import torch
from safetensors.torch import save_file

import model as model_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATION = {"bos_token_id": 4096, "do_sample": True, "eos_token_id": [4098, 4096], "pad_token_id": 4096, "temperature": 0.6, "top_k": 20, "top_p": 0.95}


def replace(path, write):
    write(path + ".part")
    os.replace(path + ".part", path)


def write_json(value):
    def write(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2) + "\n")
    return write


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default=os.path.join(ROOT, "build", "nano", "main", "checkpoint.pt"))
    parser.add_argument("--out", default=os.path.join(ROOT, "models", "nano"))
    parser.add_argument("--mean", action="store_true")
    args = parser.parse_args()
    saved = torch.load(args.checkpoint, map_location="cpu")
    weights = {k: v.to(torch.bfloat16).contiguous() for k, v in saved["mean" if args.mean else "model"].items()}
    os.makedirs(args.out, exist_ok=True)
    replace(os.path.join(args.out, "config.json"), write_json(model_file.CONFIG))
    replace(os.path.join(args.out, "generation_config.json"), write_json(GENERATION))
    replace(os.path.join(args.out, "model.safetensors"), lambda path: save_file(weights, path, metadata={"format": "pt"}))
    print("step %d, %.1f M tokens, %d bytes" % (saved["state"]["step"], saved["state"]["tokens"] / 1e6, os.path.getsize(os.path.join(args.out, "model.safetensors"))))


if __name__ == "__main__":
    main()
