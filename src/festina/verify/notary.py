"""What the verifier signs: entries whose numbers follow from its own scores and from the entries before.  # T-1, S-4

The notary reads the ledger's entries as the engine hands them over and keeps books on them (``account``). A statement
is signed only when it continues exactly these entries (number and hash), its numbers follow from them, and the scores
behind it carry receipts of this verifier (``receipts``). The signature covers the hash of the entry before, so it is
worth something only in a ledger that holds the very history from which the numbers follow: that all of *its*
signatures hold is everybody's to check (``festina ledger verify``), and needs no second check here.

Signed without a check of their numbers: ``attributed``, ``internals-compared`` and ``public-compared``, which decide
nothing (their content is held against them by ``festina ledger verify --verdicts``). Not covered: which tree wrote an
answer, how its process ended, how often it was run, and what ran out: these are the engine's word. A suite whose
candidate prints its own score has no verifier's process at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NoReturn

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.merkle import leaf_hash
from festina.ledger.record import Record
from festina.ledger.seeds import control_seed, unit_seed
from festina.ledger.signing import PUBLIC_BYTES, SIGNATURE_BYTES, LocalKey
from festina.ledger.statement import NO_PREV, Entry, decode, glance, seal
from festina.select.pairing import OURS, Differences, Scale, mean, product_means, unit_differences
from festina.select.report import estimate, interval
from festina.verify import capabilities, soaking
from festina.verify.account import TAKEN, Account, Open
from festina.verify.receipts import Receipts, ScoreRow, digest_of, rows_of
from festina.verify.verdicts import scale_of, width_of

_PREV = b'"prev":"'  # after it in a payload stand only a schema and a number


class Behind(Exception):
    """The statement continues entries that were not handed over yet. Never leaves the verify room."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Notary:
    """Books on one ledger, and the verifier's key."""

    def __init__(self, key: LocalKey, receipts: Receipts) -> None:
        self._key, self._receipts = key, receipts
        self._account = Account()
        self._size, self._prev = 0, NO_PREV
        self._anew = False

    def enter(self, envelopes: Iterable[bytes]) -> int:
        """Take the next entries in; how many there are then."""
        for envelope in envelopes:
            leaf = leaf_hash(envelope)
            kind, _, payload = glance(envelope)
            at = payload.rfind(_PREV) + len(_PREV)
            if payload[at : at + 64] != self._prev.encode():
                _refuse(f"entry {self._size} does not follow the one before it")
            record = Record(self._size, envelope, leaf)
            if kind in TAKEN:
                self._take(record)
            self._size, self._prev = self._size + 1, record.leaf
        return self._size

    def _take(self, record: Record) -> None:
        body = record.body
        if isinstance(body, e.Genesis) and body.verifier_key != _base64(self._key.public):
            _refuse("this ledger was started with another verifier's key")
        self._account.take(record)

    def sign(self, entry: Entry, signed: bytes, shown: object) -> bytes:
        """The signature over a statement that was taken apart, or an error that says what does not follow."""
        if entry.seq > self._size:
            raise Behind(self._size)
        if (entry.seq, entry.prev) != (self._size, self._prev):
            if self._anew:
                _refuse(f"entry {entry.seq} would stand after another entry than the last one")
            self._account, self._size, self._prev, self._anew = Account(), 0, NO_PREV, True
            raise Behind(0)  # what was handed over may have been rolled back: once more from the start
        self._anew = False
        body = entry.model()
        entry.check_exact(body)
        for row in self._account.check(entry.seq, entry.kind, body):
            _refuse(f"{row.kind}: {row.field} is {row.recorded[:200]}, and the entries before it give "
                    f"{row.recomputed[:200]}")  # fmt: skip
        check = _CHECKS.get(entry.kind)
        if check is not None:
            check(self, body, shown)
        return self._key.sign(signed)

    # -- scores behind an entry

    def _batch(self, b: e.BatchEnded, shown: object) -> None:
        test, epoch = self._account.test(b.test), self._account.rules()
        incumbent = self._account.line.trees.get(test.terms.base_commit, "")
        improver = test.terms.target == "productivity"
        apart = self._account.anchor_apart(incumbent, test.terms.target)
        roles = {"candidate", "incumbent"} | ({"anchor"} if apart else set())
        roles |= {"carrier", "head"} if improver else set()
        units = self._units(shown, roles, _hidden(epoch))
        if len(units) != len(b.gain):
            _refuse(f"batch-ended: {len(b.gain)} units, and scores of {len(units)}")
        self._places(units, test, epoch)
        conduct = b.guards[-1] if improver else (0.0,) * len(units)  # the engine's word, as is how a process ended
        if any(value not in (-1.0, 0.0, 1.0) for value in conduct):
            _refuse("batch-ended: conduct is counted by whole refusals")
        made = [_differences(unit, scale_of(epoch), each) for unit, each in zip(units, conduct, strict=True)]
        _same("batch-ended", "gain", b.gain, tuple(d.gain for d in made))
        _same("batch-ended", "guards", b.guards, tuple(zip(*(d.guards for d in made), strict=True)))
        _same("batch-ended", "judges", b.judges, tuple(zip(*(d.judges for d in made), strict=True)))
        for role, said in (("candidate", b.candidate_mean), ("incumbent", b.incumbent_mean)):
            _same("batch-ended", f"{role}_mean", said, mean([unit[role].mean for unit in units]))

    def _places(self, units: Sequence[dict[str, ScoreRow]], test: Open, epoch: e.EpochOpened) -> None:
        """The units' items are those of the seeds that the intent named, and of the block that is in use.  # E-3"""
        draws = [_draw(unit["candidate"].batch) for unit in units]
        _same("batch-ended", "seeds", test.seeds, sha256(canonical([seed for seed, _, _ in draws])).hexdigest())
        size = epoch.suite.batch_items
        if any(n != size for _, n, _ in draws):
            _refuse(f"batch-ended: units of other than {size} items")
        places = [at for _, _, at in draws]
        if epoch.suite.mode != "fresh":
            first = test.terms.first_item + len(test.gains) * size
            _same("batch-ended", "places", places, [first + i * size for i in range(len(draws))])
        elif any(places) and len(set(places)) != len(places):  # all 0 where items never end
            _refuse("batch-ended: two units on the same items")

    def _control(self, b: e.ControlEnded, shown: object) -> None:
        epoch = self._account.rules()
        units = self._units(shown, {"candidate", "incumbent"}, _hidden(epoch))
        control = self._account.control
        assert control is not None  # the entry was checked against the books
        _seeded("control-ended", units, [control_seed(control.leaf, i) for i in range(len(units))])
        rows = []
        for unit in units:
            made = _differences(unit, scale_of(epoch))
            first = 1.0 if _draw(unit["candidate"].batch)[0] % 2 == 0 else -1.0
            row = (made.gain, first * made.gain, *made.guards, *made.judges)
            rows.append((0.0,) * len(row) if any(side.late for side in unit.values()) else row)
        _same("control-ended", "differences", (b.gain, b.order, *b.guards), tuple(zip(*rows, strict=True)))

    def _final(self, b: e.FinalScored, shown: object) -> None:
        epoch, measure = self._account.rules(), self._account.measure
        terms = _hidden(epoch)
        if epoch.final is not None and measure is not None and measure.purpose == "final":
            suite = epoch.final.model_copy(update={"source": measure.source})
            terms = digest_of(suite.model_dump(mode="json"), [])
        units = self._units(shown, {"candidate", "incumbent"}, terms)
        if measure is not None and measure.purpose == "final":
            leaf = self._account.draws[measure.generation, measure.source]
            _seeded("final-scored", units, [unit_seed(leaf, 0, i) for i in range(measure.units)])
        scale, width = scale_of(epoch), width_of(epoch.suite)
        gains = [_differences(unit, Scale(scale.sign, scale.width, ())).gain for unit in units]
        around = interval(gains)
        if around is None:
            _refuse("final-scored: no unit")
        _same("final-scored", "units", b.units, len(gains))
        _same("final-scored", "estimate", b.estimate, estimate(gains) * width)
        _same("final-scored", "interval", b.interval, (around[0] * width, around[1] * width))
        _same("final-scored", "mean_a", b.mean_a, mean([unit["candidate"].mean for unit in units]) or 0.0)
        _same("final-scored", "mean_b", b.mean_b, mean([unit["incumbent"].mean for unit in units]) or 0.0)

    def _characterised(self, b: e.Characterised, shown: object) -> None:
        """A capability suite's numbers are those of its scores on the charged measurement's draws.  # G-1"""
        measure, terms = self._account.measure, _capability(self._account.rules(), b.suite)
        if measure is None or (measure.measure, measure.purpose) != (b.measure, "characterisation"):
            _refuse("characterised: no measurement was charged for it")
        suite = capabilities.suite_of(terms, measure.source)
        units = self._units(shown, {"candidate"}, digest_of(suite.model_dump(mode="json"), []))
        _same("characterised", "units", (b.units, b.missing), (len(units), terms.units - len(units)))
        places = {unit_seed(self._account.measure_leaf, 0, i): i for i in range(terms.units)}
        means = {_draw(unit["candidate"].batch)[0]: unit["candidate"].mean for unit in units}
        if not means.keys() <= places.keys() or len(means) != len(units):
            _refuse("characterised: scores of other items than the measurement's")
        kept = capabilities.by_place(terms.units, {places[seed]: mean for seed, mean in means.items()})
        _same("characterised", "unit scores", b.scores, kept)
        made = capabilities.summary([unit["candidate"].mean for unit in units])
        _same("characterised", "scores", (b.mean, b.error), made)

    def _soaked(self, b: e.Soaked, shown: object) -> None:
        """A soak's numbers are those of its scores on the charged measurement's draws.  # D-3"""
        measure, epoch = self._account.measure, self._account.rules()
        terms = {each.name: each for each in epoch.soaks}.get(b.suite)
        if measure is None or (measure.measure, measure.purpose) != (b.measure, "soak") or terms is None:
            _refuse("soaked: no measurement was charged for it")
        suite = soaking.suite_of(terms, measure.source)
        units = self._units(shown, {"candidate", "incumbent"}, digest_of(suite.model_dump(mode="json"), []))
        _seeded("soaked", units, [unit_seed(self._account.measure_leaf, 0, i) for i in range(terms.units)])
        scale = Scale(1.0 if terms.direction == "higher" else -1.0, terms.high - terms.low, ())
        rows = [
            (_differences(unit, scale).gain, unit["candidate"].mean, unit["incumbent"].mean) for unit in units
        ]  # fmt: skip
        now = soaking.asking(self._account.soaks, b.tree, b.suite)
        for name, made in soaking.numbers(terms, rows, now).items():
            _same("soaked", name, getattr(b, name), made)

    def _problem(self, b: e.CrossplayProblem, shown: object) -> None:
        """Products and start answered the draws of the charged measurement.  # W-2"""
        measure = self._account.measure
        if measure is None or measure.measure != b.measure or not isinstance(shown, list):
            _refuse("crossplay-problem: no measurement was charged for it")
        roles = {"candidate", "incumbent"} | ({"anchor"} if shown and len(shown[0]) == 3 else set())
        units = self._units(shown, roles, _hidden(self._account.rules()))
        leaf = self._account.measure_leaf
        _seeded("crossplay-problem", units, [unit_seed(leaf, 0, i) for i in range(measure.units)])
        sides = (("candidate", b.left.score), ("incumbent", b.right.score), ("anchor", b.start))
        means = [{role: row.mean for role, row in unit.items()} for unit in units]
        made = product_means(means, scale_of(self._account.rules()).sign) or {}
        for role, said in sides:
            _same("crossplay-problem", role, said, made.get(role))

    def _controls(self, b: e.ControlsChecked, shown: object) -> None:
        """A failed control needs no proof: whoever says so accepts nothing."""
        if not b.ok:
            return
        epoch = self._account.rules()
        match shown:
            case [list(seen), list(side)]:
                receipts = Receipts(self._receipts.secret, _hidden(epoch))
                wanted = [-1, *(len(epoch.guards) + j for j in range(len(epoch.judges)))]
                if len(seen) != len(wanted):
                    _refuse("controls-checked: not every scorer's controls were shown")
                for further, row in zip(wanted, seen, strict=True):
                    match row:
                        case [float(low), float(chance), float() | None as top, str(receipt)]:
                            made = receipts.controls(further, low, chance, top, True)
                            _same("controls-checked", "receipt", receipt, made)
                        case _:
                            _refuse("controls-checked: what was shown is no receipt")
                _same("controls-checked", "scores", [b.constant, b.random, b.oracle], seen[0][:3])
                (unit,) = self._units([[side]], {"incumbent"}, _hidden(epoch))
                _same("controls-checked", "incumbent", b.incumbent, unit["incumbent"].mean)
            case _:
                _refuse("controls-checked: no receipts were shown")

    def _units(self, shown: object, roles: set[str], terms: str) -> list[dict[str, ScoreRow]]:
        """Every unit's sides by role: one of each, all on the same batch, each with a receipt that holds."""
        units = []
        for value in shown if isinstance(shown, list) else []:
            rows = rows_of(value)
            unit = {row.side: row for row in rows}
            if set(unit) != roles or len(rows) != len(roles):
                _refuse(f"scores of {sorted(unit)} where those of {sorted(roles)} belong")
            if len({row.batch for row in rows}) != 1:
                _refuse("the sides of a unit answered different items")
            if not all(self._receipts.holds(row, terms) for row in rows):
                _refuse("a score that this verifier did not give, or gave for something else")
            units.append(unit)
        batches = [row.batch for unit in units for row in unit.values()]
        if len(set(batches)) != len(units):
            _refuse("two units on one draw of items")  # V-3
        return units


def take_apart(data: bytes, keyid: str) -> Entry:
    """The entry that a statement to be signed would become."""
    payload = data.split(b" ", 4)[4]
    return decode(seal(payload, keyid, bytes(SIGNATURE_BYTES)))


def _capability(epoch: e.EpochOpened, name: str) -> e.CapabilityTerms:
    found = [each for each in (epoch.govern.capabilities if epoch.govern else ()) if each.name == name]
    if not found:
        _refuse(f"characterised: this epoch has no suite '{name}'")
    return found[0]


def _hidden(epoch: e.EpochOpened) -> str:
    """The terms under which the epoch's own verifier scores."""
    others = [each.model_dump(mode="json") for each in (*epoch.guards, *epoch.judges)]
    return digest_of(epoch.suite.model_dump(mode="json"), others)


class _Side:
    """A row as the rule reads it: guards and further verifiers apart."""

    __slots__ = ("guards", "judges", "mean")

    def __init__(self, row: ScoreRow, guards: int) -> None:
        self.mean: float | None = row.mean
        self.guards, self.judges = row.others[:guards], row.others[guards:]


def _differences(unit: dict[str, ScoreRow], scale: Scale, conduct: float = 0.0) -> Differences:
    sides = {role: _Side(row, len(scale.guards)) for role, row in unit.items()}
    if any(len(side.judges) < len(scale.judges) for side in sides.values()):
        _refuse("scores without those of every guard and verifier")
    late = any(row.late for role, row in unit.items() if role not in OURS)
    return unit_differences(sides, scale, late=late, conduct=conduct)


def _seeded(kind: str, units: Sequence[dict[str, ScoreRow]], seeds: Sequence[int]) -> None:
    """The draws are those that follow from the intent, all of them and no others.  # E-3"""
    _same(kind, "seeds", [_draw(next(iter(unit.values())).batch)[0] for unit in units], list(seeds))


def _draw(batch: str) -> tuple[int, int, int]:
    """(seed, items, first position) as the batch's name says; the name was under the receipt."""
    seed, n, first, _ = batch.split(".")
    return int(seed, 16), int(n, 16), int(first, 16)


def _same(kind: str, field: str, said: object, made: object) -> None:
    if repr(said) != repr(made):
        _refuse(f"{kind}: {field} is {str(said)[:200]}, and the verifier's own scores give {str(made)[:200]}")


def _refuse(what: str) -> NoReturn:
    raise IntegrityError(
        "not-signed", what, fix="the engine asked for a signature on what does not follow: keep the ledger, report it"
    )


def _base64(public: bytes) -> str:
    from base64 import b64encode

    return b64encode(public[:PUBLIC_BYTES]).decode()


_CHECKS: dict[str, Any] = {
    "characterised": Notary._characterised, "soaked": Notary._soaked,
    "batch-ended": Notary._batch, "control-ended": Notary._control, "final-scored": Notary._final,
    "controls-checked": Notary._controls, "crossplay-problem": Notary._problem,
}  # fmt: skip
