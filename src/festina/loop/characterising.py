"""Characterisation: every capability suite, as a whole, on one generation; charged, signed, and no verdict.  # G-1, G-2

A suite's items lie in the vault under its name. Of a file the same items are asked each time, from the first on, so
that generations compare; a generator's are drawn anew from the entry that charges them. A unit without an answer is
counted as missing and leaves the suite incomplete, since what is not answered says nothing about what could be.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from festina.errors import Fault, UsageError
from festina.experiment.batch import Scored
from festina.experiment.trial import Side
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop.bench import Bench, Replan
from festina.loop.charging import charge, found
from festina.loop.judges import HiddenJudge
from festina.loop.workspaces import export
from festina.sandbox.job import Ended
from festina.system.manifest import parse_manifest
from festina.verify.capabilities import suite_of, summary
from festina.verify.client import Verifier
from festina.verify.vault import Vault


def characterise(b: Bench, number: int) -> list[e.Characterised]:
    """Run the suites that this generation lacks; where it lacks none, all of them once more."""
    epoch = b.state.epoch
    suites = epoch.govern.capabilities if epoch is not None and epoch.govern is not None else ()
    if not suites:
        raise UsageError(
            "no-capability-suites", "this epoch measures no capability",
            fix="[capability.NAME] in festina.toml, then festina run --new-epoch",
        )  # fmt: skip
    lacking = [each for each in suites if not b.state.govern.complete(number, each.name)]
    return [_suite(b, terms, number) for terms in lacking or suites]


def _suite(b: Bench, terms: e.CapabilityTerms, number: int) -> e.Characterised:
    source = Vault(b.home.vault).describe(terms.name)
    items = terms.units * terms.batch_items
    if source.count is not None and source.count < items:
        raise UsageError(
            "capability-items", f"the suite '{terms.name}' has {source.count} items, and takes {items}",
            fix=f"festina vault add {terms.name} MORE --replace, or fewer units",
            where=f"festina.toml: capability.{terms.name}",
        )  # fmt: skip
    measure = charge(
        b, "characterisation", trials=terms.units, units=terms.units, items=items, source=source.digest, fresh=False,
        generation=number,
    )  # fmt: skip
    tree, leaf = b.repo.tree_of(b.state.generations[number].commit), b.state.side.leaf
    epoch = b.state.epoch
    assert epoch is not None
    table = parse_manifest(b.ledger.get_blob(epoch.manifest)).verifier
    with Verifier.start(
        vault=b.home.vault, evaluator=export(b.repo, b.home, epoch.start_tree), key=b.home.key("verifier"),
        suite=suite_of(terms, source.digest), timeout_s=table.wall, memory_bytes=table.memory,
    ) as verifier:  # fmt: skip
        judge = HiddenJudge(verifier, terms.batch_items, 0)

        def unit(at: int) -> tuple[Side, Scored | None]:
            ticket, inputs = judge.again(unit_seed(leaf, 0, at), at * terms.batch_items)
            side = b.trials.side(tree, unit_seed(leaf, 0, at), inputs)
            if side.ended is Ended.SANDBOX_ERROR and not b.cut_off:
                raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
            return side, None if side.answer is None else judge.score(ticket, side.answer, "candidate")

        with ThreadPoolExecutor(b.workers) as pool:
            results = list(pool.map(unit, range(terms.units)))
    if b.cut_off:
        raise Replan
    scored = [each for _, each in results if each is not None and each.mean is not None]
    centre, error = summary([each.mean for each in scored if each.mean is not None])
    details = canonical({"units": [side.record() for side, _ in results]})
    body = e.Characterised(
        measure=measure, generation=number, suite=terms.name, tree=tree, units=len(scored),
        items=len(scored) * terms.batch_items, missing=terms.units - len(scored), mean=centre, error=error,
        details=hashlib.sha256(details).hexdigest(),
    )  # fmt: skip
    shown = [[each.shown] for each in scored]
    found(b, "characterisation", measure, Draft(body, blobs=(details,), signer=b.signing(shown)))
    return body
