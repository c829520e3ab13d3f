"""Plans that have been made before: a plan follows from what a case says, so for each such case it is made once.

Arrays of the same layout, element type and device are converted over and over, and planning takes longer than the copy
of a small one. :func:`interop.explain` plans anew each time, so that the tests compare the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop._plan.plan import make_plan

if TYPE_CHECKING:
    from interop._plan.case import Case
    from interop._plan.plan import Plan

#: Programs that meet more kinds of arrays than this are served, after so many, as if each were new.
_MOST: Final = 1024

# With the limits that the key names by their identity: as long as they are held, no others have it.
_made: Final[dict[tuple[Any, ...], tuple[Plan, Any, Any]]] = {}


def plan_of(case: Case) -> Plan:
    """The plan of a case; a refusal is made anew each time, since whoever raises an error writes into it."""
    facts, options = case.facts, case.options
    if not facts.certain or facts.traced or options.stream is not None or case.limits is None:
        return make_plan(case)
    key = (
        facts.framework,
        case.target,
        facts.dtype.name,
        case.dtype.name,
        facts.shape,
        facts.strides,
        facts.readonly,
        facts.immutable,
        facts.grad,
        facts.pending,
        facts.orderable,
        facts.device.dlpack,
        case.device.dlpack,
        case.moves,
        case.is_aligned,
        options.order,
        options.copy,
        options.writable,
        options.detach,
        options.swapped,
        id(case.source_limits),
        id(case.limits),
    )
    found = _made.get(key)
    if found is not None:
        return found[0]
    plan = make_plan(case)
    if plan.ok:
        if len(_made) >= _MOST:
            _made.clear()
        _made[key] = (plan, case.source_limits, case.limits)
    return plan
