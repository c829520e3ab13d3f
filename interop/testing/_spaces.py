"""What strategies of arrays draw from: element types, shapes and layouts, as a caller asks for them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

import interop
from interop._devices import CPU
from interop._dtypes import ROWS
from interop._registry.targets import target_adapter
from interop._words import shown
from interop.errors import UnsupportedError
from interop.testing._asked import (
    DEFAULT_KINDS,
    DTYPE_WORDS,
    KINDS,
    NATIVE_KINDS,
    SHAPE_WORDS,
    bounds,
    dtype_names,
    flag,
    keywords,
    layout_list,
    listed,
    one_of,
    parts,
    refused,
    shape_list,
    some_of,
)
from interop.testing._hypothesis import SearchStrategy, st
from interop.testing._layouts import NUMPY_LAYOUTS, TORCH_LAYOUTS, Layout
from interop.testing.conformance import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Shape = tuple[int, ...]

#: What a strategy of arrays takes for its element types, shapes and layouts: one, several, a word, or a strategy.
Dtypes = object
Shapes = Shape | Collection[Shape] | int | str | SearchStrategy[Shape]
Layouts = str | Layout[Any] | Collection["str | Layout[Any]"] | SearchStrategy[Layout[Any]]


def _numpy_names() -> Collection[str]:
    return {row.name for row in ROWS if row.numpy is not None}


def _torch_names() -> Collection[str]:
    import torch

    return {row.name for row in ROWS if isinstance(getattr(torch, row.name, None), torch.dtype) and row.bits >= 8}


def _cupy_names() -> Collection[str]:
    return {name for kind in NATIVE_KINDS for name in KINDS[kind]}


_NAMES: Final[Mapping[str, Callable[[], Collection[str]]]] = MappingProxyType(
    {"numpy": _numpy_names, "torch": _torch_names, "cupy": _cupy_names}
)


@cache
def _makers(framework: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes a library's arrays of numpy's: of numpy's own element types, and of those of ml_dtypes."""
    subject = WORLD[framework]
    make = subject.function("make")
    return make, subject.function("small") if subject.small else make


def made(framework: str, array: np.ndarray[Any, Any]) -> Any:
    make, small = _makers(framework)
    return (make if array.dtype.isbuiltin == 1 else small)(array)


@cache
def _names_of(framework: str) -> frozenset[str]:
    """Return the element types that a library has: those of which it makes arrays that say the same of themselves."""
    names: set[str] = set()
    for row in ROWS:
        if row.numpy is None or row.bits < 8:
            continue
        try:
            made_one = made(framework, np.zeros(1, row.numpy))
        except Exception:  # noqa: S112 - it hasn't got that one; libraries have an error each for it
            continue
        if row.name in str(getattr(made_one, "dtype", row.name)):
            names.add(row.name)
    return frozenset(names)


def _has(framework: str) -> Collection[str] | None:
    """The element types of a framework, by its name: of one that is known here, or that has an adapter."""
    if framework in _NAMES:
        return _NAMES[framework]()
    if framework in WORLD:
        return _names_of(framework)
    if framework in interop.adapters():
        limits = target_adapter(framework).limits(CPU)
        return None if limits is None else limits.dtypes
    return None


@keywords
def dtypes(
    framework: str = "numpy",
    *,
    kinds: str | Collection[str] = DEFAULT_KINDS,
    names: Collection[str] | None = None,
) -> SearchStrategy[str]:
    """Draw names of element types that a framework has.

    Parameters
    ----------
    framework
        ``"numpy"`` (with ml_dtypes), ``"torch"``, ``"cupy"``, any other in :data:`interop.testing.conformance.WORLD` or
        any that has an adapter; one that isn't there together with `names`.
    kinds
        Which of :data:`KINDS`, one or several; or ``"native"`` (what numpy has without ml_dtypes), ``"standard"`` (what
        the array API standard has).
    names
        What the framework has, for one that isn't in the list.

    Raises
    ------
    UnsupportedError
        For what isn't such a name, with the nearest that is.

    Examples
    --------
    >>> from interop.testing.strategies import dtypes
    >>> dtypes(kinds=["bool", "bfloat"])
    sampled_from(['bool', 'bfloat16'])
    >>> dtypes("torch", kinds="complex")
    sampled_from(['complex64', 'complex128'])
    """
    has = None if names is None else set(dtype_names("names", names, lambda _: None))
    if names is None:
        known = list(dict.fromkeys([*_NAMES, *WORLD, *interop.adapters()]))
        has = set(_has(framework) or ()) if framework in known else None
        if has is None:
            accepted = f"one of {listed(known)}, or names= to say which element types it has"
            raise refused("framework", framework, "none that is known", known, accepted)
    wanted = some_of("kinds", kinds, DTYPE_WORDS, "no kind of element types")
    drawn = dict.fromkeys(name for kind in wanted for name in DTYPE_WORDS[kind] if name in (has or ()))
    if not drawn:
        msg = f"{framework} has no element type of the kinds {listed(wanted)}. Pass others of {listed(DTYPE_WORDS)}."
        raise UnsupportedError(msg)
    return st.sampled_from(list(drawn))


@keywords
def shapes(*, min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 4) -> SearchStrategy[Shape]:
    """Draw shapes: 0-d, of size 0, with sides of 1, and others.

    Parameters
    ----------
    min_dims, max_dims
        Bounds of the number of dimensions.
    min_side, max_side
        Bounds of each side.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import shapes
    >>> find(shapes(), lambda shape: len(shape) == 2 and 0 not in shape)
    (1, 1)
    """
    bounds("min_dims", min_dims, "max_dims", max_dims)
    bounds("min_side", min_side, "max_side", max_side)
    sides = range(min_side, max_side + 1)
    if len(sides) ** max_dims > _MOST_SHAPES:
        return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)
    return st.one_of([_shapes_of(ndim, sides) for ndim in range(min_dims, max_dims + 1)])


_MOST_SHAPES: Final = 5000


def _shapes_of(ndim: int, sides: range) -> SearchStrategy[Shape]:
    # One choice of a row, for what a choice for each side would take three times as long to draw. The first rows are
    # those that a failing test should shrink to.
    table = sorted(product(sides, repeat=ndim), key=lambda shape: (0 in shape, sum(shape), max(shape, default=0)))
    return st.sampled_from(range(len(table))).map(lambda row: table[row])


_LAYOUTS: Final[Mapping[str, Mapping[str, Layout[Any]]]] = MappingProxyType(
    {"numpy": NUMPY_LAYOUTS, "torch": TORCH_LAYOUTS, "cupy": NUMPY_LAYOUTS}
)


def _layouts_of(framework: str) -> Mapping[str, Layout[Any]]:
    return _LAYOUTS[one_of("framework", framework, _LAYOUTS, "none whose layouts are known")]


@keywords
def layouts(
    framework: str = "numpy",
    *,
    only: Layouts | None = None,
    exclude: Layouts = (),
    dlpack: bool = False,
) -> SearchStrategy[Layout[Any]]:
    """Draw memory layouts.

    Parameters
    ----------
    framework
        ``"numpy"``, ``"torch"`` or ``"cupy"``.
    only, exclude
        Names to take, or to leave out, one or several; or a word: ``"contiguous"`` (C order), ``"dense"`` (a
        permutation of it), ``"dlpack"`` (what DLPack can describe), ``"writable"``.
    dlpack
        Whether to leave out what DLPack can't describe.

    Raises
    ------
    UnsupportedError
        For what isn't such a name, with the nearest that is.

    Examples
    --------
    >>> from interop.testing.strategies import layouts
    >>> layouts(only=["c", "negative"])
    sampled_from([Layout('c'), Layout('negative')])
    >>> layouts("torch", only="contiguous")
    sampled_from([Layout('c'), Layout('offset')])
    """
    table = _layouts_of(framework)
    flag("dlpack", dlpack, (True, False))
    wanted = list(table.values()) if only is None else layout_list("only", only, table, framework)
    unwanted = layout_list("exclude", exclude, table, framework) if parts(exclude) else []
    drawn = [layout for layout in wanted if layout not in unwanted and (layout.dlpack or not dlpack)]
    if not drawn:
        msg = f"exclude={shown(exclude)} leaves no layout of {listed(layout.name for layout in wanted)}. Exclude fewer."
        raise UnsupportedError(msg)
    return st.sampled_from(drawn)


def dtype_strategy(given: Dtypes | None, framework: str) -> SearchStrategy[str]:
    if given is None:
        return dtypes(framework)
    if isinstance(given, SearchStrategy):
        return cast("SearchStrategy[str]", given)
    return st.sampled_from(dtype_names("dtypes", given, _has, framework))


def shape_strategy(given: Shapes | None, default: Callable[[], SearchStrategy[Shape]]) -> SearchStrategy[Shape]:
    if given is None:
        return default()
    if isinstance(given, SearchStrategy):
        return given
    if isinstance(given, str) and given in SHAPE_WORDS:
        return shapes(**SHAPE_WORDS[given])
    return st.sampled_from(shape_list("shapes", given))


def layout_strategy(given: Layouts | None, framework: str) -> SearchStrategy[Layout[Any]]:
    if given is None:
        return layouts(framework)
    if isinstance(given, SearchStrategy):
        return given
    return st.sampled_from(layout_list("layouts", given, _LAYOUTS[framework], framework))


# Enough that no two arrays of a run are alike; the smaller, the fewer bytes hypothesis has to keep.
SEEDS: Final = st.integers(0, 2**32 - 1)
