"""Objects that are known by a protocol only: opened to see what they are, and on a device read by a framework there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._protocol import ProtocolAdapter, Request
from interop._adapters._shared.cuda import Loan, has_streams, ordered_by_worker, refuse_forked
from interop._adapters._shared.wrappers import Wrapped, read_by_numpy
from interop._contract import Limits
from interop._devices import CUDA, CUDA_MANAGED, NAMES, device_of_pair
from interop._dtypes import BY_NAME, HANDLE, DType
from interop._native import Event, View, is_guarded, note, permit
from interop._plan.case import VIEW, Case, result_device, same_place
from interop._plan.nearest import nearest
from interop._plan.refusals import refusal, refuse
from interop._registry.lookup import asked, describe, loaded_adapters
from interop._streams import ORDERED, current_stream_of
from interop._words import name_of, with_article
from interop.errors import CopyError, DeviceError, call_text, describe_facts, message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interop._contract import Adapter, Facts
    from interop._devices import Device
    from interop._options import Options


def case_of(facts: Facts, source: Adapter, target: Adapter, options: Options) -> Case:
    """One conversion as data."""
    if facts.assumed and options.trusts:
        facts = replace(facts, readonly=False)
    if has_streams(facts.device) or (options.device is not None and options.device[0] in (CUDA, CUDA_MANAGED)):
        refuse_forked(source, target)
    device = result_device(facts, options.device, target.limits, target.current_device)
    limits = target.limits(device.type_code)
    if options.nearest and limits is not None and facts.framework != target.name:
        options = _with_nearest(options, facts, limits)
    return Case(
        facts=facts,
        options=options,
        target=target.name,
        device=device,
        source_limits=operating_limits(source, facts.device),
        limits=limits,
        home=limits is not None or target.limits(facts.device.type_code) is not None,
        there=None if limits is not None else _home_of(target),
        rebuild=lambda other: case_of(facts, source, target, other),
    )


def _with_nearest(options: Options, facts: Facts, limits: Limits) -> Options:
    """Name the element type that is nearest; where there is none of its kind, the source's own is refused by name."""
    name = nearest(facts.dtype.name, limits.of(len(facts.shape)).dtypes)
    return options if name is None or name == facts.dtype.name else replace(options, dtype=DType(name))


def operating_limits(source: Adapter, device: Device) -> Limits | None:
    """What a framework can hold where it has operations: None where it only takes memory."""
    limits = source.limits(device.type_code)
    return None if limits is None or limits.fills == "nothing" else limits


#: A View can describe whatever DLPack can.
_ROOM: Final = Limits(dtypes=frozenset(BY_NAME))


def view_case(facts: Facts, source: Adapter, options: Options) -> Case:
    """A look at memory without a framework, as a conversion to what can hold everything."""
    if facts.assumed and options.trusts:
        facts = replace(facts, readonly=False)
    room = _ROOM if facts.dtype.code == HANDLE else Limits(dtypes=_ROOM.dtypes | {facts.dtype.name})
    return Case(
        facts=facts,
        options=options,
        target=VIEW,
        device=facts.device,
        source_limits=operating_limits(source, facts.device),
        limits=room,
    )


def _home_of(target: Adapter) -> Device | None:
    """A device that a target can live on, for a message: the host before any other."""
    return next((device_of_pair(code) for code in sorted(NAMES) if target.limits(code) is not None), None)


def open_source(x: Any, facts: Facts, source: Adapter, target: Adapter, options: Options) -> tuple[Any, Facts, Adapter]:
    """Export an object that only speaks a protocol: what it is shows then, and which adapter knows it.

    A move to the host is the producer's to make, where it can.
    """
    case = case_of(facts, source, target, options)
    if isinstance(refusal(case), DeviceError):
        refuse(case)
    to_host = case.device.is_host and not same_place(facts.device, case.device)
    if to_host and options.copy is False:
        fix = f"{call_text(target.name, **case.spelled(copy=None))} moves it."
        raise CopyError(
            message(f"can't hand {describe_facts(facts)} to {target.name}", "copy=False forbids a move", fix)
        )
    if not isinstance(source, ProtocolAdapter):
        return found(source, asked(source, x, source.settle, x, frozenset({"lazy"})))
    # A copy is ours to make: a producer that is asked for one has been seen to hand out its own memory.
    copy = False if options.copy is False else None
    worker = worker_on(facts, target)
    if worker is not None:
        _refuse_absent(x, facts, worker)
    stream = options.stream if has_streams(facts.device) else None
    request = Request(to_host, stream, copy, worker, writable=options.trusts)
    # Producers have been seen to refuse, or to order another device's stream, while another device is current.
    with worker.using(facts.device, None) if worker is not None else nullcontext():
        view = asked(source, x, source.open, x, request)
    if type(view) is not View:
        return found(source, view)
    if is_guarded() and (view.copied or to_host):
        _tell_guards(view, facts, options, moved=to_host)
    if view.copied and options.copy is False:
        what = f"can't hand {describe_facts(facts)} to {target.name} with copy=False"
        fix = f"{call_text(target.name, **case.spelled(copy=None))} takes the copy."
        raise CopyError(message(what, "it exports a copy of itself", fix))
    return view, describe(source, view), source


def found(source: Adapter, opened: Any) -> tuple[Any, Facts, Adapter]:
    """What an object was opened into, and who knows it: numpy where no View can say how its elements lie."""
    speaks = source.inner if isinstance(source, Wrapped) else source
    apart = isinstance(speaks, ProtocolAdapter) and type(opened) is not View
    by = read_by_numpy(source) if apart else source
    return opened, describe(by, opened), by


def _tell_guards(view: View, facts: Facts, options: Options, *, moved: bool) -> None:
    """What a producer did by itself shows when it has: refused, what it made is dropped."""
    event = Event(
        copied=0 if moved else view.nbytes,
        moved=view.nbytes if moved else 0,
        asked_move=options.device is not None,
        what=f"{describe_facts(facts)} {'moves to the host' if moved else 'exports a copy of itself'}",
        why="its producer does so",
    )
    permit(event)
    note(event)


def _refuse_absent(x: Any, facts: Facts, worker: Adapter) -> None:
    limits = worker.limits(facts.device.type_code)
    count = None if limits is None else limits.devices
    if count is not None and facts.device.index >= count:
        msg = (
            f"{with_article(name_of(type(x)))} says that it is on {facts.device}, and {worker.name} sees {count} "
            f"device{'s' * (count != 1)}. This is a bug of the producer."
        )
        raise DeviceError(msg)


def worker_on(facts: Facts, target: Adapter) -> Adapter | None:
    """Who works on the device that memory is on, and orders streams: the target, else a loaded framework that does."""
    if not has_streams(facts.device):
        return None
    limits = target.limits(facts.device.type_code)
    if limits is not None and limits.fills == "anything":
        return target
    return next(workers_on(facts), None)


def workers_on(facts: Facts) -> Iterator[Adapter]:
    """The loaded frameworks that hold the values on their device, and write there what they read."""
    for adapter in loaded_adapters():
        limits = adapter.limits(facts.device.type_code)
        if (
            limits is not None
            and limits.fills == "anything"
            and (not facts.certain or facts.dtype.name in limits.dtypes)
        ):
            yield adapter


def carrier_of(case: Case, source: Adapter, target: Adapter) -> Adapter | None:
    """The framework that has to read device memory where the source has no operations of its own; None where it has."""
    if case.source_limits is not None:
        return None
    if case.handed_copies:
        return next((each for each in workers_on(case.facts) if each is not target and each is not source), None)
    if not case.moves or not case.device.is_host:
        return None
    carrier = worker_on(case.facts, target)
    if carrier is None or carrier is target:
        what = f"can't hand {describe_facts(case.facts)} to {case.target}"
        why = f"nothing that is loaded here can read {case.facts.dtype} on {case.facts.device}"
        raise DeviceError(message(what, why, "Import torch or cupy first, whichever holds such values."))
    return carrier


def carried(x: Any, facts: Facts, source: Adapter, carrier: Adapter, stream: int | None) -> tuple[Any, Facts]:
    """Have a framework take the memory as its own array, to read it with its own operations."""
    reader = current_stream_of(carrier, facts.device)
    view = asked(source, x, source.export, x, facts, ORDERED if stream == ORDERED else reader)
    view = ordered_by_worker(view, source, carrier, reader)
    if isinstance(view.owner, Loan) and reader is not None:
        view.owner.read_by(reader)
    taken = asked(carrier, x, carrier.wrap, view)
    return taken, describe(carrier, taken)


def carried_facts(facts: Facts, carrier: Adapter) -> Facts:
    """What the array that a carrier takes is going to be."""
    return replace(facts, framework=carrier.name, readonly=False)
