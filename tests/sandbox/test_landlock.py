"""Landlock by itself: a rule grants what it names and nothing beside it.  # T-2"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from festina.sandbox.landlock import Access, Rule, abi, lacks, restrict, ruleset

pytestmark = pytest.mark.skipif(abi() < 1, reason="no Landlock in this kernel")
ALL = Access.READ | Access.RUN | Access.WRITE


def confined(rules: list[Rule], action: Callable[[], object], *, version: int | None = None) -> str:
    """Run ``action`` in a confined child; the errno's name, or 'worked'."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
            restrict(ruleset(rules, version=version))
            action()
            os.write(write, b"worked")
        except OSError as error:
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def test_T2_a_rule_grants_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    rules = [Rule(str(tmp_path / "a"), Access.READ), Rule(str(tmp_path / "b"), ALL)]
    assert confined(rules, (tmp_path / "a" / "f").read_text) == "worked"
    assert confined(rules, lambda: (tmp_path / "a" / "f").write_text("y")) == "PermissionError"
    assert confined(rules, (tmp_path / "a" / "new").touch) == "PermissionError"
    assert confined(rules, lambda: (tmp_path / "b" / "new").write_text("y")) == "worked"
    assert confined(rules, lambda: (tmp_path / "b" / "new").rename(tmp_path / "b" / "f")) == "worked"
    assert confined(rules, lambda: os.listdir("/etc")) == "PermissionError"
    assert confined([Rule("/", ALL)], lambda: os.listdir("/etc")) == "worked"  # the control
    assert (tmp_path / "a" / "f").read_text() == "x"


def test_T2_a_rule_for_one_file_covers_only_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "g").write_text("x")
    rules = [Rule(str(tmp_path / "f"), ALL)]
    assert confined(rules, (tmp_path / "f").read_text) == "worked"
    assert confined(rules, (tmp_path / "g").read_text) == "PermissionError"


@pytest.mark.skipif(abi() < 4, reason="TCP came with version 4")
def test_T2_no_tcp() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        where = listener.getsockname()
        with socket.socket() as one, socket.socket() as other:
            assert confined([], lambda: one.connect(where)) == "PermissionError"
            assert confined([], lambda: other.connect(where), version=3) == "worked"  # the control


@pytest.mark.skipif(abi() < 6, reason="scopes came with version 6")
def test_T2_no_signal_to_others() -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert confined([], lambda: os.kill(victim.pid, 0)) == "PermissionError"
        assert confined([], lambda: os.kill(victim.pid, 0), version=5) == "worked"  # the control
        assert confined([], lambda: os.kill(os.getpid(), 0)) == "worked"
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()


def test_T2_a_missing_path_is_an_error_and_not_a_lost_rule(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ruleset([Rule(str(tmp_path / "none"), Access.READ)])


def test_T2_older_versions_say_what_they_lack() -> None:
    assert lacks(7) == ()
    assert len(lacks(1)) == 5
    assert any("TCP" in words for words in lacks(3))
