"""What every box shows of the host: the system's programs, the running Python, a made-up ``/etc``. Read-only.

Nothing of the caller's environment, home or configuration is shown. ``/etc`` is a folder made here once per
state folder (loader cache, names of two users, UTC); real host files such as ``/etc/shadow`` are never in view.
Host paths are visible by name in ``/proc/self/mountinfo`` of the box (the kernel shows them): keep secrets
out of path names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from festina.errors import UsageError

__all__ = ["FIXED_ENV", "Runtime", "environment", "masked", "programs", "runtime"]

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
FIXED_ENV = {
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "FESTINA_IN": "/in",
    "FESTINA_OUT": "/out",
    **dict.fromkeys(_THREADS, "1"),
}
# Files of /proc that tell one host or one boot from another and that no computation needs: they are empty in a box.
# What programs choose threads and memory by (cpuinfo, meminfo, stat, loadavg, uptime) and the kernel's version stay.
MASKED = tuple(
    f"/proc/{name}"
    for name in ("cmdline", "partitions", "diskstats", "modules", "interrupts", "devices", "sys/kernel/random/boot_id")
)
# The prose that every Python carries for ``help()``: natural text that a system may well be judged on.
_PROSE = ("lib/python3*/pydoc_data/topics.py", "lib/python3*/pydoc_data/__pycache__/topics.*")
# A name here would reach the trusted shell that opens the gate, before the job's own first instruction.
_UNSAFE_PREFIX = ("LD_", "GLIBC_", "MALLOC_", "BASH")
_UNSAFE_ENV = frozenset({"ENV", "SHELLOPTS", "PS4", "IFS", "CDPATH", "LOCPATH", "NLSPATH"})
_ETC = {
    "passwd": "root:x:0:0:root:/:/bin/false\nbox:x:1000:1000:box:/tmp:/bin/sh\n",
    "group": "root:x:0:\nbox:x:1000:\n",
    "hosts": "127.0.0.1 localhost box\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "timezone": "UTC\n",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """``binds``: (host path, path in the box); ``links``: (target, path in the box)."""

    binds: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    path: str

    def shows(self, path: Path) -> str | None:
        """The bind through which ``path`` would be visible in a box, if any."""
        real = path.resolve()
        return next((host for host, _ in self.binds if real.is_relative_to(Path(host).resolve())), None)


def masked(shown: Runtime) -> list[str]:
    """What stands empty in a box: of this kernel, and of the Pythons that a box shows."""
    places = dict.fromkeys(path for host, _ in shown.binds for path in (Path(host), Path(host) / "local"))
    prose = [str(file) for place in places for glob in _PROSE for file in sorted(place.glob(glob))]
    return [path for path in MASKED if os.path.exists(path)] + prose


def runtime(state: Path) -> Runtime:
    """The runtime of this interpreter, with an ``/etc`` made under ``state``."""
    found = programs(state)
    return Runtime((*found.binds, (str(_etc(state)), "/etc")), found.links, found.path)


def programs(state: Path) -> Runtime:
    """The programs of this host and interpreter alone. ``state`` must not be inside anything that boxes see."""
    binds = [("/usr", "/usr")]
    links = []
    for name in _TOP:
        top = Path("/") / name
        if top.is_symlink():
            links.append((os.readlink(top), str(top)))
        elif top.is_dir():
            binds.append((str(top), str(top)))
    prefixes = [Path(sys.base_prefix).resolve(), Path(sys.prefix).absolute()]
    for prefix in dict.fromkeys(prefixes):
        if not prefix.is_relative_to("/usr"):
            binds.append((str(prefix), str(prefix)))
    found = Runtime(tuple(binds), tuple(links), _search_path(prefixes))
    if shown := found.shows(state):
        raise UsageError(
            "state-in-view",
            f"Festina's state {state} lies inside {shown}, which every box can read",
            fix="keep FESTINA_HOME outside the Python installation and /usr",
        )
    return found


def _search_path(prefixes: list[Path]) -> str:
    own = [str(prefix / "bin") for prefix in reversed(prefixes)]
    return ":".join(dict.fromkeys([*own, "/usr/local/bin", "/usr/bin", "/bin"]))


def _etc(state: Path) -> Path:
    """Make the folder under a name taken from its content, so that engines side by side agree."""
    files = {name: text.encode() for name, text in _ETC.items()}
    for name in ("ld.so.cache", "ld.so.conf"):
        if (Path("/etc") / name).is_file():
            files[name] = (Path("/etc") / name).read_bytes()
    alternatives = Path("/etc/alternatives")  # Debian's programs in /usr/bin may point here
    links = {path.name: os.readlink(path) for path in sorted(alternatives.glob("*")) if path.is_symlink()}
    targets = {name: target for name, target in links.items() if "/man/" not in target}  # most of them: no programs
    digest = hashlib.sha256(repr((sorted(files.items()), targets)).encode()).hexdigest()[:16]
    place = state / f"etc-{digest}"
    if place.is_dir():
        return place
    scratch = state / f"etc-{digest}.{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "alternatives").mkdir(parents=True)
    for name, data in files.items():
        (scratch / name).write_bytes(data)
        (scratch / name).chmod(0o644)
    for name, target in targets.items():
        (scratch / "alternatives" / name).symlink_to(target)
    for path in (scratch, scratch / "alternatives"):
        path.chmod(0o755)
    try:
        scratch.rename(place)
    except OSError:  # another engine was quicker
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def environment(path: str, extra: Mapping[str, str], fixed: Mapping[str, str] = FIXED_ENV) -> dict[str, str]:
    """The whole environment of a job."""
    for name, value in extra.items():
        bad = not name or "=" in name or "\0" in name + value
        if bad or name in _UNSAFE_ENV or name.startswith(_UNSAFE_PREFIX):
            raise UsageError(
                "env-refused",
                f"the environment variable {name!r} cannot be set in a box",
                fix="remove it: names that change how programs are loaded are not passed on",
            )
    return {"PATH": path, **fixed, **extra}
