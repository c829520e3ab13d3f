"""What a framework makes on memory that can be closed holds it open, whichever way it came there."""

from __future__ import annotations

import gc
import mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from frameworks.table import FRAMEWORKS

import interop

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = [(16,), (4, 4)]
TARGETS = [name for name, framework in FRAMEWORKS.items() if not framework.source_only and name != "numpy"]
OPTIONS: list[dict[str, Any]] = [{}, {"copy": False}, {"writable": False}, {"copy": False, "writable": False}]


def held(result: Any, memory: mmap.mmap, read: Any, shape: tuple[int, ...]) -> None:
    """Check that a result keeps a map open for as long as it lives, and no longer."""
    with pytest.raises(BufferError):
        memory.close()
    assert read(result).ravel().tolist() == [7.0] * 16
    assert read(result).shape == shape
    del result
    gc.collect()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_made_on_a_map_holds_it(target: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    x = np.ndarray(shape, "f4", buffer=memory)
    x[:] = 7
    plan = interop.explain(x, target, **options)
    if plan.error is not None:
        # mlx copies whatever comes in.
        assert options.get("copy") is False
        return
    result = interop.convert(x, target, **options)
    del x
    if plan.zero_copy:
        held(result, memory, FRAMEWORKS[target].read, shape)
    del result
    gc.collect()
    memory.close()


#: The library, how it wraps an array without a copy, and how its memory may go to torch.
WRAPPED: Final[dict[str, tuple[str, Callable[[Any, Any], Any], dict[str, Any]]]] = {
    "a Series": ("pandas", lambda pd, x: pd.Series(x, copy=False), {"writable": False}),
    "an Index": ("pandas", lambda pd, x: pd.Index(x, copy=False), {"writable": False}),
    "a DataArray": ("xarray", lambda xr, x: xr.DataArray(x), {}),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_a_wrapper_holds(name: str) -> None:
    module, wrap, options = WRAPPED[name]
    library: Any = pytest.importorskip(module)
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    x = np.ndarray((16,), "f4", buffer=memory)
    x[:] = 7
    for call in (interop.to_numpy, interop.view, lambda s: interop.to_torch(s, **options)):
        result = call(wrap(library, x))
        assert interop.shares_memory(result, x)
        held(result, memory, interop.to_numpy, (16,))
        del result
    del x
    gc.collect()
    memory.close()
