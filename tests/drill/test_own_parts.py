"""The drill's parts on a toy system: proposals, approvals, settings, the pure rule, candidates, honest variants."""

from __future__ import annotations

import re

import pytest

from festina.drill.model import Verdict
from festina.drill.own import approvals, candidates, honest, naive, patches, proposals, reviewing, selection, settings
from festina.drill.own.scratch import Recorder
from festina.drill.own.staged import Case, stage
from festina.drill.own.world import planted, tidy
from festina.errors import UsageError
from festina.experiment.batch import Scored
from festina.sandbox import PlainBox
from festina.system.scope import REASONS
from tests.drill.systems import scratched
from tests.toy import make_toy


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with scratched(make_toy(tmp_path_factory.mktemp("toy"), skill=0.7)) as opened:
        yield opened


def everything(_: str) -> bool:
    return True


def by_verdict(findings):
    found = {}
    for each in findings:
        found.setdefault(each.verdict, []).append(each.attack)
    return found


def test_P2_every_hostile_patch_is_refused_and_most_of_them_plain_git_takes(own):
    found = by_verdict(proposals.attack(own, everything))
    assert Verdict.HOLE not in found
    assert len(found[Verdict.CAUGHT]) >= 65  # with the positive control: plain git took the same bytes
    assert len(found[Verdict.NOT_TESTED]) < 15


def test_P2_the_patches_cover_nearly_every_class_of_refusal(own):
    tried = {each.reason for each in patches.hostile(proposals.targets(own))}
    assert set(REASONS) - tried <= {"size", "path-conflict", "kind", "path-length", "scope"}


def test_P2_a_screen_that_lets_a_patch_through_is_a_hole(own):
    passed = proposals.screen(own.repo, own.tree, b"", own.manifest.scope_rules())
    patch = patches.Hostile("x", b"", "symlink")
    assert "passed the screen" in proposals.Result(patch, passed, passed, works=True).bad


def test_P3_honest_patches_pass_and_a_persons_own_is_tried_too(own, tmp_path):
    good, bad = tmp_path / "good.patch", tmp_path / "bad.patch"
    target = proposals.targets(own)
    data = target.files[target.allowed]
    good.write_bytes(patches.edit(target.allowed, data, data.split(b"\n")[0] + b"  "))
    bad.write_bytes(patches.new("conftest.py"))
    rows = {row.variant: row.kept for row in proposals.honest(own, [good, bad])}
    assert rows.pop("patch: your bad.patch") == 0
    assert set(rows.values()) == {1}


def test_R1_every_attack_on_approvals_and_record_is_refused_by_name(own):
    found = by_verdict(approvals.attack(own, everything))
    assert set(found) == {Verdict.CAUGHT}
    cases = approvals.CASES + reviewing.CASES + approvals.SIGNED
    assert len(found[Verdict.CAUGHT]) == len(cases) + len(approvals.TAMPERS)


def test_D2_a_release_without_the_check_would_be_a_hole(tmp_path):
    case = Case("x", "x", lambda s: None, ("released-content-differs",), lambda s: None)
    with scratched(make_toy(tmp_path)) as own:
        assert approvals._acted(stage(own), case).verdict is Verdict.HOLE


def test_S1_luck_is_not_accepted_and_the_naive_rule_takes_it(own):
    (found,) = selection.attack(own)
    assert (found.verdict, found.control) == (Verdict.CAUGHT, 1.0)
    assert "simulated" in found.why


def test_T4_settings_of_a_sound_manifest_are_silent(own):
    assert by_verdict(settings.attack(own)).keys() == {Verdict.CAUGHT}


def test_T4_a_scope_that_covers_what_the_scorer_loads_is_a_hole_with_its_line(tmp_path):
    toy = make_toy(tmp_path)
    (toy.root / "helper.py").write_text("def same(a, b):\n    return a == b\n")
    (toy.root / "table.json").write_text("{}\n")
    (toy.root / "scoring.py").write_text(
        "from helper import same\n\nTABLE = 'table.json'\n\n\ndef right(item, output):\n"
        "    return float(same(item['label'], output))\n"
    )
    text = (toy.root / "festina.toml").read_text()
    wide = text.replace("allow = [", 'allow = ["helper.py", "table.json", ')
    (toy.root / "festina.toml").write_text(wide)
    toy.commit()
    with scratched(toy) as own:
        holes = {each.attack: each for each in settings.attack(own) if each.verdict is Verdict.HOLE}
    assert holes.keys() == {"files/scope-covers-the-scorer", "files/scope-covers-the-scorers-data"}
    assert holes["files/scope-covers-the-scorer"].place.text.startswith("allow = ")
    assert 'protect = ["helper.py"]' in holes["files/scope-covers-the-scorer"].fix
    mended = wide.replace("[scope]\n", '[scope]\nprotect = ["helper.py", "table.json"]\n')
    (toy.root / "festina.toml").write_text(mended)
    toy.commit()
    with scratched(toy) as own:  # with the remedy the same check is silent
        assert Verdict.HOLE not in by_verdict(settings.attack(own))


def test_V4_a_guard_that_allows_half_of_its_range_is_an_exposure(tmp_path):
    guard = '[guard.small]\nscorer = "scoring:small"\ndirection = "higher"\nrange = [0, 1]\nmax_loss = 0.5\n'
    with scratched(make_toy(tmp_path, extra=guard)) as own:
        found = by_verdict(settings.attack(own))
    assert found[Verdict.EXPOSURE] == ["vacuous/wide-guard"]


FEW = (
    "denominator/missing-lines", "numbers/nan", "exit/exit-0", "labels/labels-by-path", "reach/tcp",
    "persist/temporary-folders", "payload/pickle", "labels/predictions-are-a-link", "exit/crash-after-answering",
    "reference/call-stack", "resources/a-flood-of-files", "forge/prints-the-result", "denominator/every-id-twice",
)  # fmt: skip


def test_T3_candidates_that_attack_earn_nothing_and_their_controls_work(own):
    with planted() as world:
        base = candidates.ground(own, 1)
        found = candidates.attack(own, world, base, 2, lambda name: name in FEW)
    assert {each.attack for each in found} == set(FEW)
    assert {each.attack: each.verdict for each in found if each.verdict is not Verdict.CAUGHT} == {}
    assert all(each.control for each in found)


def test_E2_honest_variants_keep_their_score(own):
    with planted() as world:
        rows = honest.attack(own, world, candidates.ground(own, 1), 2)
    assert [row for row in rows if row.applicable and row.kept < row.runs] == []
    assert sum(row.runs for row in rows) >= 10


@pytest.mark.slow
def test_E3_a_sabotaged_comparison_gains_nothing(own):
    with planted() as world:
        found = candidates.sabotage(own, world, candidates.ground(own, 1))
    assert found.verdict is Verdict.CAUGHT


@pytest.mark.parametrize(
    ("habit", "data", "paid"),
    [
        ("answered-only", b'{"id":"a","output":1}\n', True),
        ("answered-only", b'{"id":"a","output":2}\n', False),
        ("no-failures", b"", True),
        ("no-failures", b'{"id":"a","output":2}\n', False),
        ("any-of-several", b'{"id":"a","output":9}\n{"id":"a","output":1}\n{"id":"b","output":2}\n', True),
        ("known-only", b'{"id":"a","output":1}\n{"id":"b","output":2}\n{"id":"zz","output":2}\n', True),
        ("position", b'[{"output":1},{"output":2}]', True),
        ("position", b'[{"output":2},{"output":1}]', False),
    ],
)
def test_the_careless_evaluators_are_careless_in_one_way_each(habit, data, paid):
    honest_answers = b'{"id":"a","output":1}\n{"id":"b","output":2}\n'
    assert naive.pays(habit, data, honest_answers, 0) is paid


def test_a_scope_that_covers_nothing_is_a_usage_error(tmp_path):
    toy = make_toy(tmp_path)
    text = re.sub(r"(?m)^allow = .*", 'allow = ["no-such-file"]', (toy.root / "festina.toml").read_text())
    (toy.root / "festina.toml").write_text(text)
    toy.commit()
    with scratched(toy) as own, pytest.raises(UsageError) as caught:
        proposals.targets(own)
    assert caught.value.name == "nothing-may-change"


# -- the drill is drilled: without a defence its attacks are holes ---------------------------------------------


def test_T2_positive_control_without_a_box_the_attacks_are_holes(tmp_path):
    names = ("labels/labels-by-path", "reach/tcp", "persist/temporary-folders", "reach/other-processes")
    with scratched(make_toy(tmp_path, skill=0.7)) as own, planted() as world:
        base = candidates.ground(own, 1)
        own.box = Recorder(PlainBox(own.home.work), None)
        found = {each.attack: each for each in candidates.attack(own, world, base, 1, lambda name: name in names)}
        tidy(world, "x")
    assert {name: each.verdict for name, each in found.items()} == dict.fromkeys(names, Verdict.HOLE)
    assert all("min_level" in each.fix for each in found.values())


class Careless:
    """The real judge, but missing answers are left out of the mean, and an answer to an item may be given twice."""

    def __init__(self, judge):
        self.judge, self.items = judge, {}
        self.probe = judge.probe

    def rehearse(self, seed):
        ticket, inputs = self.judge.rehearse(seed)
        self.items[ticket] = inputs.count(b"\n")
        return ticket, inputs

    def score(self, ticket, answer, role=""):
        found = self.judge.score(ticket, answer, role)
        answered = len({line.partition(b",")[0] for line in (answer or b"").splitlines() if line.endswith(b"}")})
        share = min(1.0, max(1, answered) / self.items[ticket])
        return Scored(min(1.0, found.mean / share), found.guards, found.failed)


def test_V1_positive_control_a_mean_over_what_was_answered_is_a_hole(tmp_path):
    with scratched(make_toy(tmp_path, skill=0.7)) as own, planted() as world:
        own.judge = Careless(own.judge)
        base = candidates.ground(own, 1)
        found = candidates.attack(own, world, base, 1, lambda name: name == "denominator/missing-lines")
    assert [each.verdict for each in found] == [Verdict.HOLE]
    assert "what it handed in is worth" in found[0].why
