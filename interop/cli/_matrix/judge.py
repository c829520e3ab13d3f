"""What one call did to one cell, by looking at memory and not by believing anybody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from interop._dtypes import BY_NAME
from interop.cli._matrix import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop.cli._matrix.cells import Cell
    from interop.cli._matrix.hands import Hands, Memory, Read
    from interop.cli._matrix.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call did, and more of it in words: the error, the dtypes, the difference.

    Attributes
    ----------
    outcome
        One of :mod:`interop.cli._matrix.outcomes`.
    detail
        In words; empty where there is nothing to add.
    aliased
        Whether source and result are on the same memory.
    error
        What was raised.
    readonly
        Whether the result says that it is readonly.
    raw
        The bytes of the result's memory.
    """

    outcome: Outcome
    detail: str = ""
    aliased: bool = False
    error: BaseException | None = None
    readonly: bool = False
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Bench:
    """The two sides of a pair, and what a judgement allows.

    Parameters
    ----------
    source, target
        Hands on both sides.
    promised
        Whether the call promised not to write, so that readonly memory may come out writable.
    wanted
        Whether the call asked for a view, so that a target that takes memory for constant may be given one.
    """

    source: Hands
    target: Hands
    promised: bool = False
    wanted: bool = False


def judge(bench: Bench, cell: Cell, call: Callable[[Any], Any]) -> Verdict:
    """Make a source, hand it over, and find out what happened.

    Parameters
    ----------
    bench
        The pair.
    cell
        What to hand over.
    call
        The conversion.
    """
    x = bench.source.make(cell)
    try:
        result = call(x)
    except Exception as err:  # noqa: BLE001 - whatever is raised is an outcome
        return Verdict(outcomes.ERROR, f"{type(err).__name__}: {_line(err)}", error=err.with_traceback(None))
    wrong = _misread(bench.target, result, bench.source.expected(cell))
    if wrong is not None:
        return wrong
    readonly = bool(bench.target.readonly(result))
    if 0 in bench.source.shape(cell.layout):
        return Verdict(outcomes.EMPTY, readonly=readonly)
    found = _sharing(bench, cell, x, result)
    if found.outcome.letter not in outcomes.RIGHT:
        return found
    del x
    return _survives(bench.target, result, bench.source.expected(cell), found)


def _line(err: BaseException) -> str:
    """The first line of an exception's text."""
    text = str(err).strip()
    return text.splitlines()[0] if text else ""


def _misread(target: Hands, result: Any, expected: Read) -> Verdict | None:
    """What is wrong with a result as it is read, and after an operation on it; None where nothing is."""
    if not isinstance(result, target.kind):
        return Verdict(outcomes.WRONG, f"a {type(result).__module__}.{type(result).__qualname__}")
    try:
        read = target.read(result)
    except Exception as err:  # noqa: BLE001 - whatever reading it raises, it can't be used
        return Verdict(outcomes.UNUSABLE, f"{type(err).__name__} when it is read: {_line(err)}")
    if read.dtype != expected.dtype:
        return _changed(read, expected)
    if read != expected:
        return Verdict(outcomes.WRONG, _difference(read, expected))
    return _unusable(target, result, expected) if target.works(read.dtype) else None


def _unusable(target: Hands, result: Any, expected: Read) -> Verdict | None:
    """What is wrong with a result that reads well when it is computed with; None where nothing is."""
    try:
        used = target.read(target.use(result))
    except Exception as err:  # noqa: BLE001 - as above
        return Verdict(outcomes.UNUSABLE, f"{type(err).__name__} in an operation: {_line(err)}")
    return None if used == expected else Verdict(outcomes.UNUSABLE, "an operation on it computes something else")


def _changed(read: Read, expected: Read) -> Verdict:
    """A result of another element type: a cast of the values, or something else altogether."""
    before, after = BY_NAME[expected.dtype].numpy, BY_NAME[read.dtype].numpy if read.dtype in BY_NAME else None
    change = f"{expected.dtype} became {read.dtype}"
    if before is not None and after is not None and read.shape == expected.shape:
        with np.errstate(all="ignore"):
            cast = np.frombuffer(expected.data, before).astype(after)
        got = np.frombuffer(read.data, after)
        with np.errstate(all="ignore"):
            # NaNs lose their payloads in a cast, whoever casts.
            same = (cast == got) | ((cast != cast) & (got != got))  # noqa: PLR0124 - a NaN differs from itself
        if np.all(same):
            return Verdict(outcomes.DTYPE, change)
    return Verdict(outcomes.WRONG, f"{change}, and the values are no cast of those")


def _difference(read: Read, expected: Read) -> str:
    if read.shape != expected.shape:
        return f"shape {read.shape} instead of {expected.shape}"
    return f"other values ({_differing(read, expected)} of {max(len(expected.data), 1)} bytes differ)"


def _differing(read: Read, expected: Read) -> int:
    if len(read.data) != len(expected.data):
        return abs(len(read.data) - len(expected.data))
    return int(np.count_nonzero(np.frombuffer(read.data, np.uint8) != np.frombuffer(expected.data, np.uint8)))


def _sharing(bench: Bench, cell: Cell, x: Any, result: Any) -> Verdict:
    """Whether the two are on one memory, by their addresses and by writing to each."""
    ours, theirs = bench.source.memory(x), bench.target.memory(result)
    if ours is not None and theirs is not None and ours.overlaps(theirs) and ours.extent != theirs.extent:
        return Verdict(outcomes.WRONG, "the result lies across the edge of the source's memory", aliased=True)
    shared = x is result or (ours is not None and theirs is not None and ours.ptr == theirs.ptr)
    forward = _shows(bench.source, x, theirs, lambda: bench.target.read(result).data)
    backward = _shows(bench.target, result, ours, lambda: bench.source.read(x).data)
    aliased = shared or forward or backward
    raw = b"" if theirs is None else theirs.bytes()
    outcome = outcomes.VIEW if aliased else outcomes.COPY
    if backward and cell.readonly and not bench.promised:
        outcome = outcomes.WRITABLE
    elif aliased and bench.target.constant and not (cell.readonly or bench.wanted or bench.target is bench.source):
        outcome = outcomes.UNSTABLE
    return Verdict(outcome, aliased=aliased, readonly=bool(bench.target.readonly(result)), raw=raw)


def _shows(writer: Hands, written: Any, seen: Memory | None, read: Callable[[], bytes]) -> bool:
    """Whether a write to one array shows in the memory of another."""
    look = read if seen is None else seen.bytes
    before = look()
    if not writer.poke(written):
        return False
    shown = look() != before
    writer.poke(written)
    return shown


def _survives(target: Hands, result: Any, expected: Read, found: Verdict) -> Verdict:
    """Whether the result keeps its values now that the source is gone and its memory may be used again."""
    size = max(len(expected.data), 1)
    litter = [np.full(size + 8 * more, 0xA5, np.uint8) for more in range(16)]
    memory = target.memory(result)
    try:
        kept = target.read(result) == expected and (memory is None or memory.bytes() == found.raw)
    except Exception as err:  # noqa: BLE001 - whatever reading it raises, it can't be used
        return replace(found, outcome=outcomes.DANGLING, detail=f"{type(err).__name__}: {_line(err)}")
    finally:
        del litter
    return found if kept else replace(found, outcome=outcomes.DANGLING)
