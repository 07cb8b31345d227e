"""A halt takes effect before the command line is loaded, and a command that is not plain takes none there.  # G-5"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina import entry
from festina.govern import stopping
from festina.system import halts
from festina.system import home as homes
from festina.system.repo import Repo

HOME = "toy-0123abcd"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(repository, home) of a system that git's own configuration joins."""
    root, base = tmp_path / "system", tmp_path / "homes"
    root.mkdir()
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "config", "festina.home", HOME], check=True)
    homes.Home(base / HOME).create()
    monkeypatch.setenv("FESTINA_HOME", str(base))
    return root, base / HOME


def test_G5_the_marker_stands_before_anything_is_loaded(place: tuple[Path, Path]) -> None:
    """The interpreter that has just written the marker has loaded neither click nor git's reader nor dataclasses."""
    root, home = place
    script = (
        "import sys; from festina import entry; "
        f"told = entry.understood(['-C', {str(root)!r}, '--reason', 'x'], {{}}); "
        "entry.mark(entry.home_of(told[0])); "
        "slow = {'click', 'dataclasses', 'json', 're', 'typing', 'pathlib', 'subprocess', 'festina.errors'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})  # fmt: skip
    assert done.stdout.strip() == "[]"
    (halt,) = halts.found(home)
    assert halt.id in {path.stem for path in (home / "halts").glob("*.json")}


def test_G5_it_is_one_halt_with_its_words_and_the_home_is_the_one_that_git_names(place: tuple[Path, Path]) -> None:
    root, home = place
    assert entry.home_of(str(root / ".git")) == str(home)
    (root / "deep").mkdir()
    found = homes.find(Repo.discover(root / "deep"))
    assert found is not None
    assert entry.home_of(str(root / "deep")) == str(found.path)
    marker = entry.mark(str(home))
    done = stopping.stop_all(home, by="ann", reason="enough", marker=marker)
    assert [(h.id, h.by, h.reason) for h in halts.found(home)] == [(marker, "ann", "enough")]
    assert done.halt.id == marker


def test_G5_the_command_halts_once_and_tells_of_it(place: tuple[Path, Path]) -> None:
    root, home = place
    line = [sys.executable, "-m", "festina", "halt", "-C", str(root), "--reason", "the scorer was wrong"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Halted: 0 processes ended" in done.stderr) == (0, True)
    assert [h.reason for h in halts.found(home)] == ["the scorer was wrong"]


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["--reason"], ["-C"], ["-C", "/nowhere/at/all"], ["now"], ["--raeson", "x"], ["-Cx"]]
)
def test_G5_what_is_not_plain_has_no_effect_before_the_command(place: tuple[Path, Path], words: list[str]) -> None:
    assert entry.understood(words, {}) is None
    assert entry.understood([], {"FESTINA_SYSTEM": str(place[0])}) == (str(place[0]), "")  # control
    root, home = place
    line = [sys.executable, "-m", "festina", "halt", *(["-C", str(root)] if "-C" not in words else []), "--help"]
    if words == ["--help"]:
        assert "Stop everything" in subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert not halts.found(home)


@pytest.mark.parametrize(
    "config",
    [
        b"", b"[festina]\n", b"[festina]\n\thome = ../../x-0123abcd\n", b'[festina]\n\thome = "toy-0123abcd"\n',
        b"[Festina]\n\thome = toy-0123abcd\n", b'[festina "x"]\n\thome = toy-0123abcd\n',
        b"[festina] home = toy-0123abcd\n", b"[core]\n\thome = toy-0123abcd\n",
        b"[festina]\n\thome = toy-0123abcd ; a\n", b"[festina]\n\thome = toy\\\n-0123abcd\n",
    ],
)  # fmt: skip
def test_G5_a_configuration_in_other_words_names_no_home_here(config: bytes) -> None:
    assert entry.named(b"[core]\n\tbare = false\n[festina]\n\thome = toy-0123abcd\n") == "toy-0123abcd"  # control
    assert entry.named(config) is None


@given(st.binary(max_size=200))
def test_G5_no_configuration_breaks_it(config: bytes) -> None:
    found = entry.named(b"[festina]\nhome = " + config)
    assert found is None or homes._ID.match(found)


def test_G5_where_no_marker_can_be_written_the_rest_says_so(tmp_path: Path) -> None:
    assert entry.mark(str(tmp_path / "gone")) == ""
    (tmp_path / "halts").mkdir()
    marker = entry.mark(str(tmp_path))
    assert json.loads((tmp_path / "halts" / f"{marker}.json").read_text())["id"] == marker
