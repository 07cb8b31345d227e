"""How good an answer was, as a service or a judge says it; and watches that could never take anything back."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.loop.watching import Counter
from festina.select import monitor
from festina.watch.split import Split, Target
from festina.watch.verdicts import DOWN, LOW, NOTHING, STATUS, UNSCORED, HttpJudge, Word, broken, read
from tests.waiting import until
from tests.watch.services import ask


class Told:
    """A real HTTP service that says of its own answers what ``says`` holds; a judge where ``quotes`` is set."""

    def __init__(self, status: int = 200, **says: str) -> None:
        told = self
        self.status, self.says, self.bodies = status, says, list[bytes]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                told.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                self.send_response(told.status)
                for name, value in told.says.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def at(self) -> Target:
        return Target("127.0.0.1", self.server.server_address[1])


@pytest.fixture
def services() -> Iterator[list[Told]]:
    made: list[Told] = []
    yield made
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def split(step: str, new: Told, old: Told, **more: object) -> tuple[Split, Counter, int]:
    counter = Counter(step, monitor.start(0.5, 0.01))  # type: ignore[arg-type]
    made = Split(step, new.at, old.at, 0.5, counter.take, **more)  # type: ignore[arg-type]
    counter.stop = made.retire
    return made, counter, made.serve("127.0.0.1", 0)


def test_D4_a_version_that_answers_badly_in_time_is_taken_out_by_its_scores(services: list[Told]) -> None:
    services += [new := Told(Festina_Score="0.9"), old := Told(Festina_Score="0.8")]
    made, counter, port = split("shadow", new, old, least=0.5)
    for _ in range(10):
        status, _, headers = ask(port)
        assert status == 200
        assert not any(name.lower().startswith("festina") for name in headers), "clients are not told"
    until(lambda: counter.total >= 10)
    assert counter.monitor.events == 0
    new.says = {"Festina_Score": "0.2"}
    for _ in range(40):
        ask(port)
    until(counter.decided.is_set)
    (row,) = counter.drain(0)
    assert {c.name: c.new for c in row.classes} == {LOW: row.failures}
    made.close()


def test_D4_T6_a_service_that_stops_giving_scores_where_they_are_asked_for_fails(services: list[Told]) -> None:
    services += [new := Told(), old := Told()]
    made, counter, port = split("shadow", new, old, least=0.5)
    ask(port)
    until(lambda: counter.total == 1)
    assert (counter.new_failed, counter.old, counter.classes) == (1, 0, {UNSCORED: (1, 0)})
    made.close()


def test_D4_a_judge_decides_in_the_services_place_and_a_silent_one_speaks_against_nobody(services: list[Told]) -> None:
    services += [new := Told(Festina_Score="1.0"), old := Told(), judge := Told(Festina_Error="wrong-fact")]
    made, counter, port = split("full", new, old, least=0.5, judge=HttpJudge("127.0.0.1", judge.at.port, "", 0.5))
    assert ask(port)[0] == 200
    until(lambda: counter.total == 1)
    assert counter.classes == {"wrong-fact": (1, 0)}, "what a version says of itself counts for nothing beside a judge"
    assert judge.bodies == [b"ok"]
    judge.status = 500
    ask(port)
    until(lambda: len(judge.bodies) == 2)
    assert counter.total == 1, "it said nothing: neither version had a part"
    judge.status, judge.says = 200, {"Festina_Score": "0.7"}
    ask(port)
    until(lambda: counter.total == 2)
    assert counter.new_failed == 1
    new.status = 503
    ask(port)
    until(lambda: counter.total == 3)
    assert counter.classes[STATUS] == (1, 0), "no judge makes an error good"
    made.close()


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, NOTHING), ({"Festina-Score": "0.5"}, Word(False)), ({"festina-score": "0.49"}, Word(True, LOW)),
        ({"Festina-Score": "nan"}, Word(True, LOW)), ({"Festina-Score": "7"}, Word(True, LOW)),
        ({"Festina-Error": "refused-wrongly"}, Word(True, "refused-wrongly")),
        ({"Festina-Error": "<script>"}, Word(True, "unnamed")),
    ],
)  # fmt: skip
def test_D4_T5_what_headers_say_is_read_strictly(headers: dict[str, str], word: Word) -> None:
    assert read(headers.items(), 0.5) == word


@given(st.text(max_size=60), st.text(max_size=60))
def test_T3_no_header_raises_or_becomes_a_class_of_another_form(error: str, score: str) -> None:
    word = read([("Festina-Error", error), ("Festina-Score", score)], 0.5)
    assert len(word.kind) <= 40
    assert word.kind.isascii()


def test_D4_beyond_sixteen_classes_they_are_all_others() -> None:
    from festina.watch.split import Seen

    counter = Counter("shadow")
    for n in range(40):
        counter.take(Seen(True, True, f"kind-{n}"))
    (row,) = counter.drain(0)
    assert len(row.classes) == 16
    assert sum(each.new for each in row.classes) == 40
    assert DOWN not in {each.name for each in row.classes}


@given(st.floats(0.001, 0.99), st.sampled_from([0.05, 0.01, 0.001]))
def test_D4_fewest_is_enough_and_a_little_less_is_not(null: float, alpha: float) -> None:
    fewest = monitor.fewest(null, alpha)

    def answer(events: int) -> str:
        state = monitor.start(null, alpha)
        for _ in range(min(events, 20_000)):
            state = monitor.observe(state, True)
        return state.answer

    if fewest <= 20_000:
        assert answer(fewest) == "roll back"
        assert answer(fewest // 2) != "roll back", "the bound is no idle one"


def test_D4_at_the_full_step_ten_times_the_odds_are_found_within_what_is_asked_for() -> None:
    import random

    fewest = monitor.fewest(0.01, 0.01, full=True)
    assert 30 < fewest < 120
    coins, found = random.Random(3), 0
    for _ in range(200):
        state = monitor.start(0.01, 0.01)
        for _ in range(3 * fewest):
            state = monitor.observe(state, coins.random() < 0.092)
        found += state.answer == "roll back"
    assert found > 170


JSON = (("Content-Type", "application/json; charset=utf-8"),)


@pytest.mark.parametrize(
    ("body", "headers", "status", "found"),
    [
        (b'{"a": 1}', JSON, 200, False), (b'{"a": ', JSON, 200, True), (b"", JSON, 200, True),
        (b'{"a": ', (("content-type", "APPLICATION/PROBLEM+JSON"),), 200, True),
        (b'{"a": ', (("Content-Type", "text/plain"),), 200, False), (b'{"a": ', (), 200, False),
        (b'{"a": ', JSON, 404, False), (b"", JSON, 204, False),
        (b"\x1f\x8b", (*JSON, ("Content-Encoding", "gzip")), 200, False),
        (b"[" * 100_000, JSON, 200, False), (b"9" * 5000, JSON, 200, False), (b"{" * (2 << 20), JSON, 200, False),
    ],
)  # fmt: skip
def test_D4_an_answer_that_says_it_is_json_and_is_none_is_broken(
    body: bytes, headers: tuple[tuple[str, str], ...], status: int, found: bool
) -> None:
    assert broken(status, headers, body) is found
