"""The way to the model gateway: one listener on a loopback of the box's own, and no other network.  # E-6"""

from __future__ import annotations

import dataclasses
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.doorway import LACK, Greeter
from festina.sandbox.host import probe, try_gateway
from festina.sandbox.job import GATEWAY, Ended, Job, Level, Limits
from festina.sandbox.landlock import abi
from festina.sandbox.landlocked import LandlockBox
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox

PYTHON = "/usr/bin/python3"
LIMITS = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32)
ASK = f"import socket; s = socket.create_connection({GATEWAY!r}); print(s.recv(99).decode())"
needs_box = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-doorway-") as name:
        yield Path(name)


@pytest.fixture(params=["strongest", "L2", "unrecorded"])
def box(request: pytest.FixtureRequest, state: Path) -> BubblewrapBox:
    mechanisms = probe().mechanisms
    if mechanisms is None:
        pytest.skip("no box on this host")
    change = {"strongest": {}, "L2": {"groups": None}, "unrecorded": {"notify": False}}[request.param]
    return BubblewrapBox(state, dataclasses.replace(mechanisms, **change))


def py(code: str, door: object = None) -> Job:
    return Job((PYTHON, "-I", "-c", code), door=door)  # type: ignore[arg-type]


def test_E6_each_box_reaches_its_own_door_and_no_other(box: BubblewrapBox) -> None:
    def one(i: int) -> tuple[Ended, bytes]:
        outcome = box.run(py(ASK, Greeter(b"%d" % i)), LIMITS)
        assert LACK in outcome.missing
        assert outcome.policy_hash not in (box.policy_hash, "")
        return outcome.ended, outcome.stdout

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [(Ended.OK, b"%d\n" % i) for i in range(4)]
    without = box.run(py(ASK), LIMITS)  # control: the same program without a door
    assert without.ended is Ended.NONZERO
    assert LACK not in without.missing


def test_E6_a_door_opens_nothing_else(box: BubblewrapBox) -> None:
    host = socket.create_server(("127.0.0.1", 0))
    port = host.getsockname()[1]
    code = f"""
import os, socket
print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])
for kind in ((2, 2, 0), (2, 1, 262), (2, 1, 132), (2, 3, 1), (10, 1, 0), (16, 3, 0), (40, 1, 0)):
    try: socket.socket(*kind); print('made', kind)
    except OSError as error: print(error.errno, end=' ')
for where in (('127.0.0.1', {port}), ('10.0.0.1', 80)):
    try: socket.create_connection(where, 5); print('reached', where)
    except OSError as error: print(error.errno, end=' ')
"""
    outcome = box.run(py(code, Greeter()), LIMITS)
    assert outcome.ended is Ended.OK, outcome
    assert outcome.stdout.decode().split("\n")[0] == "[0, 1, 2]"  # no descriptor of the door's is left in the box
    assert outcome.stdout.decode().split("\n")[1].split() == ["1"] * 7 + ["111", "101"]  # EPERM; refused, no route
    host.setblocking(False)
    with pytest.raises(BlockingIOError):
        host.accept()
    socket.create_connection(("127.0.0.1", port)).close()  # control: outside the same port answers
    host.close()


class Counting(Greeter):
    """Remembers how it was used, and what its listener is worth afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.opened = threading.Event()

    def open(self, listener: socket.socket) -> None:
        self.calls.append("open")
        super().open(listener)
        self.opened.set()

    def close(self) -> None:
        self.calls.append("close")
        super().close()


def test_E1_the_door_is_closed_however_the_run_ends(box: BubblewrapBox) -> None:
    quick = Counting()
    hangs = f"import socket, time; s = socket.create_connection({GATEWAY!r}); time.sleep(60)"
    outcome = box.run(py(hangs, quick), dataclasses.replace(LIMITS, wall_s=0.7))
    assert (outcome.ended, quick.calls) == (Ended.TIMEOUT_WALL, ["open", "close"])
    stopped = Counting()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(box.run, py(hangs, stopped), LIMITS)
        assert stopped.opened.wait(60)
        box.kill_all()
        assert running.result().ended is Ended.SANDBOX_ERROR
    assert stopped.calls == ["open", "close"]
    refused = Counting()
    with pytest.raises(UsageError, match="cannot be set in a box"):
        box.run(dataclasses.replace(py(ASK, refused), env={"LD_PRELOAD": "x"}), LIMITS)
    assert "open" not in refused.calls


def test_E6_there_is_no_door_where_there_is_no_network_of_ones_own(state: Path) -> None:
    weak = [PlainBox(state / "plain"), *([LandlockBox(state / "one")] if abi() >= 1 else [])]
    for box in weak:
        with pytest.raises(UsageError) as caught:
            box.run(py(ASK, Greeter()), LIMITS)
        assert caught.value.name == "gateway-needs-a-box"


@needs_box
def test_T2_the_warm_box_leaves_such_a_job_to_the_cold_one(state: Path) -> None:
    mechanisms = probe().mechanisms
    assert mechanisms is not None
    warm = WarmBox(BubblewrapBox(state, mechanisms), (), python=PYTHON)
    outcome = warm.run(py(ASK, Greeter()), LIMITS)
    warm.close()
    assert (outcome.ended, outcome.stdout) == (Ended.OK, b"festina\n\n")
    assert outcome.box == "cold: it asks for the model gateway"


@needs_box
def test_T2_doctor_tries_it_for_real() -> None:
    assert try_gateway(probe()).works
    assert not try_gateway(dataclasses.replace(probe(), mechanisms=None)).works
