"""``festina ledger`` from outside: what it prints where, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from festina.cli.ledger import group
from festina.ledger.entries import KINDS
from festina.ledger.log import Ledger
from festina.ledger.proof import check_proof
from tests.ledger.support import COVERED, ENTRIES, Keys, fault, forge


def call(*argv: str, ledger: Path | None = None) -> Result:
    return CliRunner(env={"FESTINA_LEDGER": str(ledger) if ledger else ""}).invoke(group, argv)


def test_verify_says_what_was_checked_and_what_cannot_be_known(ledger_file: Path):
    result = call("verify", str(ledger_file))
    assert result.exit_code == 0
    assert (
        f"{ENTRIES} entries of festina.local/toy-00000001: {ENTRIES} signatures, 4 pieces of content" in result.stdout
    )
    assert "What it cannot show" in result.stderr  # L-6
    assert call("verify", ledger=ledger_file).stdout == result.stdout
    assert call("verify", "--home", str(ledger_file.parent)).stdout == result.stdout


def test_json_is_records_and_nothing_else(ledger_file: Path, keys: Keys):
    result = call("verify", str(ledger_file), "--json", "--key", keys.engine.public.hex())
    found = json.loads(result.stdout)
    assert result.stderr == ""
    assert (found["ok"], found["entries"], found["covered"], found["first_bad"]) == (True, ENTRIES, COVERED, None)
    rows = [json.loads(line) for line in call("show", "--json", ledger=ledger_file).stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(ENTRIES))
    assert {row["kind"] for row in rows} <= set(KINDS)


@pytest.mark.parametrize(("options", "seqs"), [
    (["--from", "10"], [10, 11, 12]), (["--tail", "2"], [11, 12]), (["--kind", "verdict"], [8]),
    (["--kind", "verdict", "--from", "9"], []), (["--from", "3", "--tail", "1", "--kind", "line-intent"], [9]),
    (["--from", "99"], []),
])  # fmt: skip
def test_show_picks_entries(ledger_file: Path, options: list[str], seqs: list[int]):
    result = call("show", *options, ledger=ledger_file)
    assert [int(line.split()[0]) for line in result.stdout.splitlines()] == seqs


def test_usage_errors_exit_2_with_name_and_remedy(ledger_file: Path, tmp_path: Path):
    for argv in (["show", "--kind", "verdikt"], ["prove", "99"], ["prove", "12"], ["verify", "--key", "zz"],
                 ["verify", "--checkpoint", str(tmp_path / "absent")], ["show", "--tail", "0"]):  # fmt: skip
        result = call(*argv, ledger=ledger_file)
        assert (result.exit_code, result.stdout) == (2, ""), argv
        assert "Traceback" not in result.stderr
    assert "verdict" in call("show", "--kind", "verdikt", ledger=ledger_file).stderr


def test_prove_prints_a_proof_that_checks_with_the_key_alone(ledger_file: Path, keys: Keys):
    text = call("prove", "8", ledger=ledger_file).stdout
    proved = check_proof(text, origin="festina.local/toy-00000001", key=keys.engine.public)
    assert (proved.seq, proved.entry.kind) == (8, "verdict")


def test_L5_export_public(ledger_file: Path, tmp_path: Path):
    for name in ("public.db", "public"):
        assert call("export", str(tmp_path / name), "--public", ledger=ledger_file).exit_code == 0
        result = call("verify", str(tmp_path / name))
        assert result.exit_code == 0
        assert "2 sealed fields are not opened in this copy" in result.stdout
        assert call("export", str(tmp_path / name), ledger=ledger_file).exit_code == 2


def test_a_damaged_ledger_is_not_exported(ledger_file: Path, tmp_path: Path):
    ledger_file.write_bytes(ledger_file.read_bytes()[:-4096])
    assert call("export", str(tmp_path / "copy"), ledger=ledger_file).exit_code == 6
    assert call("show", ledger=ledger_file).exit_code == 6
    assert call("prove", "1", ledger=ledger_file).exit_code == 6
    assert not (tmp_path / "copy").exists()


def test_T5_hostile_text_reaches_no_terminal(tmp_path: Path, keys: Keys):
    evil = "x\x1b]0;owned\x07\u202e"
    hostile = fault().model_copy(update={"what": evil})
    path = forge(tmp_path / "l.db", keys, [(None, keys.engine), (hostile, keys.engine)])
    with Ledger.open(path, signers={"engine": keys.engine}) as ledger:
        kept = ledger.put_blob(evil.encode() + b"\xff")
    shown = (["verify", str(path)], ["verify", str(path), "--json"], ["show", "--ledger", str(path)])
    for argv in (*shown, ["content", kept, "--ledger", str(path)]):
        output = call(*argv).output
        assert not any(char in output for char in "\x1b\x07\u202e"), argv


def test_every_command_and_option_has_help_and_a_variable():
    for name, command in group.commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, (name, option.name)
    with click.Context(group) as context:
        assert set(group.list_commands(context)) == {"verify", "show", "content", "prove", "import", "export", "plants"}


def test_the_command_is_light_and_exits_without_a_traceback(tmp_path: Path):
    code = "from festina.cli.ledger import group; group(['verify', %r])" % str(tmp_path / "absent.db")  # noqa: UP031
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "[no-ledger]" in result.stderr


def test_show_reads_beside_a_writer(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own):
        assert call("show", ledger=ledger_file).exit_code == 0
