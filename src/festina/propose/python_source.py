# ruff: noqa: N802 - libcst finds its hooks by these names
"""Knobs and structural edits of one Python file, found with libcst.

libcst's parser is native code that a hostile file can crash (measured: 2,000 nested brackets end the process),
so this module is only imported in the search's own worker process.  # T-5
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst import metadata

from festina.propose.source import Edit, Key, Knob, Span, Value, knob_key, measures, weight_of

__all__ = ["read_python"]

# How promising a value is, by where it stands.
CONSTANT, DEFAULT, OPTION, KEYWORD, LOCAL, BUILT, INNER = 4.0, 3.0, 4.0, 2.0, 1.5, 1.0, 0.3
MAX_LITERAL = 40  # characters
_COMPARE: dict[type[cst.BaseCompOp], tuple[str, str]] = {
    cst.LessThan: ("<", "<="), cst.LessThanEqual: ("<=", "<"), cst.GreaterThan: (">", ">="),
    cst.GreaterThanEqual: (">=", ">"), cst.Equal: ("==", "!="), cst.NotEqual: ("!=", "=="),
}  # fmt: skip
_ARITHMETIC: dict[type[cst.CSTNode], tuple[str, str]] = {
    cst.Add: ("+", "-"), cst.Subtract: ("-", "+"), cst.Multiply: ("*", "/"), cst.Divide: ("/", "*"),
    cst.AddAssign: ("+=", "-="), cst.SubtractAssign: ("-=", "+="), cst.MultiplyAssign: ("*=", "/="),
    cst.DivideAssign: ("/=", "*="),
}  # fmt: skip
# Functions of one module that stand in for each other, where the module is known to have them all.
_FAMILIES = {
    "math": ("tanh", "sin", "atan", "erf"),
    "F": ("relu", "gelu", "silu", "tanh", "elu", "softplus"),
    "nn": ("ReLU", "GELU", "SiLU", "Tanh", "ELU", "Softplus"),
}
_SILENT = ("print", "warn", "info", "debug", "write", "log", "exit", "add_argument")
_LITERAL = (cst.BaseNumber, cst.BaseString, cst.Name, cst.UnaryOperation, cst.Tuple, cst.List, cst.Dict)
_DATA = re.compile(r"(^|_)(data|dataset|labels?|load|make|generate|fetch|download|prepare|synth\w*)(_|$)")
_GENERATORS = ("Random", "default_rng", "RandomState", "PRNGKey", "Generator")
_LASTING = (cst.Import, cst.ImportFrom, cst.Global, cst.Nonlocal, cst.Return, cst.Raise, cst.Assert, cst.Pass)


@dataclass
class _Frame:
    """What is known about the place being visited."""

    name: str = ""
    place: float = LOCAL


@dataclass
class Found:
    """Everything in one file that the search may change."""

    knobs: list[Knob] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)


def read_python(path: str, data: bytes) -> Found:
    """Knobs and edits of ``data``. Empty for a file that cannot be read, is not UTF-8 or is nested too deeply."""
    try:
        module = cst.parse_module(data)
        if module.bytes != data or module.encoding.lower() != "utf-8":
            return Found()
        wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
        spans = wrapper.resolve(metadata.ByteSpanPositionProvider)
        visitor = _Reader(path, data, spans)
        wrapper.module.visit(visitor)
    except (cst.ParserSyntaxError, UnicodeDecodeError, RecursionError, cst.CSTValidationError):
        return Found()
    return visitor.finish()


def _left_alone(function: str) -> bool:
    """Functions that measure, or that make the data which is measured on."""
    return measures(function) or _DATA.search(function.lower()) is not None


def _last(node: cst.BaseExpression) -> str:
    """The last name of ``a.b.c``; the key of ``a["c"]``; else nothing."""
    if isinstance(node, cst.Subscript):
        index = node.slice[0].slice
        if isinstance(index, cst.Index) and isinstance(index.value, cst.SimpleString):
            key = index.value.evaluated_value
            return key if isinstance(key, str) else ""
        return ""
    return _dotted(node).rpartition(".")[2]


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return ""


class _Reader(cst.CSTVisitor):
    def __init__(self, path: str, data: bytes, spans: object) -> None:
        super().__init__()
        self._path, self._data, self._spans = path, data, spans
        self._frames = [_Frame(place=CONSTANT)]
        self._functions = self._loops = self._quiet = 0
        self._argument = INNER
        self.found = Found()
        self._strings: list[tuple[int, int, str, str]] = []  # start, end, value, name
        self._choices: dict[str, set[str]] = {}  # name -> strings it is compared with
        self._imported: dict[str, set[str]] = {}  # module -> names imported from it
        self._calls: dict[tuple[str, int], set[str]] = {}  # (base, arguments) -> attributes called
        self._names: list[tuple[int, int, str]] = []
        self._attributes: list[tuple[int, int, str, str, int]] = []

    # places

    def _span(self, node: cst.CSTNode) -> tuple[int, int]:
        position = self._spans[node]  # type: ignore[index]  # libcst types the mapping's values as object
        return position.start, position.start + position.length

    def _push(self, name: str, place: float) -> None:
        inner = self._loops > 0
        self._frames.append(_Frame(name or self._frames[-1].name, min(place, INNER) if inner else place))

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions += 1
        self._quiet += _left_alone(node.name.value)
        self._frames.append(_Frame(place=INNER))

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._functions -= 1
        self._quiet -= _left_alone(original_node.name.value)
        self._frames.pop()

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._frames.append(_Frame(place=CONSTANT))

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self._frames.pop()

    def visit_For_body(self, node: cst.For) -> None:
        self._loops += 1

    def leave_For_body(self, node: cst.For) -> None:
        self._loops -= 1

    def visit_While(self, node: cst.While) -> None:
        self._loops += 1

    def leave_While(self, original_node: cst.While) -> None:
        self._loops -= 1

    # places that are left alone

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def visit_Assert(self, node: cst.Assert) -> bool:
        return False

    def visit_Raise(self, node: cst.Raise) -> bool:
        return False

    def visit_Annotation(self, node: cst.Annotation) -> bool:
        return False

    def visit_SubscriptElement(self, node: cst.SubscriptElement) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if node.module is not None and not isinstance(node.names, cst.ImportStar):
            names = {_dotted(alias.name) for alias in node.names if alias.asname is None}
            self._imported.setdefault(_dotted(node.module), set()).update(names)
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    # names of values

    def visit_Assign(self, node: cst.Assign) -> bool:
        target = node.targets[0].target
        if isinstance(target, cst.Tuple) and isinstance(node.value, cst.Tuple):
            for left, right in zip(target.elements, node.value.elements, strict=False):
                self._assigned(left.value, right.value)
        else:
            self._assigned(target, node.value)
        return False

    def visit_AnnAssign(self, node: cst.AnnAssign) -> bool:
        if node.value is not None:
            self._assigned(node.target, node.value)
        return False

    def _assigned(self, target: cst.BaseExpression, value: cst.BaseExpression) -> None:
        name = _last(target)
        self._quiet += measures(name)
        plain = isinstance(value, cst.UnaryOperation | cst.BaseNumber | cst.BaseString | cst.Name | cst.Dict)
        place = LOCAL if self._functions else CONSTANT
        self._push(name, place if plain else min(place / 2, INNER if self._functions else place))
        value.visit(self)
        self._frames.pop()
        self._quiet -= measures(name)

    def visit_Param(self, node: cst.Param) -> None:
        self._quiet += measures(node.name.value)
        self._frames.append(_Frame(node.name.value, DEFAULT))

    def leave_Param(self, original_node: cst.Param) -> None:
        self._quiet -= measures(original_node.name.value)
        self._frames.pop()

    def visit_Call(self, node: cst.Call) -> bool:
        called = _dotted(node.func)
        last = called.rpartition(".")[2]
        if last == "add_argument":
            self._option(node)
            return False
        if last in _SILENT or last in _GENERATORS or measures(last) or any(map(measures, _texts(node.args))):
            return False
        self._argument = BUILT if last[:1].isupper() else INNER
        if isinstance(node.func, cst.Attribute) and (base := _dotted(node.func.value)):
            self._calls.setdefault((base, len(node.args)), set()).add(last)
            self._attributes.append((*self._span(node.func.attr), base, last, len(node.args)))
        return True

    def _option(self, node: cst.Call) -> None:
        """``add_argument("--lr", default=0.1, choices=[…])``: only the default is a knob."""
        first = node.args[0].value if node.args else None
        name = str(first.evaluated_value).lstrip("-") if isinstance(first, cst.SimpleString) else ""
        if not name or measures(name):
            return
        for arg in node.args:
            keyword = arg.keyword.value if arg.keyword else ""
            if keyword == "choices" and isinstance(arg.value, cst.List | cst.Tuple):
                self._choices.setdefault(name, set()).update(_texts(arg.value.elements))
            elif keyword == "default":
                self._frames.append(_Frame(name, OPTION))
                arg.value.visit(self)
                self._frames.pop()

    def visit_Arg(self, node: cst.Arg) -> bool:
        name = node.keyword.value if node.keyword else ""
        self._quiet += measures(name)
        self._push(name, KEYWORD if name else self._argument)
        return True

    def leave_Arg(self, original_node: cst.Arg) -> None:
        self._quiet -= measures(original_node.keyword.value if original_node.keyword else "")
        self._frames.pop()

    def visit_DictElement(self, node: cst.DictElement) -> bool:
        key = node.key.evaluated_value if isinstance(node.key, cst.SimpleString) else ""
        name = key if isinstance(key, str) else ""
        self._quiet += measures(name)
        self._push(name, self._frames[-1].place)
        node.value.visit(self)
        self._frames.pop()
        self._quiet -= measures(name)
        return False

    # values

    def _knob(self, node: cst.CSTNode, value: Value) -> None:
        frame = self._frames[-1]
        start, end = self._span(node)
        key = knob_key(self._path, self._data, start)
        if self._quiet or key is None or measures(frame.name) or end - start > MAX_LITERAL:
            return
        weight = weight_of(frame.name, frame.place)
        self.found.knobs.append(Knob(self._path, start, end, frame.name, value, weight, key))

    def visit_UnaryOperation(self, node: cst.UnaryOperation) -> bool:
        if isinstance(node.operator, cst.Minus) and isinstance(node.expression, cst.Integer | cst.Float):
            start, end = self._span(node)
            if self._data[start : start + 1] == b"-" and self._data[start + 1 : end] == node.expression.value.encode():
                self._knob(node, -_number(node.expression))
                return False
        return True

    def visit_Integer(self, node: cst.Integer) -> None:
        if node.value.isdigit() and len(node.value) <= MAX_LITERAL:
            self._knob(node, int(node.value))

    def visit_Float(self, node: cst.Float) -> None:
        self._knob(node, _number(node))

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in ("True", "False"):
            self._knob(node, node.value == "True")
        elif not self._quiet:
            self._names.append((*self._span(node), node.value))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        value = node.evaluated_value
        if isinstance(value, str) and value.isidentifier() and not self._quiet:
            self._strings.append((*self._span(node), value, self._frames[-1].name))

    # structure

    def visit_Comparison(self, node: cst.Comparison) -> bool:
        name = _last(node.left)
        if name == "__name__":
            return False
        for target in node.comparisons:
            right = target.comparator
            elements = right.elements if isinstance(right, cst.Tuple | cst.List | cst.Set) else ()
            seen = _texts(elements) or _texts([cst.Element(right)] if isinstance(right, cst.SimpleString) else [])
            if name and seen:
                self._choices.setdefault(name, set()).update(seen)
            self._swap(target.operator, _COMPARE.get(type(target.operator)))
        node.left.visit(self)
        for target in node.comparisons:
            if not isinstance(target.comparator, cst.SimpleString | cst.Tuple | cst.List | cst.Set):
                target.comparator.visit(self)
        return False

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        self._swap(node.operator, _ARITHMETIC.get(type(node.operator)))

    def visit_AugAssign(self, node: cst.AugAssign) -> bool:
        if measures(_last(node.target)):
            return False
        self._swap(node.operator, _ARITHMETIC.get(type(node.operator)))
        return True

    def _swap(self, operator: cst.CSTNode, texts: tuple[str, str] | None) -> None:
        if texts is None or self._quiet:
            return
        start, end = self._span(operator)
        old, new = (text.encode() for text in texts)
        at = self._data.find(old, start, end)
        if at >= 0:
            self._edit(((at, at + len(old), new),), f"turn {texts[0]} into {texts[1]}", at)

    def visit_If(self, node: cst.If) -> None:
        start, end = self._span(node.test)
        text = self._data[start:end]
        if b"__name__" not in text and b"\n" not in text and not self._quiet:
            self._edit(((start, end, b"not (" + text + b")"),), "negate a condition", start)

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._block(node.body)

    def visit_Module(self, node: cst.Module) -> None:
        self._block(node.body)

    def _block(self, body: Sequence[cst.BaseStatement]) -> None:
        if self._quiet:
            return
        previous: tuple[int, int, bool] | None = None
        known: set[str] = set()
        for statement in body:
            span = self._plain(statement)
            name, constant = _binding(statement)
            if span is not None:
                start, end = span
                if not name or name in known:  # without its first value a name would not exist
                    self._edit(((start, end, b"pass"),), "delete a statement", start)
                if previous is not None and not (constant and previous[2]):
                    at, stop, _ = previous
                    swap: tuple[Span, ...] = ((at, stop, self._data[start:end]), (start, end, self._data[at:stop]))
                    self._edit(swap, "swap two statements", at)
            known.add(name)
            previous = (*span, constant) if span is not None else None

    def _plain(self, statement: cst.BaseStatement) -> tuple[int, int] | None:
        """Span of a simple statement that may be moved or deleted."""
        if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
            return None
        small = statement.body[0]
        if isinstance(small, _LASTING):
            return None
        if isinstance(small, cst.Expr):
            called = _last(small.value.func) if isinstance(small.value, cst.Call) else "print"
            if called in _SILENT or measures(called):
                return None
        if isinstance(small, cst.Assign | cst.AnnAssign | cst.AugAssign):
            target = small.targets[0].target if isinstance(small, cst.Assign) else small.target
            parts = [item.value for item in target.elements] if isinstance(target, cst.Tuple) else [target]
            if any(measures(_last(part)) for part in parts):
                return None
        return self._span(small)

    def _edit(self, spans: tuple[Span, ...], what: str, at: int) -> None:
        line = self._data.count(b"\n", 0, at) + 1
        self.found.edits.append(Edit(self._path, spans, f"{what} in line {line}"))

    # what only the whole file tells

    def finish(self) -> Found:
        self.found.knobs.extend(self._choice_knobs())
        self.found.knobs.sort(key=lambda knob: knob.start)
        self.found.edits.extend(self._name_swaps())
        return self.found

    def _choice_knobs(self) -> Iterator[Knob]:
        for start, end, value, name in self._strings:
            others = self._choices.get(name, set()) - {value}
            key: Key | None = knob_key(self._path, self._data, start)
            if value not in self._choices.get(name, set()) | {value} or not others or key is None or measures(name):
                continue
            yield Knob(self._path, start, end, name, value, weight_of(name, DEFAULT), key, tuple(sorted(others)))

    def _name_swaps(self) -> Iterator[Edit]:
        for start, end, name in self._names:
            for names in self._imported.values():
                if name in names and name.islower():
                    for other in sorted(names - {name}):
                        if other.islower() and not measures(other):
                            yield self._renamed(start, end, name, other)
        for start, end, base, name, arguments in self._attributes:
            family = _FAMILIES.get(base.rpartition(".")[2], ())
            alike = set(family) if name in family else set()
            if base in ("math", "np", "numpy", "torch", "F", "nn", "jnp"):
                alike |= {seen for seen in self._calls[base, arguments] if seen.islower() == name.islower()}
            for other in sorted(alike - {name}):
                if not measures(other):
                    yield self._renamed(start, end, name, other)

    def _renamed(self, start: int, end: int, name: str, other: str) -> Edit:
        line = self._data.count(b"\n", 0, start) + 1
        return Edit(self._path, ((start, end, other.encode()),), f"use {other} for {name} in line {line}")


def _binding(statement: cst.BaseStatement) -> tuple[str, bool]:
    """The name that a plain assignment gives a value ("?" for several), and whether the value is a literal."""
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) and statement.body else None
    if isinstance(small, cst.AnnAssign) or (isinstance(small, cst.Assign) and len(small.targets) == 1):
        target = small.targets[0].target if isinstance(small, cst.Assign) else small.target
        constant = isinstance(small.value, _LITERAL)
        if isinstance(target, cst.Name):
            return target.value, constant
        return ("?" if isinstance(target, cst.Tuple | cst.List) else ""), constant
    return "", False


def _number(node: cst.Integer | cst.Float) -> int | float:
    if len(node.value) > MAX_LITERAL:
        return 0
    value = ast.literal_eval(node.value)
    return value if isinstance(value, int | float) else 0


def _texts(elements: Sequence[cst.BaseElement | cst.Arg]) -> list[str]:
    """The strings among list elements."""
    found = [item.value.evaluated_value for item in elements if isinstance(item.value, cst.SimpleString)]
    return [text for text in found if isinstance(text, str)]
