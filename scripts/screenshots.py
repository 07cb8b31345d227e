"""Take the pictures of the pages for docs/web.md, in a real browser.

    python scripts/screenshots.py [--demo DIR] [--out docs/images]

``--demo`` is the folder that `festina demo` left (default: a demo is run first, about three minutes). The pages of a
review come from the small world of the review's own tests, where a change waits. Needs the test tools and chromium.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = (  # name, address, phone, dark, height in pixels
    ("web-run", "/", False, False, 1150),
    ("web-run-dark", "/", False, True, 800),
    ("web-run-phone", "/", True, False, 812),
    ("web-lineage", "/lineage", False, False, 800),
    ("web-proposal", "/proposal/1", False, False, 1300),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="festina-shots-") as folder:
        demo = asked.demo or _demo(Path(folder) / "demo")
        os.environ["FESTINA_REVIEWER_KEYS"] = str(Path(folder) / "reviewers")
        asked.out.mkdir(parents=True, exist_ok=True)
        _pages(demo, asked.out)
        _review(Path(folder) / "world", asked.out)
    return 0


def _tests(name: str) -> Any:  # noqa: ANN401 - the test tools have no strict types
    return importlib.import_module(f"tests.{name}")


def _demo(folder: Path) -> Path:
    command = [sys.executable, "-m", "festina", "demo", "--dir", str(folder), "--no-input"]
    subprocess.run(command, check=True)
    return folder


def _pages(demo: Path, out: Path) -> None:
    web = _tests("web.browsing")
    served, browser, visit = web.served, web.browser, web.visit
    with served(demo / "loop", demo / "home") as server, browser() as chrome:
        for name, path, phone, dark, height in SHOTS:
            with visit(chrome, server, phone=phone, dark=dark) as page:
                page.set_viewport_size({"width": 375 if phone else 1100, "height": height})
                page.goto(server.base + path)
                _take(page, out / f"{name}.png")


def _review(place: Path, out: Path) -> None:
    """A change that waits: before anything was said about it, and after."""
    web = _tests("web.browsing")
    served, browser, visit = web.served, web.browser, web.visit
    world = _tests("review.desk_world").World(place)
    for person in ("ann", "bob"):
        world.enrol(person)
    world.accept()
    world.ask()
    world.step("open", 0, "ann")
    subprocess.run(["git", "-C", str(world.repo.root), "config", "festina.home", world.home.path.name], check=True)
    where, home = world.repo.root, world.home.path.parent
    with served(where, home, "--as", "ann") as server, browser() as chrome, visit(chrome, server) as page:
        page.set_viewport_size({"width": 1100, "height": 1500})
        page.goto(server.base + "/review/0")
        _take(page, out / "web-review.png")
        world.wait(3600)
        world.step("classify", 0, "ann")
        page.set_viewport_size({"width": 1100, "height": 900})
        page.wait_for_timeout(1500)  # the pages follow the record
        page.goto(server.base + "/review/0")
        page.evaluate("document.querySelector('#h-evidence').scrollIntoView()")
        _take(page, out / "web-review-evidence.png")
    world.close()


def _take(page: Page, file: Path) -> None:
    page.wait_for_timeout(700)
    page.screenshot(path=str(file))
    print(f"{file} {file.stat().st_size // 1000} kB", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
