"""``festina simulate``: what it says is what it found, and bad input ends before the work begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from festina.cli.simulate import command
from festina.errors import UsageError


def run(*words: str) -> str:
    done = CliRunner().invoke(command, list(words), catch_exceptions=False, standalone_mode=False)
    assert done.exception is None
    return done.output


def test_G2_the_rules_in_plain_sentences_first_and_the_same_numbers_as_data(tmp_path: Path) -> None:
    said = run("--worlds", "300", "--plot", str(tmp_path / "rules.svg"))
    assert said.index("worlds in which a system improves itself") < said.index("held back")
    said = " ".join(said.split())
    assert (tmp_path / "rules.svg").read_text().startswith("<?xml")
    told = json.loads(run("--worlds", "300", "--json"))
    rows = {row["rule"]: row for row in told["cases"]["as given"]}
    assert set(rows) == {"none", "watch", "stop-after 1", "step 1", "pace 1", "stop-after 2", "step 2", "pace 2"}
    assert f"gains {rows['none']['doublings']:.1f} doublings that nobody" in said
    assert f"above {rows['pace 2']['worst_gap_95']:.1f} at some time" in said
    assert json.loads(run("--worlds", "300", "--json")) == told
    assert json.loads(run("--worlds", "300", "--json", "--seed", "1")) != told


def test_W4_a_published_model_says_whether_its_figures_come_out(tmp_path: Path) -> None:
    said = run("--model", "ai-2027", "--worlds", "40000", "--plot", str(tmp_path / "when.png"))
    assert said.count("within Monte Carlo error") == 4
    assert "NOT" not in said
    assert (tmp_path / "when.png").read_bytes().startswith(b"\x89PNG")
    other = json.loads(run("--model", "forethought", "--worlds", "2000", "--set", "returns=0.4:0.5", "--json"))
    assert all(figure["published"] is None for figure in other["figures"])
    assert other["figures"][0]["here"] < 30


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--set", "speed=2"), "no-such-parameter"),
        (("--set", "speedup=fast"), "bad-range"),
        (("--set", "speedup=3:2"), "bad-range"),
        (("--set", "speedup=nan"), "bad-range"),
        (("--set", "speedup=0"), "bad-range"),
        (("--set", "harm=2"), "bad-range"),
        (("--set", "ces=0.5"), "bad-range"),
        (("--set", "years=1:2"), "bad-range"),
        (("--model", "metr", "--set", "automated=0:1"), "bad-range"),
        (("--plot", "rules.txt"), "plot-format"),
        (("--plot", "no/such/folder/rules.png"), "plot-folder"),
    ],
)
def test_W4_bad_input_is_named(words: tuple[str, ...], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("--worlds", "100", *words)
    assert caught.value.name == name


def test_W4_an_option_of_another_model_is_refused() -> None:
    for words in (("--model", "metr", "--limit", "2"), ("--model", "ai-2027", "--stress"), ("--retraining", "app")):
        done = CliRunner().invoke(command, list(words))
        assert done.exit_code == 2, words
