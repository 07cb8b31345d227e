"""Grounds about what the newest version can do, and about the safeguards that its tiers ask for.  # G-1, G-7"""

from __future__ import annotations

from festina.report.law.calendar import moment
from festina.report.numerals import num
from festina.report.trust.grounds import RUN_DAYS, Case
from festina.report.trust.model import Ground


def characterised(case: Case) -> Ground:
    """It was measured as a whole, lately, and no tier is passed without its safeguards.  # G-1"""
    name = "what it can do"
    if not case.suites:
        return Ground(
            name,
            "cannot tell yet",
            "no suite measures it",
            next="Declare a [capability.NAME] suite in festina.toml (docs/governor.md), then run festina characterise.",
        )
    missing = [s.name for s in case.suites if s.name not in case.abilities or case.abilities[s.name][1].missing]
    if missing:
        return Ground(
            name, "cannot tell yet", f"not measured whole: {', '.join(missing)}", next="Run festina characterise."
        )
    at = min(found[0] for found in case.abilities.values())
    said = "; ".join(
        f"{suite} {num(body.mean)} (standard error {num(body.error)})"
        for suite, (_, body) in sorted(case.abilities.items())
    )
    for suite in case.suites:
        for tier in suite.tiers:
            open_ = [s for s in tier.safeguards if not attested(case, s)]
            body = case.abilities[suite.name][1]
            reached = (
                body.mean + 2 * body.error >= tier.at
                if suite.direction == "higher"
                else body.mean - 2 * body.error <= tier.at
            )
            if reached and open_:
                return Ground(
                    name,
                    "no",
                    f"{said}; at {num(tier.at)} of {suite.name} these are asked for: {', '.join(open_)}",
                    at=at,
                    next="Have whoever answers for each safeguard sign it with festina attest.",
                )
    if case.stale(at, RUN_DAYS):
        return Ground(name, "cannot tell yet", f"{said}; too long ago", at=at, next="Run festina characterise.")
    return Ground(name, "yes", said, (case.data.size - 1,), at, case.until(at, RUN_DAYS))


def attested(case: Case, safeguard: str) -> bool:
    """Whether somebody's word that it is in place still counts."""
    try:
        return moment(case.safeguards[safeguard]) > case.now
    except (KeyError, ValueError):  # nobody's word, or one that names no date
        return False


def safeguarded(case: Case) -> Ground:
    """Every safeguard that any tier names is attested.  # G-7"""
    name = "safeguards"
    asked = sorted({s for suite in case.suites for tier in suite.tiers for s in tier.safeguards})
    if not asked:
        return Ground(
            name,
            "cannot tell yet",
            "no tier names the safeguards that releasing unattended needs",
            next="Give a [capability.NAME] tiers with the safeguards that they need (docs/governor.md).",
        )
    missing = [s for s in asked if not attested(case, s)]
    if missing:
        return Ground(
            name,
            "cannot tell yet",
            f"not attested, or expired: {', '.join(missing)}",
            next="Have whoever answers for each safeguard sign it with festina attest.",
        )
    until = min(case.safeguards[s] for s in asked)
    return Ground(name, "yes", f"attested: {', '.join(asked)}", (case.data.size - 1,), case.data.last_at, until)
