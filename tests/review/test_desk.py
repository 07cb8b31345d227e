"""A decision's reason is a text that others can read, wherever it is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.signing import LocalKey
from festina.review import desk
from festina.review.binding import binding

NOW = datetime(2026, 1, 1, tzinfo=UTC)
D = "0" * 64


def decide(reason: str, tmp_path):
    bound = binding(patch=D, evidence=D, evaluator=D, commit="1" * 40)
    terms = e.ReviewRequested(
        review=0, generation=1, commit="1" * 40, improver_changed=False, patch=D, evidence=D, evaluator=D,
        binding=bound, expires="2026-02-01T00:00:00.000Z",
    )  # fmt: skip
    key = LocalKey.create(tmp_path / "ann.pem", "reviewer")
    ann = e.ReviewerEnrolled(reviewer="ann", key="", demo=False)
    return desk.decision(terms, authors=(), reviewer=ann, key=key, approve=True, reason=reason, now=NOW)


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("           ", "no-reason"),
        ("ok\n\n\n\n\n\n\n\n\n", "no-reason"),
        ("fine " * 1000, "reason-too-long"),
        ("clears the screen \x1b[2J and goes on", "reason-unreadable"),
        ("reads backwards \u202e txet", "reason-unreadable"),
        ("hidden \u200bspace in here", "reason-unreadable"),
        ("a line end that is none \u2028 here", "reason-unreadable"),
        ("vertical tab \x0b in here", "reason-unreadable"),
        ("not text at all \udcff in here", "reason-unreadable"),
    ],
)
def test_T5_a_reason_that_nobody_can_read_is_refused(reason, name, tmp_path):
    with pytest.raises(UsageError) as caught:
        decide(reason, tmp_path)
    assert caught.value.name == name


def test_R1_a_plain_reason_of_several_lines_in_any_language_is_kept_word_for_word(tmp_path):
    reason = "Die Änderung tut, was sie sagt.\nNumbers hold; 測試過了."
    assert decide(reason, tmp_path).blobs == (reason.encode(),)


def test_R1_a_long_name_is_known_by_the_short_form_that_proposals_write() -> None:
    name = "anna.maria.magdalena.of.the.long.river@example.org"
    author = f"person:{desk.author_name(name)}:change-1234abcd"
    assert len(desk.author_name(name)) < len(name)  # control: it is written shorter
    assert desk.own((author,), name)
    assert not desk.own((author,), "anna")
    assert not desk.own(("search", f"person:{name}x"), name)
