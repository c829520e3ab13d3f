"""Sources without an adapter: any object that speaks a protocol, on the strength of the protocol alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._view import ViewAdapter
from interop._adapters._view import adapter as views
from interop._devices import CPU, device_of_pair
from interop._dtypes import dtype_of_triple, parse_dtype
from interop._native import (
    ExchangeAPI,
    View,
    has_buffer,
    view_from_array_interface,
    view_from_buffer,
    view_from_capsule,
    view_from_cuda_array_interface,
    view_from_dlpack,
)
from interop.errors import DeviceError, UnsupportedError
from interop.protocols import Facts

if TYPE_CHECKING:
    from interop._devices import Device


def _from_dlpack(x: Any, device: Device | None, stream: Any) -> View:
    to_host = device is not None and device.is_host and not _dlpack_device(x).is_host
    return view_from_dlpack(x, stream=stream, dl_device=(CPU, 0) if to_host else None)


def _from_exchange(x: Any, _device: Device | None, _stream: Any) -> View:
    api = ExchangeAPI.of(type(x))
    if api is None:
        msg = f"{type(x).__qualname__}'s DLPack exchange API is of a version that this release doesn't know."
        raise UnsupportedError(msg)
    return api.export(x)


def _from_cuda_interface(x: Any, _device: Device | None, _stream: Any) -> View:
    view, _ = view_from_cuda_array_interface(x)
    return view


def _from_interface(x: Any, _device: Device | None, _stream: Any) -> View:
    return view_from_array_interface(x)


def _from_buffer(x: Any, _device: Device | None, _stream: Any) -> View:
    return view_from_buffer(x)


def _from_capsule(x: Any, _device: Device | None, _stream: Any) -> View:
    return view_from_capsule(x)


_Opener = Callable[[Any, "Device | None", Any], View]

#: How a type shows that it speaks a protocol, and how its objects are opened; the first that a type has is used.
_PROTOCOLS: Final[tuple[tuple[str, _Opener], ...]] = (
    ("__dlpack__", _from_dlpack),
    ("__dlpack_c_exchange_api__", _from_exchange),
    ("__c_dlpack_exchange_api__", _from_exchange),
    ("__cuda_array_interface__", _from_cuda_interface),
    ("__array_interface__", _from_interface),
)


def opener(tp: type) -> tuple[str, _Opener] | None:
    """The protocol that a type speaks, by name, with the function that opens its objects; None where it speaks none."""
    for attribute, opens in _PROTOCOLS:
        # On the type: probing an instance runs properties, which have been seen to raise RuntimeError and KeyError.
        if hasattr(tp, attribute):
            return attribute, opens
    if tp.__name__ == "PyCapsule":
        return "a DLPack capsule", _from_capsule
    return ("the buffer protocol", _from_buffer) if has_buffer(tp) else None


def _type_name(x: Any) -> str:
    tp = type(x)
    return tp.__qualname__ if tp.__module__ == "builtins" else f"{tp.__module__}.{tp.__qualname__}"


def _dlpack_device(x: Any) -> Device:
    try:
        kind, index = x.__dlpack_device__()
        # Enums of any kind, and paddle's (1, None).
        return device_of_pair(int(kind), int(index or 0))
    except Exception as err:
        msg = f"the __dlpack_device__ of a {type(x).__qualname__} failed: {type(err).__name__}: {err}"
        raise DeviceError(msg) from err


class ProtocolAdapter(ViewAdapter):
    """The adapter of one library's protocol-only types: it opens an object into a View, and describes that."""

    def __init__(self, name: str) -> None:
        self.name = name

    def claims(self, tp: type, /) -> bool:
        """Whatever speaks a protocol."""
        return opener(tp) is not None

    def describe(self, x: Any, /) -> Facts:
        """All there is to know of an opened object; of one that isn't open yet, a guess that says so."""
        if isinstance(x, View):
            return replace(views.describe(x), framework=self.name)
        shape = getattr(x, "shape", ()) if hasattr(type(x), "shape") else ()
        dtype = parse_dtype(getattr(x, "dtype", None)) if hasattr(type(x), "dtype") else None
        found = opener(type(x))
        protocol = found[0] if found else "no protocol"
        return Facts(
            framework=self.name,
            dtype=dtype or dtype_of_triple(1, 8),
            device=_dlpack_device(x) if hasattr(type(x), "__dlpack_device__") else device_of_pair(CPU),
            shape=tuple(shape) if isinstance(shape, tuple) else (),
            strides=None,
            ptr=None,
            extent=None,
            readonly=False,
            certain=False,
            unknown=f"what {_type_name(x)} exports through {protocol} is known only after the export",
        )

    def open(self, x: Any, device: Device | None, stream: Any, /) -> View:
        """Export an object through the protocol that it speaks; to the host, where that is asked for and it can."""
        found = opener(type(x))
        if found is None:
            msg = f"a {type(x).__qualname__} speaks no exchange protocol."
            raise UnsupportedError(msg)
        return found[1](x, device, stream)


@cache
def adapter_named(name: str) -> ProtocolAdapter:
    """The one adapter of a library's protocol-only types."""
    return ProtocolAdapter(name)


def protocol_source(tp: type) -> ProtocolAdapter | None:
    """The adapter of a type that speaks a protocol, under the name of the type's library."""
    return None if opener(tp) is None else adapter_named(tp.__module__.partition(".")[0])
