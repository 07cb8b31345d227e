"""Draw dates and the ways in which people write them; ``generate(seed, n)`` is what Festina calls from the vault."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip


def ordinal(day: int) -> str:
    return f"{day}{'th' if 10 < day < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def written(rng: random.Random, day: date) -> str:
    month, before = MONTHS[day.month - 1], day - timedelta(1)
    return rng.choice(
        [
            f"the {ordinal(day.day)} of {month} {day.year}",
            f"{month} {ordinal(day.day)}, {day.year}",
            f"{day.day} {month[:3]}. {day.year}",
            f"{day.day}.{day.month}.{day.year}, as Germans write it",
            f"{day.month}/{day.day}/{day.year}, as Americans write it",
            f"the day after {before.day} {MONTHS[before.month - 1]} {before.year}",
        ]
    )


def item(rng: random.Random) -> dict[str, Any]:
    day = date(1950, 1, 1) + timedelta(rng.randrange(30_000))
    return {"input": written(rng, day), "label": day.isoformat()}


def generate(seed: int, n: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [item(rng) for _ in range(n)]
