"""polars, as a source: a Series of one chunk without nulls is one block of memory, and readonly.

Several chunks, and booleans, which it packs eight to a byte, are copied one chunk after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from interop._adapters._numpy import adapter as host
from interop._adapters._polars_advice import WIDE, calls_for, calls_for_arrays, frame_text, lazy_text
from interop._adapters._shared.host import HostLibrary, copy_values
from interop._adapters._shared.wrappers import Wrapped, Wrapper
from interop._contract import Facts, Limits, Pending
from interop._devices import CPU, device_of_pair
from interop._dtypes import BY_NAME, BY_NUMPY, dtype_of_triple
from interop._native import View, ndarray_from_view, view_from_ndarray
from interop._words import advice
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from interop._contract import Adapter

_TABLES: Final = (pl.DataFrame, pl.LazyFrame)


def _claims(tp: type) -> bool:
    return issubclass(tp, (pl.Series, *_TABLES))


def unwrap(x: Any) -> Any:
    """The numpy array on the memory of a Series, or an error with what makes one."""
    if isinstance(x, pl.LazyFrame):
        raise UnsupportedError(lazy_text(x))
    if isinstance(x, pl.DataFrame):
        raise UnsupportedError(frame_text(x))
    if not isinstance(x, pl.Series):
        return x
    why = _obstacle(x)
    if why:
        raise UnsupportedError(f"a polars Series of {x.dtype}, {x.shape}, {why}")
    try:
        array = x.to_numpy(allow_copy=False)
    except RuntimeError as err:
        why = "has nulls inside of its arrays, which no other library would see"
        msg = f"a polars Series of {x.dtype}, {x.shape}, {why}. {advice(calls_for_arrays(x, 'x'))}"
        raise UnsupportedError(msg) from err
    # An empty one isn't readonly.
    array.flags.writeable = False
    return array


#: What a Series may hold beside numbers, by the question that finds it.
_TYPE_WORDS: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (lambda dtype: dtype.is_temporal(), "counts units of time"),
    (lambda dtype: dtype in (pl.Categorical, pl.Enum), "holds codes of categories"),
    (lambda dtype: dtype.is_decimal(), "holds decimal numbers, which float64 rounds"),
    (lambda dtype: dtype == pl.List, "holds lists of any length"),
    (lambda dtype: dtype == pl.Struct, "holds structures"),
    (lambda dtype: dtype == pl.Null, "has no values"),
    (lambda dtype: dtype in WIDE, "holds integers of 128 bits"),
    (lambda dtype: not dtype.is_numeric(), "holds no numbers"),
)


def _obstacle(x: Any) -> str:
    """Why a Series is no one block of numbers, and what makes it one; empty where it is."""
    inner = x.dtype
    while isinstance(inner, pl.Array):
        inner = inner.inner
    words = next((words for question, words in _TYPE_WORDS if question(inner)), "")
    if not words and x.null_count():
        words = f"has nulls ({x.null_count()}), which no other library would see"
    if words:
        return f"{words}. {advice(calls_for(x, 'x'))}"
    return f"lies in {x.n_chunks()} chunks. Pass x.rechunk()." if x.n_chunks() != 1 else ""


#: Of a Series whose chunks are copied: the element types by polars' own.
_NAMES: Final = {
    tp: "bool" if tp is pl.Boolean else name.lower()
    for name in ("Boolean", *(f"{kind}{bits}" for kind in ("Int", "UInt", "Float") for bits in (8, 16, 32, 64)))
    if (tp := getattr(pl, name, None)) is not None
}


def _is_apart(x: Any) -> bool:
    """Whether it is a Series of numbers or booleans without nulls that is no one block of elements."""
    if not isinstance(x, pl.Series) or x.dtype.base_type() not in _NAMES or x.null_count():
        return False
    return bool(x.dtype == pl.Boolean or x.n_chunks() != 1)


class _Apart(HostLibrary):
    """A Series whose values can only be copied, and numpy's arrays that they are copied into."""

    name = "polars"

    def claims(self, _tp: type, /) -> bool:
        """Which Series these are is for the adapter of polars to say."""
        return False

    def limits(self, device_type: int, /) -> Limits | None:
        """What numpy holds."""
        return host.limits(device_type)

    def extents(self, x: Any, /) -> list[tuple[int, int]]:
        """Where the values of each chunk lie; of booleans nothing public tells."""
        if x.dtype == pl.Boolean:
            return []
        return [view_from_ndarray(chunk.to_numpy(allow_copy=False)).extent for chunk in x.get_chunks() if len(chunk)]

    def view(self, x: Any, /) -> View:
        """Look at a copy."""
        return view_from_ndarray(x)

    def wrap(self, view: View, /) -> Any:
        """Make an ndarray, for a step in the middle."""
        return host.wrap(view)

    def describe(self, x: Any, /) -> Facts:
        """Tell what the copy will be."""
        if not isinstance(x, pl.Series):
            return super().describe(x)
        row = BY_NAME[_NAMES[x.dtype.base_type()]]
        pending: frozenset[Pending] = frozenset({"encoded" if x.dtype == pl.Boolean else "chunked"})
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=device_of_pair(CPU),
            shape=x.shape,
            strides=(1,),
            ptr=None,
            extent=None,
            readonly=True,
            pending=pending,
        )

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy, chunk by chunk."""
        if not isinstance(src, pl.Series):
            super().assign(dst, src)
            return
        into = ndarray_from_view((dst if isinstance(dst, View) else self.view(dst)).with_readonly(False))
        start = 0
        for chunk in src.get_chunks():
            copy_values(into[start : start + len(chunk)], chunk.to_numpy())
            start += len(chunk)


class PolarsAdapter(Wrapper):
    """The adapter of polars: a Series is the array on its memory, or has none that could be taken as it is."""

    def adapter_of(self, x: Any, adapter_for: Callable[[Any], Adapter], /) -> Adapter:
        """The adapter of one Series."""
        if _is_apart(x):
            return Wrapped(self.name, self.modules, lambda same: same, _apart, self.held)
        return super().adapter_of(x, adapter_for)


_apart: Final = _Apart()


def _show(x: Any) -> Any:
    if not x.dtype.is_numeric():
        return NotImplemented
    a = x.to_numpy(allow_copy=False)
    a.flags.writeable = False
    return a if a.dtype in BY_NUMPY else NotImplemented


adapter: Final = PolarsAdapter("polars", ("polars",), _claims, unwrap, {pl.Series: _show})
