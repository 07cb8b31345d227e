"""What to do next: each remedy once, what is refuted first, then what opens most.  # W-5"""

from __future__ import annotations

from dataclasses import dataclass

from festina.report.trust.model import Ground, Stage, Trust

SHOWN = 5  # of them in a terminal


@dataclass(frozen=True, slots=True)
class Step:
    """One remedy. ``opens``: the grounds that wait for it; ``alone``: stages for which nothing else is missing."""

    text: str
    refuted: bool
    opens: tuple[tuple[str, str], ...]  # (stage, ground), in the order of the page
    alone: tuple[str, ...]

    @property
    def why(self) -> str:
        """The first ground that waits for it, and how many more."""
        stage, ground = self.opens[0]
        more = f" and {len(self.opens) - 1} more" if len(self.opens) > 1 else ""
        return f"{stage}: {ground}{more}"


def steps(trust: Trust) -> list[Step]:
    """In the order in which they are worth doing.

    What was shown to be wrong comes before what is not known; then what alone turns a whole stage to a yes, then what
    opens more grounds, then the page's order.
    """
    waiting: dict[str, list[tuple[Stage, Ground]]] = {}
    for stage in trust.stages:
        for ground in stage.open:
            if ground.next and not _elsewhere(trust, ground):
                waiting.setdefault(ground.next, []).append((stage, ground))
    found = [
        Step(
            text,
            any(ground.answer == "no" for _, ground in rows),
            tuple((stage.name, ground.name) for stage, ground in rows),
            tuple(dict.fromkeys(stage.name for stage, _ in rows if _alone(trust, stage, text))),
        )
        for text, rows in waiting.items()
    ]
    return sorted(found, key=lambda step: (not step.refuted, -len(step.alone), -len(step.opens)))


def _elsewhere(trust: Trust, ground: Ground) -> bool:
    """The next rung waits for the stages, whose own grounds say what to do."""
    return ground.name in {f"stage {stage.name}" for stage in trust.stages}


def _alone(trust: Trust, stage: Stage, text: str) -> bool:
    return all(ground.next == text for ground in stage.open)
