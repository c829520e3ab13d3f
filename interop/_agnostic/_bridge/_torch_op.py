"""One operator of torch for all functions, which names the function: what compilers, exports and fake modes see.

Its rules call it again with another name, so it has derivatives of every order without an operator for each.
"""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.autograd import forward_ad

from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._agnostic._bridge._torch_flat import Like
from interop.errors import GradientError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._bridge._structure import Structure
    from interop._agnostic._bridge._torch_flat import Flat

_C: Final[Any] = vars(torch)["_C"]
_forward: Final[Any] = forward_ad

_PLAIN: Final = frozenset({torch.Tensor, torch.nn.Parameter})

#: Graphs name functions by text that no other process has: one that is kept on disk must not find another function.
_PROCESS: Final = secrets.token_hex(8)
_count: Final = itertools.count()
_by_key: Final[dict[str, Flat]] = {}
_keys: Final[dict[Flat, str]] = {}
#: What was around the results the last time, by name.
_around: Final[dict[str, Structure | None]] = {}


#: What looks at each frame of Python that is about to run, while a compiled function runs; else None.
#: Nothing public tells, and torch before 2.6 nothing at all.
_callback: Final[Any] = getattr(_C._dynamo.eval_frame, "get_eval_frame_callback", lambda: None)  # noqa: SLF001


def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without Dynamo, which would look into what it has ended a graph for."""
    return function if _callback() is None else torch.compiler.disable(function)


def is_plain(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether tensors have values here and now: none is fake, and no mode looks on."""
    # Nothing public tells whether a mode is on.
    return not _C._len_torch_dispatch_stack() and _PLAIN.issuperset(map(type, tensors))  # noqa: SLF001


def refuse_old_vmap(flat: Flat, tensors: Sequence[torch.Tensor]) -> None:
    """Refuse tensors of the vmap that was before torch.func: it knows no rules but torch's own."""
    if any(_C._functorch.is_legacy_batchedtensor(x) for x in tensors):  # noqa: SLF001 - nothing public tells
        msg = (
            f"{flat.name}() is differentiated by is_grads_batched=True or vectorize=True, which torch can't carry "
            "through functions of others. Use torch.func.jacrev, or torch.func.vmap over torch.func.vjp."
        )
        raise GradientError(msg)


def is_smooth(x: torch.Tensor) -> bool:
    """Whether a tensor can have a gradient at all."""
    return x.is_floating_point() or x.is_complex()


def conjugated(x: torch.Tensor) -> torch.Tensor:
    """A gradient of torch as a cotangent, and back: torch conjugates them, and jax doesn't."""
    return x.conj() if x.is_complex() else x


def key_of(flat: Flat) -> str:
    """The name of a function in graphs, which keep it for as long as the process lives."""
    key = _keys.get(flat)
    if key is None:
        key = f"{flat.name}:{_PROCESS}:{next(_count)}"
        _by_key[key] = flat
        _keys[flat] = key
    return key


def call(flat: Flat, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Structure | None]:
    """Call a function by the operator."""
    key = key_of(flat)
    return operator(key, list(tensors)), around(key)


def around(key: str) -> Structure | None:
    """What was around the results of a function when it was last called, or looked at, by the operator."""
    return _around.get(key)


def _flat_of(key: str) -> Flat:
    flat = _by_key.get(key)
    if flat is None:
        msg = (
            f"a graph calls {key.partition(':')[0]}(), which was decorated with grad='bridge' in another process. "
            "Trace or export it again in this one: a function doesn't travel with a graph."
        )
        raise UnsupportedError(msg)
    return flat


def _refuse_forward_mode(flat: Flat) -> None:
    # torch takes a tangent for zero where an operator has no rule for it, and an operator can't have one.
    if _forward._current_level >= 0:  # noqa: SLF001 - nothing public tells
        msg = (
            f"{flat.name}(), compiled or traced, has no forward mode (jvp, jacfwd, hessian, linearize): torch would "
            "give zeros. Call it outside of torch.compile and make_fx, or differentiate in reverse (vjp, jacrev)."
        )
        raise GradientError(msg)


@torch.library.custom_op("interop::bridge", mutates_args=(), schema="(str key, Tensor[] tensors) -> Tensor[]")
def operator(key: str, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Call the function with this name."""
    flat = _flat_of(key)
    _refuse_forward_mode(flat)
    results, _around[key] = flat.run(tensors)
    return results


@operator.register_fake
def _(key: str, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    flat = _flat_of(key)
    _refuse_forward_mode(flat)
    like = [Like(tuple(x.shape), DTYPES[x.dtype]) for x in tensors]
    found, _around[key] = flat.outputs(like)
    device = tensors[0].device if tensors else torch.device("cpu")
    return [torch.empty(x.shape, dtype=BY_OUR_NAME[x.dtype], device=device) for x in found]


def _keep(ctx: Any, inputs: tuple[str, list[torch.Tensor]], output: list[torch.Tensor]) -> None:
    key, tensors = inputs
    flat = _flat_of(key)
    ctx.flat, ctx.around, ctx.count = flat, around(key), len(tensors)
    ctx.save_for_backward(*tensors, *(output if flat.keeps_results else ()))
    ctx.outs = tuple([index for index, x in enumerate(output) if is_smooth(x)])
    ctx.mark_non_differentiable(*[x for x in output if not is_smooth(x)])


def _back(ctx: Any, gradients: list[torch.Tensor]) -> tuple[None, list[torch.Tensor | None]]:
    kept = ctx.saved_tensors
    # Which of a list's tensors need a gradient an operator isn't told.
    ins = tuple([index for index, x in enumerate(kept[: ctx.count]) if is_smooth(x)])
    pull = key_of(ctx.flat.vjp(ins, ctx.outs, ctx.around))
    found = operator(pull, [*kept, *[conjugated(gradients[index]) for index in ctx.outs]])
    by_index = dict(zip(ins, found, strict=True))
    return None, [conjugated(by_index[i]) if i in by_index else None for i in range(ctx.count)]


operator.register_autograd(_back, setup_context=_keep)


def _batched(
    info: Any, dims: tuple[Any, list[int | None]], key: str, tensors: list[torch.Tensor]
) -> tuple[list[torch.Tensor], list[int]]:
    flat = _flat_of(key)
    batched = flat.vmap(tuple(dims[1]))
    if batched is not None:
        name = key_of(batched)
        found = operator(name, tensors)
        _around[key] = around(name)
        return found, [0] * len(found)
    rows = [
        operator(key, [x if dim is None else x.select(dim, i) for x, dim in zip(tensors, dims[1], strict=True)])
        for i in range(info.batch_size)
    ]
    found = [torch.stack(column) for column in zip(*rows, strict=True)]
    return found, [0] * len(found)


if hasattr(operator, "register_vmap"):  # torch 2.5
    operator.register_vmap(_batched)
