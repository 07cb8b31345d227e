"""Entry types about material changes: which change is one, and that a document about it was confirmed.  # C-1

The Code of Practice (Measure 7.6) asks for an update of the Model Report, done before the change is made available,
when a change deliberately made is material by one of five triggers. Both are a person's signed judgement.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from festina.ledger.base import Body, Count, Digest, Name, Oid, Role

Trigger = Literal[
    "invalidated",  # a condition under which the report's conclusions hold came not to hold
    "capabilities",  # capabilities, propensities or affordances changed: post-training, tools, inference compute
    "use",  # use or integration changed
    "incident",  # an incident or a near miss, of this model or a similar one
    "evaluation",  # evaluations turned out not to be valid, or the state of the art moved
]


class DocumentTerms(BaseModel):
    """What a release has to have in documents. ``undetermined``: whether a change that nobody judged blocks it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    undetermined: bool
    update: Name  # the document that has to be confirmed for a material change


class MaterialityDetermined(Body):
    """A person judged a generation's change against the five triggers. The newest word of each person counts."""

    kind: ClassVar[str] = "materiality-determined"
    role: ClassVar[Role] = "reviewer"
    generation: Count
    commit: Oid
    material: bool
    triggers: tuple[Trigger, ...]
    text: Digest
    reviewer: Name
    without_person: bool


class DocumentConfirmed(Body):
    """A person signed a complete document, these bytes, as it stood before ``generation`` is released."""

    kind: ClassVar[str] = "document-confirmed"
    role: ClassVar[Role] = "reviewer"
    document: Name
    generation: Count
    content: Digest  # the document as JSON
    reviewer: Name
    without_person: bool
