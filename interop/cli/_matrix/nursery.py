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

#: Seconds that an attempt may take before it counts as hung.
PATIENCE: Final = 30.0

#: Longer than any request or answer.
_CHUNK: Final = 1 << 16


def how_it_died(status: int | None) -> str:
    """The end of a process in words, from its exit status; None where it was stopped because it hung."""
    if status is None:
        return "hangs"
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

    def try_it(self, way: int, cell: int) -> dict[str, Any]:
        """Have a child make an attempt, and return what it says, or how it died."""
        os.write(self._ask, json.dumps([way, cell]).encode())
        found: dict[str, Any] = json.loads(os.read(self._answers, _CHUNK))
        return found

    def _serve(self, asks: int, answer: int) -> None:
        # The pipe ends when the worker does, and with it this process.
        while request := os.read(asks, _CHUNK):
            way, cell = json.loads(request)
            os.write(answer, json.dumps(self._child(way, cell)).encode())

    def _child(self, way: int, cell: int) -> dict[str, Any]:
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
            ready, _, _ = select.select([pipe], [], [], PATIENCE)
            if not ready:
                os.kill(child, signal.SIGKILL)
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if said:
            found: dict[str, Any] = json.loads(said)
            return found
        died = None if not ready else os.waitstatus_to_exitcode(status)
        return {"o": outcomes.CRASH.letter, "why": how_it_died(died)}
