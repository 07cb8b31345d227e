"""T-3, T-5, T-6: what an untrusted proposing run left is read strictly, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault
from festina.propose import harvest as room
from festina.propose.harvest import harvest
from festina.propose.types import NoProposal, Proposal
from festina.sandbox.job import Ended, Level, Outcome

PATCH = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n"


def left(outputs=None, ended=Ended.OK, code=0, signal=None):
    return Outcome(ended, code, signal, 1.5, 1.0, None, outputs or {}, b"", b"", (), Level.L3, (), "0" * 64)


def refused(outputs) -> str:
    found = harvest(left(outputs), "own")
    assert isinstance(found, NoProposal), found
    assert not found.exhausted
    return found.reason


def test_P6_a_patch_with_its_plan_is_a_proposal():
    plan = {"rationale": "why", "weakness": "slow", "predicted": 0.25, "seen": [1]}
    found = harvest(left({"proposal.patch": PATCH, "proposal.json": json.dumps(plan).encode()}), "own")
    assert found == Proposal("own", PATCH, None, "why", "slow", 0.25, 1.5, 1.0)


def test_P3_several_changed_and_deleted_files_are_one_proposal():
    outputs = {"files/a.py": b"1", "files/m/b.py": b"", "delete.json": b'["old.py"]', "scratch.txt": b"ignored"}
    found = harvest(left(outputs), "own")
    assert isinstance(found, Proposal)
    assert found.files == {"a.py": b"1", "m/b.py": b"", "old.py": None}
    assert found.patch is None


def test_P1_patch_and_files_together_are_refused():
    assert "exactly one" in refused({"proposal.patch": PATCH, "files/a": b""})
    assert "exactly one" in refused({"proposal.patch": PATCH, "delete.json": b"[]"})


@pytest.mark.parametrize("outputs", [{}, {"proposal.diff": PATCH}, {"proposal.patch": b""}, {"proposal.patch": b" \n"}])
def test_T6_nothing_left_is_no_proposal(outputs):
    assert refused(outputs).startswith("the improver ended well and handed in no change")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", ".git/hooks/post-commit", ".GIT/config", "a\u202eb",
     "a\x00b", "a\nb",
     "a\u200b.py", "x/.git\u200c/config", "\udcff", "", "a/", "c:\\x", "a" * 5000, "sub/.git"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["files", "delete"])
def test_T5_hostile_names_are_refused_and_never_quoted(name, where):
    outputs = {f"files/{name}": b""} if where == "files" else {"delete.json": json.dumps([name]).encode()}
    reason = refused(outputs)
    assert reason.isascii()
    assert len(reason) < 200


@pytest.mark.parametrize(
    "plan",
    [b"[]", b"{", b'{"predicted": NaN}', b'{"predicted": Infinity}', b'{"predicted": 1e999}', b'{"predicted": "1"}',
     b'{"predicted": true}', b'{"predicted": 1e300}', b'{"rationale": 3}', b'{"rationale": "a", "rationale": "b"}',
     b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"predicted": ' + b"9" * 5000 + b"}", b"\xff",
     b'{"rationale": "\\ud800"}',
     b'{"exhausted": 1}', b'{"weakness": "' + b"a" * 100_000 + b'"}', b"{} {}", b""],
)  # fmt: skip
def test_T6_a_malformed_plan_refuses_the_proposal(plan):
    assert refused({"proposal.patch": PATCH, "proposal.json": plan}).startswith("refused: proposal.json")


@pytest.mark.parametrize(
    "outputs",
    [{"proposal.patch": b"x" * (room.MAX_PATCH_BYTES + 1)}, {"files/a": b"x" * (room.MAX_FILE_BYTES + 1)},
     {f"files/{i}": b"" for i in range(room.MAX_FILES + 1)}, {f"files/{i}": b"x" * (1 << 20) for i in range(5)},
     {"delete.json": json.dumps([f"f{i}" for i in range(room.MAX_FILES + 1)]).encode()},
     {"files/a": b"", "delete.json": b'["a"]'}, {"delete.json": b'["a", "a"]'}, {"delete.json": b'{"a": 1}'},
     {"delete.json": b'["a", 1]'}],
)  # fmt: skip
def test_T3_everything_has_a_cap_and_a_form(outputs):
    assert refused(outputs).startswith("refused")


def test_T5_text_is_made_visible_and_cut_before_anyone_sees_it():
    plan = {"rationale": "safe\u202eevil" + "x" * 9000, "weakness": "\x1b[2J"}
    found = harvest(left({"proposal.patch": PATCH, "proposal.json": json.dumps(plan).encode()}), "own")
    assert found.rationale.startswith("safe<U+202E>evil")
    assert len(found.rationale) <= room.MAX_TEXT + 1
    assert found.weakness == "<U+001B>[2J"


def test_P5_a_claimed_author_changes_nothing():
    outputs = {"proposal.patch": PATCH, "proposal.json": b'{"author": "person:alice", "from_generation": 9}'}
    assert harvest(left(outputs), "own").author == "own"


@pytest.mark.parametrize("ended", [ended for ended in Ended if ended not in (Ended.OK, Ended.SANDBOX_ERROR)])
def test_T6_a_run_that_did_not_end_well_proposes_nothing(ended):
    found = harvest(left({"proposal.patch": PATCH}, ended, code=3, signal=9), "own")
    assert isinstance(found, NoProposal)
    assert (found.wall_s, found.cpu_s) == (1.5, 1.0)


def test_T6_the_sandboxs_own_failure_is_a_fault_and_never_the_improvers():
    with pytest.raises(Fault) as caught:
        harvest(left({"proposal.patch": PATCH}, Ended.SANDBOX_ERROR), "own")
    assert caught.value.name == "sandbox-error"


def test_an_improver_can_say_that_it_has_nothing_more():
    found = harvest(left({"proposal.json": b'{"exhausted": true}'}), "own")
    assert isinstance(found, NoProposal)
    assert found.exhausted


NAMES = st.sampled_from(["proposal.patch", "proposal.json", "delete.json", "files/a", "files/b/c"]) | st.text(
    max_size=20
)


@given(st.dictionaries(NAMES, st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b'["a"]', PATCH]), max_size=5))
def test_T3_whatever_was_left_gives_one_sound_value_and_never_raises(outputs):
    found = harvest(left(outputs), "own")
    if isinstance(found, Proposal):
        assert (found.patch is None) != (found.files is None)
        assert found.patch or found.files
    else:
        assert found.reason.isascii()
