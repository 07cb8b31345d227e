"""What the record of reviews says is made again, and read the same by report, log and status."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from festina.cli.words import told
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop import next as plan
from festina.loop import reviewed, reviews
from festina.loop.bench import Bench
from festina.loop.state import State
from festina.loop.steps import screen_proposal
from festina.report.fold import fold as read
from festina.report.reviewed import section
from festina.review import desk
from festina.system.scope import Scope
from tests.review.desk_world import World, program

Worlds = Callable[..., World]


def settled(worlds: Worlds, **rules: object) -> World:
    world = worlds(**rules)
    for approve in (True, False):
        world.accept()
        world.decide(world.ask(), "ann", approve=approve)
        world.wait(700)
        world.settle()
    return world


def rows(world: World, change: Callable[[e.Body], e.Body] = lambda body: body) -> set[str]:
    state, found = State(), set()
    for record in world.ledger.records():
        found |= {name for name, _, _ in reviewed.check(state, change(record.body), world.ledger.get_blob)}
        state.apply(record)
    return found


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (e.ReviewRequested, "lines", 1), (e.ReviewRequested, "files", 9), (e.ReviewRequested, "base", "1" * 40),
        (e.ReviewRequested, "binding", "0" * 64), (e.ReviewSettled, "answer", 7),
        (e.ReviewRequested, "answer", "0" * 64), (e.ReviewRequested, "answer", None),
    ],
)  # fmt: skip
def test_L1_a_number_of_a_review_that_does_not_follow_is_named(
    worlds: Worlds, kind: type[e.Body], field: str, value: object
) -> None:
    world = settled(worlds)
    assert rows(world) == set()
    assert rows(world, lambda b: b.model_copy(update={field: value}) if isinstance(b, kind) else b) == {field}


def test_R2_steps_without_effect_are_named_by_entry(world: World) -> None:
    terms = world.state.reviews[0].terms
    assert reviewed.without_effect(world.state) == []
    body = e.ReviewDecided(
        review=0, binding=terms.binding, reviewer="ann", decision="approve", reason="0" * 64, without_person=False,
        classification="sound",
    )  # fmt: skip
    world.put(Draft(body, signer=world.key("ann")))
    (line,) = reviewed.without_effect(world.state)
    assert f"entry {world.ledger.size - 1} (review-decided: open-first)" in line


def test_R3_every_planted_request_follows_from_the_sealed_secret(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds(catch_rate=0.5)
    for _ in range(8):
        world.accept()
        world.ask()
    found = reviewed.audit(world.ledger)
    assert (found.requests, found.wrong, found.left) == (8, (), 0)
    true = world.ledger.opening

    def another(record, name):  # the engine would have had to know another secret
        opening = true(record, name)
        return opening if name != "catch_secret" else (opening[0], "t" * 64)

    monkeypatch.setattr(world.ledger, "opening", another)
    assert reviewed.audit(world.ledger).wrong == tuple(range(8))


def test_C4_report_log_and_list_say_the_same_of_a_reviewer(worlds: Worlds) -> None:
    world = settled(worlds, catch_rate=0.9)
    sentences = [each.sentence for each in reviews.calibration(world.state)]
    data = read(world.ledger.records(), world.ledger.get_blob)
    assert list(data.reviewers) == sentences
    page = str(section(data, {}.get))
    assert all(sentence.split(":")[0] in page for sentence in sentences)
    state, lines = State(), []
    for record in world.ledger.records():
        state.apply(record)
        lines += [line] if record.kind == "review-settled" and (line := told(record, state)) else []
    assert len(lines) == 2
    assert all("ann" in line for line in lines)
    remarks = [r for r in data.remarks if r.what in ("catch trial", "review denied", "review set aside")]
    approved = [g for g in data.generations if g.approved_by]
    assert len(remarks) + len([g for g in approved if g.approved_with is None]) == 2


def test_R4_a_backlog_begins_no_new_proposal_and_the_status_says_why(worlds: Worlds) -> None:
    world = worlds(max_waiting=2)
    world.accept()
    world.ask()
    assert reviews.waits(world.state) == ""
    world.state.run_controls = True
    for generation in world.state.generations.values():  # measured, so that the next thing would be a proposal
        generation.public = e.MeasureSkipped(purpose="public", generation=generation.number, reason="none")
        generation.attribution = generation.public
    assert isinstance(plan.next_action(world.state, plan.Facts(0.0)), plan.Propose)
    world.accept()
    world.ask()
    for generation in world.state.generations.values():
        generation.public = e.MeasureSkipped(purpose="public", generation=generation.number, reason="none")
        generation.attribution = generation.public
    ended = plan.next_action(world.state, plan.Facts(0.0))
    assert isinstance(ended, plan.Finish)
    assert (ended.reason, "wait for reviewers" in ended.detail) == ("waiting", True)
    assert "2 changes" in reviews.waits(world.state)
    world.decide(1, "ann", approve=True)
    world.wait(700)
    world.settle()
    assert reviews.waits(world.state) == ""


@pytest.mark.parametrize(("most", "result", "word"), [(400, "passed", ""), (11, "refused", "split")])
def test_R4_a_proposal_that_no_review_could_show_goes_back_with_a_public_word(
    worlds: Worlds, most: int, result: str, word: str
) -> None:
    """Twelve changed lines. The improver is told ``refused`` and ``split``, before anything is tested."""
    world = worlds(max_lines=most)
    s, base = world.state, world.state.head.commit
    tree = world.repo.write_files(world.repo.tree_of(base), {"main.py": program(1).encode()})
    patch = world.repo.diff(world.repo.tree_of(base), tree)
    world.repo.discard(tree)
    world.put(
        Draft(e.ProposalRequested(
            proposal=0, attempt=1, improver="search", from_generation=0, from_commit=base, base_commit=base, seed=1
        )),
        Draft(e.ProposalReceived(
            proposal=0, author="search", patch=desk.digest(patch), plan=None, predicted=None, exhausted=False,
            reason="", wall_s=0.0, cpu_s=0.0,
        ), blobs=(patch,)),
    )  # fmt: skip
    bench = SimpleNamespace(
        repo=world.repo, ledger=world.ledger, state=s, append=world.put, scope=Scope(allow=("*.py",)), cut_off=False
    )
    screen_proposal(cast(Bench, bench), plan.Screen(0))
    body = next(r.body for r in world.ledger.records(world.ledger.size - 1))
    assert (body.result, body.reason) == (result, word)
    if word:
        assert (s.proposals[0].word, s.proposals[0].reason) == ("refused", "split")
