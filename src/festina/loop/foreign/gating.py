"""An outside loop's kept generations before our own gate: each is a proposal against our incumbent.  # G-7, S-1

Everything that holds for a proposal holds for them: scope and content of the change, one error budget, hidden items,
guards, the understanding debt, pace, halts, approval. The gate's word about one of them is the record's own evidence;
what the loop claimed for it plays no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from festina.ledger.log import Ledger
from festina.loop.foreign.folding import AUTHOR, Story, tell
from festina.loop.foreign.trees import NotHere, carried, contents_of
from festina.loop.state import State, fold
from festina.propose.history.types import Told, shown
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.system.repo import Repo
from festina.system.scope import Scope

MOST = 50  # paths beyond the scope: one is enough to be refused
DIGITS = 32  # of a claim's digest, in an author's name


def author_of(loop: str, row: Told) -> str:
    return f"{AUTHOR}{loop}:{row.digest[:DIGITS]}"


def gate_words(state: State, loop: str) -> dict[str, tuple[int, str]]:
    """By the first digits of a claim: our proposal, and what came of it ('under way' until then)."""
    start = f"{AUTHOR}{loop}:"
    return {
        p.author.removeprefix(start): (p.number, p.word or "under way")
        for p in state.proposals.values()
        if p.author.startswith(start)
    }


@dataclass(frozen=True, slots=True)
class Ground:
    """What the generations are laid over, and where their content is."""

    story: Story
    repo: Repo
    scope: Scope
    programs: Mapping[str, bytes]

    def files(self, row: Told, tree: Path) -> dict[str, bytes | None]:
        """What differs from the incumbent, exported at ``tree``; with what was changed beyond the scope, so that the
        gate refuses it. Raises ``NotHere``."""
        base = self.repo.tree_of(self.repo.head())
        over = carried(row, base, self.story, self.repo, self.scope, self.programs)
        files = {path: data for path, data in over.files.items() if data != _data(tree / path)}
        theirs = {each.path: each.oid for each in self.repo.ls_tree(row.tree)} if over.beyond else {}
        files |= {path: self.repo.read_blob(theirs[path]) if path in theirs else None for path in over.beyond[:MOST]}
        return files


class Kept:
    """One kept generation as somebody's proposal."""

    def __init__(self, row: Told, ground: Ground) -> None:
        self.author = author_of(ground.story.loop.name, row)
        self._row, self._ground = row, ground

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        """Its difference from the incumbent where changes are allowed."""
        row, loop = self._row, self._ground.story.loop.name
        try:
            files = self._ground.files(row, view.tree)
        except NotHere as error:
            return NoProposal(self.author, error.what[:300])
        if not files:
            return NoProposal(self.author, "it changes nothing of the version in use that may change")
        words = f"Kept by {loop} as {shown(row.key)}, score {row.score!r} by its own word."
        return Proposal(self.author, files=files, rationale=words, weakness="no plan was made before it was tried")


class Nothing:
    """Where an outside loop proposes, nobody else does."""

    def __init__(self, loop: str) -> None:
        self.author = f"{AUTHOR}{loop}"

    def propose(self, view: View, budget: Budget) -> NoProposal:
        return NoProposal(self.author, "every kept generation was handed in", exhausted=True)


def queue_of(ledger: Path, loop: str, repo: Repo, scope: Scope) -> list[Kept]:
    """What the loop kept and our gate did not see yet, in the loop's own order."""
    with Ledger.open(ledger, readonly=True) as opened:
        state = fold(opened.records())
        story = tell(state.foreign.loops[loop], opened.get_blob)
        ground = Ground(story, repo, scope, contents_of(story.loop, opened.get_blob))
        done = gate_words(state, loop)
    return [Kept(row, ground) for row in story.changes if row.digest[:DIGITS] not in done]


def _data(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None
