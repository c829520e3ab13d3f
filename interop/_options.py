"""The options of a conversion, parsed once at the door."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from interop._devices import CUDA, Device
from interop._dtypes import DType, says_swapped
from interop._streams import Stream, parse_stream
from interop._words import exact_str, shown
from interop.errors import UnsupportedError

Order = Literal["C", "F"]

#: The element type that is nearest to the source's, of those that the target has where the result lives.
NEAREST: Final = "nearest"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for; ``None`` everywhere means "as it is".

    `swapped` is what `dtype` says of the order of bytes: True for the one that isn't this machine's, False for its own.
    `nearest` stands for the element type that is nearest to the source's where the result lives, which shows only then.
    """

    device: tuple[int, int | None] | None = None
    dtype: DType | None = None
    swapped: bool | None = None
    order: Order | None = None
    copy: bool | None = None
    writable: bool | None = None
    detach: bool = False
    stream: Stream | None = None
    nearest: bool = False

    @property
    def asks_nothing(self) -> bool:
        """Whether an object of the target framework can be returned as it is, unseen; its own type is the nearest."""
        return (replace(self, nearest=False) if self.nearest else self) in (DEFAULT, _NO_COPY)

    @property
    def trusts(self) -> bool:
        """Whether the caller says that memory may be written of which nothing tells: no copy, and writable."""
        return self.copy is False and self.writable is True

    @property
    def asks_what_it_is(self) -> bool:
        """Whether an object is returned as it is where it has the element type and the device that are named."""
        asks_more = self.order is not None or self.writable is not None or self.stream is not None
        return not (asks_more or self.copy or self.detach or self.swapped)

    def is_met_by(self, dtype: DType, device: Device) -> bool:
        """Whether an element type and a device are those that are named."""
        there = self.device in (None, device.dlpack, (device.type_code, None))
        return there and (self.dtype is None or self.dtype.name == dtype.name)


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
    nearest = exact_str(dtype) == NEAREST
    named = None if nearest else dtype
    return Options(
        device=None if device is None else _device(device),
        dtype=None if named is None else DType(named),
        swapped=None if named is None else says_swapped(named),
        nearest=nearest,
        order=None if order is None else parse_order(order, "'C', 'F', or None to keep the strides as they are"),
        copy=None if copy is None else _bool("copy", copy, _COPY),
        writable=None if writable is None else _bool("writable", writable, _WRITABLE),
        detach=_bool("detach", detach, "True (the values, without the graph) or False"),
        stream=parse_stream(stream),
    )


_COPY: Final = "True (a fresh allocation), False (a view or an error) or None (a view if possible)"
_WRITABLE: Final = "True (copy if readonly), False (a promise not to write) or None (as it is)"


# By type first: an array compares element by element, and what compares may raise.


_ORDERS: Final[dict[str | None, Order]] = {"C": "C", "F": "F"}


def parse_order(order: object, accepted: str) -> Order:
    """The order that is named, of the two that there are."""
    found = _ORDERS.get(exact_str(order))
    if found is None:
        raise _wrong("order", order, accepted)
    return found


def _bool(name: str, value: object, accepted: str) -> bool:
    if value is not True and value is not False:
        raise _wrong(name, value, accepted)
    return value


def _wrong(name: str, value: object, accepted: str) -> UnsupportedError:
    return UnsupportedError(f"{name}={shown(value)} is not a value of this argument: pass {accepted}.")


def _device(device: object) -> tuple[int, int | None]:
    if exact_str(device) == "cuda":
        return (CUDA, None)
    return Device(device).dlpack
