"""What to say of an object that is no tensor: what it is, and what would make a tensor of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop._native import find
from interop._registry import plugins
from interop._registry.objects import holds_arrays, is_numbers, is_sequence, stacking_call
from interop._words import module_of, name_of, with_article

if TYPE_CHECKING:
    from collections.abc import Container

_PROTOCOLS: Final = ("__cuda_array_interface__", "__array_interface__", "__dlpack__")


def no_tensor_text(x: Any) -> str:
    """Why an object is no tensor, and what to pass instead."""
    tp = type(x)
    own = _own_attributes(x)
    spoken = [name for name in _PROTOCOLS if name in own]
    fix = "Pass an array of a framework, or an object with __dlpack__, __array_interface__ or a buffer."
    if spoken and not issubclass(tp, type):
        # One look at a type tells of all its objects, as Python itself looks special methods up.
        fix = f"It has {spoken[0]} as an attribute of its own: make it a property, or a method, of its class."
    else:
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


def _own_attributes(x: Any) -> Container[str]:
    """What an object has been given. Its ``__getattr__`` isn't asked: some answer to every name, some note the name."""
    try:
        found = object.__getattribute__(x, "__dict__")
    except Exception:  # noqa: BLE001 - without attributes, or with a __dict__ that is computed
        return ()
    return found if type(found) is dict else ()
