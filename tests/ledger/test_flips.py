"""One flipped byte anywhere in the file: found, or without any effect on what the file says.  (L-2)

A flip may pass only where it leaves every entry, piece of content, opening and checkpoint as it was, byte for byte:
unallocated space inside pages, and SQLite's counters. The fast test samples every region of the file, the slow one
flips every byte that is in use, and each eighth of what is not.
"""

from __future__ import annotations

import functools
import multiprocessing
import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from festina.errors import FestinaError, IntegrityError
from festina.ledger import checkpoint, rules, signing
from festina.ledger.audit import verify
from festina.ledger.log import Ledger
from tests.ledger.support import ENTRIES, dump


@pytest.fixture(autouse=True)
def _remember_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function, its answers remembered: a flip leaves all signatures but one as they were."""
    remembered = functools.lru_cache(maxsize=1_000)(signing.verify)
    monkeypatch.setattr(rules, "verify", remembered)
    monkeypatch.setattr(checkpoint, "verify", remembered)


PAGE, EIGHTH = 4096, 8
Rows = dict[str, list[tuple[object, ...]]]


def judge(path: Path, data: bytes, at: int, mask: int, rows: Rows) -> str:
    """What one flip led to; anything that may not happen is said in capitals."""
    changed = bytearray(data)
    changed[at] ^= mask
    path.write_bytes(changed)
    try:
        report = verify(path)
    except FestinaError as error:
        return f"RAISED {error.name}"
    if report.ok:
        if dump(path) != rows:
            return "WRONG PASS"
        with Ledger.open(path) as ledger:
            return "no effect" if len([r.body for r in ledger.records()]) == ENTRIES else "LOST"
    try:
        with Ledger.open(path) as ledger:
            return "found" if all(r.body for r in ledger.records()) else "LOST"
    except IntegrityError:
        return "found"
    except FestinaError as error:
        return f"RAISED {error.name} AT OPENING"


def outcomes(data: bytes, places: Iterable[int], mask: int, rows: Rows) -> dict[int, str]:
    """What each flip led to, by its place; ``mask`` 0 stands for one bit that depends on the place."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        for at in places:
            found[at] = judge(path, data, at, mask or 1 << (at * 7 % 8), rows)
            for beside in Path(directory).glob("ledger.db-*"):
                beside.unlink()
    return found


def counted(found: dict[int, str]) -> Counter[str]:
    return Counter(outcome if outcome.islower() else f"{outcome} at {at}" for at, outcome in found.items())


def used(data: bytes, page: int, mask: int, rows: Rows) -> dict[int, str]:
    """A page's flips: each eighth byte, and all between two of those unless neither had an effect."""
    found = outcomes(data, [*range(page, page + PAGE, EIGHTH), page + PAGE - 1], mask, rows)
    ends = sorted(found)
    live = [pair for pair in pairwise(ends) if {found[end] for end in pair} != {"no effect"}]
    return found | outcomes(data, [at for low, high in live for at in range(low + 1, high)], mask, rows)


def rows_of(path: Path) -> Rows:
    rows = dump(path)
    assert rows is not None
    return rows


def test_L2_positive_control_without_the_check_a_flipped_byte_passes(pristine: Path, tmp_path: Path):
    data = pristine.read_bytes()
    at = data.index(b"lr = 2")  # in a stored patch
    changed = tmp_path / "changed.db"
    changed.write_bytes(data[:at] + b"L" + data[at + 1 :])
    assert dump(changed) not in (None, rows_of(pristine))  # SQLite reads it and says nothing
    assert not verify(changed).ok


def test_L2_flipped_bytes_are_found_or_have_no_effect_sample(pristine: Path):
    data, coins = pristine.read_bytes(), random.Random(20)
    places = list(range(0, 100, 3))  # SQLite's header
    places += [page + offset for page in range(0, len(data), PAGE) for offset in (0, 1, 3, 4, 5, 7, 8, 9, 12, 13)]
    places += coins.sample(range(len(data)), 120)
    outcome = counted(outcomes(data, places, 0, rows_of(pristine)))
    assert set(outcome) <= {"found", "no effect"}, outcome
    assert outcome["found"] > 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_L2_every_flipped_byte_that_is_in_use_is_found(pristine: Path):
    data, rows = pristine.read_bytes(), rows_of(pristine)
    pages = range(0, len(data), PAGE)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        parts = pool.starmap(used, [(data, page, 0xFF, rows) for page in pages], chunksize=1)
    found = {at: outcome for part in parts for at, outcome in part.items()}
    outcome = counted(found)
    assert set(outcome) <= {"found", "no effect"}, {k: v for k, v in outcome.items() if not k.islower()}
    assert found.keys() >= set(range(0, len(data), EIGHTH))
    assert outcome["found"] > 0.75 * sum(len(row[1]) for row in rows["entry"])  # what carries something was flipped


def test_L2_a_flip_in_the_schemas_text_is_found_though_sqlite3_cannot_even_decode_its_own_complaint(pristine: Path):
    data = pristine.read_bytes()
    start = data.index(b"CREATE TABLE")
    outcome = counted(outcomes(data, range(start, start + 400, 5), 0x80, rows_of(pristine)))
    assert set(outcome) == {"found"}, outcome
