"""Train for a budget of counted work and keep the weights: ``train.py`` is what may change, this is not.

Started twice by Festina, each time in a box of its own:

- ``python harness.py train``: text and seed in, ``weights.safetensors`` out. Steps are taken until the floating-point
  operations of matrix products, counted by torch on the first step and on every COUNTED-th, have used up the budget.
  Counted work replays; time does not. The manifest caps processor time besides.
- ``python harness.py answer``: the weights and contexts in, for each context a probability of every symbol out, in
  whole millionths. The characters that follow are not in this process, so a model that looks ahead finds nothing.

The candidate's code runs in this process and can lie to the counter: what that buys is bounded by the cap on processor
time, and nothing else is believed. Scores are made outside, from the probabilities alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

BUDGET = float(os.environ.get("TINYLM_GFLOP", "200")) * 1e9  # no candidate sets it: boxes pass no such variable on
COUNTED = 50  # steps between two counts
MILLION = 1_000_000
HERE = Path(__file__).resolve().parent


def schedule(budget, cost, most=1_000_000):
    """Yields the share of the budget that is used before each step; ``cost(number)`` says what the last one took.

    At least one step is taken, and none that the last one's cost shows not to fit.
    """
    spent = last = 0.0
    for number in range(most):
        if number and spent + last > budget:
            return
        yield spent / budget
        last = cost(number)
        spent += last


def millionths(probabilities):
    """Whole millionths that add up to a million, the largest remainders rounded up."""
    scaled = [MILLION * p for p in probabilities]
    whole = [int(x) for x in scaled]
    order = sorted(range(len(scaled)), key=lambda i: whole[i] - scaled[i])
    for i in order[: MILLION - sum(whole)]:
        whole[i] += 1
    return whole


def symbols():
    return json.loads((HERE / "data" / "symbols.json").read_text())


def encode(text, known):
    import torch

    index = {symbol: number for number, symbol in enumerate(known)}
    return torch.tensor([index[symbol] for symbol in text])


def attention_cost(query, key, value, *rest, **more):
    """Torch's counter does not know the attention that it runs on a CPU: two products forward."""
    (batch, heads, length, depth), seen = query, key[2]
    return 2 * batch * heads * length * seen * (depth + value[3])


def attention_back_cost(grad, query, key, value, *rest, **more):
    return 5 * attention_cost(query, key, value) // 2


def counter():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    aten = torch.ops.aten
    known = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention_cost,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_back_cost,
    }
    return FlopCounterMode(display=False, custom_mapping=known)


def train(recipe, text, seed, budget=BUDGET, device="cpu"):
    """A trained model and the steps it got. ``recipe`` is the module ``train``, ``text`` the encoded characters."""
    import torch

    torch.manual_seed(seed)
    rng = torch.Generator(device).manual_seed(seed)
    model = recipe.model(len(symbols())).to(device)
    optimizer = recipe.optimizer(model)
    text = text.to(device)
    counted = [0]

    def cost(number):
        if number % COUNTED == 0:
            with counter() as count:
                recipe.step(model, optimizer, text, share[0], rng)
            counted[0] = count.get_total_flops()
        else:
            recipe.step(model, optimizer, text, share[0], rng)
        return counted[0]

    share, steps = [0.0], 0
    for share[0] in schedule(budget, cost):  # ``cost`` reads it
        steps += 1
    return model.eval(), steps


def predict(recipe, model, contexts, known, device="cpu"):
    """For each context the probabilities of what comes next, as lists."""
    import torch

    by_length = {}
    for number, context in enumerate(contexts):
        by_length.setdefault(len(context), []).append(number)
    answers = [None] * len(contexts)
    with torch.no_grad():
        for numbers in by_length.values():
            rows = torch.stack([encode(contexts[n], known) for n in numbers]).to(device)
            for n, row in zip(numbers, recipe.predict(model, rows).double().softmax(-1).tolist(), strict=True):
                answers[n] = row
    return answers


def main(what):
    import torch
    import train as recipe
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    known, seed = symbols(), int(os.environ["FESTINA_SEED"]) % (1 << 63)
    out = Path(os.environ["FESTINA_OUT"])
    if what == "train":
        text = encode((HERE / "data" / "train.txt").read_text(), known)
        model, steps = train(recipe, text, seed, device=device)
        weights = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
        save_file(weights, out / "weights.safetensors")
        print(f"{steps} steps, {sum(value.numel() for value in model.parameters()):,} parameters")
        return
    model = recipe.model(len(known)).to(device)
    model.load_state_dict(load_file(Path(os.environ["FESTINA_ARTIFACTS"]) / "weights.safetensors"))
    items = [json.loads(line) for line in (Path(os.environ["FESTINA_IN"]) / "items.jsonl").read_text().splitlines()]
    answers = predict(recipe, model.eval(), [item["input"] for item in items], known, device)
    with (out / "predictions.jsonl").open("w") as file:
        for item, answer in zip(items, answers, strict=True):
            shares = {symbol: n for symbol, n in zip(known, millionths(answer), strict=True) if n}
            file.write(json.dumps({"id": item["id"], "output": shares}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
