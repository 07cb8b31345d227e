"""Characterisation: every capability suite, as a whole, on one generation; charged, signed, and no verdict.  # G-1, G-2

A suite's items lie in the vault under its name. Of a file the same items are asked each time, from the first on, so
that generations compare; a generator's are drawn anew from the entry that charges them. A unit without an answer is
counted as missing and leaves the suite incomplete, since what is not answered says nothing about what could be.

The first complete run on a file's items locks the suite's ability scale (``abilities``). Whatever part of an item's
input stands in the generation's own tree, word for word, has leaked: its anchor counts no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from festina.errors import Fault, UsageError
from festina.experiment.batch import Scored
from festina.experiment.trial import Side
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop import abilities
from festina.loop.bench import Bench, Replan
from festina.loop.charging import charge, enough, found, measuring_verifier
from festina.loop.judges import HiddenJudge
from festina.sandbox.job import Ended
from festina.system.repo import Repo
from festina.verify.capabilities import by_place, suite_of, summary
from festina.verify.vault import Vault
from festina.watch.ability import MAX_ANCHORS

LEAST_TEXT = 24  # characters: what is shorter may stand anywhere by chance
MOST_BYTES = 8 << 20  # of one file


def characterise(b: Bench, number: int) -> list[e.Characterised]:
    """Run the suites that this generation lacks; where it lacks none, all of them once more."""
    epoch = b.state.epoch
    suites = epoch.govern.capabilities if epoch is not None and epoch.govern is not None else ()
    if not suites:
        raise UsageError(
            "no-capability-suites", "this epoch measures no capability",
            fix='[capability.NAME] in festina.toml, then festina run --new-epoch "why"',
        )  # fmt: skip
    lacking = [each for each in suites if not b.state.govern.complete(number, each.name)]
    return [_suite(b, terms, number) for terms in lacking or suites]


def _suite(b: Bench, terms: e.CapabilityTerms, number: int) -> e.Characterised:
    source = Vault(b.home.vault).describe(terms.name)
    items = terms.units * terms.batch_items
    words, where = f"the suite '{terms.name}'", f"capability.{terms.name}"
    enough(source, terms.name, items, error="capability-items", words=words, where=where)
    measure = charge(
        b, "characterisation", trials=terms.units, units=terms.units, items=items, source=source.digest, fresh=False,
        generation=number,
    )  # fmt: skip
    tree, leaf = b.repo.tree_of(b.state.generations[number].commit), b.state.side.leaf
    with measuring_verifier(b, suite_of(terms, source.digest)) as verifier:
        judge = HiddenJudge(verifier, terms.batch_items, 0)
        shown: dict[int, bytes] = {}

        def unit(at: int) -> tuple[Side, Scored | None]:
            ticket, inputs = judge.again(unit_seed(leaf, 0, at), at * terms.batch_items)
            shown[at] = inputs or b""
            side = b.trials.side(tree, unit_seed(leaf, 0, at), inputs)
            if side.ended is Ended.SANDBOX_ERROR and not b.cut_off:
                raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
            return side, None if side.answer is None else judge.score(ticket, side.answer, "candidate")

        with ThreadPoolExecutor(b.workers) as pool:
            results = list(pool.map(unit, range(terms.units)))
    if b.cut_off:
        raise Replan
    means = {at: each.mean for at, (_, each) in enumerate(results) if each is not None and each.mean is not None}
    centre, error = summary(list(means.values()))
    details = canonical({"units": [side.record() for side, _ in results]})
    body = e.Characterised(
        measure=measure, generation=number, suite=terms.name, tree=tree, units=len(means),
        items=len(means) * terms.batch_items, missing=terms.units - len(means), mean=centre, error=error,
        details=hashlib.sha256(details).hexdigest(), scores=by_place(terms.units, means),
    )  # fmt: skip
    receipts = [[each.shown] for at, (_, each) in enumerate(results) if each is not None and at in means]
    found(b, "characterisation", measure, Draft(body, blobs=(details,), signer=b.signing(receipts)))
    if source.kind == "items":
        _anchor(b, terms, body, source.digest, shown)
    return body


def _anchor(b: Bench, terms: e.CapabilityTerms, body: e.Characterised, source: str, shown: Mapping[int, bytes]) -> None:
    """Lock the scale where this run is the first that can, and name the anchors that the tree knows by heart."""
    run = abilities.Run(0, "", body, source)
    made = abilities.locking(abilities.view(b.state), terms, run)
    if made is not None:
        b.append(Draft(made))
    known = b.state.govern.skills.leaked.get((terms.name, source), {})
    places = tuple(at for at in leaks(b.repo, body.tree, shown) if at not in known and at < MAX_ANCHORS)
    if places:
        b.append(Draft(e.AnchorsLeaked(suite=terms.name, source=source, generation=body.generation, places=places)))


def leaks(repo: Repo, tree: str, shown: Mapping[int, bytes]) -> list[int]:
    """Places of which a text of some length, that no other place has, stands in a file of the tree."""
    texts: dict[str, set[int]] = {}
    for at, lines in shown.items():
        for line in lines.splitlines():
            for text in _texts(json.loads(line)["input"]):
                texts.setdefault(text, set()).add(at)
    single = {text: next(iter(places)) for text, places in texts.items() if len(places) == 1}
    found: set[int] = set()
    files = [x.oid for x in repo.ls_tree(tree) if x.mode in ("100644", "100755") and x.size <= MOST_BYTES]
    for blob in repo.read_blobs(files).values():
        words = blob.decode("utf-8", "replace")
        plain = words.replace("\\n", "\n").replace('\\"', '"')  # as text stands in a string of source
        found |= {at for text, at in single.items() if at not in found and (text in words or text in plain)}
    return sorted(found)


def _texts(value: object) -> Iterator[str]:
    """Texts of ``LEAST_TEXT`` characters and more, anywhere in an input."""
    if isinstance(value, str):
        if len(value) >= LEAST_TEXT:
            yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
