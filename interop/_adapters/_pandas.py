"""pandas, as a source: a Series or an Index that is one block of memory, numpy's or Arrow's; readonly (pandas 3).

A DataFrame of one element type is a matrix; where pandas has it in several blocks it is copied column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from interop._adapters._shared.pieces import InPieces, Outline
from interop._adapters._shared.wrappers import Wrapped, Wrapper
from interop._dtypes import BY_NUMPY
from interop._native import lasting
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
            msg = "a pandas DataFrame holds a block for each element type. Pass x.to_numpy(), or one column, x['name']."
            raise UnsupportedError(msg)
        return _readonly(x.to_numpy(), f"a pandas DataFrame of {x.dtypes.iloc[0]}, {x.shape},")
    if not isinstance(x, _ARRAYS):
        return x
    if isinstance(x, pd.MultiIndex):
        msg = "a pandas MultiIndex holds tuples. Pass one of its levels, x.get_level_values(0)."
        raise UnsupportedError(msg)
    what = f"a pandas {type(x).__name__} of {x.dtype}, {x.shape},"
    if isinstance(x.dtype, np.dtype):
        return _readonly(x.to_numpy(), what)
    if isinstance(x.dtype, pd.ArrowDtype):
        return _chunk(x)
    if isinstance(x.dtype, pd.api.extensions.ExtensionDtype) and getattr(x.dtype, "numpy_dtype", None) is not None:
        if x.isna().any():
            raise UnsupportedError(f"{what} has nulls, which no other library would see. Pass x.fillna(0).")
        # Without nulls pandas hands out the values themselves.
        return _readonly(x.to_numpy(), what)
    fixes = {
        pd.CategoricalDtype: "holds codes of categories. Pass x.cat.codes of a Series, x.codes of an Index.",
        pd.StringDtype: "holds strings. Encode them as numbers first.",
        pd.SparseDtype: "is sparse. Pass x.sparse.to_dense().",
        pd.DatetimeTZDtype: "counts units of time in a time zone. Pass x.astype('int64').",
        pd.PeriodDtype: "counts periods. Pass x.astype('int64').",
        pd.IntervalDtype: "holds intervals. Pass x.array.left, or x.array.right.",
    }
    fix = fixes.get(type(x.dtype), "is no array of numbers. Pass x.to_numpy().")
    raise UnsupportedError(f"{what} {fix}")


def _readonly(array: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    if array.dtype.kind in "mM":
        raise UnsupportedError(f"{what} counts units of time. Pass x.astype('int64'), the counts.")
    if array.dtype.kind == "O":
        raise UnsupportedError(f"{what} holds Python objects. Pass x.astype('float64').")
    view = array.view()
    # pandas 3 hands out readonly arrays; before it, a write went round its copy-on-write, or into another frame.
    view.flags.writeable = False
    return view


def _chunk(x: Any) -> Any:
    # The protocol by which pandas gives Arrow data away without a copy.
    chunks = x.array.__arrow_array__()
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


adapter: Final = PandasAdapter("pandas", ("pandas",), _claims, unwrap, {pd.Series: _show, pd.Index: _show})
