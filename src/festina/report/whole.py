"""All that documents are made from, read in one pass: of a long record, reading and checking takes longest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from festina.report.attest.trace import Releases
from festina.report.fold import read
from festina.report.law import incidents
from festina.report.law.packs import Pack, load
from festina.report.oscal.checks import Case, Gathered

if TYPE_CHECKING:
    from festina.ledger.log import Ledger
    from festina.report.data import ReportData


@dataclass(frozen=True, slots=True)
class Whole:
    """``packs``: the law that this version knows; ``releases``: an odd one raises when its trace is asked for."""

    packs: tuple[Pack, ...]
    data: ReportData
    people: incidents.People
    case: Case
    releases: Releases


def whole(ledger: Ledger) -> Whole:
    """Read the ledger up to its size as it is now."""
    packs, people, gathered, releases = load(), incidents.People(), Gathered(), Releases()
    beside = (incidents.reader(people, ledger.get_blob), gathered.take, releases.take)
    reading = read(ledger.records(), ledger.get_blob, paths=False, beside=beside)
    data = reading.data(ledger.root().hex())
    return Whole(packs, data, people, gathered.case(data, people, packs), releases)
