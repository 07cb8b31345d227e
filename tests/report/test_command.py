"""``festina report`` on a real ledger file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from festina.cli.report import command
from festina.errors import IntegrityError, UsageError
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from tests.report.made_ledger import made_run


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The made-up run, signed and stored for real (without the reviewer's entries)."""
    keys = {role: LocalKey.create(tmp_path / f"{role}.pem", role) for role in ("engine", "verifier")}
    made = made_run()
    public = {f"{role}_key": base64.b64encode(key.public).decode() for role, key in keys.items()}
    genesis = made.records[0].body.model_copy(update=public)
    path = tmp_path / "ledger.db"
    review = {
        "reviewer-enrolled",
        "review-requested",
        "review-decided",
        "improver-in-force",
        "release-intent",
        "released",
    }
    with Ledger.create(path, genesis, signers=keys) as log:
        for data in made.blobs.values():
            log.put_blob(data)
        log.append([Draft(record.body, at=record.at) for record in made.records[1:] if record.kind not in review])
    return path


def test_report_writes_one_page_and_says_where(ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(command, ["--ledger", str(ledger), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert str(out) in done.stderr
    assert done.stdout == ""
    text = out.read_text(encoding="utf-8")
    assert "library went from 0.452 to 0.628" in text
    assert "<svg" in text


def test_report_json_prints_one_object_and_nothing_else(ledger: Path) -> None:
    done = CliRunner().invoke(command, ["--ledger", str(ledger), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["system"] == "library"
    assert done.stderr == ""


def test_report_to_standard_output_is_the_same_page_each_time(ledger: Path) -> None:
    pages = {CliRunner().invoke(command, ["--ledger", str(ledger), "-o", "-", "--no-plots"]).stdout for _ in range(2)}
    assert len(pages) == 1
    assert pages.pop().startswith("<!doctype html>")


def test_L2_no_report_is_written_from_a_ledger_with_one_flipped_byte(ledger: Path, tmp_path: Path) -> None:
    data = bytearray(ledger.read_bytes())
    at = data.find(b"predicateType") if b"predicateType" in data else data.find(b'"payload":"') + 400
    data[at] ^= 1
    ledger.write_bytes(bytes(data))
    out = tmp_path / "page.html"
    with pytest.raises(IntegrityError):
        CliRunner().invoke(command, ["--ledger", str(ledger), "--out", str(out)], catch_exceptions=False)
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_the_callers_to_mend(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(
            command, ["--ledger", str(ledger), "--out", str(tmp_path / "no" / "x.html")], catch_exceptions=False
        )
    assert caught.value.name == "report-unwritable"
