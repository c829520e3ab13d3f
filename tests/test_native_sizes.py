"""Sizes, reaches and strides that leave 64 bits: refused, or without meaning, and never computed with.

A wrong product is undefined in C: ``make sanitize`` runs these with a core that ends the process at the first one.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import interop
from interop._native import ExchangeAPI, View, make_view, ndarray_from_view, view_from_ndarray
from interop.errors import CopyError, InteropError, UnsupportedError

MOST = 2**63 - 1
LEAST = -(2**63)
BYTE, DOUBLE = (1, 8, 1), (2, 64, 1)


def on(array: np.ndarray[Any, Any], shape: Any, strides: Any, dtype: tuple[int, int, int] = DOUBLE) -> View:
    return make_view(array.ctypes.data, shape, strides, dtype, (1, 0), readonly=False, owner=array)


@pytest.fixture
def array() -> np.ndarray[Any, Any]:
    return np.arange(8.0)


@pytest.mark.parametrize("size", [MOST, MOST - 63, MOST - 64])
def test_a_copy_of_all_that_64_bits_can_count(array: Any, size: int) -> None:
    view = on(array, (size,), (0,), BYTE)
    assert view.nbytes == size
    with pytest.raises(BufferError, match=f"no memory to export {size} bytes with copy=True"):
        view.__dlpack__(copy=True, max_version=(1, 0))


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_a_conversion_of_all_that_64_bits_can_count(array: Any, target: str, dtype: str | None) -> None:
    with pytest.raises(UnsupportedError if dtype else CopyError):
        interop.convert(on(array, (MOST,), (0,), BYTE), target, dtype=dtype, copy=True)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("source", [np.zeros(1), torch.zeros(1)])
def test_a_copy_that_no_machine_has_memory_for(source: Any, target: str) -> None:
    """torch says it in a RuntimeError."""
    wide = np.broadcast_to(source, (2**50,)) if isinstance(source, np.ndarray) else source.expand(2**50)
    with pytest.raises(CopyError, match=r"^not enough memory to hand .* \(\w+ [^()]*allocate "):
        interop.convert(wide, target, copy=True)


#: Along an axis of length 1 no stride counts.
ENORMOUS = [MOST, LEAST, 2**62, 2**60, -(2**60) - 1]


@pytest.mark.parametrize("stride", ENORMOUS)
def test_a_stride_that_means_nothing_is_nowhere_multiplied(array: Any, stride: int) -> None:
    view = on(array, (1, 2, 1), (stride, 1, stride))
    assert view.strides == (1, 1, 1)
    assert view.extent == (view.ptr, view.ptr + 16)
    assert memoryview(view).strides == (8, 8, 8)
    assert ndarray_from_view(view).tolist() == [[[0.0], [1.0]]]
    assert ndarray_from_view(interop.view(view.__dlpack__(copy=True, max_version=(1, 0)))).tolist() == [[[0.0], [1.0]]]
    assert interop.to_torch(view).tolist() == [[[0.0], [1.0]]]


@pytest.mark.parametrize("stride", [2**31, 2**40, 2**59])
def test_a_stride_that_bytes_can_say_is_kept(array: Any, stride: int) -> None:
    assert on(array, (1,), (stride,)).strides == (stride,)


def twice(call: Any, x: Any) -> Any:
    """The second time a recipe may be applied."""
    call(x)
    return call(x)


def test_a_stride_of_torchs_that_means_nothing() -> None:
    t = torch.full((1,), 7.0, dtype=torch.float64).as_strided((1,), (2**62,))
    view = twice(interop.view, t)
    assert view.strides == (1,)
    assert memoryview(view).strides == (8,)
    assert ndarray_from_view(view).tolist() == [7.0]


def test_a_tensor_of_torchs_of_more_bytes_than_there_are() -> None:
    """torch counts the elements, not the bytes."""
    interop.view(torch.ones(1))
    t = torch.ones(1, dtype=torch.float64).expand(2**61)
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="no memory"):
            interop.view(t)


@pytest.mark.parametrize(
    ("shape", "strides", "dtype"),
    [
        ((3,), (2**62,), "f8"),
        ((2**32, 3), (2**60, 0), "f8"),
        ((3,), (-(2**62),), "f8"),
        ((2,), (LEAST,), "u1"),
        ((2, 2), (2**62, 2**62), "u1"),
        ((2,), (MOST,), "u1"),
        # Within 64 bits, and not from that address.
        ((2,), (-(2**62),), "f8"),
    ],
)
def test_an_ndarray_whose_strides_lead_nowhere(shape: Any, strides: Any, dtype: str) -> None:
    """as_strided believes every stride."""
    bad = as_strided(np.zeros(8, dtype), shape, strides)
    with pytest.raises(UnsupportedError, match=r"no memory at 0x\w+ has the shape"):
        view_from_ndarray(bad)
    for call in (interop.view, interop.to_torch, lambda x: interop.shares_memory(x, x)):
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="no memory"):
                call(bad)


def test_an_empty_ndarray_may_have_any_strides() -> None:
    empty = as_strided(np.zeros(8, "u1"), (2**32, 0), (2**40, MOST))
    view = twice(interop.view, empty)
    assert (view.shape, view.nbytes, view.extent) == ((2**32, 0), 0, (view.ptr, view.ptr))
    assert interop.to_torch(empty).shape == (2**32, 0)


@pytest.mark.parametrize("shape", [(2**62, 2**62), (2**60,), (2**61, 0, 2**61), 2**63])
def test_aligned_memory_that_nobody_has(shape: Any) -> None:
    with pytest.raises(UnsupportedError, match="no memory"):
        interop.empty_aligned(shape)


class Tensor(ctypes.Structure):
    """A prototype for the allocator of an exchange API."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class Header(ctypes.Structure):
    """The beginning of an exchange API."""

    _fields_ = (("version", ctypes.c_uint32 * 2), ("prev_api", ctypes.c_void_p), ("allocate", ctypes.c_void_p))


def allocated(shape: list[int] | None, ndim: int) -> bool:
    """Whether a View's own exchange API allocates doubles of a shape."""
    address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )(View.__dlpack_c_exchange_api__, b"dlpack_exchange_api")
    allocate = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)(Header.from_address(address).allocate)
    lengths = (ctypes.c_int64 * max(ndim, 1))(*(shape or ()))
    made = ctypes.c_void_p()
    tensor = Tensor(None, (1, 0), ndim, 2, 64, 1, ctypes.addressof(lengths) if shape is not None else None, None, 0)
    status: int = allocate(ctypes.addressof(tensor), ctypes.addressof(made), None, None)
    if status != 0:
        return False
    # Of version, context, deleter and flags the deleter is what frees it.
    deleter = ctypes.c_void_p.from_address((made.value or 0) + 16).value
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter or 0)(made.value)
    return True


@pytest.mark.parametrize(
    ("shape", "ndim"),
    [
        ([2**60], 1),
        ([2**60 - 1], 1),
        ([2**59], 1),
        ([2**40, 2**40], 2),
        ([-1], 1),
        ([2**62, 0, 2**62], 3),
        (None, 1),
        ([1], -1),
        ([1], 65),
    ],
)
def test_our_allocator_refuses_what_nobody_has(shape: list[int] | None, ndim: int) -> None:
    assert not allocated(shape, ndim)


def test_our_allocator_allocates() -> None:
    assert allocated([3, 4], 2)
    assert allocated([], 0)
    assert allocated([0, 2**40], 2)


LENGTHS = st.one_of(st.integers(0, 4), st.sampled_from([2**31, 2**32, 2**61, 2**62, MOST]))
STRIDES = st.one_of(
    st.integers(-4, 4), st.sampled_from([2**31, 2**32, 2**59, 2**60, 2**62, MOST, LEAST, -(2**59), -(2**60)])
)


@given(
    st.lists(st.tuples(LENGTHS, STRIDES), max_size=4),
    st.sampled_from([BYTE, DOUBLE, (5, 128, 1), (2, 255, 65535)]),
    st.integers(0, 2**64 - 1),
)
def test_what_is_taken_can_be_memory(axes: Any, dtype: Any, address: int) -> None:
    """By the arithmetic of Python's integers, which have no end."""
    shape, strides = tuple(length for length, _ in axes), tuple(stride for _, stride in axes)
    itemsize = (dtype[1] * dtype[2] + 7) // 8
    size = itemsize
    for length in shape:
        size *= length or 1
    reaches = [(length - 1) * stride * itemsize for length, stride in axes]
    low, high = sum(each for each in reaches if each < 0), sum(each for each in reaches if each > 0) + itemsize
    possible = size <= MOST
    if 0 not in shape:
        possible = possible and high - low <= MOST and address > 0 and address + low >= 0 and address + high < 2**64
    try:
        view = make_view(address, shape, strides, dtype, (1, 0), readonly=False, owner=axes)
    except UnsupportedError:
        assert not possible
        return
    assert possible
    assert view.nbytes == itemsize * np.prod(np.array(shape, object), initial=1)
    assert view.extent == ((address, address) if 0 in shape else (address + low, address + high))
    assert [a for a, length in zip(view.strides, shape, strict=True) if length > 1 and 0 not in shape] == [
        a for a, length in zip(strides, shape, strict=True) if length > 1 and 0 not in shape
    ]
    # Whatever is not read has to be said without an overflow.
    assert repr(view).startswith("View(")
    for look in (memoryview, lambda v: v.__array_interface__, lambda v: v.contiguous, ndarray_from_view):
        with contextlib.suppress(InteropError, BufferError, AttributeError):
            look(view)


def test_torchs_exchange_api_says_as_much() -> None:
    api = ExchangeAPI.of(torch.Tensor)
    if api is None:
        pytest.skip("before torch 2.10 there is none")
    t = torch.ones(1, dtype=torch.float64).expand(2**61)
    with pytest.raises(UnsupportedError, match="no memory"):
        api.peek(t, None)
