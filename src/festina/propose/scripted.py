"""Changes that are already written: people's patches, and planted ones for drills.  # P-5, V-7

Patches are handed out in order. Where to go on is told by the history (the k-th patch of an author is done
once that author has k rows), so a restarted engine repeats nothing; planted proposals, which no
history shows, are counted in the instance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from festina.errors import UsageError
from festina.propose.harvest import MAX_PATCH_BYTES, Plan, Unreadable, parse_plan
from festina.propose.text import visible
from festina.propose.types import Budget, NoProposal, Proposal, View

__all__ = ["Scripted"]

Sign = Callable[[bytes], str]  # a diff's signature, in base64


class Scripted:
    """Hands out ``patches``, pairs of author and patch, one for each call, then reports ``exhausted``.

    ``author`` is the one author of all patches, or "scripted" where there are several.
    """

    def __init__(
        self, patches: Sequence[tuple[str, bytes]], *, plans: Sequence[Plan] | None = None, start: int = 0,
        sign: Sign | None = None,
    ) -> None:  # fmt: skip
        self._patches = tuple(patches)
        self._plans = tuple(plans) if plans is not None else (Plan(),) * len(self._patches)
        if len(self._plans) != len(self._patches):
            raise ValueError("as many plans as patches")
        self._next, self._sign = start, sign
        authors = {author for author, _ in self._patches}
        self.author = authors.pop() if len(authors) == 1 else "scripted"

    @classmethod
    def from_files(cls, paths: Sequence[Path], author: str, *, sign: Sign | None = None) -> Scripted:
        """Patches from ``*.patch`` files. The text before the diff is the rationale; a ``.json`` file of the
        same name beside it is the plan (rationale, weakness, predicted) and wins. ``sign`` signs a diff for its author.
        """
        patches: list[tuple[str, bytes]] = []
        plans: list[Plan] = []
        for path in paths:
            try:
                data = path.read_bytes()
                beside = path.with_suffix(".json")
                plan = parse_plan(beside.read_bytes()) if beside.is_file() else None
            except (OSError, Unreadable) as error:
                what = f"cannot read the patch or its plan: {error}"
                raise UsageError("patch-unreadable", what, where=str(path)) from error
            preface, diff = _split(data)
            if not diff or len(diff) > MAX_PATCH_BYTES:
                raise UsageError(
                    "patch-unreadable",
                    "the file holds no git diff, or one over 1 MiB",
                    fix="write it with `git diff --binary --full-index`",
                    where=str(path),
                )
            patches.append((author, diff))
            plans.append(plan or Plan(rationale=visible(preface.decode("utf-8", "replace").strip(), limit=4000)))
        return cls(patches, plans=plans, sign=sign)

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        """The next patch that is not done yet."""
        done = Counter(row.author for row in view.history)
        seen: Counter[str] = Counter()
        for index, (author, patch) in enumerate(self._patches):
            seen[author] += 1
            if index < self._next or seen[author] <= done[author]:
                continue
            self._next = index + 1
            plan = self._plans[index]
            return Proposal(
                author, patch=patch, rationale=plan.rationale, weakness=plan.weakness, predicted=plan.predicted,
                target=plan.target, sig=self._sign(patch) if self._sign is not None else "",
            )
        return NoProposal(self.author, "every scripted patch has been handed out", exhausted=True)


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Text before the first ``diff --git`` line, and the rest."""
    at = 0 if data.startswith(b"diff --git ") else data.find(b"\ndiff --git ") + 1
    if at == 0 and not data.startswith(b"diff --git "):
        return data, b""
    return data[:at], data[at:]
