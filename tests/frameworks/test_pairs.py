"""The laws of a conversion, for every framework that this run was asked to test with every other one.

What an array holds is read by its own framework's calls (table.py), never by interop.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from frameworks.table import FRAMEWORKS, GUESTS, PAIRS, Framework, bits
from hypothesis import assume, given
from hypothesis import strategies as st

import interop
from interop import _options
from interop._convert import _convert
from interop._registry.targets import target_adapter
from interop.testing.strategies import KINDS, dtypes, numpy_arrays, shapes

# Adapters load when they are needed, and what reads their arrays natively with them.
for name in FRAMEWORKS:
    if not FRAMEWORKS[name].source_only:
        target_adapter(name)

pairs = pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-to-".join(pair) for pair in PAIRS])

options = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "float64", "bfloat16", "int32", "uint8", "bool", "complex64"]),
        "order": st.sampled_from([None, "C", "F"]),
        "copy": st.sampled_from([None, True, False]),
        "writable": st.sampled_from([None, True, False]),
        "device": st.sampled_from([None, "cpu", "cuda:0"]),
    },
)


def values(framework: Framework) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """Arrays in C order of the element types that a framework has."""
    names = dtypes(kinds=tuple(KINDS), names=framework.dtypes)
    return numpy_arrays(dtypes=names, layouts="c", shapes=shapes(min_dims=framework.min_dims, max_dims=3))


def arrays(source: str) -> st.SearchStrategy[tuple[Any, np.ndarray[Any, Any]]]:
    """Arrays of a framework, made and laid out by its own calls, with what they hold."""
    framework = FRAMEWORKS[source]
    views = st.sampled_from([None, *framework.views.values()])
    if source == "numpy":
        names = dtypes(kinds=tuple(KINDS), names=framework.dtypes)
        return numpy_arrays(dtypes=names, shapes=shapes(max_dims=3)).map(lambda a: (a, a.copy()))
    return st.tuples(values(framework), views).map(lambda drawn: _made(framework, *drawn))


def _made(framework: Framework, a: np.ndarray[Any, Any], view: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    x = framework.make(a)
    if view is not None:
        x = view(x)
    return x, framework.read(x)


def outcome(call: Any) -> tuple[Any, interop.InteropError | None]:
    try:
        return call(), None
    except interop.InteropError as err:
        return None, err


def can_hold(target: str, held: np.ndarray[Any, Any]) -> bool:
    return bits(held)[0] in FRAMEWORKS[target].dtypes and held.ndim >= FRAMEWORKS[target].min_dims


@pairs
@given(data=st.data())
def test_the_values_arrive_bit_for_bit_and_come_back(source: str, target: str, data: st.DataObject) -> None:
    x, held = data.draw(arrays(source))
    there, error = outcome(lambda: interop.convert(x, target))
    if error is not None:
        # Only an element type that the target lacks may stop it, or too few dimensions.
        assert isinstance(error, (interop.DTypeError, interop.UnsupportedError)), error
        assert not can_hold(target, held)
        return
    assert bits(FRAMEWORKS[target].read(there)) == bits(held)
    back = interop.convert(there, source)
    assert type(back) is type(x)
    assert bits(FRAMEWORKS[source].read(back)) == bits(held)


@pairs
@given(data=st.data(), order=st.sampled_from([None, "C", "F"]))
def test_a_copy_shares_no_byte(source: str, target: str, data: st.DataObject, order: Any) -> None:
    x, held = data.draw(arrays(source))
    result, error = outcome(lambda: interop.convert(x, target, copy=True, order=order))
    if error is not None:
        in_vain = order == "F" and FRAMEWORKS[target].c_only and isinstance(error, interop.UnsupportedError)
        assert in_vain or not can_hold(target, held)
        return
    assert bits(FRAMEWORKS[target].read(result)) == bits(held)
    if held.size:
        assert not interop.shares_memory(x, result)
    fill = FRAMEWORKS[target].fill
    if fill is not None and held.size:
        fill(result)
        assert bits(FRAMEWORKS[source].read(x)) == bits(held)


@pairs
@given(data=st.data())
def test_copy_false_gives_a_view_or_an_error(source: str, target: str, data: st.DataObject) -> None:
    x, held = data.draw(arrays(source))
    plan = interop.explain(x, target, copy=False)
    result, error = outcome(lambda: interop.convert(x, target, copy=False))
    if plan.certain:
        assert (type(plan.error), str(plan.error)) == (type(error), str(error))
    if error is not None:
        few = held.ndim < FRAMEWORKS[target].min_dims and isinstance(error, interop.UnsupportedError)
        assert few or isinstance(error, (interop.CopyError, interop.ReadOnlyError, interop.DTypeError))
        return
    assert bits(FRAMEWORKS[target].read(result)) == bits(held)
    if held.size and result is not x:
        assert interop.view(result).ptr == interop.view(x).ptr
        assert interop.shares_memory(x, result)


@pairs
@given(data=st.data(), asked=options)
def test_a_certain_plan_predicts_the_conversion(source: str, target: str, data: st.DataObject, asked: Any) -> None:
    x, held = data.draw(arrays(source))
    plan = interop.explain(x, target, **asked)
    assert plan.certain or FRAMEWORKS[source].lazy
    with np.errstate(all="ignore"):
        result, error = outcome(lambda: interop.convert(x, target, **asked))
    if not plan.certain:
        # What is known of a lazy array already is decided.
        assert plan.ok or error is not None
        return
    assert plan.ok == (error is None), (plan, error)
    if error is not None:
        assert (type(plan.error), str(plan.error)) == (type(error), str(error))
        return
    assert (result is x) == any(step.do == "keep" for step in plan.steps)
    assert interop.dtype(result) == (asked.get("dtype") or interop.dtype(x))
    assert tuple(result.shape) == held.shape
    if held.size and result is not x:
        assert interop.shares_memory(x, result) == plan.zero_copy
        assert (plan.copied_bytes > 0) == (not plan.zero_copy)


@pairs
@given(data=st.data(), asked=options)
def test_a_refused_call_leaves_no_trace(source: str, target: str, data: st.DataObject, asked: Any) -> None:
    x, held = data.draw(arrays(source))
    before = sys.getrefcount(x)
    plan = interop.explain(x, target, **asked)
    if plan.ok:
        return
    _, error = outcome(lambda: interop.convert(x, target, **asked))
    assert len(str(error)) > 40
    del error
    assert sys.getrefcount(x) == before
    assert bits(FRAMEWORKS[source].read(x)) == bits(held)


@pairs
@given(data=st.data(), source_first=st.booleans(), copy=st.sampled_from([None, False]))
def test_source_and_result_outlive_each_other(
    source: str, target: str, data: st.DataObject, source_first: bool, copy: Any
) -> None:
    x, held = data.draw(arrays(source))
    result, error = outcome(lambda: interop.convert(x, target, copy=copy))
    if error is not None:
        return
    if source_first:
        kept, reader = result, FRAMEWORKS[target].read
        x = None
    else:
        kept, reader = x, FRAMEWORKS[source].read
        result = None
    gc.collect(0)
    rubbish = [np.full(max(held.nbytes, 1), 0xFF, np.uint8) for _ in range(4)]
    assert bits(reader(kept)) == bits(held)
    del rubbish


@pairs
@given(data=st.data())
def test_readonly_memory_stays_readonly(source: str, target: str, data: st.DataObject) -> None:
    """What can't be written arrives so, or as a copy; with a promise not to write it may be an alias."""
    x, held = data.draw(arrays(source))
    if isinstance(x, np.ndarray):
        x = x.view()
        x.flags.writeable = False
    elif not FRAMEWORKS[source].readonly:
        return
    result, error = outcome(lambda: interop.convert(x, target))
    if error is not None or not held.size or result is x:
        return
    # What a framework packs has no View.
    view, _ = outcome(lambda: interop.view(result))
    assert view is None or view.readonly or not interop.shares_memory(x, result)
    fill = FRAMEWORKS[target].fill
    if fill is not None and view is not None and not view.readonly:
        fill(result)
        assert bits(FRAMEWORKS[source].read(x)) == bits(held)


@pytest.mark.parametrize("target", [name for name in GUESTS if FRAMEWORKS[name].readonly])
@given(data=st.data())
def test_what_assumes_constancy_gets_a_copy_of_what_can_be_written(target: str, data: st.DataObject) -> None:
    a = data.draw(values(FRAMEWORKS[target]))
    assume(a.size)
    memory = interop.empty_aligned(a.shape, a.dtype)
    memory[...] = a
    result = interop.convert(memory, target)
    # At once: nothing may be left to be read later.
    memory.view(np.uint8 if memory.ndim else memory.dtype)[...] = 0
    assert bits(FRAMEWORKS[target].read(result)) == bits(a)


BORROWERS = [name for name in GUESTS if FRAMEWORKS[name].dtypes - FRAMEWORKS[name].own]


@pytest.mark.parametrize("target", [name for name in BORROWERS if not FRAMEWORKS[name].source_only])
@given(data=st.data(), order=st.sampled_from(["C", "F"]))
def test_aligned_memory_is_taken_as_it_is(target: str, data: st.DataObject, order: Any) -> None:
    framework = FRAMEWORKS[target]
    a = data.draw(values(framework))
    assume(a.size and bits(a)[0] not in framework.own)
    memory = interop.empty_aligned(a.shape, a.dtype, order=order)
    memory[...] = a
    if framework.c_only and not memory.flags.c_contiguous:
        assert isinstance(interop.explain(memory, target, copy=False).error, interop.CopyError)
        return
    result = interop.convert(memory, target, copy=False)
    assert interop.view(result).ptr == interop.view(memory).ptr
    assert bits(framework.read(result)) == bits(a)


@pairs
@given(data=st.data(), asked=options)
def test_a_door_gives_what_the_planner_gives_every_time(
    source: str, target: str, data: st.DataObject, asked: dict[str, Any]
) -> None:
    """The first call of a kind learns, and those after it apply what was learned."""
    x, _ = data.draw(arrays(source))
    if FRAMEWORKS[source].lazy:
        # What is refused of a lazy array is said in other words than of one that is there.
        FRAMEWORKS[source].read(x)
    with np.errstate(all="ignore"):
        by_plan, refused = outcome(lambda: _convert(x, target_adapter(target), _options.parse(**asked)))
    shared = refused is None and interop.shares_memory(x, by_plan)
    for _ in range(3):
        with np.errstate(all="ignore"):
            result, error = outcome(lambda: interop.convert(x, target, **asked))
        assert (type(error), str(error)) == (type(refused), str(refused))
        if error is not None:
            continue
        assert (result is x) == (by_plan is x)
        assert bits(FRAMEWORKS[target].read(result)) == bits(FRAMEWORKS[target].read(by_plan))
        assert laid_out(result) == laid_out(by_plan)
        assert interop.shares_memory(x, result) == shared
        assert asked.get("copy") is not False or shared or not bits(FRAMEWORKS[target].read(result))[2]


def laid_out(x: Any) -> tuple[Any, ...] | None:
    view, _ = outcome(lambda: interop.view(x))
    # What a framework packs has no View; and along an axis of length 1 no stride counts.
    if view is None:
        return None
    strides = tuple(step for step, n in zip(view.strides, view.shape, strict=True) if n > 1) if view.size else ()
    return strides, view.readonly, view.device


@pytest.mark.parametrize("guest", GUESTS)
@given(data=st.data())
def test_its_arrays_are_described_truly(guest: str, data: st.DataObject) -> None:
    x, held = data.draw(arrays(guest))
    name, shape, _ = bits(held)
    assert interop.framework(x) == guest
    assert interop.dtype(x) == name
    assert interop.device(x).is_host
    assert tuple(x.shape) == shape


@pytest.mark.parametrize("guest", [name for name in GUESTS if not FRAMEWORKS[name].source_only])
def test_its_own_dtype_objects_and_module_are_understood(guest: str) -> None:
    framework = FRAMEWORKS[guest]
    for name in sorted(framework.dtypes - framework.own):
        x = framework.make(np.zeros(2, interop.DType(name).numpy))
        assert interop.DType(x.dtype) == name
    x = framework.make(np.zeros(2, np.float32))
    assert interop.convert(x, sys.modules[framework.module]) is x
    assert interop.convert_like(np.zeros(3, np.float32), x).shape[0] == 3
