"""What a manifest's single fields cannot tell: how they fit together, the files they name, and good error texts.

Functions here raise ``UsageError`` with the dotted field in ``where``; ``parse_manifest`` turns it into a line.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from festina.errors import UsageError
from festina.system.globs import problem as glob_problem
from festina.system.goals import dangerous_domain
from festina.system.scorers import Command, Function, InspectTask, parse
from festina.system.toml import nearest_line

if TYPE_CHECKING:
    from festina.system.manifest import Manifest

__all__ = [
    "check_across", "check_files", "explain", "goal_names", "is_python", "module_candidates", "scorer_files",
]  # fmt: skip

_VAULT_KEYS = ("items", "vault", "generator", "labels", "path", "file")
_EXPECTED = {
    "string_type": "a string in quotes",
    "int_type": "a whole number without quotes",
    "int_from_float": "a whole number",
    "float_type": "a number without quotes",
    "bool_type": "true or false",
    "model_type": "a table",
    "mapping_type": "tables such as [guard.NAME]",
    "dict_type": "tables such as [guard.NAME]",
    "finite_number": "a finite number",
}
_PATTERN_HELP = {
    "metric": 'write "NAME:lower" or "NAME:higher", for example "val_loss:lower"',
}


# Wording of pydantic's findings


def explain(
    error: ErrorDetails, count: int, where: str, lines: dict[tuple[str, ...], int], model: type[BaseModel]
) -> UsageError:
    """One finding as an error that names file, line, field and remedy."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    name, words, fix = _words(error, path, model)
    more = f" (and {count - 1} more)" if count > 1 else ""
    place = f"{where}:{nearest_line(lines, path)}"
    return UsageError(name, f"{_ascii(field)}: {words}{more}", fix=fix, where=place)


def _words(error: ErrorDetails, path: Sequence[str | int], model: type[BaseModel]) -> tuple[str, str, str]:
    kind, last = error["type"], str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return "unknown-key", "there is no such key", _unknown_key_fix(path, model)
    if kind == "missing" and path and isinstance(path[-1], int):
        return "bad-value", "the list is too short", "write as many values as docs/manifest.md says"
    if kind == "missing":
        return "missing-key", "this key is missing", f"add `{last} = ...`; docs/manifest.md describes it"
    if kind == "literal_error":
        return "bad-value", *_literal_words(error, last)
    if kind == "string_pattern_mismatch":
        fix = _PATTERN_HELP.get(last, "use letters, digits, - and _, starting with a letter or digit")
        return "bad-value", f"{_show(error['input'])} does not have the right form", fix
    if kind == "value_error":
        return "bad-value", f"{_show(error['input'])} is refused", error["msg"].removeprefix("Value error, ")
    expected = _EXPECTED.get(kind)
    if expected:
        return "bad-type", f"{_show(error['input'])} is of the wrong type", f"write {expected}"
    return "bad-value", f"{_show(error['input'])} is refused", error["msg"][:1].lower() + error["msg"][1:200]


def _ascii(text: str) -> str:
    return text[:200].encode("ascii", "backslashreplace").decode()


def _show(value: object) -> str:
    """A scalar as it might stand in the file, short and in ASCII; else a word for it."""
    if isinstance(value, str):
        return f"{value[:60]!a}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return str(value)
    return "the list" if isinstance(value, list | tuple) else "the table" if isinstance(value, dict) else "the value"


def _literal_words(error: ErrorDetails, last: str) -> tuple[str, str]:
    value = error["input"]
    expected = str(error.get("ctx", {}).get("expected", ""))
    close = difflib.get_close_matches(str(value)[:60], expected.replace("'", "").replace(" or ", ", ").split(", "), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{_show(value)} is not one of the choices", f"{hint}choose {expected}"


def _unknown_key_fix(path: Sequence[str | int], model: type[BaseModel]) -> str:
    key = str(path[-1])
    if tuple(path[:2]) == ("suite", "hidden") and key in _VAULT_KEYS:
        return "hidden items never lie in the repository: `festina vault add hidden FILE`, and delete this line"  # T-1
    known = list(_model_at(path[:-1], model).model_fields)
    close = difflib.get_close_matches(key[:60], known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    homes = [
        name
        for name, field in model.model_fields.items()
        if key in getattr(_table(field.annotation), "model_fields", {})
    ]
    if homes and len(path) == 1:
        return f"{key!a} belongs into [{homes[0]}]"
    return f"delete it; known here: {', '.join(known)}"


def _model_at(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(str(part))
        inner = _table(field.annotation) if field else None
        model = inner or model  # a NAME under [guard] keeps the guard's own model
    return model


def _table(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation such as ``Table | None`` or ``Mapping[str, Table]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _table(argument)) is not None:
            return found
    return None


# Goals


def goal_names(document: Mapping[str, Any]) -> None:
    """Refuse goals named after dangerous capabilities. Looks at the raw document, before unknown keys are.  # V-11"""
    named: list[tuple[str, object]] = [("metric", document.get("metric"))]
    suites = document.get("suite")
    for suite, table in suites.items() if isinstance(suites, dict) else ():
        named.append((f"suite.{suite}", suite))
        if isinstance(table, dict):
            named += [(f"suite.{suite}.{key}", _flat(table.get(key))) for key in ("scorer", "items")]
    for field, value in named:
        domain = dangerous_domain(value) if isinstance(value, str) else None
        if domain:
            raise UsageError(
                "dangerous-goal", f"{_show(value)} names {domain}, which is never a goal",
                fix="declare it as [guard.NAME] with direction and max_loss; "
                "choose a clearer name if it means something else",
                where=field,
            )  # fmt: skip


def _flat(value: object) -> object:
    """A command's words as one text."""
    value = value.get("command") if isinstance(value, dict) else value
    return " ".join(map(str, value)) if isinstance(value, list) else value


# Fields together


def check_across(manifest: Manifest) -> None:
    """Checks that need more than one field."""
    _check_forms(manifest)
    _check_model(manifest)
    _check_improver(manifest)
    _check_goal(manifest)
    _check_judges(manifest)
    _check_internals(manifest)
    hidden = manifest.suite.hidden
    if manifest.policy.error == "fdr" and hidden is not None and hidden.mode != "fresh":  # no theorem covers it
        _wrong(
            "policy.error", f'"fdr" needs fresh items, and the hidden suite is in {hidden.mode} mode',
            'error = "familywise", or mode = "fresh"',
        )  # fmt: skip
    if manifest.policy.debt.unexplained is not None and manifest.policy.attribution.share <= 0.0:
        _wrong(
            "policy.debt.unexplained", "nobody takes changes apart, so that no gain is explained",
            "policy.attribution.share above 0",
        )  # fmt: skip
    for name, guard in manifest.guard.items():
        if guard.max_loss >= guard.range[1] - guard.range[0]:
            _wrong(f"guard.{name}.max_loss", "allows any loss that the range has", "make it smaller than the range")


def _check_internals(manifest: Manifest) -> None:
    """A model is trained by one step and answers in another.  # V-9"""
    table, experiment = manifest.internals, manifest.experiment
    if table is None:
        return
    if experiment.answer is None or table.weights not in experiment.outputs:
        _wrong(
            "internals.weights", "is no file that a training step leaves for an answering one",
            f"name {table.weights!r} in experiment.outputs, and give experiment.answer",
        )  # fmt: skip
    if table.activations is not None and manifest.suite.public is None:
        _wrong("internals.activations", "they are of public items, and there are none", "add [suite.public]")


def _check_judges(manifest: Manifest) -> None:
    """Further verifiers of the goal.  # V-5"""
    for name, judge in manifest.judge.items():
        width = judge.range[1] - judge.range[0]
        if manifest.self_reported:
            _wrong(f"judge.{name}", "a further verifier needs a hidden suite", "add [suite.hidden]")
        if judge.detect is not None and judge.detect >= width:
            _wrong(f"judge.{name}.detect", "no score can differ by that much", "make it smaller than the range")
        detect = judge.detect if judge.detect is not None else width
        if judge.margin >= detect:
            _wrong(f"judge.{name}.margin", f"margin {judge.margin:g} is not below detect", "lower the margin")
        if name in manifest.guard:
            _wrong(f"judge.{name}", "a guard has that name, too", "choose another name")


def _wrong(field: str, what: str, fix: str, name: str = "manifest-conflict") -> None:
    raise UsageError(name, what, fix=fix, where=field)


def _check_forms(manifest: Manifest) -> None:
    if manifest.run and manifest.experiment.run:
        _wrong("run", "the command is given twice", "keep `run` at the top or in [experiment], not both")
    if not manifest.command:
        _wrong("experiment.run", "there is no command to run", 'add `run = ["python", "train.py"]`', "missing-key")
    if manifest.allow is not None and manifest.scope.allow:
        _wrong("allow", "the scope is given twice", "keep `allow` at the top or in [scope], not both")
    if not (manifest.allow or manifest.scope.allow):
        _wrong("scope.allow", "nothing may change", 'add `allow = ["train.py"]`', "missing-key")
    if manifest.metric and manifest.suite.hidden:
        _wrong("metric", "there is a hidden suite as well", "delete `metric`: the hidden suite is the goal")
    if not manifest.metric and not manifest.suite.hidden:
        _wrong(
            "suite.hidden",
            "nothing says what is better",
            'add [suite.hidden], or `metric = "NAME:lower"`',
            "missing-key",
        )
    if manifest.guard and manifest.self_reported:
        _wrong(
            "guard",
            "guards need a hidden suite",
            "add [suite.hidden]: a candidate that prints its own score is unguarded",
        )
    commands = (manifest.command, manifest.experiment.answer or ())
    if manifest.experiment.preload and not any(is_python(command) for command in commands):
        _wrong(
            "experiment.preload", "no command is a Python program", "delete it: modules are loaded for Python alone"
        )
    if manifest.experiment.answer and not manifest.experiment.outputs:
        _wrong(
            "experiment.answer", "there are no outputs to answer with", 'add `outputs = ["model.json"]` to [experiment]'
        )
    if manifest.experiment.train == "once":
        _check_once(manifest)


def _check_once(manifest: Manifest) -> None:
    """A model that is trained once answers in a step of its own, and a verdict is about it alone.  # S-7"""
    experiment, hidden = manifest.experiment, manifest.suite.hidden
    if experiment.answer is None:
        _wrong(
            "experiment.train", "a model that is trained once has to answer in a step of its own, and there is none",
            'add `answer = [...]` and `outputs = ["model.json"]` to [experiment], or write `train = "each"`',
        )  # fmt: skip
    if hidden is None or hidden.unit == "seed":
        _wrong(
            "experiment.train", "of one training no seed can be drawn again: the verdict is about this model",
            'write `unit = "item"` in [suite.hidden]; for a verdict about the recipe, `train = "each"`',
        )  # fmt: skip
    if experiment.model:
        _wrong("experiment.train", "a training that asks models cannot be kept", 'write `train = "each"`')


def is_python(command: Sequence[str]) -> bool:
    """Whether a command starts a Python interpreter."""
    return bool(command) and command[0].rpartition("/")[2].startswith("python")


def _check_improver(manifest: Manifest) -> None:
    improver = manifest.improver
    if improver.use in ("search", "model"):
        who = "the built-in search" if improver.use == "search" else "a model"
        for key, value in (("run", improver.run), ("code", improver.code)):
            if value:
                _wrong(f"improver.{key}", f"{who} runs no code of the repository", 'set `use = "own"`')
    elif not improver.run and not improver.preset:
        _wrong(
            "improver.run",
            f'use = "{improver.use}" needs a command',
            'add `run = ["python", "improve.py"]`',
            "missing-key",
        )
    if improver.use == "own" and not improver.code:
        _wrong(
            "improver.code", "nothing says which files are the improver", 'add `code = ["improve.py"]`', "missing-key"
        )


def _check_model(manifest: Manifest) -> None:
    """Where models are asked.  # E-5, E-6"""
    table, improver = manifest.model, manifest.improver
    if improver.use != "model":
        for key in ("format", "prompt", "tries"):
            if key in improver.model_fields_set:
                _wrong(f"improver.{key}", "only a model is told how to answer", 'set `use = "model"`, or delete it')
        if improver.task and improver.use != "command":
            _wrong("improver.task", "nobody would read it", 'set `use = "model"` or "command", or delete it')
    for key in ("cpu", "memory"):
        if improver.use == "model" and key in improver.limits.model_fields_set:
            _wrong(f"improver.limits.{key}", "no program of a model's runs here", "delete it")
    if improver.use == "model" and table is None:
        _wrong(
            "improver.use", 'use = "model" needs to know where', "add [model] with endpoint and names", "missing-key"
        )
    asks = {"improver": manifest.improver.asks, "experiment": manifest.experiment.model}
    for name, asked in asks.items():
        if asked and table is None:
            key = "preset" if name == "improver" and manifest.improver.preset else "model"
            _wrong(f"{name}.{key}", "nothing says where models are", "add [model] with endpoint and names",
                   "missing-key")  # fmt: skip
    if manifest.improver.preset and manifest.improver.use != "command":
        _wrong("improver.preset", "a preset is a command", 'set `use = "command"`')
    if manifest.improver.model and manifest.improver.use not in ("own", "command"):
        _wrong("improver.model", "only a program of yours asks by itself", 'set `use = "command"` or `use = "own"`')
    if table is None:
        return
    if improver.use != "model" and not any(asks.values()):
        _wrong("model", "nobody asks a model", 'set `use = "model"` in [improver], or delete the table')
    for name, asked in asks.items():
        if asked:
            _check_allowance(manifest, name)
    for name, each in table.each.items():
        if name not in table.names:
            _wrong(f"model.each.{name}", "this model may not be asked", "add it to model.names")
        if (each.input or each.output) and table.money is None:
            _wrong("model.money", "models have a price and nothing caps it", "add `money = 5.0`", "missing-key")
    if len(set(table.names)) < len(table.names):
        _wrong("model.names", "a name stands there twice", "delete one")


def _check_allowance(manifest: Manifest, name: str) -> None:
    """What one box may use is held as a whole, so it has to fit into what a run has.  # E-5"""
    table = manifest.model
    assert table is not None  # the caller has seen to it
    limits = manifest.improver.limits if name == "improver" else manifest.experiment.limits
    dearest = max((max(each.input, each.output) for each in table.each.values()), default=0.0)
    wanted: tuple[tuple[str, float, float | None, str], ...] = (
        ("model_calls", limits.model_calls, table.calls, "calls"),
        ("model_tokens", limits.model_tokens, table.tokens, "tokens"),
        ("model_tokens", limits.model_tokens * dearest / 1e6, table.money, "money"),
    )
    for key, one, whole, what in wanted:
        if whole is not None and one > whole:
            told = f"one run of it may use {one:,.12g} {what}, and a whole run has {whole:,.12g}"
            _wrong(f"{name}.limits.{key}", told,
                   f"lower {name}.limits.{key}, or raise model.{what}")  # fmt: skip


def _check_goal(manifest: Manifest) -> None:
    hidden, public, final = manifest.suite.hidden, manifest.suite.public, manifest.suite.final
    if final is not None and hidden is None:
        _wrong("suite.final", "there is no hidden suite whose scorer it could use", "add [suite.hidden]")
    if final is not None and final.looks is not None and final.looks < final.units * final.batch:
        need = final.units * final.batch
        _wrong("suite.final.looks", f"one release takes {need} looks (units times batch)", f"looks = {need} or more")
    if hidden is None:
        return
    if hidden.direction and public and public.scorer == hidden.scorer and public.direction != hidden.direction:
        _wrong("suite.hidden.direction", "the public suite has the same scorer the other way round", "make them equal")
    if not hidden.margin < hidden.detect:
        _wrong(
            "suite.hidden.margin", f"margin {hidden.margin:g} is not below detect {hidden.detect:g}", "lower the margin"
        )  # S-7
    few = hidden.unit == "seed" or manifest.experiment.train == "once"
    if hidden.test == "symmetric" and (not few or hidden.mode != "fresh"):
        _wrong(
            "suite.hidden.test", "the test for few observations takes fresh items, and as one observation a training "
            "or a batch that a model answers which is trained once",
            'write `mode = "fresh"`, and `unit = "seed"` or experiment.train = "once"; or leave `test` out',
        )  # S-7  # fmt: skip
    if hidden.range is None and hidden.unit != "seed":
        _wrong(
            "suite.hidden.range",
            f'unit "{hidden.unit}" needs a range',
            "add `range = [lowest, highest]` of the scorer",
            "missing-key",
        )  # S-7
    if hidden.range is not None and hidden.detect > hidden.range[1] - hidden.range[0]:
        _wrong("suite.hidden.detect", "no score can differ by that much", "make it smaller than the range")


# Files


def module_candidates(module: str) -> list[str]:
    """Globs of every file that could define ``module`` or a package above it; all of them are protected.  # T-4"""
    parts = module.split(".")
    path = "/".join(parts)
    parents = ["/".join([*parts[:n], "__init__.*"]) for n in range(1, len(parts))]
    return [f"{path}.*", f"{path}/**", *parents]


def scorer_files(scorer: str) -> list[str]:
    """Globs of the files that a scorer consists of, as far as its name tells.  # T-4"""
    form = parse(scorer)
    if isinstance(form, Function):
        return module_candidates(form.module)
    if isinstance(form, InspectTask):
        return [form.file]
    return [path for path in form.paths if not glob_problem(path) and "*" not in path and "?" not in path]


def check_files(manifest: Manifest, read: Callable[[str], bytes | None]) -> None:
    """Check that scorers and public items exist in the repository."""
    for field, scorer in manifest.scorers().items():
        _check_scorer(field, scorer, read)
    public = manifest.suite.public
    if public is not None and read(public.items) is None:
        _wrong("suite.public.items", f"there is no file {public.items!a}", "add it to the repository", "missing-file")


def _check_scorer(field: str, scorer: str, read: Callable[[str], bytes | None]) -> None:
    form = parse(scorer)
    if isinstance(form, Command):
        _check_command(field, form, read)
        return
    if isinstance(form, InspectTask):
        source = read(form.file)
        if source is None:
            _wrong(field, f"there is no file {form.file}", "a task's file lies in this repository", "missing-scorer")
        else:
            _check_defined(field, form.file, source, form.task, f"inspect:{form.file}@")
        return
    base = form.module.replace(".", "/")
    for path in (f"{base}.py", f"{base}/__init__.py"):
        source = read(path)
        if source is not None:
            _check_defined(field, path, source, form.function, f"{form.module}:")
            return
    _wrong(field, f"there is no file {base}.py", "scorers are files of this repository", "missing-scorer")


def _check_command(field: str, form: Command, read: Callable[[str], bytes | None]) -> None:
    """A command must name what is pinned: a file of the repository, and its program where it is a path."""
    program = form.argv[0].removeprefix("./")
    if "/" in form.argv[0] and read(program) is None:
        _wrong(field, f"there is no file {program!a}", "the program lies in this repository", "missing-scorer")
    if not any(read(path) is not None for path in form.paths):
        _wrong(
            field, "no word of the command names a file of this repository, so nothing of it is pinned",
            'name the script: scorer = ["python3", "score.py"]', "missing-scorer",
        )  # fmt: skip


def _check_defined(field: str, path: str, source: bytes, name: str, prefix: str) -> None:
    names = _names_of(source)
    if names is None:
        _wrong(field, f"{path} is not valid Python", "mend the file", "broken-scorer")
    elif name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        fix = f"did you mean {prefix}{close[0]}?" if close else f"define `{name}` at the top level of {path}"
        _wrong(field, f"{path} defines no {name!a}", fix, "missing-scorer")


def _names_of(source: bytes) -> list[str] | None:
    """Names that a module's top level defines or imports, without running it; None if it cannot be parsed."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [(alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found
