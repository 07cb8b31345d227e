"""One plain sentence for a verdict, the same in log, terminal, page and report.  # S-4

Pure text from numbers. It says what was decided, how large the difference is and how sure that is, on what,
and what the verdict does not show. No word of the statistics behind it. Names of guards come from the
manifest (checked there); no text of a proposal or candidate ever enters here.  # T-5
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import Literal

from festina.select.budget import Promise

Reason = Literal["shown", "futile", "guard", "cap", "line-moved", "budget", "fault", "control", "judge"]
Assurance = Literal["self-reported", "scored", "hidden"]
LONGEST = 600  # characters: what an entry holds


@dataclass(frozen=True, slots=True)
class Finding:
    """The numbers of one verdict.

    ``estimate``, ``interval``, ``asked`` and ``margin`` are in the suite's own unit and oriented: positive is
    better, whatever the direction of the metric.
    """

    reason: Reason
    estimate: float | None
    interval: tuple[float, float] | None
    count: int  # items or seeds that were looked at
    unit: Literal["item", "cluster", "seed", "problem"]
    asked: float  # the smallest gain worth finding: ``detect``
    alpha: float  # of the whole ledger, summed over its epochs
    error: Promise = "familywise"  # what alpha is about: any wrong acceptance, or the share of them
    margin: float = 0.0
    direction: Literal["higher", "lower"] = "higher"
    metric: str = ""  # its unit or name, e.g. "bits"; may be empty
    assurance: Assurance = "hidden"
    guards: tuple[str, ...] = ()  # names of all guards of the test
    broken: tuple[str, ...] = ()  # guards with evidence of violation
    unproven: tuple[str, ...] = ()  # guards that could not be shown to hold
    verifiers: tuple[str, ...] = ()  # names of the further verifiers that decide  # V-5
    unconvinced: tuple[str, ...] = ()  # those that saw too little
    again: bool = False  # the line moved, and the change is tested anew
    provisional: bool = False  # in a sandbox below the demanded level
    exact: bool = False  # every unit gave the same difference: there is no chance in it to speak of
    even_luck: bool = False  # no declared range: another assumption stands in its place (``bets.Symmetric``)  # S-7
    kept: bool = False  # one trained artifact answered everything: it is about that one


def sentence(finding: Finding) -> str:
    """The verdict in plain words, at most 600 characters."""
    text = _HEADS[finding.reason](finding) + _tail(finding)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def verdict_of(reason: Reason) -> Literal["accept", "reject", "inconclusive"]:
    """The verdict that a reason stands for. Whatever is not shown is not accepted."""
    if reason == "shown":
        return "accept"
    return "reject" if reason in ("futile", "guard", "judge") else "inconclusive"


def _shown(f: Finding) -> str:
    guards = f"; {_guards(f.guards)} held" if f.guards else ""
    guards += f"; {_verifiers(f.verifiers)} found it better, too" if f.verifiers else ""
    beyond = f", which is more than the {_plain(f.margin)} that was asked for" if f.margin > 0.0 else ""
    better = "its improver gains more than the one in force, by" if f.unit == "problem" else "better by"
    return f"Accepted: {better} {_size(f)}{_direction(f)}{beyond} on {_looked(f)}{guards}"


def _futile(f: Finding) -> str:
    if f.asked <= 0.0:
        return f"Rejected: not worth more trials; {_difference(f)} on {_looked(f)}, and it is not better"
    return (
        f"Rejected: not worth more trials; {_difference(f)} on {_looked(f)}, "
        f"and any gain is less than the {_plain(f.asked)} that was asked for"
    )


def _guard(f: Finding) -> str:
    return f"Rejected: {_guards(f.broken)} got worse than allowed; {_difference(f)} on {_looked(f)}"


def _judge(f: Finding) -> str:
    return f"Rejected: {_verifiers(f.unconvinced)} did not find it better; {_difference(f)} on {_looked(f)}"


def _cap(f: Finding) -> str:
    if f.unconvinced and not f.unproven:
        return (
            f"Inconclusive: {_verifiers(f.unconvinced)} could not be shown to find it better with the trials allowed; "
            f"{_difference(f)} on {_looked(f)}"
        )
    if f.unproven:
        return (
            f"Inconclusive: {_guards(f.unproven)} could not be shown to hold with the trials allowed; "
            f"{_difference(f)} on {_looked(f)}"
        )
    return f"Inconclusive: the trials allowed were not enough to decide; {_difference(f)} on {_looked(f)}"


def _moved(f: Finding) -> str:
    again = "; it is tried again on the new one" if f.again else ""
    return f"Inconclusive: the version it was compared with has been replaced; {_difference(f)} on {_looked(f)}{again}"


def _budget(f: Finding) -> str:
    return f"Inconclusive: the budget of this run ended first; {_difference(f)} on {_looked(f)}"


def _fault(f: Finding) -> str:
    return f"Inconclusive: Festina itself failed during the test, which says nothing about the change; on {_looked(f)}"


def _control(f: Finding) -> str:
    return (
        "Inconclusive: the version in use, compared with itself, came out different, so no comparison of this run "
        f"means anything; on {_looked(f)}"
    )


_HEADS = {
    "shown": _shown,
    "futile": _futile,
    "guard": _guard,
    "cap": _cap,
    "line-moved": _moved,
    "budget": _budget,
    "fault": _fault,
    "control": _control,
    "judge": _judge,
}


def _tail(f: Finding) -> str:
    parts = "."
    if f.reason == "shown":
        parts = f"; {promise(f.error, f.alpha)}."
        if f.unit == "seed" and f.assurance != "self-reported":
            parts += " It is about the recipe, not about one trained result."
        if f.kept:
            parts += " It is about this trained model, not about training again."
        if f.even_luck:
            few = "With few batches" if f.kept else "With few seeds"
            why = "No range is declared, so" if f.assurance == "self-reported" else few
            parts += (
                f" {why} it is taken for granted that chance helps and harms alike: "
                "a change that rarely ruins a run could pass."
            )
    if f.assurance == "self-reported":
        parts += " The scores are the candidate's own report: nothing is proven."
    elif f.assurance == "scored" and f.reason == "shown":
        parts += " The items were not hidden from whoever made the change."
    if f.provisional:
        parts += " Provisional: the sandbox was weaker than demanded."
    return parts


def promise(error: Promise, alpha: float) -> str:
    """What the error level of the whole ledger says, as part of a sentence.  # S-1"""
    if error == "fdr":
        return f"of all changes that this ledger accepts, at most {_percent(alpha)} on average are wrong"
    return f"the chance that any acceptance of this ledger is wrong stays below {_percent(alpha)}"


def _difference(f: Finding) -> str:
    if f.estimate is None:
        return "no difference was measured"
    sign = -1.0 if f.direction == "lower" else 1.0
    unit = f" {f.metric}" if f.metric else ""
    better = "; lower is better" if f.direction == "lower" else ""
    if f.interval is None:
        return f"the difference is {number(sign * f.estimate, f.estimate)}{unit}{_bracket(better)}"
    low, high = sorted((sign * f.interval[0], sign * f.interval[1]))
    scale = high - low
    shown = f"{number(low, scale)} and {number(high, scale)}"
    return f"the difference is {number(sign * f.estimate, scale)}{unit} (between {shown}{better})"


def _size(f: Finding) -> str:
    unit = f" {f.metric}" if f.metric else ""
    if f.estimate is None:
        return f"more than {_plain(f.margin)}{unit}"
    if f.interval is None:
        return f"{number(f.estimate, f.estimate)}{unit}"
    low, high = f.interval
    scale = high - low
    return f"{number(f.estimate, scale)}{unit} (between {number(low, scale)} and {number(high, scale)})"


def _direction(f: Finding) -> str:
    return " (lower is better)" if f.direction == "lower" else ""


def _bracket(text: str) -> str:
    return f" ({text.removeprefix('; ')})" if text else ""


def _looked(f: Finding) -> str:
    if f.unit == "seed" and f.assurance == "self-reported":  # any command that prints a number, not only training
        return f"{f.count:,} paired {'run' if f.count == 1 else 'runs'}"
    if f.unit == "seed" and f.exact and f.count > 1:  # one exact answer, asked again: no seed trains anything
        return f"{f.count:,} paired runs, which all gave the same difference"
    if f.unit == "problem":
        return f"{f.count:,} improvement {'problem' if f.count == 1 else 'problems'}"
    words = {"item": "item", "cluster": "cluster of items", "seed": "training seed"}[f.unit]
    many = {"item": "items", "cluster": "clusters of items", "seed": "training seeds"}[f.unit]
    hidden = "hidden " if f.assurance == "hidden" and f.unit != "seed" else ""
    return f"{f.count:,} {hidden}{words if f.count == 1 else many}"


def _guards(names: tuple[str, ...]) -> str:
    if not names:
        return "a guard"
    shown = [name[:60] for name in names[:3]]
    more = len(names) - len(shown)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    return f"the guard {listed}" if len(names) == 1 else f"the guards {listed}"


def _verifiers(names: tuple[str, ...]) -> str:
    return _guards(names).replace("guard", "verifier", 1)


def _percent(alpha: float) -> str:
    return f"{100.0 * alpha:.3g} %"


def number(value: float, scale: float) -> str:
    """``value`` with the decimals that two digits of ``scale`` need; no negative zero."""
    size, value = abs(scale), value + 0.0  # adding 0 makes -0.0 a plain 0
    decimals = 3 if size == 0.0 else max(0, min(9, 1 - floor(log10(size))))
    if size >= 1e9 or (0.0 < size < 1e-8):
        return f"{value:.3g}"
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0.0:
        text = text.removeprefix("-")
    return text


def _plain(value: float) -> str:
    """A number from the manifest, as it was written there."""
    return f"{value:,.6g}"
