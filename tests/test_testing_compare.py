"""The comparisons: they see every difference, in every framework, and name the first."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given

from interop.testing import assert_allclose, assert_identical, fakes, strategies
from interop.testing.compare import Bits, bits
from interop.testing.fakes import FakeDeviceArray


def bits_as(dtype: Any, *patterns: int) -> np.ndarray[Any, Any]:
    return np.array(patterns, f"u{np.dtype(dtype).itemsize}").view(dtype)


@given(strategies.numpy_arrays())
def test_an_array_is_identical_to_itself(a: Any) -> None:
    assert_identical(a, a)
    assert_identical(a, np.array(a, order="F"))


@given(strategies.torch_tensors(flavours=list(strategies.TORCH_FLAVOURS)))
def test_a_tensor_is_identical_to_its_resolved_copy(t: Any) -> None:
    assert_identical(t, t.detach().resolve_conj().resolve_neg().clone())
    assert_identical(t, t)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (bits_as("float32", 0x7FC00000), bits_as("float32", 0x7FC00001)),
        (bits_as("float32", 0x7F800001), bits_as("float32", 0x7FC00001)),
        (np.array([0.0]), np.array([-0.0])),
        (bits_as(ml_dtypes.float8_e4m3fn, 0x7F), bits_as(ml_dtypes.float8_e4m3fn, 0xFF)),
    ],
)
def test_bits_that_compare_equal_or_never_do_differ(x: Any, y: Any) -> None:
    assert_identical(x, x.copy())
    with pytest.raises(AssertionError, match=r"1 of 1 elements differ, the first at \(0,\)"):
        assert_identical(x, y)


def test_the_first_difference_is_named() -> None:
    x = np.arange(6, dtype="int16").reshape(2, 3)
    y = torch.from_numpy(x).clone()
    y[1, 1:] += 256
    with pytest.raises(AssertionError) as info:
        assert_identical(x, y)
    assert str(info.value) == (
        "2 of 6 elements differ, the first at (1, 1): 0x0004 (4) in numpy, 0x0104 (260) in torch"
    )


def test_element_types_and_shapes_are_compared() -> None:
    with pytest.raises(AssertionError, match="element types differ: int32 in numpy, float32 in torch"):
        assert_identical(np.zeros(2, "int32"), torch.zeros(2))
    with pytest.raises(AssertionError, match=r"shapes differ: \(\) in numpy, \(1,\) in torch"):
        assert_identical(np.zeros((), "float32"), torch.zeros(1))
    with pytest.raises(AssertionError, match=r"shapes differ: \(0, 3\) in numpy, \(3, 0\) in numpy"):
        assert_identical(np.zeros((0, 3)), np.zeros((3, 0)))


def test_byte_order_and_layout_dont_count() -> None:
    x = np.arange(12, dtype=">i4").reshape(3, 4)
    assert_identical(x, torch.arange(12, dtype=torch.int32).reshape(4, 3).t().reshape(3, 4).new_tensor(x.tolist()))
    assert_identical(x.T, torch.arange(12, dtype=torch.int32).reshape(3, 4).t())


# torch says once a process that complex32 is experimental.
@pytest.mark.filterwarnings("ignore:ComplexHalf support")
def test_element_types_that_numpy_lacks_are_compared() -> None:
    t = torch.tensor([1, 2], dtype=torch.int32).view(torch.complex32)
    assert_identical(t, t.clone())
    with pytest.raises(AssertionError, match=r"0x00000002 in torch, 0x00000001 in torch"):
        assert_identical(t, t[[0, 0]])


def test_reading_a_tensor_leaves_its_storage_resizable() -> None:
    t = torch.zeros(4)
    bits(t)
    t.untyped_storage().resize_(64)


def test_whatever_exports_itself_is_read() -> None:
    a = np.arange(3, dtype="int8")
    for fake in (fakes.EitherProducer(a), fakes.StreamProducer(a), fakes.FakeDeviceArray(a)):
        assert_identical(fake, a)
        fake.assert_released()


def test_others_are_read_by_an_argument() -> None:
    class Mine:
        pass

    readers = {Mine.__module__.partition(".")[0]: lambda _: Bits("mine", "uint8", (1,), np.array([[7]], "uint8"))}
    assert_identical(Mine(), np.array([7], "uint8"), readers=readers)
    with pytest.raises(TypeError, match="pass readers="):
        assert_identical(Mine(), np.zeros(1))


def test_near_is_as_near_as_the_coarser_type_can_tell() -> None:
    third = np.array([1 / 3, np.nan, np.inf])
    for name in ("float32", "float16", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2):
        assert_allclose(third, third.astype(name))
    assert_allclose(torch.tensor([1 / 3], dtype=torch.bfloat16), np.array([1 / 3]))
    with pytest.raises(AssertionError, match="elements differ by more than"):
        assert_allclose(np.array([1.0]), np.array([1.001], "float32"))
    assert_allclose(np.array([1.0]), np.array([1.001]), rtol=1e-2)
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_allclose(np.zeros(2), np.zeros(3))


def test_integers_are_near_when_equal() -> None:
    assert_allclose(np.arange(3), np.arange(3, dtype="uint8"))
    with pytest.raises(AssertionError):
        assert_allclose(np.arange(3), np.arange(3) + 1)


def test_a_device_counts_where_asked() -> None:
    host, device = np.ones(2), FakeDeviceArray(np.ones(2), (2, 1))
    assert_identical(host, device)
    with pytest.raises(AssertionError, match=r"devices differ: \(1, 0\) in numpy, \(2, 1\) in interop"):
        assert_identical(host, device, device=True)


def test_the_first_element_that_isnt_near_is_shown() -> None:
    a, b = np.zeros((2, 3)), np.zeros((2, 3), "float32")
    b[1, 2] = 4
    with pytest.raises(AssertionError, match=r"1 of 6 elements differ by .*, the first at \(1, 2\): .* \(4\.0\)"):
        assert_allclose(a, b)


def test_packed_elements_are_not_read_as_bytes() -> None:
    """numpy would read a byte for each, which is behind the end of the memory."""
    packed = fakes.LegacyProducer(np.arange(8, dtype="uint8"), dtype=(0, 4, 1))
    with pytest.raises(BufferError, match="packed, as int4"):
        assert_identical(packed, np.arange(8, dtype=ml_dtypes.int4))
