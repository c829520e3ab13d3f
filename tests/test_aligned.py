"""empty_aligned: memory that every framework takes as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop.testing.strategies import KINDS, dtypes, shapes


@given(
    shape=shapes(),
    dtype=dtypes(kinds=tuple(KINDS)),
    order=st.sampled_from(["C", "F"]),
    alignment=st.sampled_from([1, 16, 64, 256, 4096]),
)
def test_is_what_was_asked_for(shape: tuple[int, ...], dtype: str, order: Any, alignment: int) -> None:
    a = interop.empty_aligned(shape, dtype, order=order, alignment=alignment)
    assert (a.shape, a.dtype) == (shape, interop.DType(dtype).numpy)
    assert a.__array_interface__["data"][0] % alignment == 0 or not a.size
    assert a.flags.writeable
    assert a.flags.c_contiguous if order == "C" else a.flags.f_contiguous
    # Every byte of it is its own: written to the last.
    a.reshape(-1, order=order).view(np.uint8)[...] = 0
    assert a.tobytes() == bytes(a.nbytes)
    plan = interop.explain(a, "torch", copy=False)
    if hasattr(torch, dtype) and interop.DType(dtype).bits >= 8:
        assert plan.zero_copy


def test_is_aligned_by_default_for_the_widest_vectors() -> None:
    for size in range(1, 200, 7):
        assert interop.view(interop.empty_aligned(size, "uint8")).ptr % 64 == 0


def test_takes_a_length_and_any_spelling_of_a_type() -> None:
    assert interop.empty_aligned(3).dtype == np.float64
    assert interop.empty_aligned(np.int64(3), torch.bfloat16).dtype == interop.DType("bfloat16").numpy
    assert interop.empty_aligned([2, 3], float).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"shape": -1}, interop.UnsupportedError),
        ({"shape": (2, -1)}, interop.UnsupportedError),
        ({"shape": 2.5}, interop.UnsupportedError),
        ({"shape": "ab"}, interop.UnsupportedError),
        ({"shape": 2, "dtype": "complex32"}, interop.DTypeError),
        ({"shape": 2, "dtype": "text"}, interop.DTypeError),
        ({"shape": 2, "order": "K"}, interop.UnsupportedError),
        ({"shape": 2, "alignment": 48}, interop.UnsupportedError),
        ({"shape": 2, "alignment": 0}, interop.UnsupportedError),
        ({"shape": 2, "alignment": 1.5}, interop.UnsupportedError),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: Any, error: type[interop.InteropError]) -> None:
    with pytest.raises(error, match=r"pass|Pass"):
        interop.empty_aligned(**arguments)
