"""One primitive of jax for all functions of others, and its rules: call, types, derivatives, batches, compiler.

With rules of its own a call is differentiated in every mode and to every order: a custom_vjp has no forward mode, and
traces on each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jax
from jax.interpreters import ad, batching, mlir

from interop._agnostic._bridge._jax_function import Like
from interop._agnostic._bridge._jax_memory import called_back, computed
from interop.errors import DeviceError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interop._agnostic._bridge._jax_function import Dims, Function

try:
    from jax.extend.core import Primitive
except ImportError:  # before jax 0.4.36
    from jax.core import Primitive

_call: Final[Any] = Primitive("interop_call")
_call.multiple_results = True


def call(function: Function, arrays: Sequence[Any]) -> list[Any]:
    """Call a function with arrays of jax, or tracers."""
    return list(_call.bind(*arrays, function=function))


def likes_of(arrays: Sequence[Any]) -> tuple[Like, ...]:
    """What arrays, tracers or abstract values are like."""
    return tuple([Like(tuple(x.shape), x.dtype) for x in arrays])


def _types(*avals: Any, function: Function) -> list[Any]:
    return [jax.core.ShapedArray(each.shape, each.dtype) for each in function.plan(likes_of(avals))]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, function: Function) -> tuple[list[Any], list[Any]]:
    results = call(function, primals)
    ins = tuple([i for i, each in enumerate(tangents) if _moves(each)])
    outs = tuple([i for i, each in enumerate(likes_of(results)) if each.is_differentiable])
    pushed: list[Any] = [_zero(each) for each in results]
    if ins and outs:
        kept = results if function.keeps_results else []
        made = call(function.jvp(ins, outs, len(kept)), [*primals, *kept, *[tangents[i] for i in ins]])
        for index, each in zip(outs, made, strict=True):
            pushed[index] = each
    return results, pushed


def _moves(tangent: Any) -> bool:
    return not isinstance(tangent, ad.Zero) and tangent.dtype != jax.dtypes.float0


def _zero(primal: Any) -> Any:
    aval = primal.aval
    # at_least_vspace before jax 0.4.36.
    return ad.Zero(getattr(aval, "to_tangent_aval", aval.at_least_vspace)())


def _transpose(cotangents: Sequence[Any], *args: Any, function: Function) -> list[Any]:
    first = len(args) - function.linear
    ins = tuple([i for i, each in enumerate(args[first:]) if ad.is_undefined_primal(each)])
    outs = tuple([i for i, each in enumerate(cotangents) if not isinstance(each, ad.Zero)])
    pulled: list[Any] = [None] * len(args)
    if any(map(ad.is_undefined_primal, args[:first])):
        msg = f"{function.name}() isn't linear in all that it was transposed for. Use jax.vjp."
        raise UnsupportedError(msg)
    if not outs:
        for index in ins:
            pulled[first + index] = ad.Zero(args[first + index].aval)
        return pulled
    made = call(function.transposed(ins, outs), [*args[:first], *[cotangents[i] for i in outs]])
    for index, each in zip(ins, made, strict=True):
        pulled[first + index] = each
    return pulled


def _batch(args: Sequence[Any], dims: Dims, *, function: Function) -> tuple[list[Any], list[int]]:
    size = next(x.shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None)
    results = call(function.vmap(tuple(dims), size), args)
    return results, [0] * len(results)


def _lower_on_host(ctx: Any, *args: Any, function: Function) -> Any:
    _refuse_many_devices(ctx, function.name)
    likes = likes_of(ctx.avals_in)
    function.check(likes, compiled=True)
    body = called_back(function, likes, likes_of(ctx.avals_out))
    return mlir.lower_fun(body, multiple_results=True)(ctx, *args)


def _refuse_many_devices(ctx: Any, name: str) -> None:
    """A callback isn't partitioned: each device would run it, on the wrong shapes or on all of the array."""
    count = getattr(ctx.module_context.axis_context, "num_devices", None) or 1
    if count > 1:
        msg = (
            f"{name}() is called inside of a program for {count} devices, and another library's function computes on "
            "one. Pass arrays that lie on one device: jax.device_put(x, jax.devices()[0])."
        )
        raise UnsupportedError(msg)


def _lower_elsewhere(ctx: Any, *_: Any, function: Function) -> Any:
    platforms = ctx.module_context.platforms
    msg = (
        f"{function.name}() is compiled for {' and '.join(platforms)}, and inside of a compiled function another "
        "library's functions are called on the host alone. Call it outside of jax.jit, or compile for the host: "
        "jax.device_put(x, jax.devices('cpu')[0])."
    )
    raise DeviceError(msg)


_call.def_impl(lambda *args, function: computed(function, args, likes_of(args)))
_call.def_abstract_eval(_types)
ad.primitive_jvps[_call] = _jvp
ad.primitive_transposes[_call] = _transpose
batching.primitive_batchers[_call] = _batch
mlir.register_lowering(_call, _lower_elsewhere)
mlir.register_lowering(_call, _lower_on_host, platform="cpu")
