"""Threads that convert everything at once while others pull at what they hold: ``python tests/stress.py NAME [TIMES]``.

The interpreter switches between them as often as it can. Every result is one of the values that an oracle knows, and
the same in all of its elements where it must be, or an error of the library. How long it takes is a number of calls,
multiplied by TIMES, and no time. ``test_stress.py`` runs each in a process of its own.
"""

from __future__ import annotations

import array as arrays
import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import ml_dtypes
import numpy as np
import torch

import interop
from interop._native import forget_recipes
from interop.protocols import HostAdapter

WORKERS = 4
CALLS = 1500

Call = Callable[[Any, dict[str, Any]], Any]
Values = list[Any]


def plain(x: Any) -> Values:
    """What a result holds, by its own framework; complex numbers and booleans as what they equal."""
    if isinstance(x, torch.Tensor):
        return list(x.detach().to(torch.complex128).resolve_conj().flatten().tolist())
    return list(np.asarray(x).astype(np.complex128).ravel().tolist())


@dataclass
class Source:
    """What is converted: an object that all threads share, or what makes one for each call; and its values."""

    name: str
    make: Callable[[], Any]
    values: Values


def _shared(name: str, x: Any, values: Any) -> Source:
    return Source(name, lambda: x, [complex(value) for value in values])


def sources() -> list[Source]:
    six = [0, 1, 2, 3, 4, 5]
    a, t = np.arange(6.0).reshape(2, 3), torch.arange(6, dtype=torch.float32).reshape(2, 3)
    readonly = np.arange(6)
    readonly.flags.writeable = False
    held = np.arange(6, dtype="f4")
    described = type("Described", (), {"__array_interface__": held.__array_interface__, "held": held})
    return [
        _shared("numpy", a, six),
        _shared("numpy, transposed", a.T, [0, 3, 1, 4, 2, 5]),
        _shared("numpy, reversed", a.ravel()[::-1], six[::-1]),
        _shared("numpy, readonly", readonly, six),
        _shared("numpy, big-endian", np.arange(6, dtype=">f4"), six),
        _shared("numpy bfloat16", np.arange(6).astype(ml_dtypes.bfloat16), six),
        _shared("numpy scalar", np.float32(3), [3]),
        _shared("torch", t, six),
        _shared("torch, transposed", t.T, [0, 3, 1, 4, 2, 5]),
        _shared("torch bfloat16", t.bfloat16(), six),
        _shared("torch int64", t.long(), six),
        _shared("torch, conjugate", torch.complex(t, t).conj(), [n - n * 1j for n in six]),
        _shared("torch, negative", torch._neg_view(t), [-n for n in six]),
        _shared("torch, with a graph", torch.arange(6.0, requires_grad=True), six),
        _shared("torch, expanded", torch.full((1,), 2.0).expand(4), [2] * 4),
        _shared("view", interop.view(a), six),
        _shared("bytes", bytes(six), six),
        _shared("array", arrays.array("h", six), six),
        _shared("interface", described(), six),
        Source("capsule", lambda: interop.view(a).__dlpack__(max_version=(1, 3)), [complex(n) for n in six]),
        Source("fresh torch", t.clone, [complex(n) for n in six]),
        Source("fresh view", lambda: interop.view(t), [complex(n) for n in six]),
        Source("fresh numpy", a.copy, [complex(n) for n in six]),
    ]


def _copied(x: Any, options: dict[str, Any]) -> Any:
    into = np.full(getattr(x, "shape", None) or np.asarray(x).shape, -7, np.complex128)
    interop.copyto(into, x if not options.get("detach") else interop.to_torch(x, detach=True))
    return into


def _explained(x: Any, options: dict[str, Any]) -> None:
    assert str(interop.explain(x, "torch", **options))


def _by_numpy(x: Any, _: dict[str, Any]) -> Any:
    view = interop.view(x)
    # It has no code for the small floats, and says so in a RuntimeError.
    return np.from_dlpack(view) if view.dtype.name != "bfloat16" else None


def _asked(x: Any, _: dict[str, Any]) -> None:
    assert interop.framework(x)
    assert str(interop.device(x)) == "cpu"
    assert interop.dtype(x).itemsize
    interop.shares_memory(x, x)


#: What is done with a source; what it returns has the source's values, and None is no result.
CALLS_OF_ALL_KINDS: dict[str, Call] = {
    "to_numpy": lambda x, o: interop.to_numpy(x, **o),
    "to_torch": lambda x, o: interop.to_torch(x, **o),
    "convert": lambda x, o: interop.convert(x, "torch", **o),
    "convert by module": lambda x, o: interop.convert(x, np, **o),
    "there and back": lambda x, o: interop.to_torch(interop.to_numpy(x, **o), writable=False),
    "convert_like": lambda x, o: interop.convert_like(x, torch.zeros(1), **o),
    "view": lambda x, _: interop.to_numpy(interop.view(x)),
    "numpy's from_dlpack": _by_numpy,
    "copyto": _copied,
    "explain": _explained,
    "facts": _asked,
}

OPTIONS: dict[str, tuple[Any, ...]] = {
    "copy": (True, False, None),
    "dtype": ("float64", "float32", "int64", "complex64", torch.bfloat16, np.dtype("i2")),
    "order": ("C", "F"),
    "writable": (True, False),
    "detach": (True, False),
    "device": ("cpu", torch.device("cpu"), "cuda"),
    "stream": (None, -1),
}


def some_options(random: Random) -> dict[str, Any]:
    names = random.sample(list(OPTIONS), random.choices((0, 1, 2, 3), (4, 4, 2, 1))[0])
    return {name: random.choice(OPTIONS[name]) for name in names}


@dataclass
class Tally:
    """What came of the calls: how often each kind gave values, and how often an error."""

    right: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def try_it(self, source: Source, kind: str, options: dict[str, Any], call: Callable[[], Any]) -> None:
        """Make a call, and look at what it gave.

        Raises
        ------
        AssertionError
            Where that isn't what the oracle says.
        """
        try:
            result = call()
        except interop.InteropError:
            self.refused[kind] += 1
            return
        if result is not None:
            found = plain(result)
            # An order of "F" is another layout of the same elements; a capsule and a scalar have no shape to keep.
            assert found == source.values, f"{kind} of {source.name} with {options}: {found}"
        self.right[kind] += 1


def together(work: Callable[[int], object], *meanwhile: Callable[[], object]) -> None:
    """Work on several threads, and do the rest again and again meanwhile; raise what one of them raised."""
    start = threading.Barrier(WORKERS + len(meanwhile))
    raised: list[BaseException] = []
    working = [True] * WORKERS

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            raised.append(error)
        finally:
            working[number] = False

    def repeat(each: Callable[[], object]) -> None:
        start.wait()
        try:
            while any(working):
                each()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WORKERS)]
    threads += [threading.Thread(target=repeat, args=(each,)) for each in meanwhile]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


# What the other threads do meanwhile.


class Column:
    """An array of one's own."""

    def __init__(self, cells: Any) -> None:
        self.cells = cells


class Columns(HostAdapter):
    """Its adapter, which is registered again and again: each time every cache is emptied."""

    name = "columns"
    types = (Column,)

    def to_numpy(self, x: Column, /) -> Any:
        return x.cells

    def from_numpy(self, array: Any, /) -> Column:
        return Column(array)


def register() -> None:
    interop.register(Columns())
    forget_recipes()
    assert interop.to_numpy(interop.convert(np.arange(3.0), "columns")).tolist() == [0, 1, 2]


# The stresses.


def everything(times: int) -> None:
    """All kinds of calls of all kinds of objects with all options."""
    shared, tally = sources(), Tally()
    before = [sys.getrefcount(source.make()) for source in shared]

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(CALLS * times):
            source, (kind, call) = random.choice(shared), random.choice(list(CALLS_OF_ALL_KINDS.items()))
            options = some_options(random)
            tally.try_it(source, kind, options, lambda: call(source.make(), options))  # noqa: B023 - called at once

    together(work, register, gc.collect)
    assert tally.right.keys() == CALLS_OF_ALL_KINDS.keys(), (
        f"never went well: {CALLS_OF_ALL_KINDS.keys() - tally.right}"
    )
    assert tally.refused, "no option was refused"
    gc.collect()
    assert [sys.getrefcount(source.make()) for source in shared] == before, "references were kept, or let go"
    for source in shared:
        assert plain(interop.to_numpy(source.make(), detach=True)) == source.values, f"{source.name} was changed"


#: The known values of tensors whose memory is replaced meanwhile; all elements have one of them.
KNOWN = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
LENGTH = 3000


def _one_value(name: str, result: Any) -> None:
    values = np.real(np.asarray(result))
    assert values.shape == (LENGTH,), f"{name}: {values.shape}"
    low, high = float(values.min()), float(values.max())
    assert low == high, f"{name}: a mixture, from {low} to {high}"
    assert low in KNOWN, f"{name}: the memory is gone, and has {low} now"


def _while_replaced(
    calls: dict[str, Callable[[Any], Any]], replace: Callable[[Any, float], None], calls_each: int, times: int
) -> None:
    """Make calls of a tensor that another thread gives other memory, and look at each result some calls later."""
    t, done = torch.full((LENGTH,), 1.0), Counter[str]()
    interop.to_numpy(t)

    def work(seed: int) -> None:
        random = Random(seed)
        kept: list[tuple[str, Any]] = []
        for _ in range(calls_each * times):
            name = random.choice(list(calls))
            try:
                kept.append((name, calls[name](t)))
            except interop.InteropError:
                continue
            done[name] += 1
            if len(kept) > 3:
                _one_value(*kept.pop(0))

    def change() -> None:
        for value in KNOWN:
            replace(t, value)

    together(work, change, gc.collect)
    assert done.keys() == calls.keys(), f"never went well: {calls.keys() - done.keys()}"


def replaced(times: int) -> None:
    """Views of a tensor whose memory is replaced: each keeps what it saw."""
    calls: dict[str, Callable[[Any], Any]] = {
        "view": interop.view,
        "to_numpy": interop.to_numpy,
        "writable=False": lambda t: interop.to_numpy(t, writable=False),
        "detach=True": lambda t: interop.to_numpy(t, detach=True),
        "device": lambda t: interop.to_numpy(t, device="cpu"),
        "convert_like": lambda t: interop.convert_like(t, np.zeros(1)),
        "view of a view": lambda t: interop.view(interop.view(t)),
    }

    def replace(t: Any, value: float) -> None:
        # What was there is freed, and soon is another's.
        t.data = torch.full((LENGTH,), value)
        torch.full((LENGTH,), -9.0)

    # One in some thousands met with a change between its parts, when there was such a thing.
    _while_replaced(calls, replace, 20 * CALLS, times)


def replaced_among_kept(times: int) -> None:
    """Copies of a tensor whose memory is replaced; what is replaced stays, for torch's own copies let others run."""
    memories = {value: torch.full((LENGTH,), value) for value in KNOWN}
    calls: dict[str, Callable[[Any], Any]] = {
        "copy": lambda t: interop.to_numpy(t, copy=True),
        "copy in torch": lambda t: interop.to_torch(t, copy=True),
        "cast": lambda t: interop.to_numpy(t, dtype="float64"),
        "cast in torch": lambda t: interop.to_torch(t, dtype=torch.float64),
        "order": lambda t: interop.to_numpy(t, order="F"),
        "copyto": lambda t: _copied(t, {}),
    }

    def replace(t: Any, value: float) -> None:
        if value % 2:
            t.data = memories[value]
        else:
            t.set_(memories[value])

    _while_replaced(calls, replace, 5 * CALLS, times)


STRESSES: dict[str, Callable[[int], None]] = {
    each.__name__: each for each in (everything, replaced, replaced_among_kept)
}


def main(name: str, times: str = "1") -> None:
    """Run one, with threads that are switched as often as it goes."""
    # What there is now isn't looked at by each collection.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(1e-6)
    STRESSES[name](int(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
