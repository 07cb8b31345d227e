"""``festina watch``: a new version beside the one in use, on real requests, taken back by itself when it is worse."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from festina.cli.common import opened, parse_duration, system_option
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.loop.watches import Watch
    from festina.watch.verdicts import Judge

ROLLED_BACK = 3
STARVED = 5
EXIT_OF = {"passed": 0, "rolled-back": ROLLED_BACK, "starved": STARVED, "stopped": 130}


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
@click.option("--step", type=click.Choice(["shadow", "canary", "full"]), default="shadow", show_default=True,
              help="Unseen beside the version in use, a share of the requests, or all of them.")  # fmt: skip
@click.option("--new", "new_url", help="Address of the new version's service: http://HOST:PORT.")
@click.option("--old", "old_url", help="Address of the service of the version in use.")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Where clients ask: HOST:PORT.")
@click.option("--share", type=click.FloatRange(0.001, 0.999), default=0.05, show_default=True,
              help="Of the requests, at the canary step.")  # fmt: skip
@click.option("--requests", "least", type=click.IntRange(1, 10**8), default=1000, show_default=True,
              help="How many the new version has to see.")  # fmt: skip
@click.option("--tolerate", type=click.FloatRange(0.0001, 100.0), help="How many times as often it may fail (1 where "
              "nothing is said); at the full step the share of requests that may fail (0.01).")  # fmt: skip
@click.option("--for", "duration", default="24h", show_default=True, help="Longest time: 90s, 5m, 8h.")
@click.option("--slow", default="10s", show_default=True, help="A slower answer is a failure.")
@click.option("--slower", type=click.FloatRange(0.0, 1000.0), default=3.0, show_default=True,
              help="So is one that takes so many times as long as 19 in 20 of the version in use's, and over "
              "0.1 s; not at the full step. 0: never.")  # fmt: skip
@click.option("--score", type=click.FloatRange(0.0, 1.0), help="An answer whose Festina-Score is lower is a failure.")
@click.option("--judge", "judge_url", help="Who says how good an answer is, in place of the services: http://HOST:PORT.")
@click.option("--all-methods", is_flag=True, help="Shadow POST and the like, too: the new version does what they ask.")
@click.option("--once", is_flag=True, help="End with the watch; by default requests go on being answered.")
@click.option("--close", "closing", is_flag=True, help="End a watch whose process died.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a watch on standard output, and nothing else.")
@click.pass_context
def command(
    ctx: click.Context, root: Path, generation: int | None, step: Literal["shadow", "canary", "full"],
    new_url: str | None, old_url: str | None, listen: str, share: float, least: int, tolerate: float | None,
    duration: str, slow: str, slower: float, score: float | None, judge_url: str | None, all_methods: bool, once: bool,
    closing: bool, as_json: bool,
) -> None:  # fmt: skip
    """Watch a GENERATION serve, and take it back by itself when it is worse.

    Without a generation it lists what was watched. A split listens for clients and passes their requests on. Every
    request that fails (no answer, too slow, status 500 or more, or what --score says) is counted; the chance of ever
    taking back a version that is good enough stays below 1 %. When it is worse, it gets no further request, the release
    goes back, the loop halts, and a person has to look. Exits with 3 then, with 5 when too few requests came.
    """
    if closing:
        _close(root, as_json)
        return
    if generation is None:
        _list(root, as_json)
        return
    if new_url is None or (old_url is None and step != "full"):
        raise UsageError("which-services", "two services are watched: the new version's and that of the one in use",
                         fix="--new http://HOST:PORT --old http://HOST:PORT")  # fmt: skip
    allowed = tolerate if tolerate is not None else 0.01 if step == "full" else 1.0
    if step == "full" and allowed >= 1.0:
        raise UsageError(
            "bad-tolerance", "at the full step --tolerate is a share of the requests", fix="--tolerate 0.01"
        )
    if 0.0 < slower < 1.0:
        raise UsageError("bad-slower", "--slower is how many times as long an answer may take", fix="--slower 3, or 0")
    watch = _run(
        root, generation, step, new_url, old_url, listen, share if step == "canary" else float(step == "full"), allowed,
        least, parse_duration(duration), parse_duration(slow),
        slower if slower and step != "full" else None, score, judge_url, all_methods, once, as_json,
    )  # fmt: skip
    assert watch.ended is not None
    ctx.exit(EXIT_OF[watch.ended.reason])


def _run(
    root: Path, generation: int, step: Literal["shadow", "canary", "full"], new_url: str, old_url: str | None,
    listen: str, share: float, tolerate: float, least: int, seconds: float, slow: float, slower: float | None,
    score: float | None, judge_url: str | None, all_methods: bool, once: bool, as_json: bool,
) -> Watch:  # fmt: skip
    from festina.loop import holds, watching
    from festina.watch.split import METHODS, SAFE, Split, target

    found = re.fullmatch(r"(.+):(\d{1,5})", listen)
    if found is None or int(found[2]) > 65535:
        raise UsageError("bad-address", f"'{listen}' is no HOST:PORT", fix="--listen 127.0.0.1:8080")
    new, old = target(new_url), target(old_url) if old_url is not None else None
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: stopped.append(got))
    with opened(root, write=True) as here:
        holds.require_free(here.ledger, here.state, here.home)  # G-5
        counter = watching.Counter(step)
        judged: Literal["status", "service", "judge"] = "judge" if judge_url else "service" if score else "status"
        plan = watching.Plan(generation, step, share, tolerate, least, score=score, slower=slower, judged=judged)
        methods = METHODS if all_methods else SAFE
        split = Split(
            step, new, old, share, counter.take, slow, methods, least=score, slower=slower,
            judge=_judge(judge_url, score),
        )  # fmt: skip
        counter.stop = split.retire
        watch = watching.begin(here.ledger, here.state, plan)
        counter.monitor = watch.monitor
        try:
            port = split.serve(found[1], int(found[2]))
        except UsageError:
            watching.close(here.ledger, here.state, watch.started.watch, "stopped", "the split could not listen")
            raise
        click.echo(f"listening on http://{found[1]}:{port}, {step} step of generation {generation}", err=True)
        try:
            done = watching.go(here.ledger, here.state, here.repo, here.home, watch, split, counter, seconds=seconds,
                               until=lambda: bool(stopped), say=lambda text: click.echo(text, err=True))  # fmt: skip
            _tell(done, as_json)
            if done.ended is not None and done.ended.reason == "rolled-back":
                click.echo("The loop is halted. Look, then: festina unhalt --as NAME --reason TEXT", err=True)
            if not once and not stopped:
                if step != "full":
                    split.retire()
                click.echo("the watch has ended; requests go on being answered until you stop this (Ctrl-C)", err=True)
                while not stopped:
                    time.sleep(0.1)
            return done
        finally:
            split.close()


def _judge(url: str | None, score: float | None) -> Judge | None:
    from festina.watch.split import target
    from festina.watch.verdicts import HttpJudge

    if url is None:
        return None
    at = target(url)
    return HttpJudge(at.host, at.port, at.path, score)


def _list(root: Path, as_json: bool) -> None:
    with opened(root) as here:
        rows = list(here.state.watches.rows.values())
        if not rows:
            click.echo("Nothing was watched yet. How to: docs/watch.md", err=as_json)
        for watch in rows:
            _tell(watch, as_json, f"watch {watch.started.watch}: ")


def _tell(watch: Watch, as_json: bool, before: str = "") -> None:
    """What a watch saw, in words or as one JSON object."""
    if not as_json:
        click.echo(before + watch.sentence())
        return
    row = watch.started.model_dump(mode="json") | {
        "at": watch.at, "requests": watch.requests, "failures": watch.failures, "beside": watch.beside,
        "beside_failures": watch.beside_failures, "answer": watch.monitor.answer, "ended_at": watch.ended_at or None,
        "ended": watch.ended.reason if watch.ended is not None else None, "sentence": watch.sentence(),
    }  # fmt: skip
    click.echo(json.dumps(row))


def _close(root: Path, as_json: bool) -> None:
    from festina.loop import takeback, watching

    with opened(root, write=True) as here:
        watch = here.state.watches.open
        if watch is None:
            click.echo("No watch is open.", err=as_json)
            return
        if watch.alarm is not None:
            takeback.finish(here.ledger, here.state, here.repo, here.home)
        else:
            watching.close(here.ledger, here.state, watch.started.watch, "stopped", watching.DIED)
        _tell(here.state.watches.rows[watch.started.watch], as_json)
