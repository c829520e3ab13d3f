"""What torch's Dynamo traces of a decorated function: calls that it knows, in the place of the call of C.

It can trace no call of C, and no door; so the arguments are mapped by the framework's own calls, which the adapter of a
framework with a compiler names. What needs more than that is a graph break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from interop._registry.lookup import loaded_adapters

if TYPE_CHECKING:
    from interop._agnostic._how import How


class Ways(NamedTuple):
    """The calls that a compiler traces: what goes in and how, what comes back and how, whether it traces now."""

    goes: type
    out: Callable[[Any], Any]
    comes: type
    into: Callable[[Any], Any]
    traces: Callable[[], bool]


#: What comes through as it is, and holds nothing.
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), np.generic)


def traced_ways(how: How) -> Ways | None:
    """The calls that a compiler traces, of a framework that is loaded and has one; None where a call isn't plain."""
    if not how.is_plain or how.only is not None or how.back is not None:
        return None
    for adapter in loaded_adapters():
        traced: Mapping[str, Any] = getattr(adapter, "traced", {})
        traces: Callable[[], bool] = getattr(adapter, "traces", bool)
        for inside, (goes, out, comes, into) in traced.items():
            if how.framework == inside:
                return Ways(goes, out, comes, into, traces)
            if how.framework == adapter.name:
                return Ways(comes, into, goes, out, traces)
    return None


def hiding() -> Callable[..., Any] | None:
    """What hides functions from the compiler of a framework that is loaded."""
    return next((hide for each in loaded_adapters() if (hide := getattr(each, "hide", None)) is not None), None)


def is_traced(x: Any, ways: Ways) -> bool:
    """Whether a compiler's calls are all that an argument needs."""
    if type(x) is dict:
        return all(is_traced(each, ways) for each in x.values())
    if type(x) is list or type(x) is tuple:
        return all(is_traced(each, ways) for each in x)
    return isinstance(x, (*_PLAIN, ways.goes, ways.comes))


def holds(x: Any, kind: type) -> bool:
    """Whether an object is of a type, or a container that holds one."""
    if type(x) is dict:
        return any(holds(each, kind) for each in x.values())
    if type(x) is list or type(x) is tuple:
        return any(holds(each, kind) for each in x)
    return isinstance(x, kind)


def mapped(x: Any, kind: type, way: Callable[[Any], Any]) -> Any:
    """An object with what is of a type replaced, in containers too."""
    if type(x) is dict:
        return {key: mapped(each, kind, way) for key, each in x.items()}
    if type(x) is list:
        return [mapped(each, kind, way) for each in x]
    if type(x) is tuple:
        return tuple([mapped(each, kind, way) for each in x])
    return way(x) if isinstance(x, kind) else x
