"""What an alarm about a version in use brings about, whoever raised it: a watch, its outcomes, its soak.  # D-4, D-5

The release goes back first, then everything halts until a person looked; the draft of an incident is written in one
piece with the evidence, by whoever records that. Each step may be done again: whoever carried it out may have died in
the middle of it.
"""

from __future__ import annotations

from festina.ledger.log import Ledger
from festina.loop import acts, alarmed, holds
from festina.loop.alarmed import Alarm
from festina.loop.state import State
from festina.system.home import Home
from festina.system.repo import Repo


def take_back(
    ledger: Ledger, state: State, repo: Repo, home: Home, generation: int, *, by: Alarm, reason: str
) -> None:
    """Release what was in use before ``generation``, where that is in use, and halt the loop."""
    if state.released == generation:
        acts.take_back_in_use(ledger, state, repo)
    holds.halt(home, by=by, reason=reason[:200])


def finish(ledger: Ledger, state: State, repo: Repo, home: Home) -> None:
    """Carry out what an alarm in the record calls for, where whoever raised it died before."""
    from festina.loop import watching

    found = alarmed.left(state)
    if found is None:
        return
    if found.watch is None:
        take_back(ledger, state, repo, home, found.generation, by=found.by, reason=found.reason)
    elif found.halted:
        watching.close(ledger, state, found.watch, "rolled-back", watching.DIED)
    else:
        watching.worse(ledger, state, repo, home, found.watch, watching.DIED)


def possible(state: State) -> bool:
    """Whether anything lies before what is in use that may be put in its place."""
    return acts.to_go_back_to(state) is not None
