"""Jobs on a GPU: found, shown, refused. The last test needs one and makes a real CUDA call.  # T-2, E-1"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.sandbox import gpu
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Ended, Job, Level, Limits
from festina.sandbox.landlocked import LandlockBox
from festina.sandbox.warm import WarmBox

PYTHON = "/usr/bin/python3"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="device nodes can be made by root alone")
boxed = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-gpu-") as name:
        yield Path(name)


def node(path: Path, mode: int = 0o666) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR | mode, os.makedev(1, 9))  # of urandom: it can be read
    path.chmod(mode)


@root_only
def test_T2_only_whole_sets_of_nodes_count(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").write_text("a file is no device")
    node(tmp_path / "nvidiactl")
    node(tmp_path / "sda")
    assert gpu.devices(tmp_path) == ()
    (tmp_path / "nvidia0").unlink()
    node(tmp_path / "nvidia0")
    node(tmp_path / "nvidia-uvm")
    node(tmp_path / "nvidia-caps" / "nvidia-cap1")
    node(tmp_path / "dri" / "renderD128")  # without /dev/kfd it is no AMD set
    found = [device.target for device in gpu.devices(tmp_path)]
    assert found == ["/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-caps/nvidia-cap1"]
    node(tmp_path / "kfd")
    assert "/dev/dri/renderD128" in [device.target for device in gpu.devices(tmp_path)]


@root_only
def test_T1_a_node_for_root_alone_is_refused_and_a_group_s_is_joined(tmp_path: Path) -> None:
    node(tmp_path / "nvidia0", 0o660)
    device = (gpu.Device(str(tmp_path / "nvidia0"), "/dev/nvidia0"),)
    with pytest.raises(UsageError, match="root alone"):
        gpu.groups_for(device)
    os.chown(tmp_path / "nvidia0", 0, 44)
    assert gpu.groups_for(device) == (44,)
    (tmp_path / "nvidia0").chmod(0o666)
    assert gpu.groups_for(device) == ()


@pytest.mark.skipif(bool(gpu.devices()), reason="this machine has a GPU")
def test_T2_without_a_gpu_the_refusal_says_what_to_do(state: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gpu.require()
    assert caught.value.name == "no-gpu"
    assert "gpu = false" in caught.value.fix
    assert "experiment.gpu" in caught.value.where
    mechanisms = probe().mechanisms
    if mechanisms is not None:
        with pytest.raises(UsageError, match="shows none"):
            BubblewrapBox(state, mechanisms).run(Job(("true",), gpu=True), Limits())


@root_only
@boxed
@pytest.mark.parametrize("mode", [0o666, 0o660])
def test_E1_the_nodes_are_in_the_box_and_only_for_jobs_that_ask(
    mode: int, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanisms = probe().mechanisms
    assert mechanisms is not None
    with tempfile.TemporaryDirectory(prefix="festina-dev-") as name:
        place = Path(name)
        place.chmod(0o755)
        for each in ("nvidia0", "nvidiactl"):
            node(place / each, mode)
            os.chown(place / each, 0, 44)
        found = gpu.devices(place)
        monkeypatch.setattr(gpu, "require", lambda: found)
        code = """
import os
fd = os.open('/dev/nvidia0', os.O_RDWR); print(len(os.read(fd, 4)), os.path.isdir('/sys/devices'))
try: open('/dev/x', 'w'); print('WORKED')
except OSError: pass
open(os.environ['FESTINA_OUT'] + '/r', 'w').write('made')"""
        box = BubblewrapBox(state, mechanisms)
        job = Job((PYTHON, "-c", code), outputs=("r",), gpu=True)
        outcome = box.run(job, Limits(wall_s=20))
        assert outcome.stdout == b"4 True\n", outcome
        assert outcome.outputs == {"r": b"made"}
        warm = WarmBox(box, (), python=PYTHON)
        assert warm.run(job, Limits(wall_s=20)).box == "cold: it asks for a GPU"
        warm.close()
        without = box.run(Job((PYTHON, "-c", code)), Limits(wall_s=20))
        assert without.ended is Ended.NONZERO
        assert b"No such file" in without.stderr


CUDA = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
def check(code, what):
    if code: raise SystemExit(f"{what}: error {code}")
count, device = ctypes.c_int(), ctypes.c_int()
context, memory = ctypes.c_void_p(), ctypes.c_void_p()
check(cuda.cuInit(0), "cuInit")
check(cuda.cuDeviceGetCount(ctypes.byref(count)), "count")
check(cuda.cuDeviceGet(ctypes.byref(device), 0), "device")
check(cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device), "context")
check(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 20)), "allocate")
there, back = ctypes.create_string_buffer(b"x" * (1 << 20), 1 << 20), ctypes.create_string_buffer(1 << 20)
check(cuda.cuMemcpyHtoD_v2(memory, there, ctypes.c_size_t(1 << 20)), "to the device")
check(cuda.cuMemcpyDtoH_v2(back, memory, ctypes.c_size_t(1 << 20)), "from the device")
print("CUDA", count.value, back.raw == there.raw)
"""


@pytest.mark.skipif(
    not any("nvidia" in device.target for device in gpu.devices()), reason="needs an NVIDIA GPU with its driver"
)
def test_E1_a_real_cuda_call_in_every_kind_of_box(state: Path) -> None:
    mechanisms = probe().mechanisms
    boxes = [LandlockBox(state)] if probe().facts["landlock"] != "none" else []
    limits = Limits(wall_s=120, cpu_s=120, memory_bytes=8 << 30, pids=256)
    if mechanisms is not None:
        boxes.append(BubblewrapBox(state, mechanisms))  # type: ignore[arg-type]
    for box in boxes:
        outcome = box.run(Job((PYTHON, "-c", CUDA), gpu=True), limits)
        assert outcome.ended is Ended.OK, (box.level, outcome.stderr, outcome.denied)
        assert outcome.stdout.split()[0] == b"CUDA"
        assert outcome.stdout.split()[2] == b"True"
