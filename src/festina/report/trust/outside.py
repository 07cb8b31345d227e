"""Grounds about loops that others run: never a yes on what was only told or attested.  # W-5, G-7"""

from __future__ import annotations

from festina.loop.foreign.words import finding_words
from festina.report.numerals import count
from festina.report.outside import OutsideRow
from festina.report.trust.grounds import Case
from festina.report.trust.model import Ground, StageName

REFUTED = {  # a finding of these kinds shows that something told is not so
    "proposal": frozenset({"wrong-hash", "wrong-origin", "wrong-name"}),
    "selection": frozenset({"not-reproduced", "wrong-sum", "contradiction", "kept-worse"}),
}
DOUBTED = {  # a finding of these kinds may hide something
    "proposal": frozenset({"no-generation", "back-dated", "clock-skew", "unreadable", "too-large"}),
    "selection": frozenset(
        {
            "gap",
            "no-score",
            "withdrawn",
            "not-finite",
            "unreadable",
            "too-large",
            "link",
            "off-branch",
        }
    ),  # what was not read may have been kept, too
}
_NEXT = {
    "proposal": "Let Festina run the loop (festina init --from, festina run): who proposed cannot be seen afterwards.",
    "experimentation": "Run what was kept again with festina attach --check; what ran elsewhere stays unseen.",
    "selection": "Judge what was kept with festina attach --gate.",
    "deployment": "Release and watch from here (festina release, festina watch): that loop's releases are not seen.",
}


def grounds(case: Case, stage: StageName) -> tuple[Ground, ...]:
    """One for each outside loop."""
    return tuple(_ground(case, row, stage) for row in case.data.outside)


def _ground(case: Case, row: OutsideRow, stage: StageName) -> Ground:
    name = f"the outside loop {row.name}"
    mark = next(each for each in row.stages if each.name == stage)
    said = mark.mark + (f": {mark.words}" if mark.words else "")
    next_ = _NEXT[stage]
    refuted, doubted = (_kinds(row, kinds.get(stage, frozenset())) for kinds in (REFUTED, DOUBTED))
    if refuted:
        seqs = tuple(each.seq for each in row.found if each.kind in refuted)[:10]
        return Ground(
            name,
            "no",
            f"{finding_words(refuted)}; {said}",
            seqs,
            row.at,
            next="Look at what festina attach --json lists, and mend it where that loop runs.",
        )
    not_accepted = [seq for seq, word in row.judged if word not in ("accepted", "under way")]
    seqs = tuple(seq for seq, _ in row.judged)
    if stage == "selection" and not_accepted:
        what = f"our gate did not accept {count(len(not_accepted), 'generation')} that it kept"
        at = case.at(not_accepted[-1])
        return Ground(
            name,
            "no",
            f"{what}; {said}",
            tuple(not_accepted),
            at,
            next="Look at each verdict in festina report, and take back what was kept without one.",
        )
    if doubted:
        said = f"{finding_words(doubted)}; {said}"
    if stage == "selection" and mark.mark == "observed" and not doubted and not row.unread:
        return Ground(name, "yes", f"{said}, and accepted", seqs, case.at(max(seqs)))
    return Ground(name, "cannot tell yet", said, row.read[-1:], row.at, next=next_)


def _kinds(row: OutsideRow, kinds: frozenset[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in row.found:
        if each.kind in kinds:
            found[each.kind] = found.get(each.kind, 0) + 1
    return found
