"""Charging a measurement that decides no verdict, and closing it with what it found.  # E-1, L-3

``charge`` writes the intent before the first run; ``found`` writes the finding and the end in one transaction. A
measurement that is cut off in between stays charged; it is tried ``TRIES`` times, then skipped with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.ledger.measures import Purpose
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.workspaces import export
from festina.system.manifest import parse_manifest
from festina.verify.client import Verifier
from festina.verify.types import Source

TRIES = 2


def charge(
    b: Bench, purpose: Purpose, *, trials: int, units: int, items: int = 0, source: str | None = None,
    fresh: bool = True, generation: int | None = None,
) -> int:  # fmt: skip
    """Charge trials and looks now. The measurement's number."""
    number = b.state.side.count
    body = e.MeasureStarted(
        measure=number, purpose=purpose, generation=generation,
        attempt=b.state.side.tried(purpose, generation) + 1, units=units, trials=trials, items=items,
        source=source if items else None, fresh=fresh,
    )  # fmt: skip
    b.append(Draft(body))
    crash_point("measure-started")
    return number


def found(b: Bench, purpose: Purpose, measure: int, finding: Draft, *more: Draft) -> None:
    """Record what an open measurement found, its end, and in one piece with them what follows from it (``more``)."""
    b.append(
        finding, Draft(e.MeasureEnded(measure=measure, purpose=purpose)), *more,
        still=lambda now: now.side.open is not None and now.side.open.measure == measure,
    )  # fmt: skip


def skip(b: Bench, purpose: Purpose, generation: int, reason: str) -> None:
    """Record that an accepted generation goes without a measurement, and why."""
    b.append(Draft(e.MeasureSkipped(purpose=purpose, generation=generation, reason=reason)))


def affordable(b: Bench) -> int:
    """Trials that this run may still charge; without a run there is no such limit."""
    run = b.state.run
    return 10**9 if run is None else max(0, run.trials - b.state.run_trials)


def enough(source: Source, suite: str, items: int, *, error: str, words: str, where: str) -> None:
    """Raise ``UsageError`` (``error``) where a file in the vault holds fewer items than a suite takes."""
    if source.count is not None and source.count < items:
        raise UsageError(
            error, f"{words} has {source.count} items, and takes {items}",
            fix=f"festina vault add {suite} MORE --replace, or fewer units", where=f"festina.toml: {where}",
        )  # fmt: skip


@contextmanager
def measuring_verifier(b: Bench, suite: e.SuiteTerms) -> Iterator[Verifier]:
    """A verifier of its own, that reads this suite's items and no others."""
    epoch = b.state.epoch
    assert epoch is not None
    table = parse_manifest(b.ledger.get_blob(epoch.manifest)).verifier
    with Verifier.start(
        vault=b.home.vault, evaluator=export(b.repo, b.home, epoch.start_tree), key=b.home.key("verifier"),
        suite=suite, timeout_s=table.wall, memory_bytes=table.memory,
    ) as verifier:  # fmt: skip
        yield verifier
