"""Hands on each framework that are not this library's: how its arrays are made, read and written by other means.

What is measured may not be measured by itself. Arrays are made by the frameworks' own functions or from a capsule of
ctypes, read by the framework's own words and by their raw memory, and written as their users would.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from interop.cli._matrix.hands._base import Hands, Impossible, Memory, Read

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ROWS", "Hands", "Impossible", "Memory", "Read", "Row", "hands_of", "hands_of_pair", "installed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of array: its name in the matrix, its class of hands, what has to be installed, and its distribution.

    A kind that is no target is another form of one that is. Some libraries load in one order only: by `turn`.
    """

    name: str
    hands: str
    needs: str
    distribution: str
    is_target: bool = True
    turn: int = 1


#: The kinds of arrays, in the order of tables. A new one is one class of hands and one row here.
ROWS: Final = {
    row.name: row
    for row in (
        Row("numpy", "_numpy:Numpy", "numpy", "numpy"),
        Row("torch", "_torch:Torch", "torch", "torch"),
        Row("jax", "_jax:Jax", "jax", "jaxlib"),
        # paddle ends the process (SIGSEGV) when it is imported after tensorflow.
        Row("tensorflow", "_tensorflow:Tensorflow", "tensorflow", "tensorflow", turn=2),
        Row("paddle", "_paddle:Paddle", "paddle", "paddlepaddle"),
        Row("mlx", "_mlx:Mlx", "mlx", "mlx"),
        Row("pyarrow", "_arrow:ArrowArray", "pyarrow", "pyarrow"),
        Row("pyarrow.Tensor", "_arrow:ArrowTensor", "pyarrow", "pyarrow", is_target=False),
        Row("tvm_ffi", "_small:Tvm", "tvm_ffi", "apache-tvm-ffi"),
        Row("warp", "_small:Warp", "warp", "warp-lang"),
        # After paddle, MKL finds paddle's older TBB in place of its own: undefined symbol in libmkl_tbb_thread.so.
        Row("dpnp", "_dpnp:Dpnp", "dpnp", "dpnp", turn=0),
        Row("array_api_strict", "_small:Strict", "array_api_strict", "array-api-strict"),
    )
}


def hands_of_pair(source: str, target: str) -> tuple[Hands, Hands]:
    """Import both sides in an order in which they load; the same hands twice where source and target are one.

    Raises
    ------
    ImportError
        If one of them isn't installed, or doesn't work here.
    """
    order = sorted(dict.fromkeys((source, target)), key=lambda name: ROWS[name].turn)
    made = {name: hands_of(name) for name in order}
    return made[source], made[target]


def hands_of(name: str) -> Hands:
    """Import what is needed and return the hands on one kind of array.

    Raises
    ------
    ImportError
        If the framework isn't installed, or doesn't work here.
    """
    module, _, attribute = ROWS[name].hands.partition(":")
    made: Hands = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)()
    made.name = name
    return made


def installed(names: Iterable[str] = ROWS) -> list[str]:
    """Names of the kinds whose framework is installed; nothing is imported to find out."""
    # A folder without a distribution is what an uninstalled one left behind.
    return [name for name in names if importlib.util.find_spec(ROWS[name].needs) is not None and version(name)]


def version(name: str) -> str:
    """The version of a kind's distribution, which may be a CPU build; empty where there is none."""
    row = ROWS[name]
    for distribution in (row.distribution, f"{row.distribution}-cpu", row.needs):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
