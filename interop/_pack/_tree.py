"""Containers as nodes of JSON: dict, OrderedDict, list, tuple, strings, numbers and None; all else are leaves.

A node is the number of a leaf, ``null``, ``true``, ``false``, a text, or an object of one key::

    {"int": "12"}  {"float": 1.5}  {"float": "7ff8000000000000"}  {"complex": [1.5, 2.5]}
    {"list": [node, ...]}  {"tuple": [node, ...]}  {"dict": [[key, node], ...]}  {"OrderedDict": [[key, node], ...]}
    {"ref": n}

Numbers are text where JSON's own aren't exact everywhere: integers, and the floats that are no finite number (IEEE
754's bits, in hexadecimal). ``ref`` is the n-th container in the order in which they begin: a container that is in the
tree twice is in the header once.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from interop._pack._header import DEPTH, bad
from interop._words import name_of, shown, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

#: A place in a tree: the place of the container around it, and how it is got from there. Spelled only for a message.
Path: TypeAlias = tuple["Path", str] | None

#: Python converts no longer text to an integer, unless it is told to.
_DECIMAL: Final = 10**4000
_LONGEST: Final = 1 << 16


def spelled(path: Path) -> str:
    """A place as it is typed: ``tree["layers"][3]``."""
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(part)
    return "tree" + "".join(reversed(parts))


class Encoder:
    """Turn a tree into nodes, and collect its leaves in the order in which they are met, each object once."""

    def __init__(self) -> None:
        self.leaves: list[tuple[Any, Path]] = []
        self._numbers: dict[int, int] = {}
        self._containers: dict[int, int] = {}
        self._open: set[int] = set()
        # What has a number stays alive: another object at its address would be taken for it.
        self._held: list[Any] = []

    def node(self, x: Any, path: Path = None, depth: int = 0) -> Any:
        """The node of one object.

        Raises
        ------
        UnsupportedError
            If it is a container that isn't known, or one that holds itself.
        """
        kind = type(x)
        if x is None or kind is bool or kind is str:
            return x
        number = _NUMBERS.get(kind)
        if number is not None:
            return number(x)
        if kind in _SEQUENCES or kind in _MAPPINGS:
            return self._container(x, path, depth)
        if kind in (set, frozenset, bytes, bytearray, memoryview, type):
            raise unknown(x, path)
        return self._leaf(x, path)

    def _leaf(self, x: Any, path: Path) -> int:
        found = self._numbers.get(id(x))
        if found is None:
            found = self._numbers[id(x)] = len(self.leaves)
            self.leaves.append((x, path))
        return found

    def _container(self, x: Any, path: Path, depth: int) -> Any:
        key = id(x)
        if key in self._open:
            msg = f"{spelled(path)} holds itself, and a header can't say so. Pickle can: interop.integrations.pickle."
            raise UnsupportedError(msg)
        if depth >= DEPTH:
            msg = f"{spelled(path)[:100]}... is deeper than {DEPTH} containers, which no header is. Flatten it."
            raise UnsupportedError(msg)
        # There is one empty tuple, wherever it is met.
        if x != () and key in self._containers:
            return {"ref": self._containers[key]}
        self._containers[key] = len(self._held)
        self._held.append(x)
        self._open.add(key)
        kind = type(x)
        nodes: list[Any]
        if kind in _SEQUENCES:
            nodes = [self.node(value, (path, f"[{n}]"), depth + 1) for n, value in enumerate(x)]
        else:
            nodes = [
                [_key(name, path), self.node(value, (path, f"[{shown(name)}]"), depth + 1)]
                for name, value in list(x.items())
            ]
        self._open.discard(key)
        return {kind.__name__: nodes}


def unknown(x: Any, path: Path) -> UnsupportedError:
    """The error for what is neither a tensor nor a container that a header has."""
    return UnsupportedError(
        f"{spelled(path)} is {with_article(name_of(type(x)))}: a header has dicts, OrderedDicts, lists, tuples, "
        "strings, numbers, None and tensors. interop.integrations.pickle carries other classes; interop.to_numpy(x) "
        "makes a tensor of bytes."
    )


def _key(x: Any, path: Path) -> Any:
    kind = type(x)
    if x is None or kind in (bool, str):
        return x
    if kind in (int, float):
        return _NUMBERS[kind](x)
    msg = (
        f"{spelled(path)} has the key {shown(x)}, {with_article(name_of(kind))}: keys are str, int, float, bool or "
        "None. interop.integrations.pickle carries others."
    )
    raise UnsupportedError(msg)


def _float(x: float) -> Any:
    return x if math.isfinite(x) else struct.pack(">d", x).hex()


_NUMBERS: Final[dict[type, Callable[[Any], Any]]] = {
    int: lambda x: {"int": str(x) if -_DECIMAL < x < _DECIMAL else hex(x)},
    float: lambda x: {"float": _float(x)},
    complex: lambda x: {"complex": [_float(x.real), _float(x.imag)]},
}
_SEQUENCES: Final[tuple[type, ...]] = (list, tuple)
_MAPPINGS: Final[tuple[type, ...]] = (dict, OrderedDict)


class Decoder:
    """Turn nodes back into a tree of the leaves that are given."""

    def __init__(self, leaves: list[Any]) -> None:
        self._leaves = leaves
        self._containers: list[Any] = []

    def tree(self, node: Any, depth: int = 0) -> Any:
        """The object of one node.

        Raises
        ------
        UnsupportedError
            If it is none.
        """
        if node is None or type(node) in (bool, str):
            return node
        if type(node) is int:
            return self._leaf(node)
        if type(node) is not dict or len(node) != 1:
            bad(f"{shown(node)} is no node of a tree")
        ((name, value),) = node.items()
        if name in _PARSERS:
            return _PARSERS[name](value)
        if name == "ref":
            return self._ref(value)
        if depth >= DEPTH:
            bad(f"its tree is deeper than {DEPTH}")
        if name not in _BUILDERS or type(value) is not list:
            bad(f"{shown(node)} is no node of a tree")
        place = len(self._containers)
        self._containers.append(_UNFINISHED)
        made = _BUILDERS[name](self, value, depth + 1)
        self._containers[place] = made
        return made

    def _leaf(self, number: int) -> Any:
        if not 0 <= number < len(self._leaves):
            bad(f"there is no leaf {shown(number)}")
        return self._leaves[number]

    def _ref(self, number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(self._containers):
            bad(f"there is no container {shown(number)} before it is referred to")
        if self._containers[number] is _UNFINISHED:
            bad(f"the container {number} holds itself")
        return self._containers[number]

    def sequence(self, nodes: list[Any], depth: int) -> list[Any]:
        """The members of a list or tuple."""
        return [self.tree(node, depth) for node in nodes]

    def pairs(self, nodes: list[Any], depth: int) -> list[tuple[Any, Any]]:
        """The keys and values of a dict."""
        if any(type(pair) is not list or len(pair) != 2 for pair in nodes):  # noqa: PLR2004 - a key and a value
            bad("a dict has what is no pair of key and value")
        found = [(_parsed_key(key), self.tree(node, depth)) for key, node in nodes]
        if len({key for key, _ in found}) != len(found):
            bad("a dict has a key twice")
        return found


_UNFINISHED: Final = object()

_BUILDERS: Final[dict[str, Callable[[Decoder, list[Any], int], Any]]] = {
    "list": Decoder.sequence,
    "tuple": lambda decoder, nodes, depth: tuple(decoder.sequence(nodes, depth)),
    "dict": lambda decoder, nodes, depth: dict(decoder.pairs(nodes, depth)),
    "OrderedDict": lambda decoder, nodes, depth: OrderedDict(decoder.pairs(nodes, depth)),
}


def _parsed_key(node: Any) -> Any:
    if node is None or type(node) in (bool, str):
        return node
    if type(node) is dict and len(node) == 1:
        ((name, value),) = node.items()
        if name in ("int", "float"):
            return _PARSERS[name](value)
    return bad(f"{shown(node)} is no key")


def _parsed_int(text: Any) -> int:
    if type(text) is not str or len(text) > _LONGEST:
        bad(f"{shown(text)} is no integer")
    try:
        return int(text, 16) if text.removeprefix("-").startswith("0x") else int(text)
    except ValueError:
        bad(f"{shown(text)} is no integer")


def _parsed_float(value: Any) -> float:
    # Other writers leave the fraction of 1.0 out.
    if type(value) in (int, float) and -1e308 < value < 1e308:  # noqa: PLR2004 - an integer may be larger than any float
        return float(value)
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is not str:
        bad(f"{shown(value)} is no float")
    try:
        return float(struct.unpack(">d", bytes.fromhex(value))[0])
    except (ValueError, struct.error):
        bad(f"{shown(value)} is no float")


def _parsed_complex(value: Any) -> complex:
    if type(value) is not list or len(value) != 2:  # noqa: PLR2004 - its real and imaginary part
        bad(f"{shown(value)} is no complex number")
    return complex(_parsed_float(value[0]), _parsed_float(value[1]))


_PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "int": _parsed_int,
    "float": _parsed_float,
    "complex": _parsed_complex,
}
