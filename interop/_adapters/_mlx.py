"""mlx: lazy arrays. What comes in is copied; what goes out is evaluated first, and may be written.

Its exports are legacy capsules with a byte offset, which some consumers ignore, and its own import narrows float64 and
complex128 without a word. Its documentation allows writing through a view of an array, so its memory isn't readonly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import mlx.core as mx
import numpy as np

from interop import _layout
from interop._adapters._shared.drafts import Draft, Drafting
from interop._adapters._shared.host import copy_on_host, without_odd_strides
from interop._adapters._shared.native import HostNative
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import CPU, HOST_ACCESSIBLE, METAL, device_of_pair
from interop._dtypes import BY_NAME, DType, dtype_of_triple
from interop._native import View, ndarray_from_view, view_from_dlpack, view_from_ndarray
from interop._words import text_of
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: mlx's element types by our names; a bool's is called bool_.
_BY_OUR_NAME: Final[dict[str, Any]] = {
    name: dtype for name in BY_NAME if (dtype := getattr(mx, "bool_" if name == "bool" else name, None)) is not None
}
_DTYPES: Final = {dtype: name for name, dtype in _BY_OUR_NAME.items()}

_ON_CPU: Final = frozenset(_BY_OUR_NAME)

_NO_FLOAT64: Final = "mlx has it on the CPU only: mlx.core.set_default_device(mlx.core.cpu)"


def _show(x: Any) -> Any:
    try:
        view = adapter.settle(x, _LAZY)
    except InteropError:  # inside compile, which the planner names
        return NotImplemented
    return ndarray_from_view(view) if type(view) is View else NotImplemented


def _copy(a: np.ndarray[Any, Any]) -> Any:
    view = view_from_ndarray(a)
    limits = adapter.limits(CPU)
    if not view.contiguous or limits is None or view.dtype.name not in limits.dtypes:
        return NotImplemented
    return _array(view)


class MlxAdapter(Drafting):
    """The adapter of mlx arrays."""

    api = ADAPTER_API
    native = HostNative({mx.array: _show}, copy=_copy)
    name = "mlx"
    modules = ("mlx",)

    def claims(self, tp: type, /) -> bool:
        """Exactly mlx's one type."""
        return issubclass(tp, mx.array)

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory, in mlx's own; what computes where the default device is a GPU has no float64."""
        if device_type not in (CPU, METAL):
            return None
        return _LIMITS if mx.default_device().type == mx.cpu else _LIMITS_ON_GPU

    def describe(self, x: Any, /) -> Facts:
        """Tell what is known of an array that may not have been evaluated; of an opened one, everything."""
        if isinstance(x, Draft):
            return self.describe_draft(x)
        if isinstance(x, View):
            return Facts(
                framework=self.name,
                dtype=x.dtype,
                device=x.device,
                shape=x.shape,
                strides=x.strides,
                ptr=x.ptr,
                extent=x.extent,
                readonly=x.readonly,
            )
        row = BY_NAME[_DTYPES[x.dtype]]
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=device_of_pair(*map(int, x.__dlpack_device__())),
            shape=x.shape,
            strides=None,
            ptr=None,
            extent=None,
            readonly=False,
            pending=frozenset({"lazy"}),
            certain=False,
            unknown="the strides and the address of an mlx array are known only after its evaluation",
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Evaluate the array and open it, or make one of what has been written."""
        if "written" in what:
            return self.written(x)
        if "lazy" not in what or isinstance(x, View):
            return x
        _evaluate(x)
        if int(x.__dlpack_device__()[0]) not in HOST_ACCESSIBLE:
            return x
        view = view_from_dlpack(x)
        # A legacy capsule, which can't say that the memory may be written.
        return view.with_readonly(False) if view.readonly else view

    def export(self, x: Any, _facts: Facts, _stream: Any, /) -> View:
        """Borrow the memory; the View holds the buffer, so that mlx doesn't reuse it."""
        if isinstance(x, Draft):
            return x.view
        opened = self.settle(x, frozenset({"lazy"}))
        if isinstance(opened, View):
            return opened
        msg = "the memory of an mlx array on a GPU is no host memory. Ask for the move: device='cpu'."
        raise UnsupportedError(msg)

    def wrap(self, view: View, /) -> Any:
        """Copy: there is no way to make an array on memory of the host."""
        return _array(view)

    def fill(self, draft: Draft, src: View) -> None:
        """Make the array in one pass where the layout is the one that is wanted, else write into mlx's own memory."""
        # mlx keeps the strides, and copies what lies between them too.
        if src.dtype.name == draft.dtype.name and _layout.follows(src.shape, src.strides, draft.strides):
            draft.made = _array(src)
            return
        made = mx.zeros(draft.shape, _BY_OUR_NAME[draft.dtype.name])
        copy_on_host(self.settle(made, frozenset({"lazy"})), src)
        draft.made = made

    def fresh(self, x: Any, draft: Draft) -> Any:
        """Cast and copy with mlx's own operations, lazily and with the graph."""
        if isinstance(x, View):
            return super().fresh(x, draft)
        native = _BY_OUR_NAME[draft.dtype.name]
        # A choice between two equals is a copy to the bit; array() and contiguous() may give the same memory.
        made = mx.where(mx.array(True), x, x) if x.dtype == native else x.astype(native)
        return mx.contiguous(made) if draft.is_c else mx.contiguous(made.transpose()).transpose()

    def readable(self, x: Any, dtype: DType) -> View:
        """Cast where mlx has the type, and bring the values to the host."""
        if x.dtype != _BY_OUR_NAME.get(dtype.name, x.dtype):
            x = x.astype(_BY_OUR_NAME[dtype.name])
        opened = self.settle(x, frozenset({"lazy"}))
        return opened if isinstance(opened, View) else view_from_ndarray(np.array(x))

    def finish(self, draft: Draft) -> Any:
        """Copy what another framework has written."""
        return _array(draft.view)

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return mlx's element types."""
        return _DTYPES

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of an ``mlx.core.Device``, or of ``mlx.core.cpu`` and ``mlx.core.gpu``."""
        kind = device.type if isinstance(device, mx.Device) else device
        if not isinstance(kind, mx.DeviceType):
            return None
        return (CPU if kind == mx.cpu else METAL, 0)


def _limits(dtypes: frozenset[str], lacking: dict[str, str]) -> Limits:
    # Its strides can be anything, but what it makes of negative ones is an error.
    return Limits(dtypes=dtypes, strides="any", readonly="drops", own=frozenset(BY_NAME), lacking=lacking)


_LIMITS: Final = _limits(_ON_CPU, {})
_LIMITS_ON_GPU: Final = _limits(_ON_CPU - {"float64"}, {"float64": _NO_FLOAT64})


def _evaluate(x: Any) -> None:
    try:
        mx.eval(x)
    except ValueError as err:
        msg = (
            f"an mlx array {x.shape} inside compile, vmap or grad has no values yet ({text_of(err)}). Convert outside "
            "of the transformed function."
        )
        raise UnsupportedError(msg) from err
    except RuntimeError as err:
        # A stream belongs to the thread that made it.
        msg = (
            f"an mlx array {x.shape} can't be evaluated in this thread ({text_of(err).rstrip('.')}). Call "
            "mlx.core.eval(x) in the thread that made it first."
        )
        raise UnsupportedError(msg) from err


def _array(view: View) -> Any:
    # The type said: by itself mlx makes float32 of float64.
    return mx.array(ndarray_from_view(without_odd_strides(view)), dtype=_BY_OUR_NAME[view.dtype.name])


_LAZY: Final = frozenset({"lazy"})


adapter: Final = MlxAdapter()
