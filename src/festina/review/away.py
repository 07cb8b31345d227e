"""Steps of a review that a person signs away from the system: one file out, one statement back.  # T-1, R-1

For reviewers who can neither read nor write the engine's home. The statement is DSSE over the step's canonical JSON,
which names the review by its binding, so that it fits no other ledger; what it may do is decided where it is brought
in, like any other step, and it counts once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.signing import LocalKey, keyid, pae, verify

FORMAT = "festina-review-1"
MOST_BYTES = 8 << 20  # of a file that somebody brings
Signable = e.ReviewClassified | e.ReviewDecided | e.ReviewWithdrawn
TYPE = "application/vnd.festina.review-step+json"
KINDS: dict[str, type[Signable]] = {
    kind.kind: kind for kind in (e.ReviewClassified, e.ReviewDecided, e.ReviewWithdrawn)
}


def signed(body: Signable, key: LocalKey) -> e.ReviewBrought:
    """The step with its author's signature."""
    text = canonical({"step": body.kind, "body": body.model_dump(mode="json", exclude_unset=True)}).decode()
    sig = base64.b64encode(key.sign(pae(TYPE, text.encode()))).decode()
    step: Any = body.kind
    return e.ReviewBrought(step=step, statement=text, keyid=key.keyid, sig=sig)


def checked(brought: e.ReviewBrought, keys: Mapping[str, bytes]) -> Signable:
    """The step inside, if the named reviewer signed it. Raises ``UsageError`` where it is not what it says."""
    try:
        said = parse_strict(brought.statement.encode(), max_bytes=4_000, max_depth=4)
        assert isinstance(said, dict)
        kind = KINDS[str(said["step"])]
        body = kind.model_validate_json(canonical(said["body"]))
    except (IntegrityError, UsageError, ValidationError, AssertionError, KeyError, TypeError, ValueError):
        what = "this is no signed step of a review"
        raise UsageError("bad-statement", what, fix="festina review sign FILE") from None
    public = keys.get(body.reviewer)
    if said["step"] != brought.step or public is None or keyid(public) != brought.keyid:
        raise UsageError("not-enrolled", f"'{body.reviewer}' is not enrolled with that key", fix="festina reviewer add")
    sig = base64.b64decode(brought.sig)
    once = base64.b64encode(sig).decode() == brought.sig  # another spelling would count a second time
    if not once or not verify(public, sig, pae(TYPE, brought.statement.encode())):
        raise UsageError("bad-signature", f"{body.reviewer}'s signature does not match the statement", fix="sign anew")
    return body


def names(body: Signable) -> str:
    """The digest of the text that a step names."""
    return body.cite if isinstance(body, e.ReviewClassified) else body.reason


def packed(terms: e.ReviewRequested, reviewer: str, page: Mapping[str, object]) -> bytes:
    """The file for one person: the request's terms and a page, as JSON."""
    whole = {"format": FORMAT, "terms": terms.model_dump(mode="json", exclude_unset=True), "reviewer": reviewer, **page}
    return json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n"


def unpacked(data: bytes) -> tuple[e.ReviewRequested, str, dict[str, Any]]:
    """(terms, reviewer, the whole) of a file that ``packed`` wrote; its patch checked against the terms.  # R-1

    Raises ``UsageError`` for anything else. Whether the terms are the ledger's shows when a statement is brought in.
    """
    try:
        whole = json.loads(data[:MOST_BYTES])
        terms = e.ReviewRequested.model_validate_json(json.dumps(whole["terms"]))
        patch, reviewer = str(whole["patch"]), str(whole["reviewer"])
        if whole["format"] != FORMAT:
            raise ValueError
        right = hashlib.sha256(patch.encode("utf-8", "surrogateescape")).hexdigest() == terms.patch
    except (ValidationError, KeyError, TypeError, ValueError, RecursionError):
        what = "this is no file of `festina review export`"
        raise UsageError("no-review-file", what, fix="ask for it again") from None
    if not right:
        raise IntegrityError("review-patch-differs", "the patch in this file is not the one that its terms name")
    return terms, reviewer, whole


def written(brought: e.ReviewBrought, text: bytes) -> bytes:
    """A signed statement as a file: the entry, and the text that it names by its digest."""
    row = {"format": FORMAT, "signed": brought.model_dump(mode="json"), "text": text.decode()}
    return json.dumps(row, indent=1, sort_keys=True).encode() + b"\n"


def read(data: bytes) -> tuple[e.ReviewBrought, bytes]:
    """What ``written`` wrote."""
    try:
        whole = json.loads(data[:MOST_BYTES])
        if whole["format"] != FORMAT:
            raise ValueError
        return e.ReviewBrought.model_validate_json(json.dumps(whole["signed"])), str(whole["text"]).encode()
    except (ValidationError, KeyError, TypeError, ValueError, RecursionError):
        raise UsageError("no-statement", "this is no file of `festina review sign`", fix="sign it again") from None
