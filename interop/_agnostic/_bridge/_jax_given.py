"""Functions of libraries that don't differentiate, inside jax, by the derivatives that their author passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interop._agnostic._bridge._jax_function import (
    Like,
    batched_likes,
    chosen,
    ending_likes,
    numpy_type,
    unbatched_likes,
)
from interop._agnostic._bridge._structure import leaves_of, same_around
from interop._agnostic._paths import places
from interop._convert import convert
from interop._inspect import dtype, framework
from interop.errors import GradientError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._bridge._jax_function import Chosen, Dims
    from interop._agnostic._bridge._jax_rows import Rowed
    from interop._agnostic._bridge._structure import Structure

Row = tuple[list[Any], "Structure | None"]


class _Function:
    """What has no derivatives beside those that a subclass names, and is batched by a loop."""

    keeps_results = False
    linear = 0

    def __init__(self, rowed: Rowed) -> None:
        self.rowed, self.how = rowed, rowed.how
        self.name, self.inner = rowed.how.name, rowed.how.framework
        self._made: dict[Any, Any] = {}

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        """Shapes and types of the results, which each subclass tells."""
        raise NotImplementedError

    def run(self, tensors: Sequence[Any]) -> Row:
        """The results, and what is around them, which each subclass makes."""
        raise NotImplementedError

    def check(self, likes: tuple[Like, ...], *, compiled: bool = False) -> None:
        """Nothing is known of it before it is called."""

    def check_again(self, likes: tuple[Like, ...]) -> None:
        """Nothing is known of how it works."""

    def likes_of(self, tensors: Sequence[Any]) -> tuple[tuple[Any, str], ...]:
        """The shapes and types of arrays."""
        return tuple([(tuple(x.shape), _type_of(x)) for x in tensors])

    def check_around(self, likes: tuple[Like, ...], around: Structure) -> None:
        """Only what a person wrote returns more than arrays."""

    def jvp(self, _ins: Chosen, _outs: Chosen, _kept: int) -> Any:
        """Refused: nobody said what the derivative's derivative is."""
        raise self._twice()

    def transposed(self, _ins: Chosen, _outs: Chosen) -> Any:
        """Refused likewise, where it isn't linear."""
        raise self._twice()

    def _twice(self) -> GradientError:
        return GradientError(
            f"{self.name}() is differentiated twice, and its vjp= and jvp= are derivatives of the first order. Write "
            "it for a library that differentiates (torch), or take its derivative once."
        )

    def vmap(self, dims: Dims, size: int) -> _Looped:
        """A loop: the function was written for one."""
        return self.looped(dims, size, None)

    def looped(self, dims: Dims, size: int, ends: Dims | None) -> _Looped:
        made: _Looped = self.kept(("vmap", dims, size, ends), lambda: _Looped(self, dims, size, ends))
        return made

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is derived from a function is made once, so that jax finds what it compiled for it."""
        found = self._made.get(key)
        return found if found is not None else self._made.setdefault(key, make())


class _Written(_Function):
    """The function itself."""

    keeps_results = True

    def __init__(self, rowed: Rowed, count: int) -> None:
        super().__init__(rowed)
        self.count = count
        #: How many of the tensors are among the arguments by position, which the derivatives are about.
        self.by_position = len(leaves_of(rowed.given))
        self._seen: dict[tuple[Like, ...], tuple[tuple[Like, ...], Structure]] = {}

    def run(self, tensors: Sequence[Any]) -> Row:
        row, around = self.rowed.call(tensors)
        row = [_typed(x, self.rowed.type_back(_type_of(x))) for x in row]
        likes = _likes_of(tensors)
        found = _likes_of(row)
        seen, _ = self._seen.setdefault(likes, (found, around))
        if seen != found:
            msg = (
                f"{self.name}() returned {_spelled(found)} where it returned {_spelled(seen)} before, for arguments of "
                "the same shapes. For jax shapes depend on shapes alone: return one shape, padded."
            )
            raise UnsupportedError(msg)
        return list(row), around

    def _seen_or_tried(self, likes: tuple[Like, ...]) -> tuple[tuple[Like, ...], Structure]:
        """What results are like: called with ones, where it wasn't called yet, since no other way leads to that."""
        if likes not in self._seen:
            ones = [_readonly(np.ones(each.shape, each.dtype)) for each in likes]
            given = [x if self.inner == "numpy" else convert(x, self.inner, writable=False) for x in ones]
            try:
                with np.errstate(all="ignore"):
                    _, around = self.run(given)
            except Exception as err:
                err.add_note(f"interop called {self.name}() with ones, to find the shapes of its results")
                raise
            self._refuse_numbers(likes, around)
        return self._seen[likes]

    def _refuse_numbers(self, likes: tuple[Like, ...], around: Structure | None) -> None:
        """What a call with ones computed is nobody's result."""
        if around is not None and any(type(x) in (float, complex) for _, x in places(around.skeleton)):
            del self._seen[likes]
            msg = (
                f"{self.name}() returns a number of Python beside its arrays, and jax asks for its result before there "
                "are values. Return it as an array (np.asarray(loss))."
            )
            raise UnsupportedError(msg)

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        return self._seen_or_tried(likes)[0]

    def around(self, likes: tuple[Like, ...]) -> Structure:
        """What is around its results."""
        return self._seen_or_tried(likes)[1]

    def check_around(self, likes: tuple[Like, ...], around: Structure) -> None:
        """Refuse what isn't as it was: jax goes on with what came the first time."""
        if not same_around(self._seen[likes][1], around):
            msg = (
                f"{self.name}() returned other values beside its arrays than it did before, for arguments of the same "
                "shapes. jax only knows the first ones: return them as arrays (np.asarray(loss))."
            )
            raise UnsupportedError(msg)

    def jvp(self, ins: Chosen, outs: Chosen, kept: int) -> _Linear:
        """The author's jvp, if jax asks for its values; it is the author's vjp that jax makes of it for a gradient."""
        if any(index >= self.by_position for index in ins):
            msg = (
                f"{self.name}() is differentiated with respect to a keyword argument, and vjp= and jvp= are functions "
                "of the arguments by position. Pass the array by position."
            )
            raise GradientError(msg)
        made: _Linear = self.kept(("jvp", ins, outs), lambda: _Pushed(self, ins, outs, kept))
        return made

    def vjp(self, ins: Chosen, outs: Chosen, kept: int) -> _Linear:
        made: _Linear = self.kept(("vjp", ins, outs), lambda: _Pulled(self, ins, outs, kept))
        return made


class _Linear(_Function):
    """A derivative: a function of arguments, results, and tangents or cotangents."""

    def __init__(self, of: _Written, ins: Chosen, outs: Chosen, kept: int) -> None:
        super().__init__(of.rowed)
        self.of, self.ins, self.outs, self.results = of, ins, outs, kept

    def parted(self, row: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """The arguments, the results, and what it is linear in."""
        first, second = self.of.count, self.of.count + self.results
        return row[:first], row[first:second], row[second:]

    def refuse_count(self, which: str, found: int, wanted: int, what: str) -> None:
        if found != wanted:
            msg = (
                f"{self.name}(): {which}= returned {found} arrays for {what}, and there are {wanted}. Return one for "
                "each, in their order; None where there is none."
            )
            raise UnsupportedError(msg)

    def looked_at(self, which: str, found: Any, x: Any) -> Any:
        """What an author's derivative returned, if it is like the array that it is about; zeros for None."""
        if found is None:
            return _zeros(x)
        array = np.asarray(found) if isinstance(found, (np.generic, float, int, complex)) else found
        shape = tuple(array.shape) if hasattr(array, "shape") else None
        if shape != tuple(x.shape):
            msg = (
                f"{self.name}(): {which}= returned {type(found).__name__} of the shape {shape} for an array of the "
                f"shape {tuple(x.shape)}. Return an array of that shape."
            )
            raise UnsupportedError(msg)
        return _typed(array, dtype(x).name)


class _Pushed(_Linear):
    """The author's jvp: tangents of results."""

    def __init__(self, of: _Written, ins: Chosen, outs: Chosen, kept: int) -> None:
        super().__init__(of, ins, outs, kept)
        self.linear = len(ins)

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        return chosen(self.parted(likes)[1], self.outs)

    def check(self, likes: tuple[Like, ...], *, compiled: bool = False) -> None:  # noqa: ARG002 - what was called it returns
        """Refuse the mode that has no derivative."""
        if self.how.jvp is None:
            msg = (
                f"{self.name}() has no forward mode (jax.jvp, jacfwd, hessian): it was decorated without jvp=. Pass "
                "it, a function of (args, tangents), or differentiate in reverse (jax.grad, vjp, jacrev)."
            )
            raise GradientError(msg)

    def run(self, tensors: Sequence[Any]) -> Row:
        inside, results, moving = self.parted(tensors)
        given = dict(zip(self.ins, moving, strict=True))
        tangents = [given[i] if i in given else _zeros(x) for i, x in enumerate(inside[: self.of.by_position])]
        assert self.how.jvp is not None
        row = leaves_of(self.how.jvp(self.rowed.arguments(inside)[0], tuple(tangents)))
        self.refuse_count("jvp", len(row), len(results), "the tensors among the results")
        return [self.looked_at("jvp", row[i], results[i]) for i in self.outs], None

    def transposed(self, ins: Chosen, outs: Chosen) -> _Linear:
        return self.of.vjp(chosen(self.ins, ins), chosen(self.outs, outs), self.results)


class _Pulled(_Linear):
    """The author's vjp: cotangents of arguments."""

    def __init__(self, of: _Written, ins: Chosen, outs: Chosen, kept: int) -> None:
        super().__init__(of, ins, outs, kept)
        self.linear = len(outs)

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        return chosen(likes, self.ins)

    def run(self, tensors: Sequence[Any]) -> Row:
        inside, results, moving = self.parted(tensors)
        given = dict(zip(self.outs, moving, strict=True))
        cotangents = [given[i] if i in given else _zeros(x) for i, x in enumerate(results)]
        around = self.of.around(_likes_of(inside))
        assert self.how.vjp is not None
        found = self.how.vjp(self.rowed.arguments(inside)[0], around.build(list(results)), around.build(cotangents))
        row = list(found) if isinstance(found, (tuple, list)) else [found]
        self.refuse_count("vjp", len(row), self.of.by_position, "the tensors among the arguments")
        return [self.looked_at("vjp", row[i], inside[i]) for i in self.ins], None

    def transposed(self, ins: Chosen, outs: Chosen) -> _Linear:
        return self.of.jvp(chosen(self.ins, outs), chosen(self.outs, ins), self.results)


class _Looped(_Function):
    """A function over batches, one element after the other.

    Results are batches along their first axis, or moved to `ends`, and summed over where that is None: a batch that an
    argument isn't part of is summed over in that argument's cotangent.
    """

    def __init__(self, one: _Function, dims: Dims, size: int, ends: Dims | None) -> None:
        super().__init__(one.rowed)
        self.one, self.dims, self.size, self.ends = one, dims, size, ends
        self.linear, self.keeps_results = one.linear, one.keeps_results

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        outs = self.one.plan(unbatched_likes(likes, self.dims))
        return ending_likes(batched_likes(outs, self.size), self.ends)

    def check(self, likes: tuple[Like, ...], *, compiled: bool = False) -> None:
        self.one.check(unbatched_likes(likes, self.dims), compiled=compiled)

    def run(self, tensors: Sequence[Any]) -> Row:
        rows = [
            self.one.run([_element(x, dim, i) for x, dim in zip(tensors, self.dims, strict=True)])[0]
            for i in range(self.size)
        ]
        if not rows:
            outs = self.plan(_likes_of(tensors))
            return [np.zeros(each.shape, each.dtype) for each in outs], None
        stacked = [np.stack([_on_host(x) for x in column]) for column in zip(*rows, strict=True)]
        if self.ends is None:
            return list(stacked), None
        ended = zip(stacked, self.ends, strict=True)
        return [x.sum(0, dtype=x.dtype) if end is None else np.moveaxis(x, 0, end) for x, end in ended], None

    def jvp(self, ins: Chosen, outs: Chosen, kept: int) -> _Looped:
        dims = (*self.dims, *[0] * kept, *chosen(self.dims, ins))
        one: _Function = self.one.jvp(ins, outs, kept)
        return one.looped(dims, self.size, None)

    def transposed(self, ins: Chosen, outs: Chosen) -> _Looped:
        first = len(self.dims) - self.linear
        made: _Function = self.one.transposed(ins, outs)
        if self.ends is None:
            return made.looped((*self.dims[:first], *[0] * len(outs)), self.size, chosen(self.dims[first:], ins))
        return made.looped((*self.dims[:first], *chosen(self.ends, outs)), self.size, None)


def given_function(rowed: Rowed, count: int) -> _Written:
    """A function with what is around the arrays of a call, and its author's derivatives."""
    return _Written(rowed, count)


def _likes_of(row: Sequence[Any]) -> tuple[Like, ...]:
    return tuple([Like(tuple(x.shape), x.dtype if type(x) is np.ndarray else numpy_type(dtype(x).name)) for x in row])


def _type_of(x: Any) -> str:
    return x.dtype.name if type(x) is np.ndarray else dtype(x).name


def _spelled(likes: Sequence[Like]) -> str:
    return ", ".join(f"{each.dtype.name} {each.shape}" for each in likes)


def _typed(x: Any, wanted: str) -> Any:
    """An array of the library inside, cast where it isn't of that element type."""
    return x if _type_of(x) == wanted else convert(x, framework(x), dtype=wanted)


def _element(x: Any, dim: int | None, index: int) -> Any:
    return x if dim is None else x[(slice(None),) * dim + (index, ...)]


def _readonly(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x.flags.writeable = False
    return x


def _zeros(x: Any) -> Any:
    return np.zeros(x.shape, x.dtype) if isinstance(x, np.ndarray) else x * 0


def _on_host(x: Any) -> np.ndarray[Any, Any]:
    return x if isinstance(x, np.ndarray) else convert(x, "numpy")
