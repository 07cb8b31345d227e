"""Entry types about witnesses: others who keep the newest checkpoint and refuse another history.  # L-2"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Number

WitnessName = Annotated[str, Field(pattern=r"^[^\s+]{1,255}$")]
KeyText = Annotated[str, Field(max_length=400)]  # a C2SP verifier key


class WitnessOf(BaseModel):
    """One witness: its key, and where it answers; without an address it is asked by files."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    key: KeyText
    url: str | None = None


class WitnessTerms(BaseModel):
    """How many of which witnesses must have seen a record, and how lately, for what is released from it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    witnesses: tuple[WitnessOf, ...]
    quorum: Count
    max_age_s: Number
    release: bool  # whether a release waits for the quorum


class WitnessedBy(BaseModel):
    """Whose cosignature the note bears, with which key, and its time in seconds since 1970 by that witness's clock."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: WitnessName
    key: KeyText
    at: Count


class Witnessed(Body):
    """Witnesses cosigned the checkpoint over the first ``size`` entries.

    Nothing here has to be believed: ``note`` is the checkpoint with the cosignatures, and ``ledger verify`` checks them
    against ``by`` and its root against the entries.
    """

    kind: ClassVar[str] = "witnessed"
    size: Count
    note: Digest
    by: tuple[WitnessedBy, ...]
