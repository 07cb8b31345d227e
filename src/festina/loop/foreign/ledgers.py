"""Another Festina's ledger as an outside loop's record: its file, or a copy as plain files.

Its chain is checked as ``ledger verify`` does, against the engine's key that was given, if one was. What holds then is
that the holder of that key recorded this, in this order; that its observations were true is still a stranger's word.
"""

from __future__ import annotations

from pathlib import Path

from festina.ledger.audit import reading, verify
from festina.ledger.entries import Genesis, LineMoved, ProposalReceived, Verdict
from festina.ledger.merkle import leaf_hash
from festina.ledger.record import Record
from festina.propose.history.types import History, Status, Told, cut, shown

_STATUS: dict[str, Status] = {"accept": "accepted", "reject": "rejected", "inconclusive": "unknown"}


def read_festina(path: Path, key: bytes | None) -> History:
    """Every verdict is a generation that was judged there; its score is the gain that the verdict states."""
    found = History()  # gains over changing incumbents are no scores of one scale
    report = verify(path, key=key)
    if not report.ok:
        seq, what = report.first_bad or (-1, "it does not hold")
        found.find("wrong-origin", "", f"the other record does not hold: entry {seq}: {shown(what, 200)}")
        return found
    found.claimed_origin = report.origin
    if key is not None:
        found.chain, found.attester = "ledger", report.engine_key
    for each in report.findings:
        found.find("no-score" if "has no end" in each.what else "not-told", "", shown(each.what, 200))
    found.files.append((shown(path.name), report.root, report.entries))
    authors: dict[int, str] = {}
    with reading(path) as source:
        for seq, envelope in source.entries():
            _row(found, Record(seq, envelope, leaf_hash(envelope)), authors)
    return found


def _row(found: History, record: Record, authors: dict[int, str]) -> None:
    body = record.body
    if isinstance(body, Genesis) and body.demo:
        found.find("not-told", "", "the other record is a demo's: its approvals are nobody's")
    if isinstance(body, ProposalReceived):
        authors[body.proposal] = body.author
    if isinstance(body, Verdict):
        found.add(
            Told(
                f"proposal {body.proposal}", number=record.seq, at=record.at, score=body.estimate, decimals=17,
                status=_STATUS[body.verdict], tree=body.tree, by=cut(authors.get(body.proposal, "")),
                words=cut(body.sentence, 500), source=f"entry {record.seq}",
            )
        )  # fmt: skip
    if isinstance(body, LineMoved):
        found.add(
            Told(f"generation {body.generation} at entry {record.seq}", number=record.seq, at=record.at,
                 commit=body.commit, source=f"entry {record.seq}")
        )  # fmt: skip
