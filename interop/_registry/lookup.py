"""Which adapter speaks for a type, and which for a target: one table of rows, loaded on demand.

An adapter loads when its framework is already imported or is the named target, never before: this library imports
no framework that the user didn't import.
"""

from __future__ import annotations

import importlib
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from interop._adapters._shared.wrappers import Wrapper
from interop._changes import anew
from interop._contract import Facts
from interop._foreign import FOREIGN
from interop._native import add_readers, find, forget_recipes, forget_types
from interop._registry import frameworks, plugins
from interop._registry.checked import Checked, problem
from interop._registry.unclaimed import no_tensor_text
from interop._words import is_a, name_of, said, shown, with_article
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._contract import Adapter
    from interop._devices import Device
    from interop._dtypes import DType


#: Sources that are no framework: functions from a type to an adapter or None, asked in turn for what nobody claims.
_SOURCES: Final = (
    "interop._adapters._numpy:numpy_source",
    "interop._adapters._view:view_source",
    "interop._adapters._protocol:protocol_source",
)

#: The function from an object that speaks a protocol, as its class doesn't, to an adapter or None.
_OBJECTS: Final = "interop._adapters._objects:object_source"

_lock: Final = threading.RLock()
_loaded: dict[str, Adapter] = {}
_registered: Final[set[str]] = set()
# By weak reference: a class made in a function must be able to die, whoever claims it.
_by_type: Final[weakref.WeakKeyDictionary[type, Adapter]] = weakref.WeakKeyDictionary()
# Types that no framework's adapter claimed.
_UNSEEN: Final = object()
_unclaimed: Final[weakref.WeakKeyDictionary[type, Adapter | None]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One row of :func:`adapters`: a framework that has an adapter, how far it is loaded, and if it can be a target.

    What is known to be wrong with the adapter is its problem; one that was never loaded has had no chance to fail.
    """

    name: str
    origin: str
    installed: bool
    loaded: bool
    target: bool = True
    problem: str = ""


def adapters() -> Mapping[str, AdapterInfo]:
    """List the frameworks that have an adapter, built-in, registered or offered by an installed package.

    Returns
    -------
    Mapping[str, AdapterInfo]
        By name: where the adapter comes from, whether the framework is installed, whether the adapter is loaded.
        Nothing is imported to find out.

    Examples
    --------
    >>> import interop
    >>> interop.adapters()["numpy"].installed
    True
    """
    infos: dict[str, AdapterInfo] = {}
    rows, faults = frameworks.rows(), plugins.faults()
    for name, row in rows.items():
        origin = f"entry point of {row.entry.package}" if row.entry else "built-in"
        infos[name] = AdapterInfo(
            name,
            origin,
            installed=frameworks.is_installed(row.module),
            loaded=name in _loaded,
            target=not row.instead,
            problem=faults.get(name, ""),
        )
    for name in _registered:
        here = all(map(frameworks.is_installed, _loaded[name].modules))
        infos[name] = AdapterInfo(name, "registered", installed=here, loaded=True, problem=faults.get(name, ""))
    for name in faults.keys() - infos.keys():
        infos[name] = AdapterInfo(name, "entry point", installed=True, loaded=False, target=False, problem=faults[name])
    return infos


def register(adapter: Adapter, /) -> None:
    """Make an adapter known; it comes before every other one that claims the same types.

    Parameters
    ----------
    adapter
        An object with the attributes and methods of :class:`interop.protocols.Adapter`.

    Raises
    ------
    UnsupportedError
        If it lacks a part of the protocol, or speaks another version of it.
    """
    if is_a(adapter, Checked):
        adapter = adapter.unchecked
    flaw = problem(adapter)
    if flaw is not None:
        msg = f"no adapter can be registered: {flaw}."
        raise UnsupportedError(msg)
    plugins.forget(adapter.name)
    checked = Checked(adapter, f"registered, {with_article(name_of(type(adapter)))}")
    with _lock:
        _install(checked.adapter)
        _registered.add(adapter.name)
        _by_type.clear()
        _unclaimed.clear()
        forget_types()
        _make_known(checked.adapter)


def _install(adapter: Adapter) -> None:
    global _loaded  # noqa: PLW0603 - another thread goes on reading the dictionary that was whole
    # Newest first: a registered adapter is asked before the built-in one that it replaces.
    _loaded = {adapter.name: adapter, **{name: known for name, known in _loaded.items() if name != adapter.name}}


def _make_known(adapter: Adapter) -> None:
    """Have the types of an adapter read natively, and everything be planned anew."""
    native = getattr(adapter, "native", None)
    if native is not None:
        add_readers(adapter.name, dict(native.readers))
    forget_recipes()


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def loaded(name: str) -> Adapter | None:
    """The adapter of that name, if it is loaded."""
    return _loaded.get(name)


def is_registered(name: str) -> bool:
    """Whether the adapter of that name was registered by hand."""
    return name in _registered


def load_row(row: frameworks.Row) -> Adapter:
    """The adapter of a row, which is loaded if it isn't."""
    with _lock:
        found = _loaded.get(row.name)
        if found is None:
            found = _load(row.adapter) if row.entry is None else _load_entry(row, row.entry)
            # Behind what was registered by hand.
            _loaded[row.name] = found
            _make_known(found)
        return found


def _load_entry(row: frameworks.Row, entry: plugins.Entry) -> Adapter:
    """Load what an installed package offers, or raise what is wrong with it.

    Raises
    ------
    UnsupportedError
        Naming the package; what it raised is the cause. It is written down, so that it isn't tried again.
    """
    try:
        adapter = _load(row.adapter)
    except (Exception, SystemExit) as err:
        text = _entry_text(entry, f"it can't be imported ({said(err)})")
        raise UnsupportedError(plugins.note(row.name, text)) from err
    flaw = problem(adapter)
    if flaw is None and adapter.name != row.name:
        flaw = f"the adapter there is named {adapter.name!r}, and the entry point {row.name!r}"
    if flaw is not None:
        raise UnsupportedError(plugins.note(row.name, _entry_text(entry, flaw)))
    return Checked(adapter, str(entry)).adapter


def _entry_text(entry: plugins.Entry, flaw: str) -> str:
    return f"the adapter {entry.name!r} ({entry}) is broken: {flaw}. Update {entry.package}, or uninstall it."


def adapter_for_type(tp: type) -> Adapter | None:
    """The adapter that speaks for objects of exactly this type, or None where nothing does."""
    if not _is_itself_alone(tp):
        return _resolve(tp)[0]
    found = _by_type.get(tp)
    if found is not None:
        return found
    # One look-up: between two, another thread's register() empties the table.
    unclaimed = _unclaimed.get(tp, _UNSEEN)
    if unclaimed is not _UNSEEN:
        return cast("Adapter | None", unclaimed)
    with _lock:
        found, claimed = _resolve(tp)
        if found is not None and claimed:
            _by_type[tp] = found
        else:
            _unclaimed[tp] = found
        return found


def _is_itself_alone(tp: type) -> bool:
    """Whether a type equals nothing but itself: a metaclass may say otherwise, and a dictionary would believe it."""
    meta = type(tp)
    return meta is type or all(find(meta, name) is find(type, name) for name in ("__eq__", "__hash__"))


def _resolve(tp: type) -> tuple[Adapter | None, bool]:
    """Find the adapter of a type, and whether it is a framework's that claims it."""
    with _lock:
        for adapter in loaded_adapters():
            if _claims(adapter, tp):
                return adapter, True
        return next((adapter for path in _SOURCES if (adapter := _load(path)(tp)) is not None), None), False


def _claims(adapter: Adapter, tp: type) -> bool:
    try:
        return adapter.claims(tp)
    except Exception:  # noqa: BLE001 - abstract base classes hash a type, which a metaclass may forbid
        return False


def adapter_for(x: Any) -> Adapter:
    """The adapter that speaks for an object.

    Raises
    ------
    UnsupportedError
        If the object is no tensor: no adapter claims its type and it speaks no protocol.
    """
    # What an object itself has is looked at last, and each time: it says nothing of others of its type.
    found = adapter_for_type(type(x)) or _load(_OBJECTS)(x)
    if found is None:
        raise UnsupportedError(no_tensor_text(x))
    if not isinstance(found, Wrapper):
        return found
    # What a wrapper holds is known of each object only.
    return cast("Adapter", asked(found, x, found.adapter_of, x, adapter_for))


def loaded_adapters() -> list[Adapter]:
    """The adapters of the frameworks that are imported, the newest first."""
    with _lock:
        for row in frameworks.rows().values():
            if row.module in sys.modules and row.name not in _loaded:
                _try_row(row)
        return list(_loaded.values())


def _try_row(row: frameworks.Row) -> None:
    """Load an adapter; one of somebody else's that is broken is written down, and the rest goes on without it."""
    if row.entry is None:
        load_row(row)
    elif row.name not in plugins.faults():
        with suppress(UnsupportedError):
            load_row(row)


def asked(adapter: Adapter, x: Any, verb: Callable[..., Any], /, *arguments: Any) -> Any:
    """What an adapter's verb answers of an object, or one of our errors: what either of them raises is its cause."""
    try:
        return verb(*arguments)
    except InteropError:
        raise
    except Exception as err:
        raise UnsupportedError(_broken_text(adapter, x, err)) from err


def describe(adapter: Adapter, x: Any, *, traced: bool = False) -> Facts:
    """The facts of an object, or one of our errors: what an adapter or an object raises is its cause.

    What only stands for values is refused unless `traced` says that it is going to be handled.
    """
    # Any: what a third party's adapter returns is looked at, not believed.
    facts: Any = asked(adapter, x, anew, adapter.describe, x)
    if not isinstance(facts, Facts):
        name = with_article(name_of(type(x)))
        msg = f"the adapter {adapter.name!r} described {name} by {shown(facts)}, not by Facts: its bug."
        raise UnsupportedError(msg)
    if facts.traced and not traced:
        raise UnsupportedError(facts.traced)
    return facts


def outline(adapter: Adapter, x: Any) -> tuple[DType, Device] | None:
    """Element type and device, where an adapter tells them of what has no memory too; None where it doesn't."""
    verb = getattr(adapter, "outline", None)
    return None if verb is None else cast("tuple[DType, Device]", asked(adapter, x, verb, x))


def _broken_text(adapter: Adapter, x: Any, err: Exception) -> str:
    return (
        f"{with_article(name_of(type(x)))} can't be looked at: {said(err)}. This is a bug of its type, or of the "
        f"adapter {adapter.name!r}."
    )


def framework_of(adapter: Adapter, x: Any) -> str:
    """The name of an object's framework, as `to` takes it where the framework can be a target."""
    if adapter.name not in frameworks.rows() and find(type(x), "__array_namespace__") is not None:
        # The array API's own answer: a type's module may be an inner one, such as jaxlib.
        return str(asked(adapter, x, lambda: x.__array_namespace__().__name__))
    return str(getattr(adapter, "family", adapter.name))


FOREIGN.ask(loaded_adapters)
