"""From a run that is over to its ``Outcome``: the same for every box with namespaces.

Everything is dead (or lost) when this is called. The results are read, the counters looked at once more, and the
end is named. Not covered: L0, which has other counters (``plain.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from festina.sandbox.harvest import Harvest, after_harvest, harvest
from festina.sandbox.job import Ended, Job, Level, Outcome
from festina.sandbox.supervise import GroupMeter, Space, Stream, TreeMeter, Tripwire, Watch, classify

__all__ = ["Finished", "Stamp", "conclude"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a box says of itself in every outcome.  # T-2"""

    level: Level
    missing: tuple[str, ...]
    policy_hash: str
    box: str


@dataclass(frozen=True, slots=True)
class Finished:
    """One run that is over. Without ``meter`` and ``space`` it was stopped before the job's first instruction."""

    job: Job
    watch: Watch
    streams: list[Stream]
    stamp: Stamp
    tripwire: Tripwire | None = None
    meter: GroupMeter | TreeMeter | None = None
    space: Space | None = None


def conclude(run: Finished) -> Outcome:
    """Read what is left, then name the end."""
    watch = run.watch
    if run.space is None:
        return _outcome(run, watch.own or Ended.SANDBOX_ERROR, ["stopped before it began"], None)
    if watch.stopped and watch.own is None:
        watch.own = Ended.SANDBOX_ERROR
    notes = ["stopped by the engine"] if watch.stopped and watch.own is Ended.SANDBOX_ERROR else []
    if isinstance(run.meter, GroupMeter) and run.meter.host_ran_out():
        notes.append("the host ran out of memory")
    own = watch.own or next((over for part in (run.meter, run.space) if part and (over := part.over())), None)
    if own is None and any(stream.over for stream in run.streams):
        own = Ended.OUTPUT_LIMIT
    if watch.lost:  # nobody can say that everything is dead, so nothing is read  # T-3
        return _outcome(run, Ended.SANDBOX_ERROR, [*notes, "the sandbox helper died"], None)
    return _outcome(run, own, notes, harvest(run.space.pinned, run.job.outputs, watch.limits))


def _outcome(run: Finished, own: Ended | None, notes: list[str], found: Harvest | None) -> Outcome:
    watch, meter = run.watch, run.meter
    said = watch.launched.said if watch.launched is not None else {}
    end = classify(said.get("gone"), own, folded=True)
    ended = end.ended
    if found is not None:
        ended, more = after_harvest(ended, found, run.job.outputs)
        notes = [*notes, *more]
    if run.tripwire is not None and run.tripwire.ident is not None:  # it was started
        run.tripwire.join(0.5)  # ends by itself: every process under the filter is dead
    cpu = 0.0 if meter is None else meter.cpu_s()
    peak = None if meter is None else meter.peak_bytes()
    if isinstance(meter, TreeMeter):
        cpu, peak = max(cpu, said.get("cpu", 0.0)), max(peak or 0, said.get("rss", 0)) or None
    return Outcome(
        ended=ended,
        exit_code=end.exit_code,
        signal=end.signal,
        wall_s=watch.wall_s,
        cpu_s=cpu,
        peak_memory_bytes=peak,
        outputs=found.files if found is not None else {},
        unread=frozenset(name for name, _ in found.refused) if found is not None else frozenset(),
        stdout=bytes(run.streams[0].data),
        stderr=bytes(run.streams[1].data),
        denied=run.tripwire.names() if run.tripwire is not None else (),
        level=run.stamp.level,
        missing=run.stamp.missing,
        policy_hash=run.stamp.policy_hash,
        detail="; ".join(notes),
        box=run.stamp.box,
    )
