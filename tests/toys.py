"""Toy frameworks: arrays of numpy's in a class of their own, whose framework can hold what a test says.

What reaches a toy is held against its limits by numpy's own flags, not by the library's arithmetic.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from interop._aligned import aligned
from interop._dtypes import BY_NUMPY, DType
from interop._native import forget_recipes
from interop._registry import lookup, plugins
from interop.protocols import Adapter, Facts, HostAdapter, Limits

Array = np.ndarray[Any, Any]

#: All that numpy has.
EVERYTHING = frozenset(row.name for row in BY_NUMPY.values())


class Toy:
    """An array of a toy framework.

    Parameters
    ----------
    array
        Its memory.
    **facts
        What its framework says of it beside what the memory shows.
    """

    framework: ToyFramework

    def __init__(self, array: Array, **facts: Any) -> None:
        self.array = array
        self.facts = facts


class ToyFramework(HostAdapter):
    """The adapter of one toy framework, and its arrays' maker.

    Parameters
    ----------
    name
        As `to` takes it.
    limits
        On the host; or by DLPack's device types.
    """

    def __init__(self, name: str, limits: Limits | Mapping[int, Limits]) -> None:
        self.name = name
        self.modules = ()
        self.kind: type[Toy] = type(f"{name.title()}Array", (Toy,), {"framework": self})
        self.types = (self.kind,)
        self._limits = {1: limits} if isinstance(limits, Limits) else dict(limits)

    def array(self, array: Array, **facts: Any) -> Toy:
        """Make an array of this framework."""
        return self.kind(array, **facts)

    def limits(self, device_type: int, /) -> Limits | None:
        return self._limits.get(device_type)

    def to_numpy(self, x: Toy, /) -> Array:
        return x.array

    def from_numpy(self, array: Array, /) -> Toy:
        limits = self._limits[1].of(array.ndim)
        assert BY_NUMPY[array.dtype].name not in limits.own, "it takes no memory for elements of this type"
        refuse_unfit(array, limits)
        return self.kind(array)

    def describe(self, x: Toy, /) -> Facts:
        return replace(super().describe(x), **x.facts)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        if "detach" in what:
            return self.kind(x.array, **{**x.facts, "grad": "none"})
        if "readonly" in what:
            assert self._limits[1].of(x.array.ndim).readonly == "keeps", "it can't say readonly"
            array = x.array.view()
            array.flags.writeable = False
            return self.kind(array, **x.facts)
        return x

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], _device: Any, /) -> Any:
        array = aligned(shape, dtype, strides)
        refuse_unfit(array, self._limits[1].of(len(shape)))
        return self.kind(array)


def fits(array: Array, limits: Limits) -> bool:
    """Whether an array in the machine's byte order is one that a framework of these limits can hold as it is."""
    # Along an axis of length 1 no stride counts, and an empty array is in every order.
    squeezed = array.squeeze()
    orders: dict[str, bool] = {
        "any": True,
        "nonnegative": not array.size or all(step >= 0 for step in squeezed.strides),
        "dense": any(squeezed.transpose(order).flags.c_contiguous for order in permutations(range(squeezed.ndim))),
        "c": array.flags.c_contiguous,
    }
    alignment = limits.alignment or array.itemsize
    return (
        BY_NUMPY[array.dtype].name in limits.dtypes
        and orders[limits.strides]
        and (not array.size or array.__array_interface__["data"][0] % alignment == 0)
        and limits.min_ndim <= array.ndim <= limits.max_ndim
    )


def refuse_unfit(array: Array, limits: Limits) -> None:
    """Fail where a framework was handed what it can't hold."""
    assert fits(array, limits), f"{array.dtype} {array.shape}, strides {array.strides}, is nothing for {limits}"


@contextmanager
def registry_kept() -> Generator[None]:
    """Forget afterwards what is registered for as long as this lasts."""
    kept = lookup._loaded, set(lookup._registered), plugins.faults()
    try:
        yield
    finally:
        lookup._loaded = kept[0]
        lookup._registered.clear()
        lookup._registered.update(kept[1])
        plugins._faults.clear()
        plugins._faults.update(kept[2])
        lookup._by_type.clear()
        lookup._unclaimed.clear()
        forget_recipes()


@contextmanager
def registered(*frameworks: Adapter) -> Generator[None]:
    """Register adapters for as long as this lasts."""
    with registry_kept():
        for framework in frameworks:
            lookup.register(framework)
        yield
