"""Arithmetic on shapes and strides (in elements): what is dense, what overlaps, what a copy looks like."""

from __future__ import annotations

import math
from typing import Final, Literal

Shape = tuple[int, ...]
Strides = tuple[int, ...]


def c_strides(shape: Shape) -> Strides:
    """Strides of C order: the last axis is the fastest."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return tuple(strides)


def f_strides(shape: Shape) -> Strides:
    """Strides of Fortran order: the first axis is the fastest."""
    return c_strides(shape[::-1])[::-1]


def is_c(shape: Shape, strides: Strides) -> bool:
    """Tell whether the layout is C contiguous; axes of length 1 may have any stride, empty arrays any strides."""
    return follows(shape, strides, c_strides(shape))


def is_f(shape: Shape, strides: Strides) -> bool:
    """Tell whether the layout is Fortran contiguous."""
    return follows(shape, strides, f_strides(shape))


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Tell whether the layout is a permutation of C order: no gaps, no overlap, nothing negative."""
    return follows(shape, strides, compact_strides(shape, strides))


def follows(shape: Shape, strides: Strides, wanted: Strides) -> bool:
    """Tell whether two strides mean the same layout; axes of length 1 and empty arrays may have any."""
    if 0 in shape:
        return True
    return all(n == 1 or have == want for n, have, want in zip(shape, strides, wanted, strict=True))


def compact_strides(shape: Shape, strides: Strides) -> Strides:
    """Strides of a dense copy that keeps the order of the axes in memory, as numpy's order ``"K"`` does.

    An axis of stride 0 (a broadcast) has no place in memory; it comes out fastest-varying last, as in C order.
    """
    order = sorted(range(len(shape)), key=lambda axis: (-abs(strides[axis]), axis))
    if any(stride == 0 and n > 1 for n, stride in zip(shape, strides, strict=True)):
        order = list(range(len(shape)))
    result = [1] * len(shape)
    step = 1
    for axis in reversed(order):
        result[axis] = step
        step *= max(shape[axis], 1)
    return tuple(result)


def fits(shape: Shape, strides: Strides, wanted: Literal["any", "nonnegative", "dense", "c"]) -> bool:
    """Tell whether a framework that can hold strides of the kind `wanted` can hold these."""
    if wanted == "any":
        return True
    if wanted == "c":
        return is_c(shape, strides)
    if wanted == "dense":
        return is_dense(shape, strides)
    return 0 in shape or all(stride >= 0 for n, stride in zip(shape, strides, strict=True) if n > 1)


#: So many differences between indices are tried before a layout counts as one that overlaps.
_MOST_TRIED: Final = 4096


def overlaps(shape: Shape, strides: Strides) -> bool:
    """Tell whether two indices mean one element: a broadcast, a sliding window.

    False is certain. True is exact but where the search takes too long: for great lengths with strides that interlock.
    """
    if 0 in shape:
        return False
    # Two indices of one element differ by steps along the axes that add up to nothing; signs don't matter then.
    axes = sorted(((abs(step), n - 1) for n, step in zip(shape, strides, strict=True) if n > 1), reverse=True)
    if axes and axes[-1][0] == 0:
        return True
    reach = [sum(step * most for step, most in axes[axis:]) for axis in range(len(axes) + 1)]
    tried = 0

    def found(axis: int, offset: int, *, moved: bool) -> bool:
        """Whether the axes from `axis` on can take back `offset`, having moved at all."""
        nonlocal tried
        tried += 1
        if axis == len(axes) or tried > _MOST_TRIED:
            # What hasn't moved is tried first, so that the search never ends there.
            return moved
        step, most = axes[axis]
        low = max(-((offset + reach[axis + 1]) // step), -most if moved else 0)
        high = min((reach[axis + 1] - offset) // step, most)
        return any(found(axis + 1, offset + n * step, moved=moved or n != 0) for n in range(low, high + 1))

    return found(0, 0, moved=False)


def extent(ptr: int, shape: Shape, byte_strides: Strides, itemsize: int) -> tuple[int, int]:
    """Lowest and highest byte address that the elements occupy, half-open; empty arrays occupy nothing.

    The one function here that takes strides in bytes: not every array's are a multiple of its elements.
    """
    if 0 in shape:
        return (ptr, ptr)
    reach = [(n - 1) * stride for n, stride in zip(shape, byte_strides, strict=True)]
    low = sum(step for step in reach if step < 0)
    high = sum(step for step in reach if step > 0)
    return (ptr + low, ptr + high + itemsize)


def nbytes(shape: Shape, itemsize: int) -> int:
    """Bytes of the elements, each counted once per index."""
    return math.prod(shape) * itemsize
