"""One side of one unit: run a tree in the box and bring home the bytes that it left.

A tree is trained (``run``) and then answers (``answer``) in a second, fresh box that holds the items'
inputs; where there is no ``answer`` command, ``run`` itself answers. A recipe that trains ``once`` keeps what training
left (``artifacts``), and a side only answers. Trees are shown read-only.
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
from festina.experiment.artifacts import Artifacts, Made, of_outcome
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
    once: bool = False  # a tree is trained once, and its artifact answers in every side  # S-7


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
    artifact: str | None = None  # digest of the kept artifact that answered  # S-7
    trained_s: float = 0.0  # wall seconds of ``wall_s`` that went into training

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
            **({"artifact": self.artifact} if self.artifact is not None else {}),
        }


def _exit(outcome: Outcome) -> str:
    return "" if outcome.exit_code in (None, 0) else f"exit status {outcome.exit_code}"


class Trials:
    """Runs trees by a recipe. ``export`` gives a directory with a tree's files, or how it is to be shown."""

    def __init__(
        self, sandbox: Sandbox, recipe: Recipe, export: Callable[[str], Path | Bind], gateway: Gateway | None = None,
        spent: Callable[[], None] = lambda: None, artifacts: Artifacts | None = None,
    ) -> None:  # fmt: skip
        """``spent`` is called where the run's budget for models allows no other box, before the ``Fault``.

        ``artifacts``: where a recipe that trains once keeps what trainings left; such a recipe needs it.
        """
        self.sandbox = sandbox
        self.recipe = recipe
        self._export = export
        self.gateway = gateway
        self._spent = spent
        self.artifacts = artifacts if recipe.once else None

    def most(self, sides: int) -> Cost:
        """What so many sides may cost of models, each at its worst."""
        if self.gateway is None or self.recipe.models is None:
            return Cost()
        return self.gateway.most(self.recipe.models) * (sides if self.recipe.answer is None else 2 * sides)

    def show(self, tree: str) -> Bind:
        """How ``tree`` stands in a box; made once, so that its objects may go afterwards."""
        shown = self._export(tree)
        return shown if isinstance(shown, Bind) else Bind(shown, TREE)

    def showing(self, export: Callable[[str], Path | Bind]) -> Trials:
        """The same trials of trees that lie elsewhere."""
        return Trials(self.sandbox, self.recipe, export, self.gateway, self._spent, self.artifacts)

    def side(self, tree: str, seed: int, inputs: bytes | None) -> Side:
        """Run ``tree`` once under ``seed``. Raises ``Fault`` only for the sandbox's own failure."""
        return self.laid_open(tree, seed, inputs)[0]

    def laid_open(
        self, tree: str, seed: int, inputs: bytes | None, more: tuple[str, ...] = (), *, anew: bool = False
    ) -> tuple[Side, Mapping[str, bytes]]:
        """A side, and the files of both steps. ``more``: what the answer must leave beside its predictions.  # V-9

        ``anew``: train under ``seed`` even where an artifact is kept.
        """
        recipe, files = self.recipe, {} if inputs is None else {ITEMS: inputs}
        if recipe.answer is None:
            wanted = () if recipe.prints_metric else (PREDICTIONS, *more)
            job = self._job(tree, recipe.run, seed, wanted)
            step = self._run(replace(job, inputs=files))
            return self._side(tree, [step]), step[0].outputs
        if self.artifacts is not None and not anew:
            return self._answered_by(self.artifact(tree), seed, files, more)
        trained = self._run(self._job(tree, recipe.run, seed, recipe.outputs))
        if trained[0].ended is not Ended.OK:
            return self._side(tree, [trained]), {}
        answered = self._answer(tree, seed, files, trained[0].outputs, more)
        side = replace(self._side(tree, [trained, answered]), trained_s=trained[0].wall_s)
        return side, {**trained[0].outputs, **answered[0].outputs}

    def artifact(self, tree: str) -> Made:
        """The tree's kept artifact, or the training that left none; trained now where it is not there yet.  # S-7"""
        kept = self.artifacts
        if kept is None:
            raise UsageError("no-artifacts", "this system trains in every trial and keeps nothing",
                             fix='train = "once" in [experiment]')  # fmt: skip

        def train() -> Made:
            return of_outcome(tree, self._run(self._job(tree, self.recipe.run, kept.seed, self.recipe.outputs))[0])

        return kept.of(tree, train)

    def _answered_by(
        self, made: Made, seed: int, files: Mapping[str, bytes], more: tuple[str, ...]
    ) -> tuple[Side, Mapping[str, bytes]]:
        """A side of a tree whose training is behind it."""
        first: list[tuple[Outcome, Passage | None]] = [] if made.outcome is None else [(made.outcome, None)]
        if made.ended is not Ended.OK:
            if first:
                return self._side(made.tree, first), {}
            box = self.sandbox
            return Side(made.tree, None, made.ended, 0.0, 0.0, (), int(box.level), box.policy_hash,
                        "its one training had ended so", box="none"), {}  # fmt: skip
        answered = self._answer(made.tree, seed, files, made.files, more)
        side = self._side(made.tree, [*first, answered])
        took = 0.0 if made.outcome is None else made.outcome.wall_s
        return replace(side, artifact=made.digest, trained_s=took), {**made.files, **answered[0].outputs}

    def _job(self, tree: str, command: tuple[str, ...], seed: int, outputs: tuple[str, ...]) -> Job:
        env = {"FESTINA_SEED": str(seed)}
        return Job(command, cwd=TREE, env=env, binds=(self.show(tree),), outputs=outputs, gpu=self.recipe.gpu)

    def _answer(
        self, tree: str, seed: int, files: Mapping[str, bytes], artifact: Mapping[str, bytes], more: tuple[str, ...]
    ) -> tuple[Outcome, Passage | None]:
        """The second box: the items' inputs beside what training left."""
        assert self.recipe.answer is not None
        job = self._job(tree, self.recipe.answer, seed, (PREDICTIONS, *more))
        given = {**files, **{f"artifacts/{name}": data for name, data in artifact.items()}}
        return self._run(replace(job, env={**job.env, "FESTINA_ARTIFACTS": "/in/artifacts"}, inputs=given))

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
