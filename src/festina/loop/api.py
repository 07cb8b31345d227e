"""``festina.improve``: the loop from Python."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.engine import Options
from festina.loop.engine import run as run_loop
from festina.loop.plain import plain
from festina.loop.state import State
from festina.propose.types import Improver
from festina.system.manifest import seconds


def improve(
    *,
    run: Sequence[str] | str | None = None,
    metric: str | None = None,
    allow: Sequence[str] = (),
    improver: Improver | None = None,
    budget: float | str = "1h",
    proposals: int = 1_000,
    at_once: int = 1,
    root: Path | str = ".",
) -> Iterator[e.Verdict]:
    """Improve the system at ``root`` and yield each verdict as it falls.

    With ``run`` (a command that prints ``metric``) no manifest is needed, as in ``festina run -- COMMAND``; without
    it the repository's festina.toml is used. ``metric`` is "NAME:higher" or "NAME:lower", ``allow`` the globs that
    may change, ``budget`` seconds or a string such as "8h". ``improver`` is any object with ``author`` and
    ``propose``; by default what the manifest names; with ``at_once`` above 1 it works in a thread while that many
    proposals are tested side by side. Raises ``UsageError`` for what the caller can mend. Leaving the iteration stops
    the loop after the step under way; calling again resumes.
    """
    where = Path(root)
    manifest = None
    if run is not None:
        argv = tuple(run.split()) if isinstance(run, str) else tuple(run)
        if not argv:
            raise UsageError("no-command", "run is empty", fix='run=["python", "train.py"]')
        found = plain(where, argv, metric=metric, allow=tuple(allow), search=improver is None)
        manifest = (found.manifest, found.data)
    stop = threading.Event()
    options = Options(
        manifest=manifest,
        wall_s=_seconds(budget),
        proposals=proposals,
        at_once=at_once,
        improver=(lambda _manifest, _sandbox: improver) if improver is not None else None,
        stop=stop,
    )
    yield from _verdicts(where, options, stop)


def _seconds(budget: float | str) -> float:
    try:
        return seconds(budget) if isinstance(budget, str) else float(budget)
    except ValueError as error:
        raise UsageError("bad-budget", str(error), fix='budget="8h"') from None


def _verdicts(root: Path, options: Options, stop: threading.Event) -> Iterator[e.Verdict]:
    """Run the loop beside the caller and hand its verdicts over."""
    found: queue.Queue[e.Verdict | BaseException | None] = queue.Queue()
    held: list[e.Verdict] = []  # until the next entry tells whether it was about a planted defect  # V-7

    def listen(record: Record, _state: State) -> None:
        if isinstance(record.body, e.PlantRevealed):
            held.clear()
        while held:
            found.put(held.pop())
        if isinstance(record.body, e.Verdict):
            held.append(record.body)

    def work() -> None:
        try:
            run_loop(root, options, listen)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
            found.put(error)
        else:
            found.put(None)  # a run's last entry is its end, so no verdict is held here

    thread = threading.Thread(target=work, name="festina-loop")
    thread.start()
    try:
        while (item := found.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
