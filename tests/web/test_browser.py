"""The pages in a real browser: nobody is kept out, nothing is loaded, nothing of a proposer's runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from festina.cli.web import doorway
from festina.ledger import entries as e
from tests.review.desk_world import RULES, World
from tests.web.browsing import Served, browser, chromium, served, visit
from tests.web.signed import SignedLoop, made
from tests.web.test_hostile import hostile_diff

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no browser here: install chromium, or name one in FESTINA_CHROMIUM"),
]
PAGES = (
    "/",
    "/lineage",
    "/proposals",
    "/proposal/{p}",
    "/review",
    "/reviewers",
    "/growth",
    "/ledger",
    "/ledger/7",
)
ATTACK = (
    "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">\u202e<a href=javascript:1>"
)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedLoop]:
    place = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESTINA_REVIEWER_KEYS", str(place / "reviewers"))
        found = made(
            place / "run", proposals=6,
            change=lambda n: (
                hostile_diff("train.py", [f"x = {n}  # {ATTACK}", "аdmin = 1"]),
                {"rationale": ATTACK, "weakness": ATTACK, "predicted": 0.1},
            ),
        )  # fmt: skip
        subprocess.run(["git", "-C", str(found.repo.root), "config", "festina.home", found.home.path.name], check=True)
        yield found
    assert found.ledger is not None
    found.ledger.close()


@pytest.fixture(scope="module")
def server(loop: SignedLoop) -> Iterator[Served]:
    with served(loop.repo.root, loop.home.path.parent) as found:
        yield found


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


def paths(loop: SignedLoop) -> list[str]:
    accepted = next(g.proposal for g in loop.state.generations.values() if g.proposal is not None)
    return [path.format(p=accepted) for path in PAGES]


def violations(page: Page) -> list[str]:
    """What axe-core finds, each with the element it is about."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    page.evaluate(script.read_text())
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in found["violations"]]


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (False, True), (True, False), (True, True)])
def test_axe_finds_nothing_on_any_page(
    loop: SignedLoop, server: Served, chrome: Browser, phone: bool, dark: bool
) -> None:
    found = {}
    with visit(chrome, server, phone=phone, dark=dark) as page:
        for path in paths(loop):
            page.goto(server.base + path)
            page.wait_for_load_state("load")
            if page.locator("details.halt").count():
                page.locator("details.halt summary").click()
            found[path] = violations(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], path  # type: ignore[index]
    assert found == {path: [] for path in found}


def test_T5_the_file_that_the_browser_is_opened_with_leads_to_the_pages(
    server: Served, chrome: Browser, tmp_path: Path
) -> None:
    context = chrome.new_context()  # without the cookie
    page = context.new_page()
    page.goto(doorway(tmp_path, server.address).as_uri())
    page.wait_for_url(server.base + "/")
    assert page.locator("nav").count() > 0
    assert "token" not in page.evaluate("document.referrer + history.length + location.href")
    context.close()


def test_axe_would_find_something(server: Served, chrome: Browser) -> None:
    with visit(chrome, server) as page:
        page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/static/icon.svg\">')"
        )
        assert any(v.startswith("image-alt") for v in violations(page))


def test_T5_nothing_of_a_proposers_runs(loop: SignedLoop, server: Served, chrome: Browser) -> None:
    with visit(chrome, server) as page:
        for path in paths(loop):
            page.goto(server.base + path)
            page.wait_for_timeout(50)
            assert "pwned" not in page.title(), path
            assert page.locator("a[href^=javascript]").count() == 0
        page.goto(server.base + paths(loop)[3])
        assert page.locator(".diff mark").count() >= 2
        assert "<script>document.title" in page.locator("blockquote").first.inner_text()


def test_T5_the_policy_stops_what_an_escape_would_miss(server: Served, chrome: Browser) -> None:
    context = chrome.new_context()
    page = context.new_page()
    page.goto(server.address)
    page.evaluate(
        "document.querySelector('main').insertAdjacentHTML('beforeend', `<img src=x onerror=\"window.pwned=1\">`)"
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned=1'}))"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    context.close()


def test_a_new_entry_is_on_the_page_within_a_second(loop: SignedLoop, server: Served, chrome: Browser) -> None:
    with visit(chrome, server) as page:
        page.wait_for_function("document.querySelector('#badge')")
        page.wait_for_timeout(700)
        for _ in range(8):  # a busy machine may stretch some
            lags = []
            for _ in range(5):
                loop.put(e.FaultRecorded(what="sandbox-error", detail=None))
                at = time.monotonic()
                page.wait_for_selector(f"#live a[href='/ledger/{loop.state.size - 1}']", timeout=60_000)
                lags.append(time.monotonic() - at)
                page.wait_for_timeout(300)
            if statistics.median(lags) < 1.0:
                break
        assert statistics.median(lags) < 1.0, lags
        assert "failure" in page.locator("#heard").inner_text()


def test_every_page_is_whole_without_scripts(loop: SignedLoop, server: Served, chrome: Browser) -> None:
    with visit(chrome, server, scripts=False) as page:
        for path in paths(loop):
            page.goto(server.base + path)
            assert page.locator("h1").count() == 1
        page.goto(server.base + paths(loop)[3])
        assert page.locator("svg.chart").first.is_visible()
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Ledger").click()
        assert page.url == server.base + "/ledger"


def test_keys_reach_everything(server: Served, chrome: Browser) -> None:
    with visit(chrome, server) as page:
        page.goto(server.base + "/ledger")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("j")
        second = page.locator("[data-row]").nth(1).get_attribute("href")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.base}{second}")


def test_the_server_ends_at_once_though_viewers_hold_streams(loop: SignedLoop, chrome: Browser) -> None:
    with served(loop.repo.root, loop.home.path.parent) as own:
        page = chrome.new_page()
        page.goto(own.address)
        page.wait_for_timeout(500)
        at = time.monotonic()
        own.process.terminate()
        own.process.wait(60)
        assert time.monotonic() - at < 30  # a stream would be held for ever
        page.close()


def test_the_json_of_a_page_is_what_a_script_wants(server: Served, chrome: Browser) -> None:
    with visit(chrome, server) as page:
        answer = page.request.get(server.base + "/run.json")
        assert json.loads(answer.text())["system"] == "toy"


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A change that waits, a reader whose floor is next to nothing, and ann's own pages."""
    monkeypatch.setenv("FESTINA_REVIEWER_KEYS", str(tmp_path / "reviewers"))
    world = World(tmp_path / "world", RULES.model_copy(update={"lines_per_hour": 1e6}))
    world.enrol("ann")
    world.accept(text=f"x = 1  # {ATTACK}\n")
    world.ask()
    subprocess.run(["git", "-C", str(world.repo.root), "config", "festina.home", world.home.path.name], check=True)
    ahead = world.now - datetime.now(UTC)  # the small world's clock is ahead of this machine's
    world.close()
    time.sleep(max(0.0, ahead.total_seconds()) + 0.5)
    with served(world.repo.root, world.home.path.parent, "--as", "ann") as found:
        yield found


@pytest.mark.parametrize("scripts", [True, False])
def test_R2_a_person_decides_in_a_browser_with_and_without_scripts(
    review: Served, chrome: Browser, scripts: bool
) -> None:
    with visit(chrome, review, scripts=scripts, phone=True, dark=scripts) as page:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Review 1 waiting").click()
        page.get_by_role("link", name="0", exact=True).click()
        assert not violations(page) if scripts else True
        page.get_by_role("button", name="Show me the change").click()
        page.get_by_role("button", name="Sign this").wait_for()
        assert "trust me" not in page.content()
        assert not violations(page) if scripts else True
        page.locator("input[name=answer]").first.check()
        page.get_by_label("sound").check()
        page.get_by_label("The line that decided").fill("main.py:1")
        page.get_by_label("In percent").fill("60")
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Sign this").click()
        page.get_by_text("rationale: trust me").wait_for()
        assert not violations(page) if scripts else True
        page.get_by_label("sound").check()
        page.get_by_label("Why, so that").fill("it does what it says, and nothing else")
        page.wait_for_timeout(1500)  # a wrong answer asks for the reading time once more
        page.get_by_role("button", name="Approve exactly this").click()
        page.get_by_role("button", name="Take my decision back").wait_for()
        assert not violations(page) if scripts else True
        assert "pwned" not in page.title()
        for path in ("/", "/reviewers", "/growth"):  # as somebody who decided; what others said is still closed
            page.goto(review.base + path)
            assert not violations(page) if scripts else True
        page.locator("details.halt summary").click()
        page.get_by_role("button", name="Halt everything now").click()
        page.get_by_role("heading", name="halted", exact=False).first.wait_for()
        assert not violations(page) if scripts else True
        page.goto(review.base + "/")
        assert page.locator("#badge").inner_text() == "halted"
        assert not violations(page) if scripts else True


def test_a_page_that_is_not_there_says_so_to_everybody(server: Served, chrome: Browser) -> None:
    context = chrome.new_context()  # a visit would call the 404 in the console a fault
    page = context.new_page()
    page.goto(server.address)
    for path in ("/nope", "/proposal/99999", "/ledger?before=x"):
        assert page.goto(server.base + path).status == 404  # type: ignore[union-attr]
        assert page.locator("h1").inner_text() == "Not shown"
        assert not violations(page)
    context.close()
