"""The devices of a job on a GPU: found by their nodes, shown in a cold box, refused clearly where there are none.

Limits, filter and harvest are those of every other job. What differs: the nodes below are in the box's ``/dev``, the
bus and the topology of devices in its ``/sys`` (drivers look themselves up there), and limits on the memory of single
processes are left out, since drivers reserve far more addresses than they use; the control group's cap holds.

Not covered: memory on the device is neither capped nor known to be wiped between runs by anyone but the driver; host
memory that a driver pins may not be counted; a driver's ioctls are a large door into the kernel; runs side by side on
one device can time each other.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from festina.errors import UsageError

__all__ = ["SYSTEM", "Device", "devices", "groups_for", "require"]

# Where drivers look for devices and their topology; shown read-only, and only to jobs that ask for a GPU.
SYSTEM = (
    "/sys/bus/pci",
    "/sys/class/drm",
    "/sys/class/kfd",
    "/sys/devices",
    "/sys/module/nvidia",
    "/sys/module/amdgpu",
)
_NVIDIA = re.compile(r"nvidia(\d+|ctl|-uvm|-uvm-tools|-modeset)|nvidia-caps/nvidia-cap\d+")
_AMD = re.compile(r"kfd|dri/renderD\d+")


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of the host and its place in a box."""

    source: str
    target: str


def devices(root: Path = Path("/dev")) -> tuple[Device, ...]:
    """Every node that a GPU job may use, or nothing where there is no whole set of one maker's."""
    places = [root, root / "dri", root / "nvidia-caps"]
    names = [
        path.relative_to(root).as_posix() for place in places if place.is_dir() for path in sorted(place.iterdir())
    ]
    nodes = [name for name in names if stat.S_ISCHR((root / name).lstat().st_mode)]
    nvidia = [name for name in nodes if _NVIDIA.fullmatch(name)]
    amd = [name for name in nodes if _AMD.fullmatch(name)]
    found = nvidia if "nvidiactl" in nvidia and any(name[6:].isdigit() for name in nvidia) else []
    found += amd if "kfd" in amd and len(amd) > 1 else []
    return tuple(Device(str(root / name), f"/dev/{name}") for name in found)


def groups_for(found: tuple[Device, ...]) -> tuple[int, ...]:
    """Groups that a run under a uid of its own must be in to open the nodes; never root's."""
    groups = []
    for device in found:
        status = os.stat(device.source)
        if status.st_mode & 0o006 == 0o006:
            continue
        if status.st_gid == 0 or status.st_mode & 0o060 != 0o060:
            raise UsageError(
                "gpu-closed",
                f"{device.source} can be opened by root alone, and a candidate never runs as root",
                fix=f"let a group use it (chgrp render {device.source}; chmod 660 {device.source})",
            )
        groups.append(status.st_gid)
    return tuple(dict.fromkeys(groups))


def require() -> tuple[Device, ...]:
    """The nodes of this machine's GPUs; a refusal where there are none."""
    found = devices()
    if not found:
        raise UsageError(
            "no-gpu",
            "the experiment asks for a GPU, and this machine shows none (no /dev/nvidia0 with /dev/nvidiactl, "
            "no /dev/kfd with /dev/dri/renderD*)",
            fix="use a machine with a GPU and its driver (a container needs the devices too), or set gpu = false",
            where="festina.toml: experiment.gpu",
        )
    return found
