"""Measures, prints the table, writes the files, and fails where a budget is missed."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import budgets, chart, report
from benchmarks.agnostic_rows import AGNOSTIC_COMPARISONS
from benchmarks.contest import contest
from benchmarks.device_rows import DEVICE_COMPARISONS
from benchmarks.framework_rows import FRAMEWORK_COMPARISONS
from benchmarks.imports import IMPORTS, import_costs
from benchmarks.machine import cuda_device, machine, one_line
from benchmarks.memory import CONVERSIONS, MIB, Conversion, peaks
from benchmarks.option_rows import OPTION_COMPARISONS
from benchmarks.rows import COMPARISONS, LARGE
from benchmarks.timing import Effort

_OUT: Final = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes
    ----------
    small, large
        For a comparison of small or large tensors.
    imports
        Fresh interpreters for each import.
    memory
        Bytes of the source of a conversion whose memory is watched.
    conversions
        Those that are watched.
    """

    small: Effort
    large: Effort
    imports: int
    memory: int
    conversions: tuple[Conversion, ...]


FULL: Final = Extent(Effort(2.5), Effort(2.0), imports=15, memory=1024 * MIB, conversions=CONVERSIONS)
QUICK: Final = Extent(
    Effort(0.3), Effort(0.2), imports=4, memory=64 * MIB, conversions=tuple(each for each in CONVERSIONS if each.quick)
)


@dataclass(frozen=True)
class Job:
    """Something that can be measured by itself, and chosen by its label."""

    label: str
    run: Callable[[], Iterator[budgets.Result]]


def device_jobs(limits: budgets.Budgets, extent: Extent) -> Iterator[Job]:
    """What is measured with memory of a CUDA device, in the order of the report."""
    for comparison in DEVICE_COMPARISONS:
        effort = extent.large if comparison.name.startswith("large") else extent.small
        yield Job(f"{comparison.name}: {comparison.ours.code}", partial(contest, comparison, limits, effort))


def framework_jobs(leg: str, limits: budgets.Budgets, extent: Extent) -> Iterator[Job]:
    """What is measured with the other frameworks of one environment, in the order of the report."""
    for comparison in FRAMEWORK_COMPARISONS[leg]:
        yield Job(f"{comparison.name}: {comparison.ours.code}", partial(contest, comparison, limits, extent.small))


def jobs(limits: budgets.Budgets, extent: Extent) -> Iterator[Job]:
    """Everything that is measured in the environment of make bench, in the order of the report."""
    for comparison in COMPARISONS + AGNOSTIC_COMPARISONS:
        effort = extent.large if comparison.section == LARGE else extent.small
        yield Job(f"{comparison.name}: {comparison.ours.code}", partial(contest, comparison, limits, effort))
    for comparison in OPTION_COMPARISONS:
        yield Job(f"{comparison.name}: {comparison.ours.code}", partial(contest, comparison, limits, extent.small))
    yield from framework_jobs("bench", limits, extent)
    for code, base in IMPORTS:
        yield Job(f"{code} over {base}", partial(import_costs, limits, code, base, extent.imports))
    for conversion in extent.conversions:
        yield Job(f"memory of {conversion.name}", partial(peaks, conversion, limits, extent.memory))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit status."""
    options = _parser().parse_args(arguments)
    limits = budgets.load()
    extent = QUICK if options.quick else FULL
    measured = _asked(options)(limits, extent)
    chosen = [job for job in measured if options.only.search(job.label)]
    if not chosen:
        print(f"nothing is named {options.only.pattern!r}", file=sys.stderr)
        return 2
    facts = {**machine(cuda_device() if options.cuda else ""), "quick": options.quick}
    started = perf_counter()
    results = [result for number, job in enumerate(chosen, 1) for result in _run(job, number, len(chosen))]
    facts["seconds"] = round(perf_counter() - started, 1)
    report.show(results, one_line(facts), sys.stdout)
    out = options.out or _OUT / ("cuda" if options.cuda else options.leg or "")
    report.write_json(results, facts, options.json or out / "benchmarks.json")
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.md").write_text(report.markdown(results, one_line(facts)), encoding="utf-8")
    chart.draw(results, one_line(facts), out / "benchmarks.png")
    return 1 if any(result.verdict.fails for result in results) else 0


def _asked(options: argparse.Namespace) -> Callable[[budgets.Budgets, Extent], Iterator[Job]]:
    if options.cuda:
        return device_jobs
    return partial(framework_jobs, options.leg) if options.leg else jobs


def _run(job: Job, number: int, total: int) -> Iterator[budgets.Result]:
    if sys.stderr.isatty():
        print(f"\r\033[K{number}/{total} {job.label}", end="\r" if number == total else "", file=sys.stderr, flush=True)
    return job.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON goes (default: with the other files)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of the files (default: benchmarks/out, with --cuda or --leg a folder in it)",
    )
    parser.add_argument("--cuda", action="store_true", help="with memory of the CUDA device, real or simulated, alone")
    parser.add_argument(
        "--leg",
        choices=sorted(FRAMEWORK_COMPARISONS),
        help="with the other frameworks of one environment alone (make bench-frameworks)",
    )
    parser.add_argument("--quick", action="store_true", help="a rough look, in well under a minute")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="PATTERN", help="what matches only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
