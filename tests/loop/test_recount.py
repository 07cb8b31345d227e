"""Every number of every verdict follows from the entries before it, and what does not is named.  # S-4, S-5, L-1"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.canonical import canonical
from festina.ledger.copies import export
from festina.ledger.record import Record
from festina.loop import terms
from festina.loop.engine import Options, run
from festina.loop.recount import recount
from festina.verify.account import Account
from tests.loop.commandline import festina
from tests.loop.forging import Mutate, edited, ledger_of, signed_again, wrong
from tests.loop.invariants import read
from tests.loop.paper import PaperLoop
from tests.toy import Toy, make_toy

# -- the two sets of books agree, in every mode ---------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(["fresh", "fdr", "sealed", "ledger", "metric"]), st.integers(0, 2),
    st.integers(0, 1), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.2]), st.integers(1, 3),
)  # fmt: skip
def test_S5_the_verifiers_books_give_every_number_that_the_loop_recorded(
    seed, mode, guards, judges, plant, share, at_once
):
    loop = PaperLoop(
        seed, proposals=6, guards=guards * (mode != "metric"), judges=judges * (mode != "metric"), plant=plant,
        share=share,
        mode="fresh" if mode == "fdr" else mode, error="fdr" if mode == "fdr" else "familywise",
        at_once=at_once if mode in ("fresh", "fdr") else 1,
    )  # fmt: skip
    loop.begin()
    loop.run()
    loop.start_run()
    loop.run()
    account = Account()
    assert [row for record in loop.records for row in account.see(record)] == []
    assert account.budget == loop.state.budget
    assert account.noise == loop.state.noise
    assert account.noise.tests == 0 or mode in ("fresh", "fdr")  # nothing passes from test to test on shared items
    assert account.verdicts == sum(record.kind == "verdict" for record in loop.records)


def test_S5_a_ledger_goes_on_under_the_rule_that_its_epoch_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy(tmp_path, notes=True)
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    with monkeypatch.context() as older:
        older.setattr(terms, "RULE", 2)
        run(toy.root, Options(proposals=1, workers=2))
    run(toy.root, Options(proposals=1, workers=2))
    _, records = read(toy.root)
    assert [r.body.rule for r in records if r.kind == "epoch-opened"] == [2]
    opened = [r.body for r in records if r.kind == "test-opened"]
    assert len(opened) >= 2
    assert {(t.noise_tests, t.noise_squares) for t in opened} == {(0, 0.0)}
    assert recount(ledger_of(toy)).ok


# -- ledgers that are signed by the right keys and say something else -----------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A real run with a guard and public items: two proposals, the first one accepted."""
    guard = '[guard.small]\nscorer = "scoring:small"\nrange = [0, 1]\ndirection = "higher"\nmax_loss = 0.3\n'
    toy = make_toy(tmp_path_factory.mktemp("recount"), extra=guard, public=30, notes=True)
    found = festina("run", "--proposals", "2", "--workers", "2", toy=toy)
    assert found.returncode in (0, 4), found.stderr
    return toy


def test_S4_L1_an_honest_ledger_is_made_again_also_from_its_copies(toy: Toy, tmp_path: Path) -> None:
    found = recount(ledger_of(toy))
    assert found.ok, found.mismatches
    assert found.verdicts >= 2
    assert len(found.notes) == 1, "nothing but the scores themselves is taken as recorded"
    export(ledger_of(toy), tmp_path / "files", public=True)
    result = festina("ledger", "verify", str(tmp_path / "files"), "--verdicts", "--json", toy=toy)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["verdicts"] == {
        "ok": True, "verdicts": found.verdicts, "batches": found.batches, "mismatches": [],
        "not_made_again": list(found.notes), "control_log_evidence": found.control, "planted": None,
    }  # fmt: skip


def dropped(kind: str) -> Mutate:
    """Leave out the first batch, intent and result, and number the later ones of its test anew."""

    def mutate(number: int, record: Record) -> e.Body | None:
        body = record.body
        if getattr(body, "test", None) != 0 or not hasattr(body, "batch"):
            return body
        return None if body.batch == 0 else body.model_copy(update={"batch": body.batch - 1})

    return mutate


def turned_round() -> Mutate:
    """Turn round the first batch that is another one backwards: the two units of the first may score the same."""
    done = [False]

    def mutate(number: int, record: Record) -> e.Body:
        body = record.body
        if done[0] or not isinstance(body, e.BatchEnded) or body.gain == body.gain[::-1]:
            return body
        done[0] = True
        return body.model_copy(update={"gain": body.gain[::-1], "guards": tuple(g[::-1] for g in body.guards)})

    return mutate


def bit(x: float) -> float:
    return math.nextafter(x, 2.0)


def better(body: e.Verdict) -> dict[str, object]:
    assert body.interval is not None
    return {"interval": (body.interval[0] + 0.01, body.interval[1])}


#: They follow from signatures, so they give away a ledger that was written anew; the tests below do without.
SEEDS = {("batch-started", "seeds"), ("batch-ended", "seeds"), ("control-ended", "seeds")}
FORGERIES: dict[str, tuple[Mutate, tuple[str, str]]] = {
    "one bit of a score": (
        edited("batch-ended", lambda b: {"gain": (bit(b.gain[0]), *b.gain[1:])}), ("batch-ended", "gain")
    ),
    "units in another order": (turned_round(), ("batch-ended", "gain")),
    "a guard's difference": (
        edited("batch-ended", lambda b: {"guards": tuple(tuple(bit(x) for x in g) for g in b.guards)}),
        ("batch-ended", "guards"),
    ),
    "a unit without its guard": (
        edited("batch-ended", lambda b: {"guards": tuple(g[:-1] for g in b.guards)}), ("batch-ended", "units")
    ),
    "a difference out of range": (
        edited("batch-ended", lambda b: {"gain": (1.5, *b.gain[1:])}), ("batch-ended", "range")
    ),
    "a better interval": (edited("verdict", better), ("verdict", "interval")),
    "a better estimate": (edited("verdict", lambda b: {"estimate": bit(b.estimate)}), ("verdict", "estimate")),
    "more evidence": (edited("verdict", lambda b: {"log_evidence": 50.0}), ("verdict", "log_evidence")),
    "an extra refund": (edited("verdict", lambda b: {"alpha_left": bit(b.alpha_left)}), ("verdict", "alpha_left")),
    "another sentence": (edited("verdict", lambda b: {"sentence": b.sentence + "!"}), ("verdict", "sentence")),
    "another reason": (
        edited("verdict", lambda b: {"verdict": "inconclusive", "reason": "cap"}), ("verdict", "reason")
    ),
    "not provisional": (edited("verdict", lambda b: {"provisional": True}), ("verdict", "provisional")),
    "a level of another epoch": (edited("test-opened", lambda b: {"level": b.level * 2}), ("test-opened", "level")),
    "a dropped batch": (dropped("batch"), ("verdict", "units")),
    "a public gain": (
        edited("public-compared", lambda b: {"public": (b.public[0] + 0.01, *b.public[1:])}),
        ("public-compared", "public"),
    ),
    "fewer failed runs": (edited("batch-ended", lambda b: {"failed": b.failed + 1}), ("batch-ended", "failed")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_S4_a_number_that_does_not_follow_is_named_though_the_right_keys_signed_it(toy, tmp_path, name) -> None:
    mutate, (kind, field) = FORGERIES[name]
    path = signed_again(toy, tmp_path / "forged.db", mutate)
    assert verify(path).ok, "positive control: signatures, hashes and order are all right"
    assert (kind, field) in wrong(recount(path)) - SEEDS


def test_S4_positive_control_nothing_but_seeds_differ_where_no_number_was_changed(toy: Toy, tmp_path: Path) -> None:
    path = signed_again(toy, tmp_path / "again.db", edited("run-started", lambda b: {"wall_s": b.wall_s + 1.0}))
    assert wrong(recount(path)) == SEEDS


def test_S4_the_command_names_entry_field_and_both_values_and_exits_6(toy: Toy, tmp_path: Path) -> None:
    path = signed_again(toy, tmp_path / "forged.db", edited("verdict", better))
    assert festina("ledger", "verify", str(path), toy=toy).returncode == 0
    result = festina("ledger", "verify", str(path), "--verdicts", toy=toy)
    assert result.returncode == 6
    assert "WRONG entry" in result.stdout
    assert "verdict: interval is (" in result.stdout


def test_L1_entries_that_are_older_than_a_field_still_verify_and_fold(toy: Toy, tmp_path: Path) -> None:
    """A ledger from before a field existed holds entries without it."""

    def mutate(number: int, record: Record) -> e.Body:
        body = record.body
        if not isinstance(body, e.EpochOpened):
            return body
        kept = body.model_dump(mode="json", exclude={"error", "judges", "goal_family"})
        return e.EpochOpened.model_validate_json(canonical(kept))

    path = signed_again(toy, tmp_path / "old.db", mutate)
    assert verify(path).ok
    found = recount(path)
    assert wrong(found) == SEEDS, [row for row in found.mismatches if row.field != "seeds"]


def test_V7_nothing_gives_a_level_back_but_what_was_sealed_as_planted_before_it_was_judged() -> None:
    """An engine that calls a rejected change a plant afterwards would get its error budget back."""
    loops = (played(PaperLoop(seed, proposals=8, plant=0.6)) for seed in range(20))
    loop, reveal = next((loop, r) for loop in loops for r in loop.records if r.kind == "plant-revealed")
    account = Account()
    for record in loop.records[: reveal.seq]:
        account.take(record)
    body = reveal.body
    assert isinstance(body, e.PlantRevealed)
    other = next(r for r in loop.records if r.kind == "proposal-received" and r.body.proposal != body.proposal)
    for change in ({"salt": "0" * 64}, {"proposal": other.body.proposal, "received": other.seq}):
        with pytest.raises(IntegrityError):
            account.take(replace(reveal, body=body.model_copy(update=change)))
    account.take(reveal)  # positive control


def played(loop: PaperLoop) -> PaperLoop:
    loop.begin()
    loop.run()
    return loop
