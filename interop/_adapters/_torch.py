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
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.utils.dlpack import from_dlpack

from interop import _layout
from interop._adapters._shared.cuda import Loan, guard, has_streams
from interop._adapters._shared.host import copy_on_host, use_huge_pages, without_odd_strides
from interop._adapters._torch_code import TorchCode
from interop._adapters._torch_cuda import API, TorchStreams
from interop._adapters._torch_memory import KEEPER, is_inside, outside_text
from interop._adapters._torch_native import TorchNative
from interop._adapters._torch_shortcuts import lender, triples
from interop._adapters._torch_tracing import UNTRACED, crosses, crossing, looks, proxy_text, warn_if_tracing
from interop._changes import changed, is_unchanged
from interop._contract import ADAPTER_API, Facts, Limits, Pending
from interop._devices import CPU, CUDA, METAL, ONEAPI, device_of_pair
from interop._dtypes import BY_NAME, DType, dtype_of_triple, opaque_dtype
from interop._native import ExchangeAPI, ExchangeTaker, Named, Taker, View, make_view
from interop._words import name_of, short_name_of, text_of, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._devices import Device
    from interop._native import Lender

#: Shells without arithmetic: torch can store them, and neither cast nor exchange them.
_SHELLS: Final = frozenset({"int4", "uint4", "int2", "uint2", "float4_e2m1fn_x2"})

#: torch's element types by our names; which of them exist depends on the version.
DTYPES: Final[dict[Any, str]] = {
    getattr(torch, name): name
    for name in BY_NAME
    if isinstance(getattr(torch, name, None), torch.dtype) and name not in _SHELLS
}
BY_OUR_NAME: Final = {name: dtype for dtype, name in DTYPES.items()}

_QUANTIZED: Final = {
    getattr(torch, name): name for name in ("quint8", "qint8", "qint32", "quint4x2", "quint2x4") if hasattr(torch, name)
}

#: Layouts that aren't strided memory, and what makes it of them.
_LAYOUT_FIXES: Final = {
    "torch.jagged": "x.to_padded_tensor(0.0)",
    "torch._mkldnn": "x.to_dense()",
}

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
    name = "torch"
    modules = ("torch",)

    _room = Limits(
        dtypes=frozenset(BY_OUR_NAME),
        strides="nonnegative",
        # c10::complex<double> is declared with 16-byte alignment, so that the compiler may use aligned loads;
        # torch itself accepts misaligned memory without a word.
        alignment=0,
        readonly="drops",
        decodes=frozenset(_QUANTIZED.values()),
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
            return self._describe_odd(x)
        try:
            pending, grad = _pending(x), _grad(x)
            view = KEEPER.lend(_API, x)
        except (UnsupportedError, RuntimeError):  # whatever it is that isn't plain, the long way finds its name
            return self._describe_odd(x)
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
            return self._describe_odd(x)
        if (_pending(x), _grad(x), DTYPES.get(x.dtype)) != (pending, grad, view.dtype.name):
            raise changed(facts)
        return facts

    def _describe_odd(self, x: Any) -> Facts:
        """The same for what isn't plain, attribute by attribute."""
        _refuse_unplain(x)
        dtype = _dtype(x)
        try:
            # The storage first, and the address as close to it as can be.
            storage, ptr = x.untyped_storage(), x.data_ptr()
        except RuntimeError as err:  # functorch's wrappers have no storage of their own
            raise UnsupportedError(_wrapped_text(x)) from err
        shape, strides = tuple(x.shape), tuple(x.stride())
        size = x.element_size()
        facts = Facts(
            framework=self.name,
            dtype=dtype,
            device=_device(x.device),
            shape=shape,
            strides=strides,
            ptr=ptr,
            extent=_layout.extent(ptr, shape, tuple(step * size for step in strides), size),
            readonly=False,
            grad=_grad(x),
            pending=_pending(x),
        )
        if (x.data_ptr(), tuple(x.shape), tuple(x.stride()), _dtype(x)) != (ptr, shape, strides, dtype):
            raise changed(facts)
        if not is_inside(facts, storage):
            raise UnsupportedError(outside_text(facts, storage))
        return facts

    def outline(self, x: Any, /) -> tuple[DType, Device]:
        """Element type and device, which a tensor has without memory too: inside of torch.func, or of a fake mode."""
        _refuse_shapeless(x)
        return _dtype(x), _device(x.device)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Detach from the graph; nothing is ever lazy."""
        if "detach" not in what:
            return x
        # detach() keeps a forward-mode tangent.
        return forward_ad.unpack_dual(x).primal.detach() if _has_tangent(x) else x.detach()

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
        if not isinstance(device, torch.device) or device.type not in _DEVICE_TYPES:
            return None
        return _device(device).dlpack

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


def _overrides_dispatch(tp: type) -> bool:
    base = getattr(torch.Tensor, "__torch_dispatch__")  # noqa: B009 - not as a method of the class, which it isn't
    return bool(getattr(tp, "__torch_dispatch__", base) != base)


def _refuse_shapeless(x: Any) -> None:
    tp = type(x)
    if issubclass(tp, Proxy):
        raise UnsupportedError(proxy_text(x))
    if isinstance(x, (UninitializedBuffer, UninitializedParameter)):
        name = with_article(short_name_of(tp))
        msg = f"{name} has no shape and no memory yet. Run the lazy module once, or materialise it."
        raise UnsupportedError(msg)


def _refuse_unplain(x: Any) -> None:
    _refuse_shapeless(x)
    tp = type(x)
    if x.layout != torch.strided:
        fix = _LAYOUT_FIXES.get(str(x.layout), "x.to_dense()")
        msg = f"a torch tensor of layout {x.layout}, {tuple(x.shape)}, is not one block of strided memory. Pass {fix}."
        raise UnsupportedError(msg)
    if x.is_nested:
        msg = "a nested torch tensor is not one block of strided memory. Pass x.to_padded_tensor(0.0)."
        raise UnsupportedError(msg)
    if x.device.type == "meta":
        msg = f"a meta tensor {tuple(x.shape)} has no memory. Make it real: torch.empty_like(x, device='cpu')."
        raise UnsupportedError(msg)
    if _overrides_dispatch(tp):
        msg = (
            f"{with_article(name_of(tp))} overrides __torch_dispatch__ "
            "(a fake, traced or wrapped tensor), so "
            "that its memory isn't its values. Hand over the plain tensor that it wraps."
        )
        raise UnsupportedError(msg)
    if torch._is_functional_tensor(x):  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - numpy() returns uninitialised memory for these, and nothing public tells
        raise UnsupportedError(_wrapped_text(x))


def _wrapped_text(x: Any) -> str:
    return (
        f"a tensor {tuple(x.shape)} inside torch.func (vmap, grad, jvp, functionalize) is a wrapper without memory of "
        "its own. Convert outside of the transformed function."
    )


def _dtype(x: Any) -> DType:
    name = DTYPES.get(x.dtype)
    if name is None:
        # Under torch's own name: its int4 isn't the int4 of another library.
        return opaque_dtype(_QUANTIZED.get(x.dtype) or str(x.dtype), 8 * x.element_size())
    row = BY_NAME[name]
    return dtype_of_triple(row.code, row.bits, row.lanes)


_DEVICE_TYPES: Final = {"cpu": CPU, "cuda": CUDA, "mps": METAL, "xpu": ONEAPI}


def _device(device: Any) -> Device:
    number = _DEVICE_TYPES.get(device.type)
    if number is None:
        msg = f"torch's device {device} has no DLPack device type. Move the tensor first: x.cpu()."
        raise UnsupportedError(msg)
    if device.index is not None:
        return device_of_pair(number, device.index)
    # Builds without CUDA have a device("cuda") too.
    has_current = number == CUDA and torch.cuda.is_available()
    return device_of_pair(number, torch.cuda.current_device() if has_current else 0)


def _native_device(device: Device) -> Any:
    return torch.device("cpu") if device.is_host else torch.device(device.type, device.index)


def _has_tangent(x: Any) -> bool:
    # _current_level is below 0 outside of dual_level(), where no tensor can carry a tangent.
    level = forward_ad._current_level  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - there is no public way
    return level >= 0 and forward_ad.unpack_dual(x).tangent is not None


def _grad(x: Any) -> Any:
    if x.requires_grad:
        return "reverse"
    return "forward" if _has_tangent(x) else "none"


def _pending(x: Any) -> frozenset[Pending]:
    found: set[Pending] = set()
    if x.is_conj():
        found.add("conj")
    if x.is_neg():
        found.add("neg")
    if x.is_quantized:
        found.add("encoded")
    return frozenset(found)


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
