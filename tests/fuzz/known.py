"""What is known to break: programs that break a law or end the process, expected failures of ``test_fuzz.py``."""

from __future__ import annotations

from typing import Final

from fuzz.laws import PLANS_ARE_FREE, STAYS_RESIZABLE
from fuzz.programs import Call, Case, Source

_ZERO: Final = "x = torch._efficientzerotensor((8,))[2:]\ntruth = torch.zeros(6)"
_SHRUNK: Final = "x = torch.ones(64)\nx.untyped_storage().resize_({})"
_REFUSED: Final = "x = torch.ones(4)\nheld = x.numpy()\nwith suppress(RuntimeError):\n    x.resize_(100)"


def _case(source: Source, function: str, target: str = "numpy", **options: str) -> Case:
    kind = "view" if function == "interop.view" else "convert"
    return Case(0, source, Call(kind, function, target=target, options=options))


#: By what breaks.
KNOWN: Final[dict[str, Case]] = {
    "a slice of a zero tensor": _case(
        Source(_ZERO, "a slice of a zero tensor", "torch", dtype="float32"), "interop.to_numpy", copy="True"
    ),
    "a freed storage": _case(
        Source(_SHRUNK.format(0), "a freed storage", "torch", opaque=True), "interop.to_torch", "torch", copy="True"
    ),
    "a shrunk storage": _case(Source(_SHRUNK.format(8), "a shrunk storage", "torch", opaque=True), "interop.view"),
    "a resize that was refused": _case(Source(_REFUSED, "a refused resize", "torch", opaque=True), "interop.to_numpy"),
    "an order that is an array": _case(
        Source("x = np.ones(2)", "numpy, c", "numpy", dtype="float64"), "interop.to_numpy", order="np.ones(2)"
    ),
    "a plan that holds a tensor": _case(
        Source("x = np.array([1, None], object)", "numpy, an array of objects", "numpy", opaque=True),
        "interop.to_torch",
        "torch",
    ),
    "a storage that a copy has locked": _case(
        Source("x = torch.ones(3)", "torch, c", "torch", dtype="float32"), "interop.to_numpy", copy="True"
    ),
}

#: What ends every process, to see that it is noticed.
FATAL: Final = "a read of NULL"
KNOWN[FATAL] = _case(Source("x = ctypes.string_at(0)", FATAL, "", opaque=True), "interop.view")

#: Laws that are known not to hold of many objects; in other cases than those above they are not looked at.
PARDONED: Final = frozenset({PLANS_ARE_FREE, STAYS_RESIZABLE})
