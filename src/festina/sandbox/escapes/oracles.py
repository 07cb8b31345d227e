"""How success is seen: each oracle says in words how the attempt got through, or nothing.

Effects on the host come first: who knocked, what lies in the canary folder, whether the victim lives, what a
later run finds. ``said`` is the program's own word, for what has no effect that could be seen.
"""

from __future__ import annotations

import time

from festina.sandbox.escapes.attempt import Evidence, Oracle

__all__ = [
    "any_of",
    "carried",
    "changed",
    "got_through",
    "harmed",
    "harvested",
    "knocked",
    "learned",
    "planted",
    "said",
    "survived",
    "when_settled",
]

WORKED = b"WORKED"


def said(seen: Evidence) -> str:
    """The program's own word."""
    for outcome in seen.outcomes:
        for line in outcome.stdout.splitlines():
            if line.startswith(WORKED):
                return line[len(WORKED) :].decode(errors="replace").strip()[:80] or "by its own word"
    return ""


def knocked(kind: str) -> Oracle:
    """A listener on the host heard this very attempt."""
    return lambda seen: f"the host's {kind} listener heard it" if seen.host.knocked(kind) else ""


def learned(kind: str) -> Oracle:
    """What only the host knew stands in the program's output."""

    def look(seen: Evidence) -> str:
        secret = seen.host.secret(kind).encode()
        told = any(secret in outcome.stdout or secret in outcome.stderr for outcome in seen.outcomes)
        return f"it printed the host's {kind}" if told else ""

    return look


def planted(seen: Evidence) -> str:
    """Something new lies in the canary folder."""
    return seen.host.planted()


def changed(seen: Evidence) -> str:
    """A file of the canary folder is not as it was."""
    return seen.host.changed()


def harmed(seen: Evidence) -> str:
    """The process beside the box is dead, stopped or altered."""
    return seen.host.victim_harmed()


def survived(seen: Evidence) -> str:
    count = seen.host.survivors()
    return f"{count} alive after the run" if count else ""


def carried(seen: Evidence) -> str:
    """What the first run or the sender alone was told came out of the other."""
    return "the other run read what this one left" if seen.token.encode() in seen.last.stdout else ""


def harvested(seen: Evidence) -> str:
    """A file of the host came out as a result."""
    secret = seen.host.secret("file").encode()
    found = [name for name, data in seen.last.outputs.items() if secret in data]
    return f"the host's file was taken as result {found[0]!r}" if found else ""


def got_through(seen: Evidence) -> str:
    """Exhaustion: the limit did not end it."""
    if seen.last.ended in seen.attempt.ends:
        return ""
    return said(seen)


def when_settled(seconds: float, oracle: Oracle) -> Oracle:
    """For effects that come after the main program's end."""

    def wait(seen: Evidence) -> str:
        time.sleep(seconds)
        return oracle(seen)

    return wait


def any_of(*oracles: Oracle) -> Oracle:
    return lambda seen: next((words for oracle in oracles if (words := oracle(seen))), "")
