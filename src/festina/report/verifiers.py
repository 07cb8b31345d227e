"""Several verifiers in plain words, for status and report alike.  # V-5"""

from __future__ import annotations

from collections.abc import Sequence

from festina.select.verifiers import OwnWord, Study, study, voices

__all__ = ["lines"]


def lines(
    names: Sequence[str], families: Sequence[str], proposer: str, words: Sequence[Sequence[OwnWord]]
) -> list[str]:
    """Sentences about verifiers ``names`` (the goal's first); empty where there is only one."""
    if len(names) < 2:
        return []
    fitting = [row for row in words if len(row) == len(names)]
    most = voices(families, proposer)
    head = f"Verifiers: {', '.join(names)}. By what is declared about them at most {most} of {len(names)} "
    head += "can count as independent: an unknown family counts as shared, and the proposer's own never counts."
    if not fitting:
        return [head, "How often they miss the same things cannot be told yet: no planted change was judged by all."]
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
    return [*said, *_together(names, found, most)]


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
