"""An auditor reads, annotates, signs opinions, and can do nothing else at any door.  # L-2, T-1"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from festina.cli.auditor import _handed, group
from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.audits import Said, read, sign
from festina.ledger.entries import KINDS
from festina.ledger.log import Draft, Ledger
from festina.ledger.rules import Rules
from festina.ledger.signing import LocalKey
from festina.loop import acts, audited, stating, unattended
from festina.loop.state import fold
from festina.report.bundle import verify as alone
from festina.report.bundle.make import make
from festina.review import away, desk
from festina.web.acting import acts as pages
from festina.web.app import Site, create
from festina.web.gate import Pass
from tests.web.signed import SignedLoop


@dataclass
class World:
    loop: SignedLoop
    key: LocalKey  # the auditor's; it even lies where reviewers' keys are looked for

    @property
    def ledger(self) -> Ledger:
        assert self.loop.ledger is not None
        return self.loop.ledger


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    loop = SignedLoop(seed=3, proposals=30, guards=1, place=tmp_path)
    loop.begin()
    while not loop.state.reviews:
        loop.some(5)
    key = desk.reviewer_key("aud", create=True)
    assert loop.ledger is not None
    audited.enrol(loop.ledger, loop.state, "aud", "Example Audits Ltd", key.public)
    yield World(loop, key)
    loop.ledger.close()


def files(world: World, tmp_path: Path, *words: str) -> Path:
    """What the auditor's own command wrote, from a copy of the record."""
    (tmp_path / "key").write_bytes(key_file().read_bytes())
    (tmp_path / "key").chmod(0o600)
    out = tmp_path / f"{words[0]}.audit"
    done = CliRunner().invoke(group, [
        words[0], str(world.loop.home.ledger), "--as", "aud", "--key-file", str(tmp_path / "key"), "-o", str(out),
        "--text", "looked at it", *words[1:],
    ], catch_exceptions=False)  # fmt: skip
    assert done.exit_code == 0, done.output
    return out


def key_file() -> Path:
    return next(Path(os.environ["FESTINA_REVIEWER_KEYS"]).rglob("aud*"))


def test_L2_an_auditor_annotates_and_signs_and_everybody_can_check_it(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.ledger.cover()
    for words in (("note", "--entry", "3"), ("sign", "--opinion", "qualified")):
        row = _handed(files(world, tmp_path, *words))
        record = audited.take(world.ledger, world.loop.state, row["auditor"], row["note"], row["text"])
        with pytest.raises(UsageError, match="entered before"):
            audited.take(world.ledger, world.loop.state, row["auditor"], row["note"], row["text"])
    assert [(b.entry, b.opinion) for _, b in world.loop.state.outside.audits] == [(3, None), (None, "qualified")]
    assert record.body.role == "engine"
    report = verify(world.loop.home.ledger)
    assert report.ok, report.first_bad
    assert fold(world.ledger.records()).outside == world.loop.state.outside
    make(world.loop.home.ledger, tmp_path / "bundle", signer=world.loop.keys["engine"])
    assert alone.main([str(tmp_path / "bundle")]) == 0
    assert "aud: qualified on the first" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["text", "opinion", "auditor", "size"])
def test_L2_what_the_auditor_did_not_sign_is_not_taken_and_found_where_an_engine_lies(
    world: World, tmp_path: Path, change: str
) -> None:
    row = _handed(files(world, tmp_path, "sign", "--opinion", "adverse"))
    if change == "text":
        with pytest.raises(IntegrityError, match="not the one"):
            audited.take(world.ledger, world.loop.state, "aud", row["note"], "all is well")
        return
    if change == "auditor":
        with pytest.raises(UsageError, match="no auditor"):
            audited.take(world.ledger, world.loop.state, "ann", row["note"], row["text"])
        return
    honest = audited.take(world.ledger, world.loop.state, "aud", row["note"], row["text"]).body
    assert isinstance(honest, e.AuditReceived)
    other: dict[str, object] = {"opinion": "unqualified"} if change == "opinion" else {"size": honest.size - 1}
    seq = world.ledger.append([Draft(honest.model_copy(update=other))])[0].seq
    report = verify(world.loop.home.ledger)
    assert report.first_bad is not None
    assert report.first_bad[0] == seq
    make(world.loop.home.ledger, tmp_path / "bundle", signer=world.loop.keys["engine"])
    assert alone.main([str(tmp_path / "bundle")]) == 1


def test_T1_no_kind_of_entry_can_be_signed_with_an_auditors_key(world: World) -> None:
    """The rules stand before every door: what they refuse comes in by none. Positive control: ann's key is taken."""
    rules = Rules()
    for record in world.ledger.records():
        rules.admit(record.envelope)
    for kind, body in KINDS.items():
        paper = body.model_construct()
        with pytest.raises(IntegrityError):
            rules.key_for(body.role, world.key.keyid, paper)
        if body.role == "reviewer":
            assert rules.key_for("reviewer", world.loop.ann.keyid, paper) == world.loop.ann.public, kind


def doors(world: World) -> dict[str, Callable[[], object]]:
    """Every act of a person, tried in the auditor's name with the auditor's key at hand."""
    ledger, state, home = world.ledger, world.loop.state, world.loop.home
    review = next(iter(state.reviews.values())).terms
    decided = e.ReviewDecided(
        review=review.review, binding=review.binding, reviewer="aud", decision="approve", reason="a" * 64,
        without_person=False,
    )  # fmt: skip
    as_reviewer, other = LocalKey.load(key_file(), "reviewer"), LocalKey.create(home.path / "other", "reviewer")
    return {
        "sign an entry": lambda: ledger.append([Draft(decided, signer=as_reviewer)]),
        "bring a step signed elsewhere": lambda: away.checked(
            away.signed(decided, as_reviewer), desk.public_keys(state.reviewers)
        ),
        "be enrolled as a reviewer": lambda: ledger.append([
            Draft(e.ReviewerEnrolled(reviewer="eve", key=text_of(world.key), demo=False))
        ]),
        "take a reviewer's name": lambda: ledger.append([
            Draft(e.ReviewerEnrolled(reviewer="aud", key=text_of(other), demo=False))
        ]),
        "be two auditors": lambda: audited.enrol(ledger, state, "other", "Other", world.key.public),
        "state": lambda: stating.Person(ledger, state, home, "aud"),
        "attest": lambda: acts.attest(ledger, state, home, "aud", safeguard="s", expires="", reason="r"),
        "renew": lambda: acts.renew(ledger, state, home, "aud"),
        "raise autonomy": lambda: unattended.step(
            ledger, state, home, "aud", rung="unattended", reason="r", evidence=("yes", ()), lasts_s=60.0
        ),
    }  # fmt: skip


def text_of(key: LocalKey) -> str:
    return base64.b64encode(key.public).decode()


def test_T1_an_auditor_is_refused_at_every_door(world: World) -> None:
    before = world.ledger.size
    for name, door in doors(world).items():
        with pytest.raises(FestinaError) as refused:
            door()
        assert refused.value.name in ("bad-draft", "not-enrolled", "unknown-reviewer", "bad-statement"), name
    assert world.ledger.size == before


def test_T1_the_pages_show_an_auditor_everything_and_let_it_sign_nothing(world: World) -> None:
    site = Site(world.loop.feed(), Pass(8000), "aud")
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create(site, pages(site))), base_url="http://127.0.0.1:8000",
        headers={"cookie": f"{site.door.cookie}={site.door.session}"},
    )  # fmt: skip
    before = world.ledger.size

    async def ask() -> list[int]:
        async with client:
            assert (await client.get("/ledger")).status_code == 200
            forms = ("open", "classify", "decide", "withdraw")
            data = {"form": site.door.form, "reason": "because it is fine", "decision": "approve"}
            return [(await client.post(f"/review/0/{each}", data=data)).status_code for each in forms]

    codes = asyncio.run(ask())
    site.feed.ledger.close()
    assert min(codes) >= 400
    world.ledger.refresh()
    assert world.ledger.size == before


@given(st.text(max_size=200))
def test_L2_hostile_text_is_an_auditors_note_or_an_error(text: str) -> None:
    with pytest.raises((IntegrityError, UsageError)):
        read(text, "aud", b"k" * 32)


def test_L2_a_note_reads_back_and_under_another_name_it_does_not(tmp_path: Path) -> None:
    key = LocalKey.create(tmp_path / "k", "auditor")
    said = Said("festina.local/toy", 7, b"r" * 32, 3, None, "a" * 64)
    note = sign(said, "aud", key)
    assert read(note, "aud", key.public) == said
    with pytest.raises(IntegrityError):
        read(note, "eve", key.public)
    (tmp_path / "f").write_text(json.dumps({"auditor": "a", "note": 3, "text": "t"}))
    with pytest.raises(UsageError, match="no auditor's file"):
        _handed(tmp_path / "f")
