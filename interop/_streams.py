"""Streams: what a caller may pass as ``stream=``, brought to one form; one stream current in several frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from interop._foreign import FOREIGN
from interop._native import find
from interop._words import exact_int, is_a, name_of, said, shown, with_article
from interop.errors import DeviceError

if TYPE_CHECKING:
    from interop._devices import Device

#: "The data is ordered already": no wait is made.
ORDERED: Final = -1

#: CUDA's numbers for the legacy default stream, which is also the null handle, and for the thread's own default stream.
LEGACY: Final = 1
PER_THREAD: Final = 2

#: What a handle is at most: an address, which the frameworks take as a signed number.
HIGHEST: Final = 2**63 - 1


class SupportsStreams(Protocol):
    """The verb of an adapter that is asked for here."""

    def current_stream(self, device: Device, /) -> int | None:
        """Return the handle of the current stream on a device, or None where it has no streams."""
        ...


class Stream(int):
    """A stream of a CUDA device: its handle, with what keeps it alive.

    :func:`interop.current_stream` returns one; whatever takes an object with ``__cuda_stream__`` takes it.

    Attributes
    ----------
    device : Device or None
        Where it is, None where that can't be told.
    owner : object
        The framework's own stream object, which would destroy the stream with its last reference.
    now : callable or None
        For the stream that a framework works on: asks for the one that it works on later.

    Notes
    -----
    The null handle is the legacy default stream, as is the number 1: both are 1 here, so that equal streams compare
    equal.

    Examples
    --------
    >>> Stream(0) == Stream(1)
    True
    >>> Stream(0).__cuda_stream__()
    (0, 1)
    """

    device: Device | None
    owner: object
    now: Callable[[], int] | None

    def __new__(
        cls,
        handle: int,
        device: Device | None = None,
        owner: object = None,
        now: Callable[[], int] | None = None,
    ) -> Self:
        self = super().__new__(cls, handle or LEGACY)
        self.device, self.owner, self.now = device, owner, now
        return self

    def __cuda_stream__(self) -> tuple[int, int]:
        """Return the version of the protocol, 0, and the handle."""
        return (0, int(self))

    def __repr__(self) -> str:
        return f"Stream({int(self):#x})" if self.device is None else f"Stream({int(self):#x}, {str(self.device)!r})"


def parse_stream(stream: Any) -> Stream | None:
    """The stream that `stream` stands for: None for the current one, -1 for "ordered already".

    Raises
    ------
    DeviceError
        If it is 0, which DLPack disallows as ambiguous, or is no stream.
    """
    if stream is None or is_a(stream, Stream):
        return stream
    number = exact_int(stream)
    if number is None:
        return _handle(stream)
    if number > HIGHEST:
        msg = f"stream={shown(number)} is no handle of a stream: it is no address. Pass the framework's stream object."
        raise DeviceError(msg)
    if number == 0 or number < ORDERED:
        msg = (
            f"stream={number} names no stream: 0 could be the legacy default stream or the thread's own. Pass 1 for "
            "the legacy default stream, a framework's stream object, or -1 for data that is ordered already."
        )
        raise DeviceError(msg)
    return Stream(number)


def _handle(stream: Any) -> Stream:
    # A framework knows the device of its own streams, which their __cuda_stream__ doesn't tell.
    try:
        found = FOREIGN.stream(stream)
    except Exception as err:
        raise DeviceError(_no_stream_text(stream)) from err
    if found is not None:
        return found if isinstance(found, Stream) else Stream(found, owner=stream)
    if find(type(stream), "__cuda_stream__") is None:
        raise DeviceError(_no_stream_text(stream))
    try:
        # (version of the protocol, handle), as cuda.core defines it.
        _, handle = stream.__cuda_stream__()
        found = Stream(int(handle), owner=stream)
    except Exception as err:
        msg = f"the __cuda_stream__ of {with_article(name_of(type(stream)))} failed: {said(err)}"
        raise DeviceError(msg) from err
    if not 0 < found <= HIGHEST:
        # -1 would be taken for "ordered already".
        what = f"the __cuda_stream__ of {with_article(name_of(type(stream)))}"
        msg = f"{what} gives {int(found)}, which is no handle of a stream."
        raise DeviceError(msg)
    return found


def _no_stream_text(stream: object) -> str:
    return (
        f"stream={shown(stream)} is no stream. Pass a framework's stream, an object with __cuda_stream__, a handle, "
        "-1 for data that is ordered already, or None for the current stream."
    )


def current_stream_of(adapter: SupportsStreams, device: Device) -> Stream | None:
    """The stream that a framework works on, on a device; None where it has none there."""
    found = adapter.current_stream(device)
    return found if found is None or isinstance(found, Stream) else Stream(found, device)
