"""The core's part that reads and locks memory that its framework may still move, with owners of these tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop import UnsupportedError
from interop._native import Keeper, View, make_view, view_from_ndarray
from interop.testing.strategies import numpy_arrays


class Owner:
    """Memory that may move, and does once its address has been asked for so many times."""

    def __init__(self, array: np.ndarray[Any, Any], *, moves_after: int = 1 << 30) -> None:
        self.array = array
        low, high = view_from_ndarray(array).extent
        self.at, self.bytes = low, high - low
        self.left = moves_after
        self.movable = True

    def start(self) -> int:
        self.left -= 1
        return self.at if self.left >= 0 else self.at + (1 << 30)

    def size(self) -> int:
        return self.bytes

    def is_movable(self) -> bool:
        return self.movable

    def lock(self) -> None:
        self.movable = False


KEEPER = Keeper(owner=Owner, start=Owner.start, size=Owner.size, movable=Owner.is_movable, lock=Owner.lock)


def seen(array: np.ndarray[Any, Any], owner: object) -> View:
    return view_from_ndarray(array).with_owner(owner)


def is_plain(a: np.ndarray[Any, Any]) -> bool:
    """Whether DLPack can say its layout."""
    return a.dtype.isnative and not any(step % a.itemsize for step in a.strides)


LAYOUTS = numpy_arrays(dtypes=st.sampled_from(["uint8", "int16", "float32", "float64", "complex128"])).filter(is_plain)


@given(a=LAYOUTS, order=st.sampled_from("CFK"))
def test_a_copy_is_the_same_elements_in_another_layout(a: np.ndarray[Any, Any], order: Any) -> None:
    into = np.empty_like(a, order=order)
    into.fill(1)
    assert KEEPER.copy(view_from_ndarray(into), seen(a, Owner(a)))
    assert into.tobytes() == a.tobytes()
    private = KEEPER.copied(seen(a, Owner(a)))
    assert private is not None
    assert np.asarray(private).tobytes() == a.tobytes()
    assert private.contiguous
    assert private.ptr % 64 == 0


@pytest.mark.parametrize("dtype", ["u1", "f4", "c16"])
@pytest.mark.parametrize(
    "turn",
    [
        lambda a: a.reshape(-1),
        lambda a: a.reshape(-1, 100).T,
        lambda a: a.reshape(2, -1).T,
        lambda a: a.reshape(-1, 2).T,
        lambda a: a.reshape(10, -1, 30).transpose(1, 2, 0),
        lambda a: a.reshape(-1, 30)[:, 3:20],
        lambda a: a[::-3],
    ],
)
def test_a_copy_of_many_pieces(turn: Any, dtype: str) -> None:
    a = turn((np.arange(3_000_000) % 251).astype(dtype))
    owner = Owner(a)
    into = np.zeros(a.shape, dtype)
    assert KEEPER.copy(view_from_ndarray(into), seen(a, owner))
    assert np.array_equal(into, a)
    # Looked at before each of them.
    assert (1 << 30) - owner.left >= max(1, a.nbytes >> 21)


@pytest.mark.parametrize("moves_after", [0, 1, 2])
def test_a_copy_of_what_has_moved_is_no_copy(moves_after: int) -> None:
    a = np.ones((1000, 1000))
    into = np.zeros_like(a)
    owner = Owner(a, moves_after=moves_after)
    assert not KEEPER.copy(view_from_ndarray(into), seen(a.T, owner))
    # So many pieces of 1 MiB, and not one more.
    assert into.sum() * 8 == pytest.approx(moves_after << 20, rel=0.2)
    assert KEEPER.copied(seen(a, owner)) is None


@pytest.mark.parametrize("into", [np.zeros(4), np.zeros((3, 1)), np.zeros(3, "i8")])
def test_a_copy_into_another_shape_or_type_is_refused(into: Any) -> None:
    a = np.ones(3)
    with pytest.raises(UnsupportedError, match="more than their layout"):
        KEEPER.copy(view_from_ndarray(into), seen(a, Owner(a)))


@given(a=LAYOUTS, before=st.integers(0, 3), after=st.integers(0, 3))
def test_memory_is_kept_where_all_of_it_is_the_owners(a: np.ndarray[Any, Any], before: int, after: int) -> None:
    owner = Owner(a)
    view = seen(a, owner)
    assert KEEPER.keeps(view)
    owner.at, owner.bytes = owner.at - before, owner.bytes + before + after
    assert KEEPER.keeps(view)
    low, high = view.extent
    for start, end in (
        ((low + 1, high + after), (low - before, high - 1), (low, low), (high, high + 8)) if a.size else ()
    ):
        owner.at, owner.bytes = start, end - start
        assert not KEEPER.keeps(view)


def test_there_is_no_memory_at_null_nor_beside_it() -> None:
    a = np.ones(3)
    nobody = Owner(a)
    nobody.at, nobody.bytes = 0, 1 << 62
    assert not KEEPER.keeps(seen(a, nobody))
    offset = make_view(8, (2,), (1,), (2, 32, 1), (1, 0), readonly=False, owner=nobody)
    assert not KEEPER.keeps(offset)
    assert KEEPER.keeps(make_view(0, (0,), (1,), (2, 32, 1), (1, 0), readonly=False, owner=nobody))


@pytest.mark.parametrize("answer", [None, "", -1, 1 << 64, 1.5])
def test_an_owner_that_doesnt_know_keeps_nothing(answer: Any) -> None:
    def raises(_: Any) -> Any:
        raise ZeroDivisionError

    a = np.ones(3)
    broken = Keeper(owner=Owner, start=lambda _: answer, size=Owner.size, movable=Owner.is_movable, lock=Owner.lock)
    assert not broken.keeps(seen(a, Owner(a)))
    raising = Keeper(owner=Owner, start=Owner.start, size=raises, movable=raises, lock=Owner.lock)
    assert not raising.keeps(seen(a, Owner(a)))
    assert not raising.may_move(seen(a, Owner(a)))


def test_a_lock_holds_what_is_there() -> None:
    a = np.ones(3)
    owner = Owner(a)
    view = seen(a, owner)
    assert KEEPER.may_move(view)
    assert KEEPER.lock(view)
    assert not KEEPER.may_move(view)
    assert KEEPER.lock(view)
    gone = seen(a, Owner(a, moves_after=0))
    assert not KEEPER.lock(gone)
    loose = Keeper(owner=Owner, start=Owner.start, size=Owner.size, movable=Owner.is_movable, lock=lambda _: None)
    with pytest.raises(RuntimeError, match="can still be resized"):
        loose.lock(seen(a, Owner(a)))


def test_the_parts_of_a_keeper_are_called() -> None:
    with pytest.raises(TypeError, match="can't be"):
        Keeper(owner=Owner, start=0, size=Owner.size, movable=Owner.is_movable, lock=Owner.lock)  # type: ignore[arg-type] # what must be refused
