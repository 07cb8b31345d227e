"""A bill of materials of a release in CycloneDX 1.6 (JSON): what it came from, and what it was measured to do.

The pedigree names every accepted commit since the start; a model's card (``model``) carries the measured differences
with their intervals, and the limits that every document of the record states.
Not covered: third-party libraries of the released files; tools that read lock files list those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from festina import __version__
from festina.ledger.canonical import canonical
from festina.report.attest.trace import Trace
from festina.report.data import GenerationRow, ReportData
from festina.report.law import facts
from festina.report.markup import one_line

SPACE = UUID("19d5a73b-5c4f-46c5-a397-2abcd108796d")  # of serial numbers; chosen once, at random
SPEC = "1.6"

Node = dict[str, Any]


def bom(trace: Trace, data: ReportData, files: Mapping[str, str] | None = None, *, model: bool = False) -> bytes:
    """The document as JSON. ``files``: sha256 of files of the released tree, by their paths."""
    component: Node = {
        "type": "machine-learning-model" if model else "application", "bom-ref": f"git:{trace.commit}",
        "name": one_line(trace.genesis.system), "version": f"generation {trace.generation}",
        "pedigree": _pedigree(trace), "properties": _properties(trace),
    }  # fmt: skip
    if model:
        component["modelCard"] = _card(trace, data)
    node: Node = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json", "bomFormat": "CycloneDX", "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid5(SPACE, f'{trace.genesis.origin}#{trace.release.release}')}", "version": 1,
        "metadata": {
            "timestamp": trace.released.at, "component": component,
            "tools": {"components": [{"type": "application", "name": "festina", "version": __version__}]},
        },
        "components": [
            {"type": "file", "bom-ref": f"file:{path}", "name": path, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for path, digest in sorted((files or {}).items())
        ],
    }  # fmt: skip
    return canonical(node) + b"\n"


def _pedigree(trace: Trace) -> Node:
    start = {"type": "application", "name": one_line(trace.genesis.system), "version": f"start, commit {trace.start}"}
    commits = [
        {"uid": step.commit, "author": {"name": one_line(step.author)},
         "message": f"generation {step.generation}: patch of proposal {step.proposal}, sha256 {step.patch}"}
        for step in trace.steps
    ]  # fmt: skip
    return {"ancestors": [start], "commits": commits} if commits else {"ancestors": [start]}


def _properties(trace: Trace) -> list[Node]:
    said = {
        "commit": trace.commit, "tree": trace.tree, "record": trace.genesis.origin, "release": trace.release.release,
        "evaluator": trace.epochs[-1].evaluator, "approved-without-person": str(trace.without_person).lower(),
        "demonstration": str(trace.genesis.demo).lower(),
    }  # fmt: skip
    return [{"name": f"festina:{name}", "value": str(value)} for name, value in said.items()]


def _card(trace: Trace, data: ReportData) -> Node:
    on_line = {step.generation for step in trace.steps}
    rows = [g for g in data.generations if g.generation in on_line and g.estimate is not None]
    suite = one_line(trace.epochs[-1].suite.name)
    metrics = [_metric(f"{suite}: generation {g.generation} against the one before", g) for g in rows]
    metrics += [
        {"type": f"{suite}: {one_line(final.label)}, items that no test used", "value": f"{final.estimate:.6g}",
         "confidenceInterval": _interval(final.interval)}
        for final in data.finals
        if final.generation_a == trace.generation and final.seq < trace.released.seq
    ]  # fmt: skip
    card: Node = {"considerations": {"technicalLimitations": [one_line(said.text) for said in facts.limits(data)]}}
    return card | ({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {})


def _metric(kind: str, row: GenerationRow) -> Node:
    node: Node = {"type": kind, "value": f"{row.estimate:.6g}"}
    return node | ({"confidenceInterval": _interval(row.interval)} if row.interval is not None else {})


def _interval(interval: tuple[float, float]) -> Node:
    return {"lowerBound": f"{interval[0]:.6g}", "upperBound": f"{interval[1]:.6g}"}
