"""What the pages say, and that each is there as values too."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from festina.errors import IntegrityError, UsageError
from festina.web import assets, serve
from festina.web.app import _stream
from festina.web.render import page
from tests.web.signed import SignedLoop, made
from tests.web.visiting import Visitor, structure

PAGES = ("/", "/lineage", "/proposals", "/proposal/0", "/review", "/reviewers", "/growth", "/ledger", "/ledger/3")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES)
def test_L1_every_page_parses_and_is_there_as_json(visitor: Visitor, path: str) -> None:
    names = structure(visitor.page(path))
    tags = [tag for tag, _ in names]
    assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
    values = visitor.ask("/run.json" if path == "/" else f"{path}.json")
    assert values.headers["content-type"] == "application/json"
    assert values.text.isascii()
    assert isinstance(json.loads(values.text), dict)


@pytest.mark.parametrize("path", [p for p in PAGES if not p.startswith("/ledger")])
def test_no_page_but_the_ledgers_speaks_of_its_machinery(visitor: Visitor, path: str) -> None:
    assert not re.search(r"e-process|e-value|martingale|DSSE|merkle", visitor.page(path), re.IGNORECASE)


def test_the_ledger_page_explains_those_words(visitor: Visitor) -> None:
    assert re.search(r"DSSE.*Merkle tree.*e-process", visitor.page("/ledger"), re.DOTALL)


def test_S4_pages_say_the_sentence_that_the_ledger_says(visitor: Visitor, loop: SignedLoop) -> None:
    accepted = [g for g in loop.state.generations.values() if g.verdict is not None]
    assert accepted
    for g in accepted:
        assert g.verdict is not None
        assert g.verdict.sentence in visitor.page(f"/proposal/{g.proposal}")
        assert g.verdict.sentence in visitor.page("/lineage")


def test_L2_an_entry_comes_with_a_proof_that_holds(visitor: Visitor, loop: SignedLoop) -> None:
    from festina.ledger.proof import check_proof

    assert loop.ledger is not None
    text = json.loads(visitor.ask("/ledger/7.json").text)["proof"]["file"]
    proved = check_proof(text, origin=loop.ledger.origin, key=loop.keys["engine"].public)
    assert (proved.seq, proved.size) == (7, loop.ledger.size)
    with pytest.raises(IntegrityError):
        check_proof(text, origin=loop.ledger.origin, key=loop.keys["verifier"].public)


def test_L1_the_ledger_is_read_by_pages(visitor: Visitor, loop: SignedLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    ledger = visitor.site.feed.ledger
    real = type(ledger).records

    def counted(self: object, start: int = 0):
        for record in real(self, start):  # type: ignore[arg-type]
            read.append(record.seq)
            yield record

    monkeypatch.setattr(type(ledger), "records", counted)
    first = json.loads(visitor.ask("/ledger.json?before=60").text)
    assert [row["seq"] for row in first["entries"]] == list(range(59, 9, -1))
    assert len(read) <= 51
    assert first["older"] == 10
    rest = json.loads(visitor.ask("/ledger.json?before=10").text)
    assert ([row["seq"] for row in rest["entries"]], rest["older"]) == (list(range(9, -1, -1)), None)
    kinds = json.loads(visitor.ask("/ledger.json?kind=verdict").text)
    assert {row["kind"] for row in kinds["entries"]} == {"verdict"}


def test_L1_folds_follow_the_ledger_and_equal_those_made_anew(place: Path) -> None:
    loop = made(place, proposals=2)
    feed = loop.feed()
    before = feed.ledger.size
    assert not feed.poll()
    loop.proposals = 4
    loop.start_run()
    loop.run()
    assert feed.poll()
    assert feed.ledger.size > before
    fresh = loop.feed()
    for path in PAGES:
        assert Visitor.of(feed).ask(f"{path}.json").text == Visitor.of(fresh).ask(f"{path}.json").text
    assert feed.mark == fresh.mark
    for each in (feed.ledger, fresh.ledger):
        each.close()


def test_a_page_is_kept_while_the_ledger_stands_still_and_no_longer(place: Path) -> None:
    loop = made(place, proposals=2)
    visitor = Visitor.of(loop.feed())
    first = visitor.page("/")
    assert visitor.page("/") is not None
    assert len(visitor.site._pages) == 1
    loop.start_run()
    visitor.site.feed.poll()
    assert visitor.page("/") != first


def test_L1_a_ledger_changed_behind_the_pages_is_told_on_every_page(place: Path) -> None:
    import sqlite3

    loop = made(place, proposals=2)
    feed = loop.feed()
    assert loop.ledger is not None
    loop.ledger.close()
    with sqlite3.connect(loop.home.ledger) as db:
        db.execute("DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)")
    feed.poll()
    visitor = Visitor.of(feed)
    assert feed.broken is not None
    for path in PAGES:
        assert "do not approve anything on it" in visitor.ask(path).text, path
    feed.ledger.close()


def test_a_stream_tells_of_a_new_entry_at_once(place: Path) -> None:
    loop = made(place, proposals=1)
    feed = loop.feed()
    site = Visitor.of(feed).site

    async def listen() -> list[dict[str, object]]:
        stream = _stream(site)
        said = [await anext(stream)]
        loop.start_run()
        follower = asyncio.create_task(feed.follow())
        said.append(await asyncio.wait_for(anext(stream), 5))
        follower.cancel()
        await stream.aclose()
        return [json.loads(re.search(rb"data: (.*)", part)[1]) for part in said]  # type: ignore[index]

    first, second = asyncio.run(listen())
    assert (first["size"], second["size"]) == (feed.ledger.size - 1, feed.ledger.size)
    feed.ledger.close()


def test_L1_rows_made_beside_the_loops_fold_are_those_that_a_report_makes(loop: SignedLoop, visitor: Visitor) -> None:
    from dataclasses import replace

    from festina.report.fold import Reading

    assert loop.ledger is not None
    alone = Reading(loop.ledger.get_blob)
    for record in loop.ledger.records():
        alone.take(record)
    mine, theirs = visitor.site.feed.reading.data("r"), alone.data("r")
    assert [p.rationale for p in theirs.proposals] != [p.rationale for p in mine.proposals]
    assert any(t.path for t in theirs.tests)
    bare = replace(
        theirs, proposals=tuple(replace(p, rationale="", weakness="") for p in theirs.proposals),
        tests=tuple(replace(t, path=()) for t in theirs.tests),
    )  # fmt: skip
    assert mine == bare
    for test in theirs.tests:  # and what was left out is read when somebody looks
        shown = json.loads(visitor.ask(f"/proposal/{test.proposal}.json").text)
        assert tuple(shown["tests"][0]["path"]) == test.path
        assert shown["claim"]["rationale"] == next(p for p in theirs.proposals if p.proposal == test.proposal).rationale


def test_addresses_that_lead_nowhere_say_so(visitor: Visitor) -> None:
    nowhere = (
        "/nope", "/proposal/9999", "/ledger/99999", "/ledger?before=x", "/ledger?kind=zzz", "/proposal/0?line=-1",
        "/lineage?until=99999999999999999999", "/static/../app.py", "/static/%2e%2e/app.py", "/proposal/nan",
    )  # fmt: skip
    for path in nowhere:
        assert visitor.ask(path).status_code == 404, path
    assert visitor.ask("/proposal/9999.json").json()["error"] == "no-such-proposal"


def test_vendored_files_are_the_ones_that_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    root = resources.files("festina.web") / "static"
    for name, digest in assets.VENDORED.items():
        assert hashlib.sha256(root.joinpath(*name.split("/")).read_bytes()).hexdigest() == digest
    shipped = {p.name for p in (root / "vendor").iterdir()}
    assert {n.rpartition("/")[2] for n in assets.VENDORED} | {"htmx-LICENSE.txt", "uPlot-LICENSE.txt"} == shipped
    monkeypatch.setitem(assets.VENDORED, "vendor/uPlot-1.6.32.min.css", "0" * 64)
    assets.assets.cache_clear()
    with pytest.raises(IntegrityError, match="not the file"):
        assets.assets()
    assets.assets.cache_clear()


def test_T5_our_own_files_load_nothing_and_switch_nothing_off() -> None:
    web = ROOT / "src" / "festina" / "web"
    for template in (web / "templates").iterdir():
        text = template.read_text()
        off = re.search(r"\|\s*safe|autoescape|Markup|<style|style=|\son\w+=|javascript:|https?://", text)
        assert off is None, template
        assert not re.search(r"<script(?![^>]*src=)", text), template
    for name in ("festina.js", "festina.css"):
        text = (web / "static" / name).read_text()
        assert not re.search(r"innerHTML|eval\(|https?://|@import|url\(", text), name


def test_a_missing_extra_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "starlette" else object())
    with pytest.raises(UsageError, match="starlette") as caught:
        serve.require_extra()
    assert "festina[web]" in caught.value.fix


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        page("run.html", {})
