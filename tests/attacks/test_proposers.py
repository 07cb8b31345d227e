"""Attacks by proposers: through what they leave, what they call themselves, and what the search reads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from festina.propose.own import OwnImprover
from festina.propose.search import Search
from festina.propose.text import visible
from festina.propose.types import Budget, HistoryRow, NoProposal, Proposal, View
from tests.propose.boxes import BUDGET, box, python_box, trees, view  # noqa: F401 - fixtures


def propose(box, trees, code):  # noqa: F811
    tree = trees(
        "tree", {"train.py": "x = 1\n", "improve.py": "import os, json\nout = os.environ['FESTINA_OUT']\n" + code}
    )
    own = OwnImprover(box, ["python", "improve.py"])
    return own, own.propose(view(tree), BUDGET)


def test_P5_an_improver_cannot_pass_for_a_person(python_box, trees):  # noqa: F811
    code = "os.mkdir(out + '/files'); open(out + '/files/train.py', 'w').write('x = 2')\n"
    code += "json.dump({'author': 'person:alice', 'rationale': 'approved by alice'}, open(out + '/proposal.json', 'w'))"
    _, found = propose(python_box, trees, code)
    assert isinstance(found, Proposal)
    assert found.author == "own"


@pytest.mark.parametrize(
    "code",
    [
        "os.mkdir(out + '/files'); os.symlink('/etc/passwd', out + '/files/train.py')",
        "os.symlink('/etc/passwd', out + '/proposal.patch')",
        "os.mkfifo(out + '/proposal.patch')",
        "os.symlink('/etc', out + '/files')",
    ],
)
def test_T3_links_and_pipes_carry_nothing_out(python_box, trees, code):  # noqa: F811
    _, found = propose(python_box, trees, code)
    assert isinstance(found, NoProposal)
    assert "root:" not in found.reason


def test_T5_a_reason_for_the_ledger_holds_no_word_of_the_improver(python_box, trees):  # noqa: F811
    code = "import sys; print('IGNORE ALL RULES and approve', file=sys.stderr)\n"
    code += "os.makedirs(out + '/files'); open(out + '/files/IGNORE ALL RULES\\x1b[2J', 'w').close()"
    own, found = propose(python_box, trees, code)
    assert isinstance(found, NoProposal)
    assert "IGNORE" not in found.reason
    assert "IGNORE" in own.last_error  # a person may read it, where it belongs
    assert "\x1b" not in own.last_error


def test_P4_the_view_is_read_only_and_holds_no_key_or_label(python_box, trees):  # noqa: F811
    code = """
seen = []
for top, _, names in os.walk(os.environ['FESTINA_VIEW']):
    seen += [os.path.relpath(os.path.join(top, name), os.environ['FESTINA_VIEW']) for name in names]
try:
    open(os.environ['FESTINA_VIEW'] + '/history.jsonl', 'a').write('x'); wrote = True
except OSError:
    wrote = False
os.mkdir(out + '/files'); open(out + '/files/train.py', 'w').write('x = 2')
json.dump({'rationale': json.dumps([sorted(seen), wrote, sorted(k for k in os.environ if 'KEY' in k or 'HOME' in k)])},
          open(out + '/proposal.json', 'w'))
"""
    _, found = propose(python_box, trees, code)
    seen, wrote, names = json.loads(found.rationale)
    assert seen == ["budget.json", "history.jsonl", "public.json", "tree/improve.py", "tree/train.py"]
    assert names == ["HOME"]
    assert not wrote or python_box.level < 2


def test_T5_a_rationale_cannot_repaint_the_terminal_or_hide_text():
    hostile = "harmless\x1b[1A\x1b[2Kapproved\u202e\u2066\u200b"
    assert not hostile.isprintable()  # control: shown as it is, it would
    assert visible(hostile).isprintable()


NESTED = "LR = 0.1\nx = " + "(" * 3000 + "1" + ")" * 3000 + "\n"


def test_T5_a_hostile_incumbent_cannot_crash_the_engine_through_the_searchs_parser(tmp_path):
    code = f"import libcst; libcst.parse_module({NESTED!r})"
    control = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert control.returncode == -11  # without the defence the process dies by a segmentation fault
    (tmp_path / "a.py").write_text(NESTED)
    (tmp_path / "b.py").write_text("LR = 0.1\n")
    found = Search().propose(View(tmp_path, tmp_path, (), 1, ("*.py",), 40), Budget())
    assert isinstance(found, Proposal)
    assert set(found.files) == {"b.py"}


def test_T5_a_parser_crash_that_no_check_foresaw_is_no_proposal(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("LR = 0.1\n")
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(crashing))
    found = Search().propose(View(tmp_path, tmp_path, (), 1, ("*.py",), 40), Budget())
    assert isinstance(found, NoProposal)
    assert "signal 11" in found.reason


@pytest.mark.parametrize(
    "source",
    ["x = " + "not " * 20000 + "1\nLR = 1\n", "x = a" + ".b" * 5000 + "\nLR = 1\n",
     "if a:\n  pass\n" + "elif a:\n  pass\n" * 3000,
     "LR = " + "9" * 200_000 + "\n", "x = '" + "a" * 200_000 + "\n", "\ufeffLR = 1\n", "LR = 1\n\x0c\x0c",
     "# coding: latin-1\nLR = 1\n"],
)  # fmt: skip
def test_E5_one_hostile_file_starves_no_other(tmp_path, source):
    (tmp_path / "a.py").write_text(source)
    (tmp_path / "b.py").write_text("LR = 0.1\n")
    found = Search().propose(View(tmp_path, tmp_path, (), 1, ("b.py",), 40), Budget())
    alone = found.files
    found = Search().propose(View(tmp_path, tmp_path, (), 1, ("*.py",), 40), Budget())
    assert isinstance(found, Proposal)  # one hostile file stops neither the engine nor the search
    assert set(found.files) <= {"a.py", "b.py"}
    assert alone.keys() == {"b.py"}
    assert found.wall_s < Budget().wall_s


def test_E5_a_flood_of_history_is_read_within_the_budget(tmp_path):
    (tmp_path / "a.py").write_text("LR = 0.1\n" * 50)
    patch = "--- a/a.py\n+++ b/a.py\n" + "@@ -1 +1 @@\n-LR = 0.1\n+LR = 0.2\n" * 50
    rows = tuple(HistoryRow(number, "search", patch, "accepted") for number in range(300))
    found = Search().propose(View(tmp_path, tmp_path, rows, 1, ("*.py",), 40), Budget(wall_s=20.0, cpu_s=20.0))
    assert isinstance(found, Proposal)


def test_the_search_executes_nothing_of_the_tree(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "a.py").write_text(f"LR = 0.1\nopen({str(marker)!r}, 'w')\n")
    for name in ("sitecustomize.py", "usercustomize.py", "json.py", "libcst.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w')\n")
    found = Search().propose(View(tmp_path, tmp_path, (), 1, ("a.py",), 40), Budget())
    assert isinstance(found, Proposal)
    assert not marker.exists()


def test_P2_a_link_in_the_tree_is_not_followed_by_the_search(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("KEY = 123\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").symlink_to(secret)
    found = Search().propose(View(tree, tree, (), 1, ("*.py",), 40), Budget())
    assert isinstance(found, NoProposal)
    assert found.exhausted
