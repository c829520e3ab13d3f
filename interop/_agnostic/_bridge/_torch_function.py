"""torch's own derivatives of a function in a row: an autograd.Function whose rules are such functions again.

So every order and every mode works: reverse, forward, and vmap, of each other too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from interop._agnostic._bridge._torch_op import call, conjugated, is_plain, is_smooth, refuse_old_vmap

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._agnostic._bridge._structure import Structure
    from interop._agnostic._bridge._torch_flat import Flat

class Around:
    """Carries what is around the results out of torch's machinery, which lets nothing but tensors through."""

    __slots__ = ("structure",)

    def __init__(self) -> None:
        self.structure: Structure | None = None


def differentiable(flat: Flat) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The function of an :class:`Around` and tensors that torch differentiates."""
    if flat.crossing is None:
        flat.crossing = _function_of(flat)
    return flat.crossing


def _function_of(flat: Flat) -> Callable[..., tuple[torch.Tensor, ...]]:
    class Crossing(torch.autograd.Function):
        @staticmethod
        def forward(around: Around, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            refuse_old_vmap(flat, tensors)
            results, around.structure = flat.run(tensors) if is_plain(tensors) else call(flat, tensors)
            return tuple(results)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
            ctx.around, *tensors = inputs
            kept = (*tensors, *output) if flat.keeps_results else tensors
            # torch finds out when one of them is written before it is needed.
            ctx.save_for_backward(*kept)
            ctx.save_for_forward(*kept)
            ctx.count, ctx.results = len(tensors), len(output)
            ctx.outs = tuple([index for index, x in enumerate(output) if is_smooth(x)])
            ctx.mark_non_differentiable(*[x for x in output if not is_smooth(x)])

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
            kept = ctx.saved_tensors
            needed = ctx.needs_input_grad[1:]
            ins = tuple([index for index, x in enumerate(kept[: ctx.count]) if needed[index] and is_smooth(x)])
            if not ins:
                return (None,) * (ctx.count + 1)
            pull = differentiable(flat.vjp(ins, ctx.outs, ctx.around.structure))
            found = pull(Around(), *kept, *[conjugated(gradients[index]) for index in ctx.outs])
            by_index = dict(zip(ins, found, strict=True))
            return (None, *[conjugated(by_index[i]) if i in by_index else None for i in range(ctx.count)])

        @staticmethod
        def jvp(ctx: Any, _around: Any, *tangents: torch.Tensor | None) -> tuple[Any, ...]:
            kept = ctx.saved_tensors
            ins = tuple([i for i, x in enumerate(kept[: ctx.count]) if tangents[i] is not None and is_smooth(x)])
            push = differentiable(flat.jvp(ins, ctx.outs))
            found = dict(zip(ctx.outs, push(Around(), *kept, *[tangents[i] for i in ins]), strict=True))
            return tuple([found.get(index) for index in range(ctx.results)])

        @staticmethod
        def vmap(
            info: Any, dims: tuple[int | None, ...], around: Around, *tensors: torch.Tensor
        ) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
            batched = flat.vmap(dims[1:])
            if batched is not None:
                found = differentiable(batched)(around, *tensors)
                return found, (0,) * len(found)
            rows = [
                differentiable(flat)(around, *[_row(x, dim, i) for x, dim in zip(tensors, dims[1:], strict=True)])
                for i in range(info.batch_size)
            ]
            found = tuple([torch.stack(column) for column in zip(*rows, strict=True)])
            return found, (0,) * len(found)

    Crossing.__name__ = Crossing.__qualname__ = flat.name
    apply: Any = Crossing.apply
    return lambda around, *tensors: apply(around, *tensors)


def _row(x: torch.Tensor, dim: int | None, index: int) -> torch.Tensor:
    return x if dim is None else x.select(dim, index)
