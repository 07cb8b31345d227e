"""A calibration in the ledger: one signed entry that decides nothing, shown beside what really happened."""

from __future__ import annotations

import json
from pathlib import Path

from festina.calibrate.forecast import forecast
from festina.calibrate.measure import Wish, measure
from festina.calibrate.recording import record
from festina.calibrate.setting import Night, setting_of
from festina.calibrate.subject import opened
from festina.cli.status import calibration
from festina.cli.words import out_of_reach
from festina.ledger.log import Ledger
from festina.loop.engine import Options, session
from festina.loop.rows import Proposed
from festina.loop.state import fold
from festina.report.fold import fold as read
from festina.system import home as homes
from festina.system.repo import Repo
from tests.toy import make_toy


def test_W4_a_forecast_is_kept_in_the_ledger_and_stands_beside_what_happened(tmp_path: Path) -> None:
    # W-4, L-1, S-1: no ledger, no entry; else one, and nothing else has changed
    toy = make_toy(tmp_path)
    with opened(toy.root) as subject:
        found = measure(subject, Wish(8, 60.0, 1), lambda *_: None, lambda *_: None)
        setting = setting_of(subject.manifest, None, Night(8.0, None, 2), subject.notes)
        seen = forecast(found.measured, setting)
        assert record(toy.root, subject, found, seen) is None
        home = homes.find(Repo.discover(toy.root))
        assert home is not None
        assert not home.ledger.exists()
        with session(toy.root, Options()) as bench:
            before = bench.state.size, bench.state.looks, bench.state.trials, bench.state.alpha_left
        assert record(toy.root, subject, found, seen) == before[0]
    with Ledger.open(home.ledger, readonly=True) as ledger:
        after = fold(ledger.records())
        page = read(ledger.records(), ledger.get_blob, root=ledger.root().hex())
        assert after.calibration is not None
        _, entry = after.calibration
        details = json.loads(ledger.get_blob(entry.details))
    assert (after.size - 1, after.looks, after.trials, after.alpha_left) == before
    assert (entry.items_from, entry.runs, entry.failed) == ("fresh", 8, 0)
    assert len(details["measured"]["runs"]) == len(found.measured.runs)
    assert any(remark.what == "calibration" for remark in page.remarks)
    after.proposals[0] = Proposed(0, "", 0, "", 0, 0, word="rejected", reason="futile", trials=124)
    told = calibration(after)
    assert told is not None
    assert "the 1 given up so far took 124 on average" in told["sentence"]
    assert after.epoch is not None
    assert entry.smallest is not None
    for detect, warned in ((entry.smallest[1] / 2, True), (entry.smallest[1], False)):
        suite = after.epoch.suite.model_copy(update={"detect": detect})
        after.epoch = after.epoch.model_copy(update={"suite": suite})
        assert ("out of reach" in out_of_reach(after)) == warned
