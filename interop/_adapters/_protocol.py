"""Sources without an adapter: any object that speaks a protocol, on the strength of the protocol alone."""

from __future__ import annotations

import array
import mmap
import operator
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from interop._adapters._numpy import adapter as host
from interop._adapters._shared.cuda import Described, has_streams
from interop._adapters._shared.native import HostNative
from interop._adapters._view import ViewAdapter
from interop._adapters._view import adapter as views
from interop._contract import Facts
from interop._devices import CPU, CUDA, device_of_pair, is_pair
from interop._dtypes import dtype_of_triple
from interop._native import (
    BufferReader,
    ExchangeAPI,
    View,
    find,
    has_buffer,
    peek_capsule,
    view_from_array_interface,
    view_from_buffer,
    view_from_capsule,
    view_from_cuda_array_interface,
    view_from_dlpack,
)
from interop._streams import LEGACY, Stream, current_stream_of
from interop._words import exact_int, module_of, name_of, said, short_name_of, with_article
from interop.errors import DeviceError, UnsupportedError

if TYPE_CHECKING:
    from interop._contract import Adapter
    from interop._devices import Device


#: The type of DLPack's capsules; types.CapsuleType since Python 3.13.
_CAPSULE: Final = type(View.__dlpack_c_exchange_api__)


class Request(NamedTuple):
    """How an object is to be opened: moved to the host, ordered on a stream, without a copy by its producer.

    `worker` is the adapter that works on its device, which finds the memory there, and whose current stream is meant
    where none is named; without one, or where it isn't to be `ordered`, device memory is left as it is. `writable` is
    the caller's word on memory of which nothing says whether it may be written, as of a legacy capsule.
    """

    to_host: bool = False
    stream: Stream | None = None
    copy: bool | None = None
    worker: Adapter | None = None
    ordered: bool = True
    writable: bool = False

    def reader(self, device: Device) -> Stream | None:
        """The stream that device memory is to be ordered on."""
        if self.stream is not None or self.worker is None or not self.ordered:
            return self.stream
        return current_stream_of(self.worker, device)


_AS_IT_IS: Final = Request()


def _from_dlpack(x: Any, request: Request) -> View:
    readonly = not request.writable
    if request.to_host:
        # The producer waits itself, and there is no stream on the host to name.
        return view_from_dlpack(x, dl_device=(CPU, 0), copy=request.copy, legacy_readonly=readonly)
    device = _dlpack_device(x) or device_of_pair(CPU)
    stream = request.reader(device) if has_streams(device) else None
    # Exactly an int: torch takes no other.
    handle = None if stream is None else int(stream)
    return view_from_dlpack(x, stream=handle, copy=request.copy, legacy_readonly=readonly)


def _from_exchange(x: Any, _request: Request) -> View:
    api = ExchangeAPI.of(type(x))
    if api is None:
        msg = f"{name_of(type(x))}'s DLPack exchange API is of a version that this release doesn't know."
        raise UnsupportedError(msg)
    return api.export(x)


def _from_cuda_interface(x: Any, request: Request) -> View:
    """Take the memory; the consumer waits, since the interface has its stream and no way to order anything."""
    view, named = view_from_cuda_array_interface(x)
    worker = request.worker
    if worker is None:
        return view
    index = worker.locate(view.ptr) if view.ptr else worker.current_device(CUDA)
    if index is None:
        msg = (
            f"the __cuda_array_interface__ of {with_article(name_of(type(x)))} points to {view.ptr:#x}, which is on no "
            "CUDA device. Export memory of the host by __array_interface__."
        )
        raise DeviceError(msg)
    device = device_of_pair(CUDA, index)
    reader = request.reader(device)
    owner: Any = view.owner
    _, described = owner
    # Before version 3 the interface says nothing of streams: the work may be queued on any.
    unknown = (exact_int(dict.get(described, "version")) or 0) < _STREAMS_SINCE
    home = Stream(LEGACY if unknown or named is None else named, device)
    loan = Described(owner, device, worker, (home,))
    loan.waits, loan.named = unknown or named is not None, None if unknown else home
    if reader is not None:
        loan.order(reader)
    return view.with_device(CUDA, device.index).with_owner(loan, ordered=reader is not None)


_STREAMS_SINCE: Final = 3


def _from_interface(x: Any, _request: Request) -> View | np.ndarray[Any, Any]:
    return view_from_array_interface(x)


def _from_buffer(x: Any, _request: Request) -> View | np.ndarray[Any, Any]:
    return view_from_buffer(x)


def _from_capsule(x: Any, request: Request) -> View:
    return _taken(x, request.stream, readonly=not request.writable)


def _taken(capsule: Any, stream: Any, *, readonly: bool) -> View:
    """Consume a capsule; one of device memory is ordered if somebody says so, a legacy one may be written likewise."""
    view = view_from_capsule(capsule, legacy_readonly=readonly)
    if has_streams(view.device) and stream is None:
        return view.with_owner(view.owner, ordered=False)
    return view


#: It returns an ndarray where no View can say how the elements lie.
Opener = Callable[[Any, Request], "View | np.ndarray[Any, Any]"]

#: How a type shows that it speaks a protocol, and how its objects are opened; the first that a type has is used.
_PROTOCOLS: Final[tuple[tuple[str, Opener], ...]] = (
    ("__dlpack__", _from_dlpack),
    ("__dlpack_c_exchange_api__", _from_exchange),
    ("__c_dlpack_exchange_api__", _from_exchange),
    ("__cuda_array_interface__", _from_cuda_interface),
    ("__array_interface__", _from_interface),
)


def opening(protocol: str) -> tuple[str, Opener]:
    """A protocol by its name, with the function that opens objects by it."""
    return next(row for row in _PROTOCOLS if row[0] == protocol)


def opener(tp: type) -> tuple[str, Opener] | None:
    """The protocol that a type speaks, by name, with the function that opens its objects; None where it speaks none."""
    for attribute, opens in _PROTOCOLS:
        # On the type: probing an instance runs properties, which have been seen to raise RuntimeError and KeyError.
        if find(tp, attribute) is not None:
            return attribute, opens
    if tp is _CAPSULE:
        return "a DLPack capsule", _from_capsule
    return ("the buffer protocol", _from_buffer) if has_buffer(tp) else None


def _dlpack_device(x: Any) -> Device | None:
    """Where an object says that it is; None where it says nothing.

    It is asked by its class, or itself where that is how it speaks DLPack.
    """
    tp = type(x)
    by_class = find(tp, "__dlpack_device__") is not None
    if not by_class and (find(tp, "__dlpack__") is not None or getattr(x, "__dlpack_device__", None) is None):
        return None
    try:
        kind, index = x.__dlpack_device__()
        # Enums of any kind, and paddle's (1, None).
        pair = (operator.index(kind), operator.index(index or 0))
    except Exception as err:
        msg = f"the __dlpack_device__ of {with_article(name_of(type(x)))} failed: {said(err)}. This is its bug."
        raise DeviceError(msg) from err
    if not is_pair(*pair):
        what = f"the __dlpack_device__ of {with_article(name_of(type(x)))}"
        msg = f"{what} says {pair}, which is no device. This is its bug."
        raise DeviceError(msg)
    return device_of_pair(*pair)


#: Python's own types with nothing but a buffer. Of others a class may die, and be followed by another at its address.
BUFFERS: Final = HostNative(
    dict.fromkeys((bytes, bytearray, memoryview, mmap.mmap, array.array), BufferReader()),
)


class ProtocolAdapter(ViewAdapter):
    """The adapter of one library's protocol-only types: it opens an object into a View, and describes that."""

    native = BUFFERS

    def __init__(self, name: str) -> None:
        self.name = name

    def claims(self, tp: type, /) -> bool:
        """Whatever speaks a protocol."""
        return opener(tp) is not None

    def opener(self, x: Any, /) -> tuple[str, Opener] | None:
        """The protocol that an object speaks, by its class."""
        return opener(type(x))

    def describe(self, x: Any, /) -> Facts:
        """All there is to know of an opened object; of one that isn't open yet, a guess that says so."""
        if type(x) is _CAPSULE:
            # Looked at and not consumed: a refusal leaves it for another call.
            facts = views.describe(peek_capsule(x))
            assumed = facts.readonly and not peek_capsule(x, legacy_readonly=False).readonly
            return replace(facts, framework=self.name, orderable=False, assumed=assumed)
        if type(x) is View:
            return replace(views.describe(x), framework=self.name)
        if type(x) is np.ndarray:
            return replace(host.describe(x), framework=self.name)
        found = self.opener(x)
        protocol = found[0] if found else "no protocol"
        device = device_of_pair(CUDA if protocol == "__cuda_array_interface__" else CPU)
        return Facts(
            framework=self.name,
            # What it says of itself in attributes isn't asked: only the export counts.
            dtype=dtype_of_triple(1, 8),
            device=_dlpack_device(x) or device,
            shape=(),
            strides=None,
            ptr=None,
            extent=None,
            readonly=False,
            certain=False,
            unknown=f"what {name_of(type(x))} exports through {protocol} is known only after the export",
        )

    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """It is open already, or a capsule, which is consumed here."""
        return _taken(x, stream, readonly=facts.readonly) if type(x) is _CAPSULE else x

    def open(self, x: Any, request: Request = _AS_IT_IS, /) -> View | np.ndarray[Any, Any]:
        """Export an object through the protocol that it speaks: into a View, or what numpy alone can say it is."""
        found = self.opener(x)
        if found is None:
            msg = f"{with_article(name_of(type(x)))} speaks no exchange protocol."
            raise UnsupportedError(msg)
        view = found[1](x, request)
        if type(view) is not View:
            return view
        # A capsule should own its memory, and not every one does: onnxruntime's, of a numpy array that an OrtValue was
        # made of, leaves that to the OrtValue, and the process ended when it was gone.
        return view.with_owner((view, x)) if view.device.is_host else view


@cache
def adapter_named(name: str) -> ProtocolAdapter:
    """The one adapter of a library's protocol-only types."""
    return ProtocolAdapter(name)


def protocol_source(tp: type) -> ProtocolAdapter | None:
    """The adapter of a type that speaks a protocol, under the name of the type's library."""
    if opener(tp) is None:
        return None
    return adapter_named(protocol_name(tp))


def protocol_name(tp: type) -> str:
    """The name of a type's library; of what Python itself has, the type's own."""
    module = module_of(tp)
    return short_name_of(tp) if module in ("", "builtins") else module.partition(".")[0]
