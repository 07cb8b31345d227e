"""Propose the next recipe: try many changes on the public text, shortly, then the best of them in full.

Started by Festina in the tree of the improver in force, with a view of the incumbent. All work is done within the
processor time that the manifest gives a proposing run. What may be learnt about searching is kept in ``policy.json``
and proposed together with the recipe it found; it is in force once a person has approved it:

- ``edits``, ``step``: how many changes one trial makes at once, and by which factor a number moves;
- ``wide``: share of trials that draw every number anew from its whole range, to begin with: within a search,
  whichever of far and near draws has led to new bests is drawn more often (Thompson's rule);
- ``short``: share of the budget of a first trial (its root: of a second one);
- ``finalists``: how many are tried in full, and half as many as are tried a second time;
- ``weights``: which changes are tried more often than others.

Public text guides the search and decides nothing: whether a recipe is kept is settled on hidden text.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
import types
from pathlib import Path

import edits

CPU_S = float(os.environ.get("TINYLM_CPU_S", "200"))  # of the manifest's limit for a proposing run
TRIAL_S = 25.0  # a full trial that takes longer would come too near its own limit
BROKEN = (ArithmeticError, AttributeError, IndexError, NameError, RuntimeError, SyntaxError, TypeError, ValueError)
WORTH = 0.02  # bits on public text; less is not worth a test


def trial_of(source, policy, rng, wide):
    """A changed source, and how it was made: (source, names of edits, its own number of edits and step)."""
    names = [*edits.KNOBS, *edits.RECIPES]
    weights = [policy["weights"].get(name, 1.0) for name in names]
    own = {key: max(1.1, policy[key] * 2 ** rng.uniform(-1, 1)) for key in ("edits", "step")}
    used = []
    if wide:
        for knob in edits.KNOBS:
            source = edits.drawn(source, knob, rng)
        used = rng.choices([*edits.RECIPES], weights[len(edits.KNOBS) :], k=round(own["edits"]))
        for name in dict.fromkeys(used):
            source = edits.toggled(source, name)
    else:
        for name in rng.choices(names, weights, k=max(1, round(own["edits"]))):
            used.append(name)
            changed = name in edits.KNOBS
            source = edits.moved(source, name, rng, own["step"]) if changed else edits.toggled(source, name)
    return edits.mended(source), used, own


def passages(text, size=65, offsets=(0,)):
    """(context, next character) from each passage of the public text, as the hidden items are drawn."""
    rng = random.Random(1)
    found = []
    for offset in offsets:
        for start in range(offset, len(text) - size, size):
            length = rng.randint(1, size - 1)
            found.append((text[start : start + length], text[start + length]))
    return found


class Lab:
    """Trains sources and measures them on the public text."""

    def __init__(self, tree):
        import torch

        sys.path.append(str(tree))
        import harness

        torch.set_num_threads(1)
        self.harness, self.known = harness, harness.symbols()
        data = Path(tree) / "data"
        self.text = harness.encode((data / "train.txt").read_text(), self.known)
        self.pairs = passages((data / "public.txt").read_text())

    def bits(self, source, seed, share):
        """(bits, processor seconds of a full trial) of a source; infinite where it does not run."""
        began = time.process_time()
        made = self.trained(source, seed, share)
        training_s = time.process_time() - began
        losses = self.losses(*made, self.pairs) if made else None
        if losses is None:
            return math.inf, 0.0
        mean = sum(losses) / len(losses)
        return mean if math.isfinite(mean) else math.inf, training_s / share

    def trained(self, source, seed, share):
        """(module, model) of a source; None where it does not run."""
        try:
            module = types.ModuleType("train")
            exec(compile(source, "train.py", "exec"), module.__dict__)  # noqa: S102 -- our own edits, in a box
            return module, self.harness.train(module, self.text, seed, self.harness.BUDGET * share)[0]
        except BROKEN as error:
            print(f"does not run: {type(error).__name__}", flush=True)
            return None

    def losses(self, module, model, pairs):
        """Bits of each passage; None where the model does not answer."""
        try:
            answers = self.harness.predict(module, model, [context for context, _ in pairs], self.known)
        except BROKEN as error:
            print(f"does not answer: {type(error).__name__}", flush=True)
            return None
        index = {symbol: number for number, symbol in enumerate(self.known)}
        return [-math.log2(max(a[index[n]], 5e-7)) for a, (_, n) in zip(answers, pairs, strict=True)]


class Search:
    """One search within a proposing run's processor time: many short trials, few longer ones, fewer full ones."""

    def __init__(self, lab, source, policy, rng, failures):
        self.lab, self.source, self.policy, self.rng = lab, source, policy, rng
        self.wide = min(0.9, policy["wide"] + 0.15 * failures)  # what is near was tried in vain: look further
        self.began, self.trials, self.seen = time.process_time(), [], {source}

    def used(self):
        """The share of the processor time that is used up."""
        return 1.0 - (CPU_S - time.process_time()) / max(1.0, CPU_S - self.began)

    def measure(self, source, seed, share):
        found, full_s = self.lab.bits(source, seed, share)
        return found if full_s < TRIAL_S else math.inf

    def round(self, share, until, tried, wide):
        """Trials at one share of the budget: those of ``tried`` first, then new ones, mostly from the best so far."""
        seed = self.rng.getrandbits(31)
        base, _ = self.lab.bits(self.source, seed, share)
        done, wins = [], {True: [1, 1], False: [1, 1]}  # new bests and other trials, of far draws and of near ones
        for each in tried:
            done.append({**each, "bits": self.measure(each["source"], seed, share)})
        attempts = 0
        while (self.used() < until or len(done) < 4) and attempts < 2000:
            attempts += 1
            far, near = (self.rng.betavariate(*wins[is_wide]) for is_wide in (True, False))
            is_wide = wide * far > (1.0 - wide) * near
            best = min(done, key=lambda each: each["bits"], default=None)
            from_best = best is not None and best["bits"] < base and self.rng.random() < 0.8
            text, used, own = trial_of(best["source"] if from_best else self.source, self.policy, self.rng, is_wide)
            if text in self.seen:
                continue
            self.seen.add(text)
            found = self.measure(text, seed, share)
            is_best = found < min(base, best["bits"] if best is not None else base)
            wins[is_wide][0 if is_best else 1] += 1
            done.append({"source": text, "bits": found, "used": used, "wide": is_wide, "gain": base - found, **own})
            print(f"{share:.2f} {'wide' if is_wide else 'near'} {found:.3f} ({base:.3f}): {used}", flush=True)
        self.trials += done[len(tried) :]
        return sorted(done, key=lambda each: each["bits"])

    def run(self):
        """(bits, source) of the best in full, and the incumbent's bits under the same seed."""
        short, seed = self.policy["short"], self.rng.getrandbits(31)
        first = self.round(short, 0.45, [], self.wide)
        second = self.round(math.sqrt(short), 0.75, first[: 2 * self.policy["finalists"]], 0.0)
        now, _ = self.lab.bits(self.source, seed, 1.0)
        finals = []
        for each in second[: self.policy["finalists"]]:
            if math.isfinite(each["bits"]) and (self.used() < 0.95 or not finals):
                finals.append((self.measure(each["source"], seed, 1.0), each["source"]))
                print(f"in full: {finals[-1][0]:.3f} ({now:.3f})", flush=True)
        return min(finals, default=(math.inf, self.source), key=lambda each: each[0]), now


def learnt(policy, trials):
    """The policy that these trials speak for: half way to what the best three did, and edits weighed by how the trials
    that had them compare with the usual one."""
    best = [each for each in sorted(trials, key=lambda each: -each["gain"])[:3] if each["gain"] > 0]
    weights = dict(policy["weights"])
    usual = sorted(each["gain"] for each in trials)[len(trials) // 2] if trials else 0.0
    for each in trials:
        gain = max(-0.2, min(0.2, each["gain"] - usual)) if each["gain"] > -math.inf else -0.2
        for name in each["used"]:
            weights[name] = round(min(4.0, max(0.25, weights.get(name, 1.0) * math.exp(gain))), 3)
    policy = policy | {"weights": dict(sorted(weights.items()))}
    if not best:
        return policy
    middle = lambda key: math.exp(sum(math.log(each[key]) for each in best) / len(best))  # noqa: E731
    return policy | {
        "edits": round(min(8.0, max(1.0, math.sqrt(policy["edits"] * middle("edits")))), 2),
        "step": round(min(8.0, max(1.2, math.sqrt(policy["step"] * middle("step")))), 2),
        "wide": round(min(0.8, max(0.1, 0.5 * policy["wide"] + 0.5 * sum(e["wide"] for e in best) / len(best))), 2),
    }


def main():
    view, out = Path(os.environ["FESTINA_VIEW"]), Path(os.environ["FESTINA_OUT"])
    policy = json.loads((Path(__file__).parent / "policy.json").read_text())
    tree = view / "tree"
    source = (tree / "train.py").read_text()
    words = [json.loads(line)["word"] for line in (view / "history.jsonl").read_text().splitlines()]
    failures = next((n for n, word in enumerate(reversed(words)) if word == "accepted"), len(words))
    rng = random.Random(os.environ["FESTINA_SEED"])
    search = Search(Lab(tree), source, policy, rng, failures)
    (bits, found), now = search.run()
    if bits > now - WORTH:
        print("nothing better was found")
        return
    (out / "files").mkdir(parents=True, exist_ok=True)
    (out / "files" / "train.py").write_text(found)
    (out / "files" / "policy.json").write_text(json.dumps(learnt(policy, search.trials), indent=2) + "\n")
    plan = {
        "weakness": f"{now:.3f} bits a character on public text",
        "rationale": f"the best of {len(search.trials)} changes tried: {bits:.3f} bits on public text",
        "predicted": round(now - bits, 4),
    }
    (out / "proposal.json").write_text(json.dumps(plan))


if __name__ == "__main__":
    main()
