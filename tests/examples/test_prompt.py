"""An Inspect task's prompt improves through the gateway: a scripted model, the task's own scorer, the real loop."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from festina.loop.engine import Options, run
from festina.sandbox import Level, probe
from festina.system import home as homes
from festina.system.manifest import load_manifest
from festina.system.repo import Repo
from festina.verify.vault import Vault
from tests.modelserver import serving

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "prompt"


def test_T4_task_and_answering_are_out_of_reach_and_only_prompt_and_solver_may_change() -> None:
    manifest = load_manifest(EXAMPLE / "system")
    assert manifest.scope.allow == ("prompt.txt", "solver.py")
    assert "task.py" in manifest.protected()


def test_V1_every_way_of_writing_a_date_means_its_label() -> None:
    spec = importlib.util.spec_from_file_location("dates_generator", EXAMPLE / "vault" / "generator.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    items = generator.generate(3, 600)
    assert items == generator.generate(3, 600) != generator.generate(4, 600)
    assert all(read(item["input"]) == item["label"] for item in items)


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def read(text: str) -> str:
    """What a careful reader makes of it, written apart from the generator."""
    if found := re.search(r"(\d+)[./](\d+)[./](\d{4})", text):
        first, second, year = map(int, found.groups())
        month, day = (first, second) if "Americans" in text else (second, first)
        return date(year, month, day).isoformat()
    year = int(re.findall(r"\d{4}", text)[-1])
    name = next(each for each in MONTHS if re.search(rf"\b{each}", text.lower()))
    day = int(re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", text)[1])  # type: ignore[index]
    number = date(year, MONTHS.index(name) + 1, day).toordinal() + text.startswith("the day after")
    return date.fromordinal(number).isoformat()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="festina[inspect] is not installed")
@pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
def test_V10_a_better_prompt_is_accepted_on_the_inspect_scorers_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is terse only when the prompt asks for ISO form, and that knows what to change."""

    def model(body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        if "prompt.txt" in text:
            return "PLAN: say what form\nprompt.txt\n```\nISO form (YYYY-MM-DD), nothing else.\n\n{prompt}\n```"
        question = text.rpartition("\n\n")[2].strip()
        return read(question) if "ISO" in text else f"That is {read(question)}, I think."

    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    root = tmp_path / "prompt"
    shutil.copytree(EXAMPLE / "system", root)
    with serving(model) as served:
        manifest = root / "festina.toml"
        manifest.write_text(
            manifest.read_text().replace("http://127.0.0.1:11434/v1", served.url).replace('"qwen2.5:7b"', '"m"')
            .replace('use = "model"', 'use = "model"\nformat = "files"').replace("detect = 0.15", "detect = 0.4")
        )  # fmt: skip
        for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Generation 0"]):
            identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
            subprocess.run(["git", "-C", str(root), *identity, *argv], check=True)
        home = homes.ensure(Repo.discover(root), "prompt")
        Vault(home.vault).add_generator("hidden", EXAMPLE / "vault" / "generator.py")
        state = run(root, Options(proposals=1, wall_s=280.0))
    assert state.proposals[0].word == "accepted", (state.last_end, state.proposals[0])
    assert state.head.verdict is not None
    assert state.head.verdict.assurance == "hidden"
    assert state.head.verdict.estimate > 0.9
