"""What a conversion holds at its peak: each in a process of its own, by the kernel's high-water mark.

A view takes nothing. A copy takes its result, and no intermediate beside it. Run as a module with a name and a size it
is the process that measures one conversion.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.budgets import Budgets, Result, Verdict
from benchmarks.names import resolve
from benchmarks.sources import pointer

SECTION: Final = "peak memory"
MIB: Final = 1 << 20

_STATUS: Final = Path("/proc/self/status")
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Conversion:
    """One conversion.

    Attributes
    ----------
    name
        In words.
    make
        Makes the source; `size` is the bytes it takes.
    code
        Converts it.
    copies
        Whether that needs a copy.
    quick
        Whether it is measured in a quick run too: each takes the start of a process.
    """

    name: str
    make: str
    code: str
    copies: bool = True
    quick: bool = False


_NUMPY: Final = "np.ones(size // 4, np.float32)"
_TORCH: Final = "torch.ones(size // 4)"

CONVERSIONS: Final = (
    Conversion("torch to numpy", _TORCH, "to_numpy(x)", copies=False, quick=True),
    Conversion("numpy to torch", _NUMPY, "to_torch(x)", copies=False),
    Conversion(
        "bfloat16 to numpy", "torch.ones(size // 2, dtype=torch.bfloat16)", "to_numpy(x)", copies=False, quick=True
    ),
    Conversion("view of torch", _TORCH, "view(x)", copies=False),
    Conversion("readonly to torch, promised", f"frozen({_NUMPY})", "to_torch(x, writable=False)", copies=False),
    Conversion("readonly to torch", f"frozen({_NUMPY})", "to_torch(x)", quick=True),
    Conversion("reversed to torch", f"{_NUMPY}[::-1]", "to_torch(x)"),
    Conversion("byte order to torch", "np.ones(size // 4, np.dtype('f4').newbyteorder())", "to_torch(x)"),
    Conversion("conjugate to numpy", "torch.ones(size // 8, dtype=torch.complex64).conj()", "to_numpy(x)", quick=True),
    Conversion("transposed to numpy", "torch.ones(1024, size // 4096).T", "to_numpy(x, order='C')"),
    Conversion("transposed to torch", "np.ones((1024, size // 4096), np.float32).T", "to_torch(x, order='C')"),
    Conversion("copied to numpy", _TORCH, "to_numpy(x, copy=True)"),
    Conversion("float32 to bfloat16, to numpy", _TORCH, "to_numpy(x, dtype='bfloat16')"),
    Conversion("float32 to bfloat16, to torch", _NUMPY, "to_torch(x, dtype='bfloat16')"),
)


def peaks(conversion: Conversion, budgets: Budgets, size: int) -> Iterator[Result]:
    """Measure one conversion of `size` bytes in a fresh process."""
    needed = "source + result" if conversion.copies else "source"
    given = f"source of {size // MIB} MiB, {'a copy is needed' if conversion.copies else 'no copy is needed'}"
    limit = budgets.memory["copy" if conversion.copies else "view"]
    line = Result(SECTION, conversion.name, given, f"{conversion.name}: {conversion.code}", needed, "MiB", limit=limit)
    command = [sys.executable, "-m", "benchmarks.memory", conversion.name, str(size)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        yield replace(line, verdict=Verdict.FAILED, note=run.stderr.strip().rpartition("\n")[2])
        return
    figures: dict[str, Any] = json.loads(run.stdout)
    result = figures["result"] if conversion.copies else 0
    extra = (figures["grown"] - result) / MIB
    wrong = figures["shares"] is conversion.copies
    yield replace(
        line,
        ours=(size + figures["grown"]) / MIB,
        theirs=(size + result) / MIB,
        figure=extra,
        verdict=Verdict.FAILED if wrong else budgets.judge(extra, limit),
        note=f"the memory was {'shared' if conversion.copies else 'copied'}" if wrong else "",
        details=figures,
    )


def _measure(conversion: Conversion, size: int) -> dict[str, Any]:
    names = resolve(conversion.make, conversion.code)
    # What a first conversion loads is no part of the peak.
    warm = {**names, "size": MIB}
    eval(conversion.code, {**names, "x": eval(conversion.make, warm)})
    x = eval(conversion.make, {**names, "size": size})
    gc.collect()
    before = _restart()
    result = eval(conversion.code, {**names, "x": x})
    grown = _peak() - before
    return {"grown": grown, "result": int(result.nbytes), "shares": pointer(result) == pointer(x)}


def _restart() -> int:
    """Set the high-water mark down to what is held now, where the kernel can; return it in bytes."""
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
    return _peak()


def _peak() -> int:
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    (_chosen,) = (conversion for conversion in CONVERSIONS if conversion.name == sys.argv[1])
    print(json.dumps(_measure(_chosen, int(sys.argv[2]))))
