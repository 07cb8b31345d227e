"""``festina growth``: whether recursion pays here, measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.common import INTERRUPTED, Opened, drawable, duration, opened, parse_duration, system_option
from festina.cli.outside import outside_growth
from festina.cli.say import say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.ledger import entries as e
    from festina.loop.corners import Square
    from festina.loop.engine import Options
    from festina.loop.state import State
    from festina.watch.readings import Reading

GUESS_S = 1.0  # of a run that nobody has timed yet


@click.command()
@system_option
@click.option("--crossplay", is_flag=True, help="Let two generations' improvers solve the same improvement problems.")
@click.option("--corners", is_flag=True, help="Two cross-plays, from both versions: returns to improvement (r).")
@click.option("--control", is_flag=True, help="Run the control arm: the start's improver, with the same budget.")
@click.option("--left", type=click.IntRange(0), help="Cross-play: whose improver; default the one in force.")
@click.option("--right", type=click.IntRange(0), help="Cross-play: against whose; default the start's.")
@click.option("--start", type=click.IntRange(0), help="Cross-play: what both improve; default the start.")
@click.option("--problems", type=click.IntRange(3, 1000), help="Cross-play: fresh problems; default 24.")
@click.option(
    "--units",
    type=click.IntRange(1, 1000),
    help="Paired runs by which results are scored; default 8 a problem, or 80 for --control.",
)
@click.option("--budget", help="Time at most: 90s, 5m, 8h. Default 1h; for --control three times what the line took.")
@click.option("--weak-sandbox", default="", help="Go on below the demanded confinement, and why.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw growth and its forecast to this file."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def command(
    root: Path,
    crossplay: bool,
    corners: bool,
    control: bool,
    as_json: bool,
    plot: Path | None,
    **asked: Any,  # noqa: ANN401 - click's
) -> int:
    """Whether recursion pays: who made the gain, and whether changed improvers improve more than the first.

    Without an option it tells what the record holds, how the run grows, and what is to be expected.
    --crossplay sets two generations' improvers the same fresh problems, with the same start, seed and budget.
    --control runs the whole loop again beside the line, with the improver that it started with. Both are charged,
    recorded, and go on where they were cut off.
    """
    from festina.loop.bench import Replan

    if crossplay + control + corners > 1:
        raise click.UsageError("--crossplay, --corners and --control are three things: ask for one")
    _fits(crossplay or corners, control, asked)
    if corners and asked["start"] is not None:
        raise click.UsageError("--corners starts from both versions: --start belongs to --crossplay")
    if plot is not None and (crossplay or control or corners):
        raise click.UsageError("--plot draws what the record holds: give it alone")
    drawable(plot)
    with opened(root) as here:
        options = _options(here, asked)
        if not (crossplay or control or corners):
            _tell(here, as_json, plot)
            return 0
    try:
        if corners:
            _corners(root, options, asked, as_json)
            return 0
        body = _play(root, options, asked) if crossplay else _control(root, options, asked)
    except Replan:
        click.echo("Stopped before the end; what was done is kept, and the same command goes on from there.", err=True)
        return INTERRUPTED
    click.echo(json.dumps(body.model_dump(mode="json"), indent=2) if as_json else body.sentence)
    return 0


def _fits(crossplay: bool, control: bool, asked: dict[str, Any]) -> None:
    """No option is passed over in silence."""
    for name in ("left", "right", "start", "problems", "units", "budget"):
        both = name in ("units", "budget")
        if asked[name] is not None and not (crossplay or (control and both)):
            raise click.UsageError(f"--{name} belongs to --crossplay{' or --control' if both else ''}")


def _options(here: Opened, asked: dict[str, Any]) -> Options:
    from festina.loop.engine import Options

    genesis, epoch = here.state.genesis, here.state.epoch
    weak = asked["weak_sandbox"] or ("growth" if epoch is not None and epoch.min_level < 2 else "")
    wall_s = parse_duration(asked["budget"]) if asked["budget"] else 3600.0
    return Options(demo=bool(genesis and genesis.demo), weak_sandbox=weak, wall_s=wall_s)


def _play(root: Path, options: Options, asked: dict[str, Any]) -> e.CrossplayEnded:
    from festina.loop import crossplay
    from festina.loop.engine import measuring

    with measuring(root, options) as b:
        first = b.state.line[0]
        wanted = crossplay.Wanted(
            left=b.state.in_force if asked["left"] is None else asked["left"],
            right=first if asked["right"] is None else asked["right"],
            start=first if asked["start"] is None else asked["start"],
            problems=asked["problems"] or 24, units=asked["units"] or 8,
        )  # fmt: skip
        crossplay.check(b, wanted)
        click.echo(_estimate(b.state, wanted), err=True)
        return crossplay.crossplay(b, wanted, lambda p: click.echo(_problem(p, wanted.problems), err=True))


def _corners(root: Path, options: Options, asked: dict[str, Any], as_json: bool) -> None:
    """Both starts, one after the other; what is cut off goes on with the same command."""
    from festina.loop.corners import square
    from festina.select.corners import sentence

    with opened(root) as here:
        left = here.state.in_force if asked["left"] is None else asked["left"]
        right = here.state.line[0] if asked["right"] is None else asked["right"]
        known = {
            (play.plan.left, play.plan.right, play.plan.start)
            for play in here.state.growth.crossplays[here.state.growth.old[0] :]
            if play.ended is not None
        }
    for start in (right, left):
        if (left, right, start) not in known or ((left, right, right) in known and (left, right, left) in known):
            _play(root, options, asked | {"left": left, "right": right, "start": start})
    with opened(root) as here:
        found = square(here.state)
    if found is None:
        raise UsageError(
            "no-scale", "gains of this system are on no scale on which starts compare", fix="declare a range"
        )
    if as_json:
        click.echo(json.dumps(_square(found), indent=2))
    else:
        say(sentence(found.found, found.left, found.right), err=False)


def _square(found: Square) -> dict[str, Any]:
    """As plain data; an unbounded end is null."""
    rows = asdict(found.found)
    plain = {
        name: [end if isfinite(end) else None for end in band] if isinstance(band, (tuple, list)) else band
        for name, band in rows.items()
    }
    return {"left": found.left, "right": found.right, **plain}


def _estimate(s: State, wanted: Any) -> str:  # noqa: ANN401 - a plan
    """What it will take, from what the line's own proposals and tests took.  # E-5"""
    runs = [p.wall_s for p in s.proposals.values() if p.wall_s > 0]
    one = sum(runs) / len(runs) if runs else GUESS_S
    answers = 3 * wanted.units * wanted.problems
    about = f", each about {one:.1f} s" if runs else ""
    return (
        f"Generation {wanted.left}'s improver against generation {wanted.right}'s, from generation {wanted.start}: "
        f"{2 * wanted.problems} runs of improvers{about}, two side by side, and {answers:,} runs of what they make. "
        f"The improvers take about {duration(one * wanted.problems)}."
    )


def _problem(p: e.CrossplayProblem, count: int) -> str:
    return (
        f"Problem {p.problem + 1} of {count}: start {p.start:.3f}; {p.left.score:.3f} ({p.left.word}) against "
        f"{p.right.score:.3f} ({p.right.word})"
    )


def _control(root: Path, options: Options, asked: dict[str, Any]) -> e.ArmEnded:
    from festina.cli.run import Teller
    from festina.loop.arm import control_arm

    wall_s = options.wall_s if asked["budget"] else None
    return control_arm(root, options, asked["units"] or 80, wall_s, Teller("control arm | "), _planned)


def _planned(terms: e.ArmStarted, changed: int) -> None:
    """What the arm may cost, before it runs.  # E-5"""
    click.echo(
        f"The control arm may ask generation 0's improver {terms.proposals} times and make {terms.trials:,} runs, as "
        f"the line did, within {duration(terms.wall_s)} (the line took {duration(terms.spent_wall_s)}). "
        + (
            f"Of models it may use what the line used ({terms.calls:,} calls, {terms.tokens:,} tokens"
            f"{f', {terms.money:.4g} in money' if terms.money else ''}) and at most one run's caps more."
            if terms.calls
            else ""
        ),
        err=True,
    )
    if not changed:
        click.echo(
            "No changed improver has made an accepted proposal yet, so it cannot show that recursion paid.", err=True
        )


def _tell(here: Opened, as_json: bool, plot: Path | None) -> None:
    from festina.loop import growth, outlook, outlook_words
    from festina.loop.corners import square
    from festina.select.corners import sentence

    s = here.state
    if s.epoch is None:  # only others' loops are recorded
        _outside_alone(here, as_json)
        return
    reading = outlook.read(s)
    if plot is not None:
        _draw(s, plot)
    if as_json:
        click.echo(json.dumps(summary(s, reading) | {"outside": outside_growth(here)}, indent=2))
        return
    returns = square(s)
    cornered = [sentence(returns.found, returns.left, returns.right)] if returns is not None else []
    told = outlook_words.told(s, reading)
    for line in (outlook_words.headline(s), *told, *growth.sentences(s), *cornered, *_missing(s)):
        say(line, err=False)
    for row in outside_growth(here):
        say(row["sentence"], err=False)


def _outside_alone(here: Opened, as_json: bool) -> None:
    rows = outside_growth(here)
    if as_json:
        click.echo(json.dumps({"outside": rows}, indent=2))
        return
    for line in [row["sentence"] for row in rows] or ["Nothing was run here yet. Next: festina run"]:
        say(line, err=False)


def _draw(s: State, plot: Path) -> None:
    from festina.loop import outlook
    from festina.watch.readings import LEAST

    made = outlook.gains(s)
    if len(made) < LEAST:
        raise UsageError(
            "too-few-generations", f"{len(made)} measured generations, and a plot of growth needs {LEAST}",
            fix="festina run, then again",
        )  # fmt: skip
    from festina.watch import figure
    from festina.watch.outlook import series

    figure.growth(series(made), [g.generation for g in made], plot)


def _missing(s: State) -> list[str]:
    """What would have to be run to know more."""
    from festina.loop.corners import due, share_of
    from festina.loop.growth import tried_by_changed

    lines = []
    if len(s.line) < 2:
        return ["Next: festina run"]
    if (wanted := due(s)) is not None:
        what = "festina growth --corners" if wanted.kind == "corners" else "festina growth --crossplay"
        room = "within" if wanted.fits else "above"
        lines.append(
            f"Due: {what} (the line gained {wanted.doublings:.1f} doublings since the last one; with it, comparisons "
            f"take {wanted.share:.0%} of all runs, {room} their share of {share_of(s):.0%})."
        )
        if s.called.count:
            lines.append(
                "No run makes it by itself, because the improver asks models: what these calls cost is spent only "
                "where somebody asks for it. Started by hand, they are held in the models' budget like any others."
            )
    if s.growth.last_arm is None and tried_by_changed(s):
        lines.append("Whether recursion paid is not measured: festina growth --control")
    if s.growth.last_crossplay is None and any(p.improver == "own" for p in s.proposals.values()):
        lines.append("Whether the improver got better at improving is not measured: festina growth --crossplay")
    return lines


def summary(s: State, reading: Reading | None) -> dict[str, Any]:
    """As plain data; ``reading``: what was read of the line's growth."""
    from festina.loop import growth, outlook_words
    from festina.loop.corners import square

    returns = square(s)
    arm, played = s.growth.last_arm, s.growth.last_crossplay
    return {
        "answer": outlook_words.headline(s),
        "returns": _square(returns) if returns is not None else None,
        "growth": _growth(reading),
        "alarms": [alarm.model_dump(mode="json") for alarm in s.growth.alarms],
        "authors": [
            {"author": a.author, "generations": a.generations, "estimate": a.estimate, "part": a.part}
            for a in growth.authors(s)
        ],
        "predictions": [
            asdict(each) | {"answer": each.answer, "sentence": each.sentence} for each in growth.predictions(s)
        ],
        "control_arm": arm.model_dump(mode="json") if arm is not None else None,
        "crossplay": played.model_dump(mode="json") if played is not None else None,
    }


def _growth(r: Reading | None) -> dict[str, Any] | None:
    if r is None:
        return None
    return {
        "generations": [asdict(g) for g in r.gains],
        "tendency": r.tendency, "speeding_up": r.speeding_up, "steady": r.steady,
        "compounding": r.compounding, "drifting": r.drifting,
        "phi": r.phi, "pace": r.pace, "next_gain": r.next_gain, "ahead": r.ahead, "escape": r.escape,
        "divergence": r.divergence, "evidence": r.evidence, "more": r.more, "within": r.within,
        "trust": r.trust,
        "scores": [
            {
                "ahead": record.ahead, "forecasts": len(record.scores), "crps": record.crps, "line": record.line,
                "covered_90": record.covered(0.9), "covered_50": record.covered(0.5),
                "places": [score.place for score in record.scores],
            }
            for record in r.scores
        ],
    }  # fmt: skip
