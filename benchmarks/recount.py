"""What it costs to make a ledger's numbers again, and what the verifier's books cost a run.

    python benchmarks/recount.py [--entries 10000] [--json]

A ledger of many judged proposals, drawn on paper and signed for real. Beside each other, in CPU seconds of this process
(signatures may be checked by others beside it): the check of signatures and hashes (`ledger verify`), the numbers on
top of it (`--verdicts`), the auditor's script, the loop's own fold when a run is taken up again, and what the
verifier's process does with these entries before its first signature.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loop.paper import PaperLoop

from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.checkpoint import make
from festina.ledger.copies import export
from festina.ledger.log import Ledger
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.signing import LocalKey, pae
from festina.ledger.statement import NO_PREV, PAYLOAD_TYPE, seal, statement
from festina.ledger.store import Store
from festina.loop.recount import recount
from festina.loop.state import fold
from festina.verify.notary import Notary
from festina.verify.receipts import Receipts

ORIGIN = "festina.local/long-00000000"


def drawn(count: int) -> PaperLoop:
    """Runs of the loop on paper until there are so many entries."""
    loop = PaperLoop(seed=1, proposals=100, guards=1, share=0.02)
    loop.begin()
    loop.run(10**9)
    while len(loop.records) < count:
        loop.start_run()
        loop.run(10**9)
    return loop


def written(path: Path, loop: PaperLoop, keys: dict[str, LocalKey]) -> Path:
    text = {role: base64.b64encode(key.public).decode() for role, key in keys.items()}
    Store.create(path)
    store, tree, prev = Store.open(path), Tree(), NO_PREV
    with store.writing(durable=True):
        for record in loop.records:
            body = record.body
            if isinstance(body, e.Genesis):
                names = {"origin": ORIGIN, "engine_key": text["engine"], "verifier_key": text["verifier"]}
                body = body.model_copy(update=names)
            elif isinstance(body, e.ReviewerEnrolled):
                body = body.model_copy(update={"key": text["reviewer"]})
            elif isinstance(body, e.ReviewRequested):
                body = body.model_copy(update={"evidence": leaves[body.evidence]})
            elif isinstance(body, e.Verdict):
                at = record.leaf
            payload = statement(
                seq=record.seq, prev=prev, at=record.at, body=body, content=(), commitments=record.commitments,
                subjects=(("ledger", "0" * 64),),
            )  # fmt: skip
            key = keys[body.role]
            data = seal(payload, key.keyid, key.sign(pae(PAYLOAD_TYPE, payload)))
            store.add_entry(record.seq, data)
            leaf = leaf_hash(data)
            tree.append(leaf)
            prev = leaf.hex()
            if isinstance(body, e.Verdict):
                leaves[at] = prev
        store.set_checkpoint(len(tree), make(ORIGIN, len(tree), tree.root(), keys["engine"]))
    store.close()
    return path


leaves: dict[str, str] = {}


def seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        keys = {role: LocalKey.create(base / f"{role}.pem", role) for role in ("engine", "verifier", "reviewer")}
        loop = drawn(options.entries)
        path = written(base / "long.db", loop, keys)
        export(path, base / "files")
        spec = importlib.util.spec_from_file_location("script", Path(__file__).parent.parent / "scripts" / "recount.py")
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        with Ledger.open(path, readonly=True) as ledger:
            envelopes = [record.envelope for record in ledger.records()]
            row = {
                "entries": float(len(envelopes)),
                "verdicts": float(sum(record.kind == "verdict" for record in loop.records)),
                "verify_s": seconds(lambda: verify(path)),
                "numbers_s": seconds(lambda: recount(path)),
                "script_s": seconds(lambda: script.audit(base / "files")),
                "fold_s": seconds(lambda: fold(ledger.records())),
                "books_s": seconds(lambda: Notary(keys["verifier"], Receipts(b"", "")).enter(envelopes)),
            }
    if options.json:
        print(json.dumps(row))
    else:
        print(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
