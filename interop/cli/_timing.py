"""Timing two ways of doing one thing: interleaved, the minimum of repeats."""

from __future__ import annotations

import time
import timeit
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A batch of calls takes at least this long, so that reading the clock is nothing beside it.
_BATCH_SECONDS: Final = 200e-6

_LEAST_REPEATS: Final = 5

#: Two times that differ by less than this factor are called equal.
EVEN: Final = 1.1


@dataclass(frozen=True, slots=True)
class Duel:
    """What two pieces of code cost.

    Attributes
    ----------
    ours, by_hand
        Seconds a call, the least of the repeats.
    repeats
        How often each was measured.
    """

    ours: float
    by_hand: float
    repeats: int

    @property
    def ratio(self) -> float:
        """How many of our calls fit into one by hand: above 1, ours is faster."""
        return self.by_hand / self.ours

    def verdict(self) -> str:
        """The ratio in words."""
        if self.ratio >= EVEN:
            return f"{self.ratio:.3g} times as fast as by hand"
        if self.ratio <= 1 / EVEN:
            return f"by hand is {1 / self.ratio:.3g} times as fast"
        return "as fast as by hand"


def duel(ours: str, by_hand: str, names: Mapping[str, Any], *, seconds: float) -> Duel:
    """Time two expressions in turns, so that a slow moment of the machine hits both.

    Parameters
    ----------
    ours, by_hand
        The code, as it is shown.
    names
        What the code refers to.
    seconds
        About how long to measure.

    Returns
    -------
    Duel
        The least time of each over the repeats.
    """
    timers = [timeit.Timer(code, globals=dict(names)) for code in (ours, by_hand)]
    batches = [_batch_size(timer) for timer in timers]
    least = [float("inf"), float("inf")]
    repeats, end = 0, time.perf_counter() + seconds
    while repeats < _LEAST_REPEATS or time.perf_counter() < end:
        # Who goes first changes from turn to turn: neither always runs in the other's warm or cold cache.
        for which in (0, 1) if repeats % 2 else (1, 0):
            spent = timers[which].timeit(batches[which]) / batches[which]
            least[which] = min(least[which], spent)
        repeats += 1
    return Duel(least[0], least[1], repeats)


def _batch_size(timer: timeit.Timer) -> int:
    timer.timeit(1)  # the first call pays for imports and caches
    size = 1
    while timer.timeit(size) < _BATCH_SECONDS:
        size *= 4
    return size


def human(seconds: float) -> str:
    """A duration for people, to three digits: ``420 ns``, ``1.25 us``, ``12.3 ms``, ``2 s``."""
    for unit, scale in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * scale:  # what is more would be rounded to 1000
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"
