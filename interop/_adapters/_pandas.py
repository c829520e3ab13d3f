"""pandas, as a source: a Series or an Index that is one block of memory, numpy's or Arrow's; readonly (pandas 3)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from interop._adapters._pandas_advice import calls_for, calls_for_levels, otherwise_for, table_text, words_for
from interop._adapters._shared.wrappers import Wrapper
from interop._dtypes import BY_NUMPY
from interop._native import lasting
from interop._words import advice
from interop.errors import UnsupportedError

_ARRAYS: Final = (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
_TABLES: Final = (pd.DataFrame,)


def _claims(tp: type) -> bool:
    return issubclass(tp, (*_ARRAYS, *_TABLES))


def unwrap(x: Any) -> Any:
    """The numpy or pyarrow array that an object of pandas holds, or an error with what makes one."""
    if isinstance(x, _TABLES):
        raise UnsupportedError(table_text(x))
    if not isinstance(x, _ARRAYS):
        return x
    if isinstance(x, pd.MultiIndex):
        raise UnsupportedError(f"a pandas MultiIndex holds tuples. {advice(calls_for_levels(x))}")
    if isinstance(x.dtype, np.dtype) and x.dtype.kind not in "mMO":
        return _readonly(x.to_numpy())
    calls = calls_for(x, "x")
    if calls != ["x"] and (calls or not isinstance(x.dtype, pd.ArrowDtype)):
        raise UnsupportedError(f"{_what(x)} {words_for(x)}. {advice(calls, otherwise_for(x))}")
    if isinstance(x.dtype, pd.ArrowDtype):
        return _chunk(x)
    # Without nulls pandas hands out the values themselves.
    return _readonly(x.to_numpy())


def _what(x: Any) -> str:
    return f"a pandas {type(x).__name__} of {x.dtype}, {x.shape},"


def _held(x: Any) -> tuple[str, str]:
    if isinstance(getattr(x, "dtype", None), pd.ArrowDtype):
        return _what(x), "pyarrow.array(x)"
    return _what(x), "x.to_numpy()"


def _readonly(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    view = array.view()
    # pandas 3 hands out readonly arrays; before it, a write went round its copy-on-write, or into another frame.
    view.flags.writeable = False
    return view


def _chunk(x: Any) -> Any:
    # The protocol by which pandas gives Arrow data away without a copy.
    chunks = getattr(x, "array", x).__arrow_array__()
    chunked = chunks if hasattr(chunks, "num_chunks") else None
    if chunked is None:
        return chunks
    return chunked.chunk(0) if chunked.num_chunks == 1 else chunked


def _show(x: Any) -> Any:
    if not isinstance(x.dtype, np.dtype):
        return NotImplemented
    a = x.to_numpy()
    return NotImplemented if a.dtype not in BY_NUMPY or a.flags.writeable else lasting(a)


adapter: Final = Wrapper("pandas", ("pandas",), _claims, unwrap, {pd.Series: _show, pd.Index: _show}, held=_held)
