"""Cosignatures and the protocol: a published checkpoint of a public log, and what hostile requests come to.  # L-2"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError, UsageError
from festina.ledger.checkpoint import Checkpoint, make, open_note, parse_vkey, vkey
from festina.ledger.cosignature import WitnessKey, cosign, cosigned, joined, witness_key
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.signing import LocalKey
from festina.system.fields import a_witness_key
from festina.witness.protocol import Answer, Latest, Request, judge, origin_of, parse, render

# A checkpoint of a public Certificate Transparency log, cosigned by a public witness of others' making.
LOG = "arche2025h1.staging.ct.transparency.dev"
LOG_KEY = f"{LOG}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
PUBLISHED = f"""\
{LOG}
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— {LOG} ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden \
2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— remora.n621.de \
2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
"""

ORIGIN = "festina.local/toy-00000001"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalKey, LocalKey]:
    """(a log's, a witness's)"""
    place = tmp_path_factory.mktemp("keys")
    return LocalKey.create(place / "log", "engine"), LocalKey.create(place / "w", "witness")


def tree_of(*leaves: bytes) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


def note_of(tree: Tree, size: int, key: LocalKey, origin: str = ORIGIN) -> str:
    return make(origin, size, tree.root_at(size), key)


LONG = tree_of(*(b"%d" % n for n in range(40)))


def test_L2_a_published_cosignature_of_others_holds_and_with_one_digit_changed_it_does_not() -> None:
    witness = witness_key(REMORA)
    assert witness.text == REMORA
    assert a_witness_key(REMORA) == REMORA
    assert cosigned(PUBLISHED, [witness]) == (("remora.n621.de", 0x6A122120),)
    open_note(PUBLISHED, *parse_vkey(LOG_KEY))
    with pytest.raises(IntegrityError, match="remora"):
        cosigned(PUBLISHED.replace("1432088532", "1432088533"), [witness])


@pytest.mark.parametrize(
    "text",
    ["", "remora.n621.de", REMORA[:-4], REMORA.replace("da77", "da78"), REMORA.replace("+BO", "+AO"), LOG_KEY,
     REMORA.replace("remora", "re mora")],
)  # fmt: skip
def test_L2_a_key_that_was_not_copied_in_full_is_refused_in_code_and_manifest(text: str) -> None:
    with pytest.raises(UsageError):
        witness_key(text)
    with pytest.raises(ValueError, match="key"):
        a_witness_key(text)


def test_L2_lines_of_unknown_keys_are_left_out_and_a_forged_one_of_a_known_key_is_an_error(
    keys: tuple[LocalKey, LocalKey],
) -> None:
    log, own = keys
    note = note_of(LONG, 7, log)
    text = note.split("\n\n")[0] + "\n"
    known = WitnessKey("w.example/1", own.public)
    line, other = cosign(text, "w.example/1", own, 1_800_000_000), cosign(text, "w.example/2", own, 1_800_000_000)
    assert joined(note, other + line, [known]) == note + line
    assert cosigned(joined(note, line, [known]), [known]) == (("w.example/1", 1_800_000_000),)
    later = cosign(text, "w.example/1", log, 1_800_000_001).replace(other[:20], "")
    forged = line[:30] + ("A" if line[30] != "A" else "B") + line[31:]
    for bad in (forged, "no line at all\n", ""):
        with pytest.raises(IntegrityError):
            joined(note, bad, [known])
    assert joined(note, later, [known]) == note  # another key under the same name is nobody's


def test_L2_a_witness_cosigns_what_continues_and_nothing_else(keys: tuple[LocalKey, LocalKey]) -> None:
    log, stranger = keys
    kept = Latest(10, LONG.root_at(10))
    proof = tuple(LONG.consistency_proof(10, 25))

    def ask(
        note: str, old: int = 10, hashes: tuple[bytes, ...] = proof, latest: Latest | None = kept, *, known: bool = True
    ) -> Answer | Checkpoint:
        return judge(Request(old, hashes, note), ORIGIN, log.public if known else None, latest)

    def refused(found: Answer | Checkpoint) -> tuple[int, str, bool]:
        assert isinstance(found, Answer)
        return found.status, found.body if found.status == 409 else "", found.fork

    good = note_of(LONG, 25, log)
    assert ask(good) == Checkpoint(ORIGIN, 25, LONG.root_at(25))
    assert ask(note_of(LONG, 25, log), 0, (), None) == Checkpoint(ORIGIN, 25, LONG.root_at(25))
    assert ask(note_of(LONG, 10, log), 10, ()) == Checkpoint(ORIGIN, 10, LONG.root_at(10))  # the same once more
    assert refused(ask(good, known=False)) == (404, "", False)
    assert refused(ask(note_of(LONG, 25, stranger))) == (403, "", False)
    assert refused(ask(note_of(LONG, 9, log), 10)) == (400, "", False)
    assert refused(ask(note_of(LONG, 9, log), 9, ())) == (409, "10\n", False)  # rolled back
    assert refused(ask(good, 0, ())) == (409, "10\n", False)
    other = tree_of(*(b"x%d" % n for n in range(40)))
    assert refused(ask(note_of(other, 10, log), 10, ())) == (409, "10\n", True)  # two histories, one key
    assert refused(ask(note_of(other, 10, log), 0, ())) == (409, "10\n", True)
    assert refused(ask(note_of(other, 25, log))) == (422, "", False)
    assert refused(ask(good, hashes=proof[:-1])) == (422, "", False)
    assert refused(ask(good, 0, proof, None)) == (422, "", False)  # a first checkpoint has no proof


@given(
    st.integers(0, 10**17),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=60),
)
def test_L2_a_request_reads_back_as_it_was_written(old: int, proof: list[bytes], tail: str) -> None:
    request = Request(old, tuple(proof), f"{ORIGIN}\n{tail}")
    assert parse(render(request)) == request
    assert origin_of(request) == ORIGIN


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.builds(lambda a, b: b"old " + a + b"\n\n" + b, st.binary(max_size=9), st.binary()))
def test_L2_hostile_bytes_are_a_request_in_its_one_spelling_or_an_error(data: bytes) -> None:
    try:
        request = parse(data)
    except IntegrityError:
        return
    assert render(request) == data


def test_L2_a_key_reads_back_and_a_log_is_no_witness(keys: tuple[LocalKey, LocalKey]) -> None:
    assert parse_vkey(vkey(ORIGIN, keys[0].public)) == (ORIGIN, keys[0].public)
    with pytest.raises(UsageError, match="witness"):
        witness_key(vkey(ORIGIN, keys[0].public))


def test_L2_every_line_of_a_known_key_has_to_hold_also_a_second_one(keys: tuple[LocalKey, LocalKey]) -> None:
    log, own = keys
    note = note_of(LONG, 7, log)
    known = WitnessKey("w.example/1", own.public)
    good = cosign(note.split("\n\n")[0] + "\n", known.name, own, 5)
    bad = cosign("another text\n", known.name, own, 6)
    assert cosigned(note + good, [known])
    with pytest.raises(IntegrityError):
        cosigned(note + good + bad, [known])
