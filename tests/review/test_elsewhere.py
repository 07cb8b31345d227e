"""Reviewing away from the engine's home: files out, signed statements back, and what nobody can do with them."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from string import ascii_letters, digits

import pytest
from click.testing import CliRunner

from festina.cli.review_files import sign as sign_command
from festina.errors import FestinaError, IntegrityError
from festina.ledger.audit import verify
from festina.ledger.log import Draft
from festina.loop import elsewhere, reviews
from festina.loop.state import fold
from festina.review import away
from festina.review.questions import question
from tests.review.desk_world import REASON, World


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(FestinaError) as caught:
        act()
    return caught.value.name


def export(world: World) -> bytes:
    return elsewhere.export(world, 0, "ann", now=world.now)


def first(data: bytes, *, right: bool = True) -> bytes:
    terms, _, whole = away.unpacked(data)
    true = question(whole["patch"].encode(), terms.binding).right
    answer = str(true + 1 if right else (true + 1) % 3 + 1)
    return elsewhere.sign(data, classification="sound", cite="main.py:5", answer=answer, predicted=0.5)


def final(data: bytes, *, approve: bool = True) -> bytes:
    word = "sound" if approve else "scope"
    return elsewhere.sign(data, classification=word, approve=approve, reason=REASON)


def take(world: World, data: bytes) -> None:
    elsewhere.take_in(world, data, now=world.now)


def judged(world: World) -> bytes:
    """A first judgement was brought in; the file with the evidence."""
    data = export(world)
    world.wait(3600)
    take(world, first(data))
    return export(world)


def test_T1_a_review_is_made_with_two_files_and_needs_no_home(world: World) -> None:
    data = export(world)
    assert b"trust me" not in data
    assert b"better by 0.5" not in data
    assert refused(lambda: final(data)) == "classify-first"
    assert refused(lambda: take(world, first(data))) == "too-soon"  # the clock runs since the file was written
    world.wait(3600)
    take(world, first(data))
    seen = export(world)
    assert b"trust me" in seen
    take(world, final(seen))
    world.wait(700)
    assert world.settle() == (0,)
    assert world.state.generations[1].approved == 0
    assert verify(world.home.ledger).ok
    assert fold(world.ledger.records()).generations[1].approved == 0


def test_R2_a_wrong_answer_is_told_in_the_file_and_asks_for_the_reading_time_once_more(world: World) -> None:
    data = export(world)
    world.wait(3600)
    take(world, first(data, right=False))
    seen = export(world)
    assert "WRONG; right is: " in json.loads(seen)["answered"]
    assert refused(lambda: take(world, final(seen))) == "read-again"
    world.wait(87)
    take(world, final(seen))


def test_R1_a_statement_counts_once_and_in_nobody_elses_name(world: World) -> None:
    statement = final(judged(world))
    take(world, statement)
    world.step("withdraw", 0, "ann")
    assert refused(lambda: take(world, statement)) == "replayed"
    brought = json.loads(statement)["signed"]
    body = next(r.body for r in world.ledger.records() if r.kind == "review-brought" and "decided" in r.body.step)
    world.put(Draft(body))  # forged by who holds the engine's key: recorded without effect
    assert world.state.ignored[-1][2] == "replayed"
    assert world.state.reviews[0].seats["ann"].decision is None
    forged = json.loads(statement)
    forged["signed"]["statement"] = brought["statement"].replace('"ann"', '"bob"')
    assert refused(lambda: take(world, json.dumps(forged).encode())) == "not-enrolled"
    forged["signed"]["statement"] = brought["statement"].replace('"approve"', '"deny"')
    assert refused(lambda: take(world, json.dumps(forged).encode())) == "bad-signature"
    forged = json.loads(statement) | {"text": "something else that nobody signed"}
    world.state.brought.clear()
    assert refused(lambda: take(world, json.dumps(forged).encode())) == "bad-statement"


def test_R1_the_same_signature_written_otherwise_brings_no_decision_back(world: World) -> None:
    statement = final(judged(world))
    take(world, statement)
    world.step("withdraw", 0, "ann")
    again = json.loads(statement)
    sig = again["signed"]["sig"]
    other = next(
        each for each in (f"{sig[:-3]}{last}==" for last in ascii_letters + digits)
        if each != sig and b64decode(each) == b64decode(sig)
    )  # fmt: skip
    again["signed"]["sig"] = other
    assert refused(lambda: take(world, json.dumps(again).encode())) == "bad-signature"
    body = next(r.body for r in world.ledger.records() if r.kind == "review-brought" and "decided" in r.body.step)
    world.put(Draft(body.model_copy(update={"sig": other})))  # forged by who holds the engine's key
    assert world.state.ignored[-1][2] == "bad-signature"
    assert world.state.reviews[0].seats["ann"].decision is None


def test_R1_a_file_whose_patch_was_exchanged_is_not_signed(world: World) -> None:
    whole = json.loads(export(world))
    whole["patch"] += "+and more\n"
    with pytest.raises(IntegrityError, match="not the one"):
        first(json.dumps(whole).encode())
    assert refused(lambda: first(b"{}")) == "no-review-file"
    assert refused(lambda: take(world, b"[]")) == "no-statement"


def test_R1_a_statement_about_other_terms_is_refused(world: World) -> None:
    whole = json.loads(export(world))
    whole["terms"]["evidence"] = "f" * 64
    assert refused(lambda: first(json.dumps(whole).encode())) == "binding-differs"


def test_T5_the_command_shows_a_file_with_nothing_hidden_and_signs_it(world: World, tmp_path: Path) -> None:
    file, out = tmp_path / "review.json", tmp_path / "signed.json"
    file.write_bytes(export(world))
    shown = CliRunner().invoke(sign_command, [str(file)])
    assert "total = total + x * 1" in shown.output
    assert "Sign: --first" in shown.output
    options = ["--first", "sound", "--cite", "main.py:5", "--answer", "1", "--predict", "0.5", "--out", str(out)]
    done = CliRunner().invoke(sign_command, [str(file), *options])
    assert done.exit_code == 0, done.output
    world.wait(3600)
    take(world, out.read_bytes())
    assert reviews.stage(world.state, 0, "ann") == "classified"
