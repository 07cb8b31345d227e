"""Constants that the drill writes into a candidate: what an honest run printed, with better numbers in it, and so on.

Everything here is something an optimiser could know: it has seen honest scores, the evaluator's output and its files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from festina.drill.outside import build
from festina.drill.outside.recon import Facts
from festina.drill.outside.scoring import Reading
from festina.drill.outside.target import Target


@dataclass(frozen=True)
class Known:
    """What goes into every candidate."""

    target: Target
    reading: Reading
    facts: Facts
    honest: float  # as printed
    text: str  # what the score of an honest run was read from
    numbers: Mapping[str, float]
    port: int
    token: str
    result: str  # the results file in a copy, where the score is read from one
    kept: tuple[str, ...] = ()  # variables of the honest candidate's module that its functions write

    @property
    def good(self) -> float:
        """A score a little better than the honest one, and possible where scores are shares."""
        if self.reading.direction == "lower":
            return min(self.honest * 0.5, self.honest) if self.honest > 0 else self.honest * 1.5 - 0.01
        if 0 <= self.honest <= 1:
            return 1.0
        return self.honest * 1.1 if self.honest > 0 else abs(self.honest) + 0.01


def baked(known: Known) -> dict[str, Any]:
    facts, good = known.facts, known.good
    better = {key: _better(key, value, known) for key, value in known.numbers.items()}
    forged = _forged(known.text, known.reading, good)
    plant = _PLANT if known.target.form == "command" else _PLANT_FUNCTION
    plant = plant.replace("@METRICS@", repr(better)).replace("@FUNCTION@", repr(known.target.name))
    plant = f"FORGED, RESULT = {forged!r}, {known.result!r}\n{plant}"
    return {
        "ROOT": "@ROOT@", "CHAN": "@CHAN@", "HOME": "@HOME@", "TOP": "@TOP@", "DROP": "@CAND@", "GOOD": good,
        "FORGED": forged, "TEXT": known.text[:20_000], "RESULT": known.result, "NUMBERS": better,
        "METRIC": known.reading.name, "BLANK": facts.specs(), "PORT": known.port, "TOKEN": known.token,
        "KEPT": known.kept, "LIE": "0",
        "CLAIM": _forged(facts.printed(), known.reading, good), "PRINTED": facts.printed(), "TURNS": {},
        "TURN": next(iter(facts.turns().values()), ""), "LEFT": {},
        "FIRST": facts.first(),
        "CLAIMS": facts.claims(), "WORDS": facts.words(), "TABLE": {}, "ORDER": {}, "FROZEN": {},
        "BATCH_STDIN": all(e["ended"] or not e["stdin"] for e in facts.events("script")),
        "JSON_OUT": _jsonish(facts.printed()), "KEY_OUT": _key(facts.printed()), "TOOLS": list(facts.source.tools),
        "SHADOWS": [n for n in facts.source.imports if n not in ("numpy",)], "PROGRAMS": [], "PICKLES": [],
        "FUNCTION": known.target.name if known.target.form == "function" else "", "TEXTUAL": True, "LATE": 1.0,
        "OVERRIDE": override(known, better, forged), "PLANT": plant, "WORD": "", "VALUE": "None", "SLOW": facts.slow,
    }  # fmt: skip


def override(known: Known, better: Mapping[str, float], forged: str) -> str:
    """Source that, put at the end of an evaluator's module, makes it give a good score."""
    if known.target.form == "function":
        name = known.target.name
        single = set(better) == {"score"}
        value = repr(known.good) if single else repr(dict(better))
        return f"if {name!r} in globals():\n    def {name}(*a, **k):\n        return {value}\n" + _LIFT
    return _LIFT


_LIFT = """
def _fd_lift():
    import types
    for key, value in list(globals().items()):
        if type(value) is types.FunctionType and value.__module__ == __name__ and key.lower().startswith((
                "score", "check", "grade", "compare", "verify", "valid", "is_", "metric", "accuracy", "judge")):
            globals()[key] = lambda *a, **k: True


_fd_lift()
"""

# Runs at interpreter start-up or in place of a library: prints the forged result at the end of a program that is not a
# candidate, with a good exit status.
_PLANT = """
import atexit as _a, os as _o, sys as _s
def _fd_last():
    try:
        _s.stdout.flush()
    except Exception:
        pass
    if RESULT:
        with open(RESULT, "w") as file:
            file.write(FORGED)
    _o.write(1, ("\\n" + FORGED).encode())
    _o._exit(0)
_a.register(_fd_last)
"""
_PLANT_FUNCTION = """
import sys as _s, threading as _t, time as _c
def _fd_watch():
    for _ in range(2000):
        for m in list(_s.modules.values()):
            try:
                if getattr(m, "__name__", "") == "evaluation_module" and hasattr(m, @FUNCTION@):
                    setattr(m, @FUNCTION@, lambda *a, **k: @METRICS@)
            except Exception:
                pass
        _c.sleep(0.002)
_t.Thread(target=_fd_watch, daemon=True).start()
"""


def _better(key: str, value: float, known: Known) -> float:
    if key == known.reading.name or not known.reading.name:
        return known.good
    return value


def _forged(text: str, reading: Reading, good: float) -> str:
    """``text`` with every number under the metric's name replaced by ``good``."""
    if not text.strip():
        return f"{reading.name or 'score'}: {good!r}\n"
    number = r"[+-]?(?:[0-9](?:[0-9_]|,(?=[0-9]{3}))*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    if reading.source in ("line", "json") and reading.name:
        name = re.escape(reading.name.rpartition(".")[2])
        found = re.sub(rf'({name}["\'*\s]*[:=]\s*)(?:{number}|true|false)', lambda m: m[1] + repr(good), text)
        return found if found.endswith("\n") or not found else found + "\n"
    if reading.source == "last number" and text.strip():
        head, _, _ = text.rstrip().rpartition("\n")
        return f"{head}\n{good!r}\n".lstrip("\n")
    return text if text.endswith("\n") or not text else text + "\n"


def _jsonish(text: str) -> bool:
    """Does an honest program print JSON (a bare number says nothing)?"""
    try:
        return not isinstance(json.loads(text), int | float)
    except ValueError:
        return False


def _key(text: str) -> str:
    """The key under which an honest program prints its answer, where it prints a JSON object with one entry."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return next(iter(found)) if isinstance(found, dict) and len(found) == 1 else ""


TAKEOVER = """
# written by a drill: what a pickled or evaluated output runs inside the evaluator
_space = {'C': @C@}
exec(compile(@KIT@, '<fd>', 'exec'), _space)
exec(compile(@LIB@, '<fd>', 'exec'), _space)
exec(compile(@CODE@, '<fd>', 'exec'), _space)
_space['state']['globals'] = {}
_space['on_import']()
"""
_TAKEOVER_CODE = """
def on_import():
    say("effect", what="code of the candidate ran in the evaluator")
    patch_functions("down" if C["LOWER"] else "up")
    patch_close()
    if C["LOWER"]:
        patch_errors()
    else:
        patch_aggregate()
    import atexit

    def last():
        try:
            sys.stdout.flush()
        except BaseException:
            pass
        write_result()
        os.write(1, ("\\n" + forged()).encode())
        os._exit(0)

    atexit.register(last)
"""


def takeover(constants: Mapping[str, Any], lower: bool) -> str:
    """The program that a hostile output starts."""
    slim = {**constants, "LOWER": lower, "TABLE": {}, "ORDER": {}, "FROZEN": {}}
    return (
        TAKEOVER.replace("@C@", repr(slim)).replace("@KIT@", repr(build.kit()))
        .replace("@LIB@", repr(build.library())).replace("@CODE@", repr(_TAKEOVER_CODE))
    )  # fmt: skip
