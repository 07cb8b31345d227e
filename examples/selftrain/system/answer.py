"""Answer ``$FESTINA_IN/items.jsonl`` with this tree's weights, the most likely digit each time."""

from __future__ import annotations

import json
import os
from pathlib import Path

from model import answers, load

if __name__ == "__main__":
    lines = (Path(os.environ["FESTINA_IN"]) / "items.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in lines]
    said = answers(load(Path("weights.safetensors")), [(item["input"]["a"], item["input"]["b"]) for item in items])
    with (Path(os.environ["FESTINA_OUT"]) / "predictions.jsonl").open("w") as file:
        for item, answer in zip(items, said, strict=True):
            file.write(json.dumps({"id": item["id"], "output": answer}) + "\n")
