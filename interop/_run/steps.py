"""The steps of a plan, each done by a verb of an adapter, and what they share while they run."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._shared.cuda import (
    Loan,
    has_streams,
    order_after_producer,
    ordered_by_worker,
)
from interop._adapters._shared.host import HostOnly
from interop._changes import changed, is_alike, is_of
from interop._native import Keeper, View, fill_view
from interop._registry.lookup import describe
from interop._run.opening import worker_on
from interop._run.order import lent
from interop._streams import ORDERED, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from interop._contract import Adapter
    from interop._devices import Device
    from interop._plan.case import Case
    from interop._plan.plan import Step


#: Bytes that are copied once more rather than be read while they may move.
_SMALL: Final = 1 << 18

#: On the host nothing has to be made current.
_NOWHERE: Final = nullcontext()


@dataclass(slots=True)
class Run:
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


def _keep(_run: Run, _step: Step, value: Any) -> Any:
    return value


def _detach(run: Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"detach"}))


def _settle(run: Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"lazy"}))


def _wait(run: Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"queued"}))


def _export(run: Run, step: Step, value: Any) -> View:
    view = run.export(value, step.by)
    return view if view.readonly == step.readonly else view.with_readonly(step.readonly)


def _wrap(run: Run, step: Step, value: View) -> Any:
    keeper = None if run.lasting else run.keeper(value)
    if keeper is not None:
        value = _read(run, keeper, value)
    place = run.case.device
    if value.device.dlpack != place.dlpack:
        # The same memory under the name that the target knows it by: page-locked and managed memory is host memory.
        value = value.with_device(*place.dlpack)
    return run.adapter(step.by).wrap(value)


def _restrict(run: Run, step: Step, value: Any) -> Any:
    return run.adapter(step.by).settle(value, frozenset({"readonly"}))


def _write(run: Run, step: Step, value: Any) -> Any:
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


def _filled(run: Run, step: Step, result: Any, view: View, keeper: Keeper | None) -> bool:
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


def _read(run: Run, keeper: Keeper, view: View) -> View:
    """A copy of memory that may move, for those who read it without the GIL."""
    copied = keeper.copied(view)
    if copied is None:
        raise changed(run.case.facts)
    return copied


VERBS: Final[dict[str, Callable[[Run, Step, Any], Any]]] = {
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
