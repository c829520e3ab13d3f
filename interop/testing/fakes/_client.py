"""A caller of the C exchange API in pure Python: the other side of the exchange fakes, for types that offer one."""

from __future__ import annotations

from ctypes import POINTER, PYFUNCTYPE, byref, c_int, c_int32, c_void_p, cast, py_object
from typing import Any, Final

from interop.testing._capsules import (
    EXCHANGE,
    DLManagedTensorVersioned,
    DLPackExchangeAPI,
    DLTensor,
    Fields,
    capsule_pointer,
    decref,
    new_managed,
    read_tensor,
)
from interop.testing.fakes._consumer import Consumed

_OUT = POINTER(c_void_p)
# With the interpreter's lock held, and an error that the function set raised here.
_EXPORT: Final = PYFUNCTYPE(c_int, py_object, _OUT)
_LEND: Final = PYFUNCTYPE(c_int, py_object, POINTER(DLTensor))
_RECEIVE: Final = PYFUNCTYPE(c_int, c_void_p, _OUT)
_STREAM: Final = PYFUNCTYPE(c_int, c_int32, c_int32, _OUT)
_ALLOCATE: Final = PYFUNCTYPE(c_int, POINTER(DLTensor), _OUT, c_void_p, c_void_p)


class ExchangeClient:
    """The C exchange API of a type, as a C library would call it.

    Parameters
    ----------
    tp
        A type with ``__dlpack_c_exchange_api__``.

    Attributes
    ----------
    versions
        The API's version, and those that its ``prev_api`` leads to.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import ExchangeClient, ExchangeProducer
    >>> client = ExchangeClient(ExchangeProducer)
    >>> with client.export(ExchangeProducer(np.arange(3))) as tensor:
    ...     tensor.array()
    array([0, 1, 2])
    """

    def __init__(self, tp: Any) -> None:
        address = capsule_pointer(tp.__dlpack_c_exchange_api__, EXCHANGE)
        self.api = DLPackExchangeAPI.from_address(address)
        self.versions = []
        while address:
            header = DLPackExchangeAPI.from_address(address).header
            self.versions.append((header.version.major, header.version.minor))
            address = header.prev_api

    def export(self, x: object) -> Consumed:
        """Take an owned tensor from `x`."""
        out = c_void_p()
        _check(_EXPORT(self.api.managed_tensor_from_py_object_no_sync)(x, byref(out)))
        return Consumed(_managed(out))

    def lend(self, x: object) -> Fields:
        """Read the tensor that `x` lends."""
        tensor = DLTensor()
        _check(_LEND(self.api.dltensor_from_py_object_no_sync)(x, byref(tensor)))
        return read_tensor(tensor)

    def receive(self, tensor: Consumed) -> Any:
        """Make an object of a tensor, which is the object's from then on."""
        out = c_void_p()
        _check(_RECEIVE(self.api.managed_tensor_to_py_object_no_sync)(tensor.surrender(), byref(out)))
        made = cast(out, py_object).value
        # The function gave one reference, and reading it took another.
        decref(made)
        return made

    def allocate(self, like: Fields) -> Consumed:
        """Get fresh memory of a shape, element type and device."""
        prototype, _buffers = new_managed(like, None)
        out = c_void_p()
        _check(_ALLOCATE(self.api.managed_tensor_allocator)(byref(prototype.dl_tensor), byref(out), None, None))
        return Consumed(_managed(out))

    def current_stream(self, device: tuple[int, int]) -> int:
        """Ask for the current stream of a device."""
        out = c_void_p()
        _check(_STREAM(self.api.current_work_stream)(*device, byref(out)))
        return out.value or 0


def _check(status: int) -> None:
    if status:
        msg = f"a function of the exchange API returned {status} and set no error"
        raise SystemError(msg)


def _managed(out: c_void_p) -> DLManagedTensorVersioned:
    if not out.value:
        msg = "a function of the exchange API returned 0 and a NULL tensor"
        raise SystemError(msg)
    return DLManagedTensorVersioned.from_address(out.value)
