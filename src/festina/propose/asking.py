"""A proposing run whose program may ask models: its box gets the gateway, and its allowance is held first.  # E-5, E-6

For improvers that are programs (``own``, ``command``). One allowance a run: what it used is charged to the proposal,
and requests and replies stand word for word in the record, for whoever wants to know what made it.  # P-5
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from festina.propose.gateway import Allowance, Gateway, Passage, Spent, environment
from festina.propose.meter import Cost
from festina.propose.types import NoProposal
from festina.sandbox.job import Job, Limits, Outcome, Sandbox

__all__ = ["Asking"]


_USUAL = Allowance(calls=100, tokens=1_000_000)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who may ask, and how much. ``gateway`` None: the program's box has no way to a model."""

    gateway: Gateway | None = None
    allowed: Allowance = _USUAL

    def most(self) -> Cost:
        """What one run may cost of models."""
        return Cost() if self.gateway is None else self.gateway.most(self.allowed)

    def run(
        self, sandbox: Sandbox, job: Job, limits: Limits, author: str, proposal: int | None
    ) -> tuple[Outcome | NoProposal, str]:
        """The box's outcome, or that the budget allows no run; and what the models had to do with a failure."""
        if self.gateway is None:
            return sandbox.run(job, limits), ""
        try:
            passage = self.gateway.passage(self.allowed, "improver", proposal=proposal)
        except Spent as spent:
            reason = f"the run's cap on {spent.cap} of models allows no other proposing run"
            return NoProposal(author, reason, spent=True), ""
        try:
            env = {**environment(self.gateway.names[0]), **job.env}
            outcome = sandbox.run(replace(job, env=env, door=passage), limits)
        finally:
            passage.close()
        return outcome, _why(passage)


def _why(passage: Passage) -> str:
    if passage.trouble is not None:
        return f"; the model endpoint did not answer ({passage.trouble})"
    if passage.refused.get("budget"):
        return "; its allowance of models was spent"
    shut = [each for each in passage.denied if each != "gateway(path)"]  # clients try paths to see what there is
    if shut:
        return f"; it asked for what is not open: {', '.join(shut)}"
    return ""
