"""A scratch copy of a system: its last commit, a home, keys and a ledger of its own, the real box and verifier.

The user's repository is read through git's object store and never written; the vault is reached through the real
verifier process alone (a link in the scratch home), with a key made for the drill: its draws from a generator are
fresh, and a run draws with another key. Of a finite suite the first items in the drill's own order
are shown to the drill's own programs, whose output nobody but the drill reads; ``looks`` counts them.  # V-3

Does not cover: a system without festina.toml in its last commit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from festina.drill.model import Finding, Place
from festina.errors import UsageError
from festina.experiment.batch import Judge, Scored
from festina.experiment.trial import Side, Trials
from festina.ledger import entries as e
from festina.ledger.signing import LocalKey
from festina.loop import terms
from festina.loop.gateways import gateway_of
from festina.loop.judges import HiddenJudge, MetricJudge
from festina.sandbox import choose
from festina.sandbox.job import Ended, Job, Level, Limits, Outcome, Sandbox
from festina.select.pairing import Scale
from festina.system import home as homes
from festina.system.aside import borrow, scratch_folder
from festina.system.home import Home
from festina.system.manifest import FILE_NAME, Manifest
from festina.system.repo import Repo
from festina.system.toml import lines_of_keys, nearest_line
from festina.verify.client import Verifier
from festina.verify.verdicts import scale_of

Given = TypeVar("Given")
Made = TypeVar("Made")
SCORER_S = 20.0  # how long one request to the verifier may take while it is attacked


class Recorder:
    """A sandbox that remembers, for each thread, how its last runs ended; and what a training step left, by its seed.

    The programs that attack stand in for the step that answers; what the step before it leaves is the incumbent's, and
    made once.
    """

    def __init__(self, sandbox: Sandbox, training: tuple[str, ...] | None) -> None:
        self._sandbox = sandbox
        self._training = training
        self._trained: dict[str, Outcome] = {}
        self._seen = threading.local()
        self.level = sandbox.level
        self.missing = sandbox.missing
        self.policy_hash = sandbox.policy_hash

    def run(self, job: Job, limits: Limits) -> Outcome:
        seed = job.env.get("FESTINA_SEED", "")
        known = self._trained.get(seed) if job.argv == self._training else None
        if known is not None:
            return known
        outcome = self._sandbox.run(job, limits)
        if job.argv == self._training and outcome.ended is Ended.OK:
            self._trained[seed] = outcome
        self._seen.outcomes = [*getattr(self._seen, "outcomes", []), outcome]
        return outcome

    def kill_all(self) -> None:
        self._sandbox.kill_all()

    def take(self) -> list[Outcome]:
        """This thread's outcomes since it was last asked."""
        found: list[Outcome] = getattr(self._seen, "outcomes", [])
        self._seen.outcomes = []
        return found


@dataclass(slots=True)
class Own:
    """What the attacks act on. ``tree_dir`` holds the last commit's files, read-only."""

    root: Path  # the user's
    place: Path  # scratch; gone afterwards
    repo: Repo  # the scratch copy's
    home: Home
    commit: str
    tree: str
    tree_dir: Path
    manifest: Manifest
    manifest_bytes: bytes
    epoch: e.EpochOpened
    epoch_blobs: tuple[bytes, ...]
    box: Recorder
    judge: Judge
    scale: Scale
    verifier: Verifier | None  # None: the candidate reports its own score
    public_items: tuple[bytes, bytes] | None
    stack: ExitStack
    looks: int = 0
    progress: Callable[[Finding], None] = lambda _: None
    planted: dict[str, Path] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def self_reported(self) -> bool:
        return self.verifier is None

    @property
    def finite(self) -> bool:
        source = self.verifier.source if self.verifier is not None else None
        return source is not None and source.count is not None

    def line_of(self, *field: str) -> Place:
        """The line of festina.toml where a field stands, or the nearest one above it."""
        text = self.manifest_bytes.decode(errors="replace")
        line = nearest_line(lines_of_keys(text), field)
        lines = text.splitlines()
        return Place(FILE_NAME, line, lines[line - 1].strip() if 0 < line <= len(lines) else "")

    def plant(self, files: Mapping[str, bytes | None]) -> str:
        """A name for a copy of the tree with ``files`` replaced (None: deleted)."""
        with self._lock:
            self._count += 1
            name = f"planted-{self._count}"
        target = self.place / "planted" / name
        link_tree(self.tree_dir, target)
        for path, data in files.items():
            file = target / path
            file.unlink(missing_ok=True)
            if data is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                file.chmod(0o644)
        self.planted[name] = target
        return name

    def export(self, tree: str) -> Path:
        return self.planted.get(tree, self.tree_dir)

    def trials(self, limits: Limits | None = None, argv: tuple[str, ...] | None = None) -> Trials:
        """The system's own recipe; ``limits`` and the last step's command ``argv`` may be replaced.

        Training is made each time, also where a run would keep it: what attacks it differs from trial to trial.
        """
        recipe = replace(terms.recipe(self.manifest), once=False)
        if limits is not None:
            recipe = replace(recipe, limits=limits)
        if argv is not None:
            recipe = replace(recipe, answer=argv) if recipe.answer is not None else replace(recipe, run=argv)
        return Trials(self.box, recipe, self.export, gateway_of(self.manifest))

    def rehearse(self, seed: int) -> tuple[str, bytes | None]:
        """Items that are no evidence and use up nothing."""
        with self._lock:
            self.looks += self.epoch.suite.batch_items if self.verifier is not None else 0
        return self.judge.rehearse(seed)

    def side(self, tree: str, seed: int, inputs: bytes | None, trials: Trials | None = None) -> Side:
        return (trials or self.trials()).side(tree, seed, inputs)

    def unit_score(self, mean: float | None) -> float | None:
        """A suite's own score as a unit score: 0 worst, 1 best. Without a range: oriented, as it is."""
        suite = self.epoch.suite
        if mean is None:
            return None
        if suite.low is None or suite.high is None:
            return self.scale.sign * mean
        return _unit(mean, suite.low, suite.high, suite.direction)

    def units(self, scored: Scored) -> tuple[float | None, ...]:
        """The goal's unit score and that of each further verifier.  # V-5"""
        others = zip(scored.judges, self.epoch.judges, strict=True)
        return self.unit_score(scored.mean), *(_unit(mean, j.low, j.high, j.direction) for mean, j in others)

    def start_verifier(self, key: Path, *, timeout_s: float = SCORER_S) -> Verifier:
        """Another verifier process on the same vault and scorers, with its own key."""
        return self.stack.enter_context(
            Verifier.start(
                vault=self.home.vault, evaluator=self.tree_dir, key=key, suite=self.epoch.suite,
                guards=(*self.epoch.guards, *self.epoch.judges), used=0, timeout_s=timeout_s,
            )
        )  # fmt: skip

    def new_key(self, name: str, role: e.Role) -> LocalKey:
        path = self.home.path / "keys" / f"{name}.pem"
        return LocalKey.load(path, role) if path.exists() else LocalKey.create(path, role)


def _unit(mean: float, low: float, high: float, direction: str) -> float:
    part = (mean - low) / (high - low)
    return part if direction == "higher" else 1.0 - part


def side_by_side(own: Own, workers: int, work: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
    """``work`` on each, in order, several at a time. The first error, Ctrl-C included, ends what runs in boxes."""
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="drill") as pool:
        futures = [pool.submit(work, each) for each in given]
        done = False
        try:
            results = [future.result() for future in futures]
            done = True
        finally:
            if not done:
                for future in futures:
                    future.cancel()
                own.box.kill_all()
    return results


@contextmanager
def scratch(root: Path) -> Iterator[Own]:
    """Copy the system at ``root`` aside and start box and verifier. Raises what ``festina run`` would raise."""
    with ExitStack() as stack:
        yours = stack.enter_context(Repo.discover(root))
        yours.require_clean()
        commit = yours.head()
        place = stack.enter_context(scratch_folder("drill"))
        repo = stack.enter_context(borrow(yours, commit, place))
        try:
            manifest, data = terms.manifest_at(yours, commit)
        except UsageError as error:
            if error.name == "no-manifest" and not (yours.root / FILE_NAME).is_file():
                error.fix = (
                    "a script that prints its own score: `festina drill 'python {candidate}' --honest train.py`; an "
                    "evaluator: `festina drill 'python EVALUATOR {candidate}' --honest FILE`"
                )
            raise
        home = _home(yours, place)
        body, blobs = terms.epoch(
            repo, home, manifest, data, commit, number=0, min_level=int(Level[manifest.policy.min_level])
        )
        tree = repo.tree_of(commit)
        repo.export_tree(tree, place / "tree")
        training = manifest.command if manifest.experiment.answer is not None else None
        box = Recorder(choose(Level[manifest.policy.min_level], home.work), training)
        own = Own(
            root=yours.root, place=place, repo=repo, home=home, commit=commit, tree=tree, tree_dir=place / "tree",
            manifest=manifest, manifest_bytes=data, epoch=body, epoch_blobs=blobs, box=box,
            judge=MetricJudge(body.suite.scorer.removeprefix("stdout:")), scale=scale_of(body), verifier=None,
            public_items=terms.public_items(repo, manifest, tree), stack=stack,
        )  # fmt: skip
        if body.suite.assurance != "self-reported":
            own.new_key("verifier", "verifier")
            own.verifier = own.start_verifier(home.key("verifier"))
            own.judge = HiddenJudge(own.verifier, body.suite.batch_items, len(body.guards))
        yield own


def _home(yours: Repo, place: Path) -> Home:
    """A home beside nothing of the user's; only the vault is shared, by a link."""
    home = Home(place / "home")
    home.create()
    theirs = homes.find(yours)
    if theirs is not None and theirs.vault.is_dir():
        home.vault.symlink_to(theirs.vault, target_is_directory=True)
    return home


def link_tree(source: Path, target: Path) -> None:
    """The same files under new folders: cheap, and replacing one leaves the source alone."""
    for folder, _, files in os.walk(source):
        made = target / os.path.relpath(folder, source)
        made.mkdir(parents=True, exist_ok=True)
        for name in files:
            os.link(os.path.join(folder, name), made / name, follow_symlinks=False)


def entry_script(own: Own) -> tuple[str, bool]:
    """(path in the tree of the program that answers, whether Python runs it); ("", False) where none is named."""
    argv = own.manifest.experiment.answer or own.manifest.command
    if not argv:
        raise UsageError("no-command", "festina.toml names no command", where="festina.toml")
    python = os.path.basename(argv[0]).startswith("python")
    for before, word in pairwise(argv):
        names = [word.removeprefix("./")]
        if before == "-m":
            base = word.replace(".", "/")
            names = [f"{base}.py", f"{base}/__main__.py"]
        for name in names:
            if (own.tree_dir / name).is_file() and not Path(name).is_absolute():
                return name, python
    return "", False
