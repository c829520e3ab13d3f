"""Sizes that torch's compiler leaves open, as the ones that jax leaves open: one graph for all sizes.

What depends on a size in a way that jax can't say for all (a reshape that has to come out even, a comparison) is
decided for the size at hand; another one traces again.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import jax
from jax import export

from interop._agnostic._bridge._torch_flat import Like
from interop._dtypes import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_CALLS: Final = {"floordiv": operator.floordiv, "mod": operator.mod}


def decided(tensors: Sequence[Like]) -> list[Like]:
    """The same with the sizes at hand."""
    return [Like(tuple([int(size) for size in x.shape]), x.dtype) for x in tensors]


def is_open(tensors: Sequence[Like]) -> bool:
    """Whether a size isn't decided."""
    return any(type(size) is not int for x in tensors for size in x.shape)


def outputs_of_all_sizes(function: Callable[..., Any], tensors: Sequence[Like]) -> Any:
    """What a function of jax returns for all sizes, with torch's sizes in it; None where jax can't say."""
    names: dict[str, tuple[str, Any]] = {}
    for x in tensors:
        for size in x.shape:
            if type(size) is not int:
                names.setdefault(str(size), (f"d{len(names)}", size))
    symbols = export.symbolic_shape(", ".join(name for name, _ in names.values()))
    ours = dict(zip(names, symbols, strict=True))
    theirs = dict(names.values())
    like = [
        jax.ShapeDtypeStruct(
            tuple([size if type(size) is int else ours[str(size)] for size in x.shape]), BY_NAME[x.dtype].numpy
        )
        for x in tensors
    ]
    try:
        results = jax.eval_shape(function, *like)
        return results, [tuple([_put(size, theirs) for size in x.shape]) for x in results.row]
    except Exception:  # noqa: BLE001 - whatever it is, the size at hand is tried next, and says it again
        return None


def _put(size: Any, sizes: dict[str, Any]) -> Any:
    """A size of jax's with torch's sizes in it: a sum of products, as jax writes it.

    What jax itself evaluates it with asks each size which number it is, and so decides it.
    """
    if type(size) is int:
        return size
    text = str(size).replace("^", "**")
    return eval(text, {"__builtins__": {}}, {**_CALLS, **sizes})  # noqa: S307 - the text is jax's own, of our names
