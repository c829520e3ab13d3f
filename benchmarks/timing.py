"""Times several ways to do one thing against each other, in one process.

Blocks of calls of every way alternate, round after round, so that whatever disturbs the machine disturbs them all. The
cost of a way is its fastest block, less that of an empty loop over the same objects; a ratio is that of two such costs.
The median of the ratios within each round is kept beside it: where the two differ much, the machine was noisy.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

#: Runs over objects once, and returns how long that took, in nanoseconds.
Loop = Callable[[Sequence[Any], Callable[[], int]], int]

_LOOP: Final = """
def loop(items, clock):
    start = clock()
    for {variable} in items:
        {code}
    return clock() - start
"""

#: Fewer say nothing about a minimum.
_MIN_ROUNDS: Final = 5


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes
    ----------
    seconds
        For one comparison, all of its ways together.
    calls
        In a block, where a call takes less than a microsecond or so.
    """

    seconds: float
    calls: int = 200


@dataclass(frozen=True)
class Cost:
    """What one way costs.

    Attributes
    ----------
    blocks
        Nanoseconds per call in each round, the empty loop subtracted.
    """

    blocks: tuple[float, ...]

    @property
    def best(self) -> float:
        """Nanoseconds per call in the fastest block."""
        return min(self.blocks)

    def __add__(self, later: Cost) -> Cost:
        return Cost(self.blocks + later.blocks)

    def over(self, other: Cost) -> float:
        """The ratio of the fastest blocks."""
        return self.best / other.best

    def median_over(self, other: Cost) -> float:
        """The median of the ratios within each round."""
        return median(mine / its for mine, its in zip(self.blocks, other.blocks, strict=True))


def compile_loop(code: str, variable: str, names: Mapping[str, Any]) -> Loop:
    """Make a loop that runs `code` for each object, which it knows as `variable`."""
    namespace = dict(names)
    exec(_LOOP.format(code=code, variable=variable), namespace)
    loop: Loop = namespace["loop"]
    return loop


def costs(blocks: Mapping[str, Sequence[int]], empty: Sequence[int], calls: int) -> dict[str, Cost]:
    """Turn the durations of blocks of `calls` calls into costs.

    The empty loop counts by its fastest block: its own noise is none of the calls'. No cost is below a tenth of a
    nanosecond, so that a ratio always exists.
    """
    overhead = min(empty)
    return {
        code: Cost(tuple(max(block - overhead, 0.1 * calls) / calls for block in durations))
        for code, durations in blocks.items()
    }


def measure(
    loops: Mapping[str, Loop],
    objects: Callable[[int], Sequence[Any]],
    effort: Effort,
    clock: Callable[[], int] = perf_counter_ns,
) -> dict[str, Cost]:
    """Time the loops against each other.

    Parameters
    ----------
    loops
        By their code.
    objects
        Makes that many objects for a block: new ones each time, where a first call differs from a later one.
    effort
        How long.
    clock
        Nanoseconds.
    """
    empty = compile_loop("pass", "x", {})
    blocks: dict[str, list[int]] = {code: [] for code in loops}
    overhead: list[int] = []
    with _undisturbed():
        for loop in loops.values():  # what a first call of all loads or fills isn't the cost of a call
            loop(objects(2), clock)
        deadline = clock() + effort.seconds * 1e9
        for number in count():
            if number >= _MIN_ROUNDS and clock() >= deadline:
                break
            overhead.append(empty(objects(effort.calls), clock))
            for code in _rotated(tuple(loops), number):
                items = objects(effort.calls)
                blocks[code].append(loops[code](items, clock))
                del items
    return costs(blocks, overhead, effort.calls)


def _rotated(codes: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Each way in each place of the round in turn: what the one before leaves in the caches falls on all alike."""
    shift = number % len(codes)
    return codes[shift:] + codes[:shift]


@contextmanager
def _undisturbed() -> Generator[None]:
    """Without the garbage collector."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def one_core() -> Generator[None]:
    """Keep this thread on one core, where the system can: a move to another finds that one's caches cold."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
