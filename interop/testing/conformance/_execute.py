"""Running a script: in this process, or in others that may die of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Final, Self

from interop.testing._capsules import immortal
from interop.testing.conformance._check import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import CodeType

    from interop.testing.conformance._script import Script


@dataclass(frozen=True, slots=True)
class Ending:
    """How a script ended: what was seen, and in which line of its last part."""

    outcome: Outcome
    seen: str = ""
    line: int | None = None


#: Seconds that one check may take, unless another number is asked for.
TIMEOUT: Final = 60.0

_LONGEST: Final = 300
# What a library may take to be imported.
_START: Final = 180.0
# So many checks may not return before the rest is given up.
_HANGS: Final = 3
# C keeps pointers to callbacks and capsules' names that scripts made, longer than the scripts, and this module, last.
_kept: Final[list[object]] = immortal([])


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return text if isinstance(error, AssertionError) and text else f"{type(error).__name__}: {text}"


def _run(source: str, part: str, namespace: dict[str, Any]) -> tuple[str, int | None] | None:
    """Execute a part of a script; return what failed, and in which line."""
    file = f"<{part} of a conformance check>"
    try:
        exec(compile(source, file, "exec"), namespace)  # noqa: S102 - a check is a script, so that it is what it prints
    except KeyboardInterrupt:
        raise
    except SystemExit as ended:
        # By sys.exit() a script says that nothing is wrong; a library that ends the process says otherwise.
        return None if ended.code is None else (_one_line(ended), None)
    except BaseException as error:  # a Rust library's panic is no Exception
        # The last line of the script itself: a function of it may be called from elsewhere.
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if _is_module(frame.f_code, file)]
        error.__traceback__ = None
        return _one_line(error), lines[-1] if lines else None
    return None


def _is_module(code: CodeType, file: str) -> bool:
    return code.co_filename == file and code.co_name == "<module>"


def execute(script: Script, objects: Mapping[str, Any] | None = None) -> Ending:
    """Run a script here.

    Parameters
    ----------
    script
        The script.
    objects
        What it finds by name besides.
    """
    namespace: dict[str, Any] = {"__name__": "__reproducer__", **(objects or {})}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            failed = _run(f"{script.preamble}\n{script.setup}", "setup", namespace)
            if failed is not None:
                return unused(failed[0])
            failed = _run(script.body, "body", namespace)
    finally:
        _kept.extend(value for value in namespace.values() if _of_c(value))
        namespace.clear()
    return Ending(Outcome.CONFORMANT) if failed is None else Ending(Outcome.VIOLATION, *failed)


_UNTESTED: Final = "not tested: "


def unused(reason: str) -> Ending:
    """Return how a check ends that has nothing to say, or no means to find out."""
    if reason.startswith(_UNTESTED):
        return Ending(Outcome.NOT_TESTED, reason.removeprefix(_UNTESTED))
    return Ending(Outcome.NOT_APPLICABLE, reason)


_C_TYPES: Final = (ctypes._CFuncPtr, ctypes._SimpleCData)  # type: ignore[attr-defined]  # noqa: SLF001 - their bases


def _of_c(value: object) -> bool:
    return all(isinstance(each, _C_TYPES) for each in value) if isinstance(value, list) else isinstance(value, _C_TYPES)


def _environment() -> dict[str, str]:
    """Return the environment of a process that imports what this one imports, and from nowhere else.

    The empty path is the current folder. With ``-P`` that isn't added where this process does without it.
    """
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _died(status: int) -> str | None:
    """Say how a process died, or None where it ended of itself."""
    if status < 0:
        try:
            return f"the process was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"the process was killed by signal {-status}"
    return None if status in (0, 1) else f"the process ended with status {status}"


def _endless(seconds: float) -> Ending:
    return Ending(Outcome.VIOLATION, f"it does not return within {seconds:g} s")


def execute_alone(script: Script, seconds: float = TIMEOUT) -> Ending:
    """Run a script as its reader would: its text, in a new process, without this library."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell: this very interpreter, and a script of our tables
            [sys.executable, "-P", "-c", script.text],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=seconds + _START,
            env=_environment(),
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return _endless(seconds)
    how = _died(done.returncode)
    if how is not None:
        return Ending(Outcome.CRASH, how)
    if done.returncode == 0:
        return Ending(Outcome.CONFORMANT)
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "exit status 1"
    return Ending(Outcome.VIOLATION, last.removeprefix("AssertionError: ")[:_LONGEST])


def execute_isolated(
    scripts: Sequence[Script],
    seconds: float = TIMEOUT,
    starts: Callable[[int], object] = lambda _: None,
    corrupting: Collection[int] = (),
) -> list[Ending]:
    """Run scripts in other processes: as many in one as it survives.

    A script that a process died in, or that didn't return, is run again, alone: what an earlier one has corrupted isn't
    its fault. So is one that fails after a corrupting one in the same process. Where several don't return, what is left
    isn't run: a library that hangs would take hours.

    Parameters
    ----------
    scripts
        The scripts.
    seconds
        What each may take, without the library's import.
    starts
        Called with the index of each that is about to run.
    corrupting
        Which of them may leave the process broken.
    """
    endings: list[Ending] = []
    doubtful: list[int] = []
    hung = 0
    while len(endings) < len(scripts) and hung < _HANGS:
        first = len(endings)
        starts(first)
        with _Worker(scripts[first:]) as worker:
            while len(endings) < len(scripts):
                ending = worker.next(seconds)
                if ending is None:
                    break
                at = len(endings)
                if ending.outcome is Outcome.VIOLATION and any(first <= index < at for index in corrupting):
                    doubtful.append(at)
                endings.append(ending)
                if len(endings) < len(scripts):
                    starts(len(endings))
        if len(endings) == len(scripts):
            break
        script = scripts[len(endings)]
        if worker.late:
            with _Worker([script]) as again:
                ending = again.next(seconds) or (_endless(seconds) if again.late else execute_alone(script, seconds))
            hung += ending == _endless(seconds)
        elif not worker.ready and worker.status in (0, 1):
            raise RuntimeError(f"the process that runs checks failed: {worker.errors.strip()[-_LONGEST:]}")
        else:
            ending = execute_alone(script, seconds)
        endings.append(ending)
    for index in doubtful:
        (endings[index],) = execute_isolated([scripts[index]], seconds)
    left = Ending(Outcome.NOT_TESTED, f"{hung} checks before it didn't return")
    return [*endings, *[left] * (len(scripts) - len(endings))]


class _Worker:
    """A process that runs scripts one after the other, and tells of each."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self.late = self.ready = False
        self.status = 0
        self.errors = ""
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._asked = json.dumps([(script.preamble, script.setup, script.body) for script in scripts])

    def __enter__(self) -> Self:
        self._stderr = TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "interop.testing.conformance._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=_environment(),
            errors="replace",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(self._asked)
        # A pipe can't be waited for with a limit on every platform; a queue can.
        self._reader = Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()
        return self

    def _read(self, out: IO[str]) -> None:
        for line in out:
            # What a library prints isn't taken for an ending.
            if line.startswith(MARK):
                self._lines.put(line.removeprefix(MARK))
        self._lines.put("")

    def next(self, seconds: float) -> Ending | None:
        """Return how the next script ended; None where the process ended, or was too late."""
        line = self._line(_START if not self.ready else seconds)
        if line and not self.ready:
            self.ready = True
            line = self._line(seconds)
        if not line:
            return None
        outcome, seen, at = json.loads(line)
        return Ending(Outcome(outcome), seen, at)

    def _line(self, seconds: float) -> str:
        try:
            return self._lines.get(timeout=seconds)
        except Empty:
            self.late = True
            return ""

    def __exit__(self, *_: object) -> None:
        if self.late:
            self._process.kill()
        self.status = self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.seek(0)
        self.errors = self._stderr.read()
        self._stderr.close()


#: What the worker writes before each ending, so that what a library prints isn't taken for one.
MARK: Final = "@conformance "
