"""Deciding on a page: the order, the bindings, and what a page may not tell.  # R-1, R-2, R-5"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from festina.ledger.log import Ledger, Record
from festina.loop import reviews
from festina.web.app import Site
from festina.web.feed import Feed, tells_of
from festina.web.gate import Pass
from tests.review.desk_world import REASON, World
from tests.web.signed import SignedLoop
from tests.web.visiting import HOST, PORT, Visitor, structure

Sit = Callable[..., Visitor]
TELLING = ("better by 0", "trust me", "it was short", "+0.5")


@pytest.fixture
def sit(world: World) -> Iterator[Sit]:
    """Pages of one person, each with a ledger of its own, opened without the engine's key."""
    opened: list[Ledger] = []

    def at(name: str = "") -> Visitor:
        ledger = Ledger.open(world.home.ledger, readonly=not name)
        opened.append(ledger)
        door = Pass(PORT)
        site = Site(Feed(ledger, world.repo, world.home), door, name, lambda: world.now)
        return Visitor(site, {"host": HOST, "cookie": f"{door.cookie}={door.session}"})

    yield at
    for ledger in opened:
        ledger.close()


def post(visitor: Visitor, path: str, **data: str) -> httpx.Response:
    return visitor.ask(path, "POST", data={"form": visitor.site.door.form} | data)


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, name
    return found[1]


def judged(world: World, visitor: Visitor, **changed: str) -> httpx.Response:
    confirm = field(visitor.page("/review/0"), "confirm")
    form = {
        "confirm": confirm, "answer": world.answer(0), "classification": "sound", "cite": "main.py:3", "predicted": "60"
    }  # fmt: skip
    return post(visitor, "/review/0/classify", **(form | changed))


def decided(visitor: Visitor, **changed: str) -> httpx.Response:
    confirm = field(visitor.page("/review/0"), "confirm")
    form = {"confirm": confirm, "decision": "approve", "classification": "sound", "reason": REASON}
    return post(visitor, "/review/0/decide", **(form | changed))


def test_R2_a_review_from_the_queue_to_its_outcome(world: World, sit: Sit) -> None:
    ann = sit("ann")
    assert 'href="/review/0"' in ann.page("/review")
    assert "total = total" not in ann.page("/review/0")  # nothing is shown before it is recorded that it was
    assert post(ann, "/review/0/open").headers["location"] == "/review/0"
    page = ann.page("/review/0")
    assert "total" in page
    assert "checked" not in page  # no default
    assert "Reading this with care takes longer" in page
    assert judged(world, ann).status_code == 409
    world.wait(3600)
    assert judged(world, ann).status_code == 303
    page = ann.page("/review/0")
    assert "better by" in page
    assert page.rindex("trust me") > page.rindex("better by")
    assert "checked" not in page
    assert decided(ann).status_code == 303
    assert "Take my decision back" in ann.page("/review/0")
    world.wait(601)
    for record in world.ledger.refresh():
        world.state.apply(record)
    assert world.settle() == (0,)
    ann.site.feed.poll()
    assert "Outcome: approved" in ann.page("/review/0")
    assert world.state.generations[1].approved == 0
    assert '<a href="/review/0">0</a>' in ann.page("/review")


def test_R2_a_wrong_answer_is_told_with_the_evidence_and_an_approval_waits(world: World, sit: Sit) -> None:
    ann = sit("ann")
    post(ann, "/review/0/open")
    world.wait(3600)
    assert judged(world, ann, answer=world.answer(0, right=False)).status_code == 303
    assert "was WRONG; right is:" in ann.page("/review/0")
    early = decided(ann)
    assert (early.status_code, "answered wrongly" in early.text) == (409, True)
    assert REASON in early.text  # what was written is still there
    world.wait(87)
    assert decided(ann).status_code == 303


def test_R2_no_page_tells_of_the_evidence_before_the_first_classification(world: World, sit: Sit) -> None:
    ann, onlooker = sit("ann"), sit()
    verdict = next(r.seq for r in world.ledger.records() if r.kind == "verdict")
    batch = next(r.seq for r in world.ledger.records() if r.kind == "batch-ended")
    pages = ["/", "/lineage", "/proposals", "/proposal/0", "/growth", "/review", "/review/0", "/ledger",
             f"/ledger/{verdict}", f"/ledger/{batch}"]  # fmt: skip
    pages += [("/run" if p == "/" else p) + ".json" for p in pages]
    post(ann, "/review/0/open")

    def telling(visitor: Visitor) -> set[str]:
        return {p for p in pages for word in TELLING if word in visitor.ask(p).text}

    assert telling(ann) == set()
    assert {"/", "/lineage", "/proposal/0", f"/ledger/{verdict}"} <= telling(onlooker)  # control: it is there to tell
    world.wait(3600)
    assert judged(world, ann).status_code == 303
    assert {"/", "/lineage", "/proposal/0", f"/ledger/{verdict}", "/review/0"} <= telling(ann)


def test_R2_evidence_is_closed_before_a_review_is_asked_for_too(worlds: Callable[..., World], sit: Sit) -> None:
    world = worlds()
    world.accept()
    received, verdict = (next(r.seq for r in world.ledger.records() if r.kind == k) for k in (
        "proposal-received", "verdict"))  # fmt: skip
    paths = ("/run.json", "/lineage.json", "/proposal/0.json", "/growth.json", f"/ledger/{verdict}.json",
             f"/ledger/{received}.json")  # fmt: skip
    telling = (*TELLING, '\\"predicted\\": 0.1', '"predicted": 0.1')
    with Ledger.open(world.home.ledger, readonly=True) as ledger:
        feed = Feed(ledger, world.repo, world.home)
        ann, onlooker = Visitor.of(feed, "ann"), Visitor.of(feed)
        assert {p for p in paths if any(word in ann.ask(p).text for word in telling)} == set()
        told = {p for p in paths if any(word in onlooker.ask(p).text for word in telling)}
        assert told == set(paths) - {"/growth.json"}  # control: it is there to tell
        assert "Closed to you" in ann.ask("/growth.json").text


def test_R2_how_a_test_fares_is_closed_to_whoever_may_have_to_review_it(tmp_path: Path) -> None:
    loop = SignedLoop(seed=3, proposals=3, guards=1, place=tmp_path)
    loop.begin()
    while not any(test.gains for test in loop.state.open.values()):
        loop.some(1)
    feed = loop.feed()
    ann, onlooker = Visitor.of(feed, "ann"), Visitor.of(feed)
    number = next(iter(loop.state.open.values())).proposal
    batch = next(r.seq for r in feed.ledger.records() if r.kind == "batch-ended")
    for path in ("/", "/lineage", "/proposals", f"/proposal/{number}", "/review", "/reviewers", "/growth", "/ledger"):
        for each in (ann, onlooker):  # nothing was accepted yet: what is not there is not written as None
            assert re.search(r">\s*None\s*<", each.page(path)) is None, path
    assert "Difference so far" in onlooker.page("/")  # control
    assert json.loads(onlooker.ask(f"/proposal/{number}.json").text)["tests"][0]["path"]
    assert "Difference so far" not in ann.page("/")
    assert f"Proposal {number}</a> is under test" in ann.page("/")
    assert "tests" not in json.loads(ann.ask(f"/proposal/{number}.json").text)
    assert json.loads(ann.ask(f"/ledger/{batch}.json").text)["body"] is None
    feed.ledger.close()
    assert loop.ledger is not None
    loop.ledger.close()


def test_R2_an_entry_about_the_whole_line_is_closed_while_any_change_is(world: World, sit: Sit) -> None:
    ann = sit("ann")
    feed = ann.site.feed
    final = SimpleNamespace(kind="final-scored", body=SimpleNamespace())
    assert tells_of(cast(Record, final), feed.reading) in ann.site.hidden()
    assert tells_of(cast(Record, SimpleNamespace(kind="genesis", body=None)), feed.reading) is None  # control
    world.read(0, "ann")
    feed.poll()
    assert ann.site.hidden() == frozenset()


def test_R3_the_real_change_stands_on_no_page_beside_a_review_that_may_show_a_planted_one(
    worlds: Callable[..., World], sit: Sit
) -> None:
    world = worlds(catch_rate=1.0)
    world.accept()
    world.ask()
    with Ledger.open(world.home.ledger, readonly=True) as ledger:
        feed = Feed(ledger, world.repo, world.home)
        ann, onlooker = Visitor.of(feed, "ann"), Visitor.of(feed)
        for each, shown in ((ann, False), (onlooker, True)):
            found = json.loads(each.ask("/proposal/0.json").text)["change"]
            assert ((found["shown"] is not None), (found["digest"] is not None)) == (shown, shown)
        assert "shown to you there alone" in ann.page("/proposal/0")
        world.decide(0, "ann", approve=False)
        feed.poll()
        assert "total" in ann.page("/review/0")
        found = json.loads(ann.ask("/proposal/0.json").text)
        assert found["tests"], "the evidence is open now"
        assert found["change"]["shown"] is None  # and the change is still closed: the decision can be taken back


def test_R2_evidence_cannot_be_asked_for_out_of_order(world: World, sit: Sit) -> None:
    ann = sit("ann")
    confirm = world.state.reviews[0].terms.binding
    early = post(ann, "/review/0/decide", confirm=confirm, decision="approve", classification="sound", reason=REASON)
    assert early.status_code == 409
    assert "first" in early.text
    assert post(ann, "/review/0/classify", confirm=confirm, answer="1", classification="sound", cite="main.py:3",
                predicted="50").status_code == 409  # fmt: skip
    assert reviews.stage(ann.site.feed.state, 0, "ann") == "unopened"


def test_R1_what_was_shown_is_what_is_signed(world: World, sit: Sit) -> None:
    ann = sit("ann")
    post(ann, "/review/0/open")
    world.wait(3600)
    wrong = judged(world, ann, confirm="f" * 64)
    assert (wrong.status_code, "binding-differs" in wrong.text) == (409, True)
    assert judged(world, ann).status_code == 303
    assert decided(ann, confirm="").status_code == 409
    assert reviews.stage(ann.site.feed.state, 0, "ann") == "classified"
    assert decided(ann).status_code == 303


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"classification": ""}, "choose one of the five"), ({"decision": ""}, "no default"), ({"reason": "ok"}, "reason"),
     ({"reason": f"{REASON} \u202e"}, "bidirectional"), ({"classification": "scope"}, "sound"),
     ({"decision": "deny"}, "deny")],
)  # fmt: skip
def test_R1_a_form_that_says_too_little_is_given_back_as_it_was(
    world: World,
    sit: Sit,
    changed: dict[str, str],
    word: str,
) -> None:
    ann = sit("ann")
    post(ann, "/review/0/open")
    world.wait(3600)
    judged(world, ann)
    answer = decided(ann, **changed)
    assert answer.status_code == 409
    assert word in answer.text
    if changed.get("reason", REASON) == REASON:
        assert f">{REASON}</textarea>" in answer.text
    assert reviews.stage(ann.site.feed.state, 0, "ann") == "classified"


def test_R1_only_a_form_of_ours_with_a_name_behind_it_signs(world: World, sit: Sit) -> None:
    ann, nobody = sit("ann"), sit()
    assert ann.ask("/review/0/open", "POST", data={"form": "x"}).status_code == 403
    assert ann.ask("/review/0/open", "POST", data={"x": "y"}).status_code == 403
    assert post(ann, "/review/99/open").status_code == 404
    refused = post(nobody, "/review/0/open")
    assert (refused.status_code, "--as NAME" in refused.text) == (409, True)
    assert ann.ask("/review/0/open").status_code == 405
    assert ann.site.feed.ledger.size == world.ledger.size


def test_R5_nobody_learns_what_another_said_before_it_is_settled(
    worlds: Callable[..., World],
) -> None:
    world = worlds(people=2)
    world.accept()
    world.ask()
    world.read(0, "ann")
    world.step("decide", 0, "ann")
    with Ledger.open(world.home.ledger, readonly=True) as ledger:
        visitor = Visitor.of(Feed(ledger, world.repo, world.home))
        seqs = [r.seq for r in world.ledger.records() if r.kind in ("review-classified", "review-decided")]
        assert len(seqs) == 2
        for seq in seqs:
            found = json.loads(visitor.ask(f"/ledger/{seq}.json").text)
            assert (found["sealed"], found["body"], found["content"], found["proof"]) == (True, None, [], None)
        assert "1 of 2" in visitor.page("/review")
        assert not re.search(r"\bann\b", visitor.page("/review") + visitor.page("/"))


def test_T5_a_review_of_a_hostile_change_is_still_our_page(world: World, sit: Sit) -> None:
    honest = sit("ann")
    post(honest, "/review/0/open")
    tags = {tag for tag, _ in structure(honest.page("/review/0"))}
    for record in world.ledger.refresh():
        world.state.apply(record)
    world.accept(text="x = 1\n'</textarea></form><script>alert(1)</script>'\n")
    world.ask()
    ann = sit("ann")
    post(ann, "/review/1/open")
    page = ann.page("/review/1")
    assert "&lt;script&gt;alert(1)" in page
    found = structure(page)
    assert {tag for tag, _ in found} <= tags | {"mark", "details", "summary"}
    assert sum(tag == "form" for tag, _ in found) == 2  # halt and judgement


def test_R2_reviews_are_there_as_values(world: World, sit: Sit) -> None:
    ann = sit("ann")
    assert json.loads(ann.ask("/review/0.json").text)["blind"] is None
    post(ann, "/review/0/open")
    found = json.loads(ann.ask("/review/0.json").text)
    assert found["blind"]["question"]["choices"]
    assert found["evidence"] is None
    people = json.loads(ann.ask("/reviewers.json").text)["reviewers"]
    assert {c["reviewer"] for c in people} == {"ann", "bob"}


def test_G5_the_button_halts_and_every_page_says_so(world: World, sit: Sit) -> None:
    visitor = sit()
    assert visitor.ask("/halt", "POST", data={"form": "x"}).status_code == 403
    assert visitor.ask("/halt").status_code == 405
    assert not visitor.site.feed.halts  # control: nothing has halted so far
    answer = post(visitor, "/halt", reason="it behaves oddly")
    assert (answer.status_code, "Halted" in answer.text) == (200, True)
    assert [h.reason for h in visitor.site.feed.halts] == ["it behaves oddly"]
    assert "it behaves oddly" in visitor.page("/")
    assert 'class="badge halted"' in visitor.page("/ledger")


def test_L1_damaged_content_of_an_old_review_closes_no_queue(world: World, sit: Sit) -> None:
    world.decide(0, "ann", approve=False)
    world.wait(601)
    assert world.settle() == (0,)
    bob = sit("bob")
    assert "<td>denied</td><td>ann: deny</td>" in bob.page("/review")
    with closing(sqlite3.connect(world.home.ledger)) as database:
        reason = bytes.fromhex(world.state.reviews[0].votes[0].decision.reason)
        assert database.execute("DELETE FROM blob WHERE digest = ?", (reason,)).rowcount == 1
        database.commit()
    bob.site.forget()
    assert bob.ask("/review/0").status_code == 500  # control: its own page says what is missing
    assert "<td>denied</td><td>ann: deny</td>" in bob.page("/review")


def test_R1_of_two_who_race_one_decision_counts(world: World, sit: Sit) -> None:
    ann, bob = sit("ann"), sit("bob")
    for person in (ann, bob):
        assert post(person, "/review/0/open").status_code == 303
    world.wait(3600)
    assert judged(world, ann).status_code == judged(world, bob).status_code == 303
    confirm = field(bob.page("/review/0"), "confirm")
    assert decided(ann).status_code == 303
    world.wait(601)
    for record in world.ledger.refresh():
        world.state.apply(record)
    assert world.settle() == (0,)
    late = post(bob, "/review/0/decide", confirm=confirm, decision="deny", classification="unsure", reason=REASON)
    assert late.status_code == 409
    assert "was decided" in late.text
    assert "Outcome: approved" in bob.page("/review/0")
