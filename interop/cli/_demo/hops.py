"""One hop of the demo: its code, its plan, its times, and what the libraries themselves say of its arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import interop
from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop.cli._timing import Duel


@dataclass(frozen=True, slots=True)
class Hop:
    """One tensor handed over.

    Attributes
    ----------
    title
        What goes where, for the table.
    call, by_hand
        The code of both ways.
    plan
        What :func:`interop.explain` says of it, of the exported memory where that is known only after the export.
    result
        What the call gave.
    times
        What both ways cost.
    exported
        Whether the source hands out new memory at each export, so that the hop is of that memory.
    """

    title: str
    call: str
    by_hand: str
    plan: interop.Plan
    result: Any
    times: Duel
    exported: bool

    @property
    def kind(self) -> str:
        """``"view"``, ``"copy"``, or ``"move"`` where it went to another device."""
        return kind_of(self.plan)

    @property
    def words(self) -> str:
        """What the result is, for the table."""
        return f"{self.kind} of its export" if self.exported else self.kind

    @property
    def written(self) -> int:
        """Bytes that the hop writes."""
        return self.plan.copied_bytes + self.plan.transferred_bytes


def kind_of(plan: interop.Plan) -> str:
    """What a plan comes to, in one word."""
    if plan.zero_copy:
        return "view"
    return "move" if plan.transferred_bytes else "copy"


def call_text(source: str, to: str, options: Mapping[str, Any]) -> str:
    """Spell a conversion as its user types it."""
    return f"interop.to_{to}({source}{''.join(f', {name}={value!r}' for name, value in options.items())})"


def value(code: str, names: Mapping[str, Any]) -> Any:
    """Run a line of the demo: the text that is shown is the code that runs, so neither drifts from the other."""
    return eval(code, dict(names))  # noqa: S307 - only ever literals of this package


@dataclass(frozen=True, slots=True)
class _Library:
    """What a library itself says of one of its arrays: the exchange isn't checked by its own word."""

    pointer: Callable[[Any], int]
    values: Callable[[Any], bytes]


LIBRARIES: Final = {
    "numpy": _Library(lambda x: x.ctypes.data, lambda x: x.tobytes()),
    "torch": _Library(lambda x: x.data_ptr(), lambda x: x.cpu().flatten().view(load("torch").uint8).numpy().tobytes()),
    "cupy": _Library(lambda x: x.data.ptr, lambda x: x.get().tobytes()),
}


def pointer(x: Any) -> int:
    """The address of the first element, by the array's own library."""
    return LIBRARIES[interop.framework(x)].pointer(x)


def values(x: Any) -> bytes:
    """The elements in C order, bit for bit, by the array's own library."""
    return LIBRARIES[interop.framework(x)].values(x)
