"""Dates as people write them, in ISO form: an Inspect task. ``inspect eval task.py --model NAME`` runs it as it is.

Festina takes the scorer from here and nothing else; the prompt in ``prompt.txt`` and what ``solver.py`` makes of an
answer are what may be improved.
"""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import exact
from inspect_ai.solver import generate, prompt_template

HERE = Path(__file__).parent


@task
def dates():
    return Task(
        dataset=json_dataset(str(HERE / "data" / "public.jsonl"), FieldSpec(input="input", target="label", id="id")),
        solver=[prompt_template((HERE / "prompt.txt").read_text()), generate()],
        scorer=exact(),
    )
