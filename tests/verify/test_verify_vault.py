"""The vault keeps hidden items out of reach and refuses what would let them out."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from festina.cli.vault import group
from festina.errors import IntegrityError, UsageError
from festina.verify import Vault
from tests.verify.home import GENERATOR

LINE = {"id": "a", "input": 1, "label": "secret-label"}


def write(tmp_path, *lines, name="items.jsonl"):
    path = tmp_path / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_T1_folders_are_0700_and_files_0600(tmp_path):
    old = os.umask(0)
    try:
        vault = Vault(tmp_path / "vault")
        vault.add_items("hidden", write(tmp_path, LINE))
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "vault").rglob("*")}
    assert modes.pop("hidden") == 0o700
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("lines", "name", "place"),
    [
        ([], "suite-empty", "items.jsonl"),
        (["", "  "], "suite-empty", "items.jsonl"),
        ([LINE, LINE], "item-duplicate", "items.jsonl:2"),
        ([LINE, {"id": "b", "input": 1}], "item-malformed", "items.jsonl:2"),
        ([{"input": 1, "label": 2}], "item-malformed", "items.jsonl:1"),
        ([{**LINE, "extra": 1}], "item-malformed", "items.jsonl:1"),
        ([{**LINE, "id": 3}], "item-malformed", "items.jsonl:1"),
        (["[1]"], "item-malformed", "items.jsonl:1"),
        (['{"id": "a", "input": NaN, "label": 1}'], "item-malformed", "items.jsonl:1"),
        (["not json"], "item-malformed", "items.jsonl:1"),
    ],
)
def test_bad_items_are_refused_with_their_line_and_without_quoting_them(tmp_path, lines, name, place):
    with pytest.raises(UsageError) as caught:
        Vault(tmp_path / "vault").add_items("hidden", write(tmp_path, *lines))
    assert caught.value.name == name
    assert caught.value.where == place
    assert "secret-label" not in str(caught.value)
    assert not (tmp_path / "vault").exists()


@pytest.mark.parametrize(("text", "where"), [("def generate(:", "gen.py:1"), ("def other(): pass", "gen.py")])
def test_a_file_that_is_no_generator_is_refused_and_never_run(tmp_path, text, where):
    path = tmp_path / "gen.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{text}" if "other" in text else text)
    with pytest.raises(UsageError) as caught:
        Vault(tmp_path / "vault").add_generator("hidden", path)
    assert (caught.value.name, caught.value.where) == ("generator-broken", where)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("marker", [".git", "festina.toml"])
def test_T1_a_vault_inside_a_repository_is_refused(tmp_path, marker):
    (tmp_path / "repo" / "deep").mkdir(parents=True)
    (tmp_path / "repo" / marker).touch()
    (tmp_path / "link").symlink_to(tmp_path / "repo" / "deep")
    for inside in (tmp_path / "repo", tmp_path / "repo" / "deep" / "vault", tmp_path / "link" / "vault"):
        with pytest.raises(UsageError) as caught:
            Vault(inside)
        assert caught.value.name == "vault-in-repository"
        assert "FESTINA_HOME" in caught.value.fix
    Vault(tmp_path / "beside")  # positive control: the same folder outside is fine


def test_T1_a_folder_that_its_repository_ignores_may_hold_a_vault_and_no_other(tmp_path):
    repository = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "demo").mkdir()
    with pytest.raises(UsageError):
        Vault(repository / "demo" / "vault")
    (repository / "demo" / ".gitignore").write_text("*\n")
    Vault(repository / "demo" / "vault")
    (repository / "festina.toml").touch()  # a system's own repository: never
    with pytest.raises(UsageError):
        Vault(repository / "demo" / "vault")


def test_T1_hidden_items_that_lie_in_the_system_are_refused(tmp_path):
    (tmp_path / "system" / "data").mkdir(parents=True)
    (tmp_path / "system" / "festina.toml").touch()
    inside = write(tmp_path / "system" / "data", LINE)
    with pytest.raises(UsageError) as caught:
        Vault(tmp_path / "vault").add_items("hidden", inside)
    assert caught.value.name == "hidden-items-in-repository"
    assert Vault(tmp_path / "vault").add_items("hidden", write(tmp_path, LINE)).count == 1


def test_other_items_for_a_suite_need_replace_and_the_old_ones_stay(tmp_path):
    vault = Vault(tmp_path / "vault")
    first = vault.add_items("hidden", write(tmp_path, LINE))
    assert vault.add_items("hidden", write(tmp_path, LINE)) == first
    with pytest.raises(UsageError) as caught:
        vault.add_items("hidden", write(tmp_path, {**LINE, "input": 2}))
    assert caught.value.name == "suite-exists"
    second = vault.add_items("hidden", write(tmp_path, {**LINE, "input": 2}), replace=True)
    assert second.digest != first.digest
    assert vault.describe("hidden") == second
    assert (vault.directory / "hidden" / f"{first.digest}.jsonl").exists()


def test_T1_describe_never_opens_the_items(tmp_path):
    vault = Vault(tmp_path / "vault")
    source = vault.add_items("hidden", write(tmp_path, LINE))
    (vault.directory / "hidden" / f"{source.digest}.jsonl").unlink()
    assert vault.describe("hidden") == source


@pytest.mark.parametrize("change", ["flip", "remove", "meta"])
def test_a_damaged_vault_is_an_integrity_error(tmp_path, change):
    vault = Vault(tmp_path / "vault")
    source = vault.add_items("hidden", write(tmp_path, LINE))
    path = vault.directory / "hidden" / f"{source.digest}.jsonl"
    if change == "flip":
        path.write_bytes(path.read_bytes().replace(b"secret", b"secreT"))
    elif change == "remove":
        path.unlink()
    else:
        (vault.directory / "hidden" / "source.json").write_text("{}")
    with pytest.raises(IntegrityError) as caught:
        vault.read("hidden")
    assert caught.value.name == "vault-damaged"


@pytest.mark.parametrize("name", ["../hidden", "", ".hidden", "a/b", "a\n", "x" * 101])
def test_a_suite_name_cannot_leave_the_vault(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        Vault(tmp_path / "vault").add_items(name, write(tmp_path, LINE))
    assert caught.value.name == "suite-name"


def test_an_unknown_suite_names_the_remedy(tmp_path):
    with pytest.raises(UsageError) as caught:
        Vault(tmp_path / "vault").describe("hidden")
    assert caught.value.name == "suite-not-in-vault"
    assert "festina vault add hidden" in caught.value.fix


def system(tmp_path):
    root = tmp_path / "system"
    root.mkdir()
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
    return root


def test_the_command_adds_and_shows_without_showing_an_item(tmp_path):
    (tmp_path / "gen.py").write_text(GENERATOR)
    options = ["-C", str(system(tmp_path))]
    shell = CliRunner()
    empty = shell.invoke(group, [*options, "show"])
    added = shell.invoke(group, [*options, "add", "hidden", str(write(tmp_path, LINE))])
    made = shell.invoke(group, [*options, "add", "fresh", "--generator", str(tmp_path / "gen.py")])
    shown = shell.invoke(group, [*options, "show", "--json"])
    assert [result.exit_code for result in (empty, added, made, shown)] == [0, 0, 0, 0]
    assert added.output.startswith("hidden: 1 items, sha256 ")
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(each["suite"], each["kind"], each["count"]) for each in records] == [
        ("fresh", "generator", None), ("hidden", "items", 1),
    ]  # fmt: skip
    assert "secret-label" not in shown.output + added.output


def test_the_command_wants_exactly_one_source(tmp_path):
    result = CliRunner().invoke(group, ["-C", str(system(tmp_path)), "add", "hidden"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.name == "vault-add"


@pytest.mark.parametrize("name", ["source.json", "items"])
def test_a_vault_that_cannot_be_read_is_named_with_the_remedy(tmp_path, name):
    vault = Vault(tmp_path / "vault")
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "a", "input": 1, "label": 2}\n')
    source = vault.add_items("hidden", items)
    path = vault.directory / "hidden" / ("source.json" if name == "source.json" else f"{source.digest}.jsonl")
    path.unlink()
    path.mkdir()
    with pytest.raises(IntegrityError) as caught:
        vault.read("hidden")
    assert (caught.value.name, caught.value.where) == ("vault-unreadable", str(path))
