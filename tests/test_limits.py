"""What a framework says that it can hold is what reaches it: the planner's rules for targets of every kind.

The targets are toys, one for each kind of limits that some framework has: so these rules are tested without jax, mlx,
tensorflow, pyarrow or warp. A toy holds what reaches it against its limits by numpy's own flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import steps_of
from toys import EVERYTHING, Toy, ToyFramework, fits, registered

import interop
from interop._aligned import aligned
from interop._dtypes import BY_NUMPY, DType, opaque_dtype
from interop.protocols import Limits
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

if TYPE_CHECKING:
    from interop._contract import Pending

Array = np.ndarray[Any, Any]

_ALL: Final = Limits(EVERYTHING)

#: Each kind by itself, and together as the frameworks that have them do.
LIMITS: Final[dict[str, Limits]] = {
    "everything": _ALL,
    "nonnegative": replace(_ALL, strides="nonnegative"),
    "dense": replace(_ALL, strides="dense"),
    "c": replace(_ALL, strides="c"),
    "aligned": replace(_ALL, alignment=0),
    "alignedto64": replace(_ALL, alignment=64),
    "fewtypes": Limits(frozenset({"float32", "int64", "bool"})),
    "notunder2": replace(_ALL, min_ndim=2),
    "upto2": replace(_ALL, max_ndim=2),
    "drops": replace(_ALL, readonly="drops"),
    "immutable": replace(_ALL, immutable=True),
    "ownfloats": replace(_ALL, own=frozenset({"float32", "bfloat16"})),
    # As torch, as tensorflow, as mlx, as pyarrow.
    "liketorch": replace(_ALL, strides="nonnegative", alignment=0, readonly="drops"),
    "liketensorflow": replace(_ALL, strides="c", alignment=64, immutable=True),
    "likemlx": replace(_ALL, readonly="drops", own=EVERYTHING),
    "likepyarrow": replace(
        _ALL, alignment=0, vectors=replace(_ALL, strides="c", alignment=0, own=frozenset({"bool"}), immutable=True)
    ),
}

TARGETS: Final = {name: ToyFramework(name, limits) for name, limits in LIMITS.items()}


class Encoded(ToyFramework):
    """A framework with arrays whose memory isn't their values: each is stored as its complement."""

    def pending(self, x: Toy, /) -> frozenset[Pending]:
        return frozenset(x.facts.get("pending", ()))

    def values(self, x: Toy, /) -> Array:
        return ~x.array if self.pending(x) else x.array


SOURCE: Final = Encoded("encoded", Limits(frozenset({"int64", "int32", "float32"})))


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    with registered(*TARGETS.values(), SOURCE):
        yield


#: A rule that one kind of limits misses another one meets.
each_kind = pytest.mark.parametrize("to", LIMITS)
few = settings(max_examples=max(20, settings().max_examples // 4))


def on_64_bytes(array: Array) -> Array:
    """Copy to an address that numpy seldom has by itself."""
    made = aligned(array.shape, DType(array.dtype), tuple(step // array.itemsize for step in array.strides))
    made[...] = array
    made.flags.writeable = array.flags.writeable
    return made


arrays = st.one_of(numpy_arrays(), numpy_arrays(layouts="c").map(on_64_bytes))

options = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "int64", "bool", "bfloat16", "complex64"]),
        "order": st.sampled_from([None, "C", "F"]),
        "copy": st.sampled_from([None, True, False]),
        "writable": st.sampled_from([None, True, False]),
        "device": st.sampled_from([None, "cpu"]),
    },
)


def outcome(call: Any) -> tuple[Any, interop.InteropError | None]:
    try:
        return call(), None
    except interop.InteropError as err:
        return None, err


def is_plain(array: Array) -> bool:
    """Whether DLPack can express an array as it is."""
    return array.dtype.isnative and not any(step % array.itemsize for step in steps_of(array))


def can_be_viewed(array: Array, limits: Limits) -> bool:
    """Whether a framework can take the memory by the default call, told from numpy's flags alone."""
    room = limits.of(array.ndim)
    dropped = room.readonly == "drops" and not array.flags.writeable
    changing = room.immutable and array.flags.writeable
    return is_plain(array) and fits(array, room) and not dropped and not changing


def is_owned(array: Array, limits: Limits) -> bool:
    return BY_NUMPY[array.dtype.newbyteorder("=")].name in limits.of(array.ndim).own


@each_kind
@few
@given(a=arrays)
def test_a_view_is_taken_where_the_limits_allow_one_and_nowhere_else(to: str, a: Array) -> None:
    limits = LIMITS[to].of(a.ndim)
    plan = interop.explain(a, to)
    if not limits.min_ndim <= a.ndim <= limits.max_ndim:
        assert isinstance(plan.error, interop.UnsupportedError)
        return
    if BY_NUMPY[a.dtype.newbyteorder("=")].name not in limits.dtypes:
        assert isinstance(plan.error, interop.DTypeError)
        return
    assert plan.certain
    assert plan.zero_copy == (can_be_viewed(a, limits) and not is_owned(a, limits))
    made = interop.convert(a, to)
    assert_identical(a, made.array)
    assert np.shares_memory(a, made.array) == (plan.zero_copy and a.size > 0)
    assert fits(made.array, limits)


@each_kind
@few
@given(a=arrays, asked=options)
def test_a_certain_plan_predicts_the_conversion(to: str, a: Array, asked: dict[str, Any]) -> None:
    plan = interop.explain(a, to, **asked)
    assert plan.certain
    made, error = outcome(lambda: interop.convert(a, to, **asked))
    assert (type(plan.error), str(plan.error)) == (type(error), str(error))
    if error is not None:
        return
    limits = LIMITS[to].of(a.ndim)
    assert fits(made.array, limits)
    assert made.array.shape == a.shape
    assert interop.dtype(made) == (asked.get("dtype") or BY_NUMPY[a.dtype.newbyteorder("=")].name)
    assert np.shares_memory(a, made.array) == (plan.zero_copy and a.size > 0)
    assert (plan.copied_bytes > 0) == (not plan.zero_copy and a.size > 0)
    if asked.get("copy") is not None:
        assert plan.zero_copy != asked["copy"]
    if asked.get("order") is not None:
        assert made.array.flags.f_contiguous if asked["order"] == "F" else made.array.flags.c_contiguous
    if "dtype" not in asked:
        assert_identical(a, made.array)
    if plan.zero_copy and is_plain(a):
        assert not is_owned(a, limits)


@each_kind
@few
@given(a=arrays, asked=options)
def test_what_explain_calls_readonly_is_readonly(to: str, a: Array, asked: dict[str, Any]) -> None:
    """And nothing else is: no step says so of a target that can't say readonly."""
    plan = interop.explain(a, to, **asked)
    assume(plan.ok)
    says = any(step.readonly for step in plan.steps if step.do in ("restrict", "wrap"))
    marks = "marks the result readonly" in str(plan)
    made = interop.convert(a, to, **asked)
    assert says == (not made.array.flags.writeable)
    keeps = LIMITS[to].of(a.ndim).readonly == "keeps"
    assert says == (keeps and (asked.get("writable") is False or (plan.zero_copy and not a.flags.writeable)))
    assert not marks or keeps


@pytest.mark.parametrize("to", ["numpy", "torch"])
@given(a=numpy_arrays(dtypes=st.sampled_from(["float32", "int64"])), asked=options)
def test_what_explain_calls_readonly_is_readonly_in_numpy_and_nothing_is_in_torch(
    to: str, a: Array, asked: dict[str, Any]
) -> None:
    plan = interop.explain(a, to, **asked)
    assume(plan.ok and plan.steps[0].do != "keep")
    made = interop.convert(a, to, **asked)
    says = any(step.readonly for step in plan.steps if step.do in ("restrict", "wrap"))
    assert says == (to == "numpy" and not made.flags.writeable)


@each_kind
@few
@given(a=arrays)
def test_it_comes_back(to: str, a: Array) -> None:
    made, error = outcome(lambda: interop.convert(a, to))
    if error is None:
        assert_identical(a, interop.to_numpy(made))
        assert np.shares_memory(interop.to_numpy(made), made.array) or not a.size


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("kind", LIMITS)
@few
@given(a=numpy_arrays(dtypes=st.sampled_from(["float32", "int64", "bool"]), layouts="c"), asked=options)
def test_a_source_of_each_kind_is_handed_over_as_its_plan_says(
    kind: str, to: str, a: Array, asked: dict[str, Any]
) -> None:
    made, error = outcome(lambda: interop.convert(a, kind, copy=True))
    assume(error is None)
    plan = interop.explain(made, to, **asked)
    result, error = outcome(lambda: interop.convert(made, to, **asked))
    assert (type(plan.error), str(plan.error)) == (type(error), str(error))
    if error is not None:
        return
    if "dtype" not in asked:
        assert_identical(a, result)
    v = interop.view(result)
    assert (v.dtype, v.shape) == (asked.get("dtype") or interop.dtype(a), a.shape)
    assert interop.shares_memory(result, made) == (plan.zero_copy and a.size > 0)
    flags = interop.to_numpy(v).flags
    assert {"F": flags.f_contiguous, "C": flags.c_contiguous, None: True}[asked.get("order")]


@each_kind
@few
@given(a=numpy_arrays(dtypes=st.sampled_from(["int32", "int64"]), layouts="c"), asked=options)
def test_memory_that_isnt_the_values_is_never_handed_over(to: str, a: Array, asked: dict[str, Any]) -> None:
    x = SOURCE.array(~a, pending=frozenset({"encoded"}))
    plan = interop.explain(x, to, **asked)
    made, error = outcome(lambda: interop.convert(x, to, **asked))
    assert (type(plan.error), str(plan.error)) == (type(error), str(error))
    if error is not None:
        return
    assert not plan.zero_copy
    assert not np.shares_memory(x.array, made.array)
    assert fits(made.array, LIMITS[to].of(a.ndim))
    with np.errstate(all="ignore"):
        wanted = a.astype(DType(asked["dtype"]).numpy) if "dtype" in asked else a
    assert_identical(wanted, made.array)


@each_kind
def test_torchs_tensors_meet_the_same_limits(to: str) -> None:
    limits = LIMITS[to]
    for t in (
        torch.arange(12.0).reshape(3, 4),
        torch.arange(12.0).reshape(3, 4).T,
        torch.arange(12.0).reshape(3, 4)[:, ::2],
        torch.arange(4.0).expand(3, 4),
        torch.arange(12.0).to(torch.bfloat16).reshape(3, 4),
        torch.arange(6.0).to(torch.complex64).conj().reshape(2, 3),
    ):
        made, error = outcome(lambda t=t: interop.convert(t, to))
        if error is not None:
            assert isinstance(error, interop.DTypeError)
            continue
        plain: Any = t.resolve_conj()
        wanted = interop.to_numpy(plain)
        assert_identical(wanted, made.array)
        viewed = can_be_viewed(wanted, limits) and not is_owned(wanted, limits) and not t.is_conj()
        assert interop.shares_memory(made, t) == viewed


def test_what_a_framework_lacks_here_and_now_is_said() -> None:
    lacking = ToyFramework("lacking", Limits(frozenset({"float32"}), lacking={"float64": "it is switched off"}))
    with (
        registered(lacking),
        pytest.raises(interop.DTypeError, match=r"no element type float64 \(it is switched off\)"),
    ):
        interop.convert(np.ones(2), "lacking")


class Quantized(ToyFramework):
    """A framework with integers that stand for their thirds."""

    def values(self, x: Toy, /) -> Array:
        return (x.array / np.float32(3)).astype("f4") if x.facts else x.array


@each_kind
def test_what_only_its_framework_can_decode_is_cast_by_it(to: str) -> None:
    source = Quantized("quantized", Limits(frozenset({"float32"}), decodes=frozenset({"thirds"})))
    x = source.array(np.arange(6, dtype="u1").reshape(2, 3), dtype=opaque_dtype("thirds", 8))
    with registered(source):
        with pytest.raises(interop.DTypeError, match="no element type thirds"):
            interop.convert(x, to)
        plan = interop.explain(x, to, dtype="float32")
        assert (plan.steps[0].do, plan.steps[0].by) == ("cast", "quantized")
        made = interop.convert(x, to, dtype="float32")
        assert made.array.tolist() == [
            [0, np.float32(1 / 3), np.float32(2 / 3)],
            [1, np.float32(4 / 3), np.float32(5 / 3)],
        ]
