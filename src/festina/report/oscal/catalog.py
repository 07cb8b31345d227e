"""The measures as an OSCAL catalog, a profile that takes all of them, and what Festina contributes to each.

OSCAL results name a plan, a plan a system security plan, that one a profile, and that one a catalog: all of them are
written, so that a tool can follow every reference without a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from festina.report.data import ReportData
from festina.report.markup import one_line
from festina.report.oscal.base import Node, identifier, metadata, prop, time
from festina.report.oscal.code import Code, Measure

CATALOG, PROFILE = "catalog.json", "profile.json"
UUIDS = "http://ietf.org/rfc/rfc4122"  # as OSCAL names this kind of identifier


def catalog(code: Code) -> Node:
    """Chapters, groups, one control for each measure."""
    groups = []
    for chapter in code.chapter:
        own = [m for m in code.measure if code.chapter_of(m) == chapter]
        inner = [
            {"id": f"{chapter.id}-g{number}", "title": title, "controls": [_control(m) for m in measures]}
            for number, (title, measures) in enumerate(_grouped(own), start=1)
        ]
        groups.append({
            "id": chapter.id, "title": f"{chapter.title} chapter", "groups": inner,
            "props": [prop("text-read", chapter.checked)],
        })  # fmt: skip
    head = _head(code, f"{code.code.title}: its measures")
    return {"catalog": {"uuid": _id(code, "catalog"), "metadata": head, "groups": groups}}


def profile(code: Code) -> Node:
    """All measures of the catalog."""
    imports = [{"href": CATALOG, "include-all": {}}]
    head = _head(code, f"{code.code.title}: all measures")
    return {"profile": {"uuid": _id(code, "profile"), "metadata": head, "imports": imports, "merge": {"as-is": True}}}


def system(code: Code, data: ReportData) -> Node:
    """What Festina does for each measure, as OSCAL's system security plan."""
    component = identifier("component", data.origin)
    about = "A system under a self-improvement loop, as its record shows it."
    return {
        "system-security-plan": {
            "uuid": identifier("ssp", data.origin, code.code.version),
            "metadata": metadata(
                f"What Festina does for each measure: {data.system}", time(data.last_at), code.code.version, about
            ),
            "import-profile": {"href": PROFILE},
            "system-characteristics": {
                "system-ids": [{"identifier-type": UUIDS, "id": identifier("system", data.origin)}],
                "system-name": one_line(data.system) or "unnamed", "description": about,
                "props": [prop("origin", one_line(data.origin) or "unnamed")],
                "system-information": {"information-types": [{
                    "title": "Decisions about changes of an AI system",
                    "description": "Proposals, plans, results, verdicts, approvals, releases, statements of people.",
                }]},
                "status": {"state": "operational"},
                "authorization-boundary": {"description": "The loop and its record; nothing around it."},
            },
            "system-implementation": {
                "users": [{"uuid": identifier("user", data.origin), "title": "Reviewers enrolled in the record"}],
                "components": [{
                    "uuid": component, "type": "this-system", "title": "Festina", "description": about,
                    "status": {"state": "operational"},
                }],
            },
            "control-implementation": {
                "description": "What the loop and its record contribute; what stays with people is said with each.",
                "implemented-requirements": [_requirement(data, m, component) for m in code.measure],
            },
        }
    }  # fmt: skip


def _requirement(data: ReportData, measure: Measure, component: str) -> Node:
    rest = f" Stays with people: {measure.rest}." if measure.rest else ""
    return {
        "uuid": identifier("requirement", data.origin, measure.id), "control-id": measure.id,
        "statements": [{
            "statement-id": statement(measure), "uuid": identifier("statement", data.origin, measure.id),
            "by-components": [{
                "component-uuid": component, "uuid": identifier("by", data.origin, measure.id),
                "description": measure.why + rest, "props": [prop("kind", measure.kind)],
            }],
        }],
    }  # fmt: skip


def statement(measure: Measure) -> str:
    """The part of a control that says what is asked."""
    return f"{measure.id}_smt"


def _control(measure: Measure) -> Node:
    parts = [{"id": statement(measure), "name": "statement", "prose": measure.asks}]
    if measure.commands:
        prose = f"With Festina: {'; '.join(measure.commands)}."
        parts.append({"id": f"{measure.id}_gdn", "name": "guidance", "prose": prose})
    number = measure.id.split("-", 1)[1]
    label = f"Appendix {number[1:]}" if number.startswith("a") else f"Measure {number[1:]}"
    return {
        "id": measure.id, "class": "measure", "title": measure.title, "parts": parts,
        "props": [{"name": "label", "value": label}, prop("kind", measure.kind)],
    }  # fmt: skip


def _grouped(measures: list[Measure]) -> Iterable[tuple[str, list[Measure]]]:
    return ((title, list(group)) for title, group in groupby(measures, key=lambda m: m.group))


def _head(code: Code, title: str) -> Node:
    head = code.code
    about = (
        f"Paraphrases for orientation, no text of the Code and no legal advice. Source: {head.source}. Checked on "
        f"{head.as_of.isoformat()}."
    )
    return metadata(title, f"{head.as_of.isoformat()}T00:00:00Z", head.version, about)


def _id(code: Code, what: str) -> str:
    return identifier(what, code.code.id, code.code.version)
