"""The model: a transformer of 57,072 parameters that adds two numbers of the same length, digit by digit.

A problem is written with the lowest digit first, ``a0 a1 .. + b0 b1 .. = s0 s1 ..``. Positions are *coupled*: the
token that predicts digit ``i`` of the sum carries the same position as digits ``i`` of both numbers, and attention
turns by the difference of positions (rotary), so that what was learnt about one place can be used at the next.

It runs in three places: where answers are given (``answer.py``), where a proposal is trained (``improve.py``), and
in the scripts beside the system. None of it may be changed by a proposal; the weights may.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, LAYERS = 48, 4, 2
OUTPUT, PLUS, EQUALS, TOKENS = 10, 20, 21, 22  # digits of the sum are tokens of their own: 10 .. 19

torch.set_num_threads(1)  # results must not depend on how many processors there are

Problem = tuple[str, str]  # two numbers of equally many digits, as people write them
Example = tuple[str, str, str]  # with the answer that somebody gave


class Block(nn.Module):
    """Attention and a small network, each added to what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], past: list[Tensor], seen: Tensor | None) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (rotated(q, turn), rotated(k, turn), v))
        if past:  # what earlier tokens have said already
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        past[:] = [k, v]
        heard = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None)
        x = x + self.out(heard.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(functional.relu(self.up(self.norm2(x))))


class Adder(nn.Module):
    """From tokens and their positions to the next digit of the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10, bias=False)
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.05)

    def forward(
        self, tokens: Tensor, places: Tensor, past: list[list[Tensor]] | None = None, seen: Tensor | None = None
    ) -> Tensor:
        """``past`` is what earlier calls left for this one; ``seen`` says which tokens each one sees, if not all
        before it.
        """
        x, turn = self.embed(tokens), angles(places)
        for n, block in enumerate(self.blocks):
            x = block(x, turn, [] if past is None else past[n], seen)
        return self.head(self.norm(x))


def angles(places: Tensor) -> tuple[Tensor, Tensor]:
    half = WIDTH // HEADS // 2
    speed = 2.5 * 20.0 ** (-torch.arange(half) / half)
    turn = places.unsqueeze(-1).float() * speed
    return turn.cos().unsqueeze(-2), turn.sin().unsqueeze(-2)


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    left, right = x.chunk(2, -1)
    cos, sin = turn
    return torch.cat((left * cos - right * sin, left * sin + right * cos), -1)


# -- problems as tokens --------------------------------------------------------------------------------------


def places(digits: int) -> list[int]:
    """Positions of ``a + b = s`` without the last digit of ``s``, which predicts nothing."""
    return [*range(digits + 1), *range(digits), *range(digits + 1)]


def tokens(a: str, b: str) -> list[int]:
    """Everything up to ``=``."""
    return [*map(int, reversed(a)), PLUS, *map(int, reversed(b)), EQUALS]


def draw(rng: random.Random, digits: int, count: int) -> list[Problem]:
    """Problems of so many digits. Nobody adds anything here."""
    low, high = (0, 9) if digits == 1 else (10 ** (digits - 1), 10**digits - 1)
    return [(str(rng.randint(low, high)), str(rng.randint(low, high))) for _ in range(count)]


# -- answering and learning ----------------------------------------------------------------------------------


@torch.no_grad()
def answers(model: Adder, problems: list[Problem]) -> list[str]:
    """What the model takes for the sums: the most likely digit each time. Shorter problems are filled up in front."""
    longest = max(len(a) for a, _ in problems)
    width = 2 * longest + 2
    gaps = torch.tensor([width - 2 * len(a) - 2 for a, _ in problems])
    known = torch.tensor([[0] * (width - 2 * len(a) - 2) + tokens(a, b) for a, b in problems])
    where = torch.tensor([[0] * (width - 2 * len(a) - 2) + places(len(a))[: 2 * len(a) + 2] for a, _ in problems])
    real = torch.arange(width + longest) >= gaps[:, None]  # not filled up
    before = torch.ones(width, width, dtype=torch.bool).tril() & real[:, None, :width] | torch.eye(
        width, dtype=torch.bool
    )
    past: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    digits = [model(known, where, past, before[:, None])[:, -1].argmax(-1)]
    for i in range(1, longest + 1):
        seen = real[:, None, None, : width + i]
        digits.append(model(digits[-1][:, None] + OUTPUT, torch.tensor([i]), past, seen)[:, -1].argmax(-1))
    rows = torch.stack(digits, 1).tolist()
    said = ["".join(map(str, reversed(row[: len(a) + 1]))) for row, (a, _) in zip(rows, problems, strict=True)]
    return [text[1:] if text[0] == "0" else text for text in said]


def loss(model: Adder, examples: list[Example]) -> Tensor:
    """Cross entropy of the answers' digits, per digit. All of the same length."""
    digits = len(examples[0][0])
    sums = torch.tensor([[int(c) for c in reversed(answer.zfill(digits + 1))] for _, _, answer in examples])
    known = torch.cat((torch.tensor([tokens(a, b) for a, b, _ in examples]), sums[:, :-1] + OUTPUT), 1)
    guess = model(known, torch.tensor(places(digits)))[:, 2 * digits + 1 :]
    return functional.cross_entropy(guess.reshape(-1, 10), sums.reshape(-1))


def train(model: Adder, batches: list[list[Example]], rate: float) -> None:
    """One step a batch; the rate rises over the first twentieth and falls to nothing."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    for step, batch in enumerate(batches):
        done = step / len(batches)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, done * 20 + 0.02, (1 - done) * 1.2)
        optimiser.zero_grad()
        loss(model, batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def load(path: Path) -> Adder:
    model = Adder()
    model.load_state_dict(load_file(path))
    return model


def save(model: Adder, path: Path) -> None:
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, path)
