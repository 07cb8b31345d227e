"""One side of one unit: run a tree in the box and bring home the bytes that it left.

A tree is trained (``run``) and then answers (``answer``) in a second, fresh box that holds the items'
inputs; where there is no ``answer`` command, ``run`` itself answers. Trees are shown read-only.
A recipe with ``models`` gives each box the gateway and the same allowance, whoever's tree it is. A run that met
a broken endpoint is nobody's failure, unless the endpoint is well right after it: then the request broke it.  # T-6
Not covered here: what the bytes are worth (the verifier's business) and whether they should be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from festina.errors import Fault, UsageError
from festina.propose.gateway import Allowance, Gateway, Passage, Spent, environment
from festina.propose.meter import Cost
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
    models: Allowance | None = None  # what each box may ask of models; None: there is no gateway in it  # E-6


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
    calls: tuple[int, ...] = ()  # entries of the book: what its boxes asked of models

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
            **({"calls": list(self.calls)} if self.calls else {}),
        }


def _exit(outcome: Outcome) -> str:
    return "" if outcome.exit_code in (None, 0) else f"exit status {outcome.exit_code}"


class Trials:
    """Runs trees by a recipe. ``export`` gives a directory with a tree's files, or how it is to be shown."""

    def __init__(
        self, sandbox: Sandbox, recipe: Recipe, export: Callable[[str], Path | Bind], gateway: Gateway | None = None,
        spent: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``spent`` is called where the run's budget for models allows no other box, before the ``Fault``."""
        self.sandbox = sandbox
        self.recipe = recipe
        self._export = export
        self.gateway = gateway
        self._spent = spent

    def most(self, sides: int) -> Cost:
        """What so many sides may cost of models, each at its worst."""
        if self.gateway is None or self.recipe.models is None:
            return Cost()
        return self.gateway.most(self.recipe.models) * (sides if self.recipe.answer is None else 2 * sides)

    def show(self, tree: str) -> Bind:
        """How ``tree`` stands in a box; made once, so that its objects may go afterwards."""
        shown = self._export(tree)
        return shown if isinstance(shown, Bind) else Bind(shown, TREE)

    def side(self, tree: str, seed: int, inputs: bytes | None) -> Side:
        """Run ``tree`` once under ``seed``. Raises ``Fault`` only for the sandbox's own failure."""
        return self.laid_open(tree, seed, inputs)[0]

    def laid_open(
        self, tree: str, seed: int, inputs: bytes | None, more: tuple[str, ...] = ()
    ) -> tuple[Side, Mapping[str, bytes]]:
        """A side, and the files of both steps. ``more``: what the answer must leave beside its predictions.  # V-9"""
        bind = (self.show(tree),)
        env = {"FESTINA_SEED": str(seed)}
        recipe = self.recipe
        files = {} if inputs is None else {ITEMS: inputs}
        if recipe.answer is None:
            wanted = () if recipe.prints_metric else (PREDICTIONS, *more)
            job = Job(recipe.run, cwd=TREE, env=env, binds=bind, inputs=files, outputs=wanted, gpu=recipe.gpu)
            step = self._run(job)
            return self._side(tree, [step]), step[0].outputs
        trained = self._run(Job(recipe.run, cwd=TREE, env=env, binds=bind, outputs=recipe.outputs, gpu=recipe.gpu))
        if trained[0].ended is not Ended.OK:
            return self._side(tree, [trained]), {}
        files |= {f"artifacts/{name}": data for name, data in trained[0].outputs.items()}
        env["FESTINA_ARTIFACTS"] = "/in/artifacts"
        job = Job(
            recipe.answer, cwd=TREE, env=env, binds=bind, inputs=files, outputs=(PREDICTIONS, *more), gpu=recipe.gpu
        )  # fmt: skip
        answered = self._run(job)
        return self._side(tree, [trained, answered]), {**trained[0].outputs, **answered[0].outputs}

    def _run(self, job: Job) -> tuple[Outcome, Passage | None]:
        """One box, with the gateway where the recipe says so."""
        if self.recipe.models is None:
            return self.sandbox.run(job, self.recipe.limits), None
        gateway = self.gateway
        if gateway is None:
            raise UsageError("no-gateway-here", "this system's trials ask models, and here there is no gateway",
                             fix="use `festina run` or `festina calibrate`")  # fmt: skip
        try:
            passage = gateway.passage(self.recipe.models, "candidate")
        except Spent as spent:
            self._spent()
            raise Fault("model-budget", f"the run's cap on {spent.cap} allows no other trial") from None  # E-5
        try:
            env = {**environment(gateway.names[0]), **job.env}
            outcome = self.sandbox.run(replace(job, env=env, door=passage), self.recipe.limits)
        finally:
            passage.close()
        if passage.endpoint_failed():
            raise Fault("model-endpoint", f"the model endpoint did not answer ({passage.trouble})",
                        fix="see to [model] endpoint; the trial is repeated and counts for nobody")  # fmt: skip
        return outcome, passage

    def _side(self, tree: str, runs: list[tuple[Outcome, Passage | None]]) -> Side:
        answer = None
        steps = [outcome for outcome, _ in runs]
        last = steps[-1]
        if last.ended is Ended.OK:
            answer = last.stdout if self.recipe.prints_metric else last.outputs.get(PREDICTIONS)
        passages = [passage for _, passage in runs if passage is not None]
        denied = [call for step in steps for call in step.denied] + [each for one in passages for each in one.denied]
        return Side(
            tree, answer, last.ended, sum(step.wall_s for step in steps), sum(step.cpu_s for step in steps),
            tuple(dict.fromkeys(denied)), int(last.level),
            last.policy_hash, last.detail or _exit(last), last.stderr[-STDERR_TAIL:],
            ", then ".join(dict.fromkeys(step.box for step in steps)), tuple(one.call for one in passages),
        )  # fmt: skip
