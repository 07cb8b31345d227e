"""The process that holds an Inspect task: it replays recorded outputs through the task's own scorer.  # T-3, T-6

Started by ``inspecting.TaskScorer`` in the verifier's own view, and the only place that imports ``inspect_ai``. The
task keeps its scorer; its dataset, solver, setup, sandbox, model, limits, epochs and error handling are replaced, so
that nothing of the candidate's runs here and no sample can leave the denominator. Each batch is a fork: what one
leaves in memory, the next never sees. Logs stay in memory; labels never reach a disk.

What Inspect reports is believed only where it is sound: status "success", every sample there and completed or errored,
none twice. An errored, unscored, not-a-number or many-valued sample has no score.

Does not cover: what the task's scorer itself does; a scorer that needs a model, a network or a sandbox fails here.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.metadata
import importlib.util
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from festina.errors import UsageError
from festina.ledger.canonical import canonical
from festina.verify import wire
from festina.verify.confine import die_with_parent
from festina.verify.scoring import install, run, source_loader

__all__ = ["main"]

MOST = 64 << 20  # bytes of scores
NOT_SOUND = 3  # exit status of a batch whose record cannot be believed
MODULE = "festina_inspect_task"
_WARM = {"id": "warm", "input": "", "label": "", "output": ""}


def main(descriptor: int, folder: str, file: str, name: str) -> None:
    """Load the task, say whether that went well, then serve batches until the socket closes."""
    try:
        _serve(socket.socket(fileno=descriptor), folder, file, name)
    finally:  # also where the verifier is gone, wherever this was
        os._exit(0)  # not through exit handlers, which would write logs


def _serve(sock: socket.socket, folder: str, file: str, name: str) -> None:
    sock.set_inheritable(False)
    quiet = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(quiet, standard)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # nothing of what is loaded is garbage, and each batch would look through all of it again
    task, problem = _load(Path(folder), file, name)
    if problem is not None:
        wire.send(sock, wire.reply_error(problem))
        return
    run(lambda: _replay(task, [_WARM]), ())  # loads what Inspect loads late; whether the scorer likes it is no matter
    gc.freeze()
    gc.enable()
    wire.send(sock, {})
    while True:
        _, payload = wire.receive(sock)
        status, scores = _forked(task, payload)
        wire.send(sock, {"status": status}, scores)


def _load(folder: Path, file: str, name: str) -> tuple[Any, UsageError | None]:
    scorer = f"inspect:{file}@{name}"
    # Inspect reads the names of all installed packages for each evaluation; they stay what they are
    importlib.metadata.packages_distributions = functools.cache(importlib.metadata.packages_distributions)
    try:
        import inspect_ai  # noqa: F401 -- found out here whether it is there
    except ImportError:
        return None, UsageError(
            "inspect-missing", f"scorer {scorer} needs inspect_ai, which is not installed beside Festina",
            fix="pip install 'festina[inspect]'", where=file,
        )  # fmt: skip
    install(folder, [])
    path = folder / file

    def make() -> object:
        spec = importlib.util.spec_from_file_location(MODULE, path, loader=source_loader(MODULE, str(path)))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[MODULE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)()

    task, failure = run(make, (folder,))
    if failure is not None:
        return None, _broken(scorer, f"cannot be loaded ({failure.error})", failure.where or file)
    scorers = getattr(task, "scorer", None)
    if type(task).__name__ != "Task" or not scorers:
        return None, _broken(scorer, "is not a task with a scorer", file)
    if isinstance(scorers, list) and len(scorers) != 1:
        return None, _broken(scorer, f"has {len(scorers)} scorers: which one counts is not said", file)
    return task, None


def _broken(scorer: str, what: str, where: str) -> UsageError:
    return UsageError("scorer-broken", f"scorer {scorer} {what}", fix="mend the task and commit it", where=where)


def _forked(task: object, payload: bytes) -> tuple[int, bytes]:
    """Judge one batch in a child; its exit status (a signal's as the shell gives it) and what it wrote."""
    read, write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        die_with_parent(None if os.getppid() == parent else -1)
        os.close(read)
        found, failure = run(lambda: _replay(task, [json.loads(line) for line in payload.splitlines()]), ())
        if failure is not None or not isinstance(found, bytes):
            os._exit(NOT_SOUND)
        with os.fdopen(write, "wb") as pipe:
            pipe.write(found)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read(MOST)
    _, status = os.waitpid(child, 0)
    try:
        os.killpg(child, signal.SIGKILL)  # what it started
    except ProcessLookupError:
        pass
    return (128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), data


def _replay(task: object, rows: Sequence[Mapping[str, object]]) -> bytes:
    """The scores as JSON lines. Raises whatever the record lacks."""
    from inspect_ai import eval as evaluate
    from inspect_ai import task_with
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.scorer import value_to_float

    judged = task_with(
        task, dataset=MemoryDataset([_sample(row) for row in rows]), solver=_recorded(rows), setup=None, cleanup=None,
        sandbox=None, approval=None, epochs=1, early_stopping=None, message_limit=None, token_limit=None,
        time_limit=None, working_limit=None, fail_on_error=False, score_on_error=True,
    )  # fmt: skip
    asyncio.set_event_loop_policy(None)  # a fork must not share its parent's loop
    log = evaluate(
        judged, model=None, display="none", log_dir="memory://logs", log_format="json", log_realtime=False,
        score_display=False, ctl_server=False, fail_on_error=False, score_on_error=True, retry_on_error=0, epochs=1,
        max_samples=1, log_level="critical",
    )[0]  # fmt: skip
    samples = log.samples or []
    errors = sum(sample.error is not None for sample in samples)
    complete = log.results is not None and log.results.total_samples == len(rows)
    if log.status != "success" or not complete or {s.id for s in samples} != {r["id"] for r in rows}:
        raise RuntimeError("not sound")
    if len(samples) != len(rows) or log.results.completed_samples + errors < len(rows):
        raise RuntimeError("not sound")
    number = value_to_float()
    return b"".join(canonical({"id": s.id, "score": _score(s, number)}) + b"\n" for s in samples)


def _score(sample: Any, number: Any) -> float | None:  # noqa: ANN401 - Inspect's own types
    """One finite number, or None: an error, several scores, several values, or nothing."""
    if sample.error is not None or not sample.scores or len(sample.scores) != 1:
        return None
    value = next(iter(sample.scores.values())).value
    if not isinstance(value, str | int | float):
        return None
    found = float(number(value))
    return found if math.isfinite(found) else None


def _sample(row: Mapping[str, object]) -> Any:  # noqa: ANN401 - Inspect's own type
    from inspect_ai.dataset import Sample

    label, given = row["label"], row["input"]
    metadata: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    if isinstance(label, dict) and label.keys() == {"target", "metadata"} and isinstance(label["metadata"], dict):
        metadata, label = metadata | label["metadata"], label["target"]
    targets = [_text(each) for each in label] if isinstance(label, list) else _text(label)
    return Sample(id=str(row["id"]), input=_text(given), target=targets, metadata=metadata or None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


def _recorded(rows: Sequence[Mapping[str, object]]) -> Any:  # noqa: ANN401 - Inspect's own type
    """A solver that answers each sample with its recorded output."""
    from inspect_ai.model import ChatMessageAssistant, ModelOutput
    from inspect_ai.solver import Generate, TaskState, solver

    outputs = {str(row["id"]): _text(row["output"]) for row in rows}

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content(model="recorded", content=outputs[str(state.sample_id)])
        state.messages.append(ChatMessageAssistant(content=outputs[str(state.sample_id)]))
        return state

    return solver(name="recorded")(lambda: solve)()
