"""The page: hostile text stays text, nothing is loaded, and the same ledger gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from festina.report import html
from festina.report.data import ReviewerRow
from festina.report.fold import fold
from festina.report.growth import levels
from festina.report.markup import Html, el, visible
from festina.watch.readings import Gain
from tests.report.made_ledger import SUITE, Log, judge, made_control, made_run, oid, opening, receive, request, screen

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror="alert(2)"></details></blockquote>'
    "<style>*{display:none}</style>&lt;b&gt; javascript:alert(3) \u202egnp.exe\u2069 zero\u200bwidth \x1b[31m"
)


class Seen(HTMLParser):
    """Every element and attribute that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def seen(page: str) -> Seen:
    parser = Seen()
    parser.feed(page)
    return parser


def page_of(log: Log, control: Log | None = None, *, plots: bool = False) -> str:
    data = fold(log.records, log.blob, root="ab" * 32)
    return html.page(data, fold(control.records, control.blob) if control else None, plots=plots)


def test_P6_the_page_scores_what_authors_predicted() -> None:
    data = fold(made_run().records, made_run().blob)
    assert [(each.author, each.predictions, each.held) for each in data.predictions] == [
        ("changed improvers", 7, 3), ("the improver of the start", 1, 1)
    ]  # fmt: skip
    page = page_of(made_run())
    assert 'id="predictions"' in page
    assert data.predictions[0].sentence in "".join(seen(page).words)
    silent = made_run()
    for place, record in enumerate(silent.records):
        if record.kind == "proposal-received":
            silent.records[place] = replace(record, body=record.body.model_copy(update={"predicted": None}))
    assert 'id="predictions"' not in page_of(silent)


def test_T5_hostile_text_of_a_proposal_is_shown_and_never_becomes_markup() -> None:
    plain, hostile = seen(page_of(made_run())), seen(page_of(made_run(hostile=HOSTILE)))
    assert hostile.tags == plain.tags  # not one element more
    shown = "".join(hostile.words)
    assert "<script>alert(1)</script>" in shown
    assert "‹U+202E›gnp.exe‹U+2069›" in shown
    assert "zero‹U+200B›width" in shown
    assert "‹U+001B›[31m" in shown


def test_T5_control_the_same_text_pasted_as_markup_does_become_elements() -> None:
    pasted = page_of(made_run()).replace("<main>", f"<main>{HOSTILE}")
    assert "script" in seen(pasted).tags


def test_T5_a_page_has_no_script_no_handler_no_inline_style_and_loads_nothing() -> None:
    page = seen(page_of(made_run(), made_control(), plots=True))
    assert not {"script", "iframe", "object", "embed", "link", "img", "form", "base"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "style" not in names
    links = [value for name, value in page.attributes if name in {"href", "src", "xlink:href", "clip-path", "action"}]
    assert all(value.startswith(("#", "url(#")) for value in links)


def test_T5_the_content_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    page = page_of(made_run())
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = re.search(r'content="(default-src[^"]*)"', page)
    assert policy is not None
    assert policy[1].replace("&#x27;", "'") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_every_link_leads_somewhere_and_every_id_is_unique() -> None:
    page = seen(page_of(made_run(), made_control(), plots=True))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for name, value in page.attributes if name == "href"}
    assert targets <= set(ids)
    assert len([t for t in targets if re.fullmatch(r"e\d+", t)]) > 20


def test_C2_the_same_ledger_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    run, control = made_run(), made_control()
    here = html.page(fold(run.records, run.blob), fold(control.records, control.blob))
    out = tmp_path / "there.html"
    environment = os.environ | {"PYTHONPATH": "src", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    command = [sys.executable, "-m", "tests.report.made_ledger", str(out)]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    assert out.read_text(encoding="utf-8") == here


def test_C1_numbers_in_tables_stand_beside_the_entry_they_came_from() -> None:
    """Every row with a number of a run's own has at least one link to an entry."""
    page = page_of(made_run())
    before_control = page[: page.index('id="limits"')]
    rows = [row for row in re.findall(r"<tr.*?</tr>", before_control, re.DOTALL) if "<th" not in row]
    assert len(rows) > 20
    bare = [row for row in rows if re.search(r"\d", re.sub(r"<.*?>", "", row)) and "#e" not in row]
    own_counts = [row for row in bare if row.startswith("<tr><td>own</td>")]  # author totals with nothing accepted
    assert bare == own_counts


def test_C4_progress_evidence_budget_and_outcomes_are_drawn() -> None:
    page = page_of(made_run(), made_control(), plots=True)
    labels = re.findall(r'<svg[^>]*aria-label="([^"]*)"', page)
    assert [label.split()[0] for label in labels] == ["Score", "Evidence", "Effect", "Error", "11", "Held-out"]
    assert page.count(">needed</text>") == 8
    assert ">evidence</text>" in page


def test_V6_P6_predicted_measured_and_public_gain_are_shown_side_by_side() -> None:
    words = " ".join(seen(page_of(made_run())).words)
    assert "predicted +0.030, measured +0.085" in words
    assert "public gain" in words
    assert "+0.100" in words


def test_V8_hunks_are_listed_with_their_effects_and_what_can_go() -> None:
    words = " ".join(seen(page_of(made_run())).words)
    assert "library.py:12-18" in words
    assert "Does nothing: no score of 16 paired runs differed without it. This hunk can go." in words
    assert "not taken apart, a single hunk" in words


def test_W2_a_control_arm_stands_beside_the_run_with_its_own_interval() -> None:
    words = " ".join(seen(page_of(made_run(), made_control())).words)
    assert "control (own, frozen)" in words
    assert "0.038 to 0.112" in words
    assert "Side by side on 4,000 held-out items, this run is better by 0.097 (0.060 to 0.134)." in words


def test_W2_arms_without_a_paired_comparison_are_compared_by_their_intervals_only() -> None:
    run = made_run()
    run.records = [r for r in run.records if getattr(r.body, "label", "") != "loop against control arm"]
    run.records = [type(r)(i, r.kind, r.at, r.body) for i, r in enumerate(run.records)]
    assert "The intervals of the two arms do not overlap." in " ".join(seen(page_of(run, made_control())).words)


def test_a_page_for_people_uses_no_word_that_only_its_authors_know() -> None:
    words = " ".join(seen(page_of(made_run(), made_control(), plots=True)).words).lower()
    for jargon in ("e-process", "e-value", "martingale", "dsse", "merkle", "wealth", "null hypothesis"):
        assert jargon not in words
    assert "needed" in words
    assert "evidence" in words


def test_L6_the_page_says_what_the_record_cannot_show() -> None:
    words = " ".join(seen(page_of(made_run())).words)
    assert "does not show that an observation was true" in words
    assert "No change inside a model (its representations and weights) was looked at" in words  # V-9


def test_V10_self_reported_scores_are_called_so_and_never_proven() -> None:
    log = Log()
    opening(log, suite=SUITE.model_copy(update={"assurance": "self-reported"}))
    assert "Scores are self-reported" in " ".join(seen(page_of(log)).words)


def test_T2_the_page_names_the_sandbox_level_and_what_is_missing() -> None:
    log = Log()
    opening(log, level=2)
    words = " ".join(seen(page_of(log)).words)
    assert "Sandbox level L2" in words
    assert "Missing here: control groups" in words


def test_V2_a_failed_control_stands_at_the_top() -> None:
    log = Log()
    opening(log)
    i = next(i for i, record in enumerate(log.records) if record.kind == "controls-checked")
    failed = log.records[i].body.model_copy(update={"ok": False})
    log.records[i] = type(log.records[i])(i, "controls-checked", log.records[i].at, failed)
    assert "what it covers is void" in " ".join(seen(page_of(log)).words)


def test_a_run_that_accepted_nothing_says_so_first() -> None:
    import random

    log = Log()
    opening(log)
    request(log, 1, oid("c0"), 0)
    receive(log, 1)
    screen(log, 1, oid("c0"))
    judge(log, 1, oid("c0"), effect=-0.1, mean=0.4, rng=random.Random(1))
    heading = re.search(r"<h1>(.*?)</h1>", page_of(log, plots=True))
    assert heading is not None
    assert heading[1] == "library: nothing was accepted. Of 1 proposal, 1 was tested and was not shown to be better."


def test_every_prefix_of_a_run_gives_a_page() -> None:
    log = made_run()
    for end in range(1, len(log.records), 9):
        part = Log(log.records[:end], log.blobs)
        assert page_of(part, plots=end % 4 == 0).startswith("<!doctype html>")


def test_arms_that_differ_in_their_rules_are_called_not_comparable() -> None:
    control = made_control()
    rules = control.records[1].body.model_copy(update={"evaluator": "1" * 64})
    control.records[1] = type(control.records[1])(1, "epoch-opened", control.records[1].at, rules)
    words = " ".join(seen(page_of(made_run(), control)).words)
    assert "Not comparable" in words
    assert "different scorers" in words
    assert "Not comparable" not in " ".join(seen(page_of(made_run(), made_control())).words)


def test_T5_markup_takes_no_names_from_outside() -> None:
    for name in ("onclick", "x y", "a>b", ""):
        with pytest.raises(ValueError, match="no name"):
            el("p", "x", **{name: "1"})
    assert el("p", Html("<b>") + "<i>") == "<p>&lt;b&gt;&lt;i&gt;</p>"  # joining with plain text loses the mark


def test_T5_long_text_is_cut_and_lone_surrogates_are_spelt_out() -> None:
    assert visible("a\ud800b") == "a‹U+D800›b"
    assert visible("x" * 5000).endswith("‹cut: 1000 more characters›")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser to show that the policy holds in one")
def test_T5_a_browser_runs_nothing_even_when_a_script_is_pasted_in(tmp_path: Path) -> None:
    """The content policy is the second lock: pasted markup must not run. Control: without the policy it does."""
    page = page_of(made_run()).replace("<main>", "<main><script>document.title='RAN'</script>")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    titles = []
    for name, text in (("with", page), ("without", bare)):
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
        ]
        done = subprocess.run(
            [*command, (tmp_path / f"{name}.html").as_uri()], capture_output=True, text=True, timeout=60, check=True
        )
        titles.append(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert titles == ["Festina: library", "RAN"]


def test_C4_growth_and_reviewers_are_drawn_where_there_is_something_to_draw() -> None:
    made = made_run()
    plain = fold(made.records, made.blob)
    assert 'aria-label="Planted' not in html.page(plain)
    gains = [Gain(n, 0.5, 0.1, 40) for n in (1, 2, 4)]
    ben = ReviewerRow("ben", 2, 9, 0.03, 0.6, authority=False)
    data = replace(
        plain, growth=levels(gains), reviewers=("ada: 4 of 4", "ben: 2 of 9"),
        calibrated=(ReviewerRow("ada", 4, 4, 0.4, 1.0, authority=True), ben),
    )  # fmt: skip
    page = html.page(data)
    assert 'aria-label="1.50 doublings up to generation 4 (1.16 to 1.84)"' in page
    assert 'aria-label="Planted mistakes seen through by 2 people"' in page
    assert "ben (2 of 9)" in page
    assert "style=" not in page
    assert html.page(data) == page  # C-2
    assert levels([]) == ()
