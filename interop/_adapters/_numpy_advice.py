"""What makes numbers of a numpy array of anything else: the calls that a refusal names, for the very array."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from interop._dtypes import BY_NUMPY
from interop._registry.objects import holds_arrays, is_numbers, number_type, stacking_call
from interop._words import advice

_KINDS: Final = {
    "O": "Python objects",
    "S": "byte strings",
    "U": "strings",
    "T": "strings",
    "M": "datetimes",
    "m": "timedeltas",
    "V": "structures or raw bytes",
}

#: What numpy has in more bits than anything else, rounded.
_LONG: Final = {"f": "float64", "c": "complex128"}


def refusal_text(x: Any) -> str:
    """Why an array is no tensor by its element type, and what makes one of it."""
    dtype = x.dtype
    what = f"{_KINDS[dtype.kind]} ({dtype})" if dtype.kind in _KINDS else str(dtype)
    found = calls_for(x, "x")
    fix = advice(found, otherwise_for(x, "x.tolist()"))
    notes = {"M": " It counts units of time.", "m": " It counts units of time."}
    rounds = " That rounds." if dtype.kind in _LONG and found else ""
    return f"a numpy array of {what} is no tensor that other libraries know.{notes.get(dtype.kind, '')} {fix}{rounds}"


def otherwise_for(x: Any, values: str) -> str:
    """What to do where nothing makes one array of an array; what spells a list of its values is passed."""
    if x.dtype.kind == "O" and holds_arrays(x.flat):
        return f"interop.convert_tree({values}, 'numpy'), or another framework's name, converts what is in it."
    return "Encode its values as numbers first."


def calls_for(x: Any, text: str) -> list[str]:
    """Calls each of which makes an array of numbers of an array or a scalar.

    Parameters
    ----------
    x
        The array.
    text
        What spells it.
    """
    dtype = x.dtype
    if (dtype if dtype.isnative else dtype.newbyteorder("=")) in BY_NUMPY:
        return [text]
    if dtype.kind in "mM":
        return [f"{text}.astype('int64')"]
    if dtype.kind in _LONG:
        return [f"{text}.astype({_LONG[dtype.kind]!r})"]
    if dtype.kind == "O":
        return _calls_for_objects(x, text)
    return _calls_for_structures(x, text) if dtype.kind == "V" else []


def _calls_for_structures(x: Any, text: str) -> list[str]:
    if x.dtype.names is not None:
        return next(filter(None, (calls_for(x[name], f"{text}[{name!r}]") for name in x.dtype.names)), [])
    if not x.dtype.itemsize:
        return []
    if isinstance(x, np.generic):
        return [f"numpy.frombuffer({text}, 'uint8')"]
    return [f"numpy.ascontiguousarray({text}).view('uint8')"]


def _calls_for_objects(x: Any, text: str) -> list[str]:
    name = number_type(x.flat)
    if name:
        return [f"{text}.astype({name!r})"]
    if not isinstance(x, np.ndarray) or x.ndim != 1:
        return []
    stacked = stacking_call(x, f"list({text})")
    if stacked:
        return [stacked]
    # Lists of Python numbers, all of one length.
    values = x.tolist()
    return [f"numpy.array({text}.tolist())"] if values and is_numbers(values) else []
