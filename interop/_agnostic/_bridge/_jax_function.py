"""What jax differentiates, batches and calls: a function of arrays in a row, which knows its derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import numpy as np

from interop._dtypes import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interop._agnostic._bridge._structure import Structure

Dims = tuple[int | None, ...]
Chosen = tuple[int, ...]


class Like(NamedTuple):
    """What is known of an array that isn't there."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def is_differentiable(self) -> bool:
        """Whether gradients go through arrays of this element type."""
        return bool(jax.dtypes.issubdtype(self.dtype, np.inexact))


class Function(Protocol):
    """A function of arrays in a row, to arrays in a row. Inside it they are tensors of another library.

    The last `linear` of its arguments are tangents, or cotangents: it is linear in them.
    """

    name: str
    inner: str
    linear: int
    #: Whether the derivatives get the results beside the arguments.
    keeps_results: bool

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        """What the results are like, without a call that anybody sees."""
        ...

    def check(self, likes: tuple[Like, ...], *, compiled: bool = False) -> None:
        """Refuse what can't be called, before it is; or can't from a compiled function."""
        ...

    def check_again(self, likes: tuple[Like, ...]) -> None:
        """Refuse a call from a compiled function that isn't any longer what was compiled."""
        ...

    def likes_of(self, tensors: Sequence[Any]) -> tuple[tuple[Any, str], ...]:
        """The shapes of the other library's tensors, and the names of their element types."""
        ...

    def check_around(self, likes: tuple[Like, ...], around: Structure) -> None:
        """Refuse results that hold something else beside tensors than a call is known to return."""
        ...

    def run(self, tensors: Sequence[Any]) -> tuple[list[Any], Structure | None]:
        """Call it with the other library's tensors; its results, and what is around them."""
        ...

    def jvp(self, ins: Chosen, outs: Chosen, kept: int) -> Function:
        """The function of arguments, the `kept` results, and tangents of `ins`: to tangents of `outs`."""
        ...

    def transposed(self, ins: Chosen, outs: Chosen) -> Function:
        """The function of the arguments that it isn't linear in and cotangents of `outs`: to cotangents of `ins`.

        `ins` counts linear arguments alone.
        """
        ...

    def vmap(self, dims: Dims, size: int) -> Function:
        """The function of batches of `size`, along those axes; its results are batches along their first."""
        ...


class Written(Function, Protocol):
    """One that a person wrote."""

    def around(self, likes: tuple[Like, ...]) -> Structure:
        """What is around its results."""
        ...


def numpy_type(name: str) -> np.dtype[Any]:
    """numpy's element type of our name."""
    found = BY_NAME[name].numpy
    assert found is not None
    return found


def batched_likes(likes: tuple[Like, ...], size: int) -> tuple[Like, ...]:
    """What batches along the first axis are like."""
    return tuple([Like((size, *each.shape), each.dtype) for each in likes])


def unbatched_likes(likes: tuple[Like, ...], dims: Dims) -> tuple[Like, ...]:
    """What one element of each batch is like."""
    return tuple(
        [
            each if dim is None else Like(each.shape[:dim] + each.shape[dim + 1 :], each.dtype)
            for each, dim in zip(likes, dims, strict=True)
        ]
    )


def ending_likes(likes: tuple[Like, ...], ends: Dims | None) -> tuple[Like, ...]:
    """What batches are like whose first axis has been moved to `ends`, and summed over where that is None."""
    if ends is None:
        return likes
    made: list[Like] = []
    for each, end in zip(likes, ends, strict=True):
        size, *rest = each.shape
        if end is not None:
            rest.insert(end, size)
        made.append(Like(tuple(rest), each.dtype))
    return tuple(made)


def chosen(of: Sequence[Any], indices: Chosen) -> tuple[Any, ...]:
    """Those elements, in that order."""
    return tuple([of[i] for i in indices])
