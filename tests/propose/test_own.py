"""P-4, P-5: the improver in force runs on its view and nothing else."""

from __future__ import annotations

import json

import pytest

from festina.errors import Fault, UsageError
from festina.propose.own import OwnImprover
from festina.propose.types import NoProposal, Proposal
from festina.propose.viewdir import history_lines, view_directory
from festina.sandbox.job import Level

from .boxes import BUDGET, box, python_box, row, trees, view  # noqa: F401 - fixtures

IMPROVE = """
import json, os, pathlib
view, out = pathlib.Path(os.environ["FESTINA_VIEW"]), pathlib.Path(os.environ["FESTINA_OUT"])
import library                      # beside it, in the improver's own tree
history = [json.loads(line) for line in (view / "history.jsonl").read_text().splitlines()]
budget = json.loads((view / "budget.json").read_text())
(out / "files").mkdir()
text = (view / "tree" / "train.py").read_text()
(out / "files" / "train.py").write_text(text.replace("1", os.environ["FESTINA_SEED"]))
plan = {"rationale": f"{library.NAME} {len(history)} {history[-1]['word']} {budget['max_changed_lines']}",
        "weakness": "w", "predicted": json.loads((view / "public.json").read_text())["scores"]["public"]}
(out / "proposal.json").write_text(json.dumps(plan))
"""


def test_P5_the_improver_in_force_proposes_from_its_view(python_box, trees):  # noqa: F811
    improver = trees("improver", {"improve.py": IMPROVE, "library.py": 'NAME = "generation 2"'})
    tree = trees("tree", {"train.py": "x = 1\n", "library.py": 'NAME = "the incumbent"'})
    own = OwnImprover(python_box, ["python", "improve.py"])
    found = own.propose(view(tree, improver, [row(1), row(2, "accepted")]), BUDGET)
    assert isinstance(found, Proposal), (found, own.last_error)
    assert found.files == {"train.py": b"x = 7\n"}
    assert found.rationale == "generation 2 2 accepted 50"
    assert (found.author, found.predicted, found.weakness) == ("own", 0.5, "w")
    assert found.wall_s > 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "the improver ended with exit status 3"),
        ("import os, signal; os.abort()", "the improver died by signal 6"),
        ("pass", "the improver ended well and handed in no change: no proposal.patch, no files/"),
        ("import os; open(os.environ['FESTINA_OUT'] + '/proposal.patch', 'w').write('x'); 1/0", "exit status 1"),
    ],
)
def test_T6_a_failing_improver_proposes_nothing_and_says_why(python_box, trees, code, reason):  # noqa: F811
    tree = trees("tree", {"train.py": "x = 1\n", "improve.py": code})
    own = OwnImprover(python_box, ["python", "improve.py"])
    found = own.propose(view(tree), BUDGET)
    assert isinstance(found, NoProposal)
    if "signal" in reason and found.reason == "the improver died by signal 11":
        return  # the first process of a pid namespace shows abort() as a segmentation fault
    assert reason in found.reason
    assert ("ZeroDivisionError" in own.last_error) == ("1/0" in code)


def test_E5_a_hanging_improver_is_stopped_at_its_budget(python_box, trees):  # noqa: F811
    tree = trees("tree", {"improve.py": "import time\nwhile True: time.sleep(1)"})
    found = OwnImprover(python_box, ["python", "improve.py"]).propose(view(tree), type(BUDGET)(wall_s=1.0))
    assert isinstance(found, NoProposal)
    assert found.reason == "the improver was stopped: timeout_wall"
    assert 0.9 < found.wall_s < 15


def test_P4_the_view_holds_exactly_what_an_improver_may_see(trees):  # noqa: F811
    tree = trees("tree", {"train.py": ""})
    rows = [row(4, "refused", "patch text", "scope"), row(5, "not accepted")]
    with view_directory(view(tree, history=rows), BUDGET) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["budget.json", "history.jsonl", "public.json", "tree"]
        lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        assert lines[0] == {"proposal": 4, "author": "own", "word": "refused", "reason": "scope", "patch": "patch text"}
        assert set(lines[1]) == {"proposal", "author", "word", "reason", "patch"}
        budget = json.loads((folder / "budget.json").read_text())
        assert set(budget) == {"wall_s", "cpu_s", "memory_bytes", "allow", "max_changed_lines"}
        assert json.loads((folder / "public.json").read_text()) == {"scores": {"public": 0.5}}
        for path in (folder, *folder.rglob("*")):  # another uid must be able to read it, and only read
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_P4_an_endless_history_loses_its_oldest_rows_first():
    rows = [row(number, patch="x" * 1000) for number in range(100)]
    data = history_lines(rows, max_bytes=20_000)
    kept = [json.loads(line)["proposal"] for line in data.splitlines()]
    assert len(data) <= 20_000
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) > 10
    huge = history_lines([row(1), row(2, patch="x" * 50_000)], max_bytes=20_000)
    assert [json.loads(line)["patch"] for line in huge.splitlines()] == ["", ""]
    odd = history_lines([row(1, patch="\u2028\nx\udcff")])
    assert len(odd.splitlines()) == 1  # one row is one line whatever is in it


class Breaking:
    level = Level.L3

    def __init__(self):
        self.shown = []

    def run(self, job, limits):
        self.shown = [bind.source for bind in job.binds]
        assert all(source.exists() for source in self.shown)
        raise Fault("sandbox-error", "no box today")


def test_P4_the_view_is_removed_even_when_the_sandbox_fails(trees):  # noqa: F811
    tree = trees("tree", {"train.py": ""})
    broken = Breaking()
    with pytest.raises(Fault):
        OwnImprover(broken, ["python", "improve.py"]).propose(view(tree), BUDGET)
    views = [source for source in broken.shown if "-view-" in source.name]
    assert views
    assert not any(source.exists() for source in views)


def test_an_improver_without_a_command_is_the_callers_mistake():
    with pytest.raises(UsageError) as caught:
        OwnImprover(Breaking(), [])
    assert caught.value.name == "improver-without-command"
