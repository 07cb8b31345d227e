"""Entry types of what people state for regulators: statements in documents, and incidents from first notice to end.

All are signed by a person's own key. Their texts are in the content store; times are RFC 3339 in UTC, with
milliseconds, and say when something happened in the world by that person's word, never when it was recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from festina.ledger.base import Body, Count, Digest, Name, Role, Short


def _real(text: str) -> str:
    datetime.fromisoformat(text)  # ValueError for a day that no calendar has
    return text


Moment = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"), AfterValidator(_real)]


class Stated(Body):
    """What a person states in one field of one document; ``text`` None takes back what that person stated.  # C-1"""

    kind: ClassVar[str] = "stated"
    role: ClassVar[Role] = "reviewer"
    document: Name
    field: Name
    text: Digest | None
    reviewer: Name
    without_person: bool


class IncidentDrafted(Body):
    """The engine found what may be an incident. No clock runs: a person opens it, by naming that entry, and decides."""

    kind: ClassVar[str] = "incident-drafted"
    about: Count  # the entry that shows it
    text: Short  # engine-made


class IncidentOpened(Body):
    """Somebody became aware that the system is involved in an incident: the clocks start at ``aware``."""

    kind: ClassVar[str] = "incident-opened"
    role: ClassVar[Role] = "reviewer"
    incident: Count
    aware: Moment
    text: Digest
    about: Count | None  # an entry that shows it: an alarm, a near miss
    reviewer: Name
    without_person: bool


class IncidentClassified(Body):
    """Which of the regimes' classes it falls in; the newest classification counts. No class: no regime's incident."""

    kind: ClassVar[str] = "incident-classified"
    role: ClassVar[Role] = "reviewer"
    incident: Count
    classes: tuple[Name, ...]
    causal: Literal["suspected", "established"]
    text: Digest
    reviewer: Name
    without_person: bool


class IncidentFiled(Body):
    """One report about it was sent, these bytes, at this time."""

    kind: ClassVar[str] = "incident-filed"
    role: ClassVar[Role] = "reviewer"
    incident: Count
    document: Name
    sent: Moment
    content: Digest  # the report as it was sent
    reviewer: Name
    without_person: bool
    unknown: Count | None = None  # fields that had to be filled and were not, when it was recorded; None: not counted


class IncidentResolved(Body):
    """It is over since ``resolved``; a final report may now be due."""

    kind: ClassVar[str] = "incident-resolved"
    role: ClassVar[Role] = "reviewer"
    incident: Count
    resolved: Moment
    text: Digest
    reviewer: Name
    without_person: bool
