"""The executor: runs the steps of a plan, and checks that they did what the plan promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
    from collections.abc import Callable

    from interop._case import Case
    from interop._native import View
    from interop._plan import Plan, Step
    from interop.protocols import Adapter


@dataclass(slots=True)
class _Run:
    """What the steps share."""

    case: Case
    x: Any
    adapters: dict[str, Adapter]
    stream: Any

    def export(self, value: Any, by: str) -> View:
        """The memory of what the last step left; the facts of the source itself are known already."""
        adapter = self.adapters[by]
        facts = self.case.facts if value is self.x else adapter.describe(value)
        return adapter.export(value, facts, self.stream)


def execute(plan: Plan, case: Case, x: Any, source: Adapter, target: Adapter) -> Any:
    """Run a plan that is ok on the object that it was made for.

    Raises
    ------
    InteropError
        If a framework refuses what its limits promised, with its own exception as the cause.
    """
    run = _Run(case, x, {source.name: source, target.name: target}, case.options.stream)
    value = x
    for step in plan.steps:
        try:
            value = _VERBS[step.do](run, step, value)
        except InteropError:
            raise
        except MemoryError as err:
            msg = f"not enough memory to hand {describe_facts(case.facts)} to {case.target}: {step.text} ({err})"
            raise CopyError(msg) from err
        except Exception as err:
            msg = (
                f"{step.by} refused {describe_facts(case.facts, layout=True)} on the way to {case.target}, where "
                f"{step.text}: {type(err).__name__}: {err}. Pass a plain copy of it, made by its own framework."
            )
            raise UnsupportedError(msg) from err
    if not case.same:
        _check(plan, case, value, target)
    return value


def _check(plan: Plan, case: Case, result: Any, target: Adapter) -> None:
    """Compare the result with the plan: the frameworks have been seen to copy, alias and cast behind our back."""
    got, facts = target.describe(result), case.facts
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
    if plan.copied_bytes and _overlap(facts.extent, got.extent):
        msg = f"{case.target} kept the memory of {describe_facts(facts)} where a copy was asked of it. Copy x first."
        raise CopyError(msg)


def _overlap(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool:
    return a is not None and b is not None and a[0] < b[1] and b[0] < a[1]


def _keep(_run: _Run, _step: Step, value: Any) -> Any:
    return value


def _detach(run: _Run, step: Step, value: Any) -> Any:
    return run.adapters[step.by].settle(value, frozenset({"detach"}))


def _settle(run: _Run, step: Step, value: Any) -> Any:
    return run.adapters[step.by].settle(value, frozenset({"lazy"}))


def _export(run: _Run, step: Step, value: Any) -> View:
    view = run.export(value, step.by)
    return view if view.readonly == step.readonly else view.with_readonly(step.readonly)


def _wrap(run: _Run, step: Step, value: View) -> Any:
    place = run.case.device
    if value.device.dlpack != place.dlpack:
        # The same memory under the name that the target knows it by: page-locked and managed memory is host memory.
        value = value.with_device(*place.dlpack)
    return run.adapters[step.by].wrap(value)


def _restrict(run: _Run, step: Step, value: Any) -> Any:
    return run.adapters[step.by].settle(value, frozenset({"readonly"}))


def _write(run: _Run, step: Step, value: Any) -> Any:
    """Allocate with one framework and write with the same or the other: every copy and every move is this."""
    if step.dtype is None or step.strides is None or step.device is None:
        msg = f"a step that writes says what it writes: {step}"
        raise AssertionError(msg)
    allocator, writer = run.adapters[step.allocate], run.adapters[step.by]
    result = allocator.empty(step.dtype, run.case.facts.shape, step.strides, step.device)
    into = result
    if allocator is not writer:
        into = run.export(result, step.allocate)
    writer.assign(into, value)
    return result


_VERBS: Final[dict[str, Callable[[_Run, Step, Any], Any]]] = {
    "keep": _keep,
    "detach": _detach,
    "settle": _settle,
    "restrict": _restrict,
    "export": _export,
    "wrap": _wrap,
    "copy": _write,
    "cast": _write,
    "transfer": _write,
}
