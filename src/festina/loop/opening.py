"""Opening a system's ledger with the engine's key; made, with its first entry and its keys, where there is none."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import festina
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.ledger.signing import LocalKey
from festina.system.home import Home, latin
from festina.system.manifest import Manifest
from festina.system.repo import Repo


def name_of(repo: Repo, manifest: Manifest | None) -> str:
    """What people call the system: as declared, else after the repository's folder."""
    if manifest is not None and "name" in manifest.system.model_fields_set:
        return manifest.system.name
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in latin(repo.root.name)).strip("-")
    return plain[:64] or "system"


@contextmanager
def opened(home: Home, name: str, *, alpha: float, demo: bool | None) -> Iterator[Ledger]:
    """The ledger, made with its first entry and its keys where there is none. ``demo`` None: whichever it is."""
    engine = key_of(home, "engine")
    verifier = key_of(home, "verifier")
    if home.ledger.exists():
        ledger = Ledger.open(home.ledger, signers={"engine": engine})
        if demo is not None and ledger.genesis.demo != demo:
            ledger.close()
            raise UsageError(
                "demo-mismatch", "this ledger belongs to a demo and the run does not, or the other way round",
                fix="run the demo with `festina demo`, and your own system in its own repository",
            )  # fmt: skip
    else:
        first = e.Genesis(
            origin=home.origin, system=name, engine_key=_b64(engine.public),
            verifier_key=_b64(verifier.public), alpha=float(alpha), demo=bool(demo),
            version=festina.__version__, schema_number=e.SCHEMA,
        )  # fmt: skip
        ledger = Ledger.create(home.ledger, first, signers={"engine": engine})
    try:
        yield ledger
    finally:
        ledger.close()


def key_of(home: Home, role: e.Role) -> LocalKey:
    path = home.key(role)
    return LocalKey.load(path, role) if path.exists() else LocalKey.create(path, role)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
