"""One conversion as data, and the small questions about it that the planner asks.

A :class:`Case` holds the facts of the source, the limits of both frameworks and the caller's options. Everything
here is pure; :mod:`interop._plan.refusals` says what can't be done, :mod:`interop._plan.plan` what is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from interop import _layout
from interop._devices import CPU, CUDA, CUDA_MANAGED, Device, device_of_pair
from interop._options import NEAREST, parse
from interop._streams import ORDERED

if TYPE_CHECKING:
    from interop._contract import Facts, Limits
    from interop._options import Options

#: Why each pending thing needs a copy by the source's own framework ("lazy" needs none).
PENDING: Final = {
    "conj": "the conjugate bit is set: the memory holds the conjugate of the values",
    "neg": "the negative bit is set: the memory holds the negative of the values",
    "byteorder": "the elements are in the other byte order",
    "strides": "its strides are no multiple of the element size, which DLPack can't express",
    "encoded": "the memory isn't plain elements: only its own framework can decode it",
    "chunked": "the values lie in several blocks: only its own framework knows them all",
    "scalar": "a scalar has no memory that can be borrowed",
}

_STRIDES: Final = {
    "nonnegative": "negative strides",
    "dense": "strides with gaps or overlap",
    "c": "strides other than C order",
}

#: By whether it is the other one.
_ORDERS: Final = ("this machine's", "the other one")


class _Code(str):
    """What a call is written with: shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


#: The target of :func:`interop.view`, which is no framework and takes no options.
VIEW: Final = "view"

#: Every allocator that is met aligns to at least this many bytes; more has to be seen to be believed.
ALLOCATORS_ALIGN: Final = 16


class Case:
    """One conversion: what is there, what is wanted, and what both sides can hold.

    Parameters
    ----------
    facts
        The source.
    options
        What the caller asked for.
    target
        The name of the target framework.
    device
        Where the result lives.
    source_limits, limits
        What the source's framework can hold where the source is, and the target's where the result lives.
    home
        Whether the target could hold the data where it is.
    there
        Where the target can live, if it can't where the result is to be.
    rebuild
        Makes the same conversion with other options; None where there are none.

    Attributes
    ----------
    same
        Whether source and target are one framework.
    moves
        Whether the data goes to another device.
    dtype
        The element type of the result.
    casts
        Whether the element type changes.
    swaps
        Whether the dtype that was asked for names another byte order than the one that would be handed over.
    """

    __slots__ = (
        "_reasons",
        "casts",
        "device",
        "dtype",
        "facts",
        "home",
        "limits",
        "moves",
        "options",
        "rebuild",
        "same",
        "source_limits",
        "swaps",
        "target",
        "there",
    )

    def __init__(
        self,
        *,
        facts: Facts,
        options: Options,
        target: str,
        device: Device,
        source_limits: Limits | None,
        limits: Limits | None,
        home: bool = True,
        there: Device | None = None,
        rebuild: Callable[[Options], Case] | None = None,
    ) -> None:
        self.facts = facts
        self.rebuild = rebuild
        self.options = options
        self.target = target
        self.device = device
        ndim = len(facts.shape)
        self.source_limits = None if source_limits is None else source_limits.of(ndim)
        self.limits = None if limits is None else limits.of(ndim)
        self.home = home
        self.there = there
        self.same = facts.framework == target
        self.moves = not same_place(facts.device, device)
        if self.same and device.type_code == CPU and limits is not None and limits.devices is not None:
            # One framework's own devices on the host, such as jax's, are different places to it.
            self.moves = facts.device.dlpack != device.dlpack
        elif options.device is not None and device.type_code == CUDA and facts.device.type_code == CUDA_MANAGED:
            # Every device reaches managed memory, but an array of it says that it is on the device that it was made on.
            self.moves = facts.device.index != device.index
        self.dtype = options.dtype or facts.dtype
        self.casts = self.dtype.name != facts.dtype.name
        # What leaves a framework is in this machine's byte order.
        swapped = self.same and "byteorder" in facts.pending
        self.swaps = options.swapped is not None and options.swapped != swapped
        self._reasons: tuple[str, ...] | None = None

    @property
    def room(self) -> Limits:
        """The limits of the target; only asked for once the device has been found to be one of the target's."""
        if self.limits is None:
            msg = f"{self.target} has no limits on {self.device}"
            raise AssertionError(msg)
        return self.limits

    @property
    def has_shape(self) -> bool:
        """Whether the shape is known, as it is of a lazy array: not of what has to be exported first."""
        return self.facts.certain or "lazy" in self.facts.pending

    def source_casts_to(self, dtype: str) -> bool:
        """Whether the source's framework can cast to an element type."""
        limits = self.source_limits
        return limits is not None and self.facts.dtype.name in limits.dtypes | limits.decodes and dtype in limits.dtypes

    @property
    def source_casts(self) -> bool:
        """Whether the source's framework can make the result's element type."""
        return self.source_casts_to(self.dtype.name)

    @property
    def source_keeps_order(self) -> bool:
        """Whether what the source's framework writes has the order that was asked for."""
        limits = self.source_limits
        if self.options.order != "F" or limits is None:
            return True
        return limits.strides != "c" and self.dtype.name not in limits.own

    @property
    def target_casts_better(self) -> bool:
        """Whether the source's framework could cast, but to what it can't hand on: packed, or in another order."""
        limits = self.source_limits
        kept = limits is not None and self.dtype.name in limits.own
        return self.target_casts and (kept or self.swaps or not self.source_keeps_order)

    @property
    def target_casts(self) -> bool:
        """Whether the target's framework can read the source's elements, to cast them itself."""
        return not self.facts.pending & {"encoded", "scalar"} and self.facts.dtype.name in self.room.dtypes

    @property
    def read_by_host(self) -> bool:
        """Whether the host reads, by pointer, memory that a device may have work queued on."""
        if self.facts.device.type_code != CUDA_MANAGED or self.same or self.options.stream == ORDERED:
            return False
        # Whoever counts the devices works on them.
        return self.device.type_code not in (CUDA, CUDA_MANAGED) or self.room.devices is None

    @property
    def laundered(self) -> bool:
        """Whether an alias would show readonly memory as writable, which nobody has promised not to write."""
        drops = self.room.readonly == "drops" and self.dtype.name not in self.room.own
        return self.facts.readonly and self.options.writable is None and drops and not self.same

    @property
    def source_writes(self) -> bool:
        """Whether the source's framework has to write into the target's memory: it has none that the target takes."""
        room, limits = self.room, self.source_limits
        encoded = "encoded" in self.facts.pending and not self.casts
        # What it casts to may be a type that it can't hand on either.
        kept = limits is not None and self.dtype.name in limits.own
        return encoded or kept or room.alignment > ALLOCATORS_ALIGN or self.dtype.name in room.own

    @property
    def unsettled(self) -> bool:
        """Whether only a copy by the source's own framework gives memory that means what the object says."""
        return bool(self.facts.pending & PENDING.keys())

    @property
    def turned(self) -> bool:
        """Whether the target can't even read the memory, which is on a device, and the source can copy it."""
        facts = self.facts
        if facts.device.is_host or facts.strides is None or self.source_limits is None or self.same:
            return False
        return self.room.strides == "nonnegative" and not _layout.fits(facts.shape, facts.strides, "nonnegative")

    @property
    def handed_copies(self) -> bool:
        """Whether a copy is made before the target gets it, which can't read the memory into an array of its own."""
        if self.same or self.moves or self.facts.device.is_host or self.limits is None:
            return False
        return self.limits.fills != "anything" and bool(self.reasons)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a copy is needed, in words; empty where none is."""
        if self._reasons is None:
            self._reasons = (*self._asked_for(), *(() if self.same else self._needed_by_target()))
        return self._reasons

    @property
    def asks(self) -> bool:
        """Whether an option asks for fresh memory: its own, in another order, of another type, or writable."""
        return next(self._asked_for(), None) is not None

    def _asked_for(self) -> Iterator[str]:
        facts, options = self.facts, self.options
        if options.copy is True:
            yield "copy=True asks for a fresh allocation"
        if self.casts:
            yield f"dtype: {facts.dtype} to {self.dtype}"
        if self.swaps:
            yield f"byte order: {_ORDERS[not options.swapped]} to {_ORDERS[bool(options.swapped)]}"
        if self.moves:
            yield f"device: {facts.device} to {self.device}"
        if options.order is not None and not self._in_order(options.order):
            strides = "aren't known" if facts.strides is None else f"are {facts.strides}"
            yield f"order={options.order!r} was asked for and the strides {strides}"
        if options.writable is True and facts.readonly:
            yield "writable=True was asked for and the source is readonly"

    def _needed_by_target(self) -> Iterator[str]:
        facts, room = self.facts, self.room
        if facts.pending:
            yield from (PENDING[what] for what in sorted(facts.pending & PENDING.keys()))
        if facts.strides is not None and not _layout.fits(facts.shape, facts.strides, room.strides):
            can = "can't" if room.certain else "may not"
            yield f"{self.target} {can} hold {_STRIDES[room.strides]} such as {facts.strides}"
        if self.dtype.name in room.own:
            yield f"{self.target} keeps {self.dtype} in memory of its own only"
        if not self.is_aligned:
            yield f"{self.target} wants the address to be a multiple of {room.alignment or facts.dtype.itemsize} bytes"
            if room.alignment > ALLOCATORS_ALIGN:
                yield "few allocators do that by themselves: interop.empty_aligned makes such memory"
        if self.laundered:
            yield f"the source is readonly, which {self.target} can't express"
        if room.immutable and not facts.readonly and self.options.copy is None:
            yield f"{self.target} assumes that memory it was given never changes, and this is writable"

    def _in_order(self, order: str) -> bool:
        if self.facts.strides is None or "strides" in self.facts.pending:
            return False
        follows = _layout.is_c if order == "C" else _layout.is_f
        return follows(self.facts.shape, self.facts.strides)

    @property
    def is_aligned(self) -> bool:
        """Whether the address is one that the target takes, as far as it is known."""
        alignment = self.room.alignment
        if alignment == 1 or self.facts.ptr is None or 0 in self.facts.shape:
            return True
        return self.facts.ptr % (alignment or self.facts.dtype.itemsize) == 0

    @property
    def fresh_strides(self) -> tuple[int, ...]:
        """Strides of a copy: dense, in the order asked for, else in the source's where the target can hold it."""
        shape, strides = self.facts.shape, self.facts.strides
        only_c = self.room.strides == "c"
        if self.options.order == "F" and not only_c:
            return _layout.f_strides(shape)
        if self.options.order == "C" or strides is None or only_c:
            return _layout.c_strides(shape)
        return _layout.compact_strides(shape, strides)

    @property
    def fresh_readonly(self) -> bool:
        """Whether a fresh result is marked readonly: the caller promised not to write, and the target can say so."""
        return self.options.writable is False and self.room.readonly == "keeps"

    @property
    def alias_readonly(self) -> bool:
        """Whether a result on the source's memory is readonly."""
        return self.room.readonly == "keeps" and (self.facts.readonly or self.options.writable is False)

    @property
    def _spelled_dtype(self) -> object:
        dtype, swapped = self.options.dtype, self.options.swapped
        if self.options.nearest:
            return NEAREST
        if dtype is None or dtype.numpy is None or not (self.swaps or swapped):
            return None if dtype is None else dtype.name
        order = ">" if (sys.byteorder == "little") is bool(swapped) else "<"
        return _Code(f"numpy.dtype({dtype.name!r}).newbyteorder({order!r})")

    def again(self, changes: Mapping[str, object]) -> Case | None:
        """The same conversion with some options changed, as a caller spells them; None where it takes none."""
        if self.rebuild is None:
            return None
        given = parse(**changes)
        names = {*changes, *(("swapped", "nearest") if "dtype" in changes else ())}
        return self.rebuild(replace(self.options, **{name: getattr(given, name) for name in names}))

    def spelled(self, **changes: object) -> dict[str, object]:
        """The caller's options as keywords, with some changed: the call that a message names."""
        if self.target == VIEW:
            return {}
        options = self.options
        given: dict[str, object] = {
            "device": None if options.device is None else str(self.device),
            "dtype": self._spelled_dtype,
            "order": options.order,
            "copy": options.copy,
            "writable": options.writable,
            "detach": options.detach or None,
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}


def same_place(a: Device, b: Device) -> bool:
    """Tell whether memory on `a` is already memory on `b`: the same device, or reachable from it by pointer."""
    if a.is_host and b.is_host:
        return True
    if {a.type_code, b.type_code} == {CUDA, CUDA_MANAGED}:
        return True
    return a.dlpack == b.dlpack


def result_device(
    facts: Facts,
    asked: tuple[int, int | None] | None,
    limits: Callable[[int], Limits | None],
    current: Callable[[int], int],
) -> Device:
    """Where the result lives: where the source is, unless a device was named."""
    if asked is None:
        device = facts.device
    else:
        type_code, index = asked
        if index is None:
            managed = (type_code, facts.device.type_code) == (CUDA, CUDA_MANAGED)
            index = facts.device.index if managed or facts.device.type_code == type_code else current(type_code)
        device = device_of_pair(type_code, index)
    room = limits(device.type_code)
    if device.is_host and (room is None or (device.index and device.type_code == CPU and room.devices is None)):
        # Page-locked and managed memory is ordinary memory to a framework that doesn't know better, and so is that of
        # one of several host devices.
        return device_of_pair(CPU)
    return device
