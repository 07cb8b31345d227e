"""A real server and a real browser for slow tests and screenshots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE = {"width": 375, "height": 812}
DESK = {"width": 1200, "height": 800}


def chromium() -> str | None:
    """A browser of the system's, or None."""
    named = os.environ.get("FESTINA_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Served:
    """A running ``festina web``. ``address`` holds the token."""

    address: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return self.address.split("/?")[0]


@contextmanager
def served(root: Path, home: Path, *extra: str) -> Iterator[Served]:
    """``festina web`` on the system at ``root`` whose homes lie in ``home``."""
    env = os.environ | {"FESTINA_HOME": str(home)}
    command = [sys.executable, "-m", "festina", "web", "-C", str(root), "--no-open", *extra]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        yield Served(address, process)
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=chromium(), args=ARGS)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def visit(
    found: Browser, where: Served, *, phone: bool = False, dark: bool = False, scripts: bool = True
) -> Iterator[Page]:
    """A page that holds the cookie; whatever it asks for elsewhere, or complains of, fails the visit at its end."""
    context = found.new_context(
        viewport=PHONE if phone else DESK, color_scheme="dark" if dark else "light", java_script_enabled=scripts
    )
    complaints: list[str] = []
    page = context.new_page()
    page.on(
        "console", lambda m: complaints.append(f"{m.text} {m.location}") if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("dialog", lambda d: (complaints.append(f"dialog {d.message}"), d.dismiss()))
    page.on("request", lambda r: None if r.url.startswith(where.base) else complaints.append(r.url))
    try:
        page.goto(where.address)
        yield page
        assert not complaints, complaints
    finally:
        context.close()
