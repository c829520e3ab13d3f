"""numpy: host memory, every layout, readonly kept; the small floats through ml_dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop import _layout
from interop._adapters._numpy_advice import calls_for, refusal_text
from interop._adapters._numpy_native import NATIVE
from interop._adapters._shared.host import HostOnly, copy_values, empty_ndarray
from interop._contract import ADAPTER_API, Facts, Limits, Pending
from interop._devices import CPU, HOST_ACCESSIBLE, Device, device_of_pair
from interop._dtypes import BY_NUMPY, DType, dtype_of_triple
from interop._native import View, find, lasting, ndarray_from_view, view_from_buffer, view_from_ndarray
from interop._words import advice, name_of, with_article
from interop.errors import DTypeError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]

#: ndarray types that mean nothing but their numbers; other subclasses may carry masks or units.
_PLAIN: Final = (np.ndarray, np.memmap, np.matrix, np.recarray)

#: What a subclass defines that gives its numbers another meaning or other memory, or carries more along with them.
_MEANING: Final = (
    "__array_finalize__",
    "__array_ufunc__",
    "__array_function__",
    "__array__",
    "__array_interface__",
    "__array_struct__",
)

#: 32 before numpy 2.
_MAX_NDIM: Final = 64 if int(np.__version__.split(".")[0]) >= 2 else 32  # noqa: PLR2004 - numpy's own limits

_HOST: Final = device_of_pair(CPU)


class NumpyAdapter(HostOnly):
    """The adapter of numpy arrays."""

    api = ADAPTER_API
    name = "numpy"
    modules = ("numpy",)
    native = NATIVE

    _limits = Limits(dtypes=frozenset(row.name for row in BY_NUMPY.values()), max_ndim=_MAX_NDIM, swapped=True)

    def claims(self, tp: type, /) -> bool:
        """Arrays, and the subclasses that mean nothing but their numbers."""
        return _is_plain(tp)

    def limits(self, device_type: int, /) -> Limits | None:
        """Any host memory, in any layout."""
        return self._limits if device_type in HOST_ACCESSIBLE else None

    def describe(self, x: Array, /) -> Facts:
        """Read the facts off the array's own attributes."""
        try:
            view = view_from_ndarray(x)
        except DTypeError:
            return self._describe_odd(x)
        return Facts(
            framework=self.name,
            dtype=view.dtype,
            device=_HOST,
            shape=view.shape,
            strides=view.strides,
            ptr=view.ptr,
            extent=view.extent,
            readonly=view.readonly,
            view=view,
        )

    def _describe_odd(self, x: Array) -> Facts:
        """What DLPack can't express: another byte order, or strides that are no multiple of the element."""
        dtype = self._dtype(x)
        pending: set[Pending] = set()
        if not x.dtype.isnative:
            pending.add("byteorder")
        if any(step % x.itemsize and n > 1 for n, step in zip(x.shape, x.strides, strict=True)):
            pending.add("strides")
        ptr = x.__array_interface__["data"][0]
        return Facts(
            framework=self.name,
            dtype=dtype,
            device=_HOST,
            shape=x.shape,
            strides=None if "strides" in pending else tuple(step // x.itemsize for step in x.strides),
            ptr=ptr,
            extent=_layout.extent(ptr, x.shape, x.strides, x.itemsize),
            readonly=not x.flags.writeable,
            pending=frozenset(pending),
        )

    def _dtype(self, x: Any) -> DType:
        dtype = x.dtype
        row = BY_NUMPY.get(dtype if dtype.isnative else dtype.newbyteorder("="))
        if row is None:
            raise UnsupportedError(refusal_text(x))
        return dtype_of_triple(row.code, row.bits, row.lanes)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Make a readonly view, or one in the other byte order; nothing is ever lazy, and there is no graph."""
        if "swapped" in what:
            return x.view(x.dtype.newbyteorder())
        if "readonly" not in what:
            return x
        view = lasting(x).view(type(x))
        view.flags.writeable = False
        return view

    def export(self, x: Array, facts: Facts, _stream: Any, /) -> View:
        """Borrow the array's memory; the View holds the array, and the buffer that it was made on."""
        return view_from_ndarray(x) if facts.view is None else facts.view

    def wrap(self, view: View, /) -> Array:
        """Make an ndarray on the View's memory, readonly if the View is."""
        return ndarray_from_view(view)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], _device: Device, /) -> Array:
        """Allocate in any dense layout."""
        return empty_ndarray(dtype, shape, strides)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy's own copyto."""
        copy_values(_as_ndarray(dst), _as_ndarray(src))

    def native_dtypes(self) -> Mapping[Any, str]:
        """Numpy's dtype objects need no table: the table of dtypes knows them."""
        return {}

    def native_device(self, _device: object, /) -> tuple[int, int] | None:
        """Numpy's device is the string ``"cpu"``."""
        return None


class ScalarAdapter(NumpyAdapter):
    """The adapter of numpy's scalars: readonly 0-d sources.

    It has a name of its own because a scalar isn't an ndarray: ``to_numpy`` has something to do.
    """

    name = "numpy scalar"
    family = "numpy"

    def claims(self, tp: type, /) -> bool:
        """Every scalar type."""
        return issubclass(tp, np.generic)

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the scalar, or off the buffer of its own memory."""
        dtype, view = self._dtype(x), _memory_of(x)
        return Facts(
            framework=self.name,
            dtype=dtype,
            device=_HOST,
            shape=(),
            strides=(),
            ptr=None if view is None else view.ptr,
            extent=None if view is None else view.extent,
            readonly=True,
            pending=frozenset({"scalar"} if view is None else ()),
            view=view,
        )


def _memory_of(x: np.generic) -> View | None:
    """A scalar's own memory; None where its type has no buffer, as ml_dtypes' have none."""
    try:
        view = view_from_buffer(x)
    except UnsupportedError:
        return None
    return view if isinstance(view, View) else None


class SubclassAdapter(NumpyAdapter):
    """The adapter of ndarray subclasses that may mean more than their numbers: it refuses them by name."""

    name = "numpy subclass"
    family = "numpy"

    def claims(self, tp: type, /) -> bool:
        """Every subclass that isn't known to be plain."""
        return issubclass(tp, np.ndarray) and not _is_plain(tp) and not _speaks_for_itself(tp)

    def describe(self, x: Array, /) -> Facts:
        """Refuse, naming what helps."""
        raise UnsupportedError(_subclass_text(x))


def _as_ndarray(x: Any) -> Array:
    if isinstance(x, View):
        return ndarray_from_view(x)
    return np.asarray(x)


def _subclass_text(x: Array) -> str:
    name = name_of(type(x))
    if isinstance(x, np.ma.MaskedArray):
        fix = advice([*(() if x is np.ma.masked else calls_for(x, "x.filled()")), *calls_for(x, "x.data")])
        return f"{with_article(name)} has a mask, which no other library would see. {fix}"
    fix = advice(calls_for(x, "numpy.asarray(x)"))
    return f"{with_article(name)} may mean more than its numbers (a unit, a mask). {fix}"


adapter: Final = NumpyAdapter()
scalars: Final = ScalarAdapter()
subclasses: Final = SubclassAdapter()


def _is_plain(tp: type) -> bool:
    """Whether objects of a type mean nothing but their numbers: a subclass that gives them no other meaning says so."""
    if not issubclass(tp, np.ndarray) or _speaks_for_itself(tp):
        return False
    for base in tp.__mro__:
        # Not by ==, which a metaclass may answer for its types.
        if any(base is plain for plain in _PLAIN):
            return True
        if any(name in vars(base) for name in _MEANING):
            return False
    return False


def _speaks_for_itself(tp: type) -> bool:
    """Whether an ndarray subclass has a ``__dlpack__`` of its own."""
    return find(tp, "__dlpack__") is not find(np.ndarray, "__dlpack__")


def numpy_source(tp: type) -> NumpyAdapter | None:
    """The adapter of what is numpy's without being a plain array: scalars, and subclasses that may mean more."""
    if issubclass(tp, np.generic):
        return scalars
    return subclasses if issubclass(tp, np.ndarray) and not _speaks_for_itself(tp) else None
