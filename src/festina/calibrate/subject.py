"""What is measured: the last commit on a scratch copy, its box, its questions and a few small changes of it.

Everything a trial goes through is the real thing (box, harvest, verifier); only home and keys are made for this and
thrown away. The repository, its home, its vault and its ledger are read and not written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from festina.calibrate.questions import Drawn, Listed, Printed, Questions
from festina.errors import UsageError
from festina.experiment.artifacts import Artifacts
from festina.experiment.trial import Trials
from festina.ledger import entries as e
from festina.ledger.seeds import training_seed
from festina.ledger.signing import LocalKey
from festina.loop import terms
from festina.loop.gateways import gateway_of
from festina.loop.workspaces import Workspaces, box_for
from festina.propose.search import neighbours
from festina.sandbox import shows_layers
from festina.sandbox.job import Level, Sandbox
from festina.system import home as homes
from festina.system.aside import borrow, scratch_folder
from festina.system.home import Home
from festina.system.manifest import FILE_NAME, HiddenSuite, Manifest
from festina.system.repo import Repo
from festina.system.scope import Refused, screen_files
from festina.verify.client import Verifier
from festina.verify.parse import Item, read_items
from festina.verify.vault import Vault

SPARES = 8  # small changes that are made; how many are run shows when they turn out to change anything

Origin = Literal["public", "dedicated", "fresh", "none"]


@dataclass(frozen=True, slots=True)
class Subject:
    """An opened system. ``digest`` is the manifest's; ``neighbours``: (name, tree, what was changed)."""

    manifest: Manifest
    digest: str
    commit: str
    tree: str
    trials: Trials
    questions: Questions
    origin: Origin
    items_per_run: int
    neighbours: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]  # what had to be assumed, in words

    @property
    def box(self) -> Sandbox:
        return self.trials.sandbox


@contextmanager
def opened(
    root: Path, *, given: tuple[Manifest, bytes] | None = None, items: Path | None = None
) -> Iterator[Subject]:
    """Open the system at ``root``. ``given``: instead of the last commit's festina.toml. ``items``: a file."""
    with ExitStack() as stack:
        yours = stack.enter_context(Repo.discover(root))
        yours.require_clean()
        commit = yours.head()
        place = stack.enter_context(scratch_folder("calibrate"))
        repo = stack.enter_context(borrow(yours, commit, place))
        manifest, data = given or _manifest_at(yours, commit)
        tree = repo.tree_of(commit)
        home = Home(place / "home")
        home.create()
        box = box_for(stack, Level[manifest.policy.min_level], home, manifest)
        spaces = Workspaces(repo, home, tree, layers=shows_layers(box))
        exported = Path(spaces.show(tree).source)
        notes: list[str] = []
        questions, origin, count = _questions(stack, yours, repo, home, manifest, tree, exported, items, notes)
        yield Subject(
            manifest=manifest, digest=hashlib.sha256(data).hexdigest(), commit=commit, tree=tree,
            trials=Trials(
                box, terms.recipe(manifest), spaces.show, gateway_of(manifest),
                artifacts=Artifacts(training_seed(tree), home.work / "artifacts"),
            ), questions=questions,
            origin=origin, items_per_run=count, notes=tuple(notes),
            neighbours=_neighbours(repo, manifest, tree, exported),
        )  # fmt: skip


def _manifest_at(repo: Repo, commit: str) -> tuple[Manifest, bytes]:
    try:
        return terms.manifest_at(repo, commit)
    except UsageError as error:
        if error.name == "no-manifest" and not (repo.root / FILE_NAME).is_file():
            error.fix = "festina calibrate -- COMMAND, such as: festina calibrate -- python train.py"
        raise


def _questions(
    stack: ExitStack, yours: Repo, repo: Repo, home: Home, manifest: Manifest, tree: str, exported: Path,
    file: Path | None, notes: list[str],
) -> tuple[Questions, Origin, int]:  # fmt: skip
    """Where the items come from: the file that was named, the vault's generator, or the public suite.

    Fresh draws come before public items: they are like those of a test, and nobody has worked on them.
    """
    hidden = manifest.suite.hidden
    if hidden is None:
        if file is not None:
            raise UsageError(
                "items-without-scorer", "items were named, but the command prints its own score",
                fix="leave --items out, or add a [suite.hidden] with a scorer",
            )  # fmt: skip
        return Printed(manifest.metric_name or ""), "none", 1
    theirs = homes.find(yours)
    digest = None if file is not None or theirs is None else _generator(Vault(theirs.vault), hidden)
    if theirs is not None and digest is not None:
        verifier = _verifier(stack, theirs.vault, home, manifest, exported, _suite(manifest, hidden, digest))
        return Drawn(verifier, hidden.batch, clusters=hidden.unit == "cluster"), "fresh", hidden.batch
    listed = _listed(repo, manifest, tree, file)
    if listed is None:
        raise _no_items(manifest)
    found, origin = listed
    clusters = hidden.unit == "cluster"
    if clusters and any(not item.cluster for item in found):
        raise UsageError(
            "cluster-missing", 'the unit is "cluster", and some of the items name none',
            fix='give every item a "cluster", or set unit = "item"', where="festina.toml: suite.hidden.unit",
        )  # fmt: skip
    count = hidden.batch if clusters else min(hidden.batch, len(found))
    if count < hidden.batch:
        notes.append(f"there are {len(found)} items, fewer than the {hidden.batch} of a batch, so each run answers all")
    verifier = _verifier(stack, home.vault, home, manifest, exported, _suite(manifest, hidden, None))
    return Listed(verifier, found, count, clusters=clusters), origin, count


def _generator(vault: Vault, hidden: HiddenSuite) -> str | None:
    """The digest of the source that never runs dry, where the hidden suite has one."""
    if hidden.mode != "fresh" or "hidden" not in vault.suites():
        return None
    source = vault.describe("hidden")
    return source.digest if source.kind == "generator" else None


def _listed(repo: Repo, manifest: Manifest, tree: str, file: Path | None) -> tuple[list[Item], Origin] | None:
    if file is not None:
        return read_items(file.read_bytes(), where=str(file)), "dedicated"
    if terms.public_items(repo, manifest, tree) is None or manifest.suite.public is None:
        return None
    name = manifest.suite.public.items
    return read_items(repo.read_file(tree, name), where=name), "public"


def _no_items(manifest: Manifest) -> UsageError:
    public, hidden = manifest.suite.public, manifest.suite.hidden
    other = public is not None and hidden is not None and public.scorer != hidden.scorer
    why = "the public suite has another scorer" if other else "there is no public suite"
    return UsageError(
        "no-calibration-items", f"there are no items to measure with: {why}, and the vault holds no generator of fresh "
        "ones; hidden items are not looked at for this",
        fix="festina calibrate --items FILE.jsonl, with items like the hidden ones that no test will use",
    )  # V-3  # fmt: skip


def _suite(manifest: Manifest, hidden: HiddenSuite, source: str | None) -> e.SuiteTerms:
    """Terms for a verifier of our own; ``source`` None: it scores what it is handed and draws nothing."""
    if hidden.range is None:
        raise UsageError(
            "range-missing", "the hidden suite declares no range, so no answer has a worst score",  # V-1
            fix="range = [lowest, highest] score of one item", where="festina.toml: suite.hidden.range",
        )  # fmt: skip
    low, high = hidden.range
    return e.SuiteTerms(
        name="hidden", scorer=hidden.scorer, low=float(low), high=float(high), direction=manifest.direction,
        unit=hidden.unit, mode="fresh", margin=float(hidden.margin), detect=float(hidden.detect),
        batch_items=hidden.batch, max_units=1, source=source, assurance="scored" if source is None else "hidden",
    )  # fmt: skip


def _verifier(
    stack: ExitStack, vault: Path, home: Home, manifest: Manifest, exported: Path, suite: e.SuiteTerms
) -> Verifier:
    """A verifier with a key of its own: what it draws, no run will ever draw.  # V-3"""
    LocalKey.create(home.key("verifier"), "verifier")
    return stack.enter_context(
        Verifier.start(
            vault=vault, evaluator=exported, key=home.key("verifier"), suite=suite, guards=terms.guards_of(manifest),
            timeout_s=manifest.verifier.wall, memory_bytes=manifest.verifier.memory, used=0,
            itemwise=suite.source is not None,
        )
    )  # fmt: skip


def _neighbours(repo: Repo, manifest: Manifest, tree: str, exported: Path) -> tuple[tuple[str, str, str], ...]:
    """Small changes within the scope, screened as a proposal would be; none where the search can read nothing.

    Programs that only propose are left alone: they have no part in a trial.
    """
    scope = manifest.scope_rules()
    trial = {*manifest.command, *(manifest.experiment.answer or ())}
    proposing = {word.removeprefix("./") for word in set(manifest.improver.run or ()) - trial}
    seed = int(hashlib.sha256(f"festina-neighbours:{tree}".encode()).hexdigest()[:8], 16)
    made = neighbours(
        exported, scope.allow, count=4 * SPARES, seed=seed, max_changed_lines=scope.max_changed_lines,
        budget=terms.propose_budget(manifest),
    )
    found: dict[str, tuple[str, str, str]] = {}
    for files, what in made:
        if proposing.issuperset(files) or len(found) == SPARES:
            continue
        try:
            seen = screen_files(repo, tree, files, scope)
        except Refused:
            continue
        if not seen.no_op:
            found.setdefault(seen.tree, (f"change {len(found) + 1}", seen.tree, what))
    return tuple(found.values())
