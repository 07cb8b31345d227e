"""``festina simulate``: what rules of pace do, and published models of a takeoff."""

from __future__ import annotations

import json
import textwrap
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.common import drawable
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.watch.pacing import Outcome, World
    from festina.watch.published import Figure, Run

WIDTH = 80
MODELS = ("rules", "forethought", "ai-2027", "metr")


@click.command()
@click.option(
    "--model", type=click.Choice(MODELS), default="rules", show_default=True,
    help="Rules of pace compared, or one of three published models.",
)  # fmt: skip
@click.option(
    "--worlds", type=click.IntRange(100, 10_000_000),
    help="Worlds to draw. Default 10,000 for rules and metr, 200,000 for the others.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random draws.")
@click.option(
    "--limit", type=click.FloatRange(0.1, 50.0), multiple=True,
    help="Rules: doublings of capability that may be unexamined; may be given several times. Default 1 and 2.",
)  # fmt: skip
@click.option("--set", "assigned", multiple=True, metavar="NAME=LOW[:HIGH]", help="Another range for a parameter.")
@click.option("--retraining", type=click.Choice(("no", "paper", "app")), help="Forethought: count retraining, and how.")
@click.option("--stress", is_flag=True, help="Rules: again in worlds in which what is invented is otherwise.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw to this file (.png, .svg, .pdf).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def command(
    model: str, worlds: int | None, seed: int, assigned: tuple[str, ...], plot: Path | None, as_json: bool,
    limit: tuple[float, ...], retraining: str | None, stress: bool,
) -> int:  # fmt: skip
    """What rules of pace do to a loop that may compound, in many simulated worlds.

    Needs no system and changes nothing. With --model it runs a published model of an AI takeoff instead, and says
    whether its published figures come out.
    """
    _fits(model, limit, retraining, stress)
    drawable(plot)
    if model == "rules":
        _rules(worlds or 10_000, seed, limit or (1.0, 2.0), assigned, stress, plot, as_json)
    else:
        _published(model, worlds, seed, assigned, retraining, plot, as_json)
    return 0


def _fits(model: str, limit: tuple[float, ...], retraining: str | None, stress: bool) -> None:
    """No option is passed over in silence."""
    if model != "rules" and (limit or stress):
        raise click.UsageError(f"--{'limit' if limit else 'stress'} belongs to --model rules")
    if retraining is not None and model != "forethought":
        raise click.UsageError("--retraining belongs to --model forethought")


def _assign(priors: Any, assigned: tuple[str, ...], skip: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - dataclasses
    """``priors`` with other ranges. Raises ``UsageError`` with the names there are."""
    known = {f.name: getattr(priors, f.name) for f in fields(priors) if f.name not in skip}
    changed: dict[str, tuple[float, float]] = {}
    for text in assigned:
        name, _, value = text.partition("=")
        parts = value.split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if name not in known:
            raise UsageError("no-such-parameter", f"there is no parameter {name!r}", fix=f"one of: {', '.join(known)}")
        low, high = (numbers[0], numbers[-1]) if len(numbers) in (1, 2) else (1.0, 0.0)
        if not low <= high or abs(low) > 1e6 or abs(high) > 1e6:
            raise UsageError("bad-range", f"{text!r} is no range", fix=f"such as {name}={known[name][0]:g}:3")
        _sensible(name, low, high, known[name])
        changed[name] = (low, high)
    return replace(priors, **changed)


def _sensible(name: str, low: float, high: float, usual: tuple[float, float]) -> None:
    """Shares stay shares, what must be positive stays so, and what is one number does not become two."""
    shares = ("no_gap", "automated", "bottleneck", "jumps", "catch", "harm", "labour_share")
    if name in shares and not (low >= 0.0 and high <= 1.0 and (name != "automated" or 0.0 < low <= high < 1.0)):
        raise UsageError("bad-range", f"{name} is a share, and {low:g}:{high:g} is not", fix="between 0 and 1")
    if name == "ces" and high >= 0.0:
        raise UsageError("bad-range", "ces is below 0", fix="such as ces=-0.5:-0.1")
    if name not in (*shares, "ces") and low <= 0.0:
        raise UsageError("bad-range", f"{name} must be above 0", fix=f"such as {name}={usual[0]:g}:{usual[1]:g}")
    single = ("bottleneck", "generation_weeks", "years", "luck", "jumps", "misjudged", "catch", "staleness", "harm")
    if name in (*single, "no_gap", "start") and low != high:
        raise UsageError("bad-range", f"{name} is one number, not a range", fix=f"such as {name}={usual[0]:g}")
    most = {"years": 20.0, "ceiling": 1000.0, "ceiling_years": 100.0}.get(name)
    if most is not None and high > most:
        raise UsageError("bad-range", f"{name} is at most {most:g}", fix=f"such as {name}={usual[0]:g}")
    if name == "generation_weeks" and low < 0.25:
        raise UsageError("bad-range", "generation_weeks is at least 0.25", fix="such as generation_weeks=1")


# -- rules ----------------------------------------------------------------------------------------------------


def _rules(
    worlds: int, seed: int, limits: tuple[float, ...], assigned: tuple[str, ...], stress: bool, plot: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from festina.watch.pacing import STRESS, Rule, World, compared, summary

    rules = [Rule("none"), Rule("watch")]
    rules += [Rule(kind, limit) for limit in sorted(set(limits)) for kind in ("stop-after", "step", "pace")]
    cases: dict[str, World] = {"as given": _assign(World(), assigned)}
    if stress:
        cases |= {name: _assign(world, assigned) for name, world in STRESS.items() if name != "as given"}
    told = {}
    for name, priors in cases.items():
        outcomes = compared(rules, priors, worlds, seed, paths=plot is not None and name == "as given")
        told[name] = [summary(out) for out in outcomes]
        if not as_json:
            _tell_rules(name, outcomes, priors, worlds)
        if plot is not None and name == "as given":
            from festina.watch import figure

            figure.policies(outcomes, priors, plot)
    if as_json:
        click.echo(json.dumps({"model": "rules", "worlds": worlds, "seed": seed, "cases": told}, indent=2))
    else:
        note = "Flaws, harm, jumps and what the gate catches are invented: their numbers mean nothing alone. "
        note += "What holds in every table is the order of the rules." if stress else "--stress varies them."
        click.echo("\n" + textwrap.fill(note, WIDTH))


def _tell_rules(name: str, outcomes: list[Outcome], priors: World, worlds: int) -> None:
    from festina.watch.pacing import summary

    rows = {out.rule.name: summary(out) for out in outcomes}
    if name == "as given":
        for line in _in_short(rows, priors, worlds):
            click.echo(textwrap.fill(line, WIDTH))
        click.echo("")
    else:
        click.echo(f"\n{name[0].upper()}{name[1:]}:")
    click.echo("  rule          gained  worst gap: middle, 1 in 20 above   harm  held back")
    for row in rows.values():
        click.echo(
            f"  {row['rule']:12s} {row['doublings']:7.1f}  {row['worst_gap']:17.1f} {row['worst_gap_95']:15.1f}"
            f"  {row['harm']:7.0%} {row['held_back']:10.0%}"
        )


def _in_short(rows: dict[str, dict[str, Any]], priors: World, worlds: int) -> list[str]:
    """Plain sentences of what the table below them says."""
    weeks, years = priors.generation_weeks[0], priors.years[0]
    each = "a generation a week" if weeks == 1.0 else f"a generation every {weeks:g} weeks"
    lines = [
        f"{worlds:,} worlds in which a system improves itself for {years:g} years, {each}. Capability is counted in "
        f"doublings. The gap is what was gained since the version that was last examined in full, which takes "
        f"{priors.latency_weeks[0]:g} to {priors.latency_weeks[1]:g} weeks."
    ]
    free = rows["none"]
    lines.append(
        f"Without a rule, the middle world gains {free['doublings']:.1f} doublings that nobody has examined, and "
        f"{free['harm']:.0%} of worlds come to harm."
    )
    for name in (name for name in rows if name.startswith("pace")):
        pace, stop = rows[name], rows[name.replace("pace", "stop-after")]
        lines.append(
            f"{name}: effort is held back so that the gap stays within {name.split()[1]} until the examination under "
            f"way is done. It gains {pace['doublings']:.1f} doublings; 1 world in 20 has a gap above "
            f"{pace['worst_gap_95']:.1f} at some time. Stopping only after the gap is there gains "
            f"{stop['doublings']:.1f}, with 1 world in 20 above {stop['worst_gap_95']:.1f}; harm {pace['harm']:.0%} "
            f"against {stop['harm']:.0%}."
        )
    return lines


# -- published models -------------------------------------------------------------------------------------------


def _published(
    model: str, worlds: int | None, seed: int, assigned: tuple[str, ...], retraining: str | None, plot: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from festina.watch import published, takeoff

    usual: dict[str, Any] = {
        "forethought": takeoff.Forethought(), "ai-2027": takeoff.Takeoff2027(), "metr": takeoff.Automation(),
    }  # fmt: skip
    priors = _assign(usual[model], assigned, skip=("retraining", "speeds"))
    if retraining is not None:
        priors = replace(priors, retraining=retraining)
    count = worlds or (10_000 if model == "metr" else 200_000)
    found = published.run(model, count, seed, None if priors == usual[model] else priors)
    if as_json:
        click.echo(json.dumps(_published_json(found, seed), indent=2))
    else:
        click.echo(f"{found.worlds:,} worlds of the model {SOURCES[model]}:")
        for figure in found.figures:
            click.echo(f"  {_figure_line(figure)}")
        click.echo(
            "Its priors are its authors' guesses: that its figures come out shows that the model is theirs, no more."
        )
    if plot is not None:
        from festina.watch import figure as pictures

        pictures.published(found, plot)


SOURCES = {
    "forethought": "of a software intelligence explosion (Davidson and Houlden 2025)",
    "ai-2027": "of the AI 2027 takeoff forecast (Kokotajlo and Lifland 2025)",
    "metr": "of automated AI research (Kwa, METR 2026)",
}


def _figure_line(figure: Figure) -> str:
    digits = {"%": 1, "years": 3, "year": 2}[figure.unit]
    here = f"{figure.here:.{digits}f}" + {"%": " % of worlds", "years": " years", "year": ""}[figure.unit]
    said = ""
    if figure.published is not None:
        said = f"; published: {figure.published}{' %' if figure.unit == '%' else ''}"
        said += ", within Monte Carlo error" if figure.agrees else ", which is NOT within Monte Carlo error"
    return f"{figure.what}: {here} (± {2 * figure.error:.2g}){said}"


def _published_json(found: Run, seed: int) -> dict[str, Any]:
    figures = [
        {
            "what": f.what, "unit": f.unit, "here": f.here, "standard_error": f.error, "published": f.published,
            "published_standard_error": f.published_error if f.published is not None else None, "agrees": f.agrees,
        }
        for f in found.figures
    ]  # fmt: skip
    return {"model": found.model, "worlds": found.worlds, "seed": seed, "figures": figures}
