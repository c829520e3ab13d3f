"""From a plan to a recipe: which native ops stand for its steps, where both frameworks have some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from interop._adapters._protocol import ProtocolAdapter
from interop._contract import SupportsDressing
from interop._native import KeepOp, Recipe, ToViewOp
from interop._options import Options
from interop._plan.plan import make_plan
from interop._plan.refusals import refusal
from interop._registry.lookup import adapter_for, asked, describe
from interop._run.opening import case_of, found, view_case
from interop.errors import InteropError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interop._contract import Adapter, Facts
    from interop._dtypes import DType
    from interop._native import Op, Reader, Shortcut, Writer
    from interop._plan.case import Case
    from interop._plan.plan import Step


#: The options of a look: a View never copies.
_LOOK: Final = Options(copy=False)


class NativeOps(Protocol):
    """What an adapter of a framework in host memory may have beside its verbs: the same as native ops.

    Each method returns None where there is no native way; the verbs serve then.
    """

    @property
    def readers(self) -> Mapping[type, Reader]:
        """By exact type, what reads its objects."""
        ...

    def shortcuts(self, tp: type, to: Adapter, options: Options) -> tuple[Shortcut, ...]:
        """Return what answers before an object of this exact type is looked at, as the options ask for."""
        ...

    def writer(self, values: DType, into: DType) -> Writer | None:
        """Return what writes elements of one type into objects of another."""
        ...

    def hand_out(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """Return what is done before the memory is handed on: nothing where it is the object's own."""
        ...

    def take_in(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """Return what makes the framework's own array of the memory."""
        ...


def native_ops(adapter: Adapter) -> NativeOps | None:
    """The native ops of an adapter, if it has any."""
    found: NativeOps | None = getattr(adapter, "native", None)
    return found


def recipe_of(x: Any, target: Adapter, options: Options) -> tuple[Facts | None, Recipe | None]:
    """Plan for an object and compile the plan; a recipe without ops is one that Python has to run."""
    try:
        source = adapter_for(x)
        facts = _described(source, x)
    except InteropError:
        # Said again, and raised, by the planner's way.
        return None, None
    if not facts.certain or facts.traced:
        return None, None
    case = case_of(facts, source, target, options)
    plan = make_plan(case)
    if not plan.ok or not plan.certain or case.moves:
        return facts, Recipe(None)
    ops = _compiled(plan.steps, case, source, target)
    return facts, Recipe(plan, ops, aliases=plan.zero_copy and bool(ops))


def _described(source: Adapter, x: Any) -> Facts:
    """The facts of an object; of one that is known by its protocol only, those of its memory."""
    if isinstance(source, ProtocolAdapter):
        x, facts, _ = found(source, asked(source, x, source.open, x))
    else:
        facts = describe(source, x, traced=True)
    if "lazy" in facts.pending and not facts.certain:
        # It has been read, and so evaluated, before anybody plans for it.
        facts = describe(source, asked(source, x, source.settle, x, frozenset({"lazy"})))
    return facts


def view_recipe_of(x: Any) -> tuple[Facts | None, Recipe | None]:
    """The same for a View: nothing stops memory from being moved under one."""
    try:
        source = adapter_for(x)
        facts = _described(source, x)
    except InteropError:
        return None, None
    plain = facts.certain and not facts.traced and refusal(view_case(facts, source, _LOOK)) is None
    return facts, Recipe(None, (ToViewOp(),) if plain else ())


def _compiled(steps: Sequence[Step], case: Case, source: Adapter, target: Adapter) -> tuple[Op, ...]:
    """The ops of a plan's steps, or none."""
    verbs = [step.do for step in steps]
    if verbs == ["keep"]:
        return (KeepOp(),)
    if case.same and isinstance(source, SupportsDressing):
        return ()
    giver, taker = native_ops(source), native_ops(target)
    if giver is None or taker is None:
        return ()
    handed = verbs.index("export") if "export" in verbs else 0
    before, after = steps[:handed], steps[handed + ("export" in verbs) :]
    first, last = giver.hand_out(before, case), taker.take_in(after, case)
    return () if first is None or last is None else (*first, *last)
