"""The base of the fakes: a numpy array, and the count of what was handed out on it."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from interop.testing._capsules import Overrides, describe
from interop.testing.fakes import _ledger

if TYPE_CHECKING:
    from typing import Unpack

    from typing_extensions import CapsuleType

Array = np.ndarray[Any, Any]


class Fake:
    """An array library of one object: host memory behind one protocol, with a count of its exports.

    Parameters
    ----------
    array
        The memory. The fake keeps it, and so does each export until its deleter is called.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self._tally = _ledger.Tally()

    def source(self) -> Any:
        """Return what to hand to a consumer: the fake itself, unless its protocol is spoken by another object."""
        return self

    @property
    def exports(self) -> int:
        """How many exports were made."""
        return self._tally.exports

    @property
    def deleted(self) -> int:
        """How many exports have ended: each by one call of its deleter."""
        _ledger.sweep()
        return self._tally.deleted

    @property
    def live(self) -> int:
        """How many exports haven't ended."""
        deleted = self.deleted  # first: it sweeps
        return self.exports - deleted

    def assert_released(self) -> None:
        """Fail unless each export has ended, and ended once."""
        if self.live:
            gc.collect()
        if self.live:
            msg = f"{self.live} of {self.exports} exports of {self!r} are still alive"
            raise AssertionError(msg)
        if self._tally.repeated:
            msg = f"{self!r}: a deleter was called {self._tally.repeated} times too often"
            raise AssertionError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self.assert_released()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.array.dtype} {self.array.shape}, strides {self.array.strides} bytes)"


class DLPackFake(Fake):
    """A fake whose exports are managed tensors, each field of which can be overridden.

    Parameters
    ----------
    array
        The memory.
    **overrides
        Fields to fill differently, true or not; see :class:`Fields`. A ``byte_offset`` alone stays true.

    Raises
    ------
    BufferError
        If DLPack can't describe the array.
    """

    def __init__(self, array: Array, **overrides: Unpack[Overrides]) -> None:
        super().__init__(array)
        self.fields = describe(array, **overrides)

    def capsule(self, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Return a fresh capsule on the memory; `overrides` come on top of those of the fake."""
        return _ledger.new_capsule(replace(self.fields, **overrides), self.array, self._tally)
