"""Evaluations side by side: how many at once, and an end to all of them when the drill is ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from festina.drill.outside.execute import WARDENS, Ended

if TYPE_CHECKING:
    from festina.drill.outside.bench import Outcome

MOST = 8
WORKERS = 2  # where nothing was measured


def fitting(ended: Ended) -> int:
    """As many as the processors and half of the free memory carry, by what an honest evaluation took of both."""
    cores = len(os.sched_getaffinity(0))
    share = ended.cpu / max(ended.seconds, 1e-3)  # small where it waits, or where the machine is busy with others
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(MOST, max(WORKERS, int(cores / max(0.5, share))), int(free / 2 / max(ended.peak, 1 << 20))))


@contextmanager
def workers(number: int) -> Iterator[ThreadPoolExecutor]:
    """``number`` threads; when the caller is interrupted, what runs is ended and what has not begun is dropped."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    except (KeyboardInterrupt, SystemExit):
        WARDENS.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def together(work: Sequence[Callable[[], Outcome]], number: int) -> list[Outcome]:
    """Run evaluations, ``number`` at a time, in order."""
    with workers(number) as pool:
        return [each.result() for each in [pool.submit(job) for job in work]]
