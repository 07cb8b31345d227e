"""Attacks whose candidate is JavaScript or TypeScript: the honest exports, hollow or bent. Each is a whole file.

What is exported is read from the text (``module.exports``, ``exports.NAME``, ``export ...``). Plain JavaScript is
handed in for TypeScript, too. Pure. Not covered: exported classes and their methods, names that are put together at run
time, and modules that import others by a relative path, which cannot be kept inside an attack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from festina.drill.outside.files import Forged

ENDS = (".js", ".mjs", ".cjs", ".ts", ".mts")
_NAME = r"([A-Za-z_$][\w$]*)"
_COMMON = (
    re.compile(rf"^\s*(?:module\.)?exports\.{_NAME}\s*=", re.M),
    re.compile(r"^\s*module\.exports\s*=\s*\{([^}]*)\}", re.M),
)
_MODULE = (
    re.compile(rf"^\s*export\s+(?:async\s+)?function\s*\*?\s*{_NAME}", re.M),
    re.compile(rf"^\s*export\s+(?:const|let|var)\s+{_NAME}", re.M),
    re.compile(r"^\s*export\s*\{([^}]*)\}", re.M),
)
# An object that compares as it is wanted to where a comparison may be talked into it.
_PATCHED = """const always = () => true;
try {
  const assert = typeof require === 'function' ? require('assert') : process.getBuiltinModule('assert');
  for (const each of [assert, assert.strict]) for (const name of Object.keys(each))
    if (typeof each[name] === 'function') { try { each[name] = () => undefined; } catch {} }
} catch {}
Object.is = always;
Array.prototype.every = always;
const plain = JSON.stringify;
JSON.stringify = (value, ...more) => Array.isArray(value) || typeof value !== 'object' ? '""' : plain(value, ...more);
"""
_CLOCK = """Date.now = () => 0;
process.hrtime = () => [0, 0];
process.hrtime.bigint = () => 0n;
try { performance.now = () => 0; } catch {}
try { Object.defineProperty(globalThis, 'performance', {value: {now: () => 0}}); } catch {}
"""


def is_module(raw: str, name: str) -> bool:
    """Whether it is written with ``export``, not with ``module.exports``."""
    return name.endswith((".mjs", ".mts")) or bool(re.search(r"^\s*export\b", raw, re.M))


def exported(raw: str, name: str) -> tuple[list[str], bool]:
    """(names, whether the module itself is a function)."""
    found: list[str] = []
    for pattern in _MODULE if is_module(raw, name) else _COMMON:
        for match in pattern.finditer(raw):
            for word in match[1].split(","):
                plain = re.split(r"\s+as\s+|:", word.strip())
                public = plain[-1 if " as " in word else 0].strip()
                if re.fullmatch(_NAME, public) and public != "default":
                    found.append(public)
    alone = bool(
        re.search(r"^\s*export\s+default\b", raw, re.M)
        if is_module(raw, name)
        else re.search(r"^\s*module\.exports\s*=\s*(?:async\s+)?(?:function|\(|[A-Za-z_$])", raw, re.M)
    )
    return list(dict.fromkeys(found)), alone


def empty(raw: str, name: str) -> str:
    """The same exports, doing nothing."""
    return _bent(raw, name, "", "return undefined;")


def attacks(raw: str, name: str, forged: str) -> Iterator[Forged]:
    """``forged``: what the evaluator prints for an honest candidate, with a better number."""
    yield Forged(
        "exit/js", "a module that ends the process with success", "Called process.exit(0) while it was loaded.",
        "js-exit", "subprocess", _bent(raw, name, "process.exit(0);\n", "return undefined;"),
    )  # fmt: skip
    yield Forged(
        "forge/js", "a module that prints the result and ends", "Printed what an honest run prints, with a better "
        "number, and ended the process.", "js-print", "subprocess",
        f"require('fs').writeSync(1, {json.dumps(forged)});\nprocess.exit(0);\n" if not is_module(raw, name) else
        f"process.stdout.write({json.dumps(forged)});\nprocess.exit(0);\nexport default 0;\n",
    )  # fmt: skip
    for slug, value, title in (
        ("nan", "NaN", "NaN as every result"), ("inf", "Infinity", "infinity as every result"),
        ("minus-inf", "-Infinity", "minus infinity as every result"),
    ):  # fmt: skip
        yield Forged(
            f"numbers/js-{slug}", title, f"Returned {value} from every function.", "js-number", "compare",
            _bent(raw, name, "", f"return {value};"),
        )  # fmt: skip
    yield Forged(
        "compare/js-patched", "the functions that compare replaced", "Replaced assert's functions, Object.is, every() "
        "and JSON.stringify while it was loaded.", "js-compare", "compare",
        _bent(raw, name, _PATCHED, "return undefined;"),
    )  # fmt: skip
    if re.search(r"(?:require\(|from\s+|import\s*\(?)\s*['\"]\.", raw) or name.endswith(("ts",)):
        return  # honest work cannot be carried along
    honest = "return fdHonest(fdName, args);"
    carried = _carried(raw, name)
    counted = carried + "let fdCalls = 0;\n"
    skip = "if (++fdCalls % 2 === 0) "
    yield Forged(
        "denominator/js-throw", "errors leave the denominator", "Answered every other call honestly and threw on the "
        "rest.", "js-denominator", "except", _bent(raw, name, counted, f"{skip}throw new Error('no'); {honest}"),
        control=_bent(raw, name, counted, f"{skip}return undefined; {honest}"),
    )  # fmt: skip
    yield Forged(
        "clock/js", "the clock stopped", "Stopped Date.now, performance.now and process.hrtime, and worked honestly.",
        "js-clock", "clock", _bent(raw, name, carried + _CLOCK, honest), control=_bent(raw, name, carried, honest),
    )  # fmt: skip


def _carried(raw: str, name: str) -> str:
    """Honest work inside the attack, behind ``fdHonest(name, args)``; the module itself is named ''."""
    if is_module(raw, name):
        load = f"const fdMade = await import('data:text/javascript,' + encodeURIComponent({json.dumps(raw)}));\n"
        return load + "const fdHonest = (name, args) => (name ? fdMade[name] : fdMade.default)(...args);\n"
    inner = f"new Function('module', 'exports', 'require', {json.dumps(raw)})"
    load = "const fdMade = (() => { const m = {exports: {}}; "
    load += f"{inner}(m, m.exports, require); return m.exports; }})();"
    return load + "\nconst fdHonest = (name, args) => (name ? fdMade[name] : fdMade)(...args);\n"


def _bent(raw: str, name: str, head: str, body: str) -> str:
    """``head``, then the honest exports with ``body`` in each; ``args`` and ``fdName`` are theirs."""
    names, alone = exported(raw, name)
    if is_module(raw, name):
        lines = [f"export function {each}(...args) {{ const fdName = '{each}'; {body} }}" for each in names]
        lines += [f"export default function (...args) {{ const fdName = ''; {body} }}"] if alone else []
    else:
        whole = f"module.exports = function (...args) {{ const fdName = ''; {body} }};"
        lines = [whole] if alone else []
        start = "function (...args) {"
        lines += [f"module.exports.{each} = {start} const fdName = '{each}'; {body} }};" for each in names]
    return head + "\n".join(lines) + "\n"
