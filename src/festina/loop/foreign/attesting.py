"""A person stands for stages of an outside loop, signed by that person's own key.

An attestation covers what had been read when it was made, and says who would have to answer for it; it does not make
anything observed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.outside import StageWord
from festina.loop.acts import write
from festina.loop.state import State
from festina.review import desk
from festina.system.home import Home


def attest(
    ledger: Ledger, state: State, home: Home, loop: str, stages: Sequence[StageWord], reviewer: str, reason: str
) -> None:
    """Sign for ``stages`` of everything that was read so far."""
    enrolled = state.reviewers.get(reviewer)
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    known = state.foreign.loops.get(loop)
    if known is None:
        raise UsageError("no-such-loop", f"nothing was read of a loop '{loop}'", fix="festina attach DIR --from TOOL")
    text = reason.encode()
    body = e.HistoryAttested(
        loop=loop, reading=known.last.seq, stages=tuple(dict.fromkeys(stages)), reviewer=reviewer,
        reason=hashlib.sha256(text).hexdigest(), without_person=enrolled.demo,
    )  # fmt: skip
    draft = Draft(body, blobs=(text,), signer=desk.reviewer_key(reviewer, home=home.path))
    write(ledger, state, lambda _: [draft])
