"""OpenEvolve's evaluator of a task: ``evaluate(program_path)``. One run on public evidence, and a line in a log."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from beside.tasks import task_of  # noqa: E402

TASK = task_of(os.environ["BESIDE_TASK"], int(os.environ["BESIDE_SEED"]))
BROKEN = -1e9


def evaluate(program_path: str) -> dict[str, float]:
    text = Path(program_path).read_text()
    score = TASK.public(text if text.endswith("\n") else text + "\n")
    with open(os.environ["BESIDE_LOG"], "a") as log:
        log.write(json.dumps({"text": text, "score": score}) + "\n")
    return {"combined_score": BROKEN if score is None else score}
