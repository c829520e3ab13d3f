"""The public functions: compiled, for CPython; of Python, for torch.compile, which can't read what is compiled.

CPython calls the core and doesn't look at the class. Dynamo looks at the class, finds a ``__call__`` of Python there
and follows it: a call becomes torch's own operations, which the compiler knows, or ends the graph.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from interop._native import Door, called_natively, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")


@called_natively
class Public(Door):
    """A public function."""

    __slots__ = ()

    def __call__(self, /, *arguments: Any, **options: Any) -> Any:
        """What Dynamo follows. A call never comes here; who calls this method itself may import torch."""
        try:
            from torch.compiler import is_compiling  # noqa: PLC0415 - Dynamo can't look whether torch is there
        except ImportError:
            return super().__call__(*arguments, **options)
        if is_compiling():
            from interop._adapters._torch_compiled import break_graph, traced  # noqa: PLC0415 - it imports torch

            found = traced(self.__name__, arguments, options)
            if found is not NotImplemented:
                return found
            break_graph(self.__name__)
        return super().__call__(*arguments, **options)


def public(*, options_of: Callable[..., Any] | None = None) -> Callable[[_F], _F]:
    """Make a public function of a door, or of a function of Python.

    Parameters
    ----------
    options_of
        The function whose keywords the function's ``**options`` are: its signature shows them one by one.
    """

    def decorate(function: _F) -> _F:
        if options_of is not None:
            vars(function)["__signature__"] = _with_options(function, options_of)
        return cast("_F", of_kind(function, Public))

    return decorate


def _with_options(function: Callable[..., Any], options_of: Callable[..., Any]) -> inspect.Signature:
    own = inspect.signature(function)
    kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[*kept, *_keywords(options_of)])


@cache
def _keywords(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)
