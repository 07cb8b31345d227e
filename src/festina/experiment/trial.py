"""One side of one unit: run a tree in the box and bring home the bytes that it left.

A tree is trained (``run``) and then answers (``answer``) in a second, fresh box that holds the items'
inputs; where there is no ``answer`` command, ``run`` itself answers. Trees are shown read-only.
Not covered here: what the bytes are worth (the verifier's business) and whether they should be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from festina.sandbox.job import Bind, Ended, Job, Limits, Outcome, Sandbox

TREE = "/system"  # where a candidate finds itself
PREDICTIONS = "predictions.jsonl"
STDERR_TAIL = 2000  # bytes
ITEMS = "items.jsonl"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tree is run: the manifest's [experiment] part. Commands are argument vectors."""

    run: tuple[str, ...]
    answer: tuple[str, ...] | None
    outputs: tuple[str, ...]  # files that ``run`` leaves for ``answer``
    limits: Limits
    prints_metric: bool  # the score is read from standard output: self-reported  # V-10
    gpu: bool = False  # every step needs one


@dataclass(frozen=True, slots=True)
class Side:
    """What one tree made of one unit. ``answer`` is None unless every step ended ok.  # V-1"""

    tree: str
    answer: bytes | None
    ended: Ended
    wall_s: float
    cpu_s: float
    denied: tuple[str, ...]
    level: int
    policy: str
    detail: str
    stderr: bytes = b""  # its tail, hostile text: for the operator's eyes, never for the record  # T-5
    box: str = "cold"  # which kind of box ran it, and why not the warm one where that was asked for  # T-2

    def record(self) -> dict[str, Any]:
        """The trial record for the content store; no byte of the candidate's own text in it.  # T-5"""
        return {
            "tree": self.tree,
            "ended": self.ended.value,
            "answer": hashlib.sha256(self.answer).hexdigest() if self.answer is not None else None,
            "wall_s": round(self.wall_s, 4),
            "cpu_s": round(self.cpu_s, 4),
            "denied": list(self.denied),
            "level": self.level,
            "policy": self.policy,
            "box": self.box,
        }


def _exit(outcome: Outcome) -> str:
    return "" if outcome.exit_code in (None, 0) else f"exit status {outcome.exit_code}"


class Trials:
    """Runs trees by a recipe. ``export`` gives a directory with a tree's files, or how it is to be shown."""

    def __init__(self, sandbox: Sandbox, recipe: Recipe, export: Callable[[str], Path | Bind]) -> None:
        self.sandbox = sandbox
        self.recipe = recipe
        self._export = export

    def show(self, tree: str) -> Bind:
        """How ``tree`` stands in a box; made once, so that its objects may go afterwards."""
        shown = self._export(tree)
        return shown if isinstance(shown, Bind) else Bind(shown, TREE)

    def side(self, tree: str, seed: int, inputs: bytes | None) -> Side:
        """Run ``tree`` once under ``seed``. Raises ``Fault`` only for the sandbox's own failure."""
        bind = (self.show(tree),)
        env = {"FESTINA_SEED": str(seed)}
        recipe = self.recipe
        files = {} if inputs is None else {ITEMS: inputs}
        if recipe.answer is None:
            wanted = () if recipe.prints_metric else (PREDICTIONS,)
            job = Job(recipe.run, cwd=TREE, env=env, binds=bind, inputs=files, outputs=wanted, gpu=recipe.gpu)
            last = self.sandbox.run(job, recipe.limits)
            return self._side(tree, last)
        trained = self.sandbox.run(
            Job(recipe.run, cwd=TREE, env=env, binds=bind, outputs=recipe.outputs, gpu=recipe.gpu), recipe.limits
        )
        if trained.ended is not Ended.OK:
            return self._side(tree, trained)
        files |= {f"artifacts/{name}": data for name, data in trained.outputs.items()}
        env["FESTINA_ARTIFACTS"] = "/in/artifacts"
        job = Job(
            recipe.answer, cwd=TREE, env=env, binds=bind, inputs=files, outputs=(PREDICTIONS,), gpu=recipe.gpu
        )  # fmt: skip
        return self._side(tree, self.sandbox.run(job, recipe.limits), trained)

    def _side(self, tree: str, last: Outcome, first: Outcome | None = None) -> Side:
        answer = None
        if last.ended is Ended.OK:
            answer = last.stdout if self.recipe.prints_metric else last.outputs.get(PREDICTIONS)
        steps = [last] if first is None else [first, last]
        return Side(
            tree, answer, last.ended, sum(step.wall_s for step in steps), sum(step.cpu_s for step in steps),
            tuple(dict.fromkeys(call for step in steps for call in step.denied)), int(last.level),
            last.policy_hash, last.detail or _exit(last), last.stderr[-STDERR_TAIL:],
            ", then ".join(dict.fromkeys(step.box for step in steps)),
        )  # fmt: skip
