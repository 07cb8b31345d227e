"""Tests of the record as logs that Inspect reads."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
from pathlib import Path

import pytest

from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.propose.history import read_inspect
from festina.report.evals import logs
from tests.report.made_ledger import Log, made_run


def _blob(log: Log, digest: str) -> bytes:
    """A batch's details, with the numbers that its entry has."""
    body = next(made.body for made in log.records if getattr(made.body, "details", "") == digest)
    assert isinstance(body, e.BatchEnded)
    return canonical({
        "units": [
            {"seed": at, "gain": gain, "candidate": 0.5 + gain, "incumbent": 0.5,
             "guards": [g[at] for g in body.guards]}
            for at, gain in enumerate(body.gain)
        ]
    })  # fmt: skip


def _made(hostile: str = "") -> dict[str, bytes]:
    log = made_run(hostile=hostile)
    for number, made in enumerate(log.records):  # every batch's details under a name of its own
        if isinstance(made.body, e.BatchEnded):
            body = made.body.model_copy(update={"details": f"{number:064x}"})
            log.records[number] = type(made)(made.seq, made.kind, made.at, body, f"{number:064x}")
    return dict(logs(log.records, lambda digest: _blob(log, digest)))


def test_a_log_holds_every_unit_and_cites_its_verdict() -> None:
    found, log = _made(), made_run()
    verdicts = [made for made in log.records if isinstance(made.body, e.Verdict)]
    assert len(found) >= len(verdicts) > 2
    first = verdicts[0]
    assert isinstance(first.body, e.Verdict)
    with zipfile.ZipFile(io.BytesIO(found[f"test-{first.body.test:05d}.eval"])) as file:
        header = json.loads(file.read("header.json"))
        samples = [name for name in file.namelist() if name.startswith("samples/")]
    assert header["eval"]["metadata"]["verdict_entry"] == first.seq
    assert header["eval"]["metadata"]["sentence"] == first.body.sentence
    assert len(samples) == header["results"]["total_samples"] == first.body.units
    assert "ledger" in header["eval"]["metadata"]["limits"]


def test_C2_the_same_record_gives_the_same_bytes() -> None:
    assert _made() == _made()


def test_our_own_reader_takes_it_for_what_it_is(tmp_path: Path) -> None:
    for name, data in _made(hostile="\u202e").items():
        (tmp_path / name).write_bytes(data)
    found = read_inspect(tmp_path, "", None)
    assert not found.findings
    assert all(row.score is not None and row.by == "none/none" for row in found.rows)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="festina[inspect] is not installed")
def test_inspect_reads_it(tmp_path: Path) -> None:
    from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

    made = _made()
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    assert len(list_eval_logs(str(tmp_path))) == len(made)
    first = str(tmp_path / min(made))
    log = read_eval_log(first)
    assert log.status == "success"
    assert log.results is not None
    assert log.samples is not None
    assert {score.name for score in log.results.scores} >= {"gain", "candidate", "incumbent"}
    assert len(read_eval_log_sample_summaries(first)) == len(log.samples)
