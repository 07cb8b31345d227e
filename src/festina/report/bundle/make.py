"""Write a bundle: record, documents, report, keys, law, and what checks them. Whole or not at all.  # L-5, C-2

Layout: ``record/`` (a plain copy of the ledger), ``documents/`` (each as Markdown, page and JSON), ``report.html``,
``oscal/`` and ``provenance/`` (for other tools), ``law/`` (the packs that the documents were made from),
``verify.py``, ``WITHHELD.txt``, ``README.txt``, ``MANIFEST.sha256`` over all of them, and ``MANIFEST.sig``, the
engine's signature over that. The same ledger and options give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from festina.errors import IntegrityError, UsageError
from festina.ledger.checkpoint import sign_note
from festina.ledger.copies import export
from festina.ledger.entries import Genesis
from festina.ledger.log import Ledger
from festina.ledger.signing import Signer
from festina.report import html
from festina.report.attest import provenance
from festina.report.law.documents import FORMS, build
from festina.report.oscal.code import load as measures
from festina.report.oscal.coverage import cover
from festina.report.oscal.writing import written
from festina.report.whole import Whole, whole

MANIFEST, SEAL = "MANIFEST.sha256", "MANIFEST.sig"
FORM = "festina-bundle/v1"  # first line of what is signed: no checkpoint has such a second line  # L-2
README = """\
A bundle of a Festina record: {system} ({origin}), {size} entries, root {root}.

    python3 verify.py --key KEY     Python 3.9 or newer; no network, nothing to install

record/       the ledger as plain files; documents cite its entries by number and leaf hash
documents/    what regulators ask for, each as .md, .html and .json; a draft says so on top
oscal/        how far the record covers the EU Code of Practice, for audit tools
provenance/   how each released version came about (in-toto, SLSA)
report.html   the run as one page
law/          the law packs that the documents were made from, with their sources and dates
WITHHELD.txt  what was left out of this copy, and why
MANIFEST.sig  the engine's signature over MANIFEST.sha256, and so over every file here

Engine's key (hex): {engine}
Compare it with one that you know from elsewhere: whoever can write the whole bundle can also choose its keys.
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: files, and the digest of the manifest, which names this exact bundle."""

    files: int
    digest: str
    drafts: int
    complete: int


def make(
    ledger: Path, target: Path, *, signer: Signer | None, public: bool = False,
    withhold: Mapping[str, str] | None = None,
) -> Made:  # fmt: skip
    """Write the bundle of ``ledger`` to the new folder ``target``.

    ``signer`` holds the ledger's engine key; with None nobody vouches for the list of files, and the bundle's verifier
    asks for the list's digest instead.

    ``public`` leaves out the openings of sealed fields; ``withhold`` maps digests of contents to the ground on which
    they are left out: entries keep naming them, so that every hash and signature still holds.
    """
    if target.exists() or target.is_symlink():
        raise UsageError("bundle-exists", "something lies here already", fix="name a new place", where=str(target))
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.mkdir(parents=True)
        made = _write(ledger, scratch, signer, public, withhold or {})
        os.rename(scratch, target)
        return made
    except OSError as error:
        raise UsageError(
            "bundle-failed", f"it cannot be written: {error.strerror}", fix="name another place", where=str(target)
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(
    path: Path, target: Path, signer: Signer | None, public: bool, withhold: Mapping[str, str]
) -> Made:
    export(path, target / "record", public=public)
    (target / "documents").mkdir()
    (target / "law").mkdir()
    with Ledger.open(path, readonly=True) as ledger:
        genesis = ledger.record(0).body
        assert isinstance(genesis, Genesis)
        if signer is not None and signer.public != ledger.engine_key:
            raise UsageError(
                "wrong-key", "this is not the key of the engine that wrote the record",
                fix="the engine.pem beside that ledger, or --unsigned",
            )  # fmt: skip
        read = whole(ledger)
        data, people, states = read.data, read.people, []
        for pack in read.packs:
            (target / "law" / f"{pack.regime.id}.json").write_text(pack.model_dump_json(indent=1, by_alias=True) + "\n")
            for kind in pack.document:
                for incident in people.incidents.values() if kind.incident else (None,):
                    document = build(pack, kind, data, people, ledger.leaf, incident)
                    states.append(document.state)
                    name = kind.id if incident is None else f"{kind.id}-{incident.number}"
                    for form, write in FORMS.items():
                        (target / "documents" / f"{name}.{form}").write_text(write(document), encoding="utf-8")
        _exchange(target, ledger, read, signer)
    (target / "report.html").write_text(html.page(data, plots=False), encoding="utf-8")
    (target / "verify.py").write_text(verifier(), encoding="utf-8")
    (target / "README.txt").write_text(
        README.format(
            system=data.system, origin=data.origin, size=data.size, root=data.root,
            engine=base64.b64decode(genesis.engine_key).hex(),
        )
    )  # fmt: skip
    (target / "WITHHELD.txt").write_text(_withhold(target / "record" / "content", public, withhold))
    listed = _manifest(target)
    (target / MANIFEST).write_text(listed, encoding="ascii")
    digest = hashlib.sha256(listed.encode()).hexdigest()
    if signer is not None:
        note = sign_note(f"{FORM}\n{data.origin}\n{digest}\n", data.origin, signer)
        (target / SEAL).write_text(note, encoding="utf-8")
    return Made(listed.count("\n"), digest, states.count("draft"), states.count("complete"))


def _exchange(target: Path, ledger: Ledger, read: Whole, signer: Signer | None) -> None:
    """What other tools read: OSCAL, and each release's provenance, signed where the bundle is."""
    (target / "oscal").mkdir()
    for name, text in written(measures(), cover(measures(), read.case), read.data, ledger.record).items():
        (target / "oscal" / name).write_text(text, encoding="utf-8")
    (target / "provenance").mkdir()
    try:
        found = read.releases.traces
    except IntegrityError as error:  # the rest of the bundle shows what is wrong with such a record
        (target / "provenance" / "NOT-MADE.txt").write_text(f"{error.what}\n", encoding="utf-8")
        return
    for trace in found:
        payload = provenance.statement(trace)
        made = payload if signer is None else provenance.signed(payload, signer)
        (target / "provenance" / f"release-{trace.release.release}.json").write_bytes(made)


def verifier() -> str:
    """The verifier as one file that needs nothing beside it: its signatures' part is copied in."""
    folder = resources.files("festina.report.bundle")
    own = folder.joinpath("verify.py").read_text(encoding="utf-8")
    part = folder.joinpath("ed25519.py").read_text(encoding="utf-8")
    line = "from festina.report.bundle.ed25519 import all_signed, signed\n"
    assert own.count(line) == 1  # a test runs the result
    return own.replace(line, part[part.index("import hashlib\n") :])


def _withhold(folder: Path, public: bool, withhold: Mapping[str, str]) -> str:
    """Take contents out of the copy; the list of what was taken out, and on which ground."""
    lines = ["salts and values of sealed fields: left out of a public copy"] if public else []
    for digest, ground in sorted(withhold.items()):
        path = folder / digest
        if not path.is_file():
            raise UsageError(
                "no-such-content", f"the record holds no content {digest[:16]}…", fix="festina ledger show names them"
            )
        path.unlink()
        lines.append(f"{digest}: {' '.join(ground.split())}")
    return "\n".join(lines or ["nothing was left out of this copy"]) + "\n"


def _manifest(folder: Path) -> str:
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in found)
