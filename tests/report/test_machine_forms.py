"""What commands print with --json is records and nothing else, and says what the words say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from festina.cli.incident import group
from festina.cli.report import command
from festina.report.law.packs import load
from tests.report.test_command import ledger as ledger  # a fixture


def rows(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.exception
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_documents_as_records_say_what_the_list_says(ledger: Path) -> None:
    def run(*words: str) -> Result:
        return CliRunner().invoke(command, ["--ledger", str(ledger), "documents", *words])

    told = run().stdout
    found = rows(run("--json"))
    assert {row["id"] for row in found} == {d.id for pack in load() for d in pack.document if not d.incident}
    for row in found:
        assert f"{row['title']}: {row['state']}, {row['filled']} of {row['fields']} fields filled" in told
        assert (row["state"] == "complete") == (not row["missing"] and not row["contradictions"])


def test_duties_as_records_say_what_the_words_say() -> None:
    words = ["duties", "--compute", "3e25", "--general", "--market", "eu"]
    told = CliRunner().invoke(command, words).stdout
    for row in rows(CliRunner().invoke(command, [*words, "--json"])):
        assert f"{row['answer']:15} {row['name']}" in told
        assert row["why"] in told


def test_incident_classes_as_records() -> None:
    found = {row["id"]: row for row in rows(CliRunner().invoke(group, ["classes", "--json"]))}
    assert set(found) == {c.id for pack in load() for c in pack.incident_class}
    assert found["eu.cybersecurity"]["runs"]
    assert not all(row["runs"] for row in found.values())  # Illinois is off
