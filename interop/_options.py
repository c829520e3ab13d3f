"""The options of a conversion, parsed once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from interop._devices import CUDA, Device
from interop._dtypes import DType
from interop._streams import Stream, parse_stream
from interop.errors import UnsupportedError

Order = Literal["C", "F"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for; ``None`` everywhere means "as it is"."""

    device: tuple[int, int | None] | None = None
    dtype: DType | None = None
    order: Order | None = None
    copy: bool | None = None
    writable: bool | None = None
    detach: bool = False
    stream: Stream | None = None

    @property
    def asks_nothing(self) -> bool:
        """Whether an object of the target framework can be returned as it is, unseen."""
        return self in (DEFAULT, _NO_COPY)


DEFAULT: Final = Options()
_NO_COPY: Final = Options(copy=False)


def parse(
    *,
    device: object = None,
    dtype: object = None,
    order: object = None,
    copy: object = None,
    writable: object = None,
    detach: object = False,
    stream: object = None,
) -> Options:
    """Check every argument and bring it to its one internal form, or raise with what to pass instead."""
    if order is not None and order not in ("C", "F"):
        raise _wrong("order", order, "'C', 'F', or None to keep the strides as they are")
    if copy is not None and not isinstance(copy, bool):
        raise _wrong("copy", copy, "True (a fresh allocation), False (a view or an error) or None (a view if possible)")
    if writable is not None and not isinstance(writable, bool):
        raise _wrong("writable", writable, "True (copy if readonly), False (a promise not to write) or None (as it is)")
    if not isinstance(detach, bool):
        raise _wrong("detach", detach, "True (the values, without the graph) or False")
    return Options(
        device=None if device is None else _device(device),
        dtype=None if dtype is None else DType(dtype),
        order=order,
        copy=copy,
        writable=writable,
        detach=detach,
        stream=parse_stream(stream),
    )


def _wrong(name: str, value: object, accepted: str) -> UnsupportedError:
    return UnsupportedError(f"{name}={value!r} is not a value of this argument: pass {accepted}.")


def _device(device: object) -> tuple[int, int | None]:
    if isinstance(device, str) and device == "cuda":
        return (CUDA, None)
    return Device(device).dlpack
