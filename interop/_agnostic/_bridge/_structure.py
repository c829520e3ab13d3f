"""What is around the tensors of a call and of its result: containers, numbers, names.

Functions are traced once for each structure, so a structure has a key: equal keys, equal calls. What has none, such as
an object that may change, is no part of one.
"""

from __future__ import annotations

import collections
import enum
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from interop._agnostic._calls import classify_result
from interop._agnostic._containers import classify
from interop._native import CONTAINER, LEAF
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from interop._agnostic._how import How


class UnkeyedError(Exception):
    """An argument has no key: it may be another the next time, and nobody could tell."""


class Taken(NamedTuple):
    """The tensors of a call, and the key of what is around them; None where that has no key."""

    tensors: list[Any]
    key: Hashable | None


#: What is the same for good if it is equal, and of one type.
_CONSTANT: Final = (bool, int, str, bytes, type(None), type(...), type(NotImplemented), np.dtype)
#: What is the same for good if it is the same object.
_DEFINITION: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, enum.Enum)
#: The containers that hold nothing but their elements.
_BARE: Final = (dict, list, tuple)


def taken(how: How, given: tuple[Any, ...], named: dict[str, Any]) -> Taken:
    """Take the tensors out of a call's arguments, in order."""
    tensors: list[Any] = []

    def key_of(x: Any, parameter: str) -> Hashable:
        return _spelled(x, tensors) if how.looks_at(parameter) else _constant(x)

    try:
        key: Hashable | None = (
            tuple([key_of(x, how.parameter_at(index)) for index, x in enumerate(given)]),
            tuple([(name, key_of(x, name)) for name, x in named.items()]),
        )
    except UnkeyedError:
        tensors, key = [], None
        placed(how, given, named, lambda x: _kept(tensors, x))
    except RecursionError:
        raise _too_deep(how.name) from None
    return Taken(tensors, key)


def placed(
    how: How, given: tuple[Any, ...], named: dict[str, Any], put: Callable[[Any], Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with another tensor in the place of each, in the same order."""
    try:
        return (
            tuple([mapped(x, put) if how.looks_at(how.parameter_at(i)) else x for i, x in enumerate(given)]),
            {name: mapped(x, put) if how.looks_at(name) else x for name, x in named.items()},
        )
    except RecursionError:
        raise _too_deep(how.name) from None


def _too_deep(name: str) -> UnsupportedError:
    return UnsupportedError(f"{name}() got a container that holds itself, or that is nested too deep. Pass it flat.")


def mapped(x: Any, put: Callable[[Any], Any], *, of_result: bool = False) -> Any:
    """An object with another in the place of each tensor; of a result, numpy's scalars are tensors too."""
    kind, container = classify_result(x) if of_result else classify(x)
    if kind == LEAF:
        return put(x)
    if kind != CONTAINER or container is None:
        return x
    old = container.children(x)
    fresh = [mapped(each, put, of_result=of_result) for each in old]
    if all(a is b for a, b in zip(old, fresh, strict=True)):
        return x
    return container.rebuild(x, old, fresh)


def _spelled(x: Any, tensors: list[Any]) -> Hashable:
    """The key of an object, whose tensors are appended."""
    kind, container = classify(x)
    if kind == LEAF:
        tensors.append(x)
        return 0
    if kind != CONTAINER or container is None:
        return _constant(x)
    tp = type(x)
    names = tuple(map(_constant, x)) if tp is dict else tuple(container.names(x))
    children = container.children(x)
    besides = () if tp in _BARE else _besides(x, children)
    return (tp, names, besides, tuple([_spelled(each, tensors) for each in children]))


def _besides(x: Any, children: list[Any]) -> Hashable:
    """The key of the attributes that a container has besides what it holds."""
    if isinstance(x, (dict, list, collections.deque)) and type(x) is not collections.OrderedDict:
        # They may keep more than their attributes show: a factory, a greatest length.
        raise UnkeyedError
    held = {id(each) for each in children}
    attributes = [*getattr(x, "__dict__", {}).items(), *((name, getattr(x, name, None)) for name in _slots(type(x)))]
    return tuple([(name, _constant(value)) for name, value in attributes if id(value) not in held])


def _slots(tp: type) -> list[str]:
    found = [vars(each).get("__slots__", ()) for each in tp.__mro__]
    names = [name for each in found for name in ((each,) if isinstance(each, str) else each)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _constant(x: Any) -> Hashable:
    """The key of what is no tensor.

    ``1 == 1.0 == True`` and ``0.0 == -0.0``, so the type is a part of it, and a number's bits are.
    """
    tp = type(x)
    if tp in _CONSTANT or isinstance(x, _DEFINITION):
        return (tp, x)
    if tp is float:
        return (tp, x.hex())
    if tp is complex:
        return (tp, x.real.hex(), x.imag.hex())
    if isinstance(x, np.generic):
        return (tp, x.dtype, x.tobytes())
    if tp is slice:
        return (tp, _constant(x.start), _constant(x.stop), _constant(x.step))
    own: Any = tp
    if own.__hash__ in (None, object.__hash__) or own.__eq__ is object.__eq__:
        # Equal to itself alone, and free to change.
        raise UnkeyedError
    try:
        hash(x)
    except TypeError:
        raise UnkeyedError from None
    return (tp, x)


#: What stands for a tensor where a structure is kept: a leaf that holds nothing.
def stand_in() -> Any:
    """An object that counts as a tensor and holds no memory of anybody's."""
    return np.empty(0, np.int8)


class Structure:
    """What is around the tensors of a result."""

    __slots__ = ("_alone", "count", "skeleton")

    def __init__(self, result: Any, name: str) -> None:
        tensors: list[Any] = []

        def put(x: Any) -> Any:
            tensors.append(x)
            return stand_in()

        self._alone = classify_result(result)[0] == LEAF
        try:
            self.skeleton = mapped(result, put, of_result=True)
        except RecursionError:
            raise _too_deep(name) from None
        self.count = len(tensors)

    def build(self, tensors: Sequence[Any]) -> Any:
        """The result with these tensors in it."""
        if self._alone:
            return tensors[0]
        rest = iter(tensors)
        return mapped(self.skeleton, lambda _: next(rest), of_result=True)


def leaves_of(result: Any) -> list[Any]:
    """The tensors of a result, one for each place, in order."""
    found: list[Any] = []
    mapped(result, lambda x: _kept(found, x), of_result=True)
    return found


def _kept(found: list[Any], x: Any) -> Any:
    found.append(x)
    return x


def same_around(one: Structure, other: Structure) -> bool:
    """Whether the same is around two results, as far as it can be told."""
    try:
        return _spelled(one.skeleton, []) == _spelled(other.skeleton, [])
    except UnkeyedError:
        return one.count == other.count
