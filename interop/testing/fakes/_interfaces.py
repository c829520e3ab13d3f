"""Producers that speak NumPy's array interface, the CUDA array interface or the buffer protocol, and nothing else.

The two interfaces hand out no owner: a consumer has to keep the object itself, which a weak reference to the fake
shows. They count how often they were read.
"""

from __future__ import annotations

import pickle
import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop.testing.fakes import _ledger
from interop.testing.fakes._base import Array, Fake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ArrayInterfaceProducer(Fake):
    """Host memory behind ``__array_interface__``, version 3.

    Parameters
    ----------
    array
        The memory.
    form
        How the memory is named: ``"pointer"``, or ``"buffer"`` for a bytes-like object in C order.
    **entries
        Entries of the interface to say differently; None leaves one out.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import ArrayInterfaceProducer
    >>> fake = ArrayInterfaceProducer(np.arange(3))
    >>> np.asarray(fake)
    array([0, 1, 2])
    """

    def __init__(self, array: Array, *, form: str = "pointer", **entries: Any) -> None:
        super().__init__(array)
        self._interface = _said({**_FORMS[form](array), **entries})
        self.reads = 0

    @property
    def __array_interface__(self) -> dict[str, Any]:
        self.reads += 1
        return dict(self._interface)


def _said(entries: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value is not None}


def _by_pointer(array: Array) -> dict[str, Any]:
    interface = array.__array_interface__
    return {key: interface[key] for key in ("version", "shape", "typestr", "data", "strides")}


def _by_buffer(array: Array) -> dict[str, Any]:
    if not array.flags.c_contiguous:
        msg = f"a buffer in C order can't hold strides {array.strides}"
        raise BufferError(msg)
    flat = array.reshape(-1).view(np.uint8)
    return {"version": 3, "shape": array.shape, "typestr": array.dtype.str, "data": flat.data}


_FORMS: Final[Mapping[str, Callable[[Array], dict[str, Any]]]] = MappingProxyType(
    {"pointer": _by_pointer, "buffer": _by_buffer}
)


class CudaArrayInterfaceProducer(Fake):
    """Memory behind ``__cuda_array_interface__``: the host address stands for one on a device.

    Parameters
    ----------
    array
        The memory.
    version
        2 has no stream, as torch's; 3 has one, as cupy's.
    stream
        The stream to wait for; None for no need to wait.
    **entries
        Entries of the interface to say differently; None leaves one out.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import CudaArrayInterfaceProducer
    >>> fake = CudaArrayInterfaceProducer(np.zeros((2, 3), "float32"), stream=7)
    >>> interface = fake.__cuda_array_interface__
    >>> interface["shape"], interface["typestr"], interface["stream"]
    ((2, 3), '<f4', 7)
    """

    def __init__(self, array: Array, *, version: int = 3, stream: int | None = None, **entries: Any) -> None:
        super().__init__(array)
        self._interface = _said({**cuda_array_interface(array, version=version, stream=stream), **entries})
        self.reads = 0

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        self.reads += 1
        return dict(self._interface)


def cuda_array_interface(array: Array, *, version: int, stream: int | None) -> dict[str, Any]:
    """Return the CUDA array interface that a truthful producer of `array` gives."""
    interface = {
        "version": version,
        "shape": array.shape,
        "typestr": array.dtype.str,
        # The standard's address of an empty array is 0.
        "data": (array.ctypes.data if array.size else 0, not array.flags.writeable),
        "strides": None if array.flags.c_contiguous else array.strides,
    }
    return interface if version < 3 else {**interface, "stream": stream}


class BufferProducer(Fake):
    """Memory behind the buffer protocol: :meth:`source` gives an object that speaks nothing else.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import BufferProducer
    >>> fake = BufferProducer(np.arange(6).reshape(2, 3)[:, ::2])
    >>> memory = memoryview(fake.source())
    >>> memory.shape, memory.strides, fake.live
    ((2, 2), (24, 16), 1)
    >>> memory.release()
    >>> fake.assert_released()
    """

    def source(self) -> pickle.PickleBuffer:
        """Return a fresh object with a buffer; its export lives as long as it, or memory got from it."""
        memory: Any = self.array.view(np.ndarray)
        self._tally.exports += 1
        weakref.finalize(memory, _ledger.ended, self._tally).atexit = False
        return pickle.PickleBuffer(memory)
