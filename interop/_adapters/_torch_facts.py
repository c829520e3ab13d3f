"""What a torch tensor is, found by its attributes, and what isn't plain strided memory, refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch.autograd import forward_ad
from torch.fx import Proxy
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from interop import _layout
from interop._adapters._torch_memory import is_inside, outside_text
from interop._adapters._torch_tracing import proxy_text
from interop._changes import changed
from interop._contract import Facts, Pending
from interop._devices import CPU, CUDA, METAL, ONEAPI, device_of_pair
from interop._dtypes import BY_NAME, DType, dtype_of_triple, opaque_dtype
from interop._words import name_of, short_name_of, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from interop._devices import Device

NAME: Final = "torch"

#: Shells without arithmetic: torch can store them, and neither cast nor exchange them.
_SHELLS: Final = frozenset({"int4", "uint4", "int2", "uint2", "float4_e2m1fn_x2"})

#: torch's element types by our names; which of them exist depends on the version.
DTYPES: Final[dict[Any, str]] = {
    getattr(torch, name): name
    for name in BY_NAME
    if isinstance(getattr(torch, name, None), torch.dtype) and name not in _SHELLS
}
BY_OUR_NAME: Final = {name: dtype for dtype, name in DTYPES.items()}

QUANTIZED: Final = {
    getattr(torch, name): name for name in ("quint8", "qint8", "qint32", "quint4x2", "quint2x4") if hasattr(torch, name)
}

#: Layouts that aren't strided memory, and what makes it of them.
_LAYOUT_FIXES: Final = {
    "torch.jagged": "x.to_padded_tensor(0.0)",
    "torch._mkldnn": "x.to_dense()",
}


def describe_odd(x: Any) -> Facts:
    """The facts of a tensor that may not be plain, attribute by attribute."""
    _refuse_unplain(x)
    dtype = dtype_of(x)
    try:
        # The storage first, and the address as close to it as can be.
        storage, ptr = x.untyped_storage(), x.data_ptr()
    except RuntimeError as err:  # functorch's wrappers have no storage of their own
        raise UnsupportedError(_wrapped_text(x)) from err
    shape, strides = tuple(x.shape), tuple(x.stride())
    size = x.element_size()
    facts = Facts(
        framework=NAME,
        dtype=dtype,
        device=device_of(x.device),
        shape=shape,
        strides=strides,
        ptr=ptr,
        extent=_layout.extent(ptr, shape, tuple(step * size for step in strides), size),
        readonly=False,
        grad=grad_of(x),
        pending=pending_of(x),
    )
    if (x.data_ptr(), tuple(x.shape), tuple(x.stride()), dtype_of(x)) != (ptr, shape, strides, dtype):
        raise changed(facts)
    if not is_inside(facts, storage):
        raise UnsupportedError(outside_text(facts, storage))
    return facts


def _overrides_dispatch(tp: type) -> bool:
    base = getattr(torch.Tensor, "__torch_dispatch__")  # noqa: B009 - not as a method of the class, which it isn't
    return bool(getattr(tp, "__torch_dispatch__", base) != base)


def refuse_shapeless(x: Any) -> None:
    tp = type(x)
    if issubclass(tp, Proxy):
        raise UnsupportedError(proxy_text(x))
    if isinstance(x, (UninitializedBuffer, UninitializedParameter)):
        name = with_article(short_name_of(tp))
        msg = f"{name} has no shape and no memory yet. Run the lazy module once, or materialise it."
        raise UnsupportedError(msg)


def _refuse_unplain(x: Any) -> None:
    refuse_shapeless(x)
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


def dtype_of(x: Any) -> DType:
    name = DTYPES.get(x.dtype)
    if name is None:
        # Under torch's own name: its int4 isn't the int4 of another library.
        return opaque_dtype(QUANTIZED.get(x.dtype) or str(x.dtype), 8 * x.element_size())
    row = BY_NAME[name]
    return dtype_of_triple(row.code, row.bits, row.lanes)


DEVICE_TYPES: Final = {"cpu": CPU, "cuda": CUDA, "mps": METAL, "xpu": ONEAPI}


def device_of(device: Any) -> Device:
    number = DEVICE_TYPES.get(device.type)
    if number is None:
        fix = "Make it real: torch.empty_like(x, device='cpu')." if device.type == "meta" else "Move it first: x.cpu()."
        msg = f"torch's device {device} has no DLPack device type. {fix}"
        raise UnsupportedError(msg)
    if device.index is not None:
        return device_of_pair(number, device.index)
    # Builds without CUDA have a device("cuda") too.
    has_current = number == CUDA and torch.cuda.is_available()
    return device_of_pair(number, torch.cuda.current_device() if has_current else 0)


def has_tangent(x: Any) -> bool:
    # _current_level is below 0 outside of dual_level(), where no tensor can carry a tangent.
    level = forward_ad._current_level  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - there is no public way
    return level >= 0 and forward_ad.unpack_dual(x).tangent is not None


def grad_of(x: Any) -> Any:
    if x.requires_grad:
        return "reverse"
    return "forward" if has_tangent(x) else "none"


def pending_of(x: Any) -> frozenset[Pending]:
    found: set[Pending] = set()
    if x.is_conj():
        found.add("conj")
    if x.is_neg():
        found.add("neg")
    if x.is_quantized:
        found.add("encoded")
    return frozenset(found)
