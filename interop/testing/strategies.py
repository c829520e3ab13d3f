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

from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

try:
    from hypothesis import note
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    _msg = 'interop.testing.strategies needs hypothesis: pip install "tensor-interop[testing]"'
    raise ImportError(_msg) from error

from interop._dtypes import ROWS
from interop.testing import fakes
from interop.testing._layouts import NUMPY_LAYOUTS, TORCH_LAYOUTS, Layout
from interop.testing._values import random_bits, random_values
from interop.testing.conformance import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import torch

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

T = TypeVar("T")
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
_NATIVE_KINDS: Final = ("float", "int", "uint", "bool", "complex")


def _numpy_names() -> Collection[str]:
    return {row.name for row in ROWS if row.numpy is not None}


def _torch_names() -> Collection[str]:
    import torch

    return {row.name for row in ROWS if isinstance(getattr(torch, row.name, None), torch.dtype) and row.bits >= 8}


def _cupy_names() -> Collection[str]:
    return {name for kind in _NATIVE_KINDS for name in KINDS[kind]}


_NAMES: Final[Mapping[str, Callable[[], Collection[str]]]] = MappingProxyType(
    {"numpy": _numpy_names, "torch": _torch_names, "cupy": _cupy_names}
)


@cache
def _makers(framework: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes a library's arrays of numpy's: of numpy's own element types, and of those of ml_dtypes."""
    subject = WORLD[framework]
    make = subject.function("make")
    return make, subject.function("small") if subject.small else make


def _made(framework: str, array: np.ndarray[Any, Any]) -> Any:
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
            made = _made(framework, np.zeros(1, row.numpy))
        except Exception:  # noqa: S112 - it hasn't got that one; libraries have an error each for it
            continue
        if row.name in str(getattr(made, "dtype", row.name)):
            names.add(row.name)
    return frozenset(names)


def dtypes(
    framework: str = "numpy", *, kinds: Collection[str] = DEFAULT_KINDS, names: Collection[str] | None = None
) -> SearchStrategy[str]:
    """Draw names of element types that a framework has.

    Parameters
    ----------
    framework
        ``"numpy"`` (with ml_dtypes), ``"torch"``, ``"cupy"`` or any other in
        :data:`interop.testing.conformance.WORLD`; one that isn't there together with `names`.
    kinds
        Which of :data:`KINDS`.
    names
        What the framework has, for one that isn't in the list.

    Examples
    --------
    >>> from interop.testing.strategies import dtypes
    >>> dtypes(kinds=["bool", "bfloat"])
    sampled_from(['bool', 'bfloat16'])
    """
    if names is None and framework in WORLD:
        names = _NAMES[framework]() if framework in _NAMES else _names_of(framework)
    if names is None:
        known = ", ".join(dict.fromkeys([*_NAMES, *WORLD]))
        msg = f"{framework!r} is none of {known}: pass names= to say which element types it has"
        raise ValueError(msg)
    return st.sampled_from([name for kind in kinds for name in KINDS[kind] if name in names])


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


def layouts(
    framework: str = "numpy",
    *,
    only: Collection[str] | None = None,
    exclude: Collection[str] = (),
    dlpack: bool = False,
) -> SearchStrategy[Layout[Any]]:
    """Draw memory layouts.

    Parameters
    ----------
    framework
        ``"numpy"``, ``"torch"`` or ``"cupy"``.
    only, exclude
        Names to take, or to leave out.
    dlpack
        Whether to leave out what DLPack can't describe.

    Examples
    --------
    >>> from interop.testing.strategies import layouts
    >>> layouts(only=["c", "negative"])
    sampled_from([Layout('c'), Layout('negative')])
    """
    table = _LAYOUTS[framework]
    wanted = [name for name in table if (only is None or name in only) and name not in exclude]
    return st.sampled_from([table[name] for name in wanted if table[name].dlpack or not dlpack])


def _strategy(given: T | SearchStrategy[T] | None, default: Callable[[], SearchStrategy[T]]) -> SearchStrategy[T]:
    if given is None:
        return default()
    return given if isinstance(given, SearchStrategy) else st.just(given)


def _layout_strategy(given: str | SearchStrategy[Layout[T]] | None, framework: str) -> SearchStrategy[Layout[T]]:
    if isinstance(given, str):
        return layouts(framework, only=[given])
    return layouts(framework) if given is None else given


# Enough that no two arrays of a run are alike; the smaller, the fewer bytes hypothesis has to keep.
_SEEDS: Final = st.integers(0, 2**32 - 1)


def numpy_arrays(
    *,
    dtypes: str | SearchStrategy[str] | None = None,
    shapes: Shape | SearchStrategy[Shape] | None = None,
    layouts: str | SearchStrategy[Layout[Any]] | None = None,
    readonly: bool | None = None,
) -> SearchStrategy[np.ndarray[Any, Any]]:
    """Draw numpy arrays.

    Parameters
    ----------
    dtypes, shapes, layouts
        One, or a strategy; by default all of them.
    readonly
        True and False make it so; None leaves it to the layout, one of which is readonly.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import numpy_arrays
    >>> find(numpy_arrays(dtypes="bfloat16", layouts="stepped"), lambda a: a.size >= 3)
    array([0, 1, 2], dtype=bfloat16)
    """
    drawn = st.tuples(
        _strategy(dtypes, _default_dtypes),
        _strategy(shapes, _default_shapes),
        _layout_strategy(layouts, "numpy"),
        _SEEDS,
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


_default_dtypes, _default_shapes = dtypes, shapes


@dataclass(frozen=True, slots=True)
class Flavour:
    """What a torch tensor is besides its values.

    Parameters
    ----------
    name
        What it is called.
    apply
        From a plain tensor to one of this flavour, on the same memory.
    kinds
        The kinds of element types that can have it.
    """

    name: str
    apply: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    kinds: tuple[str, ...] = DEFAULT_KINDS

    @property
    def names(self) -> frozenset[str]:
        """Names of the element types that can have it."""
        return frozenset(name for kind in self.kinds for name in KINDS[kind])


def _neg(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    # Public ways to a negative bit (z.conj().imag) double the strides; this one leaves the layout alone.
    return torch._neg_view(tensor)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _parameter(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.Parameter(tensor)


_DIFFERENTIABLE: Final = ("float", "complex", "bfloat")

#: The flavours of torch tensors by name; the values of "conj" and "neg" are the conjugate and negative of the memory.
TORCH_FLAVOURS: Final[Mapping[str, Flavour]] = MappingProxyType(
    {
        flavour.name: flavour
        for flavour in (
            Flavour("plain", lambda tensor: tensor),
            Flavour("conj", lambda tensor: tensor.conj(), ("complex",)),
            Flavour("neg", _neg, _DIFFERENTIABLE),
            Flavour("requires_grad", lambda tensor: tensor.requires_grad_(), _DIFFERENTIABLE),
            Flavour("parameter", _parameter, _DIFFERENTIABLE),
        )
    }
)

# Elements are laid out as integers of their size, so that no arithmetic touches a NaN.
_CARRIERS: Final = MappingProxyType({1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128})


def torch_tensors(
    *,
    dtypes: str | SearchStrategy[str] | None = None,
    shapes: Shape | SearchStrategy[Shape] | None = None,
    layouts: str | SearchStrategy[Layout[Any]] | None = None,
    flavours: Collection[str] = ("plain",),
    device: str = "cpu",
) -> SearchStrategy[torch.Tensor]:
    """Draw torch tensors.

    Parameters
    ----------
    dtypes, shapes, layouts
        One, or a strategy; by default all of them. Element types that can't have the flavour are left out.
    flavours
        Names in :data:`TORCH_FLAVOURS`.
    device
        Where the memory is.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import torch_tensors
    >>> find(torch_tensors(dtypes="float32", flavours=["requires_grad"]), lambda t: t.ndim == 1 and len(t) > 1)
    tensor([0., 1.], requires_grad=True)
    """
    names = _strategy(dtypes, lambda: _default_dtypes("torch"))

    def of(flavour: Flavour) -> SearchStrategy[torch.Tensor]:
        drawn = st.tuples(
            names if flavour.kinds == DEFAULT_KINDS else names.filter(flavour.names.__contains__),
            _strategy(shapes, _default_shapes),
            _layout_strategy(layouts, "torch"),
            _SEEDS,
        )
        return drawn.map(lambda parts: _torch_tensor(*parts, flavour=flavour, device=device))

    return st.one_of([of(TORCH_FLAVOURS[name]) for name in flavours])


def _torch_tensor(
    name: str, shape: Shape, layout: Layout[Any], seed: int, *, flavour: Flavour, device: str
) -> torch.Tensor:
    import torch

    note(f"a torch tensor: {name} {shape}, {layout}, {flavour.name}, device {device}, seed {seed}")
    dtype = getattr(torch, name)
    bits: np.ndarray[Any, Any] = random_bits(name, prod(shape), seed).view(_CARRIERS[dtype.itemsize])
    # Cloned, so that the memory is torch's own and its storage can be resized.
    values = torch.from_numpy(bits.reshape(shape)).clone().to(device)
    return flavour.apply(layout.build(values).view(dtype))


def cupy_arrays(
    *,
    dtypes: str | SearchStrategy[str] | None = None,
    shapes: Shape | SearchStrategy[Shape] | None = None,
    layouts: str | SearchStrategy[Layout[Any]] | None = None,
) -> SearchStrategy[Any]:
    """Draw cupy arrays on the current device; drawing needs one.

    Parameters
    ----------
    dtypes, shapes, layouts
        One, or a strategy; by default all of them that cupy has.
    """
    host = numpy_arrays(
        dtypes=_strategy(dtypes, lambda: _default_dtypes("cupy")),
        shapes=shapes,
        layouts=_default_layouts("cupy", dlpack=True, exclude=["readonly"]) if layouts is None else layouts,
    )
    return host.map(_mirrored)


_default_layouts = layouts


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


def made_arrays(
    framework: str,
    *,
    dtypes: str | SearchStrategy[str] | None = None,
    shapes: Shape | SearchStrategy[Shape] | None = None,
    layouts: str | SearchStrategy[Layout[Any]] | None = None,
    readonly: bool = False,
) -> SearchStrategy[Any]:
    """Draw arrays of any library in :data:`interop.testing.conformance.WORLD`, made of numpy's by its own factory.

    Parameters
    ----------
    framework
        The library's name.
    dtypes, shapes
        One, or a strategy; by default all the element types that the library has, and all shapes.
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
    subject = WORLD[framework]
    if readonly and not subject.readonly:
        msg = f"no readonly arrays of {framework} are known"
        raise ValueError(msg)
    host = numpy_arrays(
        dtypes=_strategy(dtypes, lambda: _default_dtypes(framework)),
        shapes=_strategy(shapes, lambda: _default_shapes(min_dims=min(subject.ndims or (0,)), max_dims=_most(subject))),
        layouts="c" if layouts is None else layouts,
    )
    return host.map(subject.function("readonly") if readonly else partial(_made, framework))


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
        msg = f"no builder for {framework!r}, only for {', '.join(table)}: pass builders={{{framework!r}: a function}}"
        raise ValueError(msg)
    return table[framework](**options)


def producers(
    *,
    protocols: Collection[str] = tuple(fakes.PRODUCERS),
    dtypes: str | SearchStrategy[str] | None = None,
    shapes: Shape | SearchStrategy[Shape] | None = None,
    layouts: str | SearchStrategy[Layout[Any]] | None = None,
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
        dtypes=_strategy(dtypes, lambda: _default_dtypes(kinds=_NATIVE_KINDS)),
        shapes=shapes,
        layouts=_default_layouts(dlpack=True) if layouts is None else layouts,
        readonly=readonly,
    )
    return st.tuples(st.sampled_from(list(protocols)), memory).map(lambda pair: fakes.PRODUCERS[pair[0]](pair[1]))
