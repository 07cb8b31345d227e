"""An OpenEvolve task: ``initial_program.*`` with EVOLVE-BLOCK marks, ``evaluator.py`` with ``evaluate(program_path)``.

OpenEvolve (algorithmicsuperintelligence/openevolve, ``openevolve/evaluator.py``) imports the evaluator, calls it with
the path of a copy of the program, and ranks by ``combined_score``, else by the mean of all numbers. A small program of
ours does the same in the box and prints them. It also compares the lines outside the marks with those of the import,
before any of the program's code runs, so that the marks hold here.

Not carried over: ``config.yaml`` (models, prompts, islands, stages, feedback from models). ``lost`` says so.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

from festina.propose.foreign.types import Task, no_task, plain_name, text_of

__all__ = ["fixed_lines", "read_openevolve"]

RUNNER = "festina_evaluate.py"
START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


def read_openevolve(folder: Path, metric: str | None = None, allow: tuple[str, ...] = ()) -> Task:
    """Raises ``UsageError`` where program or evaluator cannot be told."""
    program = plain_name("openevolve", folder, _program(folder))
    evaluator = plain_name("openevolve", folder, _evaluator(folder, program))
    fixed = fixed_lines((folder / program).read_bytes())
    digest = "" if fixed is None or allow else hashlib.sha256(fixed).hexdigest()
    template = resources.files("festina.propose.foreign").joinpath("openevolve_runner.py.txt").read_text("utf-8")
    runner = template.replace("{EVALUATOR}", evaluator).replace("{PROGRAM}", program).replace("{FIXED}", digest)
    lost = []
    if not digest:
        lost.append(f"no pair of {START} and {END} in {program}: the whole file may change")
    if (folder / "config.yaml").exists() or list(folder.glob("config*.y*ml")):
        lost.append("config.yaml is not read: who proposes stands in [improver] and [model], docs/manifest.md")
    if re.search(r"def evaluate_stage\d", text_of(folder / evaluator)):
        lost.append("stages (evaluate_stage1 ...) are not used: every trial runs evaluate() in full")
    if (folder / "requirements.txt").exists():
        lost.append("requirements.txt is not installed: what the evaluator imports must be there in this Python")
    return Task(
        run=("python3", RUNNER),
        allow=allow or (program,),
        metric=metric or "combined_score:higher",
        assurance=(
            f"self-reported: {evaluator} runs the program in its own process, so the program can print",
            "or change its own score, and nothing here is proven. What it could get away with:",
            f"festina drill {evaluator}:evaluate --honest {program}",
        ),
        lost=tuple(lost),
        files={RUNNER: runner.encode()},
    )


def fixed_lines(data: bytes) -> bytes | None:
    """The lines outside the marks, marks included; ``None`` unless every start has its end and the other way round."""
    kept, inside, pairs = [], False, 0
    for line in data.rstrip(b"\n").split(b"\n"):  # OpenEvolve drops the last line's end from what models write
        if not inside or END.encode() in line:
            kept.append(line)
        if START.encode() in line and not inside:
            inside = True
        elif END.encode() in line:
            if not inside:
                return None
            inside, pairs = False, pairs + 1
    return b"\n".join(kept) if pairs and not inside else None


def _program(folder: Path) -> str:
    named = sorted(path.name for path in folder.glob("initial_program.*") if path.is_file())
    marked = [p.name for p in sorted(folder.iterdir()) if p.is_file() and p.suffix != ".md" and START in text_of(p)]
    found = named or marked
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} files could be the program: {', '.join(found)[:200]}" if found else "there is no program"
    raise no_task("openevolve", folder, told, "one file named initial_program.*, or one with EVOLVE-BLOCK marks")


def _evaluator(folder: Path, program: str) -> str:
    having = [
        path.name for path in sorted(folder.glob("*.py"))
        if path.name != program and re.search(r"^(?:async )?def evaluate\(", text_of(path), re.MULTILINE)
    ]  # fmt: skip
    if "evaluator.py" in having or len(having) == 1:
        return "evaluator.py" if "evaluator.py" in having else having[0]
    raise no_task("openevolve", folder, "there is no evaluator", "evaluator.py with evaluate(program_path)")
