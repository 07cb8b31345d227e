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
from festina.ledger.entries import KINDS
from festina.ledger.merkle import Tree, leaf_hash
from festina.report.bundle import verify as alone
from festina.report.bundle.make import make
from tests.report.test_command import ledger as ledger  # a fixture


@pytest.fixture
def bundle(ledger: Path, tmp_path: Path) -> Path:
    make(ledger, tmp_path / "bundle")
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
    twin = make(ledger, tmp_path / "twin")
    assert (tmp_path / "twin" / "MANIFEST.sha256").read_bytes() == (bundle / "MANIFEST.sha256").read_bytes()  # C-2
    assert len(twin.digest) == 64


def test_L2_one_flipped_byte_in_any_file_is_found_and_named(bundle: Path) -> None:
    rng = random.Random(7)
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
    texts = [n for n in names if n.startswith("documents/")]
    contents = [n for n in names if "/content/" in n]
    few = [n for n in names if n not in texts and n not in contents]
    for name in [*few, *rng.sample(texts, 4), *contents[:3]]:
        path, raw = bundle / name, (bundle / name).read_bytes()
        if name == "verify.py" or not raw:
            continue
        at = rng.randrange(len(raw))
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        done = check(bundle)
        path.write_bytes(raw)
        assert done.returncode in (1, 2), name
        assert "WRONG" in done.stdout
        assert name == "MANIFEST.sha256" or name in done.stdout
    assert check(bundle).returncode == 0


def test_L2_files_added_taken_away_or_linked_are_named(bundle: Path) -> None:
    (bundle / "extra.md").write_text("x")
    assert "extra.md was added" in check(bundle).stdout
    (bundle / "extra.md").unlink()
    (bundle / "record" / "link").symlink_to("/etc/passwd")
    assert "record/link was added" in check(bundle).stdout
    (bundle / "record" / "link").unlink()
    (bundle / "README.txt").unlink()
    assert "README.txt is missing" in check(bundle).stdout


def remanifest(folder: Path) -> None:
    """What a careful forger does: list the changed files anew."""
    from festina.report.bundle.make import _manifest

    (folder / "MANIFEST.sha256").unlink()
    listed = _manifest(folder)
    (folder / "MANIFEST.sha256").write_text(listed)


@pytest.mark.parametrize("forgery", ["drop", "swap", "cut", "document", "content"])
def test_L2_a_forger_who_lists_the_files_anew_is_found_by_the_record_itself(bundle: Path, forgery: str) -> None:
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
    remanifest(bundle)
    done = check(bundle)
    assert done.returncode == 1, done.stdout
    assert "WRONG" in done.stdout


def test_L5_a_redacted_copy_holds_against_the_same_leaves_and_lists_what_is_gone(ledger: Path, tmp_path: Path) -> None:
    make(ledger, tmp_path / "full")
    digest = sorted(p.name for p in (tmp_path / "full" / "record" / "content").iterdir())[0]
    done = CliRunner().invoke(command, [
        "--ledger", str(ledger), "bundle", str(tmp_path / "thin"), "--public", "--withhold", f"{digest}=trade secret"
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    thin = tmp_path / "thin"
    assert (thin / "record" / "entries.jsonl").read_bytes() == (tmp_path / "full/record/entries.jsonl").read_bytes()
    assert not (thin / "record" / "content" / digest).exists()
    assert f"{digest}: trade secret" in (thin / "WITHHELD.txt").read_text()
    assert check(thin).returncode == 0
    with pytest.raises(UsageError, match="no content"):
        make(ledger, tmp_path / "other", withhold={"0" * 64: "why"})
    assert not (tmp_path / "other").exists()  # whole or not at all
    with pytest.raises(UsageError, match="already"):
        make(ledger, thin)


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


def test_it_needs_nothing_but_the_standard_library(bundle: Path) -> None:
    text = (bundle / "verify.py").read_text()
    assert "festina." not in "".join(line for line in text.split("\n") if line.startswith(("import", "from")))
    shutil.rmtree(bundle / "law")
    assert check(bundle).returncode == 1
