"""What an adapter is, as data and verbs, and the protocols that arrays speak; public as :mod:`interop.protocols`.

An adapter *declares* (:class:`Limits` of its framework on a device, :class:`Facts` of one object) and *obeys* (export,
wrap, empty, assign, ...); it never decides. All decisions are the planner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

    from interop._devices import Device
    from interop._dtypes import DType
    from interop._native import Keeper, View

#: The version of the :class:`Adapter` protocol that this release speaks.
ADAPTER_API: Final = 2

#: What stands between an object and its export, and what undoes it. All but "lazy" take a copy to settle.
Pending = Literal["conj", "neg", "byteorder", "strides", "lazy", "encoded", "chunked", "scalar"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a framework can hold on one type of device, now.

    Parameters
    ----------
    dtypes
        Names of the element types that it holds natively.
    strides
        ``"any"``, ``"nonnegative"``, ``"dense"`` (a permutation of C order) or ``"c"``.
    alignment
        Bytes that the address of the first element must be a multiple of: 1 for any, 0 for the element's own size.
    min_ndim, max_ndim
        The fewest and the most dimensions.
    readonly
        Whether an array of the framework can say "do not write" (``"keeps"``) or not (``"drops"``).
    immutable
        Whether the library assumes that memory it was given stays constant, and may read it later.
    decodes
        Names of element types that it holds in its own way only (quantized ones), but can cast from.
    own
        Names of element types that it keeps in memory of its own only, packed or otherwise: what comes in is copied.
    lacking
        Why it lacks some element types here and now, by name, with what would give them.
    certain
        False where all this is a guess, and the framework's own answer is what counts.
    devices
        How many devices of the type there are; None where nobody counts, as almost nobody does on the host.
    per_thread_stream
        Whether the framework works on CUDA's per-thread default stream, 2, which is another stream in each thread.
    vectors
        The limits of arrays of one dimension, where they are another kind of object; None where they aren't.
    swapped
        Whether its arrays can hold elements in the other byte order.
    fills
        What it can fill an array of its own there with: ``"anything"``, also what it reads from another framework's
        memory on the device; only what is ``"moved"`` there from another device; or ``"nothing"``, where it only takes
        memory. What it can't fill the source's framework copies, and it takes the copy.
    """

    dtypes: frozenset[str]
    strides: Literal["any", "nonnegative", "dense", "c"] = "any"
    alignment: int = 1
    min_ndim: int = 0
    max_ndim: int = 64
    readonly: Literal["keeps", "drops"] = "keeps"
    immutable: bool = False
    decodes: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict, hash=False)
    certain: bool = True
    devices: int | None = None
    per_thread_stream: bool = True
    vectors: Limits | None = None
    swapped: bool = False
    fills: Literal["anything", "moved", "nothing"] = "anything"

    def of(self, ndim: int) -> Limits:
        """The limits of arrays of this many dimensions."""
        return self.vectors if ndim == 1 and self.vectors is not None else self


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one object without exporting, evaluating, waiting or copying.

    Parameters
    ----------
    framework
        The adapter's name.
    dtype, device, shape
        As they are.
    strides
        In elements; None where they are unknown before export.
    ptr
        Address of the first element; None where it is unknown before export.
    extent
        Lowest and highest byte address, half-open; None where unknown.
    readonly
        Whether writing through the object is refused or undefined.
    assumed
        Whether it only counts as readonly, since what describes its memory can't say (a legacy DLPack capsule): the
        caller's word that it may be written is believed.
    immutable
        Whether its framework caches values on the assumption that they never change.
    grad
        ``"reverse"`` where it requires grad, ``"forward"`` where it carries a tangent.
    pending
        What its own framework has to settle before the memory means what the object says.
    orderable
        For device memory: whether anybody can order it on a stream. For a raw capsule nobody can: the caller has to
        say that it is ordered.
    certain
        False where one of the above is a guess that only an export could prove; `unknown` says which.
    unknown
        The open question in words, empty when `certain`.
    traced
        For what stands for values inside of a transformed function and has none: what to say to whoever takes it out of
        its framework, whose own operations alone can work on it. Empty for every other object.
    view
        The memory that the facts are about, held by what keeps it, where it was looked at by way of that. An export
        that hands it on can't be of another moment than the facts, whatever became of the object since.
    """

    framework: str
    dtype: DType
    device: Device
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    ptr: int | None
    extent: tuple[int, int] | None
    readonly: bool
    immutable: bool = False
    assumed: bool = False
    grad: Literal["none", "reverse", "forward"] = "none"
    pending: frozenset[Pending] = frozenset()
    orderable: bool = True
    certain: bool = True
    unknown: str = field(default="", compare=False)
    traced: str = field(default="", compare=False)
    view: View | None = field(default=None, compare=False, repr=False)


@runtime_checkable
class SupportsDLPack(Protocol):
    """An object that exports its memory through DLPack."""

    def __dlpack__(self, *, stream: Any = None) -> CapsuleType:
        """Return a capsule that owns a reference to the memory."""
        ...

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the DLPack device type and index."""
        ...


@runtime_checkable
class SupportsArrayInterface(Protocol):
    """An object that describes host memory by NumPy's array interface, version 3."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The address, shape, strides and type string."""
        ...


@runtime_checkable
class SupportsCudaArrayInterface(Protocol):
    """An object that describes CUDA memory by the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The address, shape, strides, type string and stream."""
        ...


class Adapter(Protocol):
    """One framework: what it can hold, what one of its objects is, and the verbs that move data in and out."""

    @property
    def api(self) -> int:
        """The version of this protocol that the adapter speaks: :data:`ADAPTER_API`."""
        ...

    @property
    def name(self) -> str:
        """The framework's name, as `to` takes it."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose presence means that the framework is there."""
        ...

    def claims(self, tp: type, /) -> bool:
        """Tell whether objects of exactly this type are this framework's; pure in `tp`, the answer is cached."""
        ...

    def limits(self, device_type: int, /) -> Limits | None:
        """Return what the framework can hold on a DLPack device type now, or None where it can't live there."""
        ...

    def describe(self, x: Any, /) -> Facts:
        """Find the facts of `x` without export, or raise UnsupportedError with what to call instead."""
        ...

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Return `x` evaluated ("lazy"), without its graph ("detach"), or as a readonly view of itself ("readonly").

        "written": what :meth:`empty` returned has its values now. A framework whose arrays can't be written returned
        a draft there, and makes the array of it here.

        "swapped": what :meth:`empty` returned, to be read and written in the other byte order. It is asked of a
        framework whose limits say that it has such arrays.

        With "queued" the host waits until what is queued on the memory has been done: managed memory that the host
        is going to read.
        """
        ...

    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """Return a View on the memory of `x`, ordered on `stream`; nothing is pending.

        For device memory `stream` is the consumer's: None leaves the View unordered, -1 says that it is ordered.
        """
        ...

    def wrap(self, view: View, /) -> Any:
        """Return an array on the memory of `view`, never a copy; readonly if the view is, where that exists."""
        ...

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Return uninitialised memory in this dense layout (strides in elements), aligned as :meth:`limits` asks."""
        ...

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write `src` into `dst`, cast and moved as needed; each is the framework's own array or a View."""
        ...

    def current_device(self, device_type: int, /) -> int:
        """Return the index of the current device of a DLPack device type."""
        ...

    def current_stream(self, device: Device, /) -> int | None:
        """Return the handle of the current stream on a device, or None where it has no streams.

        Of a CUDA device preferably a :class:`interop._streams.Stream`, which is an int that keeps the stream alive
        and can ask again: memory is given back in the order of the stream that is current by then.
        """
        ...

    def using(self, device: Device, stream: int | None, /) -> AbstractContextManager[None]:
        """Make a device, and a stream on it, current for the length of a ``with``."""
        ...

    def order(self, device: Device, before: int | None, /, *after: int) -> None:
        """Make what the streams `after` queue from now on wait for what `before` has queued: one event.

        A stream that isn't on `device` is a Stream that says so. Where `before` is None, a stream that nobody knows,
        the host waits for all that the device has queued.
        """
        ...

    def capturing(self, device: Device, stream: int, /) -> bool:
        """Tell whether work on a stream is captured into a graph."""
        ...

    def retain(self, memory: Any, stream: int, /) -> tuple[int, ...]:
        """Keep memory that was exported from reuse until what `stream` has queued is done.

        Returns the streams that have to wait for `stream` before the memory, the owner of the exported View, may be
        dropped; none where nothing more has to be done.
        """
        ...

    def locate(self, ptr: int, /) -> int | None:
        """Return the index of the CUDA device that an address belongs to, or None where that can't be told."""
        ...

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return the framework's dtype objects with the names of their element types."""
        ...

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """Return the DLPack pair of one of the framework's device objects, or None where it is none."""
        ...

    def native_stream(self, stream: object, /) -> int | None:
        """Return the handle of one of the framework's stream objects, or None where it is none."""
        ...


@runtime_checkable
class SupportsKeeping(Protocol):
    """What an adapter may have beside :class:`Adapter`, of a framework that can free or move memory under a View."""

    @property
    def keeper(self) -> Keeper:
        """What keeps the memory of the Views that :meth:`Adapter.export` makes on the host: each has it for its owner.

        Where a result stays on that memory it is locked; where it is only read, it is read under the GIL.
        """
        ...


@runtime_checkable
class SupportsDressing(Protocol):
    """What an adapter may have beside :class:`Adapter`, of arrays that carry more than their numbers, such as units."""

    def dress(self, made: Any, like: Any, /) -> Any:
        """Return what the caller gets for an array that was made of numbers alone.

        It is asked for each result of a function under :func:`interop.via`, and where :func:`interop.convert` makes
        another array of one of the same framework (``copy=True``, ``dtype=``, ``order=``). What comes from another
        framework has nothing to take over, and isn't dressed.

        Parameters
        ----------
        made
            The array as :meth:`Adapter.wrap` or :meth:`Adapter.empty` made it.
        like
            The array that was converted. Under :func:`interop.via` a tensor that the caller passed: of the argument
            that ``back=`` names, else the first.
        """
        ...


@runtime_checkable
class SupportsLending(Protocol):
    """What an adapter of a framework on CUDA may have beside :class:`Adapter`: its half of a handover there.

    Each of a pair of frameworks gives a half: one lends its memory, the other takes it, and neither names the other.
    """

    def lends(self) -> Mapping[type, Callable[[Any, Callable[[int], Any]], View]]:
        """Return, by exact type, what exports an object for the stream that a reader is asked for.

        It returns NotImplemented where the streams differ or anything else has to be done.
        """
        ...

    def reader(self, index: int, /) -> Any:
        """Return the stream that the framework works on, on a CUDA device."""
        ...

    def take(self, view: View, /) -> Any:
        """Make an array on a View's memory as :meth:`Adapter.wrap` does, or return NotImplemented."""
        ...
