"""The pytest plugin: `pytest -p cudasim.plugin --simulate-cuda=lazy` runs tests on the simulated CUDA device.

Each race, use after free, out-of-bounds access, leak and unimplemented call that the device finds fails the test in
which it happened, and the example of a law in which it happened.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

import cudasim
from cudasim import caches
from cudasim.boot import MODES, BootError
from cudasim.control import set_diagnosis_file
from cudasim.running import RUN, Run, find, running_on

MARKERS = (
    "sim_only(mode=...): reads what only the simulated CUDA device can tell; with a mode, what only that mode can show",
    'finds(kind, ...): what the simulated CUDA device has to find in this test, like "race" or "leak"; nothing else',
)

#: Memory whose owners are the code under test. Pinned memory isn't among it: torch keeps what it has pinned once.
OWNED = ("device", "managed")


@dataclass
class Watch:
    """What one test has let the device find, and from which allocation on memory is its own."""

    expected: frozenset[str] = frozenset()
    found: list[cudasim.Finding] = field(default_factory=list)
    since: int = 0


ABSENT = "simulated CUDA didn't find what this test is marked to find"

WATCH = pytest.StashKey[Watch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("cudasim", "simulated CUDA device").addoption(
        "--simulate-cuda",
        choices=MODES,
        help="run on the simulated CUDA device, in this mode: lazy shows every missing synchronisation",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    mode = config.getoption("--simulate-cuda")
    if mode:
        try:
            cudasim.boot(mode)
            _tell_crashes()
        except BootError as error:
            raise pytest.UsageError(str(error)) from error
    config.stash[RUN] = find()


@functools.cache
def _tell_crashes() -> None:
    """Keep standard error as it is now for what is said in a crash: during a test it is pytest's, and lost with it."""
    if sys.__stderr__:
        set_diagnosis_file(os.dup(sys.__stderr__.fileno()))


def pytest_report_header(config: pytest.Config) -> str:
    run = running_on(config)
    return f"cuda: {run.name if run else 'no device, simulated or real'}"


# -- which tests mean something here -----------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = running_on(config)
    for item in items:
        marker = item.get_closest_marker("sim_only")
        if marker and (reason := _meaningless(marker, run)):
            item.add_marker(pytest.mark.skip(reason=reason))
        if run and run.simulated:
            _watch_examples(item)


def _meaningless(marker: pytest.Mark, run: Run | None) -> str | None:
    """Why a test marked sim_only doesn't run here."""
    if run is None or not run.simulated:
        return "sim_only: it reads what only the simulated CUDA device can tell"
    mode = marker.kwargs.get("mode", cudasim.mode())
    return None if mode == cudasim.mode() else f"sim_only: it means something in {mode} mode alone"


# -- findings ----------------------------------------------------------------------------------------------------------


class FindingError(AssertionError):
    """The simulated device has found something that no test expects."""


def _settled() -> list[cudasim.Finding]:
    """Let what is pending run, and take what has been found up to then."""
    # First as the device would run it, so that the check still knows which work the host never waited for.
    cudasim.run()
    cudasim.settle()
    found = cudasim.take_findings()
    error = cudasim.take_last_error()
    if error and not found:
        return [cudasim.Finding("last error", f"{error} is left for whichever library asks next, which raises it", 0)]
    return found


def _unexpected(watch: Watch) -> list[cudasim.Finding]:
    return [finding for finding in watch.found if finding.kind not in watch.expected]


def _message(findings: Sequence[cudasim.Finding]) -> str:
    shown = [f"simulated CUDA found {finding}" for finding in findings[:20]]
    return "\n".join([*shown, *([f"... and {len(findings) - 20} more"] if len(findings) > 20 else [])])


def _expected(item: pytest.Item) -> frozenset[str]:
    return frozenset(kind for marker in item.iter_markers("finds") for kind in marker.args)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    if cudasim.booted():
        item.stash[WATCH] = Watch(_expected(item))
        _settled()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    if not cudasim.booted():
        return (yield)
    watch = item.stash[WATCH]
    try:
        result = yield
    except Exception:
        watch.found += _settled()
        if watch.found:
            item.add_report_section("call", "simulated CUDA", _message(watch.found))
        raise
    watch.found += _settled()
    if unexpected := _unexpected(watch):
        pytest.fail(_message(unexpected), pytrace=False)
    absent = watch.expected - {finding.kind for finding in watch.found} - {"leak"}
    if absent:
        pytest.fail(
            f"simulated CUDA didn't find what this test is marked to find: {', '.join(sorted(absent))}", pytrace=False
        )
    return result


def _watch_examples(item: pytest.Item) -> None:
    """Check after each example of a law, so that hypothesis shrinks to one that lets the device find something."""
    inner = getattr(getattr(getattr(item, "obj", None), "hypothesis", None), "inner_test", None)
    if inner is None or hasattr(inner, "cudasim_watched") or inspect.iscoroutinefunction(inner):
        return
    expected = _expected(item)
    handle = item.obj.hypothesis  # type: ignore[attr-defined]  # found above

    @functools.wraps(inner)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        result = inner(*arguments, **keywords)
        unexpected = [finding for finding in _settled() if finding.kind not in expected]
        if unexpected:
            raise FindingError(_message(unexpected))
        return result

    watched.cudasim_watched = True  # type: ignore[attr-defined]  # a mark for the next collection
    handle.inner_test = watched


# -- leaks -------------------------------------------------------------------------------------------------------------


def _leaked(since: int) -> list[cudasim.Allocation]:
    """Device memory that a test has left behind, and no framework's cache holds."""
    caches.empty()
    if not _owned(since):
        return []
    # A reference cycle, a failure's traceback for example, isn't a leak.
    gc.collect()
    caches.empty()
    return _owned(since)


def _owned(since: int) -> list[cudasim.Allocation]:
    return [allocation for allocation in cudasim.allocations(since) if allocation.kind in OWNED]


@pytest.fixture(autouse=True)
def _cudasim_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test leave no device memory behind.

    It comes before a test's other fixtures and after those of its module and session, whose memory lives on.
    """
    if not cudasim.booted():
        yield
        return
    watch = request.node.stash[WATCH]
    watch.since = cudasim.last_allocation()
    yield
    # What a cache hands back to the device late was used by work that is over.
    watch.found = _settled()
    left = _leaked(watch.since)
    watch.found += _settled()
    if unexpected := _unexpected(watch):
        pytest.fail(_message(unexpected), pytrace=False)
    if left and "leak" not in watch.expected:
        pytest.fail("\n".join(f"simulated CUDA found leak: {each}" for each in left), pytrace=False)
    if "leak" in watch.expected and not left:
        pytest.fail(f"{ABSENT}: leak", pytrace=False)


# -- what is said at the end -------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = running_on(config)
    if run is None:
        return
    ran = Counter(
        outcome
        for outcome in ("passed", "failed", "error", "xfailed", "xpassed")
        for report in terminalreporter.getreports(outcome)
        if outcome != "passed" or report.when == "call"
    )
    marked = sum("sim_only" in report.keywords for report in terminalreporter.getreports("passed"))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in ran.items()) or "no test ran"
    terminalreporter.section(run.name)
    terminalreporter.line(f"{counts}; {marked} of them are sim_only")
    if run.simulated:
        terminalreporter.line("Nothing here was run on a GPU, and nothing is verified on CUDA by it.")
