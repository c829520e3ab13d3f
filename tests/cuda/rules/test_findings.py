"""What the simulated device finds in the code that runs on it, and how it says so."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes import c_void_p

import pytest

import cudasim
from cudasim.runtime import BLOCKING, NON_BLOCKING, Error, Pinned, Runtime

pytestmark = pytest.mark.sim_only

Act = Callable[[Runtime, int, int, Pinned], None]
Found = Callable[[], list[cudasim.Finding]]


@pytest.fixture
def impatient() -> Iterator[None]:
    """A host wait that lasts a second counts as stuck."""
    before = cudasim.device().cudasim_set_stuck_s(1)
    yield
    cudasim.device().cudasim_set_stuck_s(before)


@pytest.fixture
def found(rt: Runtime) -> Found:
    """What has been found since the last call; it isn't a failure of the test then."""

    def take() -> list[cudasim.Finding]:
        rt.code("GetLastError")
        return cudasim.take_findings()

    return take


def fill(rt: Runtime, memory: int, stream: int, _host: Pinned) -> None:
    rt.fill(memory, 1, stream)


def read(rt: Runtime, memory: int, stream: int, host: Pinned) -> None:
    rt.copy(host, memory, stream)


def write(rt: Runtime, memory: int, stream: int, host: Pinned) -> None:
    rt.copy(memory, host, stream)


# -- races -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "hazard"),
    [(write, read, "RAW"), (read, fill, "WAR"), (fill, write, "WAW")],
    ids=["read after write", "write after read", "write after write"],
)
@pytest.mark.parametrize("ordered", ["not", "event", "chain", "host", "host event", "device", "default stream"])
def test_a_race_is_what_nothing_orders(
    rt: Runtime, found: Found, first: Act, second: Act, hazard: str, ordered: str
) -> None:
    flags = BLOCKING if ordered == "default stream" else NON_BLOCKING
    one, two, between, events = rt.stream(flags), rt.stream(flags), rt.stream(), [rt.event(), rt.event()]
    memory, hosts = rt.memory(), [rt.pinned(), rt.pinned()]
    first(rt, memory, one, hosts[0])
    rt.call("EventRecord", events[0], one)
    if ordered == "event":
        rt.call("StreamWaitEvent", two, events[0], 0)
    if ordered == "chain":
        rt.call("StreamWaitEvent", between, events[0], 0)
        rt.call("EventRecord", events[1], between)
        rt.call("StreamWaitEvent", two, events[1], 0)
    if ordered == "host":
        rt.call("StreamSynchronize", one)
    if ordered == "host event":
        rt.call("EventSynchronize", events[0])
    if ordered == "device":
        rt.call("DeviceSynchronize")
    if ordered == "default stream":
        rt.fill(rt.memory(), 1, 0)
    second(rt, memory, two, hosts[1])
    races = found()
    if ordered != "not":
        assert races == []
        return
    (race,) = races
    assert race.kind == "race"
    assert (race.stream, race.other_stream) == (two, one)
    allocation = max(each.id for each in cudasim.allocations() if each.address == memory)
    assert race.allocation == allocation
    assert race.other_operation < race.operation
    assert re.search(
        rf"{hazard} on allocation #{allocation}: operation #{race.operation} cuda\w+\(.*\) on stream .* is .*, "
        rf"unordered, by operation #{race.other_operation} cuda\w+\(.*\) on stream ",
        race.text,
    )


def test_two_reads_are_no_race(rt: Runtime) -> None:
    memory = rt.memory()
    for _ in range(2):
        rt.copy(rt.pinned(), memory, rt.stream())


def test_other_bytes_are_no_race(rt: Runtime) -> None:
    memory, one, two = rt.memory(64), rt.stream(), rt.stream()
    rt.fill(memory, 1, one, 32)
    rt.fill(memory + 32, 1, two, 32)


def test_other_columns_are_no_race(rt: Runtime) -> None:
    memory, one, two, host = rt.memory(64), rt.stream(), rt.stream(), rt.pinned(64)
    rt.call("Memcpy2DAsync", memory, 16, host.pointer, 8, 8, 4, 4, one)
    rt.call("Memcpy2DAsync", memory + 8, 16, host.pointer + 32, 8, 8, 4, 4, two)


@pytest.mark.finds("race")
@pytest.mark.parametrize("offset", [0, 1, 7, 16, 55])
def test_columns_that_overlap_are_a_race(rt: Runtime, offset: int) -> None:
    memory, one, two, host = rt.memory(64), rt.stream(), rt.stream(), rt.pinned(64)
    rt.call("Memcpy2DAsync", memory, 16, host.pointer, 8, 8, 4, 4, one)
    rt.fill(memory + offset, 1, two, 1)


@pytest.mark.finds("race")
def test_a_wait_for_the_record_before_the_work_orders_nothing(rt: Runtime) -> None:
    one, two, event, memory = rt.stream(), rt.stream(), rt.event(), rt.memory()
    rt.call("EventRecord", event, one)
    rt.fill(memory, 1, one)
    rt.call("StreamWaitEvent", two, event, 0)
    rt.fill(memory, 2, two)


@pytest.mark.finds("race")
def test_what_happened_to_run_in_time_is_a_race_all_the_same(rt: Runtime) -> None:
    one, two, memory = rt.stream(), rt.stream(), rt.memory()
    rt.fill(memory, 1, one)
    cudasim.run()
    rt.fill(memory, 2, two)


def test_a_host_function_tells_the_host(rt: Runtime, counted: tuple[c_void_p, Callable[[], int]]) -> None:
    one, two, memory = rt.stream(), rt.stream(), rt.memory()
    rt.fill(memory, 1, one)
    rt.call("LaunchHostFunc", one, counted[0], None)
    cudasim.run()
    assert counted[1]() == 1
    rt.fill(memory, 2, two)


@pytest.mark.finds("race")
def test_a_use_before_the_stream_ordered_allocation_is_a_race(rt: Runtime) -> None:
    one, two = rt.stream(), rt.stream()
    memory = rt.made("MallocAsync", 64, one)
    rt.fill(memory, 1, two)
    rt.call("StreamSynchronize", two)
    rt.call("FreeAsync", memory, one)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.finds("misuse")
@pytest.mark.parametrize("call", ["StreamSynchronize", "StreamQuery", "StreamDestroy"])
def test_a_destroyed_stream_is_refused(rt: Runtime, call: str) -> None:
    stream = rt.made("StreamCreateWithFlags", NON_BLOCKING)
    rt.call("StreamDestroy", stream)
    assert rt.code(call, stream) == Error.INVALID_RESOURCE_HANDLE


@pytest.mark.parametrize("handle", [3, 12345, 1 << 45])
def test_what_is_no_stream_is_refused(rt: Runtime, found: Found, handle: int) -> None:
    assert rt.code("StreamQuery", handle) == Error.INVALID_RESOURCE_HANDLE
    (misuse,) = found()
    assert misuse.kind == "misuse"
    assert f"cudaStreamQuery: {handle:#x} is no stream" in misuse.text


@pytest.mark.parametrize("name", ["cudaIpcGetMemHandle", "cudaMalloc3DArray", "cuMemAddressReserve", "cuMemCreate"])
def test_what_is_not_simulated_refuses_by_its_name(rt: Runtime, found: Found, name: str) -> None:
    assert getattr(rt.library, name)(None, None, None, None) == Error.NOT_SUPPORTED
    assert rt.code("PeekAtLastError") == (Error.NOT_SUPPORTED if name.startswith("cuda") else Error.SUCCESS)
    (finding,) = found()
    assert (finding.kind, finding.text) == ("unimplemented", f"{name} isn't simulated")


def test_a_use_after_free_names_the_allocation(rt: Runtime, found: Found) -> None:
    memory = rt.made("Malloc", 64)
    number = cudasim.last_allocation()
    rt.call("Free", memory)
    assert rt.code("MemsetAsync", memory + 8, 1, 4, rt.stream()) == Error.INVALID_VALUE
    (finding,) = found()
    assert (finding.kind, finding.allocation) == ("use after free", number)
    assert f"4 bytes at {memory + 8:#x} = allocation #{number} + 8 (device 0, 64 bytes, freed)" in finding.text


def test_a_refused_call_leaves_nothing_pending(rt: Runtime, found: Found) -> None:
    memory, before = rt.memory(), cudasim.pending()
    assert rt.code("MemsetAsync", memory, 1, 1000, rt.stream()) == Error.INVALID_VALUE
    assert cudasim.pending() == before
    assert rt.read(memory) == [0]
    assert len(found()) == 1


@pytest.mark.usefixtures("impatient")
def test_the_host_waits_for_what_is_held_and_is_told(rt: Runtime, found: Found) -> None:
    stream, memory = rt.stream(), rt.memory()
    with cudasim.held(stream):
        rt.fill(memory, 1, stream)
        assert rt.code("StreamSynchronize", stream) == Error.LAUNCH_TIMEOUT
    (finding,) = found()
    assert finding.kind == "stuck"


# -- the process -------------------------------------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A process of its own on the simulated device."""
    return subprocess.run(
        [sys.executable, "-c", code], check=False, env=cudasim.environment(), capture_output=True, text=True
    )


RUNTIME = "import ctypes, numpy, cudasim; from cudasim.runtime import *; rt = Runtime(ctypes.CDLL('libcudart.so.13'))\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("p = rt.made('Malloc', 64); ctypes.string_at(p + 8, 4)", r"allocation #1 \+ 8 \(device 0, 64 bytes, live\)"),
        ("p = rt.made('Malloc', 64); rt.call('Free', p); ctypes.memset(p, 0, 4)", r"allocation #1 .* freed\)"),
        (
            "p = rt.pinned(64).pointer; rt.close(); ctypes.string_at(p, 4)",
            r"allocation #1 \+ 0 \(pinned, device 0, 64 bytes, freed\)",
        ),
        ("p = rt.made('Malloc', 64); ctypes.string_at(p - 4096, 4)", r"in no allocation of device 0"),
    ],
    ids=["device memory", "freed device memory", "freed pinned memory", "no allocation"],
)
@pytest.mark.parametrize("handler", ["", "import faulthandler; faulthandler.enable()\n"], ids=["", "faulthandler"])
def test_host_code_that_touches_device_memory_is_told_which(code: str, said: str, handler: str) -> None:
    done = python(RUNTIME + handler + code)
    assert done.returncode == -signal.SIGSEGV
    assert re.search(r"cudasim: host code touched memory that isn't the host's: 0x\w+ = " + said, done.stderr)


def test_other_faults_are_left_to_others() -> None:
    done = python(RUNTIME + "import faulthandler; faulthandler.enable(); ctypes.string_at(8, 1)")
    assert done.returncode == -signal.SIGSEGV
    assert "cudasim" not in done.stderr.split("Extension modules")[0].split("File")[0]
    assert "Segmentation fault" in done.stderr


EVERYTHING = """
import torch, cupy
keep = [torch.ones(4).cuda(), cupy.from_dlpack(torch.ones(4).cuda()), torch.cuda.Stream(), cupy.cuda.Stream(),
        torch.cuda.Event(), cupy.cuda.Event(), torch.ones(4).pin_memory(), cupy.ones(4) if False else cupy.zeros(4)]
with torch.cuda.stream(keep[2]):
    keep[0].copy_(keep[6], non_blocking=True)
"""


@pytest.mark.parametrize("first", ["", "import cupy\n"], ids=["torch first", "cupy first"])
def test_a_process_ends_well_whatever_is_alive_and_pending(first: str) -> None:
    done = python(RUNTIME + first + EVERYTHING)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_is_refused_as_cuda_does() -> None:
    done = python(
        RUNTIME
        + "import os\nrt.memory()\npid = os.fork()\n"
        + "if not pid: os._exit(int(rt.code('Malloc', byref(c_void_p()), 64)))\n"
        + "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert done.stdout.strip() == str(Error.INITIALIZATION_ERROR.value), done.stderr


@pytest.mark.parametrize("count", [1, 4])
def test_the_number_of_devices_is_the_environments(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("CUDASIM_DEVICES", str(count))
    done = python(RUNTIME + f"rt.call('SetDevice', {count - 1}); print(rt.code('SetDevice', {count}).name)")
    assert done.stdout.strip() == "INVALID_DEVICE", done.stderr
