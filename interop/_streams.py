"""Streams: what a caller may pass as ``stream=``, brought to one form, a handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from interop.errors import DeviceError

#: "The data is ordered already": no wait is made.
ORDERED: Final = -1

#: Asked for what is no number and has no ``__cuda_stream__``: the loaded adapters, in turn.
foreign_stream: Callable[[object], int | None] = lambda _: None  # noqa: E731 - replaced by the registry


def parse_stream(stream: Any) -> int | None:
    """The handle that `stream` stands for: None for the current stream, -1 for "ordered already".

    Raises
    ------
    DeviceError
        If it is 0, which DLPack disallows as ambiguous, or is no stream.
    """
    if stream is None:
        return None
    if isinstance(stream, bool) or not isinstance(stream, int):
        found = _handle(stream)
        if found is None:
            msg = (
                f"stream={stream!r} is no stream. Pass a framework's stream, an object with __cuda_stream__, a handle, "
                "-1 for data that is ordered already, or None for the current stream."
            )
            raise DeviceError(msg)
        return found
    if stream == 0 or stream < ORDERED:
        msg = (
            f"stream={stream} names no stream: 0 could be the legacy default stream or the thread's own. Pass 1 for "
            "the legacy default stream, a framework's stream object, or -1 for data that is ordered already."
        )
        raise DeviceError(msg)
    return stream


def _handle(stream: Any) -> int | None:
    if not hasattr(type(stream), "__cuda_stream__"):
        return foreign_stream(stream)
    try:
        # (version of the protocol, handle), as cuda.core defines it.
        _, handle = stream.__cuda_stream__()
        # A null handle is the legacy default stream, which has the number 1 where 0 means nothing.
        return int(handle) or 1
    except Exception as err:
        msg = f"the __cuda_stream__ of a {type(stream).__qualname__} failed: {type(err).__name__}: {err}"
        raise DeviceError(msg) from err
