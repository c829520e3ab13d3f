"""Protocols on an object itself, as people wrap a pointer: ``x.__array_interface__ = {...}``, proxies, weak references.

They are looked for where no class speaks for an object. What only passes on the attributes of another object stands
for that one, whose own adapter knows what its exports get wrong: a mask, a negative bit.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._protocol import Opener, ProtocolAdapter, opening, protocol_name
from interop._adapters._shared.wrappers import Wrapped, Wrapper
from interop._native import find
from interop._words import is_a, name_of, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._contract import Adapter

#: Who answers to this answers to every name, and is asked no more: a mock, a proxy of another process, a tracer.
_NOBODYS: Final = "__interop_name_that_nobody_has__"


def _is_weak(x: Any) -> bool:
    # Not by ==, which a metaclass may answer for its types.
    return type(x) is weakref.ProxyType or type(x) is weakref.CallableProxyType


def _attribute(x: Any, name: str) -> Any:
    """What an object has under a name, None where it has nothing."""
    try:
        return getattr(x, name, None)
    except Exception:  # noqa: BLE001 - it isn't known to speak any protocol: its __getattr__ may raise anything
        return None


def _is_dlpack(value: Any) -> bool:
    return callable(value)


def _is_interface(value: Any) -> bool:
    return is_a(value, dict)


#: The protocols that an object itself may speak, and which values are those of one.
_SPOKEN: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("__dlpack__", _is_dlpack),
    ("__cuda_array_interface__", _is_interface),
    ("__array_interface__", _is_interface),
)


def _spoken(x: Any) -> tuple[str, Any] | None:
    """The first protocol that an object itself speaks, with what it has under the name."""
    for name, suits in _SPOKEN:
        value = _attribute(x, name)
        if suits(value):
            return name, value
    return None


def _stands_for(x: Any) -> Any:
    """The object whose attributes `x` passes on; `x` itself where it passes on none.

    Raises
    ------
    UnsupportedError
        If that is gone.
    """
    if _is_weak(x):
        try:
            return x.__reduce_ex__.__self__
        except ReferenceError as err:
            msg = f"the object of {with_article(name_of(type(x)))} is gone. Pass the object itself: that keeps it."
            raise UnsupportedError(msg) from err
    # A method that is bound to another object, which has it by its class.
    producer = getattr(_attribute(x, "__dlpack__"), "__self__", None)
    return x if producer is None or find(type(producer), "__dlpack__") is None else producer


class ObjectAdapter(ProtocolAdapter):
    """The adapter of objects that speak a protocol themselves, whatever their class."""

    def opener(self, x: Any, /) -> tuple[str, Opener] | None:
        """The protocol that the object speaks."""
        found = _spoken(x)
        return None if found is None else opening(found[0])


def _held(x: Any) -> tuple[str, str]:
    return with_article(name_of(type(x))), "x"


class _Passing(Wrapper):
    """The adapter of objects that pass on the attributes of another one."""

    def adapter_of(self, x: Any, adapter_for: Callable[[Any], Adapter], /) -> Adapter:
        """That one's, under its framework's name to whoever asks for it."""
        # What is advised of the object behind works on what passes its attributes on.
        made = Wrapped(self.name, self.modules, self.unwrap, adapter_for(self.unwrap(x)), _held)
        made.family = made.behind
        return made


_passing: Final = _Passing("proxy", (), lambda _tp: False, _stands_for)


def object_source(x: Any) -> Adapter | None:
    """The adapter of an object that itself speaks a protocol, as no class of its does."""
    if _is_weak(x):
        return _passing
    # What a class has is its objects'.
    if is_a(x, type) or _spoken(x) is None or _attribute(x, _NOBODYS) is not None:
        return None
    return ObjectAdapter(protocol_name(type(x))) if _stands_for(x) is x else _passing
