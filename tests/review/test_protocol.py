"""The steps of a review, one by one, on a real ledger with real keys; each refusal has a counterpart that works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts, admitting, finals, reviews, showing
from festina.loop.rows import Generation
from festina.loop.state import State, fold
from festina.propose.text import visible
from festina.review import authorship, desk, questions
from tests.review.desk_world import REASON, World

Worlds = Callable[..., World]


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(FestinaError) as caught:
        act()
    return caught.value.name


def test_R2_the_steps_come_in_their_order_and_what_is_approved_counts_after_the_cooling_off(world: World) -> None:
    assert reviews.stage(world.state, 0, "ann") == "unopened"
    assert refused(lambda: world.step("classify", 0, "ann")) == "open-first"
    page = world.step("open", 0, "ann")
    assert "total = total + x * 1" in page.patch
    assert page.confirm == world.state.reviews[0].terms.binding
    assert len(set(page.question.choices)) == 3
    assert "better" not in repr(page)
    assert refused(lambda: reviews.evidence_page(world, 0, "ann")) == "classify-first"
    assert refused(lambda: world.step("decide", 0, "ann")) == "classify-first"
    world.wait(3600)
    world.step("classify", 0, "ann")
    assert refused(lambda: world.step("classify", 0, "ann")) == "already-classified"
    sections = reviews.evidence_page(world, 0, "ann").sections
    assert any("better by 0.5" in line for line in sections[0].lines)
    assert any("trust me" in line for line in sections[-1].lines)  # the proposer's words are the last
    assert not any("trust me" in line for section in sections[:-1] for line in section.lines)
    world.step("decide", 0, "ann")
    assert world.state.generations[1].approved is None
    assert world.settle() == ()
    world.wait(601)
    assert world.settle() == (0,)
    assert world.state.generations[1].approved == 0
    assert verify(world.home.ledger).ok


def test_R1_nothing_of_a_decision_counts_for_another_hash(world: World) -> None:
    world.read(0, "ann")
    wrong = "f" * 64
    act = {"approve": True, "classification": "sound", "reason": REASON, "now": world.now}
    with pytest.raises(IntegrityError, match="something else"):
        reviews.decide(world, 0, "ann", confirm=wrong, **act)
    world.put(Draft(e.ReviewDecided(
        review=0, binding=wrong, reviewer="ann", decision="approve", reason="0" * 64, without_person=False,
        classification="sound",
    ), signer=world.key("ann")))  # fmt: skip
    assert world.state.ignored[-1][2] == "binding-differs"
    world.wait(700)
    assert world.settle() == ()


@pytest.mark.parametrize(("seconds", "says"), [(86, "too-soon"), (87, "")])
def test_R4_nobody_classifies_faster_than_the_change_can_be_read(world: World, seconds: int, says: str) -> None:
    """Twelve lines at 500 an hour take 86.4 s."""
    assert world.state.reviews[0].terms.lines == 12
    world.step("open", 0, "ann")
    world.wait(seconds)
    row = reviews.queue(world, "ann", now=world.now)[0]
    assert (row.left_s > 0) == bool(says)
    if says:
        assert refused(lambda: world.step("classify", 0, "ann")) == says
    else:
        world.step("classify", 0, "ann")


@pytest.mark.parametrize(
    ("line", "counts"), [("x = 1", 1), ("#" * 120, 1), ("#" * 121, 2), ("x=[" + "1," * 2000 + "]", 34), ("", 1)]
)
def test_R4_a_long_line_counts_as_several(world: World, line: str, counts: int) -> None:
    """4,000 characters on one line are not one line to read; the engine asks by the same count that is checked."""
    before = questions.read_diff(world.ledger.get_blob(world.state.reviews[0].terms.patch)).amount
    world.accept(text=world.repo.read_blobs([_oid(world)])[_oid(world)].decode() + line + "\n")
    terms = world.state.reviews[world.ask()].terms
    assert terms.lines == before + counts
    row = reviews.queue(world, "ann", now=world.now)[-1]
    assert row.lines == terms.lines


def _oid(world: World) -> str:
    (entry,) = [x for x in world.repo.ls_tree(world.repo.tree_of(world.state.head.commit)) if x.path == "main.py"]
    return entry.oid


def test_R4_a_file_that_shows_no_line_counts_all_the_same(world: World) -> None:
    tree = world.repo.tree_of(world.state.head.commit)
    cases = {
        "empty.py": (b"", 1), "weights.bin": (bytes(range(256)) * 400, questions.BINARY_LINES), "a.py": (b"x = 1\n", 1)
    }
    for name, (data, counts) in cases.items():
        patch = world.repo.diff(tree, world.repo.write_files(tree, {name: data}))
        diff = questions.read_diff(patch)
        assert (diff.amount, len(diff.files)) == (counts, 1), name
        marks = cast(showing._Marks, lambda path: ())
        (row,) = [showing._row(part, marks) for part in showing._sections(patch.decode())]
        assert ("binary: nobody can read it" in row.marks) == (name == "weights.bin")


def test_R2_a_wrong_answer_is_told_and_an_approval_waits_for_a_second_reading(world: World) -> None:
    wrong = world.answer(0, right=False)
    world.step("open", 0, "ann")
    world.wait(3600)
    world.step("classify", 0, "ann", answer=wrong)
    page = reviews.evidence_page(world, 0, "ann", now=world.now)
    assert "WRONG; right is: " in page.answered
    assert 86 < page.again_s < 87
    assert refused(lambda: world.step("decide", 0, "ann")) == "read-again"
    world.wait(87)
    assert reviews.evidence_page(world, 0, "ann", now=world.now).again_s == 0
    world.step("decide", 0, "ann")


def test_R2_a_denial_after_a_wrong_answer_waits_for_nothing_and_a_right_one_neither(world: World) -> None:
    world.step("open", 0, "bob")
    world.wait(3600)
    world.step("classify", 0, "bob", answer=world.answer(0, right=False))
    world.step("decide", 0, "bob", approve=False, classification="unsure")
    world.read(0, "ann")
    assert reviews.evidence_page(world, 0, "ann", now=world.now).answered.endswith("was right.")
    world.step("decide", 0, "ann")


def test_R4_what_is_open_at_once_is_not_read_at_once(worlds: Worlds) -> None:
    world = worlds()
    for _ in range(2):
        world.accept()
        world.ask()
    for number in (0, 1):
        world.step("open", number, "ann")
    world.wait(3600)
    world.step("classify", 0, "ann")
    assert refused(lambda: world.step("classify", 1, "ann")) == "too-soon"
    world.wait(3600)
    world.step("classify", 1, "ann")


def test_R4_a_person_begins_no_more_than_the_caps_allow(worlds: Worlds) -> None:
    world = worlds(per_hour=1, per_day=2)
    for _ in range(3):
        world.accept()
        world.ask()
    world.step("open", 0, "ann")
    assert refused(lambda: world.step("open", 1, "ann")) == "hourly-cap"
    world.step("open", 1, "bob")  # caps are each person's own
    world.wait(3601)
    world.step("open", 1, "ann")
    world.wait(3601)
    assert refused(lambda: world.step("open", 2, "ann")) == "daily-cap"
    world.wait(24 * 3600)
    world.step("open", 2, "ann")


def test_R4_a_change_too_large_for_one_review_is_asked_for_in_parts(worlds: Worlds) -> None:
    world = worlds(max_lines=15)
    world.accept()
    assert world.ask() == 0
    world.accept()
    assert world.state.needs_review
    assert world.ask() == 1
    assert not world.state.reviews[1].fits  # both steps together
    assert not world.state.needs_review  # but the first can be read
    world.step("open", 1, "ann")
    world.wait(3600)
    assert refused(lambda: world.step("classify", 1, "ann")) == "too-large"
    world.decide(0, "bob", approve=True)
    world.wait(700)
    world.settle()
    assert world.state.needs_review  # what is left is now small enough
    assert world.state.reviews[world.ask()].fits


def test_R5_two_people_decide_blind_to_each_other_and_one_denial_is_enough(worlds: Worlds) -> None:
    world = worlds(people=2)
    world.accept()
    world.ask()
    world.decide(0, "ann", approve=True)
    world.wait(700)
    assert world.settle() == ()
    row = reviews.queue(world, "bob", now=world.now)[0]
    assert (row.decided, row.people) == (1, 2)
    assert refused(lambda: reviews.outcome(world, 0)) == "not-settled"
    world.read(0, "bob")
    seen = repr(reviews.evidence_page(world, 0, "bob"))
    assert "ann" not in seen
    assert REASON not in seen
    world.step("decide", 0, "bob", approve=False, classification="scope", reason="it does more than it says")
    world.wait(700)
    assert world.settle() == (0,)
    found = reviews.outcome(world, 0)
    assert found.result == "denied"
    assert [(v.reviewer, v.approve) for v in found.votes] == [("ann", True), ("bob", False)]
    assert world.state.denials


def test_R1_a_decision_can_be_taken_back_until_it_counts(world: World) -> None:
    world.decide(0, "ann", approve=True)
    assert refused(lambda: world.step("decide", 0, "ann")) == "already-decided"
    world.wait(599)
    world.step("withdraw", 0, "ann")
    assert refused(lambda: world.step("withdraw", 0, "ann")) == "nothing-to-withdraw"
    world.wait(700)
    assert world.settle() == ()
    world.step("decide", 0, "ann", approve=False, classification="unsure")
    world.wait(600)
    assert refused(lambda: world.step("withdraw", 0, "ann")) == "cooled-off"
    world.settle()
    assert reviews.outcome(world, 0).result == "denied"


@pytest.mark.parametrize(
    ("approve", "classification", "says"),
    [(True, "integrity", "approve-needs-sound"), (False, "sound", "deny-needs-a-class")],
)
def test_R2_a_decision_and_its_type_agree(world: World, approve: bool, classification: str, says: str) -> None:
    world.read(0, "ann")
    assert refused(lambda: world.step("decide", 0, "ann", approve=approve, classification=classification)) == says


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cite": " "}, "bad-citation"), ({"cite": "a\u202eb"}, "bad-citation"), ({"answer": "9"}, "bad-answer"),
        ({"answer": "none of it"}, "bad-answer"), ({"predicted": 1.5}, "bad-prediction"),
    ],
)  # fmt: skip
def test_R2_a_first_judgement_says_something_that_can_be_checked(world: World, options: dict, says: str) -> None:
    world.step("open", 0, "ann")
    world.wait(3600)
    assert refused(lambda: world.step("classify", 0, "ann", **options)) == says


def test_R1_nobody_decides_about_a_change_of_their_own(worlds: Worlds) -> None:
    world = worlds()
    world.accept(author="person:ann:mine")
    world.accept()  # also where it is only part of what is reviewed
    world.ask()
    assert refused(lambda: world.step("open", 0, "ann")) == "own-change"
    world.step("open", 0, "bob")


@pytest.mark.parametrize(
    ("signer", "claims", "alone"),
    [("ann", "ann", True), ("", "ann", False), ("bob", "ann", False), ("eve", "ann", False), ("", "somebody", False)],
)
def test_R1_a_persons_change_is_signed_by_that_person_or_approved_by_nobody_alone(
    worlds: Worlds, signer: str, claims: str, alone: bool
) -> None:
    """Whoever proposes under another's name, or under none, cannot approve it with their own key and no one else's."""
    world = worlds()
    world.enrol("carol")
    key = None if not signer else desk.reviewer_key(signer, create=signer == "eve")  # eve's key is nobody's here
    sign = None if key is None else partial(authorship.sign, key, claims)
    world.accept(author=f"person:{claims}:mine-00000000", sign=sign)
    assert world.state.proposals[0].signed is alone
    world.ask()
    world.decide(0, "bob", approve=True)
    said = reviews.evidence_page(world, 0, "bob", now=world.now).sections[-1].lines[0]
    assert ("NOT signed" in said) is not alone
    world.wait(700)
    assert world.settle() == ((0,) if alone else ())
    if not alone:
        world.decide(0, "carol", approve=True)
        world.wait(700)
        assert world.settle() == (0,)
    assert world.state.generations[1].approved == 0
    assert verify(world.home.ledger).ok


def test_R5_the_queue_reads_the_same_whatever_somebody_said(worlds: Worlds) -> None:
    told = []
    for approve in (True, False):
        world = worlds()
        world.enrol("carol")
        world.accept(author="person:ann:mine-00000000")
        world.decide(world.ask(), "bob", approve=approve)
        (row,) = reviews.queue(world, "carol", now=world.now)
        told.append((row.decided, row.people, row.blocked, row.stage))
    assert told[0] == told[1] == (1, 2, "", "unopened")


def test_R1_one_denial_of_an_unsigned_change_is_enough_and_a_machines_change_needs_no_signature(
    worlds: Worlds,
) -> None:
    world = worlds()
    world.accept(author="person:ann:mine-00000000")
    world.decide(world.ask(), "bob", approve=False)
    world.wait(700)
    assert world.settle() == (0,)
    for author in ("planted:mine", "outside:mine:0123"):  # neither a drill nor a loop of one's own is a way round it
        other = worlds()
        other.accept(author=author)
        assert admitting.needed(other.state, other.state.reviews[other.ask()]) == 2
    world.accept(author="own")
    assert reviews.queue(world, "bob", now=world.now) == ()
    assert admitting.needed(world.state, world.state.reviews[world.ask()]) == 2  # it stands on the unsigned one
    fresh = worlds()
    fresh.accept(author="own")
    assert admitting.needed(fresh.state, fresh.state.reviews[fresh.ask()]) == 1


def test_R1_a_signature_is_of_one_patch_under_one_name(tmp_path: Path) -> None:
    key = LocalKey.create(tmp_path / "ann.pem", "reviewer")
    keys, sig = {"ann": key.public}, authorship.sign(key, "ann", "1" * 64)
    assert authorship.signed("person:ann:a-1", "1" * 64, sig, keys)
    for author, patch, said, known in (
        ("person:ann:a-1", "2" * 64, sig, keys), ("person:bob:a-1", "1" * 64, sig, keys | {"bob": key.public}),
        ("own", "1" * 64, sig, keys), ("person:ann:a-1", "1" * 64, "", keys), ("person:ann:a-1", "1" * 64, sig, {}),
    ):  # fmt: skip
        assert not authorship.signed(author, patch, said, known)


def test_R1_a_review_that_expired_approves_nothing(world: World) -> None:
    world.read(0, "ann")
    world.wait(31 * 86400)
    assert refused(lambda: world.step("decide", 0, "ann")) == "review-expired"


def test_D2_an_approval_that_can_still_be_taken_back_releases_nothing(world: World) -> None:
    world.decide(0, "ann", approve=True)
    late = world.state.reviews[0].seats["ann"].decided_at
    with pytest.raises(UsageError) as caught:
        acts._cooling_off(world.state)
    assert caught.value.name == "cooling-off"
    assert late[:16] < caught.value.what[-24:]


@pytest.mark.parametrize("step", ["classify", "decide", "settle"])
def test_R2_a_forged_step_out_of_order_has_no_effect_or_does_not_fold(world: World, step: str) -> None:
    """What the desk refuses is worth nothing in the record either, whoever wrote it."""
    terms = world.state.reviews[0].terms
    parts = {"review": 0, "binding": terms.binding, "reviewer": "ann", "without_person": False}
    if step == "settle":
        with pytest.raises(IntegrityError):
            world.put(Draft(e.ReviewSettled(
                review=0, outcome="approve", votes=(), origin=f"real:{terms.commit}", salt="", answer=0
            )))  # fmt: skip
        return
    body = {
        "classify": e.ReviewClassified(**parts, classification="sound", cite="0" * 64, answer=0, predicted=0.5),
        "decide": e.ReviewDecided(**parts, decision="approve", reason="0" * 64, classification="sound"),
    }[step]
    world.put(Draft(body, signer=world.key("ann")))
    assert world.state.ignored[-1][2] == "open-first"
    assert not world.state.reviews[0].seats


def test_R1_two_reviewers_who_race_are_both_heard_once(world: World, tmp_path: Path) -> None:
    """Bob's process decides while ann's still holds the older state: hers sees his, and it is settled once."""
    from festina.ledger.log import Ledger
    from festina.system.repo import Repo

    world.read(0, "ann")
    world.read(0, "bob")
    other = Ledger.open(world.home.ledger, signers={"engine": world.engine})
    place = reviews.Place(Repo.discover(world.repo.root), world.home, other, fold(other.records()))
    bound = world.state.reviews[0].terms.binding
    reviews.decide(place, 0, "bob", confirm=bound, approve=False, classification="scope", reason=REASON, now=world.now)
    world.step("decide", 0, "ann")
    world.wait(700)
    assert world.settle() == (0,)
    assert acts.settle_reviews(other, place.state, place.repo, world.now) == ()
    assert [v.decision.reviewer for v in world.state.reviews[0].votes] == ["bob", "ann"]
    assert reviews.outcome(world, 0).result == "denied"
    other.close()


def test_R4_a_reviewers_clock_that_runs_ahead_makes_nothing_count_sooner(world: World) -> None:
    true = world.now
    world.step("open", 0, "ann")
    world.wait(3600)  # ann's own clock: nobody else's has moved
    world.step("classify", 0, "ann")
    world.step("decide", 0, "ann")
    world.wait(700)
    world.step("open", 0, "bob")  # a later entry than the end of the cooling-off
    world.now = true
    world.wait(900)
    assert world.settle() == ()
    world.wait(3600)
    assert world.settle() == (0,)  # control: as late as if the time had been spent


def test_R1_a_reviewers_clock_years_ahead_closes_no_review_and_holds_up_nobody(world: World) -> None:
    terms, true = world.state.reviews[0].terms, world.now
    world.wait(40 * 365 * 24 * 3600)
    opened = e.ReviewOpened(review=0, binding=terms.binding, reviewer="ann", in_use=terms.base, without_person=False)
    world.put(Draft(opened, signer=world.key("ann")))
    world.now = true
    assert world.state.ignored[-1][2] == "review-expired"  # by ann's clock
    assert world.state.waiting  # it has not expired
    assert world.state.last_at < world.state.reviews[0].terms.expires
    world.decide(0, "bob", approve=True)
    world.wait(700)
    assert world.settle() == (0,)
    assert world.state.generations[1].approved == 0
    assert world.state.govern.alive <= world.state.last_at  # nor does it keep a dead man's switch open  # G-4


@pytest.mark.parametrize("behind_s", [0, 7200])
def test_R4_a_first_judgement_that_an_engines_entry_shows_to_be_too_early_has_no_effect(
    world: World, behind_s: int
) -> None:
    """ann's clock jumps an hour; the engine's next entry says that seconds have passed, or (control) that they have."""
    world.step("open", 0, "ann")
    true = world.now + timedelta(seconds=5)
    world.wait(3600)
    world.step("classify", 0, "ann")
    world.step("decide", 0, "ann")
    world.now = true + timedelta(seconds=behind_s)
    world.put(Draft(e.ReviewsReceived(reviews=(0,))))
    seat = world.state.reviews[0].seats["ann"]
    assert (seat.classified is None, seat.decision is None) == ((behind_s == 0),) * 2
    told = [what for _, _, what in world.state.ignored]
    assert told == ([] if behind_s else ["too-soon", "classify-first"])
    world.wait(3600)
    if behind_s == 0:
        world.step("classify", 0, "ann")  # in its time
        world.step("decide", 0, "ann")
        world.wait(700)
    assert world.settle() == (0,)
    assert fold(world.ledger.records()).ignored == world.state.ignored


def test_R4_what_was_judged_too_early_by_a_fast_clock_is_never_counted_first(world: World) -> None:
    """Nobody else has written since: settling itself finds that the clock was ahead."""
    world.step("open", 0, "ann")
    true = world.now
    world.wait(3600)
    world.step("classify", 0, "ann")
    world.step("decide", 0, "ann")
    world.now = true + timedelta(seconds=5)
    assert world.settle() == ()
    assert world.state.reviews[0].seats["ann"].decision is None
    assert [r.kind for r in world.ledger.records()][-1] == "reviews-received"
    world.wait(3600)
    assert world.settle() == ()


@pytest.mark.parametrize("answer", ["0", "4", "", "x", "0010", "1" + "0" * 5000, "-1", "\u00b2"])
def test_R2_an_answer_is_one_of_the_choices_or_its_number(answer: str) -> None:
    choices = ("one", "two", "three")
    assert [reviews.choice(choices, said) for said in ("1", "3", "two")] == [0, 2, 1]  # control
    with pytest.raises(UsageError) as caught:
        reviews.choice(choices, answer)
    assert caught.value.name == "bad-answer"


def test_R2_files_are_known_by_their_names_whatever_git_quotes(world: World) -> None:
    names = ["a b.py", "x b/y.py", "é.py", "модуль/a.py", 'q"uo\\te.py', "tab\there.py", "\u202egnp.py", "-rf.py"]
    tree = world.repo.tree_of(world.state.head.commit)
    made = world.repo.write_files(tree, dict.fromkeys(names, b"x = 1\n+++ y\n"))
    patch = world.repo.diff(tree, made)
    marks = cast(showing._Marks, lambda path: ("look",) if path in ("é.py", "x b/y.py") else ())
    rows = [showing._row(part, marks) for part in showing._sections(patch.decode())]
    assert {row.path for row in rows} == {visible(name, lines=False) for name in names}
    assert {(row.added, row.removed) for row in rows} == {(2, 0)}
    assert {row.path for row in rows if row.marks} == {"é.py", "x b/y.py"}
    ordered = showing._first(patch.decode(), marks)
    assert {questions.path_of(line) for line in ordered.split("\n") if line.startswith("diff --git ")} == set(names)
    assert questions.path_of(ordered.split("\n")[0]) in ("é.py", "x b/y.py")


def test_R3_an_approval_taken_back_while_a_release_begins_releases_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.decide(0, "ann", approve=True)
    world.wait(601)
    world.settle()
    size = world.ledger.size

    def missed(state: State, generation: Generation) -> None:
        generation.approved = None  # as a catch trial that ann missed, settled by the engine at this moment

    monkeypatch.setattr(finals, "require", missed)
    assert refused(lambda: acts.release(world.ledger, world.state, world.repo, None)) == "not-approved"
    assert world.ledger.size == size


@pytest.mark.parametrize("meanwhile", ["decide", "withdraw"])
def test_R1_a_decision_made_or_taken_back_while_another_is_settled_stops_no_ledger(
    world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    for name in ("ann", "bob"):
        world.read(0, name)
    world.step("decide", 0, "ann")
    late = world.now + timedelta(seconds=599)  # by ann's clock; the engine's is two seconds ahead
    world.wait(601)
    other = Ledger.open(world.home.ledger)
    append = world.ledger.append

    def faster(drafts: Sequence[Draft], **options: Any) -> Any:
        monkeypatch.setattr(world.ledger, "append", append)
        here = reviews.Place(world.repo, world.home, other, fold(other.records()))
        if meanwhile == "decide":
            terms = world.state.reviews[0].terms
            reviews.decide(here, 0, "bob", confirm=terms.binding, approve=False, classification="scope",
                           reason=REASON, now=world.now)  # fmt: skip
        else:
            reviews.withdraw(here, 0, "ann", reason=REASON, now=late)
        return append(drafts, **options)

    monkeypatch.setattr(world.ledger, "append", faster)
    assert world.settle() == ()
    if meanwhile == "withdraw":
        world.step("decide", 0, "ann", reason=f"{REASON}, once more")
    world.wait(601)
    assert world.settle() == (0,)
    assert [vote.decision.reviewer for vote in world.state.reviews[0].votes] == (
        ["ann", "bob"] if meanwhile == "decide" else ["ann"]
    )
    other.close()
