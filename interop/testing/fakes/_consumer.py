"""A consumer in pure Python: what a capsule says, and an array on it, with the deleter called once."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, Self

from interop.testing._capsules import (
    DELETER,
    VERSIONED,
    Fields,
    Managed,
    array_on,
    capsule_name,
    capsule_rename,
    managed_of,
    read_managed,
    static_name,
)

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import CapsuleType


class Consumed:
    """A managed tensor that this object owns.

    Attributes
    ----------
    fields
        What it said.
    """

    def __init__(self, managed: Managed) -> None:
        self.fields = read_managed(managed)
        self._lock = threading.Lock()
        self._managed: Managed | None = managed

    def _taken(self) -> Managed | None:
        with self._lock:
            managed, self._managed = self._managed, None
        return managed

    def release(self) -> None:
        """Call the deleter, unless that is done."""
        managed = self._taken()
        if managed is not None and managed.deleter:
            DELETER(managed.deleter)(ctypes.addressof(managed))

    def surrender(self) -> int:
        """Return the tensor's address, whose deleter is then up to the caller."""
        managed = self._taken()
        if managed is None:
            msg = "the tensor is released, or surrendered"
            raise ValueError(msg)
        return ctypes.addressof(managed)

    def array(self) -> np.ndarray[Any, Any]:
        """Return a numpy array on the memory, which has to be the host's; it keeps this object alive."""
        return array_on(self.fields, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def read(capsule: CapsuleType, /) -> Fields:
    """Tell what an unconsumed capsule says, and leave it unconsumed.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import read
    >>> fields = read(np.zeros((2, 3), "float32").__dlpack__(max_version=(1, 0)))
    >>> fields.shape, fields.strides, fields.dtype, fields.device, fields.flags
    ((2, 3), (3, 1), (2, 32, 1), (1, 0), 0)
    """
    return read_managed(managed_of(capsule))


def consume(capsule: CapsuleType, /) -> Consumed:
    """Take what is in a capsule, as the protocol says: rename the capsule, then own its tensor.

    Raises
    ------
    ValueError
        If it is no unconsumed capsule of DLPack.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import consume
    >>> with consume(np.arange(3).__dlpack__(max_version=(1, 0))) as tensor:
    ...     tensor.array()
    array([0, 1, 2])
    """
    managed = managed_of(capsule)
    used = b"used_dltensor_versioned" if capsule_name(capsule) == VERSIONED else b"used_dltensor"
    capsule_rename(capsule, static_name(used))
    return Consumed(managed)
