"""Many threads on the same objects at once: every result is right, and nothing is kept or let go once too often.

Without the GIL they run beside each other; with it they are switched as often as it goes.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import interop

THREADS = 8
ROUNDS = 150


@pytest.fixture(autouse=True)
def _switched_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(*works: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Run the works on threads of their own, which start at once, and raise what one of them raised."""
    start = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        start.wait()
        try:
            for _ in range(rounds):
                works[number % len(works)]()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@dataclass
class Shared:
    """What all threads have in their hands."""

    a: Any = field(default_factory=lambda: np.arange(6.0).reshape(2, 3))
    t: Any = field(default_factory=lambda: torch.arange(6.0, dtype=torch.float64).reshape(2, 3))

    view: Any = None

    def __post_init__(self) -> None:
        self.view = interop.view(self.a)

    def is_right(self, result: Any) -> None:
        assert result.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def view_again(shared: Shared) -> None:
    shared.is_right(interop.to_numpy(interop.view(shared.view)))


def explain(shared: Shared) -> None:
    assert str(interop.explain(shared.a[::-1], "torch")).startswith("numpy -> torch: 48 bytes copied")


def refuse(shared: Shared) -> None:
    with pytest.raises(interop.CopyError):
        interop.to_torch(shared.a, dtype="float32", copy=False)


CALLS: dict[str, Callable[[Shared], object]] = {
    "to_numpy": lambda s: s.is_right(interop.to_numpy(s.t)),
    "to_torch": lambda s: s.is_right(interop.to_torch(s.a)),
    "view of torch": lambda s: s.is_right(interop.to_numpy(interop.view(s.t))),
    "view of a view": view_again,
    "np.from_dlpack": lambda s: s.is_right(np.from_dlpack(s.view)),
    "torch.from_dlpack": lambda s: s.is_right(from_dlpack(s.view)),
    "array interface": lambda s: s.is_right(np.asarray(s.view)),
    "capsule": lambda s: s.is_right(interop.to_numpy(s.view.__dlpack__(max_version=(1, 0)))),
    "options": lambda s: s.is_right(interop.to_torch(s.a, copy=True, order="F", dtype="float32")),
    "explain": explain,
    "refusal": refuse,
    "facts": lambda s: (
        interop.framework(s.t),
        interop.device(s.t),
        interop.dtype(s.t),
        interop.shares_memory(s.a, s.t),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_call_on_many_threads(name: str) -> None:
    shared, call = Shared(), CALLS[name]
    call(shared)
    gc.collect()
    before = [sys.getrefcount(each) for each in (shared.a, shared.t, shared.view)]
    together(partial(call, shared))
    gc.collect()
    assert [sys.getrefcount(each) for each in (shared.a, shared.t, shared.view)] == before
    shared.is_right(shared.a)
    shared.is_right(shared.t)


def test_all_calls_at_once() -> None:
    shared = Shared()
    together(*(partial(call, shared) for call in CALLS.values()))


def test_types_that_all_threads_see_for_the_first_time() -> None:
    # A type is looked up once and kept: here many threads find none, and each keeps what it has found.
    shared = Shared()

    class Named:
        def __init__(self, a: Any) -> None:
            self.a = a

        @property
        def __array_interface__(self) -> Any:
            return self.a.__array_interface__

    def convert(kind: type, call: Callable[[Any], Any]) -> None:
        shared.is_right(call(kind(shared.a)))

    for number in range(40):
        kind = type(f"Named{number}", (Named,), {})
        together(*(partial(convert, kind, call) for call in (interop.to_numpy, interop.to_torch)), rounds=2)


@pytest.mark.parametrize("consume", [np.from_dlpack, from_dlpack, lambda v: v.__dlpack__(max_version=(1, 0))])
def test_exports_that_all_threads_make_and_drop(consume: Callable[[Any], Any]) -> None:
    a = np.arange(6.0)
    gone = weakref.ref(a)
    held, exports = [interop.view(a)], list[Any]()
    del a
    together(lambda: exports.append(consume(held[0])))
    assert len(exports) == THREADS * ROUNDS
    held.clear()
    assert gone() is not None
    together(exports.pop)
    gc.collect()
    assert gone() is None


def test_threads_that_convert_while_others_list_what_there_is() -> None:
    shared = Shared()
    works = [partial(CALLS[name], shared) for name in ("to_numpy", "to_torch", "view of torch", "options")]
    together(*works, interop.adapters, rounds=40)
