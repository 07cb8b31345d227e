"""Score a rule: play it on an instance that nobody but the judge has seen.

The answer to a hidden instance is not a packing but a rule, which is data, and the judge plays it. What answers
never sees the items, so that nothing could look ahead however it was written.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from packing import CAPACITY, BadRule, Rule, excess, play, read_rule

WORST = 5.0  # per cent; best fit has about 4


@lru_cache(maxsize=64)
def _rule(text: str) -> Rule | None:
    try:
        return read_rule(json.loads(text))
    except BadRule:
        return None


def waste(item: dict[str, Any], output: object) -> float:
    """Bins beyond the lower bound, in per cent: 0 is best, 5 or more, and whatever is no rule, is worst."""
    if type(output) is not dict or output.keys() != {"instance", "rule"}:
        return WORST
    if output["instance"] != item["input"]["instance"]:  # an answer counts for the instance that it names
        return WORST
    rule = _rule(json.dumps(output["rule"], sort_keys=True))
    if rule is None:
        return WORST
    items = list(bytes.fromhex(item["label"]["items"]))
    assert all(0 < size <= CAPACITY for size in items)
    return min(WORST, excess(float(play(rule, items)[0]), items))
