"""Which bytes go into which buffer: leaves on one memory stay on one memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from interop._layout import c_strides, follows
from interop._pack._landing import Landed, compact, is_whole, repeats, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interop._native import View

#: Leaves that overlap are one buffer, gaps and all, where that takes at most so many times their own bytes: two slices
#: of ten elements at both ends of ten gigabytes don't overlap, but a row and a column of a matrix do.
_SPARSE = 2


class Place(NamedTuple):
    """Where a leaf is: in which buffer, at which byte, with which strides (None for C order)."""

    buffer: int
    offset: int
    strides: tuple[int, ...] | None


def place(leaves: Sequence[Landed]) -> tuple[list[Place], list[memoryview]]:
    """Give each leaf its place, and return the buffers: views wherever a leaf can stay as it is."""
    places: dict[int, Place] = {}
    buffers: list[memoryview] = []
    views = [leaf.view for leaf in leaves]
    for group in sorted(_groups(views), key=min):
        low, high = _reach(views, group)
        if _stays(views, group, high - low):
            for number in group:
                memory = views[number]
                places[number] = Place(len(buffers), memory.ptr - low if memory.size else 0, _strides(memory))
            buffers.append(span(low, high, [views[number] for number in group]))
        else:
            for memory, numbers in _equal(views, group).values():
                copied = compact(memory)
                for number in numbers:
                    places[number] = Place(len(buffers), 0, None)
                buffers.append(span(*copied.extent, [copied.with_readonly(memory.readonly)]))
    return [places[number] for number in range(len(views))], buffers


def _groups(views: Sequence[View]) -> Iterator[list[int]]:
    """Leaves whose extents overlap, by their numbers; what holds an element twice is on its own, with its equals."""
    alone = {number for number, memory in enumerate(views) if repeats(memory)}
    for _, numbers in _equal(views, sorted(alone)).values():
        yield numbers
    group: list[int] = []
    end = 0
    for low, high, number in sorted((*memory.extent, n) for n, memory in enumerate(views) if n not in alone):
        if group and low < end:
            group.append(number)
            end = max(end, high)
        else:
            if group:
                yield group
            group, end = [number], high
    if group:
        yield group


def _equal(views: Sequence[View], group: Sequence[int]) -> dict[object, tuple[View, list[int]]]:
    """Leaves that are the very same, by what they are."""
    found: dict[object, tuple[View, list[int]]] = {}
    for number in group:
        memory = views[number]
        key = (memory.ptr, memory.shape, memory.strides, memory.dtype)
        found.setdefault(key, (memory, []))[1].append(number)
    return found


def _reach(views: Sequence[View], group: Sequence[int]) -> tuple[int, int]:
    extents = [views[number].extent for number in group]
    return min(low for low, _ in extents), max(high for _, high in extents)


def _stays(views: Sequence[View], group: Sequence[int], size: int) -> bool:
    """Whether the span of a group can be its buffer."""
    if len(group) == 1:
        return is_whole(views[group[0]])
    if repeats(views[group[0]]):
        return False
    distinct = _equal(views, group)
    if len(distinct) == 1:
        return is_whole(views[group[0]])
    # No leaf is larger than its buffer then: each of its elements is in there once.
    return size <= _SPARSE * sum(memory.nbytes for memory, _ in distinct.values())


def _strides(memory: View) -> tuple[int, ...] | None:
    strides = memory.strides
    return None if follows(memory.shape, strides, c_strides(memory.shape)) else strides
