"""The namespace of the array API that belongs to what was passed, by array-api-compat."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._agnostic._containers import is_tensor
from interop._convert import convert
from interop._devices import CPU, NAMES, device_of_pair
from interop._registry.lookup import adapter_for, framework_of
from interop._registry.targets import target_adapter
from interop._words import name_of, said, with_article
from interop.errors import InteropError, NotInstalledError, UnsupportedError

if TYPE_CHECKING:
    from types import ModuleType

    from interop._contract import Adapter
    from interop._devices import Device

#: Who knows the namespaces.
_COMPAT: Final = "array_api_compat"

#: What a function takes beside arrays, and what decides nothing.
_NUMBERS: Final = (bool, int, float, complex, np.generic, type(None), list, tuple)


def namespace(*xs: Any, like: Any = None) -> ModuleType:
    """The array API's namespace of some arrays: what a function that is written for the array API calls.

    Parameters
    ----------
    *xs
        Arrays of one framework. Python's numbers, numpy's scalars, None, lists and tuples decide nothing.
    like
        What decides instead: an array, a framework's name, its module, or a namespace of array-api-compat, also of a
        copy that another package brings along.

    Returns
    -------
    module
        The one of array-api-compat where it has one, else the framework's own.

    Raises
    ------
    UnsupportedError
        The arrays are of several frameworks, there is none, or their framework has no such namespace; an ImportError
        too where array-api-compat isn't installed (``pip install "tensor-interop[namespace]"``).

    Examples
    --------
    >>> import torch, interop
    >>> xp = interop.namespace(torch.zeros(2), 3.0)
    >>> xp.concat([torch.zeros(1), torch.ones(1)])
    tensor([0., 1.])
    >>> interop.namespace(like="numpy").__name__
    'array_api_compat.numpy'
    """
    compat = _compat()
    if like is None:
        return _namespace(compat, _decider(xs))
    if is_tensor(type(like)):
        return _namespace(compat, like)
    # An array of the framework tells: it needn't be known here which module of which name that is.
    target = target_adapter(like)
    return _namespace(compat, convert(np.zeros(1, np.float32), target.name, device=_home(target)))


def _compat() -> Any:
    try:
        return importlib.import_module(_COMPAT)
    except ImportError as err:
        msg = 'array-api-compat isn\'t installed, which knows namespaces. Run pip install "tensor-interop[namespace]".'
        raise NotInstalledError(msg, name=_COMPAT) from err


def _home(target: Adapter) -> Device | None:
    """A device that a framework can have an array on; None where that is the host."""
    code = next((code for code in sorted(NAMES) if target.limits(code) is not None), CPU)
    return None if code == CPU else device_of_pair(code)


def _decider(xs: tuple[Any, ...]) -> Any:
    """An array whose framework all have."""
    found: dict[str, Any] = {}
    for x in xs:
        if is_tensor(type(x)):
            found.setdefault(framework_of(adapter_for(x), x), x)
        elif not isinstance(x, _NUMBERS):
            msg = f"{with_article(name_of(type(x)))} is no array, and no number. Pass arrays, or say like='numpy'."
            raise UnsupportedError(msg)
    if len(found) > 1:
        first, *rest = found
        msg = (
            f"the arrays are of several frameworks: {first} and {', '.join(rest)}. Convert them to one first, or say "
            f"which counts: like={first!r}."
        )
        raise UnsupportedError(msg)
    if not found:
        msg = "there is no array to tell the namespace by. Pass one, or say like='numpy'."
        raise UnsupportedError(msg)
    return next(iter(found.values()))


def _namespace(compat: Any, x: Any) -> ModuleType:
    try:
        found: ModuleType = compat.array_namespace(x)
    except InteropError:
        raise
    except Exception as err:
        name = framework_of(adapter_for(x), x)
        msg = f"{name} has no namespace of the array API ({said(err)}). Convert to one that has, such as numpy."
        raise UnsupportedError(msg) from err
    return found
