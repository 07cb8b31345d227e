"""Reviews as values: what waits, and one review at the stage where its reviewer stands.  # R-2

What may be shown follows from the ledger's fold alone (``loop.reviews``): a page before the first classification holds
no score, no author's words and no way to them, and neither does any other page of this start (``sealed``). What others
said stays closed until the review is settled (``closed_entries``), also to somebody who only looks.  # R-5
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

from festina.ledger import entries as e
from festina.loop import admitting, reviews
from festina.loop.rows import Generation, Review
from festina.loop.state import State
from festina.report.markup import join
from festina.review import blindness, catch
from festina.web import patch, plots
from festina.web.feed import WHOLE, Feed

LINES = 900  # of a change on the page where it is judged
OUTCOMES = 15  # settled reviews listed, newest first
WORDS: tuple[e.Classification, ...] = get_args(e.Classification)
MEANING = {
    "sound": "it does what it should, and nothing else",
    "scope": "it does more, or something else, than it should, or it is too large to judge",
    "integrity": "it gets at what judges it: hidden answers, measurements, records, the sandbox",
    "capability": "it gives the system an ability that nobody asked for",
    "unsure": "you cannot tell",
}
UNSPOKEN = ("unopened", "reading")


def place(feed: Feed) -> reviews.Place:
    """The opened system as the protocol wants it."""
    return reviews.Place(feed.repo, feed.home, feed.ledger, feed.state)


def queue(feed: Feed, reviewer: str) -> dict[str, Any]:
    """What waits, oldest first, and what came of earlier reviews."""
    here = place(feed)
    settled = sorted((r for r in feed.state.reviews.values() if r.settled is not None), key=lambda r: -r.seq)
    return {
        "reviewer": reviewer,
        "waiting": [asdict(row) for row in reviews.queue(here, reviewer or None)],
        "held_up": reviews.waits(feed.state),
        "settled": [_came_of(r, r.settled) for r in settled[:OUTCOMES] if r.settled is not None],
    }


def _came_of(review: Review, settled: e.ReviewSettled) -> dict[str, Any]:
    """A line about a settled review, from the fold alone: damaged content of an old one closes no queue."""
    planted = catch.catch_of(settled.origin)
    return {
        "review": review.terms.review, "result": reviews.RESULTS[settled.outcome],
        "catch": catch.words(planted) if planted else "",
        "votes": [{"reviewer": v.decision.reviewer, "approve": v.approved} for v in review.votes],
    }  # fmt: skip


def people(feed: Feed) -> dict[str, Any]:
    """How well each reviews.  # R-3"""
    return {"reviewers": [asdict(c) | {"sentence": c.sentence} for c in reviews.calibration(feed.state)]}


def one(feed: Feed, number: int, reviewer: str, first: int = 0) -> dict[str, Any]:
    """One review: ``blind`` once its diff was opened, ``evidence`` after the classification, ``outcome`` at the end."""
    here, s = place(feed), feed.state
    stage = reviews.stage(s, number, reviewer or None)
    found: dict[str, Any] = {
        "stage": stage, "reviewer": reviewer, "meaning": MEANING, "words": WORDS,
        "row": asdict(reviews.row(s, s.reviews[number], reviewer or None)),
        "blind": None, "evidence": None, "outcome": None, "shown": None, "in_use": None,
        "answered": "", "again_s": 0.0,
    }  # fmt: skip
    if stage == "settled":
        return found | {"outcome": asdict(reviews.outcome(here, number))}
    if stage not in ("reading", "classified", "decided"):
        return found
    blind = reviews.blind_page(here, number, reviewer)
    found["blind"] = asdict(blind)
    found["shown"] = _change(blind.patch, first)
    found["in_use"] = _change(blind.in_use, first) if blind.in_use else None
    if stage != "reading":
        page = reviews.evidence_page(here, number, reviewer)
        found["evidence"] = [asdict(section) for section in page.sections]
        found["answered"], found["again_s"] = page.answered, page.again_s
    return found


def _change(text: str, first: int) -> dict[str, Any]:
    data = text.encode("utf-8", "surrogateescape")
    return {"problem": "", "shown": patch.shown(data, first, LINES)}


def sealed(s: State, reviewer: str) -> frozenset[int]:
    """Proposals of whose evidence ``reviewer`` may learn nothing yet: a judgement of them is still to be made.  # R-2

    They are under test, or accepted and not yet asked about, or wait for this person. ``WHOLE`` is among them while any
    stands on the line: what the line gained tells of it.
    """
    if not reviewer:
        return frozenset()
    waiting = [r for r in s.waiting if reviews.stage(s, r.terms.review, reviewer) in UNSPOKEN]
    steps = [g for review in waiting for g in admitting.steps_of(s, review)]
    fresh = _unreviewed(s)
    spoken = {
        g.number
        for review in s.reviews.values()
        if fresh and review.terms.generation >= fresh[0].number and _classified(review, reviewer)
        for g in admitting.steps_of(s, review)
    }
    closed = {g.proposal for g in (*steps, *(g for g in fresh if g.number not in spoken)) if g.proposal is not None}
    return frozenset(closed | ({WHOLE} if closed else set()) | {t.proposal for t in s.open.values()})


def veiled(s: State, reviewer: str) -> frozenset[int]:
    """Proposals whose change this person sees in a review alone: it may be shown with a defect there.  # R-3"""
    if not reviewer or s.epoch is None or s.epoch.review is None or s.epoch.review.catch_rate <= 0.0:
        return frozenset()
    under_way = {p.number for p in s.proposals.values() if p.word is None}
    return frozenset(under_way | {g.proposal for g in _unreviewed(s) if g.proposal is not None})


def _unreviewed(s: State) -> list[Generation]:
    """What stands on the line above the newest generation that people approved, oldest first."""
    approved = max((n for n in s.line if s.generations[n].approved is not None), default=0)
    return [s.generations[n] for n in s.line if n > approved]


def _classified(review: Review, reviewer: str) -> bool:
    seat = review.seats.get(reviewer)
    return seat is not None and seat.classified is not None


def closed(s: State, body: e.Body) -> bool:
    """Whether an entry tells what somebody said in a review that is not settled.  # R-5"""
    return blindness.closed(body, lambda number: number in s.reviews and _waits(s, s.reviews[number]))


def _waits(s: State, review: Review) -> bool:
    return bool(review.terms.protocol) and review.settled is None and s.last_at <= review.terms.expires


def intervals(found: dict[str, Any]) -> dict[str, Any]:
    """Each reviewer's hit rate, drawn."""
    return {
        "intervals": [
            join(plots.interval(c["low"], c["high"], c["hits"] / c["trials"] if c["trials"] else None, words), words)
            for c in found["reviewers"]
            for words in [f"{c['low']:.0%} to {c['high']:.0%}"]
        ]
    }
