"""torch: host and CUDA memory; everything that its own exports get wrong is looked at here.

Its exports skip or lack checks: the C exchange API and ``__dlpack__`` hand out the un-negated memory of a
negative-bit view, and null pointers for fake and zero tensors; ``numpy()`` inside ``functionalize`` returns
uninitialised memory; a DLPack export hangs on the live tensor, so that ``t.data = other`` leaves it stale.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.autograd import forward_ad
from torch.fx import Proxy
from torch.utils.dlpack import from_dlpack

from interop import _layout
from interop._adapters._shared.cuda import Loan, guard, has_streams
from interop._adapters._shared.host import copy_on_host, use_huge_pages, without_odd_strides
from interop._adapters._torch_code import TorchCode
from interop._adapters._torch_cuda import API, TorchStreams
from interop._adapters._torch_facts import (
    BY_OUR_NAME,
    DEVICE_TYPES,
    DTYPES,
    NAME,
    QUANTIZED,
    describe_odd,
    device_of,
    dtype_of,
    grad_of,
    has_tangent,
    pending_of,
    refuse_shapeless,
)
from interop._adapters._torch_memory import KEEPER, is_inside
from interop._adapters._torch_native import TorchNative
from interop._adapters._torch_shortcuts import lender, triples
from interop._adapters._torch_tracing import UNTRACED, crosses, crossing, looks, warn_if_tracing
from interop._changes import changed, is_unchanged
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import CPU, CUDA, device_of_pair
from interop._native import ExchangeAPI, ExchangeTaker, Named, Taker, View, make_view
from interop._words import text_of
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._devices import Device
    from interop._dtypes import DType
    from interop._native import Lender

_API: Final = API

#: The types that the exchange API is meant for; subclasses inherit it, fake tensors among them.
_EXACT: Final = frozenset({torch.Tensor, torch.nn.Parameter})


#: DLPack's codes of the element types of one byte that every torch takes: integers and booleans.
_BYTES: Final = frozenset({0, 1, 6})
_UINT8: Final = (1, 8, 1)


@guard
def borrowed(api: ExchangeAPI, view: View) -> Any:
    """A tensor on a View's memory, which it holds."""
    return api.wrap(view)


class TorchAdapter(TorchCode, TorchStreams):
    """The adapter of torch tensors."""

    api = ADAPTER_API
    name = NAME
    modules = ("torch",)

    _room = Limits(
        dtypes=frozenset(BY_OUR_NAME),
        strides="nonnegative",
        # c10::complex<double> is declared with 16-byte alignment, so that the compiler may use aligned loads;
        # torch itself accepts misaligned memory without a word.
        alignment=0,
        readonly="drops",
        decodes=frozenset(QUANTIZED.values()),
    )

    _on_cuda: Limits | None = None

    native = TorchNative(_API, DTYPES)

    def claims(self, tp: type, /) -> bool:
        """Tensors of every subclass, and what stands for one; those that trace or fake are refused by name."""
        return issubclass(tp, (torch.Tensor, Proxy))

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory, and CUDA where this build has it."""
        if device_type == CPU:
            return self._room
        return self._cuda_room() if device_type == CUDA else None

    def _cuda_room(self) -> Limits | None:
        """Ask once that says yes: the devices that CUDA has shown stay the same, and asking takes its time."""
        if self._on_cuda is None and torch.cuda.is_available():
            # As its own exports: the per-thread default stream is refused.
            self._on_cuda = replace(self._room, devices=torch.cuda.device_count(), per_thread_stream=False)
        return self._on_cuda

    crossing = staticmethod(crossing)

    @looks
    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the tensor, or refuse what isn't plain strided memory."""
        if _API is None or type(x) not in _EXACT or x.dtype not in DTYPES:
            return describe_odd(x)
        try:
            pending, grad = pending_of(x), grad_of(x)
            view = KEEPER.lend(_API, x)
        except (UnsupportedError, RuntimeError):  # whatever it is that isn't plain, the long way finds its name
            return describe_odd(x)
        facts = Facts(
            framework=self.name,
            dtype=view.dtype,
            device=view.device,
            shape=view.shape,
            strides=view.strides,
            ptr=view.ptr,
            extent=view.extent,
            readonly=False,
            grad=grad,
            pending=pending,
            view=view if view.device.type_code == CPU else None,
        )
        if not is_inside(facts, view.owner):
            return describe_odd(x)
        if (pending_of(x), grad_of(x), DTYPES.get(x.dtype)) != (pending, grad, view.dtype.name):
            raise changed(facts)
        return facts

    def outline(self, x: Any, /) -> tuple[DType, Device]:
        """Element type and device, which a tensor has without memory too: inside of torch.func, or of a fake mode."""
        refuse_shapeless(x)
        return dtype_of(x), device_of(x.device)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Detach from the graph; nothing is ever lazy."""
        if "detach" not in what:
            return x
        # detach() keeps a forward-mode tangent.
        return forward_ad.unpack_dual(x).primal.detach() if has_tangent(x) else x.detach()

    #: What keeps the memory of the host that is exported, and may still move until it is locked.
    keeper: Final = KEEPER

    @crosses
    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """Borrow the memory; the View holds the storage, since the tensor may be given another one."""
        if facts.view is not None:
            return facts.view
        streams = has_streams(facts.device)
        # The owner first. What the allocator is told, it is told through a tensor: another one on the storage.
        held = x.detach() if streams else x
        storage, now = held.untyped_storage(), self.describe(held)
        if not is_unchanged(facts, now) or not is_inside(now, storage):
            raise changed(facts)
        if now.view is not None:
            return now.view
        owner = Loan(held, facts.device, self) if streams else storage
        if streams and stream is not None:
            owner.order(stream)
        if now.strides is None or now.ptr is None:
            msg = f"a tensor's strides and address are always known: {now}"
            raise AssertionError(msg)
        dtype = now.dtype
        return make_view(
            now.ptr,
            now.shape,
            now.strides,
            (dtype.code, dtype.bits, dtype.lanes),
            now.device.dlpack,
            readonly=False,
            owner=owner,
            ordered=stream is not None or now.device.is_host,
        )

    @crosses
    def wrap(self, view: View, /) -> Any:
        """Make a tensor on the View's memory."""
        view = without_odd_strides(view)
        if _API is not None:
            return borrowed(_API, view)
        # Before torch 2.10 there is no exchange API, and what it has takes legacy capsules only, and no float8.
        view = view.with_readonly(False)
        if view.itemsize > 1 or view.dtype.code in _BYTES:
            return from_dlpack(view.__dlpack__())
        bits = make_view(
            view.ptr, view.shape, view.strides, _UINT8, view.device.dlpack, readonly=False, owner=view, ordered=True
        )
        return from_dlpack(bits.__dlpack__()).view(BY_OUR_NAME[view.dtype.name])

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate in any dense layout."""
        warn_if_tracing()
        try:
            made = torch.empty_strided(shape, strides, dtype=BY_OUR_NAME[dtype.name], device=_native_device(device))
        except RuntimeError as err:
            if not isinstance(err, torch.OutOfMemoryError) and _NO_HOST_MEMORY not in text_of(err):
                raise
            raise _memory_error(err) from err
        if type(made) is not torch.Tensor:
            msg = "a fake mode of torch is active, in which no memory can be made. Convert outside of it."
            raise UnsupportedError(msg)
        if device.is_host:
            use_huge_pages(made.data_ptr(), made.nbytes)
        return made

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with ``copy_``, which casts, moves, resolves bits, records the graph and counts versions."""
        if isinstance(dst, View):
            dst = self.wrap(dst)
        if dst.is_inference() and not torch.is_inference_mode_enabled():
            # copy_ itself refuses it when it has written.
            msg = "a tensor of inference mode is written inside of torch.inference_mode() only."
            raise UnsupportedError(msg)
        if isinstance(src, View):
            if src.device.is_host and not _can_wrap(src):
                if dst.device.type == "cpu" and not dst.requires_grad:
                    copy_on_host(self.export(dst, self.describe(dst), None), src)
                    return
                src = self._staged(src, self.describe(dst).dtype)
            else:
                src = self.read(src)
        elif src.is_quantized:
            src = src.dequantize()
        if src.is_neg() and src.dtype != dst.dtype:
            # copy_ casts first and negates then, which not every element type can.
            src = src.resolve_neg()
        try:
            dst.copy_(src)
        except torch.OutOfMemoryError as err:
            raise _memory_error(err) from err

    def _staged(self, src: View, dtype: DType) -> Any:
        """Host memory that torch can't read, in a tensor of its own."""
        staged = self.empty(dtype, src.shape, _layout.c_strides(src.shape), device_of_pair(CPU))
        copy_on_host(self.export(staged, self.describe(staged), None), src)
        return staged

    def read(self, src: View, /) -> Any:
        """Return a tensor of the View's values: on its memory, unless a stride is negative, which torch can't hold."""
        axes = [axis for axis, (n, step) in enumerate(zip(src.shape, src.strides, strict=True)) if step < 0 and n > 1]
        if not axes or src.size == 0:
            return self.wrap(src)
        return self.wrap(_mirrored(src)).flip(axes)

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return torch's element types."""
        return DTYPES

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """Return the pair of a ``torch.device``."""
        if not isinstance(device, torch.device) or device.type not in DEVICE_TYPES:
            return None
        return device_of(device).dlpack

    def lends(self) -> Mapping[type, Lender]:
        """Plain tensors on CUDA that need nothing done."""
        return dict.fromkeys(_EXACT, lender(_API, self)) if _API is not None else {}

    #: Its half of the handovers that end here; before torch 2.10 it takes nothing.
    take: Taker = (
        Taker()
        if _API is None
        else ExchangeTaker(
            _API, borrowed=Named(globals(), "borrowed"), dtypes=triples(DTYPES.values()), guards=UNTRACED
        )
    )


def _native_device(device: Device) -> Any:
    return torch.device("cpu") if device.is_host else torch.device(device.type, device.index)


#: What its allocator of host memory says in a plain RuntimeError.
_NO_HOST_MEMORY: Final = "can't allocate memory: "


def _memory_error(err: Exception) -> MemoryError:
    """The builtin that says so, in one line of torch's page."""
    text = text_of(err)
    return MemoryError((text.partition(_NO_HOST_MEMORY)[2] or text).partition(". ")[0])


def _mirrored(view: View) -> View:
    """The same elements from the lowest address on: the axes whose stride is negative run the other way."""
    dtype = view.dtype
    return make_view(
        view.extent[0],
        view.shape,
        tuple(map(abs, view.strides)),
        (dtype.code, dtype.bits, dtype.lanes),
        view.device.dlpack,
        readonly=view.readonly,
        owner=view,
        ordered=view.ordered,
    )


def _can_wrap(view: View) -> bool:
    aligned = view.ptr % view.itemsize == 0
    return view.dtype.name in BY_OUR_NAME and aligned and _layout.fits(view.shape, view.strides, "nonnegative")


adapter: Final = TorchAdapter()
