"""Nobody reads in the record what another said of a change before it is settled: list, proof and page alike.  # R-5"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from festina.cli.ledger import group
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.review import away, blindness
from festina.review.binding import stamp
from tests.review.desk_world import World

Worlds = Callable[..., World]
SAID = ("review-classified", "review-decided")


def read(world: World, *argv: str) -> str:
    done = CliRunner().invoke(group, ["-C", str(world.repo.root), *argv, "--ledger", str(world.home.ledger)])
    return done.output


def seqs(world: World, *kinds: str) -> list[int]:
    return [r.seq for r in world.ledger.records() if r.kind in kinds]


def test_R5_the_list_and_a_proof_open_what_was_said_when_it_is_settled(world: World) -> None:
    world.decide(0, "ann", approve=True)
    spoken = seqs(world, "review-opened", *SAID)
    lines = [x for x in read(world, "show").split("\n") if any(f"{n:>6}  " == x[:8] for n in spoken)]
    assert len(lines) == 3
    assert all(blindness.WHY in line for line in lines)
    rows = [json.loads(x) for x in read(world, "show", "--json").strip().split("\n")]
    told = [row for row in rows if row["seq"] in spoken]
    assert [set(row) for row in told] == [{"seq", "kind", "at", "leaf", "closed"}] * 3  # nor whose key signed it
    assert "body" in rows[0]  # control
    assert all("review-not-settled" in read(world, "prove", str(n)) for n in spoken)
    assert "review-not-settled" not in read(world, "prove", "0")
    world.wait(700)
    world.settle()
    shown = read(world, "show", "--kind", "review-decided")
    assert '"decision": "approve"' in shown
    assert "review-not-settled" not in read(world, "prove", str(spoken[-1]))


def test_R5_a_statement_that_was_brought_in_is_closed_by_the_review_that_it_names(world: World) -> None:
    terms = world.state.reviews[0].terms
    body = e.ReviewDecided(
        review=0, binding=terms.binding, reviewer="ann", decision="approve", reason="0" * 64, without_person=False,
        classification="sound",
    )  # fmt: skip
    brought = away.signed(body, world.key("ann"))
    assert blindness.closed(brought, lambda number: number == 0)
    assert not blindness.closed(brought, lambda _: False)


@pytest.mark.parametrize("statement", ["", "{}", "[]", '{"body":1}', '{"body":{"review":"0"}}', "{" * 2000])
def test_R5_what_names_no_review_stays_closed(statement: str) -> None:
    body = e.ReviewBrought(step="review-decided", statement=statement, keyid="0" * 16, sig="A" * 86 + "==")
    assert blindness.closed(body, lambda _: False)


def test_R5_a_review_that_nobody_settled_opens_when_it_has_expired_by_the_engines_clock(world: World) -> None:
    world.decide(0, "ann", approve=True)
    asked = blindness.Asked()
    for record in world.ledger.records():
        asked.take(record)
    assert asked.waits(0)
    late = stamp(datetime.max.replace(tzinfo=UTC, microsecond=0))
    withdrawn = e.ReviewWithdrawn(
        review=0, binding=world.state.reviews[0].terms.binding, reviewer="bob", decided=0, reason="0" * 64
    )
    with Ledger.open(world.home.ledger, signers={"engine": world.engine}) as ledger:
        (record,) = ledger.append([Draft(withdrawn, signer=world.key("bob"), at=late)])
        asked.take(record)
        assert asked.waits(0)  # a person's clock opens nothing
        (record,) = ledger.append([Draft(e.ReviewsReceived(reviews=()), at=late)])
        asked.take(record)
        assert not asked.waits(0)
