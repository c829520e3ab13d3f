"""Which containers a tree is made of, how each is taken apart, and rebuilt without its ``__init__``.

A class's own ``__init__``, ``__new__``, ``_make`` and ``__setitem__`` may do anything: convert, check, count, raise. So
none of them is run: a bare object is made, and is given what the old one had.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import numbers
import types
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from interop._adapters._protocol import ProtocolAdapter
from interop._agnostic._registries import registry_of
from interop._native import CONTAINER, KEEP, LEAF, find
from interop._registry.lookup import adapter_for_type
from interop._words import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


class Container(Protocol):
    """How objects of a class are taken apart and rebuilt."""

    def children(self, x: Any, /) -> list[Any]:
        """A fresh list of what an object holds."""
        ...

    def rebuild(self, x: Any, old: list[Any], fresh: list[Any], /) -> Any:
        """Another object like `x` that holds `fresh` in the place of `old`."""
        ...

    def names(self, x: Any, /) -> list[str]:
        """How a path goes on to each child."""
        ...


#: Python's flag of classes that are made by a class statement.
_HEAP: Final = 1 << 9

_dict_of: Final = type.__dict__["__dict__"].__get__


def _bare(cls: type) -> Any:
    """An object of a class, made by the built-in class below it, so that no ``__new__`` of Python's is run."""
    base: Any = next(each for each in cls.__mro__ if not each.__flags__ & _HEAP)
    return base.__new__(cls)


def _slots(cls: type) -> Iterator[str]:
    """The names of a class's slots, as they are stored, but for those that attrs keeps its caches in."""
    for each in cls.__mro__:
        own = _dict_of(each)
        fields = own.get("__attrs_attrs__")
        slots = own.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__") or (fields is not None and name not in {one.name for one in fields}):
                continue
            hidden = name.startswith("__") and not name.endswith("__")
            yield f"_{each.__name__.lstrip('_')}{name}" if hidden else name


def _is_cached(cls: type, name: str) -> bool:
    """Whether an attribute was worked out from the old values: a cached property, or the hash that attrs keeps."""
    return isinstance(find(cls, name), functools.cached_property) or name == "_attrs_cached_hash"


def _give_attributes(x: Any, new: Any, changed: dict[str, Any]) -> None:
    """Attributes as they are, and those that changed anew; what was worked out from the old values is left out."""
    cls = type(x)
    try:
        given = object.__getattribute__(x, "__dict__")
    except AttributeError:
        given = {}
    for name, value in given.items():
        if not _is_cached(cls, name):
            object.__getattribute__(new, "__dict__")[name] = value
    for name in _slots(cls):
        try:
            value = object.__getattribute__(x, name)
        except AttributeError:
            continue
        object.__setattr__(new, name, value)
    for name, value in changed.items():
        object.__setattr__(new, name, value)


@dataclasses.dataclass(frozen=True, slots=True)
class _Mapping:
    """A subclass of a built-in mapping, by that one's own methods."""

    base: Any

    def children(self, x: Any) -> list[Any]:
        return list(self.base.values(x))

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        new = _bare(type(x))
        if self.base is collections.defaultdict:
            # As the built-in class stores it.
            factory = collections.defaultdict.__dict__["default_factory"]
            factory.__set__(new, factory.__get__(x))
        for key, value in zip(self.base.keys(x), fresh, strict=True):
            self.base.__setitem__(new, key, value)
        _give_attributes(x, new, {})
        return new

    def names(self, x: Any) -> list[str]:
        return [f"[{spelled(key)}]" for key in self.base.keys(x)]


@dataclasses.dataclass(frozen=True, slots=True)
class _Sequence:
    """A subclass of a built-in sequence; a named tuple's elements go by their names."""

    base: Any

    def children(self, x: Any) -> list[Any]:
        return list(self.base.__iter__(x))

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        if self.base is tuple:
            new = tuple.__new__(type(x), fresh)
        elif self.base is collections.deque:
            new = _bare(type(x))
            collections.deque.__init__(new, fresh, collections.deque.__dict__["maxlen"].__get__(x))
        else:
            new = _bare(type(x))
            self.base.extend(new, fresh)
        _give_attributes(x, new, {})
        return new

    def names(self, x: Any) -> list[str]:
        fields = find(type(x), "_fields")
        count = self.base.__len__(x)
        if type(fields) is tuple and len(fields) == count:
            return [f".{name}" for name in fields]
        return [f"[{index}]" for index in range(count)]


class _Sequenced:
    """What a C module returns, such as ``torch.max``: a tuple with names, whose class makes it of a sequence."""

    def children(self, x: Any) -> list[Any]:
        return list(tuple.__iter__(x))

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        return type(x)(fresh)

    def names(self, x: Any) -> list[str]:
        return [f"[{index}]" for index in range(tuple.__len__(x))]


@dataclasses.dataclass(frozen=True, slots=True)
class _Fields:
    """An object with fields: a dataclass, also one that is a mapping besides, a class of attrs."""

    fields: tuple[str, ...]

    def _present(self, x: Any) -> dict[str, Any]:
        """A field with ``init=False`` may have no value yet."""
        found = {}
        for name in self.fields:
            try:
                found[name] = object.__getattribute__(x, name)
            except AttributeError:
                continue
        return found

    def children(self, x: Any) -> list[Any]:
        return list(self._present(x).values())

    def rebuild(self, x: Any, old: list[Any], fresh: list[Any]) -> Any:
        cls = type(x)
        new = _bare(cls)
        if isinstance(x, dict):
            # Its values are its fields' again: both stay in step.
            base: Any = collections.OrderedDict if isinstance(x, collections.OrderedDict) else dict
            now = {id(before): after for before, after in zip(old, fresh, strict=True)}
            for key, value in base.items(x):
                base.__setitem__(new, key, now.get(id(value), value))
        elif isinstance(x, (list, set, collections.deque)):
            msg = "it has fields and elements, and nobody knows how they belong together"
            raise TypeError(msg)
        _give_attributes(x, new, dict(zip(self._present(x), fresh, strict=True)))
        return new

    def names(self, x: Any) -> list[str]:
        return [f".{name}" for name in self._present(x)]


class _Chain:
    """A ChainMap, whose maps stay apart."""

    def children(self, x: Any) -> list[Any]:
        return list(x.maps)

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        new = _bare(type(x))
        _give_attributes(x, new, {"maps": fresh})
        return new

    def names(self, x: Any) -> list[str]:
        return [f".maps[{index}]" for index in range(len(x.maps))]


class _Proxy:
    """A read-only view of a mapping."""

    def children(self, x: Any) -> list[Any]:
        # It hides the mapping itself.
        return [x.copy()]

    def rebuild(self, _x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        return types.MappingProxyType(fresh[0])

    def names(self, _x: Any) -> list[str]:
        return [""]


class _Exact:
    """For paths: exact dicts, lists and tuples, which the walk itself knows."""

    def children(self, x: Any) -> list[Any]:
        return list(x.values()) if type(x) is dict else list(x)

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        return dict(zip(x, fresh, strict=True)) if type(x) is dict else type(x)(fresh)

    def names(self, x: Any) -> list[str]:
        return [f"[{spelled(key)}]" for key in x] if type(x) is dict else [f"[{index}]" for index in range(len(x))]


EXACT: Final = _Exact()

#: What is no tensor, and holds none, whatever protocol it speaks: numbers, text, blocks of bytes, classes, functions.
_KEPT: Final = (
    *(str, bytes, bytearray, memoryview, numbers.Number, np.generic, type(None), enum.Enum),
    *(type, types.FunctionType, types.ModuleType, set, frozenset, types.GeneratorType),
)

_PROTOCOLS: Final = ("__dlpack__", "__cuda_array_interface__", "__array_interface__")

#: The built-in containers that subclasses are made of, the most special first.
_BUILTIN: Final[tuple[tuple[type, Container], ...]] = (
    (collections.OrderedDict, _Mapping(collections.OrderedDict)),
    (collections.defaultdict, _Mapping(collections.defaultdict)),
    (dict, _Mapping(dict)),
    (list, _Sequence(list)),
    (collections.deque, _Sequence(collections.deque)),
    (collections.ChainMap, _Chain()),
    (collections.UserDict, _Fields(("data",))),
    (collections.UserList, _Fields(("data",))),
    (types.MappingProxyType, _Proxy()),
)

Kind = tuple[int, Container | None]

#: By weak reference: a class made in a function must be able to die. Classes that nothing knows aren't here, since they
#: may be registered later.
_known: Final[weakref.WeakKeyDictionary[type, Kind]] = weakref.WeakKeyDictionary()


def classify(x: Any) -> Kind:
    """What an object is to a tree, by its class: kept as it is, converted, or a container and how to rebuild it."""
    tp = type(x)
    if any(find(type(tp), name) is not find(type, name) for name in ("__hash__", "__eq__")):
        # Its classes may equal any other.
        return _classified(x)
    found = _known.get(tp)
    if found is None:
        found = _classified(x)
        if found[0] != KEEP or not tp.__flags__ & _HEAP or issubclass(tp, _KEPT):
            _known[tp] = found
    return found


def is_tensor(tp: type) -> bool:
    """Whether objects of a class count as tensors where nobody passed them to a door.

    A framework's adapter claims it, or it speaks an exchange protocol. Numbers are none, numpy's scalars too, nor
    are plain blocks of bytes.
    """
    if _is_kept(tp):
        return False
    adapter = adapter_for_type(tp)
    if adapter is None or not isinstance(adapter, ProtocolAdapter):
        return adapter is not None
    return any(find(tp, name) is not None for name in _PROTOCOLS)


def _is_kept(tp: type) -> bool:
    try:
        return issubclass(tp, _KEPT)
    except Exception:  # noqa: BLE001 - numbers.Number hashes a class, which a metaclass may forbid
        return False


def _classified(x: Any) -> Kind:
    tp = type(x)
    if tp is dict or tp is list or tp is tuple:
        return CONTAINER, EXACT
    if is_tensor(tp):
        return LEAF, None
    if _is_kept(tp):
        return KEEP, None
    container = _container_of(x, tp)
    return (KEEP, None) if container is None else (CONTAINER, container)


def _container_of(x: Any, tp: type) -> Container | None:
    fields = find(tp, "__dataclass_fields__")
    if type(fields) is dict and issubclass(tp, dict):
        return _Fields(_field_names(tp))
    builtin = next((container for base, container in _BUILTIN if issubclass(tp, base)), None)
    if issubclass(tp, tuple):
        builtin = _Sequenced() if find(tp, "n_sequence_fields") is not None else _Sequence(tuple)
    if builtin is None or tp.__flags__ & _HEAP:
        known = None if builtin is not None and _is_plainly(tp, fields) else registry_of(x)
        if known is not None:
            return known
    if type(fields) is dict:
        return _Fields(_field_names(tp))
    attributes = find(tp, "__attrs_attrs__")
    if attributes is not None:
        return _Fields(tuple(each.name for each in attributes))
    return builtin


def _field_names(tp: Any) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(tp))


def _is_plainly(tp: type, fields: object) -> bool:
    """Whether a subclass is known well enough without a registry: they rebuild a named tuple by its ``_make``."""
    return fields is None and find(tp, "_fields") is not None


def container_of(x: Any) -> Container | None:
    """How an object is taken apart; None of what is no container."""
    kind, container = classify(x)
    return container if kind == CONTAINER else None


def spelled(key: object) -> str:
    """A key as a path has it: text in double quotes, everything else by its repr, in a line."""
    if type(key) is str and '"' not in key and key.isprintable():
        return f'"{key}"'
    return shown(key)
