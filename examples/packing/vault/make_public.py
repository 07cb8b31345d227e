"""Write ``system/data/public.jsonl``: eight instances that the improver may learn from. Run once, result kept."""

from __future__ import annotations

import json
from pathlib import Path

from generator import generate

SEED, INSTANCES = 1, 8

target = Path(__file__).resolve().parent.parent / "system" / "data" / "public.jsonl"
rows = [{"id": f"p{n}", **row} for n, row in enumerate(generate(SEED, INSTANCES))]
target.write_text("".join(json.dumps({key: row[key] for key in ("id", "input", "label")}) + "\n" for row in rows))
