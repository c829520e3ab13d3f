"""torch's CUDA side: its streams by their handles, events between them, and how its allocator learns who reads a block.

torch's allocator gives a block back to the stream that it was allocated on, unless ``record_stream`` has named others:
then it records an event on each of those when the block is freed, and waits for them before it uses the block again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import torch

from interop._adapters._shared.cuda import guard, has_streams, stream_error
from interop._devices import CUDA, Device, device_of_pair
from interop._native import CalledStreams, CurrentStream, ExchangeAPI, ExchangeStreams, Streams
from interop._streams import LEGACY, ORDERED, Stream
from interop._words import text_of

#: Since torch 2.10.
API: Final = ExchangeAPI.of(torch.Tensor)


class _Default:
    """The default stream, where torch can't be asked."""

    cuda_stream = 0


def _current_stream(index: int) -> Any:
    # Before CUDA is initialized nothing else can have been chosen, and where torch finds no device it would raise.
    return torch.cuda.current_stream(index) if torch.cuda.is_initialized() else _Default


_CALLED: Final = CalledStreams(_current_stream, "cuda_stream")

#: The streams that torch works on.
STREAMS: Final[Streams] = _CALLED if API is None else ExchangeStreams(API)


def _streams() -> Streams:
    # torch's exchange API raises where it finds no device, and managed memory is read on the host there.
    return STREAMS if torch.cuda.is_initialized() or torch.cuda.is_available() else _CALLED


#: Made by torch at run time, of a base that type checkers don't see.
_Stream: Final[Any] = torch.cuda.Stream

#: torch's own streams by device and handle. They are never destroyed, so no other stream ever has their handle.
_own: Final[dict[tuple[int, int], Any]] = {}

#: Streams that are never destroyed, as those that torch reads on.
_readers: Final[dict[tuple[int, int], Stream]] = {}

#: What CUDA says of the default stream while a stream that waits for it is captured.
_CAPTURE_IMPLICIT: Final = "legacy stream depend on a capturing blocking stream"

#: How many streams stand in for foreign ones on each device, and their priority, which hardly anybody asks for: torch
#: deals the streams of a priority out in turn, so that others may get the same ones.
_BRIDGES: Final = 8
_PRIORITY: Final = -3


class TorchStreams:
    """The verbs of torch's adapter that concern devices and streams."""

    def current_device(self, device_type: int, /) -> int:
        """Ask torch, for CUDA."""
        return int(torch.cuda.current_device()) if device_type == CUDA and torch.cuda.is_available() else 0

    def current_stream(self, device: Device, /) -> Stream | None:
        """The stream that torch works on, on a CUDA device."""
        if not has_streams(device):
            return None
        index, streams = device.index, _streams()
        return Stream(streams(index), device_of_pair(CUDA, index), None, CurrentStream(streams, index))

    def reader(self, index: int, /) -> Stream:
        """The stream that torch works on, as the one that reads what it is lent."""
        handle = STREAMS(index)
        found = _readers.get((index, handle))
        if found is None:
            found = self.current_stream(device_of_pair(CUDA, index))
            assert found is not None
            if _own_stream(found, device_of_pair(CUDA, index)) is not None:
                _readers[index, handle] = found
        return found

    @contextmanager
    def using(self, device: Device, stream: int | None, /) -> Generator[None]:
        """Make a CUDA device, and a stream on it, current."""
        if not has_streams(device):
            yield
            return
        with on_device(device.index):
            if stream is None or stream == ORDERED:
                yield
                return
            with torch.cuda.stream(stream_object(stream, device)):
                yield

    def order(self, device: Device, before: int | None, /, *after: int) -> None:
        """Record an event on one stream, and have the others wait for it."""
        if before is None:
            synchronize(device.index)
            return
        try:
            event = record(stream_object(before, device))
        except RuntimeError as err:
            raise stream_error(before, device, err) from err
        for stream in after:
            try:
                wait(stream_object(stream, device), event)
            except RuntimeError as err:
                raise stream_error(stream, device, err) from err

    @guard
    def capturing(self, device: Device, stream: int, /) -> bool:
        """Make the stream current and ask: torch has no other way."""
        try:
            with torch.cuda.stream(stream_object(stream, device)):
                return bool(torch.cuda.is_current_stream_capturing())
        except RuntimeError as err:
            if _CAPTURE_IMPLICIT in text_of(err):
                # The default stream mustn't even be asked while one that waits for it is captured.
                return True
            raise stream_error(stream, device, err) from err

    def forked(self) -> bool:
        """Whether this process was forked from one that had started CUDA, which torch then refuses to start again."""
        return bool(torch.cuda._is_in_bad_fork())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - nothing public tells

    def retain(self, memory: Any, stream: int, /) -> tuple[int, ...]:
        """Tell torch's allocator who reads a block; of memory that isn't its own, torch's streams wait themselves."""
        device = device_of_pair(CUDA, memory.device.index)
        current = STREAMS(device.index)
        if not memory.untyped_storage().resizable():
            # Taken over from another library: record_stream does nothing, and the memory goes back in torch's order.
            return (Stream(current, device, None, CurrentStream(STREAMS, device.index)),)
        reader = _own_stream(stream, device) or bridge(stream, device)
        record_stream(memory, reader)
        return (Stream(reader.cuda_stream, device, reader),)

    def locate(self, ptr: int, /) -> int | None:
        """Have torch take a byte there, and see on which device it is."""
        try:
            return int(torch.as_tensor(_Byte(ptr)).device.index)
        except RuntimeError:  # host memory that CUDA doesn't know
            return None

    def native_stream(self, stream: Any, /) -> Stream | None:
        """Return the handle of a stream of torch's on CUDA; the null one is the legacy default stream, 1."""
        if not isinstance(stream, _Stream):
            # torch.accelerator and torch.Stream(device="cuda") make the general kind, which doesn't tell its handle.
            if not isinstance(stream, torch.Stream) or stream.device.type != "cuda":
                return None
            stream = _Stream(
                stream_id=stream.stream_id, device_index=stream.device_index, device_type=stream.device_type
            )
        return Stream(int(stream.cuda_stream), device_of_pair(CUDA, stream.device.index), stream)


class _Byte:
    """One byte of device memory, as the CUDA array interface describes it."""

    def __init__(self, ptr: int) -> None:
        self.__cuda_array_interface__ = {"shape": (1,), "typestr": "|u1", "data": (ptr, False), "version": 2}


@guard
def on_device(index: int) -> Any:
    """Make a device current, and the one before it afterwards."""
    return torch.cuda.device(index)


@guard
def synchronize(index: int) -> None:
    """Have the host wait for a device."""
    torch.cuda.synchronize(index)


@guard
def record(stream: Any) -> Any:
    """Record an event on a stream of torch's."""
    event = torch.cuda.Event()
    event.record(stream)
    return event


@guard
def wait(stream: Any, event: Any) -> None:
    """Have a stream wait for an event."""
    event.wait(stream)


@guard
def record_stream(memory: Any, stream: Any) -> None:
    """Tell torch's allocator that a stream reads a block; it compares with the stream that the block belongs to."""
    memory.record_stream(stream)


def stream_object(stream: int, device: Device) -> Any:
    """torch's object for a stream: a cheap one of its own, or one that stands for a foreign stream."""
    device = (stream.device if isinstance(stream, Stream) else None) or device
    found = _own_stream(stream, device)
    return torch.cuda.ExternalStream(int(stream), device=device.index) if found is None else found


def _own_stream(stream: int, device: Device) -> Any:
    """torch's stream with this handle, None where it is somebody else's: those may be destroyed."""
    key = (device.index, int(stream))
    found = _own.get(key)
    if found is None:
        owner: Any = stream.owner if isinstance(stream, Stream) else None
        if isinstance(owner, _Stream):
            found = owner
        elif stream == LEGACY:
            found = torch.cuda.default_stream(device.index)
        else:
            found = torch.cuda.current_stream(device.index)
        handle = int(found.cuda_stream)
        # A foreign stream is its own number; those of torch are numbered by their place in its pools.
        if (handle or LEGACY) != stream or (handle and found.stream_id == handle):
            return None
        _own[key] = found
    return found


@guard
def own_stream(index: int, stream: int) -> Any:
    """torch's object for the stream that it works on, where `stream` is that one and is torch's own."""
    return _own_stream(stream, device_of_pair(CUDA, index)) if stream == STREAMS(index) else None


@guard
def bridge(stream: int, device: Device) -> Any:
    """A stream of torch's own that stands for a foreign one.

    torch records an event on each stream that ``record_stream`` has named, when it frees the block. A foreign stream
    may have been destroyed by then, which was seen to abort the process, or be captured by another library, after which
    torch's allocator refuses every call. This one never is: it waits for the foreign stream when the memory is given
    back, while that one is still kept alive.
    """
    key = (device.index, -1 - (int(stream) >> 6) % _BRIDGES)
    if key not in _own:
        _own[key] = torch.cuda.Stream(device.index, priority=_PRIORITY)
    return _own[key]
