"""What festina.toml itself leaves open: settings under which the rest of the defence does not help.

Each finding names the line of festina.toml and the line to write instead. Compared with a manifest that has the
remedy (the control), so none of them is a matter of taste: with the remedy in place the same check is silent.

Not covered: whether margins and budgets are wise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from festina.drill.model import Finding, Verdict
from festina.drill.own import source
from festina.drill.own.scratch import Own
from festina.system.globs import matches_any

DREW = "Items were drawn as for a run, and compared."
WIDE_LOSS = 0.25  # of the range: a guard that allows more than this guards little


@dataclass(frozen=True, slots=True)
class Lax:
    """One open setting. ``hole``: by it alone a candidate can earn what it did not; else it is an exposure."""

    attack: str
    title: str
    field: tuple[str, ...]
    why: str
    fix: str
    hole: bool
    did: str = "Nothing was run: festina.toml and the last commit say it."


CHECKED = {
    "files/scope-covers-the-scorer": "change what a scorer loads, through the scope",
    "files/scope-covers-the-scorers-data": "change a file that a scorer reads, through the scope",
    "reach/weak-sandbox": "run below the level that confines a candidate",
    "vacuous/wide-guard": "lose what a guard should keep",
    "labels/public-items-hidden": "read hidden items among the public ones",
    "replay/repeating-items": "answer from memory, because items come again",
    "denominator/failures-count-for-nothing": "fail without cost",
    "seeds/seed-decides-the-items": "know the items from the seed",
}


def attack(own: Own) -> list[Finding]:
    """All checks; those that found nothing are caught, with what was looked at."""
    found = [*_scope(own), *_level(own), *_guards(own), *_items(own)]
    open_ = {lax.attack for lax in found}
    rows = []
    for lax in found:
        rows.append(
            Finding(
                attack=lax.attack, kind=lax.attack.partition("/")[0], title=lax.title, why=lax.why, fix=lax.fix,
                verdict=Verdict.HOLE if lax.hole else Verdict.EXPOSURE, runs=1, caught=0, control=1.0,
                place=own.line_of(*lax.field),
                did=lax.did,
            )
        )
    for name, title in CHECKED.items():
        if name not in open_:
            applies = own.verifier is not None or name == "reach/weak-sandbox"
            rows.append(
                Finding(
                    attack=name, kind=name.partition("/")[0], title=title, runs=int(applies), caught=int(applies),
                    verdict=Verdict.CAUGHT if applies else Verdict.NOT_APPLICABLE, control=1.0,
                    why="festina.toml leaves no room for it" if applies else "the run prints its own score",
                )
            )
    return rows


def _scope(own: Own) -> Iterator[Lax]:
    """What scorers load and read must be out of every proposal's reach.  # T-4"""
    scope = own.manifest.scope_rules()
    field = ("allow",) if own.manifest.allow else ("scope", "allow")
    loaded: dict[str, str] = {}
    opened: dict[str, str] = {}
    for module in source.modules(own.manifest.scorers().values()):
        loaded |= {file: f"{module}, line {line}" for file, line in source.imported_files(own.tree_dir, module).items()}
        opened |= {file: f"{module}, line {line}" for file, line in source.opened_files(own.tree_dir, module).items()}

    def changeable(name: str) -> bool:
        return matches_any(scope.allow, name) and not matches_any((*scope.deny, *scope.protected), name)

    for name, where in sorted(loaded.items()):
        if changeable(name):
            yield Lax(
                "files/scope-covers-the-scorer", f"a proposal may change {name}, which a scorer loads", field,
                f"{name} is loaded by the scorer ({where}), and the scope lets proposals change it; the next epoch "
                "would judge by what a candidate wrote",
                f'add to festina.toml: [scope] protect = ["{name}"]', True,
            )  # fmt: skip
    for name, where in sorted(opened.items()):
        if changeable(name) and name not in loaded:
            yield Lax(
                "files/scope-covers-the-scorers-data", f"a proposal may change {name}, which a scorer reads", field,
                f"{name} is read by the scorer ({where}), and the scope lets proposals change it",
                f'add to festina.toml: [scope] protect = ["{name}"]', True,
            )  # fmt: skip


def _level(own: Own) -> Iterator[Lax]:
    if own.manifest.policy.min_level in ("L0", "L1"):
        yield Lax(
            "reach/weak-sandbox", "run below the level that confines a candidate", ("policy", "min_level"),
            f"min_level {own.manifest.policy.min_level} lets a candidate see the host; verdicts are provisional",
            'write [policy] min_level = "L3"; `festina doctor` says what this machine can do', True,
        )  # T-2  # fmt: skip


def _guards(own: Own) -> Iterator[Lax]:
    for name, guard in own.manifest.guard.items():
        width = guard.range[1] - guard.range[0]
        if guard.max_loss > WIDE_LOSS * width:
            yield Lax(
                "vacuous/wide-guard", f"lose what guard {name} should keep", ("guard", name, "max_loss"),
                f"guard {name} allows a loss of {guard.max_loss:g}, {guard.max_loss / width:.0%} of its whole range",
                f"write max_loss = {0.05 * width:g} or less", False,
            )  # fmt: skip


def _items(own: Own) -> Iterator[Lax]:
    if own.verifier is None:
        return
    batches = [_inputs(own, seed) for seed in (201, 202, 203, 204)]
    hidden = {text for batch in batches for text in batch}
    public = _public_inputs(own)
    shared = hidden & public
    if shared:
        yield Lax(
            "labels/public-items-hidden", "read hidden items among the public ones", ("suite", "public", "items"),
            f"{len(shared)} of {len(hidden)} hidden items drawn stand in the public file as well, with their labels",
            "take them out of the public file, or give the vault other ones (festina vault add SUITE NEW --replace)",
            len(shared) > len(hidden) // 2, DREW,
        )  # fmt: skip
    if not own.finite and own.epoch.suite.mode == "fresh":
        again = sum(text in batches[0] for batch in batches[1:] for text in batch) / sum(map(len, batches[1:]))
        if again > 0.5:
            yield Lax(
                "replay/repeating-items", "answer from memory, because items come again", ("suite", "hidden"),
                f"{again:.0%} of the items of later draws had been drawn before: the generator has few of them",
                "let the generator draw from many more items, or use a finite file with mode = \"sealed\"", False, DREW,
            )  # fmt: skip
        if _other_key_same_items(own):
            yield Lax(
                "seeds/seed-decides-the-items", "know the items from the seed", ("suite", "hidden"),
                "the same items came for another secret: the generator does not use its seed",
                "let generate(seed, n) draw from random.Random(seed)", True, DREW,
            )  # E-3  # fmt: skip
    low, _high = own.epoch.suite.low, own.epoch.suite.high
    worst = own.judge.score(own.rehearse(201)[0], None).mean
    if worst is not None and low is not None and own.unit_score(worst) not in (None, 0.0):
        yield Lax(
            "denominator/failures-count-for-nothing", "fail without cost", ("suite", "hidden", "range"),
            f"a run that fails scores {worst:g}, which is not the worst end of the range",
            "declare range = [worst possible, best possible]", True,
        )  # V-1  # fmt: skip


def _inputs(own: Own, seed: int) -> list[str]:
    _, inputs = own.rehearse(seed)
    return [json.dumps(json.loads(line)["input"], sort_keys=True) for line in (inputs or b"").splitlines()]


def _public_inputs(own: Own) -> set[str]:
    if own.public_items is None:
        return set()
    rows = [json.loads(line) for line in own.public_items[0].splitlines() if line.strip()]
    return {json.dumps(row["input"], sort_keys=True) for row in rows}


def _other_key_same_items(own: Own) -> bool:
    """Draw the same seed with another secret: only a generator that ignores its seed gives the same items."""
    own.new_key("other-verifier", "verifier")
    other = own.start_verifier(own.home.key("other-verifier"))
    issued = other.draw(201, own.epoch.suite.batch_items, first=0)
    theirs = sorted(json.dumps(json.loads(line)["input"], sort_keys=True) for line in issued.inputs.splitlines())
    other.close()
    return theirs == sorted(_inputs(own, 201))
