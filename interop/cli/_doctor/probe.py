"""What runs in a process of its own, where a library may crash: one library's import, or every pair of those that work.

``python -m interop.cli._doctor.probe library NAME`` prints one line of JSON; ``... pairs NAME NAME ...`` one a pair,
and before it one that says which is next, so that a crash is known by its pair; ``... together NAME NAME ...`` both, in
one process, as long as nothing is broken.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

import interop
from interop._registry import frameworks, lookup, plugins
from interop._run.book import is_compiled

#: Values whose bits are looked at on the other side.
SAMPLE: Final = np.array([1.5, -0.0, 2.0**-126, -7.25, 3.0e38, 0.1], "float32")

#: CUDA as a library sees it: its own calls, since no two name them alike.
_GPUS: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    "torch": lambda torch: {
        "built_for": torch.version.cuda or torch.version.hip,
        "devices": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        if torch.cuda.is_available()
        else [],
    },
    "cupy": lambda cupy: {
        "built_for": _cuda_version(cupy.cuda.runtime.runtimeGetVersion()),
        "devices": [
            cupy.cuda.runtime.getDeviceProperties(n)["name"].decode()
            for n in range(cupy.cuda.runtime.getDeviceCount() if cupy.cuda.is_available() else 0)
        ],
    },
}


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _row(name: str) -> frameworks.Row:
    row = frameworks.row_of(name)
    if row is None:
        msg = f"{name} has no row"
        raise LookupError(msg)
    return row


def library(name: str) -> dict[str, Any]:
    """Import one library and load its adapter."""
    row = _row(name)
    start = time.perf_counter()
    module = importlib.import_module(row.module)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 2)}
    root = sys.modules[row.module.partition(".")[0]]
    found["version"] = str(getattr(root, "__version__", ""))
    # A type of nobody's: every adapter is asked whether it is its own.
    lookup.adapter_for_type(type("Nobodys", (), {}))
    found["problem"] = interop.adapters()[name].problem
    if name in _GPUS:
        try:
            found["gpu"] = _GPUS[name](module)
        except Exception as err:  # noqa: BLE001 - whatever it raises is what there is to say
            found["gpu"] = {"built_for": "", "devices": [], "error": f"{type(err).__name__}: {err}"}
    return found


def _sample(name: str) -> Any:
    """An array of a library, of the sample's values: on the host, or else on its device."""
    row = _row(name)
    memory = interop.empty_aligned(SAMPLE.shape, "float32")
    memory[...] = SAMPLE
    if not row.instead:
        plan = interop.explain(memory, name)
        return interop.convert(memory, name, device="cuda" if isinstance(plan.error, interop.DeviceError) else None)
    root = row.module.partition(".")[0]
    importlib.import_module(row.module)
    # The very call that an error names where a source is asked for as a target.
    call = partial(eval, row.instead)
    try:
        return call({"interop": interop, "x": memory, root: sys.modules[root]})
    except ValueError:  # an image has two axes
        return call({"interop": interop, "x": memory.reshape(2, 3), root: sys.modules[root]})


def _pair(source: str, target: str, x: Any) -> dict[str, Any]:
    plan, device = interop.explain(x, target), None
    found: dict[str, Any] = {"hot": is_compiled(x, target), "certain": plan.certain}
    if isinstance(plan.error, interop.DeviceError):
        # Nothing moves unless it is said where: so say it, and see whether that works.
        device = next((place for place in ("cpu", "cuda") if interop.explain(x, target, device=place).ok), None)
        plan = plan if device is None else interop.explain(x, target, device=device)
    if isinstance(plan.error, interop.DeviceError):
        return {**found, "route": "no device", "why": str(plan.error), "ok": True}
    if plan.error is not None:
        return {**found, "route": "refused", "why": str(plan.error), "ok": True}
    result = interop.convert(x, target, device=device)
    shared = result is x or interop.shares_memory(x, result)
    found["route"] = "transfer" if plan.transferred_bytes else "zero-copy" if shared else "copy"
    found["why"] = "; ".join(plan.reasons)
    same = interop.to_numpy(result, device="cpu").tobytes() == SAMPLE.tobytes()
    return {**found, "ok": same, "error": "" if same else f"the values that {target} has aren't those of {source}"}


def pairs(names: list[str], skip: set[tuple[str, str]]) -> None:
    """Hand the sample from each library to each target, and check what comes out."""
    targets = [name for name in names if not _row(name).instead]
    for source in names:
        x: Any = None
        for target in targets:
            if (source, target) in skip:
                continue
            print(json.dumps({"next": [source, target]}), flush=True)
            try:
                x = _sample(source) if x is None else x
                found = _pair(source, target, x)
            except interop.DeviceError as err:
                found = {"route": "no device", "why": str(err), "ok": True}
            except Exception as err:  # noqa: BLE001 - any failure is a finding
                found = {"route": "failed", "ok": False, "error": f"{type(err).__name__}: {err}"}
            print(json.dumps({"source": source, "target": target, **found}), flush=True)


def _looked_at(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = library(name)
    except (Exception, SystemExit) as err:  # noqa: BLE001 - the same
        found = {"error": f"{type(err).__name__}: {err}"}
    found["faults"] = dict(plugins.faults())
    return found


def together(names: list[str]) -> None:
    """Import one library after the other, and hand over between all; stop at the first that is broken."""
    for name in names:
        found = _looked_at(name)
        print(json.dumps({"library": name, **found}), flush=True)
        if found.get("error") or found.get("problem"):
            return
    pairs(names, set())


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    what, *names = arguments
    if what == "library":
        print(json.dumps(_looked_at(names[0])))
    elif what == "together":
        together(names)
    else:
        skip = {(source, target) for name in names if "," in name for source, target in [name.split(",")]}
        pairs([name for name in names if "," not in name], skip)


if __name__ == "__main__":
    main(sys.argv[1:])
