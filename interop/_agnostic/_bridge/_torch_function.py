"""torch's own derivatives of a function in a row: an autograd.Function whose rules are such functions again.

So every order and every mode works: reverse, forward, and vmap, of each other too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch.autograd import forward_ad

from interop._agnostic._bridge._torch_op import call, conjugated, hidden, is_plain, is_smooth, refuse_old_vmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interop._agnostic._bridge._structure import Structure
    from interop._agnostic._bridge._torch_flat import Flat

# Nothing public tells what is on: neither of the transforms, nor of forward mode.
_functorch: Final[Any] = vars(vars(torch)["_C"])["_functorch"]
_forward: Final[Any] = forward_ad
_level: Final = _functorch.maybe_current_level
_top: Final = _functorch.peek_interpreter_stack
_FUNCTIONALIZE: Final = _functorch.TransformType.Functionalize


class Around:
    """Carries what is around the results out of torch's machinery, which lets nothing but tensors through."""

    __slots__ = ("structure",)

    def __init__(self) -> None:
        self.structure: Structure | None = None


def carried(flat: Flat, tensors: Sequence[torch.Tensor]) -> tuple[Sequence[torch.Tensor], Structure | None]:
    """The function's results by whichever way carries what torch records; and what is around them."""
    found: tuple[Sequence[torch.Tensor], Structure | None] = hidden(_carried)(flat, tensors)
    return found


def _carried(flat: Flat, tensors: Sequence[torch.Tensor]) -> tuple[Sequence[torch.Tensor], Structure | None]:
    if not is_watched(tensors):
        return flat.run(tensors)
    transformed = _level() is not None
    if transformed and _top().key() == _FUNCTIONALIZE:
        # It has no rule for an autograd.Function.
        return call(flat, tensors)
    around, found = Around(), flat.crossing
    if found is None:
        found = flat.crossing = crossing(flat)
    return found[transformed].apply(around, *tensors), around.structure


def is_watched(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether anything records, transforms or replaces what is done with tensors."""
    return _level() is not None or is_recorded(tensors) or not is_plain(tensors)


def is_recorded(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether reverse or forward mode takes note of what is done with tensors."""
    if _forward._current_level >= 0:  # noqa: SLF001 - nothing public tells
        return True
    # A loop: a generator takes longer than all else here.
    for x in tensors:
        if x.requires_grad:
            return torch.is_grad_enabled()
    return False


def crossing(flat: Flat) -> tuple[Any, Any]:
    """The two that torch differentiates: by itself, and under the transforms of torch.func.

    torch binds the arguments of the latter anew at each call, which takes longer than all else that it does.
    """

    def computed(around: Around, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        results, around.structure = flat.run(tensors) if is_plain(tensors) else call(flat, tensors)
        return tuple(results)

    def keep(ctx: Any, around: Around, tensors: tuple[torch.Tensor, ...], results: tuple[torch.Tensor, ...]) -> None:
        kept = (*tensors, *results) if flat.keeps_results else tensors
        # torch finds out when one of them is written before it is needed.
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)
        ctx.around, ctx.count, ctx.results = around, len(tensors), len(results)
        ctx.outs = tuple([index for index, x in enumerate(results) if is_smooth(x)])
        if len(ctx.outs) != len(results):
            ctx.mark_non_differentiable(*[x for x in results if not is_smooth(x)])

    def pulled(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        refuse_old_vmap(flat, gradients)
        kept: tuple[torch.Tensor, ...] = ctx.saved_tensors
        count: int = ctx.count
        needed = ctx.needs_input_grad[1:]
        ins = tuple([index for index, x in enumerate(kept[:count]) if needed[index] and is_smooth(x)])
        if not ins:
            return (None,) * (count + 1)
        pull = flat.vjp(ins, ctx.outs, ctx.around.structure)
        found, _ = carried(pull, [*kept, *[conjugated(gradients[index]) for index in ctx.outs]])
        by_index = dict(zip(ins, found, strict=True))
        return (None, *[conjugated(by_index[i]) if i in by_index else None for i in range(count)])

    def pushed(ctx: Any, _around: Any, *tangents: torch.Tensor | None) -> tuple[Any, ...]:
        kept: tuple[torch.Tensor, ...] = ctx.saved_tensors
        moving = {i: x for i, x in enumerate(tangents) if x is not None and is_smooth(kept[i])}
        found, _ = carried(flat.jvp(tuple(moving), ctx.outs), [*kept, *moving.values()])
        by_index = dict(zip(ctx.outs, found, strict=True))
        return tuple([by_index.get(index) for index in range(ctx.results)])

    class Crossing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, around: Around, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            results = computed(around, tensors)
            keep(ctx, around, tensors, results)
            return results

        backward, jvp = staticmethod(pulled), staticmethod(pushed)

    class Transformed(torch.autograd.Function):
        @staticmethod
        def forward(around: Around, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return computed(around, tensors)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
            keep(ctx, inputs[0], inputs[1:], output)

        backward, jvp = staticmethod(pulled), staticmethod(pushed)

        @staticmethod
        def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
            dims, (around, *tensors) = in_dims, args
            batched = flat.vmap(dims[1:])
            found, around.structure = (
                _looped(flat, info.batch_size, dims[1:], tensors) if batched is None else carried(batched, tensors)
            )
            return tuple(found), (0,) * len(found)

    return Crossing, Transformed


def _looped(
    flat: Flat, size: int, dims: Sequence[int | None], tensors: Sequence[torch.Tensor]
) -> tuple[Sequence[torch.Tensor], Structure | None]:
    """One after another, for what was written for one; torch differentiates what goes on around."""
    rows, structure = [], None
    for index in range(size):
        row, structure = carried(
            flat, [x if dim is None else x.select(dim, index) for x, dim in zip(tensors, dims, strict=True)]
        )
        rows.append(row)
    return [torch.stack(column) for column in zip(*rows, strict=True)], structure
