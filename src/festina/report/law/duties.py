"""Which duties a few numbers bring with them, with the arithmetic and its sources. No legal advice.

Thresholds: AI Act 51(2) and Guidelines C(2025) 5045 (10^23 and 10^25 FLOP; a third of the original's compute for who
changes somebody else's model); California SB 53 (10^26 operations including fine-tuning; revenue above 500 million
USD); New York RAISE Act (the same definitions, read in summaries only). Estimates of compute may be off by 30 %
(Guidelines), so that a number within 30 % below a threshold is "close".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GPAI, SYSTEMIC, FRONTIER = 1e23, 1e25, 1e26  # floating-point operations
LARGE_USD = 500e6
ERROR = 0.30  # of an estimate of compute
MARKETS = ("eu", "us-ca", "us-ny")
Answer = Literal["applies", "does not apply", "close", "cannot tell yet"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person says of the model and its maker. None: not known. Compute in FLOP, revenue in USD a year."""

    compute: float | None = None  # of the whole model, all training, ours and that of who came before
    ours: float | None = None  # of our changes to somebody else's model; None with ``original`` None: it is our own
    original: float | None = None
    modifies: bool = False  # the model is a change of somebody else's
    general: bool | None = None  # does many different tasks, generates text, sound, images or video
    revenue: float | None = None
    markets: tuple[str, ...] = MARKETS


@dataclass(frozen=True, slots=True)
class Duty:
    """``why`` is the arithmetic in words, ``documents`` what the law packs hold for it."""

    name: str
    answer: Answer
    why: str
    source: str
    documents: tuple[str, ...] = ()


def duties(facts: Facts) -> list[Duty]:
    """Every duty that we know, with its answer; none is left out because it does not apply."""
    found = [_general(facts), _systemic(facts), _modifier(facts)] if "eu" in facts.markets else []
    return found + [row for market in ("us-ca", "us-ny") if market in facts.markets for row in _frontier(facts, market)]


def _against(value: float | None, threshold: float, what: str, *, error: float = ERROR) -> tuple[Answer, str]:
    if value is None:
        return "cannot tell yet", f"{what} is not known; the threshold is {_flop(threshold)}"
    share = f"{what} {_flop(value)} is {value / threshold:.3g} of the threshold {_flop(threshold)}"
    if value > threshold:
        return "applies", share
    if value * (1 + error) > threshold:
        return "close", f"{share}: an estimate may be off by {error:.0%}, so treat it as reached or measure better"
    return "does not apply", share


def _general(facts: Facts) -> Duty:
    if facts.general is False:
        answer: Answer = "does not apply"
        why = "you say that it does one narrow task"
    else:
        answer, why = _against(facts.compute, GPAI, "training compute")
        if answer != "does not apply" and facts.general is None:
            answer, why = "cannot tell yet", f"{why}; and it is not known whether it does many different tasks"
        answer, why = _only_as_modifier(facts, answer, why)
    return Duty("EU: provider of a general-purpose AI model", answer, why, "AI Act 53; Guidelines 2.1",
                ("eu.model-documentation",))  # fmt: skip


def _only_as_modifier(facts: Facts, answer: Answer, why: str) -> tuple[Answer, str]:
    """Who changes somebody else's model is a provider only where those changes are large; else its maker alone is."""
    if not facts.modifies:
        return answer, why
    changes = _modifier(facts).answer
    weaker = min(answer, changes, key=("does not apply", "cannot tell yet", "close", "applies").index)
    if weaker == answer:
        return answer, why
    said = {"does not apply": "too small for that", "cannot tell yet": "not known", "close": "close to what counts"}
    return weaker, f"{why}; but the model is somebody else's, and the compute of your changes is {said[weaker]}"


def _systemic(facts: Facts) -> Duty:
    answer, why = _against(facts.compute, SYSTEMIC, "training compute")
    if facts.general is False:
        answer, why = "does not apply", "only general-purpose models can have systemic risk in this sense"
    elif answer == "does not apply":
        why += "; the Commission may still designate it"
    else:
        answer, why = _only_as_modifier(facts, answer, why)
    return Duty("EU: general-purpose model with systemic risk", answer, why, "AI Act 51(2), 52(1), 55", (
        "eu.sr-notification", "eu.framework", "eu.model-report", "eu.serious-incident-initial",
    ))  # fmt: skip


def _modifier(facts: Facts) -> Duty:
    name, source = "EU: provider through changing somebody else's model", "Guidelines 3.2"
    if not facts.modifies:
        return Duty(name, "does not apply", "you say that the model is your own from the start", source)
    original = facts.original
    basis = "the original's compute"
    if original is None:
        systemic = facts.compute is not None and facts.compute > SYSTEMIC
        original, basis = (SYSTEMIC if systemic else GPAI), "the original's compute is not known, so the threshold"
    third = original / 3
    if facts.ours is None:
        answer: Answer = "cannot tell yet"
        why = f"the compute of your changes is not known; a third of {basis} is {_flop(third)}"
    else:
        answer, why = _against(facts.ours, third, "compute of your changes")
        why += f", a third of {basis} {_flop(original)}"
    return Duty(name, answer, why, source, ("eu.provider-status", "eu.model-documentation"))


def _frontier(facts: Facts, market: str) -> list[Duty]:
    state, source, prefix = (
        ("California", "Business and Professions Code 22757.11", "us-ca")
        if market == "us-ca"
        else ("New York", "General Business Law 1420 (summaries read)", "us-ny")
    )
    answer, why = _against(facts.compute, FRONTIER, "compute including fine-tuning")
    first = Duty(f"{state}: frontier developer", answer, why, source, (f"{prefix}.incident",))
    large: Answer
    if answer == "does not apply":
        large, reason = "does not apply", "only a frontier developer can be a large one"
    elif facts.revenue is None:
        large, reason = "cannot tell yet", f"revenue is not known; the threshold is {LARGE_USD:,.0f} USD a year"
    elif facts.revenue > LARGE_USD:
        large, reason = answer, f"revenue {facts.revenue:,.0f} USD is above {LARGE_USD:,.0f}; {why}"
    else:
        large, reason = "does not apply", f"revenue {facts.revenue:,.0f} USD is not above {LARGE_USD:,.0f}"
    more = ("us-ca.framework", "us-ca.transparency-report", "us-ca.internal-use-summary")
    return [first, Duty(f"{state}: large frontier developer", large, reason, source,
                        more if market == "us-ca" else ("us-ny.disclosure-statement",))]  # fmt: skip


def _flop(value: float) -> str:
    return f"{value:.2g} FLOP"
