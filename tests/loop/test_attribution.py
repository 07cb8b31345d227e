"""Which hunk of an accepted change caused what: found in real boxes, told to people, and never to an improver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.loop.recount import recount
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import evidence, festina
from tests.loop.forging import edited, ledger_of, signed_again, wrong
from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy

KNOBS = "".join(f"knob{i:02} 0\n" for i in range(60))
ANSWER = """\
import json, os, random
knobs = dict(line.split() for line in open("knobs.txt"))
skill = 0.3 + sum(float(knobs[f"knob{i:02}"]) for i in (5, 25))
skill += 0.2 * (knobs["knob35"] == knobs["knob45"] == "1")
absurd = knobs["knob55"] != "0"
out = open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w")
items = [json.loads(line) for line in open(os.environ["FESTINA_IN"] + "/items.jsonl")]
shift = random.Random(os.environ["FESTINA_SEED"]).random()
for place, item in enumerate(items):
    coin = (place + shift) / len(items)  # spread evenly, so that no ledger's seeds hide an effect
    miss = 99 if absurd and coin > 0.97 else -1
    out.write(json.dumps({"id": item["id"], "output": item["input"] % 7 if coin < skill else miss}) + "\\n")
"""
# helps, does nothing, does harm, and two that work only together
CHANGE = {5: "0.35", 15: "7", 25: "-0.1", 35: "1", 45: "1"}
SHARE = "attribution = { share = 3.0 }"
POLICY = f"plant_rate = 0.0\n{SHARE}"
LUCK = 0.06  # a unit of 20 items is off by less than one of them: seeds differ from ledger to ledger
GUARD = '[guard.small]\nscorer = "scoring:small"\ndirection = "higher"\nrange = [0, 1]\nmax_loss = 0.3\n'
SPY = """
import hashlib
rows = []
for folder, _, names in os.walk(view):
    for name in names:
        path = os.path.join(folder, name)
        rows.append(path + "\\n" + open(path, errors="replace").read())
open(out + "/files/notes.txt", "w").write("\\n".join(rows)[:30000])
"""


def knobs_toy(
    tmp_path: Path, change: dict[int, str], *, policy: str = "plant_rate = 0.0", extra: str = ""
) -> tuple[Toy, Path]:
    toy = make_toy(tmp_path, step="0.0", policy=policy, extra=extra)
    (toy.root / "answer.py").write_text(ANSWER)
    (toy.root / "knobs.txt").write_text(KNOBS)
    (toy.root / "improve.py").write_text((toy.root / "improve.py").read_text() + SPY)
    manifest = toy.root / "festina.toml"
    text = manifest.read_text().replace('allow = ["skill.json", ', 'allow = ["skill.json", "knobs.txt", ')
    manifest.write_text(text.replace("max_changed_lines = 50", "max_changed_lines = 2000"))
    toy.commit("knobs")
    lines = KNOBS.splitlines()
    for number, value in change.items():
        lines[number] = f"knob{number:02} {value}"
    (toy.root / "knobs.txt").write_text("\n".join(lines) + "\n")
    patch = tmp_path / "knobs.patch"
    patch.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    return toy, patch


def run(toy: Toy, patch: Path, proposals: int = 1) -> None:
    done = festina("run", "--proposals", str(proposals), "--budget", "200s", "--with", str(patch), toy=toy)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def attributed(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy whose change of five hunks was accepted, and attributed within a generous share."""
    toy, patch = knobs_toy(tmp_path_factory.mktemp("knobs"), CHANGE, policy=POLICY)
    run(toy, patch)
    return toy


@pytest.fixture(autouse=True)
def _environment(attributed: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in attributed.environment.items():
        monkeypatch.setenv(key, value)


def test_V8_each_kind_of_hunk_is_found(attributed: Toy) -> None:
    found = check(attributed.root, settled=True).head.attribution
    assert isinstance(found, e.Attributed)
    assert [h.verdict for h in found.hunks] == ["helps", "nothing", "harms", "helps", "helps"]
    effects = [h.leave_out[0] for h in found.hunks if h.leave_out is not None]
    assert effects == pytest.approx([0.35, 0.0, -0.1, 0.2, 0.2], abs=LUCK)
    alone = [h.alone[0] for h in found.hunks if h.alone is not None]
    assert alone == pytest.approx([0.35, 0.0, -0.1, 0.0, 0.0], abs=LUCK)
    assert found.total[0] == pytest.approx(0.45, abs=LUCK)
    assert found.residue is not None
    assert found.residue[2] < 0  # the pair: each alone does nothing


def test_L1_V8_its_sums_are_made_again_and_another_word_is_named(attributed: Toy, tmp_path: Path) -> None:
    assert recount(ledger_of(attributed)).ok

    def kinder(body: e.Attributed) -> dict[str, object]:
        first, second, *rest = body.hunks
        return {"hunks": (first, second.model_copy(update={"verdict": "helps"}), *rest)}

    path = signed_again(attributed, tmp_path / "forged.db", edited("attributed", kinder))
    assert ("attributed", "words") in wrong(recount(path))


def test_V8_E1_it_is_charged_before_it_runs_and_its_looks_are_counted(attributed: Toy) -> None:
    state, records = read(attributed.root)
    intent = next(r for r in records if r.kind == "measure-started" and r.body.purpose == "attribution")
    found = next(r for r in records if r.kind == "attributed")
    assert intent.seq < found.seq
    assert intent.body.trials == 12 * found.body.units  # 12 combinations of five hunks
    assert intent.body.items == 20 * found.body.units
    assert intent.body.fresh
    assert state.looks >= intent.body.items
    ask = next(r.seq for r in records if r.kind == "review-requested")
    assert found.seq < ask  # before a person looks at it


def test_V8_people_see_it_hunk_by_hunk_in_words(attributed: Toy) -> None:
    sheet = evidence(0, attributed)
    assert "knobs.txt:13-19: Does nothing" in sheet
    assert "This hunk can go" in sheet
    assert "Does harm" in sheet
    assert "work only together" in sheet
    page = festina("report", "--no-plots", "-o", "-", toy=attributed).stdout
    assert "knobs.txt:13-19" in page
    assert "This hunk can go" in page
    data = json.loads(festina("report", "--json", toy=attributed).stdout)
    assert [hunk["verdict"] for hunk in data["attributions"][0]["hunks"]] == [
        "helps", "nothing", "harms", "helps", "helps",
    ]  # fmt: skip


def test_P4_V8_nothing_of_it_reaches_an_improver(attributed: Toy, tmp_path: Path) -> None:
    """The next proposing run copies all that it can see out: files' names and contents, history included."""
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=attributed)
    assert done.returncode == 0, done.stderr
    state, _ = read(attributed.root)
    own = next(p for p in state.proposals.values() if p.improver == "own" and p.patch)
    assert own.patch is not None
    with Ledger.open(homes.require(Repo.discover(attributed.root)).ledger, readonly=True) as ledger:
        seen = ledger.get_blob(own.patch).decode().lower().replace(SHARE, "")  # the manifest is public
    assert "history.jsonl" in seen  # the spy did look
    assert "knob45" in seen
    for word in ("attribut", "leave_out", "residue", "can go", "shapley", "does nothing"):
        assert word not in seen


def test_V8_too_few_runs_are_refused_with_how_many_it_takes(attributed: Toy) -> None:
    few = festina("attribute", "--trials", "50", toy=attributed)
    assert few.returncode == 2
    assert "no-attribution" in few.stderr
    assert "96 runs" in few.stderr
    assert "not-accepted" in festina("attribute", "7", toy=attributed).stderr


@pytest.mark.slow
def test_V8_on_request_shapley_shares_the_whole_out(attributed: Toy) -> None:
    done = festina("attribute", "0", "--shapley", "--trials", "256", "--json", toy=attributed)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    shares = [hunk["share"][0] for hunk in found["hunks"]]
    assert shares == pytest.approx([0.35, 0.0, -0.1, 0.1, 0.1], abs=0.09)
    assert sum(shares) == pytest.approx(found["total"][0])
    check(attributed.root, settled=True)


@pytest.mark.slow
def test_V8_guards_are_attributed_and_what_cannot_run_is_named(tmp_path: Path) -> None:
    """The first hunk runs only together with the second."""
    toy, patch = knobs_toy(
        tmp_path, {5: "0.6", 25: "nan_or_worse", 55: "1"}, policy=POLICY, extra=GUARD
    )
    needs = 'for i in (5,))\nassert knobs["knob25"] != "0" or knobs["knob05"] == "0"'
    (toy.root / "answer.py").write_text(ANSWER.replace("for i in (5, 25))", needs))
    toy.commit("a knob that needs another")
    run(toy, patch)
    found = read(toy.root)[0].head.attribution
    assert isinstance(found, e.Attributed)
    assert [h.verdict for h in found.hunks][:2] == ["helps", "needed"]
    assert found.broken == 2  # the first without the second: left out, and alone
    assert found.residue is None
    guard = found.hunks[2].guards
    assert guard
    assert guard[0][0] <= 0.0


@pytest.mark.slow
def test_V3_V8_a_finite_suite_shows_again_what_the_acceptance_used_up_and_loses_nothing(tmp_path: Path) -> None:
    toy, patch = knobs_toy(tmp_path, {5: "0.6", 15: "7"})
    items = tmp_path / "items.jsonl"
    rows = [{"id": str(i), "input": 7 * i + i % 5, "label": (7 * i + i % 5) % 7} for i in range(3000)]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert festina("vault", "add", "hidden", str(items), "--replace", toy=toy).returncode == 0
    run(toy, patch)
    before = read(toy.root)[0]
    done = festina("attribute", "--trials", "32", "--json", toy=toy)
    assert done.returncode == 0, done.stderr
    after, records = read(toy.root)
    intent = next(r.body for r in records if r.kind == "measure-started" and r.body.purpose == "attribution")
    assert not intent.fresh
    assert after.source_looks == before.source_looks  # no new item was used up
    assert after.looks == before.looks + 20 * 8  # and every one shown again was counted
    assert [hunk["verdict"] for hunk in json.loads(done.stdout)["hunks"]] == ["helps", "nothing"]
