"""What the code in the tables of rows may name, and where each name comes from.

Nothing is imported before a row that names it runs: a package that isn't there costs its rows, and those say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import CodeType
from typing import Any, Final


class MissingPackageError(Exception):
    """A row names a package that can't be imported here."""


@dataclass(frozen=True)
class Origin:
    """Where a name comes from.

    Attributes
    ----------
    module
        To import.
    attribute
        Of the module; empty for the module itself.
    distribution
        To install, where it isn't named as the module is.
    """

    module: str
    attribute: str = ""
    distribution: str = ""

    @property
    def package(self) -> str:
        """What to install."""
        return self.distribution or self.module.partition(".")[0]


def _interop(*attributes: str) -> dict[str, Origin]:
    return {attribute: Origin("interop", attribute) for attribute in attributes}


NAMES: Final[dict[str, Origin]] = {
    "np": Origin("numpy"),
    "torch": Origin("torch"),
    "cupy": Origin("cupy", distribution="cupy-cuda13x"),
    "bfloat16": Origin("ml_dtypes", "bfloat16", "ml-dtypes"),
    "float8_e4m3fn": Origin("ml_dtypes", "float8_e4m3fn", "ml-dtypes"),
    "jax": Origin("jax"),
    "mx": Origin("mlx.core"),
    "paddle": Origin("paddle", distribution="paddlepaddle"),
    "tf": Origin("tensorflow", distribution="tensorflow-cpu"),
    "tvm_ffi": Origin("tvm_ffi", distribution="apache-tvm-ffi"),
    "pa": Origin("pyarrow"),
    "pd": Origin("pandas"),
    "pl": Origin("polars"),
    "wp": Origin("warp", distribution="warp-lang"),
    "xps": Origin("array_api_strict", distribution="array-api-strict"),
    "xr": Origin("xarray"),
    "Image": Origin("PIL.Image", distribution="pillow"),
    "dpnp": Origin("dpnp"),
    "StridedMemoryView": Origin("cuda.core.utils", "StridedMemoryView", "cuda-core"),
    "convert_memory": Origin("arraybridge", "convert_memory"),
    "HOST": Origin("arraybridge", "HOST"),
    "frozen": Origin("benchmarks.sources", "frozen"),
    "swapped": Origin("benchmarks.sources", "swapped"),
    "a_tensor": Origin("benchmarks.tensors", "a_tensor"),
    "an_array": Origin("benchmarks.sources", "an_array"),
    "read": Origin("benchmarks.sources", "read"),
    "aligned": Origin("benchmarks.sources", "aligned"),
    "add": Origin("benchmarks.sources", "add"),
    "added": Origin("benchmarks.sources", "added"),
    "negated": Origin("benchmarks.sources", "negated"),
    "tensors": Origin("benchmarks.sources", "tensors"),
    "locked_tensors": Origin("benchmarks.sources", "locked_tensors"),
    **_interop("convert", "convert_like", "convert_tree", "copyto", "explain", "framework", "view"),
    "a_file": Origin("benchmarks.sources", "a_file"),
    "a_segment": Origin("benchmarks.sources", "a_segment"),
    "their_attach": Origin("benchmarks.sources", "their_attach"),
    "there_and_back": Origin("benchmarks.sources", "there_and_back"),
    "pickle": Origin("pickle"),
    "dumps": Origin("interop.integrations.pickle", "dumps"),
    "attach": Origin("interop.integrations.shared_memory", "attach"),
    "load_file": Origin("interop.integrations.safetensors", "load_file"),
    "their_load_file": Origin("safetensors.torch", "load_file"),
    **_interop("to_cupy", "to_jax", "to_mlx", "to_numpy", "to_paddle", "to_tensorflow", "to_torch"),
    **_interop("to_array_api_strict", "to_dpnp", "to_pyarrow", "to_tvm_ffi", "to_warp"),
}


def names_in(code: str) -> frozenset[str]:
    """Which names of the table some code uses."""
    return frozenset(_names_of(compile(code, "<row>", "eval"))) & NAMES.keys()


def _names_of(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*(_names_of(const) for const in inner))


def resolve(*codes: str) -> dict[str, Any]:
    """Import what pieces of code name.

    Raises
    ------
    MissingPackageError
        Naming the package.
    """
    return {name: _load(NAMES[name]) for code in codes for name in names_in(code)}


@cache
def _load(origin: Origin) -> Any:
    try:
        module = import_module(origin.module)
    except ImportError as err:
        raise MissingPackageError(origin.package) from err
    return getattr(module, origin.attribute) if origin.attribute else module
