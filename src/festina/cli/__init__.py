"""The command line: one file a command, loaded when it is asked for.

Data goes to standard output, messages to standard error; ``--json`` gives records and nothing else. Exit codes:
0 ok, 1 failed, 2 usage, 3 rejected by the gate, 4 waiting for review, 5 budget spent, 6 integrity,
7 halted, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from festina.cli.say import say
from festina.errors import FestinaError

# name -> (module:attribute, one line of help). Static, so that `festina --help` loads no room.
FIRST = {
    "calibrate": ("festina.cli.calibrate:command", "Before a run: what it could find here, and what that costs."),
    "run": ("festina.cli.run:command", "Improve a system, and go no faster than the evidence."),
    "status": ("festina.cli.status:command", "Where the run stands, and what to do next."),
    "drill": ("festina.cli.drill:command", "Attack an evaluator with known exploits; say which worked."),
    "report": ("festina.cli.report:command", "Write the run as one HTML page with plots."),
}
MORE = {
    "Set up": {
        "init": ("festina.cli.init:command", "Write a short festina.toml."),
        "demo": ("festina.cli.demo:command", "A real loop on this machine in about three minutes."),
        "doctor": ("festina.cli.doctor:command", "How well code can be confined on this machine."),
        "vault": ("festina.cli.vault:group", "Hidden items: add, show."),
    },
    "Decide": {
        "review": ("festina.cli.review:group", "What waits for a person; approve or deny it."),
        "reviewer": ("festina.cli.reviewer:group", "People who may decide, and how well each of them reviews."),
        "web": ("festina.cli.web:command", "Run, lineage, reviews and record as pages on this machine."),
        "notify": ("festina.cli.notify:command", "Who is told by webhook and mail when something waits."),
    },
    "Use": {
        "release": ("festina.cli.release:command", "Release an approved generation."),
        "artifact": ("festina.cli.artifact:command", "The trained model of a generation, as it was tested."),
        "rollback": ("festina.cli.release:rollback", "Go back to an earlier generation, now."),
        "watch": ("festina.cli.watch:command", "A new version on real requests, taken back by itself if worse."),
        "soak": ("festina.cli.soak:command", "Suites that a version stands before it is released in full."),
        "outcome": ("festina.cli.soak:outcome", "What became of a release's work, days later."),
    },
    "Stop": {
        "halt": ("festina.cli.halt:command", "Stop everything of this system, now."),
        "unhalt": ("festina.cli.halt:unhalt", "End a halt, signed by a person."),
        "renew": ("festina.cli.halt:renew", "A person's sign of life, where the policy asks for one."),
    },
    "Pace": {
        "trust": ("festina.cli.trust:command", "Trusted yet? Yes, no, or cannot tell yet, with what is missing."),
        "autonomy": ("festina.cli.autonomy:group", "How far the loop goes by itself: signed steps up and down."),
        "characterise": ("festina.cli.characterise:command", "Measure what the system can do, as a whole."),
        "attest": ("festina.cli.characterise:attest", "State, signed, that a safeguard is in place."),
        "growth": ("festina.cli.growth:command", "Whether recursion pays here: cross-play, control arm, authors."),
        "simulate": ("festina.cli.simulate:command", "Rules of pace in simulated worlds; published takeoff models."),
    },
    "Look inside": {
        "attribute": ("festina.cli.attribute:command", "Which hunk of an accepted change caused what."),
        "internals": ("festina.cli.internals:command", "Whether a change moved a model's inside more than retraining."),
        "probes": ("festina.cli.probes:group", "Suites for persuasion, deception, tool use, long talks."),
    },
    "Others": {
        "attach": ("festina.cli.attach:command", "Govern a loop that somebody else runs: record and gate it."),
        "ledger": ("festina.cli.ledger:group", "The record: verify, show, prove, export."),
        "incident": ("festina.cli.incident:group", "Incidents, and by when each regulator wants to be told."),
        "witness": ("festina.cli.witness:group", "Have others keep the newest checkpoint; be such a witness."),
        "auditor": ("festina.cli.auditor:group", "Others who read, annotate and sign opinions, nothing else."),
    },
}
COMMANDS = FIRST | {name: entry for table in MORE.values() for name, entry in table.items()}


class Lazy(click.Group):
    """Loads a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute = entry[0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{meant}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Five commands are enough to begin"):
            formatter.write_dl([(name, text) for name, (_, text) in FIRST.items()])
        with formatter.section("In a repository with a script that prints a metric"):
            formatter.write_text("festina run -- python train.py")
        with formatter.section("More (festina COMMAND --help; festina --all: a line for each)"):
            formatter.write_dl([(title, ", ".join(table)) for title, table in MORE.items()])


def _all(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Every command with its line of help."""
    if not wanted:
        return
    formatter = ctx.make_formatter()
    for title, table in {"Begin": FIRST, **MORE}.items():
        with formatter.section(title):
            formatter.write_dl([(f"{name:<12}", text) for name, (_, text) in table.items()])
    click.echo(formatter.getvalue().strip("\n"))
    ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FESTINA"})
@click.version_option(package_name="festina", prog_name="festina")
@click.option("--all", is_flag=True, is_eager=True, expose_value=False, callback=_all, help="Name every command.")
def cli() -> None:
    """Run a self-improvement loop on an AI system, no faster than the evidence for its improvements."""


def main() -> None:
    """Entry point: the one place where an error becomes a message and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FestinaError as error:
        say(f"festina: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read our output has gone: nothing is wrong with us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - kept open, so that the interpreter's last flush is quiet
        sys.exit(0)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        say(f"festina: the system refused: {error.strerror or error}{place} [system-error]")
        sys.exit(1)
