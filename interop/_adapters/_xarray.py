"""xarray, as a source: what a DataArray or a Variable holds, of whatever library it is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from interop._adapters._numpy_advice import calls_for
from interop._adapters._shared.wrappers import Wrapper
from interop._native import lasting, view_from_ndarray
from interop._words import advice
from interop.errors import UnsupportedError


def _claims(tp: type) -> bool:
    # Not by issubclass: a Dataset is an abstract base class, which looks types up in a set, and not every type hashes.
    return any(base is known for base in tp.__mro__ for known in (xr.DataArray, xr.Variable, xr.Dataset))


def unwrap(x: Any) -> Any:
    """The array that an object of xarray holds, or an error with what makes one."""
    if isinstance(x, xr.Dataset):
        raise UnsupportedError(_dataset_text(x))
    if not isinstance(x, (xr.DataArray, xr.Variable)):
        return x
    what = f"an xarray {type(x).__name__} {x.shape}"
    if x.chunks is not None:
        raise UnsupportedError(f"{what} is computed in chunks, when it is asked for. Pass x.compute().")
    if _is_unread(x):
        raise UnsupportedError(f"{what} has not been read from its file yet. Pass x.load().")
    return x.data


def _dataset_text(x: Any) -> str:
    what = "an xarray Dataset holds an array for each of its variables."
    found = (_calls_for(x[name], f"x[{name!r}]") for name in (*x.data_vars, *x.coords))
    return f"{what} {advice(next(filter(None, found), []), 'None of them holds numbers.')}"


def _calls_for(x: Any, text: str) -> list[str]:
    if x.chunks is not None:
        text = f"{text}.compute()"
    if x.dtype.kind in "biufc":
        return [text]
    return calls_for(np.empty(0, x.dtype), f"{text}.data") if isinstance(x.dtype, np.dtype) else []


def _held(x: Any) -> tuple[str, str]:
    return f"an xarray {type(x).__name__} {x.shape}", "x.data"


def _is_unread(x: Any) -> bool:
    """Whether the values are still in a file, from where asking for them would read them; nothing public tells."""
    held = getattr(getattr(x, "variable", x), "_data", None)
    return type(held).__module__.startswith("xarray.") and not getattr(x, "_in_memory", True)


def _show(x: Any) -> Any:
    # Where it is anything but an ndarray, asking for the data may read or compute it.
    held = x.variable._data  # noqa: SLF001 - nothing public tells
    if type(held) is not np.ndarray:
        return NotImplemented
    # It raises for another byte order, and for strides of half an element.
    view_from_ndarray(held)
    return lasting(held)


adapter: Final = Wrapper("xarray", ("xarray",), _claims, unwrap, {xr.DataArray: _show}, held=_held)
