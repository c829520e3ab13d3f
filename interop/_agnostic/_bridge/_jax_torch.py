"""Functions of torch inside jax: derivatives of every order and in both modes, and batches, made by torch itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch

from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._agnostic._bridge._jax_foresight import Foreseen, foresee
from interop._agnostic._bridge._jax_function import batched_likes, chosen, ending_likes, unbatched_likes
from interop._convert import convert
from interop.errors import GradientError, ReadOnlyError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._bridge._jax_function import Chosen, Dims, Like
    from interop._agnostic._bridge._jax_rows import Rowed
    from interop._agnostic._bridge._structure import Structure

#: What the functions of other libraries are called by inside of torch.
_BRIDGE: Final = "interop.bridge.default"

Tensors = tuple[torch.Tensor, ...]
Row = tuple[list[torch.Tensor], "Structure | None"]


class TorchFunction:
    """A function of tensors in a row, that a person wrote or that torch derived from one.

    Parameters
    ----------
    name
        The function's that a person wrote.
    function
        What torch derives others from: a function of tensors to a tuple of tensors.
    plan
        What a call would give and do.
    count, linear
        The number of arguments, and of those at the end that it is linear in.
    forward
        Whether torch's forward mode is in it.
    """

    inner = "torch"
    keeps_results = False

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensors],
        plan: Callable[[tuple[Like, ...]], Foreseen],
        *,
        count: int,
        linear: int = 0,
        forward: bool = False,
    ) -> None:
        self.name, self.function, self.count, self.linear, self.forward = name, function, count, linear, forward
        self._plan = plan
        #: The linear function's transpose, of those of its arguments and of its results.
        self.transpose: Callable[[Chosen, Chosen], TorchFunction] | None = None
        self._foreseen: dict[tuple[Like, ...], Foreseen] = {}
        self._checked: dict[tuple[Like, ...], Foreseen] = {}
        self._made: dict[Any, TorchFunction] = {}

    def call(self, tensors: Sequence[torch.Tensor]) -> Row:
        """The results, and what is around them."""
        return list(self.function(*tensors)), None

    def run(self, tensors: Sequence[torch.Tensor]) -> Row:
        """Call it where no graph is recorded; a write into an argument is found out, though it has happened."""
        before = [x._version for x in tensors]  # noqa: SLF001 - as torch itself asks
        with torch.no_grad():
            results, around = self.call(tensors)
        if [x._version for x in tensors] != before:  # noqa: SLF001 - likewise
            msg = (
                f"{self.name}() wrote into an argument, and arrays of jax never change. Clone it there: x = x.clone()."
            )
            raise ReadOnlyError(msg)
        return results, around

    def likes_of(self, tensors: Sequence[torch.Tensor]) -> tuple[tuple[Any, str], ...]:
        """The shapes and types of tensors."""
        return tuple([(x.shape, DTYPES[x.dtype]) for x in tensors])

    def foresee(self, likes: tuple[Like, ...]) -> Foreseen:
        """What a call would give and do, found out once for each kind of arguments and each state of its modules."""
        found = self._foreseen.get(likes)
        if found is None or found.is_stale:
            found = self._foreseen[likes] = self._plan(likes)
        return found

    def plan(self, likes: tuple[Like, ...]) -> tuple[Like, ...]:
        """What the results are like."""
        return self.foresee(likes).outs

    def check(self, likes: tuple[Like, ...], *, compiled: bool = False) -> None:
        """Refuse what can't be called, or derived, by name, and before it is compiled."""
        foreseen = self.foresee(likes)
        if not compiled and self._checked.get(likes) is foreseen:
            return
        if compiled and _BRIDGE in foreseen.foreign:
            msg = (
                f"{self.name}() calls a function that was decorated with grad='bridge' itself, and is called from a "
                "compiled function of jax: where that calls jax again, jax waits for itself. Call it outside of "
                "jax.jit, or call the two functions from jax one after the other."
            )
            raise UnsupportedError(msg)
        if self.forward and foreseen.foreign:
            msg = (
                f"{self.name}() calls {', '.join(sorted(foreseen.foreign))}, and torch's forward mode gives zeros for "
                "the tangents of custom operators. Use reverse mode: jax.vjp, jax.grad, jax.jacrev."
            )
            raise GradientError(msg)
        if self.linear or self._made_of_another:
            foresee(self.name, self.call, likes)
        self._checked[likes] = foreseen

    def check_again(self, likes: tuple[Like, ...]) -> None:
        """Refuse a call that does something else than what was compiled: jax would never know."""
        found = self._foreseen.get(likes)
        if found is not None and found.is_stale:
            msg = (
                f"{self.name}() calls modules that were switched between training and evaluation after jax had "
                "compiled it. Switch them before, or clear what jax has compiled: jitted.clear_cache()."
            )
            raise UnsupportedError(msg)

    def check_around(self, likes: tuple[Like, ...], around: Structure) -> None:
        """Tensors without values led to what is around the results: it can't be another."""

    _made_of_another = False

    def jvp(self, ins: Chosen, outs: Chosen, kept: int = 0) -> TorchFunction:  # noqa: ARG002 - torch computes results again
        """Made by torch.func.jvp."""

        def make() -> TorchFunction:
            def pushed(*tensors: torch.Tensor) -> Tensors:
                primals, given = tensors[: self.count], dict(zip(ins, tensors[self.count :], strict=True))
                # All move: torch's own zeros, for those that don't, end some derivatives (they "are immutable").
                moving = tuple([i for i, x in enumerate(primals) if x.is_floating_point() or x.is_complex()])
                tangents = tuple([given[i] if i in given else torch.zeros_like(primals[i]) for i in moving])
                made: Tensors = torch.func.jvp(self._of(moving, outs, primals), chosen(primals, moving), tangents)[1]
                return made

            def plan(likes: tuple[Like, ...]) -> Foreseen:
                foreseen = self._foresee_derived(likes)
                return replace(foreseen, outs=tuple([foreseen.outs[i] for i in outs]))

            made = TorchFunction(self.name, pushed, plan, count=self.count + len(ins), linear=len(ins), forward=True)
            made.transpose = lambda a, b: self.vjp(chosen(ins, a), chosen(outs, b))
            return made

        return self._derived(("jvp", ins, outs), make)

    def vjp(self, ins: Chosen, outs: Chosen) -> TorchFunction:
        """Made by torch.func.vjp, and by torch's autograd where nothing is derived from it again."""

        def make() -> TorchFunction:
            def pulled(*tensors: torch.Tensor) -> Tensors:
                primals, cotangents = tensors[: self.count], tensors[self.count :]
                pull = torch.func.vjp(self._of(ins, outs, primals), *[primals[i] for i in ins])[1]
                return _conjugate(pull(_conjugate(cotangents)))

            def plan(likes: tuple[Like, ...]) -> Foreseen:
                return replace(self._foresee_derived(likes), outs=tuple([likes[i] for i in ins]))

            made = _Reverse(
                self.name, pulled, plan, count=self.count + len(outs), linear=len(outs), forward=self.forward
            )
            made.of, made.ins, made.outs = self, ins, outs
            made.transpose = lambda a, b: self.jvp(chosen(ins, b), chosen(outs, a))
            return made

        return self._derived(("vjp", ins, outs), make)

    def transposed(self, ins: Chosen, outs: Chosen) -> TorchFunction:
        """What each linear function was made with."""
        assert self.transpose is not None
        return self.transpose(ins, outs)

    def vmap(self, dims: Dims, size: int) -> TorchFunction:
        """Made by torch.func.vmap."""
        return self.mapped(dims, size, None)

    def mapped(self, dims: Dims, size: int, ends: Dims | None) -> TorchFunction:
        """Over batches along `dims`; results along their first axis, or moved to `ends`, and summed where that is None.

        A batch that an argument isn't part of is summed over in that argument's cotangent.
        """
        return self._derived(("vmap", dims, size, ends), lambda: _Batched(self, dims, size, ends))

    def _foresee_derived(self, likes: tuple[Like, ...]) -> Foreseen:
        foreseen = self.foresee(likes[: self.count])
        if foreseen.random:
            msg = (
                f"{self.name}() draws random numbers, as dropout does: called again for the gradient, it would draw "
                "others. Pass them as an argument, made by jax.random, or call model.eval()."
            )
            raise GradientError(msg)
        return foreseen

    def _of(self, ins: Chosen, outs: Chosen, primals: Sequence[torch.Tensor]) -> Callable[..., Tensors]:
        """The function of the arguments that take part alone, to the results that do."""

        def function(*moving: torch.Tensor) -> Tensors:
            given = list(primals)
            for index, each in zip(ins, moving, strict=True):
                given[index] = each
            results = self.function(*given)
            return tuple([results[index] for index in outs])

        return function

    def _derived(self, key: Any, make: Callable[[], TorchFunction]) -> TorchFunction:
        found = self._made.get(key)
        return found if found is not None else self._made.setdefault(key, make())


class _Batched(TorchFunction):
    _made_of_another = True

    def __init__(self, one: TorchFunction, dims: Dims, size: int, ends: Dims | None) -> None:
        over: Callable[..., Tensors] = torch.func.vmap(one.function, in_dims=dims)
        first = one.count - one.linear

        def batched(*tensors: torch.Tensor) -> Tensors:
            results = over(*tensors)
            if ends is None:
                return results
            ended = zip(results, ends, strict=True)
            return tuple([x.sum(0) if end is None else x.movedim(0, end) for x, end in ended])

        def plan(likes: tuple[Like, ...]) -> Foreseen:
            foreseen = one.foresee(unbatched_likes(likes, dims))
            if foreseen.random:
                msg = (
                    f"{one.name}() draws random numbers, and is batched by jax.vmap: whether all of a batch should get "
                    "the same ones, nobody said. Pass them as an argument, made by jax.random."
                )
                raise UnsupportedError(msg)
            return replace(foreseen, outs=ending_likes(batched_likes(foreseen.outs, size), ends))

        def transpose(ins: Chosen, outs: Chosen) -> TorchFunction:
            if ends is None:
                along = (*dims[:first], *[0] * len(outs))
                return one.transposed(ins, outs).mapped(along, size, chosen(dims[first:], ins))
            return one.transposed(ins, outs).mapped((*dims[:first], *chosen(ends, outs)), size, None)

        super().__init__(one.name, batched, plan, count=one.count, linear=one.linear, forward=one.forward)
        self.transpose = transpose
        self._one, self._dims, self._size, self._ends = one, dims, size, ends

    def jvp(self, ins: Chosen, outs: Chosen, kept: int = 0) -> TorchFunction:  # noqa: ARG002 - as its base
        """A batch of tangents: torch goes through batches of derivatives better than the other way round."""

        def make() -> TorchFunction:
            dims = (*self._dims, *chosen(self._dims, ins))
            ends = None if self._ends is None else chosen(self._ends, outs)
            made = _Batched(self._one.jvp(ins, outs), dims, self._size, ends)
            # And gradients of a batch better than batches of gradients, one for each element.
            made.transpose = lambda a, b: self.vjp(chosen(ins, a), chosen(outs, b))
            return made

        return self._derived(("jvp", ins, outs), make)


class _Reverse(TorchFunction):
    """Cotangents by torch's own autograd, which also knows functions, and modules, that torch.func can't go through."""

    of: TorchFunction
    ins: Chosen
    outs: Chosen

    def call(self, tensors: Sequence[torch.Tensor]) -> Row:
        given, cotangents = list(tensors[: self.of.count]), _conjugate(tensors[self.of.count :])
        with torch.enable_grad():
            for index in self.ins:
                given[index] = given[index].detach().requires_grad_()
            results = self.of.function(*given)
            pairs = [(results[i], each) for i, each in zip(self.outs, cotangents, strict=True)]
            depending = [(result, each) for result, each in pairs if result.requires_grad]
            leaves = [given[i] for i in self.ins]
            found: Sequence[Any] = [None] * len(leaves)
            if depending:
                found = torch.autograd.grad(
                    [result for result, _ in depending], leaves, [each for _, each in depending], allow_unused=True
                )
        pulled = [torch.zeros_like(x) if each is None else each for x, each in zip(leaves, found, strict=True)]
        return list(_conjugate([x.detach() for x in pulled])), None


def _conjugate(tensors: Sequence[torch.Tensor]) -> Tensors:
    """torch's gradients of complex tensors are the conjugates of jax's."""
    return tuple([x.conj() if x.is_complex() else x for x in tensors])


class _Written(TorchFunction):
    """The function of a person."""

    def __init__(self, rowed: Rowed, count: int) -> None:
        name = rowed.how.name

        def plan(likes: tuple[Like, ...]) -> Foreseen:
            return foresee(name, self.call, likes)

        super().__init__(name, lambda *tensors: tuple(self.call(tensors)[0]), plan, count=count)
        self._rowed = rowed
        #: The element types that jax has for those of results.
        self._types: dict[torch.dtype, torch.dtype] = {}

    def call(self, tensors: Sequence[torch.Tensor]) -> Row:
        row, around = self._rowed.call(tensors)
        return [self._going_back(x) for x in row], around

    def _going_back(self, x: Any) -> torch.Tensor:
        if not isinstance(x, torch.Tensor):
            x = convert(x, "torch", copy=True)
        if x.layout is not torch.strided:
            msg = f"{self.name}() returned a tensor that is {x.layout}, which jax has no equal of. Return x.to_dense()."
            raise UnsupportedError(msg)
        wanted = self._types.get(x.dtype)
        if wanted is None:
            wanted = self._types[x.dtype] = BY_OUR_NAME[self._rowed.type_back(DTYPES[x.dtype])]
        made: torch.Tensor = x if wanted is x.dtype else x.to(wanted)
        return made

    def around(self, likes: tuple[Like, ...]) -> Structure:
        """What is around its results."""
        around = self.foresee(likes).around
        assert around is not None
        return around


def torch_function(rowed: Rowed, count: int) -> _Written:
    """A function of torch with what is around the arrays of a call."""
    return _Written(rowed, count)
