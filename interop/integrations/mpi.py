"""mpi4py: messages of arrays of every framework and element type, and the operations that MPI lacks for them.

mpi4py takes what has a buffer or speaks DLPack, by whatever its memory says: of a torch tensor with a pending negative
bit it sends the wrong signs, bfloat16 has no operation, and ml_dtypes' arrays are refused.
"""

from __future__ import annotations

import importlib
import threading
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._dtypes import BY_NAME, DType
from interop._inspect import view
from interop._pack._landing import compact, landed
from interop.errors import CopyError, DeviceError, ReadOnlyError, UnsupportedError

if TYPE_CHECKING:
    from interop._native import View

__all__ = ["message"]

#: Operations for the elements of :func:`message`, of every type. They are made when they are asked for.
SUM: Any
PROD: Any
MIN: Any
MAX: Any

#: MPI's own types, by the names of ours; all others are sent as bytes in a row.
_TYPES: Final = {
    "int8": "INT8_T",
    "int16": "INT16_T",
    "int32": "INT32_T",
    "int64": "INT64_T",
    "uint8": "UINT8_T",
    "uint16": "UINT16_T",
    "uint32": "UINT32_T",
    "uint64": "UINT64_T",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "complex64": "C_FLOAT_COMPLEX",
    "complex128": "C_DOUBLE_COMPLEX",
    "bool": "C_BOOL",
}


def message(x: Any, /, *, detach: bool = False, receive: bool = False) -> list[Any]:
    """Describe an array as what mpi4py's upper-case calls take: its memory, how many elements, and their type.

    Parameters
    ----------
    x
        An array of any framework. Of a device it is copied to the host to be sent.
    detach
        Send the values of tensors that require grad, without their graph.
    receive
        Whether it is written into. Then it has to be memory of the host that can be, in C order.

    Returns
    -------
    list
        ``[memory, count, datatype]`` for ``Send``, ``Recv(receive=True)``, ``Bcast``, ``Allreduce`` and all others.
        Conjugates, negatives and other layouts are resolved in a copy.

    Raises
    ------
    CopyError
        If `x` is to be received into, and what MPI wrote wouldn't be in it.
    DeviceError, ReadOnlyError
        If it is to be received into, and the host can't write it.
    InteropError
        As :func:`interop.pack` raises them.

    Notes
    -----
    What is received into changes behind its framework's back: not a tensor that autograd has saved. Where MPI has no
    operation for the type, pass one of this module's: ``SUM``, ``PROD``, ``MIN``, ``MAX``. They serve for all types.

    Examples
    --------
    >>> import torch
    >>> from mpi4py import MPI
    >>> from interop.integrations import mpi
    >>> x, out = torch.ones(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.bfloat16)
    >>> MPI.COMM_SELF.Allreduce(mpi.message(x), mpi.message(out, receive=True), op=mpi.SUM)
    >>> out
    tensor([1., 1., 1.], dtype=torch.bfloat16)
    """
    memory = _received_into(x) if receive else _to_send(x, detach=detach)
    dtype = memory.dtype
    if dtype.numpy is None:
        # An operation on it would have to raise inside of MPI, which ends the process.
        msg = f"no operation of MPI's can be done with {dtype}. Send interop.view(x).bytes, as MPI.BYTE."
        raise UnsupportedError(msg)
    return [memory.bytes, memory.size, _datatype(dtype.name)]


def _to_send(x: Any, *, detach: bool) -> View:
    memory = landed(x, detach=detach).view
    return memory if memory.contiguous else compact(memory)


def _received_into(x: Any) -> View:
    memory = view(x)
    if not memory.device.is_host:
        msg = f"MPI writes into memory of the host, and x is on {memory.device}. Receive elsewhere, and interop.copyto."
        raise DeviceError(msg)
    if memory.readonly:
        msg = f"MPI can't write into {memory}: it is readonly. Receive into interop.convert(x, 'numpy', copy=True)."
        raise ReadOnlyError(msg)
    if not memory.contiguous:
        msg = (
            f"MPI writes in C order, and {memory} isn't. Receive into interop.to_numpy(x, order='C', copy=True), and "
            "interop.copyto(x, it)."
        )
        raise CopyError(msg)
    return memory


def _mpi() -> Any:
    try:
        return importlib.import_module("mpi4py.MPI")
    except ImportError as err:
        msg = "mpi4py isn't installed, or finds no MPI: pip install mpi4py mpich."
        raise UnsupportedError(msg) from err


#: Types that were made here, by the number that MPI has for them: what an operation is told.
_names: Final[dict[int, str]] = {}
_lock: Final = threading.Lock()


@cache
def _datatype(name: str) -> Any:
    library = _mpi()
    if name in _TYPES:
        found = getattr(library, _TYPES[name])
    else:
        # One each, so that an operation can tell bfloat16 from float16.
        found = library.BYTE.Create_contiguous(DType(name).itemsize).Commit()
    with _lock:
        _names[found.py2f()] = name
    return found


_FUNCTIONS: Final = {"SUM": np.add, "PROD": np.multiply, "MIN": np.minimum, "MAX": np.maximum}


@cache
def _operation(name: str) -> Any:
    return _mpi().Op.Create(partial(_apply, _FUNCTIONS[name]), commute=True)


def _apply(function: np.ufunc, values: memoryview, into: memoryview, datatype: Any) -> None:
    """What MPI calls: ``into = function(values, into)``. It must not raise, which would end the process."""
    dtype = BY_NAME[_names[datatype.py2f()]].numpy
    theirs, ours = np.frombuffer(values, dtype), np.frombuffer(into, dtype)
    with np.errstate(all="ignore"):
        try:
            function(theirs, ours, out=ours)
        except TypeError:
            # ml_dtypes doesn't have every function for every type; float32 holds the values of each exactly.
            ours[...] = function(theirs.astype(np.float32), ours.astype(np.float32)).astype(dtype)


def __getattr__(name: str) -> Any:
    # An operation is MPI's, which starts when it is imported.
    if name in _FUNCTIONS:
        return _operation(name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
