"""``festina doctor``: how strongly this host can confine a candidate, what is missing and what to do about it."""

from __future__ import annotations

import json

import click

__all__ = ["command"]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(as_json: bool) -> None:
    """Try every confinement mechanism of this host and say which level of sandbox it gives."""
    from festina.sandbox.host import probe, try_warm  # loaded only here: they start processes

    found = probe()
    findings = (*found.findings, try_warm(found))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "level": found.level.name,
                    "sentence": found.sentence(),
                    "facts": found.facts,
                    "missing": found.missing,
                    "mechanisms": [
                        {
                            "name": item.name,
                            "works": item.works,
                            "without_it": item.cost,
                            "remedy": item.remedy,
                            "note": item.note,
                        }
                        for item in findings
                    ],
                },
                indent=2,
            )
        )
        return
    click.echo(found.sentence())
    click.echo()
    width = max(len(item.name) for item in findings)
    for item in findings:
        click.echo(f"  {item.name:<{width}}  {'yes' if item.works else 'no '}  {item.note}".rstrip())
        if not item.works:
            click.echo(f"  {'':<{width}}       without it: {item.cost}")
            click.echo(f"  {'':<{width}}       what to do: {item.remedy}")
    click.echo()
    click.echo(
        "Not covered at any level: kernel bugs, timing side channels, locks and watches on shared read-only files."
    )
