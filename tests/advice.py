"""The calls that messages name: found in the text, and run on the very object that was refused."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import interop

#: What a call may begin with, by what it is imported as: the object, this library, or a framework.
_ROOTS: Final = (
    *("x", "interop", "numpy", "torch", "cupy", "jax", "mlx", "tensorflow", "paddle", "pyarrow", "pandas", "polars"),
    *("xarray", "scipy", "PIL", "dpnp", "warp"),
)
_BEGIN: Final = re.compile(rf"(?<![\w.'\"])(?:{'|'.join(_ROOTS)})(?=[.\[])")

#: What they need that isn't an attribute of the framework's module before it is imported.
_SUBMODULES: Final = ("pyarrow.compute", "jax.numpy", "mlx.core", "PIL.Image")

_CLOSING: Final = {"(": ")", "[": "]"}

#: In which errors win: what is advised against one may lead to a later one.
ORDER: Final = (
    interop.UnsupportedError,
    interop.GradientError,
    interop.DeviceError,
    interop.DTypeError,
    interop.ReadOnlyError,
    interop.CopyError,
)


def _end(text: str, start: int) -> int:
    """Where a chain of attributes, calls and indices ends."""
    at, depth, quote = start, 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"" and depth:
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            if not depth:
                break
            depth -= 1
        elif not depth and not (char.isalnum() or char in "_."):
            break
        at += 1
    return at


def calls(text: str) -> Iterator[str]:
    """The expressions in a message that mention the object; those inside of others left out."""
    past = 0
    for found in _BEGIN.finditer(text):
        if found.start() < past:
            continue
        call = text[found.start() : _end(text, found.start())].rstrip(".")
        tree = ast.parse(call, mode="eval")
        if call != "x" and any(isinstance(node, ast.Name) and node.id == "x" for node in ast.walk(tree)):
            past = found.start() + len(call)
            yield call


def run(call: str, x: Any) -> Any:
    """What a call gives."""
    names: dict[str, Any] = {"x": x, "interop": interop}
    for name in _ROOTS[2:]:
        if name in call:
            names[name] = importlib.import_module(name)
    for name in _SUBMODULES:
        if name in call and name.partition(".")[0] in sys.modules:
            importlib.import_module(name)
    return eval(call, names)


def follow(x: Any, to: str, options: Mapping[str, Any], error: interop.InteropError | None = None) -> int:
    """Follow each call that the refusal of an object names, until the object is there; how many there are."""
    if error is None:
        error = interop.explain(x, to, **options).error
    assert error is not None, "it isn't refused"
    count = 0
    for call in calls(str(error)):
        count += 1
        try:
            made = run(call, x)
        except Exception as err:
            raise AssertionError(f"{call} fails with {type(err).__name__}: {err}\nadvised by: {error}") from err
        if call.startswith("interop."):
            continue
        after = interop.explain(made, to, **options).error
        if after is None:
            interop.convert(made, to, **options)
            continue
        assert ORDER.index(type(after)) > ORDER.index(type(error)), f"{call} is refused: {after}\nadvised by: {error}"
        follow(made, to, options, after)
    return count
