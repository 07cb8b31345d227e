"""A run's outlook, worked out in a process of its own: ``python -P -m festina.watch.apart``.

For whoever must go on answering meanwhile. Standard input: JSON with ``gains`` (rows of ``Gain``) and ``before`` (an
earlier reading of the same run, or null); standard output: the reading, as ``readings.plain`` writes it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from festina.watch.readings import Gain, Reading, of_plain, plain

NICENESS = 10  # nobody waits at a terminal for it


def question(made: tuple[Gain, ...], before: Reading | None) -> str:
    """What to write to the process."""
    rows = [{"generation": g.generation, "doublings": g.doublings, "error": g.error, "effort": g.effort} for g in made]
    return json.dumps({"gains": rows, "before": plain(before) if before is not None else None})


def answered(text: str) -> Reading:
    """What it wrote. ``ValueError`` for what is none."""
    try:
        return of_plain(json.loads(text))
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from None


def main() -> int:
    from festina.watch.outlook import outlook

    os.nice(NICENESS)
    asked: dict[str, Any] = json.load(sys.stdin)
    made = tuple(Gain(**each) for each in asked["gains"])
    before = of_plain(asked["before"]) if asked["before"] is not None else None
    json.dump(plain(outlook(made, before=before)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
