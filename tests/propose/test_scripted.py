"""P-5, V-7: patches that are already written are handed out in order, each once."""

from __future__ import annotations

import json

import pytest

from festina.errors import UsageError
from festina.propose.scripted import Scripted
from festina.propose.types import Budget, NoProposal, Proposal

from .boxes import row, view

A, B, C = (b"diff --git a/%c b/%c\n" % (name, name) for name in b"abc")


def all_of(scripted, history=()):
    found = []
    while isinstance(made := scripted.propose(view("t", history=history), Budget()), Proposal):
        found.append((made.author, made.patch))
    assert made.exhausted
    return found


def test_P5_every_patch_keeps_its_author_and_comes_once():
    patches = [("person:ann", A), ("person:bo", B), ("person:ann", C)]
    assert all_of(Scripted(patches)) == patches
    assert Scripted(patches).author == "scripted"
    assert Scripted(patches[:1]).author == "person:ann"  # the loop tells people's queues by it


def test_P5_a_restarted_engine_goes_on_after_what_the_history_shows():
    patches = [("person:ann", A), ("person:bo", B), ("person:ann", C)]
    rows = [row(1, author="person:ann"), row(2, author="person:bo")]
    assert all_of(Scripted(patches), rows) == patches[2:]


def test_V7_planted_patches_need_no_history_to_advance():
    assert len(all_of(Scripted([("planted:x", A)] * 3))) == 3
    assert len(all_of(Scripted([("planted:x", A)] * 3, start=2))) == 1


def test_P6_a_patch_file_brings_its_reason_or_a_plan_beside_it(tmp_path):
    (tmp_path / "1.patch").write_bytes(b"Subject: faster\n\nBecause\x1b[2J.\n---\n" + A)
    (tmp_path / "2.patch").write_bytes(B)
    (tmp_path / "2.json").write_text(json.dumps({"rationale": "r", "weakness": "w", "predicted": 1}))
    scripted = Scripted.from_files(sorted(tmp_path.glob("*.patch")), "person:ann")
    first, second = (scripted.propose(view("t"), Budget()) for _ in range(2))
    assert first.patch == A
    assert first.rationale == "Subject: faster\n\nBecause<U+001B>[2J.\n---"
    assert (second.rationale, second.weakness, second.predicted) == ("r", "w", 1.0)
    assert isinstance(scripted.propose(view("t"), Budget()), NoProposal)


@pytest.mark.parametrize("data", [b"", b"no diff here", b"x diff --git a/a b/a"])
def test_a_file_without_a_diff_is_named(tmp_path, data):
    (tmp_path / "bad.patch").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        Scripted.from_files([tmp_path / "bad.patch"], "person:ann")
    assert caught.value.name == "patch-unreadable"
    assert "bad.patch" in caught.value.where
