"""From a manifest to the terms of an epoch: what counts, how it is run, what is protected.

The one place that knows both the manifest's words and the ledger's. Manifest, scorers and public items are read
from the pinned commit, never from a candidate's tree.  # T-4
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from festina.errors import UsageError
from festina.experiment.trial import Recipe
from festina.govern.ladder import TOP
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.loop import material, outside, soaking
from festina.propose.asking import Asking
from festina.propose.book import Book, PaperBook
from festina.propose.gateway import Allowance, Gateway
from festina.propose.types import Budget as ProposeBudget
from festina.propose.types import Improver
from festina.sandbox.job import Level, Limits, Sandbox
from festina.select import planning, sameness
from festina.select.budget import SEARCHED, SPREAD
from festina.select.gate import Plan
from festina.select.rules import RULE
from festina.system.globs import matches_any
from festina.system.home import Home
from festina.system.manifest import FILE_NAME, ArchiveTable, EachModel, HiddenSuite, Manifest, parse_manifest
from festina.system.repo import Repo
from festina.verify.types import Source
from festina.verify.vault import Vault
from festina.verify.verdicts import ANCHORED, first_plan, losses_of, width_of

if TYPE_CHECKING:
    from festina.propose.model import Settings

MODEL_WALL_S = 300.0  # for one proposal of a model, all its tries together, where the manifest names no other
AGENT_WALL_S, AGENT_BYTES = 900.0, 4 << 30  # of a preset's agent where the manifest names no other
MOST_UNITS = 200_000  # of one test
BLOCKS = 4  # into so many sealed blocks a finite suite is cut unless max_units says otherwise
PRODUCTS_VARIANCE = 0.02  # of differences of two improvers' products, in units of the range: a guess, rather large
METRIC_UNITS = 60  # pairs at most for a self-reported metric: a run of the user's script each side


def manifest_at(repo: Repo, commit: str) -> tuple[Manifest, bytes]:
    """The manifest in a commit, checked against that commit's files, and its bytes."""
    tree = repo.tree_of(commit)
    paths = {entry.path for entry in repo.ls_tree(tree)}
    if FILE_NAME not in paths and (repo.root / FILE_NAME).is_file():
        raise UsageError(
            "no-manifest", f"{repo.root / FILE_NAME} is there, and the last commit does not hold it",
            fix=f"git add {FILE_NAME} && git commit -m 'Add {FILE_NAME}'", where=FILE_NAME,
        )  # fmt: skip
    if FILE_NAME not in paths:
        raise UsageError(
            "no-manifest", f"the last commit of {repo.root} holds no {FILE_NAME}",
            fix="`festina init -- COMMAND` writes one (then commit it); or `festina run -- COMMAND` goes without",
            where=FILE_NAME,
        )  # fmt: skip
    data = repo.read_file(tree, FILE_NAME)
    def read(name: str) -> bytes | None:
        return repo.read_file(tree, name) if name in paths else None

    return parse_manifest(data, FILE_NAME, read=read), data


def epoch(
    repo: Repo, home: Home, manifest: Manifest, data: bytes, start: str, *, number: int, min_level: int,
    anchor: str | None = None,
) -> tuple[e.EpochOpened, tuple[bytes, ...]]:  # fmt: skip
    """The opening entry of an epoch that starts at commit ``start``, and the content it refers to.

    ``anchor``: the tree that guards are compared with, kept from the epoch before; None: that of ``start``.  # V-4
    """
    tree = repo.tree_of(start)
    suite = _suite(home, manifest)
    _unattended(manifest, suite)
    guards = guards_of(manifest)
    digest = hashlib.sha256(data).hexdigest()
    guarded = [glob for glob in manifest.protected() if glob != FILE_NAME]  # its own digest stands for the manifest
    judged_by = [[x.path, x.oid] for x in repo.ls_tree(tree) if matches_any(guarded, x.path)]
    evaluator = hashlib.sha256(canonical({"manifest": digest, "files": judged_by, "vault": suite.source})).hexdigest()
    body = e.EpochOpened(
        epoch=number, reason="first epoch", start_commit=start, start_tree=tree, anchor_tree=anchor or tree,
        manifest=digest,
        evaluator=evaluator, alpha=float(manifest.policy.alpha), error=manifest.policy.error,
        beta=float(manifest.policy.beta),
        spread=spread_of(manifest), suite=suite, guards=guards, autonomy=manifest.policy.autonomy,
        debt_generations=manifest.policy.debt.generations, debt_lines=manifest.policy.debt.lines, min_level=min_level,
        debt_unexplained=None if (most := manifest.policy.debt.unexplained) is None else float(most),
        final=_final(home, manifest, suite), attribution_share=float(manifest.policy.attribution.share),
        internals_share=float(manifest.internals.share) if manifest.internals is not None else 0.0,
        internals_retrainings=manifest.internals.retrainings if manifest.internals is not None else 0,
        control_share=float(manifest.policy.control_share), control_level=sameness.LEVEL,
        crossplay_share=float(manifest.policy.crossplay_share) if manifest.improver.use == "own" else 0.0,
        plant_rate=float(manifest.policy.plant_rate), judges=_judges(manifest, suite),
        goal_family=manifest.suite.hidden.family if manifest.suite.hidden is not None else "unknown",
        productivity=_productivity(manifest, suite),
        proposer_family="search" if manifest.improver.use == "search" else manifest.improver.family, rule=RULE,
        wording=2,
        review=_review(manifest),
        govern=_govern(manifest, suite),
        witness=outside.terms_from(manifest), documents=material.terms_from(manifest),
        **soaking.terms(home, manifest),
        release_steps=manifest.policy.release_steps,
        archive=_archive(manifest),
    )  # fmt: skip
    planning.check_reachable(
        first_plan(body), width=width_of(suite), guards=[(g.name, g.high - g.low) for g in guards],
        judges=[j.name for j in body.judges if j.role == "decide"],
    )  # S-7
    if body.productivity is not None:
        improver = improver_plan(body)
        ranges = [*((g.name, g.high - g.low) for g in guards), ("task", width_of(suite)), (ANCHORED, width_of(suite)),
                  ("conduct", 1.0)]  # fmt: skip
        planning.check_reachable(improver, width=width_of(suite), guards=ranges)
    return body, (data,)


def _unattended(manifest: Manifest, suite: e.SuiteTerms) -> None:
    """What the highest rung of autonomy rests on has to be declared, so that it can lapse.  # G-7"""
    if manifest.policy.autonomy != TOP:
        return
    tiers = [tier for each in manifest.capability.values() for tier in each.tiers]
    lacking = [
        what
        for what, there in (
            ('policy.lease (e.g. "24h")', manifest.policy.lease is not None),
            ("[policy.pace] with a step", manifest.policy.pace is not None),
            ("[capability.NAME] with tiers that name safeguards", bool(tiers)),
            ("[suite.hidden]: scores that nobody prints about himself", suite.assurance == "hidden"),
            ('min_level = "L2" or more', Level[manifest.policy.min_level] >= Level.L2),
        )
        if not there
    ]
    if lacking:
        raise UsageError(
            "unattended-needs", "releasing unattended rests on what this file does not declare", fix="; ".join(lacking),
            where=f"{FILE_NAME}: policy.autonomy",
        )  # fmt: skip


def _govern(manifest: Manifest, suite: e.SuiteTerms) -> e.GovernTerms:
    """How fast the loop may go, and what measures how far it came.  # G-1, G-2, G-4"""
    pace, where = manifest.policy.pace, f"{FILE_NAME}: policy.pace"
    if pace is not None and not manifest.capability:
        raise UsageError(
            "pace-without-suites", "capability may move by a step, and nothing measures capability",
            fix="[capability.NAME] with a scorer, and its items: festina vault add NAME FILE", where=where,
        )  # fmt: skip
    if pace is not None and suite.low is None:
        raise UsageError(
            "pace-without-range", "without a declared range nobody can say how far a change moved the odds",
            fix="[suite.hidden] with a range", where=where,
        )  # fmt: skip
    suites = tuple(
        e.CapabilityTerms(
            name=name, scorer=each.scorer, low=float(each.range[0]), high=float(each.range[1]),
            direction=each.direction, units=each.units, batch_items=each.batch, floor=float(each.floor),
            shows=each.shows,
            tiers=tuple(e.TierTerms(at=float(tier.at), safeguards=tier.safeguards) for tier in each.tiers),
        )
        for name, each in manifest.capability.items()
    )  # fmt: skip
    steps = None if pace is None else e.PaceTerms(step=float(pace.step), first=float(pace.first), valid_s=pace.valid)
    return e.GovernTerms(
        lease_s=manifest.policy.lease, reverts=float(manifest.policy.reverts), pace=steps, capabilities=suites
    )


def _review(manifest: Manifest) -> e.ReviewTerms:
    """How people review.  # R-3, R-4, R-5"""
    table = manifest.policy.review
    return e.ReviewTerms(
        people=table.people, lines_per_hour=float(table.lines_per_hour), max_lines=table.max_lines,
        per_hour=table.per_hour, per_day=table.per_day, max_waiting=table.max_waiting,
        cooling_off_s=float(table.cooling_off), catch_rate=float(table.catch_rate), authority=float(table.authority),
    )


def guards_of(manifest: Manifest) -> tuple[e.GuardTerms, ...]:
    """The declared guards, in the manifest's order.  # V-4"""
    return tuple(
        e.GuardTerms(
            name=name, scorer=guard.scorer, low=float(guard.range[0]), high=float(guard.range[1]),
            direction=guard.direction, max_loss=float(guard.max_loss),
        )
        for name, guard in manifest.guard.items()
    )  # fmt: skip


def improver_plan(body: e.EpochOpened) -> Plan:
    """The plan of the epoch's first test if that is one for the improver.  # S-6"""
    terms, width = body.productivity, width_of(body.suite)
    assert terms is not None  # asked only where there are some
    return replace(
        first_plan(body), kind="bounded", margin=0.0, detect=terms.detect / width, judges=(), units_max=terms.max_units,
        guards=(*(g.max_loss / (g.high - g.low) for g in body.guards), *losses_of(terms, width)),
    )  # fmt: skip


def _suite(home: Home, manifest: Manifest) -> e.SuiteTerms:
    hidden = manifest.suite.hidden
    if hidden is None:
        if manifest.guard:
            raise UsageError(
                "guards-without-scorer", "guards are declared, but the command prints its own score",  # V-4
                fix="guards need answers to score: add a [suite.hidden]", where=f"{FILE_NAME}: guard",
            )  # fmt: skip
        return _metric_suite(manifest)
    if hidden.range is None:
        raise UsageError(
            "range-missing", "the hidden suite declares no range, so no answer has a worst score",  # V-1
            fix="range = [lowest, highest] score of one item", where=f"{FILE_NAME}: suite.hidden.range",
        )  # fmt: skip
    source = Vault(home.vault).describe("hidden")
    low, high = hidden.range
    return e.SuiteTerms(
        name="hidden", scorer=hidden.scorer, low=float(low), high=float(high), direction=manifest.direction,
        unit=hidden.unit, mode=hidden.mode, margin=float(hidden.margin), detect=float(hidden.detect),
        batch_items=hidden.batch, max_units=units_of(hidden, manifest, float(high - low), source),
        source=source.digest, assurance="hidden",
        looks=hidden.looks,
        word_every_s=0.0 if hidden.mode == "fresh" else float(hidden.word_every),
        bits=float(hidden.bits) if hidden.mode == "ledger" else 0.0,
        test=hidden.test, train=manifest.experiment.train,
    )  # fmt: skip


def _final(home: Home, manifest: Manifest, suite: e.SuiteTerms) -> e.SuiteTerms | None:
    """The sealed final suite: the goal's scorer on items of its own, whose source each scoring names.  # V-3"""
    table = manifest.suite.final
    if table is None:
        return None
    source = Vault(home.vault).describe("final")
    if source.kind == "items" and source.digest == suite.source:
        raise UsageError(
            "final-is-hidden", "the final suite's items are the hidden suite's, so they are no check on the gate",
            fix="festina vault add final OTHER.jsonl --replace", where=f"{FILE_NAME}: suite.final",
        )  # fmt: skip
    return suite.model_copy(
        update={
            "name": "final", "mode": "fresh", "margin": 0.0, "batch_items": table.batch, "max_units": table.units,
            "source": None, "looks": table.looks, "word_every_s": 0.0, "bits": 0.0,
        }
    )  # fmt: skip


def _judges(manifest: Manifest, suite: e.SuiteTerms) -> tuple[e.JudgeTerms, ...]:
    """The further verifiers. One that names no ``detect`` looks for the goal's share of its range.  # V-5"""
    found = []
    for name, judge in manifest.judge.items():
        low, high = float(judge.range[0]), float(judge.range[1])
        detect = judge.detect if judge.detect is not None else suite.detect / width_of(suite) * (high - low)
        found.append(
            e.JudgeTerms(
                name=name, scorer=judge.scorer, low=low, high=high, direction=judge.direction, role=judge.role,
                margin=float(judge.margin), detect=float(detect), family=judge.family,
            )
        )  # fmt: skip
    return tuple(found)


def units_of(hidden: HiddenSuite, manifest: Manifest, width: float, source: Source) -> int:
    """The declared cap, or a computed one that somebody could live to see and that a block's items allow."""
    units = hidden.max_units or _cap(hidden, manifest, width)
    count = source.positions(hidden.unit, hidden.batch)
    if hidden.mode != "fresh" and count is not None:
        most = count // hidden.batch
        if hidden.max_units is None:
            units = max(1, min(units, most if hidden.mode == "ledger" else most // BLOCKS))
        if units > most:
            raise UsageError(
                "block-too-large", f"one block needs {units} units of {hidden.batch} items, the vault holds {most}",
                fix="lower max_units or batch, or add items", where=f"{FILE_NAME}: suite.hidden.max_units",
            )  # fmt: skip
    if units > MOST_UNITS:
        raise UsageError(
            "plan-unreachable",  # S-7
            f"to find a gain of {hidden.detect:g} a test would need {units:,} runs of each side",
            fix="raise detect (or max_loss of the guards), or alpha", where=f"{FILE_NAME}: suite.hidden.detect",
        )  # fmt: skip
    return units


def _productivity(manifest: Manifest, suite: e.SuiteTerms) -> e.ProductivityTerms | None:
    """How proposals for the improver's sake are judged, where the manifest lets there be any.  # S-6"""
    table = manifest.improver.productivity
    if table is None:
        return None
    wrong = {
        f'the improver is no part of the system (use = "{manifest.improver.use}")':
            'improver.use = "own"' if manifest.improver.use != "own" else "",
        "the hidden suite declares no range": "suite.hidden.range" if suite.low is None else "",
        f'the hidden suite\'s test is "{suite.test}"':
            'suite.hidden.test = "bounded"' if suite.low is not None and suite.assumed != "bounded" else "",
        f'the hidden suite shares its items (mode = "{suite.mode}")':
            'suite.hidden.mode = "fresh"' if suite.mode != "fresh" else "",
    }  # fmt: skip
    if any(wrong.values()):
        raise UsageError(
            "productivity-needs-own", "proposals for the improver's sake cannot be judged here: "
            + "; ".join(what for what, fix in wrong.items() if fix),
            fix=f"{', '.join(filter(None, wrong.values()))}; or take [improver.productivity] out",
            where=f"{FILE_NAME}: improver.productivity",
        )  # fmt: skip
    detect, max_loss = float(table.detect or suite.detect), float(table.max_loss or suite.detect)
    width = width_of(suite)
    plan = Plan(
        kind="bounded", level=_late(manifest), margin=0.0,
        detect=detect / width, beta=manifest.policy.beta,
        guards=(*(g.max_loss / (g.range[1] - g.range[0]) for g in manifest.guard.values()), max_loss / width,
                max_loss / width, float(table.conduct)), units_max=1,
    )  # fmt: skip
    most = table.max_units or planning.units_max_default(plan, 0.5 / suite.batch_items + PRODUCTS_VARIANCE)
    return e.ProductivityTerms(
        detect=detect, max_loss=max_loss, conduct=float(table.conduct), max_units=min(most, MOST_UNITS),
        anchored=True,
    )


def _cap(hidden: HiddenSuite, manifest: Manifest, width: float) -> int:
    """Units at most, from the size of effect asked for and the noise of a mean over the batch."""
    plan = Plan(
        kind=hidden.test, level=_late(manifest), margin=hidden.margin / width,
        detect=hidden.detect / width, beta=manifest.policy.beta,
        guards=tuple(g.max_loss / (g.range[1] - g.range[0]) for g in manifest.guard.values()), units_max=1,
    )  # fmt: skip
    return planning.units_max_default(plan, 0.5 / hidden.batch + 0.002)


def _metric_suite(manifest: Manifest) -> e.SuiteTerms:
    """Terms for a metric that the run prints about itself: no range, so the test for few seeds.  # S-7, V-10"""
    return e.SuiteTerms(
        name="metric", scorer=f"stdout:{manifest.metric_name}", low=None, high=None, direction=manifest.direction,
        unit="seed", mode="fresh", margin=0.0, detect=0.0, batch_items=1, max_units=METRIC_UNITS, source=None,
        assurance="self-reported",
    )  # fmt: skip


def _archive(manifest: Manifest) -> e.ArchiveTerms | None:
    """How the improver searches before it hands in; it needs public evidence. The built-in search does where there is
    some: it is safe in several threads, and comes further with it (benchmarks/search.py).  # P-7
    """
    table = manifest.improver.archive
    if table is False:
        return None
    hidden, public = manifest.suite.hidden, manifest.suite.public
    shown = hidden is None or (public is not None and public.scorer == hidden.scorer)
    if table is None:
        if manifest.improver.use != "search" or not shown:
            return None
        table = ArchiveTable()
    if not shown:
        raise UsageError(
            "archive-without-evidence",
            "an archive tries changes on public items, and there are none with the goal's scorer",
            fix="add [suite.public] with the hidden suite's scorer, or leave out improver.archive",
            where=f"{FILE_NAME}: improver.archive",
        )  # fmt: skip
    return e.ArchiveTerms(tries=table.tries, seeds=table.seeds, workers=table.workers, trials=table.trials)


def spread_of(manifest: Manifest) -> float:
    """About how many tests share the error budget: what the manifest says, or few where an archive goes before them.

    Where the share of wrong ones is bounded acceptances give nothing back, and many are hoped for.  # S-1, P-7
    """
    if manifest.policy.spread is not None:
        return float(manifest.policy.spread)
    return SPREAD if _archive(manifest) is None or manifest.policy.error == "fdr" else SEARCHED


def _late(manifest: Manifest) -> float:
    """The level that the longest test is sized for: once half of the budget is gone, whether or not few share it."""
    return manifest.policy.alpha / (2 * (manifest.policy.spread or SPREAD) + 1)


def recipe(manifest: Manifest) -> Recipe:
    """How a tree is run."""
    limits = manifest.experiment.limits
    return Recipe(
        run=manifest.command,
        answer=manifest.experiment.answer,
        outputs=manifest.experiment.outputs,
        limits=Limits(
            wall_s=limits.wall, cpu_s=limits.cpu_s, memory_bytes=limits.memory, cpus=limits.cpus, pids=limits.pids,
            stdout_bytes=limits.stdout, output_bytes=limits.output, output_files=limits.output_files,
            tmp_bytes=limits.tmp,
        ),
        prints_metric=manifest.self_reported,
        gpu=manifest.experiment.gpu,
        models=Allowance(limits.model_calls, limits.model_tokens) if manifest.experiment.model else None,
        once=manifest.experiment.train == "once",
    )  # fmt: skip


def propose_budget(manifest: Manifest) -> ProposeBudget:
    limits = manifest.improver.limits
    given, how = limits.model_fields_set, manifest.improver
    wall = limits.wall
    if "wall" not in given:
        wall = AGENT_WALL_S if how.preset else MODEL_WALL_S if how.use == "model" else wall
    memory = AGENT_BYTES if how.preset and "memory" not in given else limits.memory
    return ProposeBudget(wall_s=wall, cpu_s=limits.cpu if limits.cpu is not None else wall, memory_bytes=memory)


def improver(
    manifest: Manifest, sandbox: Sandbox, book: Book | None = None, gateway: Gateway | None = None
) -> Improver:
    """The improver that the manifest names. ``book``: where calls to models are entered; ``gateway``: by which
    programs ask them."""
    table = manifest.improver
    goal = f"make {manifest.metric_name or 'the score'} {manifest.direction}"
    if table.use == "model":
        return _model(manifest, goal, book or PaperBook(), sandbox.level)
    if table.use == "search":
        from festina.propose.search import Search

        return Search()
    if table.use == "own":
        assert table.run is not None  # the manifest's own check
        from festina.propose.own import OwnImprover

        return OwnImprover(sandbox, table.run, models=asking(manifest, gateway))
    from festina.propose.command import CommandImprover

    task = f"{table.task} ({goal})" if table.task else goal
    models = asking(manifest, gateway)
    if table.preset is not None:
        from festina.propose.presets import ready

        assert manifest.model is not None  # the manifest's own check
        agent = ready(table.preset, manifest.model.names[0], table.run)
        return CommandImprover(sandbox, agent.run, name=table.preset, goal=task, models=models, agent=agent)
    assert table.run is not None  # the manifest's own check
    return CommandImprover(sandbox, table.run, goal=task, models=models)


def asking(manifest: Manifest, gateway: Gateway | None) -> Asking:
    """What one proposing run may ask of models."""
    limits = manifest.improver.limits
    allowed = Allowance(limits.model_calls, limits.model_tokens)
    return Asking(gateway if manifest.improver.asks else None, allowed)


def _model(manifest: Manifest, goal: str, book: Book, level: Level) -> Improver:
    """A model behind the manifest's endpoint. UsageError: its key is not there, or candidates could read it."""
    from festina.propose.chat import Endpoint, HttpModel, key_from
    from festina.propose.meter import Price
    from festina.propose.model import ModelImprover

    table = manifest.model
    assert table is not None  # the manifest's own check
    each = {name: table.each.get(name, EachModel()) for name in table.names}
    prices = {name: Price(float(one.input), float(one.output)) for name, one in each.items()}
    key = key_from(table.key_env)
    if key and level < Level.L2:
        raise UsageError(
            "key-in-reach", f"at level {level.name} a candidate could read the key in this process's environment",
            fix="a stronger sandbox (festina doctor), or an endpoint that needs no key", where=f"{FILE_NAME}: model",
        )  # T-1  # fmt: skip
    endpoint = Endpoint(table.endpoint, key, table.wall, prices)
    return ModelImprover(HttpModel(endpoint, book), model_settings(manifest, goal))


def model_settings(manifest: Manifest, goal: str = "") -> Settings:
    """How a model is asked for proposals."""
    from festina.propose.model import Settings, Voice

    table, how = manifest.model, manifest.improver
    assert table is not None  # the manifest's own check
    each = {name: table.each.get(name, EachModel()) for name in table.names}
    voices = tuple(Voice(name, float(one.weight), tuple(map(float, one.temperature))) for name, one in each.items())
    public = manifest.suite.public
    return Settings(
        voices, goal, how.task, how.format, how.prompt, how.tries, table.max_output,
        public.items if public is not None else None,
    )  # fmt: skip


def public_items(repo: Repo, manifest: Manifest, tree: str) -> tuple[bytes, bytes] | None:
    """(inputs alone, items with labels) of the public suite, as JSON lines; None where there is none."""
    import json

    public = manifest.suite.public
    if public is None or manifest.suite.hidden is None or public.scorer != manifest.suite.hidden.scorer:
        return None
    data = repo.read_file(tree, public.items)
    rows = [json.loads(line) for line in data.splitlines() if line.strip()]
    inputs = b"".join(canonical({"id": row["id"], "input": row["input"]}) + b"\n" for row in rows)
    return inputs, data
