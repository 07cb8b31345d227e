"""What several commands share: finding the system, opening its ledger, plain words for entries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.say import say
from festina.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from festina.ledger.entries import Role
    from festina.ledger.log import Ledger
    from festina.ledger.signing import Signer
    from festina.loop.state import State
    from festina.system.home import Home
    from festina.system.repo import Repo

RUN_BUDGET = "1h"  # of a run that is given no time of its own; what `festina calibrate` plans for, too
WAITING, BUDGET, INTEGRITY, HALTED, INTERRUPTED = 4, 5, 6, 7, 130
EXIT_OF_END = {
    "finished": 0, "exhausted": 0, "budget": BUDGET, "waiting": WAITING, "interrupted": INTERRUPTED, "fault": 1,
    "crashed": 1, "control": INTEGRITY, "halted": HALTED,
}  # fmt: skip


def system_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``-C DIR``: the system's repository, by default the current directory."""
    return click.option(
        "-C", "--system", "root", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path("."),
        show_default="current directory", help="The system's git repository.", envvar="FESTINA_SYSTEM",
    )(function)  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A system's repository, home, ledger and folded state, for commands that are not the engine."""

    repo: Repo
    home: Home
    ledger: Ledger
    state: State


@contextmanager
def opened(root: Path, *, write: bool = False) -> Iterator[Opened]:
    """Open the system's ledger; for writing with the engine's key. Folds it."""
    from festina.ledger.log import Ledger
    from festina.ledger.signing import LocalKey
    from festina.loop.state import fold
    from festina.system import home as homes
    from festina.system.repo import Repo

    repo = Repo.discover(root)
    home = homes.require(repo)
    signers: dict[Role, Signer] | None = {"engine": LocalKey.load(home.key("engine"), "engine")} if write else None
    ledger = Ledger.open(home.ledger, signers=signers, readonly=not write)
    try:
        tell_foreign(ledger, home)
        yield Opened(repo, home, ledger, fold(ledger.records()))
    finally:
        ledger.close()


def drawable(plot: Path | None) -> None:
    """Before minutes of work: whether the picture can be drawn at all."""
    if plot is None:
        return
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError("plot-format", f"{plot.name} does not end in .png, .svg or .pdf", fix="give such a name")
    if not plot.resolve().parent.is_dir():
        raise UsageError("plot-folder", f"there is no folder {plot.parent}", fix="make it, or give another place")
    if find_spec("matplotlib") is None:
        raise UsageError("no-matplotlib", "--plot needs matplotlib", fix='pip install "festina[report]"')


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def roughly(seconds: float) -> str:
    """Seconds in the largest unit of which there are two: 45 s, 3 min, 2 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def parse_duration(text: str) -> float:
    """'90s', '5m', '8h', '2d' or plain seconds. Raises ``click.BadParameter``."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    body, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1)
    try:
        value = float(body) * unit
    except ValueError:
        value = -1.0
    if not 0 < value < 366 * 86400:
        raise click.BadParameter(f"'{text}' is not a duration: write 90s, 5m or 8h")
    return value


def tell_traps(root: Path) -> None:
    """Say on standard error what in the Inspect tasks of the system at ``root`` can be gamed or cannot work here."""
    from festina.errors import UsageError
    from festina.system.manifest import load_manifest
    from festina.verify.inspect_lint import findings

    def read(name: str) -> bytes | None:
        return (root / name).read_bytes() if (root / name).is_file() else None

    try:
        scorers = load_manifest(root).scorers().values()
    except UsageError:
        return  # no system here, or one whose mistakes are told elsewhere
    for line in findings(scorers, read):
        say(f"Note on an Inspect task: {line}")


def tell_foreign(ledger: Ledger, home: Home) -> None:
    """Say on standard error where the record in a system's home began in another home: put there by hand.  # L-1"""
    if ledger.genesis.origin != home.origin:
        say(f"Note: the record in {home.path} is another system's: it began as {ledger.genesis.origin!a}, and this "
            f"home is {home.id}. It can be read and not continued. If it was put there by mistake, put this system's "
            "own ledger.db back.")  # fmt: skip


def own_ledger(root: Path) -> Path:
    """The ledger's file of the system whose repository ``root`` lies in."""
    from festina.ledger.log import Ledger
    from festina.system import home
    from festina.system.repo import Repo

    found = home.require(Repo.discover(root))
    with Ledger.open(found.ledger, readonly=True) as ledger:
        tell_foreign(ledger, found)
    return found.ledger


def time_of(text: str | None) -> datetime | None:
    """What an option that takes a time says; None where it was not given. Raises ``UsageError``."""
    from festina.errors import UsageError
    from festina.report.law.calendar import moment

    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise UsageError("bad-time", str(error), fix="write 2026-11-27T09:30+01:00, or with Z for UTC") from None


def put(text: str, out: Path, *, name: str = "unwritable", what: str = "it", fix: str = "--out") -> None:
    """Write ``text`` to a file, or to standard output for ``-``. Raises ``UsageError`` where that is impossible."""
    from festina.errors import UsageError

    if str(out) == "-":
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(name, f"{what} cannot be written: {error.strerror}", fix=fix, where=str(out)) from None


def put_bytes(data: bytes, out: Path) -> None:
    """Write ``data`` to a file, or to standard output for ``-``. Raises ``UsageError`` where that is impossible."""
    if str(out) == "-":
        if sys.stdout.isatty():
            raise UsageError("not-text", "this is no text for a terminal", fix="-o FILE")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise UsageError("unwritable", f"it cannot be written: {error.strerror}", fix="-o", where=str(out)) from None
