"""Functions of jax inside torch: traced by jax once for each shape, with derivatives of every order that jax makes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import torch

from interop import _to
from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._agnostic._bridge._structure import Structure, leaves_of, placed
from interop._agnostic._bridge._torch_flat import Like
from interop._agnostic._bridge._torch_sizes import decided, is_open, outputs_of_all_sizes
from interop._dtypes import BY_NAME
from interop._plan.nearest import nearest
from interop.errors import DeviceError, DTypeError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._how import How

_config: Any = jax.config
_to_numpy: Any = _to.to_numpy
_to_torch: Any = _to.to_torch
_to_jax: Any = _to.to_jax

#: What jax would narrow without a word where jax_enable_x64 is off.
_WIDE: Final = frozenset({torch.float64, torch.int64, torch.complex128, torch.uint64})

_HELD: Final = frozenset(BY_OUR_NAME)


class Arrays:
    """What a jitted function returns: arrays in a row, and what was around them when jax traced it."""

    __slots__ = ("around", "row")

    def __init__(self, row: Sequence[Any], around: Structure | None = None) -> None:
        self.row, self.around = row, around


# jax itself then gives each result what was around it in its own trace.
jax.tree_util.register_pytree_node(Arrays, lambda x: (x.row, x.around), lambda around, row: Arrays(row, around))


class JaxFlat:
    """A function of `count` arrays, to :class:`Arrays`."""

    keeps_results = False

    def __init__(self, name: str, function: Callable[..., Arrays], count: int, *, jitted: bool = True) -> None:
        self.name, self.function, self.count = name, function, count
        self.crossing: Any = None
        self._jitted = jitted
        self._call: Any = jax.jit(function) if jitted else function
        self._made: dict[Any, JaxFlat] = {}

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
        """Call it. Host memory is aliased and read late, so it returns when the results are there."""
        if not _config.jax_enable_x64:
            for x in tensors:
                if x.dtype in _WIDE:
                    self._refuse_narrowing(x.dtype)
        if not (self._jitted and tensors[0].is_cpu and _host_is_default()):
            return self._run_on_device(tensors)
        # An ndarray is taken by C, and aliased where it lies on a multiple of 64; no result aliases one.
        results = self._call(*[_to_numpy(x, detach=True) if x.requires_grad else _to_numpy(x) for x in tensors])
        # Memory that nobody else has.
        return [_to_torch(np.asarray(x), writable=False, dtype="nearest") for x in results.row], results.around

    def _run_on_device(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
        """By arrays, in stream order: what isn't jitted, or isn't on the host."""
        arrays = [self._sent(x) for x in tensors]
        results = self._call(*arrays)
        # jax returns an argument, and what isn't jitted a constant too, as the same array.
        made, seen = [], set(map(id, arrays))
        for each in results.row:
            apart = True if id(each) in seen or not self._jitted else None
            made.append(_to_torch(each, dtype="nearest", copy=apart, writable=None if apart else False))
            seen.add(id(each))
        return made, results.around

    def _sent(self, x: torch.Tensor) -> Any:
        """The tensor as an array of jax on the same device."""
        try:
            return _to_jax(x, detach=True, copy=None if x.is_cpu else False)
        except DeviceError as err:
            msg = (
                f"{self.name}() got a tensor on {x.device}, where this jax can't compute. Pass x.cpu(), through which "
                "torch carries the gradient too, or install jax for that device."
            )
            raise DeviceError(msg) from err

    def _refuse_narrowing(self, dtype: torch.dtype) -> None:
        name = DTYPES[dtype]
        msg = (
            f"{self.name}() got a {name} tensor, which jax would narrow: jax_enable_x64 is off. Switch it on with "
            f"jax.config.update('jax_enable_x64', True), or pass x.to(torch.{nearest(name, _HELD - _WIDE_NAMES)})."
        )
        raise DTypeError(msg)

    def outputs(self, tensors: Sequence[Like]) -> tuple[list[Like], Structure | None]:
        """Let jax trace it, and nothing more."""
        for x in tensors:
            if not _config.jax_enable_x64 and BY_OUR_NAME[x.dtype] in _WIDE:
                self._refuse_narrowing(BY_OUR_NAME[x.dtype])
        if is_open(tensors):
            found = outputs_of_all_sizes(self.function, tensors)
            if found is not None:
                results, shapes = found
                row = [Like(shape, _nearest(x.dtype.name)) for x, shape in zip(results.row, shapes, strict=True)]
                return row, results.around
        like = [jax.ShapeDtypeStruct(x.shape, BY_NAME[x.dtype].numpy) for x in decided(tensors)]
        results = jax.eval_shape(self._call, *like)
        return [Like(x.shape, _nearest(x.dtype.name)) for x in results.row], results.around

    def vjp(self, ins: tuple[int, ...], outs: tuple[int, ...], _around: Structure | None) -> JaxFlat:
        """Made by jax.vjp, once."""

        def function(*arrays: Any) -> Arrays:
            given, cotangents = arrays[: self.count], arrays[self.count :]
            _, pull = jax.vjp(self._of(ins, outs, given, cotangents), *[given[i] for i in ins])
            return Arrays(pull(tuple(cotangents)))

        return self._derived(("vjp", ins, outs), function, self.count + len(outs))

    def jvp(self, ins: tuple[int, ...], outs: tuple[int, ...]) -> JaxFlat:
        """Made by jax.jvp, once."""

        def function(*arrays: Any) -> Arrays:
            given, tangents = arrays[: self.count], arrays[self.count :]
            _, pushed = jax.jvp(self._of(ins, outs, given, None), tuple([given[i] for i in ins]), tuple(tangents))
            return Arrays(pushed)

        return self._derived(("jvp", ins, outs), function, self.count + len(ins))

    def vmap(self, dims: tuple[int | None, ...]) -> JaxFlat:
        """Made by jax.vmap, once."""
        return self._derived(("vmap", dims), jax.vmap(self.function, in_axes=dims), self.count)

    def _derived(self, key: Any, function: Callable[..., Arrays], count: int) -> JaxFlat:
        found = self._made.get(key)
        if found is None:
            found = self._made.setdefault(key, JaxFlat(self.name, function, count, jitted=self._jitted))
        return found

    def _of(
        self, ins: tuple[int, ...], outs: tuple[int, ...], given: Sequence[Any], like: Sequence[Any] | None
    ) -> Callable[..., tuple[Any, ...]]:
        """The function of the arguments that take part alone, to the results that do."""

        def function(*moving: Any) -> tuple[Any, ...]:
            arrays = list(given)
            for index, each in zip(ins, moving, strict=True):
                arrays[index] = each
            row = self.function(*arrays).row
            found = tuple([row[index] for index in outs if index < len(row)])
            if like is not None and [x.shape for x in found] != [x.shape for x in like]:
                msg = (
                    f"{self.name}() returned arrays of the shapes {[x.shape for x in like]}, and, called again for the "
                    f"gradient with the same arguments, {[x.shape for x in found]}. Have its result depend on its "
                    "arguments alone."
                )
                raise UnsupportedError(msg)
            return found

        return function


_WIDE_NAMES: Final = frozenset(DTYPES[each] for each in _WIDE)


def jax_flat(
    how: How, function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any], count: int, *, kept: bool
) -> JaxFlat:
    """Make one of a function of jax with what is around its arguments; jitted where it is kept for other calls."""
    name = how.name

    def flat(*arrays: Any) -> Arrays:
        rest = iter(arrays)
        inside, options = placed(how, given, named, lambda _: next(rest))
        result = function(*inside, **options)
        return Arrays([jnp.asarray(x) for x in leaves_of(result)], Structure(result, name))

    return JaxFlat(name, flat, count, jitted=kept)


def _host_is_default() -> bool:
    """Whether jax computes on the host with what nobody put anywhere."""
    chosen = _config.jax_default_device
    return _backend() == "cpu" if chosen is None else "cpu" in str(chosen).lower()


@cache
def _backend() -> str:
    return str(jax.default_backend())


@cache
def _nearest(dtype: str) -> str:
    found = nearest(dtype, _HELD)
    if found is None:
        raise DTypeError(f"torch has nothing like jax's {dtype}. Cast it inside of the function.")
    return found
