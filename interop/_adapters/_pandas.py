"""pandas, as a source: a Series or an Index that is one block of memory, numpy's or Arrow's; readonly (pandas 3).

A DataFrame of one element type is a matrix; where pandas has it in several blocks it is copied column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from interop._adapters._pandas_advice import calls_for, calls_for_levels, otherwise_for, table_text, words_for
from interop._adapters._shared.pieces import InPieces, Outline
from interop._adapters._shared.wrappers import Wrapped, Wrapper
from interop._dtypes import BY_NUMPY
from interop._native import lasting
from interop._words import advice
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from interop._contract import Adapter

_ARRAYS: Final = (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
_TABLES: Final = (pd.DataFrame,)


def _claims(tp: type) -> bool:
    return issubclass(tp, (*_ARRAYS, *_TABLES))


def unwrap(x: Any) -> Any:
    """The numpy or pyarrow array that an object of pandas holds, or an error with what makes one."""
    if isinstance(x, _TABLES):
        if not _is_of_one_type(x):
            raise UnsupportedError(table_text(x))
        return _readonly(x.to_numpy())
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


def _is_of_one_type(x: Any) -> bool:
    """Whether a table is a matrix: columns of one type of numbers."""
    dtypes = set(x.dtypes)
    return len(dtypes) == 1 and next(iter(dtypes)) in BY_NUMPY


def _is_apart(x: Any) -> bool:
    """Whether a table is a matrix in several blocks, which pandas makes of columns that were added one by one."""
    # Nothing public tells without a copy; whatever doesn't say is copied column by column.
    blocks = getattr(x, "_mgr", None)
    return isinstance(x, _TABLES) and _is_of_one_type(x) and not getattr(blocks, "is_single_block", False)


def _outline(x: Any) -> Outline:
    return Outline(BY_NUMPY[x.dtypes.iloc[0]].name, x.shape)


def _pieces(x: Any) -> Iterator[tuple[Any, Any]]:
    for number in range(x.shape[1]):
        yield (slice(None), number), x.iloc[:, number].to_numpy()


_apart: Final = InPieces("pandas", _outline, _pieces)


class PandasAdapter(Wrapper):
    """The adapter of pandas: a column is the array that it holds, and so is a table of one type in one block."""

    def adapter_of(self, x: Any, adapter_for: Callable[[Any], Adapter], /) -> Adapter:
        """The adapter of one object."""
        if _is_apart(x):
            return Wrapped(self.name, self.modules, lambda same: same, _apart)
        return super().adapter_of(x, adapter_for)


def _show(x: Any) -> Any:
    if not isinstance(x.dtype, np.dtype):
        return NotImplemented
    a = x.to_numpy()
    return NotImplemented if a.dtype not in BY_NUMPY or a.flags.writeable else lasting(a)


adapter: Final = PandasAdapter("pandas", ("pandas",), _claims, unwrap, {pd.Series: _show, pd.Index: _show}, held=_held)
