"""A framework that keeps the memory where a copy was asked of it: found out, and no result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from toys import EVERYTHING, ToyFramework, registered

import interop
from interop._native import View, ndarray_from_view
from interop.protocols import Limits

if TYPE_CHECKING:
    from interop._dtypes import DType

Array = np.ndarray[Any, Any]


class Liar(ToyFramework):
    """A framework whose copies are on the memory that they were to be copies of.

    Parameters
    ----------
    kept
        What it makes of the memory that it should have copied.
    """

    def __init__(self, kept: Callable[[Array], Array], limits: Limits) -> None:
        super().__init__("liar", limits)
        self.kept = kept

    def assign(self, dst: Any, src: Any, /) -> None:
        dst.array = self.kept(ndarray_from_view(src) if isinstance(src, View) else src.array)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Any, /) -> Any:
        return self.kind(np.zeros(shape, dtype.numpy))


LIMITS = Limits(EVERYTHING)

#: The calls that copy, and into what limits.
COPIES: dict[str, tuple[dict[str, Any], Limits]] = {
    "copy=True": ({"copy": True}, LIMITS),
    "copy=True, writable=False": ({"copy": True, "writable": False}, LIMITS),
    "order='F'": ({"order": "F"}, LIMITS),
    "memory of its own": ({}, Limits(EVERYTHING, own=frozenset({"float32"}))),
    "memory that never changes": ({}, Limits(EVERYTHING, immutable=True)),
    "an alignment that isn't": ({}, Limits(EVERYTHING, alignment=1 << 40)),
}

#: Which part of it is kept: all, from the second element on, the last, in another order.
KEPT: dict[str, Callable[[Array], Array]] = {
    "all": lambda a: a,
    "overlapping": lambda a: np.lib.stride_tricks.as_strided(a[0, 1:], a.shape, a.strides),
    "one element": lambda a: np.lib.stride_tricks.as_strided(a[-1:, -1:], a.shape, (0, 0)),
    "backwards": lambda a: a[::-1, ::-1],
}


def memory() -> Array:
    """An array with some room behind its last element."""
    return np.arange(24, dtype="f4")[:12].reshape(3, 4)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("what", COPIES)
def test_memory_that_was_kept_where_a_copy_was_asked_for_is_no_result(what: str, kept: str) -> None:
    options, limits = COPIES[what]
    a = memory()
    before = a.copy()
    with registered(Liar(KEPT[kept], limits)):
        for x in (a, torch.from_numpy(a), interop.view(a)):
            plan = interop.explain(x, "liar", **options)
            assert plan.ok
            assert plan.copied_bytes == 48
            with pytest.raises(interop.CopyError, match=r"liar kept the memory of .* where a copy was asked") as caught:
                interop.convert(x, "liar", **options)
            assert str(caught.value).endswith("Copy x first.")
    assert (a == before).all()


@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_a_source_that_keeps_its_memory_where_it_was_to_copy(to: str) -> None:
    """What only the source's framework can read, it copies; then its copy is what is handed over."""
    liar = Liar(KEPT["all"], LIMITS)
    with registered(liar):
        x = liar.array(memory(), pending=frozenset({"neg"}))
        with pytest.raises(interop.CopyError, match=f"{to} kept the memory of a liar tensor"):
            interop.convert(x, to)


@pytest.mark.parametrize("what", COPIES)
def test_a_true_copy_is_a_result(what: str) -> None:
    options, limits = COPIES[what]
    a = memory()
    with registered(Liar(np.copy, limits)):
        made = interop.convert(a, "liar", **options)
        assert not np.shares_memory(made.array, a)
        assert (made.array == a).all()


def test_nothing_is_kept_of_what_is_empty() -> None:
    a = np.zeros((0, 3), "f4")
    with registered(Liar(KEPT["all"], LIMITS)):
        assert interop.convert(a, "liar", copy=True).array.shape == (0, 3)
