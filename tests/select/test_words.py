"""The sentence that everyone reads."""

import itertools
import typing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select import Finding, sentence, verdict_of
from festina.select.words import LONGEST, Reason

BASE = Finding("shown", 0.061, (0.034, 0.088), 3840, "item", 0.05, 0.05)
REASONS = typing.get_args(Reason)
FORBIDDEN = ("e-process", "e-value", "martingale", "wealth", "merkle", "dsse", "supermartingale", "alpha", "null")


def test_S4_acceptance_reads_as_promised():
    assert sentence(BASE) == (
        "Accepted: better by 0.061 (between 0.034 and 0.088) on 3,840 hidden items; "
        "the chance that any acceptance of this ledger is wrong stays below 5 %."
    )


def test_S7_an_acceptance_without_a_declared_range_says_what_takes_its_place():
    seeds = replace(BASE, unit="seed", count=14, assurance="self-reported", metric="loss")
    said = "taken for granted that chance helps and harms alike: a change that rarely ruins a run could pass."
    assert said in sentence(replace(seeds, even_luck=True))
    assert "No range is declared" not in sentence(replace(seeds, even_luck=True, assurance="hidden"))
    assert said not in sentence(seeds)
    assert said not in sentence(replace(seeds, even_luck=True, reason="futile"))


def test_S7_a_verdict_on_a_kept_model_says_that_it_is_about_that_one():
    kept = sentence(replace(BASE, kept=True))
    assert kept.endswith(" It is about this trained model, not about training again.")
    assert "With few batches it is taken for granted" in sentence(replace(BASE, kept=True, even_luck=True))
    assert "this trained model" not in sentence(replace(BASE, kept=True, reason="futile"))


def test_S4_the_weaker_promise_reads_as_what_it_is():
    assert sentence(replace(BASE, error="fdr")) == (
        "Accepted: better by 0.061 (between 0.034 and 0.088) on 3,840 hidden items; "
        "of all changes that this ledger accepts, at most 5 % on average are wrong."
    )


def test_S4_rejection_reads_as_promised():
    text = sentence(replace(BASE, reason="futile", estimate=0.002, interval=(-0.011, 0.014)))
    assert text == (
        "Rejected: not worth more trials; the difference is 0.002 (between -0.011 and 0.014) on 3,840 hidden items, "
        "and any gain is less than the 0.05 that was asked for."
    )


def test_S4_a_metric_that_falls_is_shown_as_it_reads():
    text = sentence(
        replace(BASE, reason="futile", estimate=0.002, interval=(-0.011, 0.014), direction="lower", metric="bits")
    )
    assert "the difference is -0.002 bits (between -0.014 and 0.011; lower is better)" in text
    assert "better by 0.061 bits (between 0.034 and 0.088) (lower is better)" in sentence(
        replace(BASE, direction="lower", metric="bits")
    )


def test_S4_guards_are_named():
    text = sentence(replace(BASE, reason="guard", guards=("toxicity", "cost"), broken=("toxicity",)))
    assert text.startswith("Rejected: the guard toxicity got worse than allowed;")
    text = sentence(replace(BASE, reason="cap", guards=("toxicity", "cost"), unproven=("toxicity", "cost")))
    assert text.startswith(
        "Inconclusive: the guards toxicity, cost could not be shown to hold with the trials allowed;"
    )
    assert "; the guards toxicity, cost held" in sentence(replace(BASE, guards=("toxicity", "cost")))


@pytest.mark.parametrize("reason", REASONS)
def test_V10_self_reported_is_never_called_proven(reason):
    text = sentence(replace(BASE, reason=reason, assurance="self-reported", count=1))
    assert "the candidate's own report: nothing is proven" in text
    assert "hidden" not in text
    assert "1 item" in text


def test_S7_the_claim_about_seeds_is_about_the_recipe():
    text = sentence(replace(BASE, unit="seed", count=23))
    assert "on 23 training seeds" in text
    alike = sentence(replace(BASE, unit="seed", count=23, exact=True))
    assert "on 23 paired runs, which all gave the same difference" in alike
    assert "about the recipe" in text


def test_V10_a_command_that_scores_itself_is_told_in_runs():
    text = sentence(replace(BASE, unit="seed", count=12, assurance="self-reported"))
    assert "on 12 paired runs;" in text
    assert "recipe" not in text


def test_T2_a_weak_sandbox_is_said_so():
    assert "Provisional" in sentence(replace(BASE, provisional=True))


def test_T6_whatever_is_not_shown_is_not_accepted():
    assert {r: verdict_of(r) for r in REASONS if verdict_of(r) == "accept"} == {"shown": "accept"}
    assert {verdict_of(r) for r in ("futile", "guard")} == {"reject"}
    assert {verdict_of(r) for r in ("cap", "line-moved", "budget", "fault")} == {"inconclusive"}


@pytest.mark.parametrize(
    ("reason", "assurance", "unit", "measured"),
    list(itertools.product(REASONS, ["self-reported", "scored", "hidden"], ["item", "cluster", "seed"], [True, False])),
)
def test_S4_every_verdict_is_one_plain_line(reason, assurance, unit, measured):
    names = tuple("g" * 100 + str(i) for i in range(20))
    finding = replace(
        BASE, reason=reason, assurance=assurance, unit=unit, guards=names, broken=names, unproven=names, margin=0.01,
        provisional=True, estimate=0.061 if measured else None, interval=(0.034, 0.088) if measured else None,
    )  # fmt: skip
    text = sentence(finding)
    assert len(text) <= LONGEST
    assert text.endswith(".")
    assert (
        text.split(":")[0]
        == {"accept": "Accepted", "reject": "Rejected", "inconclusive": "Inconclusive"}[verdict_of(reason)]
    )
    assert not any(word in text.lower() for word in FORBIDDEN)
    assert text.isprintable()


numbers = st.floats(-1e12, 1e12)


@given(numbers, numbers, numbers, st.integers(0, 10**9), st.sampled_from(REASONS), st.sampled_from(["higher", "lower"]))
def test_S4_no_number_breaks_the_sentence(a, b, c, count, reason, direction):
    low, middle, high = sorted((a, b, c))
    text = sentence(
        replace(BASE, reason=reason, estimate=middle, interval=(low, high), count=count, direction=direction)
    )
    assert "nan" not in text
    assert "-0 " not in text
    assert "-0.0 " not in text
    assert len(text) <= LONGEST
