"""``festina run -- COMMAND``: a loop around any command that prints a metric, without a manifest.

The command is run once in a box; from what it printed and how long it took, the metric, its direction, the scope and
the limits are guessed, and every guess is told before anything starts. The result is an ordinary manifest (kept in
the ledger), so that a later run with the same command goes on where this one stopped.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from festina.errors import UsageError
from festina.experiment.trial import Recipe, Side, Trials
from festina.ledger.log import Ledger
from festina.loop.state import fold
from festina.loop.terms import spread_of
from festina.propose.guess import Guess, guess
from festina.propose.text import visible
from festina.sandbox import choose
from festina.sandbox.job import Ended, Level, Limits
from festina.select.budget import Budget
from festina.select.gate import Plan
from festina.select.planning import units_min_accept
from festina.system import home as homes
from festina.system.aside import scratch_folder
from festina.system.globs import matches
from festina.system.manifest import Manifest, parse_manifest
from festina.system.repo import Repo

FIRST_RUN_S = 600.0  # how long the command may take when it is tried for the first time


@dataclass(frozen=True, slots=True)
class Plain:
    """A guessed manifest, its bytes, and why each guess was made. ``guess`` is None when an earlier run is resumed."""

    manifest: Manifest
    data: bytes
    guess: Guess | None
    run_s: float | None

    @property
    def units(self) -> int:
        """Pairs of runs that the first acceptance takes at least."""
        policy = self.manifest.policy
        level = Budget(policy.alpha, spread_of(self.manifest)).next_level()
        return units_min_accept(Plan("symmetric", level, 0.0, 0.0, policy.beta, (), 1000))

    def least_s(self, workers: int) -> float | None:
        """Seconds from the start to the first acceptance at least, one tried change before it; None if unknown."""
        if self.run_s is None:
            return None
        return self.run_s * (math.ceil(2 * self.units / workers) + 2)


def _require_files(repo: Repo, allow: tuple[str, ...]) -> None:
    """The built-in search changes files and adds none: a pattern that covers no file is a slip."""
    paths = [entry.path for entry in repo.ls_tree(repo.tree_of(repo.head()))]
    for pattern in allow:
        if not any(matches(pattern, path) for path in paths):
            raise UsageError(
                "allow-matches-nothing", f"no file of the last commit matches '{pattern}'",
                fix="name files from the top of the repository, such as --allow 'src/*.py'", where="--allow",
            )  # fmt: skip


def plain(
    root: Path, argv: tuple[str, ...], *, metric: str | None, allow: tuple[str, ...], first_run_s: float = FIRST_RUN_S,
    anew: bool = False, search: bool = True, tell: Callable[[str], None] = lambda _: None,
) -> Plain:  # fmt: skip
    """The manifest for ``argv``: the one that this repository's ledger began with, or a new guess.

    ``first_run_s``: how long the command may take when it is tried. ``anew``: whatever the ledger is about. ``search``:
    the improver is the built-in search, which tries changes before it hands one in (P-7). ``tell``: of what takes time.
    """
    repo = Repo.discover(root)
    if root.resolve() != repo.root:
        raise UsageError(
            "not-at-the-top", f"commands run at the top of the repository, {repo.root}, and you are below it",
            fix="go there, and name files from there: festina run -- python sub/train.py",
        )  # fmt: skip
    repo.require_clean()
    known = None if anew else _resumed(repo, argv, metric, allow)
    if known is not None:
        return known
    if search:
        _require_files(repo, allow)
    tell("Trying the command once in a box ...")
    first = _try_once(repo, argv, first_run_s)
    found = guess(repo.root, argv, first.answer or b"", metric=metric, allow=allow)
    wall = max(60, math.ceil(first.wall_s * 5))
    lines = [
        f"run = {json.dumps(list(argv))}",
        f"metric = {json.dumps(f'{found.metric}:{found.direction}')}",
        f"allow = {json.dumps(list(found.allow))}",
        f'experiment.limits = {{ wall = "{wall}s", memory = "4GiB" }}',
        "improver.archive = {}" if search else "improver.archive = false",
    ]
    data = ("\n".join(lines) + "\n").encode()
    return Plain(parse_manifest(data, "the guessed manifest"), data, found, first.wall_s)


def guesses(plain_: Plain) -> list[str]:
    """What was guessed about the command, line by line, with the reasons."""
    manifest = plain_.manifest
    if plain_.guess is None or plain_.run_s is None:
        return [f"Going on with {' '.join(manifest.command)}: {manifest.metric}"]
    why = plain_.guess.why
    reasons = dict.fromkeys([why.get("metric", ""), why.get("direction", "")])
    return [
        f"  command     {' '.join(manifest.command)}   ({plain_.run_s:.1f} s a run)",
        f"  metric      {manifest.metric}   ({'; '.join(reasons)})",
        f"  may change  {', '.join(manifest.allow or ())}   ({why.get('allow', '')})",
    ]


def told(plain_: Plain, workers: int) -> str:
    """Every guess in words, with what a verdict will take, ``workers`` runs side by side."""
    manifest = plain_.manifest
    if plain_.guess is None or plain_.run_s is None:
        return "\n".join(guesses(plain_))
    why = plain_.guess.why
    tries = manifest.improver.archive.tries if manifest.improver.archive else 1
    seconds = math.ceil(2 * plain_.units / workers) * plain_.run_s
    takes = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    beside = f", {workers} at a time" if workers > 1 else ""
    return "\n".join(
        [
            *guesses(plain_),
            f"  improver    built-in search   ({why.get('improver', '')}; {tries} changes are tried for each test)",
            f"  a verdict   takes at least {plain_.units} pairs of runs ({takes}{beside})",
            "              festina calibrate -- COMMAND says which gains can be found here, and at what cost",
            "  assurance   self-reported: the command prints its own score, so nothing here is proven.",
            "              Hidden items and a scorer of yours would raise it: docs/manifest.md shows four short files",
        ]
    )


def _resumed(repo: Repo, argv: tuple[str, ...], metric: str | None, allow: tuple[str, ...]) -> Plain | None:
    home = homes.find(repo)
    if home is None or not home.ledger.exists():
        return None
    with Ledger.open(home.ledger, readonly=True) as ledger:
        epoch = fold(ledger.records()).epoch
        if epoch is None:
            return None
        data = ledger.get_blob(epoch.manifest)
    manifest = parse_manifest(data)
    if manifest.command != argv or not manifest.self_reported:
        raise UsageError(
            "another-command", f"this repository's ledger is about: {' '.join(manifest.command)}",
            fix='use that command, or `--new-epoch "why"` with a festina.toml',
        )  # fmt: skip
    require_same(manifest, metric, allow)
    return Plain(manifest, data, None, None)


def require_same(manifest: Manifest, metric: str | None, allow: tuple[str, ...]) -> None:
    """Options that would change the rules of a run that has begun are refused: they must not be passed over."""
    named, known = (manifest.metric, manifest.metric_name), manifest.allow or ()
    for option, given, holds, same in (
        ("--metric", metric, manifest.metric or "", metric is None or metric in named),
        ("--allow", " ".join(allow), " ".join(known), not allow or set(allow) == set(known)),
    ):
        if not same:
            raise UsageError(
                "other-rules", f"this repository's run began with {option} {holds}, and {given} would be another run",
                fix=f"leave {option} out to go on; for other rules put a festina.toml with them into the last commit "
                '(docs/manifest.md), then: festina run --new-epoch "why"', where=option,
            )  # fmt: skip


def _try_once(repo: Repo, argv: tuple[str, ...], wall_s: float) -> Side:
    """One run of the incumbent in a box. Raises ``UsageError`` when it does not end well there."""
    with scratch_folder("try") as state:
        tree = repo.tree_of(repo.head())
        repo.export_tree(tree, state / "tree")
        box = choose(Level.L2, state)
        limits = Limits(wall_s=wall_s, cpu_s=FIRST_RUN_S, memory_bytes=4 << 30)
        side = Trials(box, Recipe(argv, None, (), limits, True), lambda _: state / "tree").side(tree, 1, None)
    if side.ended is Ended.TIMEOUT_WALL:
        raise UsageError(
            "run-too-long", f"the command had not ended after {wall_s:.0f} s", fix="make the run shorter: fewer steps, "
            "less data; or write festina.toml (festina init) with a larger experiment.limits.wall",
            where=" ".join(argv),
        )  # fmt: skip
    if side.ended is not Ended.OK:
        _require_committed(repo, tree, argv)
    require_ok(side, argv)
    return side


def _require_committed(repo: Repo, tree: str, argv: tuple[str, ...]) -> None:
    """Where a command failed: whether it names a file that lies here and that the last commit does not hold."""
    paths = {entry.path for entry in repo.ls_tree(tree)}
    for word in argv:
        name = word.removeprefix("./")
        if name not in paths and not Path(name).is_absolute() and (repo.root / name).is_file():
            raise UsageError(
                "not-committed", f"{name} is here, and the last commit does not hold it: the box has committed files",
                fix=f"git add {name} && git commit -m 'Add {name}'", where=" ".join(argv),
            )  # fmt: skip


def require_ok(side: Side, argv: tuple[str, ...]) -> None:
    """Raises ``UsageError`` with what the command said, unless it ended well."""
    if side.ended is Ended.OK:
        return
    said = visible(side.stderr.decode(errors="replace")).strip()
    why = f" ({side.detail})" if side.detail else ""
    lacks = re.search(r"No module named '([\w.]+)'\s*$", said)
    raise UsageError(
        "command-failed", f"the command ended '{side.ended.value}'{why} in the box"
        + (f"; it said:\n{said}" if said else ""),
        fix=(f"is '{argv[0]}' spelt right, and installed for all users? " if side.detail == "exit status 127" else "")
        + "it sees only the committed files, has no network, and writes only to $FESTINA_OUT and /tmp"
        + (f"; install {lacks[1]} for the Python that runs Festina, {sys.executable}" if lacks else ""),
        where=" ".join(argv),
    )  # fmt: skip
