"""Whatever people sign, in whatever order and at whatever time: no ledger stops, and nothing is approved unread."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop.state import State
from festina.review.binding import stamp
from festina.review.seats import floor_s, moment, seconds_between
from tests.review.desk_world import World

D = "0" * 64
KINDS = ("opened", "classified", "decided", "withdrawn")
Steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.integers(0, 3), st.sampled_from(["ann", "bob", "eve"]),
        st.sampled_from([0, 1, 50, 700, 4000]), st.sampled_from(["approve", "deny"]),
        st.sampled_from(["sound", "scope", "unsure"]), st.integers(0, 60),
    ), min_size=4, max_size=40,
)  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """Stands in for a ledger's record."""

    seq: int
    kind: str
    at: str
    body: Any
    leaf: str = D
    commitments: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def begun(worlds: Callable[..., World]) -> State:
    """Three changes wait; two people must decide about each."""
    world = worlds(people=2, per_hour=3)
    for _ in range(3):
        world.accept()
        world.ask()
    return world.state


def body_of(s: State, kind: str, number: int, name: str, word: str, classification: str, seq: int) -> e.Body:
    review = s.reviews.get(number)
    parts = {"review": number, "binding": review.terms.binding if review else D, "reviewer": name}
    if kind == "opened":
        return e.ReviewOpened(**parts, in_use="1" * 40, without_person=False)
    if kind == "classified":
        return e.ReviewClassified(
            **parts, classification=classification, cite=D, answer=0, predicted=0.5, without_person=False
        )
    if kind == "decided":
        return e.ReviewDecided(**parts, decision=word, reason=D, without_person=False, classification=classification)
    return e.ReviewWithdrawn(**parts, decided=seq, reason=D)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=Steps)
def test_R1_R4_R5_people_alone_stop_no_ledger_and_approve_nothing(begun: State, steps: list[Any]) -> None:
    s, now = copy.deepcopy(begun), moment(begun.last_at)
    for kind, number, name, seconds, word, classification, back in steps:
        now += timedelta(seconds=seconds)
        body = body_of(s, kind, number, name, word, classification, max(0, s.size - back))
        s.apply(Paper(s.size, body.kind, stamp(now), body))
    assert all(g.approved is None for g in s.generations.values())  # only what is settled counts
    assert not s.denials
    for review in s.reviews.values():
        assert set(review.seats) <= {"ann", "bob"}  # eve is nobody here
        for seat in review.seats.values():
            assert seat.classified is not None or seat.decision is None
            if seat.classified is not None:
                read = seconds_between(seat.opened_at, seat.classified_at)
                assert read >= floor_s(review.terms.lines, review.rules.lines_per_hour)
            if seat.decision is not None:
                assert (seat.decision.decision == "approve") == (seat.decision.classification == "sound")
    for person in s.persons.values():
        read = sorted(
            (seat.classified_at, floor_s(review.terms.lines, 500.0))
            for review in s.reviews.values()
            for seat in review.seats.values()
            if seat.reviewer == person.name and seat.classified
        )
        assert all(seconds_between(a[0], b[0]) >= b[1] for a, b in pairwise(read))  # one after the other
        assert all(
            seconds_between(one, other) >= 3600 for one, other in zip(person.opened, person.opened[3:], strict=False)
        )
