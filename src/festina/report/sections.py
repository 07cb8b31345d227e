"""The sections of the report page, each a function from data to markup.

Every number stands beside the number of the entry it came from (``ref``). Order follows what a reader asks:
what came of it, may it be believed, what did it cost, what went wrong, what can this not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from festina.report import assurance, words
from festina.report.data import (
    OUTCOMES,
    EpochRow,
    FinalRow,
    GenerationRow,
    ProposalRow,
    ReportData,
    TestRow,
)
from festina.report.markup import Html, el, join
from festina.report.numerals import between, count, num, percent, plain, seconds, sentence, short, signed, times

Figure = Callable[[str], Html | None]
TESTS_LISTED = 200


class Refs:
    """Collects which entries a page cites, so that its last section can list them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.cited: set[int] = set()

    def __call__(self, *seqs: int | None) -> Html:
        """Anchors to entries; several stand as first and last."""
        known = sorted({seq for seq in seqs if seq is not None and 0 <= seq < self.size})
        ends = known if len(known) < 3 else [known[0], known[-1]]
        self.cited.update(ends)
        if not ends:
            return Html("")
        first, *rest = (el("a", str(seq), href=f"#e{seq}", title=f"ledger entry {seq}") for seq in ends)
        between_them = "–" if len(known) > 2 else ", "
        return el("sup", "[", first, *(join(between_them, link) for link in rest), "]", cls="ref")


def table(heads: Sequence[str], rows: Iterable[Html], numeric: Sequence[int] = ()) -> Html:
    cells = [el("th", head, scope="col", cls="n" if i in numeric else None) for i, head in enumerate(heads)]
    return el("div", el("table", el("thead", el("tr", *cells)), el("tbody", *rows)), cls="wide")


def row(
    *cells: Html | str | int | None, numeric: Sequence[int] = (), wide: Sequence[int] = (), cls: str | None = None
) -> Html:
    kinds = {**dict.fromkeys(numeric, "n"), **dict.fromkeys(wide, "w")}
    return el("tr", *(el("td", cell, cls=kinds.get(i)) for i, cell in enumerate(cells)), cls=cls)


def plot(markup: Html | None, caption: Html | str) -> Html:
    return el("figure", markup, el("figcaption", caption)) if markup else Html("")


def head(data: ReportData, ref: Refs) -> Html:
    sentence, seq = words.headline(data)
    ended = data.run.ended if data.run else None
    state = f"ended: {ended}" if ended else "still running, or ended without a word" if data.run else "no run yet"
    return join(
        el("p", f"Festina report · {data.system} · {data.last_at[:10]}", cls="kicker"),
        el("h1", sentence, ref(seq)),
        *banners(data, ref),
        facts(data, ref),
        el("p", f"{data.origin}, {count(data.size, 'entry', 'entries')}, {state}.", cls="note"),
    )


def banners(data: ReportData, ref: Refs) -> list[Html]:
    said: list[Html] = []
    if data.demo:
        said.append(
            join(
                "A demonstration: what is approved in this ledger was approved without a person, and cannot be "
                "released "
                "outside it.",
                ref(0),
            )
        )
    if any(t.provisional for t in data.judged):
        cited = [t.verdict_seq for t in data.judged if t.provisional]
        said.append(
            join("Verdicts are provisional: the sandbox was below level L2 here. They are never released.", ref(*cited))
        )
    if data.epoch and data.epoch.suite.assurance == "self-reported":
        said.append(join("Scores are self-reported: ", words.ASSURANCE["self-reported"], ".", ref(data.epoch.seq)))
    broken = [c.seq for c in data.controls if not c.ok]
    if broken:
        said.append(join("A control failed: what it covers is void.", ref(*broken)))
    if data.twins is not None and data.twins.open_alarm is not None:
        said.append(
            join(
                "The comparison is broken: the incumbent, compared with itself, came out different. What was accepted "
                "since the last sound control is in doubt, and no difference measured since then can be trusted.",
                ref(data.twins.open_alarm),
            )
        )
    odd = [f for f in data.findings if f.what != "begun and not ended"]  # a run that was cut off explains those
    if odd:
        number = count(len(odd), "finding")
        said.append(join(f"{number} about the record itself, listed ", el("a", "below", href="#findings"), "."))
    return [el("p", line, cls="banner") for line in said]


def facts(data: ReportData, ref: Refs) -> Html:
    epoch, run = data.epoch, data.run
    released = f"generation {data.released}" if data.released is not None else "nothing"
    now = next((g for g in data.generations if g.released_now), None)
    verdicts = [t.verdict_seq for t in data.judged]
    head_row = data.line[-1] if data.line else None
    pairs: list[tuple[str, Html]] = [
        (
            "working line",
            join(
                f"generation {head_row.generation}" if head_row else "–", ref(head_row.moved_seq if head_row else None)
            ),
        ),
        ("released", join(released, ref(now.released_seq if now else None))),
        ("proposals judged", join(f"{len(data.judged):,} of {len(data.proposals):,}", ref(*verdicts))),
        ("error level, whole run", join(percent(epoch.alpha) if epoch else "–", ref(epoch.seq if epoch else None))),
        ("looks at hidden items", join(f"{data.looks:,}", ref(*(s for t in data.tests for s in t.batch_seqs)))),
        ("sandbox", join(f"level L{run.level}" if run else "–", ref(run.seq if run else None))),
    ]
    return el("dl", *(el("div", el("dt", key), el("dd", value)) for key, value in pairs), cls="facts")


def line(data: ReportData, ref: Refs, figure: Figure) -> Html:
    heads = ("generation", "commit", "verdict", "difference", "author", "approved by", "released")
    rows = [_generation(g, ref) for g in data.generations if g.moved_seq is not None]
    caption = join(
        "Circles are accepted generations with the 95 % interval of their step; crosses are candidates that were "
        "not accepted",
        "; diamonds are scores on held-out items that no test had used" if data.finals else "",
        ".",
    )
    return join(
        el("h2", "The working line", id="line"),
        el(
            "p",
            "Each generation was compared side by side with the one before it. Numbers in brackets name the "
            "ledger entry "
            "that a statement rests on.",
            cls="note",
        ),
        table(heads, rows, numeric=(0, 3)),
        plot(figure("progress"), caption),
        _certified(data, ref),
        _finals(data.finals, ref),
    )


def _certified(data: ReportData, ref: Refs) -> Html:
    if data.certified is None:
        return Html("")
    return el("p", data.certified.sentence(), ref(*(g.verdict_seq for g in data.line)))


def _generation(g: GenerationRow, ref: Refs) -> Html:
    off = {"denial": "denied, taken back", "rollback": "rolled back"}.get(g.left, g.left)
    approved = join("no person" if g.without_person else g.approved_by, ref(g.approved_seq)) if g.approved_by else "–"
    if not g.approved_by and g.granted_seq is not None:
        approved = join("nobody was asked", ref(g.granted_seq))  # G-7
    if g.approved_with is not None:
        approved = join(approved, el("span", f" with {g.approved_with}", cls="muted"))
    released = join("now" if g.released_now else "before", ref(g.released_seq)) if g.released_seq is not None else "–"
    verdict = join(g.sentence or ("starting point" if g.proposal is None else "–"), ref(g.verdict_seq))
    if off:
        verdict = join(verdict, " ", el("span", off, cls="chip poor"), ref(g.left_seq))
    if g.doubtful is not None:
        verdict = join(verdict, " ", el("span", "in doubt: a control broke", cls="chip poor"), ref(g.doubtful))
    if g.improver_changed:
        state = "improver changed, in force" if g.in_force_seq is not None else "improver changed"
        verdict = join(verdict, " ", el("span", state, cls="chip"), ref(g.in_force_seq))
    estimate = (
        join(signed(g.estimate), el("br"), el("span", between(g.interval), cls="muted"))
        if g.estimate is not None
        else "–"
    )
    return row(
        join(str(g.generation), ref(g.moved_seq)), el("code", short(g.commit)), verdict, estimate,
        g.author or "–", approved, released, numeric=(0, 3), wide=(2,), cls="off" if off else None,
    )  # fmt: skip


def _finals(finals: Sequence[FinalRow], ref: Refs) -> Html:
    if not finals:
        return el(
            "p",
            "No comparison on held-out items is recorded; the numbers above come from the tests that decided.",
            cls="note",
        )
    heads = ("held-out comparison", "first", "second", "difference", "interval", "items")
    rows = [
        row(
            join(f.label, ref(f.seq)), num(f.mean_a), num(f.mean_b), signed(f.estimate), between(f.interval),
            f"{f.items:,}", numeric=(1, 2, 3, 4, 5),
        )
        for f in finals
    ]  # fmt: skip
    return join(el("h3", "On items that no test had used"), table(heads, rows, numeric=(1, 2, 3, 4, 5)))


def tests(data: ReportData, ref: Refs, figure: Figure) -> Html:
    if not data.tests:
        return Html("")
    shown = data.tests[-TESTS_LISTED:]
    heads = ("test", "proposal", "result", "evidence", "needed", "units", "hidden items", "public gain")
    return join(
        el("h2", "Evidence, test by test", id="tests"),
        el(
            "p",
            "A change that is no improvement reaches evidence of 1,000 with a chance of at most 1 in 1,000, however "
            "often one looks. A change is accepted when its evidence reaches what is needed and the evidence for "
            "every guard "
            "does too; what is needed was fixed before the first item was drawn.",
            cls="note",
        ),
        plot(
            figure("evidence"),
            "Every accepted test and the newest others. The curves are computed anew from the recorded differences.",
        ),
        table(heads, [_test(t, ref) for t in shown], numeric=(0, 1, 3, 4, 5, 6, 7)),
        el("p", f"The newest {TESTS_LISTED} of {len(data.tests):,} tests.", cls="note")
        if len(data.tests) > TESTS_LISTED
        else None,
    )


def _test(t: TestRow, ref: Refs) -> Html:
    result = {"accept": "accepted", "reject": "rejected"}.get(t.verdict or "", t.verdict or "open")
    colour = {"accepted": "good", "rejected": "poor"}.get(result, "muted")
    why = f" ({t.reason})" if t.reason and t.reason != "shown" else ""
    failed = f", {count(t.failed, 'failed trial')}" if t.failed else ""
    denied = f", {count(t.denied, 'trial')} with a denied system call" if t.denied else ""
    return row(
        join(str(t.test), ref(t.opened_seq)), str(t.proposal),
        join(el("span", result, cls=colour), why, failed, denied, ref(t.verdict_seq)), times(t.log_evidence),
        times(t.log_threshold), join(f"{t.units:,}", ref(*t.batch_seqs)), f"{t.items:,}",
        signed(t.public[0] if t.public else None),
        numeric=(0, 1, 3, 4, 5, 6, 7),
    )  # fmt: skip


def budget(data: ReportData, ref: Refs, figure: Figure) -> Html:
    closed = [t for t in data.judged if t.alpha_left is not None]
    if not closed or data.epoch is None:
        return Html("")
    left = closed[-1].alpha_left or 0.0
    alpha = percent(data.epoch.alpha)
    said = (
        f"The chance that anything was accepted that is no improvement, or that breaks a guard, is at most {alpha}"
        if data.epoch.error == "familywise"
        else f"Of the changes that were accepted, at most {alpha} on average are no improvement, or break a guard"
    )
    return join(
        el("h2", "Error budget", id="budget"),
        el(
            "p", f"{said} over the whole run, however long it goes on", ref(data.epoch.seq),
            f". Each test sets a part aside and gives back what it did not use; {percent(left)} is left",
            ref(closed[-1].verdict_seq), ".",
        ),
        plot(figure("budget"), f"After {count(len(closed), 'verdict')}."),
    )  # fmt: skip


def proposals(data: ReportData, ref: Refs, figure: Figure) -> Html:
    if not data.proposals:
        return Html("")
    return join(
        el("h2", "What was proposed", id="proposals"),
        plot(
            figure("outcomes"),
            "Refused: outside the scope or of a forbidden kind, before any trial. Failed: nothing usable came.",
        ),
        _reasons(data, ref),
        _authors(data, ref),
        el("h3", "Every proposal"),
        el(
            "p",
            "Indented blocks are the proposers' own words. They were never evidence, and characters that a "
            "reader cannot "
            "see are spelt out.",
            cls="note",
        ),
        *(_proposal(p, ref) for p in sorted(data.proposals, key=lambda p: (OUTCOMES.index(p.outcome), p.proposal))),
    )


def _reasons(data: ReportData, ref: Refs) -> Html:
    rows = []
    for outcome, number in data.outcomes().items():
        mine = [p for p in data.proposals if p.outcome == outcome]
        reasons = Counter(p.reason for p in mine if p.reason)
        listed = ", ".join(
            f"{reason} ({times})" for reason, times in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))
        )
        rows.append(row(outcome, join(f"{number:,}", ref(*(p.last_seq for p in mine))), listed or "–", numeric=(1,)))
    return table(("outcome", "proposals", "reasons"), rows, numeric=(1,))


def _authors(data: ReportData, ref: Refs) -> Html:
    heads = ("author", "proposals", "accepted", "sum of accepted differences")
    rows = []
    ordered = sorted(data.proposals, key=lambda p: p.author)
    for author, group in groupby(ordered, key=lambda p: p.author):
        mine = list(group)
        accepted = [p for p in mine if p.outcome == "accepted"]
        gain = sum(p.estimate or 0.0 for p in accepted)
        cells = (
            author,
            f"{len(mine):,}",
            f"{len(accepted):,}",
            join(signed(gain) if accepted else "–", ref(*(p.verdict_seq for p in accepted))),
        )
        rows.append(row(*cells, numeric=(1, 2, 3)))
    chosen = "The sum is over what was accepted, so it flatters; held-out comparisons do not."
    return join(table(heads, rows, numeric=(1, 2, 3)), el("p", chosen, cls="note"))


def _proposal(p: ProposalRow, ref: Refs) -> Html:
    size = (
        f"{count(p.changed_lines, 'line')} in {count(p.changed_files, 'file')}"
        if p.screened_seq
        else "nothing to screen"
    )
    predicted = f", predicted {signed(p.predicted)}" if p.predicted is not None else ""
    measured = f", measured {signed(p.estimate)}" if p.estimate is not None else ""
    colour = {"accepted": "good", "rejected": "poor", "refused": "poor"}.get(p.outcome)
    marks = [el("span", mark, cls="chip poor") for mark, on in (("tried to change a guard", p.guard_change),) if on]
    if p.improver_changed:
        marks.append(el("span", "changes the improver", cls="chip"))
    why = f" ({p.reason})" if p.reason and p.reason != "shown" else ""
    took = f"Proposing took {seconds(p.wall_s)} (processor {seconds(p.cpu_s)})."
    said = [el("blockquote", text) for text in (p.weakness, p.rationale) if text]
    return el(
        "details",
        el(
            "summary", f"{p.proposal}. ", el("span", p.outcome, cls=colour), why,
            f" · {p.author}, with generation {p.from_generation}'s improver · {size}{predicted}{measured} ", *marks,
        ),
        *(said or [el("p", "No rationale was given.", cls="note")]),
        el("p", took if p.received_seq else "Nothing was handed in.", ref(p.requested_seq, p.last_seq), cls="note"),
    )  # fmt: skip


def rules(data: ReportData, ref: Refs) -> Html:
    epoch, run = data.epoch, data.run
    if epoch is None:
        return Html("")
    parts = [el("h2", "How it was tested", id="rules"), _suite(epoch, ref)]
    if epoch.guards:
        heads = ("guard", "range", "may get worse by at most")
        parts.append(
            table(
                heads,
                [
                    row(
                        join(g.name, ref(epoch.seq)),
                        f"{plain(g.low)} to {plain(g.high)}, {words.SCALE[g.direction]}",
                        plain(g.max_loss),
                        numeric=(2,),
                    )
                    for g in epoch.guards
                ],
                numeric=(2,),
            )
        )
    parts += [_controls(data, ref), *assurance.sections(data, ref)]
    if run is not None:
        parts += [
            el("h3", f"Sandbox level L{run.level}"),
            el(
                "p",
                f"{sentence(words.LEVELS.get(run.level, 'unknown level'))}.",
                ref(run.seq),
                f" Missing here: {'; '.join(run.missing)}."
                if run.missing
                else " Nothing that this level asks for was missing.",
            ),
            el(
                "p",
                f"Improver: {run.improver}",
                " (kept frozen at generation 0: a control arm)" if run.frozen_improver else "",
                f". Autonomy: {epoch.autonomy}.",
                ref(epoch.seq),
            ),
        ]
    return join(*parts)


def _suite(epoch: EpochRow, ref: Refs) -> Html:
    s = epoch.suite
    scale = f"{plain(s.low)} to {plain(s.high)}" if s.low is not None and s.high is not None else "no declared range"
    return join(
        el("h3", f"Assurance: {s.assurance}"),
        el("p", f"{sentence(words.ASSURANCE[s.assurance])}.", ref(epoch.seq)),
        el(
            "p",
            f"Suite {s.name}, scored by {s.scorer}, {scale}, {words.SCALE[s.direction]}. "
            f"{words.claim(s)} {words.sharing(s)} "
            f"Accepted is only what is better by more than {plain(s.margin)}; gains below {plain(s.detect)} are not "
            "looked for.",
            ref(epoch.seq),
        ),
    )


def _controls(data: ReportData, ref: Refs) -> Html:
    if not data.controls:
        return el("p", "No control of the scorer is recorded.", cls="note")
    heads = ("control, before any candidate", "constant answers", "random answers", "oracle", "incumbent", "result")
    rows = [
        row(
            join(c.note or "scorer", ref(c.seq)), num(c.constant), num(c.random), num(c.oracle), num(c.incumbent),
            el("span", "as it should be" if c.ok else "failed", cls="good" if c.ok else "poor"), numeric=(1, 2, 3, 4),
        )
        for c in data.controls
    ]  # fmt: skip
    return table(heads, rows, numeric=(1, 2, 3, 4))


def remarks(data: ReportData, ref: Refs) -> Html:
    parts: list[Html] = []
    if data.findings:
        parts += [
            el("h2", "Findings about the record", id="findings"),
            el("ul", *(el("li", f.text, ref(f.seq)) for f in data.findings)),
        ]
    if data.remarks:
        parts += [
            el("h2", "Also recorded"),
            el("ul", *(el("li", f"{r.what}: {r.text}", ref(r.seq)) for r in data.remarks)),
        ]
    return join(*parts)


def limits(data: ReportData) -> Html:
    return join(
        el("h2", "What this record cannot show", id="limits"),
        el("ul", *(el("li", said) for said in words.limits(data))),
    )


def entries(data: ReportData, ref: Refs) -> Html:
    heads = ("entry", "kind", "time", "signed by")
    cited = [entry for entry in data.entries if entry.seq in ref.cited]
    rows = [
        el(
            "tr",
            el("td", str(entry.seq), cls="n"),
            el("td", entry.kind),
            el("td", entry.at),
            el("td", entry.role),
            id=f"e{entry.seq}",
        )
        for entry in cited
    ]
    return join(
        el("h2", "Entries cited", id="entries"),
        el("p", "Show one in full with ", el("code", "festina ledger show --from NUMBER --tail 1"), ".", cls="note"),
        table(heads, rows, numeric=(0,)),
    )
