"""The engine: take the ledger, do what ``next_action`` says until it says stop, let go.

Ctrl-C and SIGTERM stop it cleanly: running trials are killed, the end is recorded, nothing is lost. A kill at
any instant is the same as a crash: the next engine folds the ledger and goes on. One engine a ledger.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Literal

from festina.errors import Fault, UsageError
from festina.experiment.trial import Trials
from festina.govern.stopping import leave, sweep_helpers
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.loop import (
    acts,
    governing,
    holds,
    outlook,
    planting,
    proposing,
    requesting,
    takeback,
    terms,
    trying,
    unattended,
)  # fmt: skip
from festina.loop import next as plan
from festina.loop.bench import Bench, Listener, Replan
from festina.loop.book import LedgerBook, caps_of
from festina.loop.crash import crash_point
from festina.loop.faults import record_fault
from festina.loop.gateways import session_gateway
from festina.loop.judges import HiddenJudge, MetricJudge
from festina.loop.opening import key_of, name_of, opened
from festina.loop.state import State, fold
from festina.loop.steps import STEPS
from festina.loop.trained import shelf
from festina.loop.workspaces import Workspaces, box_for, export
from festina.notify.outbox import Outbox
from festina.propose.types import Improver
from festina.review.binding import stamp
from festina.sandbox import PROPOSER_UID, choose, shows_layers, sweep
from festina.sandbox.job import Level, Sandbox
from festina.system import halts
from festina.system import home as homes
from festina.system.home import Home
from festina.system.manifest import Manifest, parse_manifest
from festina.system.repo import Repo
from festina.verify.client import Verifier
from festina.verify.verdicts import scale_of


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator decides for one run. ``manifest`` None: read festina.toml from the pinned commit."""

    manifest: tuple[Manifest, bytes] | None = None
    wall_s: float = 3600.0
    trials: int = 100_000
    proposals: int = 1_000
    frozen_improver: bool = False  # control arm
    demo: bool = False
    new_epoch: str = ""  # the reason for new rules
    move_anchor: bool = False  # guards are compared with the new epoch's start from then on  # V-4
    review_wait_s: float = 0.0
    weak_sandbox: str = ""  # the reason to go on below the demanded level: provisional verdicts  # T-2
    workers: int = 0  # 0: one for each core
    at_once: int = 1  # tests that may be open side by side
    queue: Sequence[Improver] = ()
    stop: threading.Event | None = None  # set it to stop cleanly, as Ctrl-C does
    improver: Callable[[Manifest, Sandbox], Improver] | None = None  # default: what the manifest names


def run(root: Path, options: Options, listener: Listener | None = None) -> State:
    """Run the loop on the system at ``root`` until a budget ends, a person is needed, or it is stopped.

    Returns the final state; ``state.last_end.reason`` says why it ended. Raises ``UsageError`` before anything
    has started, ``IntegrityError`` when ledger, approval or references do not fit.
    """
    with session(root, options, listener) as bench, _stoppable(bench):
        try:
            _begin(bench, options)
            _loop(bench, options)
        finally:
            bench.expired.set()  # whatever ended it: nothing goes on working, or asks a model
            proposing.abandon(bench)
            trying.abandon(bench)
        return bench.state


@contextmanager
def session(root: Path, options: Options, listener: Listener | None = None) -> Iterator[Bench]:
    """Take the system's ledger with everything that a run needs, and let go of all of it at the end."""
    repo = Repo.discover(root)
    repo.require_clean()
    start_commit = repo.head()
    manifest, data = options.manifest or _manifest(repo, start_commit)
    home = homes.ensure(repo, name_of(repo, manifest))
    with home.engine_lock(), halts.at_work(home.path), ExitStack() as stack:
        sweep_helpers(home.path)
        sweep(home.work)
        home.wipe_scratch()
        repo.sweep_stale_locks()
        repo = stack.enter_context(Repo(repo.root, scratch=home.work))  # a killed engine leaves nothing elsewhere
        told = holds.outbox(home, name_of(repo, manifest))  # a mistake in its settings is said before anything starts
        wanted = Level[manifest.policy.min_level]
        if wanted < Level.L2 and not options.weak_sandbox:
            raise UsageError(
                "weak-sandbox-needs-a-reason", f"min_level {wanted.name} is below L2: verdicts would be provisional",
                fix='festina run --weak-sandbox "why"', where="festina.toml: policy.min_level",
            )  # T-2  # fmt: skip
        sandbox = box_for(stack, Level.L0 if options.weak_sandbox else wanted, home, manifest)
        name = name_of(repo, manifest)
        ledger = stack.enter_context(opened(home, name, alpha=manifest.policy.alpha, demo=options.demo))
        state = fold(ledger.records())
        takeback.finish(ledger, state, repo, home)  # D-4
        holds.require_free(ledger, state, home, alone=True)  # G-5
        stack.enter_context(halts.watched(home.path, state.halts.ended, leave))
        acts.settle_line(ledger, state, repo)  # what a crash left half done
        acts.settle_release(ledger, state, repo)
        min_level = min(int(wanted), int(sandbox.level))
        fresh = terms.epoch(
            repo, home, manifest, data, start_commit, min_level=min_level,
            number=0 if state.epoch is None else state.epoch.epoch + 1,
            anchor=_anchor(state, options),
        )  # fmt: skip
        _one_at_a_time(fresh[0], options)
        _epoch(ledger, state, fresh, options)
        if told is not None:
            told.catch_up(ledger, state.size)
        yield _bench(stack, home, repo, ledger, state, sandbox, options, _telling(told, listener))


def _telling(box: Outbox | None, listener: Listener | None) -> Listener | None:
    """What is recorded is told to whoever listens here and to whoever is to be notified."""
    if box is None:
        return listener

    def tell(record: Record, state: State) -> None:
        box.see(record)
        if listener is not None:
            listener(record, state)

    return tell


@contextmanager
def measuring(root: Path, options: Options) -> Iterator[Bench]:
    """A session for one measurement outside a run: it stops at Ctrl-C and at the end of ``options.wall_s``.

    ``Replan``: it was stopped in the middle of something, which is nobody's failure.
    """
    with session(root, options) as bench, _stoppable(bench):
        try:
            yield bench
        except Fault:
            if bench.cut_off:
                raise Replan from None
            raise


def _manifest(repo: Repo, commit: str) -> tuple[Manifest, bytes]:
    """The commit's manifest; or, where a run without one began the ledger, the one that it began with."""
    try:
        return terms.manifest_at(repo, commit)
    except UsageError as error:
        home = homes.find(repo)
        if error.name != "no-manifest" or home is None or not home.ledger.exists():
            raise
        with Ledger.open(home.ledger, readonly=True) as ledger:
            epoch = fold(ledger.records()).epoch
            data = ledger.get_blob(epoch.manifest) if epoch is not None else b""
        if epoch is None or epoch.suite.assurance != "self-reported":
            raise
        return parse_manifest(data), data


def _epoch(ledger: Ledger, state: State, fresh: tuple[e.EpochOpened, tuple[bytes, ...]], options: Options) -> None:
    """Open the first epoch, or a new one on request; otherwise hold on to the rules that are in force.  # T-4"""
    body, blobs = fresh
    now = state.epoch
    if now is None:
        reason = "first epoch"
    elif options.new_epoch and body.suite.mode == "ledger" and _was_issued(state, body.suite.source or ""):
        raise UsageError(
            "block-used", "these hidden items were issued before, one by one: they cannot become one block",  # S-1
            fix='add items that were never used, or leave the mode as it was', where="festina.toml: suite.hidden.mode",
        )  # fmt: skip
    elif options.new_epoch:
        reason = options.new_epoch[:300]
    elif (body.evaluator, body.min_level) != (now.evaluator, now.min_level):
        raise UsageError(
            "rules-changed", "manifest, scorers, hidden items or confinement are not those that this epoch began with",
            fix='undo the change, or open a new epoch: `festina run --new-epoch "why"` '
            "(its error budget is added to what the report states)",
            where="festina.toml",
        )  # fmt: skip
    else:
        reason = ""
    secret = {"plant_secret": secrets.token_hex(32)} if body.plant_rate > 0 else {}  # V-7, L-5
    if body.review is not None and body.review.catch_rate > 0:
        secret["catch_secret"] = secrets.token_hex(32)
    drafts = [] if not reason else [Draft(body.model_copy(update={"reason": reason}), blobs=blobs, sealed=secret)]
    if options.weak_sandbox and body.min_level < 2:  # each such run says so anew
        text = options.weak_sandbox.encode()
        until = stamp(datetime.now(UTC) + timedelta(days=7))
        waiver = e.Waiver(
            what="sandbox-level", level=body.min_level, reason=hashlib.sha256(text).hexdigest(), expires=until
        )
        drafts.append(Draft(waiver, blobs=(text,)))  # T-2
    for record in ledger.append(drafts):
        state.apply(record)


def _anchor(state: State, options: Options) -> str | None:
    """Where guards stay anchored: with an anchor for each epoch small losses would add up.  # V-4"""
    if options.move_anchor and not options.new_epoch:
        raise UsageError(
            "anchor-needs-an-epoch", "what guards are compared with moves only with a new epoch",
            fix='festina run --new-epoch "why" --move-anchor',
        )  # fmt: skip
    return None if state.epoch is None or options.move_anchor else state.epoch.anchor_tree


def _one_at_a_time(epoch: e.EpochOpened, options: Options) -> None:
    """Candidates that share items are tested one after the other.  # P-4"""
    if options.at_once > 1 and epoch.suite.mode != "fresh":
        raise UsageError(
            "one-at-a-time", f"in {epoch.suite.mode} mode a block carries one open test", fix="leave out --at-once",
            where="festina.toml: suite.hidden.mode",
        )  # fmt: skip


def _was_issued(state: State, source: str) -> bool:
    return state.source_looks.get(source, 0) > 0 and source not in state.ledgers


def _bench(
    stack: ExitStack, home: Home, repo: Repo, ledger: Ledger, state: State, sandbox: Sandbox, options: Options,
    listener: Listener | None,
) -> Bench:  # fmt: skip
    epoch = state.epoch
    assert epoch is not None
    manifest = parse_manifest(ledger.get_blob(epoch.manifest))
    workspaces = Workspaces(repo, home, epoch.start_tree, layers=shows_layers(sandbox))
    signer: object
    verifier = None
    if epoch.suite.assurance == "self-reported":
        judge: HiddenJudge | MetricJudge = MetricJudge(epoch.suite.scorer.removeprefix("stdout:"))
        signer = key_of(home, "verifier")
    else:
        verifier = stack.enter_context(
            Verifier.start(
                vault=home.vault, evaluator=export(repo, home, epoch.start_tree), key=home.key("verifier"),
                suite=epoch.suite, guards=(*epoch.guards, *epoch.judges), timeout_s=manifest.verifier.wall,
                memory_bytes=manifest.verifier.memory, used=state.source_looks.get(epoch.suite.source or "", 0),
            )
        )  # fmt: skip
        verifier.follow(lambda start: (record.envelope for record in ledger.records(start)))
        judge = HiddenJudge(verifier, epoch.suite.batch_items, len(epoch.guards))
        signer = verifier.signer
    proposer_box = choose(sandbox.level, home.work, uid=PROPOSER_UID)
    interrupted, expired = options.stop or threading.Event(), threading.Event()
    book = _book(stack, home, state, manifest, (interrupted, expired))
    gateway, model_spent = session_gateway(manifest, book, state, sandbox.level), threading.Event()
    trials = Trials(
        sandbox, terms.recipe(manifest), workspaces.show, gateway, model_spent.set, shelf(state, home)
    )
    return Bench(
        home=home, repo=repo, ledger=ledger, state=state, scope=manifest.scope_rules(), sandbox=sandbox,
        proposer_box=proposer_box, trials=trials, judge=judge, verifier=verifier, verifier_signer=signer,
        scale=scale_of(epoch),
        public_items=terms.public_items(repo, manifest, epoch.start_tree),
        improver=options.improver(manifest, proposer_box) if options.improver else
        terms.improver(manifest, proposer_box, book, gateway), book=book, queue=options.queue,
        propose_budget=terms.propose_budget(manifest),
        workers=options.workers or os.cpu_count() or 1, wall_s=options.wall_s, listener=listener,
        interrupted=interrupted, expired=expired, model_spent=model_spent,
    )  # fmt: skip


def _book(
    stack: ExitStack, home: Home, state: State, manifest: Manifest, ends: tuple[threading.Event, ...]
) -> LedgerBook | None:
    """Where calls to models are entered and paid for; None where the manifest names no model.  # E-5"""
    if manifest.model is None:
        return None
    book = LedgerBook(
        home.ledger, key_of(home, "engine"), state, caps_of(manifest.model), lambda: any(end.is_set() for end in ends)
    )
    stack.callback(book.close)
    return book


def _begin(b: Bench, options: Options) -> None:
    """Close what a dead engine left open, and say with which budgets and walls this run goes."""
    drafts = []
    if b.state.run is not None:
        drafts.append(
            Draft(e.RunEnded(run=b.state.run.run, reason="crashed", detail="the engine died", wall_s=0.0))
        )
    drafts.append(
        Draft(
            e.RunStarted(
                run=f"run-{b.state.runs}-{secrets.token_hex(4)}", improver=b.improver.author,
                frozen_improver=options.frozen_improver, wall_s=options.wall_s, trials=options.trials,
                proposals=options.proposals, sandbox_level=int(b.sandbox.level),
                sandbox_missing=tuple(m[:300] for m in b.sandbox.missing), sandbox_policy=b.sandbox.policy_hash,
                separated_uids=os.geteuid() == 0 and (b.verifier is None or b.verifier.separated),
                at_once=options.at_once,
            )
        )
    )  # fmt: skip
    b.append(*drafts, still=lambda _: True)  # a reviewer may be enrolled at this very moment
    crash_point("run-started")


def _loop(b: Bench, options: Options) -> None:
    """Fold, decide, act, until the decision is to stop."""
    waited_since: float | None = None
    judged = len(b.state.line)
    while True:
        b.sync()
        judged = _foresee(b, judged)
        if not b.state.waiting:
            waited_since = None
        elif waited_since is None:
            waited_since = b.elapsed_s
        wait_left = options.review_wait_s - (b.elapsed_s - waited_since) if waited_since is not None else 0.0
        elapsed = options.wall_s if b.expired.is_set() else b.elapsed_s
        facts = plan.Facts(
            elapsed, b.interrupted.is_set(), items_left=b.items_left, plant_due=planting.due(b), asked=_asked(b),
            tries=tuple(b.tries), tries_done=any(each.done() for each in b.tries.values()),
            tries_at_once=b.tries_at_once, queued=proposing.queued(b), model_spent=b.model_spent.is_set(),
            word_due=b.word_due == b.state.word_from,
            governed=governing.decided(b.state, datetime.now(UTC)),
            rested=b.rested == b.state.run_proposals,
            release_due=unattended.due(b, datetime.now(UTC)), review_wait_left_s=max(0.0, wait_left),
            review_due=requesting.settle_due(b),
        )
        action = plan.next_action(b.state, facts)
        if isinstance(action, plan.Finish) and action.reason == "halted":
            _finish(b, action)
            return
        if isinstance(action, plan.Finish) and b.asked is not None and not b.cut_off:
            action = plan.TakeProposal(b.asked.number)  # paid for: it is kept  # E-5
        elif isinstance(action, plan.Finish) and b.tries and not b.cut_off:
            action = plan.TakeTries()
        if isinstance(action, plan.Finish):
            _finish(b, action)
            return
        try:
            STEPS[type(action)](b, action)
        except Replan:
            continue
        except UsageError as error:
            _finish(b, plan.Finish("fault", error.name))
            raise
        except Fault as fault:
            if not b.cut_off:  # a killed trial is no fault
                record_fault(b, fault)


def _foresee(b: Bench, judged: int) -> int:
    """After each new generation: an alarm if nothing before it explains what it gained.  # W-3"""
    if len(b.state.line) > judged and (alarm := outlook.alarm_due(b.state)) is not None:
        b.append(Draft(alarm), still=lambda s: outlook.alarm_due(s) == alarm)
    return len(b.state.line)


def _asked(b: Bench) -> Literal["", "working", "done"]:
    if b.asked is None or b.asked.number != b.state.current:
        return ""
    return "done" if b.asked.made.done() else "working"


def _finish(b: Bench, action: plan.Finish) -> None:
    if b.state.run is None:
        return
    body = e.RunEnded(
        run=b.state.run.run, reason=action.reason, detail=action.detail[:300], wall_s=round(b.elapsed_s, 3)
    )
    b.append(Draft(body), still=lambda _: True)


@contextmanager
def _clock(b: Bench) -> Iterator[None]:
    """When the run's time is spent, end what runs in boxes: a hard budget is never overrun.  # E-5"""

    def expire() -> None:
        b.expired.set()
        b.kill_boxes()

    timer = threading.Timer(max(0.0, b.wall_s - b.elapsed_s), expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _stoppable(b: Bench) -> Iterator[None]:
    """A signal or the end of ``wall_s`` stops the work."""
    with stopped_by_signals(b.interrupted, b.kill_boxes), _clock(b):
        yield


@contextmanager
def stopped_by_signals(interrupted: threading.Event, kill: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C and SIGTERM: kill what runs in boxes and let the work end by itself. Main thread only."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        threading.Thread(target=kill, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


