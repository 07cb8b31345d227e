"""Trees that are trained once: which artifact each has, as part of the state, and the step that makes them.  # S-7

A test begins with the artifacts of everything that it compares. Each is trained under the record's one seed, charged
before and recorded after, and kept in the content store. What failed once stays failed: the tree scores worst; only
what ran out of wall time beside another training is trained once more, alone. A tree that others are compared with must
not fail: that is a fault and no evidence, since anything would beat it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from festina.errors import Fault
from festina.experiment.artifacts import Artifacts, Made, artifact_digest, sha
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.ledger.seeds import training_seed
from festina.ledger.training import ArtifactFile
from festina.loop.crash import crash_point
from festina.loop.rows import misfit
from festina.sandbox.job import Ended, Outcome

if TYPE_CHECKING:
    from festina.loop.bench import Bench
    from festina.loop.state import State
    from festina.system.home import Home

DENIED = 20  # denied calls that an entry lists


@dataclass(slots=True)
class Trained:
    """``leaf``: of the record's first epoch, from which the seed of every training follows.  # E-3"""

    leaf: str = ""
    done: dict[str, e.TrainingEnded] = field(default_factory=dict)  # by tree
    open: dict[str, e.TrainingStarted] = field(default_factory=dict)  # by tree; under way, or cut off
    count: int = 0  # trainings ever begun

    @property
    def seed(self) -> int:
        return training_seed(self.leaf)

    def new_epoch(self, leaf: str) -> None:
        self.leaf = self.leaf or leaf


def _started(s: State, r: Record, b: e.TrainingStarted) -> None:
    t = s.trained
    before = t.open.get(b.tree)
    if s.epoch is None or s.epoch.suite.train != "once":
        raise misfit(r, "a training that is kept, in an epoch that keeps none")
    if b.tree in t.done or b.attempt != (1 if before is None else before.attempt + 1) or b.seed != t.seed:
        raise misfit(r, "a second training of a tree, or one under another seed")
    t.open[b.tree], t.count = b, t.count + 1
    s.trials += 1
    s.run_trials += 1
    s.side.test_trials += 1


def _ended(s: State, r: Record, b: e.TrainingEnded) -> None:
    if s.trained.open.pop(b.tree, None) is None:
        raise misfit(r, "a trained tree without its intent")  # L-3
    files = {file.name: file.digest for file in b.files}
    name = artifact_digest(files) if files else None
    if len(files) != len(b.files) or b.artifact != name or (b.ended == "ok") != (name is not None):
        raise misfit(r, "an artifact that is not what its files make")
    s.trained.done[b.tree] = b


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"training-started": _started, "training-ended": _ended}


# -- the step ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the ledger keeps, for the threads that run trials: each reads it by a handle of its own."""

    state: State
    path: Path

    def ended(self, tree: str) -> tuple[Ended, str | None] | None:
        found = self.state.trained.done.get(tree)
        return None if found is None else (Ended(found.ended), found.artifact)

    def files(self, tree: str) -> Mapping[str, bytes]:
        with Ledger.open(self.path, readonly=True) as ledger:
            return {file.name: ledger.get_blob(file.digest) for file in self.state.trained.done[tree].files}


def shelf(state: State, home: Home) -> Artifacts:
    """The artifacts of one engine: those of the ledger, and in its scratch space those that no evidence rests on."""
    return Artifacts(state.trained.seed, home.work / "artifacts", _Recorded(state, home.ledger))


def missing(b: Bench, trees: Sequence[str]) -> list[str]:
    """Those of the trees that have no artifact yet and need one, each once."""
    known = b.state.trained.done
    return [tree for tree in dict.fromkeys(trees) if tree not in known] if b.trials.recipe.once else []


def train(b: Bench, trees: Sequence[str], candidate: str) -> None:
    """Make and record the artifacts that these trees lack. Raises ``Fault`` where another than the candidate fails."""
    lacking, kept = missing(b, trees), b.trials.artifacts
    if kept is None or not lacking:
        return
    made = _made(b, lacking)
    late = [at for at, each in enumerate(made) if each.ended is Ended.TIMEOUT_WALL] if len(made) > 1 else []
    for at in late:  # a busy machine is nobody's fault: once more, alone  # T-6
        made[at] = _made(b, [lacking[at]])[0]
    crash_point("training-unrecorded")
    for each in made:
        if each.ended is Ended.SANDBOX_ERROR:
            raise Fault("sandbox-error", f"a training could not be run: {_detail(each)}", fix="festina doctor")
        if each.ended is not Ended.OK and each.tree != candidate:
            raise Fault("training-failed", f"a version in use could not be trained again: it ended {each.ended.value}",
                        fix="festina doctor; or raise [experiment] limits")  # fmt: skip
    b.append(
        *(_entry(each, kept.went(each.tree)) for each in made),
        still=lambda now: all(each.tree in now.trained.open for each in made),
    )


def _made(b: Bench, trees: Sequence[str]) -> list[Made]:
    """Charge the trainings, then make them side by side."""
    done = b.state.trained
    attempts = [done.open[tree].attempt + 1 if tree in done.open else 1 for tree in trees]
    b.append(*(
        Draft(e.TrainingStarted(tree=tree, attempt=attempt, seed=done.seed))
        for tree, attempt in zip(trees, attempts, strict=True)
    ))  # fmt: skip
    crash_point("training-started")
    with ThreadPoolExecutor(b.workers, thread_name_prefix="train") as pool:
        return list(pool.map(b.trials.artifact, trees))


def _detail(made: Made) -> str:
    return made.outcome.detail if made.outcome is not None else ""


def _entry(made: Made, was: Outcome | None) -> Draft:
    body = e.TrainingEnded(
        tree=made.tree, ended=made.ended.value, artifact=made.digest,  # type: ignore[arg-type]  # the model checks the word
        files=tuple(ArtifactFile(name=name, size=len(data), digest=sha(data)) for name, data in made.files.items()),
        wall_s=round(was.wall_s, 4) if was is not None else 0.0, cpu_s=round(was.cpu_s, 4) if was is not None else 0.0,
        denied=tuple(call[:300] for call in was.denied[:DENIED]) if was is not None else (),
        level=int(was.level) if was is not None else 0, policy=was.policy_hash if was is not None else "",
        box=was.box if was is not None else "none",
    )  # fmt: skip
    return Draft(body, blobs=tuple(made.files.values()))
