"""Draws: which hidden items make up a batch.  # E-3, V-3

A batch is a pure function of (source, the verifier's secret, seed, n, first): the same call gives the same batch,
also after a restart, and its ``batch_id`` says so and is checked (a MAC over the items themselves). The secret comes
from the verifier's key, so whoever learns an engine's seed and guesses the generator still cannot draw the items.
Item ids are opaque, belong to one batch only, and tell nothing about the position in the source; the order is
shuffled by the seed.

*Generator* (``fresh``): ``generate(s, n)`` with ``s`` derived from seed and secret, in [0, 2**63). Items repeat
neither within a batch nor knowingly across batches; across batches nothing is compared, so a generator with few
distinct items repeats itself. In ``sealed`` and ``ledger`` mode ``s`` comes from ``first`` alone: candidates that
are shown the same position of a block answer the same items.
*Items*: one secret order over the whole file; a batch is the positions ``first .. first + n - 1``. Reuse within a
block is the caller's arithmetic on ``first``; past the end the suite is spent. A changed file has another order.

For ``unit = "cluster"`` one ``generate`` call is one cluster; of items in a file, whole clusters are dealt, one a
batch, in a secret order of the clusters. Does not cover: whether the items are any good.
"""

from __future__ import annotations

import hmac
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from types import ModuleType

from festina.errors import Fault, UsageError
from festina.verify.parse import Item, make_item, read_items
from festina.verify.scoring import Failure, run
from festina.verify.types import Source

__all__ = ["Batch", "Dealer"]

KEPT = 256  # batches held at once, and
KEPT_BYTES = 64 << 20  # their bytes at most; older ones are drawn again
ROUNDS = 8  # further calls of a generator that repeats itself within a batch
MAX_BATCH = 100_000
Roots = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    id: str
    items: dict[str, Item]  # by issued id, in issued order
    size: int  # bytes

    @property
    def inputs(self) -> bytes:
        return b"".join(item.line(shown) for shown, item in self.items.items())


class Dealer:
    """Deals batches of one suite. Raises ``UsageError`` for what the suite's owner can mend."""

    def __init__(
        self, source: Source, data: bytes, secret: bytes, *, suite: str, mode: str, roots: Roots, unit: str = "item"
    ) -> None:
        self._suite, self._mode, self._roots = suite, mode, roots
        self._secret = hmac.digest(secret, source.digest.encode(), "sha256")
        self._kept: OrderedDict[str, Batch] = OrderedDict()
        self._generate: Callable[[int, int], Iterable[object]] | None = None
        self._items: list[Item] = []
        if source.kind == "generator":
            self._generate = _load_generator(data, roots)
        else:
            items = read_items(data, where=f"vault:{suite}")
            self._items = sorted(items, key=lambda item: self._tag("order", item.id))
        self._clusters = self._grouped() if unit == "cluster" and self._generate is None else None

    def deal(self, seed: int, n: int, first: int) -> Batch:
        """The batch of these numbers. ``first`` counts only where the items, not the draws, are limited."""
        if not (0 <= seed < 1 << 256 and 0 < n <= MAX_BATCH and first >= 0):
            raise UsageError("bad-draw", f"cannot draw {n} items", fix=f"seed >= 0, first >= 0, 1 <= n <= {MAX_BATCH}")
        items = self._pick(seed, n, first)
        _stream(self._tag("shuffle", seed, n, first)).shuffle(items)
        content = sha256(b"\0".join(part for item in items for part in (item.input, item.label))).hexdigest()
        name = f"{seed:x}.{n:x}.{first:x}.{self._tag('batch', seed, n, first, content)[:32]}"
        size = sum(len(item.input) + len(item.label) for item in items)
        batch = Batch(name, {self._tag("item", name, index)[:16]: item for index, item in enumerate(items)}, size)
        if batch.size > KEPT_BYTES:
            raise UsageError(
                "batch-too-large", f"{n} items of suite {self._suite} are more than 64 MiB",
                fix="lower the suite's batch, or make its items smaller",
            )  # fmt: skip
        self._kept[name] = batch
        self._kept.move_to_end(name)
        while len(self._kept) > KEPT or sum(each.size for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return batch

    def find(self, batch_id: str) -> Batch:
        """A batch dealt before, drawn again if need be."""
        if batch_id in self._kept:
            self._kept.move_to_end(batch_id)
            return self._kept[batch_id]
        parts = batch_id.split(".")
        try:
            seed, n, first = (int(part, 16) for part in parts[:3])
        except ValueError:
            seed = -1
        if seed < 0 or len(parts) != 4:
            raise UsageError("unknown-batch", "no batch of this name was drawn", fix="score what draw() gave")
        batch = self.deal(seed, n, first)
        if not hmac.compare_digest(batch.id, batch_id):
            del self._kept[batch.id]
            if self._generate is not None and self.deal(seed, n, first).id != batch.id:
                raise _unstable()
            raise UsageError("unknown-batch", "no such batch was drawn from these items", fix="score what draw() gave")
        return batch

    def sample(self, seed: int, n: int) -> list[Item]:
        """Items for the controls. Nothing of them is issued, so they count as no look and use nothing up."""
        if self._generate is None:
            return _stream(self._tag("control", seed)).sample(self._items, min(n, len(self._items)))
        items = self._generated(self._number("control", seed), n)
        if items != self._generated(self._number("control", seed), n):
            raise _unstable()
        return items

    def _pick(self, seed: int, n: int, first: int) -> list[Item]:
        if self._generate is not None:
            number = self._number("fresh", seed) if self._mode == "fresh" else self._number("at", first)
            return self._generated(number, n)
        if self._clusters is not None:
            return self._cluster(n, first)
        if first + n > len(self._items):  # V-3
            raise self._spent(len(self._items), min(first, len(self._items)), n, "items")
        return self._items[first : first + n]

    def _grouped(self) -> list[list[Item]]:
        """The clusters in a secret order of their own."""
        found: dict[str, list[Item]] = {}
        for item in self._items:
            found.setdefault(item.cluster, []).append(item)
        if "" in found:
            raise UsageError(
                "cluster-missing", f"{len(found[''])} items of suite {self._suite} name no cluster",
                fix='give every item a "cluster", or set unit = "item"', where="festina.toml: suite.hidden.unit",
            )  # fmt: skip
        return [found[name] for name in sorted(found, key=lambda name: self._tag("cluster", name))]

    def _cluster(self, n: int, first: int) -> list[Item]:
        """One whole cluster; each has ``n`` places, whether it fills them or not."""
        assert self._clusters is not None
        if first % n or first // n >= len(self._clusters):
            raise self._spent(len(self._clusters), min(first // n, len(self._clusters)), 1, "clusters")
        chosen = self._clusters[first // n]
        if len(chosen) > n:
            raise UsageError(
                "cluster-too-large", f"a cluster of suite {self._suite} has {len(chosen)} items, a batch {n}",
                fix=f"batch = {max(map(len, self._clusters))}", where="festina.toml: suite.hidden.batch",
            )  # fmt: skip
        return list(chosen)

    def _spent(self, count: int, used: int, asked: int, what: str) -> UsageError:
        return UsageError(
            "suite-spent",
            f"suite {self._suite} has {count} hidden {what}, {used} are used, and {asked} more are asked for",
            fix=f"add items that were never used (festina vault add {self._suite} NEW.jsonl --replace), "
            "which opens a new epoch, or add a generator",
        )

    def _generated(self, number: int, n: int) -> list[Item]:
        """``n`` items without a repeated input; asks again a few times where the generator repeats itself."""
        unique: dict[bytes, Item] = {}
        for round_ in range(ROUNDS):
            for item in self._call(number if round_ == 0 else self._number("more", number, round_), n):
                unique.setdefault(item.input, item)
                if len(unique) == n:
                    return list(unique.values())
        raise UsageError(
            "generator-narrow", f"the generator has not even {n} different items",
            fix="let it draw from more items, or lower the suite's batch", where="generator.py",
        )  # fmt: skip

    def _call(self, number: int, n: int) -> list[Item]:
        generate = self._generate
        assert generate is not None
        random.seed(number)  # a generator that forgets its seed still draws by it
        made, failure = run(lambda: list(islice(generate(number, n), n)), self._roots)
        if failure is not None:
            raise _broken(f"raised {failure.error}", failure)
        if not isinstance(made, list) or len(made) != n:
            raise _broken(f"did not give {n} items", None)
        return [make_item(each, index=i, where="generator.py", need_id=False) for i, each in enumerate(made, 1)]

    def _number(self, *parts: str | int) -> int:
        return int(self._tag(*parts)[:16], 16) >> 1

    def _tag(self, *parts: str | int) -> str:
        return hmac.digest(self._secret, "\0".join(map(str, parts)).encode(), "sha256").hex()


def _stream(tag: str) -> random.Random:
    return random.Random(int(tag, 16))  # keyed by a MAC: not guessable without the secret


def _load_generator(data: bytes, roots: Roots) -> Callable[[int, int], Iterable[object]]:
    module = ModuleType("festina_vault_generator")
    module.__file__ = "<generator>"
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    _, failure = run(lambda: exec(compile(data, "<generator>", "exec"), module.__dict__), roots)  # noqa: S102 -- the owner's own file from the vault
    if failure is not None:
        raise _broken(f"cannot be loaded ({failure.error})", failure)
    generate = getattr(module, "generate", None)
    if not callable(generate):
        raise _broken("has no function generate(seed, n)", None)
    made: Callable[[int, int], Iterable[object]] = generate
    return made


def _broken(what: str, failure: Failure | None) -> UsageError:
    return UsageError(
        "generator-broken", f"the generator {what}", fix="mend it and add it again with --replace",
        where=failure.where if failure and failure.where else "generator.py",
    )  # fmt: skip


def _unstable() -> Fault:
    return Fault(
        "generator-unstable", "the generator gave other items for the same seed",
        fix="let all its randomness come from the seed: random.Random(seed)", where="generator.py",
    )  # fmt: skip
