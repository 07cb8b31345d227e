"""``festina review``: people decide, step by step: the change first, a first judgement, only then the numbers.

The steps are those of ``loop.reviews``; on a terminal ``festina review N --as NAME`` goes through them one after the
other, and every step is a subcommand for scripts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from festina.cli import review_files
from festina.cli.common import Opened, duration, opened, system_option
from festina.cli.say import Wordy

if TYPE_CHECKING:
    from festina.review.pages import BlindPage, EvidencePage, Outcome

WORDS = ("sound", "scope", "integrity", "capability", "unsure")
MEANING = {
    "sound": "it does what it should, and nothing else",
    "scope": "it does more, or something else, than it should, or it is too large to judge",
    "integrity": "it gets at what judges it: hidden answers, measurements, records, the sandbox",
    "capability": "it gives the system an ability that nobody asked for",
    "unsure": "you cannot tell",
}


class _Group(Wordy):
    """``festina review 3`` is ``festina review go 3``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = next((i for i, word in enumerate(args) if word.isdecimal()), None)
        if at is not None and not any(word in self.commands for word in args[:at]):
            args = [*args[:at], "go", *args[at:]]
        return super().parse_args(ctx, args)


def _as(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--as", "reviewer", required=True, help="Your enrolled name.")(function)


def _steps(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a first judgement consists of, as options."""
    for option in (
        click.option("--predict", type=click.FloatRange(0, 1), help="Your probability, from 0 to 1."),
        click.option("--answer", help="The question's answer: its words or its number."),
        click.option("--cite", help='The line that decided, e.g. "train.py:12".'),
        click.option("--first", type=click.Choice(WORDS), help="Your judgement before the evidence."),
    ):
        function = option(function)
    return function


@click.group(cls=_Group, invoke_without_command=True)
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """What waits for a person; look at it step by step, approve or deny it.

    Without a subcommand it lists what waits. `festina review N --as NAME` goes through review N: the change without any
    claim, a question and a first judgement, then what was measured, then the decision. Nothing is approved by
    default, in bulk, or by waiting.
    """
    ctx.obj = root
    if ctx.invoked_subcommand is None:
        from festina.loop import reviews

        with opened(root) as here:
            rows = reviews.queue(here)
            click.echo("\n".join(row.headline for row in rows) or "Nothing waits for a person.")
            if rows:
                click.echo(f"Look at the oldest: festina review {rows[0].review} --as NAME")


@group.command()
@click.argument("number", type=int)
@_as
@click.option("--json", "as_json", is_flag=True, envvar="FESTINA_JSON", help="A record on stdout, nothing else.")
@click.pass_obj
def show(root: Path, number: int, reviewer: str, as_json: bool) -> None:
    """Show the change of one review without any claim; the clock of reading time starts."""
    from festina.loop import reviews

    with opened(root, write=True) as here:
        page = reviews.open_review(here, number, reviewer)
    if as_json:
        click.echo(json.dumps(_record(page)))
        return
    click.echo(blind(page))
    options = "--first ... --cite ... --answer ... --predict ..."
    click.echo(f"Next: festina review classify {number} --as {reviewer} {options}", err=True)


@group.command()
@click.argument("number", type=int)
@_as
@_steps
@click.pass_obj
def classify(
    root: Path, number: int, reviewer: str, first: str | None, cite: str | None, answer: str | None,
    predict: float | None,
) -> None:  # fmt: skip
    """Sign a first judgement of the change, before the evidence is shown."""
    with opened(root, write=True) as here:
        _classify(here, number, reviewer, first, cite, answer, predict)
    click.echo(f"Signed. Next: festina review evidence {number} --as {reviewer}", err=True)


@group.command()
@click.argument("number", type=int)
@_as
@click.pass_obj
def evidence(root: Path, number: int, reviewer: str) -> None:
    """Show what was measured, and the proposer's words last; after your first judgement."""
    from festina.loop import reviews

    with opened(root) as here:
        click.echo(measured(here, reviews.evidence_page(here, number, reviewer)))
    click.echo(f"Decide: festina review approve {number} --as {reviewer} --reason TEXT   (or: deny)", err=True)


@group.command()
@click.argument("number", type=int)
@_as
@click.option("--reason", required=True, help="Why: it is signed with the decision.")
@_steps
@click.pass_obj
def approve(root: Path, /, number: int, reviewer: str, reason: str, **first: Any) -> None:  # noqa: ANN401 - options
    """Approve exactly what was shown; signed with your key.

    With --first, --cite, --answer and --predict it makes the earlier steps, too, where the reading time allows.
    """
    _decide(root, number, reviewer, reason, first, final="sound")


@group.command()
@click.argument("number", type=int)
@_as
@click.option("--reason", required=True, help="Why: it is signed with the decision.")
@click.option("--because", type=click.Choice(WORDS[1:]), default="unsure", show_default=True, help="What is wrong.")
@_steps
@click.pass_obj
def deny(root: Path, /, number: int, reviewer: str, reason: str, because: str, **first: Any) -> None:  # noqa: ANN401
    """Deny it: the working line goes back to before it."""
    _decide(root, number, reviewer, reason, first, final=because)


@group.command()
@click.argument("number", type=int)
@_as
@click.option("--reason", required=True, help="Why: it is signed.")
@click.pass_obj
def withdraw(root: Path, number: int, reviewer: str, reason: str) -> None:
    """Take your decision back while it does not count yet; decide again later."""
    from festina.loop import reviews

    with opened(root, write=True) as here:
        reviews.withdraw(here, number, reviewer, reason=reason)
    click.echo("Taken back. Your first judgement stands; decide again when you are sure.", err=True)


@group.command()
@click.argument("number", type=int)
@click.pass_obj
def outcome(root: Path, number: int) -> None:
    """What came of a review: what each person said, and whether it was a catch trial."""
    from festina.loop import reviews

    with opened(root, write=True) as here:
        reviews.settle(here)
        click.echo(_came_of(reviews.outcome(here, number)))


@group.command()
@click.argument("number", type=int)
@_as
@click.pass_obj
def go(root: Path, number: int, reviewer: str) -> None:
    """Go through one review on this terminal, step by step. The same as `festina review N`."""
    from festina.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(
            "no-terminal", "this asks questions, and nobody is there to answer",
            fix=f"festina review show {number} --as {reviewer}, then classify, evidence, approve or deny",
        )  # fmt: skip
    with opened(root, write=True) as here:
        walk(here, number, reviewer)


@group.command()
@click.option("--as", "reviewer", help="Your enrolled name, to let the run go on.")
@click.option("--reason", default="", help="What the cause was and what was done: it is signed.")
@click.pass_obj
def control(root: Path, reviewer: str | None, reason: str) -> None:
    """What the incumbent compared with itself says; sign that a broken comparison was mended.

    Without --as it only shows. A signature starts the comparison anew; the other way on is a new epoch
    (festina run --new-epoch "why").
    """
    from festina.cli.assurance import sameness_lines
    from festina.loop import acts

    if reviewer is None:
        with opened(root) as here:
            click.echo("\n".join(sameness_lines(here.state)))
        return
    with opened(root, write=True) as here:
        acts.resolve_control(here.ledger, here.state, here.home, reviewer, reason)
    click.echo("Signed: the run may go on. Next: festina run", err=True)


for _command in (review_files.export, review_files.sign, review_files.import_):
    group.add_command(_command)

# -- steps ---------------------------------------------------------------------------------------------------


def _classify(
    here: Opened, number: int, reviewer: str, first: str | None, cite: str | None, answer: str | None,
    predict: float | None,
) -> None:  # fmt: skip
    from festina.errors import UsageError
    from festina.loop import reviews

    page = reviews.open_review(here, number, reviewer)
    missing = [name for name, value in (("--first", first), ("--cite", cite), ("--answer", answer),
                                        ("--predict", predict)) if value is None]  # fmt: skip
    if missing or first is None or cite is None or answer is None or predict is None:
        raise UsageError(
            "classify-first", f"a first judgement comes before the decision; it lacks {', '.join(missing)}",
            fix=f"festina review {number} --as {reviewer} asks for all of it on a terminal",
        )  # fmt: skip
    reviews.classify(
        here, number, reviewer, confirm=page.confirm, classification=_word(first), cite=cite, answer=answer,
        predicted=predict,
    )  # fmt: skip


def _word(said: str) -> Any:  # noqa: ANN401 - one of the classifications, as click has checked
    from festina.ledger.entries import Classification

    return next(word for word in get_args(Classification) if word == said)


def _decide(root: Path, number: int, reviewer: str, reason: str, first: dict[str, Any], *, final: str) -> None:
    from festina.loop import reviews

    with opened(root, write=True) as here:
        if reviews.stage(here.state, number, reviewer) in ("unopened", "reading") and (
            here.state.reviews[number].terms.protocol
        ):
            _classify(here, number, reviewer, **first)
        page = reviews.blind_page(here, number, reviewer)
        reviews.decide(
            here, number, reviewer, confirm=page.confirm, approve=final == "sound", classification=_word(final),
            reason=reason,
        )  # fmt: skip
        click.echo(_after(here, number, approve=final == "sound"), err=True)


def _after(here: Opened, number: int, *, approve: bool) -> str:
    """What the decision does, and when."""
    from festina.loop import reviews

    reviews.settle(here)
    review = here.state.reviews[number]
    word = "Approved" if approve else "Denied"
    if review.terms.protocol and review.settled is None:
        wait = review.rules.cooling_off_s if review.rules is not None else 0.0
        people = reviews.row(here.state, review, None).people
        if not approve and review.rules is not None:
            people = review.rules.people  # an unsigned change takes more of them only to be approved
        more = people - len([x for x in review.seats.values() if x.decision])
        others = f" {more} more must decide." if more > 0 else ""
        return f"{word}. It counts in {duration(wait)}; until then: festina review withdraw {number}.{others}"
    if review.settled is not None and review.settled.outcome in ("catch", "void"):
        return _came_of(reviews.outcome(here, number))
    follow = "festina release, or festina run to go on with it" if approve else "festina run takes the line back"
    return f"{word}. Next: {follow}"


def walk(here: Opened, number: int, reviewer: str) -> None:
    """All steps of one review on a terminal; stops where the clock or the person does."""
    from festina.loop import reviews

    stage = reviews.stage(here.state, number, reviewer)
    if stage in ("unopened", "reading"):
        page = reviews.open_review(here, number, reviewer)
        click.echo(blind(page))
        _read(here, number, reviewer)
        first = _choose()
        cite = click.prompt("Which line decides (file:line, or its text)")
        for at, choice in enumerate(page.question.choices, 1):
            click.echo(f"  {at}. {choice}")
        numbers = [str(at) for at in range(1, len(page.question.choices) + 1)]
        answer = click.prompt(page.question.text, type=click.Choice(numbers))
        predict = click.prompt(f"{page.prediction} (0 to 1)", type=click.FloatRange(0, 1))
        _classify(here, number, reviewer, first, cite, answer, predict)
    found = reviews.evidence_page(here, number, reviewer)
    click.echo(measured(here, found))
    verb = click.prompt("Type 'approve' or 'deny'", type=click.Choice(["approve", "deny"]))
    if verb == "approve" and found.again_s > 0:
        from festina.propose.text import rows

        patch = reviews.blind_page(here, number, reviewer).patch
        click.echo("\n".join(["--- the change, once more ---", *rows(patch)]))
        _read(here, number, reviewer)
    final = "sound" if verb == "approve" else _choose(WORDS[1:])
    reason = click.prompt("Why")
    reviews.decide(
        here, number, reviewer, confirm=found.confirm, approve=verb == "approve", classification=_word(final),
        reason=reason,
    )  # fmt: skip
    click.echo(_after(here, number, approve=verb == "approve"), err=True)


def _choose(words: tuple[str, ...] = WORDS) -> str:
    for word in words:
        click.echo(f"  {word:<12}{MEANING[word]}")
    return str(click.prompt("Your judgement", type=click.Choice(words)))


def _read(here: Opened, number: int, reviewer: str) -> None:
    """Wait out the reading time.  # R-4"""
    import time

    from festina.loop import reviews

    while (left := reviews.left_s(here.state, number, reviewer)) > 0:
        click.echo(f"\rReading time: {duration(left)} still  ", err=True, nl=False)
        time.sleep(min(1.0, left))
    click.echo("", err=True)


# -- pages as text ---------------------------------------------------------------------------------------------


def blind(page: BlindPage) -> str:
    """The change without claims; hostile text made visible.  # T-5"""
    from festina.propose.text import rows

    lines = [page.row.headline]
    lines += [f"  look twice: {file.path} ({', '.join(file.marks)})" for file in page.files if file.marks]
    lines += [f"--- the change, against {page.reviewed_name}, the last state that a person reviewed ---"]
    lines += rows(page.patch)
    if page.in_use:
        lines += [f"--- the change, against {page.in_use_name}, which is in use ---"]
        lines += rows(page.in_use)
    if page.row.left_s > 0:
        lines.append(f"reading time: {duration(page.row.left_s)} at least")
    lines += ["--- before you see any evidence ---", page.question.text]
    lines += [f"  {at}. {choice}" for at, choice in enumerate(page.question.choices, 1)]
    lines += [page.prediction, "Your first judgement: " + ", ".join(WORDS)]
    return "\n".join(lines)


def _record(page: BlindPage) -> dict[str, Any]:
    """The page as JSON: what is a proposer's is escaped by JSON itself."""
    return {
        "review": page.row.review, "generation": page.row.generation, "lines": page.row.lines,
        "left_s": page.row.left_s, "patch": page.patch, "in_use": page.in_use,
        "files": [{"path": f.path, "added": f.added, "removed": f.removed, "marks": f.marks} for f in page.files],
        "question": {"text": page.question.text, "choices": page.question.choices},
        "prediction": page.prediction, "confirm": page.confirm,
    }  # fmt: skip


def measured(here: Opened, page: EvidencePage) -> str:
    """The evidence, section by section; the proposer's words last."""
    from festina.cli.assurance import plant_lines, sameness_lines, verifier_lines

    lines = [page.row.headline, *([page.answered] if page.answered else [])]
    for section in page.sections:
        if section is page.sections[-1]:
            lines += ["--- what checks the checks ---"]
            lines += [*sameness_lines(here.state), *plant_lines(here.state), *verifier_lines(here.state)]
        lines += [f"--- {section.title.lower()} ---", *section.lines]
    return "\n".join(lines)


def _came_of(found: Outcome) -> str:
    words = {
        "approved": "approved", "denied": "denied",
        "catch": f"this was a catch trial, not a real change: {found.catch}",
        "set aside": "set aside: somebody's approval does not count for now; it will be asked for again",
    }  # fmt: skip
    lines = [f"review {found.review}: {words[found.result]}"]
    for vote in found.votes:
        asked = {True: ", question right", False: ", question wrong", None: ""}[vote.answered]
        verb = "approved" if vote.approve else "denied"
        seen = {True: " (missed)", False: " (seen through)"}[vote.approve] if found.result == "catch" else ""
        lines.append(f"  {vote.reviewer} {verb}{seen}; first judgement: {vote.first or 'none'}{asked}; {vote.reason}")
    return "\n".join(lines)
