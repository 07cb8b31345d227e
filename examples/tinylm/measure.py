"""Bits per byte of a recipe: ``python measure.py [TREE] [--seeds 3] [--set NAME=VALUE ...] [--every 2]``.

The measure of the numbers in README.md: passages of 64 characters, one after the other; each character from the
second on, and the one behind the passage, is predicted from those before it in the passage. Public text is what
improvers look at, hidden text nobody's; both are printed, with the standard deviation between seeds. The recipe runs
in this process and unconfined: measure what you would run anyway.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import statistics
import sys
import time
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "system"), str(HERE / "vault")]

import edits  # noqa: E402
import generator  # noqa: E402
import harness  # noqa: E402
import improve  # noqa: E402

BLOCK = 64
BATCH = 600  # as in festina.toml


def module(source: str) -> types.ModuleType:
    made = types.ModuleType("train")
    exec(compile(source, "train.py", "exec"), made.__dict__)  # noqa: S102
    return made


def trained(recipe: types.ModuleType, seed: int) -> tuple[object, int]:
    import torch

    torch.set_num_threads(1)
    text = harness.encode((HERE / "system" / "data" / "train.txt").read_text(), harness.symbols())
    return harness.train(recipe, text, seed)


def bits_per_byte(recipe: types.ModuleType, model: object, text: str, every: int) -> float:
    """Over every ``every``-th passage of ``text``."""
    known = harness.symbols()
    index = {symbol: number for number, symbol in enumerate(known)}
    starts = range(0, len(text) - BLOCK, BLOCK * every)
    pairs = [(text[s : s + n], text[s + n]) for s in starts for n in range(1, BLOCK + 1)]
    answers = harness.predict(recipe, model, [context for context, _ in pairs], known)
    bits = sum(-math.log2(max(row[index[label]], 5e-7)) for row, (_, label) in zip(answers, pairs, strict=True))
    return bits / sum(len(label.encode()) for _, label in pairs)


def hidden(source: str, seeds: range) -> list[float]:
    """Bits per byte on hidden text for each seed; far above any model's where the recipe does not run."""
    try:
        return measured(source, seeds, every=8, names=("hidden",))["hidden"]
    except improve.BROKEN:
        return [99.0] * len(seeds)


def measured(
    source: str, seeds: range, every: int = 2, names: tuple[str, ...] = ("public", "hidden")
) -> dict[str, list[float]]:
    recipe = module(source)
    texts = {"public": (HERE / "system" / "data" / "public.txt").read_text(), "hidden": generator.hidden()}
    found: dict[str, list[float]] = {"public": [], "hidden": [], "steps": [], "cpu": [], "answering": []}
    some = [(row["input"], row["label"]) for row in generator.generate(0, BATCH)]
    for seed in seeds:
        began = time.process_time()
        model, steps = trained(recipe, seed)
        found["cpu"].append(time.process_time() - began)
        found["steps"].append(steps)
        began = time.process_time()
        harness.predict(recipe, model, [context for context, _ in some], harness.symbols())
        found["answering"].append(time.process_time() - began)
        for name in names:
            found[name].append(bits_per_byte(recipe, model, texts[name], every))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", nargs="?", type=Path, default=HERE / "system")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("torch is not installed: pip install 'festina[torch]'")
    source = (options.tree / "train.py").read_text()
    for pair in options.set:
        knob, _, number = pair.partition("=")
        source = edits.turn(source, knob, float(number))
    found = measured(source, range(options.first_seed, options.first_seed + options.seeds), options.every)
    for name in ("public", "hidden"):
        spread = f" (sd {statistics.stdev(found[name]):.3f})" if options.seeds > 1 else ""
        print(f"{name}: {statistics.mean(found[name]):.3f} bits per byte{spread}")
    steps, training, answering = (statistics.mean(found[name]) for name in ("steps", "cpu", "answering"))
    print(f"{steps:.0f} steps; {training:.1f} CPU seconds of training, {answering:.2f} of answering {BATCH} passages")


if __name__ == "__main__":
    main()
