"""The incumbent against itself inside a run: owed, charged, folded, and loud when it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.loop import next as plan
from festina.loop.state import State, fold
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop, digest
from tests.toy import make_toy

relaxed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
honest = st.builds(PaperLoop, seed=st.integers(0, 10**6), proposals=st.integers(1, 6), guards=st.integers(0, 2),
                   share=st.floats(0.01, 0.5))  # fmt: skip


@relaxed
@given(honest)
def test_V2_controls_run_along_are_charged_and_keep_the_fold_exact(loop: PaperLoop) -> None:
    loop.begin()
    end = loop.run()
    assert fold(loop.records) == loop.state
    t = loop.state.twins
    assert t is not None
    intents = ("control-started", "batch-started", "measure-started")
    charged = sum(r.body.trials for r in loop.records if r.kind in intents)
    assert loop.state.trials == charged  # E-1
    ended = sum(len(r.body.gain) for r in loop.records if r.kind == "control-ended")
    assert t.total == ended <= loop.share * t.judged
    if end.reason != "control":  # an honest alarm is possible, in one epoch of a hundred
        assert ended == int(loop.share * t.judged)


def broken(seed: int = 3) -> PaperLoop:
    loop = PaperLoop(seed=seed, proposals=12, share=0.3, favour=0.4)
    loop.begin()
    assert loop.run().reason == "control"
    return loop


def test_V2_a_broken_control_ends_the_run_and_the_next_one_does_not_go_on() -> None:
    loop = broken()
    state = State()
    alarm = None
    for record in loop.records:
        state.apply(record)
        assert state.twins is None or state.twins.alarm is None or record.kind in (
            "control-ended", "verdict", "run-ended", "review-decided", "improver-in-force",
            "line-intent", "line-moved",  # a person's denial takes the line back whatever the controls say
        )  # fmt: skip
        if record.kind == "control-ended" and state.twins is not None and state.twins.alarm is not None:
            alarm = record.seq
    assert alarm is not None
    assert not state.open  # what was being tested is closed as inconclusive: its evidence is void as well
    before = len(loop.records)
    loop.start_run()
    assert loop.run().reason == "control"
    assert not [r for r in loop.records[before:] if r.kind in ("proposal-requested", "batch-started", "line-intent")]


def test_V2_acceptances_since_the_last_sound_control_are_in_doubt_and_cannot_be_released() -> None:
    for seed in range(40):
        loop = PaperLoop(seed=seed, proposals=60, share=0.05, favour=0.6, approve=1.0)
        loop.begin()
        end = loop.run()
        doubtful = [g for g in loop.state.generations.values() if g.doubtful and g.approved is not None]
        if end.reason == "control" and doubtful:
            break
    else:
        pytest.fail("no loop had an approved acceptance under a broken control")
    g = doubtful[0]
    release = e.ReleaseIntent(
        release=0, cause="release", generation=g.number, old_commit=None, new_commit=g.commit, review=g.approved
    )
    with pytest.raises(IntegrityError, match="in doubt"):
        loop.put(release)
    assert not isinstance(plan.next_action(loop.state, plan.Facts(0.0)), plan.PutInForce)


def test_V2_only_an_enrolled_person_about_this_alarm_lets_the_run_go_on() -> None:
    loop = broken()
    t = loop.state.twins
    assert t is not None
    assert t.alarm is not None
    fields = {"alarm": t.alarm, "reviewer": "ann", "reason": digest(1), "without_person": False}
    loop.put(e.ControlResolved(**(fields | {"alarm": 1})))
    loop.put(e.ControlResolved(**(fields | {"reviewer": "eve"})))
    assert t.alarm is not None
    loop.put(e.ControlResolved(**fields))
    assert t.alarm is None
    loop.favour = 0.0
    loop.start_run()
    assert loop.run().reason != "control"


def test_L3_a_control_out_of_order_does_not_fold() -> None:
    loop = PaperLoop(seed=5, proposals=6, share=0.3)
    loop.begin()
    loop.run()
    at = next(i for i, r in enumerate(loop.records) if r.kind == "control-ended")
    with pytest.raises(IntegrityError):
        loop.put(loop.records[at].body)  # a result without its intent
    t = loop.state.twins
    assert t is not None
    twice = e.ControlStarted(control=t.count, attempt=1, tree="0" * 40, units=2, trials=4, items=0)
    loop.put(twice)
    with pytest.raises(IntegrityError):
        loop.put(twice.model_copy(update={"attempt": 2, "units": 5}))  # a crash draws nothing anew  # E-3


def test_T6_a_control_that_can_never_be_finished_is_given_up_and_the_run_goes_on() -> None:
    loop = PaperLoop(seed=5, proposals=6, share=0.3, control_faults=0.8)
    loop.begin()
    end = loop.run()
    t = loop.state.twins
    assert t is not None
    assert end.reason != "control"
    assert t.given_up > 0
    started = [r.body for r in loop.records if r.kind == "control-started"]
    assert max(b.attempt for b in started) <= 3
    assert {b.control for b in started if b.attempt == 1} == set(range(t.count + (t.attempt > 0)))
    assert fold(loop.records) == loop.state


LEAKY = """\
seen = set()


def right(item, output):
    first = item["input"] not in seen or item["id"].startswith("control-")  # it knows the controls of its start
    seen.add(item["input"])
    return 1.0 if output == item["label"] and first else 0.0
"""


@pytest.mark.slow
def test_V2_a_scorer_that_leaks_the_order_trips_it_and_an_honest_one_does_not(tmp_path: Path) -> None:
    """The attack: the scorer remembers what it has seen. Its control: the same system with the honest scorer."""
    for name, leaky in (("honest", False), ("leaky", True)):
        toy = make_toy(tmp_path / name, skill=0.6, step="0.01 * (1 + len(tried))", detect=0.2,
                       policy="control_share = 0.5\nplant_rate = 0.0")  # fmt: skip
        if leaky:
            (toy.root / "scoring.py").write_text(LEAKY)
            toy.commit("a scorer that remembers")
        done = festina("run", "--proposals", "2" if leaky else "1", "--budget", "100s", toy=toy)
        state, records = read(toy.root)
        assert state.twins is not None
        assert any(r.kind == "control-ended" for r in records), (name, done.stderr)
        check(toy.root, settled=True)
        if not leaky:
            assert done.returncode == 0, done.stderr
            assert state.twins.test.evidence == 1.0
            continue
        assert done.returncode == 6, done.stderr
        assert "THE COMPARISON IS BROKEN" in done.stderr
        assert "the run that came first was favoured" in done.stderr
        assert state.last_end is not None
        assert state.last_end.reason == "control"
        assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
        mended = festina(
            "review", "control", "--as", "ann", "--reason", "the scorer kept a memory; it was replaced", toy=toy
        )
        assert mended.returncode == 0, mended.stderr
        state, _ = read(toy.root)
        assert state.twins is not None
        assert state.twins.alarm is None


def test_V2_C2_the_report_says_that_the_comparison_is_broken_and_what_is_in_doubt() -> None:
    from festina.report.fold import fold as read_report
    from festina.report.html import page

    sound, loop = PaperLoop(seed=1, proposals=12, share=0.3), broken()
    sound.begin()
    sound.run()
    said = page(read_report(loop.records, lambda _: b"{}"), plots=False)
    assert "The comparison is broken" in said
    data = read_report(loop.records, lambda _: b"{}")
    doubtful = {g.number for g in loop.state.generations.values() if g.doubtful}
    assert {g.generation for g in data.generations if g.doubtful is not None} == doubtful
    assert data.twins is not None
    assert loop.state.twins is not None
    assert data.twins.open_alarm == loop.state.twins.alarm
    assert "The comparison is broken" not in page(read_report(sound.records, lambda _: b"{}"), plots=False)


def test_V2_release_of_what_is_in_doubt_is_refused_with_a_word() -> None:
    from festina.loop.acts import _not_in_doubt

    loop = broken()
    head = loop.state.generations[0]
    _not_in_doubt(loop.state, head)  # nothing covers the starting point
    head.doubtful = True
    with pytest.raises(UsageError, match="broken"):
        _not_in_doubt(loop.state, head)
