"""Attacks whose candidate is data of a known form: a table of predictions, an SQL query, a patch, settings.

Each attack is a whole file made from the honest one. Pure but for looking for test files in the copied evaluator.
Settings in YAML are changed as text, number by number. Not covered: several statements in one query, patches in other
formats than unified diff, YAML in flow style.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ENDS = {"table": (".csv", ".tsv", ".jsonl", ".ndjson"), "sql": (".sql",), "patch": (".patch", ".diff"),
        "yaml": (".yaml", ".yml")}  # fmt: skip
_RESTORE = (
    "After applying a patch put every test file, conftest.py, pytest.ini, setup.cfg, tox.ini and pyproject.toml back "
    "from your own copy, count the tests that ran against the number planned, and refuse patches that touch them."
)


@dataclass(frozen=True)
class Forged:
    """One attack: its id and words, the undefended evaluator on which it works, the kind of line to point at."""

    id: str
    title: str
    did: str
    bed: str
    site: str
    text: str
    remedy: str = ""
    control: str = ""  # the same file without the exploit, where that is more than an empty one


def empty(kind: str, raw: str, name: str) -> str:
    """The candidate of this kind that does no work."""
    if kind == "sql":
        return "SELECT NULL\n"
    if kind == "yaml":
        return "{}\n"
    if kind == "patch":
        return _added("fd_note.txt", ["nothing"])
    table = _Table.parse(raw, name)
    return table.written([table.filled(row, 0) for row in table.rows]) if table else ""


def attacks(kind: str, raw: str, name: str, base: Path | None) -> Iterator[Forged]:
    """Every attack for this kind. ``base``: the evaluator's folder."""
    if kind == "table":
        table = _Table.parse(raw, name)
        yield from _rows(table) if table else ()
    elif kind == "sql":
        yield from _query(raw)
    elif kind == "yaml":
        yield from _yaml(raw)
    else:
        yield from _patch(raw, base)


# -- predictions in rows -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Rows of a table, and which of its columns hold what was predicted (all but the first, which names the row)."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, object], ...]
    written: Callable[[Sequence[dict[str, object]]], str]

    @classmethod
    def parse(cls, raw: str, name: str) -> _Table | None:
        rows: list[dict[str, object]]
        if name.lower().endswith(("jsonl", "ndjson")):
            try:
                rows = [json.loads(line) for line in raw.splitlines() if line.strip()]
            except ValueError:
                return None
            if not rows or not all(isinstance(row, dict) for row in rows):
                return None
            return cls(tuple(rows[0]), tuple(rows), lambda some: "".join(json.dumps(row) + "\n" for row in some))
        mark = "\t" if name.lower().endswith("tsv") else ","
        reader = csv.DictReader(io.StringIO(raw), delimiter=mark)
        rows = [dict(row) for row in reader if None not in row]
        head = list(reader.fieldnames or ())
        if not rows or len(head) < 2:
            return None

        def written(some: Sequence[dict[str, object]]) -> str:
            out = io.StringIO()
            writer = csv.DictWriter(out, head, delimiter=mark, lineterminator="\n")
            writer.writeheader()
            writer.writerows(some)
            return out.getvalue()

        return cls(tuple(head), tuple(rows), written)

    def filled(self, row: dict[str, object], value: object) -> dict[str, object]:
        return {key: each if key == self.columns[0] else _leaves(each, value) for key, each in row.items()}


def _leaves(each: object, value: object) -> object:
    """``value`` in every place of a nested prediction, so that what reads it finds the form that it expects."""
    if isinstance(each, dict):
        return {key: _leaves(part, value) for key, part in each.items()}
    return [_leaves(part, value) for part in each] if isinstance(each, list) else value


def _rows(table: _Table) -> Iterator[Forged]:
    whole = table.rows
    tenth = list(whole[: max(1, len(whole) // 10)])
    nan = float("nan")
    yield Forged(
        "denominator/rows-missing", "rows left out leave the denominator",
        "Handed in the first tenth of the honest rows and left out the rest.", "table-rows", "data",
        table.written(tenth),
    )  # fmt: skip
    yield Forged(
        "denominator/rows-nan", "rows that are not a number leave the denominator",
        "Handed in the first tenth of the honest rows and NaN for the rest.", "table-rows", "data",
        table.written([*tenth, *(table.filled(row, nan) for row in whole[len(tenth) :])]),
    )  # fmt: skip
    yield Forged(
        "denominator/rows-repeated", "one row again and again",
        "Handed in the first honest row as often as there are rows.", "table-rows", "data",
        table.written([whole[0]] * len(whole)),
    )  # fmt: skip
    yield Forged(
        "constant/rows-none", "a table without rows", "Handed in the header alone.", "table-rows", "data",
        table.written([]),
    )  # fmt: skip
    for slug, value, said in (
        ("nan", nan, "NaN"), ("inf", float("inf"), "infinity"), ("minus-inf", -float("inf"), "minus infinity"),
        ("huge", 1e308, "1e308"), ("blank", "", "nothing"),
    ):  # fmt: skip
        yield Forged(
            f"numbers/rows-{slug}", f"{said} in every row", f"Wrote {said} for every prediction.", "table-limit",
            "data", table.written([table.filled(row, value) for row in whole]),
        )  # fmt: skip


# -- settings ----------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?m)^(\s*(?:-\s+)?(?:[\w.\"' -]+:\s+)?)[-+]?\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?[ \t]*(?=#|$)")


def _yaml(raw: str) -> Iterator[Forged]:
    for slug, token in (
        ("nan", ".nan"), ("inf", ".inf"), ("minus-inf", "-.inf"), ("overflow", "1.0e+999"), ("null", "null"),
    ):  # fmt: skip
        text = _NUMBER.sub(rf"\g<1>{token} ", raw)
        if text != raw:
            yield Forged(
                f"numbers/yaml-{slug}", f"{token} in place of every number", f"Wrote {token} for every number.",
                "yaml-number", "compare", text,
            )  # fmt: skip


def yaml_code(forged: str) -> Forged:
    """A tag that runs code where a loader takes any tag. ``forged``: what is printed then."""
    code = f"import os; os.write(1, {forged.encode()!r}); os._exit(0)"
    return Forged(
        "payload/yaml-tag", "settings that run code when they are read",
        "Handed in a tag that prints the result, with a better number, and ends the process.", "yaml-code", "call",
        f"!!python/object/apply:builtins.exec\n- {json.dumps(code)}\n",
        "Read YAML with yaml.safe_load alone: every other loader runs what a file tells it to.",
    )  # fmt: skip


# -- a query -----------------------------------------------------------------------------------------------


def _query(raw: str) -> Iterator[Forged]:
    yield Forged(
        "constant/sql-none", "a query without rows", "Selected nothing.", "sql", "zip", "SELECT NULL WHERE 0\n"
    )
    yield Forged("constant/sql-words", "a query that is a comment", "Handed in a comment.", "sql", "zip", "-- done\n")
    tables = dict.fromkeys(re.findall(r"\b(?:from|join)\s+[\"'`\[]?([A-Za-z_]\w*)", raw, re.I))
    for at, table in enumerate([*tables][:3]):
        yield Forged(
            f"vacuous/sql-delete-{at + 1}", "the data deleted before the reference query reads them",
            f"Deleted all rows of {table}.", "sql", "call", f"DELETE FROM {table}\n",
        )  # fmt: skip


# -- a patch -----------------------------------------------------------------------------------------------

_PASSING = """import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome, report.longrepr = "passed", None""".splitlines()


def _patch(raw: str, base: Path | None) -> Iterator[Forged]:
    yield Forged(
        "files/patch-conftest", "a patch adds a conftest.py", "Added a conftest.py that reports every test as passed.",
        "patch", "subprocess", _added("conftest.py", _PASSING), _RESTORE,
    )  # fmt: skip
    for name, rows in (
        ("pytest.ini", ["[pytest]", "addopts = --collect-only"]),
        ("sitecustomize.py", ["import os", "os._exit(0)"]),
        ("pytest.py", ["raise SystemExit(0)"]),
    ):
        yield Forged(
            f"files/patch-{name.replace('.', '-')}", f"a patch adds a {name}",
            f"Added a {name} that ends the tests early with success.", "patch", "subprocess", _added(name, rows),
            _RESTORE,
        )  # fmt: skip
    if base is not None and (text := "".join(_emptied(raw, base))):
        yield Forged(
            "files/patch-tests",
            "a patch changes the tests",
            "Emptied the test files.",
            "patch",
            "subprocess",
            text,
            _RESTORE,
        )


def _added(name: str, rows: Sequence[str]) -> str:
    body = "".join(f"+{row}\n" for row in rows)
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n"
    return f"{head}@@ -0,0 +1,{len(rows)} @@\n{body}"


def _emptied(raw: str, base: Path) -> Iterator[str]:
    """Hunks that replace every test file of the patched tree by a test that passes."""
    touched = re.findall(r"^\+\+\+ b/(\S+)", raw, re.M)
    tops = [
        path.parents[touch.count("/")] for touch in touched for path in base.rglob(Path(touch).name)
        if path.as_posix().endswith(f"/{touch}")
    ]  # fmt: skip
    for path in sorted(tops[0].rglob("*.py")) if tops else ():
        if not (path.name.startswith("test") or path.stem.endswith("_test")):
            continue
        name = path.relative_to(tops[0]).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        rows = text.splitlines()
        removed = "".join(f"-{row}\n" for row in rows)
        removed += "" if text.endswith("\n") else "\\ No newline at end of file\n"
        yield f"--- a/{name}\n+++ b/{name}\n@@ -1,{len(rows)} +1,2 @@\n{removed}+def test_one():\n+    pass\n"
