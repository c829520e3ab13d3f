"""dtype="nearest": the same element type where the target has it, else the smallest that holds every value."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from toys import ToyFramework, registered

import interop
from interop._dtypes import castable
from interop.protocols import Limits
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

torch = pytest.importorskip("torch")


@given(a=numpy_arrays())
def test_what_the_target_has_stays_as_it_is(a: np.ndarray[Any, Any]) -> None:
    for options in ({}, {"copy": True}, {"order": "C"}):
        chosen: dict[str, Any] = options
        plan = interop.explain(a, "torch", **chosen)
        if plan.error is not None:
            continue
        for _ in range(2):
            assert_identical(interop.to_torch(a, dtype="nearest", **chosen), interop.to_torch(a, **chosen))
        assert interop.explain(a, "torch", dtype="nearest", **chosen).zero_copy == plan.zero_copy


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("int4", "int8"),
        ("uint4", "uint8"),
        ("int2", "int8"),
        ("float6_e2m3fn", "float8_e4m3fn"),
        ("float4_e2m1fn", "float8_e4m3fn"),
    ],
)
def test_the_smallest_that_holds_every_value(name: str, wanted: str) -> None:
    bits = np.arange(1 << int("".join(each for each in name.partition("_")[0] if each.isdigit())), dtype=np.uint8)
    a = bits.view(getattr(ml_dtypes, name))
    t = interop.to_torch(a, dtype="nearest")
    for _ in range(3):
        t = interop.to_torch(a, dtype="nearest")
        assert castable(interop.dtype(a), interop.dtype(t), "safe")
        assert interop.dtype(t).bits == interop.DType(wanted).bits
        assert interop.to_numpy(t, dtype="float64").tolist() == a.astype("float64").tolist()
    plan = interop.explain(a, "torch", dtype="nearest")
    assert f"{interop.dtype(t)} holds every value of it" in plan.cautions[0]
    with pytest.raises(interop.CopyError):
        interop.to_torch(a, dtype="nearest", copy=False)
    with pytest.raises(interop.DTypeError):
        interop.to_torch(a)


NARROW = ToyFramework("narrow", Limits(frozenset({"float32", "int32", "bool"})))


@pytest.mark.parametrize(
    ("values", "wanted", "lost"),
    [
        (np.array([1.5, 1 / 3, 1e300]), "float32", "rounded, or overflow"),
        (np.array([1, -2, 1 << 33]), "int32", "wrap"),
        (np.array([1, 2], "uint16"), "int32", "holds every value"),
        (np.array([1.5], "float16"), "float32", "holds every value"),
        (np.array([True]), "bool", ""),
    ],
)
def test_what_a_framework_lacks_becomes_what_is_nearest(values: Any, wanted: str, lost: str) -> None:
    with registered(NARROW):
        plan = interop.explain(values, "narrow", dtype="nearest")
        assert plan.ok
        assert lost in " ".join(plan.cautions)
        assert bool(plan.cautions) == bool(lost)
        for _ in range(2):
            made = interop.convert(values, "narrow", dtype="nearest")
            with np.errstate(all="ignore"):
                assert_identical(made.array, values.astype(wanted))
            assert interop.convert(made, "narrow", dtype="nearest") is made


def test_what_has_nothing_near_is_refused_as_ever() -> None:
    with registered(NARROW):
        every: list[dict[str, Any]] = [{}, {"dtype": "nearest"}]
        for options in every:
            with pytest.raises(interop.DTypeError, match="complex64"):
                interop.convert(np.ones(2, "complex64"), "narrow", **options)


def test_trees_take_it_too() -> None:
    tree = {"a": np.arange(3).astype(ml_dtypes.int4), "b": [np.ones(2)]}
    made = interop.convert_tree(tree, "torch", dtype="nearest")
    assert (made["a"].dtype, made["b"][0].dtype) == (torch.int8, torch.float64)
