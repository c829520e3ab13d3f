"""Objects that change while they are converted, in a finalizer or on another thread: the call begins anew.

What was planned for an object holds for its memory as that was. Whoever finds another one there says so by an error of
this module, before anything was made of it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from interop import _layout
from interop._words import text_of
from interop.errors import UnsupportedError, describe_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._contract import Facts
    from interop._native import View

_T = TypeVar("_T")

#: How often a call begins anew. Once is enough for what a finalizer changes; a thread that does nothing but change an
#: object would keep a call busy for ever.
_TRIES: Final = 8


class ChangedError(UnsupportedError):
    """Between two looks an object was given other memory, or another shape; nobody but :func:`anew` catches it."""


def changed(facts: Facts) -> ChangedError:
    """The error that has a call begin anew."""
    return ChangedError(
        f"{describe_facts(facts)} was given other memory, or another shape, again and again while it was converted. "
        "Convert it where nothing changes it meanwhile, or hand over a copy that nobody else has."
    )


def anew(call: Callable[..., _T], *arguments: Any) -> _T:
    """Make a call, again where what it was given has changed meanwhile."""
    for _ in range(_TRIES - 1):
        with suppress(ChangedError):
            return call(*arguments)
    try:
        return call(*arguments)
    except ChangedError as err:
        raise UnsupportedError(text_of(err)) from None


def is_alike(facts: Facts, now: Facts | View) -> bool:
    """Whether two looks at one object saw elements of the same type and shape, wherever they were."""
    return (now.dtype.name, now.shape) == (facts.dtype.name, facts.shape)


def is_there(facts: Facts, ptr: int | None, strides: tuple[int, ...] | None) -> bool:
    """Whether elements lie where the facts say, as far as both know it."""
    if 0 in facts.shape:
        return True
    if facts.ptr is not None and ptr is not None and facts.ptr != ptr:
        return False
    return facts.strides is None or strides is None or _layout.follows(facts.shape, facts.strides, strides)


def is_unchanged(facts: Facts, now: Facts) -> bool:
    """Whether two looks at one object saw the same."""
    alike = is_alike(facts, now) and now.device.dlpack == facts.device.dlpack and now.pending == facts.pending
    return alike and is_there(facts, now.ptr, now.strides)


def is_of(facts: Facts, view: View, *, aliased: bool) -> bool:
    """Whether a View is of what the facts say; where it is read only, its elements may lie elsewhere by now."""
    return is_alike(facts, view) and (not aliased or is_there(facts, view.ptr, view.strides))
