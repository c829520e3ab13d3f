"""Runs comparisons: checks that every way does what it claims, times them all, and judges the ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.budgets import Budgets, Result, Verdict
from benchmarks.names import MissingPackageError, resolve
from benchmarks.rows import LARGE, Comparison, Way
from benchmarks.sources import as_ndarray, bits, pointer
from benchmarks.timing import Cost, Effort, Loop, compile_loop, measure, one_core


class WrongResultError(Exception):
    """A way didn't do what its row claims, or two ways differ: no time would mean anything."""


@dataclass(frozen=True)
class _Absence:
    """Why a way can't run."""

    verdict: Verdict
    note: str


def contest(comparison: Comparison, budgets: Budgets, effort: Effort) -> Iterator[Result]:
    """Time our call against the others; a miss is measured once more, to be told from a disturbance.

    Yields
    ------
    Result
        For each of the others, in their order. Nothing is dropped: what couldn't run says why.
    """
    ours = comparison.ours.code
    limits = budgets.ratios.get(comparison.name, {})
    loops, absent = _prepare(comparison)
    costs: Mapping[str, Cost] = {}
    if ours in loops:
        costs = _measure(comparison, loops, effort)
        if any(
            budgets.judge(costs[ours].over(costs[code]), limits[code]).fails for code in limits.keys() & costs.keys()
        ):
            costs = {code: costs[code] + more for code, more in _measure(comparison, loops, effort).items()}
    for other in comparison.others:
        yield _result(comparison, other.code, costs, absent, budgets)


def _measure(comparison: Comparison, loops: Mapping[str, Loop], effort: Effort) -> dict[str, Cost]:
    """A large copy is a block by itself, and may use every core."""
    if comparison.section == LARGE:
        return measure(loops, comparison.source.maker(), replace(effort, calls=1))
    with one_core():
        return measure(loops, comparison.source.maker(), effort)


def _prepare(comparison: Comparison) -> tuple[dict[str, Loop], dict[str, _Absence]]:
    """Compile every way that can run, and say why the others can't."""
    loops: dict[str, Loop] = {}
    absent: dict[str, _Absence] = {}
    expected: bytes | None = None
    x: Any = None
    for way in (comparison.ours, *comparison.others):
        try:
            names = resolve(way.code, comparison.source.code)
            x = comparison.source.maker()(1)[0] if x is None else x
            expected = _check(way, {**names, comparison.source.variable: x}, x, expected)
        except MissingPackageError as err:
            absent[way.code] = _Absence(Verdict.ABSENT, f"{err} is not installed")
        except WrongResultError as err:
            absent[way.code] = _Absence(Verdict.FAILED, str(err))
        except Exception as err:
            absent[way.code] = _Absence(Verdict.REFUSED, f"{type(err).__name__}: {err}")
        else:
            loops[way.code] = compile_loop(way.code, comparison.source.variable, names)
    return loops, absent


def _check(way: Way, names: dict[str, Any], x: Any, expected: bytes | None) -> bytes | None:
    """Run a way once: the memory must be what its row claims, and the bits those of the ways before it."""
    result = eval(way.code, names)
    if way.shares is None:
        return expected
    if way.shares is not (pointer(result) == pointer(x)):
        msg = f"{way.code} was to {'share' if way.shares else 'copy'} the memory, and didn't"
        raise WrongResultError(msg)
    if not way.same:
        return expected
    got = bits(as_ndarray(result))
    if expected is not None and got != expected:
        msg = f"{way.code} gave other values than the ways before it"
        raise WrongResultError(msg)
    return got


def _result(
    comparison: Comparison, code: str, costs: Mapping[str, Cost], absent: Mapping[str, _Absence], budgets: Budgets
) -> Result:
    ours, theirs = costs.get(comparison.ours.code), costs.get(code)
    limit = budgets.ratios.get(comparison.name, {}).get(code)
    figure = median = None
    if ours is not None and theirs is not None:
        figure, median = ours.over(theirs), ours.median_over(theirs)
    mine, its = absent.get(comparison.ours.code), absent.get(code)
    if mine is not None:
        verdict, note = Verdict.FAILED, f"{comparison.ours.code}: {mine.note}"
    elif its is not None:
        missed = limit is not None and not its.verdict.fails
        verdict, note = Verdict.MISSED if missed else its.verdict, its.note
    else:
        verdict, note = budgets.judge(figure, limit), ""
    return Result(
        section=comparison.section,
        name=comparison.name,
        given=comparison.source.text,
        call=comparison.ours.code,
        against=code,
        unit="ns",
        ours=None if ours is None else ours.best,
        theirs=None if theirs is None else theirs.best,
        figure=figure,
        median=median,
        limit=limit,
        verdict=verdict,
        note=note,
        details={"rounds": len(ours.blocks)} if ours else {},
    )
