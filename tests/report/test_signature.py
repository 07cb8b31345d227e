"""A released version's files under a model signature: every file is covered, and others' code agrees.  # C-1, D-1"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.cli.report import command
from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey, pae
from festina.ledger.statement import PAYLOAD_TYPE
from festina.report.attest import signature
from festina.report.attest.trace import release
from festina.system.home import Home
from festina.system.objects import TreeEntry
from tests.report.made_ledger import made_run, oid

OTHERS = Path(sys.prefix) / "others" / "bin"  # `make .venv/.others`: programs of others, in an environment of their own
FILES = {"solve.py": b"print(1)\n", "a-b/x": b"1", "a/x": b"2", ".gitignore": b"out\n", "w.safetensors": bytes(4096)}


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A repository whose record released a commit that it really holds: the made-up run with that commit in it."""
    root = tmp_path / "system"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    git(root, "init", "-q")
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "released")
    real = {oid("c2"): git(root, "rev-parse", "HEAD"), oid("t4"): git(root, "rev-parse", "HEAD^{tree}")}
    home = Home(Path(os.environ["FESTINA_HOME"]) / "made-0123abcd")
    home.create()
    git(root, "config", "festina.home", home.id)
    keys = {role: LocalKey.create(home.key(role), role) for role in ("engine", "verifier")}
    ada = LocalKey.create(tmp_path / "ada.pem", "reviewer")
    made = made_run()

    def in_it(body: Any) -> Any:
        text = body.model_dump_json()
        for fake, true in real.items():
            text = text.replace(fake, true)
        return type(body).model_validate_json(text)

    public = {f"{role}_key": base64.b64encode(k.public).decode() for role, k in keys.items()}
    genesis = made.records[0].body.model_copy(update=public)
    with Ledger.create(home.ledger, genesis, signers=keys) as log:
        for data in [*made.blobs.values(), b"because"]:
            log.put_blob(data)
        own = {"key": base64.b64encode(ada.public).decode()}
        drafts = []
        for record in made.records[1:]:
            body = in_it(record.body)
            body = body.model_copy(update=own) if record.kind == "reviewer-enrolled" else body
            drafts.append(Draft(body, at=record.at, signer=ada if record.kind == "review-decided" else None))
        log.append(drafts)
    return root


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]
    return subprocess.run(
        ["git", "-C", str(root), *who, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def run(root: Path, *words: object) -> Any:
    return CliRunner().invoke(command, ["-C", str(root), "sign", *map(str, words)])


def name_of(result: Any) -> str:
    assert isinstance(result.exception, FestinaError), result.output
    return result.exception.name


@pytest.fixture
def signed(system: Path, tmp_path: Path) -> Path:
    """A folder with the released files, signed; key, public key and signature beside it."""
    made = run(
        system, "--key", tmp_path / "k.pem", "--make-key", "--folder", tmp_path / "rel", "-o", tmp_path / "model.sig"
    )
    assert made.exit_code == 0, made.output
    for path in [tmp_path / "rel", *(tmp_path / "rel").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "rel"


CHANGES = {
    "one flipped bit": lambda at: (at / "w.safetensors").write_bytes(bytes(4095) + b"\1"),
    "a file more": lambda at: (at / "a" / "new.py").write_text("x"),
    "a file less": lambda at: (at / "a" / "x").unlink(),
    "a hidden file": lambda at: (at / ".gitignore").write_text("x"),
    "a link instead of a file": lambda at: ((at / "a" / "x").unlink(), (at / "a" / "x").symlink_to("../a-b/x")),
}


def changed(folder: Path) -> Iterator[str]:
    """The folder in each of the changed states, and as it was at the end."""
    for what, change in CHANGES.items():
        kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        change(folder)
        yield what
        for path in [p for p in folder.rglob("*") if p.is_file()]:
            path.unlink()
        for path, data in kept.items():
            path.write_bytes(data)


def test_C1_what_was_released_is_signed_whole_and_the_record_agrees(system: Path, signed: Path) -> None:
    assert {p.relative_to(signed).as_posix(): p.read_bytes() for p in signed.rglob("*") if p.is_file()} == FILES
    words = ("--check", signed.parent / "model.sig", "--folder", signed, "--public-key", signed.parent / "k.pub")
    holds = run(system, *words)
    assert (holds.exit_code, holds.stdout) == (0, "holds: 5 files, signed by this key, of generation 2\n")
    bundle = json.loads((signed.parent / "model.sig").read_bytes())
    said = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert [row["name"] for row in said["predicate"]["resources"]] == [
        ".gitignore", "a/x", "a-b/x", "solve.py", "w.safetensors",  # by the parts of paths, as `model_signing` has it
    ]  # fmt: skip
    assert (
        bundle["verificationMaterial"]["publicKey"]["hint"]
        == sha256((signed.parent / "k.pub").read_bytes()).hexdigest()
    )
    assert ((signed.parent / "k.pem").stat().st_mode & 0o777) == 0o600
    again = run(system, "--key", signed.parent / "k.pem", "--folder", signed, "-o", signed / "model.sig")
    assert again.exit_code == 0, again.output  # a signature may lie in the folder
    assert run(system, words[0], signed / "model.sig", *words[2:]).exit_code == 0


def test_C1_any_other_folder_is_refused_and_what_differs_is_named(system: Path, signed: Path) -> None:
    at = signed.parent
    for what in changed(signed):
        found = run(system, "--check", at / "model.sig", "--folder", signed, "--public-key", at / "k.pub")
        assert name_of(found) == ("not-a-file" if "link" in what else "model-differs"), what
        again = run(system, "--key", at / "k.pem", "--folder", signed, "-o", at / "other.sig")
        assert name_of(again) == name_of(found), "what was not released cannot be signed as if it were"
        assert not (at / "other.sig").exists()


@pytest.mark.parametrize("hidden", ["sitecustomize.py", "evil/x.py"])
def test_C1_a_link_named_as_what_is_ignored_hides_nothing(system: Path, signed: Path, hidden: str) -> None:
    (signed / hidden).parent.mkdir(exist_ok=True)
    (signed / hidden).write_text("import os")
    (signed / ".git").symlink_to(hidden.split("/")[0])
    at = signed.parent
    found = run(system, "--check", at / "model.sig", "--folder", signed, "--public-key", at / "k.pub")
    assert name_of(found) == "model-differs"
    assert f"{hidden} was not signed" in found.output + str(found.exception)
    (signed / hidden).unlink()
    assert run(system, "--check", at / "model.sig", "--folder", signed, "--public-key", at / "k.pub").exit_code == 0


def test_C1_what_the_signer_adds_is_said_to_be_added(system: Path, signed: Path) -> None:
    (signed / "more.bin").write_bytes(b"weights")
    base = ("--key", signed.parent / "k.pem", "--folder", signed, "-o", signed.parent / "more.sig")
    made = run(system, *base, "--with", "more.bin")
    assert made.exit_code == 0
    assert "1 of them you added: the record does not say how they came about" in made.stderr
    check = ("--check", signed.parent / "more.sig", "--folder", signed, "--public-key", signed.parent / "k.pub")
    assert run(system, *check).stdout.endswith("of generation 2 and 1 that the signer added\n")
    assert name_of(run(system, *base, "--with", "solve.py")) == "already-released"
    for odd in ("../k.pem", "a", str(signed / "more.bin"), "./more.bin"):
        assert name_of(run(system, *base, "--with", odd)) == "no-such-file"


def test_T1_another_key_another_release_and_another_kind_of_statement_are_named(
    system: Path, signed: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    at = signed.parent
    check = ("--folder", signed, "--public-key", at / "k.pub")
    mine = signature.load_key(at / "k.pem")
    with Ledger.open(Home(Path(os.environ["FESTINA_HOME"]) / "made-0123abcd").ledger, readonly=True) as log:
        trace = release(log.records(), None)
    files = {name: sha256(data).hexdigest() for name, data in FILES.items()}
    for name, bundle in {
        "model-signature-wrong": signature.sign(signature.statement(trace, files), key),
        "model-not-released": signature.sign(signature.statement(replace(trace, generation=1), files), mine),
        "not-a-model-signature": signature.sign(b'{"_type":"https://in-toto.io/Statement/v1"}', mine),
    }.items():
        (at / "odd.sig").write_bytes(bundle)
        assert name_of(run(system, "--check", at / "odd.sig", *check)) == name
    assert name_of(run(system, "--key", at / "ada.pem", "-o", at / "x")) == "not-a-signing-key"  # the engine's kind
    assert name_of(run(system, "--key", at / "k.pem", "--make-key", "-o", at / "x")) == "key-exists"
    (at / "k.pem").chmod(0o644)
    assert name_of(run(system, "--key", at / "k.pem", "-o", at / "x")) == "key-readable-by-others"
    for words in (
        (),
        ("--check", at / "odd.sig"),
        ("--check", at / "odd.sig", *check, "--key", "k"),
        ("--key", "k", "--with", "a"),
    ):
        assert run(system, *words).exit_code == 2


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60) | st.integers(0, 500))
def test_T3_junk_is_no_signature(key: ec.EllipticCurvePrivateKey, junk: bytes | int) -> None:
    whole = signature.sign(b"{}", key)
    with pytest.raises(IntegrityError):
        signature.read(junk if isinstance(junk, bytes) else whole[: junk % len(whole)], key.public_key())


ODD: dict[str, Any] = {
    "resources": [{"name": "a", "algorithm": "sha256", "digest": "zz"}], "serialization": [], "festina": 3,
}  # fmt: skip


@pytest.mark.parametrize("field", [*ODD, "twice", "root", "algorithm"])
def test_T3_a_signed_statement_of_another_shape_is_none(key: ec.EllipticCurvePrivateKey, field: str) -> None:
    rows = [{"name": "a", "algorithm": "sha256", "digest": "ab" * 32}]
    predicate = {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": rows}
    whole = sha256(bytes.fromhex("ab" * 32)).hexdigest()

    def bundle(predicate: Any, whole: str) -> bytes:
        return signature.sign(json.dumps({
            "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": whole}}],
            "predicateType": signature.PREDICATE, "predicate": predicate,
        }).encode(), key)  # fmt: skip

    assert signature.read(bundle(predicate, whole), key.public_key()).files == {"a": "ab" * 32}
    if field == "twice":
        bad = bundle(predicate | {"resources": rows * 2}, sha256(bytes.fromhex("ab" * 64)).hexdigest())
    elif field == "root":
        bad = bundle(predicate, "0" * 64)
    elif field == "algorithm":
        bad = bundle(predicate | {"resources": [rows[0] | {"algorithm": "md5"}]}, whole)
    else:
        bad = bundle(predicate | {field: ODD[field]}, whole)
    with pytest.raises(IntegrityError) as caught:
        signature.read(bad, key.public_key())
    assert caught.value.name == "not-a-model-signature"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_C2_every_curve_of_the_format_signs_the_same_bytes_each_time(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    made = signature.sign(b"{}", key)
    assert made == signature.sign(b"{}", key)
    sig = base64.b64decode(json.loads(made)["dsseEnvelope"]["signatures"][0]["sig"])
    algorithm = signature._ecdsa(key.public_key())
    key.public_key().verify(sig, pae(PAYLOAD_TYPE, b"{}"), algorithm)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(sig, pae(PAYLOAD_TYPE, b"{} "), algorithm)


def test_T3_a_key_on_a_curve_that_nobody_here_knows_is_named(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """The key's curve is renamed to SM2, whose name is as long."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for name, der, word in (("PUBLIC KEY", public, "not-a-public-key"), ("PRIVATE KEY", private, "not-a-signing-key")):
        known, other = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
        assert der.count(known) >= 1
        text = base64.encodebytes(der.replace(known, other)).decode()
        path = tmp_path / name[:3]
        path.write_text(f"-----BEGIN {name}-----\n{text}-----END {name}-----\n")
        path.chmod(0o600)
        with pytest.raises(UsageError, match=word):
            (signature.load_public if word == "not-a-public-key" else signature.load_key)(path)
        if name == "PRIVATE KEY":
            with pytest.raises(UsageError):
                LocalKey.load(path, "reviewer")


@pytest.mark.parametrize(("path", "mode"), [("l", "120000"), ("m", "160000"), ("\udcff", "100644")])
def test_C1_what_the_format_cannot_name_is_refused(path: str, mode: str) -> None:
    with pytest.raises(UsageError, match="no symbolic link"):
        signature.of_tree([TreeEntry(path, mode, "blob", "0" * 40, 1)], lambda _: {"0" * 40: b""})


@pytest.mark.slow
@pytest.mark.skipif(not (OTHERS / "model_signing").exists(), reason="make .venv/.others")
def test_C1_the_formats_own_program_agrees_in_every_case(system: Path, signed: Path) -> None:
    """`model_signing` 1.1.1: it accepts the folder, and refuses each of the changed ones and another key."""
    at = signed.parent
    signature.make_key(at / "other.pem")
    other = signature.public_pem(signature.load_key(at / "other.pem").public_key())
    (at / "other.pub").write_bytes(other)

    def verify(public: str = "k.pub") -> subprocess.CompletedProcess[str]:
        words = [str(OTHERS / "model_signing"), "verify", "key", str(signed), "--signature", str(at / "model.sig"),
                 "--public_key", str(at / public), "--no-ignore-git-paths"]  # fmt: skip
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def said(found: subprocess.CompletedProcess[str]) -> str:
        return found.stdout + found.stderr

    assert "Verification succeeded" in said(verify())
    assert "Key mismatch" in said(verify("other.pub"))
    for what in changed(signed):
        bad = verify()
        assert bad.returncode != 0, what
        assert "Verification failed" in said(bad), what
    assert verify().returncode == 0
