"""What is known to break: programs that break a law or end the process, expected failures of ``test_fuzz.py``."""

from __future__ import annotations

from typing import Final

from fuzz.programs import Call, Case, Source

#: The one look that docs/safety.md says is left out: where the memory of a small tensor ends, in the default call.
_REFUSED: Final = "x = torch.ones(4)\nheld = x.numpy()\nwith suppress(RuntimeError):\n    x.resize_(100)"

#: What ends every process, to see that it is noticed.
FATAL: Final = "a read of NULL"

#: By what breaks.
KNOWN: Final[dict[str, Case]] = {
    "a resize that was refused": Case(
        0,
        Source(_REFUSED, "a refused resize", "torch", opaque=True),
        Call("convert", "interop.to_numpy", target="numpy", options={}),
    ),
    FATAL: Case(
        0,
        Source("x = ctypes.string_at(0)", FATAL, "", opaque=True),
        Call("view", "interop.view", target="numpy", options={}),
    ),
}
