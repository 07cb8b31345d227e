"""The four stages, each with its question and its grounds.  # W-5"""

from __future__ import annotations

from festina.report.trust import exercised, grounds, leaving, outside, serving
from festina.report.trust.grounds import Case
from festina.report.trust.model import Stage


def proposal(case: Case) -> Stage:
    return Stage(
        "proposal",
        "Do changes come only from where they may, and only from whom the record names?",
        (
            grounds.drilled(case, "what is proposed"),
            grounds.refused(case),
            grounds.authors(case),
            grounds.record(case),
            *outside.grounds(case, "proposal"),
        ),
    )


def experimentation(case: Case) -> Stage:
    return Stage(
        "experimentation",
        "Can a candidate touch anything but its own work while it runs?",
        (
            grounds.confined(case),
            grounds.denied(case),
            grounds.drilled(case, "what runs"),
            *outside.grounds(case, "experimentation"),
        ),
    )


def selection(case: Case) -> Stage:
    return Stage(
        "selection",
        "Is what was accepted better, and would a bad change be found?",
        (
            grounds.assured(case),
            grounds.scorer(case),
            grounds.sameness(case),
            grounds.caught(case),
            grounds.overfitted(case),
            grounds.held_out(case),
            grounds.numbers(case),
            *outside.grounds(case, "selection"),
        ),
    )


def deployment(case: Case) -> Stage:
    found = (
        leaving.approved(case),
        *grounds.incidents(case),
        exercised.way_back(case),
        exercised.halting(case),
        serving.watched(case),
        *serving.later(case),
        *outside.grounds(case, "deployment"),
    )
    return Stage("deployment", "Is what is in use what people approved, and can it be taken back in time?", found)
