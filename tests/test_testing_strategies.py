"""The strategies: what they draw is what its name claims, of every kind, fast, and shrinks to something small."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
import toys
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import interop
from interop._dtypes import BY_NAME, BY_NUMPY
from interop.protocols import Limits
from interop.testing import assert_identical
from interop.testing import strategies as its
from interop.testing._values import random_bits, random_values

MOST = [name for kind in its.DEFAULT_KINDS for name in its.KINDS[kind]]
VALUES = st.tuples(its.dtypes(), its.shapes(), st.integers(0, 2**32 - 1))


#: What each layout's name claims, of an array and the values that it was built from.
NUMPY_CLAIMS: dict[str, Any] = {
    "c": lambda a: a.flags.c_contiguous,
    "fortran": lambda a: a.flags.f_contiguous,
    "transposed": lambda a: np.moveaxis(a, 0, -1).flags.c_contiguous if a.ndim > 1 else a.flags.c_contiguous,
    "stepped": lambda a: not a.size or all(stride >= 2 * a.itemsize for stride in a.strides),
    "negative": lambda a: all(stride < 0 for stride in a.strides) or not a.size,
    "mixed": lambda a: a.ndim == 0 or not a.size or a.strides[0] < 0,
    "zero_stride": lambda a: a.ndim == 0 or a.strides[0] == 0,
    "zero_strides": lambda a: set(a.strides) <= {0},
    "offset": lambda a: a.base is not None and a.flags.c_contiguous,
    "odd_ones": lambda a: all(
        stride % (977 * a.itemsize) == 0 for side, stride in zip(a.shape, a.strides, strict=True) if side == 1
    ),
    "unaligned": lambda a: not a.flags.aligned or a.dtype.alignment == 1 or not a.size,
    "readonly": lambda a: not a.flags.writeable,
    "big_endian": lambda a: a.dtype.byteorder in (">", "|") or a.dtype.kind == "V" or a.itemsize == 1,
    "field": lambda a: all(stride % (a.itemsize + 1) == 0 for stride in a.strides) and a.base is not None,
}
TORCH_CLAIMS: dict[str, Any] = {
    "c": lambda t: t.is_contiguous(),
    "fortran": lambda t: t.permute(tuple(range(t.ndim))[::-1]).is_contiguous(),
    "transposed": lambda t: t.ndim == 0 or t.movedim(0, -1).is_contiguous(),
    "stepped": lambda t: not t.numel() or all(stride >= 2 for stride in t.stride()),
    "zero_stride": lambda t: t.ndim == 0 or t.shape[0] < 2 or t.stride(0) == 0,
    "zero_strides": lambda t: not t.numel() or set(t.stride()) <= {0},
    "offset": lambda t: t.storage_offset() == 3,
    "odd_ones": lambda t: all(stride % 977 == 0 for side, stride in zip(t.shape, t.stride(), strict=True) if side == 1),
}
#: Those that repeat elements, and so don't hold all values that they were built from.
REPEATING = ("zero_stride", "zero_strides")


def test_each_layout_has_its_claim() -> None:
    assert set(NUMPY_CLAIMS) == set(its.NUMPY_LAYOUTS)
    assert set(TORCH_CLAIMS) == set(its.TORCH_LAYOUTS)


@pytest.mark.parametrize("layout", its.NUMPY_LAYOUTS)
@given(VALUES)
def test_numpy_layouts_keep_their_claims_and_the_values(layout: str, drawn: Any) -> None:
    values = random_values(*drawn)
    a = its.NUMPY_LAYOUTS[layout].build(values.copy())
    assert NUMPY_CLAIMS[layout](a)
    assert isinstance(a, np.ndarray)
    if layout in REPEATING:
        assert (a.dtype, a.shape) == (values.dtype, values.shape)
    else:
        assert_identical(a, values)


@pytest.mark.parametrize("layout", its.TORCH_LAYOUTS)
@given(st.tuples(its.shapes(), st.integers(0, 2**32 - 1)))
def test_torch_layouts_keep_their_claims_and_the_values(layout: str, drawn: Any) -> None:
    values = random_values("int32", *drawn)
    t = its.TORCH_LAYOUTS[layout].build(torch.from_numpy(values.copy()))
    assert TORCH_CLAIMS[layout](t)
    if layout in REPEATING:
        assert tuple(t.shape) == values.shape
    else:
        assert_identical(t, values)


@given(its.numpy_arrays(readonly=True), its.numpy_arrays(readonly=False))
def test_readonly_is_as_asked(a: Any, b: Any) -> None:
    assert not a.flags.writeable
    assert b.flags.writeable


@given(its.numpy_arrays(layouts=its.layouts(dlpack=True)))
def test_dlpack_can_describe_what_is_said_to_be_so(a: Any) -> None:
    assert a.dtype.isnative
    assert all(stride % a.itemsize == 0 for stride in a.strides)


def find(strategy: Any, wanted: Callable[[Any], bool]) -> Any:
    """Return the least that is wanted, by the same way in every run."""
    return hypothesis.find(strategy, wanted, random=Random(0))


def drawn_by(strategy: Any, number: int = 500) -> list[Any]:
    drawn = []

    # Drawn alike in every run: what 500 draws hold is chance, if a safe one.
    @settings(max_examples=number, database=None, phases=[Phase.generate], derandomize=True)
    @given(strategy)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    return drawn


def test_every_element_type_is_drawn() -> None:
    assert {BY_NUMPY[a.dtype.newbyteorder("=")].name for a in drawn_by(its.numpy_arrays())} == set(MOST)
    names = {str(t.dtype).removeprefix("torch.") for t in drawn_by(its.torch_tensors())}
    assert names == {name for name in MOST if hasattr(torch, name)}
    assert names >= {"float8_e4m3fn", "float8_e8m0fnu", "bfloat16", "bool", "complex128", "uint64"}


def test_sub_byte_types_are_drawn_where_asked() -> None:
    a = find(
        its.numpy_arrays(dtypes=its.dtypes(kinds=["subbyte"]), layouts="c"),
        lambda a: a.dtype.name == "int4" and a.size > 2,
    )
    assert a.astype(int).tolist() == [0, 1, 2]


def test_shapes_of_every_kind_are_drawn() -> None:
    drawn = drawn_by(its.shapes(), 500)
    assert {len(shape) for shape in drawn} == set(range(5))
    assert any(0 in shape and len(shape) > 1 for shape in drawn)
    assert any(1 in shape and max(shape) > 1 for shape in drawn)


@pytest.mark.parametrize(
    ("want", "least"),
    [
        (lambda _: True, ()),
        (lambda s: len(s) > 0 and 0 not in s, (1,)),
        (lambda s: len(s) == 2, (1, 1)),
        (lambda s: len(s) > 2 and max(s) > 1, (1, 1, 2)),
    ],
)
def test_shapes_shrink(want: Any, least: Any) -> None:
    assert find(its.shapes(), want) == least


def test_many_shapes_are_drawn_side_by_side() -> None:
    drawn = drawn_by(its.shapes(max_side=100, min_dims=3, max_dims=3), 100)
    assert {max(shape) > 50 for shape in drawn} == {True, False}


def test_bounds_of_shapes_are_kept() -> None:
    @given(its.shapes(min_dims=1, max_dims=2, min_side=1, max_side=7))
    def check(shape: tuple[int, ...]) -> None:
        assert 1 <= len(shape) <= 2
        assert all(1 <= side <= 7 for side in shape)

    check()


def test_failing_arrays_shrink_to_small_plain_ones() -> None:
    a = find(its.numpy_arrays(), lambda a: a.size >= 2)
    assert (a.shape, a.dtype, a.tolist(), a.flags.c_contiguous) == ((2,), np.float32, [0, 1], True)


def test_a_failing_example_names_its_layout() -> None:
    @given(its.numpy_arrays(layouts="negative"))
    @settings(database=None, phases=[Phase.generate, Phase.shrink], derandomize=True)
    def fails(a: Any) -> None:
        assert a.size < 2

    with pytest.raises(AssertionError) as info:
        fails()
    assert "a numpy array: float32 (2,), Layout('negative'), readonly None, seed 0" in info.value.__notes__


# --- what may be asked for


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ("float32", {"float32"}),
        (np.float32, {"float32"}),
        (np.dtype("int8"), {"int8"}),
        (torch.bfloat16, {"bfloat16"}),
        (float, {"float64"}),
        (["int8", torch.int16], {"int8", "int16"}),
        ({"bool", "uint8"}, {"bool", "uint8"}),
        ("float", set(its.KINDS["float"])),
        ("complex", {"complex64", "complex128"}),
        ("native", {name for kind in ("float", "int", "uint", "bool", "complex") for name in its.KINDS[kind]}),
        (["bfloat", "int32"], {"bfloat16", "int32"}),
        (st.just("int64"), {"int64"}),
    ],
    # Of a set the order isn't the same in two processes.
    ids=lambda value: "-".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_element_types_are_asked_for_by_name_word_object_and_list(asked: Any, drawn: set[str]) -> None:
    names = {BY_NUMPY[a.dtype.newbyteorder("=")].name for a in drawn_by(its.numpy_arrays(dtypes=asked), 200)}
    assert names == drawn
    assert {interop.dtype(t).name for t in drawn_by(its.torch_tensors(dtypes=asked), 200)} == drawn


def test_a_framework_stands_for_the_element_types_that_it_has() -> None:
    assert drawn_names(its.numpy_arrays(dtypes="torch")) == drawn_names(its.torch_tensors())
    # Of those that torch has it is what cupy has: a word is never refused for one of its many.
    assert "bfloat16" not in drawn_names(its.dtypes("cupy"))


def drawn_names(strategy: Any) -> set[str]:
    return {x if isinstance(x, str) else interop.dtype(x).name for x in drawn_by(strategy)}


def test_a_registered_framework_is_asked_what_it_holds() -> None:
    limits = Limits(dtypes=frozenset({"float32", "int8"}))
    with toys.registered(toys.ToyFramework("toy", limits)):
        assert drawn_names(its.dtypes("toy")) == {"float32", "int8"}
        assert drawn_names(its.numpy_arrays(dtypes="toy")) == {"float32", "int8"}


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((2, 3), {(2, 3)}),
        ([2, 3], {(2, 3)}),
        (3, {(3,)}),
        (np.int64(3), {(3,)}),
        ((), {()}),
        ([(2,), (3, 1)], {(2,), (3, 1)}),
        ("0d", {()}),
    ],
    ids=str,
)
def test_shapes_are_asked_for_by_tuple_length_list_and_word(asked: Any, drawn: set[tuple[int, ...]]) -> None:
    assert {a.shape for a in drawn_by(its.numpy_arrays(shapes=asked, dtypes="int8"), 50)} == drawn


def test_words_narrow_shapes_and_layouts() -> None:
    assert all(a.ndim == 2 for a in drawn_by(its.numpy_arrays(shapes="2d"), 50))
    assert all(a.size for a in drawn_by(its.numpy_arrays(shapes="nonempty"), 100))
    assert all(a.flags.c_contiguous for a in drawn_by(its.numpy_arrays(layouts="contiguous"), 50))
    assert all(a.flags.writeable for a in drawn_by(its.numpy_arrays(layouts="writable"), 100))
    assert all(a.dtype.isnative for a in drawn_by(its.numpy_arrays(layouts="dlpack"), 100))
    dense = drawn_by(its.torch_tensors(layouts="dense", shapes="nonempty"), 50)
    assert all(
        t.numel() == 1 + sum((side - 1) * step for side, step in zip(t.shape, t.stride(), strict=True)) for t in dense
    )


def test_layouts_are_asked_for_as_objects_and_in_lists() -> None:
    strides = {
        a.strides
        for a in drawn_by(
            its.numpy_arrays(layouts=["c", its.NUMPY_LAYOUTS["negative"]], shapes=(3,), dtypes="int8"), 50
        )
    }
    assert strides == {(1,), (-1,)}


#: Calls that ask for nonsense, and what their errors say: the argument, and the nearest that there is.
NONSENSE: dict[str, tuple[Callable[[], object], str]] = {
    "a misspelled element type": (
        lambda: its.numpy_arrays(dtypes="flaot32"),
        r"dtypes='flaot32' .*Did you mean 'float32'",
    ),
    "in a list": (lambda: its.numpy_arrays(dtypes=["int8", "flot64"]), r"dtypes='flot64' .*Did you mean 'float64'"),
    "a number": (lambda: its.torch_tensors(dtypes=3), r"dtypes=3 is no element type"),
    "no element type": (lambda: its.numpy_arrays(dtypes=[]), r"dtypes=\[\] is nothing that could be drawn"),
    "of another framework": (
        lambda: its.cupy_arrays(dtypes="bfloat16"),
        r"dtypes='bfloat16' is an element type that cupy lacks",
    ),
    "strings": (lambda: its.numpy_arrays(dtypes=np.dtype("U3")), r"dtypes=.* is no element type"),
    "a misspelled layout": (
        lambda: its.numpy_arrays(layouts="negativ"),
        r"layouts='negativ' .*Did you mean 'negative'",
    ),
    "torch's layouts": (
        lambda: its.torch_tensors(layouts="negative"),
        r"layouts='negative' is no layout of torch's arrays",
    ),
    "a layout to take": (lambda: its.layouts(only=["c", "fortan"]), r"only='fortan' .*Did you mean 'fortran'"),
    "no layout left": (lambda: its.layouts(only="c", exclude="c"), r"exclude='c' leaves no layout of c"),
    "layouts of nobody": (lambda: its.layouts("numpi"), r"framework='numpi' .*Did you mean 'numpy'"),
    "dlpack": (lambda: its.layouts(dlpack="yes"), r"dlpack='yes' .*True or False"),  # type: ignore[arg-type]
    "a negative length": (lambda: its.numpy_arrays(shapes=(2, -1)), r"shapes=\(2, -1\) is no shape"),
    "a length of text": (lambda: its.numpy_arrays(shapes="2x3"), r"shapes='2x3' is no shape"),
    "a misspelled word": (
        lambda: its.numpy_arrays(shapes="non_empty"),
        r"shapes='non_empty' .*Did you mean 'nonempty'",
    ),
    "a fraction": (lambda: its.numpy_arrays(shapes=2.5), r"shapes=2.5 is no shape"),  # type: ignore[arg-type]
    "bounds in the wrong order": (lambda: its.shapes(min_dims=3, max_dims=2), r"min_dims=3 is more than max_dims=2"),
    "a negative bound": (lambda: its.shapes(min_side=-1), r"min_side=-1 is no bound"),
    "a misspelled keyword": (lambda: its.numpy_arrays(dtype="int8"), r"no argument 'dtype'. Did you mean dtypes="),  # type: ignore[call-arg]
    "a keyword of shapes": (lambda: its.shapes(max_dim=2), r"no argument 'max_dim'. Did you mean max_dims="),  # type: ignore[call-arg]
    "readonly": (lambda: its.numpy_arrays(readonly="no"), r"readonly='no' .*True or False or None"),  # type: ignore[arg-type]
    "a kind": (lambda: its.dtypes(kinds=["flaot"]), r"kinds='flaot' .*Did you mean 'float'"),
    "kinds that aren't there": (
        lambda: its.dtypes("cupy", kinds="float8"),
        r"cupy has no element type of the kinds float8",
    ),
    "a framework": (lambda: its.dtypes("numpie"), r"framework='numpie' .*Did you mean 'numpy'"),
    "a flavour": (lambda: its.torch_tensors(flavours=["conjugate"]), r"flavours='conjugate' .*Pass one of plain, conj"),
    "a protocol": (
        lambda: its.producers(protocols="legacy DLPac"),
        r"protocols='legacy DLPac' .*Did you mean 'legacy DLPack'",
    ),
    "readonly arrays": (lambda: its.made_arrays("torch", readonly=True), r"readonly=False"),
    "a library": (lambda: its.made_arrays("torhc"), r"framework='torhc' .*Did you mean 'torch'"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused_at_once_with_the_nearest_right_one(what: str) -> None:
    call, says = NONSENSE[what]
    with pytest.raises(interop.UnsupportedError, match=says):
        call()


# --- values


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_as_many_as_asked(name: str, seed: int) -> None:
    row = BY_NAME[name]
    assert random_bits(name, 13, seed).nbytes == 13 * row.bits // 8
    assert random_values(name, (), seed).shape == ()
    assert random_values(name, (0, 3), seed).shape == (0, 3)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_every_odd_float_is_drawn(name: str) -> None:
    values = random_values(name, (2000,), 1)
    parts = values.view(values.real.dtype) if "complex" in name else values
    with np.errstate(invalid="ignore"):  # of signalling NaNs
        wide = parts.astype("float64")
    bits = random_bits(name, 2000, 1)
    quiet = 1 << {"float16": 9, "bfloat16": 6}.get(name, 22 if parts.itemsize == 4 else 51)
    nan = np.isnan(wide)
    assert np.isinf(wide).any()
    assert ((wide == 0) & np.signbit(wide)).any()
    assert ((wide == 0) & ~np.signbit(wide)).any()
    assert nan.any()
    assert (bits[nan] & quiet == 0).any()
    assert len(np.unique(bits[nan])) > 4
    tiny = {"bfloat16": 2.0**-126}.get(name) or float(np.finfo(parts.dtype).tiny)
    assert ((wide != 0) & (np.abs(wide) < tiny)).any()


def test_bools_are_0_and_1() -> None:
    assert set(random_bits("bool", 1000, 1).tolist()) == {0, 1}


def test_extreme_integers_are_drawn() -> None:
    values = random_values("int64", (1000,), 1)
    assert {0, 1, -1, values.min(), values.max()} >= {0, 1, -1, np.iinfo("int64").min, np.iinfo("int64").max}


def test_a_seed_gives_the_same_values_again() -> None:
    assert_identical(random_values("float64", (50,), 3), random_values("float64", (50,), 3))


# --- torch


@given(its.torch_tensors(flavours=list(its.TORCH_FLAVOURS)))
def test_flavours_go_with_the_element_types(t: Any) -> None:
    assert not (t.is_conj() and not t.is_complex())
    assert not (t.requires_grad and not (t.is_floating_point() or t.is_complex()))


@pytest.mark.parametrize(
    ("flavour", "has"),
    [
        ("conj", lambda t: t.is_conj()),
        ("neg", lambda t: t.is_neg()),
        ("requires_grad", lambda t: t.requires_grad and t.is_leaf),
        ("parameter", lambda t: type(t) is torch.nn.Parameter),
        ("plain", lambda t: not (t.is_conj() or t.is_neg() or t.requires_grad)),
    ],
)
def test_flavours_are_as_asked(flavour: str, has: Any) -> None:
    @given(its.torch_tensors(flavours=[flavour]))
    def check(t: Any) -> None:
        assert has(t)

    check()


@given(its.torch_tensors(layouts="c"))
def test_torch_tensors_own_memory_that_can_grow(t: Any) -> None:
    t.untyped_storage().resize_(2 * t.untyped_storage().nbytes() + 16)


# --- other frameworks


def test_a_table_of_builders_is_extended_by_an_argument() -> None:
    drawn = find(its.arrays("mine", builders={"mine": lambda *, of: st.just(of)}, of=3), lambda _: True)
    assert drawn == 3
    assert isinstance(find(its.arrays("torch", dtypes="int8"), lambda _: True), torch.Tensor)
    with pytest.raises(interop.UnsupportedError, match=r"framework='mine' .* builders=\{'mine': a function\}"):
        its.arrays("mine")


def test_an_unknown_framework_has_to_say_its_element_types() -> None:
    with pytest.raises(interop.UnsupportedError, match="names="):
        its.dtypes("mine")
    assert find(its.dtypes("mine", names=["int8"]), lambda _: True) == "int8"


@given(its.producers())
def test_producers_let_go(fake: Any) -> None:
    source = fake.source()
    del source
    fake.assert_released()


def test_a_draw_takes_few_calls() -> None:
    draws = calls = 0
    ours = str(Path(interop.__file__).parent)

    @settings(max_examples=500, database=None, derandomize=True)
    @given(its.numpy_arrays())
    def draw(a: Any) -> None:
        nonlocal draws
        draws += 1

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(ours)

    sys.setprofile(count)
    try:
        draw()
    finally:
        sys.setprofile(None)
    # Of ours; the bound is for what the versions of Python count differently.
    assert 0 < calls / draws < 50, calls / draws


@pytest.mark.parametrize("module", ["strategies", "fakes", "compare"])
def test_no_framework_is_imported(module: str) -> None:
    # The package itself is left out: it is what is tested elsewhere.
    code = f"""
import sys
import interop.testing.{module}
loaded = {{"torch", "cupy", "jax", "tensorflow", "mlx", "paddle"}} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_hypothesis_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None
import interop.testing.fakes
try:
    import interop.testing.strategies
except ImportError as error:
    assert 'pip install "tensor-interop[testing]"' in str(error), error
else:
    raise SystemExit("imported")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
