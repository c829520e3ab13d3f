"""What every test on a CUDA device has, simulated or real.

These tests need pytest, hypothesis, numpy, ml_dtypes, torch, cupy and the built package, and nothing else, so that
they can be carried to a machine with a GPU as they are, with `tests/cudasim` and `tests/conftest.py`. `make test-cuda`
runs them there; where there is no network either, and pytest is older than this project's:

    python setup.py build_ext --inplace
    PYTHONPATH=.:tests python -m pytest --import-mode=importlib tests/cuda
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from cudasim import kernels
from cudasim.running import running_on

#: A program, and tests that `test_apart` runs in processes of their own.
collect_ignore = ["on_gpu.py", "apart/jax_on_cuda.py"]

OFF = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def torch() -> Any:
    """torch, and its CUDA."""
    import torch

    assert torch.cuda.is_available()
    return torch


@pytest.fixture(scope="session")
def cupy() -> Any:
    """cupy, and its CUDA."""
    import cupy

    assert cupy.is_available()
    return cupy


@pytest.fixture(scope="session")
def cuda(pytestconfig: pytest.Config) -> str:
    """The device that these tests run on: "eager", "lazy" or "thread" for the mode of a simulated one, or "real"."""
    import cudasim

    run = running_on(pytestconfig)
    assert run
    return cudasim.mode() if run.simulated else "real"


@pytest.fixture(scope="session", autouse=True)
def _stand_ins(pytestconfig: pytest.Config, torch: Any, cupy: Any) -> None:
    """Try the simulated device's stand-ins for copying kernels before anything here relies on them."""
    run = running_on(pytestconfig)
    if run and run.simulated and (wrong := kernels.check()):
        versions = f"torch {torch.__version__}, cupy {cupy.__version__}"
        pytestconfig.stash[OFF] = f"the stand-ins for copying kernels aren't right for {versions}: {wrong[0]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if reason := config.stash.get(OFF, None):
        terminalreporter.section("copying kernels are refused", red=True)
        terminalreporter.line(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip, with a word on it, what needed a stand-in while they are all turned off."""
    report = yield
    reason = item.config.stash.get(OFF, None)
    if reason and report.failed and any("kernels don't run" in text for _, text in report.sections):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {reason}")
    return report


@pytest.fixture(autouse=True)
def _device_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test starts on device 0 and its default stream and leaves it so: the next one relies on it."""
    import cupy
    import torch

    state = _current(torch, cupy)
    yield
    after = _current(torch, cupy)
    if after != state:
        torch.cuda.set_device(0)
        cupy.cuda.Device(0).use()
        cupy.cuda.Stream.null.use()
        torch.cuda.set_stream(torch.cuda.default_stream(0))
    assert after == state, f"the test has left another device or stream current: {after}, where it was {state}"


def _current(torch: Any, cupy: Any) -> dict[str, int]:
    return {
        "torch's device": torch.cuda.current_device(),
        "torch's stream": torch.cuda.current_stream(0).cuda_stream,
        "cupy's device": cupy.cuda.runtime.getDevice(),
        "cupy's stream": cupy.cuda.get_current_stream().ptr,
    }


@pytest.fixture(scope="session")
def devices(torch: Any) -> range:
    """The devices' indices."""
    return range(torch.cuda.device_count())


@pytest.fixture(scope="session")
def two_devices(devices: range) -> tuple[int, int]:
    """Two devices, where there are so many."""
    if len(devices) < 2:
        pytest.skip("needs two CUDA devices, and here is one")
    return 0, 1


@pytest.fixture
def side_stream(torch: Any) -> Any:
    """A stream of torch's on device 0, beside the default one and without waiting for it."""
    return torch.cuda.Stream(device=0)


@pytest.fixture
def cupy_stream(cupy: Any) -> Any:
    """A stream of cupy's on device 0, likewise."""
    with cupy.cuda.Device(0):
        return cupy.cuda.Stream(non_blocking=True)
