"""Hypothesis strategies for arrays: every element type, shape and memory layout, and values that conversions get wrong.

Values are bit patterns: random ones mixed with signed zeros, infinities, quiet and signalling NaNs with payloads,
subnormals and extreme integers. One draw costs a handful of choices whatever the array's size, and shrinks to few
dimensions, small sides, C order, float32 and the numbers 0, 1, 2, ...

Examples
--------
>>> import numpy as np
>>> from hypothesis import given
>>> from interop.testing.strategies import numpy_arrays
>>> @given(numpy_arrays(layouts="negative"))
... def test_reversing_keeps_the_bytes(a):
...     assert a[...].tobytes() == a.tobytes()
>>> test_reversing_keeps_the_bytes()
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop.errors import UnsupportedError
from interop.testing import _asked, fakes
from interop.testing._asked import NATIVE_KINDS, flag, keywords, listed, one_of, refused, some_of
from interop.testing._hypothesis import note, st
from interop.testing._layouts import NUMPY_LAYOUTS, TORCH_LAYOUTS, Layout
from interop.testing._spaces import (
    SEEDS,
    Shape,
    dtype_strategy,
    dtypes,
    layout_strategy,
    layouts,
    made,
    shape_strategy,
    shapes,
)
from interop.testing._torch_strategies import TORCH_FLAVOURS, torch_tensors
from interop.testing._values import random_values
from interop.testing.conformance import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from interop.testing._hypothesis import SearchStrategy
    from interop.testing._spaces import Dtypes, Layouts, Shapes
    from interop.testing.conformance._subject import Subject

__all__ = [
    "BUILDERS",
    "DEFAULT_KINDS",
    "KINDS",
    "NUMPY_LAYOUTS",
    "TORCH_FLAVOURS",
    "TORCH_LAYOUTS",
    "Layout",
    "arrays",
    "cupy_arrays",
    "dtypes",
    "layouts",
    "made_arrays",
    "numpy_arrays",
    "producers",
    "shapes",
    "torch_tensors",
]

#: Names of element types by kind, the ones that failing tests shrink to first.
KINDS: Final[Mapping[str, tuple[str, ...]]] = _asked.KINDS
#: The kinds that fill whole bytes.
DEFAULT_KINDS: Final = _asked.DEFAULT_KINDS

_default_dtypes, _default_shapes, _default_layouts = dtypes, shapes, layouts


@keywords
def numpy_arrays(
    *,
    dtypes: Dtypes | None = None,
    shapes: Shapes | None = None,
    layouts: Layouts | None = None,
    readonly: bool | None = None,
) -> SearchStrategy[np.ndarray[Any, Any]]:
    """Draw numpy arrays.

    Parameters
    ----------
    dtypes, shapes, layouts
        One, a list of them, a word, or a strategy; by default all of them. Element types are named, or any framework's
        dtype objects; words are ``"float"`` and the other :data:`KINDS`, ``"native"``, ``"standard"``, and a
        framework's name for all that it has. Words for shapes are ``"nonempty"`` and ``"0d"`` to
        ``"4d"``, and for layouts those that :func:`layouts` takes.
    readonly
        True and False make it so; None leaves it to the layout, one of which is readonly.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import numpy_arrays
    >>> find(numpy_arrays(dtypes="bfloat16", layouts="stepped"), lambda a: a.size >= 3)
    array([0, 1, 2], dtype=bfloat16)
    """
    flag("readonly", readonly, (True, False, None))
    drawn = st.tuples(
        dtype_strategy(dtypes, "numpy"),
        shape_strategy(shapes, _default_shapes),
        layout_strategy(layouts, "numpy"),
        SEEDS,
    )
    return drawn.map(lambda parts: _numpy_array(*parts, readonly=readonly))


def _numpy_array(
    name: str, shape: Shape, layout: Layout[Any], seed: int, *, readonly: bool | None
) -> np.ndarray[Any, Any]:
    note(f"a numpy array: {name} {shape}, {layout}, readonly {readonly}, seed {seed}")
    array: np.ndarray[Any, Any] = layout.build(random_values(name, shape, seed))
    if readonly is not None:
        array.flags.writeable = not readonly
    return array


@keywords
def cupy_arrays(
    *,
    dtypes: Dtypes | None = None,
    shapes: Shapes | None = None,
    layouts: Layouts | None = None,
) -> SearchStrategy[Any]:
    """Draw cupy arrays on the current device; drawing needs one.

    Parameters
    ----------
    dtypes, shapes, layouts
        As of :func:`numpy_arrays`; by default all of them that cupy has.
    """
    host = numpy_arrays(
        dtypes=dtype_strategy(dtypes, "cupy"),
        shapes=shapes,
        layouts=_default_layouts("cupy", dlpack=True, exclude=["readonly"]) if layouts is None else layouts,
    )
    return host.map(_mirrored)


def _mirrored(array: np.ndarray[Any, Any]) -> Any:
    """Return a cupy array of the values and strides of `array`, in memory as large as the bytes between its ends."""
    import cupy

    ends = [stride * (side - 1) for side, stride in zip(array.shape, array.strides, strict=True) if side]
    before, after = -sum(end for end in ends if end < 0), sum(end for end in ends if end > 0)
    memory = cupy.empty(before + after + array.itemsize, cupy.uint8)
    first = memory.data + before
    laid = cupy.ndarray(array.shape, array.dtype, memptr=first, strides=array.strides)
    laid[...] = cupy.asarray(np.ascontiguousarray(array))
    return laid


@keywords
def made_arrays(
    framework: str,
    *,
    dtypes: Dtypes | None = None,
    shapes: Shapes | None = None,
    layouts: Layouts | None = None,
    readonly: bool = False,
) -> SearchStrategy[Any]:
    """Draw arrays of any library in :data:`interop.testing.conformance.WORLD`, made of numpy's by its own factory.

    Parameters
    ----------
    framework
        The library's name.
    dtypes, shapes
        As of :func:`numpy_arrays`; by default all the element types that the library has, and all shapes.
    layouts
        Of the numpy arrays; C order by default. What the library makes of another is its own affair.
    readonly
        Whether they are readonly or immutable, of a library that has both.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import made_arrays
    >>> find(made_arrays("numpy", dtypes="int32", readonly=True), lambda a: a.size == 2).flags.writeable
    False
    """
    subject = WORLD[one_of("framework", framework, WORLD, "none that is known")]
    flag("readonly", readonly, (True, False))
    if readonly and not subject.readonly:
        msg = f"no readonly arrays of {framework} are known. Pass readonly=False."
        raise UnsupportedError(msg)
    host = numpy_arrays(
        dtypes=dtype_strategy(dtypes, framework),
        shapes=shape_strategy(
            shapes, lambda: _default_shapes(min_dims=min(subject.ndims or (0,)), max_dims=_most(subject))
        ),
        layouts="c" if layouts is None else layouts,
    )
    return host.map(subject.function("readonly") if readonly else partial(made, framework))


def _most(subject: Subject) -> int:
    return max(subject.ndims) if subject.ndims else 4


#: The builders of arrays by framework.
BUILDERS: Final[Mapping[str, Callable[..., SearchStrategy[Any]]]] = MappingProxyType(
    {"numpy": numpy_arrays, "torch": torch_tensors, "cupy": cupy_arrays}
)


def arrays(
    framework: str,
    *,
    builders: Mapping[str, Callable[..., SearchStrategy[Any]]] | None = None,
    **options: Any,
) -> SearchStrategy[Any]:
    """Draw arrays of a framework.

    Parameters
    ----------
    framework
        A name in :data:`BUILDERS`, in `builders`, or in :data:`interop.testing.conformance.WORLD`.
    builders
        More builders by name, which go before those of this module.
    **options
        What the builder takes: `dtypes`, `shapes`, `layouts` and more.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import arrays, numpy_arrays
    >>> builders = {"lists": lambda **options: numpy_arrays(**options).map(lambda a: a.tolist())}
    >>> find(arrays("lists", builders=builders, dtypes="int32", shapes=(3,)), lambda _: True)
    [0, 1, 2]
    """
    table = {**BUILDERS, **(builders or {})}
    if framework in WORLD:
        table.setdefault(framework, partial(made_arrays, framework))
    if framework not in table:
        accepted = f"one of {listed(table)}, or builders={{{framework!r}: a function}}"
        raise refused("framework", framework, "none that has a builder", table, accepted)
    return table[framework](**options)


@keywords
def producers(
    *,
    protocols: str | Collection[str] = tuple(fakes.PRODUCERS),
    dtypes: Dtypes | None = None,
    shapes: Shapes | None = None,
    layouts: Layouts | None = None,
    readonly: bool | None = None,
) -> SearchStrategy[fakes.Fake]:
    """Draw fakes that speak one protocol each, on numpy arrays; hand their ``source()`` to a consumer.

    Parameters
    ----------
    protocols
        Names in :data:`interop.testing.fakes.PRODUCERS`.
    dtypes, shapes, layouts, readonly
        Of the arrays; by default the element types that every protocol has a name for, and the layouts that DLPack
        can describe.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> from interop.testing.strategies import producers
    >>> @given(producers(protocols=["legacy DLPack"]))
    ... def test_numpy_lets_go(fake):
    ...     np.from_dlpack(fake.source())
    ...     fake.assert_released()
    >>> test_numpy_lets_go()
    """
    memory = numpy_arrays(
        dtypes=_default_dtypes(kinds=NATIVE_KINDS) if dtypes is None else dtypes,
        shapes=shapes,
        layouts=_default_layouts(dlpack=True) if layouts is None else layouts,
        readonly=readonly,
    )
    spoken = some_of("protocols", protocols, fakes.PRODUCERS, "no protocol of a fake")
    return st.tuples(st.sampled_from(spoken), memory).map(lambda pair: fakes.PRODUCERS[pair[0]](pair[1]))
