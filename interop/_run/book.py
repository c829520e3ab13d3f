"""The book of recipes, which the public functions look into before they plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop import _options
from interop._adapters._protocol import BUFFERS
from interop._contract import SupportsLending
from interop._devices import CPU
from interop._native import Apart, Book, CallReader, Entry, Handover, View, add_readers
from interop._options import Options
from interop._plan.case import ALLOCATORS_ALIGN, VIEW
from interop._registry.lookup import adapter_for_type
from interop._registry.targets import target_adapter
from interop._run.recipes import NativeOps, native_ops, recipe_of, view_recipe_of
from interop.errors import InteropError

if TYPE_CHECKING:
    from interop._contract import Adapter, Facts
    from interop._native import Recipe, Shortcut

#: The options of a conversion, in the order in which the core keeps them.
NAMES: Final = ("device", "dtype", "order", "copy", "writable", "detach", "stream")

#: Options for which False says nothing.
FLAGS: Final = ("detach",)


def parsed(name: str, value: object) -> object:
    """Bring a value to its one internal form, or return NotImplemented where it has none that lasts.

    A stream ends, and an unnumbered device is another one by the time of the next call.
    """
    if name == "stream":
        return NotImplemented
    try:
        options = _options.parse(**{name: value})
    except (InteropError, TypeError):
        return NotImplemented
    if name == "dtype":
        return (options.dtype, options.swapped, options.nearest)
    found = getattr(options, name)
    return NotImplemented if name == "device" and found[1] is None else found


def entry(x: Any, to: Any, values: tuple[Any, ...]) -> Entry | None:
    """Make the entry of a type, a target and options; None where their calls are planned one by one.

    Raises
    ------
    UnsupportedError
        `to` is no target, and isn't to be remembered.
    """
    target = None if to == VIEW else target_adapter(to)
    source, ops = _read_natively(type(x))
    if source is None or ops is None:
        return None
    if target is None and any(value is not None for value in values):
        # What is promised of a View, the function of Python says.
        return None
    if target is None:
        # A View is its own.
        return Entry(ops.readers[type(x)], Apart(view_recipe_of), keeps=type(x) is View)
    said = {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}
    said["dtype"], said["swapped"], said["nearest"] = said.get("dtype", (None, None, False))
    return _conversion(type(x), source, ops, target, Options(**said))


def _conversion(tp: type, source: Adapter, ops: NativeOps, target: Adapter, options: Options) -> Entry | None:
    reader, same = ops.readers[tp], source.name == target.name
    if same and options.asks_nothing:
        return Entry(reader, None, keeps=True)
    if options.swapped or options.device not in (None, (CPU, 0)) or (same and type(reader) is CallReader):
        # Several devices of the host are their framework's own; and nothing is evaluated only to be looked at.
        return None
    shortcuts = (*ops.shortcuts(tp, target, options), *_handovers(source, target, tp, options))
    if native_ops(target) is None and not shortcuts:
        return None
    limits = target.limits(CPU)
    aligned = limits is not None and limits.alignment > ALLOCATORS_ALIGN

    def plan(x: Any) -> tuple[Facts | None, Recipe | None]:
        return recipe_of(x, target, options)

    return Entry(reader, Apart(plan), shortcuts=shortcuts, aligned_64=aligned)


def _handovers(source: Adapter, target: Adapter, tp: type, options: Options) -> tuple[Shortcut, ...]:
    """The handover in device memory of two frameworks that each give a half."""
    if not options.asks_nothing or not (isinstance(source, SupportsLending) and isinstance(target, SupportsLending)):
        return ()
    lend = source.lends().get(tp)
    return () if lend is None else (Handover(lend, target.reader, target.take),)


def _read_natively(tp: type) -> tuple[Adapter, NativeOps] | tuple[None, None]:
    """The adapter of a type and its native ops, where they read it."""
    source = adapter_for_type(tp)
    ops = None if source is None else native_ops(source)
    return (None, None) if source is None or ops is None or tp not in ops.readers else (source, ops)


# What no framework's adapter reads.
add_readers("", BUFFERS.readers)

BOOK: Final = Book(NAMES, FLAGS, parse=Apart(parsed), make=Apart(entry))


def is_compiled(x: Any, to: str) -> bool:
    """Whether a conversion without options is done by what was compiled for its kind, without the planner."""
    made = entry(x, to, (None,) * len(NAMES))
    return made is not None and made.takes(x)
