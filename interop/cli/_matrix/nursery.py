"""Attempts that may kill their process: each in a child of a process that has imported everything and used nothing.

A framework that has been used has threads and locks that don't live on in a forked child; one that is only imported
forks well, and that costs a hundredth of a new process.
"""

from __future__ import annotations

import json
import os
import select
import signal
from typing import TYPE_CHECKING, Any, Final

from interop.cli._matrix import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that an attempt may take before it counts as hung; a framework that computes for the first time compiles.
PATIENCE: Final = 20.0

#: The same for a call that has hung before in this pair: hundreds of cells may wait for a lock that is never released.
IMPATIENCE: Final = 2.0

#: Longer than any request or answer.
_CHUNK: Final = 1 << 16


def how_it_died(status: int) -> str:
    """The end of a process in words, from its exit status."""
    if status < 0:
        return signal.Signals(-status).name
    return f"exits with status {status}"


class Nursery:
    """A process that makes a child for each attempt.

    Parameters
    ----------
    attempt
        Takes the numbers of a way and of a cell, and returns what to say of it.

    Notes
    -----
    It has to be made before either framework is used.
    """

    def __init__(self, attempt: Callable[[int, int], dict[str, Any]]) -> None:
        self._attempt = attempt
        asks, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        if os.fork() == 0:
            os.close(self._ask)
            try:
                self._serve(asks, answer)
            finally:
                os._exit(0)
        os.close(asks)
        os.close(answer)

    def try_it(self, way: int, cell: int, patience: float) -> dict[str, Any]:
        """Have a child make an attempt within some seconds, and return what it says, or how it died."""
        os.write(self._ask, json.dumps([way, cell, patience]).encode())
        found: dict[str, Any] = json.loads(os.read(self._answers, _CHUNK))
        return found

    def _serve(self, asks: int, answer: int) -> None:
        # The pipe ends when the worker does, and with it this process.
        while request := os.read(asks, _CHUNK):
            os.write(answer, json.dumps(self._child(*json.loads(request))).encode())

    def _child(self, way: int, cell: int, patience: float) -> dict[str, Any]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reading)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                os.write(writing, json.dumps(self._attempt(way, cell)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            ready, _, _ = select.select([pipe], [], [], patience)
            if not ready:
                os.kill(child, signal.SIGKILL)
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if said:
            found: dict[str, Any] = json.loads(said)
            return found
        if not ready:
            return {"o": outcomes.HANG.letter, "why": ""}
        return {"o": outcomes.CRASH.letter, "why": how_it_died(os.waitstatus_to_exitcode(status))}
