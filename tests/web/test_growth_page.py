"""The growth page: forecasts that nobody waits for, and the picture of them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest

from festina.loop import growth, outlook
from festina.select.predictions import Judged, records
from festina.watch.outlook import outlook as read
from festina.watch.readings import Gain
from festina.web import growth_view, plots
from festina.web.feed import WHOLE
from festina.web.foresight import Foresight
from tests.web.signed import SignedLoop
from tests.web.visiting import Visitor


def gains(count: int, seed: int = 1) -> tuple[Gain, ...]:
    rng = np.random.default_rng(seed)
    return tuple(Gain(n + 1, float(rng.gamma(2.0, 0.1)), 0.05, int(rng.integers(50, 150))) for n in range(count))


@pytest.fixture
def foresight() -> Iterator[Foresight]:
    found = Foresight()
    yield found
    found.close()


def wait(found: Foresight) -> None:
    until = time.monotonic() + 120
    while not found.poll():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_W4_what_takes_long_is_worked_out_apart_and_is_the_same(foresight: Foresight) -> None:
    made = gains(12)
    assert foresight.of(made[:7]) == read(made[:7])
    assert foresight.of(made).gains == made[:7]  # type: ignore[union-attr]
    assert foresight.working
    before = foresight.mark
    wait(foresight)
    assert foresight.mark != before
    assert foresight.of(made) == read(made)
    assert not foresight.working


def test_a_process_that_dies_is_not_started_again_and_again(foresight: Foresight) -> None:
    made = gains(12)
    assert foresight.of(made) is None
    assert foresight._process is not None
    foresight._process.kill()
    wait(foresight)
    assert (foresight.failed, foresight.of(made), foresight.working) == (made, None, False)
    assert foresight.of(gains(13)) is None
    assert foresight.working


def test_the_page_says_what_is_missing_and_then_shows_it(
    visitor: Visitor, loop: SignedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = gains(12)
    monkeypatch.setattr(outlook, "gains", lambda s: made)
    feed = visitor.site.feed
    first = visitor.page("/growth")
    assert "is being worked out" in first
    assert "Growth of 12 measured generations" in first
    assert 'class="chart"' in first
    values = json.loads(visitor.ask("/growth.json").text)
    assert (values["working"], values["growth"], len(values["curve"]["measured"])) == (True, None, 13)
    until = time.monotonic() + 120
    while not feed.poll():
        assert time.monotonic() < until
        time.sleep(0.05)
    second = visitor.page("/growth")
    assert "is being worked out" not in second
    assert "the next five" in second
    assert [row["generation"] for row in json.loads(visitor.ask("/growth.json").text)["curve"]["ahead"]] == [13, 17, 22]
    monkeypatch.setattr(outlook, "gains", lambda s: (*made, Gain(13, 0.1, 0.05, 90)))
    visitor.site.forget()
    assert "read from 12 measured generations, and there are 13" in visitor.page("/growth")
    feed.foresight.close()


def test_P6_R2_how_predictions_came_true_is_shown_and_closed_with_the_page(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = records([Judged(seq, "model:x<b>", 0.2, 0.01 * seq, accepted=False) for seq in range(6)])
    monkeypatch.setattr(growth, "predictions", lambda s: found)
    feed = visitor.site.feed
    shown = visitor.page("/growth")
    assert "Do predictions come true?" in shown
    assert "model:x&lt;b&gt;" in shown
    assert "model:x<b>" not in shown  # T-5
    (row,) = growth_view.view(feed)["predictions"]
    assert (row["answer"], row["predictions"], row["sentence"]) == ("worse", 6, found[0].sentence)
    closed = growth_view.view(feed, frozenset({WHOLE}))
    assert closed["predictions"] == []
    assert found[0].sentence not in closed["sentences"]


def test_growth_is_drawn_with_its_words_and_its_numbers() -> None:
    rows = [{"generation": n, "level": 0.1 * n, "low": 0.1 * n - 0.2, "high": 0.1 * n + 0.2} for n in range(2001)]
    ahead = [{"generation": 2000 + h, "level": 200 + h, "low": 190.0, "high": 300.0} for h in (1, 5, 10)]
    drawn = plots.growth(rows, ahead)
    assert "200.00 (199.80 to 200.20, 95 %); foreseen for generation 2010: 210.00 (190.00 to 300.00, 90 %)" in drawn
    assert len(drawn) < 80_000
    data = json.loads(re.search(r"data-growth=\"([^\"]*)", drawn)[1].replace("&quot;", '"'))  # type: ignore[index]
    assert data["measured"]["generation"][-1] == 2000
    assert data["ahead"]["generation"] == [2000, 2001, 2005, 2010]
    assert "polygon" in plots.growth(rows[:2], [])


def test_the_numbers_of_a_long_test_are_whole() -> None:
    drawn = plots.evidence([0.001 * n for n in range(1200)], 9.0, accepted=None)
    data = json.loads(re.search(r"data-evidence=\"([^\"]*)", str(drawn))[1].replace("&quot;", '"'))  # type: ignore[index]
    assert (data["x"][-1], len(data["y"])) == (1200, 601)
