"""How long `festina halt` takes to have an effect on a busy machine, without the right to go before others.

    python benchmarks/halt_start.py [--runs 8] [--spinning 20] [--json]

As many processes as asked for spin. A system's home has one registered worker that only sleeps; `festina halt` is
started, and noted is when its marker stands (by which every engine ends itself within a twentieth of a second) and
when the worker was killed, both from the start of the command. Run it as a user who may not schedule ahead of others,
or with `setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from festina.system.halts import started
from festina.system.home import Home

NAME = "busy-0123abcd"
PATIENCE_S = 60.0


def measured(base: Path) -> tuple[float, float]:
    """Seconds until the marker stands, and until the worker is dead."""
    root, home = base / "system", Home(base / "homes" / NAME)
    root.mkdir()
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "config", "festina.home", NAME], check=True)
    home.create()
    worker = subprocess.Popen(["sleep", "60"])
    (home.path / "running" / f"{worker.pid}-{started(worker.pid)}-0").touch()
    environment = os.environ | {"FESTINA_HOME": str(base / "homes")}
    begun = time.monotonic()
    line = [sys.executable, "-m", "festina", "halt", "-C", str(root), "--reason", "measured"]
    halt = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL)
    marked = 0.0
    while worker.poll() is None and time.monotonic() - begun < PATIENCE_S:
        if not marked and any((home.path / "halts").glob("*.json")):
            marked = time.monotonic() - begun
        time.sleep(0.005)
    killed = time.monotonic() - begun
    halt.kill()  # what follows the effect, the record and the words, is not measured
    halt.wait()
    return marked or killed, killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--spinning", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.spinning)]
    rows = []
    try:
        time.sleep(1)
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(Path(folder)))
    finally:
        for each in spinning:
            each.kill()
            each.wait()
    for name, column in (("marker", [a for a, _ in rows]), ("killed", [b for _, b in rows])):
        found = {"what": name, "median_s": median(column), "most_s": max(column), "runs": len(column)}
        print(json.dumps(found) if options.json else f"{name}: median {median(column):.2f} s, most {max(column):.2f} s")


if __name__ == "__main__":
    main()
