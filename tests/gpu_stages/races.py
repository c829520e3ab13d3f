"""Races with real kernels: each scenario again and again behind a long kernel, then with one of our guards taken out.

With the guard nothing may ever go wrong. Without it something has to, at least once, or the scenario shows nothing on
this device. What ends the process where a guard is missing is left to the simulated device.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import cuda_scenarios
import cupy
import torch

import interop
from gpu_stages import SHORT, simulated, spin, tell

#: How often each is played, and for how long at most.
TIMES, SECONDS = (2, 1.0) if SHORT else (200, 1.2)


def mutations() -> ModuleType:
    """The table of guards, and of what goes wrong without each."""
    path = Path(__file__).resolve().parents[1] / "cuda" / "test_mutations.py"
    spec = importlib.util.spec_from_file_location("test_mutations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["test_mutations"] = module
    spec.loader.exec_module(module)
    return module


def late(handle: int, device: int) -> None:
    spin(torch, torch.cuda.ExternalStream(handle, device=device) if handle else torch.cuda.default_stream(device))


def played(name: str) -> str:
    """What goes wrong in a scenario, in words; empty where nothing does."""
    wrong = ""
    try:
        cuda_scenarios.play(name, torch, cupy)
    except Exception as err:
        wrong = f"{type(err).__name__}: {str(err)[:150]}"
    # Taken in any case: what is left would be the next one's.
    return "; ".join(filter(None, [wrong, *findings(name)]))


def findings(name: str) -> list[str]:
    """What the simulated device has found beside what it has to find; nothing on a real one."""
    if not simulated():
        return []
    import cudasim

    gc.collect()
    cudasim.run()
    cudasim.settle()
    expected = cuda_scenarios.FINDS.get(name)
    return [str(each)[:150] for each in cudasim.take_findings() if each.kind != expected]


def many(name: str) -> tuple[int, int, str]:
    """How often it was played, how often it went wrong, and how."""
    end, count, wrong, first = time.monotonic() + SECONDS, 0, 0, ""
    while count < TIMES and time.monotonic() < end:
        found = played(name)
        count, wrong, first = count + 1, wrong + bool(found), first or found
    return count, wrong, first


def main() -> None:
    cuda_scenarios.before = late
    interop.to_cupy(torch.zeros(1).cuda())
    table = mutations()
    alone = torch.cuda.device_count() < 2
    skipped = cuda_scenarios.SIMULATED_ONLY | (cuda_scenarios.TWO_DEVICES if alone else set())
    names = [name for name in cuda_scenarios.SCENARIOS if name not in skipped]
    for name in names[: 3 if SHORT else None]:
        count, wrong, how = many(name)
        tell(scenario=name, without="", played=count, wrong=wrong, verdict="RACE" if wrong else "right", how=how)
        # A guard is taken out in the first of its scenarios.
        for guard, mutant in table.MUTANTS.items():
            if mutant.scenarios[0] == name and not mutant.apart:
                broken(table, guard, name)


def broken(table: ModuleType, guard: tuple[str, str], name: str) -> None:
    """Play a scenario with one of our guards taken out."""
    with table.instead(guard, table.MUTANTS[guard].make):
        count, wrong, how = many(name)
    table.cuda._postponed.clear()
    table.cuda._kept.clear()
    torch.cuda.set_device(0)
    verdict = "shown" if wrong else "NOT SHOWN here"
    tell(scenario=name, without=guard[1], played=count, wrong=wrong, verdict=verdict, how=how)


if __name__ == "__main__":
    main()
