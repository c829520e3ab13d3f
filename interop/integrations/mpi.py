"""mpi4py: messages of arrays of every framework and element type, and the operations that MPI lacks for them.

mpi4py takes what has a buffer or speaks DLPack, by whatever its memory says: of a torch tensor with a pending negative bit
it sends the wrong signs, bfloat16 has no operation, and ml_dtypes' arrays are refused.
"""

from __future__ import annotations

import importlib
import threading
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._adapters._host import copy_values
from interop._dtypes import BY_NAME, DType
from interop._pack._landing import landed
from interop.errors import CopyError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._native import View

__all__ = ["MAX", "MIN", "PROD", "SUM", "message"]

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
    ReadOnlyError
        If it is to be received into, and can't be written.
    InteropError
        As :func:`interop.pack` raises them.

    Notes
    -----
    Where MPI has no operation for the type, pass one of this module's: :data:`SUM`, :data:`PROD`, :data:`MIN`,
    :data:`MAX`. They serve for all types.

    Examples
    --------
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> from interop.integrations import mpi  # doctest: +SKIP
    >>> out = torch.empty_like(x)  # doctest: +SKIP
    >>> MPI.COMM_WORLD.Allreduce(mpi.message(x), mpi.message(out, receive=True), op=mpi.SUM)  # doctest: +SKIP
    """
    return []
