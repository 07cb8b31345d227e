"""How long documents, a bundle, its verifier and the whole check take on a long record.

    python benchmarks/documents.py [--entries 100000] [--ledger FILE] [--document ID ...] [--json FILE]

The record is that of ``benchmarks/web.py``: real entries, really signed, in an order that a real engine would write.
Every command runs as a process of its own, as people run it; shown are its processor time (all its processes) and what
the clock said, which a busy machine stretches. Targets (issue of the documents): a document 10 s, a bundle's check 5 s.
Before them the floor: the same entries read, hashed, parsed as JSON and their signatures checked, and nothing done with
them, in this one process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from festina.ledger.audit import reading  # noqa: E402
from festina.ledger.collecting import uncollected  # noqa: E402
from festina.ledger.log import Ledger  # noqa: E402
from festina.ledger.merkle import leaf_hash  # noqa: E402
from festina.ledger.signing import verify  # noqa: E402
from festina.ledger.statement import decode  # noqa: E402
from festina.report.law.packs import load  # noqa: E402
from web import record  # noqa: E402

DOCUMENT_S, BUNDLE_S = 10.0, 5.0


def timed(name: str, argv: list[str], target: float | None = None, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """One command: processor and clock seconds. Raises when it ends with another code than expected."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in codes, (argv, done.stdout[-2000:], done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name:44} {cpu:8.2f} s  {wall:8.2f} s{f'  of {target:.0f} s' if target else ''}", flush=True)
    return {"what": name, "cpu_s": cpu, "wall_s": wall, "target_s": target}


def floor(path: Path) -> list[dict[str, Any]]:
    """Seconds for each thing that has to be done to every entry, done alone."""
    rows: list[dict[str, Any]] = []
    begun = [time.process_time(), time.monotonic()]

    def lap(what: str) -> None:
        now = [time.process_time(), time.monotonic()]
        cpu, wall = (new - old for new, old in zip(now, begun, strict=True))
        print(f"{what:44} {cpu:8.2f} s  {wall:8.2f} s", flush=True)
        rows.append({"what": what, "cpu_s": cpu, "wall_s": wall, "target_s": None})
        begun[:] = time.process_time(), time.monotonic()

    with reading(path) as source, uncollected(()):
        envelopes = [envelope for _, envelope in source.entries()]
        lap("floor: read the rows")
        for envelope in envelopes:
            leaf_hash(envelope)
        lap("floor: hash them")
        entries = [decode(envelope) for envelope in envelopes]
        lap("floor: base64 and json.loads")
        bodies = [entry.model() for entry in entries]
        lap("floor: check the bodies' fields (pydantic)")
        keys = {role: getattr(bodies[0], f"{role}_key") for role in ("engine", "verifier")}
        signed = [
            (b64decode(keys[body.role]), entry.sig, entry.signed())
            for entry, body in zip(entries, bodies, strict=True)
            if body.role in keys
        ]
        begun[:] = time.process_time(), time.monotonic()
        assert all(verify(*each) for each in signed)
        lap(f"floor: check {len(signed):,} signatures")
    return rows


STATE = """
import sys
from festina.ledger.log import Ledger
from festina.loop.state import fold
with Ledger.open(sys.argv[1], readonly=True) as ledger:
    fold(ledger.records())
"""


def measure(
    ledger: Path, place: Path, key: Path, documents: tuple[str, ...], *, quick: bool
) -> list[dict[str, Any]]:
    """Everything that a compliance lead or an auditor starts, and some of the documents each by itself."""
    festina = [sys.executable, "-m", "festina"]
    report = [*festina, "report", "--ledger", str(ledger)]
    print(f"{'command':44} {'processor':>10}  {'clock':>10}")
    rows = [timed("the loop's state, as festina status reads it", [sys.executable, "-c", STATE, str(ledger)])]
    rows += [
        timed(f"report document {kind.id}", [*report, "document", kind.id, "-o", str(place / kind.id)], DOCUMENT_S)
        for pack in load()
        for kind in pack.document
        if not kind.incident and kind.id in documents
    ]
    rows.append(timed("report documents (all of them)", [*report, "documents"], DOCUMENT_S))
    rows.append(timed("report coverage", [*report, "coverage"], DOCUMENT_S))
    rows.append(timed("report oscal", [*report, "oscal", str(place / "oscal")], DOCUMENT_S))
    rows.append(timed("report case", [*report, "case", "-o", str(place / "case")], None, (0, 3)))
    rows.append(timed("report bundle", [*report, "bundle", str(place / "bundle"), "--key-file", str(key)]))
    verifier = [sys.executable, "-I", "-S", str(place / "bundle" / "verify.py")]
    rows.append(timed("verify.py", verifier, BUNDLE_S))
    if not quick:
        rows.append(timed("verify.py --all", [*verifier, "--all"]))
    rows.append(timed("ledger verify", [*festina, "ledger", "verify", str(ledger)]))
    return rows


CHOSEN = ("release-card", "eu.model-report", "eu.model-documentation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=2_000, help="100,000 for the numbers in the documentation")
    parser.add_argument("--ledger", type=Path, help="of an earlier call (HOME/ledger.db), instead of a new one")
    parser.add_argument("--document", action="append", help="which of them by itself; default: three")
    parser.add_argument("--quick", action="store_true", help="without `verify.py --all`, which takes longest")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["FESTINA_REVIEWER_KEYS"] = str(place / "reviewers")
        path = options.ledger
        if path is None:
            loop = record(place, options.entries)
            assert loop.ledger is not None
            loop.ledger.close()
            path = loop.home.ledger
        with Ledger.open(path, readonly=True) as ledger:
            size = ledger.size
        print(f"{size:,} entries, {path.stat().st_size >> 20} MiB; {platform.machine()}, {os.cpu_count()} processors")
        chosen = tuple(options.document or CHOSEN)
        rows = floor(path) + measure(path, place, path.parent / "keys" / "engine.pem", chosen, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps({"entries": size, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
