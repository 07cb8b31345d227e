"""Check what the project says about itself, and write the pages that are generated.

- README and docs name no home directory and no package registry's host. Their links lead to files and headings.
- README and the commands' help use no word that only a statistician or a cryptographer knows.
- ``docs/status.md`` is what ``docs/clauses.toml`` says, and ``docs/cli.md`` is what ``--help`` says.
- Every clause of ``docs/spec.md`` stands in ``docs/clauses.toml``; each that this version claims ("held" or
  "partly") is cited in the source and in a test.
- ``docs/README.md`` lists every page.
- Every command has help, and so has every option.

``--write`` writes the two generated pages and then checks. Exit 1 on any breach.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CLAUSE = re.compile(r"^- \*\*([A-Z]-\d+)\*\* (.*)$")
IN_TEXT = re.compile(r"\b([TPEVSRDGWLC]-\d+)\b")
IN_NAME = re.compile(r"\btest_((?:[TPEVSRDGWLC]\d+_)+)")
PRIVATE = re.compile(
    r"(?<![\w.])/(?:home|root|Users|work|workspace)/[\w.]|~/\.pyenv"
    r"|\b(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org|crates\.io)\b"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HARD = re.compile(r"e-process|e-value|martingale|\bwealth\b|\bDSSE\b|merkle", re.IGNORECASE)
STATES = {
    "held": "holds, with tests",
    "partly": "holds in part; the note says which",
    "planned": "not in this version",
}


@dataclass(frozen=True)
class Clause:
    """One clause of the specification and how far this version holds it."""

    name: str
    state: str
    note: str


def main() -> int:
    write = "--write" in sys.argv[1:]
    clauses, broken = read_clauses()
    cited = citations()
    pages = {DOCS / "status.md": status_page(clauses, cited), DOCS / "cli.md": cli_page()}
    for path, text in pages.items():
        if write:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8").split() != text.split():  # wrapping may differ
            broken.append(f"{path.relative_to(ROOT)} is not what the code says; run: make docs")
    broken += [*unproven(clauses, cited), *private_places(), *broken_links(), *unlisted()]
    broken += [*hard_words(), *commands_without_help()]
    for line in broken:
        print(line, file=sys.stderr)
    claimed = sum(clause.state != "planned" for clause in clauses)
    print(f"{len(clauses)} clauses, {claimed} claimed by this version, {len(broken)} complaints about the text")
    return 1 if broken else 0


# -- clauses ------------------------------------------------------------------------------------------


def read_clauses() -> tuple[list[Clause], list[str]]:
    """The clauses in the order of the specification, and what does not fit."""
    listed = tomllib.loads((DOCS / "clauses.toml").read_text(encoding="utf-8"))
    spec = [m[1] for line in (DOCS / "spec.md").read_text(encoding="utf-8").splitlines() if (m := CLAUSE.match(line))]
    broken = [f"docs/clauses.toml lacks {name}" for name in spec if name not in listed]
    broken += [
        f"docs/clauses.toml lists {name}, which the specification does not have" for name in listed.keys() - set(spec)
    ]
    clauses = [Clause(name, listed[name]["state"], listed[name].get("note", "")) for name in spec if name in listed]
    broken += [
        f"docs/clauses.toml: {c.name} has the unknown state '{c.state}'" for c in clauses if c.state not in STATES
    ]
    broken += [
        f"docs/clauses.toml: {c.name} is '{c.state}' without a note"
        for c in clauses
        if c.state == "partly" and not c.note
    ]
    return clauses, broken


def citations() -> dict[str, dict[str, int]]:
    """How many files cite a clause: {"src": {clause: files}, "tests": {clause: files}}."""
    found: dict[str, dict[str, int]] = {"src": {}, "tests": {}}
    for place in found:
        for path in sorted((ROOT / place).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            names = set(IN_TEXT.findall(text))
            for joined in IN_NAME.findall(text):
                names |= {f"{part[0]}-{part[1:]}" for part in joined.rstrip("_").split("_")}
            for name in names:
                found[place][name] = found[place].get(name, 0) + 1
    return found


def unproven(clauses: list[Clause], cited: dict[str, dict[str, int]]) -> Iterator[str]:
    """Claims without code or without a test."""
    for clause in clauses:
        for place in ("src", "tests"):
            if clause.state != "planned" and not cited[place].get(clause.name):
                yield f"{clause.name} is '{clause.state}' and no file under {place}/ cites it"


def status_page(clauses: list[Clause], cited: dict[str, dict[str, int]]) -> str:
    counts = ", ".join(f"{sum(c.state == state for c in clauses)} {state}" for state in STATES)
    rows = [
        f"| {c.name} | {c.state} | {cited['src'].get(c.name, 0)} | {cited['tests'].get(c.name, 0)} | {c.note} |"
        for c in clauses
    ]
    return "\n".join([
        "# Which clauses hold in this version",
        "",
        "Generated from `clauses.toml` by `make docs`; do not edit. Clauses are those of [spec.md](spec.md).",
        "",
        f"{len(clauses)} clauses: {counts}.",
        "",
        *(f"- **{state}**: {meaning}." for state, meaning in STATES.items()),
        "",
        "The two counts are files that cite the clause; a citation shows where to look, not that it is enough.",
        "",
        "| clause | state | source | tests | note |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip


# -- command line -------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command and subcommand with its full name."""
    from festina.cli import cli

    yield from _walk("festina", cli, None)


def _walk(
    name: str, command: click.Command, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    settings: dict[str, Any] = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, **settings)
    yield name, command, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            try:
                found = command.get_command(context, child)
            except ImportError as error:
                found = click.Command(child, help=None, short_help=str(error))  # complained about as without help
            if found is not None:
                yield from _walk(f"{name} {child}", found, context)


def cli_page() -> str:
    parts = ["# Commands", "", "Generated from the commands' own help by `make docs`; do not edit.", ""]
    for name, command, context in commands():
        parts += [f"## {name}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(parts)


def commands_without_help() -> Iterator[str]:
    for name, command, _ in commands():
        if not (command.help or "").strip():
            yield f"{name} has no help"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.help and not parameter.hidden:
                yield f"{name}: option {parameter.opts[0]} has no help"


# -- words --------------------------------------------------------------------------------------------


def private_places() -> Iterator[str]:
    """Places of one machine, and hosts of package registries, have no place in the project's text."""
    own = str(Path.home())
    for path in texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PRIVATE.search(line) or (len(own) > len("/root") and own in line):
                yield f"{path.relative_to(ROOT)}:{number} names a place of one machine or a registry's host"


def texts() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def unlisted() -> Iterator[str]:
    """Pages that the list of pages, or that of decisions, does not name."""
    for folder in (DOCS, DOCS / "decisions"):
        listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.md")):
            if path.name not in listed | {"README.md"}:
                yield f"{folder.relative_to(ROOT)}/README.md does not list {path.name}"


def broken_links() -> Iterator[str]:
    """Links within the repository to a file or a heading that is not there."""
    for path in texts():
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            place, _, heading = link.partition("#")
            if ":" in place:
                continue
            target = path.parent / place if place else path
            if not target.exists():
                yield f"{path.relative_to(ROOT)} links to {link}, which is not there"
            elif heading and heading not in headings(target):
                yield f"{path.relative_to(ROOT)} links to {link}, and there is no such heading"


def headings(path: Path) -> set[str]:
    """Anchors, as they are commonly made of headings."""
    lines = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.strip().lower()).replace(" ", "-") for line in lines}


def hard_words() -> Iterator[str]:
    for path in (ROOT / "README.md", DOCS / "cli.md"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := HARD.search(line):
                yield f"{path.relative_to(ROOT)}:{number} says '{found[0]}' where a plain word belongs"


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    sys.exit(main())
