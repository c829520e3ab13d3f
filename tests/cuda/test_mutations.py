"""Every guard of the GPU code is needed: taken out, one at a time, something goes wrong that these tests see.

The guards are those functions that the code itself marks as such; what waits, records or makes a device current outside
of one fails here, and so does a guard without a mutant.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_scenarios import FINDS, play
from patience import PATIENCE

import cudasim
import interop
from interop._adapters._shared import cuda
from interop._streams import Stream

pytestmark = pytest.mark.sim_only(mode="lazy")


@dataclass(frozen=True)
class Mutant:
    """A guard without its effect.

    Attributes
    ----------
    make
        From the guard, what takes its place.
    scenarios
        Each of them fails.
    apart
        Whether it takes the process with it.
    """

    make: Callable[[Any], Any]
    scenarios: tuple[str, ...]
    apart: bool = False


def nothing(_guard: Any) -> Any:
    return lambda *_arguments, **_keywords: None


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _guard: lambda *_arguments, **_keywords: value


def unordered(_ordered_by: Any) -> Any:
    return lambda view, *_arguments: view.with_owner(view.owner, ordered=True)


def same_device(_guard: Any) -> Any:
    return lambda _index: contextlib.nullcontext()


def forgetful(init: Any) -> Any:
    def made(loan: Any, _memory: Any, *arguments: Any, **keywords: Any) -> None:
        init(loan, None, *arguments, **keywords)

    return made


def unrecorded_by_torch(_record: Any) -> Any:
    def record(_stream: Any) -> Any:
        import torch

        return torch.cuda.Event()

    return record


def unrecorded_by_cupy(_record: Any) -> Any:
    def record(_stream: Any) -> Any:
        import cupy

        return cupy.cuda.Event(disable_timing=True)

    return record


def whatever_stream(_own_stream: Any) -> Any:
    def own_stream(index: int, _stream: int) -> Any:
        import torch

        return torch.cuda.current_stream(index)

    return own_stream


def foreign(_bridge: Any) -> Any:
    def bridge(stream: int, device: Any) -> Any:
        import torch

        return torch.cuda.ExternalStream(int(stream), device=device.index)

    return bridge


def without_the_default_stream(retain: Any) -> Any:
    return lambda *arguments: retain(*arguments)[:1]


def not_kept_alive(make: Any) -> Any:
    def made(*arguments: Any) -> Stream:
        found = make(*arguments)
        return Stream(found, found.device)

    return made


def unowned_by_cupy(_borrowed: Any) -> Any:
    def borrowed(low: int, size: int, _owner: Any, index: int) -> Any:
        import cupy

        return cupy.cuda.UnownedMemory(low, size, None, index)

    return borrowed


def unowned_by_torch(_borrowed: Any) -> Any:
    return lambda api, view: api.wrap(view.with_owner(object()))


TORCH, CUPY = "interop._adapters._torch_cuda", "interop._adapters._cupy_cuda"

MUTANTS: dict[tuple[str, str], Mutant] = {
    # The order in which memory goes over.
    ("interop._adapters._shared.cuda", "order_after_producer"): Mutant(
        nothing, ("torch_to_cupy", "cupy_to_torch", "a_view_handed_on", "a_named_stream_for_a_transfer")
    ),
    ("interop._adapters._shared.cuda", "order_after_interface"): Mutant(
        nothing, ("interface_with_a_stream", "old_interface", "old_interface_to_cupy")
    ),
    ("interop._adapters._shared.cuda", "ordered_by_producer"): Mutant(unordered, ("a_library_that_orders_by_itself",)),
    ("interop._adapters._shared.cuda", "ordered_by_worker"): Mutant(unordered, ("a_library_that_names_its_stream",)),
    ("interop._adapters._shared.cuda", "refuse_half_captured"): Mutant(
        nothing, ("a_handoff_across_a_capture",), apart=True
    ),
    (TORCH, "own_stream"): Mutant(whatever_stream, ("torch_to_cupy",)),
    (CUPY, "works_on"): Mutant(always(True), ("cupy_to_torch",)),
    (TORCH, "record"): Mutant(
        unrecorded_by_torch, ("torch_to_cupy", "a_dropped_torch_tensor", "interface_with_a_stream")
    ),
    (TORCH, "wait"): Mutant(nothing, ("torch_to_cupy", "a_dropped_torch_tensor", "interface_with_a_stream")),
    (TORCH, "synchronize"): Mutant(nothing, ("old_interface",)),
    (CUPY, "record"): Mutant(unrecorded_by_cupy, ("cupy_to_torch", "a_dropped_cupy_array", "between_devices")),
    (CUPY, "wait"): Mutant(nothing, ("cupy_to_torch", "a_dropped_cupy_array", "between_devices")),
    (CUPY, "synchronize"): Mutant(nothing, ("old_interface_to_cupy",)),
    ("interop._adapters._cupy_copies", "synchronize"): Mutant(
        nothing, ("managed_memory_on_the_host", "a_pinned_source_is_written_at_once")
    ),
    # The order in which it comes back.
    ("interop._adapters._shared.cuda", "give_back"): Mutant(
        nothing, ("a_dropped_torch_tensor", "a_dropped_cupy_array")
    ),
    ("interop._adapters._shared.cuda", "Loan.read_by"): Mutant(
        nothing, ("a_dropped_torch_tensor", "a_dropped_cupy_array")
    ),
    ("interop._adapters._shared.cuda", "Loan.stayed_home"): Mutant(
        always(True), ("a_dropped_cupy_array", "on_one_stream_and_then_on_another")
    ),
    ("interop._adapters._shared.cuda", "and_now"): Mutant(
        lambda _guard: list, ("a_reader_that_went_on_to_another_stream", "on_one_stream_and_then_on_another")
    ),
    (TORCH, "record_stream"): Mutant(nothing, ("a_dropped_torch_tensor", "a_tensor_of_one_stream_used_on_another")),
    (CUPY, "CupyStreams.retain"): Mutant(without_the_default_stream, ("a_cupy_array_of_the_default_stream",)),
    ("interop._run.order", "lent"): Mutant(
        lambda _guard: lambda view, *_rest: view, ("a_producer_whose_memory_is_dropped",)
    ),
    # What is kept alive.
    ("interop._adapters._shared.cuda", "Loan.__init__"): Mutant(forgetful, ("the_owner_alone_keeps_it",)),
    ("interop._adapters._cupy", "borrowed"): Mutant(unowned_by_cupy, ("the_owner_alone_keeps_it",)),
    ("interop._adapters._torch", "borrowed"): Mutant(unowned_by_torch, ("the_owner_alone_keeps_it",)),
    (CUPY, "CupyStreams.reader"): Mutant(not_kept_alive, ("a_stream_that_is_dropped_first",)),
    ("interop._run.order", "as_reader"): Mutant(not_kept_alive, ("a_named_stream_that_is_dropped_first",)),
    (TORCH, "bridge"): Mutant(foreign, ("a_stream_that_is_dropped_first",), apart=True),
    # The device that is current, and the one that is meant.
    (TORCH, "on_device"): Mutant(same_device, ("a_producer_on_another_device",)),
    (CUPY, "on_device"): Mutant(same_device, ("another_device_is_current", "a_producer_on_another_device")),
    ("interop._run.order", "probe"): Mutant(nothing, ("a_bare_handle_of_another_device",)),
    # While a graph is captured, and in a forked child.
    (TORCH, "TorchStreams.capturing"): Mutant(always(False), ("given_back_during_capture",), apart=True),
    (CUPY, "CupyStreams.capturing"): Mutant(always(False), ("given_back_by_cupy_during_capture",), apart=True),
    ("interop._adapters._shared.cuda", "in_child"): Mutant(always(False), ("dropped_in_a_forked_child",)),
}


@contextlib.contextmanager
def instead(guard: tuple[str, str], make: Callable[[Any], Any]) -> Generator[None]:
    """Put a mutant in a guard's place, wherever it has been imported to."""
    module, qualname = guard
    owner: Any = sys.modules[module]
    *path, name = qualname.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    places = [(owner, name)]
    if not path:
        modules = [value for key, value in sys.modules.items() if key.partition(".")[0] == "interop"]
        places = [(each, key) for each in modules for key, value in vars(each).items() if value is original]
    mutant = make(original)
    for place, key in places:
        setattr(place, key, mutant)
    try:
        yield
    finally:
        for place, key in places:
            setattr(place, key, original)


def harm(scenario: str, torch: Any, cupy: Any) -> str:
    """What goes wrong in a scenario, in words; empty where nothing does."""
    try:
        play(scenario, torch, cupy)
    except Exception as err:
        wrong = f"{type(err).__name__}: {err}"
        del err
    else:
        wrong = ""
    gc.collect()
    cudasim.run()
    cudasim.settle()
    found = [str(each) for each in cudasim.take_findings() if each.kind != FINDS.get(scenario)]
    return "; ".join([*([wrong] if wrong else []), *found])


CASES = [(guard, scenario) for guard, mutant in MUTANTS.items() for scenario in mutant.scenarios]


@pytest.mark.parametrize(("guard", "scenario"), CASES, ids=[f"{guard[1]}-{scenario}" for guard, scenario in CASES])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_a_guard_something_goes_wrong(guard: tuple[str, str], scenario: str, torch: Any, cupy: Any) -> None:
    mutant = MUTANTS[guard]
    if mutant.apart:
        assert harm_apart(guard, scenario)
        return
    assert harm(scenario, torch, cupy) == ""
    with instead(guard, mutant.make):
        wrong = harm(scenario, torch, cupy)
    cuda._postponed.clear()
    cuda._kept.clear()
    torch.cuda.set_device(0)
    assert wrong, f"{scenario} goes well without {guard[0]}.{guard[1]}"


def harm_apart(guard: tuple[str, str], scenario: str) -> bool:
    """Whether a process of its own comes to harm."""
    environment = cudasim.environment("lazy")
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], *filter(None, sys.path)])
    codes = [
        subprocess.run(
            [sys.executable, __file__, *guard, scenario, mutate],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        ).returncode
        for mutate in ("no", "yes")
    ]
    assert codes[0] == 0
    return codes[1] != 0


def test_every_guard_has_a_mutant(torch: Any, cupy: Any) -> None:
    interop.to_cupy(interop.to_torch(np.ones(1), device="cuda"))
    assert MUTANTS.keys() == cuda.GUARDS


#: Calls that make somebody wait, tell an allocator who reads, make a device current, or take memory over.
PRIMITIVES = {
    *("record", "record_event", "record_stream", "eventRecord"),
    *("wait", "wait_event", "wait_stream", "streamWaitEvent"),
    *("synchronize", "streamSynchronize", "deviceSynchronize", "eventSynchronize"),
    *("Device", "device", "UnownedMemory"),
}


def unguarded(path: Path) -> Generator[str]:
    def visit(node: ast.AST, guarded: bool) -> Generator[str]:
        if isinstance(node, ast.FunctionDef):
            guarded = guarded or any(isinstance(each, ast.Name) and each.id == "guard" for each in node.decorator_list)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in PRIMITIVES
            and not guarded
        ):
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, guarded)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def test_nothing_waits_outside_of_a_guard() -> None:
    folder = Path(interop.__file__).parent
    patterns = (
        "_adapters/_cu*.py",
        "_adapters/_torch*.py",
        "_adapters/_shared/cuda.py",
        "_adapters/_protocol.py",
        "_run/*.py",
    )
    files = [path for pattern in patterns for path in folder.glob(pattern)]
    assert all(any(folder.glob(pattern)) for pattern in patterns)
    found = [each for path in files for each in unguarded(path)]
    # A torch.device says where memory is; it makes nothing current.
    assert [each for each in found if "torch.device(" not in each] == []


if __name__ == "__main__":
    import cupy as cupy_module
    import torch as torch_module

    module_name, guard_name, scenario_name, wanted = sys.argv[1:]
    chosen = (module_name, guard_name)
    with instead(chosen, MUTANTS[chosen].make) if wanted == "yes" else contextlib.nullcontext():
        sys.exit(1 if harm(scenario_name, torch_module, cupy_module) else 0)
