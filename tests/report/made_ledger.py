"""Entries of a made-up run, as a ledger would hand them out: for report tests, and to look at a page.

``python tests/report/made_ledger.py OUT.html`` writes the page of that run.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.measures import HunkEffect


@dataclass(frozen=True)
class Made:
    seq: int
    kind: str
    at: str
    body: e.Body
    leaf: str = "0" * 64
    commitments: dict[str, str] = field(default_factory=dict)


def oid(word: str) -> str:
    return hashlib.sha1(word.encode()).hexdigest()


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


@dataclass
class Log:
    """Appends bodies with rising times; blobs by digest."""

    records: list[Made] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def add(self, body: e.Body) -> int:
        seq = len(self.records)
        at = f"2026-11-23T{10 + seq // 3600:02d}:{seq // 60 % 60:02d}:{seq % 60:02d}.000Z"
        self.records.append(Made(seq, body.kind, at, body))
        return seq

    def plan(self, **words: object) -> str:
        data = json.dumps(words, sort_keys=True).encode()
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = data
        return name

    def text(self, words: str) -> str:
        name = hashlib.sha256(words.encode()).hexdigest()
        self.blobs[name] = words.encode()
        return name

    def blob(self, name: str) -> bytes:
        if name not in self.blobs:
            raise IntegrityError("blob-missing", "no such blob")
        return self.blobs[name]


SUITE = e.SuiteTerms(
    name="solved", scorer="scoring:solved", low=0.0, high=1.0, direction="higher", unit="item", mode="fresh",
    margin=0.0, detect=0.06, batch_items=40, max_units=240, source=digest("gen"), assurance="hidden",
)  # fmt: skip
GUARD = e.GuardTerms(name="speed", scorer="scoring:speed", low=0.0, high=1.0, direction="higher", max_loss=0.1)


def opening(log: Log, *, suite: e.SuiteTerms = SUITE, demo: bool = False, level: int = 3, frozen: bool = False) -> None:
    log.add(e.Genesis(
        origin="festina.local/library-1a2b3c4d", system="library", engine_key="AA==", verifier_key="AQ==",
        alpha=0.05, demo=demo, version="0.1.0", schema_number=1,
    ))  # fmt: skip
    log.add(e.EpochOpened(
        epoch=1, reason="first rules", start_commit=oid("c0"), start_tree=oid("t0"), anchor_tree=oid("t0"),
        manifest=digest("manifest"), evaluator=digest("evaluator"), alpha=0.05, beta=0.1, spread=50.0, suite=suite,
        guards=(GUARD,), autonomy="release-by-approval", debt_generations=10, debt_lines=2000, min_level=2,
    ))  # fmt: skip
    log.add(e.RunStarted(
        run="run-1", improver="own", frozen_improver=frozen, wall_s=600.0, trials=4000, proposals=40,
        sandbox_level=level, sandbox_missing=() if level == 3 else ("control groups",),
        sandbox_policy=digest("policy"), separated_uids=True,
    ))  # fmt: skip
    log.add(e.LineIntent(move=0, cause="start", generation=0, old_commit=None, new_commit=oid("c0"), proposal=None))
    log.add(e.LineMoved(move=0, generation=0, commit=oid("c0")))
    log.add(
        e.ControlsChecked(run="run-1", constant=0.02, random=0.11, oracle=1.0, incumbent=0.45, ok=True, note="solved")
    )


def request(log: Log, number: int, base: str, generation: int, improver: str = "own") -> None:
    log.add(e.ProposalRequested(
        proposal=number, attempt=1, improver=improver, from_generation=generation, from_commit=oid(f"c{generation}"),
        base_commit=base, seed=number * 7,
    ))  # fmt: skip


def receive(log: Log, number: int, author: str = "own", **words: object) -> None:
    said = {
        "rationale": "It kept a program that many solved tasks share.",
        "weakness": "Deep programs are never reached.",
    }
    plan = log.plan(**(said | words))
    log.add(e.ProposalReceived(
        proposal=number, author=author, patch=digest(f"p{number}"), plan=plan, predicted=0.03, exhausted=False,
        reason="", wall_s=0.8, cpu_s=0.7,
    ))  # fmt: skip


def screen(
    log: Log,
    number: int,
    base: str,
    result: str = "passed",
    reason: str = "",
    *,
    guard: bool = False,
    improver: bool = False,
) -> None:
    log.add(e.Screened(
        proposal=number, result=result, reason=reason, detail=None, guard_change=guard, base_commit=base,
        tree=oid(f"t{number}") if result == "passed" else None, changed_files=1, changed_lines=12,
        improver_changed=improver,
    ))  # fmt: skip


def judge(log: Log, number: int, base: str, *, effect: float, mean: float, rng: random.Random) -> bool:
    """Open a test, record batches until the true rule decides, and record what it decided."""
    from festina.select import gate
    from festina.verify.verdicts import plan_of

    opened = e.TestOpened(
        test=number, proposal=number, tree=oid(f"t{number}"), base_commit=base, anchor_tree=oid("t0"), level=0.001,
        block=0, units_max=240, units_min_accept=9,
    )  # fmt: skip
    log.add(opened)
    rule = gate.start(plan_of(log.records[1].body, opened))
    gains: list[float] = []
    for batch in range(12):
        log.add(e.BatchStarted(
            test=number, batch=batch, attempt=1, units=20, trials=60, items=800, seeds=digest(f"s{number}{batch}")
        ))  # fmt: skip
        new: list[tuple[float, float]] = []
        while len(new) < 20 and gate.decision(rule) == "continue":
            new.append((round(max(-1.0, min(1.0, rng.gauss(effect, 0.08))), 6), round(rng.gauss(0.0, 0.02), 6)))
            rule = gate.observe(rule, gate.Evidence(new[-1][0], (new[-1][1],)))
        gains += [gain for gain, _ in new]
        log.add(e.BatchEnded(
            test=number, batch=batch, gain=tuple(gain for gain, _ in new), guards=(tuple(guard for _, guard in new),),
            candidate_mean=mean + effect, incumbent_mean=mean, failed=0, denied=0, details=digest("d"),
        ))  # fmt: skip
        if gate.decision(rule) != "continue":
            break
    accept = gate.decision(rule) == "accept"
    estimate = sum(gains) / len(gains)
    interval = (estimate - 0.024, estimate + 0.024)
    items = f"on {len(gains) * 40:,} hidden items"
    words = f"better by {estimate:.3f} ({interval[0]:.3f} to {interval[1]:.3f}) {items}; accepted"
    closed = sum(r.kind == "verdict" and r.body.verdict != "accept" for r in log.records) + (not accept)
    log.add(e.Verdict(
        test=number, proposal=number, tree=oid(f"t{number}"), base_commit=base,
        verdict="accept" if accept else "reject", reason="shown" if accept else gate.decision(rule),
        sentence=words if accept else f"not shown to be better ({estimate:+.3f}) {items}", units=len(gains),
        items=len(gains) * 40, estimate=estimate, interval=interval, log_evidence=gate.log_evidence(rule),
        log_threshold=6.907755278982137, guard_evidence=(7.2,), alpha_spent=0.0 if accept else 0.0009,
        alpha_left=0.05 - 0.0009 * closed, public_gain=None, assurance="hidden", provisional=False,
    ))  # fmt: skip
    return accept


def accept_line(log: Log, move: int, generation: int, number: int, old: str) -> None:
    new = oid(f"c{generation}")
    log.add(
        e.LineIntent(move=move, cause="accept", generation=generation, old_commit=old, new_commit=new, proposal=number)
    )
    log.add(e.LineMoved(move=move, generation=generation, commit=new))


def compare_public(log: Log, generation: int, number: int, *, public: float = 0.1) -> None:
    """The public gain of an acceptance beside its hidden one."""
    spread, wide = (public, public - 0.05, public + 0.05), (public - 0.09, public - 0.16, public - 0.02)
    measure = sum(r.kind == "measure-started" for r in log.records)
    log.add(e.MeasureStarted(
        measure=measure, purpose="public", generation=generation, attempt=1, units=8, trials=16, items=0, source=None,
        fresh=True,
    ))  # fmt: skip
    log.add(e.PublicCompared(
        measure=measure, generation=generation, proposal=number, items=60, repeats=8, public=spread,
        hidden=(0.09, 0.066, 0.114), gap=wide, generations=generation, line_public=spread,
        line_hidden=(0.09, 0.066, 0.114), line_gap=wide, sentence="within what chance explains", details=digest("pc"),
    ))  # fmt: skip
    log.add(e.MeasureEnded(measure=measure, purpose="public"))


def attribute(log: Log, generation: int, number: int, *, place: str = "library.py:12-18") -> None:
    """Two hunks: one that helps, one that can go."""
    measure = sum(r.kind == "measure-started" for r in log.records)
    log.add(e.MeasureStarted(
        measure=measure, purpose="attribution", generation=generation, attempt=1, units=16, trials=64, items=640,
        source=digest("gen"), fresh=True,
    ))  # fmt: skip
    details = log.plan(parts=[place, "notes.md"])
    effect, none, guard = (0.09, 0.05, 0.13), (0.0, 0.0, 0.0), ((0.01, -0.01, 0.03),)
    log.add(e.Attributed(
        measure=measure, generation=generation, proposal=number, method="ablation", tree=oid(f"t{number}"),
        base_tree=oid("t0"), units=16, broken=0, total=effect, residue=none, guards=("speed",), details=details,
        hunks=(
            HunkEffect(hunks=1, added=4, removed=2, leave_out=effect, alone=effect, share=None, guards=guard,
                       verdict="helps"),
            HunkEffect(hunks=1, added=1, removed=0, leave_out=none, alone=none, share=None, guards=guard,
                       verdict="nothing"),
        ),
    ))  # fmt: skip
    log.add(e.MeasureEnded(measure=measure, purpose="attribution"))


def approve(log: Log, review: int, generation: int, *, decision: str = "approve", demo: bool = False) -> None:
    binding = digest(f"b{review}")
    log.add(e.ReviewRequested(
        review=review, generation=generation, commit=oid(f"c{generation}"), improver_changed=True, patch=digest("p"),
        evidence=digest("ev"), evaluator=digest("evaluator"), binding=binding, expires="2026-12-23T00:00:00.000Z",
    ))  # fmt: skip
    log.add(e.ReviewDecided(
        review=review, binding=binding, reviewer="ada", decision=decision, reason=digest("because"), without_person=demo
    ))  # fmt: skip


def final(log: Log, a: int, tree_a: str, mean_a: float, mean_b: float, half: float = 0.037) -> None:
    log.add(e.FinalScored(
        label=f"generation {a} against generation 0", tree_a=tree_a, tree_b=oid("t0"), units=100, items=4000,
        mean_a=mean_a, mean_b=mean_b, estimate=mean_a - mean_b,
        interval=(mean_a - mean_b - half, mean_a - mean_b + half),
        details=digest("f"),
    ))  # fmt: skip


def made_run(*, demo: bool = False, seed: int = 3, hostile: str = "") -> Log:
    """Eleven proposals: four accepted (one rolled back), refused, duplicate, failed and rejected ones, a release."""
    rng = random.Random(seed)
    log = Log()
    opening(log, demo=demo)
    log.add(e.ReviewerEnrolled(reviewer="ada", key="AA==", demo=demo))
    base, generation, move, mean = oid("c0"), 0, 1, 0.45
    for number, fate in enumerate(
        [
            "accept",
            "reject",
            "refused",
            "accept",
            "duplicate",
            "reject",
            "accept",
            "failed",
            "reject",
            "accept",
            "reject",
        ],
        1,
    ):
        request(log, number, base, generation)
        if fate == "failed":
            log.add(e.ProposalReceived(
                proposal=number, author="own", patch=None, plan=None, predicted=None, exhausted=False,
                reason="the improver ended with timeout_wall", wall_s=30.0, cpu_s=29.0,
            ))  # fmt: skip
            continue
        receive(log, number, **({"rationale": hostile, "weakness": hostile} if hostile and number in (2, 3) else {}))
        if fate == "refused":
            screen(log, number, base, "refused", "scope", guard=True)
            continue
        if fate == "duplicate":
            screen(log, number, base, "duplicate", "proposal 2")
            continue
        screen(log, number, base, improver=fate == "accept")
        effect = 0.09 if fate == "accept" else -0.015
        if judge(log, number, base, effect=effect, mean=mean, rng=rng):
            generation += 1
            accept_line(log, move, generation, number, base)
            compare_public(log, generation, number)
            if generation == 1:
                attribute(log, generation, number, place=hostile or "library.py:12-18")
            else:
                log.add(e.MeasureSkipped(purpose="attribution", generation=generation, reason="a single hunk"))
            move, base, mean = move + 1, oid(f"c{generation}"), mean + effect / 2
            if generation == 2:
                approve(log, 1, 2, demo=demo)
                log.add(e.InForce(generation=2, commit=base, review=1))
                log.add(
                    e.ReleaseIntent(
                        release=1, cause="release", generation=2, old_commit=None, new_commit=base, review=1
                    )
                )
                log.add(e.Released(release=1, generation=2, commit=base))
    log.add(
        e.LineIntent(
            move=move, cause="rollback", generation=3, old_commit=oid("c4"), new_commit=oid("c3"), proposal=None
        )
    )
    log.add(e.LineMoved(move=move, generation=3, commit=oid("c3")))
    final(log, 3, oid("t7"), 0.628, 0.452)
    log.add(log.records[-1].body.model_copy(update={  # against the control arm's head
        "label": "loop against control arm", "tree_b": oid("t21"), "mean_b": 0.531, "estimate": 0.097,
        "interval": (0.06, 0.134),
    }))  # fmt: skip
    log.add(e.RunEnded(run="run-1", reason="exhausted", detail="the improver had nothing more to offer", wall_s=171.0))
    return log


def made_control() -> Log:
    """The frozen improver on the same system: one acceptance."""
    rng = random.Random(5)
    log = Log()
    opening(log, frozen=True)
    request(log, 21, oid("c0"), 0)
    receive(log, 21)
    screen(log, 21, oid("c0"))
    judge(log, 21, oid("c0"), effect=0.09, mean=0.45, rng=rng)
    accept_line(log, 1, 1, 21, oid("c0"))
    final(log, 1, oid("t21"), 0.53, 0.455)
    log.add(e.RunEnded(run="run-1", reason="exhausted", detail="", wall_s=60.0))
    return log


if __name__ == "__main__":
    from festina.report.fold import fold
    from festina.report.html import page

    run, control = (
        made_run(
            demo="--demo" in sys.argv,
            hostile="<script>alert(1)</script> \u202egnp.exe" if "--hostile" in sys.argv else "",
        ),
        made_control(),
    )
    text = page(fold(run.records, run.blob), fold(control.records, control.blob))
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
