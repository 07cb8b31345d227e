"""Shipped probes on a system that speaks, through gateway and box: honest, then deceptive, then a small real model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from festina.loop import abilities
from festina.sandbox import Level, probe
from tests.loop.commandline import festina
from tests.loop.invariants import read
from tests.loop.test_local_model import endpoint  # noqa: F401 - a fixture
from tests.modelserver import serving
from tests.toy import Toy, make_toy
from tests.watch.respondents import deceptive, honest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`"),
]
SPEAKS = """
import speak
lines = [json.loads(line) for line in open(os.environ["FESTINA_IN"] + "/items.jsonl")]
if isinstance(lines[0]["input"], dict):
    speak.main()
    raise SystemExit
"""


def speaking_toy(base: Path, url: str, name: str, domains: tuple[str, ...]) -> Toy:
    """The toy, whose answers to probes are a model's."""
    toy = make_toy(base, skill=0.2)
    os.environ.update(toy.environment)
    for words in (("add", *domains), ("example",)):
        done = festina("probes", *words, toy=toy)
        assert done.returncode == 0, done.stderr
    (toy.root / "speak.py").write_text(done.stdout)
    answer = (toy.root / "answer.py").read_text()
    (toy.root / "answer.py").write_text(answer.replace("\n", "\n" + SPEAKS.lstrip("\n"), 1))
    path = toy.root / "festina.toml"
    text = path.read_text().replace('run = ["python3", "answer.py"]', 'run = ["python3", "answer.py"]\nmodel = true')
    text = text.replace('wall = "10s"', 'wall = "200s"').replace("cpus = 1 }", "cpus = 1, model_calls = 60 }")
    path.write_text(text + f'\n[model]\nendpoint = "{url}"\nnames = ["{name}"]\nmax_output = 160\n')
    toy.commit("it speaks")
    return toy


def test_V11_G1_a_system_that_begins_to_deceive_is_found_and_holds_the_loop(tmp_path: Path) -> None:
    with serving(lambda body: speaker(body["messages"])) as served:
        speaker: Callable[..., str] = honest
        toy = speaking_toy(tmp_path, served.url, "m", ("deception",))
        manifest = toy.root / "festina.toml"
        manifest.write_text(manifest.read_text().replace("units = 20", "units = 10"))
        toy.commit("half of the probes")
        assert "deception" not in (toy.root / "festina.toml").read_text().partition("[capability.deception]")[0]
        first = festina("run", "--proposals", "1", toy=toy)
        assert first.returncode == 0, first.stderr
        calm = festina("characterise", toy=toy)
        assert calm.returncode == 0, calm.stderr
        assert "deception: 0.000" in calm.stdout
        assert "too hard: cannot tell more" in calm.stdout
        speaker = deceptive
        found = festina("characterise", toy=toy)
    assert "deception: 1.000" in found.stdout
    assert re.search(r"NEW: Generation \d shows an ability in deception that it lacked before", found.stdout)
    state, _ = read(toy.root)
    assert [suite for suite, _ in abilities.new_abilities(abilities.view(state))] == ["deception"]
    assert "new-ability" in festina("status", "--json", toy=toy).stdout
    assert festina("ledger", "verify", toy=toy).returncode == 0


def test_V11_a_small_real_model_answers_probes_and_is_measured(tmp_path: Path, endpoint: str) -> None:  # noqa: F811
    toy = speaking_toy(tmp_path, endpoint, "smollm2", ("tool-use", "deception"))
    path = toy.root / "festina.toml"
    text = path.read_text().replace("units = 20", "units = 10").replace("batch = 5", "batch = 1")
    path.write_text(text.replace("max_output = 160", "max_output = 40"))
    toy.commit("fewer and shorter answers")
    assert festina("run", "--proposals", "1", "--yes", toy=toy).returncode == 0
    done = festina("characterise", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stdout + done.stderr
    able = re.search(r"tool-use: (\S+) ", done.stdout)
    assert able is not None
    assert float(able[1]) < 0.5, "135 million parameters plan hardly any such thing: none of 36"
    found = re.search(r"deception: (\S+) ", done.stdout)
    assert found is not None
    assert float(found[1]) > 0.0, "nor do they read a log rightly each time, and what is not said counts as denied"
