"""The pytest plugin: what the device finds fails the test in which it happened, and says what it was."""

from __future__ import annotations

import ctypes
import signal
import textwrap
from collections.abc import Callable, Iterator

import pytest

import cudasim

pytest_plugins = "pytester"

Run = Callable[..., pytest.RunResult]

#: What the tests inside the tests call CUDA with: neither torch nor cupy has to be imported for them.
RUNTIME = """
import ctypes
import cudasim
import pytest
from ctypes import byref, c_int, c_size_t, c_void_p

runtime = cudasim.device()

def malloc(size=1024):
    address = c_void_p()
    assert runtime.cudaMalloc(byref(address), c_size_t(size)) == 0
    return address

def free(address):
    return runtime.cudaFree(address)

def stream():
    made = c_void_p()
    assert runtime.cudaStreamCreateWithFlags(byref(made), c_int(1)) == 0
    return made

def fill(address, size=1024, on=None):
    return runtime.cudaMemsetAsync(address, c_int(7), c_size_t(size), on)

def wait():
    assert runtime.cudaDeviceSynchronize() == 0
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Iterator[Run]:
    """Run tests on the simulated device, in this process."""

    def run(code: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(RUNTIME + textwrap.dedent(code))
        return pytester.runpytest_inprocess("-p", "cudasim.plugin", f"--simulate-cuda={cudasim.mode()}", *options)

    before = cudasim.last_allocation()
    yield run
    cudasim.settle()
    for left in cudasim.allocations(before):
        cudasim.device().cudaFree(ctypes.c_void_p(left.address))
    cudasim.clear_findings()


RACE = """
def test_race():
    memory, one, other = malloc(), stream(), stream()
    fill(memory, on=one)
    fill(memory, on=other)
    wait()
    free(memory)
"""

USE_AFTER_FREE = """
def test_use_after_free():
    memory = malloc()
    free(memory)
    fill(memory)
"""

OUT_OF_BOUNDS = """
def test_out_of_bounds():
    memory = malloc(1024)
    fill(memory, 1025)
    wait()
    free(memory)
"""

UNIMPLEMENTED = """
def test_unimplemented():
    runtime.cudaIpcGetMemHandle(None, None)
"""

LEAK = """
def test_leak():
    malloc(4096)
"""


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        pytest.param("race", RACE, "operation #*", id="race"),
        pytest.param("use after free", USE_AFTER_FREE, "allocation #*", id="use after free"),
        pytest.param("out of bounds", OUT_OF_BOUNDS, "allocation #*", id="out of bounds"),
        pytest.param("unimplemented", UNIMPLEMENTED, "cudaIpcGetMemHandle", id="unimplemented"),
    ],
)
def test_a_finding_fails_its_test_and_names_itself(kind: str, code: str, said: str, run: Run) -> None:
    result = run(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"simulated CUDA found {kind}: *{said}*"])


def test_a_leak_fails_its_test_and_names_the_memory(run: Run) -> None:
    result = run(LEAK)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*simulated CUDA found leak: allocation #*: 4096 bytes of device memory at 0x*"])


def test_an_error_that_is_left_for_others_is_found(run: Run) -> None:
    result = run("def test_it():\n    runtime.cudaSetDevice(99)\n    cudasim.clear_findings()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*simulated CUDA found last error: cudaErrorInvalidDevice *"])


def test_a_finding_fails_no_other_test(run: Run) -> None:
    result = run(
        f"{RACE}\ndef test_after_it():\n    fill(malloc_and_free := malloc())\n    wait()\n    free(malloc_and_free)\n"
    )
    result.assert_outcomes(passed=1, failed=1)


def test_what_a_test_leaves_pending_has_run_before_the_next(run: Run) -> None:
    code = """
    @pytest.fixture(scope="module")
    def memory():
        memory = malloc()
        yield memory
        free(memory)

    def test_one(memory):
        fill(memory, on=stream())

    def test_two(memory):
        assert not cudasim.pending()
    """
    run(code).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("race", RACE), ("use after free", USE_AFTER_FREE), ("leak", LEAK)],
    ids=["race", "use after free", "leak"],
)
def test_a_test_may_be_marked_to_find_something(kind: str, code: str, run: Run) -> None:
    run(f"pytestmark = pytest.mark.finds({kind!r})\n{code}").assert_outcomes(passed=1)


@pytest.mark.parametrize("kind", ["race", "leak"])
def test_what_is_marked_and_not_found_fails(kind: str, run: Run) -> None:
    result = run(f"@pytest.mark.finds({kind!r})\ndef test_nothing():\n    pass\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*simulated CUDA didn't find what this test is marked to find: {kind}*"])


def test_what_is_found_and_not_marked_fails_all_the_same(run: Run) -> None:
    result = run(f"pytestmark = pytest.mark.finds('race')\n{RACE}\n    fill(memory)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*simulated CUDA found use after free: *"])


def test_a_failing_test_says_what_was_found_too(run: Run) -> None:
    result = run(f"{USE_AFTER_FREE}\n    assert False, 'the test itself'\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test itself*", "*simulated CUDA found use after free: *"])


def test_a_test_may_take_its_findings_itself(run: Run) -> None:
    took = "assert [each.kind for each in cudasim.take_findings()] == ['use after free']; cudasim.take_last_error()"
    run(f"{USE_AFTER_FREE}\n    {took}\n").assert_outcomes(passed=1)


def test_memory_of_wider_fixtures_is_no_leak(run: Run) -> None:
    code = """
    @pytest.fixture(scope="module")
    def shared():
        memory = malloc()
        yield memory
        free(memory)

    def test_one(shared):
        fill(shared)

    def test_two(shared):
        fill(shared)
    """
    run(code).assert_outcomes(passed=2)


def test_memory_of_a_tests_own_fixture_has_to_go_with_it(run: Run) -> None:
    code = """
    @pytest.fixture
    def own():
        return malloc()

    def test_one(own):
        fill(own)
    """
    run(code).assert_outcomes(passed=1, errors=1)


def test_a_law_is_shrunk_to_the_example_that_races(run: Run) -> None:
    code = """
    from hypothesis import given, settings, strategies

    @settings(database=None)
    @given(strategies.integers(0, 1000))
    def test_law(number):
        memory, one, other = malloc(), stream(), stream()
        fill(memory, on=one)
        if number < 13:
            wait()
        fill(memory, on=other)
        wait()
        free(memory)
    """
    result = run(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FindingError: simulated CUDA found race: *", "*number=13*"])


def test_a_law_without_findings_passes(run: Run) -> None:
    code = """
    from hypothesis import given, strategies

    @given(strategies.integers(1, 1024))
    def test_law(size):
        memory = malloc(size)
        fill(memory, size)
        free(memory)
    """
    run(code).assert_outcomes(passed=1)


def test_what_means_something_in_another_mode_alone_is_skipped_with_the_reason(run: Run) -> None:
    other = next(mode for mode in ("lazy", "eager") if mode != cudasim.mode())
    result = run(f"@pytest.mark.sim_only(mode={other!r})\ndef test_it():\n    assert False\n", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"*sim_only: it means something in {other} mode alone*"])


def test_header_and_summary_say_that_it_is_simulated(run: Run) -> None:
    result = run("@pytest.mark.sim_only\ndef test_it():\n    pass\n\ndef test_other():\n    pass\n")
    result.stdout.fnmatch_lines(
        [
            f"cuda: simulated CUDA, * devices, {cudasim.mode()} mode, race check on",
            "*simulated CUDA*",
            "2 passed; 1 of them are sim_only",
            "Nothing here was run on a GPU*",
        ]
    )


def test_without_a_device_tests_of_the_simulated_one_are_skipped_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n\n@pytest.mark.sim_only\ndef test_it():\n    assert False\n")
    result = pytester.runpytest_subprocess("-p", "cudasim.plugin", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*sim_only: it reads what only the simulated CUDA device can tell*"])


def test_a_crash_names_the_test_and_what_it_touched(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"{RUNTIME}\ndef test_that_reads_device_memory():\n    ctypes.string_at(malloc(), 1)\n")
    result = pytester.runpytest_subprocess("-p", "cudasim.plugin", "--simulate-cuda=lazy")
    assert result.ret == -signal.SIGSEGV
    said = result.stderr.str()
    assert "test_that_reads_device_memory" in said
    assert "cudasim: host code touched memory that isn't the host's: 0x" in said
    assert "= allocation #1 + 0 (device 0, 1024 bytes, live)" in said
