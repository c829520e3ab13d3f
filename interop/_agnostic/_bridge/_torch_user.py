"""Functions of a library that doesn't differentiate, inside torch, by the derivatives that their author passed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from interop import _to
from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._agnostic._bridge._structure import Structure, leaves_of, placed
from interop._agnostic._bridge._torch_flat import Like
from interop._convert import convert
from interop._dtypes import BY_NAME
from interop._inspect import dtype as dtype_of
from interop._inspect import shares_memory
from interop._plan.nearest import nearest
from interop.errors import DeviceError, DTypeError, GradientError, InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._how import How

_to_torch: Any = _to.to_torch


class Once:
    """A function that is called, and has no derivatives: what a derivative is, and what all others begin with."""

    keeps_results = False

    def __init__(self, how: How) -> None:
        self.how, self.name = how, how.name
        self.crossing: Any = None

    def vjp(self, _ins: tuple[int, ...], _outs: tuple[int, ...], _around: Structure | None) -> Any:
        """Refused: nobody said what the derivative's derivative is."""
        raise self._once("vjp")

    def jvp(self, _ins: tuple[int, ...], _outs: tuple[int, ...]) -> Any:
        """Refused, likewise."""
        raise self._once("jvp")

    def _once(self, what: str) -> GradientError:
        return GradientError(
            f"{self.name}() is differentiated twice, and its vjp= and jvp= are derivatives of the first order. Write "
            f"it for a library that differentiates (jax), or take its {what} once."
        )

    def vmap(self, _dims: tuple[int | None, ...]) -> None:
        """By a loop: the function was written for one."""
        return


class UserFlat(Once):
    """A function of tensors in a row, to whatever it returns."""

    keeps_results = True

    def __init__(
        self, how: How, function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any], count: int
    ) -> None:
        super().__init__(how)
        self.function, self.given, self.named, self.count = function, given, named, count
        #: How many of the tensors are among the arguments by position, which derivatives are about.
        self.by_position = len(leaves_of(given))
        self._outputs: dict[tuple[Like, ...], tuple[list[Like], Structure]] = {}
        self._made: dict[Any, Once] = {}

    def arguments(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the function gets them."""
        rest = iter(arrays)
        return placed(self.how, self.given, self.named, lambda _: next(rest))

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
        """Call it on the tensors' own memory, readonly."""
        arrays = [entered(self.how, x) for x in tensors]
        given, named = self.arguments(arrays)
        result = self.function(*given, **named)
        leaves, structure = leaves_of(result), Structure(result, self.name)
        results = returned(self.how, leaves, arrays, tensors)
        self._compare([Like(tuple(x.shape), DTYPES[x.dtype]) for x in tensors] if self._outputs else [], results)
        return results, structure

    def _compare(self, like: list[Like], results: list[torch.Tensor]) -> None:
        """What a compiled graph was made for has to be what comes."""
        expected = self._outputs.get(tuple(like))
        found = [Like(tuple(x.shape), DTYPES[x.dtype]) for x in results]
        if expected is not None and expected[0] != found:
            msg = (
                f"{self.name}() returned {_shown(expected[0])} when it was compiled, and {_shown(found)} now, for "
                "arguments of the same shapes. What a compiled function returns may depend on the values of its "
                "arguments only in its own values: call it outside of torch.compile."
            )
            raise UnsupportedError(msg)

    def outputs(self, tensors: Sequence[Like]) -> tuple[list[Like], Structure | None]:
        """Call it with ones, once for each shape: no other way leads to what it returns."""
        # A size that isn't decided yet is decided here: another one traces again.
        tensors = [Like(tuple([int(size) for size in x.shape]), x.dtype) for x in tensors]
        key = tuple(tensors)
        if key not in self._outputs:
            arrays = [entered(self.how, np.ones(x.shape, BY_NAME[x.dtype].numpy)) for x in tensors]
            given, named = self.arguments(arrays)
            with np.errstate(all="ignore"):
                result = self.function(*given, **named)
            found = [Like(tuple(x.shape), _nearest(self.name, dtype_of(x).name)) for x in leaves_of(result)]
            self._outputs[key] = found, Structure(result, self.name)
        return self._outputs[key]

    def vjp(self, ins: tuple[int, ...], outs: tuple[int, ...], around: Structure | None) -> Once:
        """What the author passed."""
        if any(index >= self.by_position for index in ins):
            msg = (
                f"{self.name}() got a tensor that requires grad as a keyword argument, and vjp= is a function of the "
                "arguments by position. Pass the tensor by position."
            )
            raise GradientError(msg)
        key = ("vjp", ins, outs, around)
        return self._made.setdefault(key, _Pull(self, ins, outs, around))

    def jvp(self, ins: tuple[int, ...], outs: tuple[int, ...]) -> Once:
        """What the author passed, if anything."""
        if self.how.jvp is None:
            msg = (
                f"{self.name}() has no forward mode (jvp, jacfwd, hessian, forward_ad): it was decorated without jvp=. "
                "Pass it, a function of (args, tangents), or differentiate in reverse (vjp, jacrev)."
            )
            raise GradientError(msg)
        return self._made.setdefault(("jvp", ins, outs), _Push(self, ins, outs))


class _Pull(Once):
    """The author's vjp as a function of arguments, results and cotangents in a row."""

    def __init__(self, flat: UserFlat, ins: tuple[int, ...], outs: tuple[int, ...], around: Structure | None) -> None:
        super().__init__(flat.how)
        self.flat, self.ins, self.outs, self.around = flat, ins, outs, around

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
        """Call vjp=, and look at what it returns."""
        flat, around, vjp = self.flat, self.around, self.how.vjp
        if around is None or vjp is None:
            raise self._once("vjp")
        arrays = [entered(self.how, x) for x in tensors]
        inside, rest = arrays[: flat.count], arrays[flat.count :]
        results, given_back = rest[: around.count], dict(zip(self.outs, rest[around.count :], strict=True))
        cotangents = [given_back[i] if i in given_back else _zeros(x) for i, x in enumerate(results)]
        args, _ = flat.arguments(inside)
        found = vjp(args, around.build(results), around.build(cotangents))
        return self._looked_at(found, tensors), None

    def _looked_at(self, found: Any, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        count = self.flat.by_position
        row = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(row) != count:
            msg = (
                f"{self.name}(): vjp= returned {len(row)} cotangents for {count} tensors among the arguments. Return "
                "one for each, in their order; None where there is none."
            )
            raise UnsupportedError(msg)
        made = []
        for index in self.ins:
            x, each = tensors[index], row[index]
            made.append(torch.zeros_like(x) if each is None else _like(self.how, "vjp", each, x))
        return made

    def outputs(self, tensors: Sequence[Like]) -> tuple[list[Like], Structure | None]:
        """Cotangents are like their arguments."""
        return [tensors[index] for index in self.ins], None


class _Push(Once):
    """The author's jvp as a function of arguments, results and tangents in a row."""

    def __init__(self, flat: UserFlat, ins: tuple[int, ...], outs: tuple[int, ...]) -> None:
        super().__init__(flat.how)
        self.flat, self.ins, self.outs = flat, ins, outs

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
        """Call jvp=, and look at what it returns."""
        flat, jvp = self.flat, self.how.jvp
        if jvp is None:
            raise self._once("jvp")
        moving = len(tensors) - len(self.ins)
        results = tensors[flat.count : moving]
        arrays = [entered(self.how, x) for x in (*tensors[: flat.count], *tensors[moving:])]
        inside, given = arrays[: flat.count], dict(zip(self.ins, arrays[flat.count :], strict=True))
        args, _ = flat.arguments(inside)
        tangents = [given[i] if i in given else _zeros(x) for i, x in enumerate(inside[: flat.by_position])]
        found = leaves_of(jvp(args, tuple(tangents)))
        if len(found) != len(results):
            msg = (
                f"{self.name}(): jvp= returned {len(found)} tangents for {len(results)} results. Return what the "
                "function returns, with a tangent in the place of each tensor."
            )
            raise UnsupportedError(msg)
        return [_like(self.how, "jvp", found[index], results[index]) for index in self.outs], None

    def outputs(self, tensors: Sequence[Like]) -> tuple[list[Like], Structure | None]:
        """Tangents are like their results."""
        return [tensors[self.flat.count + index] for index in self.outs], None


def user_flat(
    how: How, function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any], count: int, *, kept: bool
) -> UserFlat:
    """Make one of a function with what is around its arguments."""
    del kept  # Nothing is traced.
    return UserFlat(how, function, given, named, count)


def entered(how: How, x: Any) -> Any:
    """A tensor as the library inside takes it: on its own memory, readonly where the library can say so."""
    room = how.target.limits(1)
    options: dict[str, Any] = {"writable": False} if room is None or room.readonly == "keeps" else {}
    try:
        return convert(x, how.framework, detach=True, **options)
    except DeviceError as err:
        msg = (
            f"{how.name}() got a tensor on {x.device}, where {how.framework} can't compute. Pass x.cpu(), through "
            "which torch carries the gradient too."
        )
        raise DeviceError(msg) from err


def returned(
    how: How, leaves: Sequence[Any], arrays: Sequence[Any], tensors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Results as tensors on memory that no argument is on, and no other result."""
    made: list[torch.Tensor] = []
    device = tensors[0].device if tensors else torch.device("cpu")
    for each in leaves:
        x = np.asarray(each) if isinstance(each, np.generic) else each
        apart = any(_meet(x, other) for other in (*arrays, *leaves[: len(made)]))
        try:
            made.append(_to_torch(x, dtype="nearest", device=device, copy=True if apart else None))
        except InteropError as err:
            raise type(err)(f"{how.name}(), its result: {err}") from err
    return made


@cache
def _nearest(name: str, dtype: str) -> str:
    found = nearest(dtype, frozenset(BY_OUR_NAME))
    if found is None:
        raise DTypeError(f"{name}() returns {dtype}, and torch has nothing like it. Cast it inside of the function.")
    return found


def _meet(x: Any, other: Any) -> bool:
    try:
        return shares_memory(x, other)
    except InteropError:  # what has no memory that can be asked about
        return True


def _zeros(x: Any) -> Any:
    """Zeros like an array of the library inside."""
    return x * 0 if not isinstance(x, np.ndarray) else np.zeros(x.shape, x.dtype)


def _like(how: How, which: str, found: Any, x: torch.Tensor) -> torch.Tensor:
    """What an author's derivative returned, as a tensor like the one that it is about."""
    array = np.asarray(found) if isinstance(found, (np.generic, float, int, complex)) else found
    shape = tuple(array.shape) if hasattr(array, "shape") else None
    if shape != tuple(x.shape):
        what = f"an array of the shape {shape}" if shape is not None else f"{type(found).__name__}"
        msg = (
            f"{how.name}(): {which}= returned {what} for a tensor of the shape {tuple(x.shape)}. Return an array of "
            "the tensor's own shape."
        )
        raise UnsupportedError(msg)
    made: torch.Tensor = _to_torch(array, dtype=DTYPES[x.dtype], device=x.device, copy=True)
    return made


def _shown(like: Sequence[Like]) -> str:
    return ", ".join(f"{x.dtype}{list(x.shape)}" for x in like) or "nothing"
