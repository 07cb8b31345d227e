"""Signed notes, checkpoints, DSSE and key files against published vectors and mangled input.

Sources: golang.org/x/mod/sumdb/note (note_test.go): the keys and notes of PeterNeumann and EnochRoot. C2SP
tlog-checkpoint.md's example is sum.golang.org's checkpoint of size 20852163 with its origin and key name changed, so
its signature holds over the original's three lines (found by trying it). DSSE protocol.md: the PAE example.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from festina.errors import IntegrityError, UsageError
from festina.ledger.checkpoint import make, open_note, parse_and_verify, sign_note
from festina.ledger.signing import LocalKey, pae, parse_public, verify
from tests.ledger.support import Keys

TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
PETER_SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_PUBLIC = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
ENOCH_PUBLIC = base64.b64decode("ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")[1:]
SUM_PUBLIC = base64.b64decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")[1:]
SUM_NOTE = (
    "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def test_L2_signing_gives_the_published_note_byte_for_byte():
    key = LocalKey(Ed25519PrivateKey.from_private_bytes(PETER_SECRET), "engine")
    assert key.public == PETER_PUBLIC
    assert sign_note(TEXT, "PeterNeumann", key) == TEXT + "\n" + PETER


@pytest.mark.parametrize(("name", "public"), [("PeterNeumann", PETER_PUBLIC), ("EnochRoot", ENOCH_PUBLIC)])
def test_L2_a_note_signed_by_two_opens_with_either_key(name: str, public: bytes):
    assert open_note(TEXT + "\n" + PETER + ENOCH, name, public) == TEXT
    with pytest.raises(IntegrityError):
        open_note(TEXT + "\n" + PETER + ENOCH, name, public, exact=True)


@pytest.mark.parametrize("note", [
    TEXT, TEXT + "\n", TEXT + "\n" + PETER[:-1], "\x01" + TEXT + "\n" + PETER, "\ud800" + TEXT + "\n" + PETER,
    TEXT + "\n" + PETER + "Unexpected line.\n", TEXT + "\n" + PETER.replace("PeterNeumann", "Bad Name"),
    TEXT + "\n" + PETER[:60] + "ABCD" + PETER[60:], TEXT + "\n" + PETER * 101, TEXT + "\n" + ENOCH,
    TEXT.replace("answer", "Answer") + "\n" + PETER, TEXT + "\n" + PETER.replace("— ", "- "), "",
])  # fmt: skip
def test_L2_published_malformed_notes_are_refused(note: str):
    with pytest.raises(IntegrityError) as caught:
        open_note(note, "PeterNeumann", PETER_PUBLIC)
    assert caught.value.name == "bad-checkpoint"


def test_L2_a_public_logs_checkpoint_verifies():
    point = parse_and_verify(SUM_NOTE, "go.sum database tree", SUM_PUBLIC, key_name="sum.golang.org")
    assert point.size == 20852163
    assert base64.b64encode(point.root) == b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_L2_every_flipped_bit_of_a_checkpoint_is_refused(keys: Keys):
    note = make("festina.local/x", 12, b"\x07" * 32, keys.engine).encode()
    assert parse_and_verify(note.decode(), "festina.local/x", keys.engine.public, exact=True).size == 12
    for at in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[at] ^= 1 << bit
            try:
                text = changed.decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises(IntegrityError):
                parse_and_verify(text, "festina.local/x", keys.engine.public, exact=True)


@pytest.mark.parametrize(
    "body", ["x\n07\n{}\n", "x\n-1\n{}\n", "x\n1\nAAAA\n", "x\n1\n{}\nextension\n", "y\n1\n{}\n", "x\n"]
)
def test_L2_signed_text_of_another_form_is_no_checkpoint(keys: Keys, body: str):
    note = sign_note(body.format(base64.b64encode(bytes(32)).decode()), "x", keys.engine)
    with pytest.raises(IntegrityError):
        parse_and_verify(note, "x", keys.engine.public)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "x" * 300])
def test_an_origin_that_cannot_stand_in_a_note_is_refused(keys: Keys, origin: str):
    with pytest.raises(UsageError):
        make(origin, 1, bytes(32), keys.engine)


def test_L2_published_dsse_encoding():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_T1_a_key_that_others_can_read_is_refused(tmp_path: Path):
    path = tmp_path / "k.pem"
    made = LocalKey.create(path, "reviewer")
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = LocalKey.load(path, "reviewer")
    assert loaded.public == made.public
    assert verify(made.public, loaded.sign(b"x"), b"x")
    os.chmod(path, 0o640)
    with pytest.raises(UsageError) as caught:
        LocalKey.load(path, "reviewer")
    assert caught.value.name == "key-readable-by-others"


def test_a_key_is_never_overwritten_or_guessed_at(tmp_path: Path):
    LocalKey.create(tmp_path / "k.pem", "engine")
    with pytest.raises(UsageError, match="already"):
        LocalKey.create(tmp_path / "k.pem", "engine")
    (tmp_path / "junk.pem").write_bytes(b"junk")
    os.chmod(tmp_path / "junk.pem", 0o600)
    for name in ("junk.pem", "absent.pem", "."):
        with pytest.raises(UsageError):
            LocalKey.load(tmp_path / name, "engine")


def test_public_keys_read_from_hex_and_base64_only(keys: Keys):
    public = keys.engine.public
    assert parse_public(public.hex()) == parse_public(base64.b64encode(public).decode() + "\n") == public
    for wrong in ("", "zz", public.hex()[:-2], "A" * 44):
        with pytest.raises(UsageError):
            parse_public(wrong)
