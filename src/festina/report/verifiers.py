"""Several verifiers in plain words, for status and report alike.  # V-5"""

from __future__ import annotations

from collections.abc import Sequence

from festina.ledger.entries import DrillFinished, JudgeTerms
from festina.select.verifiers import OwnWord, Study, drilled, study, voices

__all__ = ["lines", "of"]


def lines(
    names: Sequence[str], families: Sequence[str], proposer: str, words: Sequence[Sequence[OwnWord]],
    drill: DrillFinished | None = None,
) -> list[str]:
    """Sentences about verifiers ``names`` (the goal's first); empty where there is only one.

    ``drill``: the last one, where it was of these verifiers (``of``).
    """
    if len(names) < 2:
        return []
    fitting = [row for row in words if len(row) == len(names)]
    most = voices(families, proposer)
    head = f"Verifiers: {', '.join(names)}. By what is declared about them at most {most} of {len(names)} "
    head += "can count as independent: an unknown family counts as shared, and the proposer's own never counts."
    heard = _drilled(names, drill)
    if not fitting:
        why = "no planted change was judged by all."
        return [head, f"How often they miss the same things cannot be told yet: {why}", *heard]
    found = study(fitting)
    said = [head]
    for name, rate, undecided in zip(names, found.rates, found.undecided, strict=True):
        low, high = rate.interval
        open_ = f", undecided about {undecided}" if undecided else ""
        if rate.decided:
            said.append(
                f"  {name} alone would have missed {rate.misses} of {rate.decided} planted changes "
                f"({low:.0%} to {high:.0%}, 95 %){open_}"
            )
        else:
            said.append(f"  {name} came to no decision of its own about any planted change")
    return [*said, *_together(names, found, most), *heard]


def of(drill: DrillFinished | None, judges: Sequence[JudgeTerms]) -> DrillFinished | None:
    """``drill`` where it was of these further verifiers."""
    return drill if drill is not None and drill.verifiers == tuple(judge.name for judge in judges) else None


def _drilled(names: Sequence[str], drill: DrillFinished | None) -> list[str]:
    """What a drill heard from these verifiers."""
    said = drilled(names, [(row.attack, row.words) for row in drill.judged]) if drill is not None else []
    return [f"  {line if n else f'In the last drill: {line}'}" for n, line in enumerate(said)]


def _together(names: Sequence[str], found: Study, most: int) -> list[str]:
    low, high = found.joint.interval
    joint = (
        f"  all together missed {found.joint.misses} of {found.joint.decided} ({low:.0%} to {high:.0%}, 95 %); "
        f"independent verifiers would have missed {found.product:.1%}"
    )
    if found.effective is None:
        return [
            joint,
            "  Whether they share blind spots cannot be told yet: about "
            f"{found.needed:,} planted changes would show it, if they share them all.",
        ]
    count = min(found.effective, float(most))
    least, top = (min(bound, float(most)) for bound in found.effective_interval)
    said = [joint, f"  They count as {count:.1f} independent verifiers (between {least:.1f} and {top:.1f}, 95 %)."]
    shared = [pair for pair in found.pairs if pair.odds_ratio[0] > 1.0]
    said += [f"  {names[p.one]} and {names[p.other]} share blind spots: they miss the same changes." for p in shared]
    if found.needed:
        said.append(f"  These numbers rest on few misses; about {found.needed:,} planted changes would be enough.")
    return said
