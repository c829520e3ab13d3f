"""One pair in a process of its own: attempts in order, one line of JSON each, said before and after.

What was said before and not after is where the process died. A combination that has killed it once is then tried in
a child that may die, see :mod:`interop.cli._matrix.nursery`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from interop.cli._matrix import promises
from interop.cli._matrix.cells import Cell, cells_of
from interop.cli._matrix.hands import hands_of_pair
from interop.cli._matrix.judge import Bench, judge
from interop.cli._matrix.nursery import IMPATIENCE, PATIENCE, Nursery
from interop.cli._matrix.second import is_sampled, look, objection
from interop.cli._matrix.ways import OURS, PROMISE, VIEW, names_for, ways_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import interop
    from interop.cli._matrix.hands import Hands
    from interop.cli._matrix.ways import Way


@dataclass(slots=True)
class Job:
    """What a worker is told: the pair, which cells, where to begin, and what has killed a worker before, or hung in it.

    The cells that there are is what the first worker of a pair finds; the others are told.
    """

    source: str
    target: str
    dtypes: list[str] | None = None
    layouts: list[str] | None = None
    start: int = 0
    cells: list[tuple[str, str, bool]] = field(default_factory=list)
    suspects: list[tuple[str, str]] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)

    def suspects_of(self, way: str, layout: str) -> bool:
        """Tell whether a way may kill its process in a layout, or hang, which it does in any."""
        return way in self.hangs or any((way, layout) == tuple(each) for each in self.suspects)

    def patience(self, way: str) -> float:
        """How many seconds an attempt may take."""
        return IMPATIENCE if way in self.hangs else PATIENCE


def work(job: Job, say: Callable[[dict[str, Any]], None], source: Hands, target: Hands) -> None:
    """Try every way on every cell, and say what happened.

    Parameters
    ----------
    job
        What to do.
    say
        Takes one event at a time.
    source, target
        Hands on both sides; the same object where source and target are one.
    """
    # A move is asked for by name, as nothing moves unasked.
    device = (target.device or "cpu") if source.device != target.device else None
    ways = ways_for(job.target, device)
    names = names_for(job.target)
    calls = [way.compiled(target.to, names) for way in ways]
    benches = [Bench(source, target, promised=_is(n, PROMISE), wanted=_is(n, VIEW, PROMISE)) for n in range(len(ways))]

    def attempted(way: int, cell: Cell) -> dict[str, Any]:
        return attempt(benches[way], ways[way], cell, calls[way])

    told = [Cell(*fields) for fields in job.cells]
    nursery = None
    if (job.suspects or job.hangs) and source.forks and target.forks:
        nursery = Nursery(lambda way, cell: attempted(way, told[cell]))
    cells = told
    possible: list[bool] = []
    if not told:
        for cell in cells_of(source, job.dtypes, job.layouts):
            cells.append(cell)
            possible.append(target.holds(cell.dtype, source.shape(cell.layout)))
            say({})  # a sign of life: jax compiles something for each of them
        fields = [[cell.dtype, cell.layout, cell.readonly] for cell in cells]
        say({"ways": [way.code for way in ways], "cells": fields, "possible": possible})
    for index in range(job.start, len(ways) * len(cells)):
        way, place = divmod(index, len(cells))
        say({"at": index})
        code = ways[way].code
        if nursery is not None and job.suspects_of(code, cells[place].layout):
            say({"k": index, **nursery.try_it(way, place, job.patience(code))})
        else:
            said = attempted(way, cells[place])
            if is_sampled(index, place, cells[place].dtype, said["o"]):
                said = again(said, look(job.source, job.target, source.make(cells[place]), calls[way]))
            say({"k": index, **said})


def again(said: dict[str, Any], found: str | None) -> dict[str, Any]:
    """Add to what is said of a call what the second judge found, and how the two differ, if they do."""
    differs = objection(found, said["o"])
    broken = [*said.get("broken", ()), *([differs] if differs else ())]
    return {**said, "looked": found is not None, **({"broken": broken} if broken else {})}


def _is(number: int, *calls: Way) -> bool:
    """Whether the way of this number is one of these calls of ours."""
    return number < len(OURS) and OURS[number] in calls


def attempt(bench: Bench, way: Way, cell: Cell, call: Callable[[Any], Any]) -> dict[str, Any]:
    """Do one thing and return what to say of it."""
    plans: list[interop.Plan] = []

    def foretold(x: Any) -> Any:
        plans.append(promises.foretell(x, bench.target.to, way))
        if not plans[0].certain:
            plans.append(promises.foretell_opened(x, bench.target.to, way) or plans[0])
        return call(x)

    verdict = judge(bench, cell, foretold if way.ours else call)
    said: dict[str, Any] = {"o": verdict.outcome.letter}
    if not way.ours:
        return said | {"why": verdict.detail}
    if not plans:
        return said | {"why": verdict.detail, "broken": [f"explain raised {verdict.detail}"]}
    number = next(n for n, ours in enumerate(OURS) if ours.code == way.code)
    broken = promises.broken(OURS[number], cell, bench.target, plans[0], verdict)
    return said | {"why": promises.reason(plans[-1], verdict), "broken": list(broken), "sure": plans[0].certain}


def _quiet() -> TextIO:
    """Keep the one channel of events to ourselves: what frameworks print goes nowhere."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    return events


def main(arguments: Sequence[str]) -> None:
    """Run one job, given as JSON; events go to standard output."""
    job = Job(**json.loads(arguments[0]))
    events = _quiet()

    def say(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    try:
        source, target = hands_of_pair(job.source, job.target)
    except Exception as err:  # noqa: BLE001 - a framework that doesn't work here may fail in any way
        say({"absent": f"{type(err).__name__}: {err}"})
        return
    work(job, say, source, target)
    say({"done": True})


if __name__ == "__main__":
    main(sys.argv[1:])
    # Frameworks have been seen to crash in their own teardown, which is no cell's fault.
    sys.stdout.flush()
    os._exit(0)
