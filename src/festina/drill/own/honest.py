"""Honest candidates: other ways of doing the same must keep the score, end well and raise no guard's alarm.

Each variant runs beside the incumbent on the same items and seed. It is kept when it ends ``ok`` and its score is
within the noise of a batch; the incumbent against itself is the first of them.

Not covered: honest changes of the method. Whether those are found is what a run is for.
"""

from __future__ import annotations

from dataclasses import replace

from festina.drill.model import Honest
from festina.drill.own import programs
from festina.drill.own.candidates import Ground, apart, plant, program
from festina.drill.own.scratch import Own, entry_script, side_by_side
from festina.drill.own.world import World
from festina.experiment.trial import Side, Trials
from festina.loop import terms
from festina.sandbox.job import Ended

TOO_LATE = "ended 'timeout_wall'"
ROOMY = 192 << 20  # bytes: below this limit numpy and child processes may fail for want of memory alone
CROWD = 16  # processes and threads that a program with helpers may need
NEEDS_ROOM = ("uses multiprocessing", "uses numpy if it is there", "uses a child process", "uses threads")


def attack(own: Own, world: World, base: Ground, workers: int, *, brief: bool = False) -> list[Honest]:
    """Every variant on every seed; ``brief``: the incumbent itself alone."""
    limits = terms.recipe(own.manifest).limits
    variants: list[tuple[str, str]] = [("the incumbent itself, again", ""), *programs.HONEST.items()]
    file, python = entry_script(own)
    if brief:
        variants = variants[:2]
    elif python:
        variants.append(("a comment and blank lines more", "comment"))

    def one(variant: tuple[str, str]) -> Honest:
        name, body = variant
        if name in NEEDS_ROOM and (limits.memory_bytes < ROOMY or limits.pids < CROWD):
            return Honest(name, 0, 0, "the limits on memory or processes are too small for it", applicable=False)
        argv = None
        if not body:
            tree = own.tree
        elif body == "comment":
            text = (own.tree_dir / file).read_bytes()
            tree = own.plant({file: text + b"\n\n# the same, said at greater length\n"})
        else:
            tree, argv = plant(own, program(own, world, f"honest {name}", body, limits))
        trials = own.trials(argv=argv)
        lost = [why for seed in base.seeds if (why := _lost(own, base, tree, seed, trials))]
        if any(TOO_LATE in why for why in lost):  # a busy machine, or a slow candidate: once more, with time to spare
            patient = own.trials(replace(limits, wall_s=4 * limits.wall_s), argv)
            lost = [why for seed in base.seeds if (why := _lost(own, base, tree, seed, patient))]
        return Honest(name, len(base.seeds), len(base.seeds) - len(lost), lost[0] if lost else "")

    return side_by_side(own, workers, one, variants)


def _lost(own: Own, base: Ground, tree: str, seed: int, trials: Trials) -> str:
    """Why an honest run was not kept, or an empty string."""
    ticket, inputs = own.rehearse(seed)
    side: Side = trials.side(tree, seed, inputs)
    if side.ended is not Ended.OK:
        return f"it ended '{side.ended.value}' ({side.detail or 'no detail'})"
    scored = own.judge.score(ticket, side.answer)
    score = own.unit_score(scored.mean)
    if score is None:
        return "it gave nothing that could be scored"
    allowed = apart(own, base)
    for terms_, now, before in zip(own.epoch.guards, scored.guards, base.guards[seed], strict=True):
        if abs(now - before) > allowed * (terms_.high - terms_.low):
            return f"guard {terms_.name} read {now:.3f} and {before:.3f} for the incumbent"
    if abs(score - base.honest[seed]) > allowed:
        return f"it scored {score:.3f} and the incumbent {base.honest[seed]:.3f}, {allowed:.3f} apart is noise"
    return ""
