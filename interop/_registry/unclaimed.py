"""What to say of an object that is no tensor: what it is, and what would make a tensor of it."""

from __future__ import annotations

from typing import Any, Final

from interop._native import find
from interop._registry import plugins
from interop._words import module_of, name_of
from interop.errors import with_article

#: Whose numbers numpy reads one by one.
_NUMBERS: Final = (bool, int, float, complex, list, tuple)


def no_tensor_text(x: Any) -> str:
    """Why an object is no tensor, and what to pass instead."""
    tp = type(x)
    fix = "Pass an array of a framework, or an object with __dlpack__, __array_interface__ or a buffer."
    if issubclass(tp, _NUMBERS) or find(tp, "__array__") is not None:
        fix = "Pass numpy.asarray(x), if its numbers are all that it means."
    broken = plugins.faults().get(module_of(tp).partition(".")[0]) or plugins.silent()
    if broken:
        fix = f"But {broken}"
    name = with_article(name_of(tp))
    return f"{name} is no tensor: no adapter claims its type and it speaks no exchange protocol. {fix}"
