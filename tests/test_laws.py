"""Laws of a conversion, over element types, shapes, layouts, readonly, flavours and pairs of frameworks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from frames import frames_of
from hypothesis import assume, given
from hypothesis import strategies as st

import interop
from interop._dtypes import ROWS
from interop._native import ExchangeAPI
from interop._registry.targets import target_adapter
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays, producers, torch_tensors

# torch says it once, of every tensor of complex32 that it is asked to make.
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

TARGETS = ["numpy", "torch"]
# Not "neg": torch itself negates zero to +0 or to -0, by the loop that it picks, so that bits can't be compared.
FLAVOURS = ["plain", "conj"]
EVERY_FLAVOUR = ["plain", "conj", "neg", "requires_grad", "parameter"]

# Adapters load when they are needed, and what reads their arrays natively with them.
for name in TARGETS:
    target_adapter(name)

tensors = st.one_of(numpy_arrays(), torch_tensors(flavours=FLAVOURS))
everything = st.one_of(numpy_arrays(), torch_tensors(flavours=EVERY_FLAVOUR))
names = st.sampled_from([row.name for row in ROWS])
options = st.fixed_dictionaries(
    {},
    optional={
        "device": st.sampled_from([None, "cpu", "cuda:0"]),
        "dtype": names,
        "order": st.sampled_from([None, "C", "F"]),
        "copy": st.sampled_from([None, True, False]),
        "writable": st.sampled_from([None, True, False]),
        "detach": st.booleans(),
    },
)


def filled(x: Any, value: int) -> None:
    """Set every element, by the array's own framework."""
    if not isinstance(x, torch.Tensor):
        x.fill(value)
    elif x.dtype.itemsize == 1 and x.dtype.is_floating_point:
        # torch before 2.5 can't fill float8, only copy into it.
        x.copy_(torch.full(x.shape, value, dtype=torch.float32, device=x.device))
    else:
        x.fill_(value)


def pointer(x: Any) -> int:
    return int(x.data_ptr() if isinstance(x, torch.Tensor) else x.__array_interface__["data"][0])


def is_readonly(x: Any) -> bool:
    return isinstance(x, np.ndarray) and not x.flags.writeable


def element_strides(x: Any) -> tuple[int, ...]:
    return tuple(x.stride()) if isinstance(x, torch.Tensor) else tuple(step // x.itemsize for step in x.strides)


def size(x: Any) -> int:
    return int(x.numel() if isinstance(x, torch.Tensor) else x.size)


@pytest.mark.parametrize("to", TARGETS)
@given(x=tensors)
def test_a_round_trip_is_the_identity_bit_for_bit(to: str, x: Any) -> None:
    try:
        there = interop.convert(x, to)
    except interop.DTypeError:
        # Only an element type that the target lacks may stop it.
        assert not hasattr(torch, str(interop.dtype(x))) or interop.dtype(x).bits < 8
        return
    back = interop.convert(there, interop.framework(x))
    assert_identical(x, there)
    assert_identical(x, back)
    assert tuple(back.shape) == tuple(x.shape)


@given(t=torch_tensors(flavours=["neg"]), options=st.fixed_dictionaries({}, optional={"copy": st.just(value=True)}))
def test_the_negative_bit_is_resolved_in_value(t: torch.Tensor, options: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            interop.to_numpy(t, **options).astype("complex128"), t.to(torch.complex128).resolve_neg().numpy()
        )


@pytest.mark.parametrize("to", TARGETS)
@given(x=tensors)
def test_a_view_aliases_both_ways(to: str, x: Any) -> None:
    plan = interop.explain(x, to)
    assume(plan.ok and plan.zero_copy and size(x))
    result = interop.convert(x, to)
    assert pointer(result) == pointer(x)
    assert interop.shares_memory(x, result)
    assert is_readonly(result) == is_readonly(x)
    assume(not is_readonly(x))
    # Not every small float has a zero, and not every small integer a two.
    first, second = (1, 2) if interop.dtype(x) == "float8_e8m0fnu" else (1, 0)
    # Where several indices share an element torch writes one at a time only.
    where = (slice(0, 1),) * x.ndim if 0 in element_strides(x) else (...,)
    for written, read, value in ((result, x, first), (x, result, second)):
        filled(written[where], value)
        seen = read[where]
        assert_identical(seen, np.full(tuple(seen.shape), value, interop.dtype(x).numpy))


@pytest.mark.parametrize("to", TARGETS)
@given(x=tensors, order=st.sampled_from([None, "C", "F"]), writable=st.sampled_from([None, True, False]))
def test_a_copy_shares_no_byte(to: str, x: Any, order: Any, writable: Any) -> None:
    try:
        result = interop.convert(x, to, copy=True, order=order, writable=writable)
    except interop.DTypeError:
        return
    assert_identical(x, result)
    assert result is not x
    if size(x):
        assert not interop.shares_memory(x, result)
    assert is_readonly(result) == (writable is False and to == "numpy")
    if order is not None:
        wanted = interop.view(result)
        flags = interop.to_numpy(wanted).flags
        assert flags.c_contiguous if order == "C" else flags.f_contiguous
    strides = [step for step, n in zip(element_strides(result), x.shape, strict=True) if n > 1]
    assert all(step > 0 for step in strides) or not size(x)


def outcome(call: Any) -> tuple[Any, interop.InteropError | None]:
    try:
        return call(), None
    except interop.InteropError as err:
        return None, err


@pytest.mark.parametrize("to", TARGETS)
@given(x=everything, asked=options)
def test_a_certain_plan_predicts_the_conversion(to: str, x: Any, asked: dict[str, Any]) -> None:
    plan = interop.explain(x, to, **asked)
    assert plan.certain
    result, error = outcome(lambda: interop.convert(x, to, **asked))
    assert plan.ok == (error is None), (plan, error)
    if error is not None:
        assert (type(plan.error), str(plan.error)) == (type(error), str(error))
        return
    kept = any(step.do == "keep" for step in plan.steps)
    assert (result is x) == kept
    assert interop.dtype(result) == (interop.DType(asked["dtype"]) if asked.get("dtype") else interop.dtype(x))
    assert tuple(result.shape) == tuple(x.shape)
    if size(x):
        assert interop.shares_memory(x, result) == plan.zero_copy
    assert (plan.copied_bytes > 0) == (not plan.zero_copy and size(x) > 0)
    if asked.get("copy") is False:
        assert plan.zero_copy
    if plan.reasons:
        assert not plan.zero_copy
        writes = [step for step in plan.steps if step.do in ("copy", "cast")]
        assert plan.copied_bytes == sum(size(x) * step.dtype.itemsize for step in writes if step.dtype)
        # An axis of length 1 may have any stride: a fresh array that is kept as it is has its own.
        wanted = writes[-1].strides or ()
        got = element_strides(result)
        assert not size(x) or all(a == b for a, b, n in zip(got, wanted, x.shape, strict=True) if n > 1)
    elif not kept:
        assert element_strides(result) == element_strides(x) or not size(x) or 1 in x.shape


@pytest.mark.parametrize("to", TARGETS)
@given(x=everything, asked=options)
def test_a_refused_call_leaves_the_source_as_it_was(to: str, x: Any, asked: dict[str, Any]) -> None:
    before = (sys.getrefcount(x), is_readonly(x), pointer(x))
    plan = interop.explain(x, to, **asked)
    assume(not plan.ok)
    resizable = x.untyped_storage().resizable() if isinstance(x, torch.Tensor) else None
    # No garbage may be left either: neither this nor what is refused makes a cycle.
    _, error = outcome(lambda: interop.convert(x, to, **asked))
    assert len(str(error)) > 40
    del error
    assert (sys.getrefcount(x), is_readonly(x), pointer(x)) == before
    if isinstance(x, torch.Tensor):
        assert x.untyped_storage().resizable() == resizable


@pytest.mark.parametrize("to", TARGETS)
@given(data=st.data())
def test_the_result_outlives_the_source(to: str, data: st.DataObject) -> None:
    x = data.draw(st.one_of(numpy_arrays(), torch_tensors(flavours=FLAVOURS), producers()))
    if not interop.explain(x, to).ok:
        return
    try:
        result = interop.convert(x, to)
    except interop.InteropError:
        return
    copy = interop.to_numpy(result, copy=True)
    del x
    data = None  # type: ignore[assignment]
    rubbish = [bytearray(b"\xff" * 64) for _ in range(8)]
    assert_identical(result, copy)
    del rubbish


@given(x=everything)
def test_writable_memory_is_what_was_asked_for(x: Any) -> None:
    a, error = outcome(lambda: interop.to_numpy(x, detach=True, writable=True))
    if error is None:
        assert a.flags.writeable
    a, error = outcome(lambda: interop.to_numpy(x, detach=True, writable=False))
    if error is None and a is not x:
        assert not a.flags.writeable


PAIRS = [
    ("torch", "numpy"),
    ("numpy", "torch"),
    ("torch", "view"),
    ("numpy", "view"),
    ("torch", "torch"),
    ("numpy", "numpy"),
]

SOURCES: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    "torch": lambda: torch_tensors(flavours=EVERY_FLAVOUR),
    "numpy": numpy_arrays,
}


def described(x: Any) -> tuple[Any, ...]:
    v = x if isinstance(x, interop.View) else interop.view(x)
    # Along an axis of length 1 no stride counts.
    strides = tuple(step for n, step in zip(v.shape, v.strides, strict=True) if n > 1) if v.size else ()
    return (type(x), v.shape, strides, v.dtype, v.device, v.readonly)


def door_to(to: str) -> Any:
    return interop.view if to == "view" else getattr(interop, f"to_{to}")


def planner_to(to: str) -> Any:
    """What the door to a target does where no recipe takes an object."""
    return door_to(to).__wrapped__


@pytest.mark.parametrize(("source", "to"), PAIRS)
@given(data=st.data())
def test_a_door_gives_what_the_planner_gives_every_time(source: str, to: str, data: st.DataObject) -> None:
    """The first call of a kind learns, and those after it apply what was learned: results and errors are the plan's."""
    x = data.draw(SOURCES[source]())
    by_plan, error_of_plan = outcome(lambda: planner_to(to)(x))
    calls = [door_to(to), *([] if to == "view" else [lambda y: interop.convert(y, to)])]
    for call in (*calls, *calls, *calls):
        by_door, error_of_door = outcome(lambda call=call: call(x))
        assert type(error_of_door) is type(error_of_plan)
        assert str(error_of_door) == str(error_of_plan)
        if error_of_plan is not None:
            continue
        if source == to:
            assert by_door is by_plan is x
            continue
        assert by_door is not x
        assert described(by_door) == described(by_plan)
        assert interop.shares_memory(by_door, by_plan) == interop.shares_memory(x, by_plan)


@pytest.mark.parametrize(("source", "to"), [(source, to) for source, to in PAIRS if to != "view"])
@given(data=st.data())
def test_copy_false_is_a_view_or_an_error_every_time(source: str, to: str, data: st.DataObject) -> None:
    x = data.draw(SOURCES[source]())
    plan = interop.explain(x, to, copy=False)
    calls = [door_to(to), lambda y, **options: interop.convert(y, to, **options)]
    for call in (*calls, *calls, *calls):
        result, error = outcome(lambda call=call: call(x, copy=False))
        assert str(plan.error) == str(error)
        assert type(plan.error) is type(error)
        if error is None:
            assert pointer(result) == pointer(x) or not size(x)


@pytest.mark.skipif(ExchangeAPI.of(torch.Tensor) is None, reason="this torch has no exchange API")
@pytest.mark.parametrize(("source", "to"), PAIRS)
@pytest.mark.parametrize("name", ["float32", "int64", "bool", "complex64", "bfloat16", "float8_e5m2"])
def test_an_ordinary_tensor_runs_no_python_of_ours(source: str, to: str, name: str) -> None:
    t = torch.zeros(3, 4, dtype=getattr(torch, name))
    x = t if source == "torch" else interop.to_numpy(t)
    every: list[dict[str, Any]] = [{}, {"copy": False}, {"device": None}]
    for y in (x, x[1:, ::2], x.T):
        for chosen in [{}] if to == "view" else every:
            call = partial(door_to(to), y, **chosen)
            call()
            call()
            assert frames_of(call) == []


@pytest.mark.parametrize(
    "x", [torch.ones(2, requires_grad=True), torch.eye(2).to_sparse(), torch.ones(2, device="meta")], ids=str
)
@pytest.mark.parametrize("to", ["numpy", "view"])
def test_what_is_unusual_is_refused_every_time(x: Any, to: str) -> None:
    _, refused = outcome(lambda: planner_to(to)(x))
    assert refused is not None
    for _ in range(3):
        _, error = outcome(lambda: door_to(to)(x))
        assert (type(error), str(error)) == (type(refused), str(refused))
