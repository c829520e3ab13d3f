"""Running a script: in this process, or in others that may die of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from interop.testing.conformance._check import Outcome, Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: How a script ended, and what was seen.
Ending = tuple[Outcome, str]

_LONGEST: Final = 300
# C keeps pointers to callbacks and capsules' names that scripts made, longer than the scripts last.
_kept: Final[list[object]] = []


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return text if isinstance(error, AssertionError) and text else f"{type(error).__name__}: {text}"


def _run(source: str, part: str, namespace: dict[str, Any]) -> str | None:
    """Execute a part of a script; return what failed."""
    try:
        exec(compile(source, f"<{part} of a conformance check>", "exec"), namespace)  # noqa: S102 - our own scripts
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust library's panic is no Exception
        error.__traceback__ = None
        return _one_line(error)
    return None


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
            reason = _run(f"{script.preamble}\n{script.setup}", "setup", namespace)
            if reason is not None:
                return Outcome.NOT_APPLICABLE, reason
            seen = _run(script.body, "body", namespace)
    finally:
        _kept.extend(value for value in namespace.values() if _of_c(value))
        namespace.clear()
    return (Outcome.CONFORMANT, "") if seen is None else (Outcome.VIOLATION, seen)


_C_TYPES: Final = (ctypes._CFuncPtr, ctypes._SimpleCData)  # type: ignore[attr-defined]  # noqa: SLF001 - their bases


def _of_c(value: object) -> bool:
    return all(isinstance(each, _C_TYPES) for each in value) if isinstance(value, list) else isinstance(value, _C_TYPES)


def _environment() -> dict[str, str]:
    """Return the environment of a process that imports what this one imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _spawn(arguments: Sequence[str], stdin: str, seconds: float) -> tuple[int | None, str, str]:
    """Run Python with arguments; return its exit status, None where it didn't end, and what it wrote."""
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=_environment(),
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired as late:
        # What was written until then comes as bytes, whatever was asked for.
        return None, (late.stdout or b"").decode(errors="replace"), ""
    return done.returncode, done.stdout, done.stderr


def _died(status: int | None, seconds: float) -> str | None:
    """Say how a process died, or None where it ended of itself."""
    if status is None:
        return f"the process didn't end within {seconds:.0f} s"
    if status < 0:
        try:
            return f"the process was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"the process was killed by signal {-status}"
    return None if status in (0, 1) else f"the process ended with status {status}"


def execute_alone(script: Script, seconds: float = 120) -> Ending:
    """Run a script as its reader would: its text, in a new process, without this library."""
    status, _, errors = _spawn(["-c", script.text], "", seconds)
    how = _died(status, seconds)
    if how is not None:
        return Outcome.CRASH, how
    if status == 0:
        return Outcome.CONFORMANT, ""
    last = errors.strip().splitlines()[-1] if errors.strip() else "exit status 1"
    return Outcome.VIOLATION, last.removeprefix("AssertionError: ")[:_LONGEST]


def execute_isolated(scripts: Sequence[Script], seconds: float = 120) -> list[Ending]:
    """Run scripts in other processes: as many in one as it survives.

    A script that a process died in is run again, alone: what an earlier one has corrupted is not its fault.
    """
    endings: list[Ending] = []
    while len(endings) < len(scripts):
        left = scripts[len(endings) :]
        asked = json.dumps([(script.preamble, script.setup, script.body) for script in left])
        status, out, errors = _spawn(["-m", "interop.testing.conformance._worker"], asked, seconds)
        got = list(_parsed(out.split("\n")))
        endings += got
        if len(got) < len(left):
            if not got and _died(status, seconds) is None:
                raise RuntimeError(f"the process that runs risky checks failed: {errors.strip()[-_LONGEST:]}")
            endings.append(execute_alone(left[len(got)], seconds))
    return endings


#: What the worker writes before each ending, so that what a library prints isn't taken for one.
MARK: Final = "@conformance "


def _parsed(lines: Iterable[str]) -> Iterable[Ending]:
    for line in lines:
        if line.startswith(MARK):
            outcome, seen = json.loads(line.removeprefix(MARK))
            yield Outcome(outcome), seen
