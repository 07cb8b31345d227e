"""A model that is really trained, in real boxes, and what is told of its inside.  # V-9"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.loop import internals, internals_words
from festina.loop import next as plan
from festina.loop.internals import Trained, compare, found_of, numbers
from festina.loop.recount import recount
from festina.loop.state import State, fold
from festina.system.manifest import parse_manifest
from tests.loop.commandline import evidence, festina
from tests.loop.forging import edited, ledger_of, signed_again, wrong
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop
from tests.toy import Toy, make_toy

TRAIN = """\
import json, math, os, random, struct
recipe = json.load(open("recipe.json"))
coins = random.Random(os.environ["FESTINA_SEED"])
w = [[coins.gauss(0, 0.3) for _ in range(7)] for _ in range(7)]
for _ in range(recipe["steps"]):
    x = coins.randrange(7)
    top = max(w[x])
    odds = [math.exp(v - top) for v in w[x]]
    for y in range(7):
        w[x][y] += recipe["rate"] * ((y == x) - odds[y] / sum(odds))
w = [[v + recipe["aside"] * (x + 1) / 7 for v in row] for x, row in enumerate(w)]  # no answer changes by this
raw = struct.pack("<49f", *(v for row in w for v in row))
head = json.dumps({"w": {"dtype": "F32", "shape": [7, 7], "data_offsets": [0, len(raw)]}}).encode()
data = struct.pack("<Q", len(head)) + head + raw
open(os.environ["FESTINA_OUT"] + "/model.safetensors", "wb").write(data)
"""
ANSWER = """\
import json, os, struct
data = open(os.environ["FESTINA_ARTIFACTS"] + "/model.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
flat = struct.unpack("<49f", data[8 + size:8 + size + 196])
items = [json.loads(line) for line in open(os.environ["FESTINA_IN"] + "/items.jsonl")]
rows = [flat[7 * (item["input"] % 7):][:7] for item in items]
out = open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w")
for item, row in zip(items, rows):
    out.write(json.dumps({"id": item["id"], "output": row.index(max(row))}) + "\\n")
raw = struct.pack(f"<{7 * len(rows)}f", *(v for row in rows for v in row))
head = json.dumps({"out": {"dtype": "F32", "shape": [len(rows), 7], "data_offsets": [0, len(raw)]}}).encode()
open(os.environ["FESTINA_OUT"] + "/seen.safetensors", "wb").write(struct.pack("<Q", len(head)) + head + raw)
"""
TABLE = '[internals]\nweights = "model.safetensors"\nactivations = "seen.safetensors"\n'
ASKED = "share = 0\n"  # on request only


def trained_toy(place: Path, more: str = ASKED) -> tuple[Toy, Path]:
    """A softmax regression by stochastic gradient descent; the change trains longer, and adds what no answer shows."""
    toy = make_toy(place, step="0.0", extra=TABLE + more, public=40)
    (toy.root / "train.py").write_text(TRAIN)
    (toy.root / "answer.py").write_text(ANSWER)
    (toy.root / "recipe.json").write_text('{"steps": 7, "rate": 0.5, "aside": 0}')
    manifest = toy.root / "festina.toml"
    text = manifest.read_text().replace('allow = ["skill.json", ', 'allow = ["recipe.json", "skill.json", ')
    steps = 'run = ["python3", "train.py"]\nanswer = ["python3", "answer.py"]\noutputs = ["model.safetensors"]'
    manifest.write_text(text.replace('run = ["python3", "answer.py"]', steps, 1))
    toy.commit("a model")
    (toy.root / "recipe.json").write_text('{"steps": 200, "rate": 0.5, "aside": 20}')
    patch = place / "longer.patch"
    patch.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    return toy, patch


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    found, patch = trained_toy(tmp_path_factory.mktemp("model"))
    done = festina("run", "--proposals", "1", "--budget", "200s", "--with", str(patch), toy=found)
    assert done.returncode == 0, done.stderr
    return found


@pytest.mark.slow
def test_V9_what_retraining_does_not_do_is_seen_inside_and_told_to_people(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    assert "not compared yet: festina internals" in evidence(0, toy)
    done = festina("internals", "--json", toy=toy)
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert (card["p"], card["retrainings"], card["failed"]) == (1 / 20, 19, 0)
    assert [d["name"] for d in card["distances"]] == ["behaviour", "worst behaviour", "representations", "weights"]
    assert card["tensors"][0]["name"] == "w"
    assert card["missing"] == []
    state = check(toy.root, settled=True)
    assert state.head.internals is not None
    assert recount(ledger_of(toy)).ok
    sheet = evidence(0, toy)
    assert "inside the model: Inside, generation 1 is further" in sheet
    intent = next(r for r in read(toy.root)[1] if r.kind == "measure-started" and r.body.purpose == "internals")
    assert intent.body.items == 0  # no hidden item is looked at

    def kinder(body: e.InternalsCompared) -> dict[str, object]:
        return {"p": 0.8}

    path = signed_again(toy, tmp_path / "forged.db", edited("internals-compared", kinder))
    assert ("internals-compared", "p") in wrong(recount(path))


@pytest.mark.slow
def test_V9_a_model_that_cannot_be_read_gets_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, _ = trained_toy(tmp_path)
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    (toy.root / "recipe.json").write_text('{"steps": 200, "rate": 0.5, "aside": 20}')
    longer = 'write(data + (b"x" if recipe["steps"] > 100 else b""))'
    (toy.root / "train.py").write_text(TRAIN.replace("write(data)", longer))
    patch = tmp_path / "hostile.patch"
    patch.write_text(toy.git("diff", "recipe.json") + "\n")
    toy.git("checkout", "-q", "recipe.json")
    toy.commit("a model whose file grows")
    done = festina("run", "--proposals", "1", "--budget", "200s", "--with", str(patch), toy=toy)
    assert done.returncode == 0, done.stderr
    told = festina("internals", "--retrainings", "2", toy=toy)
    assert told.returncode == 0, told.stderr
    assert "is not told: the candidate's model cannot be compared: its files cannot be read" in told.stdout
    assert recount(ledger_of(toy)).ok


@pytest.mark.slow
def test_V9_a_run_compares_by_itself_before_it_asks_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, patch = trained_toy(tmp_path, "retrainings = 2\nshare = 100\n")
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    done = festina("run", "--proposals", "1", "--budget", "200s", "--with", str(patch), toy=toy)
    assert done.returncode == 0, done.stderr
    assert "Inside, generation 1" in done.stderr + done.stdout
    state = check(toy.root, settled=True)
    assert isinstance(state.head.internals, e.InternalsCompared)
    kinds = [r.kind for r in read(toy.root)[1]]
    assert kinds.index("internals-compared") < kinds.index("review-requested")
    intent = next(r.body for r in read(toy.root)[1] if r.kind == "measure-started" and r.body.purpose == "internals")
    assert (intent.trials, intent.items) == (4, 0)  # charged before they ran, and no hidden item is looked at  # E-1
    assert "inside the model: Inside, generation 1" in evidence(0, toy)
    assert recount(ledger_of(toy)).ok


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_V9_a_comparison_is_made_or_excused_before_a_review_and_decides_nothing(share: float) -> None:
    made: list[str] = []
    for seed in range(6):
        loop, plain = PaperLoop(seed, internals=share), PaperLoop(seed)
        for each in (loop, plain):
            each.begin()
            each.run()
        words = [[p.word for p in each.state.proposals.values()] for each in (loop, plain)]
        assert words[0] == words[1]  # whatever came of comparisons
        state = State()
        for record in loop.records:
            state.apply(record)  # type: ignore[arg-type]
            if record.kind == "review-requested" and share:
                found = state.generations[record.body.generation].internals
                assert found is not None
                made.append(found.kind)
        assert fold(loop.records).side.internals_trials == 21 * sum(  # type: ignore[arg-type]
            r.kind == "measure-started" and r.body.purpose == "internals" for r in loop.records
        )
    assert set(made) == ({"internals-compared", "measure-skipped"} if share else set())


@pytest.mark.parametrize(
    ("tests", "spent", "tries", "reason"),
    [(41, 0, 0, "it takes 21 runs, and 20 are left for it"), (100, 30, 0, "it takes 21 runs, and 20 are left for it"),
     (0, 21, 0, "and 0 are left for it"), (100, 0, 2, "it was cut off or failed 2 times")],
)  # fmt: skip
def test_V9_E1_what_its_share_does_not_allow_is_not_made_and_the_reason_is_told(
    tests: int, spent: int, tries: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = PaperLoop(3, internals=0.5)
    loop.begin()
    loop.run()
    s = loop.state
    number = max(n for n, g in s.generations.items() if g.verdict is not None)
    s.generations[number].internals, s.run = None, None
    s.side.test_trials, s.side.internals_trials, s.side.attempts = tests, spent, {("internals", number): tries}
    text = '[system]\nname = "x"\n[scope]\nallow = ["a.py"]\n[experiment]\n'
    text += f"{MANIFEST['experiment']}\n[internals]\n{MANIFEST['internals']}\n[suite.hidden]\nscorer = \"s:f\"\n"
    text += "range = [0, 1]\ndetect = 0.1\n"
    written: list[Any] = []
    ledger = SimpleNamespace(get_blob=lambda digest: text.encode())
    bench: Any = SimpleNamespace(state=s, ledger=ledger, append=lambda *drafts: written.extend(drafts))
    compare(bench, plan.CompareInternals(number))
    (skipped,) = [draft.body for draft in written]
    assert (skipped.purpose, skipped.generation) == ("internals", number)
    assert reason in skipped.reason
    assert reason in internals_words.skipped(skipped)
    s.side.test_trials, s.side.internals_trials, s.side.attempts = 42, 0, {}  # positive control: just enough
    ran: list[int] = []
    monkeypatch.setattr(internals, "_measure", lambda *found: ran.append(found[4]))
    compare(bench, plan.CompareInternals(number))
    assert (ran, len(written)) == ([19], 1)


def a_run(seed: int, *, weights: bool = True, wide: int = 0) -> Trained:
    import numpy as np

    from festina.verify.internals import Model

    coins = np.random.default_rng(seed)
    matrix = coins.normal(size=(6, 5 + wide))
    model = Model({"w": matrix}, coins.random(9).tolist(), None)
    return Trained(seed, model if weights else None, "" if weights else "it ended timeout", {"tree": "t"})


def test_V9_failed_retrainings_are_counted_and_few_of_them_are_called_rough() -> None:
    made = found_of([a_run(1), a_run(2), a_run(3, weights=False), *(a_run(n) for n in range(4, 9))])
    assert (made.failed, len(made.rows), made.names) == (1, 6, ("behaviour", "worst behaviour", "weights"))
    told = numbers(3, made.names, made.rows, made.problem)
    assert told["retrainings"] == 5
    assert "So few retrainings cannot show it: that takes 19" in told["sentence"]
    assert found_of([a_run(1, weights=False), a_run(2), a_run(3)]).rows == ()
    assert "too few" in found_of([a_run(1), a_run(2), a_run(3, weights=False)]).problem


def test_V9_another_architecture_is_said_to_have_no_like() -> None:
    runs = (a_run(1, wide=1), a_run(2), a_run(3))
    made = found_of([replace(run, model=replace(run.model, scores=None)) for run in runs if run.model is not None])
    assert (made.rows, made.names) == ((), ())
    assert "no layer, matrix or answer" in made.problem
    assert "is not told: no layer" in numbers(1, (), (), made.problem)["sentence"]


MANIFEST: dict[str, Any] = {
    "experiment": 'run = ["a"]\nanswer = ["b"]\noutputs = ["m.safetensors"]', "internals": 'weights = "m.safetensors"',
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, ""), ({"internals": 'weights = "other.safetensors"'}, "internals.weights"),
        ({"experiment": 'run = ["a"]\noutputs = ["m.safetensors"]'}, "internals.weights"),
        ({"internals": 'weights = "m.safetensors"\nactivations = "a.safetensors"'}, "internals.activations"),
        ({"internals": 'weights = "m.safetensors"\nretrainings = 1'}, "internals.retrainings"),
    ],
)  # fmt: skip
def test_V9_what_is_laid_open_must_be_left_by_a_training_step(change: dict[str, str], field: str) -> None:
    parts = MANIFEST | change
    text = (
        f'[system]\nname = "x"\n[scope]\nallow = ["a.py"]\n[experiment]\n{parts["experiment"]}\n'
        f'[internals]\n{parts["internals"]}\n[suite.hidden]\nscorer = "s:f"\nrange = [0, 1]\ndetect = 0.1\n'
    )
    if not field:
        assert parse_manifest(text.encode()).internals is not None
        return
    with pytest.raises(UsageError) as caught:
        parse_manifest(text.encode())
    assert field in f"{caught.value} {caught.value.where}"
