"""Attempts to make a conversion read memory that isn't there: ``python tests/attacks.py NAME``.

Each ends well where every call gave what an oracle says, or one of the library's errors. An attack that succeeds ends
its process, or reads what it shouldn't; so each has a process of its own, and ``make sanitize`` runs them with a core
that is compiled to notice. ``test_attacks.py`` runs them all.
"""

from __future__ import annotations

import array as arrays
import gc
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import product
from random import Random
from typing import Any

import numpy as np
import torch

import interop
from interop._native import forget_recipes, peek_capsule
from interop.testing.fakes import VersionedProducer

Attack = Callable[[], None]

#: The ways to the values of a tensor on the host, each with what reads its result.
WAYS: dict[str, Callable[[Any], Any]] = {
    "view": lambda x: read(interop.view(x)),
    "numpy": lambda x: read(interop.to_numpy(x)),
    "numpy, no writing": lambda x: read(interop.to_numpy(x, writable=False)),
    "numpy, detached": lambda x: read(interop.to_numpy(x, detach=True)),
    "numpy, a view": lambda x: read(interop.to_numpy(x, copy=False)),
    "numpy, a copy": lambda x: read(interop.to_numpy(x, copy=True)),
    "numpy, cast": lambda x: read(interop.to_numpy(x, dtype="float64")),
    "numpy, on the host": lambda x: read(interop.to_numpy(x, device="cpu")),
    "numpy, in Fortran order": lambda x: read(interop.to_numpy(x, order="F")),
    "torch, a copy": lambda x: read(interop.to_torch(x, copy=True)),
    "torch, cast": lambda x: read(interop.to_torch(x, dtype="float64")),
    "copyto": lambda x: read(written(x)),
}

#: The call without options goes through torch's own ``numpy()``, which believes a tensor's shape (docs/safety.md).
LOOKED_AT = [name for name in WAYS if name not in ("numpy", "numpy, a view")]


def read(x: Any) -> tuple[tuple[int, ...], list[float]]:
    """The shape and the values of a result, by its own framework; a View is one of numpy's by the buffer protocol."""
    if isinstance(x, torch.Tensor):
        x = x.detach().clone().tolist()
    x = np.array(x, dtype=np.float64)
    return x.shape, x.ravel().tolist()


def written(x: Any) -> np.ndarray[Any, Any]:
    into = np.zeros(tuple(x.shape))
    interop.copyto(into, x)
    return into


def need(fact: object, message: str) -> None:
    if not fact:
        sys.exit(message)


def is_refused(way: str, x: Any) -> bool:
    try:
        WAYS[way](x)
    except interop.InteropError:
        return True
    return False


def met() -> None:
    """Have every way in use, so that what comes next may be done by a recipe."""
    for way in WAYS.values():
        way(torch.ones(3))


# Memory that a tensor says and hasn't.


def null_slices() -> None:
    """A slice of NULL memory is at NULL plus its offset."""
    zero = torch._efficientzerotensor(64)
    met()
    slices = (
        zero,
        zero[2:],
        zero[8:].view(7, 8),
        zero.view(8, 8)[3],
        zero.expand(3, 64)[1:],
        zero[1:].view(torch.int32),
    )
    for x, way, _ in product(slices, WAYS, range(2)):
        with suppress(interop.InteropError):
            shape, values = WAYS[way](x)
            need(shape == x.shape and not any(values), f"{way} of a slice of a zero tensor gave {values}")


def fake_slices() -> None:
    """Fake tensors have no values, whatever slice of them."""
    from torch._subclasses import FakeTensorMode

    met()
    with FakeTensorMode():
        x = torch.ones(64)
        slices = (x, x[2:], x[8:].view(7, 8))
    for each, way, _ in product(slices, WAYS, range(2)):
        need(is_refused(way, each), f"{way} gave values of a fake tensor")


def freed_storages() -> None:
    """Sharded training frees a storage under its tensors (pytorch#171676)."""
    met()
    for way in WAYS:
        x = torch.ones(64)
        tensors = (x, x[2:], x.view(8, 8).T)
        x.untyped_storage().resize_(0)
        for each in tensors:
            need(is_refused(way, each) and is_refused(way, each), f"{way} gave values of a freed storage")


def shrunk_storages() -> None:
    """A storage that is smaller than its tensors say."""
    met()
    for way, size in product(LOOKED_AT, (4, 8, 255)):
        x = torch.ones(64)
        tensors = (x, x[2:], x.view(8, 8).T, x.as_strided((2,), (63,)))
        x.untyped_storage().resize_(size)
        for each in tensors:
            need(is_refused(way, each), f"{way} gave values beyond a storage of {size} bytes")


def refused_resizes() -> None:
    """A resize that is refused, since a View holds the storage, leaves the new shape (pytorch#170298)."""
    for way, call in WAYS.items():
        x = torch.ones(4)
        call(x)
        interop.to_numpy(x)
        with suppress(RuntimeError):
            x.resize_(100_000)
        need(x.numel() == 4 or is_refused(way, x), f"{way} gave {x.numel()} values of a storage of 16 bytes")


# Memory that changes while it is looked at.


@contextmanager
def collecting(change: Callable[[], None]) -> Generator[Callable[[int], None]]:
    """Call `change` whenever the garbage collector starts; yields what sets how soon it does."""

    def started(phase: str, _info: object) -> None:
        if phase == "start":
            change()

    gc.callbacks.append(started)
    try:
        yield lambda turn: gc.set_threshold(1 + turn % 60)
    finally:
        gc.set_threshold(700, 10, 10)
        gc.callbacks.remove(started)


def changed_in_mid_call() -> None:
    """A finalizer runs wherever an object is made: here it gives a tensor other memory, of another shape."""
    met()
    kinds: dict[tuple[int, ...], float] = {(5000,): 1.0, (100, 25): 2.0}

    def fresh(shape: tuple[int, ...]) -> Any:
        return torch.full(shape, kinds[shape])

    changes: dict[str, Callable[[Any, Any], Any]] = {
        "data": lambda t, other: setattr(t, "data", other),
        "set_": lambda t, other: t.set_(other),
    }
    for change, way in product(changes, WAYS):
        t = fresh((5000,))

        def turn_over(t: Any = t, change: str = change) -> None:
            other = (100, 25) if t.shape == (5000,) else (5000,)
            changes[change](t, fresh(other))

        with collecting(turn_over) as soon:
            for turn in range(60):
                soon(turn)
                try:
                    shape, values = WAYS[way](t)
                except interop.InteropError:
                    continue
                finally:
                    gc.set_threshold(0)
                rubbish = [torch.full((5000,), 9.0) for _ in range(3)]
                need(
                    set(values) == {kinds.get(shape)},
                    f"{way} of a tensor changed by {change} gave {shape}, {set(values)}",
                )
                del rubbish


def changed_in_mid_call_and_kept() -> None:
    """The same, and the result is read when what it was made of is gone."""
    met()
    makers: tuple[Callable[[Any], Any], ...] = (
        interop.view,
        interop.to_numpy,
        lambda t: interop.to_numpy(t, writable=False),
        lambda t: interop.to_numpy(t, detach=True),
        lambda t: interop.to_numpy(interop.view(t), copy=False),
    )
    for make in makers:
        t = torch.full((5000,), 1.0)

        def turn_over(t: Any = t) -> None:
            t.data = torch.full((5000,), 3.0 - float(t[0]))

        with collecting(turn_over) as soon:
            for turn in range(120):
                soon(turn)
                try:
                    result = make(t)
                except interop.InteropError:
                    continue
                finally:
                    gc.set_threshold(0)
                t.data = torch.full((5000,), 1.0)
                rubbish = [torch.full((5000,), 9.0) for _ in range(3)]
                _, values = read(result)
                need(set(values) in ({1.0}, {2.0}), f"a result was on memory that has gone: {set(values)}")
                del rubbish, result


class Reentering:
    """An ``__array_interface__`` that does something before it answers."""

    def __init__(self, memory: np.ndarray[Any, Any], first: Callable[[Any], object]) -> None:
        self.memory = memory
        self.first = first

    @property
    def __array_interface__(self) -> dict[str, Any]:
        self.first(self)
        return self.memory.__array_interface__


def forget_everything(_: object) -> None:
    """Forget the recipes that this call came through."""
    forget_recipes()
    gc.collect(0)


def replace_memory(producer: Reentering) -> None:
    """Between two looks at one object."""
    producer.memory = producer.memory.copy()


def getters_that_act() -> None:
    """What an attribute does when it is read, the library has to bear."""
    deep = {"left": 50}

    def convert_again(producer: Any) -> None:
        if deep["left"]:
            deep["left"] -= 1
            interop.to_numpy(producer)

    acts: tuple[Callable[[Any], object], ...] = (forget_everything, replace_memory, convert_again)
    for act, _ in product(acts, range(5)):
        deep["left"] = 50
        producer = Reentering(np.arange(6.0), act)
        for way in ("numpy", "numpy, a copy", "torch, a copy", "view"):
            need(WAYS[way](producer) == ((6,), [0, 1, 2, 3, 4, 5]), f"{way} of an object that acts: wrong values")


class Shifty:
    """An index that is another one each time."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)

    def __index__(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def shapes_that_change() -> None:
    """Lengths and strides that grow between the check and the use."""
    memory = np.zeros(64)
    address = memory.ctypes.data
    calls: tuple[Callable[[Any], Any], ...] = (
        interop.view,
        interop.to_numpy,
        lambda x: interop.to_torch(x, copy=True),
    )
    for field, answers, call in product(("shape", "strides", "data"), ((4, 10**6), (1, -1), (8, 2**62)), calls):
        shifty = Shifty(*((address, address + 2**20) if field == "data" else answers))
        described: dict[str, Any] = {"shape": (4,), "typestr": "<f8", "data": (address, False), "version": 3}
        described[field] = (shifty,) if field != "data" else (shifty, False)
        kind = type("Kind", (), {"__array_interface__": described})
        with suppress(interop.InteropError):
            shape = tuple(call(kind()).shape)
            need(shape == ((answers[0],) if field == "shape" else (4,)), f"a changing {field} was believed: {shape}")


# Memory that others may let go.


def buffers_that_grow() -> None:
    """What can be resized can't while it is looked at."""
    growing: tuple[tuple[Any, Callable[[Any], object]], ...] = (
        (bytearray(64), lambda b: b.extend(bytes(1 << 16))),
        (bytearray(64), lambda b: b.clear()),
        (arrays.array("d", [0.0] * 8), lambda a: a.extend([1.0] * (1 << 12))),
    )
    for (buffer, grow), call in product(growing, (interop.view, interop.to_numpy, interop.to_torch)):
        results = [call(buffer), interop.to_numpy(interop.view(call(buffer)), copy=False)]
        with suppress(BufferError):
            grow(buffer)
        rubbish = [bytearray(b"\xff" * 64) for _ in range(50)]
        need(not any(read(results[1])[1]), "a buffer changed its place under a view")
        del rubbish


def capsules() -> None:
    """Used, peeked at, dropped, renamed, and taken by two."""
    for turn in range(200):
        with VersionedProducer(np.arange(3.0)) as fake:
            capsule = fake.capsule()
            peeked = peek_capsule(capsule)
            taken = interop.view(capsule)
            need(read(taken) == ((3,), [0, 1, 2]), "a capsule was misread")
            need(is_refused("view", capsule) and is_refused("numpy", capsule), "a capsule was taken twice")
            again = taken.__dlpack__(max_version=(1, 3) if turn % 2 else None)
            del taken, peeked, capsule
            need(read(interop.to_numpy(again)) == ((3,), [0, 1, 2]), "a capsule outlived its memory")
            del again
        gc.collect(0)


def fuzzed_capsules() -> None:
    """Fields of which any may be nonsense: what is taken lies inside of its memory, by Python's integers."""
    random = Random(20_261_127)
    memory = np.arange(512, dtype=np.uint8)
    low, high = memory.ctypes.data, memory.ctypes.data + memory.nbytes
    odd = (0, 1, -1, 2, 7, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
    for _ in range(4000):
        ndim = random.randrange(4)
        numbers: list[Callable[[], int]] = [lambda: random.randrange(5), lambda: random.choice(odd)]
        shape, strides = (tuple(random.choices(numbers, (3, 1))[0]() for _ in range(ndim)) for _ in range(2))
        code, bits, lanes = random.choice(
            [(2, 64, 1), (1, 8, 1), (6, 8, 1), (2, 32, 1), (0, 4, 1), (2, 32, 3), (99, 7, 9)]
        )
        fields: dict[str, Any] = {
            "shape": shape,
            "strides": random.choice((strides, strides, None)),
            "dtype": (code, bits, lanes),
            "byte_offset": random.choice((0, 0, 8, 2**63, 2**64 - 1)),
            "flags": random.randrange(8),
            "version": random.choice(((1, 3), (1, 99), None, (2, 0))),
            "device": random.choice(((1, 0), (1, 0), (2, 0), (13, 0), (-1, 5))),
            "ndim": random.choice((None, None, None, -1, 65, 2**31 - 1)),
        }
        with VersionedProducer(memory, **fields) as fake:
            try:
                view = interop.view(fake.capsule())
            except interop.InteropError:
                continue
            first, last = view.extent
            item = (bits * lanes + 7) // 8
            reach = [(n - 1) * step * item for n, step in zip(view.shape, view.strides, strict=True)]
            # The data pointer lies before the memory by the offset.
            truth = (low + sum(min(r, 0) for r in reach), low + sum(max(r, 0) for r in reach) + item)
            need((first, last) == ((low, low) if 0 in view.shape else truth), f"{fields}: {view}")
            if low <= first and last <= high and view.device.type == "cpu":
                with suppress(interop.InteropError):
                    need(tuple(interop.to_numpy(view, copy=True).shape) == shape, f"{fields} was misread")
            del view


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        null_slices,
        fake_slices,
        freed_storages,
        shrunk_storages,
        refused_resizes,
        changed_in_mid_call,
        changed_in_mid_call_and_kept,
        getters_that_act,
        shapes_that_change,
        buffers_that_grow,
        capsules,
        fuzzed_capsules,
    )
}


if __name__ == "__main__":
    ATTACKS[sys.argv[1]]()
