"""Which stream a framework works on now, and one stream made current in all of them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from interop._devices import CUDA, Device, device_of_pair
from interop._registry.lookup import loaded_adapters
from interop._registry.targets import target_adapter
from interop._streams import ORDERED, PER_THREAD, Stream, current_stream_of, parse_stream
from interop._words import exact_str, said, shown
from interop.errors import DeviceError, InteropError

if TYPE_CHECKING:
    from collections.abc import Generator

    from interop._typed import DeviceLike


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
