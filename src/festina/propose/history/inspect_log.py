"""Inspect's logs (``.eval``, a zip; or ``.json``) as evaluator runs, read without Inspect and without unpacking.

Every log is one evaluation of one generation (the commit that it says it ran at, else its model). The score is the
first metric of the first scorer. Where that metric is a mean of plain values, it is made again from the samples; a
sample that the log counts and does not hold is a gap. Sizes are taken from the zip's directory before anything is
unpacked, and held to while it is: a bomb is named, not read.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from festina.propose.history.types import (
    MAX_FILES,
    History,
    Told,
    count_of,
    cut,
    files_below,
    number_of,
    scores_of,
    shown,
    utc,
)
from festina.propose.history.zipped import CannotUnpack, unpack
from festina.system.commits import Commits

MOST_PART = 32 << 20  # unpacked bytes of one part
MOST_ALL = 256 << 20  # of all parts that are read
MOST_PARTS = 100_000
_SAMPLE = re.compile(r"samples/.{1,300}\.json")
_VALUES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}  # Inspect's value_to_float
_MEANS = ("accuracy", "mean")
SLACK = 1e-6


def read_inspect(folder: Path, metric: str, commits: Commits | None) -> History:
    """All logs below ``folder``, or the one log that it is."""
    found = History(metric=metric)
    logs = [folder] if folder.is_file() else files_below(folder, (".eval", ".json"))
    if len(logs) > MAX_FILES:
        found.find("too-large", "", f"more than {MAX_FILES:,} logs: the rest was not read")
    for path in logs[:MAX_FILES]:
        _log(found, folder if folder.is_dir() else folder.parent, path, metric.partition(":")[0], commits)
    if not logs:
        found.find("unreadable", "", "no .eval or .json log lies here")
    return found


def _log(found: History, folder: Path, path: Path, metric: str, commits: Commits | None) -> None:
    where = shown(path.relative_to(folder).as_posix())
    data = found.take(folder, path, most=256 << 20)
    if data is None:
        return
    whole = _zipped(found, where, data) if path.suffix == ".eval" else (found.json(where, data), None)
    if whole is None or not isinstance(whole[0], dict):
        return
    header, samples = whole
    if samples is None and isinstance(header.get("samples"), list):
        samples = header["samples"]
    spec, results = _table(header, "eval"), _table(header, "results")
    if not spec:
        found.find("unreadable", where, f"{where} is no log of Inspect's")
        return
    name, score = _score(results, metric)
    revision = _table(spec, "revision")
    commit = commits.find(cut(revision.get("commit"))) if commits is not None else None
    if revision.get("commit") and commits is not None and commit is None:
        found.find("no-generation", where, f"{where}: it ran at a commit that is not here")
    key = cut(spec.get("eval_id")) or cut(spec.get("run_id")) or where
    failed = header.get("status") not in ("success", None)
    found.add(
        Told(
            key, at=utc(spec.get("created")), score=None if failed else score, decimals=17,
            status="failed" if failed else "unknown", commit=commit.oid if commit else "",
            tree=commit.tree if commit else "", by=cut(spec.get("model")), words=cut(spec.get("task")),
            scores=scores_of(_numbers(results)), source=where,
        )
    )  # fmt: skip
    if header.get("invalidated"):
        found.find("contradiction", key, f"{where}: somebody marked this log as invalid")
    _counted(found, key, where, results, samples)
    if name in _MEANS and not failed and score is not None and samples is not None:
        _again(found, key, where, score, samples, cut(_first(results).get("name")))


def _zipped(found: History, where: str, data: bytes) -> tuple[Any, list[Any]] | None:
    """Header and samples of a ``.eval``."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            parts = file.infolist()
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_ALL:
                found.find("too-large", where, f"{where}: {len(parts):,} parts, "
                           f"{sum(part.file_size for part in parts):,} bytes unpacked: not read")  # fmt: skip
                return None
            names = [part.filename for part in parts]
            if len(set(names)) != len(names):
                found.find("contradiction", where, f"{where}: a part stands twice in the zip")
            header = _part(found, where, data, file, "header.json")
            wanted = [name for name in dict.fromkeys(names) if _SAMPLE.fullmatch(name)]
            samples = [_part(found, where, data, file, name) for name in wanted]
    except CannotUnpack:
        found.find("unreadable", where, f"{where} is packed with Zstandard: pip install zstandard reads it")
        return None
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, RuntimeError, NotImplementedError,
            EOFError) as error:  # fmt: skip
        found.find("unreadable", where, f"{where}: no log that can be read ({type(error).__name__}); one without a "
                   "header was cut off")  # fmt: skip
        return None
    return header, [each for each in samples if each is not None]


def _part(found: History, where: str, whole: bytes, file: zipfile.ZipFile, name: str) -> Any:  # noqa: ANN401 - JSON
    data = unpack(whole, file, name, MOST_PART)
    if data is None:
        found.find("too-large", where, f"{where}: {shown(name, 80)} unpacks to more than {MOST_PART:,} bytes")
        return None
    return found.json(f"{where}: {name}", data) if b"NaN" not in data else _lenient(found, where, name, data)


def _lenient(found: History, where: str, name: str, data: bytes) -> Any:  # noqa: ANN401 - hostile JSON
    """Inspect writes NaN for a sample's missing score: read as no score."""
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        found.find("unreadable", where, f"{where}: {shown(name, 80)} is no JSON")
        return None


def _table(value: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - hostile JSON
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _first(results: dict[str, Any]) -> dict[str, Any]:
    scores = results.get("scores")
    return scores[0] if isinstance(scores, list) and scores and isinstance(scores[0], dict) else {}


def _score(results: dict[str, Any], metric: str) -> tuple[str, float | None]:
    metrics = _table(_first(results), "metrics")
    name = metric if metric in metrics else next(iter(metrics), "")
    return name, number_of(_table(metrics, name).get("value"))


def _numbers(results: dict[str, Any]) -> list[tuple[object, object]]:
    scores = results.get("scores")
    return [
        (f"{cut(score.get('name'), 30)}/{name}", _table(_table(score, "metrics"), name).get("value"))
        for score in (scores if isinstance(scores, list) else ()) if isinstance(score, dict)
        for name in _table(score, "metrics")
    ]  # fmt: skip


def _counted(
    found: History, key: str, where: str, results: dict[str, Any], samples: list[Any] | None
) -> None:
    total = count_of(results.get("completed_samples"))
    if total is not None and samples is not None and len(samples) < total:
        found.find("gap", key, f"{where}: it counts {total:,} samples and holds {len(samples):,}")


def _again(found: History, key: str, where: str, score: float, samples: list[Any], scorer: str) -> None:
    """The mean of the samples' own values beside the log's; only where every sample has a plain value."""
    epochs: dict[str, list[float]] = {}
    for each in samples:
        value = _table(_table(each, "scores"), scorer).get("value")
        plain = _VALUES.get(value) if isinstance(value, str) else number_of(value)
        if isinstance(value, bool):
            plain = float(value)
        if plain is None or not isinstance(each, dict):
            return
        epochs.setdefault(str(each.get("id"))[:200], []).append(plain)
    if epochs:
        mean = sum(sum(values) / len(values) for values in epochs.values()) / len(epochs)
        if abs(mean - score) > SLACK * max(1.0, abs(score)):
            found.find("wrong-sum", key, f"{where}: it says {score:g}, and its {len(samples):,} samples give {mean:g}")
