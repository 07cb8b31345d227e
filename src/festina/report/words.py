"""What a report says in words: the headline, what levels mean, and what a record cannot show."""

from __future__ import annotations

from festina.ledger.entries import SuiteTerms
from festina.report.data import Interval, ReportData
from festina.report.numerals import between, count, num, signed
from festina.system.goals import unprobed

ASSURANCE = {
    "self-reported": "the candidate printed the score itself; nothing checked it, and it is not called proven",
    "scored": "the score was computed outside the candidate, on items that it could have seen",
    "hidden": "the score was computed outside the candidate, on items that nobody could see",
}  # V-10
LEVELS = {
    0: "limits on time and memory only; no confinement of what a candidate sees or reaches",
    1: "file and system-call rules without namespaces; survivors and tree-wide memory are not controlled",
    2: "own namespaces and a system-call filter, no network; memory of the whole process tree is not capped",
    3: "own namespaces, a system-call filter and a control group; no network, the whole process tree is capped",
    4: "level 3 inside a virtual machine of its own",
}  # T-2
SCALE = {"higher": "higher is better", "lower": "lower is better"}


def headline(data: ReportData) -> tuple[str, int | None]:
    """(one sentence saying what improved, entry it rests on)."""
    steps = len(data.line) - 1
    judged = len(data.judged)
    if steps <= 0:
        if not judged:
            return f"{data.system}: {count(len(data.proposals), 'proposal')}, none judged yet.", None
        asked = count(len(data.proposals), "proposal")
        tested = "1 was tested and was not" if judged == 1 else f"{judged:,} were tested and none was"
        return f"{data.system}: nothing was accepted. Of {asked}, {tested} shown to be better.", None
    epoch = data.epoch
    overall = data.overall()
    if overall is not None and epoch is not None:
        return (
            f"{data.system} went from {num(overall.mean_b)} to {num(overall.mean_a)} in "
            f"{count(steps, 'accepted step')}: {compared(overall.estimate, overall.interval)} on held-out items.",
            overall.seq,
        )
    last = data.line[-1]
    gained = f", the last one {compared(last.estimate, last.interval)}" if last.estimate and last.interval else ""
    return f"{data.system}: {count(steps, 'accepted step')}{gained}.", last.verdict_seq


def compared(estimate: float, interval: Interval) -> str:
    """An oriented difference in words; an interval that holds zero shows no difference."""
    low, high = interval
    if low > 0:
        return f"better by {num(estimate)} ({between(interval)})"
    if high < 0:
        return f"worse by {num(-estimate)} ({between((-high, -low))})"
    return f"not shown to differ ({signed(estimate)}, {between(interval)})"


def claim(suite: SuiteTerms) -> str:
    """What one observation is, and so what a verdict is about.  # S-7, E-3"""
    if suite.unit == "seed":
        return "One observation is one training seed, so verdicts are about the recipe."
    answered = f"the mean of {count(suite.batch_items, suite.unit)} answered by one process"
    if suite.train == "once":
        return f"One observation is {answered} with a model that was trained once, and verdicts are about that model."
    return f"One observation is {answered}, and verdicts are about the artifact that was tested."


def sharing(suite: SuiteTerms) -> str:
    """Whether candidates answered the same hidden items, and what keeps that from telling on them.  # V-3, P-4"""
    if suite.mode == "fresh":
        return "Every observation had items of its own."
    block = f"Candidates shared blocks of {count(suite.max_units * suite.batch_items, 'hidden item')}"
    slot = f"and a proposer heard of it in slots of {suite.word_every_s:g} s"
    if suite.mode == "sealed":
        return f"{block}, each given up after an acceptance: only \"not accepted\" came out of a block, {slot}."
    return (
        f"{block}, the same one for good: each answer lowers the error level of the tests to come by what it tells, "
        f"{suite.bits:g} bits at most in all, {slot}."
    )


INSIDE = (
    "Where a change inside a model was compared with retrainings, that says different, not worse; what no public item "
    "evokes, and what is trained to look the same, is not seen."
)


def limits(data: ReportData) -> list[str]:
    """What this record cannot show, said where it matters.  # L-6"""
    run, epoch = data.run, data.epoch
    said = [
        "It shows what was recorded, by which key, in which order and unchanged. It does not show that an "
        "observation was true.",
        "A verdict is about the suite it was reached on. What no suite measures was not tested; a domain that was "
        "not probed is unknown, not safe.",
        f"Not probed here, and so unknown: {', '.join(unprobed(data.probed)) or 'no domain that is never a goal'}.",
        "The error level holds if items are drawn afresh as declared, scores stay in the declared range, and the "
        "score means what its author thinks it means.",
        INSIDE if data.inside else "No change inside a model (its representations and weights) was looked at.",
        "This page is a reading of the ledger and proves nothing by itself: `festina ledger verify` checks every "
        "signature and hash.",
    ]
    if epoch is not None and not epoch.guards:
        said.append("No guard was declared, so nothing was tested for getting worse besides the goal itself.")
    if epoch is not None and epoch.suite.unit != "seed":
        said.append(
            "Verdicts are about the artifacts that were tested, not about the recipe run again with other seeds."
        )
    if run is not None and not run.separated_uids:
        said.append(
            "Engine, verifier and candidates ran under one user id here, so their separation is nominal: code that "
            "broke out of the sandbox could have reached the keys."
        )  # T-1
    if run is not None and run.missing:
        said.append("The sandbox here lacked: " + "; ".join(run.missing) + ".")
    if any(g.without_person for g in data.generations):
        said.append("Approvals marked “no person” came from a demonstration key. Nobody looked.")
    if len(data.epochs) > 1:
        total = data.epochs[-1].alpha_total
        weak = any(row.error == "fdr" for row in data.epochs)
        mixed = ", and that sum bounds the share of wrong ones among what was accepted, on average" if weak else ""
        said.append(
            f"The rules changed {count(len(data.epochs) - 1, 'time')}; over all epochs the error levels sum to "
            f"{num(total)}{mixed}."
        )
    if epoch is not None and epoch.error == "fdr":
        said.append(
            "The error level is about the share of wrong ones among all accepted changes. Many small changes that are "
            "sure to be accepted make room for wrong ones among the rest."
        )
    return said
