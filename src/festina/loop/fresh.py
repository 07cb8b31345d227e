"""Which lines of a change nobody was shown before: the only ones in which a catch trial's defect may stand.  # R-3

Whoever has seen a line once sees at a glance that it reads otherwise now, without reading the rest. So no line is
altered that an earlier request shows or has shown to anybody; that nobody has two requests open of which one holds what
the other alters is ``admitting``'s business.
Not covered: while nobody's approvals count a defect may stand in a line seen before, since without catch trials there
would be no way back to authority; and whoever reads the working line's own commits knows every line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from festina.loop.rows import Generation, Review
from festina.review.catch import added, added_lines
from festina.review.questions import bare

if TYPE_CHECKING:
    from festina.loop.requesting import Here
    from festina.loop.state import State

__all__ = ["lines"]


def lines(here: Here, target: Generation, patch: bytes) -> Mapping[str, set[int]]:
    """The added lines of ``patch`` (by path, numbered as in ``target``) that no request has shown.

    A line is known when its generation was before people, or when its text stood in a request, blank lines excepted.
    """
    s = here.state
    shown = [review for review in s.reviews.values() if review.seats or _may_be_opened(s, review)]
    known = max((n for r in shown if (n := r.terms.generation) in s.line), default=None)
    fresh = added_lines(patch)
    if known is not None:
        tree = here.repo.tree_of
        newer = added_lines(here.repo.diff(tree(s.generations[known].commit), tree(target.commit)))
        fresh = {path: rows & newer.get(path, set()) for path, rows in fresh.items()} if known < target.number else {}
    patches = [bare(here.ledger.get_blob(review.terms.patch)) for review in shown]
    texts = {(path, text) for each in patches for path, _, text in added(each) if text.strip()}
    for path, number, text in added(patch):
        if (path, text) in texts:
            fresh.get(path, set()).discard(number)
    return fresh


def _may_be_opened(s: State, review: Review) -> bool:
    on_line = review.terms.generation in s.line
    return review.undecided and on_line and s.last_at <= review.terms.expires
