"""Known-bad changes: of every kind the files allow, drawn by the seed alone, whatever the files hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.propose.plants import plants

SOLVER = b'''\
"""Answers."""
from __future__ import annotations
import json, os


def answer(x, limit=10):
    if x > limit:
        return x - limit
    total = x * 3 + 1
    return total


for line in open(os.environ["FESTINA_IN"] + "/items.jsonl"):
    print(answer(json.loads(line)["input"]))
'''
CONFIG = b'{"rate": 0.5, "depth": 3, "name": "v2.5"}\n'
FILES = {"solve.py": SOLVER, "config.json": CONFIG}
PUBLIC = b'{"id": "1", "input": 4, "label": 13}\n{"id": "2", "input": 20, "label": 10}\n'


def by_kind(seed=1, files=FILES, **more):
    return {p.kind: p for p in plants(files, seed=seed, entry="solve.py", public=PUBLIC, **more)}


def test_V7_all_kinds_come_from_a_small_system():
    found = by_kind()
    assert set(found) == {"null", "claim", "exit", "memo", "operator", "off-by-one", "branch", "constant", "number",
                          "husk"}  # fmt: skip
    assert {p.kind for p in found.values() if p.basis == "construction"} == {"null", "claim", "exit", "memo"}
    for plant in found.values():
        assert all(FILES[path] != data for path, data in plant.files.items())


def test_V7_each_mutant_is_what_its_name_says():
    for seed in range(30):
        found = by_kind(seed)
        assert b"if False:" in found["branch"].files["solve.py"]
        assert b"return None" in found["constant"].files["solve.py"]
        assert json.loads(found["number"].files["config.json"])["name"] == "v2.5"  # nothing inside quotes
        assert json.loads(found["husk"].files["config.json"]) == {}
        assert json.loads(_unchanged_json(found["null"])) == json.loads(CONFIG)
        for kind in ("operator", "off-by-one", "branch", "constant", "exit", "memo"):
            compile(found[kind].files["solve.py"], "solve.py", "exec")


def _unchanged_json(plant):
    return plant.files.get("config.json", CONFIG)


def test_V7_what_is_bad_by_construction_runs_as_it_says(tmp_path):
    import subprocess
    import sys

    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "items.jsonl").write_text('{"id": "a", "input": 4}\n{"id": "b", "input": 5}\n')
    env = {"FESTINA_IN": str(tmp_path / "in"), "FESTINA_OUT": str(tmp_path / "out")}
    for kind, printed in (("exit", ""), ("null", "13\n16\n"), ("claim", "13\n16\n")):
        for seed in range(3):
            plant = by_kind(seed)[kind]
            (tmp_path / "solve.py").write_bytes(plant.files.get("solve.py", SOLVER))
            done = subprocess.run([sys.executable, "solve.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
            assert (done.returncode, done.stdout) == (0, printed), (kind, done.stderr)
    (tmp_path / "solve.py").write_bytes(by_kind()["memo"].files["solve.py"])
    subprocess.run([sys.executable, "solve.py"], cwd=tmp_path, env=env, check=True)
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert rows == [{"id": "a", "output": 13}, {"id": "b", "output": None}]


def test_V7_the_same_seed_gives_the_same_and_others_give_others():
    assert plants(FILES, seed=3, entry="solve.py") == plants(FILES, seed=3, entry="solve.py")
    assert len({tuple(p.kind for p in plants(FILES, seed=s, entry="solve.py")) for s in range(20)}) > 5


def test_V7_the_improvers_code_is_left_alone_where_there_is_other():
    found = plants(FILES, seed=1, entry="solve.py", improver=["config.json"])
    assert {path for p in found for path in p.files} == {"solve.py"}


def test_T5_a_file_that_would_crash_a_parser_is_only_read_token_by_token():
    nested = b"x = " + b"(" * 5_000 + b"1" + b")" * 5_000 + b"\n"
    deep = b"x = " + b"-" * 10_000 + b"1\n"
    found = plants({"a.py": nested, "b.py": deep, "c.py": b"\xff\xfe", "d.py": b"if (\n"}, seed=1, entry="a.py")
    assert all(plant.files for plant in found)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a.py", "b.json", "c.toml", "d.txt"]), st.binary(max_size=200), max_size=4),
       st.integers(0, 2**63), st.binary(max_size=80))  # fmt: skip
def test_T5_any_bytes_at_all_give_changes_or_nothing(files, seed, public):
    for plant in plants(files, seed=seed, entry="a.py", public=public):
        assert all(files.get(path) != data for path, data in plant.files.items())


@pytest.mark.parametrize("text", ["x = 1 if y else 2\n", "f = lambda: 3\n", "a[1:2]\n", "if x: y = {1: 2}\n"])
def test_V7_edits_stay_inside_one_clause(text):
    for seed in range(10):
        for plant in plants({"a.py": text.encode()}, seed=seed, entry=None):
            compile(plant.files["a.py"], "a.py", "exec")
