"""A drill asks every verifier of the goal about the same attacks, and says which blind spots they share.  # V-5"""

from __future__ import annotations

import pytest

from festina.cli.assurance import verifier_lines
from festina.drill.model import Verdict
from festina.drill.own import candidates, scorer, voices
from festina.drill.own.drill import _drafts, _in_use, _record, _report
from festina.drill.own.world import planted
from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.log import Ledger
from festina.loop import contents
from festina.loop.engine import Options as RunOptions
from festina.loop.engine import session
from festina.loop.measured import HANDLERS
from festina.loop.recount import recount
from festina.loop.rows import Generation
from festina.loop.state import State, fold
from festina.report.fold import fold as read_report
from festina.report.html import page
from festina.select.verifiers import GOAL, drilled
from festina.system import home as homes
from festina.system.repo import Repo
from tests.drill.systems import SCORERS, scratched
from tests.toy import make_toy

OTHERS = """

def strict(item, output):
    return 1.0 if output == item["label"] else 0.0


def wrong(item, output):  # lower is better
    return 1.0 - right(item, output)
"""
JUDGES = """
[judge.strict]
scorer = "scoring:strict"
direction = "higher"
family = "python"
role = "decide"
[judge.twin]
scorer = "scoring:wrong"
direction = "lower"
family = "python"
role = "watch"
"""
EVERYTHING = "constant/everything"


def careless(tmp_path):
    toy = make_toy(tmp_path, skill=0.7, extra=JUDGES)
    (toy.root / "scoring.py").write_text(SCORERS["substring"] + OTHERS)
    toy.commit("three verifiers, two of them careless in one way")
    return toy


def test_V5_a_drill_says_who_pays_for_what_and_the_record_keeps_it(tmp_path):
    toy = careless(tmp_path)
    with session(toy.root, RunOptions()):
        pass
    with scratched(toy) as own:
        found = scorer.attack(own, 2, lambda name: name.startswith("constant"))
        by_name = {each.attack: each for each in found}
        assert by_name[EVERYTHING].words == ("missed", "caught", "missed")
        assert by_name[EVERYTHING].verdict is Verdict.HOLE
        assert by_name[EVERYTHING].why.endswith("; strict decides too and does not pay for it")
        quiet = [each for each in found if each.words and each.verdict is Verdict.CAUGHT]
        assert quiet
        assert all(each.words[0] == "caught" for each in quiet)
        assert by_name["vacuous/controls"].words == ()  # not an attack that each was asked about
        report = _report(own, "toy", found, [], 1.0, strict=False)
        assert any(f"{GOAL} paid for" in line for line in report.summary)
        assert _record(own, report) is not None
    home = homes.find(Repo.discover(toy.root))
    with Ledger.open(home.ledger) as ledger:
        records = list(ledger.records())
        assert verify(home.ledger).ok
        details = ledger.get_blob(next(r.body for r in records if isinstance(r.body, e.DrillFinished)).details)
    assert recount(home.ledger).ok
    body = next(r.body for r in records if isinstance(r.body, e.DrillFinished))
    assert body.verifiers == ("strict", "twin")
    assert e.DrillWords(attack=EVERYTHING, words=("missed", "caught", "missed")) in body.judged
    rows = contents._read(body.kind, details)
    for forged in ({"holes": 0}, {"caught": 99}, {"open": ()}, {"honest_lost": 1}, {"judged": body.judged[1:]}):
        assert set(contents._drill(None, body.model_copy(update=forged), rows)) == set(forged)
    assert contents._drill(None, body, rows) == {}
    said = "\n".join(verifier_lines(fold(records)))
    assert "In the last drill: Of" in said
    assert "strict paid for 0" in said
    assert "In the last drill" in page(read_report(records, lambda _: b"{}"), plots=False)
    other = body.model_copy(update={"judged": (e.DrillWords(attack="a/b", words=("missed",)),)})
    with pytest.raises(IntegrityError):
        HANDLERS["drill-finished"](State(), records[-1], other)
    HANDLERS["drill-finished"](State(), records[-1], body)  # the control


@pytest.mark.slow
def test_V5_programs_that_attack_come_before_every_verifier(tmp_path):
    toy = make_toy(tmp_path, skill=0.7, extra=JUDGES)
    (toy.root / "scoring.py").write_text((toy.root / "scoring.py").read_text() + OTHERS.replace(
        'return 1.0 if output == item["label"] else 0.0', "return 0.5 + 0.5 * (output == item['label'])"
    ))  # fmt: skip
    toy.commit("a verifier that pays a half for anything that was answered")
    with scratched(toy) as own, planted() as world:
        base = candidates.ground(own, 2)
        assert len(base.limits) == 3
        asked = ("denominator/missing-lines", "exit/exit-0")
        found = candidates.attack(own, world, base, 2, lambda name: name in asked)
        assert all(len(each.words) == 3 and each.words[0] == "caught" for each in found), found


def test_V5_what_a_drill_heard_is_named_and_no_rate_is_made_of_it():
    names = (GOAL, "a")
    both, one, none = ("missed", "missed"), ("missed", "caught"), ("caught", "caught")
    said = drilled(names, [("x/1", both), ("x/2", one), ("x/3", none), ("x/4", ("undecided", "missed"))])
    assert said[0] == f"Of 3 attacks that all 2 verifiers judged, {GOAL} paid for 2, a paid for 1."
    assert said[1] == "All of them paid for x/1: a blind spot that they share."
    assert "None of these" in drilled(names, [("x/2", one)])[1]
    assert len(drilled(names, [("x/3", none)])) == 1
    assert drilled((GOAL,), [("x/1", ("missed",))]) == []
    assert voices.words_of([(True, False), (False, False)]) == ("missed", "caught")
    assert voices.words_of([(True,)]) == voices.words_of([(True, False), ()]) == ()


def test_D4_a_hole_in_what_is_in_use_drafts_an_incident_and_one_elsewhere_does_not(tmp_path):
    toy = make_toy(tmp_path, vault=False)
    repo, first = Repo.discover(toy.root), toy.git("rev-parse", "HEAD")
    (toy.root / "skill.json").write_text('{"skill": 0.9}')
    toy.commit("another content")
    body = e.DrillFinished(
        commit=first, attacks=9, caught=8, holes=1, exposures=0, untested=0, honest_runs=3, honest_lost=0,
        open=("eval",), looks=0, level=3, wall_s=4.0, details="d" * 64,
    )
    state = State()
    assert not _in_use(repo, state, body), "nothing is released"
    state.generations[0], state.released = Generation(0, first, None), 0
    assert _in_use(repo, state, body)
    assert not _in_use(repo, state, body.model_copy(update={"commit": toy.git("rev-parse", "HEAD")}))
    (draft,) = _drafts(state, body, True)
    assert (draft.body.about, "generation 0, which is in use" in draft.body.text) == (state.size, True)
    assert _drafts(state, body, False) == []
    assert _drafts(state, body.model_copy(update={"holes": 0, "open": ()}), True) == []
