"""Any program can propose: what it leaves changed in its copy is the proposal."""

from __future__ import annotations

import pytest

from festina.errors import UsageError
from festina.propose import command
from festina.propose.command import CommandImprover, task_text
from festina.propose.types import NoProposal, Proposal

from .boxes import BUDGET, box, row, trees, view  # noqa: F401 - fixtures
from .fakebox import FakeBox

FILES = {"train.py": "x = 1\n", "notes/old.txt": "old\n", "run.sh": "exit 1\n"}


def run(box, tree, shell, **kw):  # noqa: F811
    return CommandImprover(box, ["sh", "-c", shell], **kw).propose(view(tree), BUDGET)


def test_P3_changed_added_and_deleted_files_are_the_proposal(box, trees):  # noqa: F811
    tree = trees("tree", FILES)
    shell = "echo 'x = 2' > train.py; rm notes/old.txt; mkdir -p m; echo new > m/n.py; "
    shell += "mkdir __pycache__; echo c > __pycache__/x.pyc; echo I did it"
    found = run(box, tree, shell, name="my agent!")
    assert isinstance(found, Proposal), found
    assert found.files == {"train.py": b"x = 2\n", "notes/old.txt": None, "m/n.py": b"new\n"}
    assert found.author == "command:my-agent-"
    assert found.rationale == "I did it"
    assert (tree / "train.py").read_text() == "x = 1\n"  # the incumbent itself was out of reach


def test_P6_a_plan_may_be_left_beside_the_tree(box, trees):  # noqa: F811
    shell = """echo 'x = 2' > train.py; echo '{"rationale": "r", "predicted": 2}' > "$FESTINA_OUT/proposal.json" """
    found = run(box, trees("tree", FILES), shell)
    assert (found.rationale, found.predicted) == ("r", 2.0)


@pytest.mark.parametrize("shell", ["true", "touch train.py; echo again > x.pyc"])
def test_P3_an_unchanged_tree_is_no_proposal(trees, shell):  # noqa: F811
    found = run(FakeBox(), trees("tree", FILES), shell)
    assert isinstance(found, NoProposal)
    assert found.reason == "the program changed nothing"


@pytest.mark.parametrize(
    ("shell", "reason"),
    [
        ("echo 'x = 2' > train.py; exit 4", "exit status 4"),
        ("no-such-agent --go", "a program that it starts is not in the box"),
        ("rm -rf ./* ", "nothing is left of the tree"),
        ("for i in $(seq 300); do echo 1 > f$i; done", "too many or too large"),
        ("head -c 2000000 /dev/zero > big", "too many or too large"),
        ("""printf 1 > "$(printf 'a\\nb')" """, "not acceptable"),
        ("echo 1 > x; echo 7 > $FESTINA_OUT/proposal.json", "proposal.json"),
    ],
)
def test_T6_what_cannot_be_read_is_no_proposal(trees, shell, reason):  # noqa: F811
    found = run(FakeBox(), trees("tree", FILES), shell)
    assert isinstance(found, NoProposal)
    assert reason in found.reason


@pytest.mark.parametrize(
    "shell",
    [
        "ln -sf /etc/hostname train.py", "rm train.py; mkfifo train.py", "ln train.py other.py",
        "rm -r notes; ln -s /etc notes", "chmod 700 notes; rm -r notes; mkfifo notes; echo 'x = 2' > train.py",
    ],
)  # fmt: skip
def test_T6_a_file_that_became_a_link_or_a_pipe_is_not_taken_for_a_deleted_one(box, trees, shell):  # noqa: F811
    found = run(box, trees("tree", FILES), shell)
    assert isinstance(found, NoProposal), found
    assert found.reason == "refused: a link, a pipe or the like stands where a file was"
    control = run(box, trees("control", FILES), "rm train.py; ln -s /etc new; mkfifo pipe")
    assert isinstance(control, Proposal), control  # what was not there before is not read, and is nobody's concern
    assert control.files == {"train.py": None}


def test_T4_a_change_outside_the_scope_reaches_the_screen_to_be_refused_there(trees):  # noqa: F811
    found = run(FakeBox(), trees("tree", {**FILES, "festina.toml": ""}), "echo a > festina.toml; echo b > conftest.py")
    assert isinstance(found, Proposal)
    assert set(found.files) == {"festina.toml", "conftest.py"}


def test_P4_the_copy_holds_no_history_of_the_repository(box, trees):  # noqa: F811
    tree = trees("tree", {**FILES, ".git/config": "secret", "sub/.git/HEAD": "secret"})
    found = run(
        box, tree, "find . -name .git > found.txt; find / -name .git -maxdepth 2 2>/dev/null >> found.txt; true"
    )
    assert isinstance(found, Proposal)
    assert b".git" not in found.files["found.txt"] or box.level < 2


def test_the_task_reaches_the_program_as_text_and_as_a_file(box, trees):  # noqa: F811
    tree = trees("tree", FILES)
    argv = [
        "sh",
        "-c",
        'printf %s "$0" > a.txt; cat "$FESTINA_TASK" > b.txt; cat "$1" > c.txt',
        "{task}",
        "{task_file}",
    ]
    found = CommandImprover(box, argv).propose(view(tree), BUDGET)
    assert isinstance(found, Proposal), found
    assert found.files["a.txt"] == found.files["b.txt"] == found.files["c.txt"]
    assert b"`train.py`" in found.files["a.txt"]


def test_P4_the_task_tells_words_and_no_more(tmp_path):
    patch = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-x = 1\n+x = \u202e2\n"
    rows = [row(1, "accepted", patch), row(2, "refused", "", "scope")]
    text = task_text(view(tmp_path, history=rows, allow=("a\u202eb", "m/**")), "val_loss, lower is better")
    assert "val_loss, lower is better" in text
    assert "- proposal 2: refused (scope)\n- proposal 1: accepted\n      -x = 1\n      +x = <U+202E>2" in text
    assert "`m/**`" in text
    assert "At most 50 lines" in text
    assert "\u202e" not in text  # T-5: earlier patches are hostile text too


def test_a_tree_too_large_to_copy_is_said_so(trees, monkeypatch):  # noqa: F811
    monkeypatch.setattr(command, "MAX_TREE_BYTES", 5)
    with pytest.raises(UsageError) as caught:
        run(FakeBox(), trees("tree", FILES), "true")
    assert caught.value.name == "tree-too-large"


def test_a_long_history_still_fits_into_one_word_of_a_command(trees):  # noqa: F811
    rows = [row(number, "rejected", "+" + "漢" * 5000 + "\n" + "+x\n" * 50) for number in range(300)]
    tree = trees("tree", FILES)
    assert len(task_text(view(tree, history=rows)).encode()) < 128 * 1024
    argv = ["sh", "-c", 'printf %s "$0" > a.txt', "{task}"]
    assert isinstance(CommandImprover(FakeBox(), argv).propose(view(tree, history=rows), BUDGET), Proposal)
