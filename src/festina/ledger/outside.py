"""Entry types of loops that are not ours: what was told of them, whose word it is, what was run again here.

What an outside loop's files tell is recorded as told, never as evidence: one entry a reading, its rows by digest in the
content store. Names in those rows are a stranger's text.  # T-5, G-7
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role, Short

Tool = Literal["autoresearch", "openevolve", "inspect", "jsonl", "git", "festina"]
StageWord = Literal["proposal", "experimentation", "selection", "deployment"]
Chain = Literal["none", "signature", "ledger"]  # nobody signed; a detached signature holds; a ledger of its own holds
Word = Literal["reproduced", "not-reproduced", "cannot-tell"]
MOST_FILES = 50  # named in the entry itself; all of them stand in its details
MOST_VALUES = 50


class FileRead(BaseModel):
    """One file as it was read: its name within the folder (made visible), its sha256, and how long it was."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Short
    sha256: Digest
    size: Count  # bytes


class HistoryRead(Body):
    """An outside loop's history was read: what is new since the last reading, and what does not fit.

    Nothing in it is verified by having been recorded. ``chain`` says whether the source proves itself unchanged since
    ``attester`` (a public key, in base64) signed it; ``claimed_origin`` is what the source says of itself.
    """

    kind: ClassVar[str] = "history-read"
    loop: Name
    tool: Tool
    claimed_origin: Short
    chain: Chain
    attester: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{43}=)?$")]  # empty: nobody
    metric: Short  # NAME:higher or NAME:lower, as the source or its reader names it; empty: none is told
    rows: Count  # generations that are new or changed
    known: Count  # generations told of so far, this reading included
    gone: Count  # told of before, and no longer there
    files: tuple[FileRead, ...] = Field(max_length=MOST_FILES)
    more_files: Count
    findings: tuple[tuple[Name, Count], ...] = Field(max_length=40)  # by kind, in order of their names
    details: Digest  # canonical JSON: new rows, findings, all files
    contents: Digest | None  # canonical JSON: the programs of these rows that were kept, by sha256, in base64


class HistoryAttested(Body):
    """A person stands for what an outside loop's record tells of these stages; signed by that person's own key."""

    kind: ClassVar[str] = "history-attested"
    role: ClassVar[Role] = "reviewer"
    loop: Name
    reading: Count  # number of the newest entry that it covers
    stages: tuple[StageWord, ...] = Field(min_length=1, max_length=4)
    reviewer: Name
    reason: Digest  # what it rests on, in the content store
    without_person: bool


class HistoryChecked(Body):
    """One generation of an outside loop was run again here, and its claimed score held against what came out.

    ``word`` follows from ``claimed``, ``decimals`` and ``values`` alone (``select.reproduced``). Scores that a run
    prints itself stay self-reported, however often they come out again.  # V-10
    """

    kind: ClassVar[str] = "history-checked"
    measure: Count  # the charged measurement that it came from  # E-1
    loop: Name
    generation: Digest  # sha256 of the row that made the claim
    reading: Count  # the entry that holds that row
    tree: Oid  # what was run
    claimed: Number
    decimals: Count  # of the claim as it was written
    values: tuple[Number | None, ...] = Field(min_length=1, max_length=MOST_VALUES)  # None: that run gave no score
    word: Word
    assurance: Literal["self-reported", "scored"]
    level: Count  # of the sandbox
    details: Digest  # canonical JSON: the trial records
