"""What makes numbers of what polars holds else: the calls that a refusal names, for the very object."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from interop._words import advice

#: Integers that nothing else has.
WIDE: Final = tuple(getattr(pl, name) for name in ("Int128", "UInt128") if hasattr(pl, name))

_INT64: Final = (-(2**63), 2**63 - 1)


def frame_text(x: Any) -> str:
    """Why a DataFrame is no tensor, and what makes one of it."""
    what = "a polars DataFrame is no one block of memory."
    whole = ["x.to_numpy()"] if x.width and all(dtype.is_numeric() for dtype in x.dtypes) else []
    columns = ((x[name], f"x[{name!r}]") for name in x.columns)
    calls = next(filter(None, (calls_for(column, text) for column, text in columns)), [])
    return f"{what} {advice([*whole, *calls], 'None of its columns holds numbers: encode one as numbers first.')}"


def lazy_text(x: Any) -> str:
    """Why a query is no tensor, and what makes one of it: what it would give isn't looked at."""
    schema = x.collect_schema()
    # Of a column that hasn't been computed nobody knows the nulls.
    empty = ((pl.Series(name, [], dtype), f"x.collect()[{name!r}].drop_nulls()") for name, dtype in schema.items())
    calls = next(filter(None, (calls_for(column, text) for column, text in empty)), [])
    return f"a polars LazyFrame is a query that has not run. {advice(calls, 'None of its columns holds numbers.')}"


def calls_for(x: Any, text: str) -> list[str]:
    """Calls each of which makes an array of numbers of a Series; none where none does.

    Parameters
    ----------
    x
        The Series.
    text
        What spells it.
    """
    dtype = x.dtype
    if dtype == pl.Array:
        return calls_for_arrays(x, text) if _inner(dtype) != dtype or x.null_count() else [text]
    if dtype == pl.List:
        return _calls_for_lists(x, text)
    if dtype == pl.Struct:
        fields = ((x.struct.field(field.name), f"{text}.struct.field({field.name!r})") for field in dtype.fields)
        return next(filter(None, (calls_for(field, call) for field, call in fields)), [])
    call = _cast(x, text)
    return _without_nulls(call, boolean=dtype == pl.Boolean, nulls=bool(x.null_count())) if call else []


def _without_nulls(call: str, *, boolean: bool, nulls: bool) -> list[str]:
    if not nulls:
        return [call]
    if boolean:
        return [f"{call}.fill_null(False)", f"{call}.drop_nulls()"]
    return [f"{call}.fill_null(0)", f"{call}.cast(polars.Float64).fill_null(float('nan'))", f"{call}.drop_nulls()"]


def _cast(x: Any, text: str) -> str:
    dtype = x.dtype
    if dtype.is_temporal() or dtype in (pl.Categorical, pl.Enum):
        return f"{text}.to_physical()"
    if dtype in WIDE:
        fits = not len(x) or x.null_count() == len(x) or (_INT64[0] <= x.min() and x.max() <= _INT64[1])
        return f"{text}.cast(polars.Int64)" if fits else f"{text}.cast(polars.Float64)"
    if dtype.is_decimal() or dtype == pl.Null:
        return f"{text}.cast(polars.Float64)"
    return text if dtype.is_numeric() or dtype == pl.Boolean else ""


def _inner(dtype: Any) -> Any:
    while dtype == pl.Array:
        dtype = dtype.inner
    return dtype


def calls_for_arrays(x: Any, text: str) -> list[str]:
    """The calls for a Series of arrays that has nulls, outside or inside, or arrays of what are no numbers."""
    if x.null_count():
        kept = x.drop_nulls()
        return calls_for(kept, f"{text}.drop_nulls()")
    flat, dtype = x, x.dtype
    while dtype == pl.Array:
        flat, dtype, text = flat.explode(), dtype.inner, f"{text}.explode()"
    return calls_for(flat, text)


def _calls_for_lists(x: Any, text: str) -> list[str]:
    lengths = x.list.len()
    even = not x.null_count() and lengths.n_unique() == 1 and lengths[0] and not x.explode().null_count()
    width = [f"{text}.list.to_array({lengths[0]})"] if even and x.dtype.inner.is_numeric() else []
    return [*width, *calls_for(x.explode().drop_nulls(), f"{text}.explode().drop_nulls()")]
