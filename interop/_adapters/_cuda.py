"""What adapters of CUDA frameworks share: device memory is lent in stream order, and given back in stream order.

Two things go wrong between libraries that queue work on streams: a consumer reads before the producer has written,
and memory is reused before the consumer's queued work has read it. The first is mended when memory is handed over, by
an event that the consumer's stream waits for; the second when it is given back, by an event that the streams of the
memory's allocator wait for. No framework is named here, and nothing here blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from interop import _native
from interop._devices import CUDA, CUDA_MANAGED, Device
from interop._streams import LEGACY, ORDERED, Stream, current_stream_of
from interop._words import said, shown
from interop.errors import DeviceError

_F = TypeVar("_F", bound=Callable[..., Any])

#: Every function without which memory would be read too early, reused too early, or looked for on another device: by
#: module and name. The tests take each one out and see that something fails.
GUARDS: Final[set[tuple[str, str]]] = set()


def guard(function: _F) -> _F:
    """Mark a function as one that keeps device memory safe; it isn't changed."""
    GUARDS.add((function.__module__, function.__qualname__))
    return function


def has_streams(device: Device) -> bool:
    """Whether work on a device's memory is queued on streams."""
    return device.type_code in (CUDA, CUDA_MANAGED)


def stream_error(stream: object, device: Device, err: Exception) -> DeviceError:
    """What CUDA says of a stream that isn't there, with what to pass instead."""
    msg = (
        f"stream={shown(stream)} can't be worked with on {device}: {said(err)}. It has been destroyed, or "
        f"is of another device. Pass a stream of {device} that exists, or stream=None for the current one."
    )
    return DeviceError(msg)


class Streams(Protocol):
    """What of an adapter concerns streams, as in :class:`interop.protocols.Adapter`."""

    def current_stream(self, device: Device, /) -> int | None: ...
    def order(self, device: Device, before: int | None, /, *after: int) -> None: ...
    def capturing(self, device: Device, stream: int, /) -> bool: ...
    def retain(self, memory: Any, stream: int, /) -> tuple[int, ...]: ...


class Loan(_native.Loan):
    """Owns device memory that another library works on; what a View of device memory holds.

    Parameters
    ----------
    memory
        What keeps the memory alive.
    device
        Where it is.
    streams
        The adapter that orders streams, and that knows on which of them its framework reuses memory.
    homes
        Where that is known already, the streams that the memory is reused on.
    readers
        Where they are known already, the streams that read it.

    Notes
    -----
    It is dropped on any thread, at any time: in a deleter, by the garbage collector, while a stream is captured, at
    exit, in a forked child. Where it was read on the stream that it is reused on, the core lets go of it by itself.
    """

    __slots__ = ()

    def order(self, stream: int) -> None:
        """Make what `stream` queues from now on wait for what the memory's own framework has queued."""
        if stream != ORDERED:
            order_after_producer(self.streams, self.device, stream)

    @guard
    def read_by(self, stream: Stream) -> None:
        """Note that work on the memory is queued on a stream, until this is dropped."""
        if stream in self.readers:
            return
        if self.asks:
            self.homes = (*self.homes, *self.streams.retain(self.memory, stream))
        self.readers = (*self.readers, stream)

    def __dlpack__(self, *, stream: int | None = None) -> None:
        """Order the memory for a consumer of DLPack, whose stream this is; a View asks for that."""
        reader = Stream(LEGACY if stream is None else stream, self.device)
        if reader != ORDERED:
            self.order(reader)
            self.read_by(reader)

    def give_back(self) -> None:
        """Let go of the memory once nobody reads it."""
        give_back(self)


#: The core's, which are looked up in the class as those written here are.
GUARDS.update({(__name__, "Loan.__init__"), (__name__, "Loan.stayed_home")})


@guard
def order_after_producer(streams: Streams, device: Device, stream: int) -> None:
    """Have a stream wait for what a framework has queued on its own current one; nothing where that is the same."""
    current = current_stream_of(streams, device)
    if current is not None and current != stream:
        streams.order(device, current, stream)


#: Loans that can't be given back while a stream is captured, and what is never given back at all.
_postponed: Final = Loan.postponed
_kept: Final[list[object]] = []


@guard
def give_back(loan: Loan) -> None:
    """Make the streams that the memory is reused on wait for those that read it, and then let go of it."""
    if sys.is_finalizing():
        # The process ends, and nothing is reused any more.
        return
    if in_child(loan):
        _kept.append(loan.memory)
        return
    try:
        readers, homes = and_now(loan.readers), and_now(loan.homes)
        waits = [(reader, [home for home in homes if home != reader]) for reader in readers]
        streams = {*readers, *homes} if any(waiting for _, waiting in waits) else ()
        if any(loan.streams.capturing(loan.device, stream) for stream in streams):
            # An event of a captured stream is part of the graph, and a captured stream waits for no other.
            _postponed.append(loan)
            return
        for reader, waiting in waits:
            if waiting:
                loan.streams.order(loan.device, reader, *waiting)
    except BaseException:
        # Lost, rather than written over while somebody reads it.
        _kept.append(loan.memory)
        raise


@guard
def in_child(loan: Loan) -> bool:
    """Whether this is a forked child: CUDA doesn't exist there, and the memory is the parent's to free."""
    return loan.in_child


@guard
def and_now(streams: Iterable[int]) -> list[int]:
    """The streams, and those that their frameworks work on by now."""
    found: list[int] = []
    for stream in streams:
        now = stream.now() if isinstance(stream, Stream) and stream.now is not None else stream
        found += [each for each in (stream, now) if each not in found]
    return found
