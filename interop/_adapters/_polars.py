"""polars, as a source: a Series of one chunk without nulls is one block of memory, and readonly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import polars as pl

from interop._adapters._wrappers import Wrapper
from interop._dtypes import BY_NUMPY
from interop._native import CallRoute
from interop.errors import UnsupportedError

_TABLES: Final = (pl.DataFrame, pl.LazyFrame)


def _claims(tp: type) -> bool:
    return issubclass(tp, (pl.Series, *_TABLES))


def unwrap(x: Any) -> Any:
    """The numpy array on the memory of a Series, or an error with what makes one."""
    if isinstance(x, pl.LazyFrame):
        msg = "a polars LazyFrame is a query that has not run. Pass one column of x.collect()."
        raise UnsupportedError(msg)
    if isinstance(x, pl.DataFrame):
        msg = "a polars DataFrame is no one block of memory. Pass x.to_numpy(), or one column, x['name']."
        raise UnsupportedError(msg)
    if not isinstance(x, pl.Series):
        return x
    why = _obstacle(x)
    if why:
        raise UnsupportedError(f"a polars Series of {x.dtype}, {x.shape}, {why}")
    try:
        array = x.to_numpy(allow_copy=False)
    except RuntimeError as err:
        why = "has no nulls of its own, but its arrays may have some. Pass x.explode().fill_null(0), reshaped after."
        msg = f"a polars Series of {x.dtype}, {x.shape}, {why}"
        raise UnsupportedError(msg) from err
    # An empty one isn't readonly.
    array.flags.writeable = False
    return array


_WIDE: Final = tuple(getattr(pl, name) for name in ("Int128", "UInt128") if hasattr(pl, name))

#: What a Series may hold beside numbers, and what makes numbers of it, by the question that finds it.
_TYPE_FIXES: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (lambda dtype: dtype.is_temporal(), "counts units of time. Pass x.to_physical(), the counts."),
    (lambda dtype: dtype in (pl.Categorical, pl.Enum), "holds codes of categories. Pass x.to_physical(), the codes."),
    (lambda dtype: dtype == pl.Boolean, "packs eight values into a byte. Pass x.cast(polars.UInt8), a byte for each."),
    (lambda dtype: dtype.is_decimal(), "holds decimal numbers. Pass x.cast(polars.Float64)."),
    (lambda dtype: dtype == pl.List, "holds lists of any length. Pass x.explode(), or x.list.to_array(width)."),
    (lambda dtype: dtype in _WIDE, "holds integers of 128 bits. Pass x.cast(polars.Int64)."),
    (lambda dtype: not dtype.is_numeric(), "holds no numbers. Encode its values as numbers first."),
)


def _obstacle(x: Any) -> str:
    """Why a Series is no one block of numbers, and what makes it one; empty where it is."""
    inner = x.dtype
    while isinstance(inner, pl.Array):
        inner = inner.inner
    text = next((text for question, text in _TYPE_FIXES if question(inner)), "")
    if text:
        return text
    if x.null_count():
        return (
            f"has nulls ({x.null_count()}), which no other library would see. Pass x.fill_null(0), or x.drop_nulls()."
        )
    return f"lies in {x.n_chunks()} chunks. Pass x.rechunk()." if x.n_chunks() != 1 else ""


def _show(x: Any) -> Any:
    if not x.dtype.is_numeric():
        return NotImplemented
    a = x.to_numpy(allow_copy=False)
    a.flags.writeable = False
    return a if a.dtype in BY_NUMPY else NotImplemented


adapter: Final = Wrapper("polars", ("polars",), _claims, unwrap, {(pl.Series, "numpy"): CallRoute(_show)})
