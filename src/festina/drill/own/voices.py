"""Several verifiers on the same attacks: which of them would have paid for what, each on its own.  # V-5

The same trick answers and the same programs come before the goal's scorer and every further verifier. A word is
``missed`` where a verifier paid for the attack in any run, ``caught`` where it did in none, ``undecided`` where it
failed on our side. Attacks are chosen and not drawn, so that nothing is estimated from their number: they are named,
and counted beside the planted changes, never together with them.

Not covered: hunting for luck, and what a verifier's model was told elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from festina.drill.model import Finding
from festina.drill.own.scratch import Own
from festina.select.verifiers import OwnWord

__all__ = ["guess_of", "heard", "number_of", "words_of"]


def number_of(own: Own, judge: int) -> int:
    """By which the verifier's process knows further verifier ``judge``: they stand behind the guards."""
    return len(own.epoch.guards) + judge


def guess_of(own: Own, judge: int, count: int) -> float:
    """The unit score that the best plain guess earns from a further verifier."""
    assert own.verifier is not None
    rows = own.verifier.tricks("answers", 1, count, guard=number_of(own, judge))
    return max(row.mean for row in rows if row.name.startswith("guess:"))


def words_of(over: Sequence[tuple[bool, ...]]) -> tuple[OwnWord, ...]:
    """From which verifiers paid too much, run by run; empty where there is one verifier, or a run was not looked at."""
    if not over or not all(len(row) > 1 for row in over):
        return ()
    return tuple("missed" if any(column) else "caught" for column in zip(*over, strict=True))


def heard(own: Own, findings: Sequence[Finding], ask: Callable[[int], dict[str, OwnWord]]) -> list[Finding]:
    """Findings about answers with the word of every verifier. ``ask``: a scorer's words by attack; -1 is the goal's."""
    if not own.epoch.judges:
        return list(findings)
    every = [ask(-1), *(ask(number_of(own, judge)) for judge in range(len(own.epoch.judges)))]
    told = []
    for finding in findings:
        words = tuple(each[finding.attack] for each in every) if all(finding.attack in each for each in every) else ()
        told.append(replace(finding, words=words, why=finding.why + _also(own, words)))
    return told


def _also(own: Own, words: Sequence[OwnWord]) -> str:
    """Who else decides and is not taken in."""
    firm = [
        judge.name
        for judge, word in zip(own.epoch.judges, words[1:], strict=False)
        if judge.role == "decide" and word == "caught"
    ]
    if words[:1] != ("missed",) or not firm:
        return ""
    verb = "decides too and does" if len(firm) == 1 else "decide too and do"
    return f"; {', '.join(firm)} {verb} not pay for it"
