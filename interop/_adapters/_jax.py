"""jax: immutable arrays. It takes host memory that is dense and on a multiple of 64 bytes, and copies the rest unseen.

What its own calls get wrong is kept from them: ``copy=True`` aliases on the host, 64-bit types are truncated to 32 bits
where x64 is off (jax#11895), a readonly array is refused (jax#40789), and what it exports looks writable (jax#19123).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.dlpack import from_dlpack

from interop import _layout
from interop._adapters._shared.cuda import has_streams
from interop._adapters._shared.drafts import Draft, Drafting, copied, traced_facts
from interop._adapters._shared.host import without_odd_strides
from interop._adapters._shared.native import HostNative
from interop._aligned import ALIGNMENT
from interop._contract import ADAPTER_API, Facts, Limits, Pending
from interop._devices import CPU, CUDA, Device, device_of_pair
from interop._dtypes import BY_NAME, BY_NUMPY, INT, UINT, DType, dtype_of_triple
from interop._native import View, view_from_dlpack, view_from_ndarray
from interop._plan.case import ALLOCATORS_ALIGN
from interop.errors import DeviceError, InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: jax packs these; numpy and ml_dtypes give each a byte.
PACKED: Final = frozenset({"int4", "uint4", "int2", "uint2", "float4_e2m1fn"})

#: Truncated to 32 bits where x64 is off, as it is by default.
_WIDE: Final = frozenset({"int64", "uint64", "float64", "complex128"})

#: jax's scalar types by our names; which of them exist depends on the version. A bool's is called bool_, and those of
#: 6 bits are names that XLA has no arrays for.
_SCALARS: Final[dict[str, Any]] = {
    name: getattr(jnp, spelled)
    for name in BY_NAME
    if hasattr(jnp, spelled := "bool_" if name == "bool" else name) and not name.startswith("float6_")
}

_WITH_X64: Final = frozenset(_SCALARS)
_WITHOUT_X64: Final = _WITH_X64 - _WIDE
_BORROWED: Final = _WITH_X64 - PACKED


#: Before jax 0.8 it refuses axes in another order, or takes them for being in C order: the values are then wrong.
_ORDERS: Final[Literal["dense", "c"]] = "dense" if jax.__version_info__ >= (0, 8) else "c"


@cache
def _limits(alignment: int, devices: int, *, x64: bool, fills: Literal["anything", "moved"]) -> Limits:
    dtypes = _WITH_X64 if x64 else _WITHOUT_X64
    off = "jax.config.jax_enable_x64 is off: jax.config.update('jax_enable_x64', True)"
    return Limits(
        dtypes=dtypes,
        strides=_ORDERS,
        alignment=alignment,
        immutable=True,
        own=PACKED,
        lacking=dict.fromkeys(_WIDE - dtypes, off),
        devices=devices,
        fills=fills,
    )


_PLATFORMS: Final = {"cpu": CPU, "gpu": CUDA}
_NAMES: Final = {number: name for name, number in _PLATFORMS.items()}
_ALIGNMENTS: Final = {CPU: ALIGNMENT, CUDA: ALLOCATORS_ALIGN}


def _cast(x: Any, dtype: DType) -> Any:
    """Cast with jax's own operation."""
    if x.dtype.name == "float4_e2m1fn" and dtype.code in (INT, UINT):
        # XLA takes its greatest value, 6, for an infinity, and makes the greatest integer of it.
        x = x.astype(jnp.float32)
    return x.astype(dtype.numpy)


# Its attributes are made while the program runs.
_config: Any = jax.config


def _exported(x: Any, stream: int | None) -> View:
    return view_from_dlpack(x, stream=None if stream is None else int(stream))


def _x64() -> bool:
    # Asked anew each time: it can be switched while the program runs, for one thread alone too.
    return bool(_config.jax_enable_x64)


#: The concrete arrays; jax has no public name for their type.
_CONCRETE: Final = tuple(tp for tp in jax.Array.__subclasses__() if tp.__name__ == "ArrayImpl")

#: Arrays that are written in place, since jax 0.7.
_REFS: Final = tuple(tp for tp in (getattr(jax, "Ref", None),) if tp is not None)


def _show(x: Any) -> Any:
    if x.dtype not in _BUFFERED:
        return NotImplemented
    try:
        array: Any = np.asarray(x)
    except RuntimeError:  # deleted
        return NotImplemented
    # Otherwise it was put together from several devices, or copied into C order.
    return array if type(array.base) is memoryview else NotImplemented


def _take(a: np.ndarray[Any, Any]) -> Any:
    try:
        view = view_from_ndarray(a)
    except InteropError:
        return NotImplemented
    name = view.dtype.name
    if view.ptr % ALIGNMENT or not view.contiguous or name not in _BORROWED or (name in _WIDE and not _x64()):
        return NotImplemented
    return adapter.wrap(view)


def _copy(a: np.ndarray[Any, Any]) -> Any:
    view = view_from_ndarray(a)
    name = view.dtype.name
    # What is readonly is taken as it is where it can be.
    if view.readonly or not view.contiguous or name not in _BORROWED or (name in _WIDE and not _x64()):
        return NotImplemented
    return adapter.wrap(copied(a, view))


class JaxAdapter(Drafting):
    """The adapter of jax arrays."""

    api = ADAPTER_API
    native = HostNative(dict.fromkeys(_CONCRETE, _show), take=_take, copy=_copy)
    name = "jax"
    modules = ("jax",)

    def claims(self, tp: type, /) -> bool:
        """Arrays, and what stands for one: tracers, arrays of keys and references are refused by name."""
        return issubclass(tp, (jax.Array, Tracer, *_REFS))

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory, on one or several devices that jax makes of it, and CUDA where this build has it."""
        alignment = _ALIGNMENTS.get(device_type)
        devices = len(_devices(_NAMES[device_type])) if alignment else 0
        if not alignment or not devices:
            return None
        return _limits(alignment, devices, x64=_x64(), fills="anything" if device_type == CPU else "moved")

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the array; nothing waits for its values."""
        if isinstance(x, Draft):
            return self.describe_draft(x)
        if isinstance(x, Tracer):
            return _describe_tracer(x)
        _refuse_unplain(x)
        row = BY_NUMPY.get(x.dtype)
        if row is None:
            msg = f"a jax array of {x.dtype} is no tensor that other libraries know. Pass x.astype('float32')."
            raise UnsupportedError(msg)
        dtype = dtype_of_triple(row.code, row.bits, row.lanes)
        pending: set[Pending] = set()
        device = _device(x)
        if device.type_code == CPU and not x.is_ready():
            # On a GPU the memory is there before the values, and the export orders whoever reads them.
            pending.add("lazy")
        if dtype.name in PACKED:
            pending.add("encoded")
        # The address of an array whose values are still being computed is known to who waits for them.
        ptr = None if pending else x.unsafe_buffer_pointer()
        strides = _strides(x)
        steps = tuple(step * dtype.itemsize for step in strides)
        return Facts(
            framework=self.name,
            dtype=dtype,
            device=device,
            shape=x.shape,
            strides=strides,
            ptr=ptr,
            extent=None if ptr is None else _layout.extent(ptr, x.shape, steps, dtype.itemsize),
            readonly=True,
            immutable=True,
            pending=frozenset(pending),
        )

    def extents(self, x: Any, /) -> list[tuple[int, int]]:
        """Where packed elements lie."""
        start = x.unsafe_buffer_pointer()
        return [(start, start + x.on_device_size_in_bytes())]

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Wait for the values, or make an array of what has been written."""
        if "written" in what:
            return self.written(x)
        return jax.block_until_ready(x) if "lazy" in what else x

    def export(self, x: Any, _facts: Facts, stream: Any, /) -> View:
        """Borrow the memory; what the View holds keeps it also where the array is deleted, or donated."""
        return x.view if isinstance(x, Draft) else _exported(x, stream)

    def wrap(self, view: View, /) -> Any:
        """Make an array on the View's memory."""
        # It asks for a legacy capsule, which can't say readonly, and jax writes to no array.
        return from_dlpack(without_odd_strides(view.with_readonly(False) if view.readonly else view))

    def fill(self, draft: Draft, src: View) -> None:
        """Write values of another framework; those on a GPU jax takes as its own array first, and the host waits.

        Only memory that no loaded framework can copy, and what goes from one GPU to another, comes this way.
        """
        if not has_streams(src.device):
            super().fill(draft, src)
            return
        moved = jax.device_put(_cast(self.wrap(src), draft.dtype), _native_device(draft.device))
        # The source may be written, or be gone, when the call has returned, and jax's streams can't be waited for.
        draft.made = jax.block_until_ready(jnp.array(moved, copy=True))

    def fresh(self, x: Any, draft: Draft) -> Any:
        """Cast and move with jax's own operations; a plain copy is made in memory, since jax's own may alias."""
        if isinstance(x, Tracer):
            return _cast(x, draft.dtype) if x.dtype != draft.dtype.numpy else jnp.array(x, copy=True)
        if draft.device.is_host and (x.dtype == draft.dtype.numpy or not draft.is_c):
            return super().fresh(x, draft) if draft.dtype.name not in PACKED else jnp.array(x, copy=True)
        return jax.device_put(_cast(x, draft.dtype), _native_device(draft.device))

    def readable(self, x: Any, dtype: DType) -> View:
        """Cast where jax has the type now, and bring the values to the host."""
        if x.dtype != dtype.numpy and dtype.name in (_WITH_X64 if _x64() else _WITHOUT_X64):
            x = _cast(x, dtype)
        return view_from_ndarray(np.asarray(x))

    def finish(self, draft: Draft) -> Any:
        """Make the array on the draft's memory, which nobody else holds; where jax packs it, or on a GPU, a copy."""
        if draft.device.is_host and draft.dtype.name not in PACKED:
            view = draft.view
            return self.wrap(view.with_device(*draft.device.dlpack) if draft.device.index else view)
        return jax.device_put(jnp.array(draft.array), _native_device(draft.device))

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return jax's scalar types; its dtype objects are numpy's."""
        return _NATIVE

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """Return the pair of a ``jax.Device``."""
        known = isinstance(device, jax.Device) and getattr(device, "platform", "") in _PLATFORMS
        return _pair(device) if known else None


def _describe_tracer(x: Any) -> Facts:
    """Say what is known of an array inside of a transformed function, where jax's own operations alone work on it."""
    text = (
        f"a jax tracer, {x.aval}, stands for an array inside jit, grad or vmap and has no values. Convert outside "
        "of the transformed function, or call back out of it with jax.pure_callback."
    )
    row = BY_NUMPY.get(x.dtype)
    if row is None:
        raise UnsupportedError(text)
    dtype, device = dtype_of_triple(row.code, row.bits, row.lanes), device_of_pair(*_pair(jax.local_devices()[0]))
    return traced_facts("jax", dtype, device, x.shape, text)


def _refuse_unplain(x: Any) -> None:
    if isinstance(x, _REFS):
        msg = "a jax reference is a box whose array is replaced when it is written. Pass x[...], the array in it now."
        raise UnsupportedError(msg)
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        msg = f"a jax array of keys {x.shape} has no numbers of its own. Pass jax.random.key_data(x)."
        raise UnsupportedError(msg)
    if x.is_deleted():
        msg = f"a jax array, {x.dtype} {x.shape}, has been deleted or donated: its memory is gone. Copy it beforehand."
        raise UnsupportedError(msg)
    count = len(x.sharding.device_set)
    if count > 1:
        one = "x.addressable_data(0)" if x.is_fully_replicated else "jax.device_put(x, jax.devices()[0])"
        msg = f"a jax array, {x.dtype} {x.shape}, lies on {count} devices ({x.sharding}). Pass {one}."
        raise UnsupportedError(msg)


def _strides(x: Any) -> tuple[int, ...]:
    if x.ndim > 1:
        # Before jax 0.6.2 the format was called layout, and the layout in it device_local_layout.
        held = getattr(x, "format", None) or x.layout
        layout = getattr(held, "layout", None) or getattr(held, "device_local_layout", None)
        if layout is not None:
            order = layout.major_to_minor
            dense = _layout.c_strides(tuple(x.shape[axis] for axis in order))
            return tuple(dense[order.index(axis)] for axis in range(x.ndim))
    return _layout.c_strides(x.shape)


def _pair(device: Any) -> tuple[int, int]:
    number = _PLATFORMS.get(device.platform)
    if number is None:
        msg = f"jax's device {device} has no DLPack device type. Move the array first: jax.device_get(x)."
        raise UnsupportedError(msg)
    return (number, device.local_hardware_id)


def _device(x: Any) -> Device:
    (device,) = x.sharding.device_set
    return device_of_pair(*_pair(device))


def _devices(platform: str) -> list[Any]:
    try:
        return list(jax.local_devices(backend=platform))
    except RuntimeError:  # there is no such backend
        return []


def _native_device(device: Device) -> Any:
    platform = "cpu" if device.is_host else "gpu"
    found = [one for one in _devices(platform) if one.local_hardware_id == device.index]
    if not found:
        msg = f"jax has no device {device} in this process. Pass one of jax.devices()."
        raise DeviceError(msg)
    return found[0]


_NATIVE: Final = {scalar: name for name, scalar in _SCALARS.items()}

#: What jax shows as a buffer, so that numpy's asarray borrows it. The small floats have none.
_BUFFERED: Final = frozenset(dtype for dtype in BY_NUMPY if dtype.kind in "biufc")


adapter: Final = JaxAdapter()
