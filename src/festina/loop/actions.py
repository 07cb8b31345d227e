"""What the loop can do next: one frozen value for each action.

``next.next_action`` chooses one, ``steps.STEPS`` carries it out. An action names what it is about and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from festina.loop import searching
from festina.loop.corners import Wanted

EndReason = Literal["finished", "budget", "exhausted", "interrupted", "waiting", "fault", "control", "halted"]


@dataclass(frozen=True, slots=True)
class FinishMove:
    """Complete the line move whose intent is recorded.  # D-1"""


@dataclass(frozen=True, slots=True)
class FinishRelease:
    """Complete the release whose intent is recorded.  # D-1"""


@dataclass(frozen=True, slots=True)
class ScoreFinal:
    """Score this version on the sealed final suite, before it is released without asking.  # V-3, G-7"""

    generation: int


@dataclass(frozen=True, slots=True)
class ReleaseAlone:
    """Release this version without asking: a person's signed step allows it.  # G-7"""

    generation: int


@dataclass(frozen=True, slots=True)
class PlayProblem:
    """Let two generations' improvers solve one fresh problem of a cross-play that is due.  # W-2"""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class StartLine:
    """Open the working line at the epoch's start commit."""


@dataclass(frozen=True, slots=True)
class PutInForce:
    """A person approved: this review's generation proposes from now on.  # R-1"""

    review: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A person denied: the line goes back to before this review's generation.  # R-1"""

    review: int


@dataclass(frozen=True, slots=True)
class SettleReview:
    """The decisions about a review can no longer be taken back: they count, and what was sealed is opened.  # R-1"""

    review: int


@dataclass(frozen=True, slots=True)
class CheckControls:
    """Score constant, random and oracle answers before any candidate is scored.  # V-2"""


@dataclass(frozen=True, slots=True)
class ComparePublic:
    """Measure the newest generation's public gain, or record why not.  # V-6"""

    generation: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """Measure which hunk of the newest generation caused what, or record why not.  # V-8"""

    generation: int


@dataclass(frozen=True, slots=True)
class CompareInternals:
    """Compare the inside of the newest generation's model with retrainings, or record why not.  # V-9"""

    generation: int


@dataclass(frozen=True, slots=True)
class AskReview:
    """Put the head of the line before a person."""


@dataclass(frozen=True, slots=True)
class AwaitReview:
    """Give a person a moment before going on."""


@dataclass(frozen=True, slots=True)
class HaltLoop:
    """Stop everything until a person signs: the governor found what only a person may judge.  # G-1"""

    reason: str


@dataclass(frozen=True, slots=True)
class Characterise:
    """Run every capability suite on this generation.  # G-2"""

    generation: int


@dataclass(frozen=True, slots=True)
class AwaitPace:
    """Rest as long as the governor's rate says, before anything new is begun.  # G-2"""

    rate: float


@dataclass(frozen=True, slots=True)
class AwaitWord:
    """Let the slot pass in which the last word is told: when it comes must say no more than it does.  # P-4"""


@dataclass(frozen=True, slots=True)
class Propose:
    """Run the improver in force, or run it again after a crash."""

    number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class TakeProposal:
    """Record what the improver handed in; wait for it if it is still at work."""

    proposal: int


@dataclass(frozen=True, slots=True)
class Try:
    """Begin a scratch run on public evidence, or the one that a crash interrupted.  # P-7"""

    step: searching.Step


@dataclass(frozen=True, slots=True)
class TakeTries:
    """Record the tries that have ended; wait for one where none has."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Judge the proposal by its effect.  # P-1"""

    proposal: int


@dataclass(frozen=True, slots=True)
class OpenTest:
    """Register the plan before any data.  # L-4"""

    proposal: int


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Take the next batch of paired trials of each of these tests, or the one that a crash interrupted."""

    tests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunControl:
    """Run the incumbent against itself, or the control that a crash interrupted.  # V-2"""

    units: int


@dataclass(frozen=True, slots=True)
class RevealPlant:
    """Say that a judged proposal was a planted defect, and take it out of every count.  # V-7"""

    proposal: int


@dataclass(frozen=True, slots=True)
class Decide:
    """Write the verdict."""

    test: int
    verdict: Literal["accept", "reject", "inconclusive"]
    reason: Literal["shown", "futile", "guard", "cap", "line-moved", "budget", "fault", "control", "judge"]


@dataclass(frozen=True, slots=True)
class Finish:
    """Let go of the ledger."""

    reason: EndReason
    detail: str = ""


Action = (
    FinishMove | FinishRelease | ScoreFinal | ReleaseAlone | PlayProblem | StartLine | SettleReview
    | PutInForce | TakeBack
    | CheckControls | ComparePublic
    | RunControl | Attribute | CompareInternals | AskReview | AwaitReview | AwaitPace | HaltLoop
    | Characterise | AwaitWord | Propose | TakeProposal | Try | TakeTries | Screen
    | OpenTest | RunBatch | RevealPlant | Decide | Finish
)  # fmt: skip
