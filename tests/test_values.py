"""Never a wrong value: what libraries would export wrongly comes out right, or is refused with what helps."""

from __future__ import annotations

import re
import sys
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from conftest import FRAMEWORKS
from refusals import refused
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

import interop
from interop._dtypes import ROWS

FLOAT8 = [name for name in dir(torch) if name.startswith("float8_")]
SHARED = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SHARED += ["float16", "float32", "float64", "complex64", "complex128", "bfloat16", *FLOAT8]


def numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def every_bit_pattern(name: str) -> np.ndarray[Any, Any]:
    """All patterns of 8- and 16-bit types, many of the others: NaN payloads, signed zeros, subnormals."""
    dtype = numpy_dtype(name)
    if name == "bool":
        return np.array([False, True] * 4)
    if dtype.itemsize <= 2:
        return np.arange(256**dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)
    return np.random.default_rng(0).integers(0, 256, 64 * dtype.itemsize, dtype="u1").view(dtype)


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_dtype_crosses_bit_for_bit_both_ways(name: str) -> None:
    a = every_bit_pattern(name)
    t = interop.to_torch(a)
    assert t.dtype == getattr(torch, name)
    assert t.data_ptr() == a.ctypes.data
    b = interop.to_numpy(t)
    assert b.dtype == numpy_dtype(name)
    assert b.ctypes.data == a.ctypes.data
    assert b.tobytes() == a.tobytes()


@pytest.mark.parametrize("name", SHARED)
def test_torch_memory_crosses_and_back_on_the_same_address(name: str) -> None:
    t = torch.empty(3, 4, dtype=getattr(torch, name)).T
    a = interop.to_numpy(t)
    assert (a.ctypes.data, a.shape, a.dtype) == (t.data_ptr(), (4, 3), numpy_dtype(name))
    assert [step // a.itemsize for step in a.strides] == list(t.stride())
    back = interop.to_torch(a)
    assert (back.data_ptr(), back.dtype, back.stride()) == (t.data_ptr(), t.dtype, t.stride())


def test_negative_bit_is_resolved_not_ignored() -> None:
    t = torch.tensor([1 + 2j, 3 + 4j]).conj().imag
    assert t.is_neg()
    np.testing.assert_array_equal(interop.to_numpy(t), [-2.0, -4.0])
    with pytest.raises(interop.CopyError, match="negative bit"):
        interop.to_numpy(t, copy=False)
    with pytest.raises(interop.CopyError, match="negative bit"):
        interop.view(t)


def test_conjugate_bit_is_resolved_not_ignored() -> None:
    t = torch.tensor([1 + 2j, 3 - 4j]).conj()
    np.testing.assert_array_equal(interop.to_numpy(t), [1 - 2j, 3 + 4j])
    with pytest.raises(interop.CopyError, match="conjugate bit"):
        interop.to_numpy(t, copy=False)
    both = torch._neg_view(t)
    np.testing.assert_array_equal(interop.to_numpy(both), [-1 + 2j, -3 - 4j])


def test_bits_survive_within_torch() -> None:
    t = torch.tensor([1 + 2j]).conj()
    assert interop.to_torch(t) is t
    fresh = interop.to_torch(t, copy=True)
    assert fresh.data_ptr() != t.data_ptr()
    assert fresh.tolist() == [1 - 2j]


def jagged() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)


def nested() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def fake() -> torch.Tensor:
    with FakeTensorMode():
        return torch.ones(3)


UNSUPPORTED = {
    "sparse coo": (lambda: torch.eye(3).to_sparse(), "to_dense"),
    "sparse csr": (lambda: torch.eye(3).to_sparse_csr(), "to_dense"),
    "mkldnn": (lambda: torch.ones(3).to_mkldnn(), "to_dense"),
    "jagged": (jagged, "to_padded_tensor"),
    "nested": (nested, "to_padded_tensor"),
    "meta": (lambda: torch.ones(3, device="meta"), "empty_like"),
    "fake": (fake, "__torch_dispatch__"),
    "zero tensor": (lambda: torch._efficientzerotensor((3,)), "zeros_like"),
    "masked array": (lambda: np.ma.masked_array([1, 2, 3], [False, True, False]), "filled"),
    "strings": (lambda: np.array(["a", "b"]), "Encode"),
    "bytes strings": (lambda: np.array([b"a"]), "Encode"),
    "objects": (lambda: np.array([1, None], dtype=object), "astype"),
    "datetimes": (lambda: np.array(["2020-01-01"], "M8[D]"), "astype"),
    "timedeltas": (lambda: np.array([1], "m8[s]"), "astype"),
    "structured": (lambda: np.zeros(2, [("a", "i4"), ("b", "f4")]), "x['a']"),
    "longdouble": (lambda: np.zeros(2, "longdouble"), "astype"),
    "a float": (lambda: 3.5, "asarray"),
    "a list": (lambda: [1, 2], "asarray"),
    "None": (lambda: None, "Pass an array"),
    "a string": (lambda: "abc", "as numbers first"),
}


def warnings_are_errors_except_sparse_beta(make: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


@pytest.mark.parametrize("what", UNSUPPORTED)
@pytest.mark.parametrize("to", [name for name in FRAMEWORKS if name in ("numpy", "torch", "cupy")])
def test_what_is_no_plain_tensor_is_refused_with_what_helps(what: str, to: str) -> None:
    make, helps = UNSUPPORTED[what]
    x = warnings_are_errors_except_sparse_beta(make)
    if interop.explain(x, to).zero_copy:
        assert interop.convert(x, to) is x
        return
    assert helps in refused(x, to, calls=())


def test_a_mask_is_refused_also_within_numpy() -> None:
    with pytest.raises(interop.UnsupportedError, match="mask"):
        interop.to_numpy(np.ma.masked_array([1, 2], [False, True]))


def test_functorch_wrappers_are_refused() -> None:
    seen: list[type] = []

    def look(z: torch.Tensor) -> torch.Tensor:
        for call in (interop.to_numpy, interop.view):
            try:
                call(z)
            except interop.InteropError as err:
                seen.append(type(err))
            else:
                seen.append(type(None))
        return z * 2

    torch.func.functionalize(look)(torch.ones(3))
    torch.vmap(look)(torch.ones(2, 3))
    torch.func.jvp(look, (torch.ones(3),), (torch.ones(3),))
    torch.func.grad(lambda z: look(z).sum())(torch.ones(3))
    assert seen[:6] == [interop.UnsupportedError] * 6
    assert set(seen[6:]) <= {interop.UnsupportedError, interop.GradientError}


def test_grad_and_tangent_leave_only_detached() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    for x in (p, p * 2):
        with pytest.raises(interop.GradientError, match="detach=True"):
            interop.to_numpy(x)
        with pytest.raises(interop.GradientError, match="detach"):
            interop.view(x)
        a = interop.to_numpy(x, detach=True)
        assert a.ctypes.data == x.data_ptr()
    assert interop.to_torch(p) is p
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(3), torch.ones(3))
        with pytest.raises(interop.GradientError, match="tangent"):
            interop.to_numpy(dual)
        with pytest.raises(interop.GradientError, match="tangent"):
            interop.view(dual)
        np.testing.assert_array_equal(interop.to_numpy(dual, detach=True), 1)
        kept = interop.to_torch(dual, dtype="float64")
        assert forward_ad.unpack_dual(kept).tangent is not None
        assert forward_ad.unpack_dual(interop.to_torch(dual, detach=True)).tangent is None


def test_gradients_flow_through_a_conversion_within_torch() -> None:
    p = torch.ones(2, 3, requires_grad=True)
    y = interop.to_torch(p, dtype="float64", order="F", copy=True)
    assert y.dtype == torch.float64
    assert y.T.is_contiguous()
    y.sum().backward()
    assert p.grad is not None
    assert p.grad.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("make", "works"),
    [
        (lambda: torch.ones(3, dtype=torch.complex32), "complex64"),
        (lambda: torch.quantize_per_tensor(torch.tensor([0.0, 1.0, 2.0]), 0.5, 3, torch.quint8), "float32"),
    ],
    ids=["complex32", "quantized"],
)
@pytest.mark.filterwarnings("ignore:ComplexHalf", "ignore:.*quantiz", "ignore:.*deprecated")
def test_a_dtype_that_numpy_lacks_is_refused_with_the_dtype_that_works(make: Any, works: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = make()
        with pytest.raises(interop.DTypeError, match=f"dtype='{works}'"):
            interop.to_numpy(t)
        a = interop.to_numpy(t, dtype=works)
        wanted = t.dequantize() if t.is_quantized else t.to(getattr(torch, works))
        np.testing.assert_array_equal(a, wanted.numpy())


def test_packed_float4_is_refused_by_name() -> None:
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4")
    t = torch.empty(4, dtype=torch.float4_e2m1fn_x2)
    with pytest.raises(interop.DTypeError, match=r"float4_e2m1fn_x2.*uint8"):
        interop.to_numpy(t)
    assert interop.to_numpy(t.view(torch.uint8)).ctypes.data == t.data_ptr()


@pytest.mark.parametrize("name", ["int4", "uint4", "float4_e2m1fn", "float6_e2m3fn", "int2"])
def test_sub_byte_types_of_ml_dtypes_cast_to_what_torch_has(name: str) -> None:
    a = np.array([0, 1, 1], numpy_dtype(name))
    with pytest.raises(interop.DTypeError, match="dtype="):
        interop.to_torch(a)
    t = interop.to_torch(a, dtype="float32")
    assert t.tolist() == [0.0, 1.0, 1.0]


def test_complex_to_real_is_refused() -> None:
    for x in (np.ones(2, "complex64"), torch.ones(2, dtype=torch.complex64)):
        for to in ("numpy", "torch"):
            with pytest.raises(interop.DTypeError, match="imaginary"):
                interop.convert(x, to, dtype="float32")


@pytest.mark.filterwarnings("error")
def test_casts_make_no_warning() -> None:
    a = np.array([np.nan, np.inf, 1e300, -1.0])
    for name in ("int8", "uint8", "float16", "bfloat16", "float8_e4m3fn", "bool", "complex64"):
        interop.to_torch(a, dtype=name)
        interop.to_numpy(a, dtype=name)
        interop.to_numpy(torch.from_numpy(a), dtype=name)


def test_big_endian_is_the_same_values_in_another_layout() -> None:
    a = np.arange(4, dtype=">f4")
    t = interop.to_torch(a)
    assert t.tolist() == [0, 1, 2, 3]
    with pytest.raises(interop.CopyError, match="byte order"):
        interop.to_torch(a, copy=False)
    assert interop.to_numpy(a) is a


def test_strides_that_are_no_multiple_of_the_element_are_copied() -> None:
    a = np.zeros(4, [("x", "i1"), ("y", "<f4")])["y"]
    a[:] = [1, 2, 3, 4]
    assert interop.to_torch(a).tolist() == [1, 2, 3, 4]
    with pytest.raises(interop.CopyError, match="multiple"):
        interop.to_torch(a, copy=False)


def test_negative_strides_are_copied_for_torch_never_aborted() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for x in (a[::-1], a[:, ::-1], a[::-1, ::-1]):
        t = interop.to_torch(x)
        np.testing.assert_array_equal(t.numpy(), x)
        with pytest.raises(interop.CopyError, match="negative strides"):
            interop.to_torch(x, copy=False)
    odd = np.lib.stride_tricks.as_strided(a, (1, 3), (-24, 8))
    t = interop.to_torch(odd, copy=False)
    assert t.data_ptr() == odd.ctypes.data
    empty = np.zeros((0, 3))[:, ::-1]
    assert interop.to_torch(empty, copy=False).shape == (0, 3)


def test_misaligned_memory_is_copied_for_torch() -> None:
    a = np.frombuffer(bytearray(33), "u1")[1:].view("f8")
    a[:] = [1, 2, 3, 4]
    assert not a.flags.aligned
    t = interop.to_torch(a)
    assert t.tolist() == [1, 2, 3, 4]
    assert t.data_ptr() % 8 == 0
    with pytest.raises(interop.CopyError, match="multiple of 8"):
        interop.to_torch(a, copy=False)


def test_numpy_scalars_are_readonly_sources() -> None:
    for scalar in (np.float32(1.5), np.bool_(True), np.int64(7), ml_dtypes.bfloat16(1.5)):
        a = interop.to_numpy(scalar)
        assert type(a) is np.ndarray
        assert a == scalar
        assert interop.to_torch(scalar).item() == scalar
    with pytest.raises(interop.CopyError):
        interop.to_torch(ml_dtypes.bfloat16(1.5), copy=False, writable=False)
    assert interop.framework(np.float32(1)) == "numpy"


def test_subclasses_that_mean_only_their_numbers_are_taken() -> None:
    class Tagged(torch.Tensor):
        pass

    t = torch.ones(3).as_subclass(Tagged)
    assert interop.to_numpy(t).ctypes.data == t.data_ptr()
    m = np.matrix([[1.0, 2.0]])
    assert interop.to_torch(m).data_ptr() == m.ctypes.data

    class Image(np.ndarray):
        """What libraries of images return: an ndarray with methods, and nothing that numpy would carry along."""

    image = np.ones(3).view(Image)
    assert interop.to_torch(image).data_ptr() == image.ctypes.data
    assert interop.to_numpy(image) is image

    class Quantity(np.ndarray):
        def __array_finalize__(self, _obj: Any) -> None:
            self.unit = None

    q = np.ones(3).view(Quantity)
    with pytest.raises(interop.UnsupportedError, match=re.escape("numpy.asarray(x)")):
        interop.to_torch(q)


SMALL = [row.name for row in ROWS if row.numpy is not None and row.bits <= 16]


@pytest.mark.parametrize("source", SMALL)
def test_small_types_cast_to_each_other(source: str) -> None:
    a = np.ones(3, numpy_dtype(source))
    for target in [*SMALL, "float32", "int64", "complex64"]:
        assert interop.to_numpy(a, dtype=target).astype("c8").tolist() == [1, 1, 1]


@pytest.mark.parametrize("short", ["f4", "<i8" if sys.byteorder == "little" else ">i8", "=u2", "|b1", "c16", "f2"])
def test_numpys_short_spellings_name_element_types(short: str) -> None:
    assert interop.DType(short) is interop.DType(np.dtype(short))
    assert interop.to_numpy(np.zeros(2), dtype=short).dtype == np.dtype(short) or short == "c16"


@pytest.mark.parametrize("text", [">f4" if sys.byteorder == "little" else "<f4", "f3", "i4,i4", "U4", "V8", "f", ""])
def test_what_is_no_element_type_to_exchange_is_no_spelling_of_one(text: str) -> None:
    with pytest.raises(interop.DTypeError, match="'float32'"):
        interop.DType(text)
