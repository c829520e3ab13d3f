"""What can't be done, and what to call instead: one function an error, asked in the order in which errors win."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from interop import _layout
from interop._devices import CUDA, CUDA_MANAGED
from interop._dtypes import COMPLEX, HANDLE, DType
from interop._plan.case import VIEW
from interop._plan.nearest import nearest
from interop._plan.stand_ins import OF_NUMPY, stand_in, what_it_does
from interop._streams import ORDERED, PER_THREAD
from interop._words import about
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
    from collections.abc import Callable, Iterator, Mapping

    from interop._plan.case import Case

#: Where work is queued on streams.
_STREAMED: Final = frozenset({CUDA, CUDA_MANAGED})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands against a conversion.

    Attributes
    ----------
    why
        In words.
    fix
        Of the calls that work, what each of them does; or what to do where there is none.
    changes
        The options with which this no longer stands against it, for each of those calls; the last says what else
        stands against it then.
    instead
        What is passed in the place of `x` where no option helps.
    """

    why: str
    fix: str | tuple[str, ...]
    changes: tuple[Mapping[str, object], ...] = ()
    instead: str = ""


def _asking(why: str, does: str, **changes: object) -> Obstacle:
    """An obstacle that other options take away."""
    return Obstacle(why, (does,), (changes,))


def _passing(instead: str, why: str, does: str, **changes: object) -> Obstacle:
    """An obstacle that is taken away where something made of the object is passed."""
    return Obstacle(why, (does,), (changes,), instead)


def refusal(case: Case) -> InteropError | None:
    """Return a fresh instance of the error that stands against a conversion, or None."""
    found = _first(case)
    if found is None:
        return None
    kind, obstacle = found
    fix = _fix_text(case, obstacle)
    # What an adapter says is whole.
    return kind(message(_what(case), obstacle.why, fix) if obstacle.why else fix)


def _fix_text(case: Case, obstacle: Obstacle) -> str:
    fix = obstacle.fix
    if isinstance(fix, tuple):
        calls = (_call(case, obstacle.instead, **changes) for changes in obstacle.changes)
        return f"{'; '.join(f'{call} {does}' for call, does in zip(calls, fix, strict=True))}."
    return fix


def _first(case: Case) -> tuple[type[InteropError], Obstacle] | None:
    return next(_obstacles(case), None)


def _obstacles(case: Case) -> Iterator[tuple[type[InteropError], Obstacle]]:
    for kind in PRECEDENCE:
        for check in _CHECKS[kind]:
            obstacle = check(case)
            if obstacle is not None:
                yield kind, obstacle
                if check is _device:  # which the target lacks: of what it can hold there nothing is known
                    return


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


def _call(case: Case, instead: str = "", **changes: object) -> str:
    """The call with other options, and with what whatever else stands against it then asks for."""
    if case.target == VIEW:
        return _view_call(case, {name: value for name, value in changes.items() if value is not None})
    passed = instead or "x"
    for _ in _CHECKS:
        again = case.again(changes)
        obstacles = [] if again is None else [found for _, found in _obstacles(again) if found.changes]
        more = (found.changes[-1] for found in obstacles)
        asked = next((one for one in more if not one.items() <= changes.items()), None)
        if asked is None:
            for found in obstacles:
                passed = about(found.instead, passed) if found.instead not in ("", instead) else passed
            break
        changes |= asked
    return call_text(case.target, **case.spelled(**changes)).replace("(x", f"({passed}", 1)


def _view_call(case: Case, own: dict[str, object]) -> str:
    """What can be changed is the tensor that is looked at, by its own framework."""
    own = own or {"copy": True}
    if case.facts.pending & {"encoded", "chunked", "byteorder", "strides"} and case.facts.device.is_host:
        # A copy of its framework's own may be encoded again (pyarrow's booleans are bits in each array), or there is
        # none: polars and whatever only has a buffer are sources only.
        return f"interop.view({call_text('numpy', **own)})"
    return f"interop.view({call_text(case.facts.framework.partition(' ')[0], **own)})"


def _on_host(case: Case, **options: object) -> str:
    """An ndarray of what is in host memory: not everything has the methods of an array of its own."""
    dtype = case.facts.dtype
    held = {} if dtype.numpy is not None else {"dtype": nearest(dtype.name, OF_NUMPY) or "float32"}
    graph = {} if case.facts.grad == "none" else {"detach": True}
    return call_text("numpy", **graph, **held, **options)


def _traced(case: Case) -> Obstacle | None:
    """What can't be done with what only stands for values: its framework's operations are all there is."""
    facts = case.facts
    if not facts.traced:
        return None
    if not case.same:
        return Obstacle("", facts.traced)
    if case.options.order == "F" and not _layout.is_f(facts.shape, _layout.c_strides(facts.shape)):
        why = f"how traced values lie in memory is for {case.target}'s compiler to say"
        return _asking(why, "leaves it to that", order=None)
    return None


def _traced_device(case: Case) -> Obstacle | None:
    room = case.limits
    alone = case.facts.device.is_host and not case.moves and room is not None and room.devices == 1
    if not case.facts.traced or case.options.device is None or alone:
        return None
    return _asking("where traced values live is decided when the function is called", "leaves them there", device=None)


def _dimensions(case: Case) -> Obstacle | None:
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
    lengths = ", ".join(map(str, wanted))
    if not case.facts.device.is_host:
        return Obstacle(why, f"Reshape it first: x.reshape({lengths}).")
    return _passing(f"{_on_host(case)}.reshape({lengths})", why, "reshapes it first")


def _order(case: Case) -> Obstacle | None:
    shape, room = case.facts.shape, case.limits
    if case.options.order != "F" or room is None or room.strides != "c" or not case.has_shape:
        return None
    if _layout.is_f(shape, _layout.c_strides(shape)):
        return None
    return _asking(f"{case.target}'s arrays are in C order, always", "gives one", order=None)


def _gradient(case: Case) -> Obstacle | None:
    if case.facts.grad == "none" or case.same or case.options.detach:
        return None
    carries = "requires grad" if case.facts.grad == "reverse" else "carries a forward-mode tangent"
    why = f"it {carries}, and {case.target} knows nothing of its graph"
    return _asking(why, "hands over the values without the graph", detach=True)


def _device(case: Case) -> Obstacle | None:
    if case.limits is not None:
        return None
    if case.options.device is not None:
        why = f"{case.target} has no memory on {case.device}, here and now"
        if case.home:
            return _asking(why, f"leaves it on {case.facts.device}", device=None)
        if not case.facts.device.is_host:
            return _asking(why, "moves it to the host", device="cpu")
        fix = f"Name a device that {case.target} has on this machine; it can't live on {case.facts.device}."
        return Obstacle(why, fix)
    why = f"{case.target} can't live on {case.facts.device}, and nothing moves between devices unless a device is named"
    there = str(case.there or ("cuda:0" if case.facts.device.is_host else "cpu"))
    return _asking(why, "asks for the move", device=there)


def _unfilled(case: Case) -> Obstacle | None:
    """Where the target only takes memory that is there, and would have to fill some of its own."""
    room, device = case.limits, case.device
    if room is None or room.fills != "nothing" or not (case.moves or (case.same and case.reasons)):
        return None
    why = f"{case.target} only takes memory on {device}: it has no operation that fills it"
    inner = f"interop.to_torch(x, device={str(device)!r})"
    fix = f"Hand it what another framework has made there: {call_text(case.target).replace('(x', '(' + inner)}."
    return Obstacle(why, fix)


def _absent(case: Case) -> Obstacle | None:
    count, device = case.limits.devices if case.limits else None, case.device
    if count is None or device.index < count:
        return None
    there = f"{device.type}:0" if count == 1 else f"{device.type}:0 to {device.type}:{count - 1}"
    why = f"there is no {device}: {case.target} sees {count} device{'s' * (count != 1)}, {there}"
    return _asking(why, "names one that is there", device=f"{device.type}:0")


def _stream(case: Case) -> Obstacle | None:
    """What is wrong with the stream, as far as can be told without asking CUDA."""
    facts, stream = case.facts, case.options.stream
    place = case.device if case.device.type_code in _STREAMED else facts.device
    if place.type_code not in _STREAMED:
        return None
    if stream is None and not facts.orderable and not facts.device.is_host and case.target != VIEW:
        why = "a capsule doesn't say which stream its data is ordered on"
        return _asking(why, "says that it is ordered on the current one", stream=-1)
    if stream is None or stream == ORDERED:
        return None
    if stream.device is not None and stream.device.index != place.index:
        why = f"stream={stream!r} is a stream of {stream.device} and the memory is on {place}"
        return _asking(why, f"takes the current stream of {place}", stream=None)
    if stream == PER_THREAD and (case.reasons or not case.same):
        for name, limits in ((facts.framework, case.source_limits), (case.target, case.limits)):
            if limits is not None and not limits.per_thread_stream:
                why = f"stream=2 is CUDA's per-thread default stream, another one in each thread, and {name} rejects it"
                return _asking(why, "takes the legacy default stream", stream=1)
    return None


def _dtype(case: Case) -> Obstacle | None:
    if case.same and not case.reasons:
        return None
    source, target = case.facts.dtype, case.dtype
    if case.casts and source.code == COMPLEX and target.code != COMPLEX:
        return _real_part(case, f"a cast from {source} to {target} would drop the imaginary part")
    if target.name not in case.room.dtypes:
        lacking = case.room.lacking.get(target.name)
        return _another_dtype(
            case, f"{case.target} has no element type {target}" + (f" ({lacking})" if lacking else "")
        )
    if case.casts and not (case.source_casts or case.target_casts):
        return _another_dtype(
            case, f"neither {case.facts.framework} nor {case.target} can compute {target} from {source}"
        )
    if case.options.swapped and not case.room.swapped:
        why = f"{case.target} holds elements in this machine's byte order only"
        return _asking(why, "gives those", dtype=target.name)
    return None


def _real_part(case: Case, why: str) -> Obstacle:
    if not case.facts.device.is_host:
        return Obstacle(why, "Take the real part first: x.real.")
    real = f"{_on_host(case)}.real"
    if case.dtype.name in case.room.dtypes:
        return _passing(real, why, "hands over the real part")
    part = DType("float64" if case.facts.dtype.name == "complex128" else "float32")
    found = stand_in(part, case.dtype, case.room.dtypes)
    return _passing(real, why, "hands over the real part", **({"dtype": found} if found else {}))


def _another_dtype(case: Case, why: str) -> Obstacle:
    """Name an element type that loses nothing, where there is one; else one that rounds, and say so."""
    source = case.facts.dtype
    held = frozenset(name for name in case.room.dtypes if case.source_casts_to(name) or case.target_casts)
    if not case.facts.certain and case.options.dtype is not None and case.facts.device.is_host:
        # What it is shows when it is exported, and numpy casts whatever that may be.
        found = stand_in(case.dtype, case.dtype, case.room.dtypes & OF_NUMPY)
        if found:
            # Whether that is a cast, which takes a copy, shows then too.
            copied: dict[str, object] = {"copy": None} if case.options.copy is False else {}
            return _passing(_on_host(case), why, "asks for the nearest that it has", dtype=found, **copied)
    found = stand_in(source, case.dtype, held)
    if found:
        return _asking(why, what_it_does(source, found), dtype=found)
    if source.numpy is not None and case.facts.device.is_host:
        found = stand_in(source, case.dtype, case.room.dtypes & OF_NUMPY)
        if found:
            return _passing(_on_host(case), why, what_it_does(source, found), dtype=found)
    return _real_part(case, why) if source.code == COMPLEX else _raw_bytes(case, why)


def _raw_bytes(case: Case, why: str) -> Obstacle:
    facts, looked = case.facts, "x"
    if (
        "uint8" not in case.room.dtypes
        or facts.dtype.code == HANDLE
        or not facts.device.is_host
        or facts.strides is None
    ):
        return Obstacle(why, f"Ask for one of {case.target}'s own: {', '.join(sorted(case.room.dtypes))}.")
    if not _layout.is_c(facts.shape, facts.strides):
        if facts.dtype.numpy is None:
            return Obstacle(why, "No dtype= helps, and bytes are memory in C order: pass a copy of it that is.")
        looked = _on_host(case, order="C")
    does = "hands over the raw bytes: no dtype= holds the values"
    return _passing(f"interop.view({looked}).bytes", why, does, dtype=None)


def _readonly(case: Case) -> Obstacle | None:
    options = case.options
    if options.writable is True and case.room.immutable:
        return _asking(f"{case.target}'s arrays are never writable", "gives one that can be read", writable=None)
    if not case.facts.readonly or options.copy is not False:
        return None
    if options.writable is True:
        return _readonly_to_be_written(case)
    if case.laundered:
        why = f"it is readonly, {case.target} can't express that, and copy=False forbids a copy"
        if len(case.reasons) > 1:
            # Where a copy is needed anyway no promise helps.
            return _asking(why, "copies", copy=None)
        does = ("is your promise not to write", "copies")
        return Obstacle(why, does, ({"writable": False}, {"copy": None}))
    return None


def _readonly_to_be_written(case: Case) -> Obstacle:
    why = "it is readonly, writable memory takes a copy, and "
    if case.target != VIEW:
        return _asking(f"{why}copy=False forbids one", "copies", copy=None)
    made = call_text("numpy" if case.facts.device.is_host else "torch", writable=True)
    return Obstacle(f"{why}a View never copies", f"interop.view({made}) copies.")


def _copy(case: Case) -> Obstacle | None:
    if case.options.copy is not False or not case.reasons:
        return None
    forbids = "and a View never copies" if case.target == VIEW else "which copy=False forbids"
    return _asking(f"a copy is needed, {forbids}: " + "; ".join(case.reasons), "copies", copy=None)


#: By what they raise; in the order in which they are asked.
_CHECKS: Final[Mapping[type[InteropError], tuple[Callable[[Case], Obstacle | None], ...]]] = {
    UnsupportedError: (_traced, _dimensions, _order),
    GradientError: (_gradient,),
    DeviceError: (_traced_device, _device, _absent, _unfilled, _stream),
    DTypeError: (_dtype,),
    ReadOnlyError: (_readonly,),
    CopyError: (_copy,),
}
