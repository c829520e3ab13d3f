"""What makes numbers of what pandas holds else: the calls that a refusal names, for the very object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from interop._adapters._numpy_advice import calls_for as calls_for_ndarray
from interop._adapters._numpy_advice import otherwise_for as otherwise_for_ndarray
from interop._words import advice

_WORDS: Final = {
    pd.CategoricalDtype: "holds codes of categories",
    pd.StringDtype: "holds strings",
    pd.SparseDtype: "is sparse",
    pd.DatetimeTZDtype: "counts units of time in a time zone",
    pd.PeriodDtype: "counts periods",
    pd.IntervalDtype: "holds intervals",
}

_KINDS: Final = {"M": "counts units of time", "m": "counts units of time", "O": "holds Python objects"}


def _dtype(x: Any) -> Any:
    """The type of the elements, numpy's own where pandas only dresses an array of numpy's."""
    return x.dtype.numpy_dtype if isinstance(x, pd.arrays.NumpyExtensionArray) else x.dtype


def otherwise_for(x: Any) -> str:
    """What to do where no call makes numbers of a Series, an Index or an array."""
    if isinstance(_dtype(x), np.dtype):
        return otherwise_for_ndarray(x.to_numpy(), "list(x)")
    return "Encode its values as numbers first."


def is_nullable(dtype: Any) -> bool:
    """Whether it is a type of numbers that has nulls beside them: pandas' own, or Arrow's."""
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.kind in "biuf"
    return isinstance(dtype, pd.api.extensions.ExtensionDtype) and getattr(dtype, "numpy_dtype", None) is not None


def words_for(x: Any) -> str:
    """Why a Series, an Index or an array of pandas' own is no tensor."""
    if not isinstance(_dtype(x), np.dtype) and is_nullable(x.dtype):
        return f"has nulls ({int(x.isna().sum())}), which no other library would see"
    if isinstance(_dtype(x), (np.dtype, pd.ArrowDtype)):
        decimals = str(x.dtype).startswith("decimal")
        return "holds decimal numbers, which float64 rounds" if decimals else _KINDS.get(_dtype(x).kind, "holds lists")
    return _WORDS.get(type(x.dtype), "is no array of numbers")


def table_text(x: Any) -> str:
    """Why a DataFrame is no tensor, and what makes one of it."""
    what = "a pandas DataFrame holds a block for each element type."
    numbers = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in x.dtypes)
    whole = ["x.to_numpy()"] if numbers and x.shape[1] else []
    columns = (calls_for(x.iloc[:, i], f"x.iloc[:, {i}]") for i in range(x.shape[1]))
    calls = next(filter(None, columns), [])
    return f"{what} {advice([*whole, *calls], 'None of its columns holds numbers: encode one as numbers first.')}"


def calls_for_levels(x: Any) -> list[str]:
    """The calls for the first level of a MultiIndex that numbers can be made of."""
    levels = (calls_for(x.get_level_values(i), f"x.get_level_values({i})") for i in range(x.nlevels))
    return next(filter(None, levels), [])


def calls_for(x: Any, text: str) -> list[str]:
    """Calls each of which makes an array of numbers of a Series, an Index or an array; none where none does.

    Parameters
    ----------
    x
        The object.
    text
        What spells it.
    """
    dtype = _dtype(x)
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return calls_for_ndarray(x.to_numpy(), f"{text}.to_numpy()")
        return [f"{text}.astype('int64')"] if dtype.kind in "mM" else [text]
    if is_nullable(dtype):
        return _without_nulls(x, text)
    return next((calls(x, text) for kind, calls in _BY_TYPE if isinstance(dtype, kind)), [])


def _counts(_x: Any, text: str) -> list[str]:
    return [f"{text}.astype('int64')"]


def _codes(x: Any, text: str) -> list[str]:
    return [f"{text}.cat.codes" if isinstance(x, pd.Series) else f"{text}.codes"]


def _dense(x: Any, text: str) -> list[str]:
    dense = {pd.Series: ".sparse.to_dense()", pd.Index: ".to_numpy()"}
    return [f"{text}{dense.get(type(x), '.to_dense()')}"]


def _ends(x: Any, text: str) -> list[str]:
    array, end = (x.array, ".array.left") if isinstance(x, pd.Series) else (x, ".left")
    return calls_for(array.left, f"{text}{end}")


def _without_nulls(x: Any, text: str) -> list[str]:
    if not x.isna().any():
        return [text]
    zero = False if x.dtype.kind == "b" else 0
    # To leave them out, and to keep them as numpy's own.
    return [f"{text}.fillna({zero})", f"{text}.to_numpy('float64', na_value=numpy.nan)", f"{text}.dropna()"]


def _calls_for_arrow(x: Any, text: str) -> list[str]:
    """What pandas itself makes numbers of; of the rest Arrow's own adapter is asked."""
    name = str(x.dtype)
    if name.startswith(("timestamp", "duration")):
        return [f"{text}.astype('int64')"]
    if x.isna().any():
        return []
    if name.startswith("decimal"):
        return [f"{text}.astype('float64')"]
    if isinstance(x, pd.Series) and "list<" in name:
        flat = x.explode()
        # An empty list becomes a null.
        return [f"{text}.explode()"] if is_nullable(flat.dtype) and not flat.isna().any() else []
    return []


_BY_TYPE: Final[tuple[tuple[Any, Callable[[Any, str], list[str]]], ...]] = (
    (pd.ArrowDtype, _calls_for_arrow),
    (pd.DatetimeTZDtype, _counts),
    (pd.PeriodDtype, _counts),
    (pd.CategoricalDtype, _codes),
    (pd.SparseDtype, _dense),
    (pd.IntervalDtype, _ends),
)
