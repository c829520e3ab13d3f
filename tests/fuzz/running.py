"""One case after the other: made by its number, run, and held against the laws."""

from __future__ import annotations

import gc
import importlib
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from types import CodeType
from typing import Any, Final

import interop
from fuzz import calls, guests, laws, other_laws, other_sources, reading, sources_of_numpy, sources_of_torch, texts
from fuzz.laws import Broken, Seen, need, short
from fuzz.programs import IMPORTS, Call, Case

#: By the kind of a call, what has to hold of one that went well.
LAWS: Final[dict[str, Callable[[Seen], None]]] = {
    "convert": laws.converted,
    "convert_like": laws.converted,
    "view": other_laws.viewed,
    "copyto": other_laws.copied_into,
    "shares_memory": other_laws.shared,
    "framework": other_laws.framework,
    "device": other_laws.device,
    "dtype": other_laws.dtype,
    "empty_aligned": other_laws.aligned,
}

#: Results that are read again when so many others have been made and dropped since.
KEPT: Final = 24


#: Frameworks that call deleters under a lock of their own, so that what they held is let go a little later.
LATE: Final = ("paddle",)

#: References that only what is everyone's has, such as None.
MANY: Final = 1000


@dataclass(frozen=True)
class Failure:
    """A case that broke a law."""

    number: int
    law: str
    what: str
    program: str


class Cases:
    """The cases of a seed.

    Parameters
    ----------
    seed
        Which; a case depends on it and on its number alone.
    frameworks
        Those that may be used, by name.
    """

    def __init__(self, seed: int, frameworks: Sequence[str]) -> None:
        self.seed = seed
        self.frameworks = tuple(frameworks)
        known = interop.adapters()
        self.targets = [name for name in frameworks if name in known and known[name].target]
        here = [
            *sources_of_numpy.SOURCES,
            *sources_of_torch.SOURCES,
            *other_sources.SOURCES,
            *guests.sources(frameworks),
        ]
        self._sources = texts.ways(*here)
        self._calls = texts.ways(*calls.CALLS)

    def case(self, number: int) -> Case:
        """The case of a number."""
        random = Random(self.seed * 1_000_003 + number)
        source = texts.pick(random, self._sources)(random)
        return Case(number, source, texts.pick(random, self._calls)(random, source, self.targets))


def _names(frameworks: Sequence[str]) -> dict[str, Any]:
    """What programs may use, of what is here."""
    # Classes that are made in a program are of a module.
    names: dict[str, Any] = {"__name__": "__main__"}
    for name, line in IMPORTS.items():
        if name in ("pandas", "polars", "pyarrow", "FRAMEWORKS") and not set(frameworks) - {"numpy", "torch", "cupy"}:
            continue
        if name in ("pandas", "polars", "pyarrow") and name not in frameworks:
            continue
        exec(line, names)
    return names


#: A statement with what is indented below it. They come again and again, and whole programs don't.
_STATEMENT: Final = re.compile(r"\n(?=\S)")


@lru_cache(maxsize=50_000)
def _compiled(text: str, mode: str) -> CodeType:
    return compile(text, "<case>", mode)


def _execute(text: str, names: dict[str, Any]) -> None:
    for statement in _STATEMENT.split(text):
        exec(_compiled(statement, "exec"), names)


def _evaluated(text: str, names: dict[str, Any]) -> Any:
    return eval(_compiled(text, "eval"), names)


def _called(function: str, arguments: Sequence[str], call: Call, names: dict[str, Any]) -> Any:
    """Call as the program does."""
    given = {name: _evaluated(text, names) for name, text in call.options.items()}
    return _evaluated(function, names)(*[_evaluated(text, names) for text in arguments], **given)


class Runner:
    """Runs cases, in this process.

    Parameters
    ----------
    frameworks
        Those that may be used, by name; they are imported.
    """

    def __init__(self, frameworks: Sequence[str]) -> None:
        for name in frameworks:
            importlib.import_module("mlx.core" if name == "mlx" else name)
        self._names = _names(frameworks)
        self._kept: deque[tuple[Case, Any, reading.Found]] = deque()

    def run(self, cases: Iterable[Case], started: Callable[[int], None] = lambda _: None) -> Iterator[Failure]:
        """Run cases; `started` is told the number of each."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for case in cases:
                started(case.number)
                yield from self._failures(case)
            while self._kept:
                yield from self._reread()

    def _failures(self, case: Case) -> Iterator[Failure]:
        try:
            self._run(case)
        except Broken as broken:
            yield Failure(case.number, broken.law, str(broken), str(case))
        except Exception as error:
            # A program, or the oracle, is wrong itself.
            yield Failure(case.number, f"the fuzzer itself: {type(error).__name__}", short(error), str(case))
        if len(self._kept) > KEPT:
            yield from self._reread()

    def _reread(self) -> Iterator[Failure]:
        """Look whether a result of long ago still holds what it held."""
        case, result, found = self._kept.popleft()
        now = reading.read(result)
        if now != found:
            yield Failure(case.number, "results last", f"{found} became {now} after other calls", str(case))

    def _run(self, case: Case) -> None:
        names = dict(self._names)
        _execute(case.setup, names)
        x = names["x"]
        read_of = names.get("truth", x)
        seen = Seen(case, names, _truth(case, read_of))
        if "into" in names:
            names["into_before"] = other_laws.read_into(names)
        before, resizable = reading.state(x), reading.resizable(x)
        references = sys.getrefcount(x)
        if case.call.kind == "convert":
            _explain(seen)
            now = sys.getrefcount(x)
            if references <= MANY and seen.plan is not None:
                need(now == references, "a plan holds no tensor", lambda: f"{now - references} times: {seen.plan}")
        try:
            seen.result = _called(case.call.function, case.call.arguments, case.call, names)
        except Exception as error:
            seen.error = error.with_traceback(None)
        if not case.call.writes:
            self._unchanged(seen, read_of, before)
        for law in (laws.errors_are_ours, laws.must_work, other_laws.must_write, other_laws.written_nothing):
            law(seen)
        if case.call.kind == "convert":
            laws.explained(seen)
        if seen.error is None:
            LAWS[case.call.kind](seen)
        if resizable:
            laws.resizable(seen)
        if self._keeps(seen):
            return
        kind = type(seen.error).__name__
        seen.result = seen.plan = seen.error = seen.plan_error = None
        now = sys.getrefcount(x)
        # A graph may hold what it was made of; and of what everyone holds nobody keeps count.
        if case.source.graph or references > MANY or case.call.target in LATE:
            return
        need(now == references, "references are balanced", lambda: f"{now} and not {references}: {kind}")

    def _unchanged(self, seen: Seen, read_of: Any, before: Any) -> None:
        now = reading.state(seen.names["x"])
        need(now == before, "the source stays as it was", lambda: f"{before} became {now}")
        if seen.truth is not None:
            there = _truth(seen.case, read_of)
            need(there == seen.truth, "the source's values stay", lambda: f"{seen.truth} became {there}")

    def _keeps(self, seen: Seen) -> bool:
        """Keep one result in four for a while."""
        converted = seen.error is None and seen.case.call.kind in ("convert", "convert_like")
        if not converted or seen.case.number % 4 or seen.truth is None or seen.result is seen.names["x"]:
            return False
        self._kept.append((seen.case, seen.result, reading.read(seen.result)))
        return True


def _truth(case: Case, read_of: Any) -> reading.Found | None:
    if case.source.opaque:
        return None
    found = reading.read(read_of)
    return found if case.source.placed else found._replace(ptr=None, extent=None)


def _explain(seen: Seen) -> None:
    call = seen.case.call
    try:
        seen.plan = _called("interop.explain", ("x", repr(call.target)), call, seen.names)
    except Exception as error:
        seen.plan_error = error.with_traceback(None)


def growth(runner: Runner, cases: Sequence[Case]) -> str | None:
    """What repeating cases keeps, once every cache has met them; None where that is nothing."""
    blocks = [0, 0]
    for turn in range(4):
        for _ in runner.run(cases):
            pass
        gc.collect()
        blocks[turn % 2] = sys.getallocatedblocks()
    kept = blocks[1] - blocks[0]
    return f"{kept} blocks of {len(cases)} calls" if kept > len(cases) // 5 else None
