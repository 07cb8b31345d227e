"""Items that candidates share, in the verifier's books: which block is in use, and what was told about it.  # V-3, P-4

The same rules as the loop's (``loop.blocks``), on books of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from festina.ledger import entries as e
from festina.select.budget import AnyBudget, InformationLedger, SealedBlocks, budget_of


@dataclass(slots=True)
class Shared:
    """``at`` is (number, first item) of the block in use; ``told`` what a block that stays was told, by source."""

    at: tuple[int, int] | None = None
    told: dict[str, tuple[int, InformationLedger]] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)  # items of a source that were given out, by source
    word_from: str = ""  # when the last test opened, until its word is told
    run_at: str = ""

    def begin(self, epoch: e.EpochOpened) -> AnyBudget:
        """The budget of a new epoch; what was told about a block that stays is not forgotten."""
        self.at, self.word_from = None, ""
        kept = self.told.get(epoch.suite.source or "")
        if epoch.suite.mode != "ledger" or kept is None:
            return budget_of(epoch.suite.mode, epoch.alpha, epoch.spread, epoch.error)
        self.at = (0, kept[0])
        return kept[1].under(epoch.alpha)

    def place(self, epoch: e.EpochOpened, budget: AnyBudget) -> tuple[int, int]:
        """(number, first item) of the next test's block."""
        number = budget.block if isinstance(budget, SealedBlocks) else 0
        if self.at is not None and self.at[0] == number:
            return self.at
        return number, self.taken.get(epoch.suite.source or "", 0)

    def opened(self, epoch: e.EpochOpened, test: e.TestOpened, at: str) -> None:
        source, end = epoch.suite.source or "", test.first_item + epoch.suite.max_units * epoch.suite.batch_items
        self.at, self.word_from = (test.block, test.first_item), at
        self.taken[source] = max(self.taken.get(source, 0), end)

    def keep(self, epoch: e.EpochOpened | None, budget: AnyBudget | None) -> None:
        if isinstance(budget, InformationLedger) and epoch is not None and self.at is not None:
            self.told[epoch.suite.source or ""] = (self.at[1], budget)

    def asked(self, epoch: e.EpochOpened, budget: AnyBudget | None, at: str) -> AnyBudget | None:
        """The next try or proposal was asked for: until then the last word was told, and its time is paid for."""
        if self.word_from and isinstance(budget, SealedBlocks | InformationLedger):
            slots = 1
            if self.word_from >= self.run_at and epoch.suite.word_every_s > 0:
                passed = (datetime.fromisoformat(at) - datetime.fromisoformat(self.word_from)).total_seconds()
                slots = max(1, int(passed // epoch.suite.word_every_s))
            budget = budget.told(slots)
            self.keep(epoch, budget)
        self.word_from = ""
        return budget

    def retire(self, budget: AnyBudget | None) -> AnyBudget | None:
        """The line went back: a sealed block's words were about another incumbent.  # S-8"""
        return budget.retire() if isinstance(budget, SealedBlocks) and not budget.reserved else budget

    def looked(self, epoch: e.EpochOpened, items: int) -> None:
        """Items of the goal's own source; a shared block is used up as a whole, when its first test opens."""
        if epoch.suite.source is not None and epoch.suite.mode == "fresh":
            self.used(epoch.suite.source, items)

    def used(self, source: str, items: int) -> None:
        self.taken[source] = self.taken.get(source, 0) + items
