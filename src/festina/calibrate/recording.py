"""A calibration in the system's own ledger, where there is one: one entry, signed by the engine's key.

Without a ledger nothing is written anywhere. See docs/decisions/0017.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from math import isfinite
from pathlib import Path

from festina.calibrate.measure import INCUMBENT, Found
from festina.calibrate.subject import Subject
from festina.calibrate.values import Forecast, Span
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.system import home as homes
from festina.system.repo import Repo


def record(root: Path, subject: Subject, found: Found, forecast: Forecast) -> int | None:
    """Append the entry and give its number; None where there is no ledger to append to."""
    home = homes.find(Repo.discover(root))
    if home is None or not home.ledger.exists() or not home.key("engine").exists():
        return None
    details = canonical(plain({"measured": asdict(found.measured), "forecast": asdict(forecast)}))
    own = [run for run in found.measured.runs if run.tree == INCUMBENT]
    kinds = forecast.kinds
    body = e.Calibrated(
        commit=subject.commit, manifest=subject.digest, items_from=subject.origin, runs=found.made,
        failed=sum(bool(run.failed) for run in own), workers=forecast.setting.workers, level=found.level,
        run_s=round(forecast.run_s, 4), detect=forecast.detect,
        smallest=_spread(forecast.reach.first if forecast.reach is not None else None),
        runs_rejected=_spread(kinds[0].price.runs if kinds else None),
        runs_accepted=_spread(kinds[1].price.runs if kinds else None), details=hashlib.sha256(details).hexdigest(),
    )  # fmt: skip
    with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
        return ledger.append([Draft(body, blobs=(details,))])[0].seq


def plain(value: object) -> object:
    """Values as JSON has them: None for a number that is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _spread(span: Span | None) -> tuple[float, float, float] | None:
    if span is None or not all(map(isfinite, (span.value, span.low, span.high))):
        return None
    return span.value, span.low, span.high
