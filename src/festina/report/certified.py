"""What is certified of the working line's total gain, read from the entries beside everything else."""

from __future__ import annotations

from collections.abc import Sequence

from festina.ledger import entries as e
from festina.report.data import GenerationRow
from festina.select.certified import Shares, Step, Total, certify, obstacle
from festina.verify.verdicts import alpha_with, width_of

_READ = frozenset({  # all that ``Steps.take`` looks at
    e.EpochOpened, e.TryStarted, e.TryEnded, e.TestOpened, e.BatchEnded, e.Verdict, e.PlantRevealed,
})  # fmt: skip


class Steps:
    """The tests of the epoch in force and which of them were accepted. Filled by ``take`` alone."""

    def __init__(self) -> None:
        self.epoch: e.EpochOpened | None = None
        self.alpha, self.tested = 0.0, False  # summed over epochs; whether this one has had a test
        self.tries: dict[int, int] = {}  # whose improver was asked, by try
        self.makers: dict[str, int] = {}  # and what it made, by tree  # P-7
        self.shares = Shares()
        self.tests: dict[int, tuple[float, list[float]]] = {}  # share and differences
        self.accepted: dict[int, Step] = {}  # by proposal
        self.improvers: set[int] = set()  # proposals that are tested for their improver's sake

    def take(self, body: e.Body) -> None:
        if type(body) not in _READ:
            return
        if isinstance(body, e.EpochOpened):
            self.alpha = alpha_with(self.alpha, self.epoch, self.tested, body)  # S-1
        self.tested = isinstance(body, e.TestOpened) or (self.tested and not isinstance(body, e.EpochOpened))
        match body:
            case e.EpochOpened() as epoch:
                self.epoch, self.shares, self.tests, self.accepted, self.makers = epoch, Shares(), {}, {}, {}
            case e.TryStarted(number=number, parent=int(), from_generation=generation):
                self.tries[number] = generation
            case e.TryEnded(number=number, result="scored", tree=str() as tree) if number in self.tries:
                self.makers[tree] = self.tries[number]
            case e.TestOpened(test=number, target="productivity", proposal=proposal):
                self.improvers.add(proposal)  # what such a test shows is no gain at the task  # S-6
            case e.TestOpened(test=number):
                share, self.shares = self.shares.open()
                self.tests[number] = share, []
            case e.BatchEnded(test=number, gain=gain) if number in self.tests:
                self.tests[number][1].extend(gain)
            case e.Verdict(test=number, proposal=proposal, verdict="accept") if number in self.tests:
                share, gains = self.tests[number]
                self.accepted[proposal] = Step(tuple(gains), share)
                self.shares = self.shares.accepted()
            case e.PlantRevealed(proposal=proposal) if self.accepted.pop(proposal, None) is not None:
                self.shares = self.shares.accepted(-1)

    def total(self, line: Sequence[GenerationRow], alarm: int | None) -> Total | None:
        """None before the first acceptance on the line. ``alarm``: of a broken control that is not resolved."""
        if self.epoch is None:
            return None
        suite = self.epoch.suite
        rows = [(g, self.accepted[g.proposal]) for g in line if g.proposal in self.accepted]
        why = obstacle(
            suite.mode, bounded=suite.assumed == "bounded", provisional=any(g.provisional for g, _ in rows),
            doubtful=alarm is not None and any(g.doubtful is not None for g, _ in rows),
            improver=any(g.proposal in self.improvers for g in line),
        )  # fmt: skip
        estimates = sum(g.estimate or 0.0 for g, _ in rows)
        steps = [step for _, step in rows]
        return certify(steps, self.shares, self.epoch.epoch, estimates=estimates, width=width_of(suite), why=why)
