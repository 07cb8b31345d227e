"""The engine's own bench: what is written must also be taken in."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from festina.errors import Fault
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop.bench import Bench
from festina.loop.state import State, fold


@pytest.mark.timeout(60)
def test_T6_an_entry_that_the_state_refuses_ends_the_run_and_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, verifier = (LocalKey.create(tmp_path / role, role) for role in ("engine", "verifier"))
    genesis = e.Genesis(
        origin="festina.local/toy-00000000", system="toy", engine_key=b64encode(engine.public).decode(),
        verifier_key=b64encode(verifier.public).decode(), alpha=0.05, demo=False, version="0", schema_number=1,
    )  # fmt: skip
    with Ledger.create(tmp_path / "ledger.db", genesis, signers={"engine": engine}) as ledger:
        state = fold(ledger.records())
        bench = cast(Any, SimpleNamespace(ledger=ledger, state=state, listener=None))
        bench.sync, bench._take = (lambda: Bench.sync(bench)), (lambda record: Bench._take(bench, record))
        halted = Draft(e.FaultRecorded(what="a-fault", detail="0" * 64))
        Bench.append(bench, halted)
        take_in = State.apply

        def refuse(self: State, record: Any) -> None:
            if record.seq == 2:
                raise Fault("evidence-out-of-range", "a gain of 1e301 lies outside the declared range")
            take_in(self, record)

        monkeypatch.setattr(State, "apply", refuse)
        with pytest.raises(Fault, match="outside the declared range"):
            Bench.append(bench, halted)
        with pytest.raises(Fault, match="entry 2 is written, and the state cannot take it in"):
            Bench.append(bench, halted, still=lambda _: True)
        assert ledger.size == 3
