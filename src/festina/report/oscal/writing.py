"""OSCAL documents as JSON: catalog, profile, what Festina does, a plan, and the results for one record.

OSCAL 1.2.3 (NIST). Tests check every document against the schema that NIST publishes for it.
OSCAL knows "satisfied" and "not-satisfied" alone; what is partial, human-owned or open is not satisfied there, and a
property of the finding says which it is. Every entry that is cited stands in the results itself, as the bytes that were
signed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from festina.ledger.canonical import canonical
from festina.ledger.record import Record
from festina.report.data import ReportData
from festina.report.markup import one_line
from festina.report.oscal.base import Node, identifier, metadata, prop, time
from festina.report.oscal.catalog import CATALOG, PROFILE, catalog, profile, statement, system
from festina.report.oscal.code import Code
from festina.report.oscal.coverage import STATES, Covered, Row

SYSTEM, PLAN, RESULTS = "system-security-plan.json", "assessment-plan.json", "assessment-results.json"
SHOWN = 50  # entries that one observation names
ENVELOPE = "application/vnd.dsse.envelope.v1+json"

Entries = Callable[[int], Record]


def written(code: Code, covered: tuple[Covered, ...], data: ReportData, entries: Entries) -> dict[str, str]:
    """All documents by the names of their files, each one JSON object."""
    found = {
        CATALOG: catalog(code), PROFILE: profile(code), SYSTEM: system(code, data), PLAN: plan(code, data),
        RESULTS: results(code, covered, data, entries),
    }  # fmt: skip
    return {name: canonical(node).decode("utf-8") + "\n" for name, node in found.items()}


def plan(code: Code, data: ReportData) -> Node:
    """What is assessed and how: OSCAL results have to name a plan."""
    about = "Made with the results: all measures, from the same record's entries and people's statements."
    return {
        "assessment-plan": {
            "uuid": identifier("plan", data.origin, code.code.version),
            "metadata": metadata(f"Assessment plan: {data.system}", time(data.last_at), code.code.version, about),
            "import-ssp": {"href": SYSTEM}, "reviewed-controls": _reviewed(code),
        }
    }  # fmt: skip


def _reviewed(code: Code) -> Node:
    def ids(kinds: tuple[str, ...]) -> list[Node]:
        return [{"control-id": m.id} for m in code.measure if m.kind in kinds]

    selection: Node = {"include-controls": ids(("evidence", "people"))}
    outside = ids(("none",))
    if outside:
        selection["exclude-controls"] = outside
    return {"control-selections": [selection]}


def results(code: Code, covered: tuple[Covered, ...], data: ReportData, entries: Entries) -> Node:
    """The assessment results of one record: what was observed, and a finding for each measure that applies."""
    judged = [c for c in covered if c.state != "not-applicable"]
    observations = [_observation(data, c, row) for c in judged for row in c.rows if row.held is not None]
    findings = [_finding(data, c) for c in judged]
    cited = sorted({seq for c in judged for row in c.rows for seq in _shown(row.seqs)})
    about = (
        f"From a record of {data.size:,} entries, root {data.root}. Satisfied means that the evidence that a measure "
        "asks for is complete in the record; whether it is adequate is for people to say. The record shows what was "
        "recorded, by whom, in which order and unchanged; not that it was true."
    )
    result: Node = {
        "uuid": identifier("result", data.origin, data.root), "title": f"Record of {data.system}", "description": about,
        "start": time(data.first_at), "end": time(data.last_at), "reviewed-controls": _reviewed(code),
        "findings": findings,
        "props": [prop("not-applicable", c.measure.id, c.why) for c in covered if c.state == "not-applicable"],
    }  # fmt: skip
    if observations:
        result["observations"] = observations
    results: Node = {
        "uuid": identifier("results", data.origin, data.root),
        "metadata": metadata(f"Assessment results: {data.system}", time(data.last_at), f"{data.size}", about),
        "import-ap": {"href": PLAN}, "results": [result],
    }  # fmt: skip
    if cited:
        results["back-matter"] = {"resources": [_entry(data, entries(seq)) for seq in cited]}
    return {"assessment-results": results}


def _observation(data: ReportData, covered: Covered, row: Row) -> Node:
    shown = _shown(row.seqs)
    left = len(row.seqs) - len(shown)
    speaks = "against" if row.failed else "for" if row.held else "incomplete"
    text = ". ".join([row.text, *(row.said if len(row.said) > 1 else ())])
    node: Node = {
        "uuid": _observed(data, covered, row), "title": f"{covered.measure.title}: {row.name}",
        "description": one_line(text), "methods": ["TEST" if row.source == "check" else "EXAMINE"],
        "types": ["control-objective"], "collected": time(data.last_at),
        "props": [prop("evidence", row.source), prop("speaks", speaks)],
    }  # fmt: skip
    if left:
        node["remarks"] = f"And {left:,} further entries."
    if shown:
        node["relevant-evidence"] = [
            {"href": f"#{_entry_id(data, seq)}", "description": f"entry {seq} of the record"} for seq in shown
        ]
    return node


def _finding(data: ReportData, covered: Covered) -> Node:
    status: Node = {"state": "satisfied" if covered.state == "satisfied" else "not-satisfied"}
    if covered.state != "satisfied":
        status["reason"] = "fail" if covered.state == "contradicted" else "other"
        status["remarks"] = one_line(f"{covered.state}: {STATES[covered.state]}")
    node: Node = {
        "uuid": identifier("finding", data.origin, data.root, covered.measure.id), "title": covered.measure.title,
        "description": one_line(f"{covered.why}. What Festina does: {covered.measure.why}"),
        "props": [prop("coverage", covered.state)],
        "target": {"type": "statement-id", "target-id": statement(covered.measure), "status": status},
    }  # fmt: skip
    related = [{"observation-uuid": _observed(data, covered, row)} for row in covered.rows if row.held is not None]
    if related:
        node["related-observations"] = related
    return node


def _entry(data: ReportData, record: Record) -> Node:
    """A cited entry with the very bytes that were signed; SHA-256 over a zero byte and them is its leaf hash."""
    return {
        "uuid": _entry_id(data, record.seq), "title": f"entry {record.seq}: {record.kind}",
        "description": f"festina ledger prove {record.seq} shows that it stands in the record",
        "props": [prop("leaf-hash", record.leaf), prop("entry", str(record.seq))],
        "base64": {
            "filename": f"entry-{record.seq}.json", "media-type": ENVELOPE,
            "value": base64.b64encode(record.envelope).decode("ascii"),
        },
    }  # fmt: skip


def _entry_id(data: ReportData, seq: int) -> str:
    return identifier("entry", data.origin, data.root, str(seq))


def _observed(data: ReportData, covered: Covered, row: Row) -> str:
    return identifier("observation", data.origin, data.root, covered.measure.id, row.source, row.name)


def _shown(seqs: tuple[int, ...]) -> tuple[int, ...]:
    """Of many entries the first and the last."""
    return seqs if len(seqs) <= SHOWN else (*seqs[: SHOWN - 1], seqs[-1])
