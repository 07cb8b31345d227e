"""Who made a change that a person handed in: their own signature over it, or nobody knows.  # R-1, P-5

Author is not approver only as far as the author's name is true: with an enrolled person's signature over the patch it
is theirs, and without one it is a word that anybody may write.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from festina.ledger.canonical import canonical
from festina.ledger.signing import LocalKey, pae, verify
from festina.review.desk import author_name

TYPE = "application/vnd.festina.authorship+json"


def sign(key: LocalKey, name: str, patch: str) -> str:
    """``name`` made the patch with this digest (sha256 hex): the signature, in base64."""
    return base64.b64encode(key.sign(_said(name, patch))).decode()


def person_of(author: str) -> str | None:
    """The person's name in ``person:NAME:PATCH``, as short as records write it; None where no person is the author."""
    kind, _, rest = author.partition(":")
    return rest.partition(":")[0] if kind == "person" else None


def signed(author: str, patch: str, sig: str, keys: Mapping[str, bytes]) -> bool:
    """Whether an enrolled person of that name signed the patch. ``keys``: public keys by full name."""
    name = person_of(author)
    if name is None or not sig:
        return False
    mine = [(each, key) for each, key in keys.items() if author_name(each) == name]
    return any(verify(key, base64.b64decode(sig), _said(each, patch)) for each, key in mine)


def _said(name: str, patch: str) -> bytes:
    return pae(TYPE, canonical({"author": name, "patch": patch}))
