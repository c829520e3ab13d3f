"""What every test run has: its hypothesis profile, the frameworks it was asked to test, and an account of its skips."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import re
import weakref
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from cudasim.running import running_on

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The frameworks that this run has to test: one that can't be imported fails it, where a skip would pass unseen.
FRAMEWORKS = tuple(
    name
    for name in (part.strip() for part in os.environ.get("INTEROP_TEST_FRAMEWORKS", "numpy,torch").split(","))
    if name
)

#: By the names that they are imported by: what a run may be asked to test beside numpy.
OTHERS = (
    *("array_api_strict", "cupy", "dpctl", "dpnp", "jax", "mlx", "paddle", "pandas", "PIL", "polars", "pyarrow"),
    *("scipy", "tensorflow", "torch", "tvm_ffi", "warp", "xarray"),
)

#: Those that this run goes without: neither asked for nor here.
ABSENT = [name for name in OTHERS if name not in FRAMEWORKS and importlib.util.find_spec(name) is None]

TESTS = Path(__file__).parent

#: The tests of frameworks that can't all live in one environment: each runs where its frameworks were asked for.
LEGS = TESTS / "frameworks"

#: Options and marks of the tests on a CUDA device, simulated or real.
pytest_plugins = ["cudasim.plugin"]

#: The folders of tests that need a device, and what it may be.
ON_A_DEVICE = {
    TESTS / "cuda": "a CUDA device, simulated or real (make test-cuda)",
    TESTS / "cudasim": "the simulated CUDA device (make test-cuda)",
}

#: Between processes and machines; their tests run where all of them were asked for (make test-engines).
ENGINES = ("cloudpickle", "distributed", "joblib", "mpi4py", "ray", "safetensors")

#: What needs them.
INTEGRATIONS = (TESTS / "integrations", TESTS.parent / "interop" / "integrations")

#: A package of its own, which has its own tests (test_plugins.py runs them), and those that tests run as programs.
collect_ignore = ["plugin_example", "fuzz", "gpu_stages", "ranks.py"]

#: What tests import that isn't theirs alone: they need what it needs.
PROGRAMS = ("attacks", "fuzz", "stress")

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "regular")

settings.register_profile(
    "regular",
    max_examples=200,
    deadline=None,
    # Where a change is judged, what it didn't touch can't fail it; new examples are tried by everybody's own runs.
    derandomize="CI" in os.environ,
    print_blob=True,
    # How fast examples come is a property of the machine and of what else runs there; how many of the first sixty an
    # assume() lets pass is one of chance, and a law that four in ten of its examples are for would fail now and then.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile("brief", settings.get_profile("regular"), max_examples=20)
# Seven laws over a hundred pairs of frameworks: what one pair misses another one meets, in the same adapters.
settings.register_profile("pairs", settings.get_profile("regular"), max_examples=30)
settings.register_profile("thorough", settings.get_profile("regular"), max_examples=5000)
settings.load_profile(PROFILE)


def pytest_sessionstart() -> None:
    """Fail the whole run where a framework that it was asked to test can't be imported."""
    missing: list[str] = []
    for name in FRAMEWORKS:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever an import raises, it says why there is nothing to test
            missing.append(f"{name} ({type(error).__name__}: {error})")
    if missing:
        message = (
            f"this run was asked to test {', '.join(FRAMEWORKS)} (INTEROP_TEST_FRAMEWORKS), and it can't import "
            f"{'; '.join(missing)}"
        )
        raise pytest.UsageError(message)


def _needs(text: str, pattern: str, *, absent: list[str] = ABSENT) -> str | None:
    """The framework that this run goes without and that `text` can't: where `pattern` with its name is found."""
    return next((name for name in absent if re.search(pattern.format(name), text, re.MULTILINE)), None)


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    used = [name for name in PROGRAMS if re.search(rf"^from {name}\b", text, re.MULTILINE)]
    files = [file for name in used for file in (TESTS / f"{name}.py", *sorted((TESTS / name).glob("*.py")))]
    return text + "\n".join(file.read_text(encoding="utf-8") for file in files if file.exists())


def _needed_by(path: Path) -> str | None:
    text = _text(path)
    if not path.is_relative_to(LEGS):
        return _needs(text, r"^(?:import|from) {}\b")
    if path.name.startswith("test_") and not set(FRAMEWORKS) - {"numpy", "torch", "cupy"}:
        return "a framework beside numpy, torch and cupy (make test-frameworks)"
    return _needs(text, r"^(?:import|from) {}\b", absent=[name for name in OTHERS if name not in FRAMEWORKS])


def _lacks_device(folder: Path, config: pytest.Config) -> bool:
    run = running_on(config)
    return run is None or (folder.name == "cudasim" and not run.simulated)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what needs a device that isn't here, and what imports a framework which this run goes without."""
    if any(
        _lacks_device(folder, config) for folder in (collection_path, *collection_path.parents) if folder in ON_A_DEVICE
    ):
        return True
    if _is_an_engines(collection_path):
        return True
    return True if collection_path.suffix == ".py" and _needed_by(collection_path) else None


def _is_an_engines(path: Path) -> bool:
    """Whether a file needs engines that weren't asked for."""
    return not set(ENGINES) <= set(FRAMEWORKS) and any(folder in INTEGRATIONS for folder in (path, *path.parents))


def pytest_collection_finish() -> None:
    """Leave out what is there before the first test when a test collects garbage: modules, and every test there is."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the examples of docstrings that use such a framework; those without a line number can't be skipped."""
    left_out = [
        item
        for item in items
        if isinstance(item, pytest.DoctestItem) and (_is_an_engines(item.path) or _needs(_source(item), "{}"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _source(item: pytest.DoctestItem) -> str:
    return "".join(example.source for example in item.dtest.examples)


def _version(name: str) -> str:
    # Not every module says it of itself.
    version = getattr(importlib.import_module(name), "__version__", None)
    return str(version or metadata.version(metadata.packages_distributions()[name][0]))


@pytest.fixture
def types_die() -> None:
    """Skip what is said of types that die where none does: 3.13 without the GIL keeps all, once it has run a thread."""
    kind = weakref.ref(type("Passing", (), {}))
    gc.collect()
    if kind() is not None:
        pytest.skip("this Python keeps every class")


def pytest_report_header() -> list[str]:
    """Say what is tested here, in which versions."""
    versions = ", ".join(f"{name} {_version(name)}" for name in FRAMEWORKS)
    return [f"frameworks: {versions}", f"hypothesis profile: {PROFILE}, {settings().max_examples} examples a law"]


def _reasons(reports: list[pytest.TestReport | pytest.CollectReport]) -> Iterator[str]:
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count what was skipped, and why."""
    asked = [(config.invocation_params.dir / each.partition("::")[0]).resolve() for each in config.args]
    files = {path: _needed_by(path) for path in (*sorted(TESTS.glob("*.py")), *sorted(LEGS.glob("*.py")))}
    left_out = {path: f"{needed}, which this run was not asked to test" for path, needed in files.items() if needed}
    left_out |= {folder: needed for folder, needed in ON_A_DEVICE.items() if _lacks_device(folder, config)}
    left_out = {path: needed for path, needed in left_out.items() if any(path.is_relative_to(each) for each in asked)}
    if left_out:
        terminalreporter.section(f"left out: {len(left_out)} files and folders")
        for path, needed in left_out.items():
            terminalreporter.line(f"      {path.relative_to(TESTS)} needs {needed}")
    reasons = Counter(_reasons(terminalreporter.getreports("skipped")))
    if not reasons:
        return
    terminalreporter.section(f"skipped: {reasons.total()}")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        terminalreporter.line(f"{count:5} x {reason}")
