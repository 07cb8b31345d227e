"""Settings that a model names, ``{"file": ..., "name" or "line": ..., "value": ...}``, and turning them. Pure.

They come as a list, or in an object beside the plan: ``schema`` describes that object, for servers that hold a model to
it.
A setting is a name that is followed by ``=`` or ``:`` and a plain value (number, truth value or string). The value
keeps its kind: a number stays a number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from festina.errors import IntegrityError
from festina.ledger.canonical import parse_strict

__all__ = ["Found", "Setting", "Turned", "find_knobs", "schema", "settings_in", "turn"]

_VALUE = (
    r"(?P<value>[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|\b(?:True|False|true|false)\b"
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_NAMED = re.compile(rf"""(?<![\w.-])["']?(?P<name>[A-Za-z_]\w{{0,63}})["']?\s*[=:](?!=)\s*{_VALUE}""")
MOST_NAMES = 200
MAX_JSON = 64 << 10
NAME = re.compile(r"[A-Za-z_][\w.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Setting:
    file: str | None
    name: str | None
    line: int | None  # from 1
    value: bool | int | float | str


@dataclass(frozen=True, slots=True)
class Turned:
    """``text``: after a mend of the value's spelling; None: the value is of another kind than the setting's."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """``mended``: the JSON, or its shape. ``said``: what stands beside the settings."""

    settings: tuple[Setting, ...] = ()
    mended: bool = False
    said: Mapping[str, Any] = field(default_factory=dict)


def find_knobs(answer: str) -> Found:
    """The settings in the first JSON of the answer that holds any."""
    for text in _pieces(answer):
        value, repaired = _json(text)
        found, odd = _settings(value)
        if found:
            return Found(tuple(found), repaired or odd, value if isinstance(value, Mapping) else {})
    return Found()


def settings_in(text: str) -> dict[str, str]:
    """The settings in a text that have one place, and their values as they are written."""
    counted: dict[str, list[str]] = {}
    for match in _NAMED.finditer(text):
        counted.setdefault(match["name"], []).append(match["value"])
    return {name: values[0] for name, values in counted.items() if len(values) == 1}


def schema(files: Mapping[str, str]) -> dict[str, Any] | None:
    """JSON schema of an answer that names these files' settings, each with a value of its kind; None without any."""
    kinds: dict[str, tuple[set[str], set[str]]] = {}
    for path, text in files.items():
        for name, value in settings_in(text).items():
            kind = "string" if value[:1] in "\"'" else "boolean" if value.lower() in ("true", "false") else "number"
            paths, names = kinds.setdefault(kind, (set(), set()))
            paths.add(path)
            names.add(name)
    if not kinds or sum(len(names) for _, names in kinds.values()) > MOST_NAMES:
        return None
    word: dict[str, Any] = {"type": "string"}
    rows = [
        _object({"file": {**word, "enum": sorted(p)}, "name": {**word, "enum": sorted(n)}, "value": {"type": kind}})
        for kind, (p, n) in sorted(kinds.items())
    ]
    return _object(
        {
            "plan": word, "weakness": word, "predicted": {"type": "number"},
            "settings": {"type": "array", "items": {"anyOf": rows}},
        }
    )  # fmt: skip


def _object(parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}


def _pieces(answer: str) -> Iterator[str]:
    """Texts that may be JSON: fenced blocks, then from a bracket to its partner."""
    yield from re.findall(r"```[a-zA-Z]*\n(.*?)```", answer[:MAX_JSON], re.DOTALL)
    for match in list(re.finditer(r"[\[{]", answer[:MAX_JSON]))[:20]:
        closing = "]" if match[0] == "[" else "}"
        end = answer.rfind(closing, match.start(), MAX_JSON)
        if end > 0:
            yield answer[match.start() : end + 1]


def _json(text: str) -> tuple[object, bool]:
    text = text.strip()
    try:
        return parse_strict(text.encode("utf-8", "replace"), max_bytes=MAX_JSON, max_depth=8), False
    except IntegrityError:
        pass
    mended = re.sub(r",\s*([\]}])", r"\1", re.sub(r"^[ \t]*//.*$", "", text, flags=re.MULTILINE))
    try:
        return parse_strict(mended.encode("utf-8", "replace"), max_bytes=MAX_JSON, max_depth=8), True
    except IntegrityError:
        pass
    try:
        return parse_strict(_as_json(mended).encode("utf-8", "replace"), max_bytes=MAX_JSON, max_depth=8), True
    except IntegrityError:
        return None, True


# A quote without its partner is taken to the end of its line, so that nothing is read twice.
_QUOTED = re.compile(r"""'((?:[^'\\\n]|\\.)*+)('?)|"(?:[^"\\\n]|\\.)*+"?|\b(True|False|None)\b""")
_WORDS = {"True": "true", "False": "false", "None": "null"}


def _as_json(text: str) -> str:
    """Settings that are written as Python, as JSON: 'text', True, False, None. Python's own parser would warn on
    standard error of what a hostile answer holds, and has limits of its own.  # T-5
    """

    def turned(match: re.Match[str]) -> str:
        if match[3] is not None:
            return _WORDS[match[3]]
        if not match[2]:
            return match[0]
        inner = re.sub(r"\\(.)|(\")", lambda each: "'" if each[1] == "'" else '\\"' if each[2] else each[0], match[1])
        return f'"{inner}"'

    return _QUOTED.sub(turned, text)


def _settings(value: object) -> tuple[list[Setting], bool]:
    """Settings, and whether they came in another shape than a list or an object that holds one."""
    odd = not isinstance(value, list) and not (isinstance(value, Mapping) and isinstance(value.get("settings"), list))
    if isinstance(value, Mapping) and "value" not in value:
        inner = next((v for v in value.values() if isinstance(v, list)), None)
        if inner is None:
            rows: list[Any] = [{"name": name, "value": v} for name, v in value.items() if isinstance(name, str)]
        else:
            rows = inner
    else:
        rows = value if isinstance(value, list) else [value]
    found = [setting for row in rows if isinstance(row, Mapping) and (setting := _setting(row)) is not None]
    return (found, odd) if len(found) == len(rows) else ([], odd)


def _setting(row: Mapping[str, Any]) -> Setting | None:
    name, line, value, file = row.get("name"), row.get("line"), row.get("value"), row.get("file")
    if isinstance(line, bool) or not isinstance(line, int):
        line = None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        name = None
    if (name is None and line is None) or not isinstance(value, bool | int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return Setting(file.removeprefix("./") if isinstance(file, str) else None, name, line, value)


def turn(text: str, setting: Setting) -> str | Turned | int | None:
    """``text`` with the setting turned; ``Turned`` after a mend or for a wrong kind; a count where several fit."""
    matches = list(_matches(text, setting))
    if len(matches) > 1 and setting.line is not None:
        matches = [m for m in matches if text.count("\n", 0, m.start()) + 1 == setting.line]
    if not matches:
        return None
    if len(matches) > 1:
        return len(matches)
    start, end = matches[0].span("value")
    old = text[start:end]
    new, mended = _spelled(old, setting.value)
    if new is None:
        return Turned(None)
    result = text[:start] + new + text[end:]
    return Turned(result) if mended else result


def _matches(text: str, setting: Setting) -> Iterator[re.Match[str]]:
    if setting.name is not None:
        name = re.escape(setting.name.rpartition(".")[2])
        yield from re.finditer(rf"""(?<![\w.-])["']?{name}["']?\s*(?::[^=\n"']{{0,60}}=|[=:](?!=))\s*{_VALUE}""", text)
        return
    assert setting.line is not None
    lines = text.split("\n")
    if 1 <= setting.line <= len(lines):
        start = sum(len(line) + 1 for line in lines[: setting.line - 1])
        pattern = re.compile(rf"[=:](?!=)\s*{_VALUE}")
        yield from pattern.finditer(text, start, start + len(lines[setting.line - 1]))


def _spelled(old: str, value: bool | int | float | str) -> tuple[str | None, bool]:
    """``value`` as it is written where ``old`` stood, and whether its kind had to be mended."""
    quoted = old[:1] in "\"'"
    truth = old.lower() in ("true", "false")
    mended = False
    if isinstance(value, str) and not quoted:  # "0.1" where a number stands
        if truth and value.lower() in ("true", "false"):
            value, mended = value.lower() == "true", True
        else:
            try:
                number = float(value)
            except ValueError:
                return None, False
            value, mended = (int(value) if re.fullmatch(r"[-+]?\d{1,18}", value) else number), True
    if quoted:
        return (json.dumps(value, ensure_ascii=False), False) if isinstance(value, str) else (None, False)
    if truth != isinstance(value, bool):
        return None, False
    if isinstance(value, bool):
        return (str(value) if old[0].isupper() else str(value).lower()), mended
    if isinstance(value, float) and not math.isfinite(value):
        return None, False
    if isinstance(value, int) and len(str(abs(value))) > 18:
        return None, False
    return repr(value), mended
