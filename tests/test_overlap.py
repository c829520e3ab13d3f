"""Layouts in which several indices mean one element: known exactly, and said of a view that can be written."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import interop
from interop import _layout
from interop.testing.strategies import numpy_arrays

layouts = st.integers(0, 4).flatmap(
    lambda ndim: st.tuples(
        st.tuples(*[st.integers(0, 4)] * ndim),
        st.tuples(*[st.integers(-12, 12)] * ndim),
    )
)


def shares_an_element(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """By counting."""
    indices = list(product(*map(range, shape)))
    return len({sum(map(int.__mul__, index, strides)) for index in indices}) < len(indices)


@given(layout=layouts)
@example(layout=((2, 3), (3, 2)))
@example(layout=((3, 3), (3, 2)))
@example(layout=((4, 1, 4), (0, 0, 1)))
@example(layout=((2, 2, 2), (3, -2, 1)))
@example(layout=((2, 2, 2), (7, -3, 2)))
@example(layout=((0, 4), (0, 0)))
@example(layout=((), ()))
def test_it_is_what_counting_finds(layout: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    assert _layout.overlaps(*layout) == shares_an_element(*layout)


@pytest.mark.parametrize(
    ("shape", "strides", "overlaps"),
    [
        ((1_000_000, 64), (1, 1), True),
        ((1_000_000, 64), (64, 1), False),
        ((1_000_000, 64), (63, 1), True),
        ((1 << 40, 1 << 20), (1 << 20, 1), False),
        ((1 << 40, 1 << 20), (-(1 << 20), 1), False),
        ((2,) * 60, tuple(1 << n for n in range(60)), False),
        ((2,) * 60, (*(1 << n for n in range(59)), 1), True),
        ((3,) * 40, tuple(3**n for n in reversed(range(40))), False),
    ],
)
def test_great_layouts_take_no_time(shape: tuple[int, ...], strides: tuple[int, ...], overlaps: bool) -> None:
    assert _layout.overlaps(shape, strides) == overlaps


def test_what_takes_too_long_to_know_counts_as_overlapping() -> None:
    """An address for each of 2**30 indices, whose strides are close to each other: it isn't searched to its end."""
    strides = tuple((1 << 40) + (1 << n) for n in range(30))
    assert _layout.overlaps((2,) * 30, strides)


def cautions(x: Any, to: str, **options: Any) -> list[str]:
    return [each for each in interop.explain(x, to, **options).cautions if "several indices share one element" in each]


def addresses(a: np.ndarray[Any, Any]) -> set[int]:
    """Where the elements are."""
    parts = (a[tuple(slice(i, i + 1) for i in index)] for index in np.ndindex(a.shape))
    return {part.__array_interface__["data"][0] for part in parts}


A = np.arange(12.0)

OVERLAPPING: dict[str, tuple[Any, str]] = {
    "a broadcast of torch's": (torch.zeros(3).expand(2, 3), "a stride is 0"),
    "a broadcast of numpy's that can be written": (as_strided(A, (3, 4), (0, 8)), "a stride is 0"),
    "sliding windows of numpy's": (sliding_window_view(A, 4, writeable=True), "their strides overlap"),
    "sliding windows of torch's": (torch.arange(12.0).unfold(0, 4, 1), "their strides overlap"),
    "windows that overlap by one": (torch.arange(12.0).unfold(0, 4, 3), "their strides overlap"),
    "as_strided": (torch.as_strided(torch.arange(12.0), (3, 3), (2, 2)), "their strides overlap"),
}

APART: dict[str, Any] = {
    "C": np.zeros((3, 4)),
    "F": np.zeros((3, 4), order="F"),
    "transposed": torch.zeros(2, 3, 4).permute(2, 0, 1),
    "stepped": np.zeros((6, 8))[::2, ::3],
    "a length of 1 with a stride of 0": torch.zeros(1).expand(1),
    "lengths of 1, broadcast": torch.zeros(1, 3).expand(1, 3),
    "a length of 1, strided to 0": as_strided(A, (1, 4), (0, 8)),
    "windows side by side": torch.arange(12.0).unfold(0, 4, 4),
    "windows with gaps": torch.arange(12.0).unfold(0, 3, 4),
    "the diagonal": torch.zeros(4, 4).diagonal(),
    "interlocking, and apart": as_strided(A, (2, 3), (24, 16)),
    "empty": torch.zeros(0, 3).expand(0, 3),
    "no axes": torch.zeros(()),
}


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("what", OVERLAPPING)
def test_a_view_that_can_be_written_says_that_indices_share_an_element(what: str, to: str) -> None:
    x, why = OVERLAPPING[what]
    v = interop.view(x)
    assert cautions(v, to) == [f"several indices share one element ({why}): a write shows at each of them"]
    # And so it is.
    a = interop.to_numpy(v)
    assert len(addresses(a)) < a.size
    # What is copied isn't on one memory any more.
    assert cautions(v, to, copy=True) == []
    if to == "numpy":
        # Nothing is written through what is readonly.
        assert cautions(v.with_readonly(), to) == []


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("what", APART)
def test_a_view_of_elements_that_lie_apart_says_nothing(what: str, to: str) -> None:
    v = interop.view(APART[what])
    assert interop.explain(v, to).zero_copy
    assert cautions(v, to) == []


@given(a=numpy_arrays(dtypes="float32"))
def test_what_is_said_is_what_is(a: np.ndarray[Any, Any]) -> None:
    plan = interop.explain(a, "torch")
    if plan.error is not None or not plan.zero_copy:
        return
    assert bool(cautions(a, "torch")) == (len(addresses(a)) < a.size and a.flags.writeable)
