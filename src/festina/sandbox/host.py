"""What this host can do, found by trying each mechanism for real, and the strongest box that follows.  # T-2

A mechanism that is present on paper and does not work is absent. The last test is a complete box that
reports from inside. Tried once per process. No fallback here: ``choose`` refuses what is below the level asked for.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from festina.errors import FestinaError, UsageError
from festina.sandbox import landlock
from festina.sandbox.box import BubblewrapBox, Mechanisms
from festina.sandbox.cgroup import find_home
from festina.sandbox.cgroup import sweep as sweep_groups
from festina.sandbox.doorway import Doored, Greeter
from festina.sandbox.job import GATEWAY, Ended, Job, Level, Limits, Sandbox
from festina.sandbox.landlocked import LandlockBox
from festina.sandbox.launch import Request, shared
from festina.sandbox.place import CANDIDATE_UID, can_separate, prepare_state, sweep_scratch
from festina.sandbox.plain import PlainBox, sweep_plain
from festina.sandbox.seccomp import Action, compile_filter, here
from festina.sandbox.warm import WarmBox
from festina.system.scratch import prefix

__all__ = ["Finding", "Probe", "boxes", "choose", "probe", "shows_layers", "sweep", "try_gateway", "try_warm", "warmed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mechanism: does it work, what its absence costs, what to do about it."""

    name: str
    works: bool
    cost: str
    remedy: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """``level`` is the strongest that works here; ``facts`` go into the trial record."""

    level: Level
    missing: tuple[str, ...]
    facts: dict[str, str]
    findings: tuple[Finding, ...] = ()
    mechanisms: Mechanisms | None = field(default=None, repr=False)

    def sentence(self) -> str:
        words = {
            Level.L0: "L0: nothing confines a candidate here beyond resource limits; its verdicts are provisional",
            Level.L1: "L1: candidates cannot reach files, sockets or processes of the host, but share its namespaces, "
            "and their memory is watched but not capped; its verdicts are provisional",
            Level.L2: "L2: candidates run in a box without network or view of the host; "
            "the memory of their whole process tree is watched but not capped",
            Level.L3: "L3: candidates run in a box without network or view of the host, "
            "and every resource of their process tree is capped",
        }
        return words[self.level]


def _bwrap_version(bwrap: str) -> tuple[int, ...]:
    done = subprocess.run([bwrap, "--version"], capture_output=True, text=True, timeout=20, check=False)
    digits = done.stdout.strip().rpartition(" ")[2].split(".")
    return tuple(int(part) for part in digits if part.isdigit())


def _works(action: Callable[[], object]) -> str:
    """Empty when it works, else why not."""
    try:
        action()
    except FestinaError as error:
        return error.what
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


def _run_under(filter_: bytes, *, notify: bool) -> None:
    """Start /bin/true under a filter, through the real launcher."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        uid = CANDIDATE_UID if can_separate() else None
        request = Request(("/bin/true",), {}, uid, {}, filter=filter_, notify=notify)
        launched = shared().launch(request, (nothing, nothing, nothing))
    finally:
        os.close(nothing)
    with launched.connection:
        launched.connection.settimeout(20)
        while "gone" not in launched.said and "error" not in launched.said and launched.hear():
            pass
    if launched.listener >= 0:
        os.close(launched.listener)
    if launched.said.get("gone") != 0:
        raise OSError(f"{launched.said.get('error', 'the test program failed')}")


def _try_overlay() -> str:
    """Whether shared files can be shown through an overlay of each run's own."""
    if not can_separate():
        return "needs root"
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = Request(("/bin/true",), {}, CANDIDATE_UID, {}, stage=(("/usr",),), private=True)
        launched = shared().launch(request, (nothing, nothing, nothing))
    finally:
        os.close(nothing)
    with launched.connection:
        launched.connection.settimeout(20)
        while "gone" not in launched.said and "error" not in launched.said and launched.hear():
            pass
    if "shared" in launched.said or launched.said.get("gone") != 0:
        return str(launched.said.get("error", "no overlay can be mounted over /usr"))
    return ""


def _process_flag() -> str:
    """dash and ash call RLIMIT_NPROC -p, bash -u (its -p is something else)."""
    for letter in "up":
        done = subprocess.run(["/bin/sh", "-c", f"ulimit -{letter} 64 && true"], capture_output=True, check=False)
        if done.returncode == 0:
            return letter
    return ""


def _try_box(mechanisms: Mechanisms) -> str:
    """Build a complete box and look around from inside."""
    look = "test $(ls /sys/class/net 2>/dev/null | wc -l) -le 1 && test $(ls -d /proc/[0-9]* | wc -l) -le 6 && echo in"
    with tempfile.TemporaryDirectory(prefix=prefix("probe")) as state:

        def attempt() -> None:
            outcome = BubblewrapBox(Path(state), mechanisms).run(Job(("/bin/sh", "-c", look)), Limits(wall_s=20))
            if outcome.ended is not Ended.OK or outcome.stdout != b"in\n":
                raise OSError(f"{outcome.ended}: {outcome.stderr.decode(errors='replace')[:300]}")

        return _works(attempt)


def _strongest(wanted: Mechanisms) -> tuple[Mechanisms, str]:
    """The form of the box that works, or why none does. Some hosts refuse only the extra lock on namespaces."""
    broken = _try_box(wanted)
    if broken and wanted.disable_userns:
        weaker = replace(wanted, disable_userns=False)
        if not _try_box(weaker):
            return weaker, ""
    return wanted, broken


def _try_landlock(*, notify: bool) -> str:
    """Run a complete job of level L1 that looks around."""
    look = "cat /etc/passwd || ls / || ls /tmp || echo in"
    with tempfile.TemporaryDirectory(prefix=prefix("probe")) as state:

        def attempt() -> None:
            outcome = LandlockBox(Path(state), notify=notify).run(Job(("/bin/sh", "-c", look)), Limits(wall_s=20))
            if outcome.ended is not Ended.OK or outcome.stdout != b"in\n":
                raise OSError(f"{outcome.ended}: {outcome.stderr.decode(errors='replace')[:300]}")

        return _works(attempt)


@functools.cache
def probe() -> Probe:
    """Try everything; the result is kept for the life of the process."""
    findings: list[Finding] = []
    home, why = find_home()  # first: version 2 lets a group be divided only while the engine is alone in it
    bwrap = shutil.which("bwrap") or ""
    version = _bwrap_version(bwrap) if bwrap else ()
    findings.append(
        Finding("bubblewrap", bool(bwrap), "no namespaces: at most L1", "install the package `bubblewrap`", bwrap)
    )
    machine = here() is not None
    refused = _works(lambda: _run_under(compile_filter(Action.EPERM), notify=False)) if machine else "no table"
    findings.append(
        Finding("seccomp", not refused, "vsock and dangerous calls open: level L0", "use x86_64 or aarch64", refused)
    )
    silent = refused or _works(lambda: _run_under(compile_filter(Action.NOTIFY), notify=True))
    findings.append(
        Finding(
            "seccomp listener", not silent, "denied calls are refused but not recorded", "Linux 5.0 or newer", silent
        )
    )
    findings.append(
        Finding(
            "control group",
            home is not None,
            "memory and CPU of a process tree are sampled, not capped: at most L2",
            "run as root, or `systemd-run --user --scope -p Delegate=yes festina ...`",
            why or f"version {home.version}" if home else why,
        )
    )
    shared_files = _try_overlay() if bwrap else "not tried"
    mechanisms = Mechanisms(bwrap, not silent, version >= (0, 8), home, not shared_files, _process_flag())
    mechanisms, broken = _strongest(mechanisms) if bwrap and not refused else (mechanisms, "not tried")
    findings.append(
        Finding(
            "namespaces",
            not broken,
            "candidates would share the host's namespaces: at most L1",
            "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
            "user.max_user_namespaces=10000, kernel.apparmor_restrict_unprivileged_userns=0; in a container: "
            "seccomp and AppArmor unconfined)",
            broken,
        )
    )
    version_here = landlock.abi()
    open_here = refused or (_try_landlock(notify=not silent) if version_here else "this kernel has none, or it is off")
    findings.append(
        Finding(
            "landlock",
            not open_here,
            "without namespaces nothing would confine a candidate: level L0",
            "Linux 5.13 or newer with landlock among the active security modules (lsm=)",
            open_here or "; ".join([f"version {version_here}", *landlock.lacks(version_here)]),
        )
    )
    findings.append(
        Finding(
            "private inodes",
            not shared_files,
            "two trials side by side can signal each other by locks and watches on shared files",
            "run as root, on a kernel with overlayfs; or one trial at a time",
            shared_files,
        )
    )
    findings.append(
        Finding(
            "root",
            can_separate(),
            "engine, verifier and candidates share one uid; their separation is nominal",
            "run as root to give each its own uid",
            "root of a namespace without other user ids" if os.geteuid() == 0 and not can_separate() else "",
        )
    )
    return _result(tuple(findings), mechanisms, version=version)


def _result(findings: tuple[Finding, ...], mechanisms: Mechanisms, *, version: tuple[int, ...]) -> Probe:
    works = {finding.name: finding.works for finding in findings}
    boxed = works["namespaces"]
    level = Level.L1 if works["landlock"] else Level.L0
    if boxed:
        level = Level.L3 if mechanisms.groups else Level.L2
    facts = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "bubblewrap": ".".join(map(str, version)) or "none",
        "control_group": f"v{mechanisms.groups.version}" if mechanisms.groups else "none",
        "landlock": str(landlock.abi()) if works["landlock"] else "none",
        "denied_calls": "recorded" if mechanisms.notify else "refused only",
        "uid": "own" if can_separate() else "shared",
    }
    missing = tuple(f"{finding.name}: {finding.cost}" for finding in findings if not finding.works)
    return Probe(level, missing, facts, findings, mechanisms if boxed else None)


def choose(minimum: Level, state_dir: Path, *, uid: int | None = None) -> Sandbox:
    """The strongest box of this host, at least ``minimum``; below it a refusal, never a silent fallback.  # T-2

    As root every run has a uid of its own, unless ``uid`` names one for all runs.

    ``PlainBox`` comes back only to a caller who asks for L0 by name, which takes a recorded waiver.
    """
    found = probe()
    if found.level < minimum:
        lacks = [finding for finding in found.findings if not finding.works and finding.name != "root"]
        raise UsageError(
            "sandbox-too-weak",
            f"this host offers {found.level.name}, {minimum.name} is demanded; "
            + "; ".join(f"{item.name} does not work ({item.note or 'absent'})" for item in lacks),
            fix="; ".join(item.remedy for item in lacks) or "ask for a level that is built (L3 is the highest)",
        )
    if found.mechanisms is None:
        return _without_namespaces(found, state_dir, uid)
    return BubblewrapBox(state_dir, found.mechanisms, uid=uid)


def _without_namespaces(found: Probe, state_dir: Path, uid: int | None) -> PlainBox:
    if found.level >= Level.L1:
        return LandlockBox(state_dir, uid=uid, notify=found.facts["denied_calls"] == "recorded")
    return PlainBox(state_dir, uid=uid)


def warmed(box: Sandbox, modules: tuple[str, ...], python: str) -> Sandbox:
    """A warm box around ``box``, not yet started; ``box`` itself, saying so, where it confines too little for one."""
    if isinstance(box, BubblewrapBox):
        return WarmBox(box, modules, python=python)
    if isinstance(box, PlainBox):
        box.missing = (*box.missing, "no warm box: modules are loaded anew for each trial")
    return box


def shows_layers(box: Sandbox) -> bool:
    """Whether a bind in this box may have layers below it."""
    return isinstance(box, BubblewrapBox | WarmBox) and box.layers


def try_warm(found: Probe) -> Finding:
    """Whether a warm box works here: one is started, and one trial runs in it."""

    def attempt() -> None:
        if found.mechanisms is None:
            raise OSError("there is no box that it could stand in")
        with tempfile.TemporaryDirectory(prefix=prefix("probe")) as state:
            warm = WarmBox(BubblewrapBox(Path(state), found.mechanisms), ())
            try:
                warm.start()
            finally:
                warm.close()

    broken = _works(attempt)
    return Finding(
        "warm box", not broken, "modules named in experiment.preload cannot be loaded ahead; leave the list empty",
        "allow user namespaces inside user namespaces, and a fresh /proc in them", broken,
    )  # fmt: skip


def try_gateway(found: Probe) -> Finding:
    """Whether a box can be given a way to the model gateway: a job in one connects and is greeted."""
    code = f"import socket; print(socket.create_connection({GATEWAY!r}).recv(99).decode(), end='')"

    def attempt() -> None:
        if found.mechanisms is None:
            raise OSError("there is no box that it could stand in")
        with tempfile.TemporaryDirectory(prefix=prefix("probe")) as state:
            box = BubblewrapBox(Path(state), found.mechanisms)
            job = Job((os.path.realpath(sys.executable), "-I", "-S", "-c", code), door=Greeter())
            outcome = box.run(job, Limits(wall_s=20))
            if outcome.stdout != b"festina\n":
                raise OSError(f"{outcome.ended}: {outcome.stderr.decode(errors='replace')[-300:]}")

    broken = _works(attempt)
    return Finding(
        "model gateway", not broken, "agents and candidates cannot ask a model: [model] serves use = \"model\" alone",
        "what `namespaces` needs, see there", broken,
    )  # fmt: skip


def boxes(state_dir: Path) -> dict[str, Callable[[int | None, str], Sandbox]]:
    """Every kind of box that this host offers, strongest first, each as a way to make one.

    A maker takes the uid of all its runs (None: one for each) and the Python of a warm box.
    """
    found = probe()
    offered: dict[str, Callable[[int | None, str], Sandbox]] = {}
    if (mechanisms := found.mechanisms) is not None:
        if mechanisms.groups:
            offered["L3"] = functools.partial(_cold, state_dir, mechanisms)
        if try_warm(found).works:
            offered["warm"] = functools.partial(_warm, state_dir, mechanisms)
        offered["gateway"] = functools.partial(_doored, state_dir, mechanisms)
        offered["L2"] = functools.partial(_cold, state_dir, replace(mechanisms, groups=None))
    if found.facts["landlock"] != "none":
        notify = found.facts["denied_calls"] == "recorded"
        offered["L1"] = lambda uid, _: LandlockBox(state_dir, uid=uid, notify=notify)
    offered["L0"] = lambda uid, _: PlainBox(state_dir, uid=uid)
    return offered


def _cold(state_dir: Path, form: Mechanisms, uid: int | None, _python: str) -> Sandbox:
    return BubblewrapBox(state_dir, form, uid=uid)


def _doored(state_dir: Path, form: Mechanisms, uid: int | None, _python: str) -> Sandbox:
    return Doored(BubblewrapBox(state_dir, form, uid=uid))


def _warm(state_dir: Path, form: Mechanisms, uid: int | None, python: str) -> Sandbox:
    return WarmBox(BubblewrapBox(state_dir, form, uid=uid), (), python=python)


def sweep(state_dir: Path) -> list[str]:
    """Remove what killed engines left: processes, control groups, scratch folders. Returns what was removed.  # E-1"""
    removed = sweep_scratch(prepare_state(state_dir)) + sweep_plain()
    home, _ = find_home()
    return removed + (sweep_groups(home) if home is not None else [])
