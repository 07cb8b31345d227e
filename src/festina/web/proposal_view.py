"""One proposal as values: what it claims, what it changes, what the evidence says, what happened in the sandbox.

``change`` is what a reader may see first; ``evidence`` is left out by the server while a reviewer has not yet said what
he or she thinks of the change (R-2).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.loop import attributed, internals_words
from festina.loop.growth import maker, predictions
from festina.loop.rows import Generation, Proposed
from festina.loop.state import State
from festina.report.data import TestRow
from festina.report.paths import evidence_path
from festina.report.rows import words_of
from festina.select.productivity import author
from festina.select.report import interval
from festina.system.manifest import parse_manifest
from festina.web import patch, plots, tree
from festina.web.feed import WHOLE, Feed

PATCH_BYTES = 2 << 20
DETAILS_BYTES = 1 << 20
BATCHES_READ = 8  # details of so many batches are read for the sandbox's facts
SIBLINGS = 60


def find(s: State, number: int) -> Proposed:
    """The proposal, or an error that says so."""
    if number not in s.proposals:
        raise UsageError("no-such-proposal", f"there is no proposal {number}", fix="look at the list of proposals")
    return s.proposals[number]


def change(feed: Feed, p: Proposed, first: int = 0) -> dict[str, Any]:
    """The patch, for a reader."""
    if p.patch is None:
        return {"digest": None, "problem": "Nothing was handed in.", "shown": None}
    return change_of(feed, p.patch, first) | {"binary": p.binary}


def change_of(feed: Feed, digest: str, first: int = 0) -> dict[str, Any]:
    """A patch in the content store, by digest."""
    try:
        data = feed.ledger.get_blob(digest)
    except FestinaError as error:
        return {"digest": digest, "problem": f"The record does not hold it: {error.what}", "shown": None}
    problem = "" if len(data) <= PATCH_BYTES else "Only the first part of a very long change is shown."
    return {"digest": digest, "problem": problem, "shown": patch.shown(data[:PATCH_BYTES], first)}


def claim(feed: Feed, p: Proposed) -> dict[str, Any]:
    """The proposer's own words: hostile, and for the end of a page.  # P-6, T-5, R-2"""
    try:
        rationale, weakness = words_of(feed.ledger.get_blob, p.plan)
    except IntegrityError:
        rationale, weakness = "", ""
    return {"rationale": rationale, "weakness": weakness, "predicted": p.predicted, "record": _foresaw(feed.state, p)}


def _foresaw(s: State, p: Proposed) -> str:
    """How this author's predictions came true; empty where none was scored."""
    name = author(p.improver, maker(s, p) == s.line[0]) if s.line else ""
    return next((each.sentence for each in predictions(s) if each.author == name), "")


def head(s: State, p: Proposed) -> dict[str, Any]:
    """Facts about the proposal that tell nothing of its evidence."""
    base = next((n for n, g in s.generations.items() if g.commit == p.base_commit), None)
    return {
        "proposal": p.number, "author": p.author or p.improver, "from_generation": p.from_generation,
        "base_generation": base, "target": p.target, "stage": p.stage, "changed_lines": p.changed_lines,
        "improver_changed": p.improver_changed, "guard_change": p.guard_change, "tree": p.tree,
    }  # fmt: skip


VEILED = "This change comes before you for review, and is shown to you there alone."


def view(
    feed: Feed, number: int, *, first: int = 0, hidden: frozenset[int] = frozenset(),
    veiled: frozenset[int] = frozenset(),
) -> dict[str, Any]:  # fmt: skip
    """The whole page; without evidence (``hidden``) or change (``veiled``) where the viewer may not see it yet."""
    s = feed.state
    p = find(s, number)
    seen = {"digest": None, "problem": VEILED, "shown": None} if number in veiled else change(feed, p, first)
    found: dict[str, Any] = {"head": head(s, p), "change": seen, "sealed": number in hidden}
    if number in hidden:
        return found
    said = claim(feed, p) | ({"record": ""} if WHOLE in hidden else {})
    return found | evidence(feed, p) | {"claim": said, "siblings": siblings(s, p, hidden)}


def evidence(feed: Feed, p: Proposed) -> dict[str, Any]:
    """Outcome, tests with intervals and paths, guards, hunks, sandbox."""
    tests = [t for t in feed.reading.tests.values() if t.proposal == p.number]
    generation = next((g for g in feed.state.generations.values() if g.proposal == p.number), None)
    return {
        "word": tree.WORDS.get(p.word, p.word),
        "reason": p.reason,
        "planted": p.plant.defect if p.plant is not None else None,
        "generation": generation.number if generation else None,
        "tests": [_test(feed, t) for t in tests],
        "public": generation.public.sentence if generation and isinstance(generation.public, e.PublicCompared) else "",
        "hunks": _hunks(feed, generation.attribution if generation else None),
        "internals": _internals(feed, generation) if generation else None,
        "trials": p.trials,
        "proposing": {"wall_s": p.wall_s, "cpu_s": p.cpu_s},
    }


def _test(feed: Feed, t: TestRow) -> dict[str, Any]:
    units = feed.reading.units.get(t.test, [])
    epoch = next((x for x in feed.reading.terms if x.epoch == t.epoch), None)
    path = _path(feed, t, epoch)
    guards = list(zip(*(g for _, g, _ in units), strict=True)) if units else []
    names = [g.name for g in epoch.guards] if epoch is not None else []
    return {
        "test": t.test, "verdict": t.verdict, "reason": t.reason, "sentence": t.sentence, "estimate": t.estimate,
        "interval": t.interval, "pairs": t.units, "pairs_at_most": t.units_max, "looks": t.items,
        "candidate_mean": t.candidate_mean, "incumbent_mean": t.incumbent_mean, "failed": t.failed, "denied": t.denied,
        "log_evidence": t.log_evidence, "log_threshold": t.log_threshold, "path": list(path),
        "assurance": t.assurance, "provisional": t.provisional, "opened_seq": t.opened_seq,
        "verdict_seq": t.verdict_seq, "alpha_spent": t.alpha_spent, "alpha_left": t.alpha_left,
        "guards": [_guard(name, values, epoch, i) for i, (name, values) in enumerate(zip(names, guards, strict=False))],
        "sandbox": _sandbox(feed, t), "public_note": t.public_note,
    }  # fmt: skip


def _path(feed: Feed, t: TestRow, epoch: e.EpochOpened | None) -> tuple[float, ...]:
    """The evidence pair by pair; empty where the rule refuses what is recorded, which a report tells of."""
    plan = feed.reading.plans.get(t.test)
    if epoch is None or plan is None:
        return ()
    try:
        return evidence_path(epoch, plan, feed.reading.units.get(t.test, []))
    except FestinaError:
        return ()


def _guard(name: str, values: tuple[float, ...], epoch: e.EpochOpened | None, at: int) -> dict[str, Any]:
    """A guard's mean difference from the anchor in its own unit, with a 95 % interval."""
    terms = epoch.guards[at] if epoch is not None else None
    width = terms.high - terms.low if terms is not None else 1.0
    low, high = interval(list(values)) or (None, None)
    mean = sum(values) / len(values) if values else None
    return {
        "name": name,
        "mean": None if mean is None else mean * width,
        "interval": None if low is None or high is None else [low * width, high * width],
        "max_loss": terms.max_loss if terms is not None else None,
    }


def _hunks(feed: Feed, found: e.Attributed | e.MeasureSkipped | None) -> list[str]:
    if isinstance(found, e.Attributed):
        try:
            return attributed.lines(found, feed.ledger.get_blob)
        except IntegrityError as error:
            return [f"The details cannot be read: {error.what}"]
    return [f"Not measured: {found.reason}"] if found is not None else []


def _internals(feed: Feed, g: Generation) -> dict[str, Any]:
    """What is known of the change inside the model, or that nothing is.  # V-9"""
    found = g.internals
    if found is None:
        opened = _lays_open(feed)
        return {"sentence": internals_words.NOT_COMPARED if opened else internals_words.NONE_OFFERED, "p": None}
    if isinstance(found, e.MeasureSkipped):
        return {"sentence": internals_words.skipped(found), "p": None}
    try:
        return internals_words.card(found, feed.ledger.get_blob)
    except FestinaError as error:
        return {"sentence": f"{found.sentence} The details cannot be read: {error.what}", "p": found.p}


def _lays_open(feed: Feed) -> bool:
    """Whether the manifest in force names a model's files; not where this copy of the record lacks it."""
    epoch = feed.state.epoch
    try:
        return epoch is not None and _names_files(feed.ledger.get_blob(epoch.manifest))
    except FestinaError:
        return False


@lru_cache(maxsize=4)
def _names_files(manifest: bytes) -> bool:
    return parse_manifest(manifest).internals is not None


def _sandbox(feed: Feed, t: TestRow) -> dict[str, Any]:
    """How the candidate's runs ended, from the newest batches' trial records.  # E-2"""
    ends: Counter[str] = Counter()
    denied: Counter[str] = Counter()
    levels: set[int] = set()
    for seq in t.batch_seqs[-BATCHES_READ:]:
        body: Any = feed.ledger.record(seq).body
        try:
            details: Any = parse_strict(feed.ledger.get_blob(body.details), max_bytes=DETAILS_BYTES, max_depth=16)
            sides = [side for unit in details["units"] for side in unit["sides"] if side["role"] == "candidate"]
            ends.update(str(side["ended"]) for side in sides)
            levels.update(int(side["level"]) for side in sides)
            denied.update(str(call) for side in sides for call in side["denied"])
        except (FestinaError, KeyError, TypeError, ValueError):
            continue  # recorded without details, or larger than a page reads: the counts of the test stand
    return {
        "ends": dict(ends), "denied": dict(denied.most_common(20)), "levels": sorted(levels),
        "batches": len(t.batch_seqs), "read": min(len(t.batch_seqs), BATCHES_READ),
    }  # fmt: skip


def siblings(s: State, p: Proposed, hidden: frozenset[int]) -> list[dict[str, Any]]:
    """What else was made against the same version: one acceptance among many is worth less than one alone."""
    cohort = [q for q in s.proposals.values() if q.base_commit == p.base_commit and q.number != p.number]
    return [
        {"proposal": q.number, "author": q.author or q.improver, "changed_lines": q.changed_lines,
         "word": "hidden for now" if q.number in hidden else tree.WORDS.get(q.word, q.word)}
        for q in cohort[-SIBLINGS:]
        if q.plant is None
    ]  # fmt: skip


def listed(s: State, before: int | None, at_most: int, hidden: frozenset[int]) -> dict[str, Any]:
    """A page of proposals, newest first."""
    numbers = sorted((n for n in s.proposals if before is None or n < before), reverse=True)
    rows = []
    for number in numbers[:at_most]:
        p = s.proposals[number]
        said = {"word": tree.WORDS.get(p.word, p.word), "reason": p.reason, "trials": p.trials}
        if number in hidden:
            said = {"word": "hidden for now", "reason": "", "trials": None}
        rows.append(head(s, p) | said | {"planted": p.plant is not None})
    more = len(numbers) > at_most
    return {"proposals": rows, "total": len(s.proposals), "older": numbers[at_most - 1] if more else None}


def pictures(found: dict[str, Any]) -> dict[str, Any]:
    """The evidence of each test, drawn."""
    accepted = {"accept": True, "reject": False}
    return {
        "paths": [
            plots.evidence(t["path"], t["log_threshold"], accepted=accepted.get(t["verdict"]))
            for t in found.get("tests", [])
        ]
    }
