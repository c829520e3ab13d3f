"""Safetensors files of any framework: written from the tensors' own memory, read from a map of the file.

The format is `safetensors' own <https://huggingface.co/docs/safetensors/index#format>`_. Files are written by its
library; read they are without it, since it copies what it reads for numpy, and has no bfloat16 there.
"""

from __future__ import annotations

import importlib
import json
import math
import mmap
import os
import struct
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from interop._convert import convert
from interop._devices import CPU
from interop._dtypes import DType
from interop._pack._arrival import Memory, array_on
from interop._pack._header import Leaf
from interop._pack._landing import compact, landed
from interop._registry.targets import target_adapter
from interop._words import said, shown
from interop.errors import DTypeError, InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from interop._native import View
    from interop._typed import ConvertOptions

__all__ = ["load_file", "load_metadata", "save_file"]

#: The format's names of element types. Its packed ones of six bits have no counterpart.
_NAMES: Final = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F4": "float4_e2m1fn_x2",
}
_WRITTEN: Final = frozenset(_NAMES.values())

#: As the format has it: eight bytes of length, and at most so many of header.
_LENGTH: Final = struct.Struct("<Q")
_LONGEST: Final = 100_000_000

_PAIR: Final = "float4_e2m1fn_x2"


def save_file(
    tensors: Mapping[str, Any],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
    *,
    detach: bool = False,
    ties: Literal["refuse", "copy"] = "refuse",
) -> None:
    """Save tensors of any frameworks, also of several, in one safetensors file.

    Parameters
    ----------
    tensors
        By name.
    filename
        The file, which is written over.
    metadata
        Strings by name, which are saved with them.
    detach
        Take the values of tensors that require grad, without their graph.
    ties
        What becomes of tensors whose memory overlaps, which the format can't say: ``"refuse"``, or ``"copy"``, which
        writes each on its own.

    Raises
    ------
    UnsupportedError
        If tensors overlap, one is none, or the file can't be written.
    DTypeError
        If the format has no such element type. It has no other small floats than those of torch.
    GradientError
        If a tensor requires grad and ``detach`` wasn't said.

    Notes
    -----
    Tensors in C order are written from their own memory, all others from a copy: the format has no strides, and
    safetensors 0.8 writes Fortran order as if it were C order (safetensors#825).

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile, torch
    >>> from interop.integrations.safetensors import load_file, save_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"w": torch.ones(2, dtype=torch.bfloat16), "b": np.zeros(2)}, path)
    >>> load_file(path)
    {'b': array([0., 0.]), 'w': array([1, 1], dtype=bfloat16)}
    """
    library = _library()
    views = {name: _written(name, x, detach=detach) for name, x in tensors.items()}
    if ties == "refuse":
        _refuse_ties(views)
    dense = {name: memory if memory.contiguous else compact(memory) for name, memory in views.items()}
    specs = {
        name: library.TensorSpec(
            dtype=memory.dtype.name, shape=memory.shape, data_ptr=memory.ptr, data_len=memory.nbytes
        )
        for name, memory in dense.items()
    }
    try:
        library.serialize_file(specs, os.fspath(filename), None if metadata is None else dict(metadata))
    except Exception as err:
        msg = f"safetensors can't write {shown(os.fspath(filename))}: {said(err)}. Pass another file."
        raise UnsupportedError(msg) from err
    del dense


def _library() -> Any:
    try:
        return importlib.import_module("safetensors")
    except ImportError as err:
        msg = "safetensors isn't installed: pip install safetensors."
        raise UnsupportedError(msg) from err


def _written(name: Any, x: Any, *, detach: bool) -> View:
    if type(name) is not str:
        msg = f"a tensor's name is {shown(name)}: names are strings in a safetensors file."
        raise UnsupportedError(msg)
    try:
        memory = landed(x, detach=detach).view
    except InteropError as err:
        raise type(err)(f"{name}: {err}") from err
    if memory.dtype.name not in _WRITTEN:
        msg = f"{name} is {memory.dtype}, which the format doesn't have. Pass interop.to_numpy(x, dtype='float32')."
        raise DTypeError(msg)
    return memory


def _refuse_ties(views: dict[str, View]) -> None:
    end, last = 0, ""
    for low, high, name in sorted((*memory.extent, name) for name, memory in views.items() if memory.size):
        if low < end:
            msg = (
                f"{last!r} and {name!r} lie on one memory, and a safetensors file can't say so. Leave one of them out, "
                "or pass ties='copy' to have both written."
            )
            raise UnsupportedError(msg)
        if high > end:
            end, last = high, name


def load_file(
    filename: str | os.PathLike[str],
    to: str | ModuleType = "numpy",
    *,
    names: Iterable[str] | None = None,
    **options: Unpack[ConvertOptions],
) -> dict[str, Any]:
    """Load the tensors of a safetensors file into any framework, from a map of the file where that takes them.

    Parameters
    ----------
    filename
        The file.
    to
        The framework.
    names
        Which tensors, in that order; None is all of them, in the order of the file.
    **options
        As in :func:`interop.convert`, for each tensor.

    Returns
    -------
    dict
        The tensors by name. They can be written, and that is the process's own: it never reaches the file. With
        ``writable=False`` they are readonly, where that can be said.

    Raises
    ------
    UnsupportedError
        If the file is none, or is damaged, or has no such tensor.
    InteropError
        As :func:`interop.convert` raises them.

    Notes
    -----
    Nothing is read before it is used. A file that is made shorter while it is mapped ends the process, as with every
    map. What doesn't lie on a multiple of 64 bytes, jax copies.
    """
    data = _mapped(filename, readonly=_reads_only(to, options))
    header, start = _header(data)
    entries = {name: _entry(name, row, len(data) - start) for name, row in header.items() if name != "__metadata__"}
    wanted = list(entries) if names is None else list(names)
    block = memoryview(data)[start:]
    loaded: dict[str, Any] = {}
    for name in wanted:
        if name not in entries:
            msg = f"there is no tensor {shown(name)} in this file, but {', '.join(sorted(entries))[:200]}."
            raise UnsupportedError(msg)
        begin, end, leaf = entries[name]
        loaded[name] = convert(array_on(leaf, Memory(block[begin:end], end - begin, 0)), to, **options)
    return loaded


def load_metadata(filename: str | os.PathLike[str]) -> dict[str, str]:
    """Load the strings that were saved with the tensors.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from interop.integrations.safetensors import load_metadata, save_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"w": np.zeros(2)}, path, {"format": "np"})
    >>> load_metadata(path)
    {'format': 'np'}
    """
    header, _ = _header(_mapped(filename, readonly=True))
    found = header.get("__metadata__", {})
    if type(found) is not dict or not all(type(text) is str for text in found.values()):
        raise _damaged("its metadata are no strings")
    return found


def _reads_only(to: str | ModuleType, options: ConvertOptions) -> bool:
    """Whether the map is to be readonly: for a framework that takes only what never changes without a copy."""
    limits = target_adapter(to).limits(CPU)
    return options.get("writable") is False or (limits is not None and limits.immutable)


def _mapped(filename: str | os.PathLike[str], *, readonly: bool) -> mmap.mmap:
    try:
        with open(filename, "rb") as file:  # noqa: PTH123 - a path of whatever kind, and a mode that mmap wants
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ if readonly else mmap.ACCESS_COPY)
    except (OSError, ValueError, TypeError) as err:
        msg = f"{shown(filename)} can't be mapped ({said(err)}): pass the path of a safetensors file."
        raise UnsupportedError(msg) from err


def _damaged(why: str) -> UnsupportedError:
    return UnsupportedError(f"this is no safetensors file, or a damaged one: {why}. Save it again.")


def _header(data: mmap.mmap) -> tuple[dict[str, Any], int]:
    """What a file says of its tensors, and where their bytes begin."""
    if len(data) < _LENGTH.size:
        raise _damaged(f"it has {len(data)} bytes")
    (size,) = _LENGTH.unpack(data[: _LENGTH.size])
    start = _LENGTH.size + size
    if size > _LONGEST or start > len(data):
        raise _damaged(f"its header should have {size} bytes")
    try:
        found: Any = json.loads(data[_LENGTH.size : start])
    except (ValueError, RecursionError) as err:
        raise _damaged(f"its header is no JSON ({said(err)})") from err
    if type(found) is not dict:
        raise _damaged("its header is no object")
    return found, start


def _entry(name: str, row: Any, room: int) -> tuple[int, int, Leaf]:
    """Where a tensor's bytes are, and what they mean."""
    if type(row) is not dict or not {"dtype", "shape", "data_offsets"} <= row.keys():
        raise _damaged(f"{shown(name)} lacks its dtype, shape or data_offsets")
    offsets, shape, kind = row["data_offsets"], row["shape"], row["dtype"]
    if type(offsets) is not list or len(offsets) != 2 or any(type(n) is not int for n in offsets):  # noqa: PLR2004
        raise _damaged(f"{shown(name)} is at {shown(offsets)}")
    begin, end = offsets
    if not 0 <= begin <= end <= room or type(shape) is not list:
        raise _damaged(f"{shown(name)} of shape {shown(shape)} is at {shown(offsets)} of {room} bytes")
    dtype = _NAMES.get(kind) if type(kind) is str else None
    if dtype is None:
        msg = f"{shown(name)} is of the type {shown(kind)}, which no framework has. Load the others with names=."
        raise DTypeError(msg)
    if dtype == _PAIR and shape and type(shape[-1]) is int and shape[-1] % 2 == 0:
        # The format counts halves of a byte.
        shape = [*shape[:-1], shape[-1] // 2]
    leaf = Leaf.checked(dtype, shape, None, end - begin)
    if math.prod(leaf.shape) * DType(dtype).itemsize != end - begin:
        raise _damaged(f"{shown(name)} of shape {leaf.shape} has {end - begin} bytes")
    return begin, end, leaf
