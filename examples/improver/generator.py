"""Draw problems. Festina calls ``generate(seed, n)`` with a file that prepare.py made of this one and the tables.

Half of the problems are test functions, half real tables. Hidden ones come from other families and other data sets
than the public ones, so that skill at the public families alone is worth nothing.
"""

import random

FUNCTIONS = ()  # prepare.py fills in these two: names, and by table (dimensions, its best point)
TABLES = {}
DIMENSIONS = (2, 4, 8)


def generate(seed, n):
    rng = random.Random(seed)
    items = []
    for number in range(n):
        if TABLES and rng.random() < 0.5:
            name = rng.choice(sorted(TABLES))
            d, best = TABLES[name]
        else:
            name, d = rng.choice(FUNCTIONS), rng.choice(DIMENSIONS)
            best = [round(rng.uniform(0.2, 0.8), 6) for _ in range(d)]
        turn = rng.randrange(1 << 31)
        shown = best if name in FUNCTIONS else []
        items.append({"id": f"p{number}", "input": {"family": name, "d": d, "seed": turn, "at": shown}, "label": best})
    return items
