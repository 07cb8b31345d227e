"""The built-in search: useful, deterministic, within its scope, never twice the same."""

from __future__ import annotations

import ast
import json
import tomllib
from difflib import SequenceMatcher

import pytest

from festina.propose.moves import direction_of, new_text
from festina.propose.past import read_past
from festina.propose.search import Search
from festina.propose.search_worker import space_of
from festina.propose.source import Knob
from festina.propose.types import Budget, HistoryRow, NoProposal, Proposal, View

from .climb import SCRIPT, InProcess, climb, diff, score

ODD = """# keep   me\t
from math import tanh, sin
LR = 1e-3   # rate; 5
DEEP, SEED = 3, 4
OPT = "sgd"
USE = True
SHIFT = -0.5
CFG = {"hidden": 32, 'seed': 1, "l2": 0.0}
def model(x, width=8, act="relu"):
    if act == "relu":
        return max(x - 1, 0)
    return tanh(x) * 2 if act in ("tanh", "gelu") else x
def evaluate(x, scale=2.0):
    return x * scale
parser.add_argument("--warmup", type=int, default=100)
parser.add_argument("--kind", choices=["a", "b"], default="a")
opt = Adam(lr=3e-4, betas=(0.9, 0.999), seed=3)
rng = random.Random(17)
print(f"loss: {3}", 4)
x = OPT == "adam"
"""


def at(tree, history=(), seed=0, allow=("**",), lines=40):
    return View(tree, tree, tuple(history), seed, allow, lines)


@pytest.fixture
def odd(tmp_path):
    (tmp_path / "train.py").write_text(ODD)
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "a.json").write_text('{"lr": 0.1,  "n": [1, 2], "s": "3", "on": true, "seed": 3}\n')
    (tmp_path / "cfg" / "b.toml").write_text("lr = 0.1 # 5\nday = 1979-05-27\n[m]\nn = 16\nx = { y = -2.5 }\n")
    (tmp_path / "other.py").write_text("K = 5\n")
    return tmp_path


def test_settings_of_every_kind_are_found(odd):
    found = {(knob.name, knob.value) for knob in space_of(odd, ("**",)).knobs}
    assert {
        ("LR", 0.001), ("DEEP", 3), ("OPT", "sgd"), ("USE", True), ("SHIFT", -0.5), ("hidden", 32), ("l2", 0.0),
        ("width", 8),
        ("act", "relu"), ("warmup", 100), ("kind", "a"), ("lr", 0.0003), ("betas", 0.9), ("lr", 0.1), ("n", 1),
        ("on", True),
        ("n", 16), ("y", -2.5), ("K", 5),
    } <= found  # fmt: skip


def test_seeds_and_the_measurement_are_left_alone(odd):
    space = space_of(odd, ("**",))
    assert not any("seed" in knob.name.lower() or knob.name == "scale" or knob.value == 17 for knob in space.knobs)
    forbidden = {number for number, line in enumerate(ODD.split("\n"), 1) if any(
        word in line for word in ("evaluate", "x * scale", "print(", "Random(17)", "import"))}  # fmt: skip
    lines = {ODD.encode()[: edit.spans[0][0]].count(b"\n") + 1 for edit in space.edits if edit.path == "train.py"}
    assert not lines & (forbidden - {18})  # line 18 may trade places, but its number may not change


def test_edits_of_every_kind_are_found(odd):
    whats = {" ".join(edit.what.split(" in line")[0].split()) for edit in space_of(odd, ("**",)).edits}
    assert {"turn == into !=", "turn * into /", "negate a condition", "use sin for tanh"} <= whats
    (odd / "t.py").write_text("def f(a):\n    a = a + 1\n    a = a * 2\n    g(a)\n    return a\n")
    whats = {edit.what for edit in space_of(odd, ("t.py",)).edits}
    assert {"delete a statement in line 3", "delete a statement in line 4", "swap two statements in line 2"} <= whats


def draws(tree, count, allow=("**",), lines=40):
    found = []
    for seed in range(count):
        made = InProcess().propose(at(tree, seed=seed, allow=allow, lines=lines), Budget())
        assert isinstance(made, Proposal)
        found.append(made.files)
    return found


def test_every_result_is_well_formed_and_stays_within_scope_and_size(odd):
    for files in draws(odd, 60, ("train.py", "cfg/*"), lines=6):
        changed = 0
        for path, data in files.items():
            assert path in ("train.py", "cfg/a.json", "cfg/b.toml")
            {"py": ast.parse, "json": json.loads, "toml": tomllib.loads}[path.rpartition(".")[2]](data.decode())
            old = (odd / path).read_bytes()
            assert data != old
            text = diff(path, old, data).split("\n")
            changed += sum(line[:1] in ("+", "-") and line[:4] not in ("+++ ", "--- ") for line in text)
        assert 0 < changed <= 6


def test_all_other_bytes_stay_as_they_are(odd):
    (odd / "train.py").write_bytes(ODD.replace("\n", "\r\n").encode())
    for files in draws(odd, 15, ("train.py",)):
        old, new = (odd / "train.py").read_bytes(), files["train.py"]
        assert old.count(b"\r\n") == new.count(b"\r\n")
        lines = SequenceMatcher(None, old.split(b"\r\n"), new.split(b"\r\n"), autojunk=False)
        same = sum(block.size for block in lines.get_matching_blocks())
        assert same >= len(old.split(b"\r\n")) - 7
        assert b"# keep   me\t" in new


def test_the_seed_and_the_view_decide_everything(odd):
    first = Search().propose(at(odd, seed=3), Budget())
    assert isinstance(first, Proposal)
    again = Search().propose(at(odd, seed=3), Budget())
    assert (first.files, first.rationale) == (again.files, again.rationale)
    assert first.files == InProcess().propose(at(odd, seed=3), Budget()).files
    assert len({json.dumps(sorted((k, v.decode()) for k, v in files.items())) for files in draws(odd, 20)}) > 15
    assert first.author == "search"
    assert first.predicted is None
    assert first.cpu_s > 0


def test_P3_nothing_is_proposed_twice_and_the_end_is_said(tmp_path):
    (tmp_path / "a.py").write_text('MODE = "x"\nON = True\nif MODE == "y":\n    pass\n')
    rows: list[HistoryRow] = []
    seen = set()
    old = (tmp_path / "a.py").read_bytes()
    while isinstance(made := InProcess().propose(at(tmp_path, rows, seed=len(rows)), Budget()), Proposal):
        new = made.files["a.py"]
        assert new not in seen
        seen.add(new)
        rows.append(HistoryRow(len(rows), "search", diff("a.py", old, new), "rejected"))
        assert len(rows) < 50
    assert made.exhausted
    assert len(rows) >= 5  # two settings and two forms of the condition, alone and together


def test_P3_an_earlier_incumbent_is_not_proposed_again(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("ON = True\n")
    made = InProcess().propose(at(tmp_path), Budget())
    patch = diff("a.py", b"ON = True\n", made.files["a.py"])
    path.write_bytes(made.files["a.py"])
    found = InProcess().propose(at(tmp_path, [HistoryRow(0, "search", patch, "accepted")]), Budget())
    assert isinstance(found, NoProposal)
    assert found.exhausted


def test_the_past_is_read_back_from_patches():
    states = [b"a = 1\nb = 2\nc = 3\n", b"a = 5\nb = 2\nc = 3\n", b"a = 5\nb = 2\nc = -7\n"]
    tried = b"a = 5\nb = 9\nc = 3\n"
    patches = [(states[0], states[1], "accepted"), (states[1], tried, "rejected"), (states[1], states[2], "accepted")]
    rows = [(word, "", diff("f.py", old, new), None) for old, new, word in patches]
    past = read_past(rows, {"f.py": states[2]})
    from festina.propose.past import digest

    assert past.trees == {digest({"f.py": text}) for text in (*states, tried)}
    assert [(move.old, move.new) for row in past.rows for move in row.moves] == [
        (b"1", b"5"),
        (b"2", b"9"),
        (b"3", b"-7"),
    ]


@pytest.mark.parametrize(
    "patch",
    ["", "garbage", "@@ -1 +1 @@\n-a\n+b\n", "--- a/f.py\n+++ b/f.py\n@@ -9 +9 @@\n-x\n+y\n", "\x00\ufffd"],
)
def test_T5_patches_that_cannot_be_read_are_passed_over(odd, patch):
    rows = [HistoryRow(0, "search", patch, "accepted"), HistoryRow(1, "search", patch, "rejected")]
    assert isinstance(InProcess().propose(at(odd, rows), Budget()), Proposal)


def test_a_refused_file_is_not_touched_again(odd):
    refused = HistoryRow(0, "search", diff("other.py", b"K = 5\n", b"K = 6\n"), "refused", "scope")
    for seed in range(25):
        assert "other.py" not in InProcess().propose(at(odd, [refused], seed=seed), Budget()).files


def knob(value, name="x", path="a.py"):
    return Knob(path, 0, 1, name, value, 1.0, (path, "", 0))


@pytest.mark.parametrize(
    ("value", "name", "direction", "size", "text"),
    [
        (0.001, "lr", 1, 2.303, b"0.01"), (1e-4, "lr", -1, 1.0, b"3.7e-5"), (32, "batch", 1, 0.7, b"64"), (3, "n", 1,
        0.1, b"4"),
        (1, "n", -1, 1.0, None), (0.9, "momentum", 1, 2.4, b"0.99"), (0.0, "momentum", 1, 4.7, b"0.9"),
        (0.0, "weight_decay", 1, 1.0, b"0.00074"), (-0.5, "x", 1, 0.7, b"-0.25"), (True, "x", 1, 1.0, b"False"),
        (250.0, "x", 1, 1.0, b"680.0"), (0, "n", 1, 1.5, b"3"), (1234, "n", 1, 1.0, b"3400"), (1e300, "x", 1, 1.0,
        None),
    ],
)  # fmt: skip
def test_a_setting_jumps_on_its_own_scale(value, name, direction, size, text):
    assert new_text(knob(value, name), direction, size) == text


def test_directions_are_read_from_numbers_alone():
    assert (direction_of(b"1e-3", b"0.1"), direction_of(b"5", b"-5"), direction_of(b"True", b"False")) == (1, -1, 0)


def test_wide_jumps_come_first_and_accepted_directions_are_followed(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)

    def kinds(history):
        from festina.propose.search_worker import answer

        found = []
        for seed in range(16):
            rows = [[row.word, row.reason, row.patch, row.gain] for row in history]
            request = {"tree": str(tmp_path), "allow": ["*"], "seed": seed, "max_changed_lines": 40, "history": rows}
            found.append(answer(request)["kind"])
        return found

    assert kinds(()).count("wide") >= 5
    older = SCRIPT.replace("LR = 0.0005", "LR = 0.0001").encode()
    accepted = HistoryRow(0, "search", diff("train.py", older, SCRIPT.encode()), "accepted")
    assert kinds([accepted]).count("follow") >= 3


def test_on_a_real_training_script_thirty_proposals_find_a_large_gain(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    start = score(tmp_path)
    rows, scores = climb(tmp_path, InProcess(), score, 30, first_seed=1000)
    assert len({row.patch for row in rows}) == len(rows) == 30
    # Measured with eight seeds: 1.755 to 0.29 … 0.59 in seven. In one the last edit let ``predict`` return more than 1,
    # so that the printed loss fell below any true one: why a self-reported score is never called proven (V-10).
    assert 0.25 < scores[-1] < 0.5 * start
    assert sum(row.word == "accepted" for row in rows) >= 3
