"""What a reply says that it used, in any of the three forms, whole or streamed.

Hostile input too, since an endpoint may be wrong: a usage that is no sound pair of numbers is none, and the whole of
what was held is charged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["usage_in"]

_MOST = 10**9
# Writing to a provider's cache costs up to twice the price of input; the account knows one price, so it counts double.
_IN = {"prompt_tokens": 1, "input_tokens": 1, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 2}
_OUT = ("completion_tokens", "output_tokens")


def usage_in(reply: bytes, *, stream: bool) -> tuple[int, int] | None:
    """(input, output) tokens; None where the reply does not say, or says it unsoundly."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    for event in _events(reply) if stream else _whole(reply):
        for usage in _usages(event):
            spent = [_number(usage.get(name)) for name in _IN]
            if any(value is None for value in spent):
                return None
            used = sum(value * weight for value, weight in zip(spent, _IN.values(), strict=True) if value is not None)
            if any(usage.get(name) is not None for name in _IN):
                tokens_in = max(tokens_in or 0, used)
            for name in _OUT:
                if usage.get(name) is not None:
                    value = _number(usage[name])
                    if value is None:
                        return None
                    tokens_out = max(tokens_out or 0, value)
    if tokens_in is None or tokens_out is None or not tokens_in + tokens_out:
        return None
    return tokens_in, tokens_out


def _whole(reply: bytes) -> Iterator[Any]:
    try:
        yield json.loads(reply)
    except (ValueError, RecursionError):
        return


def _events(reply: bytes) -> Iterator[Any]:
    for line in reply.splitlines():
        if line.startswith(b"data:") and b"usage" in line:
            yield from _whole(line[5:])


def _usages(event: object) -> Iterator[dict[str, Any]]:
    """At the top, or one level down: the first event of one API and the last of another wrap the reply."""
    if not isinstance(event, dict):
        return
    for holder in (event, event.get("message"), event.get("response")):
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            yield holder["usage"]


def _number(value: object) -> int | None:
    """A count of tokens; 0 where there is none; None where it is unsound."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST and value == int(value) else None  # bounds first: 10**400 is no float
