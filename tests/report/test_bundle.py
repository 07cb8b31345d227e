"""A bundle checks itself without Festina: one flipped byte anywhere is found and named.  # L-2, L-5"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.cli.report import command
from festina.errors import UsageError
from festina.ledger.checkpoint import sign_note
from festina.ledger.entries import KINDS
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.signing import LocalKey
from festina.report.bundle import verify as alone
from festina.report.bundle.make import make
from tests.report.test_command import ledger as ledger  # a fixture


def engine(ledger: Path) -> LocalKey:
    return LocalKey.load(ledger.parent / "engine.pem", "engine")


@pytest.fixture
def bundle(ledger: Path, tmp_path: Path) -> Path:
    make(ledger, tmp_path / "bundle", signer=engine(ledger))
    return tmp_path / "bundle"


def check(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The verifier as an auditor runs it: a bare interpreter, no packages, another directory."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "verify.py"), *words, str(folder)], capture_output=True, text=True,
        cwd="/", env={"PATH": os.environ["PATH"]}, timeout=60, check=False,
    )  # fmt: skip


def test_L2_a_whole_bundle_holds_and_says_what_it_checked(bundle: Path, ledger: Path, tmp_path: Path) -> None:
    done = check(bundle, "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note  compare the engine's key" in done.stdout
    key = done.stdout.split("--key ")[1].split()[0]
    assert check(bundle, "--key", key).returncode == 0
    stranger = check(bundle, "--key", "00" * 32)
    assert stranger.returncode == 1
    assert "another engine's key" in stranger.stdout
    twin = make(ledger, tmp_path / "twin", signer=engine(ledger))
    for name in ("MANIFEST.sha256", "MANIFEST.sig"):
        assert (tmp_path / "twin" / name).read_bytes() == (bundle / name).read_bytes()  # C-2
    assert check(bundle, "--manifest", twin.digest).returncode == 0
    assert "not the one that you were told" in check(bundle, "--manifest", "00" * 32).stdout
    assert check(bundle, "--all", "--such").returncode == 2


def said(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The same in this process: (exit code, output)."""
    code = alone.main([*words, str(folder)])
    return code, capsys.readouterr().out


def test_L2_one_flipped_byte_in_every_file_is_found_and_named(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
    assert {"MANIFEST.sha256", "MANIFEST.sig", "verify.py", "record/entries.jsonl", "report.html"} < set(names)
    for name in names:
        path, raw = bundle / name, (bundle / name).read_bytes()
        for bit in rng.sample(range(8 * len(raw)), min(3, 8 * len(raw))):
            at = bit // 8
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << bit % 8]) + raw[at + 1 :])
            code, out = said(bundle, capsys)
            assert code in (1, 2), name
            assert "WRONG" in out
            assert name in out, out
        path.write_bytes(raw)
    seal = bundle / "MANIFEST.sig"
    raw = seal.read_bytes()
    for at in {*range(raw.index(b"\n\n"), len(raw), 13), *range(len(raw) - 4, len(raw))}:  # no letter of it is free
        seal.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
        code, out = said(bundle, capsys)
        assert (code, "MANIFEST.sig" in out) == (1, True), (at, out)
    seal.write_bytes(raw)
    assert said(bundle, capsys)[0] == 0


def test_L2_C1_a_changed_document_needs_the_engines_key(bundle: Path, ledger: Path) -> None:
    """Positive control: with that key the changed list passes, which is what the signature is worth."""
    card = bundle / "documents" / "release-card.md"
    card.write_text(card.read_text() + "\nEverything is fine.\n")
    (bundle / "MANIFEST.sig").unlink()
    listed = remanifest(bundle)
    assert "nobody signed MANIFEST.sha256" in check(bundle).stdout
    assert check(bundle, "--manifest", hashlib.sha256(listed).hexdigest()).returncode == 0
    assert check(bundle, "--manifest", "0").returncode == 2
    stranger = LocalKey.create(bundle.parent / "stranger", "engine")
    for key, code in ((stranger, 1), (engine(ledger), 0)):
        sign_anew(bundle, key)
        done = check(bundle)
        assert done.returncode == code, done.stdout
        assert code == 0 or "MANIFEST.sig" in done.stdout


def test_L2_files_added_taken_away_or_linked_are_named(bundle: Path) -> None:
    (bundle / "extra.md").write_text("x")
    assert "extra.md was added" in check(bundle).stdout
    (bundle / "extra.md").unlink()
    (bundle / "record" / "link").symlink_to("/etc/passwd")
    assert "record/link was added" in check(bundle).stdout
    (bundle / "record" / "link").unlink()
    (bundle / "README.txt").unlink()
    assert "README.txt is missing" in check(bundle).stdout


def remanifest(folder: Path) -> bytes:
    """What a careful forger does: list the changed files anew."""
    from festina.report.bundle.make import _manifest

    (folder / "MANIFEST.sha256").unlink()
    (folder / "MANIFEST.sig").unlink(missing_ok=True)
    listed = _manifest(folder)
    (folder / "MANIFEST.sha256").write_text(listed)
    return listed.encode()


def sign_anew(folder: Path, key: LocalKey) -> None:
    """And what one does who also holds a key."""
    listed = remanifest(folder)
    origin = alone.Record(folder / "record").origin
    note = sign_note(f"festina-bundle/v1\n{origin}\n{hashlib.sha256(listed).hexdigest()}\n", origin, key)
    (folder / "MANIFEST.sig").write_text(note)


@pytest.mark.parametrize("forgery", ["drop", "swap", "cut", "document", "content"])
def test_L2_a_forger_who_lists_the_files_anew_is_found_by_the_record_itself(bundle: Path, forgery: str) -> None:
    """Nobody signed the list, and the auditor was told its digest: by the forger."""
    entries = bundle / "record" / "entries.jsonl"
    lines = entries.read_bytes().split(b"\n")[:-1]
    if forgery == "drop":
        del lines[20]
    elif forgery == "swap":
        lines[20], lines[21] = lines[21], lines[20]
    elif forgery == "cut":
        del lines[-3:]
    elif forgery == "document":
        path = bundle / "documents" / "release-card.json"
        card = json.loads(path.read_text())
        card["proofs"][0][1] = "0" * 64
        path.write_text(json.dumps(card))
    else:
        victim = next((bundle / "record" / "content").iterdir())
        victim.write_bytes(b"another text")
    entries.write_bytes(b"".join(line + b"\n" for line in lines))
    listed = remanifest(bundle)
    done = check(bundle, "--manifest", hashlib.sha256(listed).hexdigest())
    assert done.returncode == 1, done.stdout
    assert "WRONG" in done.stdout


def test_L5_a_redacted_copy_holds_against_the_same_leaves_and_lists_what_is_gone(ledger: Path, tmp_path: Path) -> None:
    make(ledger, tmp_path / "full", signer=engine(ledger))
    digest = sorted(p.name for p in (tmp_path / "full" / "record" / "content").iterdir())[0]
    done = CliRunner().invoke(command, [
        "--ledger", str(ledger), "bundle", str(tmp_path / "thin"), "--public", "--withhold", f"{digest}=trade secret",
        "--key-file", str(tmp_path / "engine.pem"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    thin = tmp_path / "thin"
    assert (thin / "record" / "entries.jsonl").read_bytes() == (tmp_path / "full/record/entries.jsonl").read_bytes()
    assert not (thin / "record" / "content" / digest).exists()
    assert f"{digest}: trade secret" in (thin / "WITHHELD.txt").read_text()
    assert check(thin).returncode == 0
    with pytest.raises(UsageError, match="no content"):
        make(ledger, tmp_path / "other", signer=None, withhold={"0" * 64: "why"})
    assert not (tmp_path / "other").exists()  # whole or not at all
    with pytest.raises(UsageError, match="already"):
        make(ledger, thin, signer=None)
    verifiers = LocalKey.load(tmp_path / "verifier.pem", "engine")
    with pytest.raises(UsageError, match="not the key of the engine"):
        make(ledger, tmp_path / "other", signer=verifiers)
    refused = CliRunner().invoke(command, ["--ledger", str(ledger), "bundle", str(tmp_path / "other")])
    assert isinstance(refused.exception, UsageError)
    assert "nobody can vouch" in str(refused.exception)


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=32, max_size=32), st.integers(0, 511))
def test_L2_its_ed25519_agrees_with_the_librarys(data: bytes, seed: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, good = key.public_key().public_bytes_raw(), key.sign(data)
    assert alone.signed(public, good, data)
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    assert not alone.signed(public, bytes(bad), data)
    assert not alone.signed(public, good, data + b"x")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=12), st.binary(min_size=32, max_size=32), st.data())
def test_L2_many_signatures_at_once_hold_exactly_when_each_does(
    rows: list[bytes], seed: bytes, data: st.DataObject
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    claims = [(key.sign(row), row) for row in rows]
    assert alone.all_signed(public, claims)
    at, bit = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 511))
    bad = bytearray(claims[at][0])
    bad[bit // 8] ^= 1 << bit % 8
    claims[at] = bytes(bad), claims[at][1]
    assert not alone.all_signed(public, claims)


def test_L2_one_bad_signature_among_many_is_named(bundle: Path) -> None:
    record = alone.Record(bundle / "record")
    numbers = [n for n, (_, name, _) in enumerate(record.envelopes) if record.owned.get(name) == record.engine]
    assert len(numbers) > 20
    record.signatures(numbers)
    payload, name, signature = record.envelopes[numbers[17]]
    record.envelopes[numbers[17]] = payload, name, signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
    with pytest.raises(alone.Wrong, match=f"entry {numbers[17]} .*does not match its bytes"):
        record.signatures(numbers)


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_L2_its_tree_agrees_with_the_ledgers(rows: list[bytes]) -> None:
    tree = Tree()
    for row in rows:
        tree.append(leaf_hash(row))
    assert alone.root_of([alone.leaf_of(row) for row in rows]) == tree.root()


def test_T1_it_knows_which_kinds_the_verifier_and_people_sign() -> None:
    assert {kind for kind, body in KINDS.items() if body.role == "verifier"} == alone.VERIFIER
    assert {kind for kind, body in KINDS.items() if body.role == "reviewer"} == alone.PERSON


def test_R1_T1_an_engine_that_signs_for_a_person_and_a_person_who_signs_a_verdict_are_found(bundle: Path) -> None:
    record = alone.Record(bundle / "record")
    number = next(n for n, kind in enumerate(record.kinds) if kind == "verdict") + 1
    assert record.kinds[number] not in alone.VERIFIER | alone.PERSON
    record.signature(number)  # the engine's own
    record.kinds[number] = "review-decided"
    with pytest.raises(alone.Wrong, match="no person signed it"):
        record.signature(number)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    name = hashlib.sha256(public).hexdigest()[:16]
    record.people[name] = (0, public, "ana")
    payload = record.envelopes[number][0]
    data = b"DSSEv1 %d %s %d %s" % (len(alone.TYPE), alone.TYPE, len(payload), payload)
    record.envelopes[number] = (payload, name, key.sign(data))
    record.signature(number)  # as a person's act it would be fine
    for kind in ("verdict", "released", "reviewer-enrolled"):
        record.kinds[number] = kind
        with pytest.raises(alone.Wrong, match="no person may sign that"):
            record.signature(number)


def test_L6_what_is_dated_back_is_noted(bundle: Path) -> None:
    record = alone.Record(bundle / "record")
    before = set(alone.dates(record))  # the made-up run is older than its first entry
    number = next(n for n, kind in enumerate(record.kinds) if kind == "verdict")
    record.bodies[number]["at"] = record.bodies[number]["at"].replace("2026-", "2025-")
    (words,) = set(alone.dates(record)) - before
    assert words.startswith(f"entry {number} (verdict) says 2025-")


def test_it_needs_nothing_but_the_standard_library(bundle: Path) -> None:
    text = (bundle / "verify.py").read_text()
    assert "festina." not in "".join(line for line in text.split("\n") if line.startswith(("import", "from")))
    shutil.rmtree(bundle / "law")
    assert check(bundle).returncode == 1
