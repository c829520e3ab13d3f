"""Runs pairs, each in processes of its own, some at a time; one that dies or hangs is followed by one that goes on."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from interop.cli._matrix import outcomes
from interop.cli._matrix.cells import LAYOUTS, Cell
from interop.cli._matrix.nursery import how_it_died
from interop.cli._matrix.results import Broken, Found, Pair
from interop.cli._process import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from interop.cli._matrix.worker import Job

#: Seconds without a word after which a process counts as hung that imports its frameworks and makes its cells.
#: Importing tensorflow on a busy machine takes a while.
STARTING: Final = 300.0

#: Seconds by which the process that waits for an attempt waits longer than the attempt may take: where that runs in a
#: child, the one that made the child speaks first.
_MARGIN: Final = 10.0

#: Characters that are kept of what the call that is compared says, which the page shows, and of what others say.
LONGEST: Final = 160
_LONGEST_UNSHOWN: Final = 80

#: Outcomes after which nothing is left to say whether a promise was kept.
_ENDS: Final = frozenset((outcomes.CRASH.letter, outcomes.HANG.letter))

_WORKER: Final = command("interop.cli._matrix.worker")


class AbsentError(Exception):
    """A framework can't be imported, or doesn't work here."""


@dataclass(slots=True)
class Run:
    """One pair while it is measured."""

    job: Job
    pair: Pair
    cells: list[tuple[str, str]] = field(default_factory=list)
    impossible: set[tuple[str, str]] = field(default_factory=set)
    at: int | None = None
    done: bool = False
    hung: bool = False

    def take(self, event: dict[str, Any]) -> None:
        """Note what a worker said."""
        if "absent" in event:
            raise AbsentError(event["absent"])
        if "ways" in event and not self.pair.ways:
            self.job.cells = event["cells"]
            self.cells = [(cell.dtype, cell.column) for cell in (Cell(*fields) for fields in event["cells"])]
            self.pair.ways = event["ways"]
            self.pair.columns = list(_columns(self.cells))
            self.pair.found = {way: {} for way in self.pair.ways}
            possible = zip(self.cells, event["possible"], strict=True)
            self.impossible = {cell for cell, is_there in possible if not is_there}
        if "at" in event:
            self.at = event["at"]
        if "k" in event:
            self._note(event)
        self.done = self.done or "done" in event

    def _note(self, event: dict[str, Any]) -> None:
        way, cell = self.place(event["k"])
        rightly = event["o"] == outcomes.ERROR.letter and cell in self.impossible
        letter = outcomes.NONE.letter if rightly else event["o"]
        longest = LONGEST if way == self.pair.ways[0] else _LONGEST_UNSHOWN
        self.pair.found[way][cell] = Found(letter, event.get("why", "")[:longest])
        broken = [*event.get("broken", ())]
        if letter in _ENDS and way.partition(" ")[0] == "interop":
            broken.append(event.get("why") or outcomes.OUTCOMES[letter].word)
        self.pair.broken += [Broken(way, *cell, text[:LONGEST]) for text in broken]
        self.pair.looked += event.get("looked", False)
        if way == self.pair.ways[0] and not event.get("sure", True):
            self.pair.uncertain += 1
        self.at = None

    def place(self, index: int) -> tuple[str, tuple[str, str]]:
        """The way and the cell of an attempt's number."""
        way, cell = divmod(index, len(self.cells))
        return self.pair.ways[way], self.cells[cell]

    def patience(self) -> float:
        """How many seconds the worker may go on without a word."""
        return STARTING if self.at is None else _MARGIN + self.job.patience(self.place(self.at)[0])

    def died(self, status: int, last_words: str) -> None:
        """Note that the attempt of which nothing more was said killed the process, and go on after it."""
        if self.at is None:
            how = f"said nothing for {STARTING:.0f} s" if self.hung else f"ended early: {last_words or status}"
            msg = f"the worker of {self.job.source} to {self.job.target} {how}"
            raise AbsentError(msg)
        way, (dtype, column) = self.place(self.at)
        outcome = outcomes.HANG if self.hung else outcomes.CRASH
        whys = ("" if self.hung else how_it_died(status), last_words)
        why = ": ".join(filter(None, whys))
        self._note({"k": self.at, "o": outcome.letter, "why": why})
        self.job.start = 1 + self.pair.ways.index(way) * len(self.cells) + self.cells.index((dtype, column))
        if self.hung and way not in self.job.hangs:
            self.job.hangs.append(way)
        self.hung = False
        suspect = (way, column.removesuffix(" readonly"))
        if suspect not in self.job.suspects:
            self.job.suspects.append(suspect)


def _columns(cells: Sequence[tuple[str, str]]) -> Iterator[str]:
    met = {column for _, column in cells}
    for layout in LAYOUTS:
        yield from (column for column in (layout, f"{layout} readonly") if column in met)


def measure(job: Job, progress: Callable[[float], None] = lambda _: None) -> Pair:
    """Measure one pair.

    Parameters
    ----------
    job
        What to measure.
    progress
        Called now and then with how much of it is done, from 0 to 1.

    Raises
    ------
    AbsentError
        If one of the frameworks can't be imported, or doesn't work here.
    """
    run = Run(job, Pair(job.source, job.target))
    while not run.done:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(  # noqa: S603 - this very interpreter
                (*_WORKER, json.dumps(asdict(job))), stdout=subprocess.PIPE, stderr=said, env=_environment()
            )
            try:
                _listen(process, run, progress)
            finally:
                process.kill()
                status = process.wait()
            if not run.done:
                run.died(status, _last_words(said))
    return run.pair


def _listen(process: subprocess.Popen[bytes], run: Run, progress: Callable[[float], None]) -> None:
    assert process.stdout is not None
    with process.stdout as pipe:
        rest, told = b"", 0.0
        while True:
            ready, _, _ = select.select([pipe], [], [], run.patience())
            chunk = os.read(pipe.fileno(), 1 << 16) if ready else b""
            if not ready:
                run.hung = True
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                run.take(json.loads(line))
            if run.at is not None and time.monotonic() - told > 0.1:  # noqa: PLR2004 - ten times a second
                told = time.monotonic()
                progress(run.at / (len(run.cells) * len(run.pair.ways)))
    if not run.hung:
        process.wait()


def _environment() -> dict[str, str]:
    """Frameworks that keep to one thread and to themselves: other processes run beside."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "GLOG_minloglevel": "3"}
    return {**os.environ, "OMP_NUM_THREADS": "1", **quiet}


def _last_words(said: Any) -> str:
    """What a process that died said of it: the first line that names an error, or the last of a traceback."""
    said.seek(0)
    lines: list[str] = said.read().decode(errors="replace").splitlines()
    telling = [
        line.strip() for line in lines if any(word in line for word in ("what():", "free()", "corrupt", "Fatal"))
    ]
    if not telling and any(line.startswith("Traceback") for line in lines):
        return str(lines[-1])
    return str(telling[0]) if telling else ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened while pairs were measured.

    Attributes
    ----------
    source, target
        Of which pair.
    part
        How much of it is done.
    pair
        The result, at its end; None before, and where there is none.
    why
        Why there is none.
    """

    source: str
    target: str
    part: float
    pair: Pair | None = None
    why: str = ""


def measure_all(jobs: Sequence[Job], workers: int, tell: Callable[[Event], None]) -> None:
    """Measure pairs, so many at a time.

    Parameters
    ----------
    jobs
        The pairs.
    workers
        How many at a time.
    tell
        Called with what happens, from several threads.
    """

    def one(job: Job) -> None:
        try:
            pair = measure(job, lambda part: tell(Event(job.source, job.target, part)))
        except AbsentError as err:
            tell(Event(job.source, job.target, 1.0, why=str(err)))
        else:
            tell(Event(job.source, job.target, 1.0, pair))

    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(one, job) for job in jobs]):
            done.result()
