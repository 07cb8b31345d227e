"""A small real ledger on the scratch copy: one generation accepted, waiting for its review, one reviewer enrolled.

Every entry is appended through ``Ledger`` with real keys and folded by the loop's own state, so that the attacks on
approvals and on the record meet what a run would meet. The evidence in it is made up: it is there to be attacked, and
gone with the scratch copy. The verifier's process would not sign it, so the drill signs with the scratch key.  # T-1
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import festina
from festina.drill.own.proposals import targets
from festina.drill.own.scratch import Own
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.ledger.signing import LocalKey, Signer
from festina.loop import blocks
from festina.loop.state import State
from festina.release import refs
from festina.review import desk
from festina.review.binding import binding, expiry, stamp
from festina.sandbox.job import Level
from festina.select import planning
from festina.verify.verdicts import plan_of

REASON = "the change does what it says, and nothing else"
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(slots=True)
class Staged:
    """The ledger, closed, and what the attacks need to know about it."""

    path: Path
    own: Own
    engine: LocalKey
    verifier: Signer
    reviewer: LocalKey
    enrolled: e.ReviewerEnrolled
    author: str
    good: str  # commit of the accepted generation
    other: str  # a commit that nobody tested
    terms: e.ReviewRequested
    verdict_seq: int
    state: State

    def open(self, path: Path | None = None) -> Ledger:
        return Ledger.open(path or self.path, signers={"engine": self.engine})

    def decision(self, **changes: object) -> Draft:
        """The reviewer's honest approval, with changes."""
        options: dict[str, object] = {
            "authors": [self.author], "reviewer": self.enrolled, "key": self.reviewer, "approve": True,
            "reason": REASON, "terms": self.terms, **changes,
        }  # fmt: skip
        terms = options.pop("terms")
        return desk.decision(terms, **options)  # type: ignore[arg-type]  # a drill may pass what no type allows


Act = Callable[[Staged], None]


@dataclass(frozen=True, slots=True)
class Case:
    """An act that must be refused with one of ``names``, and its counterpart that must work."""

    attack: str
    title: str
    act: Act
    names: tuple[str, ...]
    control: Act


def stage(own: Own) -> Staged:
    """Write the ledger."""
    engine = own.new_key("engine", "engine")
    verifier = own.new_key("verifier", "verifier")
    reviewer = LocalKey.create(own.place / "reviewers" / "ann.pem", "reviewer")
    genesis = e.Genesis(
        origin=own.home.origin, system="drill", engine_key=_text(engine), verifier_key=_text(verifier),
        alpha=own.epoch.alpha, demo=False, version=festina.__version__, schema_number=e.SCHEMA,
    )  # fmt: skip
    enrolled = e.ReviewerEnrolled(reviewer="ann", key=_text(reviewer), demo=False)
    good, other = _commit(own, b" "), _commit(own, b"  ")
    path = own.place / "staged.db"
    state = State()
    with Ledger.create(path, genesis, signers={"engine": engine}) as ledger:
        for record in ledger.records():
            state.apply(record)
        _write(ledger, state, Draft(own.epoch, blobs=own.epoch_blobs), Draft(enrolled))
        _begin(ledger, state, own)
        verdict_seq = _accept(ledger, state, own, good, verifier)
        terms = _ask(ledger, state, own, good)
    return Staged(
        path, own, engine, verifier, reviewer, enrolled, "person:bob:change", good, other, terms, verdict_seq, state
    )


def _text(key: Signer) -> str:
    return base64.b64encode(key.public).decode()


def _write(ledger: Ledger, state: State, *drafts: Draft) -> list[Record]:
    records = ledger.append(drafts)
    for record in records:
        state.apply(record)
    return records


def _commit(own: Own, tail: bytes) -> str:
    """A commit on the scratch copy that changes one line of a file which proposals may change."""
    t = targets(own)
    lines = t.files[t.allowed].split(b"\n")
    tree = own.repo.write_files(own.tree, {t.allowed: b"\n".join([lines[0] + tail, *lines[1:]])})
    own.repo.promote(tree)
    return own.repo.commit(tree, [own.commit], "drill\n", at=stamp(datetime.now(UTC)))


def _begin(ledger: Ledger, state: State, own: Own) -> None:
    started = e.RunStarted(
        run="drill", improver="drill", frozen_improver=False, wall_s=1.0, trials=1_000, proposals=1,
        sandbox_level=int(own.box.level), sandbox_missing=(), sandbox_policy=own.box.policy_hash, separated_uids=True,
    )  # fmt: skip
    intent = e.LineIntent(
        move=0, cause="start", generation=0, old_commit=None, new_commit=own.commit, proposal=None
    )
    _write(ledger, state, Draft(started), Draft(intent))
    refs.settle(own.repo, refs.LINE, None, own.commit)
    _write(ledger, state, Draft(e.LineMoved(move=0, generation=0, commit=own.commit)))


def open_test(ledger: Ledger, state: State, own: Own, commit: str, number: int = 0) -> e.TestOpened:
    """A proposal that passed the screen, its test, and a batch that has begun."""
    tree = own.repo.tree_of(commit)
    patch = own.repo.diff(own.tree, tree)
    digest = hashlib.sha256(patch).hexdigest()
    _write(
        ledger, state,
        Draft(e.ProposalRequested(
            proposal=number, attempt=1, improver="person:bob:change", from_generation=0, from_commit=own.commit,
            base_commit=state.head.commit, seed=1,
        )),
        Draft(e.ProposalReceived(
            proposal=number, author="person:bob:change", patch=digest, plan=None, predicted=None, exhausted=False,
            reason="", wall_s=0.0, cpu_s=0.0,
        ), blobs=(patch,)),
        Draft(e.Screened(
            proposal=number, result="passed", reason="", detail=None, guard_change=False,
            base_commit=state.head.commit, tree=tree, changed_files=1, changed_lines=2, improver_changed=False,
        )),
    )  # fmt: skip
    assert state.budget is not None
    block, first = blocks.place(state) if blocks.shared(own.epoch) else (0, 0)
    test = e.TestOpened(
        test=number, proposal=number, tree=tree, base_commit=state.head.commit, anchor_tree=own.epoch.anchor_tree,
        level=state.budget.open()[0], block=block, first_item=first, units_max=own.epoch.suite.max_units,
        units_min_accept=0, noise_tests=state.noise.tests, noise_squares=state.noise.squares,
    )  # fmt: skip
    units = planning.units_min_accept(plan_of(own.epoch, test))
    test = test.model_copy(update={"units_min_accept": units})
    _write(ledger, state, Draft(test), Draft(e.BatchStarted(
        test=number, batch=0, attempt=1, units=units, trials=2 * units, items=0, seeds=EMPTY,
    )))  # fmt: skip
    return test


def made_up(own: Own, test: e.TestOpened) -> e.BatchEnded:
    """A result that nobody measured, and that suffices for an acceptance."""
    units = test.units_min_accept
    guards = tuple((1.0,) * units for _ in own.epoch.guards)
    gains = (1.0,) * units if own.epoch.suite.assumed == "bounded" else tuple(10.0**n for n in range(units))
    return e.BatchEnded(
        test=test.test, batch=0, gain=gains, guards=guards, candidate_mean=1.0, incumbent_mean=0.0, failed=0, denied=0,
        details=EMPTY,
    )


def _accept(ledger: Ledger, state: State, own: Own, commit: str, verifier: Signer) -> int:
    """A test with made-up evidence that suffices, the verdict, and the move of the line."""
    test = open_test(ledger, state, own, commit)
    tree, units = test.tree, test.units_min_accept
    _write(ledger, state, Draft(made_up(own, test), blobs=(b"",), signer=verifier))
    verdict = e.Verdict(
        test=0, proposal=0, tree=tree, base_commit=own.commit, verdict="accept", reason="shown",
        sentence="made up for a drill", units=units, items=0, estimate=1.0, interval=(0.5, 1.0), log_evidence=10.0,
        log_threshold=7.0, guard_evidence=tuple(10.0 for _ in own.epoch.guards), alpha_spent=0.0,
        alpha_left=own.epoch.alpha, public_gain=None, assurance=own.epoch.suite.assurance,
        provisional=own.epoch.min_level < int(Level.L2),
    )  # fmt: skip
    intent = e.LineIntent(
        move=1, cause="accept", generation=1, old_commit=own.commit, new_commit=commit, proposal=0
    )
    records = _write(ledger, state, Draft(verdict, signer=verifier), Draft(intent))
    refs.settle(own.repo, refs.LINE, own.commit, commit)
    _write(ledger, state, Draft(e.LineMoved(move=1, generation=1, commit=commit)))
    return records[0].seq


def _ask(ledger: Ledger, state: State, own: Own, commit: str) -> e.ReviewRequested:
    patch = own.repo.diff(own.tree, own.repo.tree_of(commit))
    parts = {"patch": hashlib.sha256(patch).hexdigest(), "evidence": state.head.verdict_leaf,
             "evaluator": own.epoch.evaluator}  # fmt: skip
    terms = e.ReviewRequested(
        review=0, generation=1, commit=commit, improver_changed=False, patch=parts["patch"],
        evidence=parts["evidence"], evaluator=parts["evaluator"], binding=binding(**parts, commit=commit),
        expires=expiry(datetime.now(UTC)),
    )  # fmt: skip
    _write(ledger, state, Draft(terms, blobs=(patch,)))
    return terms
