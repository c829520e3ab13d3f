"""polars, as a source: a Series of one chunk without nulls is one block of memory, and readonly.

Several chunks, and booleans, which it packs eight to a byte, are copied one chunk after the other; so is a DataFrame of
one element type, unless its columns follow each other in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from interop._adapters._polars_advice import WIDE, calls_for, calls_for_arrays, frame_text, lazy_text
from interop._adapters._shared.pieces import InPieces, Outline, in_rows
from interop._adapters._shared.wrappers import Wrapped, Wrapper
from interop._dtypes import BY_NUMPY
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
        array = _whole(x)
        if array is None:
            raise UnsupportedError(frame_text(x))
        return array
    if not isinstance(x, pl.Series):
        return x
    why = _obstacle(x)
    if why:
        raise UnsupportedError(f"a polars Series of {x.dtype}, {x.shape}, {why}")
    return _as_it_is(x)


def _as_it_is(x: Any) -> Any:
    """The ndarray on the memory of a Series that is one block."""
    try:
        array = x.to_numpy(allow_copy=False)
    except RuntimeError as err:
        why = "has nulls inside of its arrays, which no other library would see"
        msg = f"a polars Series of {x.dtype}, {x.shape}, {why}. {advice(calls_for_arrays(x, 'x'))}"
        raise UnsupportedError(msg) from err
    # An empty one isn't readonly.
    array.flags.writeable = False
    return array


def _whole(x: Any) -> Any:
    """The ndarray on the memory of a DataFrame whose columns follow each other in it; None of any other."""
    if not _is_of_one_type(x):
        return None
    try:
        array = x.to_numpy(allow_copy=False)
    except RuntimeError:
        return None
    array.flags.writeable = False
    return array


def _is_of_one_type(x: Any) -> bool:
    """Whether a DataFrame is a matrix: columns of one type of numbers or booleans, without nulls."""
    dtypes = {dtype.base_type() for dtype in x.dtypes}
    return len(dtypes) == 1 and dtypes <= _NAMES.keys() and not any(column.null_count() for column in x.get_columns())


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
    inner = _inner(x.dtype)
    words = next((words for question, words in _TYPE_WORDS if question(inner)), "")
    if not words and x.null_count():
        words = f"has nulls ({x.null_count()}), which no other library would see"
    if words:
        return f"{words}. {advice(calls_for(x, 'x'))}"
    return f"lies in {x.n_chunks()} chunks. Pass x.rechunk()." if x.n_chunks() != 1 else ""


def _inner(dtype: Any) -> Any:
    """The type of the elements, in arrays of whatever depth."""
    while isinstance(dtype, pl.Array):
        dtype = dtype.inner
    return dtype


#: Of what is copied piece by piece: the element types by polars' own.
_NAMES: Final = {
    tp: "bool" if tp is pl.Boolean else name.lower()
    for name in ("Boolean", *(f"{kind}{bits}" for kind in ("Int", "UInt", "Float") for bits in (8, 16, 32, 64)))
    if (tp := getattr(pl, name, None)) is not None
}


def _is_apart(x: Any) -> bool:
    """Whether it is numbers or booleans without nulls that are no one block of elements."""
    if isinstance(x, pl.DataFrame):
        return _is_of_one_type(x) and _whole(x) is None
    if not isinstance(x, pl.Series) or x.null_count() or _inner(x.dtype).base_type() not in _NAMES:
        return False
    return bool(x.dtype == pl.Boolean or (x.n_chunks() != 1 and _inner(x.dtype) != pl.Boolean))


def _outline(x: Any) -> Outline:
    """What a copy of what lies apart will be."""
    if isinstance(x, pl.DataFrame):
        return Outline(_NAMES[x.dtypes[0].base_type()], x.shape, "encoded" if x.dtypes[0] == pl.Boolean else "chunked")
    for chunk in x.get_chunks() if isinstance(x.dtype, pl.Array) else ():
        # Only a look at each tells of nulls inside.
        _as_it_is(chunk)
    inner = _inner(x.dtype)
    shape = (len(x), *(x.dtype.shape if isinstance(x.dtype, pl.Array) else ()))
    return Outline(_NAMES[inner.base_type()], shape, "encoded" if inner == pl.Boolean else "chunked")


def _pieces(x: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(x, pl.Series):
        yield from in_rows(chunk.to_numpy() for chunk in x.get_chunks())
        return
    for number, column in enumerate(x.get_columns()):
        for rows, piece in _pieces(column):
            yield (rows, number), piece


class PolarsAdapter(Wrapper):
    """The adapter of polars: a Series is the array on its memory, or has none that could be taken as it is."""

    def adapter_of(self, x: Any, adapter_for: Callable[[Any], Adapter], /) -> Adapter:
        """The adapter of one Series."""
        if _is_apart(x):
            return Wrapped(self.name, self.modules, lambda same: same, _apart, self.held)
        return super().adapter_of(x, adapter_for)


_apart: Final = InPieces("polars", _outline, _pieces)


def _show(x: Any) -> Any:
    if not x.dtype.is_numeric():
        return NotImplemented
    a = x.to_numpy(allow_copy=False)
    a.flags.writeable = False
    return a if a.dtype in BY_NUMPY else NotImplemented


adapter: Final = PolarsAdapter("polars", ("polars",), _claims, unwrap, {pl.Series: _show})
