"""Write the public problems (run once; the result is committed): ``python vault/make_public.py``.

They are all the right answers that the system ever sees: 200 problems for each number of digits from one to six.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from generator import OLD, draw

PUBLIC_SEED, EACH = 4, 200

if __name__ == "__main__":
    rng = random.Random(PUBLIC_SEED)
    items = [draw(rng, digits) for digits in OLD for _ in range(EACH)]
    target = Path(__file__).parent.parent / "system" / "data" / "public.jsonl"
    with target.open("w") as file:
        for number, item in enumerate(items):
            file.write(json.dumps({"id": f"p{number:04d}", "input": item["input"], "label": item["label"]}) + "\n")
