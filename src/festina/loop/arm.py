"""The control arm of a line: the same start, rules and budget, and generation 0's improver for ever.  # W-2

It is a loop of its own, in a clone with a home, ledger, keys and error budget of its own, under the same gate. Its
improver works on from whatever it gets accepted, so that it is the strongest use of the frozen improver and not a straw
man. Its budget is what the line's runs of this epoch were charged: the same number of proposals and of sandboxed runs;
time is a stop only, and is told. Where models are asked, the caps of [model] are a run's: an arm that meets them goes
on in another run, as the line did, until it has used as much of models as the line. Its ledger is a demo's: what needs
a person is approved there by a key that can release nothing. At the end the two heads answer the same fresh items, and
the line's ledger records the difference and the arm's ledger by origin, size and root.

The intent comes first. A killed arm goes on where it was, with what is left of its budget.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.ledger.signing import LocalKey
from festina.loop import acts, holds, reviews
from festina.loop.bench import Bench, Listener
from festina.loop.called import most
from festina.loop.crash import crash_point
from festina.loop.engine import Options, measuring, run
from festina.loop.final import compare
from festina.loop.growth import Arm, by_changed, compared, models_spent
from festina.loop.state import State, fold
from festina.loop.workspaces import export
from festina.propose.meter import Cost
from festina.system import home as homes
from festina.system.aside import borrow
from festina.system.git import git
from festina.system.home import Home
from festina.system.manifest import parse_manifest
from festina.system.repo import Repo

REVIEWER = "arm"
WHY = "control arm: approved without a person; nothing of it can be released"
SLACK = 3.0  # of the line's own time: an arm on a busy machine is not cut short, and does not go on for ever
LEAST_WALL_S = 120.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What the runs of one epoch were charged."""

    proposals: int = 0
    trials: int = 0
    wall_s: float = 0.0
    models: Cost = field(default_factory=Cost)


def spent(records: Iterable[Record], since: int) -> Spent:
    """What was charged from entry ``since`` on: proposals asked for, sandboxed runs, time of runs."""
    proposals = trials = 0
    wall_s = 0.0
    models, asked = Cost(), dict[int, Cost]()
    for record in records:
        body = record.body
        if record.seq < since:
            continue
        if isinstance(body, e.ProposalRequested):
            proposals += body.attempt == 1
        elif isinstance(body, e.MeasureStarted):
            trials += body.trials if body.purpose in ("rehearsal", "public", "attribution", "internals") else 0
        elif isinstance(body, e.BatchStarted | e.ControlStarted):
            trials += body.trials
        elif isinstance(body, e.TryStarted):
            trials += body.runs
        elif isinstance(body, e.RunEnded):
            wall_s += body.wall_s
        elif isinstance(body, e.ModelAsked):
            asked[body.call] = most(body)
        elif isinstance(body, e.ModelAnswered) and asked.pop(body.call, None) is not None:
            models += Cost(body.tokens_in, body.tokens_out, body.money, body.calls)
    return Spent(proposals, trials, wall_s, sum(asked.values(), models))  # what was cut off counts in full


def control_arm(
    root: Path, options: Options, units: int, wall_s: float | None = None, listener: Listener | None = None,
    planned: Callable[[e.ArmStarted, int], None] = lambda _terms, _changed: None,
) -> e.ArmEnded:  # fmt: skip
    """Run the arm, or go on with one that was cut off, and compare. ``wall_s``: the arm's time at most.

    ``planned`` hears what it may cost, and how many accepted generations a changed improver has made, before it runs.
    """
    with holds.guarded(homes.find(Repo.discover(root))):
        return _control_arm(root, options, units, wall_s, listener, planned)


def _control_arm(
    root: Path, options: Options, units: int, wall_s: float | None, listener: Listener | None,
    planned: Callable[[e.ArmStarted, int], None],
) -> e.ArmEnded:  # fmt: skip
    with measuring(root, options) as b:
        terms = b.state.growth.open_arm or _begin(b, wall_s)
        terms = terms if wall_s is None else terms.model_copy(update={"wall_s": wall_s})  # also of one that goes on
        planned(terms, by_changed(b.state, terms.head))
        crash_point("growth-arm")
        place = b.home.path / "arms" / str(terms.arm)
        epoch = b.state.epoch
        assert epoch is not None
        data = b.ledger.get_blob(epoch.manifest)
        _laid_out(b, place, terms)
    settings = replace(
        options, manifest=(parse_manifest(data), data), frozen_improver=True, demo=True, queue=(), trials=terms.trials,
        wall_s=terms.wall_s, proposals=terms.proposals, new_epoch="", at_once=1,
    )  # fmt: skip
    arm = _run(place / "system", settings, terms, listener)
    with measuring(root, replace(options, wall_s=max(options.wall_s, 3600.0))) as b:
        return _compared(b, terms, place / "system", arm, units)


def _begin(b: Bench, wall_s: float | None) -> e.ArmStarted:
    s = b.state
    if len(s.line) < 2:
        raise UsageError(
            "nothing-to-compare", "the line is still at its start: there is nothing to be the control of",
            fix="festina run",
        )  # fmt: skip
    used = spent(b.ledger.records(), s.epoch_seq)
    body = e.ArmStarted(
        arm=len(s.growth.arms), start_commit=s.generations[s.line[0]].commit, head=s.head.number,
        proposals=used.proposals, trials=used.trials, spent_wall_s=used.wall_s,
        wall_s=wall_s if wall_s is not None else max(LEAST_WALL_S, SLACK * used.wall_s),
        calls=used.models.calls, tokens=used.models.tokens, money=float(used.models.money),
    )  # fmt: skip
    b.append(Draft(body))
    return body


def _laid_out(b: Bench, place: Path, terms: e.ArmStarted) -> None:
    """The arm's repository, at the line's start, with a home and the same vault. Made whole or made again."""
    if (place / "made").exists():
        return
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True, mode=0o755)
    repo = borrow(b.repo, terms.start_commit, place)
    inner = {"GIT_WORK_TREE": str(repo.root)}
    git(repo.root / ".git", "-c", "core.bare=false", "read-tree", "-u", "--reset", "HEAD", env=inner)
    home = homes.ensure(repo, "arm")
    for folder in (b.home.vault,) if b.home.vault.exists() else ():
        shutil.copytree(folder, home.vault, dirs_exist_ok=True)
        for path in (home.vault, *home.vault.rglob("*")):
            os.chmod(path, 0o700 if path.is_dir() else 0o600)
    (place / "made").touch()


def _run(root: Path, settings: Options, terms: e.ArmStarted, listener: Listener | None) -> State:
    """Run until the arm's budget is spent; where it waits for a person, its own key approves and it goes on."""
    while True:
        used = _used(root)
        left = replace(
            settings, proposals=max(0, terms.proposals - used.proposals), trials=max(0, terms.trials - used.trials),
            wall_s=max(0.0, terms.wall_s - used.wall_s),
        )  # fmt: skip
        if left.proposals == 0 or left.trials == 0 or left.wall_s == 0.0:
            return _state(root)
        state = run(root, left, listener)
        end = state.last_end
        if end is not None and end.reason == "budget" and state.called.count:
            now = _used(root).models
            if now.calls > used.models.calls and not models_spent(terms, now):
                continue  # the caps of one run: the line had several
        if end is None or end.reason not in ("waiting", "interrupted"):
            return state
        if end.reason == "interrupted":
            raise UsageError("arm-interrupted", "the control arm was stopped", fix="festina growth --control goes on")
        _approve(root)


def _used(root: Path) -> Spent:
    home = homes.find(Repo.discover(root))
    if home is None or not home.ledger.exists():
        return Spent()
    with Ledger.open(home.ledger, readonly=True) as ledger:
        return spent(ledger.records(), 0)


def _state(root: Path) -> State:
    home = homes.require(Repo.discover(root))
    with Ledger.open(home.ledger, readonly=True) as ledger:
        return fold(ledger.records())


def _approve(root: Path) -> None:
    repo = Repo.discover(root)
    home = homes.require(repo)
    signer = LocalKey.load(home.key("engine"), "engine")
    with Ledger.open(home.ledger, signers={"engine": signer}) as ledger:
        state = fold(ledger.records())
        acts.enrol(ledger, state, home, REVIEWER, demo=True)
        place = reviews.Place(repo, home, ledger, state)
        for review in state.waiting:
            reviews.at_once(place, review.terms.review, REVIEWER, approve=True, reason=WHY)


def _compared(b: Bench, terms: e.ArmStarted, root: Path, arm: State, units: int) -> e.ArmEnded:
    """The two heads on the same fresh items, and the end of the arm."""
    repo = Repo.discover(root)
    home: Home = homes.require(repo)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(home.ledger, readonly=True))
        ours, theirs = (
            b.repo.tree_of(b.state.generations[terms.head].commit), repo.tree_of(arm.head.commit)
        )  # fmt: skip
        used = spent(ledger.records(), 0)

        def where(tree: str) -> Path:
            return export(repo if tree == theirs else b.repo, b.home, tree)

        label = f"generation {terms.head} against the control arm"
        final = compare(b, label, ours, theirs, units, where=where)
        origin, size, root_hash = ledger.genesis.origin, arm.size, ledger.root().hex()
    reason = arm.last_end.reason if arm.last_end is not None else ""
    ended = Arm(len(arm.line) - 1, used.proposals, used.trials, reason, used.models)
    body = e.ArmEnded(
        arm=terms.arm, origin=origin, size=size, root=root_hash, generations=ended.generations,
        proposals=used.proposals, trials=used.trials, wall_s=round(used.wall_s, 3), reason=reason,
        calls=used.models.calls, tokens=used.models.tokens, money=float(used.models.money),
        **compared(b.state, terms, ended, final),
    )  # fmt: skip
    b.append(Draft(body), still=lambda now: now.growth.open_arm is not None)
    return body
