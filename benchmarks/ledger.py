"""How fast the ledger is, each number beside a peer measured in the same run.

    python benchmarks/ledger.py [--entries 100000] [--json FILE]

Peers do the least that could be called the same job: bare Ed25519 signatures, bare SQLite inserts, bare fsync,
bare hashing. ``ratio`` is ours / peer (1.0: as fast as the peer). CPU microseconds an entry are given beside the wall
rates, because a shared machine stretches these. Targets: the spine's (appends 2,000/s in batches, 100 durable/s, full
check 5,000/s, opening 100,000 entries under 5 s).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from festina.ledger.audit import verify
from festina.ledger.entries import BatchEnded, BatchStarted, Body, Genesis, TestOpened, Verdict
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey

BATCH = 500
OID = "1" * 40


@dataclass(frozen=True)
class Timing:
    count: int
    wall_s: float
    cpu_s: float  # of this process and its finished children

    @property
    def rate(self) -> float:
        return self.count / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.count * 1e6


@dataclass(frozen=True)
class Row:
    what: str
    ours: Timing
    peer: Timing
    peer_is: str
    target: float  # per second
    limited_by: str

    @property
    def ratio(self) -> float:
        return self.ours.rate / self.peer.rate


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(count: int, act: Callable[[], object]) -> Timing:
    wall, spent = time.perf_counter(), cpu()
    act()
    return Timing(count, time.perf_counter() - wall, cpu() - spent)


def bodies(count: int) -> list[Body]:
    """Tests of four entries each, as the loop writes them: plan, batch, evidence of 20 units, verdict."""
    found: list[Body] = []
    for test in range((count + 3) // 4):
        found += [
            TestOpened(
                test=test, proposal=test, tree=OID, base_commit=OID, anchor_tree=OID, level=0.01, block=0,
                units_max=100, units_min_accept=5,
            ),
            BatchStarted(test=test, batch=0, attempt=0, units=20, trials=40, items=800, seeds="a" * 64),
            BatchEnded(
                test=test, batch=0, gain=tuple((n * 37 % 100) / 1000 for n in range(20)), guards=((0.001,) * 20,),
                candidate_mean=0.5, incumbent_mean=0.45, failed=0, denied=0, details="b" * 64,
            ),
            Verdict(
                test=test, proposal=test, tree=OID, base_commit=OID, verdict="inconclusive", reason="cap",
                sentence="no difference was shown on 800 hidden items", units=20, items=800, estimate=0.01,
                interval=(-0.01, 0.03), log_evidence=1.0, log_threshold=4.6, guard_evidence=(0.5,), alpha_spent=0.01,
                alpha_left=0.04, public_gain=None, assurance="hidden", provisional=False,
            ),
        ]  # fmt: skip
    return found[:count]


class Bench:
    def __init__(self, place: Path, entries: int) -> None:
        self.place, self.entries = place, entries
        self.path = place / "ledger.db"
        self.engine = LocalKey.create(place / "engine.pem", "engine")
        self.verifier = LocalKey.create(place / "verifier.pem", "verifier")
        self.signers = {"engine": self.engine, "verifier": self.verifier}
        genesis = Genesis(
            origin="festina.local/benchmark", system="benchmark", alpha=0.05, demo=True, version="0", schema_number=1,
            engine_key=base64.b64encode(self.engine.public).decode(),
            verifier_key=base64.b64encode(self.verifier.public).decode(),
        )  # fmt: skip
        Ledger.create(self.path, genesis, signers=self.signers).close()

    def envelopes(self, path: Path) -> list[bytes]:
        with Ledger.open(path, readonly=True) as ledger:
            return [record.envelope for record in ledger.records()]

    def bulk(self) -> Row:
        drafts = [Draft(body) for body in bodies(self.entries)]
        with Ledger.open(self.path, signers=self.signers) as ledger:

            def ours() -> None:
                for start in range(0, len(drafts), BATCH):
                    ledger.append(drafts[start : start + BATCH], durable=False)

            timing = measure(len(drafts), ours)
        rows = self.envelopes(self.path)[: 20 * BATCH]

        def peer() -> None:
            db = self.bare("bulk.db", "NORMAL")
            for start in range(0, len(rows), BATCH):
                db.execute("BEGIN IMMEDIATE")
                for data in rows[start : start + BATCH]:
                    self.engine.sign(data)
                    db.execute("INSERT INTO entry (envelope) VALUES (?)", (data,))
                db.execute("COMMIT")
            db.close()

        return Row(
            f"append, batches of {BATCH}", timing, measure(len(rows), peer), "Ed25519 signature and SQLite insert each",
            2_000, "JSON and signature per entry; SQLite takes a tenth",
        )  # fmt: skip

    def bare(self, name: str, synchronous: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.place / name, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT")
        return db

    def durable(self) -> Row:
        path, count = self.place / "durable.db", 300
        with Ledger.open(self.path, readonly=True) as ledger:
            genesis = ledger.genesis
        drafts = [Draft(body) for body in bodies(count)]
        with Ledger.create(path, genesis, signers=self.signers) as ledger:
            timing = measure(count, lambda: [ledger.append([draft]) for draft in drafts])
        rows = self.envelopes(path)[1:]

        def peer() -> None:
            db = self.bare("single.db", "FULL")
            for data in rows:
                db.execute("INSERT INTO entry (envelope) VALUES (?)", (data,))
            db.close()

        return Row(
            "append, one durable decision", timing, measure(len(rows), peer), "one SQLite commit with fsync", 100,
            "fsync: the commit's, then two to fold the log into the one file",
        )  # fmt: skip

    def check(self) -> Row:
        timing = measure(self.entries + 1, lambda: verify(self.path).ok or sys.exit("the ledger does not verify"))
        key = Ed25519PrivateKey.generate()
        public, data = key.public_key(), os.urandom(1_200)
        signature = key.sign(data)

        def peer() -> None:
            for _ in range(5_000):
                public.verify(signature, data)

        return Row(
            "verify everything", timing, measure(5_000, peer), "bare Ed25519 verification, one core", 5_000,
            "Ed25519 on the other cores, JSON and the model on this one",
        )  # fmt: skip

    def reopen(self) -> Row:
        timing = measure(self.entries + 1, lambda: Ledger.open(self.path).close())

        def peer() -> None:
            db = sqlite3.connect(self.path)
            for (data,) in db.execute("SELECT envelope FROM entry ORDER BY seq"):
                sha256(data).digest()
            db.close()

        return Row(
            f"open {self.entries:,} entries", timing, measure(self.entries + 1, peer), "read and hash each row once",
            self.entries / 5, "reading rows, and two hashes an entry",
        )  # fmt: skip

    def fold(self) -> Row:
        def ours() -> None:
            with Ledger.open(self.path, readonly=True) as ledger:
                for record in ledger.records():
                    _ = record.body

        timing = measure(self.entries + 1, ours)
        rows = self.envelopes(self.path)

        def peer() -> None:
            for data in rows:
                json.loads(base64.b64decode(json.loads(data)["payload"]))

        return Row(
            "open and fold every body", timing, measure(len(rows), peer), "bare base64 and JSON of each", 5_000,
            "JSON and pydantic",
        )  # fmt: skip


def show(rows: list[Row], entries: int) -> None:
    load = os.getloadavg()[0]
    print(f"{entries:,} entries; {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}")
    print(f"{'':32} {'per s':>9} {'target':>7} {'peer/s':>9} {'ratio':>6} {'wall s':>7} {'CPU us':>7} {'peer':>7}")
    for row in rows:
        print(
            f"{row.what:32} {row.ours.rate:9,.0f} {row.target:7,.0f} {row.peer.rate:9,.0f} {row.ratio:6.2f} "
            f"{row.ours.wall_s:7.2f} {row.ours.cpu_us:7.0f} {row.peer.cpu_us:7.0f}  "
            f"peer: {row.peer_is}; limit: {row.limited_by}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), options.entries)
        rows = [bench.bulk(), bench.durable(), bench.check(), bench.reopen(), bench.fold()]
    show(rows, options.entries)
    if options.json:
        found = [asdict(row) | {"rate": row.ours.rate, "ratio": row.ratio} for row in rows]
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
