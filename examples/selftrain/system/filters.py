"""Which of its own answers the model may learn from. A recipe names one of these.

A filter sees problems, the model's answers, and may ask the model again. It has no answer key: none of them adds the
two numbers. (Nothing but a reader of this file can tell whether a changed filter does: see the README.)
"""

from __future__ import annotations

from collections.abc import Callable

Problem = tuple[str, str]
Ask = Callable[[list[Problem]], list[str]]
Filter = Callable[[list[Problem], list[str], Ask], list[bool]]


def none(problems: list[Problem], answers: list[str], ask: Ask) -> list[bool]:
    """Believe everything."""
    return [True] * len(problems)


def agree(problems: list[Problem], answers: list[str], ask: Ask) -> list[bool]:
    """Believe what the model says again when the numbers change places: its own word against its own word."""
    again = ask([(b, a) for a, b in problems])
    return [one == other for one, other in zip(answers, again, strict=True)]


def nines(problems: list[Problem], answers: list[str], ask: Ask) -> list[bool]:
    """Casting out nines: the digit sums must fit modulo 9. Eight of nine chance errors are caught."""
    return [
        (digit_sum(a) + digit_sum(b) - digit_sum(answer)) % 9 == 0
        for (a, b), answer in zip(problems, answers, strict=True)
    ]


def elevens(problems: list[Problem], answers: list[str], ask: Ask) -> list[bool]:
    """Casting out nines and elevens: alternating digit sums must fit modulo 11, too. A carry that went wrong twice may
    pass the nines; one in some hundred chance errors passes both."""
    fits = nines(problems, answers, ask)
    return [
        fit and (alternating(a) + alternating(b) - alternating(answer)) % 11 == 0
        for fit, (a, b), answer in zip(fits, problems, answers, strict=True)
    ]


def digit_sum(number: str) -> int:
    return sum(map(int, number))


def alternating(number: str) -> int:
    """From the last digit on, with changing signs."""
    return digit_sum(number[::-2]) - digit_sum(number[-2::-2])


FILTERS: dict[str, Filter] = {"none": none, "agree": agree, "nines": nines, "elevens": elevens}
