"""Real services on loopback behind the split: who is answered by whom, and what counts as a failure.  # D-3"""

from __future__ import annotations

import http.client

import pytest

from festina.errors import UsageError
from festina.loop.watching import MAX_ENTRY, Counter
from festina.select import monitor
from festina.watch.split import MAX_BODY, Seen, Split, target
from tests.waiting import until
from tests.watch.services import Service, ask, split


def status_of(connection: http.client.HTTPConnection) -> int:
    came = connection.getresponse()
    came.read()
    came.close()
    connection.close()
    return came.status


def test_D3_in_shadow_clients_hear_the_version_in_use_and_the_new_one_sees_copies(
    pair: tuple[Service, Service],
) -> None:
    old, new = pair
    made, port, seen = split("shadow", old, new)
    new.status = 500
    assert ask(port, path="/a?b=c", **{"X-Word": "hi"})[:2] == (200, b"old hi")
    assert ask(port, "POST", body=b"pay")[1].startswith(b"old")
    until(lambda: len(seen) == 2 and len(new.asked) == 1)
    assert new.asked == [("GET", "/a?b=c", b"")]  # nothing that changes something is done twice
    assert old.asked[1] == ("POST", "/x", b"pay")
    assert Seen(True, False) in seen
    assert Seen(None, False) in seen
    made.close()


def test_D3_a_slow_or_dead_new_version_delays_nobody_in_shadow(pair: tuple[Service, Service]) -> None:
    old, new = pair
    made, port, seen = split("shadow", old, new, slow_s=3.0)  # a busy host takes its time, too
    new.wait_s = 5.0
    assert ask(port)[0] == 200
    assert seen == []  # the copy was still waited for
    until(lambda: seen == [Seen(True, False)])
    made.close()


def test_D3_a_canary_gets_its_share_and_no_client_chooses(pair: tuple[Service, Service]) -> None:
    old, new = pair
    draws = iter([0.05, 0.5, 0.09, 0.99] * 50)
    made, port, seen = split("canary", old, new, 0.1, draw=lambda: next(draws))
    answers = [ask(port, **{"X-Service": "new", "Cookie": "version=new"})[1].split()[0] for _ in range(8)]
    assert answers == [b"new", b"old", b"new", b"old"] * 2
    until(lambda: len(seen) == 8)
    assert seen.count(Seen(False, None)) == seen.count(Seen(None, False)) == 4
    made.close()


def test_D4_D5_after_retire_the_new_version_gets_nothing(pair: tuple[Service, Service]) -> None:
    old, new = pair
    made, port, _ = split("full", old, new, 1.0)
    assert ask(port)[1].startswith(b"new")
    made.retire()
    assert all(ask(port)[1].startswith(b"old") for _ in range(5))
    assert len(new.asked) == 1
    made.close()


def test_D4_without_the_version_before_what_was_taken_back_still_gets_nothing(pair: tuple[Service, Service]) -> None:
    _, new = pair
    made = Split("full", new.start(), None, 1.0, lambda seen: None)
    port = made.serve("127.0.0.1", 0)
    assert ask(port)[1].startswith(b"new")
    made.retire()
    assert ask(port)[0] == 503
    assert len(new.asked) == 1
    made.close()


def test_D4_L1_the_entries_hold_every_event_in_order_however_many_came_between(pair: tuple[Service, Service]) -> None:
    counter = Counter("canary", monitor.start(0.5, 1e-9))
    sent = [n % 3 == 0 for n in range(2 * MAX_ENTRY + 77)]
    for new_failed in sent:
        counter.take(Seen(True, None) if new_failed else Seen(None, True))
    rows = counter.drain(4)
    assert "".join(row.events for row in rows) == "".join("1" if x else "0" for x in sent)
    assert sum(row.requests for row in rows) == sum(sent)
    assert all(row.watch == 4 and len(row.events) <= min(MAX_ENTRY, row.requests + row.beside) for row in rows)
    assert counter.drain(4) == []
    counter.over = True
    counter.take(Seen(True, None))
    assert counter.drain(4) == [], "what comes after the end belongs to no watch"


def test_D4_a_service_that_degrades_under_canary_is_taken_out_at_the_event_that_decides(
    pair: tuple[Service, Service],
) -> None:
    old, new = pair
    counter = Counter("canary", monitor.start(monitor.canary_null(0.5, 1.0), 0.01))
    made = Split("canary", new.start(), old.start(), 0.5, counter.take)
    counter.stop = made.retire
    port = made.serve("127.0.0.1", 0)
    for _ in range(40):
        assert ask(port)[0] == 200
    assert not counter.decided.is_set()
    new.status = 503
    for _ in range(400):
        ask(port)
        if counter.decided.is_set():
            break
    assert counter.decided.is_set()
    assert made.last_new - counter.decided_at < 20.0  # thousandths of a second where nothing else runs
    had = len(new.asked)
    for _ in range(20):
        assert ask(port)[0] == 200
    assert len(new.asked) == had
    made.close()


def test_D4_failures_of_both_alike_take_nothing_back(pair: tuple[Service, Service]) -> None:
    old, new = pair
    counter = Counter("shadow", monitor.start(0.5, 0.01))
    made = Split("shadow", new.start(), old.start(), 0.0, counter.take)
    counter.stop = made.retire
    port = made.serve("127.0.0.1", 0)
    old.status = new.status = 500
    for _ in range(60):
        ask(port)
    until(lambda: counter.total >= 55)
    assert counter.monitor.events == 0
    assert not counter.decided.is_set()
    made.close()


def test_D3_what_cannot_be_passed_on_is_answered_and_counted(pair: tuple[Service, Service]) -> None:
    old, new = pair
    made, port, seen = split("canary", old, new, 0.001, draw=lambda: 0.5)
    for length in (str(MAX_BODY + 1), "9" * 5000):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert status_of(connection) == 413
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "POST", "/", body=iter([b"a", b"b"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert status_of(connection) in (411, 413)
    assert seen == []  # neither version had a part in it
    assert old.server is not None
    old.server.shutdown()
    old.server.server_close()
    assert ask(port)[0] == 502
    until(lambda: seen == [Seen(None, True)])
    made.close()


@pytest.mark.parametrize(
    "url", ["ftp://x:1", "http://", "https://h:1", "http://h:99999", "http://h:1/?q", "nothing", "http://[::1"]
)
def test_D3_what_is_no_service_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        target(url)
    assert caught.value.name == "bad-service"


def test_D3_a_port_that_is_taken_is_named(pair: tuple[Service, Service]) -> None:
    old, new = pair
    made, port, _ = split("shadow", old, new)
    with pytest.raises(UsageError, match=str(port)):
        Split("shadow", made.new, made.old, 0.0, print).serve("127.0.0.1", port)
    made.close()
