"""The executor: runs the steps of a plan, and checks that they did what the plan promised."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from interop._adapters._shared.cuda import (
    has_streams,
    refuse_forked,
)
from interop._changes import changed, is_there
from interop._contract import SupportsDressing
from interop._layout import nbytes
from interop._native import Event, is_guarded, note, permit
from interop._registry.lookup import asked, describe
from interop._run.order import probe, reader_of, refuse_captured
from interop._run.steps import VERBS, Run
from interop._streams import ORDERED
from interop._words import first_line_of, said
from interop.errors import (
    CopyError,
    DTypeError,
    InteropError,
    UnsupportedError,
    call_text,
    describe_facts,
    message,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from interop._contract import Adapter
    from interop._plan.case import Case
    from interop._plan.plan import Plan, Step


#: What most adapters have to say of a crossing.
_NOWHERE: Final = nullcontext()


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
    run = Run(case, x, source, target, reader_of(case, target), lasting)
    if case.same:
        return _dressed(run, _stepped(run, plan, x))
    with _crossing(source), _crossing(target):
        value = _stepped(run, plan, x)
        if lasting:
            _check(plan, case, value, target)
            _hold(run, value)
    return value


def _dressed(run: Run, value: Any) -> Any:
    """Give what its own framework made of an array what numbers alone don't carry, a unit for one."""
    if value is run.x or not isinstance(run.source, SupportsDressing):
        return value
    return asked(run.source, value, run.source.dress, value, run.x)


def _crossing(adapter: Adapter) -> AbstractContextManager[None]:
    """What an adapter may have said, and left out, where values leave its framework or come in: what it traces."""
    crossing = getattr(adapter, "crossing", None)
    return _NOWHERE if crossing is None else crossing()


def _stepped(run: Run, plan: Plan, x: Any) -> Any:
    value = x
    for step in plan.steps:
        try:
            value = VERBS[step.do](run, step, value)
        except InteropError:
            raise
        except Exception as err:
            raise _refused_step(run, step, err) from err
    return value


def _refused_step(run: Run, step: Step, err: Exception) -> InteropError:
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


def _hold(run: Run, result: Any) -> None:
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


def _memory_fix(case: Case) -> str:
    where = str(case.device)
    if case.moves and not case.facts.device.is_host:
        # What has gaps is made dense before it is moved.
        where = f"{case.facts.device} or {case.device}"
    if case.options.copy is not True or case.same or len(case.reasons) > 1:
        return f"Free memory on {where}, or hand over a part of x: it takes as much as x."
    return f"{call_text(case.target, **case.spelled(copy=False))} takes no memory, where it can be a view."


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
