"""OpenEvolve's own loop on a task, as its package runs it: ``python openevolve_loop.py ENDPOINT RUNS FOLDER``.

Its defaults, but for the endpoint, the language of the file, one evaluation at a time and the random seed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from beside.tasks import task_of  # noqa: E402


def main() -> None:
    from openevolve import run_evolution
    from openevolve.config import Config

    endpoint, runs, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    seed = int(os.environ["BESIDE_SEED"])
    task = task_of(os.environ["BESIDE_TASK"], seed)
    suffix = Path(task.file).suffix
    start = folder / f"initial_program{suffix}"
    start.write_text(task.start)
    config = Config.from_dict({
        "random_seed": seed, "log_level": "WARNING", "language": {".json": "json", ".py": "python"}[suffix],
        "llm": {"api_base": endpoint, "api_key": "none", "models": [{"name": "scripted"}], "retries": 0},
        "evaluator": {"parallel_evaluations": 1},
    })  # fmt: skip
    found = run_evolution(
        str(start), str(Path(__file__).with_name("evaluator.py")), config, iterations=runs - 1,
        output_dir=str(folder / "output"), cleanup=False,
    )  # fmt: skip
    (folder / "best").write_text(found.best_code)


if __name__ == "__main__":
    main()
