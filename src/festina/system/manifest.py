"""``festina.toml``: what is improved, what may change, how it is judged.

``parse_manifest`` checks everything that the bytes alone tell, and, given ``read``, that the files they name exist.
Every mistake is a ``UsageError`` with ``where`` (file and line), the dotted field, what is wrong and what to write
instead. The manifest in force is the one in the commit pinned at the start of the epoch.  # T-4

Not covered: whether a plan can reach a verdict (``select``, S-7), what the vault holds (``verify``), and
whether a command exists (the sandbox finds out).

``docs/manifest.md`` describes every field; a test compares it with the models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from festina.errors import UsageError
from festina.system.fields import (
    Command,
    Direction,
    Duration,
    Globs,
    GuardName,
    Metric,
    ModelName,
    ModuleName,
    Name,
    Number,
    Paths,
    Positive,
    Range,
    RepositoryPath,
    ScorerName,
    Size,
    Table,
    an_endpoint,
    as_tuple,
    seconds,
)  # fmt: skip
from festina.system.manifest_checks import check_across, check_files, explain, goal_names, scorer_files
from festina.system.policy import Capability, Policy, Soak
from festina.system.scope import Scope
from festina.system.toml import lines_of_keys, load, nearest_line

__all__ = ["FILE_NAME", "Manifest", "load_manifest", "parse_manifest", "seconds"]

FILE_NAME = "festina.toml"


class System(Table):
    """``[system]``: what people call it."""

    name: Name = "system"
    kind: Name = "system"


class ScopeTable(Table):
    """``[scope]``: what a proposal may touch.  # P-2"""

    allow: Globs = ()
    deny: Globs = ()
    protect: Globs = ()
    kinds: Annotated[
        tuple[Literal["add", "modify", "delete"], ...], Field(min_length=1), BeforeValidator(as_tuple)
    ] = ("add", "modify", "delete")  # fmt: skip
    max_changed_lines: Positive = 200
    max_changed_files: Positive = 20
    max_file: Size = 1 << 20
    max_patch: Size = 4 << 20
    max_line: Positive = 5000
    binary: bool = False


class ExperimentLimits(Table):
    """``[experiment] limits``: caps for one trial's whole process tree.  # E-1"""

    wall: Duration = 60.0
    cpu: Duration | None = None
    cpus: Annotated[float, Field(gt=0, le=1024)] = 1.0
    memory: Annotated[Size, Field(ge=16 << 20)] = 1 << 30
    pids: Positive = 64
    output: Size = 64 << 20
    output_files: Positive = 1000
    stdout: Size = 1 << 20
    tmp: Size = 256 << 20
    model_calls: Positive = 20
    model_tokens: Positive = 100_000

    @property
    def cpu_s(self) -> float:
        """CPU seconds for the whole tree: ``cpu``, else wall time on ``cpus`` processors."""
        return self.cpu if self.cpu is not None else self.wall * self.cpus


class Experiment(Table):
    """``[experiment]``: how a candidate is run."""

    run: Command | None = None
    answer: Command | None = None
    train: Literal["each", "once"] = "each"
    outputs: Paths = ()
    preload: Annotated[tuple[ModuleName, ...], Field(max_length=64), BeforeValidator(as_tuple)] = ()
    gpu: bool = False
    model: bool = False
    limits: ExperimentLimits = ExperimentLimits()


class ImproverLimits(Table):
    """``[improver] limits``: caps for one proposing run.  # E-5"""

    wall: Duration = 30.0
    cpu: Duration | None = None
    memory: Size = 1 << 30
    model_calls: Positive = 100
    model_tokens: Positive = 1_000_000

    @property
    def cpu_s(self) -> float:
        return self.cpu if self.cpu is not None else self.wall


class ArchiveTable(Table):
    """``[improver] archive``: what an improver tries on public evidence before it hands something in.  # P-7"""

    tries: Positive = 24
    seeds: Annotated[int, Field(ge=1, le=64)] = 4
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    trials: Positive | None = None


class ProductivityTable(Table):
    """``[improver.productivity]``: proposals may set out to make the improver better, and are judged by that.  # S-6"""

    detect: Annotated[Number, Field(gt=0)] | None = None
    max_loss: Annotated[Number, Field(gt=0)] | None = None
    conduct: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    max_units: Positive | None = None


class ImproverTable(Table):
    """``[improver]``: who proposes.  # P-5"""

    use: Literal["own", "command", "model", "search"] = "search"
    run: Command | None = None
    code: Globs = ()
    task: Annotated[str, Field(max_length=4000)] = ""
    format: Literal["edits", "files", "knobs"] = "edits"
    prompt: Annotated[Size, Field(ge=1 << 10, le=1 << 20)] = 48 << 10
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    family: Name = "unknown"
    archive: ArchiveTable | Literal[False] | None = None  # none: on for the built-in search
    model: bool = False
    preset: Literal["aider", "claude", "codex", "opencode"] | None = None
    productivity: ProductivityTable | None = None
    limits: ImproverLimits = ImproverLimits()

    @property
    def asks(self) -> bool:
        """Whether its program is given a way to models."""
        return self.model or self.preset is not None


class EachModel(Table):
    """``[model.each.NAME]``: one model's price per million tokens, weight in an ensemble and temperatures."""

    input: Annotated[Number, Field(ge=0, le=10**6)] = 0.0
    output: Annotated[Number, Field(ge=0, le=10**6)] = 0.0
    weight: Annotated[Number, Field(gt=0, le=10**6)] = 1.0
    temperature: Annotated[
        tuple[Annotated[Number, Field(ge=0, le=2)], ...], Field(min_length=1, max_length=16), BeforeValidator(as_tuple)
    ] = (0.7,)


class ModelTable(Table):
    """``[model]``: the one place where models are asked, and what that may cost in a run.  # E-5, E-6"""

    endpoint: Annotated[str, AfterValidator(an_endpoint)]
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")] | None = None
    names: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=64), BeforeValidator(as_tuple)]
    each: Mapping[ModelName, EachModel] = Field(default_factory=dict)
    tokens: Positive | None = None
    money: Annotated[Number, Field(gt=0, le=10**9)] | None = None
    calls: Positive | None = None
    max_output: Annotated[int, Field(ge=16, le=10**6)] = 4096
    wall: Duration = 120.0


class PublicSuite(Table):
    """``[suite.public]``: items and scores that the improver may see."""

    scorer: ScorerName
    items: RepositoryPath
    direction: Direction = "higher"


class HiddenSuite(Table):
    """``[suite.hidden]``: the goal, on items that nobody sees.  # S-7"""

    scorer: ScorerName
    direction: Direction | None = None
    range: Range | None = None
    unit: Literal["item", "cluster", "seed"] = "item"
    test: Literal["bounded", "symmetric"] = "bounded"
    mode: Literal["fresh", "sealed", "ledger"] = "fresh"
    margin: Annotated[Number, Field(ge=0)] = 0.0
    detect: Annotated[Number, Field(gt=0)]
    batch: Annotated[int, Field(ge=1, le=10_000)] = 40
    max_units: Positive | None = None
    looks: Positive | None = None
    word_every: Duration = 60.0
    bits: Annotated[Number, Field(gt=0, le=1000)] = 20.0
    family: Name = "unknown"


class FinalSuite(Table):
    """``[suite.final]``: items of its own in the vault, scored by the goal's scorer, once a release.  # V-3"""

    units: Annotated[int, Field(ge=10, le=10_000)] = 100
    batch: Annotated[int, Field(ge=1, le=10_000)] = 40
    looks: Positive | None = None


class Suites(Table):
    """``[suite]``: at most one public, one hidden and one final suite; any number of soak suites."""

    public: PublicSuite | None = None
    hidden: HiddenSuite | None = None
    final: FinalSuite | None = None
    soak: Mapping[GuardName, Soak] = Field(default_factory=dict)


class Guard(Table):
    """``[guard.NAME]``: a property that must not get worse than on the anchor.  # V-4

    ``direction`` has no default: a guard that is read the wrong way round would reward what it forbids.
    """

    scorer: ScorerName
    direction: Direction
    range: Range = (0.0, 1.0)
    max_loss: Annotated[Number, Field(gt=0)]


class Verifier(Table):
    """``[verifier]``: caps of the scorers, which run in the verifier's own process tree.  # T-6"""

    wall: Duration = 60.0
    memory: Annotated[Size, Field(ge=256 << 20)] = 4 << 30


class Judge(Table):
    """``[judge.NAME]``: a further verifier of the goal, on the same answers.  # V-5

    ``family`` names who or what stands behind it (``"python"`` for plain code, else a model family). An unknown one
    counts as shared with everybody.
    """

    scorer: ScorerName
    direction: Direction
    range: Range = (0.0, 1.0)
    role: Literal["decide", "watch"] = "decide"
    margin: Annotated[Number, Field(ge=0)] = 0.0
    detect: Annotated[Number, Field(gt=0)] | None = None
    family: Name = "unknown"


class Internals(Table):
    """``[internals]``: what of a trained model is laid open for comparison.  # V-9

    ``weights`` is one of ``experiment.outputs``; ``activations`` a file that ``experiment.answer`` leaves beside its
    predictions, rows by item. Both are safetensors.
    """

    weights: RepositoryPath
    activations: RepositoryPath | None = None
    retrainings: Annotated[int, Field(ge=2, le=999)] = 19
    share: Annotated[Number, Field(ge=0, le=100)] = 0.5  # trials that a run spends on it by itself, of those of tests


class Manifest(Table):
    """The whole file. ``run``, ``metric`` and ``allow`` at the top are the three-line form of ``festina init``."""

    run: Command | None = None
    metric: Metric | None = None
    allow: Globs | None = None
    system: System = System()
    scope: ScopeTable = ScopeTable()
    experiment: Experiment = Experiment()
    improver: ImproverTable = ImproverTable()
    model: ModelTable | None = None
    suite: Suites = Suites()
    guard: Mapping[GuardName, Guard] = Field(default_factory=dict)
    judge: Mapping[GuardName, Judge] = Field(default_factory=dict)
    capability: Mapping[GuardName, Capability] = Field(default_factory=dict)
    internals: Internals | None = None
    verifier: Verifier = Verifier()
    policy: Policy = Policy()

    @property
    def command(self) -> tuple[str, ...]:
        """What a trial runs."""
        return self.run or self.experiment.run or ()

    @property
    def self_reported(self) -> bool:
        """Whether the candidate prints its own score.  # V-10"""
        return self.suite.hidden is None

    @property
    def metric_name(self) -> str | None:
        return self.metric.rpartition(":")[0] if self.metric else None

    @property
    def direction(self) -> Direction:
        """Which way the goal is better."""
        if self.metric:
            return "lower" if self.metric.endswith(":lower") else "higher"
        hidden, public = self.suite.hidden, self.suite.public
        if hidden and hidden.direction:
            return hidden.direction
        return public.direction if public else "higher"

    def scorers(self) -> dict[str, str]:
        """Every scorer by the dotted field that names it."""
        found = {f"guard.{name}.scorer": guard.scorer for name, guard in self.guard.items()}
        found |= {f"judge.{name}.scorer": judge.scorer for name, judge in self.judge.items()}
        found |= {f"capability.{name}.scorer": each.scorer for name, each in self.capability.items()}
        found |= {f"suite.soak.{name}.scorer": each.scorer for name, each in self.suite.soak.items()}
        for name, suite in (("public", self.suite.public), ("hidden", self.suite.hidden)):
            if suite is not None:
                found[f"suite.{name}.scorer"] = suite.scorer
        return found

    def protected(self) -> tuple[str, ...]:
        """Globs of what no proposal may touch: this file, the scorers, the public items, ``scope.protect``.  # T-4"""
        found = [FILE_NAME, *self.scope.protect]
        for scorer in self.scorers().values():
            found += scorer_files(scorer)
        if self.suite.public is not None:
            found.append(self.suite.public.items)
        return tuple(dict.fromkeys(found))

    def scope_rules(self) -> Scope:
        """The scope in force, short form and protected paths included."""
        table = self.scope
        words = (*self.command, *(self.experiment.answer or ()), *(self.improver.run or ()))
        return Scope(
            allow=self.allow or table.allow, deny=table.deny, kinds=table.kinds,
            max_changed_lines=table.max_changed_lines, max_changed_files=table.max_changed_files,
            max_file_bytes=table.max_file, max_patch_bytes=table.max_patch, max_line_bytes=table.max_line,
            binary=table.binary, protected=self.protected(), needed=tuple(w.removeprefix("./") for w in words),
            improver=self.improver.code,
        )  # fmt: skip


def parse_manifest(
    data: bytes, where: str = FILE_NAME, *, read: Callable[[str], bytes | None] | None = None
) -> Manifest:
    """Read a manifest. ``read`` gives a repository file's bytes by path, or None; names are checked with it."""
    document, text = load(data, where)
    lines = lines_of_keys(text)
    try:
        goal_names(document)
        manifest = Manifest.model_validate(document)
        check_across(manifest)
        if read is not None:
            check_files(manifest, read)
    except ValidationError as error:
        found = min(error.errors(include_url=False), key=lambda e: nearest_line(lines, e["loc"]))
        raise explain(found, error.error_count(), where, lines, Manifest) from None
    except UsageError as error:
        line = nearest_line(lines, error.where.split("."))
        raise UsageError(error.name, f"{error.where}: {error.what}", fix=error.fix, where=f"{where}:{line}") from None
    return manifest


def load_manifest(root: Path) -> Manifest:
    """Read ``festina.toml`` at ``root`` and check the files that it names."""
    path = root / FILE_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            "no-manifest", f"cannot read {path}: {error.strerror}", fix="`festina init` writes one", where=str(path)
        ) from None

    def read(name: str) -> bytes | None:
        file = root / name
        return file.read_bytes() if file.is_file() else None

    return parse_manifest(data, FILE_NAME, read=read)
