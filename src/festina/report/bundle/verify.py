#!/usr/bin/env python3
"""Check a bundle without Festina and without a network. Python 3.9 or newer, its standard library, and this file.

    python3 verify.py [--key HEX] [--witness KEY ...] [--manifest DIGEST] [--all] [FOLDER]

Checks, in this order, and names what does not hold:
  files         every file has the digest that MANIFEST.sha256 gives it, none is missing, none was added
  order         each entry of record/entries.jsonl names its number and the hash of the entry before it
  manifest      the engine's key signed MANIFEST.sha256, and with it every document (MANIFEST.sig)
  root          the Merkle tree (RFC 6962) over all entries has the root that the checkpoint signs
  checkpoint    the engine's key signed the checkpoint (Ed25519, RFC 8032)
  witnesses     every witness's newest cosignature (C2SP tlog-cosignature) holds, over a beginning of this record
  auditors      what an entry says that an auditor signed, that auditor signed, over a beginning of this record
  documents     every entry that a document cites exists and has the leaf hash that the document gives
  signatures    each entry names the key that may sign it; the signatures of people, of verdicts, and of whatever else
                the verifier signed and a document cites; the engine's own entries are under the checkpoint that it
                signed (--all: every signature)
  dates         an entry that is dated before the engine's last one, by more than clocks differ, is noted
  content       every stored content has the digest that names it; what an entry names and is not here is counted

--key: the engine's public key that you know from elsewhere, in hex or base64. Without it the bundle only shows that it
agrees with itself: whoever can write the whole bundle can also choose its keys.
--witness: the verifier key of a witness that must have cosigned this record; may be repeated.
--manifest: the digest of MANIFEST.sha256 that you were told; it stands in for a signature where there is none.
Exit codes: 0 holds, 1 does not hold, 2 cannot be read. It shows what was recorded, by whom, in which order and
unchanged; not that it was true. It does not make the verdicts' numbers again: `festina ledger verify --verdicts` and
scripts/recount.py of Festina's source do.
"""

from __future__ import annotations

import base64
import calendar
import gc
import hashlib
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from festina.report.bundle.ed25519 import all_signed, signed

# -- the record ------------------------------------------------------------------------------------------

TYPE = b"application/vnd.in-toto+json"
ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]+={0,2})","payloadType":"application/vnd\.in-toto\+json",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]{16})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)
VERIFIER = {
    "verdict", "batch-ended", "controls-checked", "control-ended", "final-scored", "crossplay-problem", "attributed",
    "public-compared", "characterised", "internals-compared", "soaked",
}  # fmt: skip
PERSON = {
    "attested", "autonomy-stepped", "control-resolved", "document-confirmed", "history-attested", "incident-classified",
    "incident-filed", "incident-opened", "incident-resolved", "materiality-determined", "renewed", "resumed",
    "review-classified", "review-decided", "review-opened", "review-withdrawn", "stated",
}  # fmt: skip


SKEW_S = 300  # how far the clocks of honest machines may be apart
TOGETHER = 4096  # signatures checked by one equation


class Wrong(Exception):
    """Something does not hold; the text says what."""


def leaf_of(envelope: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + envelope).digest()


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962: the largest power of two below the size on the left. Built up, so that no recursion is deep."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, leaf
        while stack and stack[-1][0] == size:
            node = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest()
            size *= 2
        stack.append((size, node))
    node = stack.pop()[1]
    while stack:
        node = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest()
    return node


class Record:
    """All entries, in order, each checked to follow the one before."""

    def __init__(self, folder: Path) -> None:
        self.leaves: list[bytes] = []
        self.bodies: list[dict[str, Any]] = []
        self.kinds: list[str] = []
        self.envelopes: list[tuple[bytes, str, bytes]] = []  # payload, key id, signature
        before = "0" * 64
        for number, line in enumerate((folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]):
            found = ENVELOPE.fullmatch(line)
            if found is None:
                raise Wrong(f"entry {number} is not an envelope in its one spelling")
            payload = base64.b64decode(found[1])
            try:
                value = json.loads(payload.decode("utf-8"))
                said = value["predicate"]
                kind = value["predicateType"].split(":")[3]
                ordered = (said["seq"], said["prev"]) == (number, before)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                raise Wrong(f"entry {number} is no statement") from None
            if not ordered:
                raise Wrong(f"entry {number} ({kind}) does not follow the entry before it: dropped, moved or replaced")
            self.leaves.append(leaf_of(line))
            self.bodies.append(said)
            self.kinds.append(kind)
            self.envelopes.append((payload, found[2].decode(), base64.b64decode(found[3])))
            before = self.leaves[-1].hex()
        if not self.kinds or self.kinds[0] != "genesis":
            raise Wrong("the record does not begin with its genesis entry")
        first = self.bodies[0]["body"]
        self.origin = first["origin"]
        self.engine, self.verifier = base64.b64decode(first["engine_key"]), base64.b64decode(first["verifier_key"])
        self.owned = {hashlib.sha256(key).hexdigest()[:16]: key for key in (self.engine, self.verifier)}
        self.people: dict[str, tuple[int, bytes, str]] = {}  # key id -> since which entry, key, name
        for number, (kind, said) in enumerate(zip(self.kinds, self.bodies)):  # noqa: B905 - Python 3.9 has no strict
            if kind == "reviewer-enrolled":
                key = base64.b64decode(said["body"]["key"])
                self.people.setdefault(hashlib.sha256(key).hexdigest()[:16], (number, key, said["body"]["reviewer"]))

    def claim(self, number: int) -> tuple[bytes, bytes, bytes]:
        """(key, signature, data) that must hold. Raises where another key than this entry needs is named."""
        payload, name, signature = self.envelopes[number]
        kind, owned = self.kinds[number], self.owned
        if name in self.people and name not in owned:
            since, key, person = self.people[name]
            if kind not in PERSON:
                raise Wrong(f"entry {number} ({kind}) is signed by {person}, and no person may sign that")
            if since >= number:
                raise Wrong(f"entry {number} ({kind}) is signed by {person} before {person} was enrolled")
            said = self.bodies[number]["body"].get("reviewer", person)
            if said != person:
                raise Wrong(f"entry {number} ({kind}) is signed by {person} in the name of {said}")
        elif name in owned:
            key = owned[name]
            if kind in PERSON:
                raise Wrong(f"entry {number} ({kind}) is a person's act, and no person signed it")
            if (kind in VERIFIER) != (key == self.verifier):
                raise Wrong(f"entry {number} ({kind}) is signed by the wrong key")
        else:
            raise Wrong(f"entry {number} ({kind}) is signed by a key that nobody introduced")
        return key, signature, b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE, len(payload), payload)

    def signature(self, number: int) -> None:
        """Raise unless the key that this entry needs signed it."""
        if not signed(*self.claim(number)):
            raise Wrong(f"entry {number} ({self.kinds[number]}): its signature does not match its bytes")

    def signatures(self, numbers: list[int]) -> None:
        """The same for many, key by key; names the first that does not hold."""
        by_key: dict[bytes, list[int]] = {}
        for number in numbers:
            by_key.setdefault(self.claim(number)[0], []).append(number)
        for key, mine in by_key.items():
            for start in range(0, len(mine), TOGETHER):
                some = mine[start : start + TOGETHER]
                if len(some) < 8 or not all_signed(key, [self.claim(number)[1:] for number in some]):
                    for number in some:
                        self.signature(number)


def lines_of(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A signed note's text and, per signature line, name and bytes."""
    text, gap, tail = note.rpartition("\n\n")
    rows = []
    for line in tail.rstrip("\n").split("\n"):
        found = re.fullmatch(r"— (\S+) (\S+)", line)
        if not gap or found is None:
            raise Wrong("a signed note that is none")
        raw = base64.b64decode(found[2])
        if base64.b64encode(raw).decode() != found[2]:  # another spelling of the same bytes
            raise Wrong("a signed note in another spelling than its own")
        rows.append((found[1], raw))
    return text + "\n", rows


def key_hash(name: str, kind: bytes, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def by_engine(note: str, record: Record) -> str | None:
    """The note's text where the engine's key signed it."""
    text, rows = lines_of(note)
    wanted = key_hash(record.origin, b"\x01", record.engine)
    for name, raw in rows:
        if name == record.origin and raw[:4] == wanted and signed(record.engine, raw[4:], text.encode()):
            return text
    return None


def checkpoint(folder: Path, record: Record) -> str:
    """Check root and signature of the checkpoint; words about it."""
    text, _ = lines_of((folder / "checkpoint.txt").read_text("utf-8"))
    size = covered(text, record, "the checkpoint")
    if by_engine((folder / "checkpoint.txt").read_text("utf-8"), record) is None:
        raise Wrong("the engine's key did not sign the checkpoint")
    later = len(record.leaves) - size
    return f"covers {size} entries" + (f"; {later} newer entries are signed one by one" if later else "")


def covered(text: str, record: Record, what: str) -> int:
    """Entries under a checkpoint's text, whose root they must have."""
    lines = text[:-1].split("\n")
    if len(lines) != 3 or lines[0] != record.origin:
        raise Wrong(f"{what} is about another log, or is none")
    size = int(lines[1])
    if size > len(record.leaves):
        raise Wrong(f"{what} covers {size} entries, and only {len(record.leaves)} are here: the end was cut off")
    if root_of(record.leaves[:size]) != base64.b64decode(lines[2]):
        raise Wrong(f"the root over the entries is not the one that {what} signs")
    return size


def witnesses(folder: Path, record: Record, demanded: list[str]) -> Iterator[str]:
    """Words about the newest cosignature of each witness; raises for one that does not hold, or is missing."""
    newest: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {}
    for number, kind in enumerate(record.kinds):
        if kind == "witnessed":
            body = record.bodies[number]["body"]
            newest.update({each["key"]: (number, body, each) for each in body["by"]})
    for key in demanded:
        if key not in newest:
            raise Wrong(f"{key.partition('+')[0]} cosigned nothing here with the key that you gave")
    for key, (number, body, by) in sorted(newest.items()):
        path = folder / "content" / body["note"]
        if not path.is_file():
            raise Wrong(f"entry {number} names a cosigned checkpoint that is not here")
        note = path.read_text("utf-8")
        text, rows = lines_of(note)
        size = covered(text, record, f"what {by['name']} cosigned (entry {number})")
        name, public = by["name"], base64.b64decode(key.split("+", 2)[2])[1:]
        wanted = key_hash(name, b"\x04", public)
        data = b"cosignature/v1\ntime %d\n%s" % (by["at"], text.encode())
        stamp = by["at"].to_bytes(8, "big")
        good = any(
            (who, raw[:12]) == (name, wanted + stamp) and signed(public, raw[12:], data) for who, raw in rows
        )  # fmt: skip
        if not good or key.split("+")[:2] != [name, wanted.hex()] or by_engine(note, record) is None:
            raise Wrong(f"entry {number} claims a cosignature of {name} that does not hold")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(by["at"]))
        yield f"{name} saw its first {size} entries at {at}, by its own clock"


def auditors(folder: Path, record: Record) -> Iterator[str]:
    """Words about what auditors signed; raises for what they did not."""
    keys: dict[str, bytes] = {}
    for number, (kind, said) in enumerate(zip(record.kinds, record.bodies)):  # noqa: B905 - Python 3.9 has no strict
        body = said["body"]
        if kind == "auditor-enrolled":
            keys.setdefault(body["auditor"], base64.b64decode(body["key"]))
        if kind != "audit-received" or not (folder / "content" / body["note"]).is_file():
            continue
        name, size = body["auditor"], body["size"]
        text, rows = lines_of((folder / "content" / body["note"]).read_text("utf-8"))
        root = base64.b64encode(root_of(record.leaves[:size])).decode()
        about, opinion = "-" if body["entry"] is None else body["entry"], body["opinion"] or "-"
        wanted = f"festina-audit/v1\n{record.origin}\n{size}\n{root}\n{about}\n{opinion}\n{body['text']}\n"
        key = keys.get(name, b"")
        good = rows[0][0] == name and rows[0][1][:4] == key_hash(name, b"\x01", key) and size <= number
        if text != wanted or not good or not signed(key, rows[0][1][4:], text.encode()):
            raise Wrong(f"entry {number} claims a statement of the auditor {name} that does not hold")
        yield f"{name}: {opinion if body['opinion'] else 'a note'} on the first {size} entries (entry {number})"


# -- the bundle ------------------------------------------------------------------------------------------


def files(folder: Path) -> int:
    """Check MANIFEST.sha256 against what lies here; how many files."""
    raw = (folder / "MANIFEST.sha256").read_bytes()
    sealed = sealed_digest(folder)
    if sealed is not None and sealed != hashlib.sha256(raw).hexdigest():
        raise Wrong("MANIFEST.sha256 or MANIFEST.sig was changed: the one does not name the other")
    listed: dict[str, str] = {}
    for line in raw.decode("utf-8").split("\n")[:-1]:
        found = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)", line)
        if found is None or ".." in found[2].split("/"):
            raise Wrong(f"MANIFEST.sha256 has a line that is none: {line[:80]!r}")
        listed[found[2]] = found[1]
    here = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    } - {"MANIFEST.sha256", "MANIFEST.sig"}  # fmt: skip
    for name in sorted(here - listed.keys()):
        raise Wrong(f"{name} was added: MANIFEST.sha256 does not list it")
    for name, digest in sorted(listed.items()):
        if name not in here:
            raise Wrong(f"{name} is missing")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise Wrong(f"{name} was changed")
    return len(listed)


SEAL = "festina-bundle/v1"


def sealed_digest(folder: Path) -> str | None:
    """The digest of MANIFEST.sha256 that MANIFEST.sig names, its signature not checked; None where there is none."""
    path = folder / "MANIFEST.sig"
    if not path.is_file():
        return None
    found = re.match(rf"{SEAL}\n[^\n]+\n([0-9a-f]{{64}})\n\n", path.read_bytes().decode("utf-8", "replace"))
    if found is None:
        raise Wrong("MANIFEST.sig was changed: it names no manifest")
    return found[1]


def manifest(folder: Path, record: Record, told: str | None) -> str:
    """Who vouches for the list of files; words about it."""
    digest = hashlib.sha256((folder / "MANIFEST.sha256").read_bytes()).hexdigest()
    if told is not None and told != digest:
        raise Wrong(f"its digest is {digest}, not the one that you were told")
    path = folder / "MANIFEST.sig"
    if path.is_file():
        try:
            text = by_engine(path.read_text("utf-8"), record)
        except (ValueError, Wrong):  # no text, no note, or no base64
            text = None
        if text != f"{SEAL}\n{record.origin}\n{digest}\n":
            raise Wrong("MANIFEST.sig was changed, or another key than the record's engine signed it")
        return "MANIFEST.sha256, and with it every file here, is signed by the engine's key"
    if told is None:
        raise Wrong("nobody signed MANIFEST.sha256 (MANIFEST.sig is missing): --manifest DIGEST, if you were told it")
    return "MANIFEST.sha256 is the one that you were told; nobody signed it"


def dates(record: Record) -> Iterator[str]:
    """Words about entries that are dated before the engine's last one: back-dated, or a clock that jumped."""
    last = ""
    for number, (kind, said) in enumerate(zip(record.kinds, record.bodies)):  # noqa: B905 - Python 3.9 has no strict
        at = said["at"]
        if at < last and _seconds(last) - _seconds(at) > SKEW_S:
            yield f"entry {number} ({kind}) says {at}, and entries before it {last}: back-dated, or a clock jumped"
        if kind not in PERSON:
            last = at


def _seconds(at: str) -> int:
    return calendar.timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S"))


def content(folder: Path, record: Record) -> tuple[int, int]:
    """How many contents are here, and how many that entries name are not."""
    here = set()
    for path in sorted((folder / "content").iterdir()):
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            raise Wrong(f"record/content/{path.name} is not what its name says")
        here.add(path.name)
    named = {digest for said in record.bodies for digest in said["content"]}
    return len(here & named), len(named - here)


def cited(folder: Path, record: Record) -> Iterator[int]:
    """The entries that documents cite, each compared with the leaf hash that the document gives."""
    for path in sorted((folder / "documents").glob("*.json")):
        for number, leaf in json.loads(path.read_text("utf-8"))["proofs"]:
            if not 0 <= number < len(record.leaves) or record.leaves[number].hex() != leaf:
                raise Wrong(f"documents/{path.name} cites entry {number} with a hash that is not that entry's")
            yield number


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def check(folder: Path, asked: Asked) -> Iterator[tuple[str, str]]:
    """What is being checked, and then what came of it; raises ``Wrong``."""
    yield "files", ""
    yield "ok", f"{files(folder)} files are as MANIFEST.sha256 lists them"
    yield "order", ""
    record = Record(folder / "record")
    yield "ok", f"{len(record.leaves)} entries, each follows the one before"
    yield "manifest", ""
    if asked.key is not None and asked.key != record.engine:
        raise Wrong("the record was signed by another engine's key than the one that you know")
    yield "ok", manifest(folder, record, asked.manifest)
    yield "checkpoint", ""
    yield "ok", f"checkpoint of {record.origin} {checkpoint(folder / 'record', record)}"
    yield "witnesses", ""
    seen = list(witnesses(folder / "record", record, asked.witnesses))
    for words in seen:
        yield "ok", words
    yield "auditors", ""
    for words in auditors(folder / "record", record):
        yield "ok", words
    yield "documents", ""
    wanted = set(cited(folder, record))
    yield "ok", f"documents cite {len(wanted)} entries, each with its hash"
    yield "signatures", ""
    size = int((folder / "record" / "checkpoint.txt").read_text("utf-8").split("\n")[1])
    others = [n for n in range(len(record.kinds)) if record.claim(n)[0] != record.engine]
    wanted |= {n for n in others if record.kinds[n] in {"verdict"} | PERSON}
    wanted = wanted & set(others) | set(range(size, len(record.kinds)))
    chosen = sorted(range(len(record.kinds)) if asked.everything else wanted)
    record.signatures(chosen)
    which = "" if asked.everything else ": people's, verdicts', the verifier's that documents cite (--all: every one)"
    yield "ok", f"each entry names the key that may sign it; {len(chosen)} signatures{which}"
    yield "dates", ""
    for words in itertools.islice(dates(record), 20):
        yield "note", words
    yield "content", ""
    here, missing = content(folder / "record", record)
    yield "ok", f"{here} contents; {missing} that entries name are not here" + (", see WITHHELD.txt" if missing else "")
    if asked.key is None:
        yield "note", f"compare the engine's key with one that you know from elsewhere: --key {record.engine.hex()}"
    if not seen:
        yield "note", "no witness saw this record: whoever holds the engine's key could have written it anew"


class Asked:
    """The words of the command line. Raises ``Wrong`` for those that are none."""

    def __init__(self, words: list[str]) -> None:
        self.everything = False
        self.key: bytes | None = None
        self.manifest: str | None = None
        self.witnesses: list[str] = []
        self.folder = Path(__file__).resolve().parent
        words = list(words)
        while words:
            word = words.pop(0)
            if word == "--all":
                self.everything = True
            elif word in ("--key", "--manifest", "--witness"):
                self._value(word, words.pop(0) if words else "")
            elif word.startswith("-"):
                raise Wrong(f"there is no {word}: --key, --witness, --manifest, --all, or a folder")
            else:
                self.folder = Path(word)

    def _value(self, word: str, text: str) -> None:
        hexed = re.fullmatch(r"[0-9a-fA-F]{64}", text)
        if word == "--witness":
            self.witnesses.append(text)
        elif word == "--manifest":
            if not hexed:
                raise Wrong("--manifest: a digest is 64 hex digits")
            self.manifest = text.lower()
        else:
            try:
                self.key = bytes.fromhex(text) if hexed else base64.b64decode(text, validate=True)
            except ValueError:
                self.key = b""
            if len(self.key) != 32:
                raise Wrong("--key: a public key is 32 bytes, in hex or base64")


def main(argv: list[str]) -> int:
    gc.disable()  # a hundred thousand entries are kept to the end, and looking through them again takes seconds
    try:
        asked = Asked(argv)
    except Wrong as wrong:
        say(f"WRONG {wrong}")
        return 2
    at = "files"
    try:
        for word, text in check(asked.folder, asked):
            if text:
                say(f"{word:5} {text}")
            else:
                at = word
    except Wrong as wrong:
        say(f"WRONG {at}: {wrong}")
        return 1
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        say(f"WRONG {at}: cannot be read: {error}")
        return 2
    say("note  it shows what was recorded, by whom, in which order and unchanged; not that it was true")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
