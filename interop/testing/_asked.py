"""What a caller asks a strategy for, by a name, a word, a value or a list of them, brought to one form or refused."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from types import MappingProxyType
from typing import Any, Final, SupportsIndex, TypeVar, cast

from interop._dtypes import BY_NAME, ROWS, parse_dtype
from interop._words import exact_int, exact_str, is_a, shown
from interop.errors import UnsupportedError
from interop.testing._layouts import Layout

_F = TypeVar("_F", bound=Callable[..., Any])
Shape = tuple[int, ...]

#: Names of element types by kind, the ones that failing tests shrink to first.
KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "float": ("float32", "float64", "float16"),
        "int": ("int32", "int64", "int16", "int8"),
        "uint": ("uint8", "uint16", "uint32", "uint64"),
        "bool": ("bool",),
        "complex": ("complex64", "complex128"),
        "bfloat": ("bfloat16",),
        "float8": tuple(row.name for row in ROWS if row.name.startswith("float8_")),
        "subbyte": tuple(row.name for row in ROWS if row.bits < 8),
    }
)
#: The kinds that fill whole bytes.
DEFAULT_KINDS: Final = tuple(kind for kind in KINDS if kind != "subbyte")
#: Those that numpy has without ml_dtypes.
NATIVE_KINDS: Final = ("float", "int", "uint", "bool", "complex")

#: Words for what many classes support: the element types of the array API standard, and numpy's own.
DTYPE_WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "native": tuple(name for kind in NATIVE_KINDS for name in KINDS[kind]),
        "standard": tuple(name for kind in NATIVE_KINDS for name in KINDS[kind] if name != "float16"),
        **KINDS,
    }
)

#: Words for layouts: C order, what DLPack can describe, what can be written to.
LAYOUT_WORDS: Final[Mapping[str, Callable[[Layout[Any]], bool]]] = MappingProxyType(
    {
        "dlpack": lambda layout: layout.dlpack,
        "contiguous": lambda layout: layout.name in ("c", "offset"),
        "dense": lambda layout: layout.name in ("c", "offset", "fortran", "transposed"),
        "writable": lambda layout: layout.name != "readonly",
    }
)

#: Words for shapes: the bounds that they stand for.
SHAPE_WORDS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "nonempty": {"min_side": 1},
        **{f"{ndim}d": {"min_dims": ndim, "max_dims": ndim} for ndim in range(5)},
    }
)


def listed(names: Iterable[object]) -> str:
    """Names for a message."""
    return ", ".join(str(name) for name in names)


def refused(argument: str, given: object, what: str, known: Iterable[str], accepted: str) -> UnsupportedError:
    """The error for an argument that isn't one, with the name that is nearest to it."""
    word = exact_str(given)
    close = get_close_matches(word, [*known], n=1) if word is not None else []
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    return UnsupportedError(f"{argument}={shown(given)} is {what}.{nearest} Pass {accepted}.")


def one_of(argument: str, given: object, known: Collection[str], what: str) -> str:
    """A name that is among those that are known."""
    name = exact_str(given)
    if name is None or name not in known:
        raise refused(argument, given, what, known, f"one of {listed(known)}")
    return name


def some_of(argument: str, given: object, known: Collection[str], what: str) -> list[str]:
    """Names that are known, of which one alone may be given by itself; at least one."""
    names = [one_of(argument, one, known, what) for one in parts(given)]
    if not names:
        raise refused(argument, given, "empty: nothing could be drawn", known, f"one of {listed(known)}, or several")
    return names


def parts(given: object) -> list[Any]:
    """The members of a collection; a string and whatever is none alone."""
    if isinstance(given, Collection) and not isinstance(given, (str, bytes)):
        return list(given)
    return [given]


def dtype_names(
    argument: str, given: object, names_of: Callable[[str], Collection[str] | None], framework: str | None = None
) -> list[str]:
    """Names of element types.

    Parameters
    ----------
    argument, given
        What the caller calls it, and passed: a name, a word, a framework's name, any framework's dtype object, or a
        list of these.
    names_of
        The element types of a framework by its name, or None.
    framework
        The one that has to have what is named; a word stands for what it has of it.
    """
    has = set(BY_NAME) if framework is None else set(names_of(framework) or ())
    found: list[str] = []
    for one in parts(given):
        word = exact_str(one)
        dtype = None if word in DTYPE_WORDS and word not in BY_NAME else parse_dtype(one)
        if dtype is not None:
            if dtype.name not in has:
                raise refused(argument, one, f"an element type that {framework} lacks", (), _in_order(has))
            found.append(dtype.name)
            continue
        meant = None if word is None else DTYPE_WORDS.get(word) or names_of(word)
        if meant is None:
            raise refused(argument, one, "no element type", [*BY_NAME, *DTYPE_WORDS], _DTYPES)
        found += [row.name for row in ROWS if row.name in meant and row.name in has]
    if not found:
        raise refused(argument, given, "nothing that could be drawn", (), _in_order(has))
    return sorted(set(found), key=_ORDER.__getitem__)


#: From what failing tests shrink to first.
_ORDER: Final = {name: place for place, name in enumerate(dict.fromkeys([*sum(KINDS.values(), ()), *BY_NAME]))}


def _in_order(names: Iterable[str]) -> str:
    ordered = sorted(names, key=_ORDER.__getitem__)
    return f"some of {listed(ordered)}"


_DTYPES: Final = (
    f"a name such as 'float32', a word ({listed(DTYPE_WORDS)}), the name of a framework for all that it has, a dtype "
    "object, a list of these, or a strategy of names"
)


def layout_list(argument: str, given: object, table: Mapping[str, Layout[Any]], framework: str) -> list[Layout[Any]]:
    """Layouts, by name, by a word, or as they are."""
    found: list[Layout[Any]] = []
    for one in parts(given):
        word = exact_str(one)
        if isinstance(one, Layout):
            found.append(one)
        elif word in LAYOUT_WORDS and word is not None:
            found += filter(LAYOUT_WORDS[word], table.values())
        elif word in table and word is not None:
            found.append(table[word])
        else:
            accepted = (
                f"a name ({listed(table)}), a word ({listed(LAYOUT_WORDS)}), a Layout, a list of these, or a strategy "
                "of Layouts"
            )
            raise refused(argument, one, f"no layout of {framework}'s arrays", [*table, *LAYOUT_WORDS], accepted)
    if not found:
        raise refused(argument, given, "empty: nothing could be drawn", (), f"names among {listed(table)}")
    return list(dict.fromkeys(found))


def shape_list(argument: str, given: object) -> list[Shape]:
    """Shapes: one, as a tuple or list of lengths or as one length, or a list of such."""
    if _is_shape(given):
        return [_shape(given)]
    several = parts(given)
    if isinstance(given, Collection) and all(map(_is_shape, several)):
        return [_shape(one) for one in several]
    raise refused(argument, given, "no shape", SHAPE_WORDS, _SHAPES)


_SHAPES: Final = (
    f"a tuple of lengths such as (2, 3), a length, a word ({listed(SHAPE_WORDS)}), a list of tuples, or a strategy of "
    "tuples"
)


def _is_shape(given: object) -> bool:
    return all(_is_length(side) for side in parts(given))


def _is_length(given: object) -> bool:
    # An array of one element answers too.
    if is_a(given, bool) or not isinstance(given, SupportsIndex):
        return False
    try:
        return operator.index(given) >= 0
    except TypeError:
        return False


def _shape(given: object) -> Shape:
    return tuple(map(operator.index, parts(given)))


def bounds(low_name: str, low: object, high_name: str, high: object) -> None:
    """Refuse bounds that no number keeps."""
    for name, value in ((low_name, low), (high_name, high)):
        number = exact_int(value)
        if number is None or number < 0 or is_a(value, bool):
            msg = f"{name}={shown(value)} is no bound. Pass a number that is 0 or more."
            raise UnsupportedError(msg)
    if cast("int", low) > cast("int", high):
        msg = (
            f"{low_name}={low} is more than {high_name}={high}: nothing could be drawn. Pass {high_name}={low} or more."
        )
        raise UnsupportedError(msg)


def flag(argument: str, given: object, accepted: tuple[object, ...]) -> None:
    """Refuse what is none of a few constants."""
    if not any(given is one for one in accepted):
        msg = f"{argument}={shown(given)} is not a value of this argument. Pass {' or '.join(map(str, accepted))}."
        raise UnsupportedError(msg)


def keywords(function: _F) -> _F:
    """Refuse keywords that a function doesn't have, with the nearest that it has."""
    known = list(inspect.signature(function).parameters)

    @wraps(function)
    def refusing(*arguments: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                nearest = f" Did you mean {close[0]}=?" if close else ""
                msg = f"{function.__name__} has no argument {name!r}.{nearest} It has {listed(known)}."
                raise UnsupportedError(msg)
        return function(*arguments, **options)

    return cast("_F", refusing)
