"""Predictions are read strictly: whatever the bytes are, only well-formed answers to issued items come out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.verify.parse import MAX_LINE_BYTES, MAX_OUTPUT_BYTES, Malformed, decode, read_predictions

IDS = {"a": 0, "b": 1, "c": 2}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def line(item_id, output):
    return json.dumps({"id": item_id, "output": output}).encode() + b"\n"


@given(st.binary(max_size=400))
def test_T3_no_bytes_raise_anything_or_answer_what_was_not_issued(data):
    found = read_predictions(data, IDS)
    assert found.spans.keys() <= IDS.keys()
    for item_id in found.spans:
        found.output(item_id)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]), VALUES), max_size=6))
def test_an_id_counts_only_when_it_stands_once(pairs):
    found = read_predictions(b"".join(line(*pair) for pair in pairs), IDS)
    ids = [item_id for item_id, _ in pairs]
    assert found.spans.keys() == {each for each in ids if ids.count(each) == 1 and each in IDS}
    assert found.lines == len(pairs)
    for item_id, output in pairs:
        if item_id in found.spans:
            assert found.output(item_id) == output


@pytest.mark.parametrize(
    "bad",
    [
        b"NaN", b"Infinity", b"-Infinity", b"1e999", b"[1,]", b"01", b"'a'", b"\xff", b'"\\ud800"', b'{"a":1,"a":2}',
        b"9" * 5000, b"[" * 100_000, b"[" * 65 + b"]" * 65, b'"\x00"', b"1 2", b"", b"\xef\xbb\xbf1",
        b"[" + b"0," * 1_100_000 + b"0]",
        b'"' + b"x" * MAX_LINE_BYTES + b'"',
    ],
    ids=lambda bad: bad[:12].decode("latin1"),
)  # fmt: skip
def test_T3_what_is_not_strict_json_is_malformed(bad):
    with pytest.raises(Malformed):
        decode(bad)


@pytest.mark.parametrize(
    "good", [b"[" * 64 + b"1" + b"]" * 64, b'"\\ud83d\\ude00"', b"1e308", b"-0.0", b'{"__proto__":1}']
)
def test_what_is_strict_json_passes(good):
    assert decode(good) == json.loads(good)


@pytest.mark.parametrize("data", [None, b"x" * (MAX_OUTPUT_BYTES + 1), b"\n" * 1000])
def test_T6_an_output_that_is_absent_or_too_large_answers_nothing(data):
    assert read_predictions(data, IDS).spans == {}


@pytest.mark.parametrize(
    "value",
    [{"id": "a"}, {"output": 1}, {"id": "a", "output": 1, "score": 1}, {"id": ["a"], "output": 1}, ["a", 1], "a", None],
)
def test_a_line_of_another_shape_answers_nothing_but_counts_as_a_line(value):
    found = read_predictions(json.dumps(value).encode() + b"\n" + line("b", 1), IDS)
    assert found.spans.keys() == {"b"}
    assert found.lines == 2


def test_T3_many_members_over_many_lines_answer_nothing_before_they_cost_time():
    heavy = b"".join(line(item_id, [[0]] * 200_000) for item_id in "abc")
    assert read_predictions(heavy, IDS).spans == {}
    assert read_predictions(line("a", [0] * 200_000), IDS).spans.keys() == {"a"}


def test_each_reading_of_an_output_is_a_fresh_object():
    found = read_predictions(line("a", [1]), IDS)
    found.output("a").append(2)
    assert found.output("a") == [1]


def test_line_ends_of_other_systems_and_blank_lines_are_no_answers():
    found = read_predictions(line("a", 1).replace(b"\n", b"\r\n") + b"\r\n\n" + line("b", 2)[:-1], IDS)
    assert (found.spans.keys(), found.lines) == ({"a", "b"}, 2)
