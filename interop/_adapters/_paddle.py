"""paddle: host memory through its C exchange API, which looks at less than it should.

It exports what requires grad, it takes negative strides and can't use them, it takes memory of a device that isn't
there and ends the process, and its ``__dlpack_device__`` says ``(1, None)``. It can't express readonly. It calls
deleters under a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import paddle

from interop import _layout
from interop._adapters._shared.cuda import has_streams
from interop._adapters._shared.drafts import Draft, Drafting
from interop._adapters._shared.host import copy_values, without_odd_strides
from interop._adapters._shared.native import HostNative
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import CPU
from interop._native import (
    ExchangeAPI,
    ExchangeStreams,
    View,
    ndarray_from_view,
    view_from_dlpack,
    view_from_ndarray,
)
from interop._streams import ORDERED, Stream
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from interop._devices import Device
    from interop._dtypes import DType

#: What it exchanges; paddle.uint16 is its older name of bfloat16, and its real uint16 prints as that.
_NAMES: Final = (
    *("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool"),
)
_BY_OUR_NAME: Final[dict[str, Any]] = {
    name: dtype for name in _NAMES if (dtype := getattr(paddle, name, None)) is not None
}

if hasattr(paddle.dtype, "UINT16"):
    _BY_OUR_NAME["uint16"] = paddle.dtype.UINT16

#: It has kernels for most of them only; the rest it holds, and numpy copies and casts.
_HELD: Final = frozenset({"uint16", "uint32", "uint64"})

_LIMITS: Final = Limits(
    dtypes=frozenset(_BY_OUR_NAME),
    strides="nonnegative",
    alignment=0,
    max_ndim=9,
    readonly="drops",
)

#: Its PaddleDeleterManager calls a deleter under its mutex, which every release of imported memory takes: a deleter
#: that releases such a tensor waits for ever (seen in 3.3.1).
_API: Final = ExchangeAPI.of(paddle.Tensor, deletes_under_lock=True)

#: The streams that it works on; none before it has an exchange API that tells.
_STREAMS: Final = None if _API is None else ExchangeStreams.of(_API)

#: What stands for a tensor while a static program is built.
_SYMBOLS: Final = tuple(tp for tp in (getattr(paddle.base.libpaddle.pir, "Value", None),) if tp is not None)


def _show(x: Any) -> Any:
    if not x.stop_gradient:
        return NotImplemented
    try:
        _refuse_unplain(x)
        return ndarray_from_view(_export(x))
    except InteropError:
        return NotImplemented


def _take(a: np.ndarray[Any, Any]) -> Any:
    try:
        view = view_from_ndarray(a)
    except InteropError:
        return NotImplemented
    room = _LIMITS
    if view.readonly or view.ndim > room.max_ndim or view.dtype.name not in room.dtypes or view.ptr % view.itemsize:
        return NotImplemented
    fits = view.contiguous or _layout.fits(view.shape, view.strides, room.strides)
    return adapter.wrap(view) if fits else NotImplemented


class PaddleAdapter(Drafting):
    """The adapter of paddle tensors."""

    api = ADAPTER_API
    #: By the exchange API; before paddle had one, by its verbs alone.
    native = HostNative({paddle.Tensor: _show}, take=_take) if _API is not None else HostNative({paddle.Tensor: None})
    name = "paddle"
    modules = ("paddle",)

    def claims(self, tp: type, /) -> bool:
        """Tensors and parameters; the symbols of static programs are refused by name."""
        return issubclass(tp, (paddle.Tensor, *_SYMBOLS))

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory."""
        return _LIMITS if device_type == CPU else None

    def describe(self, x: Any, /) -> Facts:
        """Read the facts through the exchange API, after what it doesn't look at."""
        if isinstance(x, Draft):
            return self.describe_draft(x)
        _refuse_unplain(x)
        view = _peek(x)
        return Facts(
            framework=self.name,
            dtype=view.dtype,
            device=view.device,
            shape=view.shape,
            strides=view.strides,
            ptr=view.ptr,
            extent=view.extent,
            readonly=False,
            grad="none" if x.stop_gradient else "reverse",
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Detach from the graph; nothing is ever lazy."""
        if "written" in what:
            return self.written(x)
        return x.detach() if "detach" in what else x

    def export(self, x: Any, _facts: Facts, stream: Any, /) -> View:
        """Borrow the memory, which the View holds also where the tensor is given another; nothing is ordered."""
        if isinstance(x, Draft):
            return x.view
        view = _export(x)
        # The owner of a capsule would be asked for the order, and paddle's has none.
        return view.with_owner((view.owner,), ordered=stream == ORDERED) if has_streams(view.device) else view

    def current_stream(self, device: Device, /) -> Stream | None:
        """The stream that paddle works on, on a CUDA device: others are made to wait for it."""
        if _STREAMS is None or not has_streams(device):
            return None
        return Stream(_STREAMS(device.index), device)

    def wrap(self, view: View, /) -> Any:
        """Make a tensor on the View's memory."""
        view = without_odd_strides(view.with_readonly(False) if view.readonly else view)
        return paddle.from_dlpack(view) if _API is None else _API.wrap(view)

    def fresh(self, x: Any, draft: Draft) -> Any:
        """Cast and copy with paddle's own operations, which record the graph."""
        if draft.is_c and not {draft.dtype.name, _peek(x).dtype.name} & _HELD:
            native = _BY_OUR_NAME[draft.dtype.name]
            return paddle.assign(x) if x.dtype == native else x.cast(native)
        return super().fresh(x, draft)

    def readable(self, x: Any, dtype: DType) -> View:
        """Cast where paddle has kernels for both types."""
        view = _export(x.detach())
        if view.dtype.name != dtype.name and not {dtype.name, view.dtype.name} & _HELD and dtype.name in _BY_OUR_NAME:
            return _export(x.detach().cast(_BY_OUR_NAME[dtype.name]))
        return view

    def finish(self, draft: Draft) -> Any:
        """Make the tensor on the draft's memory, which nobody else holds."""
        return self.wrap(draft.view)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write into the memory of a tensor and count it as a write; everything else is a draft."""
        if not isinstance(dst, paddle.Tensor):
            super().assign(dst, src)
            return
        if not dst.stop_gradient:
            msg = "a tensor that requires grad isn't written in place"
            raise ValueError(msg)
        memory = ndarray_from_view(_export(dst))
        copy_values(memory, ndarray_from_view(src if isinstance(src, View) else _export(src.detach())))
        # What is saved for a backward pass is checked by this count.
        dst._bump_inplace_version()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - set_value doesn't count

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return paddle's element types."""
        return _DTYPES

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """Return the pair of the host's place."""
        return (CPU, 0) if isinstance(device, paddle.CPUPlace) else None


_DTYPES: Final = {dtype: name for name, dtype in _BY_OUR_NAME.items()}


def _refuse_unplain(x: Any) -> None:
    if isinstance(x, _SYMBOLS):
        msg = "a value of a static paddle program has no memory. Run the program, or leave it: paddle.disable_static()."
        raise UnsupportedError(msg)
    if not x.is_dense():
        kind = "sparse" if x.is_sparse() else "distributed or otherwise special"
        fix = "x.to_dense()" if x.is_sparse() else "a plain tensor"
        msg = f"a {kind} paddle tensor {tuple(x.shape)} is not one block of strided memory. Pass {fix}."
        raise UnsupportedError(msg)
    if x.size and not x._is_initialized():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - nothing public tells
        msg = "a paddle tensor that was never filled has no memory. Make it real: paddle.zeros(shape)."
        raise UnsupportedError(msg)


def _peek(x: Any) -> View:
    return _export(x.detach()) if _API is None else _API.peek(x, None)


def _export(x: Any) -> View:
    return view_from_dlpack(x) if _API is None else _API.export(x)


adapter: Final = PaddleAdapter()
