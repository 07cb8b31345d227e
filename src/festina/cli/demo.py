"""``festina demo``: a real loop on this machine in about three minutes, with its control arm beside it.

Two engines run as processes of their own: the loop, and the control arm whose improver stays generation 0's. This
process watches both ledgers, approves changed improvers with a demo-only key (and says so), and at the end scores
the results on items that no gate has used. Everything lies in one folder and can be deleted.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from festina.cli.common import duration

if TYPE_CHECKING:
    from festina.ledger.entries import FinalScored
    from festina.ledger.log import Ledger
    from festina.loop.state import State
    from festina.system.home import Home
    from festina.system.repo import Repo

MARK = ".festina-demo"
REVIEWER = "demo"
FINAL_UNITS = 80
PLANTED = ("generation-0/lucky.patch", "cheat.patch", "scorer.patch", "null.patch")  # the first is made for the start


@dataclass
class Arm:
    """One engine under watch. ``ledger`` is opened as soon as the engine has made it."""

    title: str
    root: Path
    log: TextIO
    process: subprocess.Popen[bytes]
    repo: Repo
    home: Home | None = None
    ledger: Ledger | None = None
    state: State | None = None


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("festina-demo"),
    show_default=True,
    help="Folder to make; an earlier demo there is replaced.",
)
@click.option("--seconds", default=150, show_default=True, help="Time for the loop itself.")
@click.option("--no-input", is_flag=True, help="Ask nothing: the demo key approves the release too.")
def command(folder: Path, seconds: int, no_input: bool) -> None:
    """A real loop on this machine in about three minutes.

    No key, no GPU, no network: a program-synthesis system whose approved version proposes its next version.
    """
    folder = folder.absolute()
    _prepare(folder)
    weak = _level()
    arms = [_start(folder, "loop", seconds, weak, ()), _start(folder, "control", seconds, weak, ("--freeze-improver",))]
    try:
        _watch(arms, seconds)
    except KeyboardInterrupt:
        for arm in arms:
            arm.process.send_signal(signal.SIGINT)
            arm.process.wait()
        raise
    finally:
        for arm in arms:
            if arm.process.poll() is None:
                arm.process.kill()
                arm.process.wait()
            arm.log.close()
    _epilogue(folder, arms, ask=not no_input and sys.stdin.isatty() and sys.stdout.isatty())


def example() -> Path:
    """The example's folder: beside the package in a checkout, inside it in an installed one."""
    here = Path(__file__).resolve().parent.parent
    for candidate in (here / "_examples" / "library", here.parent.parent / "examples" / "library"):
        if (candidate / "system" / "festina.toml").exists():
            return candidate
    from festina.errors import UsageError

    raise UsageError("no-example", "the example is not installed with this package", fix="run from a checkout")


def _prepare(folder: Path) -> None:
    """Lay out the demo's folder: two git repositories with one start, a home, and the vault's generator."""
    from festina.errors import UsageError
    from festina.system import home as homes
    from festina.system.repo import Repo
    from festina.verify.vault import Vault

    if folder.exists():
        if not (folder / MARK).exists():
            raise UsageError("folder-taken", f"{folder} exists and is not a demo", fix="--dir another-folder")
        _remove(folder)
    source = example()
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    (folder / ".gitignore").write_text("*\n")  # whatever repository it is made in: nothing of it is ever committed
    os.environ["FESTINA_HOME"] = str(folder / "home")
    os.environ["FESTINA_REVIEWER_KEYS"] = str(folder / "reviewer")
    for name in ("loop", "control"):
        root = folder / name
        shutil.copytree(source / "system", root, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        git = ["git", "-C", str(root), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "Generation 0: NAND alone"], check=True)
        home = homes.ensure(Repo.discover(root), "library")
        Vault(home.vault).add_generator("hidden", source / "vault" / "generator.py")
    click.echo(f"The demo lives in {folder}: delete that folder and nothing is left.", err=True)


def _remove(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)  # exported trees are read-only
    shutil.rmtree(folder)


def _level() -> str:
    """The reason to go on below the demanded sandbox level, or nothing where the level is reached."""
    from festina.sandbox import probe
    from festina.sandbox.job import Level

    found = probe()
    if found.level >= Level.L2:
        return ""
    click.echo(
        f"Code can be confined only at level L{int(found.level)} here (missing: {', '.join(found.missing)}). "
        "The demo goes on; its verdicts are provisional and nothing of it can be released. "
        "`festina doctor` says what would help.",
        err=True,
    )
    return "the demo goes on where confinement is weak"


def _start(folder: Path, name: str, seconds: int, weak: str, extra: tuple[str, ...]) -> Arm:
    from festina.system.repo import Repo

    root = folder / name
    log = (folder / f"{name}.log").open("w")
    planted = [example() / "planted" / name for name in PLANTED]
    argv = [
        sys.executable, "-m", "festina", "run", "-C", str(root), "--budget", f"{seconds}s", "--review-wait", "20s",
        "--workers", "1", "--demo", *extra,
    ]  # fmt: skip
    argv += ["--weak-sandbox", weak] if weak else []
    argv += [part for patch in planted for part in ("--plant", str(patch))]  # both arms have them: the same budget
    process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    return Arm(name, root, log, process, Repo.discover(root))


# -- watching -----------------------------------------------------------------------------------------


def _watch(arms: list[Arm], seconds: int) -> None:
    from festina.errors import Fault

    began = time.monotonic()
    view = _View(began + seconds)
    with view:
        while any(arm.process.poll() is None for arm in arms):
            for arm in arms:
                _follow(arm, view)
            view.refresh(arms)
            time.sleep(0.15)
        for arm in arms:
            _follow(arm, view)
    for arm in arms:
        if arm.state is None or arm.process.returncode not in (0, 4, 5):
            raise Fault(
                "demo-engine-failed", f"the {arm.title} engine ended with status {arm.process.returncode}",
                fix=f"read {arm.root.parent / (arm.title + '.log')}",
            )  # fmt: skip


def _follow(arm: Arm, view: _View) -> None:
    """Fold what the engine wrote; speak; approve what waits with the demo's key."""
    from festina.cli.common import Opened
    from festina.cli.words import told
    from festina.ledger.log import Ledger
    from festina.ledger.signing import LocalKey
    from festina.loop import acts, reviews
    from festina.loop.state import State
    from festina.system import home as homes

    if arm.ledger is None:
        arm.home = homes.find(arm.repo)
        if arm.home is None or not arm.home.ledger.exists() or arm.process.poll() not in (None, 0, 4, 5):
            return
        arm.ledger = Ledger.open(arm.home.ledger, signers={"engine": LocalKey.load(arm.home.key("engine"), "engine")})
        arm.state = State()
        fresh = list(arm.ledger.records())
    else:
        fresh = arm.ledger.refresh()
    assert arm.state is not None
    assert arm.home is not None
    for record in fresh:
        arm.state.apply(record)
        line = told(record, arm.state)
        if line is not None:
            view.say(arm, line)
    if arm.state.epoch is not None and REVIEWER not in arm.state.reviewers:
        acts.enrol(arm.ledger, arm.state, arm.home, REVIEWER, demo=True)
    for review in arm.state.waiting:
        reviews.at_once(
            Opened(arm.repo, arm.home, arm.ledger, arm.state), review.terms.review, REVIEWER, approve=True,
            reason="demo: approved without a person, so that the next generation may propose",
        )  # fmt: skip


class _View:
    """Events as lines, and below them what both arms are doing, with the time left."""

    def __init__(self, deadline: float) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._deadline = deadline
        self._spoken = 0.0

    def __enter__(self) -> _View:
        if self._console.is_terminal:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.__exit__(None, None, None)

    def say(self, arm: Arm, line: str) -> None:
        self._console.print(f"{arm.title:>8} | {line}", markup=False, soft_wrap=True)

    def refresh(self, arms: list[Arm]) -> None:
        from rich.text import Text

        left = max(0.0, self._deadline - time.monotonic())
        clock = f"about {duration(left)} left" if left else "up: what is under way is finished first"
        rows = [f"{arm.title:>8} | {_now(arm)}" for arm in arms] + [f"    time | {clock}"]
        if self._console.is_terminal:
            self._live.update(Text("\n".join(rows)), refresh=True)
        elif time.monotonic() - self._spoken > 15:
            self._spoken = time.monotonic()
            self._console.print("\n".join(rows), markup=False, soft_wrap=True)


def _now(arm: Arm) -> str:
    from festina.cli.run import progress

    if arm.state is None or not arm.state.line:
        return "starting"
    head = f"generation {arm.state.head.number}"
    now = progress(arm.state)
    return f"{head}; testing {now} needed" if now else f"{head}; the improver is thinking"


# -- the end ------------------------------------------------------------------------------------------


def _epilogue(folder: Path, arms: list[Arm], *, ask: bool) -> None:
    from festina.loop.engine import Options, session
    from festina.loop.final import compare
    from festina.loop.workspaces import export

    loop, control = arms
    for arm in arms:
        if arm.ledger is not None:
            arm.ledger.close()
    assert control.state is not None
    control_tree = control.repo.tree_of(control.state.head.commit)
    click.echo("\nScoring on fresh items that no gate has used ...", err=True)
    with session(loop.root, Options(demo=True, weak_sandbox=_level_reason(loop))) as bench:
        state = bench.state
        newest, oldest = (bench.repo.tree_of(state.generations[n].commit) for n in (state.head.number, state.line[0]))
        gain = compare(bench, f"generation {state.head.number} against generation 0", newest, oldest, FINAL_UNITS)

        def where(tree: str) -> Path:
            return export(control.repo if tree == control_tree else bench.repo, bench.home, tree)

        arm_gain = compare(bench, "loop against control arm", newest, control_tree, FINAL_UNITS, where=where)
    _tell(folder, loop, control, gain, arm_gain)
    _release(loop, ask=ask)
    _close(folder, loop, control)


def _level_reason(arm: Arm) -> str:
    provisional = arm.state is not None and arm.state.epoch is not None and arm.state.epoch.min_level < 2
    return "the demo goes on where confinement is weak" if provisional else ""


def _tell(folder: Path, loop: Arm, control: Arm, gain: FinalScored, arm_gain: FinalScored) -> None:
    from festina.cli.status import outcomes
    from festina.cli.words import count, gain_sentence, recursion_sentence

    assert loop.state is not None
    assert control.state is not None
    click.echo("")
    click.echo(gain_sentence(gain))
    for arm in (loop, control):
        assert arm.state is not None
        counts = ", ".join(f"{count} {word}" for word, count in sorted(outcomes(arm.state).items()))
        made = count(len(arm.state.line) - 1, "accepted generation")
        click.echo(f"{arm.title.capitalize()}: {made}; proposals: {counts}.")
    for p in loop.state.proposals.values():
        if p.improver.startswith("planted:"):
            why = f" ({p.reason})" if p.reason else ""
            click.echo(f"  planted {p.improver.removeprefix('planted:')}: {p.word or 'not decided in time'}{why}")
    click.echo(recursion_sentence(arm_gain, loop.state))
    ungated = subprocess.run(
        [sys.executable, str(example() / "ungated.py")], capture_output=True, text=True, timeout=60, check=False
    )
    if ungated.returncode == 0:
        click.echo("\nThe same system with nothing but enthusiasm, for comparison:")
        click.echo("".join(f"  {line}\n" for line in ungated.stdout.splitlines()))


def _release(loop: Arm, *, ask: bool) -> None:
    """One release: a person decides on a terminal; without one the demo's key has, and it is said."""
    from festina.cli.common import opened
    from festina.cli.review import blind, measured
    from festina.errors import UsageError
    from festina.loop import acts, reviews

    with opened(loop.root, write=True) as here:
        approved = [n for n in here.state.line if here.state.generations[n].approved is not None]
        if not approved:
            click.echo("Nothing to release: no acceptance in this run.")
            return
        number = here.state.generations[approved[-1]].approved
        assert number is not None
        if ask:
            click.echo("")
            click.echo(blind(reviews.blind_page(here, number, REVIEWER)))
            click.echo(measured(here, reviews.evidence_page(here, number, REVIEWER)))
            if not click.confirm(f"Release generation {approved[-1]} in this demo?", default=None):
                click.echo("Not released.")
                return
            click.echo("Released on your word; the improvers before it were approved without a person.")
        else:
            click.echo("approved without a person (demo key): this release cannot leave the demo")
        try:
            done = acts.release(here.ledger, here.state, here.repo, approved[-1])
        except UsageError as error:
            click.echo(f"Not released: {error.what}.")
            return
    click.echo(f"Generation {done.number} is released inside the demo ({done.commit[:10]}).")


def _close(folder: Path, loop: Arm, control: Arm) -> None:
    from festina.cli.report import write
    from festina.ledger.log import verify

    assert loop.home is not None
    assert control.home is not None
    page = folder / "report.html"
    write(loop.home.ledger, page, control=control.home.ledger)
    found = verify(loop.home.ledger)
    holds = "holds" if found.ok else "DOES NOT HOLD"
    click.echo(f"The record of {found.entries} entries {holds}: every signature was checked.")
    click.echo(f"Report with plots: {page}")
    click.echo("Look around in it: festina status, trust, report documents, report coverage, incident, after")
    click.echo(f"  export FESTINA_HOME={folder / 'home'} FESTINA_SYSTEM={folder / 'loop'} "
               f"FESTINA_REVIEWER_KEYS={folder / 'reviewer'}")  # fmt: skip
    if shutil.which("festina") is None:
        click.echo(f'  export PATH="$PATH:{Path(sys.executable).parent}"   # festina is not on it yet')
    click.echo("Next, on your own repository:  festina run -- python train.py")
