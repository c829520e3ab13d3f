"""What the DLPack tests of numpy, torch and nanobind ask of their libraries, and a user would of this one, as laws.

Where a peer refuses what has a right result (another byte order, strides that aren't whole elements), the law is that
result, and an error with `copy=False`. What jax's and pyarrow's tests ask is in frameworks/test_peers_suites.py.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import interop
from interop.testing import assert_identical
from interop.testing.fakes import CapsuleProducer, Fake, LegacyProducer, StreamProducer, VersionedProducer

Array = np.ndarray[Any, Any]

TO: dict[str, Callable[..., Any]] = {"numpy": interop.to_numpy, "torch": interop.to_torch}
MAKE: dict[str, Callable[[Array], Any]] = {"numpy": lambda a: a, "torch": torch.from_numpy}
PAIRS = [(source, to) for source in MAKE for to in TO]
CROSSINGS = [("numpy", "torch"), ("torch", "numpy")]

#: What numpy and torch both have.
NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


class Forwarding:
    """DLPack and nothing else of an array, which gets its arguments as they come."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __dlpack__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.of.__dlpack__(*arguments, **keywords)

    def __dlpack_device__(self) -> Any:
        return self.of.__dlpack_device__()


class Bare:
    """A capsule behind a method without keywords, as extensions return it, and not a word of a device."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self) -> Any:
        return self.capsule


# numpy: references, keywords, versions.


@pytest.mark.parametrize("max_version", [None, (0, 0), (0, 8), (1, 0), (2, 0), (100, 3)])
def test_an_export_holds_its_source_until_it_goes(max_version: tuple[int, int] | None) -> None:
    a = np.arange(5)
    view = interop.view(a)
    before = sys.getrefcount(a), sys.getrefcount(view)
    capsule = view.__dlpack__(max_version=max_version)
    kind = "dltensor_versioned" if max_version is not None and max_version >= (1, 0) else "dltensor"
    assert f'"{kind}"' in repr(capsule)
    assert (sys.getrefcount(a), sys.getrefcount(view)) > before
    assert from_dlpack(capsule).tolist() == [0, 1, 2, 3, 4]
    del capsule
    gc.collect()
    assert (sys.getrefcount(a), sys.getrefcount(view)) == before


@pytest.mark.parametrize(("source", "to"), PAIRS)
def test_a_result_holds_its_source_until_it_goes(source: str, to: str) -> None:
    x = MAKE[source](np.arange(5))
    before = sys.getrefcount(x)
    y = TO[to](x)
    del y
    assert sys.getrefcount(x) == before


@pytest.mark.parametrize("keywords", [{"stream": 1}, {"stream": object()}, {"dl_device": (10, 0)}, {"copy": 2}])
@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_a_view_refuses_what_it_cant_do_and_only_that(keywords: dict[str, Any], max_version: Any) -> None:
    a = np.arange(5)
    view = interop.view(a)
    allowed: list[dict[str, Any]]
    allowed = [{"stream": None}, {"dl_device": (1, 0)}, *({"copy": copy} for copy in (None, True, False))]
    for each in allowed:
        capsule = view.__dlpack__(max_version=max_version, **each)
        assert interop.shares_memory(a, interop.to_numpy(capsule)) == (not each.get("copy"))
    with pytest.raises(BufferError):
        view.__dlpack__(max_version=max_version, **keywords)
    assert view.__dlpack_device__() == (1, 0) == interop.view(a[::2]).__dlpack_device__()
    assert not hasattr(view, "__cuda_array_interface__")


def test_an_export_that_nobody_takes_leaves_an_error_on_its_way_alone() -> None:
    def fail(max_version: Any) -> None:
        _capsule = interop.view(np.arange(5)).__dlpack__(max_version=max_version)
        raise KeyError("of somebody else")

    for max_version in (None, (1, 0)):
        with pytest.raises(KeyError, match="somebody else"):
            fail(max_version)


@pytest.mark.parametrize("to", TO)
def test_a_device_and_a_copy_are_what_was_asked_for(to: str) -> None:
    for x in (np.arange(5), torch.arange(5)):
        for device in (None, "cpu"):
            for copy in (None, False, True):
                y = TO[to](x, device=device, copy=copy)
                assert_identical(x, y)
                assert interop.shares_memory(x, y) == (copy is not True)
        with pytest.raises(ValueError, match="'gpu' is not a device"):
            TO[to](x, device="gpu")


# numpy and torch: element types and layouts.


@pytest.mark.parametrize("wrap", [lambda a: a, VersionedProducer, StreamProducer, Forwarding])
@pytest.mark.parametrize("name", NAMES)
def test_element_types_pass_through(name: str, wrap: Callable[[Any], Any]) -> None:
    a = np.arange(5).astype(name)
    t = interop.to_torch(wrap(a), writable=False)
    assert t.dtype == getattr(torch, name)
    back = interop.to_numpy(Forwarding(t))
    assert back.dtype == a.dtype
    assert_identical(a, back)
    assert interop.shares_memory(a, back)


@pytest.mark.parametrize("name", [*NAMES, "bfloat16"])
def test_a_capsule_is_as_good_as_the_tensor_and_good_once(name: str) -> None:
    t = torch.arange(5).to(getattr(torch, name))
    for capsule in (t.__dlpack__(), t.__dlpack__(max_version=(1, 0))):
        y = interop.to_torch(capsule, copy=False, writable=False)
        assert y.dtype == t.dtype
        assert y.data_ptr() == t.data_ptr()
        with pytest.raises(TypeError, match="consumed"):
            interop.to_torch(capsule)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "a row": lambda x: x[0],
    "a row by two indices": lambda x: x[1, :],
    "a column": lambda x: x[:, 0],
    "transposed": lambda x: x.T,
    "one of every third": lambda x: x[::3][:1],
    "a corner": lambda x: x[3:, 3:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("source", "to"), PAIRS)
def test_a_view_of_a_matrix_stays_one(source: str, to: str, layout: str) -> None:
    x = MAKE[source](np.arange(25.0).reshape(5, 5))
    part = LAYOUTS[layout](x)
    y = TO[to](part, copy=False)
    assert_identical(part, y)
    y[...] = -1
    assert (LAYOUTS[layout](x) == -1).all()


@pytest.mark.parametrize("ndim", range(33))
def test_up_to_32_dimensions_are_a_view(ndim: int) -> None:
    a = np.full((1,) * ndim, 7.0)
    t = interop.to_torch(a, copy=False)
    assert t.shape == a.shape
    back = interop.to_numpy(interop.view(t), copy=False)
    assert back.shape == a.shape
    assert back.item() == 7
    assert interop.shares_memory(a, back)


@pytest.mark.parametrize(
    "a",
    [
        np.ndarray((10, 5, 1), "f8", np.ones(400, "u1"), strides=(8, 80, 4)),
        np.array([(7, 0)], "i4, i1")["f0"],
        np.arange(16.0)[::5][:1],
    ],
    ids=["an odd last stride", "a record's field", "one of a step"],
)
def test_the_strides_of_axes_of_length_1_never_matter(a: Array) -> None:
    for result in (interop.to_torch(a, copy=False), interop.view(a), np.from_dlpack(interop.view(a))):
        assert_identical(a, interop.to_numpy(result))
        assert interop.shares_memory(a, result)


@pytest.mark.parametrize("shape", [(1, 9, 17), (9, 1, 17), (0, 9, 17), (9, 0, 17), (9, 17, 0), (9, 0, 0), (0, 0, 0)])
@pytest.mark.parametrize(("source", "to"), CROSSINGS)
def test_what_has_axes_of_length_0_or_1_is_in_c_order(source: str, to: str, shape: tuple[int, ...]) -> None:
    x = MAKE[source](np.ones(shape, "float32"))
    assert interop.view(x).contiguous
    assert TO[to](x, order="C", copy=False).shape == shape


@pytest.mark.parametrize("shape", [(0, 9), (9, 0), (1, 9), (9, 1)])
@pytest.mark.parametrize(("source", "to"), CROSSINGS)
def test_and_in_fortran_order(source: str, to: str, shape: tuple[int, ...]) -> None:
    x = MAKE[source](np.asfortranarray(np.ones(shape, "float32")))
    assert TO[to](x, order="F", copy=False).shape == shape


def test_an_order_costs_a_copy_where_it_is_another_only() -> None:
    a = np.arange(9).reshape(3, 3)
    assert interop.to_numpy(a, order="C") is a
    assert interop.to_numpy(a, order="C", copy=False) is a
    assert not interop.shares_memory(a, interop.to_numpy(a.T, order="C"))
    with pytest.raises(BufferError):
        interop.to_torch(a[:, 1:], order="C", copy=False)


SWAPPED = np.arange(5, dtype=np.dtype("i8").newbyteorder())
RECORDS = np.array([(n, 0) for n in range(5)], "i4, i1")["f0"]


@pytest.mark.parametrize("a", [SWAPPED, RECORDS], ids=["byte order", "strides of 5 bytes"])
def test_what_dlpack_cant_say_is_copied_and_refused_as_a_view(a: Array) -> None:
    t = interop.to_torch(a)
    assert t.tolist() == [0, 1, 2, 3, 4]
    assert not interop.shares_memory(a, t)
    with pytest.raises(BufferError):
        interop.to_torch(a, copy=False)


# What may not be written to.


def test_readonly_stays_readonly() -> None:
    a = np.arange(5)
    a.flags.writeable = False
    view = interop.view(a)
    with pytest.raises(BufferError):
        view.__dlpack__()
    assert not np.from_dlpack(view).flags.writeable
    assert not interop.to_numpy(Forwarding(a)).flags.writeable
    with pytest.raises(ValueError, match="readonly"):
        interop.to_torch(a, copy=False)
    assert interop.to_numpy(a, writable=True).flags.writeable


def test_writable_is_what_says_so() -> None:
    a = np.arange(5)
    assert interop.to_numpy(VersionedProducer(a)).flags.writeable
    assert not interop.to_numpy(LegacyProducer(a)).flags.writeable


# What must not go out.


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (torch.zeros(10, requires_grad=True), BufferError),
        (torch.ones(3).to_sparse(), TypeError),
        (np.asarray(np.datetime64("2021-05-27")), TypeError),
        (np.array([None]), TypeError),
    ],
    ids=["requires grad", "sparse", "a datetime", "objects"],
)
def test_what_is_no_plain_memory_is_refused_on_leaving(x: Any, error: type[Exception]) -> None:
    own = type(x).__module__.partition(".")[0]
    for leave in (interop.view, *(to for name, to in TO.items() if name != own)):
        with pytest.raises(error) as caught:
            leave(x)
        assert isinstance(caught.value, interop.InteropError)


def test_a_conjugate_goes_out_with_its_values_or_not_at_all() -> None:
    t = torch.tensor([-1 + 1j, -2 + 2j, 3 - 3j]).conj()
    assert interop.to_numpy(t).tolist() == t.tolist()
    with pytest.raises(BufferError):
        interop.to_numpy(t, copy=False)


# nanobind: what extensions hand out and take.


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize("wrap", [lambda capsule: capsule, Bare], ids=["a capsule", "a method without keywords"])
def test_a_capsule_ends_once_and_not_before_its_result(to: str, wrap: Callable[[Any], Any]) -> None:
    a = np.arange(1.0, 9.0).reshape(2, 4)
    fake: Fake = CapsuleProducer(a)
    result = TO[to](wrap(fake.source()))
    assert result.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert fake.live == 1
    part = result[1]
    del result
    gc.collect()
    assert fake.live == 1
    del part
    gc.collect()
    fake.assert_released()


@pytest.mark.parametrize("shape", [(), (3, 4, 5)])
def test_what_a_view_says_of_a_capsule(shape: tuple[int, ...]) -> None:
    a = np.zeros(shape)
    view = interop.view(a.__dlpack__())
    assert (view.shape, view.size, view.itemsize, view.nbytes) == (a.shape, a.size, 8, a.nbytes)
    assert view.ptr == a.ctypes.data
    assert view.contiguous


@pytest.mark.parametrize(("source", "to"), CROSSINGS)
def test_another_element_type_only_by_name(source: str, to: str) -> None:
    for name in ("int32", "float32", "bool"):
        x = MAKE[source](np.zeros((2, 2, 10), name))[:, :, 4]
        assert interop.dtype(TO[to](x)) == name
        assert interop.dtype(TO[to](x, dtype="float32")) == "float32"
        if name != "float32":
            with pytest.raises(BufferError):
                TO[to](x, dtype="float32", copy=False)


@pytest.mark.parametrize("source", MAKE)
def test_what_is_there_already_comes_back_itself(source: str) -> None:
    x = MAKE[source](np.arange(3))
    assert TO[source](x) is x
    copy = TO[source](x, copy=True)
    assert copy is not x
    assert not interop.shares_memory(x, copy)
