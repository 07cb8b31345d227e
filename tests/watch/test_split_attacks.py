"""Services that try to look better than they are, or to hold everything up, behind the split.  # D-3, D-4"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

import pytest

from festina.select import monitor
from festina.watch.deadlines import Deadlines
from festina.watch.split import Seen, Split, Target
from festina.watch.verdicts import DOWN, LATE, REFUSED, HttpJudge
from tests.waiting import until
from tests.watch.services import Service, ask, split

Answer = Callable[[socket.socket], None]


@dataclass
class Raw:
    """Services that write whatever they like to the socket; ``heard``: what they were asked, byte for byte."""

    listeners: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def start(self, answer: Answer) -> Target:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(60)
        self.listeners.append(listener)
        thread = threading.Thread(target=self._serve, args=(listener, answer), daemon=True)
        self.threads.append(thread)
        thread.start()
        return Target("127.0.0.1", listener.getsockname()[1])

    def _serve(self, listener: socket.socket, answer: Answer) -> None:
        """One client after the other, until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                self.heard.append(client.recv(65_536))
                answer(client)

    def close(self) -> None:
        for listener in self.listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self.threads:
            thread.join(60)


@pytest.fixture
def raw() -> Iterator[Raw]:
    made = Raw()
    yield made
    made.close()


def dripping(opening: bytes) -> Answer:
    """Sends an opening at once, and then a byte at a time for ever."""

    def answer(client: socket.socket) -> None:
        client.sendall(opening)
        while True:
            client.sendall(b"x")
            time.sleep(0.02)

    return answer


drip = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
drip_to_the_end = dripping(b"HTTP/1.0 200 OK\r\n\r\n")  # as long as the connection lasts
drip_headers = dripping(b"HTTP/1.1 200 OK\r\nX-Long: ")


def silent(client: socket.socket) -> None:
    client.recv(1)  # until the other side has had enough


def fine(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def cut_short(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxx")


def nonsense(client: socket.socket) -> None:
    client.sendall(b"\x00\x01 I am fine\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(drip, LATE), (drip_headers, LATE), (silent, LATE), (cut_short, DOWN), (nonsense, DOWN)],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_D4_what_never_finishes_or_stops_half_way_has_failed_and_holds_nobody_up(
    raw: Raw, answer: Answer, kind: str
) -> None:
    seen: list[Seen] = []
    slow = 0.2 if kind == LATE else 30.0
    made = Split("full", raw.start(answer), None, 1.0, seen.append, slow_s=slow)
    port = made.serve("127.0.0.1", 0)
    assert ask(port)[0] == 502
    until(lambda: bool(seen))
    assert [(each.new_failed, each.old_failed, each.kind) for each in seen] == [(True, None, kind)]
    made.close()


@pytest.mark.parametrize("answer", [drip, drip_to_the_end], ids=["with a length", "until the connection ends"])
def test_D4_in_shadow_a_copy_that_never_finishes_is_cut_off_and_counted(raw: Raw, answer: Answer) -> None:
    seen: list[Seen] = []
    made = Split("shadow", raw.start(answer), raw.start(fine), 1.0, seen.append, slow_s=0.2)
    ask(made.serve("127.0.0.1", 0))
    until(lambda: bool(seen))
    assert [(each.new_failed, each.kind) for each in seen] == [(True, LATE)]
    made.close()


def test_D3_in_shadow_a_version_that_refuses_what_the_other_answers_has_failed(pair: tuple[Service, Service]) -> None:
    old, new = pair
    made, port, seen = split("shadow", old, new, slow_s=60.0)
    new.status = 404
    ask(port)
    until(lambda: len(seen) == 1)
    old.status = 403  # what clients may not do falls on both alike
    ask(port)
    until(lambda: len(seen) == 2)
    new.status = 200
    ask(port)
    until(lambda: len(seen) == 3)
    assert seen == [Seen(True, False), Seen(False, False), Seen(False, True)]
    assert seen[0].kind == REFUSED
    made.close()


def test_D3_a_judge_hears_of_what_type_an_answer_is(raw: Raw) -> None:
    judge = raw.start(fine)
    HttpJudge(judge.host, judge.port, "", None).word("GET", "/", 200, b"<p>", "text/html; charset=x")
    assert b"Content-Type: text/html; charset=x\r\n" in raw.heard[0]


def test_D3_a_version_sees_the_same_request_in_shadow_as_at_a_canary_step(
    raw: Raw, pair: tuple[Service, Service]
) -> None:
    """By what a request says it cannot tell; by which methods come, how many and when, it can (docs/watch.md)."""
    old, new = pair[0].start(), raw.start(fine)
    for step, draw in (("shadow", 1.0), ("canary", 0.0)):
        seen: list[Seen] = []
        made = Split(step, new, old, 0.5, seen.append, draw=lambda draw=draw: draw)  # type: ignore[arg-type,misc]
        ask(made.serve("127.0.0.1", 0), path="/a?b", **{"X-Word": "hi", "Cookie": "a=b", "Host": "shop.example"})
        until(lambda seen=seen: bool(seen))
        made.close()
    assert len(raw.heard) == 2
    assert raw.heard[0] == raw.heard[1]


def test_D5_the_end_waits_a_moment_for_answers_under_way_and_not_for_ever(
    raw: Raw, pair: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pair
    monkeypatch.setattr("festina.watch.split.DRAIN_S", 60.0)
    made, port, _ = split("canary", old, new, 0.001, draw=lambda: 0.9)
    old.wait_s = 0.3
    got: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: got.append(ask(port)[:2]))
    asking.start()
    until(lambda: bool(old.asked))
    made.close()
    asking.join(60)
    assert got == [(200, b"old ")]
    monkeypatch.setattr("festina.watch.split.DRAIN_S", 0.1)
    stuck = Split("full", raw.start(silent), None, 1.0, lambda _: None, slow_s=60.0)
    port = stuck.serve("127.0.0.1", 0)
    waits = threading.Thread(target=lambda: _quietly(port), daemon=True)
    waits.start()
    until(lambda: stuck.last_new > 0.0)
    began = time.monotonic()
    stuck.close()
    assert time.monotonic() - began < 30.0, "as long as it may, and what a busy host adds"
    raw.close()
    waits.join(60)


def _quietly(port: int) -> None:
    with suppress(OSError, HTTPException):  # cut off wherever it was
        ask(port)


def test_deadlines_do_what_is_due_once_and_what_was_called_off_never() -> None:
    clock, done = Deadlines(), threading.Event()
    counted: list[str] = []
    with clock.at(60.0, lambda: counted.append("never")), clock.at(0.01, lambda: counted.append("once")):
        until(lambda: counted == ["once"])
    with clock.at(0.02, done.set):
        assert done.wait(60)
    clock.close()
    assert counted == ["once"]


@pytest.mark.parametrize(("failing", "found"), [(0.01, 55), (0.0, 0)])
def test_D4_a_version_that_fails_once_in_a_hundred_requests_is_found_at_the_canary_step(
    failing: float, found: int
) -> None:
    """Beside one that never fails, with 5 % of the requests and 1,000 for the new version: 60 watches."""
    coins, taken_back = random.Random(3), 0
    for _ in range(60):
        seen = monitor.start(monitor.canary_null(0.05, 1.0), 0.01)
        for _ in range(1000):
            if coins.random() < failing:
                seen = monitor.observe(seen, True)
        taken_back += seen.answer == "roll back"
    assert taken_back >= found
    assert found or not taken_back
