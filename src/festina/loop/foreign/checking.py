"""Running an outside loop's generations again, in our box and by the evaluator that is pinned here.  # E-1, T-2, T-4

Each check is charged before its first run and recorded with every number that it saw. A claim that does not come out
again is a finding about the claim: it was wrong, it was made elsewhere, or it was one lucky draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from festina.errors import Fault, UsageError
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop.bench import Bench, Replan
from festina.loop.charging import charge, found
from festina.loop.foreign.folding import Story
from festina.loop.foreign.trees import NotHere, carried, contents_of
from festina.propose.history.types import Told
from festina.sandbox.job import Ended
from festina.select.reproduced import reproduced
from festina.verify.client import PROVOKED

Tell = Callable[[Told, e.HistoryChecked | None, str], None]


def due(story: Story, most: int) -> list[Told]:
    """The newest kept generations that make a claim and were not checked yet; with nothing kept, the newest of all."""
    rows = story.kept or sorted(story.newest, key=lambda row: (row.number or 0, row.at))
    return [row for row in reversed(rows) if row.score is not None and row.digest not in story.loop.checks][:most]


def check(b: Bench, story: Story, rows: Sequence[Told], runs: int, tell: Tell) -> list[e.HistoryChecked]:
    """Run ``rows`` again, ``runs`` times each. ``tell`` hears of each, or why it cannot be run."""
    epoch = b.state.epoch
    assert epoch is not None
    _comparable(b, story)
    programs = contents_of(story.loop, b.ledger.get_blob)
    done = []
    for row in rows:
        try:
            over = carried(row, epoch.start_tree, story, b.repo, b.scope, programs)
        except NotHere as error:
            tell(row, None, error.what)
            continue
        tree = b.repo.write_files(epoch.start_tree, over.files)
        b.repo.promote(tree)
        body = _check(b, story, row, tree, runs, over.beyond)
        done.append(body)
        beyond = f"; what it changed beyond the scope was not run: {len(over.beyond)} files" if over.beyond else ""
        tell(row, body, beyond)
    return done


def _comparable(b: Bench, story: Story) -> None:
    """A claim can come out again only on the scale that it was made on."""
    epoch = b.state.epoch
    assert epoch is not None
    metric, _, way = story.loop.last.body.metric.rpartition(":")
    ours = epoch.suite.scorer.removeprefix("stdout:") if epoch.suite.assurance == "self-reported" else ""
    if ours and (metric, way) == (ours, epoch.suite.direction):
        return
    if not ours and b.public_items is not None and way in ("", epoch.suite.direction):
        return
    said = f"{ours}:{epoch.suite.direction}" if ours else "a scorer without public items"
    raise UsageError(
        "another-scale", f"the loop's scores are {metric or 'of no metric'}:{way}, and this system measures {said}",
        fix='festina.toml with the same metric ("NAME:higher"); or let our own gate judge: festina attach --gate',
    )  # fmt: skip


def _check(b: Bench, story: Story, row: Told, tree: str, runs: int, beyond: tuple[str, ...]) -> e.HistoryChecked:
    measure = charge(b, "history", trials=runs, units=runs)
    leaf, epoch = b.state.side.leaf, b.state.epoch
    assert epoch is not None
    assert row.score is not None
    inputs = b.public_items[0] if b.public_items is not None and b.verifier is not None else None

    def once(at: int) -> tuple[float | None, dict[str, object]]:
        side = b.trials.side(tree, unit_seed(leaf, 0, at), inputs)
        if side.ended is Ended.SANDBOX_ERROR and not b.cut_off:
            raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
        return _score(b, side.answer), side.record()

    with ThreadPoolExecutor(b.workers) as pool:
        results = list(pool.map(once, range(runs)))
    if b.cut_off:
        raise Replan
    values = tuple(value for value, _ in results)
    details = canonical({"runs": [record for _, record in results], "beyond": list(beyond)[:100]})
    body = e.HistoryChecked(
        measure=measure, loop=story.loop.name, generation=row.digest, reading=story.held[row.digest], tree=tree,
        claimed=row.score, decimals=row.decimals, values=values, word=reproduced(row.score, row.decimals, values),
        assurance="self-reported" if epoch.suite.assurance == "self-reported" else "scored", level=int(b.sandbox.level),
        details=hashlib.sha256(details).hexdigest(),
    )  # fmt: skip
    found(b, "history", measure, Draft(body, blobs=(details,)))
    return body


def _score(b: Bench, answer: bytes | None) -> float | None:
    """The printed metric, or the mean over the public items, in the suite's own unit."""
    if b.verifier is None:
        return b.judge.score("history", answer).mean
    assert b.public_items is not None
    try:
        each = b.verifier.public(b.public_items[1], answer).each
    except Fault as fault:
        if fault.name not in PROVOKED:
            raise
        return None  # T-6
    return sum(each) / len(each) if each and answer is not None else None
