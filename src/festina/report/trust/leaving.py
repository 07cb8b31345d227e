"""The ground about who let out what is in use: people, or the step that they signed.  # R-1, G-7"""

from __future__ import annotations

from festina.report.trust.grounds import Case
from festina.report.trust.model import Ground


def approved(case: Case) -> Ground:
    now = [g for g in case.data.generations if g.released_now]
    if not now:
        return Ground(
            "approval",
            "cannot tell yet",
            "nothing is released",
            next="Decide with festina review, then run festina release.",
        )
    row = now[0]
    seqs = tuple(s for s in (row.approved_seq, row.released_seq) if s is not None)
    if row.without_person or case.data.demo:
        return Ground(
            "approval",
            "no",
            f"generation {row.generation} was approved by a demonstration key",
            seqs,
            case.at(seqs[-1] if seqs else None),
            next="Enrol a person's own key with festina reviewer add, and have them approve it.",
        )
    if row.proposal is None:
        return Ground(
            "approval", "yes", "the starting point is in use: nothing changed", seqs, case.at(row.released_seq)
        )
    if not row.approved_by and row.granted_seq is not None:
        said = f"generation {row.generation} was released without asking, under the step that people signed"
        return Ground("approval", "yes", said, (row.granted_seq, *seqs), case.at(row.released_seq))  # G-7
    if not row.approved_by:
        return Ground(
            "approval",
            "no",
            f"generation {row.generation} is in use without an approval of its own",
            seqs,
            next="Take it back with festina rollback.",
        )
    return Ground(
        "approval",
        "yes",
        f"generation {row.generation} was approved by {row.approved_by}",
        seqs,
        case.at(row.approved_seq),
    )
