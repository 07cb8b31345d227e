"""A long pass over entries: without Python's cyclic garbage collector, and with an end to the reading."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(records: Iterable[object]) -> Iterator[None]:
    """Read ``records`` inside it. What a fold makes is kept: to look through it again and again frees nothing.

    Ends the reading behind it, which holds a snapshot of the file, also when an entry did not fit.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
        if isinstance(records, Generator):
            records.close()  # before the ledger is
