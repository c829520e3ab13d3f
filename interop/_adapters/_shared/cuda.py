"""What adapters of CUDA frameworks share: device memory is lent in stream order, and given back in stream order.

Two things go wrong between libraries that queue work on streams: a consumer reads before the producer has written,
and memory is reused before the consumer's queued work has read it. The first is mended when memory is handed over, by
an event that the consumer's stream waits for; the second when it is given back, by an event that the streams of the
memory's allocator wait for. No framework is named here, and nothing here blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from interop import _native
from interop._devices import CUDA, CUDA_MANAGED, Device
from interop._streams import LEGACY, ORDERED, Stream, current_stream_of
from interop._words import said, shown
from interop.errors import DeviceError

if TYPE_CHECKING:
    from interop._native import View

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


#: What CUDA doesn't survive, said of whatever is tried there.
FORKED: Final = _native.FORKED


def captured_error(before: int | None, after: int, device: Device) -> DeviceError:
    """Why one stream can't be ordered after another where one of them alone is captured into a graph."""
    first = "the device" if before is None else f"{Stream(before)!r}"
    msg = (
        f"{Stream(after)!r} can't be ordered after {first} on {device} while one of them, and not the other, is "
        "captured into a CUDA graph: that would end the capture. Pass stream=-1 for data that is ordered already, "
        "hand it over before the capture begins, or work on the captured stream in both libraries: interop.use_stream."
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

    @property
    def ordered_on(self) -> int | None:
        """The stream that a View of this was ordered on first, which whoever works on another one waits for."""
        return int(self.readers[0]) if self.readers else None

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
        if stream is None:
            current = current_stream_of(self.streams, self.device)
            if current is not None and current != LEGACY and self.streams.capturing(self.device, current):
                # No stream stands for the legacy default one, which can't join a capture. A consumer that names none
                # while one is captured works on that: waiting for it elsewhere would end the capture (pytorch#163242).
                self.read_by(current)
                return
        reader = Stream(LEGACY if stream is None else stream, self.device)
        if reader != ORDERED:
            self.order(reader)
            self.read_by(reader)

    def give_back(self) -> None:
        """Let go of the memory once nobody reads it."""
        give_back(self)


class Producer:
    """Owns memory of an object whose own ``__dlpack__`` orders it; what a View of such memory holds.

    Parameters
    ----------
    memory
        What keeps the memory alive.
    order
        Has the object order its memory on the stream of a consumer of DLPack.
    ordered_on
        The stream that it was ordered on when the View was made, None where it wasn't.
    """

    __slots__ = ("_order", "memory", "ordered_on")

    def __init__(self, memory: object, order: Callable[[int | None], object], ordered_on: int | None) -> None:
        self.memory, self._order, self.ordered_on = memory, order, ordered_on

    def __dlpack__(self, *, stream: int | None = None) -> object:
        """Have the object order its memory; a View asks for that."""
        return self._order(stream)


@guard
def ordered_by_producer(view: View, x: object, stream: int | None) -> View:
    """Have an object order its memory by its own ``__dlpack__``, which alone knows the stream that it works on."""

    def order(wanted: int | None) -> object:
        return _native.order(x, None if wanted is None else int(wanted))

    named = None if stream is None or stream == ORDERED else int(stream)
    if named is not None:
        order(named)
    return view.with_owner(Producer(view, order, named), ordered=stream is not None)


#: The core's, which are looked up in the class as those written here are.
GUARDS.update({(__name__, "Loan.__init__"), (__name__, "Loan.stayed_home")})


@guard
def order_after_producer(streams: Streams, device: Device, stream: int) -> None:
    """Have a stream wait for what a framework has queued on its own current one; nothing where that is the same."""
    current = current_stream_of(streams, device)
    if current is not None and current != stream:
        refuse_half_captured(streams, device, current, stream)
        streams.order(device, current, stream)


@guard
def order_after_interface(worker: Streams, device: Device, before: int | None, reader: int) -> None:
    """Have the reader's stream wait for the one that a producer names; for all of the device where that is None."""
    if reader not in (before, ORDERED):
        refuse_half_captured(worker, device, before, reader)
        worker.order(device, before, reader)


class Described(Loan):
    """Owns memory whose producer names a stream and orders nothing: whoever reads it waits for that stream itself.

    Attributes
    ----------
    waits
        Whether anything has to be waited for: an interface may say that nothing has to.
    named
        The stream, None for all of the device.
    """

    __slots__ = ("named", "waits")

    waits: bool
    named: Stream | None

    def order(self, stream: int) -> None:
        """Have a stream wait for what the producer names, not for what the worker does itself."""
        if self.waits and stream != ORDERED:
            order_after_interface(self.streams, self.device, self.named, stream)


@guard
def ordered_by_worker(view: View, producer: Streams, worker: Streams | None, reader: int | None) -> View:
    """Order memory of a library that knows its stream and can't make another one wait for it: a worker can."""
    if view.ordered or isinstance(view.owner, Loan) or worker is None or not has_streams(view.device):
        return view
    named = current_stream_of(producer, view.device)
    if named is None:
        return view
    loan = Described(view.owner, view.device, worker, (named,))
    loan.waits, loan.named = True, named
    if reader is not None:
        loan.order(reader)
    return view.with_owner(loan, ordered=reader is not None)


@guard
def refuse_half_captured(streams: Streams, device: Device, before: int | None, after: int) -> None:
    """Refuse an order between a stream that is captured and one that isn't, before CUDA ends the capture for it.

    Raises
    ------
    DeviceError
        Which says what is legal inside of a capture.
    """
    waits = streams.capturing(device, after)
    if waits != (before is not None and streams.capturing(device, before)):
        raise captured_error(before, after, device)


def refuse_forked(*causes: object) -> None:
    """Say that CUDA can't be used in a forked child, where a framework's refusal comes of that.

    Parameters
    ----------
    *causes
        Adapters, which are asked, and what was raised.

    Raises
    ------
    DeviceError
    """
    for adapter in causes:
        forked = getattr(adapter, "forked", None)
        if forked is not None and forked():
            raise DeviceError(FORKED) from next((each for each in causes if isinstance(each, Exception)), None)


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
        captured = {stream: _is_captured(loan, stream) for stream in streams}
        if any(captured.values()):
            # An event of a captured stream is part of the graph, and a captured stream waits for no other.
            _postponed.append(loan)
            return
        gone = {stream for stream, found in captured.items() if found is None}
        for reader, waiting in waits:
            there = [home for home in waiting if home not in gone]
            if there and reader not in gone:
                loan.streams.order(loan.device, reader, *there)
        if not gone.isdisjoint(readers):
            # Its last work may still run, and nothing is left to be recorded on.
            loan.streams.order(loan.device, None)
    except BaseException:
        # Lost, rather than written over while somebody reads it.
        _kept.append(loan.memory)
        raise


def _is_captured(loan: Loan, stream: int) -> bool | None:
    """Whether a stream is captured; None where it is none any more: a bare handle's was destroyed before the result."""
    try:
        return bool(loan.streams.capturing(loan.device, stream))
    except DeviceError:
        return None


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
        for each in (stream, now):
            if each not in found:
                found.append(each)
    return found
