"""Things break while the whole loop runs, for real: each is a class of its own, never an acceptance, never a hang, and
never the candidate's fault when it is ours; the next run goes on from there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from festina.system import home as homes
from festina.system.repo import Repo
from tests import waiting
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LIMIT_S = 150


@contextlib.contextmanager
def running(toy: Toy, *extra: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--budget", "120s", "--workers", "2"]
    engine = subprocess.Popen(
        [*command, "--proposals", "1", *extra], env=os.environ | toy.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield engine
    finally:
        engine.kill()
        engine.wait()
        assert engine.stderr is not None
        engine.stderr.close()


def below(pid: int) -> list[int]:
    found, level = [], [pid]
    while level:
        inner = []
        for each in level:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{each}/task").iterdir():
                    inner += map(int, (task / "children").read_text().split())
        found += inner
        level = inner
    return found


def called(engine: int, word: str) -> list[int]:
    """Descendants whose command line holds ``word``, the innermost last."""
    found = []
    for pid in below(engine):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def until(engine: subprocess.Popen[str], happened) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and engine.poll() is None:
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError(f"it did not happen; the run ended with {engine.poll()}")


def begun(toy: Toy) -> bool:
    """Whether a batch is under way."""
    with contextlib.suppress(Exception):
        return any(r.kind == "batch-started" for r in read(toy.root)[1])
    return False


def slow_toy(tmp_path: Path, **options: object) -> Toy:
    """A toy whose trials take a tenth of a second, so that a batch can be hit."""
    toy = make_toy(tmp_path, step="0.7", **options)  # type: ignore[arg-type]
    answer = (toy.root / "answer.py").read_text()
    (toy.root / "answer.py").write_text(answer + "import time; time.sleep(0.15)\n")
    toy.commit("slower")
    return toy


def test_T6_a_verifier_that_is_killed_again_and_again_charges_nobody(tmp_path: Path) -> None:
    toy = slow_toy(tmp_path)
    with running(toy) as engine:
        until(engine, lambda: begun(toy))
        for _ in range(3):
            for pid in called(engine.pid, "festina.verify.worker"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.6)
        _, said = engine.communicate(timeout=LIMIT_S)
        assert engine.returncode == 0, said
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["accepted"]


@pytest.mark.slow
def test_T6_the_sandboxs_own_helper_killed_in_mid_batch_charges_nobody(tmp_path: Path) -> None:
    toy = slow_toy(tmp_path)
    with running(toy) as engine:
        until(engine, lambda: begun(toy))
        killed = called(engine.pid, "spawner")
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, said = engine.communicate(timeout=LIMIT_S)
    assert killed
    assert engine.returncode in (0, 1), said
    assert "Traceback" not in said
    state = check(toy.root, settled=True)
    assert "rejected" not in [p.word for p in state.proposals.values()]
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_T4_a_vault_that_changes_under_a_run_ends_it_with_its_name_and_the_next_run_goes_on(tmp_path: Path) -> None:
    toy = slow_toy(tmp_path)
    home = homes.find(Repo.discover(toy.root))
    assert home is not None
    vault = home.vault / "hidden"
    source = next(path for path in vault.iterdir() if path.suffix == ".py")
    data = source.read_bytes()
    with running(toy) as engine:
        until(engine, lambda: begun(toy))
        source.write_bytes(data.replace(b"% 7", b"% 3"))
        for pid in called(engine.pid, "festina.verify.worker"):  # it reads the vault only when it starts
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, said = engine.communicate(timeout=LIMIT_S)
        assert engine.returncode == 6, said
    assert re.search(r"\[vault-damaged\]", said), said
    assert str(source) in said
    assert "Traceback" not in said
    assert "accepted" not in [p.word for p in read(toy.root)[0].proposals.values()]
    source.write_bytes(data)
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr
    assert check(toy.root, settled=True).proposals[0].word == "accepted"


#: What a candidate with more skill than 0.9 answers or does instead; the incumbent answers three in ten rightly.
ANSWER = """\
import json, os
skill = json.load(open("skill.json"))["skill"]
out = os.environ["FESTINA_OUT"]
if skill > 0.9:
    BAD
with open(out + "/predictions.jsonl", "w") as file:
    for line in open(os.environ["FESTINA_IN"] + "/items.jsonl"):
        item = json.loads(line)
        right = item["input"] % 7
        output = ODD if skill > 0.9 else right if item["input"] % 10 < 3 else -1
        file.write(json.dumps({"id": item["id"], "output": output}) + "\\n")
"""
SCORING = """\
import re
def right(item, output):
    if isinstance(output, str) and output.startswith("aaa"):
        re.match(r"(a+)+$", output)
    if output == "memory":
        keep = [bytearray(1 << 26) for _ in range(1000)]
    if output == "kill":
        import os; os.kill(os.getpid(), 9)
    return float(output == item["label"])
"""


def provoked(
    tmp_path: Path, bad: str = "pass", odd: str = "right", *, wall: str = "60s"
) -> tuple[Toy, subprocess.CompletedProcess[str]]:
    toy = make_toy(tmp_path, step="0.7")
    (toy.root / "answer.py").write_text(ANSWER.replace("BAD", bad).replace("ODD", odd))
    (toy.root / "scoring.py").write_text(SCORING)
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text() + f'\n[verifier]\nwall = "{wall}"\nmemory = "512MiB"\n')
    toy.commit("a candidate to come that breaks things")
    return toy, festina("run", "--proposals", "1", "--budget", "140s", toy=toy)


def charged(toy: Toy, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["rejected"]
    assert state.faults == 0, done.stderr


@pytest.mark.parametrize(
    "odd",
    [
        '"kill"',
        pytest.param('"memory"', marks=pytest.mark.slow),
        pytest.param('"a" * 40 + "b"', marks=pytest.mark.slow),
    ],
    ids=["kills", "memory", "slow-regex"],
)  # fmt: skip
def test_T6_an_answer_that_starves_or_kills_the_verifier_costs_its_candidate(tmp_path: Path, odd: str) -> None:
    charged(*provoked(tmp_path, odd=odd, wall="60s" if "kill" in odd else "3s"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "odd", ["10 ** 4000", 'json.loads("[" * 900 + "]" * 900)'], ids=["huge-integer", "deep-json"]
)
def test_T3_an_answer_that_no_strict_reader_takes_is_the_worst(tmp_path: Path, odd: str) -> None:
    charged(*provoked(tmp_path, odd=odd))


@pytest.mark.parametrize(
    "bad",
    [
        'f = open(out + "/big", "wb"); [f.write(b"x" * (1 << 20)) for _ in range(100)]',
        pytest.param('[open(f"/tmp/{k}", "w").close() for k in range(1_000_000)]', marks=pytest.mark.slow),
    ],
    ids=["100-MB-file", "a-million-temporary-files"],
)  # fmt: skip
def test_E1_a_candidate_that_floods_its_box_is_rejected_and_the_run_goes_on(tmp_path: Path, bad: str) -> None:
    charged(*provoked(tmp_path, bad=bad))


@root_only
@pytest.mark.slow
def test_T2_control_groups_that_cannot_be_written_mean_a_lower_level_or_a_refusal(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.7")
    read_only = "for m in /sys/fs/cgroup/*; do mount -o remount,bind,ro $m 2>/dev/null; done; mount --bind -o ro /sys/fs/cgroup /sys/fs/cgroup; mount -o remount,bind,ro /sys/fs/cgroup; "  # noqa: E501
    tell = "for m in /sys/fs/cgroup/*/; do mount --bind $m $m; mount -o remount,bind,ro $m; done; "

    def run(*extra: str) -> subprocess.CompletedProcess[str]:
        line = f'{tell}{read_only}exec "$@"'
        command = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--proposals", "1", "--budget", "100s"]
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", line, "sh", *command, *extra], env=os.environ | toy.environment, text=True,
            capture_output=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr
    assert "L2" in done.stderr
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("[policy]\n", '[policy]\nmin_level = "L3"\n'))
    toy.commit("demand more")
    refused = run("--new-epoch", "demand more")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "L3" in refused.stderr


@root_only
@pytest.mark.slow
def test_T6_an_engine_that_the_host_kills_for_its_memory_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL is what the kernel sends when memory runs out; the verifier and all boxes die with the engine."""
    toy = slow_toy(tmp_path)
    with running(toy) as engine:
        until(engine, lambda: begun(toy))
        processes = below(engine.pid)
        engine.kill()
        engine.wait()
    waiting.until(lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])  # E-1
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr
    assert check(toy.root, settled=True).proposals[0].word == "accepted"
