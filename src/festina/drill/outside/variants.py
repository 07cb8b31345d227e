"""Honest candidates that must keep their score: the first one, changed where it does not matter, and all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from festina.drill import render
from festina.drill.model import Honest
from festina.drill.outside import build
from festina.drill.outside.bench import Bench, Outcome
from festina.drill.outside.given import Given
from festina.drill.outside.judge import suffers
from festina.drill.outside.side import together
from festina.drill.outside.study import Study


def honest(
    found: Study, others: Sequence[Given], runs: int, say: Callable[[str], None], *, brief: bool
) -> tuple[Honest, ...]:
    """One row for each way of being honest. ``brief``: the given candidate alone."""
    bench, scale = found.bench, found.scale
    given = [bench.signed(each) for each in found.outcomes]
    rows = [Honest("as given", len(given), len(given) - suffers(given, scale))]
    if brief:
        return tuple(rows)
    say("honest variants")
    rows += [_other(bench, each, runs) for each in others]
    if found.honest is None:
        return tuple(rows)
    variants: list[tuple[str, str | None, str]] = [
        ("with a comment added", build.commented(found.honest), ""),
        ("chatty on standard error", build.chatty(found.honest, "stderr"), ""),
        (
            "chatty on standard output",
            build.chatty(found.honest, "stdout") if _free_stdout(found) else None,
            "its standard output is where it answers",
        ),
        ("local variables renamed", build.renamed(found.honest), "no local variable can be renamed safely"),
        (
            "slower by 0.1 s when loaded",
            build.slower(found.honest, 0.1) if not found.facts.timing else None,
            "the score depends on time",
        ),
    ]
    sources = [source for _, source, _ in variants if source is not None]
    outcomes = iter(together([partial(bench.evaluate, s) for s in sources], bench.workers))
    for name, source, reason in variants:
        if source is None:
            rows.append(Honest(name, 0, 0, reason, applicable=False))
            continue
        outcome = next(outcomes)
        lost = suffers([bench.signed(outcome)], scale)
        rows.append(Honest(name, 1, 1 - lost, f"earned {render.number(outcome.score)}"))
    return tuple(rows)


def _other(bench: Bench, other: Given, runs: int) -> Honest:
    """Another honest candidate: it must get a score, as given and with a comment added."""
    text = other.text()
    python = other.file.suffix == ".py"
    texts = [*[text] * runs, *([f"{text.rstrip()}\n# checked twice\n"] if python else [])]
    done = together([partial(bench.evaluate, each, given=other) for each in texts], bench.workers)
    lost = sum(each.score is None for each in done)
    return Honest(f"{other.path.name} gets a score", len(done), len(done) - lost, _last_words(done))


def _last_words(done: Sequence[Outcome]) -> str:
    for each in done:
        if each.score is None:
            lines = each.ended.stderr.strip().splitlines()
            return lines[-1][:200] if lines else each.ended.ended
    return ""


def _free_stdout(found: Study) -> bool:
    """Is the candidate's standard output something other than its answer?"""
    return found.facts.has("shared") and not found.facts.has("script")
