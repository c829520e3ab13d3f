"""torch's memory: what isn't there is refused, what changes meanwhile is converted as it was at one moment.

And nothing is locked for good but what a result lies on.
"""

from __future__ import annotations

import gc
import re
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import Any, Final

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

import interop
from interop import _options
from interop._convert import _convert
from interop._registry.targets import target_adapter
from interop.testing import assert_identical

#: Each option by itself. What it changes differs; what it may never do is the same for all.
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "copy=False": {"copy": False},
    "copy=True": {"copy": True},
    "writable=False": {"writable": False},
    "writable=True": {"writable": True},
    "detach=True": {"detach": True},
    "device": {"device": "cpu"},
    "same dtype": {"dtype": "float32"},
    "another dtype": {"dtype": "float64"},
    "order": {"order": "C"},
}

#: Those whose result is on the memory of a plain contiguous float32 tensor.
ALIASING: Final = [name for name in OPTIONS if name not in ("copy=True", "another dtype")]


def to_numpy(name: str) -> Callable[[Any], Any]:
    return lambda t: interop.to_numpy(t, **OPTIONS[name])


def planned(name: str) -> Callable[[Any], Any]:
    """The same by the planner alone."""
    return lambda t: _convert(t, target_adapter("numpy"), _options.parse(**OPTIONS[name]))


def read_view(t: Any) -> Any:
    return np.array(interop.to_numpy(interop.view(t)))


def copied_to(t: Any) -> Any:
    a = np.empty(tuple(t.shape), "f4")
    interop.copyto(a, t)
    return a


def broadcast_to(t: Any) -> Any:
    a = np.empty((2, *t.shape), "f8")
    interop.copyto(a, t)
    return a[1]


#: Every way out of torch, by what it does.
WAYS: Final[dict[str, Callable[[Any], Any]]] = {
    **{f"to_numpy, {name}": to_numpy(name) for name in OPTIONS},
    **{f"planned, {name}": planned(name) for name in ("default", "copy=True", "writable=False")},
    "convert to the module": lambda t: interop.convert(t, np),
    "view": read_view,
    "copyto": copied_to,
    "copyto, cast and broadcast": broadcast_to,
}


def resizable(t: Any) -> bool:
    return bool(t.untyped_storage().resizable())


def attempted(way: Callable[[Any], Any], t: Any) -> tuple[Any, str]:
    """The result, or the message of one of our errors."""
    try:
        return way(t), ""
    except interop.InteropError as err:
        return None, f"{type(err).__name__}: {err}"


# Memory that isn't there.


def on_storage_of(size: int, t: Any, part: Callable[[Any], Any] = lambda t: t) -> Any:
    """A part of a tensor whose storage has become smaller: 0 is how sharded training leaves a parameter."""
    kept = part(t)
    t.untyped_storage().resize_(size)
    return kept


def refused() -> Any:
    """What a refused resize_ leaves behind (pytorch#170298)."""
    t = torch.zeros(4)
    interop.to_numpy(t)
    with pytest.raises(RuntimeError, match="not resizable"):
        t.resize_(50_000_000)
    assert (t.numel(), t.untyped_storage().nbytes()) == (50_000_000, 16)
    return t


def refused_slice() -> Any:
    base = torch.arange(8.0)
    interop.to_numpy(base)
    t = base[4:]
    with pytest.raises(RuntimeError, match="not resizable"):
        t.resize_(8)
    return t


#: At an address that is NULL, or NULL and an offset.
NOWHERE: Final[dict[str, Callable[[], Any]]] = {
    "freed": lambda: on_storage_of(0, torch.ones(8)),
    "a slice of what was freed": lambda: on_storage_of(0, torch.ones(10), lambda t: t[2:]),
    "a transposed part of it": lambda: on_storage_of(0, torch.ones(4, 4), lambda t: t[1:, 2:].T),
    "freed bfloat16": lambda: on_storage_of(0, torch.ones(8, dtype=torch.bfloat16), lambda t: t[3:]),
    "a freed parameter": lambda: on_storage_of(0, torch.nn.Parameter(torch.ones(8), requires_grad=False)),
    "zero": lambda: torch._efficientzerotensor(3),
    "a slice of zero": lambda: torch._efficientzerotensor(3)[1:],
}

#: At an address, with elements beyond the storage.
BEYOND: Final[dict[str, Callable[[], Any]]] = {
    "a smaller storage": lambda: on_storage_of(64, torch.ones(1 << 20)),
    "the end of a smaller storage": lambda: on_storage_of(64, torch.ones(1 << 20), lambda t: t[-1:]),
    "a refused resize_": refused,
    "a refused resize_ of a slice": refused_slice,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", NOWHERE)
def test_memory_that_isnt_there_is_refused(what: str, way: str) -> None:
    t = NOWHERE[what]()
    before = resizable(t)
    with pytest.raises(interop.UnsupportedError, match=r"storage was freed|null pointer"):
        WAYS[way](t)
    assert resizable(t) == before


@pytest.mark.parametrize("way", [name for name in WAYS if name not in ("to_numpy, default", "convert to the module")])
@pytest.mark.parametrize("what", BEYOND)
def test_memory_beyond_the_storage_is_refused(what: str, way: str) -> None:
    """But for the default call by way of torch's own numpy(), which docs/safety.md speaks of."""
    t = BEYOND[what]()
    if way == "to_numpy, copy=False" and not interop.explain(t, "numpy", copy=False).ok:
        # The same hot call as the default one.
        return
    before = resizable(t)
    with pytest.raises(interop.UnsupportedError, match="beyond its storage"):
        WAYS[way](t)
    assert resizable(t) == before


@pytest.mark.parametrize("what", [*NOWHERE, *BEYOND])
def test_nothing_is_written_beyond_the_storage(what: str) -> None:
    t = {**NOWHERE, **BEYOND}[what]()
    before = resizable(t)
    with pytest.raises(interop.UnsupportedError):
        interop.copyto(t, np.zeros(1, "f4"))
    assert resizable(t) == before


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("what", [*NOWHERE, *BEYOND])
def test_the_plan_says_so(what: str, options: str) -> None:
    plan = interop.explain({**NOWHERE, **BEYOND}[what](), "numpy", **OPTIONS[options])
    assert not plan.ok
    assert isinstance(plan.error, interop.UnsupportedError)


@pytest.mark.parametrize("way", WAYS)
def test_what_functionalize_wraps_has_no_memory(way: str) -> None:
    for part in (slice(None), slice(1, None)):

        def look(x: Any, part: slice = part) -> Any:
            with pytest.raises(interop.UnsupportedError, match=r"inside torch\.func"):
                WAYS[way](x[part])
            return x

        torch.func.functionalize(look)(torch.ones(3))


def test_a_freed_storage_is_named_and_can_be_filled_again() -> None:
    t = on_storage_of(0, torch.ones(4))
    for call in (interop.to_numpy, interop.view, lambda x: interop.to_numpy(x, copy=True)):
        with pytest.raises(interop.UnsupportedError, match="its storage was freed") as caught:
            call(t)
        assert "zeros" not in str(caught.value)
    # As the gathering does, which is what the message asks for.
    t.untyped_storage().resize_(16)
    t.copy_(torch.arange(4.0))
    assert interop.to_numpy(t).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("what", ["a smaller storage", "a refused resize_"])
def test_the_advice_for_what_is_left_works(what: str) -> None:
    x = BEYOND[what]()
    x.as_strided((4,), (1,)).copy_(torch.arange(4.0))
    with pytest.raises(interop.UnsupportedError) as caught:
        interop.to_numpy(x, copy=True)
    advice = re.search(r"x\.as_strided\(\(\d+,\), \(1,\)\)", str(caught.value))
    assert advice is not None
    a = interop.to_numpy(eval(advice[0]))
    assert a[:4].tolist() == [0, 1, 2, 3]
    assert a.nbytes == x.untyped_storage().nbytes()


def test_the_advice_for_a_zero_tensor_works() -> None:
    for x in (torch._efficientzerotensor(3), torch._efficientzerotensor(3)[1:]):
        with pytest.raises(interop.UnsupportedError, match=re.escape("torch.zeros_like(x)")):
            interop.to_numpy(x)
        assert not interop.to_numpy(torch.zeros_like(x)).any()


def test_of_no_elements_there_is_no_memory_to_miss() -> None:
    for t in (torch.ones(0, 3), on_storage_of(0, torch.ones(4), lambda t: t[:0]), torch.ones(4)[4:]):
        for way in WAYS.values():
            assert way(t).size == 0


# A law: what is there is what comes out, and nothing else does.

DTYPES: Final = [torch.float32, torch.bfloat16, torch.uint8, torch.complex64]


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Any, np.ndarray[Any, Any]]:
    """A tensor of any layout on a storage, which may have become smaller, and the storage's bytes."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    strides = draw(st.lists(st.integers(0, 12), min_size=len(shape), max_size=len(shape)))
    offset = draw(st.integers(0, 12))
    t = torch.empty(0, dtype=dtype)
    # A storage that is too small is made larger by this.
    t.set_(torch.UntypedStorage(draw(st.integers(0, 512))), offset, shape, strides)
    storage = t.untyped_storage()
    memory = torch.empty(0, dtype=torch.uint8).set_(storage)
    memory.copy_(torch.arange(len(memory)) % 251)
    if draw(st.booleans()):
        storage.resize_(draw(st.integers(0, storage.nbytes())))
    memory = torch.empty(0, dtype=torch.uint8).set_(storage)
    return t, np.array(memory.tolist(), "u1")


def elements(t: Any, memory: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """What lies there, as bytes of each element; None where a part of it doesn't."""
    size = t.element_size()
    starts = np.full(tuple(t.shape), t.storage_offset() * size)
    for axis, (length, step) in enumerate(zip(t.shape, t.stride(), strict=True)):
        starts = starts + (np.arange(length) * step * size).reshape([-1 if axis == at else 1 for at in range(t.ndim)])
    if starts.size and starts.max() + size > len(memory):
        return None
    return memory[starts[..., None] + np.arange(size)] if starts.size else np.empty((*starts.shape, size), "u1")


LAW: Final[dict[str, Callable[[Any], Any]]] = {
    **{name: to_numpy(name) for name in OPTIONS if "dtype" not in name},
    "view": read_view,
    "torch": lambda t: interop.to_numpy(interop.to_torch(t, copy=True)),
}


@pytest.mark.parametrize("way", LAW)
@given(piece=pieces())
def test_what_comes_out_is_what_lies_there(way: str, piece: tuple[Any, np.ndarray[Any, Any]]) -> None:
    t, memory = piece
    wanted = elements(t, memory)
    before = resizable(t)
    if wanted is None and way in ("default", "copy=False") and t.untyped_storage().nbytes():
        # What the call without options leaves unchecked.
        return
    a, error = attempted(LAW[way], t)
    assert (wanted is None) == bool(error)
    if wanted is None:
        assert resizable(t) == before
        return
    assert a.shape == tuple(t.shape)
    assert a.tobytes() == wanted.tobytes()
    if a.size and way != "order":
        assert interop.shares_memory(a, t) == (way in ALIASING)


# Memory that changes meanwhile.


@contextmanager
def collecting(change: Callable[[], None], threshold: int) -> Generator[list[int]]:
    """Run the collector at one allocation in some, and with it what somebody's finalizer might do."""
    before = gc.get_threshold()
    count = [0]

    def call(phase: str, _info: Any) -> None:
        if phase == "start":
            count[0] += 1
            change()

    gc.collect(0)
    gc.callbacks.append(call)
    gc.set_threshold(threshold)
    try:
        yield count
    finally:
        gc.set_threshold(0)
        gc.callbacks.remove(call)
        gc.set_threshold(*before)


def of_one_moment(a: Any) -> bool:
    """Whether an array is one of those that were there: each has as many elements as its elements say."""
    return bool((np.asarray(a).astype("f8") == a.size).all())


#: What is done natively: seldom does it allocate enough to be collected in.
HOT: Final = (*(f"to_numpy, {name}" for name in ALIASING), "to_numpy, copy=True", "convert to the module", "view")

#: Each runs the collector at other places of a call, and how often.
THRESHOLDS: Final = [1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 23, 31]


def numbered(size: int, dtype: torch.dtype = torch.float32) -> Any:
    return torch.full((size,), float(size), dtype=dtype)


def free(t: Any) -> None:
    if resizable(t):
        t.untyped_storage().resize_(0)


CHANGES: Final[dict[str, Callable[[Any, Any], object]]] = {
    "data": lambda t, other: setattr(t, "data", other),
    "set_": lambda t, other: t.set_(other),
}


def change_to(change: str, t: Any, make: Callable[[], Any]) -> None:
    CHANGES[change](t, make())


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_a_finalizer_that_gives_the_tensor_other_memory(way: str, change: str) -> None:
    WAYS[way](numbered(3))  # what a first call loads is no part of it
    collected = 0
    for threshold in THRESHOLDS:
        t = numbered(500)
        others = map(numbered, cycle([400, 600]))
        with collecting(partial(change_to, change, t, partial(next, others)), threshold) as count:
            a, error = attempted(WAYS[way], t)
        rubbish = [torch.full((size,), -1.0) for size in (400, 500, 600) * 5]
        # What is written into has its shape, whatever the tensor becomes.
        assert not error if "copyto" not in way else not error or error.startswith("CopyError")
        assert error or of_one_moment(a)
        collected += count[0]
        del rubbish
    assert collected or way in HOT


@pytest.mark.parametrize("way", WAYS)
def test_a_finalizer_that_leaves_the_shape_alone_refuses_nothing(way: str) -> None:
    WAYS[way](numbered(3))
    for threshold in THRESHOLDS:
        t = numbered(500)
        with collecting(partial(change_to, "data", t, partial(numbered, 500)), threshold):
            a = WAYS[way](t)
        rubbish = [torch.full((500,), -1.0) for _ in range(15)]
        assert of_one_moment(a)
        del rubbish


@pytest.mark.parametrize("way", ["to_numpy, default", "to_numpy, copy=True", "to_numpy, writable=False", "view"])
def test_a_finalizer_that_changes_the_element_type(way: str) -> None:
    """As ``module.half()`` does, here between two types of one size."""
    # What a first call of this type refuses is known then.
    WAYS[way](numbered(3, torch.bfloat16))
    for threshold in THRESHOLDS:
        t = numbered(200, torch.bfloat16)
        with collecting(partial(change_to, "data", t, partial(numbered, 200, torch.float16)), threshold):
            a = WAYS[way](t)
        assert of_one_moment(a)


@pytest.mark.parametrize("way", [name for name in WAYS if name not in (*HOT, "view")])
def test_a_finalizer_that_frees_the_memory(way: str) -> None:
    """A View has no defence against that, and says so."""
    for threshold in THRESHOLDS:
        t = numbered(500)
        with collecting(partial(free, t), threshold):
            a, error = attempted(WAYS[way], t)
        rubbish = [torch.full((500,), -1.0) for _ in range(15)]
        assert re.search("storage was freed|again and again", error) if error else of_one_moment(a)
        del rubbish


class Meddling(TorchFunctionMode):
    """Changes a tensor at one of the calls that torch lets a mode see."""

    def __init__(self, change: Callable[[], object], at: int) -> None:
        super().__init__()
        self.change, self.left = change, at

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            with torch._C.DisableTorchFunction():
                self.change()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("way", [name for name in WAYS if "copyto" not in name])
def test_a_mode_that_gives_the_tensor_other_memory(way: str) -> None:
    """After each of its calls a description that was made before is of memory that is gone."""
    for at in range(1, 100):
        t = numbered(5)
        with Meddling(partial(t.set_, torch.full((2, 3), 6.0)), at) as mode:
            a = WAYS[way](t)
        rubbish = [torch.full((size,), -1.0) for size in (5, 6) * 20]
        assert of_one_moment(a)
        assert a.shape in ((5,), (2, 3))
        if mode.left > 0:
            break
        del rubbish
    else:
        raise AssertionError("a mode sees more calls than that")


@pytest.mark.parametrize("way", [name for name in WAYS if "copyto" not in name])
def test_a_mode_that_sets_the_negative_bit(way: str) -> None:
    for at in range(1, 100):
        t = torch.arange(1.0, 5.0)
        other = torch._neg_view(torch.full((4,), -7.0))
        with Meddling(partial(setattr, t, "data", other), at) as mode:
            a, error = attempted(WAYS[way], t)
        assert "negative bit" in error if error else a.tolist() in ([1, 2, 3, 4], [7, 7, 7, 7])
        if mode.left > 0:
            break
    else:
        raise AssertionError("a mode sees more calls than that")


@pytest.mark.parametrize("options", [name for name in OPTIONS if name != "another dtype"])
def test_a_fake_mode_is_no_concern_of_real_memory(options: str) -> None:
    t = torch.arange(4.0)
    with FakeTensorMode():
        a = interop.to_numpy(t, **OPTIONS[options])
    assert a.tolist() == [0, 1, 2, 3]
    assert resizable(t) == (options not in ALIASING)


@pytest.mark.parametrize("transform", ["vmap", "grad", "jvp", "functionalize"])
def test_a_closure_of_a_transformed_function_is_locked_too(transform: str) -> None:
    t = torch.arange(4.0)
    seen: list[Any] = []

    def look(x: Any) -> Any:
        seen.append(interop.to_numpy(t, writable=False))
        return x.sum()

    one = torch.ones(3)
    if transform == "vmap":
        torch.func.vmap(look)(torch.ones(2, 3))
    elif transform == "jvp":
        torch.func.jvp(look, (one,), (one,))
    else:
        getattr(torch.func, transform)(look)(one)
    assert seen[0].tolist() == [0, 1, 2, 3]
    assert not resizable(t)


# What is locked, and what isn't.

#: Small ones, some that take more than one piece, and layouts.
SHAPES: Final[dict[str, Callable[[torch.dtype], Any]]] = {
    "small": lambda dtype: torch.ones(3, 4).to(dtype),
    "0-d": lambda dtype: torch.ones(()).to(dtype),
    "large": lambda dtype: torch.arange(700_000).to(dtype),
    "large, transposed": lambda dtype: torch.arange(640_000).reshape(800, 800).to(dtype).T,
    "with gaps": lambda dtype: torch.arange(600).reshape(20, 30).to(dtype)[::3, 1::2],
    "expanded": lambda dtype: torch.arange(5).to(dtype).expand(4, 5),
}


def into_numpy(t: Any, **options: Any) -> Any:
    a = np.empty(tuple(t.shape), interop.DType(t.dtype).numpy)
    interop.copyto(a, t, **options)
    return a


def into_float64(t: Any) -> Any:
    a = np.empty(tuple(t.shape))
    interop.copyto(a, t, casting="unsafe")
    return a


NOT_ON_IT: Final[dict[str, Callable[[Any], Any]]] = {
    "copy=True": lambda t: interop.to_numpy(t, copy=True),
    "copy=True, order": lambda t: interop.to_numpy(t, copy=True, order="F"),
    "copy=True, readonly": lambda t: interop.to_numpy(t, copy=True, writable=False),
    "a cast": lambda t: interop.to_numpy(t, dtype="float64"),
    "a cast by numpy": lambda t: interop.to_numpy(t, dtype="float8_e3m4"),
    "convert, copy=True": lambda t: interop.convert(t, np, copy=True),
    "copyto": into_numpy,
    "copyto, cast": into_float64,
    "view": interop.view,
    "explain": lambda t: interop.explain(t, "numpy"),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", NOT_ON_IT)
def test_what_isnt_on_the_memory_doesnt_lock_it(way: str, shape: str, dtype: torch.dtype) -> None:
    t = SHAPES[shape](dtype)
    wanted = t.clone()
    a = NOT_ON_IT[way](t)
    assert resizable(t)
    if isinstance(a, np.ndarray):
        assert not interop.shares_memory(a, t)
        assert_identical(a, interop.to_numpy(wanted, dtype=str(interop.DType(a.dtype))))
    t.untyped_storage().resize_(0)
    assert way in ("view", "explain") or isinstance(a, np.ndarray)


@pytest.mark.parametrize("what", ["written", "read again"])
def test_a_tensor_that_is_written_isnt_locked(what: str) -> None:
    t = torch.zeros(4)
    interop.copyto(t, np.arange(4.0, dtype="f4")[:: 1 if what == "written" else -1])
    assert resizable(t)


@pytest.mark.parametrize("bit", ["conj", "neg"])
def test_a_pending_bit_is_resolved_without_a_lock(bit: str) -> None:
    t = torch.tensor([1 + 2j, 3 - 4j])
    x = t.conj() if bit == "conj" else t.conj().imag
    assert np.array_equal(interop.to_numpy(x), np.array(x.resolve_conj().resolve_neg().tolist()))
    assert resizable(t)


REFUSED: Final[dict[str, Callable[[Any], Any]]] = {
    "a graph": lambda t: interop.to_numpy(t.requires_grad_()),
    "a cast without a copy": lambda t: interop.to_numpy(t, dtype="float64", copy=False),
    "an order without a copy": lambda t: interop.to_numpy(t.reshape(2, 2).T, order="C", copy=False),
    "another device": lambda t: interop.to_numpy(t, device="cuda:0"),
    "complex to real": lambda t: interop.to_numpy(t.to(torch.complex64), dtype="float32"),
    "no such type": lambda t: interop.to_numpy(t, dtype="float33"),
    "copyto, shapes": lambda t: interop.copyto(np.zeros(3, "f4"), t),
    "copyto, casts": lambda t: interop.copyto(np.zeros(4, "i4"), t),
    "a view of a bit": lambda t: interop.view(torch._neg_view(t)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_call_locks_nothing(what: str) -> None:
    t = torch.arange(4.0)
    with pytest.raises(interop.InteropError):
        REFUSED[what](t)
    assert resizable(t)


@pytest.mark.parametrize("options", ALIASING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_on_the_memory_locks_it(dtype: torch.dtype, options: str) -> None:
    t = torch.ones(4).to(dtype)
    asked: dict[str, Any] = {**OPTIONS[options], **({"dtype": dtype} if "dtype" in options else {})}
    a = interop.to_numpy(t, **asked)
    assert interop.shares_memory(a, t)
    with pytest.raises(RuntimeError, match="not resizable"):
        t.untyped_storage().resize_(0)


def test_a_tensor_that_was_never_resizable_stays_so() -> None:
    a = np.arange(4.0)
    t = torch.from_numpy(a)
    for way in (*NOT_ON_IT.values(), *map(to_numpy, OPTIONS)):
        way(t)
        assert not resizable(t)


# Without a lock, memory is read under the GIL.


@pytest.fixture
def _switched_often() -> Generator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_switched_often")
@pytest.mark.parametrize("way", ["copy=True", "copyto", "copyto, cast", "a cast by numpy"])
@pytest.mark.parametrize("shape", ["large", "large, transposed", "small"])
def test_another_thread_resizes_what_is_copied(way: str, shape: str) -> None:
    """Memory that is read without the GIL is freed under the reader by this, and the process ends."""
    t = SHAPES[shape](torch.float32)
    storage = t.untyped_storage()
    size = storage.nbytes()
    stop = threading.Event()

    def resize() -> None:
        while not stop.is_set():
            storage.resize_(0)
            storage.resize_(size)

    thread = threading.Thread(target=resize)
    thread.start()
    shapes = set()
    try:
        for _ in range(300):
            a, error = attempted(NOT_ON_IT[way], t)
            shapes.add(None if error else a.shape)
    finally:
        stop.set()
        thread.join()
    assert resizable(t)
    assert shapes <= {None, tuple(t.shape)}
