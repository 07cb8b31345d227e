"""Catch trials: bad, sealed, like real ones, never releasable, and what they say about a person."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.log import Draft
from festina.loop import acts, admitting, fresh, reviewed, reviews
from festina.loop.state import fold
from festina.release.releaser import Claim, check
from festina.review import catch
from festina.review.binding import stamp
from festina.review.calibration import calibrated, dprime
from festina.review.questions import read_diff
from festina.review.seats import Person, Seat
from tests.review.desk_world import World, program

Worlds = Callable[..., World]
OFTEN = 0.5


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        act()
    return caught.value.name


def trial(world: World) -> tuple[int, bool]:
    """One more change asked for; whether the request is planted, from the opening that only the engine's home has."""
    world.accept()
    number = world.ask()
    review = world.state.reviews[number]
    opening = world.ledger.opening(world.ledger.record(review.seq), "origin")
    assert opening is not None
    return number, opening[1].partition(":")[2].startswith("catch:")


def planted(world: World, wanted: bool = True) -> int:
    for _ in range(60):
        number, is_planted = trial(world)
        if is_planted == wanted:
            return number
    raise AssertionError("no such request in sixty")


def over(world: World, number: int, name: str, *, approve: bool) -> None:
    world.wait(7 * 3600)
    world.decide(number, name, approve=approve)
    world.wait(700)
    world.settle()


# -- what is planted


@pytest.mark.parametrize("seed", range(12))
def test_R3_a_defect_takes_the_place_of_one_line_and_is_another_text(seed: int) -> None:
    text = program(3).encode()
    patch = b"diff --git a/main.py b/main.py\n--- /dev/null\n+++ b/main.py\n"
    lines = text.decode().split("\n")[:-1]
    patch += f"@@ -0,0 +1,{len(lines)} @@\n".encode() + "".join(f"+{x}\n" for x in lines).encode()
    made = catch.make({"main.py": text}, catch.added_lines(patch), seed)
    assert made is not None
    after = made.data.decode().split("\n")
    before = text.decode().split("\n")
    assert len(after) == len(before)
    assert [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [made.line]
    compile(made.data, "main.py", "exec")  # it still reads as Python
    assert made.kind in catch.WORDS
    assert catch.make({"main.py": text}, catch.added_lines(patch), seed) == made


def test_R3_a_number_in_a_data_file_grows_and_nothing_else_can_carry_a_defect() -> None:
    patch = b"diff --git a/a.json b/a.json\n--- a/a.json\n+++ b/a.json\n@@ -1 +1 @@\n-{\"x\": 0.1}\n+{\"x\": 0.25}\n"
    made = catch.make({"a.json": b'{"x": 0.25}\n'}, catch.added_lines(patch), 1)
    assert made is not None
    assert made.data in (b'{"x": 2.5}\n', b'{"x": 25}\n', b'{"x": 250}\n')
    assert catch.make({"a.json": b'{"x": 0}\n'}, catch.added_lines(patch), 1) is None
    assert catch.make({"a.txt": b"words\n"}, catch.added_lines(patch.replace(b"a.json", b"a.txt")), 1) is None
    assert catch.make({}, {}, 1) is None


@pytest.mark.parametrize("junk", [b"\xff\xfe", b"def f(:\n  '''", b"\r\n", b"x = 1\n" * 100_000])
def test_T5_files_that_cannot_be_read_carry_no_defect(junk: bytes) -> None:
    patch = b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x = 1 + 2\n"
    catch.make({"a.py": junk}, catch.added_lines(patch), 1)


# -- in the queue


def test_R3_a_planted_request_can_be_told_from_a_real_one_by_nothing_that_it_shows(worlds: Worlds) -> None:
    """The same run, once with requests planted and once not: field by field the same, but for content and seal."""
    world = worlds(catch_rate=OFTEN)
    number = planted(world)
    real = planted(world, wanted=False)
    a, b = (world.state.reviews[n] for n in (number, real))
    assert set(a.terms.model_fields_set) == set(b.terms.model_fields_set)
    assert len(a.terms.commit) == len(b.terms.commit) == 64
    proposed = {r.body.patch for r in world.ledger.records() if r.kind == "proposal-received"}
    assert not proposed & {x.terms.patch for x in world.state.reviews.values()}  # no other entry names what is shown
    records = [world.ledger.record(x.seq) for x in (a, b)]
    assert [set(r.commitments) for r in records] == [{"origin"}] * 2
    assert [len(r.entry.content) for r in records] == [1, 1]
    for review in (a, b):  # lines and files are the real change's
        base = admitting.base_of(world.state, review)
        commit = world.state.generations[review.terms.generation].commit
        true = read_diff(world.repo.diff(world.repo.tree_of(base.commit), world.repo.tree_of(commit)))
        shown = read_diff(world.ledger.get_blob(review.terms.patch))
        assert (shown.lines, shown.files) == (true.lines, true.files)
        assert review.terms.evidence == world.state.generations[review.terms.generation].verdict_leaf


def told_by_memory(world: World, number: int) -> list[float]:
    """What somebody sees who knows the request before by heart: how many of its lines read otherwise, how many are new.

    Versions only add lines at the end, but for the one with their number.
    """
    patches = [world.ledger.get_blob(world.state.reviews[n].terms.patch) for n in (max(0, number - 1), number)]
    last, own = [[text for _, _, text in catch.added(each) if b"Version" not in text] for each in patches]
    return [sum(a != b for a, b in zip(last, own, strict=False)), len(own) - len(last)]


@pytest.mark.slow
@pytest.mark.parametrize("careful", [True, False])
def test_R3_a_classifier_on_metadata_and_memory_does_no_better_than_chance(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, careful: bool
) -> None:
    """Logistic regression on lines, files, bytes, entry size, number, and on what earlier requests showed, trained on
    half of 60 requests. Control: where defects stand in lines that were shown before, memory finds them.
    """
    if not careful:
        monkeypatch.setattr(fresh, "lines", lambda here, target, patch: catch.added_lines(patch))
    world = worlds(catch_rate=0.5, max_lines=10**6)
    rows: list[tuple[list[float], bool]] = []
    before = False
    for _ in range(60):
        number, is_planted = trial(world)
        terms = world.state.reviews[number].terms
        patch = world.ledger.get_blob(terms.patch)
        size = len(world.ledger.record(world.state.reviews[number].seq).envelope)
        gone, new = told_by_memory(world, number)
        gone -= before  # if the last one was planted, that is known by now
        seen = [terms.lines, terms.files, len(patch) / terms.lines, size, number, number % 5, gone, new]
        rows.append((seen, is_planted))
        before = is_planted
    memory = [(seen[-2:], label) for seen, label in rows]
    if not careful:
        assert _mistakes(memory[:30], memory[30:]) <= 3
        return
    _no_better_than_chance(memory)
    _no_better_than_chance(rows)


def _no_better_than_chance(rows: list[tuple[list[float], bool]]) -> None:
    assert 12 < sum(label for _, label in rows) < 48  # a fair coin: out of it once in a million
    wrong = _mistakes(rows[:30], rows[30:])
    most = max(sum(label for _, label in rows[30:]), 30 - sum(label for _, label in rows[30:]))
    least = 30 - most - 9  # fewer by chance once in many thousands
    assert wrong >= least, f"{wrong} mistakes; always saying the commoner word makes {30 - most}"


def _mistakes(train: list[tuple[list[float], bool]], test: list[tuple[list[float], bool]]) -> int:
    from math import exp

    columns = list(zip(*(x for x, _ in train), strict=True))
    mean = [sum(c) / len(c) for c in columns]
    width = [max(1e-9, (sum((v - m) ** 2 for v in c) / len(c)) ** 0.5) for c, m in zip(columns, mean, strict=True)]

    def scaled(x: list[float]) -> list[float]:
        return [1.0, *((v - m) / w for v, m, w in zip(x, mean, width, strict=True))]

    weights = [0.0] * (len(mean) + 1)
    for _ in range(300):
        for x, label in train:
            z = scaled(x)
            error = label - 1 / (1 + exp(-max(-30.0, min(30.0, sum(a * b for a, b in zip(weights, z, strict=True))))))
            weights = [w + 0.05 * error * v for w, v in zip(weights, z, strict=True)]
    return sum((sum(a * b for a, b in zip(weights, scaled(x), strict=True)) > 0) != label for x, label in test)


def test_R3_a_classifier_that_is_given_the_answer_finds_it() -> None:
    """Control: the same classifier does tell the two apart where one column says which is which."""
    coins = random.Random(1)
    rows = [([coins.random(), float(label)], label) for label in (coins.random() < 0.5 for _ in range(60))]
    assert _mistakes(rows[:30], rows[30:]) == 0


def test_R3_a_defect_stands_in_no_line_that_a_request_has_shown(worlds: Worlds) -> None:
    """So that memory, or two requests side by side, tell nothing; after a trial the real change follows as it is."""
    world = worlds(catch_rate=0.9)
    shown: set[bytes] = set()
    found = 0
    for _ in range(6):
        number, is_planted = trial(world)
        added = {text for _, _, text in catch.added(world.ledger.get_blob(world.state.reviews[number].terms.patch))}
        real = {text for _, _, text in catch.added(_real(world, number))}
        assert bool(added - real) is is_planted
        assert not (real - added) & shown - {b""}
        shown |= real | added
        found += is_planted
    assert found >= 1  # nine in ten are
    number = planted(world)
    over(world, number, "ann", approve=False)
    again = world.ask()
    assert world.state.reviews[again].terms.generation == world.state.reviews[number].terms.generation
    assert catch.added_lines(world.ledger.get_blob(world.state.reviews[again].terms.patch)) == catch.added_lines(
        _real(world, again)
    )
    assert reviewed.audit(world.ledger).wrong == ()


def _real(world: World, number: int) -> bytes:
    review = world.state.reviews[number]
    commits = (admitting.base_of(world.state, review).commit, world.state.generations[review.terms.generation].commit)
    return world.repo.diff(*(world.repo.tree_of(commit) for commit in commits))


def test_R3_a_request_that_nobody_saw_and_nobody_can_see_keeps_no_line_from_a_trial(worlds: Worlds) -> None:
    world = worlds(catch_rate=0.9)
    world.accept()
    target, patch = world.state.head, _real(world, world.ask())
    assert not any(fresh.lines(world, target, patch).values())
    review = world.state.reviews[0]
    review.closed = True  # overtaken, say
    assert fresh.lines(world, target, patch) == catch.added_lines(patch)
    review.seats["ann"] = Seat("ann", stamp(world.now), "0" * 40)  # who has seen it remembers
    assert not any(fresh.lines(world, target, patch).values())


def test_R3_nobody_has_two_requests_before_them_that_tell_of_each_other(worlds: Worlds) -> None:
    world = worlds(catch_rate=OFTEN)
    for _ in range(2):
        world.accept()
        world.ask()
    page = repr(world.step("open", 0, "ann"))
    assert not any(g.commit[:7] in page for g in world.state.generations.values())  # no way to its true text
    assert refused(lambda: world.step("open", 1, "ann")) == "finish-first"
    world.step("open", 1, "bob")
    assert refused(lambda: world.step("open", 0, "bob")) == "seen-newer"
    world.wait(3600)
    world.step("classify", 0, "ann")
    world.step("decide", 0, "ann")
    assert refused(lambda: world.step("open", 1, "ann")) == "finish-first"  # it can still be taken back
    world.wait(600)
    world.step("open", 1, "ann")
    plain = worlds()  # control: where nothing is planted nothing tells of it
    for _ in range(2):
        plain.accept()
        plain.ask()
    plain.step("open", 1, "ann")
    plain.step("open", 0, "ann")


# -- what comes of it


def test_R3_who_denies_it_has_seen_through_it_and_the_real_change_is_asked_for_after(worlds: Worlds) -> None:
    world = worlds(catch_rate=OFTEN)
    number = planted(world)
    assert b"def step_1" in world.ledger.get_blob(world.state.reviews[number].terms.patch)
    over(world, number, "ann", approve=False)
    found = reviews.outcome(world, number)
    assert found.result == "catch"
    assert found.catch
    assert not world.state.denials  # nothing real was denied
    assert world.state.needs_review
    row = next(x for x in reviews.calibration(world.state) if x.reviewer == "ann")
    assert (row.trials, row.hits, row.authority) == (1, 1, True)
    assert row.low == pytest.approx(0.025)
    assert verify(world.home.ledger).ok
    assert fold(world.ledger.records()).persons["ann"] == world.state.persons["ann"]


def test_R3_who_misses_one_is_suspended_and_what_rests_on_them_goes_back_to_review(worlds: Worlds) -> None:
    world = worlds(catch_rate=OFTEN)
    real = planted(world, wanted=False)
    over(world, real, "ann", approve=True)
    generation = world.state.reviews[real].terms.generation
    assert world.state.generations[generation].approved == real
    world.put(Draft(e.InForce(
        generation=generation, commit=world.state.generations[generation].commit, review=real
    )))  # fmt: skip
    over(world, planted(world), "ann", approve=True)
    row = next(x for x in reviews.calibration(world.state) if x.reviewer == "ann")
    assert (row.trials, row.hits, row.authority) == (1, 0, False)
    assert world.state.generations[generation].approved is None
    assert world.state.in_force == 0
    assert world.state.needs_review
    over(world, planted(world, wanted=False), "ann", approve=True)
    assert world.state.reviews[max(world.state.reviews)].settled.outcome == "void"  # it does not count for now
    for _ in range(2):
        over(world, planted(world), "ann", approve=False)
    assert next(x for x in reviews.calibration(world.state) if x.reviewer == "ann").authority
    number = planted(world, wanted=False)
    over(world, number, "ann", approve=True)
    assert world.state.generations[world.state.reviews[number].terms.generation].approved == number


def test_R3_an_approved_planted_change_can_never_be_released(worlds: Worlds) -> None:
    """Its approval is bound to what opens to no commit, and nothing says that the generation is approved."""
    world = worlds(catch_rate=OFTEN)
    number = planted(world)
    over(world, number, "ann", approve=True)
    with pytest.raises(UsageError, match="no generation has been approved"):
        acts.may_release(world.ledger, world.state, world.repo, None)
    review, s = world.state.reviews[number], world.state
    generation, vote, settled = s.generations[review.terms.generation], review.votes[0], review.settled
    assert generation.verdict is not None
    assert settled is not None
    forged = Claim(
        generation=generation.number, commit=generation.commit, tree=generation.verdict.tree, provisional=False,
        verdict_seq=s.proposals[generation.proposal].verdict_seq or 0, verdict_leaf=generation.verdict_leaf,
        approval_seq=settled.votes[0], approved_binding=vote.decision.binding, evaluator=review.terms.evaluator,
        patch=review.terms.patch, expires=review.terms.expires, sealed=review.terms.commit, salt=settled.salt,
        votes=settled.votes,
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="planted change"):
        check(world.repo, world.ledger, forged)


def test_D2_a_sealed_real_approval_is_proven_for_its_commit(worlds: Worlds) -> None:
    """Control: the same road lets a real change through."""
    world = worlds(catch_rate=OFTEN)
    number = planted(world, wanted=False)
    over(world, number, "ann", approve=True)
    found = acts.may_release(world.ledger, world.state, world.repo, None)
    assert found.number == world.state.reviews[number].terms.generation


def test_R3_nobody_can_call_a_real_change_a_catch_trial_afterwards(worlds: Worlds) -> None:
    world = worlds(catch_rate=OFTEN)
    number = planted(world, wanted=False)
    world.wait(7 * 3600)
    world.decide(number, "ann", approve=True)
    world.wait(700)
    opening = world.ledger.opening(world.ledger.record(world.state.reviews[number].seq), "origin")
    assert opening is not None
    salt = opening[1].partition(":")[0]
    votes = tuple(x.decided_seq for x in world.state.reviews[number].seats.values())
    with pytest.raises(IntegrityError, match="does not open"):
        world.put(Draft(e.ReviewSettled(
            review=number, outcome="catch", votes=votes, origin="catch:operator:presumed:main.py:3", salt=salt, answer=0
        )))  # fmt: skip


def test_P4_no_improver_hears_of_a_catch_trial(worlds: Worlds) -> None:
    """What an improver sees is made of proposals alone; those of a world with trials say nothing of them."""
    world = worlds(catch_rate=OFTEN)
    over(world, planted(world), "ann", approve=True)
    told = json.dumps([(p.word, p.reason, p.stage) for p in world.state.proposals.values()])
    assert "catch" not in told
    assert {p.word for p in world.state.proposals.values()} == {"accepted"}


def test_R3_dprime_is_positive_for_who_tells_them_apart_and_zero_for_who_does_not() -> None:
    assert dprime(9, 10, 1, 10) == pytest.approx(2.2, abs=0.2)
    assert dprime(5, 10, 5, 10) == pytest.approx(0.0)
    assert dprime(0, 0, 1, 10) is None
    why = calibrated(Person("ann"), demo=False, needed=0.5).why
    assert why == "0 catch trials show a hit rate of 0% at least, 50% is asked for"


def test_R3_where_the_policy_asks_for_a_record_approvals_wait_for_it(worlds: Worlds) -> None:
    """Lower bounds of 1, 2 and 3 hits without a miss are 2.5, 16 and 29 %."""
    world = worlds(catch_rate=0.2, authority=0.25)
    assert admitting.catch_rate(world.state) == 0.5  # nobody's approvals count yet: the way to a record
    over(world, planted(world, wanted=False), "ann", approve=True)
    assert world.state.reviews[max(world.state.reviews)].settled.outcome == "void"
    for _ in range(3):
        assert not next(x for x in reviews.calibration(world.state) if x.reviewer == "ann").authority
        over(world, planted(world), "ann", approve=False)
    assert next(x for x in reviews.calibration(world.state) if x.reviewer == "ann").authority
    assert admitting.catch_rate(world.state) == 0.2
    number = planted(world, wanted=False)
    over(world, number, "ann", approve=True)
    assert world.state.generations[world.state.reviews[number].terms.generation].approved == number
