"""Entry types about auditors: other organisations, who read, annotate and give opinions.  # L-2, T-1

An auditor decides nothing, and its key signs no entry: the rules know it for none. What an auditor signs is a note of
its own over a state of the record (``audits.py``), which the engine enters as it came.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from festina.ledger.base import Body, Count, Digest, Short

AuditorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]  # a signed note's key name: no plus
Opinion = Literal[  # as auditors of accounts name them (ISA 700, 705)
    "unqualified", "qualified", "adverse", "disclaimer",
]  # fmt: skip


class AuditorEnrolled(Body):
    """Another organisation's public key may sign notes and opinions about this record, and nothing else."""

    kind: ClassVar[str] = "auditor-enrolled"
    auditor: AuditorName
    organisation: Short
    key: str


class AuditReceived(Body):
    """What an auditor signed came in: a note about an entry, or an opinion (None: a note) on ``size`` entries.

    Nothing here has to be believed: ``note`` bears the auditor's signature, and ``ledger verify`` checks it.
    """

    kind: ClassVar[str] = "audit-received"
    auditor: AuditorName
    size: Count
    entry: Count | None
    opinion: Opinion | None
    note: Digest  # the signed note
    text: Digest  # the auditor's words
