"""Guesses for ``festina run -- COMMAND``: metric, direction, scope and improver, each with its reason.

``parse_metric`` is also how a self-reported score is read (V-10), so it is strict: the value is that of the
*last* line that begins with the name, and if that line is not exactly ``name: number`` or ``name = number``
in plain ASCII, or the number is not finite, there is no score (T-6); an earlier, better line never steps in.

Not covered: metrics inside a line of prose or a progress bar, and what a metric means. Guesses are shown to
a person before anything is run on them.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Literal

from festina.errors import UsageError
from festina.select.pairing import LARGEST

__all__ = ["Guess", "direction_of", "guess", "parse_metric", "rank_of", "script_of"]

Direction = Literal["higher", "lower"]
NUMBER = rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
MAX_NUMBER = 64  # characters
_LINE = re.compile(rb"[ \t]*([A-Za-z][A-Za-z0-9_./@-]{0,63})[ \t]*[:=][ \t]*(" + NUMBER + rb")[ \t]*\r?")
_NO_NUMBER = re.compile(rb"[ \t]*[A-Za-z][A-Za-z0-9_./@-]{0,63}[ \t]*[:=][ \t]*[+-]?(?i:nan|inf|infinity)[ \t]*\r?")
_VALUE = re.compile(rb"[ \t]*[:=][ \t]*(" + NUMBER + rb")[ \t]*\r?")

_RATE = re.compile(r"per_?s(ec(ond)?)?(_|$)|throughput|(^|_)(fps|qps|tps|rps|it_s|tok_s)(_|$)")
_LOWER = frozenset({
    "loss", "bpb", "bpc", "err", "error", "errors", "wer", "cer", "perplexity", "ppl", "mse", "rmse", "mae", "mape",
    "nll", "xent", "crossentropy", "regret", "kl", "fid", "brier", "ece", "excess", "gap", "violations", "failures",
    "misses", "distance", "divergence", "energy",
})  # fmt: skip
_HIGHER = frozenset({
    "acc", "accuracy", "f1", "auc", "auroc", "auprc", "reward", "return", "returns", "score", "precision", "recall",
    "bleu", "rouge", "map", "ndcg", "mrr", "speedup", "r2", "iou", "dice", "psnr", "ssim", "win", "wins", "winrate",
    "pass", "passed", "solved", "elo", "correct", "success", "em", "exact", "hits", "likelihood", "elbo", "coverage",
})  # fmt: skip
_COST = frozenset({
    "time", "latency", "seconds", "secs", "sec", "s", "ms", "runtime", "duration", "cost", "memory", "mem", "bytes",
    "mb", "vram", "size", "wall", "cpu",
})  # fmt: skip
AGENTS = ("codex", "aider", "claude", "opencode")  # those that ``presets.toml`` knows how to start
_CODE = (".py", ".sh", ".bash", ".js", ".mjs", ".ts", ".rb", ".jl", ".r", ".lua", ".pl")
_SETTINGS = (".json", ".toml")
_SHELLS = ("sh", "bash", "dash", "zsh")


@dataclass(frozen=True, slots=True)
class Guess:
    """What ``festina run -- COMMAND`` will do, and in ``why`` one sentence for each guess."""

    metric: str
    direction: Direction
    value: float
    allow: tuple[str, ...]
    improver: str  # "search": what needs a model costs money, and is never guessed
    why: Mapping[str, str]


def parse_metric(stdout: bytes, name: str) -> float | None:
    """The number that ``stdout`` reports under ``name``, or ``None``.  # T-6, V-10"""
    wanted = name.encode("utf-8", "replace")
    if not wanted:
        return None
    for line in reversed(stdout.split(b"\n")):
        bare = line.lstrip(b" \t")
        if bare.startswith(wanted) and re.match(rb"[ \t]*[:=]", bare[len(wanted) :]):
            match = _VALUE.fullmatch(bare[len(wanted) :])
            return _finite(match[1]) if match else None
    return None


def _finite(text: bytes) -> float | None:
    value = float(text) if len(text) <= MAX_NUMBER else math.nan
    return value if abs(value) <= LARGEST else None  # false for NaN, too


def direction_of(name: str) -> Direction | None:
    """Which way is better, from the words in a metric's name; ``None`` when they do not say or disagree."""
    kind = _kind(name)
    return "higher" if kind == "higher" else "lower" if kind in ("lower", "cost") else None


def _kind(name: str) -> Literal["higher", "lower", "cost"] | None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    snake = re.sub(r"[^a-z0-9]+", "_", snake.lower())
    if _RATE.search(snake):
        return "higher"
    words = set(snake.split("_"))
    good, bad = words & _HIGHER, words & _LOWER
    if good and bad:
        return None
    if good:
        return "higher"
    if bad:
        return "lower"
    return "cost" if words & _COST else None


def guess(
    root: Path,
    argv: Sequence[str],
    stdout: bytes,
    *,
    metric: str | None = None,
    allow: Sequence[str] | None = None,
    find: Callable[[str], str | None] = which,
) -> Guess:
    """All guesses for ``argv``, run in ``root``, which printed ``stdout``.

    ``metric`` (``NAME`` or ``NAME:higher``) and ``allow`` are what the caller has already said. Raises
    ``UsageError`` with the option to give when something cannot be guessed.
    """
    why: dict[str, str] = {}
    name, direction, value = _metric(stdout, metric, why)
    if allow:
        scope = tuple(allow)
        why["allow"] = "as given"
    else:
        scope = _scope(root, argv, why)
    improver = _improver(find, why)
    return Guess(name, direction, value, scope, improver, why)


def _metric(stdout: bytes, given: str | None, why: dict[str, str]) -> tuple[str, Direction, float]:
    if given is not None:
        return _given(stdout, given, why)
    seen: dict[str, float] = {}
    for line in stdout.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match:
            name = match[1].decode()
            seen.pop(name, None)  # the order is that of the last lines
            seen[name] = math.nan
    seen = {name: value for name in seen if (value := parse_metric(stdout, name)) is not None}
    if not seen:
        odd = next((line for line in reversed(stdout.split(b"\n")) if _NO_NUMBER.fullmatch(line)), None)
        raise UsageError(
            "no-metric",
            "the command printed no line of the form 'name: number'"
            + (f"; '{odd.decode().strip()}' gives no finite one" if odd is not None else ""),
            fix="print the metric as its last line, e.g. print(f'val_loss: {loss}')",
        )
    ranked = sorted(enumerate(seen), key=lambda item: (*rank_of(item[1]), item[0]))
    name = ranked[-1][1]
    direction = direction_of(name)
    if direction is None:
        raise UsageError(
            "metric-direction-unknown",
            f"cannot tell whether a higher or a lower '{name}' is better",
            fix=f"--metric {name}:higher or --metric {name}:lower (printed were: {', '.join(list(seen)[-8:])})",
        )
    others = f", of {len(seen)} printed" if len(seen) > 1 else ""
    why["metric"] = f"the last line of the form 'name: number' that names a result{others}"
    why["direction"] = f"its name says that {direction} is better"
    return name, direction, seen[name]


def rank_of(name: str) -> tuple[int, int]:
    """Results before costs before words that say nothing; held-out data before training data."""
    quality = {"higher": 2, "lower": 2, "cost": 1, None: 0}[_kind(name)]
    return quality, 0 if re.search(r"(^|[^a-z])train", name.lower()) else 1


def _given(stdout: bytes, given: str, why: dict[str, str]) -> tuple[str, Direction, float]:
    name, _, word = given.rpartition(":") if given.endswith((":higher", ":lower")) else (given, "", "")
    direction: Direction | None = "higher" if word == "higher" else "lower" if word == "lower" else direction_of(name)
    if direction is None:
        raise UsageError(
            "metric-direction-unknown",
            f"cannot tell whether a higher or a lower '{name}' is better",
            fix=f"--metric {name}:higher or --metric {name}:lower",
        )
    value = parse_metric(stdout, name)
    if value is None:
        raise UsageError(
            "no-metric",
            f"the command printed no finite number for '{name}'",
            fix=f"print it on a line of its own: {name}: 0.123",
        )
    why["metric"] = "as given"
    why["direction"] = "as given" if word else f"its name says that {direction} is better"
    return name, direction, value


def _scope(root: Path, argv: Sequence[str], why: dict[str, str]) -> tuple[str, ...]:
    script = script_of(root, argv)
    if script is None:
        raise UsageError(
            "no-script",
            f"cannot tell which file '{shlex.join(argv)[:200]}' runs",
            fix="say what may be changed: --allow train.py (several are possible, also globs: --allow 'model/**')",
        )
    settings = [name for word in argv if (name := _inside(root, word.rpartition("=")[2])) and name.endswith(_SETTINGS)]
    called = _called(root, script)
    if called:
        why["allow"] = f"what {script} starts"
        return (*called, *settings)
    why["allow"] = "the command's script" + (" and its settings file" if settings else "")
    return (script, *(name for name in dict.fromkeys(settings) if name != script))


def script_of(root: Path, argv: Sequence[str]) -> str | None:
    """The file of the repository that ``argv`` runs, as a path below ``root``; ``None`` if that is unclear."""
    words = list(argv)
    for at, word in enumerate(words):
        python = re.fullmatch(r"(.*/)?python[0-9.]*|(.*/)?torchrun", word) is not None
        if python and "-c" in words[at + 1 : at + 2]:
            return None
        if word == "-m" and at + 1 < len(words):
            found = _module(root, words[at + 1])
            if found is not None:
                return found
            continue
        if word.endswith(_CODE) and (name := _inside(root, word)):
            return name
    return _inside(root, words[0]) if words and "/" in words[0] else None


def _inside(root: Path, word: str) -> str | None:
    """``word`` as a path below ``root`` if it names a plain file there, links not followed."""
    if not word or "\0" in word:
        return None
    top = root.resolve()
    path = top / word  # an absolute word replaces the root
    try:
        if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(top):
            return None
    except OSError:  # a word longer than a file name may be
        return None
    return path.resolve().relative_to(top).as_posix()


def _module(root: Path, name: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
        return None
    below = name.replace(".", "/")
    for top in ("", "src/"):
        for tail in (".py", "/__main__.py"):
            found = _inside(root, f"{top}{below}{tail}")
            if found is not None:
                return found
    return None


def _called(root: Path, script: str) -> tuple[str, ...]:
    """The Python files that a shell script names, as far as they are in the repository."""
    if not script.endswith((".sh", ".bash")):
        return ()
    text = (root / script).read_bytes()[:65536].decode("utf-8", "replace")
    names = [_inside(root, word) for word in re.findall(r"[\w./-]+\.py\b", text)]
    return tuple(dict.fromkeys(name for name in names if name))


def _improver(find: Callable[[str], str | None], why: dict[str, str]) -> str:
    """Nothing that costs money is chosen for anybody."""
    agent = next((name for name in AGENTS if find(name)), None)
    note = ", needs no model"
    if agent:
        note = f"; {agent} is on PATH and can propose: improver.preset and [model] in festina.toml"
    why["improver"] = f"built in{note}"
    return "search"
