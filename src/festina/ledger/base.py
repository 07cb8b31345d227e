"""What every entry type is built from: the base class, and the kinds of values that may stand in an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["engine", "verifier", "reviewer", "witness", "auditor"]  # the last two sign no entry
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Short = Annotated[str, Field(max_length=300)]  # engine-made words only
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Target = Literal["gain", "productivity"]  # what a proposal sets out to raise  # S-6
Count = Annotated[int, Field(ge=0)]


class Body(BaseModel):
    """Base of all entries. ``kind`` names the type, ``role`` says whose key signs it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    kind: ClassVar[str]
    role: ClassVar[Role] = "engine"


class Entered(Protocol):
    """An entry as folds read it, whether it comes from a ledger, a copy, or a test's paper."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> str: ...
    @property
    def body(self) -> Any: ...  # noqa: ANN401 - one of some fifty types
    @property
    def leaf(self) -> str: ...
    @property
    def commitments(self) -> Mapping[str, str]: ...
