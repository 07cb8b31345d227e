"""An epoch's terms for soak suites and later outcomes, from the manifest.  # D-3, D-4"""

from __future__ import annotations

from typing import Any

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.loop.outcomes import ALPHA
from festina.select.report import interval
from festina.system.home import Home
from festina.system.manifest import FILE_NAME, Manifest
from festina.verify.vault import Vault


def _reachable(terms: e.SoakTerms) -> None:
    """A soak that not even a version without any difference would pass is refused before it costs anything.  # S-7"""

    def shown(units: int) -> bool:
        around = interval([0.0] * units)
        return around is not None and around[0] * (terms.high - terms.low) > -terms.max_loss

    if shown(terms.units):
        return
    enough = next((n for n in (2**k for k in range(4, 15)) if shown(n)), None)
    raise UsageError(
        "soak-unreachable", f"{terms.units} units can never show that no more than {terms.max_loss:g} is lost",
        fix=f"units = {enough}, or a wider max_loss" if enough else "a wider max_loss",
        where=f"{FILE_NAME}: suite.soak.{terms.name}",
    )  # fmt: skip


def terms(home: Home, manifest: Manifest) -> dict[str, Any]:
    """Fields of the epoch's entry. The items must be in the vault; which ones each soak used stands in its intent."""
    if manifest.suite.soak and manifest.suite.hidden is None:
        raise UsageError(
            "soak-without-hidden", "a soak is scored by the verifier, and this system's score is what it prints itself",
            fix="[suite.hidden] with a scorer", where=f"{FILE_NAME}: suite.soak",
        )  # fmt: skip
    for name in manifest.suite.soak:
        Vault(home.vault).describe(f"soak.{name}")
    soaks = tuple(
        e.SoakTerms(
            name=name, scorer=each.scorer, low=float(each.range[0]), high=float(each.range[1]),
            direction=each.direction, units=each.units, batch_items=each.batch, max_loss=float(each.max_loss),
            valid_s=each.valid,
        )
        for name, each in manifest.suite.soak.items()
    )  # fmt: skip
    for each in soaks:
        _reachable(each)
    later = manifest.policy.outcomes
    outcomes = None if later is None else e.OutcomeTerms(
        tolerate=float(later.tolerate), least=later.least, valid_s=later.valid, alpha=ALPHA
    )  # fmt: skip
    return {"soaks": soaks, "outcomes": outcomes}
