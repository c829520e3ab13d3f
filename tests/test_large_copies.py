"""Copies between any two layouts and casts between floats are numpy's and ml_dtypes' to the bit; large ones too."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any, Final

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from interop._adapters._shared.host import copy_values
from interop._native import Keeper, fill_ndarray, fill_view, view_from_ndarray

Array = np.ndarray[Any, Any]

#: An element type of each size, and sizes beside those of tiles (32 to 128), blocks (512) and squares (2 to 16).
DTYPES: Final = ["uint8", "int16", "float32", "float64", "complex128"]
LENGTHS: Final = st.sampled_from([1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 127, 129, 130, 513, 529])

#: What is written past the caches: from 16 MiB on.
PAST_CACHES: Final = 1 << 24

#: Casts that the core has loops for.
CASTS: Final = [
    ("bfloat16", "float32"),
    ("float32", "bfloat16"),
    ("float16", "float32"),
    ("float32", "float16"),
    ("float32", "float64"),
    ("float64", "float32"),
]


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def numbered(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array no two neighbours of which are alike, whatever the axis."""
    size = int(np.prod(shape))
    values = np.arange(size * np.dtype(dtype).itemsize, dtype=np.uint32) * np.uint32(2654435761) >> np.uint32(13)
    numbers: Array = values.astype(np.uint8).view(dtype).reshape(shape)
    return numbers


def bits(a: Array) -> Array:
    return np.ascontiguousarray(a).view(np.uint8)


def same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool((bits(a) == bits(b)).all())


@st.composite
def turned(draw: Any) -> Array:
    """An array of up to four axes, permuted, stepped through, turned round and cut into, and not too large."""
    shape = draw(st.lists(LENGTHS, min_size=1, max_size=4).map(tuple))
    assume(np.prod(shape) < 400_000)
    a = numbered(shape, draw(st.sampled_from(DTYPES)))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, 1, -1, 2, 3, -2]) for _ in shape]))
    starts = draw(st.tuples(*[st.integers(0, 1) for _ in shape]))
    a = a[tuple(slice(start if step > 0 else None, None, step) for start, step in zip(starts, steps, strict=True))]
    return a.transpose(draw(st.permutations(range(a.ndim))))


@given(a=turned(), order=st.sampled_from("CFK"), offset=st.integers(0, 17))
@example(a=numbered((512, 1024), "float32").T, order="C", offset=0)
@example(a=numbered((529, 513), "uint8").T, order="C", offset=1)
@example(a=numbered((513, 130, 3), "int16").transpose(2, 0, 1), order="C", offset=0)
@example(a=numbered((3, 130, 129), "complex128").transpose(1, 2, 0), order="C", offset=0)
def test_a_copy_in_another_layout_is_numpys(a: Array, order: Any, offset: int) -> None:
    wanted = a.copy(order)
    # Not where an allocator would have put it: no line of the cache begins where a row does.
    memory = np.zeros(wanted.nbytes + offset * a.itemsize + 64, np.uint8)
    into = np.ndarray(a.shape, a.dtype, memory, offset * a.itemsize, wanted.strides)
    assert fill_ndarray(into, a)
    assert same(into, wanted)
    # And nothing beside it.
    assert not memory[: offset * a.itemsize].any()
    assert not memory[offset * a.itemsize + wanted.nbytes :].any()


@given(a=turned(), data=st.data())
def test_into_any_layout_too(a: Array, data: Any) -> None:
    axes = data.draw(st.permutations(range(a.ndim)))
    steps = data.draw(st.tuples(*[st.sampled_from([1, 1, 2, -1, -2]) for _ in axes]))
    memory = np.zeros([a.shape[axis] * abs(step) for axis, step in zip(axes, steps, strict=True)], a.dtype)
    into = memory[tuple(slice(None, None, step) for step in steps)].transpose(np.argsort(axes))
    assert fill_ndarray(into, a)
    assert same(into, a)
    into[...] = 0
    assert not memory.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("odd", [False, True])
def test_past_the_caches_it_is_numpys_too(dtype: str, *, odd: bool) -> None:
    rows = 1024 + odd
    columns = PAST_CACHES // rows // np.dtype(dtype).itemsize + 64 + odd
    a = numbered((rows, columns), dtype)
    assert a.nbytes >= PAST_CACHES
    for axes in ((1, 0), (0, 1)):
        turn = a.transpose(axes)
        into = np.empty(turn.shape, dtype)
        assert fill_ndarray(into, turn)
        assert same(into, turn.copy())
        again = np.zeros((turn.shape[0] + 1, turn.shape[1] + 1), dtype)[1:, 1:]
        assert fill_ndarray(again, turn)
        assert same(again, turn)


def every(name: str) -> Array:
    """Every value of 16 bits, or, of more, those near each of them; infinities and NaN with all kinds of payloads."""
    few = np.arange(1 << 16, dtype=np.uint32)
    if dtype_of(name).itemsize == 2:
        return few.astype(np.uint16).view(dtype_of(name))
    near = np.concatenate([(few << 16) + np.uint32(low) for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    halves = [
        few.astype(np.uint16).view(np.float16).astype(np.float32).view(np.uint32) + np.uint32(i) for i in (0, 1, 4096)
    ]
    singles = np.concatenate([near, *halves]).view(np.float32)
    if name == "float32":
        return singles
    with np.errstate(all="ignore"):
        wide = singles.astype(np.float64).view(np.uint64)
    return np.concatenate([wide, wide + np.uint64(1), wide - np.uint64(1), wide + np.uint64(1 << 28)]).view(np.float64)


@pytest.mark.parametrize(("name", "into"), CASTS)
def test_every_value_is_cast_as_numpy_and_ml_dtypes_cast_it(name: str, into: str) -> None:
    values = every(name)
    with np.errstate(all="ignore"):
        wanted = values.astype(dtype_of(into))
    made = np.empty(values.shape, dtype_of(into))
    if not fill_ndarray(made, values):
        assert "float16" in (name, into), "a machine may have no instructions for half precision, and for nothing else"
        pytest.skip("no instructions for half precision")
    with np.errstate(all="ignore"):
        nan, still = np.isnan(values), np.isnan(made)
        signs = [np.signbit(each[nan].astype(np.float64)) for each in (made, values)]
    assert same(made[~nan], wanted[~nan])
    assert (nan == still).all()
    # Of a NaN nothing more is promised: which of its payload's bits stay differs between machines.
    assert (signs[0] == signs[1]).all()


@given(
    cast=st.sampled_from(CASTS),
    shape=st.lists(LENGTHS, min_size=1, max_size=3).filter(lambda shape: np.prod(shape) < 100_000),
    data=st.data(),
)
def test_a_cast_into_another_layout_is_numpys(cast: tuple[str, str], shape: list[int], data: Any) -> None:
    name, into = cast
    values = np.linspace(-6e4, 6e4, int(np.prod(shape))).astype(dtype_of(name)).reshape(shape)
    values = values.transpose(data.draw(st.permutations(range(values.ndim))))
    order = data.draw(st.sampled_from("CF"))
    made = np.empty(values.shape, dtype_of(into), order)
    assert fill_ndarray(made, values) or "float16" in cast
    if fill_ndarray(made, values):
        assert same(made, values.astype(dtype_of(into)))


@pytest.mark.parametrize(("name", "into"), CASTS)
def test_past_the_caches_casts_are_numpys_too(name: str, into: str) -> None:
    values = np.linspace(-6e4, 6e4, PAST_CACHES // dtype_of(into).itemsize + 1037).astype(dtype_of(name))
    table = values[: len(values) // 1024 * 1024].reshape(-1, 1024)
    for each in (values, values[3:], table.T, table.T[1:]):
        made = np.empty(each.shape, dtype_of(into))
        copy_values(made, each)
        assert same(made, each.astype(dtype_of(into)))


def test_what_it_cant_do_is_left_alone() -> None:
    into, values = np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)
    shaped, typed = np.ones((4, 3), np.float32), np.ones((3, 4), np.int32)
    swapped, frozen = values.astype(values.dtype.newbyteorder()), into.copy()
    frozen.flags.writeable = False
    for wrong in (shaped, typed, swapped, values[0], values[:, :1], into, into[::-1], [[1.0]]):
        assert not fill_ndarray(into, wrong)  # type: ignore[arg-type]
    assert not fill_ndarray(frozen, values)
    assert not fill_view(view_from_ndarray(frozen), view_from_ndarray(values))
    assert not into.any()
    # Of what overlaps numpy knows what to do.
    line = np.arange(6.0)
    copy_values(line[1:], line[:-1])
    assert line.tolist() == [0, 0, 1, 2, 3, 4]


def test_what_lies_askew_is_cast_by_numpy() -> None:
    values = np.ndarray((100,), np.float32, bytearray(401), 1)
    values[:] = np.arange(100)
    made = np.empty(100, np.float64)
    assert not fill_ndarray(made, values)
    copy_values(made, values)
    assert made.tolist() == list(range(100))
    # A copy only moves bytes.
    assert fill_ndarray(np.empty(100, np.float32), values)


class Owner:
    def __init__(self, array: Array) -> None:
        self.low, self.high = view_from_ndarray(array).extent
        self.left = 1 << 30

    def start(self) -> int:
        self.left -= 1
        return self.low if self.left >= 0 else self.low + (1 << 40)

    def size(self) -> int:
        return self.high - self.low


KEEPER: Final = Keeper(
    owner=Owner, start=Owner.start, size=Owner.size, movable=lambda owner: True, lock=lambda owner: None
)


@pytest.mark.parametrize(("name", "into"), [*CASTS, ("float32", "float32"), ("uint8", "uint8")])
@pytest.mark.parametrize("shape", [(1031, 4099), (4099, 1031), (4_200_001,)])
def test_memory_that_may_move_is_read_in_pieces(name: str, into: str, shape: tuple[int, ...]) -> None:
    values = np.linspace(-9, 9, int(np.prod(shape))).astype(dtype_of(name)).reshape(shape).T
    made = np.zeros(values.shape, dtype_of(into))
    target, owner = view_from_ndarray(made), Owner(values)
    if not KEEPER.can_copy(target, view_from_ndarray(values)):
        assert "float16" in (name, into)
        return
    assert KEEPER.copy(target, view_from_ndarray(values).with_owner(owner))
    assert (1 << 30) - owner.left >= values.nbytes >> 20
    assert same(made, values.astype(dtype_of(into)))
    # Pulled away in the middle, it is noticed.
    owner.left = 3
    assert not KEEPER.copy(target, view_from_ndarray(values).with_owner(owner))


def test_others_run_meanwhile() -> None:
    """The core lets go of the GIL while it copies what stays where it is."""
    values = numbered((2048, 1024), "float64").T
    into, gate = np.empty(values.shape), threading.Lock()
    seen: list[None] = []

    def pass_by() -> None:
        with gate:
            seen.append(None)

    interval = sys.getswitchinterval()
    # Nobody is asked for the GIL: whoever gets it was given it.
    sys.setswitchinterval(60)
    try:
        gate.acquire()
        other = threading.Thread(target=pass_by)
        other.start()
        gate.release()
        assert any(fill_ndarray(into, values) and seen for _ in range(1000))
    finally:
        sys.setswitchinterval(interval)
    other.join()


_WITHOUT_TORCH: Final = """
import sys
from unittest import mock
import numpy as np
import interop

a = np.arange(3_000_000, dtype="f4").reshape(1000, 3000)
with mock.patch.object(np, "copyto", side_effect=AssertionError("numpy's road")):
    made = interop.to_numpy({source}, order="C")
assert (made == np.arange(3_000_000, dtype="f4").reshape(1000, 3000).T).all() and made.flags.c_contiguous
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("source", ["a.T", "interop.view(a.T)", "memoryview(a.T)"])
def test_without_torch_it_is_the_same_loop(source: str) -> None:
    code = _WITHOUT_TORCH.format(source=source)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
