"""Switching the simulated device on: before torch and cupy, or not at all."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cudasim
from cudasim import libraries
from cudasim.boot import BINDING
from cudasim.making.cupy_runtime import NAME


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that has nothing of this one's."""
    clean = {name: value for name, value in os.environ.items() if name != "CUDASIM"}
    return subprocess.run(
        [sys.executable, "-c", code], check=False, env=clean | environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", BINDING)
def test_too_late_is_refused_and_says_what_came_first(name: str) -> None:
    code = f"import sys, types; sys.modules[{name!r}] = types.ModuleType({name!r}); import cudasim; cudasim.boot()"
    done = python(code)
    assert done.returncode == 1
    assert f"BootError: {name} has been imported already" in done.stderr
    assert "call cudasim.boot() before it is imported" in done.stderr


def test_a_run_that_asked_for_a_real_device_is_refused() -> None:
    done = python("import cudasim; cudasim.boot()", CUDASIM="off")
    assert "BootError: CUDASIM=off" in done.stderr


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(cudasim.BootError, match="'quick' is none of eager, lazy, thread"):
        cudasim.boot("quick")  # type: ignore[arg-type]  # that is the point


def test_booting_twice_changes_the_mode() -> None:
    mode = cudasim.mode()
    try:
        cudasim.boot("eager")
        assert cudasim.mode() == "eager"
    finally:
        cudasim.set_mode(mode)


def test_without_it_every_call_says_how_to_switch_it_on() -> None:
    done = python("import cudasim; cudasim.counters()")
    assert "NotBootedError: the simulated CUDA device isn't switched on in this process: cudasim.boot()" in done.stderr


def test_importing_it_loads_no_framework_and_no_library() -> None:
    code = "import cudasim, sys; print(cudasim.booted(), [n for n in ('torch', 'cupy', 'numpy') if n in sys.modules])"
    assert python(code).stdout == "False []\n"


def test_a_process_with_its_environment_has_it_and_so_have_its_children() -> None:
    child = "import cudasim; print(cudasim.booted(), cudasim.mode())"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = python(code, **cudasim.environment("thread"))
    assert done.stdout == "True thread\n", done.stderr


def test_what_a_program_starts_that_is_run_on_it_has_it_too() -> None:
    child = "import cudasim; print(cudasim.booted(), cudasim.mode())"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = python(f"from cudasim.__main__ import main; main(['run', '--mode', 'eager', '-c', {code!r}])")
    assert done.stdout == "True eager\n", done.stderr


@pytest.mark.parametrize("started", ["with its environment", "by run"])
def test_cupy_compiles_a_kernel_in_a_process_that(started: str) -> None:
    # It asks for the headers in a process of its own, which has the simulated runtime, and found none beside that.
    kernel = 'extern "C" __global__ void nothing() {}'
    code = f"import cupy; cupy.RawKernel({kernel!r}, 'nothing').compile(); print('compiled')"
    if started == "by run":
        done = python(f"from cudasim.__main__ import main; main(['run', '--mode', 'eager', '-c', {code!r}])")
    else:
        done = python(code, **cudasim.environment("eager"))
    assert done.stdout == "compiled\n", done.stderr


def test_the_headers_are_named_unless_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    named = Path(cudasim.environment()["CUDA_PATH"])
    assert (named / "include" / "cuda_runtime_api.h").exists()
    monkeypatch.setenv("CUDA_HOME", "/mine")
    assert "CUDA_PATH" not in cudasim.environment()


def test_cupy_calls_the_simulated_runtime() -> None:
    runtime: Any = importlib.import_module(NAME)
    assert runtime.__file__ == str(libraries.runtime_of_cupy())
    with cudasim.counting() as done:
        runtime.deviceSynchronize()
    assert done.device_sync == 1


def test_torch_calls_the_simulated_runtime() -> None:
    import torch

    with cudasim.counting() as done:
        torch.cuda.synchronize()
    assert done.device_sync == 1


def test_the_device_says_of_itself_that_it_is_simulated() -> None:
    import cupy
    import torch

    assert "simulated" in torch.cuda.get_device_name(0).lower()
    assert "simulated" in cupy.cuda.runtime.getDeviceProperties(0)["name"].decode().lower()
