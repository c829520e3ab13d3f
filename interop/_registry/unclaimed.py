"""What to say of an object that is no tensor: what it is, and what would make a tensor of it."""

from __future__ import annotations

from typing import Any, Final

from interop._native import find
from interop._registry import plugins
from interop._registry.objects import holds_arrays, is_numbers, is_sequence, stacking_call
from interop._words import module_of, name_of, with_article


def no_tensor_text(x: Any) -> str:
    """Why an object is no tensor, and what to pass instead."""
    tp = type(x)
    fix = "Pass an array of a framework, or an object with __dlpack__, __array_interface__ or a buffer."
    fix = _made_of(x) or fix
    broken = plugins.faults().get(module_of(tp).partition(".")[0]) or plugins.silent()
    if broken:
        fix = f"But {broken}"
    name = with_article(name_of(tp))
    return f"{name} is no tensor: no adapter claims its type and it speaks no exchange protocol. {fix}"


#: What makes a dense array of a sparse one, under the names that libraries have for it.
_DENSE: Final = ("todense", "to_dense", "toarray")


def _made_of(x: Any) -> str:
    """What makes a tensor of an object; empty where nothing is known to."""
    tp = type(x)
    dense = next((name for name in _DENSE if find(tp, name) is not None), "")
    if dense:
        return f"Pass x.{dense}(), which makes it dense."
    if find(tp, "__array__") is not None:
        return "Pass numpy.asarray(x), if its numbers are all that it means."
    if is_sequence(x):
        stacked = stacking_call(x, "x")
        if stacked:
            return f"Pass {stacked}, one array of them all."
    if is_numbers(x):
        return "Pass numpy.asarray(x), if its numbers are all that it means."
    if (tp is dict and holds_arrays(x.values())) or (is_sequence(x) and holds_arrays(x)):
        return f"interop.convert_tree(x, 'numpy'), or another framework's name, converts what is in this {tp.__name__}."
    return "Encode it as numbers first." if tp is str else ""
