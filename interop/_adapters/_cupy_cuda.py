"""cupy's streams by their handles, and events between them.

cupy's pool gives a block back to the stream that it was allocated on, at once; it has nothing like ``record_stream``,
and which stream that was can't be asked. cupy's own rule is that the user orders that stream after every other one that
an array is used on, and that is what makes other libraries' use of it safe too: when the memory is given back, the
stream that cupy worked on when it handed the array over waits for them, as if cupy itself had used the array there.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import cupy

from interop._adapters._shared.cuda import guard, has_streams, stream_error
from interop._devices import CUDA, Device, device_of_pair
from interop._native import CalledStreams, CurrentStream
from interop._streams import LEGACY, ORDERED, Stream

#: Any: to a type checker without a device it is a module that may be missing.
runtime: Final[Any] = cupy.cuda.runtime

#: CUDA's numbers of errors: the default stream can't join a capture; CUDA can't be started here.
_CAPTURE_IMPLICIT: Final = 906
_NOT_INITIALIZED: Final = 3

#: The streams that cupy works on.
STREAMS: Final = CalledStreams(cupy.cuda.get_current_stream, "ptr")


class CupyStreams:
    """The verbs of cupy's adapter that concern devices and streams."""

    def current_device(self, _device_type: int, /) -> int:
        """Ask the CUDA runtime."""
        return int(runtime.getDevice()) if device_count() else 0

    def current_stream(self, device: Device, /) -> Stream | None:
        """The stream that cupy works on, on a device."""
        if not has_streams(device):
            return None
        return self.reader(device.index)

    @guard
    def reader(self, index: int, /) -> Stream:
        """The stream that cupy works on, as the one that reads what it is lent."""
        current = cupy.cuda.get_current_stream(index)
        found = _defaults.get(index) if current.ptr == 0 else None
        if found is None:
            found = Stream(current.ptr, device_of_pair(CUDA, index), current, CurrentStream(STREAMS, index))
            if current.ptr == 0:
                _defaults[index] = found
        return found

    @contextmanager
    def using(self, device: Device, stream: int | None, /) -> Generator[None]:
        """Make a device, and a stream on it, current."""
        if not has_streams(device):
            yield
            return
        with on_device(device.index):
            if stream is None or stream == ORDERED:
                yield
                return
            with _stream_object(stream):
                try:
                    yield
                finally:
                    # cupy puts the stream before this one back on whichever device is current by now.
                    runtime.setDevice(device.index)

    def order(self, device: Device, before: int | None, /, *after: int) -> None:
        """Record an event on one stream, and have the others wait for it."""
        if before is None:
            with on_device(device.index):
                synchronize()
            return
        with on_device(_index(before, device)):
            try:
                event = record(before)
            except runtime.CUDARuntimeError as err:
                raise stream_error(before, device, err) from err
        for stream in after:
            # The default stream's number means that of the current device.
            with on_device(_index(stream, device)):
                try:
                    wait(stream, event)
                except runtime.CUDARuntimeError as err:
                    raise stream_error(stream, device, err) from err

    @guard
    def capturing(self, device: Device, stream: int, /) -> bool:
        """Ask the CUDA runtime."""
        with on_device(_index(stream, device)):
            try:
                return bool(runtime.streamIsCapturing(int(stream)))
            except runtime.CUDARuntimeError as err:
                if err.status == _CAPTURE_IMPLICIT:
                    # The default stream mustn't even be asked while one that waits for it is captured.
                    return True
                raise stream_error(stream, device, err) from err

    def forked(self) -> bool:
        """Whether this process was forked from one that had started CUDA, which then refuses every call."""
        try:
            runtime.getDeviceCount()
        except runtime.CUDARuntimeError as err:
            return bool(err.status == _NOT_INITIALIZED)
        return False

    @guard
    def retain(self, memory: Any, stream: int, /) -> tuple[int, ...]:
        """The stream that cupy works on waits, and so does the default one, on which most arrays are allocated."""
        index = memory.device_id
        device = device_of_pair(CUDA, index)
        home = self.reader(index)
        return (home,) if stream == home else (home, Stream(LEGACY, device))

    def locate(self, ptr: int, /) -> int | None:
        """Ask the CUDA runtime."""
        try:
            index = int(runtime.pointerGetAttributes(ptr).device)
        except runtime.CUDARuntimeError:
            return None
        # Of ordinary host memory CUDA says -2.
        return index if index >= 0 else None

    def native_stream(self, stream: Any, /) -> Stream | None:
        """Return the handle of a cupy stream; the null one is the legacy default stream, 1."""
        if not isinstance(stream, (cupy.cuda.Stream, cupy.cuda.ExternalStream)):
            return None
        # -1 for the default streams, which every device has.
        device = device_of_pair(CUDA, stream.device_id) if stream.device_id >= 0 else None
        return Stream(stream.ptr, device, stream)


#: The default stream of each device, as the one that cupy reads on.
_defaults: Final[dict[int, Stream]] = {}


def device_count() -> int:
    """How many CUDA devices there are."""
    try:
        return int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError:  # no driver, or no device that it knows
        return 0


@guard
def on_device(index: int) -> Any:
    """Make a device current, and the one before it afterwards."""
    return cupy.cuda.Device(index)


@guard
def synchronize() -> None:
    """Have the host wait for the current device."""
    runtime.deviceSynchronize()


@guard
def record(stream: int) -> Any:
    """Record an event on a stream of the current device."""
    event = cupy.cuda.Event(disable_timing=True)
    runtime.eventRecord(event.ptr, int(stream))
    return event


@guard
def wait(stream: int, event: Any) -> None:
    """Have a stream wait for an event."""
    runtime.streamWaitEvent(int(stream), event.ptr)


@guard
def works_on(stream: int, index: int) -> bool:
    """Whether cupy works on a stream of a device, so that nothing has to be ordered."""
    return stream == STREAMS(index)


def _index(stream: int, device: Device) -> int:
    place = stream.device if isinstance(stream, Stream) else None
    return (place or device).index


def _stream_object(stream: int) -> Any:
    """cupy's object for a stream, to be made current."""
    if stream == LEGACY:
        return cupy.cuda.Stream.null
    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(stream if isinstance(stream, Stream) else Stream(stream))
    return cupy.cuda.ExternalStream(int(stream))
