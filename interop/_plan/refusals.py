"""What can't be done, and what to call instead: one function an error, asked in the order in which errors win."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from interop import _layout
from interop._devices import CUDA, CUDA_MANAGED
from interop._dtypes import COMPLEX
from interop._plan.case import VIEW
from interop._streams import ORDERED, PER_THREAD
from interop.errors import (
    PRECEDENCE,
    CopyError,
    DeviceError,
    DTypeError,
    GradientError,
    InteropError,
    ReadOnlyError,
    UnsupportedError,
    call_text,
    describe_facts,
    message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._plan.case import Case

#: The element type to ask for where the source's own has no equal; "float32" where none is named.
_HELPFUL: Final = {
    "bool": "uint8",
    "complex32": "complex64",
    "int4": "int8",
    "int2": "int8",
    "uint4": "uint8",
    "uint2": "uint8",
    "int64": "int32",
    "uint64": "uint32",
}

#: Where work is queued on streams.
_STREAMED: Final = frozenset({CUDA, CUDA_MANAGED})


def refusal(case: Case) -> InteropError | None:
    """Return a fresh instance of the error that stands against a conversion, or None."""
    for kind in PRECEDENCE:
        for check in _CHECKS[kind]:
            error = check(case)
            if error is not None:
                return error
    return None


def refuse(case: Case) -> None:
    """Raise the error that stands against a conversion, if there is one."""
    error = refusal(case)
    if error is not None:
        try:
            raise error
        finally:
            # The traceback holds this frame: an error that the frame holds too keeps itself, and the tensor, alive.
            del error


def _what(case: Case) -> str:
    asked = ", ".join(f"{name}={value!r}" for name, value in case.spelled().items())
    what = f"can't hand {describe_facts(case.facts, layout=True)} to {case.target}"
    return f"{what} with {asked}" if asked else what


def _call(case: Case, **changes: object) -> str:
    if case.target == VIEW:
        # What can be changed is the tensor that is looked at, by its own framework.
        own = {name: value for name, value in changes.items() if value is not None} or {"copy": True}
        if case.facts.pending & {"encoded", "chunked", "byteorder", "strides"} and case.facts.device.is_host:
            # A copy of its framework's own may be encoded again (pyarrow's booleans are bits in each array), or there
            # is none: polars and whatever only has a buffer are sources only.
            return f"interop.view({call_text('numpy', **own)})"
        return f"interop.view({call_text(case.facts.framework.partition(' ')[0], **own)})"
    return call_text(case.target, **case.spelled(**changes))


def _traced(case: Case) -> InteropError | None:
    """What can't be done with what only stands for values: its framework's operations are all there is."""
    facts = case.facts
    if not facts.traced:
        return None
    if not case.same:
        return UnsupportedError(facts.traced)
    if case.options.order == "F" and not _layout.is_f(facts.shape, _layout.c_strides(facts.shape)):
        why = f"how traced values lie in memory is for {case.target}'s compiler to say"
        return UnsupportedError(message(_what(case), why, f"{_call(case, order=None)} leaves it to that."))
    return None


def _traced_device(case: Case) -> InteropError | None:
    room = case.limits
    alone = case.facts.device.is_host and not case.moves and room is not None and room.devices == 1
    if not case.facts.traced or case.options.device is None or alone:
        return None
    why = "where traced values live is decided when the function is called"
    return DeviceError(message(_what(case), why, f"{_call(case, device=None)} leaves them there."))


def _dimensions(case: Case) -> InteropError | None:
    shape, room = case.facts.shape, case.limits
    # Of a device that the target lacks no limits are known, nor the shape of what has to be exported first.
    if case.same or room is None or not case.has_shape or room.min_ndim <= len(shape) <= room.max_ndim:
        return None
    if len(shape) < room.min_ndim:
        why = f"{case.target} holds no arrays of fewer than {room.min_ndim} dimensions and this has {len(shape)}"
        wanted = (*[1] * (room.min_ndim - len(shape)), *shape)
    else:
        why = f"{case.target} holds at most {room.max_ndim} dimensions and this has {len(shape)}"
        first = len(shape) - room.max_ndim + 1
        wanted = (math.prod(shape[:first]), *shape[first:])
    return UnsupportedError(message(_what(case), why, f"Reshape it first: {_reshaped(case, wanted)}."))


def _reshaped(case: Case, shape: tuple[int, ...]) -> str:
    lengths = ", ".join(map(str, shape))
    if not case.facts.device.is_host:
        return f"x.reshape({lengths})"
    # Not everything has a reshape of its own: a View, a capsule and what wraps an array have none.
    own = {} if case.facts.grad == "none" else {"detach": True}
    return _call(case).replace("(x", f"({call_text('numpy', **own)}.reshape({lengths})", 1)


def _order(case: Case) -> InteropError | None:
    shape, room = case.facts.shape, case.limits
    if case.options.order != "F" or room is None or room.strides != "c" or not case.has_shape:
        return None
    if _layout.is_f(shape, _layout.c_strides(shape)):
        return None
    why = f"{case.target}'s arrays are in C order, always"
    return UnsupportedError(message(_what(case), why, f"{_call(case, order=None)} gives one."))


def _gradient(case: Case) -> InteropError | None:
    if case.facts.grad == "none" or case.same or case.options.detach:
        return None
    carries = "requires grad" if case.facts.grad == "reverse" else "carries a forward-mode tangent"
    why = f"it {carries}, and {case.target} knows nothing of its graph"
    fix = f"{_call(case, detach=True)} hands over the values without the graph."
    return GradientError(message(_what(case), why, fix))


def _device(case: Case) -> InteropError | None:
    if case.limits is not None:
        return None
    if case.options.device is not None:
        why = f"{case.target} has no memory on {case.device}, here and now"
        if case.home:
            fix = f"{_call(case, device=None)} leaves it on {case.facts.device}."
        elif not case.facts.device.is_host:
            fix = f"{_call(case, device='cpu')} moves it to the host."
        else:
            fix = f"Name a device that {case.target} has on this machine; it can't live on {case.facts.device}."
        return DeviceError(message(_what(case), why, fix))
    why = f"{case.target} can't live on {case.facts.device}, and nothing moves between devices unless a device is named"
    there = str(case.there or ("cuda:0" if case.facts.device.is_host else "cpu"))
    return DeviceError(message(_what(case), why, f"{_call(case, device=there)} asks for the move."))


def _unfilled(case: Case) -> InteropError | None:
    """Where the target only takes memory that is there, and would have to fill some of its own."""
    room, device = case.limits, case.device
    if room is None or room.fills != "nothing" or not (case.moves or (case.same and case.reasons)):
        return None
    why = f"{case.target} only takes memory on {device}: it has no operation that fills it"
    inner = f"interop.to_torch(x, device={str(device)!r})"
    fix = f"Hand it what another framework has made there: {call_text(case.target).replace('(x', '(' + inner)}."
    return DeviceError(message(_what(case), why, fix))


def _absent(case: Case) -> InteropError | None:
    count, device = case.limits.devices if case.limits else None, case.device
    if count is None or device.index < count:
        return None
    there = f"{device.type}:0" if count == 1 else f"{device.type}:0 to {device.type}:{count - 1}"
    why = f"there is no {device}: {case.target} sees {count} device{'s' * (count != 1)}, {there}"
    return DeviceError(message(_what(case), why, f"{_call(case, device=f'{device.type}:0')} names one that is there."))


def _stream(case: Case) -> InteropError | None:
    """What is wrong with the stream, as far as can be told without asking CUDA."""
    facts, stream = case.facts, case.options.stream
    place = case.device if case.device.type_code in _STREAMED else facts.device
    if place.type_code not in _STREAMED:
        return None
    if stream is None and not facts.orderable and not facts.device.is_host and case.target != VIEW:
        why = "a capsule doesn't say which stream its data is ordered on"
        fix = f"{_call(case, stream=-1)} says that it is ordered on the current one."
        return DeviceError(message(_what(case), why, fix))
    if stream is None or stream == ORDERED:
        return None
    if stream.device is not None and stream.device.index != place.index:
        why = f"stream={stream!r} is a stream of {stream.device} and the memory is on {place}"
        return DeviceError(message(_what(case), why, f"{_call(case)} takes the current stream of {place}."))
    if stream == PER_THREAD and (case.reasons or not case.same):
        for name, limits in ((facts.framework, case.source_limits), (case.target, case.limits)):
            if limits is not None and not limits.per_thread_stream:
                why = f"stream=2 is CUDA's per-thread default stream, another one in each thread, and {name} rejects it"
                return DeviceError(
                    message(_what(case), why, f"{_call(case, stream=1)} takes the legacy default stream.")
                )
    return None


def _dtype(case: Case) -> InteropError | None:
    if case.same and not case.reasons:
        return None
    source, target = case.facts.dtype, case.dtype
    if case.casts and source.code == COMPLEX and target.code != COMPLEX:
        why = f"a cast from {source} to {target} would drop the imaginary part"
        return DTypeError(message(_what(case), why, "Take the real part or the absolute value of x first."))
    if target.name not in case.room.dtypes:
        lacking = case.room.lacking.get(target.name)
        why = f"{case.target} has no element type {target}" + (f" ({lacking})" if lacking else "")
        return DTypeError(message(_what(case), why, _helpful_dtype(case)))
    if case.casts and not (case.source_casts or case.target_casts):
        why = f"neither {case.facts.framework} nor {case.target} can compute {target} from {source}"
        return DTypeError(message(_what(case), why, _helpful_dtype(case)))
    if case.options.swapped and not case.room.swapped:
        why = f"{case.target} holds elements in this machine's byte order only"
        return DTypeError(message(_what(case), why, f"{_call(case, dtype=target.name)} gives those."))
    return None


def _helpful_dtype(case: Case) -> str:
    wider = ("complex64", "complex128") if case.facts.dtype.code == COMPLEX else ("float32", "float64", "int64")
    for name in (_HELPFUL.get(case.dtype.name), *wider):
        if name in case.room.dtypes and (case.source_casts_to(name) or case.target_casts):
            return f"{_call(case, dtype=name)} converts the values."
    if case.source_limits is None or "uint8" not in case.source_limits.dtypes & case.room.dtypes:
        return f"Ask for one of {case.target}'s own: {', '.join(sorted(case.room.dtypes))}."
    raw = call_text(case.target, **case.spelled(dtype=None)).replace("(x", f"(x.view({case.facts.framework}.uint8)", 1)
    return f"No dtype= helps; {raw} hands over the raw bytes."


def _readonly(case: Case) -> InteropError | None:
    options = case.options
    if options.writable is True and case.room.immutable:
        why = f"{case.target}'s arrays are never writable"
        return ReadOnlyError(message(_what(case), why, f"{_call(case, writable=None)} gives one that can be read."))
    if not case.facts.readonly or options.copy is not False:
        return None
    if options.writable is True and case.target == VIEW:
        made = call_text("numpy" if case.facts.device.is_host else "torch", writable=True)
        why = "it is readonly, writable memory takes a copy, and a View never copies"
        return ReadOnlyError(message(_what(case), why, f"interop.view({made}) copies."))
    if options.writable is True:
        why = "it is readonly, writable memory takes a copy, and copy=False forbids one"
        return ReadOnlyError(message(_what(case), why, f"{_call(case, copy=None)} copies."))
    if case.laundered:
        why = f"it is readonly, {case.target} can't express that, and copy=False forbids a copy"
        fix = f"{_call(case, copy=None)} copies."
        if len(case.reasons) == 1:
            # Where a copy is needed anyway no promise helps.
            fix = f"{_call(case, writable=False)} is your promise not to write; {fix}"
        return ReadOnlyError(message(_what(case), why, fix))
    return None


def _copy(case: Case) -> InteropError | None:
    if case.options.copy is not False or not case.reasons:
        return None
    forbids = "and a View never copies" if case.target == VIEW else "which copy=False forbids"
    why = f"a copy is needed, {forbids}: " + "; ".join(case.reasons)
    return CopyError(message(_what(case), why, f"{_call(case, copy=None)} copies."))


#: By what they raise; in the order in which they are asked.
_CHECKS: Final[Mapping[type[InteropError], tuple[Callable[[Case], InteropError | None], ...]]] = {
    UnsupportedError: (_traced, _dimensions, _order),
    GradientError: (_gradient,),
    DeviceError: (_traced_device, _device, _absent, _unfilled, _stream),
    DTypeError: (_dtype,),
    ReadOnlyError: (_readonly,),
    CopyError: (_copy,),
}
