"""The judgement as text for a terminal, as a page, and as JSON."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from festina.ledger.canonical import canonical
from festina.report import shell
from festina.report.export import plain
from festina.report.markup import Html, el
from festina.report.trust.model import Ground, Stage, Trust
from festina.report.trust.todo import SHOWN, steps

NOTE = (
    "Yes means: the evidence named here is there, fresh, and not contradicted. It is about what was probed. The record "
    "shows what was recorded, by whom, in which order and unchanged; not that it was true. There is no overall score."
)
WIDTH = 80
MARK = {"yes": "+", "no": "-", "cannot tell yet": "?"}


def as_text(trust: Trust) -> str:
    """For a terminal: the five answers first, then the grounds, then what to do."""
    return "".join(f"{part}\n" for line in _lines(trust) for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """A line in terminal width: what goes on stands below the words, not below the mark."""
    mark = re.match(r" *(?:[-+?] |\d+\. )?", line)
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=" " * (mark.end() if mark else 0), break_long_words=False,
        break_on_hyphens=False, drop_whitespace=True,
    ) or [""]  # fmt: skip


def _lines(trust: Trust) -> Iterator[str]:
    yield f"Can {trust.system} be trusted enough yet? As of {trust.at}, from {trust.size:,} entries."
    if trust.demo:
        yield "This is a demonstration: nothing in it was approved by a person."
    for stage in trust.stages:
        yield f"  {stage.name:16} {stage.answer.upper() if stage.answer == 'no' else stage.answer}"
    for stage in trust.stages:
        yield ""
        yield f"{stage.name}: {stage.answer}. {stage.question}"
        for ground in stage.grounds:
            yield f"  {MARK[ground.answer]} {ground.name}: {ground.words}{_cited(ground)}"
    yield ""
    yield "Never probed (unknown is not safe):"
    yield from (f"  ? {line}" for line in trust.never_probed)
    yield ""
    yield "Time to notice, and time to stop:"
    yield from (f"  {line}" for line in trust.warning)
    yield ""
    yield "What gates cost, and what they caught:"
    yield from (f"  {gate.name}: {gate.cost}; {gate.caught}" for gate in trust.gates)
    yield ""
    yield "What to do next:"
    todo = steps(trust)
    for number, step in enumerate(todo[:SHOWN], 1):
        yield f"  {number}. {step.text} ({step.why})"
    if len(todo) > SHOWN:
        yield f"  and {len(todo) - SHOWN} more (--json)."
    yield ""
    yield NOTE


def _cited(ground: Ground) -> str:
    parts = []
    if ground.seqs:
        parts.append(
            f"entry {ground.seqs[-1]}" if len(ground.seqs) == 1 else f"entries {ground.seqs[0]} to {ground.seqs[-1]}"
        )
    if ground.until:
        parts.append(f"counts until {ground.until[:10]}")
    return f" [{', '.join(parts)}]" if parts else ""


def as_json(trust: Trust) -> str:
    whole = asdict(trust)
    for stage, row in zip(trust.stages, whole["stages"], strict=True):
        row["answer"] = stage.answer
    whole["steps"] = [asdict(step) for step in steps(trust)]
    return canonical(plain(whole)).decode("utf-8") + "\n"


def as_html(trust: Trust) -> str:
    """One page, self-contained, everything escaped.  # T-5"""
    body = [
        el("p", f"Festina · {trust.system} · {trust.at}", cls="kicker"),
        el("h1", f"Can {trust.system} be trusted enough yet?"),
        el("p", "A demonstration: nothing in it was approved by a person.", cls="banner") if trust.demo else Html(""),
        el("dl", *(el("div", el("dt", s.name), el("dd", s.answer)) for s in trust.stages), cls="facts"),
        el("h2", "What to do next"),
        el(
            "ol",
            *(el("li", step.text, " ", el("span", f"({step.why})", cls="muted")) for step in steps(trust)),
        ),
        *(_section(stage) for stage in trust.stages),
        el("h2", "Never probed"),
        el("ul", *(el("li", line) for line in trust.never_probed)),
        el("h2", "Time to notice, and time to stop"),
        el("ul", *(el("li", line) for line in trust.warning)),
        el("h2", "What gates cost, and what they caught"),
        _table(("gate", "cost", "caught"), [(g.name, g.cost, g.caught) for g in trust.gates]),
    ]
    foot = f"{trust.size:,} entries, root {trust.root}. {NOTE}"
    return shell.page(f"Festina: trust in {trust.system}", body, foot)


def _section(stage: Stage) -> Html:
    rows = [(g.answer, g.name, f"{g.words}{_cited(g)}", g.at[:10]) for g in stage.grounds]
    return el(
        "section",
        el("h2", f"{stage.name}: {stage.answer}"),
        el("p", stage.question, cls="note"),
        _table(("answer", "ground", "evidence", "as of"), rows),
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Html:
    head = el("tr", *(el("th", name, scope="col") for name in heads))
    cells = (el("tr", *(el("td", cell) for cell in row)) for row in rows)
    return el("div", el("table", el("thead", head), el("tbody", *cells)), cls="wide")
