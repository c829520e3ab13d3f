"""warp: vectors and matrices as trailing axes, one to four dimensions, the offset that its own import forgets."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pytest
import warp as wp
from hypothesis import given
from layouts import steps_of

import interop
from interop.protocols import make_view
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays


class _Particle:
    mass: wp.float32


Particle: Any = wp.struct(_Particle)


@given(a=numpy_arrays())
def test_a_round_trip_keeps_memory_and_layout(a: np.ndarray[Any, Any]) -> None:
    plan = interop.explain(a, "warp")
    assert plan.certain
    if not plan.ok:
        wanted = interop.DTypeError if 1 <= a.ndim <= 4 else interop.UnsupportedError
        with pytest.raises(wanted, match=re.escape(str(plan.error))):
            interop.to_warp(a)
        return
    x = interop.to_warp(a)
    assert x.shape == a.shape
    back = interop.to_numpy(x)
    assert_identical(back, a)
    if a.size:
        assert (back.ctypes.data == a.ctypes.data) == plan.zero_copy
        plain = a.dtype.isnative and not any(step % a.itemsize for step in steps_of(a))
        assert plan.zero_copy == (plain and a.flags.writeable and a.ctypes.data % a.itemsize == 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "bool", "int64", "uint8"])
def test_element_types_keep_their_names(dtype: str) -> None:
    a = np.zeros((2, 3), interop.DType(dtype).numpy)
    x = interop.to_warp(a)
    assert interop.DType(x.dtype) == dtype
    assert interop.to_numpy(x).dtype == a.dtype


@pytest.mark.parametrize(
    ("dtype", "inner"),
    [(wp.vec3, (3,)), (wp.vec2h, (2,)), (wp.mat33, (3, 3)), (wp.quat, (4,)), (wp.transform, (7,))],
    ids=["vec3", "vec2h", "mat33", "quat", "transform"],
)
def test_components_are_the_last_axes(dtype: Any, inner: tuple[int, ...]) -> None:
    x = wp.zeros((4, 5), dtype=dtype, device="cpu")
    a = interop.to_numpy(x)
    assert a.shape == (4, 5, *inner)
    a[1, 2] = 7
    assert (x.numpy()[1, 2] == 7).all()
    assert interop.to_numpy(x[::2, 1:]).shape == (2, 4, *inner)
    assert interop.to_numpy(x[1:]).ctypes.data == a[1:].ctypes.data


def test_what_is_no_strided_memory_is_refused_with_what_makes_it_one() -> None:
    numbers = wp.array(np.arange(6, dtype="int32"), device="cpu")
    picked = numbers[wp.array([0, 3], dtype=int, device="cpu")]
    with pytest.raises(interop.UnsupportedError, match=r"x\.contiguous\(\)"):
        interop.to_numpy(picked)
    assert interop.to_numpy(picked.contiguous()).tolist() == [0, 3]
    particles = wp.zeros(3, dtype=Particle, device="cpu")
    with pytest.raises(interop.UnsupportedError, match=r"x\.numpy\(\), and one field"):
        interop.to_torch(particles)
    assert interop.to_numpy(particles.numpy()["mass"]).shape == (3,)


def test_a_field_is_refused_or_read_rightly() -> None:
    """A view of one field of structures has strides that are no multiple of its elements, or skips the others."""
    particles = wp.zeros(3, dtype=Particle, device="cpu")
    field = particles.numpy()["mass"]
    field[:] = [1, 2, 3]
    assert interop.to_numpy(interop.to_warp(field)).tolist() == [1, 2, 3]


def test_a_dimension_too_few_or_too_many_is_refused() -> None:
    with pytest.raises(interop.UnsupportedError, match=re.escape("interop.to_warp(interop.to_numpy(x).reshape(1))")):
        interop.to_warp(np.float32(1))
    with pytest.raises(interop.UnsupportedError, match="at most 4 dimensions"):
        interop.to_warp(np.zeros((1,) * 5))


def test_too_many_dimensions_are_said_before_the_graph() -> None:
    torch: Any = pytest.importorskip("torch")
    t = torch.ones((1,) * 5, requires_grad=True)
    advice = "interop.to_warp(interop.to_numpy(x, detach=True).reshape(1, 1, 1, 1)"
    with pytest.raises(interop.UnsupportedError, match=re.escape(advice)):
        interop.to_warp(t)
    assert interop.to_warp(interop.to_numpy(t, detach=True).reshape(1, 1, 1, 1)).shape == (1, 1, 1, 1)


def test_a_byte_offset_is_counted() -> None:
    """warp's own from_dlpack reads from the start of the memory (warp#1573)."""
    a = np.arange(6.0)
    offset = make_view(a.ctypes.data, (4,), (1,), (2, 64, 1), (1, 0), readonly=False, owner=a, byte_offset=16)
    assert interop.to_warp(offset.__dlpack__(max_version=(1, 0))).numpy().tolist() == [2, 3, 4, 5]


def test_readonly_memory_is_copied_or_promised() -> None:
    data = bytes(range(16))
    a = np.frombuffer(data, "uint8")
    interop.to_warp(a).fill_(255)
    assert data == bytes(range(16))
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_warp(a, copy=False)
    assert interop.to_warp(a, writable=False).ptr == a.ctypes.data


def test_a_slice_keeps_the_memory_of_what_it_was_made_of() -> None:
    a = np.arange(100_000.0)
    x = interop.to_warp(a.copy())[10:]
    gc.collect()
    rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
    y = interop.to_numpy(x)
    del x, rubbish
    gc.collect()
    rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
    assert_identical(y, a[10:])
    del rubbish


def test_a_kernel_writes_through_a_view() -> None:
    a = np.ones((3, 4), "float32")
    interop.to_warp(a.T).fill_(5)
    assert (a == 5).all()
    b = np.zeros(6, "float32")
    interop.to_warp(b[::-2]).assign(np.array([1, 2, 3], "float32"))
    assert b.tolist() == [0, 3, 0, 2, 0, 1]


def test_its_objects_are_known() -> None:
    assert interop.DType(wp.bfloat16) == "bfloat16"
    assert interop.Device(wp.get_device("cpu")) == "cpu"
    x = wp.zeros((2, 3), dtype=wp.float32, device="cpu")
    assert interop.convert(x, wp) is x
    interop.copyto(x, np.ones(3))
    assert x.numpy().tolist() == [[1, 1, 1], [1, 1, 1]]
