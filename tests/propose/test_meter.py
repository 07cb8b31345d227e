"""What models may cost: never overrun, whatever is asked, answered, or cut off."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.propose.meter import MOST_TOKENS, Account, Caps, Cost, Price, prompt_bound, usage_of

prices = st.builds(Price, st.floats(0, 100), st.floats(0, 100))
caps = st.builds(
    Caps, st.none() | st.integers(1, 50_000), st.none() | st.floats(0.001, 1.0), st.none() | st.integers(1, 20)
)
calls = st.lists(
    st.tuples(st.integers(0, 9_000), st.integers(1, 5_000), st.floats(0, 1), st.floats(0, 1), st.booleans()),
    max_size=30,
)


@given(prices, caps, calls)
def test_E5_no_order_of_calls_crashes_and_settlements_overruns_a_cap(
    price: Price, limit: Caps, asked: list[tuple[int, int, float, float, bool]]
) -> None:
    account = Account()
    for number, (tokens_in, tokens_out, used_in, used_out, cut) in enumerate(asked):
        most = Cost.of(price, tokens_in, tokens_out)
        refused = account.over(limit, most)
        if refused is None:
            account = account.hold(number, most)
            if cut:
                account = account.give_up()  # L-3: killed while it was under way
            else:
                account = account.settle(number, Cost.of(price, int(tokens_in * used_in), int(tokens_out * used_out)))
        else:
            assert getattr(limit, refused) is not None
        spent = account.spent
        assert limit.tokens is None or spent.tokens <= limit.tokens
        assert limit.calls is None or spent.calls <= limit.calls
        assert limit.money is None or spent.money <= limit.money * (1 + 1e-9)


def test_E5_what_fits_exactly_is_allowed_and_one_more_is_not() -> None:
    account = Account().hold(0, Cost(60, 40, 0.0, 1))
    assert account.over(Caps(tokens=200), Cost(50, 50, 0.0, 1)) is None
    assert account.over(Caps(tokens=199), Cost(50, 50, 0.0, 1)) == "tokens"
    assert account.over(Caps(calls=1), Cost(0, 0, 0.0, 1)) == "calls"
    with pytest.raises(KeyError):
        account.settle(0, Cost()).settle(0, Cost())  # nothing is given back twice


@given(prices, caps, calls, st.integers(0, 9_000))
def test_E5_as_many_calls_fit_as_are_said_to(price: Price, limit: Caps, asked: list[Any], tokens: int) -> None:
    one, account = Cost.of(price, tokens, 10), Account()
    for number, (tokens_in, tokens_out, *_) in enumerate(asked[:3]):
        account = account.hold(-1 - number, Cost.of(price, tokens_in, tokens_out))
    room = account.room(limit, one)
    if room is None:
        assert account.over(limit, one) is None
        return
    for number in range(min(room, 40)):
        assert account.over(limit, one) is None
        account = account.hold(number, one)
    assert room > 40 or account.over(limit, one) is not None


@given(st.text())
def test_E5_a_prompt_is_never_estimated_below_one_token_a_byte(text: str) -> None:
    assert prompt_bound([text]) > len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4)),
        ({"prompt_tokens": 3.0, "completion_tokens": 0}, (3, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),  # a server that does not count
        ({"prompt_tokens": -1, "completion_tokens": 4}, None),
        ({"prompt_tokens": True, "completion_tokens": 4}, None),
        ({"prompt_tokens": "3", "completion_tokens": 4}, None),
        ({"prompt_tokens": math.nan, "completion_tokens": 4}, None),
        ({"prompt_tokens": 1e300, "completion_tokens": 4}, None),
        ({"prompt_tokens": MOST_TOKENS + 1, "completion_tokens": 4}, None),
        ({"prompt_tokens": 2.5, "completion_tokens": 4}, None),
        ({"completion_tokens": 4}, None),
        ([3, 4], None),
        (None, None),
    ],
)
def test_E5_a_usage_that_is_not_sound_is_none(usage: object, found: tuple[int, int] | None) -> None:
    assert usage_of({"usage": usage}) == found
    assert usage_of([]) is None
