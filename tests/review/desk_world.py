"""A small real system with a change that waits for people: git, ledger, keys, no sandbox. Time is the test's own."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts, requesting, reviews
from festina.loop import next as plan
from festina.loop.bench import Bench
from festina.loop.state import State
from festina.review import desk
from festina.review.binding import stamp
from festina.review.questions import question
from festina.select import planning
from festina.system.home import Home
from festina.system.repo import Repo
from festina.verify.verdicts import plan_of

D = "0" * 64
RULES = e.ReviewTerms(
    people=1, lines_per_hour=500.0, max_lines=400, per_hour=6, per_day=20, max_waiting=10, cooling_off_s=600.0,
    catch_rate=0.0, authority=0.0,
)  # fmt: skip
MANIFEST = b'run = ["python3", "main.py"]\nmetric = "score:higher"\nallow = ["*.py"]\n'
REASON = "it does what it says, and nothing else"


def _git(root: Path, *argv: str) -> str:
    line = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@localhost", *argv]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def program(version: int) -> str:
    """A program whose later versions add lines that a mistake fits into."""
    body = "".join(
        f"\n\ndef step_{n}(values, limit):\n    # step {n}\n    total = 0\n    for x in values:\n"
        f"        if x > limit:\n"
        f"            total = total + x * {n}\n\n    return total\n"
        for n in range(1, version + 1)
    )
    return f'"""Version {version}."""\n{body}'


@dataclass
class World:
    """Opened for writing, as the commands open it. ``now`` moves by ``wait``."""

    base: Path
    rules: e.ReviewTerms = RULES
    now: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(seconds=5))  # after what is stamped now
    versions: int = 0
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        root = self.base / "system"
        root.mkdir(parents=True)
        (root / "main.py").write_text(program(0))
        (root / "festina.toml").write_bytes(MANIFEST)
        _git(root, "init", "-q", "-b", "main")
        _git(root, "add", "-A")
        _git(root, "commit", "-q", "-m", "start")
        self.repo, self.home = Repo.discover(root), Home(self.base / "homes" / "toy-00000001")
        self.home.create()
        self.engine = LocalKey.create(self.home.key("engine"), "engine")
        self.verifier = LocalKey.create(self.home.key("verifier"), "verifier")
        start = self.repo.head()
        self.ledger = Ledger.create(self.home.ledger, self._genesis(), signers={"engine": self.engine})
        for record in self.ledger.records():
            self.state.apply(record)
        secret = {"catch_secret": "s" * 64} if self.rules.catch_rate > 0 else {}
        self.put(Draft(self._epoch(start), blobs=(MANIFEST,), sealed=secret), Draft(_run()))
        self.put(Draft(_start(start)))
        self.put(Draft(e.LineMoved(move=0, generation=0, commit=start)))

    def _genesis(self) -> e.Genesis:
        return e.Genesis(
            origin="festina.local/toy-00000001", system="toy", engine_key=_text(self.engine),
            verifier_key=_text(self.verifier), alpha=0.05, demo=False, version="0", schema_number=1,
        )  # fmt: skip

    def _epoch(self, start: str) -> e.EpochOpened:
        suite = e.SuiteTerms(
            name="hidden", scorer="scoring:right", low=0.0, high=1.0, direction="higher", unit="item", mode="fresh",
            margin=0.0, detect=0.2, batch_items=10, max_units=400, source=D, assurance="hidden",
        )  # fmt: skip
        return e.EpochOpened(
            epoch=0, reason="first epoch", start_commit=start, start_tree=self.repo.tree_of(start),
            anchor_tree=self.repo.tree_of(start), manifest=hashlib.sha256(MANIFEST).hexdigest(), evaluator=D,
            alpha=0.05, beta=0.1, spread=50.0, suite=suite, guards=(), autonomy="release-by-approval",
            debt_generations=10, debt_lines=2000, min_level=2, review=self.rules,
        )  # fmt: skip

    # -- what happens

    def put(self, *drafts: Draft) -> None:
        stamped = [Draft(d.body, blobs=d.blobs, sealed=d.sealed, signer=d.signer, at=stamp(self.now)) for d in drafts]
        for record in self.ledger.append(stamped):
            self.state.apply(record)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def enrol(self, name: str) -> None:
        acts.enrol(self.ledger, self.state, self.home, name)

    def accept(self, author: str = "search", text: str | None = None, sign: Callable[[str], str] | None = None) -> None:
        """One more version is proposed, tested with evidence that suffices, and becomes the head."""
        self.versions += 1
        number, s = self.versions - 1, self.state
        base = s.head.commit
        files = {"main.py": (text or program(self.versions)).encode()}
        tree = self.repo.write_files(self.repo.tree_of(base), files)
        patch = self.repo.diff(self.repo.tree_of(base), tree)
        self.repo.promote(tree)
        plan_text = b'{"predicted":0.1,"rationale":"trust me","weakness":"it was short"}'
        self.put(
            Draft(e.ProposalRequested(
                proposal=number, attempt=1, improver="search", from_generation=s.in_force,
                from_commit=s.generations[s.in_force].commit, base_commit=base, seed=1,
            )),
            Draft(e.ProposalReceived(
                proposal=number, author=author, patch=hashlib.sha256(patch).hexdigest(),
                plan=hashlib.sha256(plan_text).hexdigest(), predicted=0.1, exhausted=False, reason="", wall_s=0.0,
                cpu_s=0.0, sig=sign(hashlib.sha256(patch).hexdigest()) if sign is not None else "",
            ), blobs=(patch, plan_text)),
            Draft(e.Screened(
                proposal=number, result="passed", reason="", detail=None, guard_change=False, base_commit=base,
                tree=tree, changed_files=1, changed_lines=patch.count(b"\n+"), improver_changed=False,
            )),
        )  # fmt: skip
        self._test(number, tree, base)

    def _test(self, number: int, tree: str, base: str) -> None:
        s = self.state
        assert s.budget is not None
        assert s.epoch is not None
        test = e.TestOpened(
            test=number, proposal=number, tree=tree, base_commit=base, anchor_tree=s.epoch.anchor_tree,
            level=s.budget.open()[0], block=0, units_max=400, units_min_accept=0, noise_tests=s.noise.tests,
            noise_squares=s.noise.squares,
        )  # fmt: skip
        units = planning.units_min_accept(plan_of(s.epoch, test))
        self.put(
            Draft(test.model_copy(update={"units_min_accept": units})),
            Draft(e.BatchStarted(test=number, batch=0, attempt=1, units=units, trials=2 * units, items=0, seeds=D)),
        )
        commit = self.repo.commit(tree, [base], "next\n", at=stamp(self.now))
        ended = e.BatchEnded(
            test=number, batch=0, gain=(1.0,) * units, guards=(), candidate_mean=1.0, incumbent_mean=0.0, failed=0,
            denied=0, details=D,
        )  # fmt: skip
        self.put(Draft(ended, signer=self.verifier))
        verdict = e.Verdict(
            test=number, proposal=number, tree=tree, base_commit=base, verdict="accept", reason="shown",
            sentence="better by 0.5", units=units, items=0, estimate=0.5, interval=(0.4, 0.6), log_evidence=10.0,
            log_threshold=7.0, guard_evidence=(), alpha_spent=0.001, alpha_left=0.04, public_gain=None,
            assurance="hidden", provisional=False,
        )  # fmt: skip
        intent = e.LineIntent(
            move=s.moves, cause="accept", generation=number + 1, old_commit=base, new_commit=commit, proposal=number
        )
        self.put(Draft(verdict, signer=self.verifier), Draft(intent))
        self.put(Draft(e.LineMoved(move=intent.move, generation=number + 1, commit=commit)))

    def ask(self) -> int:
        """The engine puts the newest generation before people; returns the review's number."""
        bench = SimpleNamespace(repo=self.repo, ledger=self.ledger, state=self.state, append=self.put)
        requesting.ask_review(cast(Bench, bench), plan.AskReview())
        return max(self.state.reviews)

    def step(self, what: str, number: int, name: str, **options: Any) -> Any:
        """One step of a person, at the world's time. Returns the page of ``open``."""
        terms = self.state.reviews[number].terms
        if what == "open":
            return reviews.open_review(self, number, name, now=self.now)
        if what == "classify":
            given = {
                "classification": "sound", "cite": "main.py:5", "answer": self.answer(number), "predicted": 0.7
            }
            return reviews.classify(self, number, name, confirm=terms.binding, now=self.now, **(given | options))
        if what == "decide":
            given = {"approve": True, "classification": "sound", "reason": REASON}
            return reviews.decide(self, number, name, confirm=terms.binding, now=self.now, **(given | options))
        return reviews.withdraw(self, number, name, reason=REASON, now=self.now)

    def answer(self, number: int, *, right: bool = True) -> str:
        """A choice of the review's question, counted from 1."""
        terms = self.state.reviews[number].terms
        true = question(self.ledger.get_blob(terms.patch), terms.binding).right
        return str(true + 1 if right else (true + 1) % 3 + 1)

    def read(self, number: int, name: str) -> None:
        """Open, sit through the floor, classify."""
        self.step("open", number, name)
        self.wait(3600)
        self.step("classify", number, name)

    def decide(self, number: int, name: str, *, approve: bool) -> None:
        """Everything up to the decision."""
        self.read(number, name)
        self.step("decide", number, name, approve=approve, classification="sound" if approve else "integrity")

    def settle(self) -> tuple[int, ...]:
        return acts.settle_reviews(self.ledger, self.state, self.repo, self.now)

    def key(self, name: str) -> LocalKey:
        return desk.reviewer_key(name)

    def close(self) -> None:
        self.ledger.close()
        self.repo.close()


def _text(key: LocalKey) -> str:
    return base64.b64encode(key.public).decode()


def _run() -> e.RunStarted:
    return e.RunStarted(
        run="r", improver="search", frozen_improver=False, wall_s=1.0, trials=10**6, proposals=1000, sandbox_level=3,
        sandbox_missing=(), sandbox_policy=D, separated_uids=True,
    )  # fmt: skip


def _start(commit: str) -> e.LineIntent:
    return e.LineIntent(move=0, cause="start", generation=0, old_commit=None, new_commit=commit, proposal=None)
