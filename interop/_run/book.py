"""The book of recipes, which the public functions look into before they plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop import _options
from interop._native import Apart, Book, Entry
from interop._options import Options
from interop._registry import adapter_for_type
from interop._run.recipes import NativeOps, native_ops, recipe_of
from interop._targets import target_adapter
from interop.errors import InteropError

if TYPE_CHECKING:
    from interop._native import Recipe
    from interop.protocols import Adapter, Facts

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
        return (options.dtype, options.swapped)
    found = getattr(options, name)
    return NotImplemented if name == "device" and found[1] is None else found


def entry(x: Any, to: Any, values: tuple[Any, ...]) -> Entry | None:
    """Make the entry of a type, a target and options; None where their calls are planned one by one."""
    try:
        target = target_adapter(to)
    except InteropError:
        return None
    source, ops = _read_natively(type(x))
    if source is None or ops is None:
        return None
    said = {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}
    said["dtype"], said["swapped"] = said.get("dtype", (None, None))
    options = Options(**said)
    reader = ops.readers[type(x)]
    if source.name == target.name and options.asks_nothing:
        return Entry(reader, None, keeps=True)
    if native_ops(target) is None or options.swapped:
        return None

    def plan(x: Any) -> tuple[Facts | None, Recipe | None]:
        return recipe_of(x, source, target, options)

    return Entry(reader, Apart(plan))


def _read_natively(tp: type) -> tuple[Adapter, NativeOps] | tuple[None, None]:
    """The adapter of a type and its native ops, where they read it."""
    source = adapter_for_type(tp)
    ops = None if source is None else native_ops(source)
    return (None, None) if source is None or ops is None or tp not in ops.readers else (source, ops)


BOOK: Final = Book(NAMES, FLAGS, parse=Apart(parsed), make=Apart(entry))
