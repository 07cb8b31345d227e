"""How good scaffolds are, without the engine: each solves the hidden problems of a folder that prepare.py has made.

    python measure.py DIR --endpoint http://127.0.0.1:8080/v1 --model NAME [--problems N] [--seeds N] [--tokens N]

One process, one request at a time. What it prints is the share of problems solved, with the time that it took.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

STOP = ["\ndef ", "\nclass ", "\nif ", "\nprint", "\n#"]
ARMS: dict[str, tuple[dict, str | None]] = {
    "generation 0: a chat, asked to explain": ({}, None),
    "the prompt alone, as a chat": ({}, "{prompt}"),
    "the prompt alone, to go on with": ({"api": "completion", "stop": STOP}, "{prompt}"),
    "the same, greedy": ({"api": "completion", "stop": STOP, "temperature": 0.0}, "{prompt}"),
    "the same, three tries, examples checked": (
        {"api": "completion", "stop": STOP, "tries": 3, "check_examples": True}, "{prompt}",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=100, help="of an answer at most")
    options = parser.parse_args()
    os.environ |= {"OPENAI_BASE_URL": options.endpoint, "FESTINA_MODEL": options.model}
    sys.path.insert(0, str(options.folder / "system"))
    import scoring
    import tools

    import agent

    rows = [json.loads(line) for line in (options.folder / "hidden.jsonl").read_text().splitlines()][: options.problems]
    for name, (change, prompt) in ARMS.items():
        settings = json.loads(agent.read("settings.json")) | change | {"max_tokens": options.tokens}
        template, began, right = prompt or agent.read("prompts/solve.txt"), time.monotonic(), 0.0
        for seed in range(options.seeds):
            for number, item in enumerate(rows):
                problem = item["input"]
                source = agent.solve(problem["prompt"], problem["name"], settings, 1000 * seed + number, template)
                right += scoring.solved(item, tools.run(source, problem["name"], problem["calls"]))
        tried = len(rows) * options.seeds
        print(f"{right / tried:.3f} of {tried}  {time.monotonic() - began:6.0f} s  {name}", flush=True)


if __name__ == "__main__":
    main()
