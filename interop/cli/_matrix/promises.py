"""What our own calls promise beyond a right result: the plan told beforehand, and ``copy=`` is true."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from interop.cli._matrix import outcomes, ways
from interop.errors import InteropError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import interop
    from interop.cli._matrix.cells import Cell
    from interop.cli._matrix.hands import Hands
    from interop.cli._matrix.judge import Verdict
    from interop.cli._matrix.ways import Way

#: The outcomes that each of our calls may have.
_ALLOWED: Final = {
    ways.DEFAULT.code: (outcomes.VIEW, outcomes.COPY, outcomes.EMPTY, outcomes.ERROR),
    ways.VIEW.code: (outcomes.VIEW, outcomes.EMPTY, outcomes.ERROR),
    ways.PROMISE.code: (outcomes.VIEW, outcomes.EMPTY, outcomes.ERROR),
    ways.COPY.code: (outcomes.COPY, outcomes.EMPTY, outcomes.ERROR),
}


def broken(way: Way, cell: Cell, target: Hands, plan: interop.Plan, verdict: Verdict) -> tuple[str, ...]:
    """Name each promise that a call of ours has broken.

    Parameters
    ----------
    way
        Which of our calls.
    cell, target
        What was handed over, and to whom.
    plan
        What ``explain`` said of it beforehand.
    verdict
        What happened.
    """
    return tuple(_broken(way, cell, target, plan, verdict))


def _broken(way: Way, cell: Cell, target: Hands, plan: interop.Plan, verdict: Verdict) -> Iterator[str]:
    outcome = verdict.outcome
    if outcome not in _ALLOWED[way.code]:
        yield f"{outcome.word}: {verdict.detail}" if verdict.detail else outcome.word
    if outcome is outcomes.ERROR:
        yield from _error(plan, verdict.error)
        return
    if plan.certain and not plan.ok:
        yield f"explain foretold {type(plan.error).__name__}"
    if outcome is outcomes.COPY and plan.certain and not plan.reasons:
        yield "a copy that explain gives no reason for"
    if outcome in (outcomes.VIEW, outcomes.COPY) and plan.certain and plan.zero_copy != verdict.aliased:
        yield f"explain foretold a {'view' if plan.zero_copy else 'copy'}, and it is a {outcome.word}"
    says = target.readonlies == (False, True) and way is not ways.PROMISE
    if outcome is outcomes.VIEW and plan.certain and says and verdict.readonly != cell.readonly:
        yield f"the result is {'readonly' if verdict.readonly else 'writable'}, unlike the source"


def _error(plan: interop.Plan, error: BaseException | None) -> Iterator[str]:
    if not isinstance(error, InteropError):
        yield f"{type(error).__name__}, which is no error of ours: {error}"
    elif plan.certain and plan.ok:
        yield f"explain foretold no {type(error).__name__}: {error}"
    elif plan.certain and type(plan.error) is not type(error):
        yield f"explain foretold {type(plan.error).__name__}, and it is {type(error).__name__}"


#: What follows the call as an error tells it; an option may hold a colon of its own: ``device='oneapi:0'``.
_WHY: Final = re.compile(r" to [\w.]+(?: with (?:'[^']*'|[^:'])*)?: (.*)", re.DOTALL)


def reason(plan: interop.Plan, verdict: Verdict) -> str:
    """Why a copy was made or nothing was done, in our own words, without what differs from cell to cell."""
    if verdict.outcome is outcomes.ERROR:
        text = str(verdict.error)
        found = _WHY.search(text)
        why = (found[1] if found else text).partition(". ")[0]
        return f"{type(verdict.error).__name__}: {why}"
    if verdict.outcome is not outcomes.COPY:
        return verdict.detail
    return "; ".join(plan.reasons or plan.cautions)


def foretell(x: Any, to: str, way: Way) -> interop.Plan:
    """Ask what one of our calls would do."""
    import interop

    return interop.explain(x, to, **dict(way.options))


def foretell_opened(x: Any, to: str, way: Way) -> interop.Plan | None:
    """Ask it of what an object exports, where the object itself leaves it open; None where it exports nothing."""
    import interop

    try:
        return interop.explain(interop.view(x), to, **dict(way.options))
    except InteropError:
        return None
