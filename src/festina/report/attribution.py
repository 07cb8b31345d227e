"""Two sections about accepted changes: whether the gain is public only (V-6), and which hunk caused it (V-8).

Both stand beside the verdicts and never in them: they inform a reader, and no acceptance hangs on them.
"""

from __future__ import annotations

from festina.report.data import AttributionRow, HunkRow, ReportData, Spread, TestRow
from festina.report.markup import Html, el, join
from festina.report.numerals import between, count, signed
from festina.report.sections import Figure, Refs, plot, row, table


def overfitting(data: ReportData, ref: Refs) -> Html:
    """Public against hidden gain, for each acceptance and over the run.  # V-6"""
    accepted = [t for t in data.tests if t.verdict == "accept" and t.public_seq is not None]
    if not accepted:
        return Html("")
    heading = el("h2", "Public against hidden gain", id="overfitting")
    if all(t.public is None for t in accepted):
        reasons = sorted({t.public_note for t in accepted})
        cited = [t.public_seq for t in accepted]
        return join(heading, el("p", f"Not compared: {'; '.join(reasons)}.", ref(*cited), cls="note"))
    heads = ("proposal", "public gain", "hidden gain", "gap", "in words")
    return join(
        heading,
        el(
            "p",
            "What is better only on items that the improver sees was fitted to them. The gap is public minus hidden "
            "gain. The hidden gain's interval is its verdict's; the public one is approximate and takes the public "
            "items as if they had been drawn like the hidden ones; that of the gap adds both in squares.",
            cls="note",
        ),
        _over_the_run(data, ref),
        table(heads, [_compared(t, ref) for t in accepted], numeric=(0, 1, 2, 3)),
    )


def _over_the_run(data: ReportData, ref: Refs) -> Html:
    o = data.overfit
    if o is None:
        return Html("")
    beyond = o.gap[1] > 0.0
    word = "more than chance explains: evaluation overfitting" if beyond else "within what chance explains"
    return el(
        "p", f"Over {count(o.generations, 'accepted generation')} public scores improved by {signed(o.public[0])} "
        f"({between(o.public[1:])}), hidden ones by {signed(o.hidden[0])} ({between(o.hidden[1:])}); the gap of "
        f"{signed(o.gap[0])} ({between(o.gap[1:])}) is {word}.", ref(o.seq), cls="banner" if beyond else None,
    )  # fmt: skip


def _compared(t: TestRow, ref: Refs) -> Html:
    beyond = t.gap is not None and t.gap[1] > 0.0
    hidden = (t.estimate, *t.interval) if t.estimate is not None and t.interval is not None else None
    return row(
        str(t.proposal), effect(t.public), effect(hidden), effect(t.gap),
        join(el("span", t.public_note, cls="poor" if beyond else None), ref(t.public_seq)),
        numeric=(0, 1, 2, 3), wide=(4,),
    )  # fmt: skip


def attribution(data: ReportData, ref: Refs, figure: Figure) -> Html:
    """Which hunk of each accepted change caused what.  # V-8"""
    if not data.attributions and not data.unattributed:
        return Html("")
    parts = [
        el("h2", "Which hunk caused what", id="attribution"),
        el(
            "p",
            "Measured after the acceptance by leaving each hunk out and by putting each in alone, on items that no "
            "improver sees; nobody who proposes is shown any of it. Intervals are 95 % each by itself and approximate: "
            "of twenty hunks that do nothing, one will seem to do something.",
            cls="note",
        ),
    ]
    parts += [_change(row_, ref) for row_ in data.attributions]
    parts.append(plot(figure("attribution"), "Effect of each hunk, with its interval; right of the line is better."))
    if data.unattributed:
        rows = [el("li", f"{r.what}: not taken apart, {r.text}", ref(r.seq)) for r in data.unattributed]
        parts.append(el("ul", *rows))
    return join(*parts)


def _change(a: AttributionRow, ref: Refs) -> Html:
    shared = a.method != "ablation"
    heads = ("hunk", "place", "lines", "share" if shared else "effect", "alone", *a.guards, "in words")
    numeric = tuple(i for i in range(len(heads) - 1) if i != 1)
    return join(
        el("h3", f"Generation {a.generation}, proposal {a.proposal}"),
        el("p", a.words, ref(a.seq)),
        table(heads, [_hunk(i, h, a, ref, numeric) for i, h in enumerate(a.hunks, 1)], numeric=numeric),
    )


def _hunk(number: int, h: HunkRow, a: AttributionRow, ref: Refs, numeric: tuple[int, ...]) -> Html:
    colour = {"helps": "good", "harms": "poor", "nothing": "muted"}.get(h.verdict)
    guards = [effect(h.guards[k] if k < len(h.guards) else None) for k in range(len(a.guards))]
    return row(
        join(str(number), ref(a.seq)), el("code", h.place), f"+{h.added} -{h.removed}", effect(h.effect),
        effect(h.alone), *guards, el("span", h.words, cls=colour), numeric=numeric, wide=(len(a.guards) + 5,),
    )  # fmt: skip


def effect(found: Spread | None) -> Html:
    """An effect with its interval below it."""
    if found is None:
        return Html("–")
    return join(signed(found[0]), el("br"), el("span", between(found[1:]), cls="muted"))
