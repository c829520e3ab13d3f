"""tensorflow: immutable tensors. It takes host memory in C order that is on a multiple of 64 bytes.

Its importer checks neither: what isn't aligned ends the process at the first operation, as does asking a tensor of
strings for a capsule. Its capsules are legacy ones, which can't say that a tensor is a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tensorflow as tf

from interop import _layout
from interop._adapters._shared.drafts import Draft, Drafting, copied, traced_facts
from interop._adapters._shared.host import without_odd_strides
from interop._adapters._shared.native import HostNative
from interop._aligned import ALIGNMENT
from interop._contract import ADAPTER_API, Facts, Limits, Pending
from interop._devices import CPU, CUDA, Device, device_of_pair
from interop._dtypes import BY_NUMPY, DType, dtype_of_triple
from interop._native import View, ndarray_from_view, view_from_dlpack, view_from_ndarray
from interop._words import with_article
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping


def _native(dtype: np.dtype[Any]) -> Any:
    try:
        return tf.as_dtype(dtype)
    except TypeError:  # it has none
        return None


#: tensorflow's element types with ours; quantized types, strings, variants and resources are none.
_DTYPES: Final[dict[Any, str]] = {
    native: row.name for dtype, row in BY_NUMPY.items() if (native := _native(dtype)) is not None
}
_BY_OUR_NAME: Final = {name: dtype for dtype, name in _DTYPES.items()}

#: What its DLPack knows; the float8, float4 and smaller integers cross by way of numpy.
_EXCHANGED: Final = frozenset({"bool", "bfloat16", "complex64", "complex128"}) | {
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64) if (kind, bits) != ("float", 8)
}
_OWN: Final = frozenset(_BY_OUR_NAME) - _EXCHANGED

_LIMITS: Final = Limits(
    dtypes=frozenset(_BY_OUR_NAME),
    strides="c",
    alignment=ALIGNMENT,
    # 254 in a shape; no array of numpy's has as many as that.
    max_ndim=64,
    immutable=True,
    own=_OWN,
)

_from_capsule = tf.experimental.dlpack.from_dlpack

#: The tensors that have values.
_Eager: Final = tf.__internal__.EagerTensor

_OUTSIDE: Final = (
    "Convert outside of the function; inside of it tensorflow.cast and tensorflow.identity do what dtype= and "
    "copy=True would."
)

#: What isn't one block of memory, or isn't there yet, and what to pass instead.
_UNPLAIN: Final = (
    (tf.RaggedTensor, "has rows of several lengths", "Pass x.to_tensor(), or x.flat_values."),
    (tf.SparseTensor, "holds its non-zero elements only", "Pass tensorflow.sparse.to_dense(x)."),
    (tf.IndexedSlices, "holds some of its rows only", "Pass tensorflow.convert_to_tensor(x)."),
    (tf.Tensor, "is a symbol inside a tensorflow.function and has no values", _OUTSIDE),
)

_WORDS: Final = {"string": "strings", "variant": "variants", "resource": "handles of resources"}


def _show(x: Any) -> Any:
    # Looked at first: asked for its capsule, a tensor of strings ends the process.
    if _DTYPES.get(x.dtype) not in _EXCHANGED:
        return NotImplemented
    try:
        return ndarray_from_view(view_from_dlpack(x))
    except InteropError:  # on a GPU
        return NotImplemented


def _take(a: np.ndarray[Any, Any]) -> Any:
    try:
        view = view_from_ndarray(a)
    except InteropError:
        return NotImplemented
    if view.ptr % ALIGNMENT or not view.contiguous or view.dtype.name not in _EXCHANGED:
        return NotImplemented
    return adapter.wrap(view)


def _copy(a: np.ndarray[Any, Any]) -> Any:
    view = view_from_ndarray(a)
    # What is readonly is taken as it is where it can be.
    if view.readonly or not view.contiguous or view.dtype.name not in _EXCHANGED:
        return NotImplemented
    return adapter.wrap(copied(a, view))


class TensorflowAdapter(Drafting):
    """The adapter of tensorflow's tensors and variables."""

    api = ADAPTER_API
    native = HostNative({_Eager: _show}, take=_take, copy=_copy)
    name = "tensorflow"
    modules = ("tensorflow",)

    def claims(self, tp: type, /) -> bool:
        """Tensors and variables; ragged, sparse and symbolic tensors are refused by name."""
        return issubclass(tp, (tf.Variable, *(kind for kind, _, _ in _UNPLAIN)))

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory."""
        return _LIMITS if device_type == CPU else None

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the tensor, or refuse it before tensorflow is asked for what ends the process."""
        if isinstance(x, Draft):
            return self.describe_draft(x)
        if isinstance(x, tf.Tensor) and not isinstance(x, _Eager):
            return _describe_symbol(x)
        dtype = _dtype(x)
        pending: set[Pending] = set()
        ptr = None
        if isinstance(x, tf.Variable):
            # Its value is a tensor on the same memory, which a later assignment to the variable replaces.
            device = _variable_device(x)
            pending.add("lazy")
        else:
            device = device_of_pair(*map(int, x.__dlpack_device__()))
            if dtype.name not in _OWN and device.is_host:
                # There is no other way to the address. The reference is given back at once.
                ptr = view_from_dlpack(x).ptr
        if dtype.name in _OWN:
            pending.add("encoded")
        # Fully defined: _dtype has looked.
        shape = tuple(n for n in x.shape if n is not None)
        strides = _layout.c_strides(shape)
        steps = tuple(step * dtype.itemsize for step in strides)
        return Facts(
            framework=self.name,
            dtype=dtype,
            device=device,
            shape=shape,
            strides=strides,
            ptr=ptr,
            extent=None if ptr is None else _layout.extent(ptr, shape, steps, dtype.itemsize),
            readonly=True,
            immutable=True,
            pending=frozenset(pending),
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Read a variable, or make a tensor of what has been written."""
        if "written" in what:
            return self.written(x)
        return x.value() if "lazy" in what and isinstance(x, tf.Variable) else x

    def export(self, x: Any, _facts: Facts, _stream: Any, /) -> View:
        """Borrow the memory."""
        return x.view if isinstance(x, Draft) else view_from_dlpack(x)

    def wrap(self, view: View, /) -> Any:
        """Make a tensor on the View's memory."""
        # A legacy capsule can't say readonly, and tensorflow writes to no tensor.
        view = without_odd_strides(view.with_readonly(False) if view.readonly else view)
        return _from_capsule(view.__dlpack__())

    def fresh(self, x: Any, draft: Draft) -> Any:
        """Cast and copy with tensorflow's own operations, so that a tape that watches follows."""
        x = self.settle(x, frozenset({"lazy"}))
        try:
            if x.dtype != _BY_OUR_NAME[draft.dtype.name]:
                return tf.cast(x, _BY_OUR_NAME[draft.dtype.name])
            return _copied(x)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnimplementedError):
            # It has no kernel for the type.
            return super().fresh(x, draft)

    def readable(self, x: Any, dtype: DType) -> View:
        """Cast where tensorflow can, and bring the values to the host."""
        x = self.settle(x, frozenset({"lazy"}))
        native = _BY_OUR_NAME.get(dtype.name)
        if native is not None and x.dtype != native and not {dtype.name, _DTYPES[x.dtype]} & _OWN:
            x = tf.cast(x, native)
        # One of no dimensions comes as a scalar.
        return view_from_ndarray(np.asarray(x.numpy()))

    def finish(self, draft: Draft) -> Any:
        """Make the tensor on the draft's memory, which nobody else holds; where DLPack can't say its type, a copy."""
        if draft.dtype.name in _OWN:
            return tf.constant(draft.array)
        return self.wrap(draft.view)

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return tensorflow's element types."""
        return _DTYPES

    def native_device(self, _device: object, /) -> tuple[int, int] | None:
        """Return None: tensorflow's devices are strings."""
        return None


#: identity() gives the same memory under another name, and what copies has no gradient of its own.
_copied: Any = tf.custom_gradient(lambda x: (tf.raw_ops.DeepCopy(x=x), lambda gradient: gradient))


def _describe_symbol(x: Any) -> Facts:
    """Say what is known of a tensor inside of a function, where tensorflow's own operations alone work on it."""
    text, name = _unplain_text(x), _DTYPES.get(x.dtype)
    if name is None or not x.shape.is_fully_defined():
        raise UnsupportedError(text)
    row = _ROWS[name]
    dtype = dtype_of_triple(row.code, row.bits, row.lanes)
    return traced_facts("tensorflow", dtype, device_of_pair(CPU), tuple(x.shape), text)


def _unplain_text(x: Any) -> str:
    what, fix = next((what, fix) for kind, what, fix in _UNPLAIN if isinstance(x, kind))
    return f"{with_article(type(x).__name__)} of tensorflow {what}. {fix}"


def _dtype(x: Any) -> DType:
    if not isinstance(x, (_Eager, tf.Variable)):
        raise UnsupportedError(_unplain_text(x))
    name = _DTYPES.get(x.dtype)
    if name is None:
        kind = x.dtype.name
        what = f"a tensorflow tensor of {_WORDS.get(kind, kind)}, {x.shape}"
        fix = "Encode them as numbers first." if kind in _WORDS else f"Pass tensorflow.bitcast(x, {kind[1:]!r})."
        msg = f"{what}, is no tensor that other libraries know. {fix}"
        raise UnsupportedError(msg)
    if not x.shape.is_fully_defined():
        msg = f"a tensorflow variable of the shape {x.shape} may change it. Pass x.value(), what it holds now."
        raise UnsupportedError(msg)
    row = _ROWS[name]
    return dtype_of_triple(row.code, row.bits, row.lanes)


_ROWS: Final = {row.name: row for row in BY_NUMPY.values()}


def _variable_device(x: Any) -> Device:
    spec = tf.DeviceSpec.from_string(x.device)
    return device_of_pair(CUDA if spec.device_type == "GPU" else CPU, spec.device_index or 0)


adapter: Final = TensorflowAdapter()
