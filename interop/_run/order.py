"""Which stream device memory is read on, and the moves that a CUDA graph can't hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interop._adapters._shared.cuda import (
    Loan,
    guard,
    has_streams,
)
from interop._streams import LEGACY, ORDERED, PER_THREAD, Stream, current_stream_of
from interop.errors import (
    DeviceError,
    call_text,
    describe_facts,
    message,
)

if TYPE_CHECKING:
    from interop._contract import Adapter
    from interop._devices import Device
    from interop._native import View
    from interop._plan.case import Case


def refuse_captured(case: Case, worker: Adapter) -> None:
    """Refuse a move that waits for a captured stream, before anything is queued: CUDA would end the capture."""
    place = case.facts.device if case.device.is_host else case.device
    stream = case.options.stream
    if not has_streams(place):
        return
    if place is not case.device and stream is not None and stream.owner is None and stream > PER_THREAD:
        # Not even this can be asked of a bare handle, which may be of a stream that is gone.
        return
    if stream is None or stream == ORDERED:
        stream = current_stream_of(worker, place)
    if stream is None or not worker.capturing(place, stream):
        return
    what = f"can't hand {describe_facts(case.facts)} to {case.target} with device={str(case.device)!r}"
    why = f"{stream!r} is captured into a CUDA graph, and a move between host and device waits for it"
    call = call_text(case.target, **case.spelled())
    raise DeviceError(message(what, why, f"{call} works before the capture begins, or after it has ended."))


def reader_of(case: Case, target: Adapter) -> Stream | None:
    """The stream that the target reads the source's memory on: its current one there, or the one that was named."""
    device = case.facts.device
    if not has_streams(device):
        return None
    current = current_stream_of(target, device)
    named = case.options.stream
    if current is None or named is None or named == ORDERED or case.moves:
        return current
    probe(target, device, named)
    return as_reader(named, device, current)


@guard
def lent(view: View, device: Device, target: Adapter) -> View:
    """Have memory that came by a protocol go back behind those who read it.

    DLPack's deleter has no stream, and whose allocator it calls isn't known. Most reuse memory on the default stream,
    so that one waits.
    """
    loan = Loan(view, device, target, (Stream(LEGACY, device),))
    return view.with_owner(loan, ordered=view.ordered)


@guard
def as_reader(named: Stream, device: Device, current: Stream) -> Stream:
    """A stream that was named, kept alive; the target may go on to read on others, which only it can tell."""
    return Stream(named, device, named, current.now)


@guard
def probe(adapter: Adapter, device: Device, stream: Stream) -> None:
    """Find a bare handle out that is no stream of the device: an event of the device can't be recorded there."""
    if stream.owner is None and stream != current_stream_of(adapter, device) and stream > PER_THREAD:
        adapter.order(device, stream)
