"""A small character model and how it is trained: nanoGPT's own configuration for a CPU, at the start.

All of this file may change. What ``harness.py`` asks of it: ``model(symbols)``, ``optimizer(model)``,
``step(model, optimizer, text, done, rng)`` with ``done`` from 0 to 1, and ``predict(model, contexts)``: for contexts
of one length, the logits of what comes next.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

LAYERS = 2
HEADS = 4
WIDTH = 64
HIDDEN = 3  # of the feed-forward layers, in widths
BLOCK = 24
BATCH = 6
RATE = 0.016
LAST_RATE = 0.003  # of RATE
WARMUP = 0.031  # share of training
BETA1 = 0.85
BETA2 = 0.99
DECAY = 0.12
CLIP = 3.9
INIT = 0.15


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        scores = q @ k.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
        seen = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        mixed = scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, WIDTH))


class Feed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, HIDDEN * WIDTH, bias=False)
        self.proj = nn.Linear(HIDDEN * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        return self.proj(F.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(WIDTH)
        self.attention = Attention()
        self.norm2 = nn.RMSNorm(WIDTH)
        self.feed = Feed()

    def forward(self, x):
        y = self.norm1(x)
        return x + self.attention(y) + self.feed(y)


class Model(nn.Module):
    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, WIDTH)
        self.before = nn.Embedding(symbols, WIDTH)
        self.places = nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, symbols, bias=False)
        for name, value in self.named_parameters():
            if value.dim() > 1:
                nn.init.normal_(value, std=INIT / math.sqrt(2 * LAYERS) if name.endswith("proj.weight") else INIT)

    def forward(self, tokens):
        x = self.symbols(tokens)
        x = x + F.pad(self.before(tokens), (0, 0, 1, 0))[:, :-1]
        x = x + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def model(symbols: int) -> nn.Module:
    return Model(symbols)


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    weights = [value for value in model.parameters() if value.dim() > 1]
    others = [value for value in model.parameters() if value.dim() <= 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.NAdam(groups, decoupled_weight_decay=True, lr=RATE, betas=(BETA1, BETA2))


def rate(done: float) -> float:
    """The learning rate: up, then down along a cosine."""
    if done < WARMUP:
        return RATE * (done + 0.001) / (WARMUP + 0.001)
    falling = (1 - done) / (1 - WARMUP)
    return RATE * (LAST_RATE + (1 - LAST_RATE) * falling)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, text: torch.Tensor, done: float, rng) -> None:
    starts = torch.randint(len(text) - BLOCK, (BATCH,), generator=rng, device=text.device)
    passages = text[starts[:, None] + torch.arange(BLOCK + 1, device=text.device)]
    logits = model(passages[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), passages[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    for group in optimizer.param_groups:
        group["lr"] = rate(done)
    optimizer.step()


def predict(model: nn.Module, contexts: torch.Tensor) -> torch.Tensor:
    return model(contexts[:, -BLOCK:])[:, -1]
