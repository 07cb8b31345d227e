"""Canonical and strict JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError
from festina.ledger.canonical import canonical, parse_canonical, parse_strict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine is shared


@QUICK
@given(JSON)
def test_L2_one_value_has_one_spelling(value: object):
    data = canonical(value)
    assert canonical(parse_canonical(data)) == data
    assert canonical(parse_strict(data, max_bytes=1 << 20, max_depth=100)) == data


@QUICK
@given(JSON)
def test_L2_every_other_spelling_is_refused(value: object):
    for other in (b"\n" + json.dumps(value).encode(), b" " + canonical(value), canonical(value) + b"\n"):
        with pytest.raises(IntegrityError):
            parse_canonical(other)


@pytest.mark.parametrize("data", [
    b"", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"[-1e999]", b'{"a":1,"a":1}', b'"\\ud800"', b'["\\udc00x"]',
    b"1" * 41, b"[1] 2", b"\xef\xbb\xbf1", b'"\xff"', b"[" * 101 + b"]" * 101, b'{"a":' * 60 + b"[" * 60, b"'a'",
    b"[1,]", b"01", b'"\x01"', b"[" * 100_000,
])  # fmt: skip
def test_T3_hostile_json_is_refused_without_a_traceback(data: bytes):
    with pytest.raises(IntegrityError) as caught:
        parse_strict(data, max_bytes=1 << 20, max_depth=100)
    assert caught.value.name == "bad-json"


def test_T3_limits_are_exact():
    assert parse_strict(b"[" * 100 + b"]" * 100, max_bytes=200, max_depth=100) is not None
    with pytest.raises(IntegrityError):
        parse_strict(b"[" * 100 + b"]" * 100, max_bytes=199, max_depth=100)
    assert parse_strict(b'"' + b"[{" * 500 + b'"', max_bytes=2000, max_depth=1) == "[{" * 500
    assert parse_strict(b'"\\"[[[[\\\\"', max_bytes=2000, max_depth=1) == '"[[[[\\'
    assert parse_strict(b'"\\ud83d\\ude00"', max_bytes=100, max_depth=1) == "\N{GRINNING FACE}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1: 2, "1": 3}, b"bytes", {1, 2}])
def test_what_json_cannot_say_exactly_is_refused(value: object):
    with pytest.raises((ValueError, TypeError)):
        canonical(value)
