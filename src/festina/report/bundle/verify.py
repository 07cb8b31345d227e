#!/usr/bin/env python3
"""Check a bundle without Festina and without a network. Python 3.9 or newer, its standard library, and this file.

    python3 verify.py [--key HEX] [--all] [FOLDER]

Checks, in this order, and names what does not hold:
  files         every file has the digest that MANIFEST.sha256 gives it, none is missing, none was added
  order         each entry of record/entries.jsonl names its number and the hash of the entry before it
  root          the Merkle tree (RFC 6962) over all entries has the root that the checkpoint signs
  checkpoint    the engine's key signed the checkpoint (Ed25519, RFC 8032)
  signatures    people's and the verifier's entries and those that a document cites; with --all every entry
  content       every stored content has the digest that names it; what an entry names and is not here is counted
  documents     every entry that a document cites exists and has the leaf hash that the document gives

--key: the engine's public key that you know from elsewhere, in hex or base64. Without it the bundle only shows that it
agrees with itself: whoever can write the whole bundle can also choose its keys.
Exit codes: 0 holds, 1 does not hold, 2 cannot be read. It shows what was recorded, by whom, in which order and
unchanged; not that it was true. It does not make the verdicts' numbers again: `festina ledger verify --verdicts` and
scripts/recount.py of Festina's source do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# -- Ed25519, as RFC 8032 defines it ---------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # x, y, z, t in extended coordinates: x/z, y/z on the curve, t = xy/z


def add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_of(raw: bytes) -> Point | None:
    """The point that 32 bytes name, or None."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def windows(point: Point) -> list[list[Point]]:
    """For each of 64 groups of four bits of a scalar: the 16 multiples of the point that it may add."""
    table = []
    for _ in range(64):
        row: list[Point] = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(add(row[-1], point))
        table.append(row)
        point = add(row[-1], point)
    return table


BASE_POINT = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert BASE_POINT is not None  # y = 4/5 is on the curve
BASE = windows(BASE_POINT)
TABLES: dict[bytes, list[list[Point]]] = {}  # of each key: a record is signed by few


def quick(scalar: int, table: list[list[Point]]) -> Point:
    total: Point = (0, 1, 1, 0)
    for row in table:
        if scalar & 15:
            total = add(total, row[scalar & 15])
        scalar >>= 4
    return total


def signed(public: bytes, signature: bytes, data: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = point_of(public), point_of(signature[:32])
    if key is not None and public not in TABLES:
        TABLES[public] = windows(key)
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + data).digest(), "little") % ORDER
    left, right = quick(s, BASE), add(r, quick(h, TABLES[public]))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# -- the record ------------------------------------------------------------------------------------------

TYPE = b"application/vnd.in-toto+json"
ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]+={0,2})","payloadType":"application/vnd\.in-toto\+json",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]{16})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)
VERIFIER = {
    "verdict", "batch-ended", "controls-checked", "control-ended", "final-scored", "crossplay-problem", "attributed",
    "public-compared", "characterised",
}  # fmt: skip
PERSON = {
    "attested", "autonomy-stepped", "control-resolved", "history-attested", "incident-classified", "incident-filed",
    "incident-opened", "incident-resolved", "renewed", "resumed", "review-classified", "review-decided",
    "review-opened", "review-withdrawn", "stated",
}  # fmt: skip


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
        self.people: dict[str, tuple[int, bytes, str]] = {}  # key id -> since which entry, key, name
        for number, (kind, said) in enumerate(zip(self.kinds, self.bodies)):  # noqa: B905 - Python 3.9 has no strict
            if kind == "reviewer-enrolled":
                key = base64.b64decode(said["body"]["key"])
                self.people.setdefault(hashlib.sha256(key).hexdigest()[:16], (number, key, said["body"]["reviewer"]))

    def signature(self, number: int) -> None:
        """Raise unless the key that this entry needs signed it."""
        payload, name, signature = self.envelopes[number]
        kind = self.kinds[number]
        owned = {hashlib.sha256(key).hexdigest()[:16]: key for key in (self.engine, self.verifier)}
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
        if not signed(key, signature, b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE, len(payload), payload)):
            raise Wrong(f"entry {number} ({kind}): its signature does not match its bytes")


def checkpoint(folder: Path, record: Record, known: bytes | None) -> str:
    """Check root and signature of the checkpoint; words about it."""
    if known is not None and known != record.engine:
        raise Wrong("the record was signed by another engine's key than the one that you know")
    note = (folder / "checkpoint.txt").read_text("utf-8")
    text, gap, tail = note.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) != 3 or lines[0] != record.origin:
        raise Wrong("the checkpoint is about another log, or is none")
    size = int(lines[1])
    if size > len(record.leaves):
        raise Wrong(
            f"the checkpoint covers {size} entries, and only {len(record.leaves)} are here: the end was cut off"
        )
    if root_of(record.leaves[:size]) != base64.b64decode(lines[2]):
        raise Wrong("the root over the entries is not the one that the checkpoint signs")
    wanted = hashlib.sha256(record.origin.encode() + b"\n\x01" + record.engine).digest()[:4]
    for line in tail.strip("\n").split("\n"):
        found = re.fullmatch(r"— (\S+) (\S+)", line)
        raw = base64.b64decode(found[2]) if found else b""
        if (
            found
            and found[1] == record.origin
            and raw[:4] == wanted
            and signed(record.engine, raw[4:], (text + "\n").encode())
        ):
            later = len(record.leaves) - size
            return f"covers {size} entries" + (f"; {later} newer entries are signed one by one" if later else "")
    raise Wrong("the engine's key did not sign the checkpoint")


# -- the bundle ------------------------------------------------------------------------------------------


def files(folder: Path) -> int:
    """Check MANIFEST.sha256 against what lies here; how many files."""
    listed: dict[str, str] = {}
    for line in (folder / "MANIFEST.sha256").read_text("utf-8").split("\n")[:-1]:
        found = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)", line)
        if found is None or ".." in found[2].split("/"):
            raise Wrong(f"MANIFEST.sha256 has a line that is none: {line[:80]!r}")
        listed[found[2]] = found[1]
    here = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    } - {"MANIFEST.sha256"}  # fmt: skip
    for name in sorted(here - listed.keys()):
        raise Wrong(f"{name} was added: MANIFEST.sha256 does not list it")
    for name, digest in sorted(listed.items()):
        if name not in here:
            raise Wrong(f"{name} is missing")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise Wrong(f"{name} was changed")
    return len(listed)


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


def check(folder: Path, known: bytes | None, everything: bool) -> Iterator[tuple[str, str]]:
    """What is being checked, and then what came of it; raises ``Wrong``."""
    yield "files", ""
    yield "ok", f"{files(folder)} files are as MANIFEST.sha256 lists them"
    yield "order", ""
    record = Record(folder / "record")
    yield "ok", f"{len(record.leaves)} entries, each follows the one before"
    yield "checkpoint", ""
    yield "ok", f"checkpoint of {record.origin} {checkpoint(folder / 'record', record, known)}"
    yield "documents", ""
    wanted = set(cited(folder, record))
    yield "ok", f"documents cite {len(wanted)} entries, each with its hash"
    yield "signatures", ""
    size = int((folder / "record" / "checkpoint.txt").read_text("utf-8").split("\n")[1])
    wanted |= {n for n, (_, name, _) in enumerate(record.envelopes) if name in record.people}
    wanted |= {n for n, kind in enumerate(record.kinds) if kind in {"genesis", "verdict", "released"} | PERSON}
    wanted |= set(range(size, len(record.leaves)))
    chosen = sorted(range(len(record.leaves)) if everything else wanted)
    for number in chosen:
        record.signature(number)
    which = "" if everything else ": people's, verdicts', those that documents cite (--all: every one)"
    yield "ok", f"{len(chosen)} signatures{which}"
    yield "content", ""
    here, missing = content(folder / "record", record)
    yield "ok", f"{here} contents; {missing} that entries name are not here" + (", see WITHHELD.txt" if missing else "")
    if known is None:
        yield "note", f"compare the engine's key with one that you know from elsewhere: --key {record.engine.hex()}"


def main(argv: list[str]) -> int:
    known: bytes | None = None
    everything = "--all" in argv
    argv = [word for word in argv if word != "--all"]
    if "--key" in argv:
        place = argv.index("--key")
        text = argv[place + 1] if place + 1 < len(argv) else ""
        hexed = re.fullmatch(r"[0-9a-fA-F]{64}", text)
        try:
            known = bytes.fromhex(text) if hexed else base64.b64decode(text, validate=True)
        except ValueError:
            known = b""
        if len(known) != 32:
            say("WRONG --key: a public key is 32 bytes, in hex or base64")
            return 2
        del argv[place : place + 2]
    at = "files"
    try:
        for word, text in check(Path(argv[0]) if argv else Path(__file__).resolve().parent, known, everything):
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
