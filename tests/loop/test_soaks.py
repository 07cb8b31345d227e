"""Soak runs before a release and outcomes days after it: what does not follow does not fit, and bad news takes back."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from festina.cli import soak as cli
from festina.cli.common import opened
from festina.errors import IntegrityError, Rejected, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.loop import acts, alarmed, outcomes, soaks, takeback, watching
from festina.loop.state import State
from festina.release.refs import RELEASED
from festina.select import monitor
from festina.select.report import interval, repeated
from festina.system.repo import Repo
from festina.verify.soaking import Asking, answer_of, numbers
from tests.loop.commandline import decide, festina
from tests.loop.invariants import check, read
from tests.loop.paper import Paper, PaperLoop, digest
from tests.toy import GENERATOR, Toy, make_toy

TERMS = e.SoakTerms(
    name="long", scorer="s:f", low=0.0, high=2.0, direction="higher", units=20, batch_items=10, max_loss=0.1,
    valid_s=86400.0,
)  # fmt: skip
LATER = e.OutcomeTerms(tolerate=0.02, least=100, valid_s=30 * 86400.0, alpha=0.01)
START = datetime(2026, 11, 27, 10, tzinfo=UTC)
SOURCE = "5" * 64


@pytest.fixture
def state() -> State:
    paper = PaperLoop(seed=5, proposals=2)
    paper.begin()
    paper.run()
    s = paper.state
    assert s.epoch is not None
    s.epoch = s.epoch.model_copy(update={"soaks": (TERMS,), "outcomes": LATER})
    return s


def put(state: State, body: e.Body, at: datetime = START) -> None:
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    state.apply(Paper(state.size, body.kind, stamp, body, digest(state.size)))


def soak(state: State, low: float, high: float, *, at: datetime = START, source: str = SOURCE, **more: Any) -> None:
    number, measure = state.head.number, state.side.count
    known = state.watches.soaks.times.get(("0" * 40, "long"), Asking())
    put(state, e.MeasureStarted(
        measure=measure, purpose="soak", generation=number, attempt=state.side.tried("soak", number) + 1, units=20,
        trials=40, items=200, source=source, fresh=False,
    ), at)  # fmt: skip
    body = e.Soaked(
        measure=measure, suite="long", generation=number, tree="0" * 40, base="1" * 40, units=20, items=200, mean=1.0,
        base_mean=1.0, estimate=(low + high) / 2, interval=(low, high), answer=answer_of(TERMS, (low, high)),
        details="0" * 64, asked=known.asked + 1, failed=known.failed,
    )  # fmt: skip
    try:
        put(state, body.model_copy(update=more), at)
    finally:
        put(state, e.MeasureEnded(measure=measure, purpose="soak"), at)


@pytest.mark.parametrize(
    ("around", "answer"),
    [((-0.05, 0.3), "holds"), ((-0.3, -0.2), "worse"), ((-0.3, 0.3), "cannot tell"), ((-0.1, 0.3), "cannot tell")],
)
def test_D3_what_cannot_be_shown_to_hold_does_not_pass(state: State, around: tuple[float, float], answer: str) -> None:
    assert soaks.due(state, state.head, START) == (TERMS,)
    with pytest.raises(UsageError, match="has not run"):
        soaks.require(state, state.head, START)
    soak(state, *around)
    assert state.watches.soaks.rows[state.head.number, "long"].body.answer == answer
    assert soaks.due(state, state.head, START) == (), "one answer, until it runs out"
    if answer == "holds":
        soaks.require(state, state.head, START + timedelta(hours=23))
        with pytest.raises(UsageError, match="ran out"):
            soaks.require(state, state.head, START + timedelta(hours=25))
        with pytest.raises(UsageError, match="ran out"):
            soaks.require(state, state.head, START - timedelta(hours=1))  # a clock that jumped back proves nothing
        assert "RAN OUT" in soaks.lines(state, START + timedelta(hours=25))[0]
    else:
        with pytest.raises(Rejected, match="soak-not-passed"):
            soaks.require(state, state.head, START)


def test_D3_L1_answers_that_the_numbers_do_not_give_and_second_answers_are_refused(state: State) -> None:
    with pytest.raises(IntegrityError, match="answer its numbers do not give"):
        soak(state, -0.3, -0.2, answer="holds")
    with pytest.raises(IntegrityError, match="without a measurement"):
        put(state, e.Soaked(
            measure=9, suite="long", generation=state.head.number, tree="0" * 40, base="1" * 40, units=20, items=200,
            mean=1.0, base_mean=1.0, estimate=0.0, interval=(0.0, 0.0), answer="holds", details="0" * 64,
        ))  # fmt: skip
    soak(state, -0.3, 0.3)
    with pytest.raises(IntegrityError, match="first one is still good"):
        soak(state, -0.01, 0.3)
    soak(state, -0.3, 0.3, source="6" * 64)  # new items are another question
    soak(state, -0.01, 0.3)  # and the old ones answered theirs, also after that
    assert state.ignored[-1][2] == "these items gave an answer that is still good"
    assert "not shown to hold" in soaks.lacking(state, state.head, START)
    soak(state, -0.01, 0.3, at=START + timedelta(hours=25))


def test_D3_what_held_under_wider_terms_does_not_hold_under_narrower_ones(state: State) -> None:
    soak(state, -0.05, 0.3)
    assert not soaks.lacking(state, state.head, START)
    assert state.epoch is not None
    state.epoch = state.epoch.model_copy(update={"soaks": (TERMS.model_copy(update={"max_loss": 0.01}),)})
    assert "not shown to hold within 0.01" in soaks.lacking(state, state.head, START)
    assert "not shown to hold within 0.01" in soaks.lines(state, START)[0]
    with pytest.raises(Rejected, match="soak-not-passed"):
        soaks.require(state, state.head, START)


def test_D3_asking_again_counts_and_nothing_uncounted_comes_after_what_was_counted(state: State) -> None:
    soak(state, -0.3, 0.3)
    for said in ({"asked": 1, "failed": 0}, {"asked": 2, "failed": 0}, {"asked": 0, "failed": 0}):
        with pytest.raises(IntegrityError, match="as often as it says"):
            soak(state, -0.3, 0.3, source="6" * 64, **said)
    soak(state, -0.01, 0.3, source="6" * 64)
    assert state.watches.soaks.times["0" * 40, "long"] == Asking(2, 1)
    assert "asked 2 times" in soaks.lines(state, START)[0]
    soak(state, -0.01, 0.3, at=START + timedelta(hours=25))
    assert state.watches.soaks.times["0" * 40, "long"] == Asking(3, 1), "what held is not asked for until it holds"


def test_L1_records_from_before_askings_were_counted_still_fold(state: State) -> None:
    soak(state, -0.3, 0.3, asked=0)
    soak(state, -0.3, 0.3, source="6" * 64, asked=0, failed=0)
    soak(state, -0.3, 0.3, source="7" * 64)
    assert state.watches.soaks.times["0" * 40, "long"] == Asking(3, 3)


def test_D3_however_often_one_asks_chance_does_not_say_yes() -> None:
    """A version that loses just too much, asked 8 times with other items each time; and the same at the other end."""
    rng = random.Random(4)
    plain = charged = 0
    for _ in range(60):
        rows = [[max(-1.0, min(1.0, rng.gauss(-0.05, 0.05))) for _ in range(20)] for _ in range(8)]
        plain += any((interval(row) or (0, 0))[0] > -0.05 for row in rows)
        ends = [repeated(row, below=n, above=1) for n, row in enumerate(rows, 1)]
        charged += any(found is not None and found[0] > -0.05 for found in ends)
    assert charged <= 6, "4.2 % at most"
    assert charged <= plain
    diffs = [0.02] * 40
    first, second = repeated(diffs, below=1, above=1), repeated(diffs, below=3, above=2)
    assert first == interval(diffs)
    assert first is not None
    assert second is not None
    assert second[0] < first[0] < first[1] < second[1]


def test_D3_each_end_pays_for_its_own_askings() -> None:
    rows = [(gain, 1.0, 1.0) for gain in (0.0, 0.02, -0.02) * 10]
    once, again, renewed = (numbers(TERMS, rows, now) for now in (Asking(1, 0), Asking(4, 3), Asking(4, 0)))
    assert again["interval"][0] < once["interval"][0] == renewed["interval"][0]
    assert again["interval"][1] == renewed["interval"][1] > once["interval"][1]


def test_D4_what_is_in_use_and_turns_out_worse_speaks_against_it_until_it_is_taken_back(state: State) -> None:
    number = state.head.number
    soak(state, -0.3, -0.2)
    assert soaks.against(state) == "", "it is not in use"
    assert soaks._draft(state, TERMS, state.watches.soaks.rows[number, "long"].body) == []
    state.released = number
    assert "worse by more than 0.1" in soaks.against(state)
    assert "in use all the same" in soaks.lines(state, START)[-1]
    body = state.watches.soaks.rows[number, "long"].body
    (draft,) = soaks._draft(state, TERMS, body)
    assert isinstance(draft.body, e.IncidentDrafted)
    assert draft.body.about == state.size, "of the finding that is written in one piece with it"
    assert draft.body.text.endswith("worse by more than 0.1; taken back")
    assert soaks._draft(state, TERMS, body.model_copy(update={"answer": "cannot tell"})) == [], "no alarm, no evidence"
    assert state.watches.alarmed(number)
    assert not state.watches.alarmed(state.line[0])


def test_D4_what_may_be_released_under_wider_terms_is_not_taken_back_under_them(state: State) -> None:
    soak(state, -0.3, -0.2)
    state.released = state.head.number
    assert soaks.against(state)
    assert state.epoch is not None
    state.epoch = state.epoch.model_copy(update={"soaks": (TERMS.model_copy(update={"max_loss": 0.5}),)})
    soaks.require(state, state.head, START)  # does not raise
    assert soaks.against(state) == ""


def test_D4_an_alarm_against_everything_before_still_leaves_the_start_to_go_back_to(state: State) -> None:
    number, start = state.head.number, state.line[0]
    assert number != start
    state.released = number
    assert takeback.possible(state)
    soak(state, -0.3, -0.2)
    row = state.watches.soaks.rows[number, "long"]
    before = []
    while state.generations[number].parent is not None:
        before.append(number := state.generations[number].parent or start)
    for each in before:
        state.watches.soaks.rows[each, "long"] = row
        assert state.watches.alarmed(each)
    target = acts.to_go_back_to(state)
    assert target is not None
    assert target.number == start, "the version that an alarm is about does not stay in use"
    state.released = start
    assert not takeback.possible(state)
    assert soaks.lines(state, START)[-1].endswith("nothing lies before it to go back to.")
    (draft,) = soaks._draft(state, TERMS, row.body.model_copy(update={"generation": start}))
    assert isinstance(draft.body, e.IncidentDrafted)
    assert draft.body.text.endswith("nothing to go back to")


def test_D4_an_old_answer_against_a_start_in_use_does_not_stop_the_next_soak(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing lies before it, so the halt that a person has ended would come again with every ``festina soak``."""
    soak(state, -0.3, -0.2)
    start = state.line[0]
    state.watches.soaks.rows[start, "long"] = state.watches.soaks.rows[state.head.number, "long"]
    state.released = start
    here = SimpleNamespace(state=state, ledger=None, repo=None, home=None)
    monkeypatch.setattr(cli, "opened", lambda *_, **__: nullcontext(here))
    halted: list[str] = []
    monkeypatch.setattr(takeback, "take_back", lambda *_, reason, **__: halted.append(reason))
    left = cli._against(tmp_path)
    assert left
    assert not cli._taken_back(tmp_path, left)
    assert cli._taken_back(tmp_path, ""), "an answer of this command halts"
    state.released = state.head.number
    assert cli._taken_back(tmp_path, cli._against(tmp_path)), "and what can be taken back is, whoever found it"
    assert len(halted) == 2


def test_D4_an_alarm_whose_process_died_before_the_halt_is_left_to_be_finished_once(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start = state.line[0]
    soak(state, -0.3, -0.2)
    row = state.watches.soaks.rows[state.head.number, "long"]
    state.watches.soaks.rows[start, "long"] = state.watches.soaks.rows.pop((state.head.number, "long"))
    state.released = start  # nothing lies before it
    assert alarmed.left(state) is None, "it was not in use then: no draft"
    put(state, e.IncidentDrafted(about=row.seq, text="worse; nothing to go back to"))
    left = alarmed.Left(start, "soak", "worse; nothing to go back to")
    assert alarmed.left(state) == left
    state.released = state.head.number
    assert alarmed.left(state) == left, "the release had gone back, and nothing was halted"
    state.released = start
    monkeypatch.setattr(cli, "opened", lambda *_, **__: nullcontext(
        SimpleNamespace(state=state, ledger=None, repo=None, home=None)
    ))  # fmt: skip
    done: list[str] = []
    monkeypatch.setattr(takeback, "take_back", lambda *_, reason, **__: done.append(reason))
    assert cli._taken_back(tmp_path, cli._against(tmp_path)), "festina soak finishes it"
    takeback.finish(None, state, None, None)  # type: ignore[arg-type]
    assert len(done) == 2, "and so does a run"
    drafts = dict(state.govern.drafts)
    state.govern.drafts.clear()
    assert alarmed.left(state) is None, "a person opened the incident, and so has looked"
    state.govern.drafts.update(drafts)
    put(state, e.Halted(halt="7" * 16, by="soak", since=START.isoformat(), reason="worse"))
    assert alarmed.left(state) is None
    assert not cli._taken_back(tmp_path, cli._against(tmp_path))


@pytest.mark.parametrize(("units", "loss"), [(20, 0.05), (10, 0.3)])
def test_S7_a_soak_that_nothing_could_pass_is_refused_with_what_would(units: int, loss: float) -> None:
    from festina.loop.soaking import _reachable

    terms = TERMS.model_copy(update={"units": units, "max_loss": 2 * loss})
    with pytest.raises(UsageError, match="soak-unreachable") as refused:
        _reachable(terms)
    enough = int(refused.value.fix.split()[2].rstrip(","))
    _reachable(terms.model_copy(update={"units": enough}))


def counted(state: State, events: str, at: datetime = START, number: int | None = None) -> None:
    stamp = at.isoformat(timespec="milliseconds")
    generation = state.head if number is None else state.generations[number]
    put(state, e.OutcomesCounted(
        batch=state.watches.outcomes.count, generation=generation.number, commit=generation.commit, rows="0" * 64,
        events=events, first=stamp, last=stamp,
    ), at)  # fmt: skip


def test_D4_outcomes_speak_for_a_version_until_they_are_old_and_against_it_for_ever(state: State) -> None:
    with pytest.raises(IntegrityError, match="never released"):
        counted(state, "0")
    state.released = state.head.number
    state.released_history.append(state.head.number)
    assert "No outcome of generation" in outcomes.lines(state, START)[0]
    counted(state, "0" * 60)
    assert "cannot tell" in outcomes.lines(state, START)[0]
    counted(state, "0" * 60)
    known = state.watches.outcomes.rows[state.head.number]
    assert "nothing speaks against it, until 2026-12-27" in outcomes.lines(state, START)[0]
    assert known.fresh(LATER, START + timedelta(days=31)) == 0
    assert "cannot tell" in outcomes.lines(state, START + timedelta(days=31))[0]
    counted(state, "01" * 20, START + timedelta(days=40))
    assert state.watches.outcomes.rows[state.head.number].seen.answer == "roll back"
    assert "taken back" in outcomes.lines(state, START + timedelta(days=400))[0]


def test_D4_a_version_that_is_good_enough_is_kept_for_a_lifetime_of_outcomes() -> None:
    rng, kept = random.Random(2), 0
    for _ in range(100):
        seen = monitor.start(LATER.tolerate, LATER.alpha)
        for _ in range(400):
            seen = monitor.observe(seen, rng.random() < LATER.tolerate)
        kept += seen.answer != "roll back"
    assert kept >= 96


@pytest.mark.parametrize(
    ("line", "word"),
    [('{"id": "a", "at": "2026-11-27T10:00:00Z", "bad": 1}', "no outcome"), ("{", "no JSON"),
     ('{"id": "a", "at": "soon", "bad": true}', "a time is none"), ("", "there is no outcome"),
     ('{"id": "a", "at": "2026-11-27T10:00:00", "bad": true}', "no zone"),
     ('{"id": "a", "at": "0001-01-01T00:00:00+23:00", "bad": true}', "a time is none"),
     ('{"id": "a", "at": "2999-01-01T00:00:00Z", "bad": true}', "future"),
     ('{"id": "a", "at": "2026-11-27T10:00:00Z", "bad": true}\n{"id": "a", "at": "2026-11-27T10:00:00Z", "bad": false}',
      "stands twice")],
)  # fmt: skip
def test_T6_a_file_of_outcomes_is_read_strictly_or_not_at_all(tmp_path: Path, line: str, word: str) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text(line)
    with pytest.raises(UsageError, match=word):
        outcomes._read(path, START + timedelta(hours=1))


def test_D4_outcomes_that_were_counted_and_not_acted_on_are_left_to_be_finished(state: State) -> None:
    number = state.head.number
    state.released_history.append(number)
    counted(state, "0" * 100)
    assert alarmed.left(state) is None
    counted(state, "1" * 60)
    known = state.watches.outcomes.rows[number]
    assert known.alarm == state.size - 1
    put(state, e.IncidentDrafted(about=known.alarm, text="60 went badly"))
    assert alarmed.left(state) == alarmed.Left(number, "outcomes", "60 went badly")
    counted(state, "1" * 60)
    assert state.watches.outcomes.rows[number].alarm == known.alarm, "the one that decided"
    put(state, e.Halted(halt="7" * 16, by="outcomes", since=START.isoformat(), reason="bad"))
    assert alarmed.left(state) is None


def test_D4_old_outcomes_do_not_come_along_with_a_new_one(state: State) -> None:
    state.released = state.head.number
    state.released_history.append(state.head.number)
    days = [START - timedelta(days=each) for each in (*range(200, 100, -1), 1, 0)]
    rows = [{"id": str(n), "at": each.isoformat(timespec="milliseconds"), "bad": False} for n, each in enumerate(days)]
    parts = list(outcomes._parts(rows, timedelta(seconds=LATER.valid_s / outcomes.SPANS)))
    assert [row for part in parts for row in part] == rows
    for part in parts:
        first, last = (datetime.fromisoformat(str(part[at]["at"])) for at in (0, -1))
        assert last - first <= timedelta(seconds=LATER.valid_s / outcomes.SPANS)
        counted(state, "0" * len(part), first)
    known = state.watches.outcomes.rows[state.head.number]
    assert known.fresh(LATER, START) == 2
    assert "2 of them are recent" in outcomes.lines(state, START)[0]
    counted(state, "0" * 98, START)
    assert known.seen.events == 102
    assert f"until {(START + timedelta(days=29)).isoformat()[:16]}" in outcomes.lines(state, START)[0]


def test_D4_an_id_that_was_brought_as_gone_well_hides_no_bad_outcome(tmp_path: Path) -> None:
    at = "2026-11-27T10:00:00.000+00:00"
    good, bad = ({"id": "a", "at": at, "bad": each} for each in (False, True))
    outcomes._same([good], {"a": good}, tmp_path)
    outcomes._same([bad], {"b": good}, tmp_path)
    with pytest.raises(UsageError, match="outcome-contradicts"):
        outcomes._same([bad], {"a": good}, tmp_path)


def test_D4_L1_outcomes_that_their_rows_do_not_give_or_that_were_counted_before_are_found(state: State) -> None:
    state.released_history.append(state.head.number)
    at = START.isoformat(timespec="milliseconds")
    rows = [{"id": each, "at": at, "bad": each == "b"} for each in "abc"]
    kept = {digest(1): canonical(rows), digest(2): canonical(rows[2:]), digest(3): b"[1]"}
    body = e.OutcomesCounted(
        batch=0, generation=state.head.number, commit=state.head.commit, rows=digest(1), events="010", first=at, last=at
    )

    def fields(**changed: Any) -> list[str]:
        return [row[0] for row in outcomes.check(state, body.model_copy(update=changed), kept.__getitem__)]

    assert fields() == []
    assert fields(events="000") == ["events"]
    assert fields(last=(START + timedelta(days=9)).isoformat(timespec="milliseconds")) == ["last"]
    assert fields(rows=digest(3)) == ["rows"]
    put(state, body)
    assert fields(rows=digest(2), events="0") == ["rows"]  # replayed

    def left_out(_: str) -> bytes:
        raise IntegrityError("no-content", "not in this copy")

    assert outcomes.check(state, body, left_out) == []


WORSE = GENERATOR.replace('"label": x % 7', '"label": -1')  # the miss is what is right: more skill is worse
EXTRA = '[suite.soak.long]\nscorer = "scoring:right"\ndirection = "higher"\nunits = 30\nbatch = 20\nmax_loss = 0.2\n'


def brings(toy: Toy, folder: Path, generator: str, *more: str) -> None:
    """Put the soak's items into the vault."""
    source = folder / "soak.py"
    source.write_text(generator)
    done = festina("vault", "add", "soak.long", "--generator", str(source), *more, toy=toy)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy with one approved generation and a soak suite, nothing released."""
    base = tmp_path_factory.mktemp("approved")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS"):
            patch.setenv(name, os.environ.get(name, ""))  # as they were, once this is made
        later = "plant_rate = 0.0\n\n[policy.outcomes]\ntolerate = 0.05\nleast = 50\n"
        toy = make_toy(base, step="0.6", extra=EXTRA, policy=later)
        brings(toy, base, GENERATOR)
        assert festina("run", "--proposals", "1", "--budget", "200s", toy=toy).returncode == 0
        assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
        assert decide("approve", 0, toy).returncode == 0
    return toy


@pytest.fixture
def toy(approved: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A copy of it for one test."""
    for name in ("system", "homes", "reviewers"):
        shutil.copytree(approved.root.parent / name, tmp_path / name)
    places = {"FESTINA_HOME": str(tmp_path / "homes"), "FESTINA_REVIEWER_KEYS": str(tmp_path / "reviewers")}
    for key, value in places.items():
        monkeypatch.setenv(key, value)
    return Toy(tmp_path / "system", places)


@pytest.mark.slow
def test_D3_D4_a_release_stands_its_soak_and_is_taken_back_for_what_became_of_it(toy: Toy, tmp_path: Path) -> None:
    done = festina("release", toy=toy)
    assert done.returncode == 0, done.stderr
    assert "holds within 0.2; good until" in done.stderr
    state, _ = read(toy.root)
    assert state.watches.soaks.rows[1, "long"].body.interval[0] > 0.0
    again = festina("soak", toy=toy)
    assert again.returncode == 0, again.stderr
    assert read(toy.root)[0].side.attempts["soak", 1] == 1, "the answer that is recorded"

    late = datetime.now(UTC) - timedelta(hours=1)
    rows = [{"id": f"job-{i}", "at": late.isoformat(), "bad": i % 25 == 0} for i in range(60)]
    file = tmp_path / "outcomes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fine = festina("outcome", "1", str(file), toy=toy)
    assert fine.returncode == 0, fine.stderr
    assert "nothing speaks against it" in fine.stdout
    assert "60 were known" in festina("outcome", "1", str(file), toy=toy).stderr
    file.write_text("".join(json.dumps(row | {"id": f"late-{row['id']}", "bad": True}) + "\n" for row in rows[:20]))
    bad = festina("outcome", "1", str(file), toy=toy)
    assert bad.returncode == 3, bad.stderr
    taken_back(toy, "went badly")


def taken_back(toy: Toy, why: str) -> None:
    """The start is in use again, the loop is halted, there is one draft of an incident, and the record holds."""
    state = check(toy.root, settled=True)
    assert state.released == 0
    assert [why in text for text in state.govern.drafts.values()] == [True], "one draft of an incident"
    assert Repo.discover(toy.root).ref(RELEASED) == state.generations[0].commit
    assert festina("run", toy=toy).returncode == 7, "halted until a person looked"
    assert festina("ledger", "verify", "--verdicts", toy=toy).returncode == 0


@pytest.mark.slow
def test_D4_what_is_in_use_and_does_worse_on_new_items_is_taken_back(toy: Toy, tmp_path: Path) -> None:
    assert festina("release", toy=toy).returncode == 0
    brings(toy, tmp_path, WORSE, "--replace")
    done = festina("soak", toy=toy)
    assert done.returncode == 3, done.stderr
    assert "asked 2 times: worse by more than 0.2" in done.stdout
    assert "Taken back: generation 0 is in use. The loop is halted." in done.stderr
    taken_back(toy, "worse by more than 0.2; taken back")
    state, _ = read(toy.root)
    assert state.halts.standing
    assert next(iter(state.halts.standing.values())).by == "soak"
    looked = festina("unhalt", "--as", "ann", "--reason", "looked at it", toy=toy)
    assert looked.returncode == 0, looked.stderr
    assert "worse by more than 0.2" in festina("release", "1", toy=toy).stderr, "and is not released again"
    assert read(toy.root)[0].released == 0


@pytest.mark.slow
def test_D4_a_run_carries_out_what_a_killed_watch_had_decided(toy: Toy) -> None:
    with opened(toy.root, write=True) as here:
        watching.begin(here.ledger, here.state, watching.Plan(1, "canary", 0.5, 1.0, 100))
        seen = e.WatchCounted(watch=0, requests=40, failures=40, beside=0, beside_failures=0, events="1" * 40)
        acts.write(here.ledger, here.state, lambda _: [Draft(seen)])
    done = festina("run", toy=toy)
    assert done.returncode == 7, done.stderr
    assert "halted by monitor" in done.stderr
    state = check(toy.root, settled=True)
    watch = state.watches.rows[0]
    assert watch.ended is not None
    assert watch.ended.reason == "rolled-back"
    assert ["taken back by the monitor" in text for text in state.govern.drafts.values()] == [True]
    looked = festina("unhalt", "--as", "ann", "--reason", "looked at it", toy=toy)
    assert looked.returncode == 0, looked.stderr
    assert festina("run", "--budget", "1s", toy=toy).returncode != 7, "once"


@pytest.mark.slow
def test_D3_a_version_that_is_not_shown_to_hold_is_not_released(toy: Toy, tmp_path: Path) -> None:
    brings(toy, tmp_path, WORSE, "--replace")
    done = festina("release", toy=toy)
    assert done.returncode == 3, done.stderr
    assert "worse by more than 0.2" in done.stderr
    assert Repo.discover(toy.root).ref(RELEASED) is None
    assert read(toy.root)[0].govern.drafts == {}, "nothing happened: it was never in use"
