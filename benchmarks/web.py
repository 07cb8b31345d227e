"""How fast the pages are on a long record, and how far they are behind it.

    python benchmarks/web.py [--entries 100000] [--viewers 50] [--seconds 20] [--json FILE]

The record is made by the loop on paper (``tests/loop/paper.py``): real entries, really signed, in an order that a real
engine would write, and no box behind them. Three measurements: how long the server takes to start (open, check, fold);
what each page takes to make when nothing of it is kept (median of processor time, since a busy machine stretches the
other), and its size; and, with the real server in a process of its own and ``--viewers`` of them each holding a stream
and asking for the run page at every change, how long after an entry was recorded the stream tells of it, and the page
that shows it is there. Targets: 50 ms, 300 KB, 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
from tests.web.signed import SignedLoop  # noqa: E402

from festina.ledger import entries as e  # noqa: E402
from festina.web.acting import acts  # noqa: E402
from festina.web.app import Site, create  # noqa: E402
from festina.web.gate import Pass  # noqa: E402
from festina.web.serve import settle  # noqa: E402

TARGET_MS, TARGET_BYTES, TARGET_S = 50.0, 300_000, 1.0
REPEATS = 7


def record(place: Path, entries: int) -> SignedLoop:
    """A run of at least so many entries, its ledger open for writing."""
    loop = SignedLoop(seed=7, proposals=10**7, guards=2, share=0.05, dull=0.8, place=place)
    loop.begin()
    told = time.monotonic()
    while loop.state.size < entries:
        loop.some(200)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"  {loop.state.size:,} entries", file=sys.stderr)
    return loop


def paths(loop: SignedLoop) -> list[str]:
    """Every page, and those of its kind that hold most."""
    s = loop.state
    accepted = [g.proposal for g in s.generations.values() if g.proposal is not None]
    longest = max(s.proposals.values(), key=lambda p: p.trials).number
    size = s.size
    middle = len(s.proposals) // 2
    return [
        "/", "/lineage", f"/lineage?until={len(s.generations) // 2}", "/proposals", f"/proposals?before={middle}",
        f"/proposal/{longest}", f"/proposal/{accepted[-1]}", "/review", "/reviewers", "/growth", "/ledger",
        f"/ledger?before={size // 2}", "/ledger?kind=review-decided", f"/ledger/{size // 2}", "/run.json",
        "/lineage.json",
    ]  # fmt: skip


async def pages(loop: SignedLoop) -> tuple[float, list[dict[str, Any]]]:
    """(seconds to start, a row a page): the application alone, without a socket."""
    begun = time.perf_counter()
    site = Site(loop.feed(), Pass(8000))
    settle(site.feed)
    started = time.perf_counter() - begun
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create(site, acts(site))), base_url="http://127.0.0.1:8000",
        headers={"cookie": f"{site.door.cookie}={site.door.session}"},
    )  # fmt: skip
    rows = []
    async with client:
        for path in paths(loop):
            took, cpu = [], []
            for _ in range(REPEATS):
                site.forget()
                at, spent = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                took.append((time.perf_counter() - at) * 1000)
                cpu.append((time.process_time() - spent) * 1000)
                assert answer.status_code == 200, (path, answer.text)
            rows.append(
                {"page": path, "ms": statistics.median(cpu), "first_ms": cpu[0], "wall_ms": statistics.median(took),
                 "bytes": len(answer.content)}
            )  # fmt: skip
    site.feed.ledger.close()
    return started, rows


async def viewer(base: str, cookie: dict[str, str], seen: Callable[[str, int, float], None], until: float) -> None:
    """One browser: a stream, and the run page at every change that it tells of, at most twice a second."""
    client = httpx.AsyncClient(base_url=base, headers=cookie, timeout=30)
    last, due = 0.0, False

    async def refresh() -> None:
        nonlocal last, due
        await asyncio.sleep(max(0.0, 0.5 - (time.monotonic() - last)))
        last, due = time.monotonic(), False
        page = (await client.get("/")).text
        found = re.search(r"A reading of ([\d,]+) entries", page)
        assert found is not None
        seen("page", int(found[1].replace(",", "")), time.monotonic())

    async with client, asyncio.TaskGroup() as tasks, client.stream("GET", "/events") as stream:
        async for line in stream.aiter_lines():
            if time.monotonic() > until:
                return
            if line.startswith("data:"):
                seen("stream", json.loads(line[5:])["size"], time.monotonic())
                if not due:
                    due = True
                    tasks.create_task(refresh())


async def watched(loop: SignedLoop, viewers: int, seconds: float) -> dict[str, Any]:
    """Lag of streams and pages while an engine appends twice a second."""
    env = os.environ | {"FESTINA_HOME": str(loop.home.path.parent)}
    subprocess.run(["git", "-C", str(loop.repo.root), "config", "festina.home", loop.home.path.name], check=True)
    command = [sys.executable, "-m", "festina", "web", "-C", str(loop.repo.root), "--no-open"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        begun = time.monotonic()
        address = (await asyncio.to_thread(server.stdout.readline)).strip()
        started = time.monotonic() - begun
        base = address.split("/?")[0]
        async with httpx.AsyncClient() as client:
            set_cookie = (await client.get(address)).headers["set-cookie"].split(";")[0]
        written: dict[int, float] = {}
        lags: dict[str, list[float]] = {"stream": [], "page": []}

        def seen(what: str, size: int, at: float) -> None:
            if size in written:
                lags[what].append(at - written[size])

        until = time.monotonic() + seconds
        tasks = [asyncio.create_task(viewer(base, {"cookie": set_cookie}, seen, until)) for _ in range(viewers)]
        await asyncio.sleep(2)
        cpu = _cpu(server.pid)
        from_ = time.monotonic()
        while time.monotonic() < until - 2:
            loop.put(e.FaultRecorded(what="sandbox-error", detail=None))
            written[loop.state.size] = time.monotonic()
            await asyncio.sleep(0.5)
        busy = (_cpu(server.pid) - cpu) / (time.monotonic() - from_)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [repr(x) for x in ended if isinstance(x, Exception)]
        assert not broken, broken[:3]
        memory = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1])  # type: ignore[index]
        return {
            "viewers": viewers, "appended": len(written), "start_s": started, "server_cores": busy,
            "server_mib": memory / 1024,
            **{f"{what}_{name}": value for what, found in lags.items() for name, value in _spread(found).items()},
        }  # fmt: skip
    finally:
        server.terminate()
        server.wait()


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [float("nan")]
    return {"median_s": statistics.median(ordered), "p95_s": ordered[int(len(ordered) * 0.95)], "most_s": ordered[-1],
            "count": len(values)}  # fmt: skip


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="festina-web-") as folder:
        os.environ["FESTINA_REVIEWER_KEYS"] = str(Path(folder) / "reviewers")
        begun = time.monotonic()
        loop = record(Path(folder) / "run", asked.entries)
        made_s = time.monotonic() - begun
        s = loop.state
        started, rows = asyncio.run(pages(loop))
        print(json.dumps({"folds_s": started, "pages": rows}), file=sys.stderr)
        live = asyncio.run(watched(loop, asked.viewers, asked.seconds))
        assert loop.ledger is not None
        loop.ledger.close()
    found = {
        "entries": s.size, "proposals": len(s.proposals), "generations": len(s.generations), "made_s": made_s,
        "machine": f"{os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}",
        "folds_s": started, "pages": rows, "live": live,
    }  # fmt: skip
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{s.size:,} entries, {len(s.proposals):,} proposals, {len(s.generations):,} generations; {found['machine']}")
    print(f"opening, checking and folding: {started:.1f} s\n")
    print(f"{'page':<36}{'median ms':>10}{'first ms':>10}{'wall ms':>10}{'KB':>10}")
    for row in rows:
        numbers = (row["ms"], row["first_ms"], row["wall_ms"], row["bytes"] / 1000)
        print(f"{row['page']:<36}" + "".join(f"{n:>10.1f}" for n in numbers))
    print(
        f"\n{live['viewers']} viewers, {live['appended']} entries: stream {live['stream_median_s']:.2f} s behind (most "
        f"{live['stream_most_s']:.2f}), page {live['page_median_s']:.2f} s (95 % {live['page_p95_s']:.2f}, most "
        f"{live['page_most_s']:.2f}); server {live['server_cores']:.2f} cores, {live['server_mib']:.0f} MiB"
    )
    slow = [r["page"] for r in rows if r["ms"] > TARGET_MS or r["bytes"] > TARGET_BYTES]
    late = live["page_p95_s"] > TARGET_S
    print("targets met" if not slow and not late else f"TARGETS MISSED: {slow} {'live' if late else ''}")
    return 0 if not slow and not late else 1


if __name__ == "__main__":
    sys.exit(main())
