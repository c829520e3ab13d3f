"""What a test asks of the simulated device: counters, findings, pending work, memory (`src/cudasim.h`, typed)."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from cudasim import abi

UNKNOWN: Final = 2**64 - 1
MODES: Final = ("eager", "lazy", "thread")

#: What this module says in Python.
HEADER: Final = Path(__file__).parent / "src" / "cudasim.h"

#: So many are moved out at once.
FINDINGS: Final = 16

_library: list[ctypes.CDLL] = []


class NotBootedError(RuntimeError):
    """This process has no simulated device."""


def bind(library: ctypes.CDLL) -> None:
    """Say which library is the simulated runtime: `boot` does."""
    abi.declare(library)
    _library.append(library)


def loaded() -> bool:
    """Whether there is one."""
    return bool(_library)


def device() -> ctypes.CDLL:
    """The simulated runtime itself, for whoever calls CUDA's functions by ctypes.

    Raises
    ------
    NotBootedError
        It isn't loaded.
    """
    if not _library:
        raise NotBootedError("the simulated CUDA device isn't switched on in this process: cudasim.boot()")
    return _library[0]


# -- modes and pending work --------------------------------------------------------------------------------------------


def mode() -> str:
    """ "eager", "lazy" or "thread"."""
    return MODES[device().cudasim_mode()]


def set_mode(mode: str) -> str:
    """Run what is pending, and run what comes in another mode; returns the previous one."""
    return MODES[device().cudasim_set_mode(MODES.index(mode))]


@contextlib.contextmanager
def in_mode(mode: str) -> Generator[None]:
    """Another mode for a while."""
    before = set_mode(mode)
    try:
        yield
    finally:
        set_mode(before)


def devices() -> int:
    """How many devices are simulated."""
    return int(device().cudasim_devices())


def set_polls(polls: int) -> None:
    """Lazy mode: let an event's or stream's query say "not ready" so often before it completes."""
    device().cudasim_set_polls(polls)


def set_memory(index: int, size: int) -> None:
    """Give a device `size` bytes of memory; 0 gives it what it had at the start."""
    device().cudasim_set_memory(index, size)


@contextlib.contextmanager
def held(stream: int) -> Generator[None]:
    """Let nothing on a stream (its handle) start meanwhile, whoever waits for it."""
    device().cudasim_hold(stream)
    try:
        yield
    finally:
        device().cudasim_release(stream)


def step(stream: int) -> bool:
    """Run the stream's next operation, with what that waits for; False if there was none to run."""
    return bool(device().cudasim_step(stream))


def run() -> None:
    """Run all that is pending, as the device would; the host hasn't waited for it."""
    device().cudasim_run()


def settle() -> None:
    """Run all that is pending, and take the host as having waited for it."""
    device().cudasim_settle()


# -- findings ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """Something that is wrong in the code under test.

    Attributes
    ----------
    kind
        As `src/cudasim.h` names them: "race", "use after free", "out of bounds", ....
    text
        Says all of it in words.
    device
        The device's index.
    allocation, operation, other_operation
        Numbers of those concerned, 0 for none; of a race `other_operation` is the earlier one.
    stream, other_stream
        Their handles.
    """

    kind: str
    text: str
    device: int
    allocation: int = 0
    operation: int = 0
    other_operation: int = 0
    stream: int = 0
    other_stream: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def _finding(raw: abi.Finding) -> Finding:
    return Finding(
        kind=str(device().cudasim_finding_name(raw.kind).decode()),
        text=raw.text.decode(errors="replace"),
        device=raw.device,
        allocation=raw.allocation,
        operation=raw.operation,
        other_operation=raw.other_operation,
        stream=raw.stream or 0,
        other_stream=raw.other_stream or 0,
    )


def take_findings() -> list[Finding]:
    """Move out what has been found since the last call."""
    room = (abi.Finding * FINDINGS)()
    found: list[Finding] = []
    while count := device().cudasim_take_findings(room, FINDINGS):
        found += map(_finding, room[:count])
    return found


def clear_findings() -> None:
    """Forget what has been found."""
    device().cudasim_clear_findings()


def take_last_error() -> str | None:
    """CUDA's last error in this thread, by its name, and forget it; None if there is none."""
    error = device().cudaGetLastError()
    return str(device().cudaGetErrorName(error).decode()) if error else None


# -- counters ----------------------------------------------------------------------------------------------------------


@dataclass
class Counters:
    """What the device has done; `src/cudasim.h` says what each counts.

    Attributes
    ----------
    h2d, d2h, d2d, p2p, h2h
        Copies submitted, by where the memory is; p2p is between devices.
    copied_bytes
        The sum over all copies.
    record, wait
        Event records, and waits of a stream for an event.
    sync
        Waits of the host: stream, event and device synchronisations.
    implicit_sync
        The host waited inside another call: a pageable copy, cudaFree.
    """

    malloc: int = 0
    free: int = 0
    host_malloc: int = 0
    host_free: int = 0
    h2d: int = 0
    d2h: int = 0
    d2d: int = 0
    p2p: int = 0
    h2h: int = 0
    copied_bytes: int = 0
    memset: int = 0
    kernel: int = 0
    host_function: int = 0
    record: int = 0
    wait: int = 0
    sync: int = 0
    stream_sync: int = 0
    event_sync: int = 0
    device_sync: int = 0
    implicit_sync: int = 0
    query: int = 0
    set_device: int = 0
    stream_create: int = 0
    event_create: int = 0
    graph_launch: int = 0
    findings: int = 0
    race: int = 0
    unimplemented: int = 0
    kernel_refused: int = 0

    @property
    def copies(self) -> int:
        """Copies of any kind."""
        return self.h2d + self.d2h + self.d2d + self.p2p + self.h2h

    def __sub__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, name) - getattr(other, name) for name in _names()))

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name in _names() if (value := getattr(self, name))) or "nothing"


@cache
def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Counters))


def counter(name: str) -> int:
    """One counter, or what there is now: "pending", "live_bytes", ...

    Raises
    ------
    KeyError
        There is no such counter.
    """
    value = int(device().cudasim_counter(name.encode()))
    if value == UNKNOWN:
        raise KeyError(name)
    return value


def counters() -> Counters:
    """All that count up, as they stand."""
    return Counters(*map(counter, _names()))


def pending() -> int:
    """How many operations are submitted and not run."""
    return counter("pending")


@contextlib.contextmanager
def counting() -> Generator[Counters]:
    """Count what is done inside; the numbers are there when the block has ended.

    Examples
    --------
    >>> import torch
    >>> with counting() as done:
    ...     t = torch.ones(3).cuda()
    >>> done.h2d, done.d2h
    (1, 0)
    """
    done = Counters()
    before = counters()
    try:
        yield done
    finally:
        for name, value in vars(counters() - before).items():
            setattr(done, name, value)


# -- memory ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Allocation:
    """Live memory.

    Attributes
    ----------
    id
        As findings name it: "allocation #3".
    address
        Its first byte.
    size
        Bytes, as asked for.
    device
        The device's index.
    kind
        "device", "pinned", "managed" or "registered".
    """

    id: int
    address: int
    size: int
    device: int
    kind: str

    def __str__(self) -> str:
        return (
            f"allocation #{self.id}: {self.size} bytes of {self.kind} memory at {self.address:#x}, device {self.device}"
        )


@dataclass(frozen=True)
class Operation:
    """Work that is submitted and not run.

    Attributes
    ----------
    id
        As findings name it.
    stream
        The stream's handle.
    device
        The device's index.
    held
        Whether its stream is held.
    text
        The call and its arguments.
    """

    id: int
    stream: int
    device: int
    held: bool
    text: str


def _list(call: Callable[..., int], item: Any, *arguments: Any) -> list[Any]:
    size = 256
    while True:
        room = (item * size)()
        found = call(room, size, *arguments)
        if found <= size:
            return list(room[:found])
        size = found


def last_allocation() -> int:
    """The newest allocation's id: taken before a test, it tells what is newer afterwards."""
    return int(device().cudasim_last_allocation())


def allocations(after: int = 0) -> list[Allocation]:
    """What is live, of any kind of memory, and newer than the allocation with id `after`."""
    found = _list(device().cudasim_allocations, abi.Allocation, after)
    return [Allocation(raw.id, raw.address, raw.size, raw.device, abi.MEMORY[raw.kind]) for raw in found]


def operations() -> list[Operation]:
    """What is pending, oldest first."""
    found = _list(device().cudasim_pending, abi.Operation)
    return [
        Operation(raw.id, raw.stream or 0, raw.device, bool(raw.held), raw.text.decode(errors="replace"))
        for raw in found
    ]


def describe(address: int) -> str:
    """An address in words, as findings write it."""
    room = ctypes.create_string_buffer(512)
    device().cudasim_describe(address, room, len(room))
    return room.value.decode()


def set_diagnosis_file(descriptor: int) -> None:
    """Say where a fatal access to device memory is told: an open file, by its descriptor."""
    device().cudasim_set_diagnosis_file(descriptor)


def peek(address: int, size: int) -> bytes:
    """Device memory as it is now, ordered after nothing.

    Raises
    ------
    ValueError
        The range isn't in a live allocation.
    """
    room = ctypes.create_string_buffer(size)
    if not device().cudasim_peek(room, address, size):
        raise ValueError(describe(address))
    return room.raw


def poke(address: int, data: bytes) -> None:
    """Write device memory now, ordered after nothing.

    Raises
    ------
    ValueError
        The range isn't in a live allocation.
    """
    if not device().cudasim_poke(address, data, len(data)):
        raise ValueError(describe(address))
