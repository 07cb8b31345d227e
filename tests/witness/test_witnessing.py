"""A ledger and its witnesses, over HTTP and by files: forks, rollbacks, quorums, the whole check.  # L-2"""

from __future__ import annotations

import base64
import http.client
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.checkpoint import vkey
from festina.ledger.copies import export
from festina.ledger.cosignature import cosign, witness_key
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.ledger.witnesses import Seen, Witnesses
from festina.loop import outside, witnessing
from festina.loop.state import State, fold
from festina.report.bundle import verify as alone
from festina.report.bundle.make import make
from festina.witness import client, server
from festina.witness.keeper import Keeper
from festina.witness.protocol import parse, render
from festina.witness.server import Server
from tests.web.signed import SignedLoop

DAY = 86400.0


@dataclass
class WitnessedLoop(SignedLoop):
    """Its epoch names witnesses."""

    terms: e.WitnessTerms | None = None

    def _draft(self, body: e.Body) -> Draft:
        if isinstance(body, e.EpochOpened):
            body = body.model_copy(update={"witness": self.terms})
        return super()._draft(body)


@contextmanager
def served(keeper: Keeper) -> Iterator[str]:
    with Server(keeper, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@dataclass
class World:
    place: Path
    loop: WitnessedLoop
    keepers: list[Keeper]

    @property
    def ledger(self) -> Ledger:
        assert self.loop.ledger is not None
        return self.loop.ledger

    @property
    def state(self) -> State:
        return self.loop.state


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A ledger of a few entries, and two witnesses that answer."""
    keepers = [Keeper.create(tmp_path / name, f"{name}.example/w") for name in ("one", "two")]
    with served(keepers[0]) as first, served(keepers[1]) as second:
        of = tuple(e.WitnessOf(key=k.key.text, url=url) for k, url in zip(keepers, (first, second), strict=True))
        loop = WitnessedLoop(
            seed=3, proposals=4, place=tmp_path,
            terms=e.WitnessTerms(witnesses=of, quorum=2, max_age_s=DAY, release=True),
        )  # fmt: skip
        loop.begin()
        assert loop.ledger is not None
        for keeper in keepers:
            keeper.trust(vkey(loop.ledger.origin, loop.ledger.engine_key))
        yield World(tmp_path, loop, keepers)
        loop.ledger.close()


def fork(world: World, name: str) -> tuple[Ledger, State]:
    """The same beginning, with the same keys, and then another history."""
    world.ledger.cover()
    path = world.place / name
    export(world.loop.home.ledger, path)
    ledger = Ledger.open(path, signers=world.loop.keys)
    ledger.append([Draft(e.FaultRecorded(what=f"only-in-{name[:-3]}", detail=None))])
    return ledger, fold(ledger.records())


def test_L2_witnesses_cosign_and_the_whole_check_counts_them(world: World) -> None:
    assert witnessing.ask(world.ledger, world.state) == [witnessing.Asked(k.name) for k in world.keepers]
    before = world.ledger.size
    world.loop.some(5)
    assert not any(row.trouble for row in witnessing.ask(world.ledger, world.state))  # from where they were
    assert min(seen.size for seen in world.state.outside.seen.values()) > before
    assert not any(row.trouble for row in witnessing.compare(world.ledger, world.state))
    trusted = [k.key for k in world.keepers]
    report = verify(world.loop.home.ledger, witnesses=trusted)
    assert report.ok
    assert not [f for f in report.findings if "witness" in f[1]]
    assert dict(report.witnesses)["one.example/w"] == world.state.outside.seen["one.example/w"]
    stranger = LocalKey.create(world.place / "stranger", "witness")
    other = witness_key(vkey("one.example/w", stranger.public, b"\x04"))
    assert "one.example/w" in str(verify(world.loop.home.ledger, witnesses=[other]).first_bad)
    kept = world.keepers[0].logs()[0].note
    assert verify(world.loop.home.ledger, checkpoint=kept).ok  # what the witness holds will do as a kept checkpoint


def test_L2_a_fork_shown_to_two_witnesses_is_found(world: World) -> None:
    assert not any(row.trouble for row in witnessing.ask(world.ledger, world.state))
    mine, my_state = fork(world, "mine.db")
    theirs, their_state = fork(world, "theirs.db")
    one, two = (w.model_copy(update={"url": None}) for w in world.loop.terms.witnesses)  # type: ignore[union-attr]
    whole = world.loop.terms
    assert whole is not None
    assert my_state.epoch is not None
    assert their_state.epoch is not None

    def only(state: State, *witnesses: e.WitnessOf) -> None:
        state.epoch = state.epoch.model_copy(  # type: ignore[union-attr]
            update={"witness": whole.model_copy(update={"witnesses": witnesses})}
        )

    only(my_state, whole.witnesses[0], two)
    only(their_state, one, whole.witnesses[1])
    assert not witnessing.ask(mine, my_state)[0].trouble  # each witness alone is content with what it is shown
    assert not witnessing.ask(theirs, their_state)[0].trouble
    only(my_state, *whole.witnesses)
    only(their_state, *whole.witnesses)
    found = witnessing.compare(mine, my_state)
    assert [row.fork for row in found] == [False, True]
    assert "two histories" in found[1].trouble
    assert [row.fork for row in witnessing.compare(theirs, their_state)] == [True, False]
    refused = witnessing.ask(mine, my_state)  # and the second witness never cosigns the first one's history
    assert not refused[0].trouble
    assert "one of the two was rewritten" in refused[1].trouble
    kept = world.keepers[1].logs()[0].note
    report = verify(mine.path, checkpoint=kept)
    assert not report.ok
    assert "another root" in str(report.first_bad)
    mine.close()
    theirs.close()


def test_L2_a_ledger_that_was_cut_finds_no_witness(world: World) -> None:
    world.ledger.cover()
    shutil.copy(world.loop.home.ledger, world.place / "old.db")
    world.loop.some(5)
    assert not any(row.trouble for row in witnessing.ask(world.ledger, world.state))
    with Ledger.open(world.place / "old.db", signers=world.loop.keys) as old:
        state = fold(old.records())
        assert all("the ledger was cut" in row.trouble for row in witnessing.ask(old, state))
        assert all(row.fork and "cut" in row.trouble for row in witnessing.compare(old, state))


def test_D2_L2_a_release_waits_for_a_quorum_that_saw_the_approval_lately(world: World) -> None:
    approval = world.ledger.size - 1
    with pytest.raises(UsageError, match="0 of the 2"):
        outside.require(world.ledger, world.state, approval)
    witnessing.ask(world.ledger, world.state)
    outside.require(world.ledger, world.state, approval)
    world.loop.some(3)
    with pytest.raises(UsageError, match="0 of the 2"):  # what was recorded since, nobody has seen
        outside.require(world.ledger, world.state, world.ledger.size - 1)
    assert len(outside.enough(world.ledger, world.state, approval, time.time() + DAY / 2)) == 2
    assert outside.enough(world.ledger, world.state, approval, time.time() + DAY + 60) == ()  # too old
    seen = world.state.outside.seen["one.example/w"]
    world.state.outside.seen["one.example/w"] = seen.__class__(seen.seq, seen.size, seen.at, "another key", seen.note)
    with pytest.raises(UsageError, match="1 of the 2"):
        outside.require(world.ledger, world.state, approval)


def test_L2_a_release_without_asking_is_a_finding_where_nobody_saw_the_signed_step() -> None:
    witness, now = e.WitnessOf(key="one"), datetime(2026, 11, 27, 10, tzinfo=UTC)
    terms = e.WitnessTerms(witnesses=(witness,), quorum=1, max_age_s=DAY, release=True)
    body = e.ReleaseIntent(
        release=0, cause="release", generation=1, old_commit=None, new_commit="1" * 40, review=None, grant=7
    )
    for size, told in ((7, 1), (8, 0)):
        seen = Witnesses(terms=terms, newest={"w": Seen(9, size, int(now.timestamp()), "one", "0" * 64)})
        seen.see(10, now.isoformat(), body)
        assert len(seen.findings) == told


def test_L2_a_witness_without_a_network_answers_by_files(world: World) -> None:
    asked = witnessing.request(world.ledger, world.ledger.cover(), 0)
    assert asked is not None
    answer = world.keepers[0].add(render(asked))
    assert answer.status == 200
    taken = witnessing.take(world.ledger, world.state, parse(render(asked)).note + answer.body)
    assert [each.name for each in taken] == ["one.example/w"]
    size = world.ledger.size
    witnessing.take(world.ledger, world.state, asked.note + answer.body)  # once is enough
    assert world.ledger.size == size
    assert world.keepers[0].add(render(asked)).status == 409  # it is further now
    key = LocalKey.load(world.place / "one" / "witness.key", "witness")
    stale = cosign(asked.note.split("\n\n")[0] + "\n", "one.example/w", key, int(time.time()) + 10**6)
    with pytest.raises(UsageError, match="future"):
        witnessing.take(world.ledger, world.state, asked.note + stale)
    with pytest.raises(UsageError, match="no witness"):
        witnessing.take(world.ledger, world.state, asked.note)


def test_L2_a_line_of_another_key_in_the_logs_name_is_left_out(world: World) -> None:
    asked = witnessing.request(world.ledger, world.ledger.cover(), 0)
    assert asked is not None
    answer = world.keepers[0].add(render(asked))
    text, _, signed = asked.note.rpartition("\n\n")
    other = base64.b64encode(b"abcd" + bytes(64)).decode()
    witnessing.take(world.ledger, world.state, f"{text}\n\n— {world.ledger.origin} {other}\n{signed}{answer.body}")
    assert verify(world.loop.home.ledger).ok


def test_L2_a_false_claim_of_cosignatures_is_found_by_the_whole_check(world: World) -> None:
    """The engine signs every entry: that it signed one is no reason to believe what it says about witnesses."""
    note = world.ledger.cover()
    key = world.keepers[0].key
    claims = (
        e.Witnessed(size=world.ledger.covered, note=sha256(note.encode()).hexdigest(),
                    by=(e.WitnessedBy(name=key.name, key=key.text, at=1_800_000_000),)),
        e.Witnessed(size=world.ledger.covered + 9, note=sha256(note.encode()).hexdigest(), by=()),
    )  # fmt: skip
    for claim in claims:
        path = world.place / f"false-{claim.size}.db"
        shutil.copy(world.loop.home.ledger, path)
        with Ledger.open(path, signers=world.loop.keys) as ledger:
            seq = ledger.append([Draft(claim, blobs=(note.encode(),))])[0].seq
            state = fold(ledger.records())
            if claim.by:
                with pytest.raises(IntegrityError, match="cosignatures"):
                    outside.enough(ledger, state, 0, 1_800_000_000.0)
        report = verify(path)
        assert report.first_bad is not None
        assert report.first_bad[0] == seq
        assert "witnessed" in report.first_bad[1]


def test_L2_a_bundle_carries_the_cosignatures_and_its_verifier_checks_them(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    witnessing.ask(world.ledger, world.state)
    engine = world.loop.keys["engine"]
    make(world.loop.home.ledger, world.place / "bundle", signer=engine)
    keys = [k.key.text for k in world.keepers]
    assert alone.main(["--witness", keys[0], "--witness", keys[1], str(world.place / "bundle")]) == 0
    assert capsys.readouterr().out.count(f"saw its first {world.state.outside.seen['one.example/w'].size} entries") == 2
    stranger = vkey("one.example/w", LocalKey.create(world.place / "stranger", "witness").public, b"\x04")
    assert alone.main(["--witness", stranger, str(world.place / "bundle")]) == 1
    assert "one.example/w cosigned nothing here" in capsys.readouterr().out
    by = e.WitnessedBy(name="one.example/w", key=keys[0], at=1_800_000_000)
    note = world.ledger.cover().encode()
    lie = e.Witnessed(size=world.ledger.covered, note=sha256(note).hexdigest(), by=(by,))
    world.ledger.append([Draft(lie, blobs=(note,))])
    make(world.loop.home.ledger, world.place / "lying", signer=engine)
    assert alone.main([str(world.place / "lying")]) == 1
    assert "claims a cosignature of one.example/w that does not hold" in capsys.readouterr().out


def test_L2_an_entry_that_is_dated_back_behind_a_witness_is_a_finding(world: World) -> None:
    witnessing.ask(world.ledger, world.state)
    fault = e.FaultRecorded(what="late", detail=None)
    honest = world.ledger.append([Draft(fault)])[0]
    dated = world.ledger.append([Draft(fault, at="2026-01-01T00:00:00.000Z")])[0]
    found = [seq for seq, what in verify(world.loop.home.ledger).findings if "cosigned by a witness" in what]
    assert found == [dated.seq]
    assert honest.seq not in found


def test_L2_a_witness_keeps_its_word_over_restarts_and_against_many_at_once(world: World) -> None:
    """Two histories of one size, asked for by many threads: one of them is ever cosigned."""
    mine, _ = fork(world, "mine.db")
    theirs, _ = fork(world, "theirs.db")
    requests = [witnessing.request(ledger, ledger.cover(), 0) for ledger in (mine, theirs)]
    answers: list[tuple[int, int]] = []

    def work(which: int) -> None:
        request = requests[which]
        assert request is not None
        answers.append((which, Keeper(world.place / "one").add(render(request)).status))

    threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({which for which, status in answers if status == 200}) == 1
    again = Keeper(world.place / "one").logs()[0]
    assert again.size == mine.covered
    assert len(again.forks) == 1
    mine.close()
    theirs.close()


def test_L2_a_witness_changes_no_logs_key_and_takes_no_name_twice(world: World) -> None:
    other = LocalKey.create(world.place / "other", "engine")
    with pytest.raises(UsageError, match="another key"):
        world.keepers[0].trust(vkey(world.ledger.origin, other.public))
    with pytest.raises(UsageError, match="key"):
        Keeper.create(world.place / "one", "one.example/w")


def test_L2_the_server_answers_bad_requests_and_stays(world: World) -> None:
    assert world.loop.terms is not None
    place = str(world.loop.terms.witnesses[0].url).removeprefix("http://")
    rows = [
        ("POST", "/add-checkpoint", b"nonsense", 400), ("POST", "/elsewhere", b"", 404), ("GET", "/nothing", None, 404),
    ]  # fmt: skip
    for method, path, body, status in rows:
        connection = http.client.HTTPConnection(place, timeout=60)
        connection.request(method, path, body)
        assert connection.getresponse().status == status
        connection.close()
    for length in ("99999999999", "9" * 5000, "-1", "many"):
        connection = http.client.HTTPConnection(place, timeout=60)
        connection.putrequest("POST", "/add-checkpoint")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == 400
        connection.close()
    connection = http.client.HTTPConnection(place, timeout=60)
    connection.request("GET", "/")
    assert connection.getresponse().read().decode().startswith(world.keepers[0].key.text)
    connection.close()


def test_L2_a_witness_that_never_finishes_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte within every wait would else hold the record for a day."""
    monkeypatch.setattr(client, "WHOLE_S", 0.3)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            talk, _ = listening.accept()
            with talk:
                talk.recv(10_000)
                talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 90000\r\n\r\n")
                while not done.wait(0.05):
                    talk.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(client.Unreached, match="no whole answer"):
            client.fetch(f"http://127.0.0.1:{listening.getsockname()[1]}", "a.example/log")
        done.set()
        thread.join(10)


def test_L2_who_never_finishes_a_request_keeps_no_witness_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WHOLE_S", 0.5)
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    with served(Keeper.create(tmp_path / "w", "one.example/w")) as url:
        host, port = url.removeprefix("http://").split(":")
        talks = [socket.create_connection((host, int(port)), timeout=30) for _ in range(3)]
        for talk in talks[:2]:
            with suppress(OSError):
                while True:  # a byte within every wait; until it is cut off
                    talk.sendall(b"G")
                    time.sleep(0.05)
        for talk in talks:
            with suppress(ConnectionError), talk:
                assert talk.recv(100) == b""
        found, until = 0, time.monotonic() + 60
        while found != 200 and time.monotonic() < until:  # a place is free a moment after its connection was cut
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            with suppress(ConnectionError, http.client.HTTPException):
                connection.request("GET", "/")
                found = connection.getresponse().status
            connection.close()
        assert found == 200
