"""The attacks, read from ``attacks.toml``: what each does, where it makes sense, what it is compared with, how to mend.

Fields: ``needs`` names facts about the evaluator (``recon.Facts.has``), all of which must hold, else the attack is "not
applicable". ``base`` is the candidate that carries the exploit: ``blank`` (empty results), ``husk`` (``None``) or
``honest``. ``control`` is the payload of the same candidate without the exploit. ``bed`` is the undefended evaluator on
which the attack must work. ``site`` is the kind of line to point at. ``mode`` says how it is judged: ``credit`` (half
way to the honest score), ``constant`` (as good as honest), ``effect`` (what it reached is an exposure), ``pair``
(what a candidate without work earns in the *next* evaluation counts too), ``after`` (it is evaluated in the place where
an honest candidate was evaluated before).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Mode = Literal["credit", "constant", "effect", "pair", "after"]


@dataclass(frozen=True)
class Attack:
    """One attack. See the module for the fields."""

    id: str
    title: str
    did: str
    needs: tuple[str, ...]
    bed: str
    base: str = "blank"
    control: str = ""
    site: str = "call"
    mode: Mode = "credit"
    payload: str = ""  # the section of payloads/ that carries it out, where it is not named like the attack
    baked: tuple[tuple[str, str], ...] = ()  # constants of its own for the payload
    remedy: str = ""  # where that of its class does not fit

    @property
    def kind(self) -> str:
        return self.id.partition("/")[0]

    @property
    def section(self) -> str:
        return self.payload or self.id

    @property
    def fix(self) -> str:
        return self.remedy or fixes().get(self.kind, "")


@cache
def _file() -> dict[str, object]:
    return tomllib.loads(files(__package__).joinpath("attacks.toml").read_text(encoding="utf-8"))


@cache
def fixes() -> dict[str, str]:
    found = _file()["fixes"]
    assert isinstance(found, dict)
    return found


@cache
def everything() -> tuple[Attack, ...]:
    """Every attack of the Python kind, in the order in which they run."""
    rows = _file()["attack"]
    assert isinstance(rows, list)
    return tuple(Attack(**{**row, "needs": tuple(row["needs"])}) for row in rows)
