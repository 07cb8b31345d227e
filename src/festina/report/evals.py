"""Every test of the record as a log that Inspect reads (``.eval``), for people who look at evaluations with its tools.

One log a test: a sample for each unit of evidence, with the candidate's and the incumbent's score, their difference and
the guards'. Items and answers are not in the record, so they are in no log; each sample has the digests of both answers
instead. What the log says about the verdict cites the entries. Same ledger and zlib, same bytes.  # C-2

Format: a zip of ``header.json`` (an EvalLog without samples), ``samples/ID_epoch_1.json`` and ``summaries.json``,
version 2, as inspect_ai 0.3 writes it; its extra fields are optional.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict

if TYPE_CHECKING:
    from festina.ledger.base import Entered

VERSION = 2
STAMP = (1980, 1, 1, 0, 0, 0)  # a zip's own times say nothing here
MODEL = "none/none"  # no model is asked by a test itself
DETAILS_BYTES, DETAILS_DEPTH = 64 << 20, 12
LIMITS = (
    "A reading of a Festina ledger. Items and answers are not stored. Scores that a candidate printed itself are "
    "self-reported; what the record cannot show stands in `festina ledger verify`."
)
Blob = Callable[[str], bytes]


@dataclass(slots=True)
class _Test:
    """One test as it comes out of the entries."""

    seq: int
    leaf: str
    at: str
    plan: e.TestOpened
    epoch: e.EpochOpened
    author: str
    units: list[dict[str, Any]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    ended: tuple[int, str, e.Verdict] | None = None


def logs(records: Iterable[Entered], blob: Blob) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes) of each test, in order. ``blob`` raises ``IntegrityError`` for what is not there."""
    origin, epoch = "", None
    authors: dict[int, str] = {}
    tests: dict[int, _Test] = {}
    for record in records:
        body = record.body
        if isinstance(body, e.Genesis):
            origin = body.origin
        elif isinstance(body, e.EpochOpened):
            epoch = body
        elif isinstance(body, e.ProposalReceived):
            authors[body.proposal] = body.author
        elif isinstance(body, e.TestOpened) and epoch is not None:
            author = authors.get(body.proposal, "")
            tests[body.test] = _Test(record.seq, record.leaf, record.at, body, epoch, author)
        elif isinstance(body, e.BatchEnded) and body.test in tests:
            _batch(tests[body.test], record.seq, body, blob)
        elif isinstance(body, e.Verdict) and body.test in tests:
            tests[body.test].ended = (record.seq, record.at, body)
    for number, test in tests.items():
        yield f"test-{number:05d}.eval", _zip(test, origin)


def _batch(test: _Test, seq: int, body: e.BatchEnded, blob: Blob) -> None:
    details: Any = parse_strict(blob(body.details), max_bytes=DETAILS_BYTES, max_depth=DETAILS_DEPTH)
    test.units += [dict(unit) for unit in details["units"]]
    test.batches.append(seq)


def _zip(test: _Test, origin: str) -> bytes:
    samples = [_sample(test, at, unit) for at, unit in enumerate(test.units)]
    parts = [(f"samples/{each['id']}_epoch_1.json", each) for each in samples]
    header = _header(test, origin, samples)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        start = {"version": VERSION, "eval": header["eval"], "plan": header["plan"]}
        summaries = [{k: each[k] for k in ("id", "epoch", "input", "target", "scores", "metadata")} for each in samples]
        for name, value in [("_journal/start.json", start), *parts, ("summaries.json", summaries),
                            ("header.json", header)]:  # fmt: skip
            about = zipfile.ZipInfo(name, STAMP)
            about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            file.writestr(about, canonical(value))
    return out.getvalue()


def _sample(test: _Test, at: int, unit: dict[str, Any]) -> dict[str, Any]:
    """A unit: numbers in the suite's own unit, differences oriented so that positive is better."""
    guards = [guard.name for guard in test.epoch.guards]
    values = {"gain": unit.get("gain"), "candidate": unit.get("candidate"), "incumbent": unit.get("incumbent")}
    values |= {f"guard {name}": value for name, value in zip(guards, unit.get("guards", ()), strict=False)}
    return {
        "id": at + 1, "epoch": 1, "input": f"unit {at + 1}, seed {unit.get('seed')}", "target": "",
        "messages": [], "output": {"model": MODEL, "choices": [], "completion": ""},
        "scores": {name: {"value": value} for name, value in values.items() if value is not None},
        "metadata": {"seed": str(unit.get("seed")), "sides": unit.get("sides", [])},
        "store": {}, "model_usage": {},
    }  # fmt: skip


def _header(test: _Test, origin: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    suite, ended = test.epoch.suite, test.ended
    names = list(dict.fromkeys(name for each in samples for name in each["scores"]))
    told = {
        "festina_origin": origin, "proposal": test.plan.proposal, "author": test.author, "tree": test.plan.tree,
        "base_commit": test.plan.base_commit, "assurance": suite.assurance, "direction": suite.direction,
        "unit": suite.unit, "opened": test.seq, "batches": test.batches, "limits": LIMITS,
    }  # fmt: skip
    if ended is not None:
        told |= {"verdict": ended[2].verdict, "sentence": ended[2].sentence, "verdict_entry": ended[0],
                 "log_evidence": ended[2].log_evidence, "log_threshold": ended[2].log_threshold}  # fmt: skip
    spec = {
        "eval_id": test.leaf[:22], "run_id": test.leaf[22:44], "created": test.at,
        "task": f"festina test {test.plan.test}", "task_id": test.leaf[:22], "task_version": 0, "task_attribs": {},
        "task_args": {}, "model": MODEL,
        "dataset": {"name": suite.name, "samples": len(samples), "sample_ids": [each["id"] for each in samples]},
        "model_args": {}, "config": {"epochs": 1}, "packages": {}, "tags": [ended[2].verdict] if ended else [],
        "metadata": told,
        "revision": {"type": "git", "origin": origin, "commit": test.plan.base_commit},
    }  # fmt: skip
    return {
        "version": VERSION, "status": "success" if ended is not None else "started", "eval": spec,
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(samples), "completed_samples": len(samples),
            "scores": [_score(name, samples) for name in names],
        },
        "stats": {"started_at": test.at, "completed_at": ended[1] if ended is not None else "", "model_usage": {}},
    }  # fmt: skip


def _score(name: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    values = [each["scores"][name]["value"] for each in samples if name in each["scores"]]
    metrics = {"mean": {"name": "mean", "value": fmean(values), "params": {}}}
    return {"name": name, "scorer": "festina", "params": {}, "metrics": metrics}
