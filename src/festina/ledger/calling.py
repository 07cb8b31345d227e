"""Entry types of calls to models: what each may cost, and what it did.  # E-5, L-3

A call is charged in full by ``ModelAsked`` before it is made; ``ModelAnswered`` puts what it used in the place of that.
One that was cut off has no end and stays charged in full. Request and reply lie in the content store as the bytes that
were sent and received, without headers: no key is ever among them.

One pair may stand for a batch: all calls of one trial, ``calls`` of them at most. Then ``request`` names the allowance
and ``reply`` the JSON lines of what was asked and answered: an improver's word for word, a candidate's as hashes over a
salt that is sealed beside the entry (``salt``, hex), because short items could be guessed from plain ones.  # L-5
"""

from __future__ import annotations

from typing import ClassVar, Literal

from festina.ledger.base import Body, Count, Digest, Name, Number

Ended = Literal[
    "ok", "down", "slow", "limited", "auth", "refused", "schema", "endless", "empty", "huge", "error", "cut"
]


class ModelAsked(Body):
    """Intent: a model is about to be asked. The most that it can use is charged now."""

    kind: ClassVar[str] = "model-asked"
    call: Count
    asker: Literal["improver", "candidate"]
    proposal: Count | None  # for which
    test: Count | None = None  # a candidate's: in which test
    model: Name  # characters that a name here cannot hold as "-"; the exact name stands in the request
    request: Digest
    calls: Count  # requests at most
    tokens_in: Count  # at most
    tokens_out: Count
    money: Number


class ModelAnswered(Body):
    """How the call ended, and what it used."""

    kind: ClassVar[str] = "model-answered"
    call: Count
    ended: Ended
    reply: Digest | None  # None: nothing came
    calls: Count
    tokens_in: Count
    tokens_out: Count
    money: Number
    metered: bool  # False: the reply did not say what it used, so that the whole intent is charged
    wall_s: Number
