"""Checks the training side against the reference: spans equal the Jinja template, our model equals transformers'.

Usage: .oracles/bin/python tools/nano/check_data.py
Exit code 1 when one of them differs.
"""
import os
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import mixture
import model as model_file
import render

MODEL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "models", "nano")


def main():
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    wrong = 0
    for sample in mixture.batch(77, 2000, 1.0):
        messages, tools = sample["messages"], sample.get("tools")
        text = "".join(s[0] for s in render.spans(sample))
        prompt = tokenizer.apply_chat_template(messages[:-1], tools=tools, tokenize=False, add_generation_prompt=True, enable_thinking=sample["thinking"])
        wrong += text != tokenizer.apply_chat_template(messages, tools=tools, tokenize=False) or not text.startswith(prompt)
    reference = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager")
    ours = model_file.Model(model_file.CONFIG)
    ours.load_state_dict({k: v.float() for k, v in load_file(os.path.join(MODEL, "model.safetensors")).items()})
    ids = torch.randint(0, 4122, (2, 300))
    with torch.no_grad():
        a, b = reference(ids).logits, ours(ids)
    error = float((a - b).norm() / a.norm())
    print("%d of 2000 conversations differ from the template; logits differ by %.1e" % (wrong, error))
    sys.exit(1 if wrong or error > 1e-5 else 0)


if __name__ == "__main__":
    main()
