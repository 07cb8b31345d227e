"""What can be changed in ``train.py``: its numbers, and pieces of recipe that somebody has tried before."""

from __future__ import annotations

import re

# name: (lowest, highest, kind). "log" moves by factors, "whole" too but stays whole, "choice" picks from the list.
KNOBS = {
    "LAYERS": (1, 6, "whole"),
    "WIDTH": (32, 192, "choice", (32, 48, 64, 80, 96, 128, 160, 192)),
    "HEADS": (1, 8, "choice", (1, 2, 4, 8)),
    "HIDDEN": (1, 8, "choice", (1, 2, 3, 4, 6, 8)),
    "BLOCK": (16, 64, "choice", (16, 24, 32, 48, 64)),
    "BATCH": (4, 64, "whole"),
    "RATE": (3e-4, 3e-2, "log"),
    "LAST_RATE": (0.003, 0.3, "log"),
    "WARMUP": (0.005, 0.2, "log"),
    "BETA1": (0.7, 0.97, "choice", (0.7, 0.8, 0.85, 0.9, 0.95, 0.97)),
    "BETA2": (0.9, 0.999, "choice", (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)),
    "DECAY": (0.001, 1.0, "log"),
    "CLIP": (0.2, 5.0, "log"),
    "INIT": (0.005, 0.2, "log"),
}

# name: replacements, all of which must apply; each can also be taken back
RECIPES = {
    "rms norm": [("nn.LayerNorm(WIDTH)", "nn.RMSNorm(WIDTH)")],
    "normed queries and keys": [
        (
            "        scores = q @ k",
            "        q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])\n        scores = q @ k",
        )
    ],
    "squared relu": [("F.gelu(self.up(x))", "F.relu(self.up(x)).square()")],
    "silent start": [("std=INIT / math.sqrt(2 * LAYERS) if", "std=0.0 if")],
    "soft cap": [("return self.head(self.norm(x))", "return 15 * torch.tanh(self.head(self.norm(x)) / 15)")],
    "untied": [("        self.head.weight = self.symbols.weight\n", "")],
    "no places": [("        x = x + self.places(torch.arange(tokens.shape[1], device=tokens.device))\n", "")],
    "straight cooling": [
        ("0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))", "(1 - done) / (1 - WARMUP)")
    ],
    "side by side": [
        (
            "        x = x + self.attention(self.norm1(x))\n        return x + self.feed(self.norm2(x))",
            "        y = self.norm1(x)\n        return x + self.attention(y) + self.feed(y)",
        )
    ],
    "one before": [
        (
            "        self.places = nn.Embedding",
            "        self.before = nn.Embedding(symbols, WIDTH)\n        self.places = nn.Embedding",
        ),
        (
            "        x = self.symbols(tokens)\n",
            "        x = self.symbols(tokens)\n        x = x + F.pad(self.before(tokens), (0, 0, 1, 0))[:, :-1]\n",
        ),
    ],
    "pairs": [
        (
            "        self.blocks = nn.ModuleList",
            "        self.pairs = nn.Embedding(symbols * symbols, WIDTH)\n        self.blocks = nn.ModuleList",
        ),
        (
            "        for block in self.blocks:\n            x = block",
            "        last = F.pad(tokens, (1, 0))[:, :-1]\n"
            "        x = x + self.pairs(last * self.symbols.num_embeddings + tokens)\n"
            "        for block in self.blocks:\n            x = block",
        ),
    ],
    "nesterov": [("torch.optim.AdamW(groups", "torch.optim.NAdam(groups, decoupled_weight_decay=True")],
}


def value(source, knob):
    """The number that a knob is set to, or None where the line is gone."""
    found = re.search(rf"^{knob} = ([0-9.e+-]+)", source, re.MULTILINE)
    return float(found[1]) if found else None


def turn(source, knob, number):
    """The source with a knob set, within its bounds and rounded to what a person would write."""
    low, high, kind, *choices = KNOBS[knob]
    number = min(max(number, low), high)
    if kind == "choice":
        number = min(choices[0], key=lambda each: abs(each - number))
    text = str(round(number)) if kind == "whole" else f"{number:.2g}" if kind == "log" else str(number)
    return re.sub(rf"^({knob} = )[0-9.e+-]+", rf"\g<1>{text}", source, count=1, flags=re.MULTILINE)


def moved(source, knob, rng, step):
    """A knob moved by a factor of up to ``step``, or to a neighbour among its choices."""
    now = value(source, knob)
    if now is None:
        return source
    choices = KNOBS[knob][3:]
    if choices:
        places = sorted(choices[0], key=lambda each: abs(each - now))
        return turn(source, knob, rng.choice(places[1 : 1 + max(2, round(step))]))
    new = now * step ** rng.uniform(-1, 1)
    if KNOBS[knob][2] == "whole" and round(new) == now:
        new = now + rng.choice((-1, 1))
    return turn(source, knob, new)


def drawn(source, knob, rng):
    """A knob anywhere in its range."""
    low, high, _, *choices = KNOBS[knob]
    if value(source, knob) is None:
        return source
    return turn(source, knob, rng.choice(choices[0]) if choices else low * (high / low) ** rng.random())


def toggled(source, recipe):
    """A piece of recipe put in, or taken out where it is in; the source itself where it does not fit."""
    for back in (True, False):
        text = source
        for pair in RECIPES[recipe]:
            old, new = reversed(pair) if back else pair
            if not old or old not in text:  # what was deleted left no trace of where
                break
            text = text.replace(old, new)
        else:
            return text
    return source


def mended(source):
    """Heads that divide the width."""
    width, heads = value(source, "WIDTH"), value(source, "HEADS")
    while width and heads and width % heads:
        heads -= 1
    return turn(source, "HEADS", heads) if heads else source
