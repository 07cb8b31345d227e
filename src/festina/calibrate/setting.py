"""What a loop on this system would be run with: the manifest's numbers, or what was said instead."""

from __future__ import annotations

from dataclasses import dataclass

from festina.calibrate.types import Setting
from festina.errors import UsageError
from festina.loop import terms
from festina.system.home import Home
from festina.system.manifest import Manifest
from festina.verify.vault import Vault


@dataclass(frozen=True, slots=True)
class Night:
    """The budget to plan for, and numbers to try instead of the manifest's; None: the manifest's own."""

    hours: float | None
    trials: int | None
    workers: int
    detect: float | None = None
    alpha: float | None = None


def setting_of(manifest: Manifest, home: Home | None, night: Night, notes: tuple[str, ...]) -> Setting:
    """The setting of a run with this manifest. ``home``: whose vault says how many units there are items for."""
    hidden, policy, spread = manifest.suite.hidden, manifest.policy, terms.spread_of(manifest)
    alpha = policy.alpha if night.alpha is None else night.alpha
    if hidden is None or hidden.range is None:
        if night.detect is not None:
            raise UsageError(
                "detect-without-range", "--detect is a gain on a declared range, and this command prints its own score",
                fix="leave it out: the answer says which gain can be found; or declare a [suite.hidden] with a range",
            )  # fmt: skip
        return Setting(
            alpha=alpha, spread=spread, beta=policy.beta, margin=0.0, detect=None, units_max=terms.METRIC_UNITS,
            items_per_run=1, mode="printed", trials=night.trials, hours=night.hours, workers=night.workers, notes=notes,
        )  # fmt: skip
    low, high = hidden.range
    detect = hidden.detect if night.detect is None else night.detect
    if not hidden.margin < detect <= high - low:
        raise UsageError(
            "detect-out-of-range", f"a gain of {detect:g} is not between the margin {hidden.margin:g} and the range's "
            f"width {high - low:g}", fix="--detect with a gain in the suite's own unit",
        )  # fmt: skip
    return Setting(
        alpha=alpha, spread=spread, beta=policy.beta, margin=float(hidden.margin), detect=float(detect),
        units_max=hidden.max_units if night.detect is not None else _units_max(manifest, home),
        items_per_run=hidden.batch, mode=hidden.mode,
        guards=tuple((name, float(g.max_loss), float(g.range[1] - g.range[0])) for name, g in manifest.guard.items()),
        trials=night.trials, hours=night.hours, workers=night.workers, unit=hidden.unit,
        once=manifest.experiment.train == "once",
        notes=(*notes, *_left_out(manifest)),
    )  # fmt: skip


def _left_out(manifest: Manifest) -> list[str]:
    """What of the manifest the forecast does not play, in words."""
    notes = []
    deciding = [name for name, judge in manifest.judge.items() if judge.role == "decide"]
    if deciding:
        notes.append(
            f"Further verifiers ({', '.join(deciding)}) must agree before anything is accepted; they are not in this "
            "forecast and can only make acceptances rarer and dearer."
        )
    if manifest.policy.error == "fdr":
        notes.append(
            'With error = "fdr" every acceptance makes the next one easier; the forecast is for a ledger without any.'
        )
    return notes


def _units_max(manifest: Manifest, home: Home | None) -> int | None:
    """The cap of one test as the engine would set it; the declared one, or None, where the vault is still empty."""
    hidden = manifest.suite.hidden
    if hidden is None or hidden.range is None:
        return None
    vault = Vault(home.vault) if home is not None else None
    if vault is None or "hidden" not in vault.suites():
        return hidden.max_units
    low, high = hidden.range
    return terms.units_of(hidden, manifest, float(high - low), vault.describe("hidden"))
