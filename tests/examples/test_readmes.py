"""What an example's README says to type can be typed as it stands, up to the run itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def by_hand() -> list[tuple[str, str]]:
    """(example, commands) of every block that makes a system by hand."""
    found = []
    for readme in sorted(EXAMPLES.glob("*/README.md")):
        for block in BLOCK.findall(readme.read_text()):
            if "cp -r " in block and "$here" in block:
                found.append((readme.parent.name, block))
    return found


def test_every_example_that_is_copied_is_tried_here() -> None:
    assert {name for name, _ in by_hand()} >= {"library", "packing", "prompt", "selftrain"}


@pytest.mark.parametrize(("name", "block"), by_hand(), ids=[f"{n}-{name}" for n, (name, _) in enumerate(by_hand())])
def test_the_commands_of_a_readme_make_its_system_and_fill_its_vault(name: str, block: str, tmp_path: Path) -> None:
    lines = [line for line in block.splitlines() if not line.startswith("pip install")]
    last = max(n for n, line in enumerate(lines) if line.startswith("festina vault add"))
    text = "set -e\n" + "\n".join(lines[: last + 1]).replace("/tmp/", f"{tmp_path}/")
    top = EXAMPLES.parent if f"cd examples/{name}" in text else EXAMPLES / name
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    plain = {
        **os.environ, "PATH": path, "FESTINA_HOME": str(tmp_path / "homes"),
        **{f"GIT_{who}_{what}": "t@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", text], cwd=top, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hidden: a generator" in done.stdout + done.stderr
