"""Streams: what a caller may pass as ``stream=``, brought to one form; one stream current in several frameworks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from interop._devices import CUDA, Device, device_of_pair
from interop._native import find
from interop._words import exact_int, exact_str, is_a, name_of, said, shown
from interop.errors import DeviceError, InteropError

if TYPE_CHECKING:
    from interop._typed import DeviceLike

#: "The data is ordered already": no wait is made.
ORDERED: Final = -1

#: CUDA's numbers for the legacy default stream, which is also the null handle, and for the thread's own default stream.
LEGACY: Final = 1
PER_THREAD: Final = 2

#: What a handle is at most: an address, which the frameworks take as a signed number.
HIGHEST: Final = 2**63 - 1

#: Asked for what is no number: the loaded adapters, in turn.
foreign_stream: Callable[[object], int | None] = lambda _: None  # noqa: E731 - replaced by the registry


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
        found = foreign_stream(stream)
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
        msg = f"the __cuda_stream__ of a {name_of(type(stream))} failed: {said(err)}"
        raise DeviceError(msg) from err
    if not 0 < found <= HIGHEST:
        # -1 would be taken for "ordered already".
        msg = f"the __cuda_stream__ of a {name_of(type(stream))} gives {int(found)}, which is no handle of a stream."
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


def current_stream(framework: object, device: DeviceLike | None = None) -> Stream:
    """Return the stream that a framework works on now.

    Parameters
    ----------
    framework
        Its name or module.
    device
        A CUDA device, in any spelling; None for the framework's current one.

    Returns
    -------
    Stream
        An object with ``__cuda_stream__``, which is also the handle as an int; it keeps the stream alive.

    Raises
    ------
    DeviceError
        If the framework has no streams there.

    Examples
    --------
    >>> import interop
    >>> with interop.use_stream(interop.current_stream("cupy")):  # doctest: +SKIP
    ...     y = model(interop.to_torch(x))
    """
    from interop._targets import target_adapter  # noqa: PLC0415 - which needs the registry, which looks streams up here

    adapter = target_adapter(framework)
    anywhere = device is None or exact_str(device) == "cuda"
    place = device_of_pair(CUDA, adapter.current_device(CUDA)) if anywhere else Device(device)
    limits = adapter.limits(place.type_code)
    if limits is not None and limits.devices is not None and place.index >= limits.devices:
        count = limits.devices
        msg = (
            f"there is no {place}: {adapter.name} sees {count} device{'s' * (count != 1)}. "
            f'interop.current_stream("{adapter.name}") asks for the current one.'
        )
        raise DeviceError(msg)
    found = current_stream_of(adapter, place) if limits is not None else None
    if found is None:
        msg = (
            f"{adapter.name} has no streams on {place}, here and now. Ask a framework that works on a CUDA device of "
            'this machine: interop.current_stream("cupy", "cuda:0").'
        )
        raise DeviceError(msg)
    return found


@contextmanager
def use_stream(stream: Any, /) -> Generator[Stream]:
    """Make one stream current in every loaded GPU framework, for the length of a ``with``.

    What torch and cupy do in it is then ordered without an event, and memory that goes from one to the other costs
    no synchronisation at all.

    Parameters
    ----------
    stream
        A framework's stream, an object with ``__cuda_stream__``, or a handle. Its device is current too; for a handle,
        whose device can't be told, that is the device that is current already.

    Raises
    ------
    DeviceError
        If it is no stream, or one that a loaded framework can't work on.

    Notes
    -----
    jax and the libraries that compute by it choose their streams themselves: nothing changes for them, and a handoff to
    them costs its event.

    Where the stream isn't torch's own, dropping what torch has lent costs an event and a wait: torch's allocator can be
    told of its own streams only.

    Examples
    --------
    >>> import cupy, interop  # doctest: +SKIP
    >>> with interop.use_stream(cupy.cuda.Stream(non_blocking=True)):  # doctest: +SKIP
    ...     t = interop.to_torch(cupy.arange(3)) * 2
    """
    from interop._registry import loaded_adapters  # noqa: PLC0415 - which looks streams up here

    parsed = parse_stream(stream)
    if parsed is None or parsed == ORDERED:
        what = f"stream={shown(stream)} names no stream that could be made current"
        msg = f"{what}. Pass a framework's stream, or a handle."
        raise DeviceError(msg)
    adapters = [adapter for adapter in loaded_adapters() if adapter.limits(CUDA) is not None]
    if not adapters:
        msg = "no framework that works on a CUDA device is loaded: import torch or cupy first."
        raise DeviceError(msg)
    with ExitStack() as stack:
        for adapter in adapters:
            place = parsed.device or device_of_pair(CUDA, adapter.current_device(CUDA))
            try:
                if parsed.owner is None and parsed > PER_THREAD:
                    # A bare handle may be of a stream that is gone: an event can't be recorded there.
                    adapter.order(place, parsed)
                stack.enter_context(adapter.using(place, parsed))
            except InteropError:
                raise
            except Exception as err:
                msg = f"{adapter.name} can't work on {parsed!r}: {said(err)}. Pass a stream that exists."
                raise DeviceError(msg) from err
        yield parsed
