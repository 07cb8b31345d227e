"""Attacks on a ledger's file: each must give the number and kind of the first bad entry, and exit code 6.

What passes on purpose is here too, and says so: a valid prefix together with its own old checkpoint, which only a
checkpoint kept elsewhere shows (L-6).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from festina.cli.ledger import group
from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger.audit import FILE, Report, verify
from festina.ledger.canonical import canonical
from festina.ledger.copies import export
from festina.ledger.log import Draft, Ledger
from festina.ledger.merkle import leaf_hash
from festina.ledger.signing import LocalKey
from festina.ledger.statement import decode, unseal
from tests.ledger.support import (
    COVERED,
    ENTRIES,
    PATCH,
    Keys,
    batch_ended,
    batch_started,
    decided,
    digest,
    enrolled,
    envelope,
    fault,
    forge,
    genesis,
    intent,
    moved,
    opened,
    received,
    requested,
    run_ended,
    run_started,
    small_ledger,
    sql,
    verdict,
)


def row(path: Path, seq: int) -> bytes:
    db = sqlite3.connect(path)
    try:
        return bytes(db.execute("SELECT envelope FROM entry WHERE seq = ?", (seq,)).fetchone()[0])
    finally:
        db.close()


def caught(path: Path, seq: int, kind: str) -> Report:
    """The check, the command and opening all refuse it, and name it."""
    report = verify(path)
    assert not report.ok
    assert report.first_bad is not None
    assert (report.first_bad[0], report.first_bad[1].split(":")[0]) == (seq, kind), report.first_bad
    result = CliRunner().invoke(group, ["verify", str(path), "--json"])
    assert result.exit_code == 6, result.output
    assert json.loads(result.stdout)["first_bad"]["seq"] == seq
    return report


def refused_at_opening(path: Path) -> str:
    with pytest.raises(IntegrityError) as error:
        Ledger.open(path)
    return error.value.what


# -- rows


def test_L2_positive_control_the_untouched_ledger_passes(ledger_file: Path):
    assert verify(ledger_file).ok
    assert CliRunner().invoke(group, ["verify", str(ledger_file)]).exit_code == 0


@pytest.mark.parametrize("seq", range(ENTRIES - 1))
def test_L2_a_dropped_entry_is_named(ledger_file: Path, seq: int):
    sql(ledger_file, f"DELETE FROM entry WHERE seq = {seq}")
    caught(ledger_file, seq, "missing")
    assert f"entry {seq} missing" in refused_at_opening(ledger_file)


def test_L2_a_dropped_entry_is_named_though_the_rest_moved_up(ledger_file: Path):
    sql(
        ledger_file,
        "DELETE FROM entry WHERE seq = 5",
        *(f"UPDATE entry SET seq = {n - 1} WHERE seq = {n}" for n in range(6, 13)),
    )
    caught(ledger_file, 5, "batch-started")
    assert "entry 5 batch-started" in refused_at_opening(ledger_file)


@pytest.mark.parametrize(
    ("one", "two", "kind"), [(3, 4, "proposal-received"), (1, 11, "run-ended"), (0, 12, "review-decided")]
)
def test_L2_swapped_entries_are_named(ledger_file: Path, one: int, two: int, kind: str):
    sql(ledger_file, f"UPDATE entry SET seq = 99 WHERE seq = {one}", f"UPDATE entry SET seq = {one} WHERE seq = {two}",
        f"UPDATE entry SET seq = {two} WHERE seq = 99")  # fmt: skip
    caught(ledger_file, one, kind)
    refused_at_opening(ledger_file)


def test_L2_an_inserted_entry_is_named(ledger_file: Path, keys: Keys):
    data = envelope(5, leaf_hash(row(ledger_file, 4)).hex(), fault("planted"), keys.engine)
    sql(ledger_file, *(f"UPDATE entry SET seq = {n + 1} WHERE seq = {n}" for n in range(12, 4, -1)),
        ("INSERT INTO entry VALUES (5, ?)", (data,)))  # fmt: skip
    caught(ledger_file, 6, "test-opened")  # the planted entry is signed and fits; the one after it does not follow it


@pytest.mark.parametrize("seq", [3, 11, 12])
def test_L2_a_doubled_entry_is_named(ledger_file: Path, seq: int):
    sql(ledger_file, ("INSERT INTO entry VALUES (13, ?)", (row(ledger_file, seq),)))
    kind = {3: "proposal-requested", 11: "run-ended", 12: "review-decided"}[seq]
    caught(ledger_file, ENTRIES, kind)
    refused_at_opening(ledger_file)


def test_L2_an_entry_without_its_checkpoint_is_named_even_with_the_engines_key(ledger_file: Path, keys: Keys):
    data = envelope(ENTRIES, leaf_hash(row(ledger_file, 12)).hex(), fault("late"), keys.engine)
    sql(ledger_file, ("INSERT INTO entry VALUES (13, ?)", (data,)))
    caught(ledger_file, ENTRIES, "fault")
    assert "after the newest signed checkpoint" in refused_at_opening(ledger_file)


def replaced(path: Path, seq: int, key: LocalKey, name: str | None = None) -> None:
    entry = decode(row(path, seq))
    body = {**entry.body, "verdict": "reject"}
    payload = entry.payload.replace(canonical(entry.body), canonical(body))
    assert payload != entry.payload
    sql(path, (f"UPDATE entry SET envelope = ? WHERE seq = {seq}", (envelope(seq, "", payload, key, name=name),)))


@pytest.mark.parametrize("who", ["stranger", "engine", "reviewer"])
@pytest.mark.parametrize("claims", [False, True])
def test_T1_a_verdict_signed_with_another_key_is_named(
    ledger_file: Path, keys: Keys, tmp_path: Path, who: str, claims: bool
):
    key = LocalKey.create(tmp_path / "s.pem", "verifier") if who == "stranger" else getattr(keys, who)
    replaced(ledger_file, 8, key, keys.verifier.keyid if claims else None)
    caught(ledger_file, 8, "verdict")
    assert "entry 8 verdict" in refused_at_opening(ledger_file)


def test_L2_a_verdict_rewritten_by_the_verifier_itself_is_noticed(ledger_file: Path, keys: Keys):
    replaced(ledger_file, 8, keys.verifier)
    caught(ledger_file, 9, "line-intent")  # entry 8 is well signed, but 9 was signed as following another


# -- the tail


def test_L2_entries_dropped_from_the_tail_are_missed(ledger_file: Path):
    sql(ledger_file, "DELETE FROM entry WHERE seq >= 11")
    caught(ledger_file, 11, "missing")
    refused_at_opening(ledger_file)


def test_L2_dropping_the_checkpoint_with_the_tail_does_not_help(ledger_file: Path):
    sql(ledger_file, "DELETE FROM entry WHERE seq >= 9", "DELETE FROM checkpoint")
    caught(ledger_file, FILE, "checkpoint")
    refused_at_opening(ledger_file)


def test_L2_no_older_checkpoint_is_left_in_the_file(ledger_file: Path):
    raw = ledger_file.read_bytes()
    assert raw.count(b"festina.local/toy-00000001\n") == 1  # else the tail could be cut back to it without any key


@pytest.fixture
def prefix(tmp_path: Path, keys: Keys) -> tuple[Path, str]:
    """An older copy of a ledger in place of the newer one, and the newer one's checkpoint, kept elsewhere."""
    path = tmp_path / "l.db"
    with Ledger.create(path, genesis(keys), signers=keys.own) as ledger:
        ledger.append([Draft(run_started())])
    old = path.read_bytes()
    with Ledger.open(path, signers=keys.own) as ledger:
        ledger.append([Draft(requested(1)), Draft(received(1))])
        kept = ledger.checkpoint()
    path.write_bytes(old)
    return path, kept


def test_L6_an_older_copy_passes_and_only_a_kept_checkpoint_shows_it(prefix: tuple[Path, str], tmp_path: Path):
    path, kept = prefix
    assert verify(path).ok  # stated limit: a valid prefix with its own checkpoint is a valid ledger
    assert "older copy" in verify(path).limits_text
    report = verify(path, checkpoint=kept)
    assert report.first_bad is not None
    assert report.first_bad[0] == 2
    assert report.first_bad[1].startswith("missing: the checkpoint kept elsewhere")
    (tmp_path / "kept").write_text(kept)
    result = CliRunner().invoke(group, ["verify", str(path), "--checkpoint", str(tmp_path / "kept")])
    assert (result.exit_code, "entry 2" in result.stdout) == (6, True)


def test_L6_a_reviewers_last_entry_can_be_cut_off_and_a_kept_checkpoint_shows_it(ledger_file: Path, keys: Keys):
    later = shutil.copyfile(ledger_file, ledger_file.with_name("later.db"))
    with Ledger.open(later, signers=keys.own) as ledger:
        ledger.append([Draft(fault())])
        kept = ledger.checkpoint()
    sql(ledger_file, "DELETE FROM entry WHERE seq = 12", "DELETE FROM blob WHERE data = x'736f756e64'")
    assert verify(ledger_file).ok  # stated limit
    assert verify(ledger_file, checkpoint=kept).first_bad == (
        12, "missing: the checkpoint kept elsewhere covers 14 entries, 12 are there",
    )  # fmt: skip


def test_L6_a_rewritten_ledger_fails_a_kept_checkpoint_and_a_given_key(tmp_path: Path, ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file) as ledger:
        kept = ledger.checkpoint()
    rewritten = forge(
        tmp_path / "r.db", keys, [(None, keys.engine), *[(fault(f"f{n}"), keys.engine) for n in range(20)]]
    )
    assert verify(rewritten).ok  # stated limit: the key holder can write another history
    assert verify(rewritten, checkpoint=kept).first_bad is not None
    other = Keys(
        *(LocalKey.create(tmp_path / f"{n}.pem", role) for n, role in enumerate(("engine", "verifier", "reviewer")))
    )
    whole = small_ledger(tmp_path / "whole.db", other)
    assert verify(whole).ok  # stated limit: a whole forged ledger, until one compares the key
    assert verify(whole, key=keys.engine.public).first_bad == (
        0, "genesis: its engine key is not the one that you gave",
    )  # fmt: skip
    assert verify(whole, checkpoint=kept).first_bad is not None
    result = CliRunner().invoke(group, ["verify", str(whole), "--key", keys.engine.public.hex()])
    assert result.exit_code == 6


def test_L2_a_junk_checkpoint_is_refused(ledger_file: Path):
    for junk in ("", "x", "a\nb\nc\n\n— a b\n", "\ud800"):
        assert not verify(ledger_file, checkpoint=junk).ok


def test_L2_changed_checkpoints_are_named(ledger_file: Path, pristine: Path):
    for statement in (
        "UPDATE checkpoint SET note = replace(note, 'toy', 'tox')", "UPDATE checkpoint SET size = 11",
        "INSERT INTO checkpoint VALUES (5, 'x')", "UPDATE checkpoint SET note = ''",
    ):  # fmt: skip
        shutil.copyfile(pristine, ledger_file)
        sql(ledger_file, statement)
        caught(ledger_file, FILE, "checkpoint")
        refused_at_opening(ledger_file)


# -- content and openings


def test_L2_changed_and_missing_content_is_named(ledger_file: Path, pristine: Path):
    name = digest(PATCH)
    for statement in (
        f"UPDATE blob SET data = x'00' WHERE digest = x'{name}'", f"DELETE FROM blob WHERE digest = x'{name}'",
        f"UPDATE blob SET digest = x'{'0' * 64}' WHERE digest = x'{name}'",
    ):  # fmt: skip
        shutil.copyfile(pristine, ledger_file)
        sql(ledger_file, statement)
        caught(ledger_file, 4, "proposal-received")
        with Ledger.open(ledger_file) as ledger, pytest.raises(IntegrityError):
            ledger.get_blob(name)


def test_L2_content_that_no_entry_names_is_a_note(ledger_file: Path):
    sql(ledger_file, (f"INSERT INTO blob VALUES (x'{digest(b'stray')}', ?)", (b"stray",)))
    report = verify(ledger_file)
    assert report.ok
    assert "1 pieces of content are named by no entry" in report.findings[-1].what


def test_L5_a_missing_opening_is_reported_and_a_changed_one_fails(ledger_file: Path, pristine: Path):
    sql(ledger_file, "DELETE FROM opening WHERE seq = 4")
    report = verify(ledger_file)
    assert (report.ok, report.withheld) == (True, 1)
    for statement, seq, kind in (
        ("UPDATE opening SET value = 'be worse' WHERE seq = 4", 4, "proposal-received"),
        ("UPDATE opening SET salt = x'00' WHERE seq = 7", 7, "batch-ended"),
        ("UPDATE opening SET field = 'other' WHERE seq = 4", 4, "opening"),
        ("INSERT INTO opening VALUES (3, 'f', x'00', 'v')", 3, "opening"),
    ):
        shutil.copyfile(pristine, ledger_file)
        sql(ledger_file, statement)
        caught(ledger_file, seq, kind)


# -- the file


@pytest.mark.parametrize("statement", [
    "CREATE TABLE extra (x)", "CREATE INDEX i ON entry (envelope)", "DROP TABLE opening",
    "ALTER TABLE blob ADD x INTEGER",
    "CREATE VIEW v AS SELECT 1", "ALTER TABLE entry RENAME COLUMN envelope TO other",
    "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM blob; END", "PRAGMA application_id = 7",
    "PRAGMA user_version = 0", "PRAGMA user_version = 7", "PRAGMA user_version = -1",
])  # fmt: skip
def test_L2_a_changed_schema_is_refused(ledger_file: Path, statement: str):
    sql(ledger_file, statement)
    caught(ledger_file, FILE, "file")
    refused_at_opening(ledger_file)


def test_L1_a_ledger_of_a_newer_version_is_a_usage_error(tmp_path: Path, keys: Keys):
    newer = genesis(keys).model_copy(update={"schema_number": 7})
    path = forge(tmp_path / "l.db", keys, [(newer, keys.engine)])
    sql(path, "PRAGMA user_version = 7")
    for call in (lambda: verify(path), lambda: Ledger.open(path)):
        with pytest.raises(UsageError) as error:
            call()
        assert error.value.name == "ledger-newer-schema"
    assert CliRunner().invoke(group, ["verify", str(path)]).exit_code == 2
    sql(path, "PRAGMA user_version = 8")  # no longer what the first entry says
    caught(path, FILE, "file")


def test_L2_truncated_and_foreign_files_are_refused(ledger_file: Path, pristine: Path):
    whole = pristine.read_bytes()
    for data in (
        b"", b"x", whole[:50], whole[:100], whole[:4096], whole[:5000], whole[: len(whole) // 2], whole[:-4096],
        whole[:-1], whole + b"\x00", whole + bytes(4096), b"\x00" * len(whole), whole[4096:],
        b"not a database at all\n" * 1000,
    ):  # fmt: skip
        ledger_file.write_bytes(data)
        report = verify(ledger_file)
        assert not report.ok, len(data)
        assert CliRunner().invoke(group, ["verify", str(ledger_file)]).exit_code == 6


def test_L2_an_entry_that_says_two_kinds_is_refused(ledger_file: Path, keys: Keys):
    two = KNOWN.replace(
        b'"predicateType":', b'"predicateType":"urn:festina:entry:reviewer-enrolled:1","predicateType":'
    )
    prev = leaf_hash(row(ledger_file, 12)).hex()
    data = envelope(13, prev, two.replace(b"SEQ", b"13").replace(b"PREV", prev.encode()), keys.reviewer)
    sql(ledger_file, ("INSERT INTO entry VALUES (13, ?)", (data,)))
    assert verify(ledger_file).first_bad is not None
    refused_at_opening(ledger_file)


@pytest.mark.timeout(30)
def test_T5_pipes_in_place_of_files_never_hang_the_check(tmp_path: Path, ledger_file: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError):
        verify(tmp_path / "pipe")
    for number, name in enumerate(("checkpoint.txt", f"content/{digest(PATCH)}", "openings.jsonl", "entries.jsonl")):
        copy = tmp_path / f"copy{number}"
        export(ledger_file, copy)
        (copy / name).unlink()
        os.mkfifo(copy / name)
        if name == "entries.jsonl":
            with pytest.raises(UsageError):
                verify(copy)
        else:
            assert not verify(copy).ok


def test_what_is_no_ledger_at_all_is_a_usage_error(tmp_path: Path):
    for path, name in (
        (tmp_path, "ledger-is-a-directory"),
        (tmp_path / "absent", "no-ledger"),
        (tmp_path / ("x" * 300), "ledger-unreadable"),
    ):
        for call in (verify, Ledger.open):
            with pytest.raises(UsageError) as error:
                call(path)
            assert error.value.name == name
        assert CliRunner().invoke(group, ["verify", str(path)]).exit_code == 2
    assert CliRunner(env={"FESTINA_LEDGER": ""}).invoke(group, ["verify"]).exit_code == 2


def test_L2_a_hostile_log_file_beside_the_ledger_changes_nothing_unseen(ledger_file: Path, keys: Keys):
    """SQLite would replay a -wal that somebody planted; the check sees whatever comes out of it."""
    writer = sqlite3.connect(ledger_file)
    writer.execute("DELETE FROM entry WHERE seq = 8")
    writer.commit()
    wal = ledger_file.with_name("ledger.db-wal").read_bytes()
    victim = ledger_file.with_name("victim.db")
    shutil.copyfile(ledger_file, victim)
    assert verify(victim).ok
    victim.with_name("victim.db-wal").write_bytes(wal)
    caught(victim, 8, "missing")
    writer.close()


# -- rules that even the engine's key cannot break

UNKNOWN = canonical({
    "_type": "https://in-toto.io/Statement/v1",
    "predicate": {"at": "2026-01-31T09:30:00.000Z", "body": {}, "commitments": {}, "content": [], "prev": "PREV",
                  "schema": 1, "seq": 9_999},
    "predicateType": "urn:festina:entry:surprise:1", "subject": [{"digest": {"sha256": "0" * 64}, "name": "x"}],
}).replace(b"9999", b"SEQ")  # fmt: skip
KNOWN = UNKNOWN.replace(b"surprise", b"fault").replace(b'"body":{}', b'"body":{"detail":null,"what":"x"}')


def test_L2_positive_control_a_forged_but_rule_abiding_ledger_passes(tmp_path: Path, keys: Keys):
    path = forge(
        tmp_path / "l.db",
        keys,
        [(None, keys.engine), (KNOWN, keys.engine), (enrolled(keys.reviewer), keys.engine), (decided(), keys.reviewer)],
    )
    assert verify(path).ok


@pytest.mark.parametrize(("change", "kind"), [
    (lambda p: UNKNOWN, "unreadable"),
    (lambda p: p.replace(b'"what":"x"', b'"what":"x","more":1'), "fault"),
    (lambda p: p.replace(b'"what":"x"', b'"what": "x"'), "fault"),
    (lambda p: p.replace(b'"what":"x"', b'"what":"\\u0078"'), "fault"),
    (lambda p: p.replace(b'"what":"x"', b'"what":"x","what":"x"'), "fault"),
    (lambda p: p.replace(b'"what":"x"', b'"what":7'), "fault"),
    (lambda p: p.replace(b'"content":[]', b'"content":["x"]'), "fault"),
    (lambda p: p.replace(b'"content":[]', b'"content":7'), "fault"),
    (lambda p: p.replace(b'"commitments":{}', b'"commitments":{"a b":"' + b"0" * 64 + b'"}'), "fault"),
    (lambda p: p.replace(b'"schema":1', b'"schema":2'), "fault"),
    (lambda p: p.replace(b'"schema":1', b'"schema":true'), "fault"),
    (lambda p: p.replace(b'"schema":1', b'"schema":NaN'), "fault"),
    (lambda p: p.replace(b"09:30:00.000Z", b"09:30:00Z"), "fault"),
    (lambda p: p.replace(b"2026-01-31", b"2026-02-29"), "fault"), (lambda p: p.replace(b"2026-0", b"0000-0"), "fault"),
    (lambda p: p.replace(b"SEQ", b"7"), "fault"),
    (lambda p: p.replace(b"PREV", b"0" * 64), "fault"),
    (lambda p: p[: p.index(b'"subject":[')] + b'"subject":[]}', "fault"),
    (lambda p: p.replace(b"sha256", b"sha512"), "fault"),
    (lambda p: b"[" * 40_000, "unreadable"), (lambda p: b"{}", "unreadable"), (lambda p: b"null", "unreadable"),
    (lambda p: b"\xff" + p, "fault"), (lambda p: p + b"\n", "fault"), (lambda p: b'"\\ud800"', "unreadable"),
    (lambda p: p.replace(b'"what":"x"', b'"what":"x' + b" " * 49_000 + b'"'), "fault"),
    (lambda p: b"1" * 5_000, "unreadable"),
])  # fmt: skip
def test_L2_a_signed_entry_of_another_form_is_named(
    tmp_path: Path, keys: Keys, change: Callable[[bytes], bytes], kind: str
):
    path = forge(tmp_path / "l.db", keys, [(None, keys.engine), (change(KNOWN), keys.engine), (fault(), keys.engine)])
    caught(path, 1, kind)


def test_T1_a_reviewer_counts_only_from_the_enrolment_on(tmp_path: Path, keys: Keys):
    path = forge(
        tmp_path / "l.db",
        keys,
        [(None, keys.engine), (decided(), keys.reviewer), (enrolled(keys.reviewer), keys.engine)],
    )
    caught(path, 1, "review-decided")
    late = forge(
        tmp_path / "m.db",
        keys,
        [(None, keys.engine), (enrolled(keys.reviewer, "bob"), keys.engine), (decided("ada"), keys.reviewer)],
    )
    caught(late, 2, "review-decided")


@pytest.mark.parametrize(("bodies", "bad"), [
    ([moved(1)], 1), ([batch_ended(1)], 1), ([verdict(1)], 1), ([received(1)], 1), ([run_ended()], 1),
    ([batch_started(1)], 1), ([opened(1), verdict(1), batch_started(1)], 3), ([opened(1), verdict(1), verdict(1)], 3),
    ([opened(1), verdict(1), opened(1)], 3), ([opened(1), opened(1)], 2), ([opened(1), verdict(1, tree="9" * 40)], 2),
    ([intent(1), moved(1, commit="9" * 40)], 2), ([intent(1), moved(1), moved(1)], 3), ([intent(1), moved(2)], 2),
    ([opened(1), batch_started(1), batch_ended(1), batch_ended(1)], 4),
])  # fmt: skip
def test_L3_L4_an_effect_without_its_intent_is_named(tmp_path: Path, keys: Keys, bodies: list, bad: int):
    signed = [(b, keys.verifier if b.role == "verifier" else keys.engine) for b in bodies]
    path = forge(tmp_path / "l.db", keys, [(None, keys.engine), *signed])
    caught(path, bad, bodies[bad - 1].kind)


@pytest.mark.parametrize(("bodies", "words"), [
    ([run_started(), intent(1)], "line-intent (move 1) is in flight"),
    ([run_started(), requested(1), run_started("r2")], "proposal-requested (proposal 1) has no end: it was cut off"),
    ([run_started(), run_started("r2")], "run-started (run r1) has no end: it was cut off before entry 2"),
    ([run_started(), requested(1), requested(1, 1), received(1)], "was cut off and tried again at 3"),
    ([run_started(), opened(1), batch_started(1), run_started("r2"), batch_started(1, 0, 1), batch_ended(1)],
     "batch-started (test 1, batch 0) was cut off and tried again at 5"),
])  # fmt: skip
def test_L3_an_intent_without_its_end_is_a_finding(tmp_path: Path, keys: Keys, bodies: list, words: str):
    signed = [(b, keys.verifier if b.role == "verifier" else keys.engine) for b in bodies]
    path = forge(tmp_path / "l.db", keys, [(None, keys.engine), *signed])
    report = verify(path)
    assert report.ok, report.first_bad
    assert any(words in finding.what for finding in report.findings), report.findings
    assert CliRunner().invoke(group, ["verify", str(path)]).exit_code == 0


# -- copies as plain files


def test_L2_a_copy_as_plain_files_is_checked_as_strictly(ledger_file: Path, tmp_path: Path):
    def attack(name: str, change: Callable[[bytes], bytes], seq: int, kind: str) -> None:
        copy = tmp_path / f"copy-{name.replace('/', '-')}-{seq}-{kind}-{len(list(tmp_path.iterdir()))}"
        export(ledger_file, copy)
        (copy / name).write_bytes(change((copy / name).read_bytes()))
        caught(copy, seq, kind)

    def without(data: bytes, line: int) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(lines[:line] + lines[line + 1 :])

    attack("entries.jsonl", lambda d: without(d, 3), 3, "proposal-received")
    attack("entries.jsonl", lambda d: without(without(d, 12), 11), 11, "missing")
    attack("entries.jsonl", lambda d: d[:-1], 12, "unreadable")
    attack("entries.jsonl", lambda d: b"", 0, "missing")
    attack("checkpoint.txt", lambda d: b"", FILE, "file")
    attack("checkpoint.txt", lambda d: d.replace(b"\n12\n", b"\n11\n"), FILE, "checkpoint")
    attack(f"content/{digest(PATCH)}", lambda d: d + b"x", 4, "proposal-received")
    attack("openings.jsonl", lambda d: d.replace(b"be better", b"be worse"), 4, "proposal-received")
    attack("openings.jsonl", lambda d: b"junk\n", FILE, "file")
    copy = tmp_path / "gone"
    export(ledger_file, copy)
    shutil.rmtree(copy / "content")
    caught(copy, FILE, "file")


def test_payloads_stay_small_enough_to_read_in_full(ledger_file: Path):
    assert all(len(base64.b64encode(unseal(row(ledger_file, n))[0])) < 5_000 for n in range(COVERED))
    assert issubclass(IntegrityError, FestinaError)


def test_L2_base64_with_two_spellings_is_refused(ledger_file: Path):
    data = row(ledger_file, 11)
    changed = 0
    for tail, other in (
        (b'A=="}]}', b'B=="}]}'),
        (b'Q=="}]}', b'R=="}]}'),
        (b'g=="}]}', b'h=="}]}'),
        (b'w=="}]}', b'x=="}]}'),
    ):
        if data.endswith(tail):  # the last four bits of a signature's base64 mean nothing
            changed += 1
            other_data = data[: -len(tail)] + other
            sql(ledger_file, ("UPDATE entry SET envelope = ? WHERE seq = 11", (other_data,)))
    assert changed == 1
    caught(ledger_file, 11, "run-ended")
