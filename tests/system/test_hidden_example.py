"""The example of hidden items in docs/manifest.md is a whole system: its manifest parses, and its program is scored."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from festina.system.manifest import parse_manifest

PAGE = Path(__file__).resolve().parents[2] / "docs/manifest.md"
SHOWN = re.compile(r"<!-- hidden items: begin -->(.*?)<!-- hidden items: end -->", re.DOTALL)


def test_the_example_of_hidden_items_answers_and_is_scored_as_it_says(tmp_path: Path) -> None:
    shown = SHOWN.search(PAGE.read_text(encoding="utf-8"))
    assert shown is not None
    parts = re.findall(r"`([\w.]+)`[^\n]*\n\n```\w+\n(.*?)```", shown[1], re.DOTALL)
    files = dict(parts)
    assert list(files) == ["classify.py", "scoring.py", "public.jsonl", "festina.toml"]
    manifest = parse_manifest(files["festina.toml"].encode(), "docs/manifest.md")
    assert not manifest.self_reported
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    items = [json.loads(line) for line in files["public.jsonl"].splitlines()]
    items.append({"id": "m2", "input": "a meeting today", "label": False})
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({k: i[k] for k in ("id", "input")}) + "\n" for i in items))
    where = {"FESTINA_IN": str(tmp_path), "FESTINA_OUT": str(tmp_path)}
    subprocess.run([sys.executable, "classify.py"], cwd=tmp_path, env=where, check=True)
    space: dict[str, object] = {}
    exec(files["scoring.py"], space)
    right = space["right"]
    assert callable(right)
    said = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [right(item, each["output"]) for item, each in zip(items, said, strict=True)] == [1.0, 1.0]
    assert right(items[0], not said[0]["output"]) == 0.0
