"""An engine that lies about numbers gets no signature: real verifier, real ledger, the engine's own key.  # T-1, S-4

Every lie has the honest statement beside it, which is signed. The lies are made with all that an engine has: the
ledger, its key, every receipt that it was ever given.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft, Ledger
from festina.ledger.seeds import unit_seed
from festina.ledger.signing import LocalKey, pae
from festina.ledger.statement import PAYLOAD_TYPE, decode, unseal
from festina.select import planning
from festina.select.budget import Budget
from festina.select.pairing import mean
from festina.verify.account import Account
from festina.verify.verdicts import compose, plan_of
from tests.verify.home import Home, answers, right, suite

START, TREE, OTHER = "1" * 40, "2" * 40, "3" * 40
UNITS = 8


class Engine:
    """Opens a ledger and a test like the real one; ``books`` are what it writes its own entries from."""

    def __init__(self, base: Path) -> None:
        self.home = Home(base)
        self.terms = suite(source=self.home.vault.describe("hidden").digest, detect=0.5, max_units=80)
        self.verifier = self.home.start(self.terms)
        key = LocalKey.create(base / "state" / "keys" / "engine.pem", "engine")
        text = [base64.b64encode(public).decode() for public in (key.public, self.home.local.public)]
        first = e.Genesis(
            origin="festina.local/toy-00000001", system="toy", engine_key=text[0], verifier_key=text[1], alpha=0.05,
            demo=False, version="0", schema_number=1,
        )  # fmt: skip
        self.ledger = Ledger.create(base / "ledger.db", first, signers={"engine": key})
        self.verifier.follow(lambda start: (record.envelope for record in self.ledger.records(start)))
        self.books = Account()
        for record in self.ledger.records():
            self.books.take(record)
        self.epoch = e.EpochOpened(
            epoch=0, reason="first", start_commit=START, start_tree=START, anchor_tree=START, manifest="0" * 64,
            evaluator="0" * 64, alpha=0.05, beta=0.1, spread=50.0, suite=self.terms, guards=(),
            autonomy="release-by-approval", debt_generations=3, debt_lines=100, min_level=2,
        )  # fmt: skip
        self.put(
            self.epoch,
            e.RunStarted(
                run="r", improver="own", frozen_improver=False, wall_s=60.0, trials=1000, proposals=5, sandbox_level=3,
                sandbox_missing=(), sandbox_policy="0" * 64, separated_uids=True,
            ),
            e.LineIntent(move=0, cause="start", generation=0, old_commit=None, new_commit=START, proposal=None),
            e.LineMoved(move=0, generation=0, commit=START),
        )  # fmt: skip

    def put(self, *bodies: e.Body, shown: object = None) -> None:
        signer = self.verifier.signer.showing(shown)
        drafts = [Draft(body, signer=signer if body.role == "verifier" else None) for body in bodies]
        for record in self.ledger.append(drafts):
            self.books.take(record)

    def open_test(self, number: int, tree: str) -> None:
        budget = self.books.budget
        assert isinstance(budget, Budget)
        opened = e.TestOpened(
            test=number, proposal=number, tree=tree, base_commit=START, anchor_tree=START, level=budget.next_level(),
            block=0, units_max=self.terms.max_units, units_min_accept=0,
        )  # fmt: skip
        least = planning.units_min_accept(plan_of(self.epoch, opened))
        self.put(
            e.ProposalRequested(
                proposal=number, attempt=1, improver="own", from_generation=0, from_commit=START, base_commit=START,
                seed=1,
            ),
            e.Screened(
                proposal=number, result="passed", reason="", detail=None, guard_change=False, base_commit=START,
                tree=tree, changed_files=1, changed_lines=1, improver_changed=False,
            ),
            opened.model_copy(update={"units_min_accept": least}),
        )  # fmt: skip

    def run_batch(self, test: int, *, know: float = 1.0) -> tuple[e.BatchEnded, list[Any]]:
        """Real draws and scores of a candidate that knows a share of the answers and an incumbent that knows none."""
        t = self.books.test(test)
        seeds = [unit_seed(t.leaf, t.batches, i) for i in range(UNITS)]
        self.put(
            e.BatchStarted(
                test=test, batch=t.batches, attempt=1, units=UNITS, trials=2 * UNITS, items=40 * UNITS,
                seeds=hashlib.sha256(canonical(seeds)).hexdigest(),
            )
        )  # fmt: skip
        shown, means = [], []
        for seed in seeds:
            issued = self.verifier.draw(seed, 40, first=0)
            lines = answers(issued.inputs, right).splitlines(True)
            unit = [
                self.scored("candidate", issued.batch_id, b"".join(lines[: int(know * 40)])),
                self.scored("incumbent", issued.batch_id, b""),
            ]
            shown.append(unit)
            means.append([row[2] for row in unit])
        ended = e.BatchEnded(
            test=test, batch=t.batches, gain=tuple(one - other for one, other in means), guards=(),
            candidate_mean=mean([one for one, _ in means]), incumbent_mean=mean([other for _, other in means]),
            failed=0, denied=0, details="0" * 64,
        )  # fmt: skip
        return ended, shown

    def decided(self, test: int, *, know: float = 1.0) -> e.Verdict:
        """Batches until the rule decides, and the honest verdict."""
        while self.books.test(test).progress.outcome == "continue":
            ended, shown = self.run_batch(test, know=know)
            self.put(ended, shown=shown)
        return self.verdict(test)

    def kill(self) -> None:
        pid = self.verifier.pid
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

    def scored(self, role: str, batch: str, output: bytes) -> list[Any]:
        found = self.verifier.score(batch, output, role)
        return [role, batch, found.mean, list(found.guards), found.failed, found.receipt]

    def verdict(self, test: int) -> e.Verdict:
        t, budget = self.books.test(test), self.books.budget
        assert budget is not None
        word = ("accept", "shown") if t.progress.outcome == "accept" else ("reject", "futile")
        return compose(
            t, self.epoch, budget, 0.05, "familywise", word=word[0], reason=word[1], provisional=False  # type: ignore[arg-type]
        )

    def refuses(self, body: e.Body, shown: object = None) -> str:
        """What the verifier says to a lie; nothing of it is in the ledger."""
        size = self.ledger.size
        with pytest.raises(IntegrityError) as caught:
            self.put(body, shown=shown)
        assert caught.value.name in ("not-signed", "not-a-receipt")
        assert self.ledger.size == size
        return caught.value.what


@pytest.fixture
def engine(tmp_path: Path):
    made = Engine(tmp_path)
    yield made
    made.ledger.close()
    made.home.close()


def better(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    return ended.model_copy(update={"gain": (ended.gain[0] + 0.01, *ended.gain[1:])}), shown


def swapped(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    """The incumbent's bad score under the candidate's name, and the other way round."""
    units = [[["candidate", *b[1:]], ["incumbent", *a[1:]]] for a, b in shown]
    return ended.model_copy(update={"gain": tuple(-x for x in ended.gain)}), units


def invented(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    units = [[[*a[:2], 1.0, *a[3:]], b] for a, b in shown]
    return ended.model_copy(update={"gain": (1.0,) * UNITS, "candidate_mean": 1.0}), units


def one_unit_often(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    return ended.model_copy(update={"gain": ended.gain[:1] * UNITS}), shown[:1] * UNITS


def chosen(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    """The same numbers in an order that stops sooner."""
    return ended.model_copy(update={"gain": ended.gain[::-1]}), shown[::-1]


def bare(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    return ended, None


def odd(ended: e.BatchEnded, shown: list[Any]) -> tuple[e.BatchEnded, object]:
    return ended, [[["candidate", {}, "x"]]] * UNITS


def test_T1_differences_that_do_not_follow_from_the_verifiers_own_scores_are_not_signed(engine: Engine) -> None:
    engine.open_test(0, TREE)
    ended, shown = engine.run_batch(0, know=0.6)
    for lie in (better, swapped, invented, one_unit_often, chosen, bare, odd):
        engine.refuses(*lie(ended, shown))
    engine.put(ended, shown=shown)  # positive control


def test_T1_scores_for_another_batch_role_or_suite_count_for_nothing(engine: Engine) -> None:
    engine.open_test(0, TREE)
    ended, shown = engine.run_batch(0, know=0.6)
    engine.put(ended, shown=shown)
    again, fresh = engine.run_batch(0, know=0.6)
    said = engine.refuses(again, [[old[0], new[1]] for old, new in zip(shown, fresh, strict=True)])
    assert "answered different items" in said
    engine.refuses(again.model_copy(update={"gain": ended.gain}), shown)  # an earlier batch once more
    with engine.home.start(engine.terms.model_copy(update={"direction": "lower"})) as lenient:  # other terms, same key
        found = lenient.score(fresh[0][0][1], b"", "candidate")
        row = ["candidate", fresh[0][0][1], found.mean, [], found.failed, found.receipt]
        said = engine.refuses(again, [[row, fresh[0][1]], *fresh[1:]])
        assert "did not give" in said
    engine.put(again, shown=fresh)


VERDICT_LIES: dict[str, Callable[[e.Verdict], dict[str, object]]] = {
    "interval": lambda v: {"interval": (0.9, 1.0)},
    "estimate": lambda v: {"estimate": 0.5},
    "sentence": lambda v: {"sentence": v.sentence + " Trust it."},
    "units": lambda v: {"units": v.units + 1},
    "alpha_left": lambda v: {"alpha_left": 0.06},
    "tree": lambda v: {"tree": OTHER},
    "sentence ": lambda v: {"verdict": "inconclusive", "reason": "cap"},
    "provisional": lambda v: {"provisional": True},
}


def test_T1_S4_a_verdict_with_another_number_is_not_signed(engine: Engine) -> None:
    engine.open_test(0, TREE)
    verdict = engine.decided(0)
    for field, lie in VERDICT_LIES.items():
        assert f"verdict: {field}" in engine.refuses(verdict.model_copy(update=lie(verdict)))
    engine.put(verdict)


def test_T1_no_acceptance_is_signed_before_the_evidence_is_there(engine: Engine) -> None:
    engine.open_test(0, TREE)
    ended, shown = engine.run_batch(0, know=0.1)
    engine.put(ended, shown=shown)
    t, budget = engine.books.test(0), engine.books.budget
    assert budget is not None
    early = compose(
        t, engine.epoch, budget, 0.05, "familywise", word="accept", reason="shown", provisional=False
    )
    assert "verdict" in engine.refuses(early)


def test_T1_an_old_verdict_is_not_signed_again_for_another_tree(engine: Engine) -> None:
    engine.open_test(0, TREE)
    engine.put(engine.decided(0))
    old = [record for record in engine.ledger.records() if record.kind == "verdict"][-1]
    signer = engine.verifier.signer
    engine.open_test(1, OTHER)
    ended, shown = engine.run_batch(1)
    engine.put(ended, shown=shown)
    with pytest.raises(IntegrityError, match="another entry than the last one"):
        signer.sign(pae(PAYLOAD_TYPE, unseal(old.envelope)[0]))  # the very same statement
    assert isinstance(old.body, e.Verdict)
    said = engine.refuses(old.body.model_copy(update={"test": 1, "proposal": 1, "tree": OTHER}))
    assert "verdict" in said


def test_T1_the_verifier_knows_its_numbers_again_after_a_restart(engine: Engine) -> None:
    engine.open_test(0, TREE)
    ended, shown = engine.run_batch(0, know=0.6)
    engine.kill()
    engine.refuses(*better(ended, shown))
    engine.put(ended, shown=shown)
    engine.kill()
    engine.put(engine.decided(0, know=0.6))


def test_T1_controls_are_not_called_passed_without_the_verifiers_word(engine: Engine) -> None:
    body = e.ControlsChecked(run="r", constant=0.0, random=0.0, oracle=1.0, incumbent=0.0, ok=True, note="")
    engine.refuses(body)
    engine.refuses(body, [[[0.0, 0.0, 1.0, "0" * 64]], ["incumbent", "x", 0.0, [], 0, "0" * 64]])
    seen, issued = engine.verifier.controls(1, 40), engine.verifier.draw(1, 40, first=0)
    side = engine.scored("incumbent", issued.batch_id, b"")
    shown = [[[seen.constant, seen.random, seen.oracle, seen.receipt]], side]
    honest = body.model_copy(update={"constant": seen.constant, "random": seen.random, "oracle": seen.oracle})
    engine.refuses(honest.model_copy(update={"incumbent": 0.5}), shown)
    engine.put(honest, shown=shown)


def test_T1_history_that_does_not_hang_together_is_not_signed_on(engine: Engine) -> None:
    """An engine that keeps one ledger for the verifier and another one for everybody else."""
    envelopes = [record.envelope for record in engine.ledger.records()]
    other = engine.home.start(engine.terms)
    other.follow(lambda start: (envelopes[:2] + envelopes[3:])[start:])
    data = pae(PAYLOAD_TYPE, decode(envelopes[-1]).payload.replace(b"line-moved", b"verdict"))
    with pytest.raises(IntegrityError, match="does not follow the one before it"):
        other.signer.sign(data)
    lonely = engine.home.start(engine.terms)
    with pytest.raises(UsageError) as caught:
        lonely.signer.sign(data)
    assert caught.value.name == "no-ledger-to-sign-on"
