"""Finding a library's factory and consumer from the name of its array type."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop.testing.conformance._subject import Subject, with_callable
from interop.testing.conformance._world import WORLD

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where libraries keep them, the likeliest first.
_FACTORIES: Final = ("asarray", "array", "from_numpy", "as_tensor", "to_tensor", "tensor", "from_dlpack")
_CONSUMERS: Final = ("from_dlpack", "dlpack.from_dlpack", "utils.dlpack.from_dlpack", "experimental.dlpack.from_dlpack")


def find(target: str, *, given: bool = False) -> Subject:
    """Return the subject that a target names.

    Parameters
    ----------
    target
        ``"package:Type"``; the name of a module; or one of the libraries that are known by name.
    given
        Whether the author names the factory.

    Raises
    ------
    LookupError
        If there is no such module or type, or nothing that makes an array of the type.
    """
    if target in WORLD:
        return _installed(WORLD[target])
    module, colon, name = target.partition(":")
    try:
        loaded: Any = importlib.import_module(module)
    except ImportError as error:
        raise LookupError(f"can't import {module} ({error}): name a module, or module:Type") from error
    cls = _attribute(loaded, name) if colon else None
    if colon and not isinstance(cls, type):
        raise LookupError(f"{module} has no type {name}: name one as module:Type, and what makes its arrays as make")
    subject = Subject(name=target.replace(":", "."), imports=f"import {module}")
    subject = _with_factory(subject, loaded, module, name, cls, given=given)
    return _with_consumer(subject, loaded, module, name, cls)


def _installed(subject: Subject) -> Subject:
    package = subject.name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise LookupError(f"{package} isn't installed")
    return subject


def _attribute(owner: Any, path: str) -> Any:
    for part in path.split("."):
        owner = getattr(owner, part, None)
    return owner


def _places(module: str, name: str, cls: type | None) -> Iterator[str]:
    """Yield texts of where a library's functions may be: its type, the type's module, and the package."""
    if cls is not None:
        yield f"{module}.{name}"
    yield module
    if "." in module:
        yield module.partition(".")[0]


def _with_factory(subject: Subject, loaded: Any, module: str, name: str, cls: type | None, *, given: bool) -> Subject:
    values = np.arange(6, dtype="float32")
    candidates = [f"{place}.{factory}" for place in _places(module, name, cls) for factory in _FACTORIES]
    candidates += [f"{module}.{name}"] if cls is not None else []
    mute = False
    for text in candidates:
        make = _resolve(loaded, module, text)
        if not callable(make):
            continue
        try:
            made = make(values)
        except Exception:  # noqa: S112 - not this one
            continue
        if not hasattr(type(made), "__dlpack__"):
            mute = mute or (cls is not None and isinstance(made, cls))
            continue
        if cls is None or isinstance(made, cls):
            return replace(subject, make=text)
    if cls is not None and not given:
        # Its consumer alone would be checked, and nobody would notice.
        raise LookupError(
            f"a {module}.{name} has no __dlpack__, and that is what is checked: where an adapter speaks for it, "
            f"`interop doctor` tries that"
            if mute
            else f"nothing makes a {module}.{name} of a numpy array: name a function that does, "
            f"as make= or --make {module}:function"
        )
    return subject


def _with_consumer(subject: Subject, loaded: Any, module: str, name: str, cls: type | None) -> Subject:
    for place in _places(module, name, cls):
        for consumer in _CONSUMERS:
            text = f"{place}.{consumer}"
            if callable(_resolve(loaded, module, text)):
                return with_callable(subject, "from_dlpack", text)
    return subject


def _resolve(loaded: Any, module: str, text: str) -> Any:
    if text.startswith(f"{module}."):
        return _attribute(loaded, text.removeprefix(f"{module}."))
    package, _, rest = text.partition(".")
    return _attribute(importlib.import_module(package), rest)
