"""Objects that raise, lie or answer to everything, where every framework that was asked for is loaded and asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frameworks.table import FRAMEWORKS
from test_hostile import HOSTILE, ask_everything, outcome

import interop

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS = [name for name in FRAMEWORKS if not FRAMEWORKS[name].source_only]


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_passed_ends_in_a_result_or_in_our_error(name: str) -> None:
    ask_everything(name)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("option", [None, "device", "dtype", "order", "copy", "writable", "detach", "stream"])
def test_every_target_ends_in_a_result_or_in_our_error(to: str, option: str | None) -> None:
    for make in HOSTILE.values():
        if option is None:
            outcome(lambda x: interop.convert(x, to), make())
        else:
            outcome(lambda x: interop.convert(np.ones(2, "f4"), to, **{option: x}), make())


@pytest.mark.skipif("mlx" not in FRAMEWORKS, reason="this run was not asked to test mlx")
def test_a_lazy_array_of_another_thread_is_told_where_to_evaluate_it() -> None:
    import mlx.core as mx

    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.extend(mx.arange(3) + 1 for _ in range(2)))
    thread.start()
    thread.join()
    lazy = made[0]
    calls: tuple[Callable[[Any], Any], ...] = (
        *(interop.to_numpy, interop.to_torch, interop.view, lambda x: interop.shares_memory(x, np.ones(1))),
        *(lambda x: interop.copyto(np.zeros(3), x), lambda x: interop.copyto(x, np.zeros(3))),
    )
    for call in calls:
        with pytest.raises(interop.UnsupportedError, match=r"Call mlx\.core\.eval\(x\) in the thread that made it"):
            call(lazy)
    # What needs no value works.
    assert interop.dtype(lazy) == "int32"
    assert interop.to_mlx(lazy) is lazy
    assert interop.explain(lazy, "numpy").ok
