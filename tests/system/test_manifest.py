"""festina.toml: what is taken, and how mistakes are told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from festina.errors import UsageError
from festina.system.globs import matches_any
from festina.system.goals import dangerous_domain
from festina.system.manifest import Manifest, load_manifest, parse_manifest
from festina.system.toml import lines_of_keys

SHORT = b'run = ["python", "train.py"]\nmetric = "val_bpb:lower"\nallow = ["train.py"]\n'
FULL = b"""\
[system]
name = "tinylm"
kind = "training-recipe"

[scope]                              # what a proposal may touch
allow = ["train.py", "model/**"]
max_changed_lines = 200

[experiment]
run = ["python", "train.py"]
answer = ["python", "answer.py"]
outputs = ["model.safetensors"]
limits = { wall = "60s", memory = "2GiB", cpus = 2 }

[improver]
use = "own"
run = ["python", "improve.py"]
code = ["improve.py", "library.json"]

[suite.public]
scorer = "scoring:bits_per_byte"
items = "data/public.jsonl"
direction = "lower"

[suite.hidden]
scorer = "scoring:bits_per_byte"
range = [0, 8]
unit = "seed"
mode = "fresh"
margin = 0.0
detect = 0.02

[guard.memorisation]
scorer = "eval.probes:verbatim_share"
direction = "lower"
max_loss = 0.01

[policy]
alpha = 0.05
autonomy = "release-by-approval"
debt = { generations = 10, lines = 2000 }
"""


def refusal(data: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_manifest(data)
    return caught.value


def test_the_full_manifest_is_read() -> None:
    manifest = parse_manifest(FULL)
    assert manifest.command == ("python", "train.py")
    assert (manifest.experiment.limits.wall, manifest.experiment.limits.cpu_s) == (60.0, 120.0)
    assert manifest.experiment.limits.memory == 2 << 30
    assert manifest.direction == "lower"  # the public suite has the same scorer
    assert manifest.suite.hidden is not None
    assert manifest.suite.hidden.range == (0.0, 8.0)
    assert not manifest.self_reported
    assert manifest.scope_rules().improver == ("improve.py", "library.json")
    assert "train.py" in manifest.scope_rules().needed


def test_V10_three_lines_are_enough_and_self_reported() -> None:
    manifest = parse_manifest(SHORT)
    assert manifest.self_reported
    assert (manifest.metric_name, manifest.direction) == ("val_bpb", "lower")
    assert manifest.scope_rules().allow == ("train.py",)
    assert manifest.policy.alpha == 0.05


@pytest.mark.parametrize(
    "path",
    [
        "festina.toml",
        "scoring.py",
        "scoring/__init__.py",
        "scoring.pyi",
        "eval/probes.py",
        "eval/__init__.py",
        "data/public.jsonl",
    ],
)
def test_T4_what_judges_is_protected(path: str) -> None:
    assert matches_any(parse_manifest(FULL).protected(), path)


def test_T4_more_can_be_protected() -> None:
    assert "judge/**" in parse_manifest(FULL.replace(b"max_changed_lines = 200", b'protect = ["judge/**"]')).protected()


MISTAKES = [
    # (what to replace, by what, error name, line, words that must be told)
    (b"allow = [", b"alow = [", "unknown-key", 6, "did you mean 'allow'"),
    (b'memory = "2GiB"', b'mem = "2GiB"', "unknown-key", 13, "did you mean 'memory'"),
    (b"[suite.hidden]", b"[suite.hiden]", "unknown-key", 25, "did you mean 'hidden'"),
    (b"[system]\n", b"max_changed_lines = 3\n[system]\n", "unknown-key", 1, "belongs into [scope]"),
    (b'"train.py", "model/**"]', b'"train.py", 3]', "bad-type", 6, "a string in quotes"),
    (b'wall = "60s"', b"wall = 60", "bad-value", 13, '"60s"'),
    (b'wall = "60s"', b'wall = "60 parsecs"', "bad-value", 13, '"60s"'),
    (b'memory = "2GiB"', b'memory = "2GB"', "bad-value", 13, '"2GiB"'),
    (b"model/**", b"model/", "bad-value", 6, "model/**"),
    (b"model/**", b"../model", "bad-value", 6, ".."),
    (b'use = "own"', b'use = "model"', "missing-key", 16, "[model]"),
    (b'use = "own"', b'use = "own"\ntries = 2', "manifest-conflict", 17, "model"),
    (b'use = "own"', b'use = "serach"', "bad-value", 16, "did you mean 'search'"),
    (b'use = "own"', b'use = "search"', "manifest-conflict", 17, "own"),
    (b'run = ["python", "improve.py"]\n', b"", "missing-key", 15, "improve.py"),
    (b'"release-by-approval"', b'"unatended"', "bad-value", 40, "did you mean 'unattended'"),
    (b'mode = "fresh"', b'items = "h.jsonl"', "unknown-key", 29, "festina vault add hidden"),
    (b'"data/public.jsonl"', b'"/data/public.jsonl"', "bad-value", 22, "relative"),
    (b'"data/public.jsonl"', b'"../hidden.jsonl"', "bad-value", 22, "relative"),
    (b'["model.safetensors"]', b'["../../x"]', "bad-value", 12, "relative"),
    (b'direction = "lower"\nmax_loss', b"max_loss", "missing-key", 33, "direction"),
    (b"max_loss = 0.01", b"max_loss = 2", "manifest-conflict", 36, "smaller than the range"),
    (b"margin = 0.0", b"margin = 0.02", "manifest-conflict", 30, "lower the margin"),
    (b"range = [0, 8]", b"range = [8, 0]", "bad-value", 27, "lower than the second"),
    (b"range = [0, 8]", b"range = [0]", "bad-value", 27, "as many"),
    (b"range = [0, 8]", b"range = [0, inf]", "bad-type", 27, "finite"),
    (b'range = [0, 8]\nunit = "seed"', b'unit = "item"', "missing-key", 25, "range"),
    (b"detect = 0.02", b"detect = 9", "manifest-conflict", 31, "smaller than the range"),
    (b"alpha = 0.05", b"alpha = 0.7", "bad-value", 39, "0.5"),
    (b"alpha = 0.05", b"alpha = true", "bad-type", 39, "number"),
    (b"alpha = 0.05", b"alpha = 0x" + b"f" * 4000, "bad-type", 39, "number"),
    (b"alpha = 0.05", b"alpha = " + b"9" * 5000, "manifest-syntax", 1, "number"),
    (b"alpha = 0.05", b"alpha = ", "manifest-syntax", 39, "TOML"),
    (b"alpha = 0.05", b"alpha = " + b"[" * 3000, "manifest-syntax", 1, "nesting"),
    (b"alpha = 0.05", b"alpha = \xff", "manifest-not-utf8", 39, "UTF-8"),
    (b'"scoring:bits_per_byte"\nrange', b'"scoring.bits"\nrange', "bad-value", 26, "module:function"),
    (b'["python", "train.py"]', b"[]", "bad-value", 10, "at least 1"),
    (b"[guard.memorisation]", b"[guard.'a b']", "bad-value", 33, "letters"),
]


def test_S1_a_share_of_wrong_ones_needs_fresh_items() -> None:
    shares = FULL.replace(b"alpha = 0.05", b'error = "fdr"')
    assert parse_manifest(shares).policy.error == "fdr"
    error = refusal(shares.replace(b'mode = "fresh"', b'mode = "sealed"'))
    assert (error.name, error.where) == ("manifest-conflict", "festina.toml:39")
    assert "fresh" in error.fix


@pytest.mark.parametrize(("old", "new", "name", "line", "words"), MISTAKES, ids=lambda value: str(value)[:30])
def test_a_mistake_names_line_field_and_remedy(old: bytes, new: bytes, name: str, line: int, words: str) -> None:
    assert old in FULL
    error = refusal(FULL.replace(old, new, 1))
    assert (error.name, error.where) == (name, f"festina.toml:{line}"), str(error)
    assert words in f"{error.what} {error.fix}", str(error)
    assert error.fix
    assert str(error).isascii()


ONCE = FULL.replace(b'answer =', b'train = "once"\nanswer =').replace(b'unit = "seed"', b'unit = "item"')


def test_S7_a_model_that_is_trained_once_needs_a_step_that_answers_and_a_verdict_about_itself() -> None:
    assert parse_manifest(ONCE).experiment.train == "once"
    few = parse_manifest(ONCE.replace(b'"item"', b'"item"\ntest = "symmetric"')).suite.hidden
    assert few is not None
    assert few.test == "symmetric"


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        (b'unit = "item"', b'unit = "seed"', "festina.toml:11", 'train = "each"'),
        (b'answer = ["python", "answer.py"]\noutputs = ["model.safetensors"]\n', b"", "festina.toml:11", "answer ="),
        (b'"once"', b'"twice"', "festina.toml:11", "once"),
        (b'train = "once"', b'model = true\ntrain = "once"', "festina.toml:12", "asks models"),
        (b'mode = "fresh"', b'test = "symmetric"\nmode = "sealed"', "festina.toml:30", "fresh"),
    ],
)
def test_S7_a_training_that_cannot_be_kept_is_refused(old: bytes, new: bytes, where: str, words: str) -> None:
    assert old in ONCE
    error = refusal(ONCE.replace(old, new, 1))
    assert error.where == where, str(error)
    assert words in f"{error.what} {error.fix}", str(error)


MODEL = b'''
[improver]
use = "model"
[model]
endpoint = "http://127.0.0.1:11434/v1/"
key_env = "MODEL_KEY"
names = ["qwen2.5-coder:7b", "org/other"]
money = 5.0
[model.each."org/other"]
output = 2.0
'''


def test_E5_the_model_table_is_read() -> None:
    table = parse_manifest(SHORT + MODEL).model
    assert table is not None
    assert (table.endpoint, table.names[1]) == ("http://127.0.0.1:11434/v1", "org/other")
    assert table.each["org/other"].output == 2.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"http://127", b"http://user:secret@127", "key_env"),  # T-1: no secret in a file that boxes see
        (b"/v1/", b"/v1/?key=secret", "key_env"),
        (b"http://", b"file://", "base URL"),
        (b"http://127.0.0.1:11434", b"http://127.0.0.1:99999", "address"),
        (b'"MODEL_KEY"', b'"sk-proj-abc"', "letters"),
        (b"money = 5.0\n", b"", "money = "),  # a price that nothing caps
        (b"money = 5.0", b"money = 0.0", "greater than 0"),
        (b'"org/other"]\n', b'"org/othr"]\n', "model.names"),
        (b'use = "model"', b'use = "search"', "nobody asks"),
        (b'use = "model"', b'use = "model"\nlimits = { memory = "1GiB" }', "no program"),
    ],
)
def test_E5_a_model_table_with_a_hole_is_refused(old: bytes, new: bytes, words: str) -> None:
    error = refusal(SHORT + MODEL.replace(old, new, 1))
    assert words in f"{error.what} {error.fix}", str(error)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "missing-key"),
        (SHORT + b'[experiment]\nrun = ["x"]\n', "manifest-conflict"),
        (SHORT + b'[scope]\nallow = ["x"]\n', "manifest-conflict"),
        (SHORT.replace(b'metric = "val_bpb:lower"\n', b""), "missing-key"),
        (SHORT.replace(b'allow = ["train.py"]\n', b""), "missing-key"),
        (SHORT.replace(b"lower", b"smaller"), "bad-value"),
        (SHORT + b'[guard.x]\nscorer = "a:b"\ndirection = "lower"\nmax_loss = 0.1\n', "manifest-conflict"),
        (SHORT + b'[experiment]\nanswer = ["x"]\n', "manifest-conflict"),
        (SHORT + b'[suite.hidden]\nscorer = "a:b"\ndetect = 0.1\nrange = [0, 1]\n', "manifest-conflict"),
        (b"# " + b"x" * 300_000, "manifest-too-long"),
    ],
)
def test_parts_that_do_not_fit_together(data: bytes, name: str) -> None:
    assert refusal(data).name == name


@pytest.mark.parametrize(
    "domain", ["persuasion", "deception", "cyber", "cyber-offence", "tool_use", "long-interaction", "self_replication"]
)
def test_V11_dangerous_capabilities_are_never_goals(domain: str) -> None:
    suite = FULL.replace(b"[suite.hidden]", f"[suite.{domain}]".encode())
    scorer = FULL.replace(
        b'"scoring:bits_per_byte"\nrange', f'"scoring:{domain.replace("-", "_")}_rate"\nrange'.encode()
    )
    metric = SHORT.replace(b"val_bpb", domain.encode())
    for data in (suite, scorer, metric):
        error = refusal(data)
        assert error.name == "dangerous-goal"
        assert "guard" in error.fix
    guard = FULL.replace(b"guard.memorisation", f"guard.{domain}".encode())
    assert domain in parse_manifest(guard).guard  # control: as a guard it is welcome


@pytest.mark.parametrize(
    "name", ["val_bpb", "accuracy", "exploitation", "octfoo", "loss", "reward", "biology_qa", "nuclei_count_f1"]
)
def test_V11_harmless_names_pass(name: str) -> None:
    assert dangerous_domain(name) is None


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "festina.toml").write_bytes(FULL)
    (tmp_path / "scoring.py").write_text("def bits_per_byte(item, output):\n    return 0.0\n")
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/probes.py").write_text("from x import verbatim_share\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/public.jsonl").write_text("{}\n")
    return tmp_path


def test_files_that_are_named_exist(system: Path) -> None:
    assert load_manifest(system).system.name == "tinylm"


@pytest.mark.parametrize(
    ("path", "text", "name", "words"),
    [
        ("scoring.py", None, "missing-scorer", "scoring.py"),
        ("scoring.py", "def bits_per_bite(i, o): ...\n", "missing-scorer", "did you mean scoring:bits_per_bite"),
        ("scoring.py", "def (", "broken-scorer", "not valid Python"),
        ("scoring.py", "x = " + "(" * 5000, "broken-scorer", "not valid Python"),
        ("data/public.jsonl", None, "missing-file", "public.jsonl"),
        ("festina.toml", None, "no-manifest", "festina init"),
    ],
)
def test_a_missing_file_is_named(system: Path, path: str, text: str | None, name: str, words: str) -> None:
    (system / path).unlink()
    if text is not None:
        (system / path).write_text(text)
    with pytest.raises(UsageError) as caught:
        load_manifest(system)
    assert caught.value.name == name
    assert words in str(caught.value)


def test_T4_a_scorer_is_not_run_by_reading_the_manifest(system: Path) -> None:
    (system / "scoring.py").write_text("def bits_per_byte(i, o): ...\nopen('ran', 'w')\nraise SystemExit\n")
    load_manifest(system)


tomlish = st.lists(
    st.sampled_from(
        [
            *FULL.decode().splitlines(),
            *SHORT.decode().splitlines(),
            "[a.b]",
            "x = 1",
            "'",
            '"""',
            "[[",
            "= ",
            "a.b.c = {}",
        ]
    ),
    max_size=30,
).map(lambda lines: "\n".join(lines).encode())


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200), tomlish, st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
    )
)
@example(b"[suite]\nhidden = 3")
@example(b"suite = 3")
@example(b"suite = [1]")
@example(b"guard = {a = {b = {c = {}}}}")
@example(b"\xef\xbb\xbf")
@example(b"metric = ['persuasion']")
@example(b"a = 9999-99-99")
@example(b"'' = 1")
@example(b"policy.debt.lines = 1e400")
@example(b"policy.alpha = 1e999")
def test_any_bytes_give_a_manifest_or_a_usage_error(data: bytes) -> None:
    told: UsageError | None = None
    try:
        parse_manifest(data)
    except UsageError as error:
        told = error
    if told is not None:
        assert re.fullmatch(r"festina\.toml(:\d+)?", told.where)
        assert told.fix


keys = st.text("abc-_1", min_size=1, max_size=4)
values = st.sampled_from(
    ["1", '"x # [y]"', "'''\na = 1\n[t]\n'''", "[1,\n 2, # ]\n 3]", "{ k = 1 }", '"""\\"\n"""', "1979-05-27", "'#'"]
)


@settings(max_examples=100, deadline=None)
@given(tables=st.dictionaries(keys, st.dictionaries(keys, values, max_size=4), max_size=4))
def test_every_key_is_found_on_its_line(tables: dict[str, dict[str, str]]) -> None:
    text, expected = "# head\n", {}
    for table, entries in tables.items():
        expected[(table,)] = text.count("\n") + 1
        text += f"  [{table}] # comment\n"
        for key, value in entries.items():
            expected[(table, key)] = text.count("\n") + 1
            text += f" {key} = {value} # c\n\n"
    tomllib.loads(text)
    assert lines_of_keys(text) == expected


def models(model: type[BaseModel], seen: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    seen[model.__name__] = model
    for field in model.model_fields.values():
        stack = [field.annotation]
        while stack:
            annotation = stack.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                models(annotation, seen)
            stack += get_args(annotation)
    return seen


PAGE = Path(__file__).parents[2] / "docs" / "manifest.md"
SECTIONS = {
    "Manifest": "Top level",
    "System": "[system]",
    "ScopeTable": "[scope]",
    "Experiment": "[experiment]",
    "ExperimentLimits": "[experiment] limits",
    "ImproverTable": "[improver]",
    "ArchiveTable": "[improver] archive",
    "ProductivityTable": "[improver] productivity",
    "ImproverLimits": "[improver] limits",
    "ModelTable": "[model]",
    "EachModel": "[model.each.NAME]",
    "Suites": "[suite]",
    "PublicSuite": "[suite.public]",
    "HiddenSuite": "[suite.hidden]",
    "FinalSuite": "[suite.final]",
    "Guard": "[guard.NAME]",
    "Judge": "[judge.NAME]",
    "Verifier": "[verifier]",
    "Internals": "[internals]",
    "Policy": "[policy]",
    "Debt": "[policy] debt",
    "Attribution": "[policy] attribution",
    "ReviewPolicy": "[policy] review",
    "Pace": "[policy] pace",
    "Outcomes": "[policy] outcomes",
    "Soak": "[suite.soak.NAME]",
    "WitnessPolicy": "[policy] witness",
    "Witness": "[policy] witness witnesses",
    "DocumentPolicy": "[policy] documents",
    "Capability": "[capability.NAME]",
    "Tier": "[capability.NAME] tiers",
}


TIMES = ("wall", "cpu", "tmp", "word", "cooling", "valid", "max_age")  # written as durations


def documented() -> dict[str, dict[str, list[str]]]:
    """Section title -> key -> the row's cells."""
    found: dict[str, dict[str, list[str]]] = {}
    title = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            title = line[3:].replace("`", "").strip()
            found[title] = {}
        elif line.startswith("| `") and title:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found[title][cells[0].strip("`")] = cells[1:]
    return found


def test_the_page_documents_every_field_and_no_other() -> None:
    page = documented()
    for name, model in models(Manifest, {}).items():
        assert set(page[SECTIONS[name]]) == set(model.model_fields), SECTIONS[name]


def test_the_page_states_required_fields_and_plain_defaults() -> None:
    page = documented()
    for name, model in models(Manifest, {}).items():
        for key, field in model.model_fields.items():
            default = page[SECTIONS[name]][key][1]
            if field.is_required():
                assert default == "required", key
            elif isinstance(field.default, bool | str | float) and not key.startswith(TIMES):
                number = isinstance(field.default, float) and not isinstance(field.default, bool)
                shown = f"{field.default:g}" if number else str(field.default)
                shown = f'"{shown}"' if isinstance(field.default, str) else shown.lower()
                assert default.strip("`") == shown, (name, key, default)
            else:
                assert default not in ("", "required"), key


def test_the_pages_examples_are_valid() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        parse_manifest(block.encode())
