"""``festina calibrate`` as a user meets it: a command, a system, and everything that can be wrong with either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.loop.commandline import festina
from tests.toy import Toy, make_toy

NOISY = """\
import os, random
rate = 0.5
print("loss:", random.Random(os.environ["FESTINA_SEED"]).gauss(1.0, 0.1) + rate)
"""


def folder(base: Path, program: str, *, git: bool = True) -> Toy:
    """A folder with one program in it."""
    toy = Toy(base / "plain", {"FESTINA_HOME": str(base / "homes")})
    toy.root.mkdir()
    (toy.root / "train.py").write_text(program)
    if git:
        toy.git("init", "-q", "-b", "main")
        toy.commit()
    return toy


def calibrate(toy: Toy, *argv: str) -> subprocess.CompletedProcess[str]:
    return festina("calibrate", "--runs", "10", *argv, toy=toy)


def test_a_command_is_calibrated_without_a_manifest_and_leaves_no_trace(tmp_path: Path) -> None:
    toy = folder(tmp_path, NOISY, git=False)
    done = calibrate(toy, "--json", "--", "python3", "train.py")
    assert done.returncode == 0, done.stderr
    records = {row["record"]: row["value"] for row in map(json.loads, done.stdout.splitlines())}
    assert list(records) == ["calibration", "forecast", "remarks"]
    assert len(records["calibration"]["measured"]["runs"]) == 10
    assert records["forecast"]["setting"]["mode"] == "printed"
    assert "loss:lower" in done.stderr, "every guess is told"
    assert "10 runs, about" in done.stderr, "what it takes is said first"  # E-5
    assert sorted(path.name for path in toy.root.iterdir()) == ["train.py"]
    assert not (tmp_path / "homes").exists()


@pytest.mark.parametrize(
    ("program", "name", "words"),
    [
        ("raise SystemExit('no data here')", "command-failed", "no data here"),
        ("import time; time.sleep(30)", "run-too-long", "--seconds"),
    ],
)
def test_a_command_that_cannot_be_measured_is_told_why_and_what_to_do(
    tmp_path: Path, program: str, name: str, words: str
) -> None:
    done = calibrate(folder(tmp_path, program), "--seconds", "2", "--", "python3", "train.py")
    assert done.returncode == 2, done.stderr
    assert f"[{name}]" in done.stderr
    assert words in done.stderr
    assert "what to do" in done.stderr
    assert "Traceback" not in done.stderr


def test_numbers_that_make_no_plan_are_refused_before_any_run(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    for argv in (("--detect", "3"), ("--items", str(tmp_path / "none.jsonl"))):
        done = calibrate(toy, *argv)
        assert done.returncode == 2, done.stderr
        assert "runs, about" not in done.stderr
        assert "Traceback" not in done.stderr
    (toy.root / "answer.py").write_text("changed")
    assert "[dirty-tree]" in calibrate(toy).stderr


def test_G6_ctrl_c_gives_the_answer_with_what_there_is(tmp_path: Path) -> None:
    toy = folder(tmp_path, "import time; time.sleep(0.2)\n" + NOISY)
    argv = [sys.executable, "-m", "festina", "calibrate", "-C", str(toy.root), "--runs", "400", "--workers", "2"]
    process = subprocess.Popen(
        [*argv, "--json", "--", "python3", "train.py"], env=os.environ | toy.environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "runs, about" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(6.0)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    rows = {row["record"]: row["value"] for row in map(json.loads, out.splitlines())}
    runs = rows["calibration"]["measured"]["runs"]
    assert 4 <= len(runs) < 400
    assert not any(run["failed"] for run in runs), "a killed run is no failure of the system"
    assert any("Ctrl-C" in remark for remark in rows["remarks"])
