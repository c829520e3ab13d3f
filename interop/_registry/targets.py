"""What a caller names as a target: a framework that has an adapter, or any module with ``from_dlpack``."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Final

from interop._adapters._module import ModuleAdapter
from interop._registry import frameworks, lookup, plugins
from interop._words import exact_str, is_a, said, shown
from interop.errors import NotInstalledError, UnsupportedError

if TYPE_CHECKING:
    from interop._contract import Adapter

#: Whose submodules are namespaces of the framework that they are named after: by itself, or inside of a package that
#: brings a copy of it (``sklearn.externals.array_api_compat.torch``).
_WRAPPER: Final = "array_api_compat"


def target_name(to: object) -> str:
    """The name of the framework that `to` names: a string, a module, or an array-api-compat namespace of it."""
    try:
        name = exact_str(to.__name__ if is_a(to, ModuleType) else to)
    except Exception as err:
        raise UnsupportedError(_no_target_text(to)) from err
    parts = [] if name is None else name.split(".")
    if name is None or not all(map(str.isidentifier, parts)):
        raise UnsupportedError(_no_target_text(to))
    if _WRAPPER in parts:
        return _wrapped_name(name, parts)
    return parts[0] if _is_known(parts[0]) else name


def _no_target_text(to: object) -> str:
    return f"{shown(to)} names no framework: pass its name, such as 'numpy' or 'torch', or its module."


def _wrapped_name(name: str, parts: list[str]) -> str:
    """The framework that a namespace wraps, which follows the wrapper's own name."""
    after = len(parts) - parts[::-1].index(_WRAPPER)
    if after < len(parts) and _is_known(parts[after]):
        return parts[after]
    namespace = ".".join([*parts[:after], "torch"])
    msg = (
        f"{name!r} is no namespace of a framework that is known here. Pass one, such as {namespace!r}, or the "
        "framework itself, such as 'torch'."
    )
    raise UnsupportedError(msg)


def _is_known(name: str) -> bool:
    return name in frameworks.rows() or lookup.loaded(name) is not None


def target_adapter(to: object) -> Adapter:
    """The adapter of a target framework, importing the framework if it isn't.

    Raises
    ------
    UnsupportedError
        If no framework of that name is known; an ImportError too where it isn't installed.
    """
    if type(to) is str:
        found = lookup.loaded(to)
        if found is not None and _can_be_target(to):
            return found
    name = target_name(to)
    row = frameworks.rows().get(name)
    if row is not None and not _can_be_target(name):
        msg = f"{name} can be converted from, not to: no memory can be handed to it as it is. Call {row.instead}."
        raise UnsupportedError(msg)
    found = lookup.loaded(name)
    if found is not None:
        return found
    if row is not None:
        _import_framework(row)
        if row.entry is not None and name in plugins.faults():
            raise UnsupportedError(plugins.faults()[name])
        return lookup.load_row(row)
    return _module_adapter(name)


def _can_be_target(name: str) -> bool:
    row = frameworks.rows().get(name)
    return row is None or not row.instead or lookup.is_registered(name)


def _import_framework(row: frameworks.Row) -> None:
    try:
        importlib.import_module(row.module)
    except (Exception, SystemExit) as err:
        msg = f"{row.name} can't be imported ({said(err)}). Install it: pip install {row.install}"
        raise NotInstalledError(msg, name=row.module) from err


def _hint(name: str) -> str:
    row = frameworks.known_as(name)
    if row is not None and row.instead:
        return f"Did you mean {row.name!r}? It can be converted from, not to: call {row.instead}."
    known = sorted(frameworks.rows().keys() | {adapter.name for adapter in lookup.loaded_adapters()})
    from difflib import get_close_matches  # noqa: PLC0415 - for a message that is rarely needed

    close = [row.name] if row is not None else get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}."


@cache
def _module_adapter(name: str) -> Adapter:
    """A target without an adapter: any module that has ``from_dlpack``."""
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as err:
        if not isinstance(err, ModuleNotFoundError) or (err.name or "") != name.partition(".")[0]:
            msg = f"the module {name!r} can't be imported: {said(err)}. Mend that, then convert to it."
            raise NotInstalledError(msg, name=name) from err
        msg = f"no framework {name!r} is known, and no module of that name can be imported. {_hint(name)}"
        raise NotInstalledError(msg, name=name) from err
    missing = f"the module {name!r} has no from_dlpack, so it can't be a target. Register an adapter for it."
    try:
        takes = callable(getattr(module, "from_dlpack", None))
    except Exception as err:
        raise UnsupportedError(missing) from err
    if not takes:
        raise UnsupportedError(missing)
    return ModuleAdapter(module)
