"""The comparison of loops: one stream, real HTTP, and every loop is told of what it shows, nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from beside.endpoint import program_in, serving
from beside.loops import festina, keep_if_better, openevolve
from beside.tasks import GROWN, Library, Packing, Task, step, task_of


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(3, shown=40)


def test_a_step_follows_from_the_program_and_its_number_alone(library: Library) -> None:
    again = Library(3, shown=40)
    for number in range(6):
        made = step(library, library.start, number)
        assert made == step(again, library.start, number)
        assert made != library.start
        json.loads(made)
    assert len({step(library, library.start, number) for number in range(12)}) > 3
    assert step(Library(4, shown=40), library.start, 0) is not None


def test_packing_steps_are_rules_and_the_truth_is_no_public_item() -> None:
    task = Packing(1)
    text = task.start
    for number in range(10):
        text = step(task, text, number)
        assert task._rule(text) is not None
    shown = {row["label"]["items"] for row in task.shown}
    assert not shown & {bytes(items).hex() for items in task.fresh}
    known = '{"priority": "2*same - 2*after", "tables": {}}\n'  # the sum-of-squares rule, 0.6 % as published
    assert task.truth(known) > -1.0 > -3.5 > task.truth(task.start)


def test_both_prompts_show_the_program_that_is_changed() -> None:
    current = '{"a": 1}\n'
    theirs = f"# Previous\n```json\nother\n```\n# Current Program\n```json\n{current}```\n# Task\n```json\n# here\n```"
    ours = f"# Task\n\n# Files that you may change\n\na.json\n```\n{current}```\n\n# Your earlier proposals\nx"
    assert program_in(theirs) == program_in(ours) == current.rstrip()
    with pytest.raises(ValueError, match="no program"):
        program_in("nothing")


def test_keep_if_better_never_holds_what_scored_worse_in_public(library: Library, tmp_path: Path) -> None:
    with serving(library) as stream:
        played = keep_if_better(library, "library-40", stream, 25, tmp_path)
    assert stream.asked == 24
    scores = [library.public(text) for text in played.line]
    assert scores == sorted(scores)
    assert len(played.line) > 1


def test_what_the_vault_draws_and_what_measures_are_one_law_on_tables_that_no_public_task_has(
    library: Library, tmp_path: Path
) -> None:
    library.lay_out(tmp_path / "system")
    spec = importlib.util.spec_from_file_location("drawing", tmp_path / "generator.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)

    def tables(tasks: Iterable[Any]) -> set[tuple[int, str]]:
        return {(inputs, f"{table:0{1 << inputs}b}"[::-1]) for _, inputs, table in tasks}

    drawn = {(row["input"]["inputs"], row["input"]["table"]) for row in drawing.generate(5, 2000)}
    measured, in_vault = tables(library.fresh), tables(library.vault)
    assert len(drawn) > 100
    assert not (drawn | measured | in_vault) & tables(library.tasks)
    for hidden in (drawn, in_vault):  # most of each other's: the same law
        assert len(hidden & measured) > 0.7 * len(hidden)
    assert library.fresh != library.vault


def test_a_grown_library_begins_with_the_words_of_the_example_or_says_that_they_are_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, grown = Library(0, shown=40), Library(0, shown=40, grown=True)
    assert [p.name for p in grown._read(grown.start)] == list(GROWN)
    assert grown.public(grown.start) > plain.public(plain.start) + 0.2
    assert grown.truth(grown.start) > plain.truth(plain.start) + 0.2
    monkeypatch.setattr(grown.chains, "public_tasks", lambda seed, shown=800: [])
    with pytest.raises(LookupError, match=r"seed 1: its public tasks have no f2_8, f2_e, f2_6, f3_7e, f3_e8"):
        Library(1, grown=True).start  # noqa: B018 -- it once looked for them without end


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["openevolve", "festina"])
def test_real_loops_are_served_by_the_same_stream(loop: str, library: Library, tmp_path: Path) -> None:
    task: Task = task_of("library-40", 3)
    with serving(task) as stream:
        if loop == "openevolve":
            pytest.importorskip("openevolve")
            played = openevolve(task, "library-40", stream, 15, tmp_path)
            assert played.runs in (14, 15)  # its workers may leave one that they had begun
            assert stream.asked == 14
        else:
            played = festina(task, "library-40", stream, 60, tmp_path, archive="archive = { tries = 6, workers = 1 }")
            assert 20 < played.runs <= 60
            assert stream.asked >= 6
    assert played.line[0] == task.start
    assert stream.shown[0] == task.start.rstrip()  # every loop begins there, and is answered by the same steps
    made = {step(library, shown + "\n", number) for number, shown in enumerate(stream.shown)}
    assert set(played.line[1:]) <= made or loop == "festina"  # what Festina hands in may be several steps at once
