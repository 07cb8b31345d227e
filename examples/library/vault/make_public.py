"""Write the public tasks (run once; the result is committed): ``python vault/make_public.py``."""

from __future__ import annotations

import json
from pathlib import Path

from generator import draw

PUBLIC_SEED, PUBLIC_TASKS = 4, 800

if __name__ == "__main__":
    target = Path(__file__).parent.parent / "system" / "data" / "public.jsonl"
    with target.open("w") as file:
        for number, item in enumerate(draw(PUBLIC_SEED, PUBLIC_TASKS, 0)):
            row = {"id": f"p{number:03d}", "input": item["input"], "label": item["label"]}
            file.write(json.dumps(row) + "\n")
