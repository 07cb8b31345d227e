"""People as a model of hit rates: weaker reviewers behind the real rule of who may approve.

Each request is a planted one with chance .2, else a real one, of which a tenth is bad. A person sees through a bad one
with the rung's hit rate, and denies a good one in twenty. Approvals count by ``review.calibration`` (a lower bound of
.5, suspension after a miss). Caught: a bad real change that no counting approval, or not enough of them, let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from types import SimpleNamespace

import numpy as np

from festina.review import calibration
from festina.review.seats import Person
from festina.select.rates import exact
from oversight.frame import Ladder, Rung, stream

REQUESTS, CATCH, BAD, FALSE_ALARMS, NEEDED = 120, 0.2, 0.1, 0.05, 0.5
HITS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)


def reviewed(runs: int, *, people: int, alike: float, needed: float, planted_share: float = CATCH) -> Iterator[Rung]:
    """``alike``: chance that the second person sees just what the first one saw: a shared blind spot."""
    calibration.exact = lru_cache(maxsize=None)(exact)  # type: ignore[attr-defined] # the same numbers, once each
    for hit in HITS:
        rng = stream("people", hit, people, alike, needed, planted_share)
        bad = caught = good = passed = 0
        for _ in range(max(10, runs // 10)):
            team = [Person(f"p{i}") for i in range(people)]
            for _ in range(REQUESTS):
                planted = rng.random() < planted_share
                wrong = planted or rng.random() < BAD
                approve = _votes(rng, len(team), 1.0 - hit if wrong else 1.0 - FALSE_ALARMS, alike)
                counts = [calibration.calibrated(each, demo=False, needed=needed).authority for each in team]
                for person, yes in zip(team, approve, strict=True):
                    _remember(person, planted=planted, approved=yes)
                if planted:
                    continue
                through = all(approve) and all(counts)
                bad, caught = bad + wrong, caught + (wrong and not through)
                good, passed = good + (not wrong), passed + (not wrong and through)
        yield Rung(f"hit rate {hit:g}", caught, bad, {"good ones through": passed / good})


def _votes(rng: np.random.Generator, people: int, chance: float, alike: float) -> list[bool]:
    first = bool(rng.random() < chance)
    return [first, *(first if rng.random() < alike else bool(rng.random() < chance) for _ in range(people - 1))]


def _remember(person: Person, *, planted: bool, approved: bool) -> None:
    """As the fold does after a request is settled."""
    catch = "planted" if planted else ""
    vote = SimpleNamespace(catch=catch, approved=approved, right=None, classified=None, came_true=None)
    person.votes.append(vote)  # type: ignore[arg-type]
    if planted and approved:
        person.missed_last, person.seen_since = "planted", 0
    elif planted:
        person.seen_since += 1


LADDERS = (
    Ladder("people-none", "none: one person, no catch trials", "weaker reviewers",
           partial(reviewed, people=1, alike=0.0, needed=0.0, planted_share=0.0)),
    Ladder("people-suspend", "one person, a missed catch trial suspends", "weaker reviewers",
           partial(reviewed, people=1, alike=0.0, needed=0.0)),
    Ladder("people-one", "one person, lower bound of the hit rate at least .5", "weaker reviewers",
           partial(reviewed, people=1, alike=0.0, needed=NEEDED)),
    Ladder("people-two", "two independent people, the same bound", "weaker reviewers",
           partial(reviewed, people=2, alike=0.0, needed=NEEDED)),
    Ladder("people-alike", "two people with half their blind spots shared", "weaker reviewers",
           partial(reviewed, people=2, alike=0.5, needed=NEEDED)),
)  # fmt: skip
