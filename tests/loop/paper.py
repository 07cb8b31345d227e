"""The loop on paper: every action answered by the entries that a real engine would append, with drawn outcomes.

It proves the decisions, not the effects: no git, no box, no clock.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from festina.ledger import entries as e
from festina.ledger.measures import Purpose
from festina.ledger.statement import commitment
from festina.loop import blocks, plants, sameness, searching
from festina.loop import next as plan
from festina.loop.rows import OpenTest
from festina.loop.state import State
from festina.propose.archive import Make
from festina.select import planning
from festina.select.rules import RULE
from festina.verify.verdicts import compose, plan_of


def oid(number: int) -> str:
    return f"{number:040x}"


def digest(number: int) -> str:
    return f"{number:064x}"


@dataclass(frozen=True)
class Paper:
    """Stands in for a ledger record: the attributes that the fold reads."""

    seq: int
    kind: str
    at: str
    body: Any
    leaf: str
    commitments: Any = field(default_factory=dict)


@dataclass
class PaperLoop:
    """Drives ``next_action`` to its end. ``gain`` draws the true gain of a proposal."""

    seed: int
    proposals: int = 8
    approve: float = 0.8
    guards: int = 0
    share: float = 0.0  # of the units: the incumbent against itself
    control_faults: float = 0.1
    favour: float = 0.0  # what its first side is given
    judges: int = 0
    watchers: int = 0
    fooled: float = 0.0  # what a further verifier sees beside the true gain
    plant: float = 0.0  # of the slots
    at_once: int = 1
    error: Literal["familywise", "fdr"] = "familywise"
    rule: int = RULE
    mode: str = "fresh"  # or sealed, ledger, metric
    internals: float = 0.0  # share of the tests' trials for comparisons of insides
    archive: e.ArchiveTerms | None = None  # see ``Searching``
    autonomy: e.Rung = "release-by-approval"
    govern: e.GovernTerms | None = None
    plant_gain: float | None = None  # a verifier that is fooled: what plants seem to gain
    records: list[Paper] = field(default_factory=list)
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.coins = random.Random(self.seed)
        self.side_coins = random.Random(self.seed + 1)  # for what decides nothing
        self.gains: dict[int, float] = {}  # by proposal: the truth
        self.objects = 1000
        self.origins: dict[int, tuple[bytes, str]] = {}  # what an engine would read back from its openings

    def put(self, *bodies: e.Body, commitments: dict[str, str] | None = None) -> None:
        for body in bodies:
            seq = len(self.records)
            at = f"2026-01-01T{seq // 3600:02d}:{seq // 60 % 60:02d}:{seq % 60:02d}.000Z"
            record = Paper(seq, body.kind, at, body, digest(10**9 + seq), commitments or {})
            self.state.apply(record)
            self.records.append(record)

    def new(self) -> int:
        self.objects += 1
        return self.objects

    def begin(self) -> None:
        suite = e.SuiteTerms(
            name="hidden", scorer="scoring:right", low=0.0, high=1.0, direction="higher", unit="item", mode="fresh",
            margin=0.0, detect=0.2, batch_items=10, max_units=400, source=digest(1), assurance="hidden",
        )  # fmt: skip
        if self.mode in ("sealed", "ledger"):
            suite = suite.model_copy(update={"mode": self.mode, "word_every_s": 5.0, "bits": 1000.0})
        if self.mode == "seeds":  # few expensive ones, on hidden items
            suite = suite.model_copy(update={"mode": "fresh", "unit": "seed", "test": "symmetric"})
        if self.mode == "metric":  # printed by the run itself, without a range
            suite = suite.model_copy(
                update={
                    "name": "metric", "scorer": "stdout:loss", "low": None, "high": None, "unit": "seed",
                    "detect": 0.0, "batch_items": 1, "source": None, "assurance": "self-reported",
                }
            )  # fmt: skip
        guards = tuple(
            e.GuardTerms(name=f"g{k}", scorer="s:g", low=0.0, high=1.0, direction="higher", max_loss=0.2)
            for k in range(self.guards)
        )
        judges = tuple(
            e.JudgeTerms(
                name=f"j{k}", scorer="s:j", low=0.0, high=1.0, direction="higher", margin=0.0, detect=0.2,
                role="decide" if k < self.judges else "watch", family="python",
            )
            for k in range(self.judges + self.watchers)
        )  # fmt: skip
        self.put(
            e.Genesis(
                origin="festina.local/toy-00000000", system="toy", engine_key="k", verifier_key="v", alpha=0.05,
                demo=False, version="0", schema_number=1,
            ),
            e.EpochOpened(
                epoch=0, reason="first", start_commit=oid(1), start_tree=oid(2), anchor_tree=oid(2),
                manifest=digest(3), evaluator=digest(4), alpha=0.05, beta=0.1, spread=50.0, suite=suite, guards=guards,
                autonomy=self.autonomy, govern=self.govern, debt_generations=3, debt_lines=1000, min_level=2,
                control_share=self.share, plant_rate=self.plant, judges=judges, attribution_share=0.25,
                internals_share=self.internals, internals_retrainings=19 if self.internals else 0,
                error=self.error, rule=self.rule, archive=self.archive,
            ),
            e.ReviewerEnrolled(reviewer="ann", key="k", demo=False),
        )  # fmt: skip
        self.start_run()

    def start_run(self) -> None:
        self.put(
            e.RunStarted(
                run=f"run-{len(self.records)}", improver="own", frozen_improver=False, wall_s=1e6, trials=10**6,
                proposals=self.proposals, sandbox_level=3, sandbox_missing=(), sandbox_policy=digest(5),
                separated_uids=True, at_once=self.at_once,
            )
        )  # fmt: skip

    def end_run(self, action: plan.Finish) -> None:
        assert self.state.run is not None
        name = self.state.run.run
        self.put(e.RunEnded(run=name, reason=action.reason, detail=action.detail, wall_s=1.0))

    def run(self, limit: int = 5000) -> plan.Finish:
        """To the end of a run. Fails when it does not come within ``limit`` actions."""
        for _ in range(limit):
            self.people()
            action = plan.next_action(self.state, self.facts())
            if isinstance(action, plan.RevealPlant) and self.coins.random() < 0.2:
                continue  # a crash between verdict and reveal
            if isinstance(action, plan.Finish):
                self.end_run(action)
                return action
            getattr(self, "_" + type(action).__name__)(action)
        raise AssertionError("the loop does not end")

    def facts(self) -> plan.Facts:
        return plan.Facts(0.0, plant_due=self.due())

    def planted(self, number: int) -> bool:
        return number in self.origins and plants.defect_of(self.origins[number][1]) is not None

    def due(self) -> int | None:
        return next((p.number for p in plants.just_closed(self.state) if self.planted(p.number)), None)

    def _RevealPlant(self, action: plan.RevealPlant) -> None:
        salt, origin = self.origins[action.proposal]
        found = plants.defect_of(origin)
        received = self.state.proposals[action.proposal].received_seq
        assert found is not None
        assert received is not None
        self.put(
            e.PlantRevealed(
                proposal=action.proposal, received=received, origin=origin, salt=salt.hex(), defect=found[0],
                basis=found[1], trials=found[2],
            )
        )  # fmt: skip

    def people(self) -> None:
        """Now and then a person decides about something that waits."""
        for review in self.state.waiting:
            if self.coins.random() < 0.2:
                word = "approve" if self.coins.random() < self.approve else "deny"
                self.put(
                    e.ReviewDecided(
                        review=review.terms.review, binding=review.terms.binding, reviewer="ann", decision=word,
                        reason=digest(7), without_person=False,
                    )
                )  # fmt: skip

    def _FinishRelease(self, _: Any) -> None:
        intent = self.state.release
        assert intent is not None
        self.put(e.Released(release=intent.release, generation=intent.generation, commit=intent.new_commit))

    def _StartLine(self, _: Any) -> None:
        self.put(
            e.LineIntent(
                move=self.state.moves, cause="start", generation=0, old_commit=None, new_commit=oid(1), proposal=None
            )
        )

    def _FinishMove(self, _: Any) -> None:
        move = self.state.move
        assert move is not None
        self.put(e.LineMoved(move=move.move, generation=move.generation, commit=move.new_commit))

    def _CheckControls(self, _: Any) -> None:
        self.put(e.ControlsChecked(run="run-x", constant=0.0, random=0.1, oracle=1.0, incumbent=None, ok=True, note=""))

    def _PutInForce(self, action: plan.PutInForce) -> None:
        terms = self.state.reviews[action.review].terms
        self.put(e.InForce(generation=terms.generation, commit=terms.commit, review=action.review))

    def _TakeBack(self, action: plan.TakeBack) -> None:
        s = self.state
        denied = s.generations[s.reviews[action.review].terms.generation]
        assert denied.parent is not None
        target = s.generations[denied.parent]
        self.put(
            e.LineIntent(
                move=s.moves, cause="denial", generation=target.number, old_commit=s.head.commit,
                new_commit=target.commit, proposal=denied.proposal,
            )
        )  # fmt: skip

    def _measured(
        self, purpose: Purpose, generation: int, reason: str, units: int, trials: int, items: int = 0,
        source: str | None = None,
    ) -> e.Verdict | None:  # fmt: skip
        """The verdict of a generation whose measurement was begun; None where it was skipped, or crashed."""
        s, verdict = self.state, self.state.generations[generation].verdict
        assert verdict is not None
        tried = s.side.tried(purpose, generation)
        if tried == 2 or self.side_coins.random() < 0.3:
            self.put(e.MeasureSkipped(purpose=purpose, generation=generation, reason=reason))
            return None
        self.put(
            e.MeasureStarted(
                measure=s.side.count, purpose=purpose, generation=generation, attempt=tried + 1, units=units,
                trials=trials, items=items, source=source, fresh=True,
            )
        )  # fmt: skip
        return verdict if self.side_coins.random() >= 0.2 else None  # else a crash

    def _ComparePublic(self, action: plan.ComparePublic) -> None:
        s, number = self.state, action.generation
        verdict = self._measured("public", number, "no public suite", 8, 16)
        if verdict is None:
            return
        spread = (0.1, 0.0, 0.2)
        self.put(
            e.PublicCompared(
                measure=s.side.count - 1, generation=number, proposal=verdict.proposal, items=20, repeats=8,
                public=spread, hidden=spread, gap=spread, generations=1, line_public=spread, line_hidden=spread,
                line_gap=spread, sentence="a sentence", details=digest(11),
            ),
            e.MeasureEnded(measure=s.side.count - 1, purpose="public"),
        )  # fmt: skip

    def _Attribute(self, action: plan.Attribute) -> None:
        s, number = self.state, action.generation
        verdict = self._measured("attribution", number, "a single hunk", 8, 32, items=80, source=digest(1))
        if verdict is None:
            return
        spread = (0.1, 0.0, 0.2)
        self.put(
            e.Attributed(
                measure=s.side.count - 1, generation=number, proposal=verdict.proposal, method="ablation",
                tree=oid(1), base_tree=oid(2), units=8, broken=0, hunks=(), total=spread, residue=None, guards=(),
                details=digest(12),
            ),
            e.MeasureEnded(measure=s.side.count - 1, purpose="attribution"),
        )  # fmt: skip

    def _CompareInternals(self, action: plan.CompareInternals) -> None:
        s, number = self.state, action.generation
        verdict = self._measured("internals", number, "too few runs", 21, 21)
        if verdict is None:
            return
        self.put(
            e.InternalsCompared(
                measure=s.side.count - 1, generation=number, proposal=verdict.proposal, tree=oid(1),
                base_tree=oid(2), retrainings=0, failed=0, distances=(), score=None, largest=None, p=None, missing=(),
                details=digest(12), sentence="Whether it moved is not told.",
            ),
            e.MeasureEnded(measure=s.side.count - 1, purpose="internals"),
        )  # fmt: skip

    def _AskReview(self, _: Any) -> None:
        head = self.state.head
        self.put(
            e.ReviewRequested(
                review=len(self.state.reviews), generation=head.number, commit=head.commit, improver_changed=True,
                patch=digest(8), evidence=head.verdict_leaf, evaluator=digest(4), binding=digest(self.new()),
                expires="2099-01-01T00:00:00.000Z",
            )
        )  # fmt: skip

    def _requested(self, action: plan.Propose) -> None:
        s = self.state
        self.put(
            e.ProposalRequested(
                proposal=action.number, attempt=action.attempt, improver="own", from_generation=s.in_force,
                from_commit=s.generations[s.in_force].commit, base_commit=s.head.commit, seed=1,
            )
        )  # fmt: skip

    def _Propose(self, action: plan.Propose) -> None:
        s = self.state
        self._requested(action)
        if self.coins.random() < 0.1:
            return  # a crash: the intent stays open
        chosen = self.plant > 0 and bool(plants.cover(s, "own")) and self.coins.random() < self.plant
        gives = chosen or self.coins.random() < 0.9
        defect = self.coins.choice(["null:construction:0", "operator:public:3", "branch:presumed:4"])
        salt = self.coins.randbytes(32)
        self.origins[action.number] = salt, f"planted:{defect}" if chosen else plants.IMPROVER
        self.put(
            e.ProposalReceived(
                proposal=action.number, author="own", patch=digest(self.new()) if gives else None, plan=None,
                predicted=None, exhausted=False, reason="" if gives else "nothing", wall_s=0.0, cpu_s=0.0,
            ),
            commitments={"origin": commitment(*self.origins[action.number])} if self.plant > 0 else None,
        )  # fmt: skip

    def _Screen(self, action: plan.Screen) -> None:
        p = self.state.proposals[action.proposal]
        gain = self.coins.choice([-0.1, 0.0, 0.0, 0.3, 0.5])
        if self.plant_gain is not None and self.planted(action.proposal):
            gain = self.plant_gain
        self.gains[action.proposal] = gain
        stale = p.base_commit != self.state.head.commit and self.coins.random() < 0.3  # does not apply to the new head
        result = "stale" if stale else self.coins.choice(["passed"] * 6 + ["refused", "no-op", "duplicate"])
        self.put(
            e.Screened(
                proposal=action.proposal, result=result, reason="scope" if result == "refused" else "", detail=None,
                guard_change=False, base_commit=p.base_commit if stale else self.state.head.commit,
                tree=oid(self.new()) if result == "passed" else None, changed_files=1, changed_lines=5,
                improver_changed=True,
            )
        )  # fmt: skip

    def _OpenTest(self, action: plan.OpenTest) -> None:
        s = self.state
        assert s.budget is not None
        level, _ = s.budget.open()
        p = s.proposals[action.proposal]
        assert p.tree is not None
        assert s.epoch is not None
        block, first = blocks.place(s) if blocks.shared(s.epoch) else (0, 0)
        opened = e.TestOpened(
            test=s.tests, proposal=p.number, tree=p.tree, base_commit=p.base_commit, anchor_tree=oid(2),
            level=level, block=block, first_item=first, units_max=400, units_min_accept=0,
            noise_tests=s.noise.tests, noise_squares=s.noise.squares,
        )  # fmt: skip
        least = planning.units_min_accept(plan_of(s.epoch, opened))
        self.put(opened.model_copy(update={"units_min_accept": least}))

    def _RunBatch(self, action: plan.RunBatch) -> None:
        tests = [self.state.open[number] for number in action.tests]
        counts = [min(16, test.terms.units_max - len(test.gains)) for test in tests]
        self.put(
            *(
                e.BatchStarted(
                    test=test.number, batch=test.batches, attempt=test.attempt + 1, units=count, trials=2 * count,
                    items=10 * count, seeds=digest(9),
                )
                for test, count in zip(tests, counts, strict=True)
            )
        )  # fmt: skip
        if self.coins.random() < 0.1:
            return  # a crash
        for test, count in zip(tests, counts, strict=True):
            if len(tests) > 1 and self.coins.random() < 0.05:
                self.put(e.FaultRecorded(what="sandbox-error", detail=None, test=test.number))
            else:
                self.put(self._ended(test, count))

    def _ended(self, test: OpenTest, count: int) -> e.BatchEnded:
        gain = self.gains[test.proposal]
        gains = tuple(max(-1.0, min(1.0, self.coins.gauss(gain, 0.1))) for _ in range(count))
        return e.BatchEnded(
            test=test.number, batch=test.batches, gain=gains,
            guards=tuple(tuple(0.0 for _ in gains) for _ in range(self.guards)), candidate_mean=0.5,
            incumbent_mean=0.5, failed=0, denied=0, details=digest(10),
            judges=tuple(
                tuple(max(-1.0, min(1.0, self.coins.gauss(gain + self.fooled, 0.1))) for _ in gains)
                for _ in range(self.judges + self.watchers)
            ),
        )  # fmt: skip

    def _RunControl(self, action: plan.RunControl) -> None:
        t = self.state.twins
        assert t is not None
        again = 0 < t.attempt < sameness.TRIES
        count = t.units if again else action.units
        number = t.count + (t.attempt >= sameness.TRIES)
        self.put(
            e.ControlStarted(
                control=number, attempt=t.attempt + 1 if again else 1, tree=t.tree if again else oid(3), units=count,
                trials=2 * count, items=10 * count,
            )
        )  # fmt: skip
        if self.coins.random() < self.control_faults:
            return  # a crash
        gains = tuple(max(-1.0, min(1.0, self.coins.gauss(self.favour, 0.1))) for _ in range(count))
        order = tuple(self.coins.choice((-1.0, 1.0)) * x for x in gains)
        others = self.guards + self.judges + self.watchers
        guards = tuple(tuple(self.coins.gauss(0.0, 0.05) for _ in gains) for _ in range(others))
        self.put(e.ControlEnded(control=number, gain=gains, order=order, guards=guards, details=digest(11)))

    def _Decide(self, action: plan.Decide) -> None:
        s = self.state
        test = s.open[action.test]
        assert s.budget is not None
        assert s.epoch is not None
        verdict = compose(
            test, s.epoch, s.budget, s.alpha_epochs, s.error, word=action.verdict, reason=action.reason,
            provisional=False, again=action.reason == "line-moved",
        )  # fmt: skip
        bodies: list[e.Body] = [verdict]
        if action.verdict == "accept" and not self.planted(test.proposal) and s.govern.autonomy.merges:
            bodies.append(
                e.LineIntent(
                    move=s.moves, cause="accept", generation=max(s.generations) + 1, old_commit=s.head.commit,
                    new_commit=oid(self.new()), proposal=test.proposal,
                )
            )  # fmt: skip
        self.put(*bodies)


@dataclass
class Searching(PaperLoop):
    """The same with an archive: tries end as they may, in any order, and an engine that dies forgets what it was at.

    What is handed in is the tree that the archive says, as an engine would.
    """

    archive: e.ArchiveTerms | None = field(
        default_factory=lambda: e.ArchiveTerms(tries=4, seeds=2, workers=0, trials=None)
    )
    flight: dict[int, e.TryStarted] = field(default_factory=dict)
    handed: dict[int, str] = field(default_factory=dict)  # tree by proposal

    def facts(self) -> plan.Facts:
        done = bool(self.flight) and self.coins.random() < 0.5
        return plan.Facts(0.0, plant_due=self.due(), tries=tuple(self.flight), tries_done=done, tries_at_once=2)

    def _Try(self, action: plan.Try) -> None:
        step, s = action.step, self.state
        if step.attempt > searching.ATTEMPTS:
            self.put(self.ended(step.number, "cut-off", None, ()))
            return
        making = isinstance(step.what, Make)
        known = s.search.nodes.get(step.node)
        body = e.TryStarted(
            number=step.number, attempt=step.attempt, node=step.node, parent=step.what.parent if making else None,
            tree=None if making else known.tree if known is not None else searching.head_tree(s),
            improver="own", from_generation=s.in_force, from_commit=s.generations[s.in_force].commit,
            base_commit=s.head.commit, seed=step.seed, first=0 if making else step.what.first, runs=step.what.count,
        )  # fmt: skip
        self.put(body)
        self.flight[step.number] = body
        if self.coins.random() < 0.1:
            self.flight.clear()  # a crash

    def _TakeTries(self, _: plan.TakeTries) -> None:
        number = self.coins.choice(list(self.flight))
        body = self.flight.pop(number)
        mean = 0.5 if body.parent is None else 0.7
        scores = tuple(round(self.coins.gauss(mean, 0.3), 3) for _ in range(body.runs))
        if body.parent is None:
            self.put(self.ended(number, "scored", body.tree, scores))
            return
        result = self.coins.choice(["scored"] * 5 + ["nothing", "refused", "no-op", "duplicate"])
        scored = result == "scored"
        if scored and self.coins.random() < 0.2:
            scores = (None,) * body.runs
        self.put(self.ended(number, result, oid(self.new()) if scored else None, scores if scored else ()))

    @staticmethod
    def ended(number: int, result: Any, tree: str | None, scores: tuple[float | None, ...]) -> e.TryEnded:
        return e.TryEnded(
            number=number, result=result, reason="", author="own", tree=tree, patch=None, plan=None, scores=scores,
            guards=(), exhausted=False, guard_change=False, changed_lines=1, wall_s=0.0, cpu_s=0.0, run_cpu_s=0.0,
            run_wall_s=0.0,
        )  # fmt: skip

    def _Propose(self, action: plan.Propose) -> None:
        best = searching.best(self.state)
        self.handed[action.number] = self.state.search.nodes[best].tree if best is not None else oid(self.new())
        super()._Propose(action)

    def put(self, *bodies: e.Body, commitments: dict[str, str] | None = None) -> None:
        trees = [
            b.model_copy(update={"tree": self.handed[b.proposal]}) if isinstance(b, e.Screened) and b.tree else b
            for b in bodies
        ]
        super().put(*trees, commitments=commitments)
