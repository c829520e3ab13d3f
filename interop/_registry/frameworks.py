"""The frameworks that have an adapter: one table, of the built-in ones and of those that installed packages offer."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final

from interop._registry import plugins


@dataclass(frozen=True, slots=True)
class Row:
    """One framework that has an adapter.

    Attributes
    ----------
    name
        As `to` takes it.
    module
        Whose presence loads the adapter.
    adapter
        Where the adapter is.
    install
        What installs the framework.
    instead
        For a framework that is a source only: what to call where it was named as a target.
    types_in
        The package that its array types say they are from, where that isn't the module's own.
    known_as
        What else people call it, or import it as: suggested where it was named so.
    stack
        What makes one array of a sequence of its arrays.
    entry
        For one that an installed package offers: what it says of it.
    """

    name: str
    module: str
    adapter: str
    install: str
    instead: str = ""
    types_in: str = ""
    known_as: tuple[str, ...] = ()
    stack: str = ""
    entry: plugins.Entry | None = None


#: The built-in adapters. A new source is one file in ``_adapters`` and one row here; a new target has a door of its own
#: in :mod:`interop._to` besides, and its type among the overloads of ``convert``.
ROWS: Final = (
    Row("numpy", "numpy", "interop._adapters._numpy:adapter", "numpy", stack="numpy.stack", known_as=("np",)),
    Row("torch", "torch", "interop._adapters._torch:adapter", "torch", stack="torch.stack", known_as=("pytorch", "pt")),
    Row("cupy", "cupy", "interop._adapters._cupy:adapter", "cupy-cuda13x", stack="cupy.stack", known_as=("cp",)),
    Row(
        "jax",
        "jax",
        "interop._adapters._jax:adapter",
        "jax",
        types_in="jaxlib",
        stack="jax.numpy.stack",
        known_as=("jnp",),
    ),
    Row(
        "tensorflow",
        "tensorflow",
        "interop._adapters._tensorflow:adapter",
        "tensorflow",
        stack="tensorflow.stack",
        known_as=("tf",),
    ),
    Row("mlx", "mlx", "interop._adapters._mlx:adapter", "mlx", stack="mlx.core.stack", known_as=("mx",)),
    Row(
        "paddle",
        "paddle",
        "interop._adapters._paddle:adapter",
        "paddlepaddle",
        stack="paddle.stack",
        known_as=("paddlepaddle", "pp"),
    ),
    Row("pyarrow", "pyarrow", "interop._adapters._pyarrow:adapter", "pyarrow", known_as=("pa", "arrow")),
    Row("tvm_ffi", "tvm_ffi", "interop._adapters._tvm_ffi:adapter", "apache-tvm-ffi", known_as=("tvm",)),
    Row("warp", "warp", "interop._adapters._warp:adapter", "warp-lang", known_as=("wp",)),
    Row(
        "array_api_strict",
        "array_api_strict",
        "interop._adapters._array_api_strict:adapter",
        "array-api-strict",
        known_as=("xp",),
    ),
    Row("dpnp", "dpnp", "interop._adapters._dpnp:adapter", "dpnp intel-opencl-rt", stack="dpnp.stack"),
    Row(
        "pandas",
        "pandas",
        "interop._adapters._pandas:adapter",
        "pandas",
        "pandas.Series(interop.to_numpy(x))",
        known_as=("pd",),
    ),
    Row(
        "polars",
        "polars",
        "interop._adapters._polars:adapter",
        "polars",
        "polars.Series(interop.to_numpy(x))",
        known_as=("pl",),
    ),
    Row(
        "xarray",
        "xarray",
        "interop._adapters._xarray:adapter",
        "xarray",
        "xarray.DataArray(interop.to_numpy(x))",
        known_as=("xr",),
    ),
    Row(
        "scipy",
        "scipy.sparse",
        "interop._adapters._scipy:adapter",
        "scipy",
        "scipy.sparse.csr_array(interop.to_numpy(x))",
        known_as=("sp",),
    ),
    Row(
        "PIL",
        "PIL.Image",
        "interop._adapters._pillow:adapter",
        "pillow",
        "PIL.Image.fromarray(interop.to_numpy(x))",
        known_as=("pillow", "pil"),
    ),
)

#: Those that can be a target, each of which has a door of its own.
TARGETS: Final = frozenset(row.name for row in ROWS if not row.instead)


@cache
def rows() -> dict[str, Row]:
    """Every row by its name: the built-in ones, and what installed packages offer."""
    found = {row.name: row for row in ROWS}
    for name, entry in plugins.usable_entries(found).items():
        found[name] = Row(name, name, entry.value, entry.package, entry=entry)
    return found


def row_of(name: str) -> Row | None:
    """The row of a framework, built-in or offered by a package; None of what was registered by hand."""
    return rows().get(name)


def row_of_types(package: str) -> Row | None:
    """The row of the framework whose array types say that they are from a package."""
    return next((row for row in ROWS if package in (row.types_in or row.module.partition(".")[0], row.name)), None)


def known_as(name: str) -> Row | None:
    """The row of the framework that people call so, or import so."""
    return next((row for row in ROWS if name.lower() in (row.name.lower(), *row.known_as)), None)


def is_installed(module: str) -> bool:
    """Whether a module can be imported, as far as that is known without importing anything."""
    if module in sys.modules:
        return True
    try:
        # Of the package: to find a module in it, the package would be imported.
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):  # a parent package that is absent or broken
        return False
