"""What a call of a decorated function would cost, told without making it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interop._agnostic._calls import Argument, Call
from interop._agnostic._containers import classify
from interop._agnostic._paths import path_to
from interop._convert import explain
from interop._native import Walk
from interop._registry.lookup import adapter_for

if TYPE_CHECKING:
    from interop._agnostic._how import How
    from interop._plan.plan import Plan


def plans_of(how: How, arguments: list[Argument]) -> dict[str, Plan]:
    """What each tensor among the arguments costs, by where it is."""
    call, plans = Call(how), {}
    for argument in arguments:
        if not how.looks_at(argument.parameter):
            continue
        for leaf in call.collected(argument, Walk(classify)):
            own = adapter_for(leaf).name == how.target.name
            options = call.options_of(leaf, own=own, inout=argument.parameter in how.inout)
            plan = explain(leaf, how.framework, **options)
            if how.grad == "bridge" and plan.ok and not plan.zero_copy:
                # What is handed over for the time of the call alone is aliased where it can be.
                lent = explain(leaf, how.framework, **options, copy=False)
                plan = lent if lent.ok else plan
            plans[path_to(argument.value, leaf, argument.label)] = plan
    return plans
