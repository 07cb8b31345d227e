"""A document from the record and from people's statements: every field cited, stated, or unknown.  # C-1, C-2

Same ledger, same bytes: nothing here reads a clock. A document is a draft while a mandatory field is empty or while
two people state different things in one field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from festina.ledger.canonical import canonical
from festina.report import shell
from festina.report.data import ReportData
from festina.report.export import plain
from festina.report.law import facts
from festina.report.law.incidents import Incident, People, named
from festina.report.law.packs import DocumentType, FieldOf, Pack
from festina.report.markup import el, one_line
from festina.report.numerals import count

Leaf = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence in a field: from the record (with its entries) or a person's (with the entry that signed it)."""

    source: Literal["record", "person"]
    text: str
    entries: tuple[int, ...]
    by: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    name: str
    label: str
    group: str
    optional: bool
    lines: tuple[Line, ...]
    contradiction: bool

    @property
    def empty(self) -> bool:
        return not self.lines


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it stands. ``missing``: mandatory fields that nothing fills."""

    id: str
    title: str
    regime: str
    law: str  # pack, version and date
    source: str
    checked: str
    to: tuple[str, ...]
    due: tuple[str, ...]  # by when, in words
    retain: str
    system: str
    origin: str
    size: int
    root: str
    at: str  # of the newest entry
    incident: int | None
    cells: tuple[Cell, ...]
    proofs: tuple[tuple[int, str], ...]  # entry, leaf hash

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.cells if c.empty and not c.optional)

    @property
    def contradictions(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.cells if c.contradiction)

    @property
    def state(self) -> Literal["draft", "complete"]:
        return "draft" if self.missing or self.contradictions else "complete"


def build(
    pack: Pack, kind: DocumentType, data: ReportData, people: People, leaf: Leaf, incident: Incident | None = None,
    to: str | None = None,
) -> Document:  # fmt: skip
    """The document of this type, about ``incident`` where it is one of those; ``to``: the copy of this recipient."""
    given = [field for field in kind.fields if to is None or not field.only or to in field.only]
    cells = [_cell(kind, field, data, people, incident) for field in given]
    cells = [_declared(cell, kind, cells) for cell in cells]
    entries = sorted({seq for cell in cells for line in cell.lines for seq in line.entries if 0 <= seq < data.size})
    source = pack.source_of(kind)
    return Document(
        id=kind.id, title=kind.title, regime=pack.regime.id,
        law=f"{pack.regime.title}, version {pack.regime.version}, checked {pack.regime.as_of.isoformat()}, "
        f"in force from {pack.regime.in_force.isoformat()}",
        source=f"{source.name}; {kind.section}", checked=source.checked, to=kind.to if to is None else (to,),
        due=tuple(clock.words() for clock in kind.clock),
        retain=kind.retain or "", system=data.system, origin=data.origin, size=data.size, root=data.root,
        at=data.last_at,
        incident=incident.number if incident else None, cells=tuple(cells),
        proofs=tuple((seq, leaf(seq)) for seq in entries),
    )  # fmt: skip


def key(kind: DocumentType, incident: Incident | None) -> str:
    """Under which name statements about this document stand."""
    return kind.id if incident is None else f"{kind.id}:{incident.number}"


def _cell(kind: DocumentType, field: FieldOf, data: ReportData, people: People, incident: Incident | None) -> Cell:
    lines = [Line("record", said.text, said.seqs) for said in _facts(field, data)]
    if incident is not None and field.fact in facts.INCIDENT_FACTS:
        found = facts.INCIDENT_FACTS[field.fact](incident)
        lines += [Line("person" if said.by else "record", said.text, said.seqs, said.by) for said in found]
    if field.fact == "materiality":
        lines += [Line("person", j.sentence, (j.seq,), j.by) for _, j in sorted(people.material.items())]
    stated = people.of(key(kind, incident), field.name)
    lines += [
        Line("person", s.text, (s.seq,), named(s.reviewer, s.without_person)) for s in stated
    ]
    differ = len({" ".join(s.text.split()) for s in stated}) > 1
    return Cell(field.name, field.label(), field.group or "", field.optional, tuple(lines), differ)


def _facts(field: FieldOf, data: ReportData) -> list[facts.Said]:
    return facts.FACTS[field.fact](data) if field.fact in facts.FACTS else []


def _declared(cell: Cell, kind: DocumentType, cells: Sequence[Cell]) -> Cell:
    """The field that declares what is not known yet: said from the document's own empty fields."""
    field = next(f for f in kind.fields if f.name == cell.name)
    if field.fact != "unknown" or cell.lines:
        return cell
    others = [c.label for c in cells if c.empty and c.name != cell.name]
    text = f"not known yet: {', '.join(others)}" if others else "every other field is filled"
    return Cell(cell.name, cell.label, cell.group, cell.optional, (Line("record", text, ()),), cell.contradiction)


# -- forms ---------------------------------------------------------------------------------------------


def as_json(document: Document) -> str:
    """One canonical JSON object."""
    derived = {"state": document.state, "missing": document.missing, "contradictions": document.contradictions}
    return canonical(plain(asdict(document) | derived)).decode("utf-8") + "\n"


def heading(document: Document) -> str:
    """What kind of thing this is, in one line that stands on top of every form."""
    if document.state == "complete":
        return "Complete: every mandatory field is cited or stated. Whether it is right is for people to say."
    parts = []
    if document.missing:
        many = len(document.missing)
        parts.append(f"{count(many, 'mandatory field')} {'is' if many == 1 else 'are'} unknown")
    if document.contradictions:
        parts.append(f"people state different things in {', '.join(document.contradictions)}")
    return f"DRAFT: {'; '.join(parts)}."


NOTE = (
    "Made from a record: sentences marked with entry numbers are cited from it, sentences with a name are that "
    "person's signed statement. The record shows what was recorded, by whom, in which order and unchanged; not that "
    "it was true. This is no legal advice."
)


def as_markdown(document: Document) -> str:
    about = f" (incident {document.incident})" if document.incident is not None else ""
    lines = [
        f"# {_md(document.title)}{about}: {_md(document.system)}", "", f"**{_md(heading(document))}**", "",
        f"{_md(document.law)}. Asked for by: {_md(document.source)} (read: {document.checked}). "
        + _md(f"To: {', '.join(document.to)}.{terms(document)}"), "",
    ]  # fmt: skip
    group = None
    for cell in document.cells:
        if cell.group != group:
            group = cell.group
            lines += [f"## {_md(group)}", ""] if group else []
        lines += [f"### {_md(cell.label)}", ""]
        if cell.contradiction:
            lines += ["**People state different things here.**", ""]
        lines += [f"- {_md(line.text)} {_md(mark(line))}" for line in cell.lines]
        if cell.empty:
            lines.append("*not applicable, or left out*" if cell.optional else "**unknown**")
        lines.append("")
    lines += ["## Entries cited", "", *(f"- entry {seq}: `{leaf}`" for seq, leaf in document.proofs), ""]
    lines += [_md(f"{document.origin}, {document.size} entries, as of {document.at}, root {document.root}. {NOTE}"), ""]
    return "\n".join(lines)


def as_html(document: Document) -> str:
    about = f" (incident {document.incident})" if document.incident is not None else ""
    body = [
        el("p", f"{document.regime} · {document.law}", cls="kicker"),
        el("h1", f"{document.title}{about}: {document.system}"),
        el("p", heading(document), cls="banner" if document.state == "draft" else "note"),
        el("p", f"{document.source} (read: {document.checked}). To: {', '.join(document.to)}.{terms(document)}",
           cls="note"),
    ]
    group = None
    for cell in document.cells:
        if cell.group and cell.group != group:
            body.append(el("h2", cell.group))
        group = cell.group
        body.append(el("h3", cell.label))
        body += [el("p", "People state different things here.", cls="banner")] if cell.contradiction else []
        if cell.empty:
            body.append(el("p", "left out" if cell.optional else "unknown", cls="muted"))
            continue
        body.append(el("ul", *(el("li", line.text, " ", el("span", mark(line), cls="muted")) for line in cell.lines)))
    body.append(el("h2", "Entries cited"))
    body.append(el("ul", *(el("li", f"entry {seq}: ", el("code", leaf)) for seq, leaf in document.proofs)))
    foot = f"{document.origin}, {document.size:,} entries, as of {document.at}, root {document.root}. {NOTE}"
    return shell.page(document.title, body, foot)


def mark(line: Line) -> str:
    """Where a sentence comes from, as every form shows it behind it."""
    shown = [str(seq) for seq in line.entries]
    listed = ", ".join(shown if len(shown) < 5 else [*shown[:2], "…", shown[-1]])
    if line.source == "person":
        return f"(stated by {line.by}, entry {listed})"
    return f"[{listed}]" if shown else "[from this document]"


def _md(text: str) -> str:
    """One line of plain words: nothing in it is taken for markup."""
    return one_line(text).translate(_MARKDOWN)


_MARKDOWN = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {char: f"\\{char}" for char in "\\`*_{}[]#|!~"}
)


def terms(document: Document) -> str:
    """By when it is due, and for how long it has to be kept."""
    from festina.report.law.calendar import span

    due = f" Due: {'; '.join(document.due)}." if document.due else ""
    return due + (f" Keep for {span(document.retain).words()}." if document.retain else "")


FORMS: dict[str, Callable[[Document], str]] = {"html": as_html, "md": as_markdown, "json": as_json}
