"""The executor: runs the steps of a plan, and checks that they did what the plan promised."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._shared.cuda import (
    Loan,
    guard,
    has_streams,
    order_after_producer,
    ordered_by_worker,
    refuse_forked,
)
from interop._adapters._shared.host import HostOnly
from interop._changes import changed, is_alike, is_of, is_there
from interop._layout import nbytes
from interop._native import Event, Keeper, View, fill_view, is_guarded, note, permit
from interop._registry.lookup import describe
from interop._run.opening import worker_on
from interop._streams import LEGACY, ORDERED, PER_THREAD, Stream, current_stream_of
from interop._words import first_line_of, said
from interop.errors import (
    CopyError,
    DeviceError,
    DTypeError,
    InteropError,
    UnsupportedError,
    call_text,
    describe_facts,
    message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from interop._contract import Adapter
    from interop._devices import Device
    from interop._plan.case import Case
    from interop._plan.plan import Plan, Step


#: Bytes that are copied once more rather than be read while they may move.
_SMALL: Final = 1 << 18

#: On the host nothing has to be made current.
_NOWHERE: Final = nullcontext()


@dataclass(slots=True)
class _Run:
    """What the steps share."""

    case: Case
    x: Any
    source: Adapter
    target: Adapter
    #: The stream that the target reads the source's memory on; None where it doesn't read it on a device.
    reader: Stream | None
    #: Whether a result on the source's memory is to outlive the call.
    lasting: bool = True
    #: Whether a step has written: what is exported from then on is a copy.
    written: bool = False
    #: The source's own memory, where the result may be on it.
    lent: View | None = None

    def adapter(self, name: str) -> Adapter:
        return self.target if name == self.target.name else self.source

    def export(self, value: Any, by: str) -> View:
        """The memory of what the last step left; the facts of the source itself are known already."""
        adapter = self.adapter(by)
        facts = self.case.facts
        if facts.view is not None and not self.written:
            # The memory is known, and who holds it: nothing that was done to the object since makes a difference to it.
            value = self.x
        elif value is not self.x:
            facts = adapter.describe(value)
        if self.reader is None or not has_streams(facts.device):
            return self.own(adapter.export(value, facts, None))
        said = self.case.options.stream == ORDERED
        view = self.own(adapter.export(value, facts, ORDERED if said else self.reader))
        if not isinstance(view.owner, Loan) and (worker := worker_on(facts, self.target)) is not None:
            # Not always the target: what only takes memory can't make a stream wait.
            view = ordered_by_worker(view, adapter, worker, self.reader)
            view = view if isinstance(view.owner, Loan) else lent(view, facts.device, worker)
        if isinstance(view.owner, Loan):
            view.owner.read_by(self.reader)
        return view

    def own(self, view: View) -> View:
        """See that what was exported is what the plan was made for; objects have been seen to change in between."""
        if not self.written:
            if not is_of(self.case.facts, view, aliased=not self.case.reasons):
                raise changed(self.case.facts)
            self.lent = view
        return view

    def keeper(self, view: View) -> Keeper | None:
        """What keeps memory of the source that may move, which has to be locked or read under the GIL; else None."""
        if self.lent is None or view.owner is not self.lent.owner or isinstance(view.owner, Loan):
            return None
        found = keeper_of(self.source)
        return found if found is not None and found.may_move(view) else None

    def memory_of(self, writer: Adapter, value: Any) -> View | None:
        """The memory that is to be read: what was exported, or the source's own where that is all there is."""
        if isinstance(value, View):
            return value
        view = self.case.facts.view
        if view is None or writer is not self.source or self.written or self.case.same or self.case.facts.pending:
            return None
        self.lent = view
        return view

    def to_read(self, view: View, keeper: Keeper | None, value: Any) -> Any:
        """What a framework is to read of memory: that, unless it may move, and this is done without the GIL."""
        if keeper is None:
            return view
        if value is view or view.nbytes <= _SMALL:
            return _read(self, keeper, view)
        # More isn't copied only to be read: the framework reads its own tensor by its own operation, which is as safe
        # from what frees the memory meanwhile as that operation by hand.
        if not keeper.keeps(view):
            raise changed(self.case.facts)
        return value

    @contextmanager
    def reading(self, adapter: Adapter, value: Any) -> Generator[None]:
        """Have a framework read; of the source itself it reads, and broadcasts, whatever is there by then."""
        own = value is self.x and adapter is self.source
        try:
            yield
        except Exception as err:
            if own and self.is_another(value):
                raise changed(self.case.facts) from err
            raise
        if own and self.is_another(value):
            raise changed(self.case.facts)

    def is_another(self, value: Any) -> bool:
        """Whether the source has become an array of another type or shape."""
        return not is_alike(self.case.facts, describe(self.source, value, traced=True))

    def working(self, adapter: Adapter) -> AbstractContextManager[None]:
        """Have a framework work on the device that is copied on, and on the stream that was named."""
        case = self.case
        place = case.facts.device if case.device.is_host else case.device
        return self._working(adapter, place) if has_streams(place) else _NOWHERE

    @contextmanager
    def _working(self, adapter: Adapter, place: Device) -> Generator[None]:
        case = self.case
        stream = case.options.stream if case.options.stream != ORDERED else None
        if stream is not None and adapter is self.source and not case.same:
            order_after_producer(adapter, place, stream)
        with adapter.using(place, stream):
            yield


def keeper_of(adapter: Adapter) -> Keeper | None:
    """What keeps the memory of a framework that may move it; None where that stays where it is."""
    found = getattr(adapter, "keeper", None)
    return found if isinstance(found, Keeper) else None


def execute(plan: Plan, case: Case, x: Any, source: Adapter, target: Adapter, *, lasting: bool = True) -> Any:
    """Run a plan that is ok on the object that it was made for.

    A result that isn't lasting is read and dropped by whoever asked for it: where its memory would have to be locked
    for good, it is a copy after all.

    Raises
    ------
    InteropError
        If a framework refuses what its limits promised, with its own exception as the cause.
    """
    event = _event(plan, case) if is_guarded() else None
    if event is not None:
        permit(event)
    value = _executed(plan, case, x, source, target, lasting=lasting)
    if event is not None:
        _note(event, plan, case, value, target)
    return value


def _event(plan: Plan, case: Case) -> Event:
    """What those who guard are told of a plan."""
    options = case.options
    return Event(
        copied=plan.copied_bytes,
        moved=plan.transferred_bytes,
        casts=case.casts,
        asked_copy=case.asks,
        asked_move=options.device is not None,
        asked_cast=options.dtype is not None,
        what=lambda: str(plan).partition("\n")[0],
        why=lambda: "; ".join(plan.reasons),
    )


def _note(event: Event, plan: Plan, case: Case, result: Any, target: Adapter) -> None:
    """Count what was done: a target that nobody knows has copied where a view was tried, or it hasn't."""
    if plan.zero_copy and not case.same and not case.room.certain and case.facts.ptr is not None:
        got = describe(target, result)
        if got.ptr != case.facts.ptr and 0 not in got.shape:
            size = nbytes(got.shape, got.dtype.itemsize)
            event = Event(copied=size, what=f"{plan.source} -> {plan.target}: it copied", why=f"{plan.target} does so")
            permit(event)
    note(event)


def _executed(plan: Plan, case: Case, x: Any, source: Adapter, target: Adapter, *, lasting: bool) -> Any:
    named = case.options.stream
    if case.moves and named is not None and named != ORDERED and has_streams(case.device):
        probe(target, case.device, named)
    if case.moves and case.facts.device.is_host != case.device.is_host:
        refuse_captured(case, target if has_streams(case.device) else source)
    run = _Run(case, x, source, target, reader_of(case, target), lasting)
    if case.same:
        return _stepped(run, plan, x)
    with _crossing(source), _crossing(target):
        value = _stepped(run, plan, x)
        if lasting:
            _check(plan, case, value, target)
            _hold(run, value)
    return value


def _crossing(adapter: Adapter) -> AbstractContextManager[None]:
    """What an adapter may have said, and left out, where values leave its framework or come in: what it traces."""
    crossing = getattr(adapter, "crossing", None)
    return _NOWHERE if crossing is None else crossing()


def _stepped(run: _Run, plan: Plan, x: Any) -> Any:
    value = x
    for step in plan.steps:
        try:
            value = _VERBS[step.do](run, step, value)
        except InteropError:
            raise
        except Exception as err:
            raise _refused_step(run, step, err) from err
    return value


def _refused_step(run: _Run, step: Step, err: Exception) -> InteropError:
    """Say in one of our errors what a framework raised."""
    case = run.case
    if has_streams(case.facts.device) or has_streams(case.device):
        refuse_forked(run.source, run.target, err)
    if isinstance(err, MemoryError):
        what = f"not enough memory to hand {describe_facts(case.facts)} to {case.target}"
        return CopyError(message(what, f"{step.text} ({first_line_of(err)})", _memory_fix(case)))
    msg = (
        f"{step.by} refused {describe_facts(case.facts, layout=True)} on the way to {case.target}, where "
        f"{step.text}: {said(err)}. Pass a plain copy of it, made by its own framework."
    )
    return UnsupportedError(msg)


def _hold(run: _Run, result: Any) -> None:
    """Lock the memory that a result is on against being resized, which would free it under the result.

    For good, since there is no way back: so nothing is locked before there is such a result.
    """
    view = None if run.case.reasons or run.lent is None else run.lent
    keeper = None if view is None else run.keeper(view)
    if view is None or keeper is None or view.size == 0:
        return
    if not run.case.room.certain and describe(run.target, result).ptr != view.ptr:
        return
    try:
        there = keeper.lock(view)
    except Exception as err:
        case = run.case
        what = f"can't hand {describe_facts(case.facts)} to {case.target} as a view"
        why = f"{case.facts.framework} can't be kept from freeing the memory here ({said(err)})"
        fix = f"{call_text(case.target, **case.spelled(copy=True))} copies."
        raise UnsupportedError(message(what, why, fix)) from err
    # It could be moved until now.
    if not there:
        raise changed(run.case.facts)


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


def _memory_fix(case: Case) -> str:
    where = str(case.device)
    if case.moves and not case.facts.device.is_host:
        # What has gaps is made dense before it is moved.
        where = f"{case.facts.device} or {case.device}"
    if case.options.copy is not True or case.same or len(case.reasons) > 1:
        return f"Free memory on {where}, or hand over a part of x: it takes as much as x."
    return f"{call_text(case.target, **case.spelled(copy=False))} takes no memory, where it can be a view."


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


def _check(plan: Plan, case: Case, result: Any, target: Adapter) -> None:
    """Compare the result with the plan: the frameworks have been seen to copy, alias and cast behind our back."""
    got, facts = describe(target, result), case.facts
    if got.dtype.name != case.dtype.name and not case.room.certain:
        what = f"can't hand {describe_facts(facts)} to {case.target}"
        fix = f"{call_text(case.target, **case.spelled(dtype=got.dtype.name))} accepts that."
        raise DTypeError(message(what, f"it makes {got.dtype} of {case.dtype}", fix))
    if got.dtype.name != case.dtype.name or got.shape != facts.shape:
        msg = f"{case.target} made {got.dtype} {got.shape} of {describe_facts(facts)}: a bug of its adapter."
        raise UnsupportedError(msg)
    if facts.ptr is None or got.ptr is None or 0 in facts.shape or case.moves:
        return
    if plan.zero_copy and got.ptr != facts.ptr and (case.room.certain or case.options.copy is False):
        msg = (
            f"{case.target} copied {describe_facts(facts)} where it was asked for a view. Pass copy=True to accept it."
        )
        raise CopyError(msg)
    if plan.zero_copy and got.ptr == facts.ptr and not is_there(facts, got.ptr, got.strides):
        msg = (
            f"{case.target} made strides {got.strides} of {describe_facts(facts, layout=True)}, on the same memory: a "
            "bug of its adapter."
        )
        raise UnsupportedError(msg)
    if plan.copied_bytes and _overlap(facts.extent, got.extent):
        msg = f"{case.target} kept the memory of {describe_facts(facts)} where a copy was asked of it. Copy x first."
        raise CopyError(msg)


def _overlap(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool:
    return a is not None and b is not None and a[0] < b[1] and b[0] < a[1]


def _keep(_run: _Run, _step: Step, value: Any) -> Any:
    return value


def _detach(run: _Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"detach"}))


def _settle(run: _Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"lazy"}))


def _wait(run: _Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"queued"}))


def _export(run: _Run, step: Step, value: Any) -> View:
    view = run.export(value, step.by)
    return view if view.readonly == step.readonly else view.with_readonly(step.readonly)


def _wrap(run: _Run, step: Step, value: View) -> Any:
    keeper = None if run.lasting else run.keeper(value)
    if keeper is not None:
        value = _read(run, keeper, value)
    place = run.case.device
    if value.device.dlpack != place.dlpack:
        # The same memory under the name that the target knows it by: page-locked and managed memory is host memory.
        value = value.with_device(*place.dlpack)
    return run.adapter(step.by).wrap(value)


def _restrict(run: _Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"readonly"}))


def _write(run: _Run, step: Step, value: Any) -> Any:
    """Allocate with one framework and write with the same or the other: every copy and every move is this."""
    if step.dtype is None or step.strides is None or step.device is None:
        msg = f"a step that writes says what it writes: {step}"
        raise AssertionError(msg)
    allocator, writer = run.adapter(step.allocate), run.adapter(step.by)
    view = run.memory_of(writer, value)
    keeper = None if view is None else run.keeper(view)
    run.written = True
    with run.working(writer):
        result = allocator.empty(step.dtype, run.case.facts.shape, step.strides, step.device)
        if view is not None and _filled(run, step, result, view, keeper):
            return allocator.settle(result, frozenset({"written"}))
        if view is not None:
            value = run.to_read(view, keeper, value)
        if step.swapped:
            result = allocator.settle(result, frozenset({"swapped"}))
        into = result
        if allocator is not writer:
            into = allocator.export(result, allocator.describe(result), None)
        with run.reading(writer, value):
            writer.assign(into, value)
    return allocator.settle(result, frozenset({"written"}))


def _filled(run: _Run, step: Step, result: Any, view: View, keeper: Keeper | None) -> bool:
    """Whether the core has written the values, in one pass: memory of the host is where a View of it says.

    Not so for libraries that keep their memory to themselves, which write it when they see fit.
    """
    allocator = run.adapter(step.allocate)
    plain = step.do in ("copy", "cast") and not step.swapped and step.device == view.device
    if not plain or not view.device.is_host or not (isinstance(allocator, HostOnly) or keeper_of(allocator)):
        return False
    into = allocator.export(result, allocator.describe(result), None)
    if keeper is None:
        return fill_view(into, view)
    if not keeper.can_copy(into, view):
        return False
    if not keeper.copy(into, view):
        raise changed(run.case.facts)
    return True


def _read(run: _Run, keeper: Keeper, view: View) -> View:
    """A copy of memory that may move, for those who read it without the GIL."""
    copied = keeper.copied(view)
    if copied is None:
        raise changed(run.case.facts)
    return copied


_VERBS: Final[dict[str, Callable[[_Run, Step, Any], Any]]] = {
    "keep": _keep,
    "detach": _detach,
    "settle": _settle,
    "restrict": _restrict,
    "wait": _wait,
    "export": _export,
    "wrap": _wrap,
    "copy": _write,
    "cast": _write,
    "transfer": _write,
}
