"""The Qwen3 decoder of the house model, for training only: the same arithmetic as transformers' Qwen3ForCausalLM, fewer layers of code.

Called by train.py and export.py. Parameter names are the Hugging Face ones, so a state_dict is the checkpoint. check_data.py compares
its logits with transformers'. Legend: B rows, T tokens, D hidden, Hq/Hkv heads, Dh head size, V vocabulary rows.
"""
import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 5,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
    "rope_scaling": None, "attention_bias": False, "attention_dropout": 0.0, "max_position_embeddings": 32768, "vocab_size": 4160,
    "tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": None, "max_window_layers": 5, "use_cache": True,
    "initializer_range": 0.02, "bos_token_id": 4096, "eos_token_id": 4098, "torch_dtype": "bfloat16",
}


EMBED_STD = 0.03


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), CONFIG["rms_norm_eps"])


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.hq, self.hkv, self.dh = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.q_proj = nn.Linear(c["hidden_size"], self.hq * self.dh, bias=False)
        self.k_proj = nn.Linear(c["hidden_size"], self.hkv * self.dh, bias=False)
        self.v_proj = nn.Linear(c["hidden_size"], self.hkv * self.dh, bias=False)
        self.o_proj = nn.Linear(self.hq * self.dh, c["hidden_size"], bias=False)
        self.q_norm, self.k_norm = Norm(self.dh), Norm(self.dh)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(b, t, self.hq, self.dh)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(b, t, self.hkv, self.dh)).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.hkv, self.dh).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.hq // self.hkv
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        # Written out: torch's fused CPU attention has a backward that takes 38 % of a training step at T = 128.
        scores = torch.matmul(q, k.transpose(2, 3)).float() * self.dh ** -0.5
        future = torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1).to(v.dtype)
        return self.o_proj(torch.matmul(weights, v).transpose(1, 2).reshape(b, t, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), Mlp(c)
        self.input_layernorm, self.post_attention_layernorm = Norm(c["hidden_size"]), Norm(c["hidden_size"])

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


@torch.no_grad()
def seed_copying(net):
    """Starts the network with a working "look back and copy" circuit, which a small model otherwise finds only after millions of tokens.

    Embedding column 0 is a constant. Layer 0, head 0 looks one token back (head 1 two): its query and key read only the constant, turned
    against each other by RoPE's first pairs; it writes the previous token's projection into a subspace of its own. In the later layers
    head 0 compares the current token with that subspace (on RoPE's slow pairs, which hardly turn over a passage) and copies what it
    finds; head 2 looks for equal tokens. Everything is trained on from there.
    """
    c, layers = CONFIG, net.model.layers
    d, dh = c["hidden_size"], c["head_dim"]
    half = dh // 2

    def frame():  # [Dh, D] with orthonormal rows, blind to the constant
        m = torch.linalg.qr(torch.randn(d, dh))[0].T.contiguous()
        m[:, 0] = 0
        return m

    net.model.embed_tokens.weight[:, 0] = 3 * EMBED_STD
    content, behind = frame(), (frame(), frame())
    first = layers[0].self_attn
    theta = c["rope_theta"] ** (-torch.arange(0, dh, 2).float() / dh)
    first.q_proj.weight[:2 * dh] = 0
    first.k_proj.weight[:dh] = 0
    first.v_proj.weight[:dh] = content
    fast = torch.arange(4)
    first.k_proj.weight[fast, 0] = 1
    for back in (1, 2):
        at = (back - 1) * dh
        # The query is turned `back` positions into the past, so that the score is largest for the key there.
        first.q_proj.weight[at + fast, 0] = torch.cos(-back * theta[fast])
        first.q_proj.weight[at + half + fast, 0] = torch.sin(-back * theta[fast])
        first.o_proj.weight[:, at:at + dh] = 3 * EMBED_STD * behind[back - 1].T
    for norm in (first.q_norm, first.k_norm):
        norm.weight[fast] = norm.weight[half + fast] = 2.0
    slow = torch.cat((torch.arange(12, half), torch.arange(half + 12, dh)))
    for layer in layers[1:]:
        attn, same, copied = layer.self_attn, frame(), frame()
        for rows, first_row, value in ((attn.q_proj.weight, 0, content), (attn.k_proj.weight, 0, behind[0]), (attn.q_proj.weight, 2 * dh, same), (attn.k_proj.weight, dh, same)):
            rows[first_row:first_row + dh] = 0
            rows[first_row + slow] = value[slow]
        attn.v_proj.weight[:dh] = copied
        attn.o_proj.weight[:, :dh] = 4 * EMBED_STD * copied.T
        for norm in (attn.q_norm, attn.k_norm):
            norm.weight[:] = 1.5


def rotate(x, cos, sin):
    """Pairs (i, i + Dh/2), as the reference."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Inner(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = Norm(c["hidden_size"])


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.model = Inner(c)
        for name, p in self.named_parameters():
            if p.dim() == 2:  # what writes to the residual starts at zero
                nn.init.normal_(p, 0.0, EMBED_STD if "embed" in name else 0.0 if name.endswith(("o_proj.weight", "down_proj.weight")) else p.shape[1] ** -0.5)
        seed_copying(self)
        inv = 1.0 / c["rope_theta"] ** (torch.arange(0, c["head_dim"], 2).float() / c["head_dim"])
        angles = torch.outer(torch.arange(2048).float(), inv)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(self, ids):
        """ids [B, T] -> [B, T, D] after the last norm."""
        x = self.model.embed_tokens(ids)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.bfloat16)
        cos, sin = self.cos[:ids.shape[1]].to(x.dtype), self.sin[:ids.shape[1]].to(x.dtype)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.model.norm(x)

    def forward(self, ids):
        return F.linear(self.hidden(ids), self.model.embed_tokens.weight)
