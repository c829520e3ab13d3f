"""What other frameworks make of a torch tensor: locked is what they lie on, and refused what isn't there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from frameworks.table import FRAMEWORKS

import interop

TARGETS: Final = [name for name, row in FRAMEWORKS.items() if name != "torch" and not row.source_only]

OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "copy=True": {"copy": True},
    "copy=False": {"copy": False},
    "writable=False": {"writable": False},
    "a cast": {"dtype": "float32"},
    "order": {"order": "C"},
}

TENSORS: Final[dict[str, Callable[[], Any]]] = {
    "plain": lambda: torch.arange(6, dtype=torch.int32).reshape(2, 3),
    "one axis": lambda: torch.arange(6, dtype=torch.int32),
    "transposed": lambda: torch.arange(6, dtype=torch.int32).reshape(2, 3).T,
    "with gaps": lambda: torch.arange(12, dtype=torch.int32)[::2],
    "large": lambda: torch.arange(300_000, dtype=torch.int32),
    "large, with gaps": lambda: torch.arange(600_000, dtype=torch.int32).reshape(600, 1000)[:, ::2],
    "booleans": lambda: torch.arange(6) % 2 == 0,
    "bfloat16": lambda: torch.arange(6).to(torch.bfloat16),
}


@pytest.mark.parametrize("what", TENSORS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("to", TARGETS)
def test_a_storage_is_locked_where_a_result_lies_on_it(to: str, options: str, what: str) -> None:
    t = TENSORS[what]()
    wanted = t.clone()
    shares = False
    try:
        result = interop.convert(t, to, **OPTIONS[options])
    except interop.InteropError:
        pass
    else:
        shares = interop.shares_memory(result, t)
        assert interop.to_torch(result, copy=True, dtype=str(interop.DType(t.dtype))).equal(wanted)
    assert t.untyped_storage().resizable() != shares


def refused() -> Any:
    t = torch.zeros(4)
    t.numpy()
    with pytest.raises(RuntimeError, match="not resizable"):
        t.resize_(50_000_000)
    return t


def part(size: int) -> Any:
    t = torch.ones(1 << 20)
    kept = t[2:]
    t.untyped_storage().resize_(size)
    return kept


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("what", ["freed", "smaller", "refused"])
@pytest.mark.parametrize("to", [name for name in TARGETS if name != "numpy"])
def test_memory_that_isnt_there_is_refused(to: str, what: str, options: str) -> None:
    t = refused() if what == "refused" else part({"freed": 0, "smaller": 64}[what])
    before = t.untyped_storage().resizable()
    with pytest.raises(interop.UnsupportedError, match=r"storage was freed|beyond its storage"):
        interop.convert(t, to, **OPTIONS[options])
    assert t.untyped_storage().resizable() == before
