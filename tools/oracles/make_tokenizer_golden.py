#!/usr/bin/env python3
"""Re-makes tests/text/cases/tokenizer: a small Qwen2-shaped tokenizer trained by Hugging Face `tokenizers` on the text
below, in both kinds of files, and what `tokenizers` makes of strings in every script and corner with it.
    .oracles/bin/python tools/oracles/make_tokenizer_golden.py
"""
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tokenizer_texts as texts

OUT = os.path.join(texts.ROOT, "tests", "text", "cases", "tokenizer")
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
CORPUS = """A tokenizer cuts text into tokens: the quick brown fox jumps over the lazy dog, and the dog doesn't mind.
They're here; we've seen it; I'm sure she'll say he'd be there. The model reads the tokens and then says the next one.
def encode(self, text):\n    for word in text.split():\n        if word in self.cache:\n            return self.cache[word]
int main() {\n\tstd::vector<int> ids;\n\tfor (int i = 0; i < 10; ++i) ids.push_back(i);\n\treturn 0;\n}\n\n\n
Ein Tokenizer zerlegt Text in Stücke. Les éléments français où l'été est très agréable. Señor, ¿qué pasó? Привет, мир.
مرحبا بالعالم والسلام عليكم नमस्ते दुनिया हिन्दी में पाठ 안녕하세요 세계 한국어 텍스트 こんにちは世界、これはテストです。
""" * 3
PLAIN = ["tool_call", "tool_response", "think"]
ADDED = [("<|endoftext|>", {"special": True}), ("<|im_start|>", {"special": True}), ("<|im_end|>", {"special": True})]
ADDED += [(f"<{slash}{name}>", {}) for name in PLAIN for slash in ("", "/")]
ADDED += [("<left>", {"lstrip": True}), ("<both>", {"lstrip": True, "rstrip": True, "special": True}),
          ("<normal\u00e9>", {"normalized": True}), ("cafe\u0301x", {"normalized": True, "rstrip": True}),
          ("<left><right>", {}), ("\u4f60\u597d", {})]


def train(rng):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=2,
                                  show_progress=False)
    tokenizer.train_from_iterator([CORPUS, texts.chinese(rng, 3000)], trainer)
    tokenizer.add_tokens([AddedToken(content, **{"normalized": False, **flags}) for content, flags in ADDED])
    return tokenizer


def write(name, text):
    with open(os.path.join(OUT, name), "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_files(tokenizer):
    whole = json.loads(tokenizer.to_str())
    dump = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    write("tokenizer.json", dump(whole))
    write("vocab.json", dump(whole["model"]["vocab"]))
    write("merges.txt", "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in whole["model"]["merges"]))
    decoder = {str(token.pop("id")): token for token in json.loads(tokenizer.to_str())["added_tokens"]}
    write("tokenizer_config.json", json.dumps(
        {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, "eos_token": "<|im_end|>",
         "chat_template": "{{ messages }}"}, indent=1))
    return whole


def strings(rng, controls):
    kinds = [texts.white, texts.digits, texts.contraction, texts.emoji, texts.combining, texts.random_bytes]
    for i in range(40):
        at = rng.randrange(len(CORPUS) - 60)
        yield CORPUS[at:at + rng.randint(1, 60)]
        yield texts.chinese(rng, rng.randint(1, 30))
    for _ in range(25):
        for kind in kinds:
            yield kind(rng)[:40]
    for name in texts.BLOCKS:
        for _ in range(4):
            yield texts.block_text(rng, name)[:24]
    for _ in range(120):
        yield texts.with_control(rng, rng.choice(kinds)(rng)[:16], controls)


def main():
    rng = random.Random(7)
    os.makedirs(OUT, exist_ok=True)
    tokenizer = train(rng)
    whole = write_files(tokenizer)
    controls = [token["content"] for token in whole["added_tokens"]]
    whole["added_tokens"] = []
    plain = Tokenizer.from_str(json.dumps(whole))
    lines = []
    for text in strings(rng, controls):
        special = rng.random() < 0.6
        ids = (tokenizer if special else plain).encode(text, add_special_tokens=False).ids
        lines.append({"text": text, "special": special, "ids": ids})
    size = tokenizer.get_vocab_size()
    for _ in range(150):
        ids = [rng.choice([rng.randrange(size), rng.randrange(256), size + 5]) for _ in range(rng.randint(0, 12))]
        lines.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                      "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    write("cases.jsonl", "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{OUT}: {size} tokens, {len(lines)} cases")


if __name__ == "__main__":
    main()
