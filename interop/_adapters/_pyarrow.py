"""pyarrow: arrays of one dimension, tensors of any; its nulls and chunks are no strided memory, its booleans bits.

Arrow's arrays are constant: what is exported from one is readonly. A tensor is readonly if what it was made of is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from interop._adapters._pyarrow_advice import calls_for
from interop._adapters._shared.host import HostLibrary, copy_values, without_odd_strides
from interop._adapters._shared.native import HostNative
from interop._contract import Facts, Limits, Pending
from interop._devices import CPU
from interop._dtypes import BY_NAME
from interop._layout import c_strides
from interop._native import View, lasting, make_view, ndarray_from_view, view_from_ndarray
from interop._words import advice
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._devices import Device
    from interop._dtypes import DType

#: Arrow's types whose values are elements of a fixed size, by our names.
_TYPES: Final[dict[str, Any]] = {
    **{name: getattr(pa, name)() for name in BY_NAME if name.startswith(("int", "uint")) and hasattr(pa, name)},
    **{f"float{bits}": getattr(pa, f"float{bits}")() for bits in (16, 32, 64)},
}
_NAMES: Final = {tp: name for name, tp in _TYPES.items()}

_BOOL8: Final[Any] = getattr(pa, "Bool8Array", ())

#: What an array of tensors has for an element.
_TENSOR_SCALAR: Final[Any] = getattr(pa, "FixedShapeTensorScalar", ())

#: What else pyarrow has, and what makes an array of it; a table's columns are looked at.
_FIXES: Final[tuple[tuple[str, str], ...]] = (
    ("Scalar", ""),
    ("Buffer", "A buffer has no element type. Pass numpy.frombuffer(x, 'uint8'), or with the type that its bytes are."),
    ("RecordBatch", ""),
    ("Table", ""),
    ("SparseCOOTensor", "Pass x.to_tensor()."),
    ("SparseCSRMatrix", "Pass x.to_tensor()."),
    ("SparseCSCMatrix", "Pass x.to_tensor()."),
    ("SparseCSFTensor", "Pass x.to_tensor()."),
)
_OTHERS: Final = tuple((getattr(pa, name), fix) for name, fix in _FIXES if hasattr(pa, name))

_OTHERS_TYPES: Final = tuple(tp for tp, _ in _OTHERS)

_OURS: Final = (pa.Array, pa.ChunkedArray, pa.Tensor, *_OTHERS_TYPES)

#: What arrays of another type are, by the question that finds them.
_TYPE_WORDS: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (pa.types.is_interval, "holds several numbers in one element"),
    (pa.types.is_temporal, "counts units of time"),
    (pa.types.is_dictionary, "holds indices into a dictionary"),
    (pa.types.is_decimal, "holds decimal numbers, which float64 rounds"),
    (pa.types.is_fixed_size_list, "holds lists"),
    (pa.types.is_nested, "is nested"),
    (pa.types.is_null, "has no values"),
)


#: Exact types of the arrays of numbers.
_NUMBERS: Final = tuple(type(pa.array([], tp)) for tp in _NAMES)

_BY_NUMPY: Final = {BY_NAME[name].numpy: tp for name, tp in _TYPES.items()}


def _show(x: Any) -> Any:
    a = np.from_dlpack(x)
    # Of an empty array it may be written.
    return NotImplemented if a.flags.writeable else a


def _take(a: np.ndarray[Any, Any]) -> Any:
    # It raises for what the core has no name for, and for strides of half an element.
    view = view_from_ndarray(a)
    tp = _BY_NUMPY.get(a.dtype)
    if tp is None or view.ptr % view.itemsize:
        return NotImplemented
    if view.ndim != 1:
        return pa.Tensor.from_numpy(lasting(a))
    if not view.contiguous:
        return NotImplemented
    return pa.Array.from_buffers(tp, len(a), [None, pa.foreign_buffer(view.ptr, view.nbytes, view)], 0)


#: Before 2.2.5 numpy asks for capsules that pyarrow warns of.
_SHOWN: Final = _show if np.from_dlpack(np.empty(0)).flags.writeable else None


class PyarrowAdapter(HostLibrary):
    """The adapter of pyarrow: arrays and chunked arrays of one chunk, tensors, arrays of tensors."""

    name = "pyarrow"
    modules = ("pyarrow",)
    native = HostNative(
        {pa.Tensor: pa.Tensor.to_numpy, pa.ChunkedArray: None, **dict.fromkeys(_NUMBERS, _SHOWN)}, take=_take
    )
    # A view of one dimension becomes a pyarrow.Array, of any other number a pyarrow.Tensor.
    room = Limits(
        dtypes=frozenset(_TYPES),
        strides="nonnegative",
        alignment=0,
        # Arrow packs booleans into bits.
        vectors=Limits(dtypes=frozenset({*_TYPES, "bool"}), strides="dense", alignment=0, own=frozenset({"bool"})),
    )

    def claims(self, tp: type, /) -> bool:
        """Whatever pyarrow holds data in; what is no tensor is refused by name."""
        return issubclass(tp, _OURS)

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the buffers; those of booleans are encoded, and chunks lie apart."""
        if _is_split(x):
            row = BY_NAME[_NAMES[_elements(x)]]
            pending: frozenset[Pending] = frozenset({"chunked"})
            # Of tensors each chunk is looked at: there may be nulls inside of one.
            tensors = [_view_of_tensors(x, chunk) for chunk in x.chunks] if x.type not in _NAMES else []
            shape = (len(x), *(tensors[0].shape[1:] if tensors else ()))
            facts = replace(super().describe(np.empty(0, row.numpy)), shape=shape, strides=c_strides(shape))
        elif _is_packed(x):
            pending = frozenset({"encoded"})
            facts = replace(super().describe(np.empty(0, bool)), shape=(len(x),), strides=(1,))
        else:
            return super().describe(x)
        return replace(facts, ptr=None, extent=None, readonly=True, pending=pending)

    def extents(self, x: Any, /) -> list[tuple[int, int]]:
        """Where the values of a chunked array lie, and the bits of booleans."""
        chunks = x.chunks if isinstance(x, pa.ChunkedArray) else [x]
        bits = x.type.bit_width
        return [
            (memory.address + chunk.offset * bits // 8, memory.address + -(-(chunk.offset + len(chunk)) * bits // 8))
            for chunk in chunks
            if len(chunk) and (memory := chunk.buffers()[1]) is not None
        ]

    def view(self, x: Any, /) -> View:
        """Look at the buffers; counting nulls, where Arrow hasn't yet, reads a bit for each."""
        if isinstance(x, np.ndarray) or _is_packed(x):
            return view_from_ndarray(_unpacked(x))
        return _view(x)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy; what lies in chunks, chunk by chunk."""
        if not _is_split(src):
            super().assign(dst, src)
            return
        into = ndarray_from_view((dst if isinstance(dst, View) else self.view(dst)).with_readonly(False))
        start = 0
        for chunk in src.chunks:
            copy_values(into[start : start + len(chunk)], ndarray_from_view(self.view(chunk)))
            start += len(chunk)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Make a readonly tensor of a tensor; an array is readonly. Booleans that have been written are packed."""
        if isinstance(x, np.ndarray):
            return pa.array(x)
        return super().settle(x, what) if isinstance(x, pa.Tensor) else x

    def wrap(self, view: View, /) -> Any:
        """Make an array (one dimension) or a tensor (any other number) on the View's memory."""
        view = without_odd_strides(view)
        if view.ndim != 1:
            return pa.Tensor.from_numpy(ndarray_from_view(view))
        return _array(view.dtype, view.shape[0], pa.foreign_buffer(view.ptr, view.nbytes, base=view))

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate from Arrow's own pool, which aligns to 64 bytes."""
        if len(shape) != 1:
            return super().empty(dtype, shape, strides, device)
        if dtype.name == "bool":
            return np.empty(shape, bool)
        return _array(dtype, shape[0], pa.allocate_buffer(dtype.itemsize * shape[0]))

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return pyarrow's types."""
        return {**_NAMES, pa.bool_(): "bool"}


def _is_packed(x: Any) -> bool:
    """Whether it is bits, without nulls: in one block or in several, it takes unpacking."""
    return isinstance(x, (pa.Array, pa.ChunkedArray)) and x.type == pa.bool_() and x.null_count == 0


def _is_split(x: Any) -> bool:
    """Whether it is numbers, or tensors of them, without nulls, in no chunk or in several."""
    if not isinstance(x, pa.ChunkedArray) or x.num_chunks == 1 or x.null_count:
        return False
    return _elements(x) in _NAMES and (x.num_chunks > 0 or x.type in _NAMES)


def _elements(x: Any) -> Any:
    """The type of the elements, of tensors too."""
    return x.type.value_type if isinstance(x.type, pa.FixedShapeTensorType) else x.type


def _unpacked(x: Any) -> np.ndarray[Any, Any]:
    """Booleans of a byte each: a copy of what pyarrow has packed."""
    if isinstance(x, np.ndarray):
        return x
    return np.asarray(x, dtype=bool)


def _array(dtype: DType, length: int, memory: Any) -> Any:
    return pa.Array.from_buffers(_TYPES[dtype.name], length, [None, memory], null_count=0)


def _view(x: Any) -> View:
    """Look at the memory of whatever is one block of elements, or refuse it with what makes it one."""
    if isinstance(x, pa.Tensor):
        return _view_of_ndarray(x, x.to_numpy(), writable=x.is_mutable)
    if isinstance(x, _TENSOR_SCALAR) and x.is_valid and x.type.value_type in _NAMES:
        return _view_of_tensor(x)
    if isinstance(x, _OTHERS_TYPES):
        raise UnsupportedError(_other_text(x))
    if not x.is_cpu:
        msg = f"a pyarrow.{type(x).__name__} on a device: pass x.copy_to(pyarrow.default_cpu_memory_manager())."
        raise UnsupportedError(msg)
    only = x
    if isinstance(x, pa.ChunkedArray):
        if x.num_chunks != 1:
            raise UnsupportedError(_chunked_text(x))
        only = x.chunk(0)
    if isinstance(only, pa.FixedShapeTensorArray):
        _refuse_nulls(x)
        return _view_of_tensors(x, only)
    name = _NAMES.get(only.type)
    if name is None and not isinstance(only, _BOOL8) and only.type != pa.bool_():
        raise UnsupportedError(_type_text(x))
    _refuse_nulls(x)
    if name is None:
        return _view_of_ndarray(only, only.to_numpy(zero_copy_only=True), writable=False)
    return _view_of_array(only, name)


def _other_text(x: Any) -> str:
    fix = next(fix for tp, fix in _OTHERS if isinstance(x, tp))
    if isinstance(x, pa.Scalar):
        fix = advice(calls_for(pa.array([x]), "pyarrow.array([x])"))
    elif not fix:
        fix = advice(calls_for(x), "None of its columns holds numbers: encode one as numbers first.")
    return f"a pyarrow.{type(x).__name__} is no tensor. {fix}"


def _chunked_text(x: Any) -> str:
    calls = calls_for(x)
    if x.type not in _NAMES and x.type != pa.bool_() and not isinstance(x.type, pa.FixedShapeTensorType):
        return _type_text(x)
    what = f"a pyarrow.ChunkedArray of {x.num_chunks} chunks, {x.type} ({len(x)},),"
    if x.null_count:
        return f"{what} has nulls ({x.null_count}), which no other library would see. {advice(calls)}"
    return f"{what} is not one block. {advice(calls)}"


def _view_of_array(x: Any, name: str) -> View:
    row = BY_NAME[name]
    memory = x.buffers()[1]
    # An empty array may have no buffer at all.
    ptr = 0 if memory is None else memory.address + x.offset * (row.bits // 8)
    return make_view(ptr, (len(x),), (1,), (row.code, row.bits, row.lanes), (CPU, 0), readonly=True, owner=x)


def _view_of_ndarray(x: Any, array: Any, *, writable: bool) -> View:
    return view_from_ndarray(array).with_owner(x).with_readonly(not writable)


def _view_of_tensors(x: Any, only: Any) -> View:
    """Look at an array of tensors, which is `x` or its one chunk."""
    values = only.type.value_type
    if values not in _NAMES:
        what = f"a pyarrow.FixedShapeTensorArray of {values} is no tensor that other libraries know."
        raise UnsupportedError(f"{what} {advice(calls_for(x))}")
    if only.storage.flatten().null_count:
        msg = f"a pyarrow.FixedShapeTensorArray has nulls inside of its tensors. {advice(calls_for(x))}"
        raise UnsupportedError(msg)
    return _view_of_ndarray(only, only.to_numpy_ndarray(), writable=False)


def _view_of_tensor(x: Any) -> View:
    """Look at one element of an array of tensors, which is constant as the array is."""
    if x.value.values.null_count:
        msg = f"a pyarrow.{type(x).__name__} has nulls inside. Pass x.value.values.fill_null(0), reshaped after."
        raise UnsupportedError(msg)
    return _view_of_ndarray(x, x.to_numpy(), writable=False)


def _refuse_nulls(x: Any) -> None:
    if x.null_count:
        msg = (
            f"a pyarrow.{type(x).__name__}, {x.type} ({len(x)},), has nulls ({x.null_count}), which no other "
            f"library would see. {advice(calls_for(x))}"
        )
        raise UnsupportedError(msg)


def _type_text(x: Any) -> str:
    what = f"a pyarrow.{type(x).__name__} of {x.type}"
    words = next(
        (words for question, words in _TYPE_WORDS if question(x.type)), "is no tensor that other libraries know"
    )
    if isinstance(x.type, pa.BaseExtensionType):
        words = "means more than its storage"
    return f"{what} {words}. {advice(calls_for(x))}"


adapter: Final = PyarrowAdapter()
