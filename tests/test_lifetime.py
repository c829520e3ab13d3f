"""Memory lives as long as anything looks at it, in any order, and never longer."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from memory import STATM, anonymous_memory, once_in_three
from torch.utils.dlpack import from_dlpack

import interop
from interop.errors import without_frames
from interop.protocols import make_view


def filled(kind: str) -> Any:
    if kind == "torch":
        return torch.arange(4096.0)
    if kind == "torch bfloat16":
        return torch.arange(4096.0).to(torch.bfloat16)
    if kind == "numpy bfloat16":
        return np.arange(4096).astype(ml_dtypes.bfloat16)
    return np.arange(4096.0)


KINDS = ["torch", "torch bfloat16", "numpy", "numpy bfloat16"]

#: Each option by itself: the default call and these take different roads to the same memory.
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "copy=False": {"copy": False},
    "writable=False": {"writable": False},
    "writable=True": {"writable": True},
    "detach=True": {"detach": True},
    "device": {"device": "cpu"},
    "order": {"order": "C"},
    "copy=True": {"copy": True},
}
options = pytest.mark.parametrize("options", OPTIONS)

#: Ways to an array on a tensor's memory: each option, and a View.
WAYS: dict[str, Callable[[Any], Any]] = {
    **{name: partial(interop.to_numpy, **asked) for name, asked in OPTIONS.items() if name != "copy=True"},
    "same dtype": lambda x: interop.to_numpy(x, dtype=x.dtype),
    "convert": lambda x: interop.convert(x, np, writable=False),
    "view": lambda x: interop.to_numpy(interop.view(x)),
}
ways = pytest.mark.parametrize("way", WAYS)


@options
@pytest.mark.parametrize("kind", KINDS)
def test_the_result_outlives_the_source(kind: str, options: str) -> None:
    x = filled(kind)
    asked = OPTIONS[options]
    a = interop.to_numpy(interop.view(interop.to_torch(interop.to_numpy(x, **asked), **asked)), **asked)
    wanted = a.tobytes()
    del x
    gc.collect()
    others = [np.full(4096, -1.0) for _ in range(20)]
    assert a.tobytes() == wanted
    del others


@options
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_deletion(order: tuple[int, ...], options: str) -> None:
    t = torch.arange(512.0)
    chain: list[Any] = [t, interop.to_numpy(t, **OPTIONS[options]), interop.view(t)]
    chain.append(interop.to_torch(chain[1]))
    del t
    for index in order:
        chain[index] = None
        gc.collect()
        for x in chain:
            if x is not None:
                np.testing.assert_array_equal(np.asarray(interop.to_numpy(x)), np.arange(512.0))


@options
def test_dropping_everything_frees_the_source(options: str) -> None:
    a = np.zeros(8)
    alive = weakref.ref(a)
    t = interop.to_torch(a, **OPTIONS[options])
    v = interop.view(t)
    b = interop.to_numpy(v, **OPTIONS[options])
    del a, t, v
    gc.collect()
    assert (alive() is not None) == (options != "copy=True")
    del b
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("way", [name for name in WAYS if name != "view"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_a_resize_is_refused_by_torch_whatever_the_way(dtype: torch.dtype, way: str) -> None:
    t = torch.zeros(4).to(dtype)
    a = WAYS[way](t)
    with pytest.raises(RuntimeError, match="not resizable"):
        t.untyped_storage().resize_(10_000)
    assert a.shape == (4,)
    locked = WAYS[way](t)
    assert locked.ctypes.data == a.ctypes.data


@ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("change", ["data", "set_", "half", "swap_tensors", "dropped"])
def test_replacing_a_tensors_memory_leaves_the_old_view_on_the_old_memory(dtype: Any, way: str, change: str) -> None:
    module = torch.nn.Linear(64, 64, dtype=dtype)
    module.requires_grad_(requires_grad=False)
    t = module.weight
    a = WAYS[way](t)
    before = (a.tobytes(), a.shape, a.dtype)
    pointer = t.data_ptr()
    assert a.ctypes.data == pointer
    if change == "half":
        module.half()
    elif change == "data":
        t.data = torch.full((2, 2), 7.0, dtype=dtype)
    elif change == "set_":
        t.set_(torch.full((2, 2), 7.0, dtype=dtype).untyped_storage())
    elif change == "swap_tensors":
        torch.utils.swap_tensors(t, torch.nn.Parameter(torch.full((2, 2), 7.0, dtype=dtype), requires_grad=False))
    assert change == "dropped" or t.data_ptr() != pointer
    del module, t
    gc.collect()
    rubbish = [torch.full((64, 64), -5.0, dtype=dtype) for _ in range(50)]
    assert (a.tobytes(), a.shape, a.dtype) == before
    assert not any(interop.shares_memory(a, x) for x in rubbish)
    # Nor by any other road to it.
    again = interop.to_numpy(interop.view(a), writable=False)
    assert (again.tobytes(), again.ctypes.data) == (before[0], pointer)


def test_deletion_on_other_threads() -> None:
    results: list[Any] = []

    def work() -> None:
        for _ in range(200):
            t = torch.arange(100.0)
            results.append(interop.to_numpy(interop.to_torch(interop.to_numpy(t))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    killer = threading.Thread(target=results.clear)
    assert all(a[99] == 99.0 for a in results)
    killer.start()
    killer.join()


ROUND_TRIPS: dict[str, Callable[[Any, Any], Any]] = {
    "to_numpy": lambda t, a: interop.to_numpy(t),
    "to_torch": lambda t, a: interop.to_torch(a),
    "view of torch": lambda t, a: interop.view(t),
    "view of numpy": lambda t, a: interop.view(a),
    "a capsule that nobody consumes": lambda t, a: interop.view(a).__dlpack__(max_version=(1, 0)),
    "a consumed capsule": lambda t, a: from_dlpack(interop.view(a).__dlpack__()),
    "a refusal": lambda t, a: interop.explain(t, "numpy", copy=False, dtype="int8"),
}


@pytest.mark.skipif(not STATM.exists(), reason="asks Linux for the memory in use")
@pytest.mark.parametrize("what", ROUND_TRIPS)
def test_nothing_leaks_over_many_cycles(what: str) -> None:
    cycle = ROUND_TRIPS[what]
    cycles = 5_000 if what == "a refusal" else 100_000
    # Big enough that one leaked source in a hundred would show: 100,000 x 4 KiB is 400 MB.
    a, t = np.zeros(1024, "f4"), torch.zeros(1024)
    references = (sys.getrefcount(a), sys.getrefcount(t))
    for _ in range(2_000):
        cycle(t, a)
        cycle(torch.zeros(1024), np.zeros(1024, "f4"))
    gc.collect()

    def leaves_nothing() -> bool:
        before = anonymous_memory()
        for _ in range(cycles):
            cycle(t, a)
        for _ in range(cycles // 10):
            cycle(torch.zeros(1024), np.zeros(1024, "f4"))
        gc.collect()
        assert (sys.getrefcount(a), sys.getrefcount(t)) == references
        return anonymous_memory() - before < 8 << 20

    assert once_in_three(leaves_nothing)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )


def test_everything_alive_at_exit_is_silent() -> None:
    done = run("""
        import atexit, numpy as np, torch, interop, threading
        keep = []
        t = torch.arange(10.0)
        keep += [t, interop.to_numpy(t), interop.view(t), interop.to_torch(np.arange(5.0))]
        keep.append(interop.view(np.arange(5.0)).__dlpack__())
        keep.append(keep)
        atexit.register(lambda: keep.append(interop.to_torch(np.ones(3))))
        class Late:
            def __del__(self):
                self.x = None
        late = Late(); late.x = interop.to_torch(np.ones(3))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_child_can_drop_and_use_what_the_parent_made() -> None:
    done = run("""
        import os, warnings
        warnings.simplefilter("ignore")
        import numpy as np, torch, interop
        t = interop.to_torch(np.arange(5.0)); a = interop.to_numpy(torch.arange(5.0))
        pid = os.fork()
        if pid == 0:
            ok = t.sum().item() == 10 and a.sum() == 10
            del t, a
            b = interop.to_torch(np.ones(3)); del b
            os._exit(0 if ok else 1)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """)
    assert (done.returncode, done.stderr) == (0, "")


REFUSALS: dict[str, Callable[[Any], Any]] = {
    "convert": lambda t: interop.to_numpy(t, copy=False, dtype="int8"),
    "gradient": lambda t: interop.to_numpy(t.requires_grad_()),
    "view": lambda t: interop.view(torch._neg_view(t)),
    "device": lambda t: interop.to_numpy(t, device="cuda:0"),
    "unsupported": lambda t: interop.to_numpy(t.to_sparse()),
    "copyto": lambda t: interop.copyto(np.zeros(3, "i4"), t),
    "argument": lambda t: interop.convert(t, "numpy", dtype="float33"),
    "foreign": lambda t: interop.copyto(torch.zeros(1).expand(4), t),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_keeps_nothing_alive(what: str) -> None:
    """The source goes with its last reference: device memory can't wait for the garbage collector."""

    def refused() -> weakref.ref[Any]:
        t = torch.arange(4.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                REFUSALS[what](t)
            except interop.InteropError:
                return weakref.ref(t)
        raise AssertionError(what)

    gc.collect()
    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()


class Lost:
    """A producer that can't say where it is, for a reason, which has another one."""

    def __dlpack__(self, **options: Any) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]:
        lost = RuntimeError("lost")
        lost.__cause__ = KeyError("the key")
        raise lost


def test_a_plan_tells_the_causes_and_keeps_none() -> None:
    x = Lost()
    gone = weakref.ref(x)
    try:
        raise LookupError("of the caller")
    except LookupError:
        error = interop.explain(x, "numpy").error
    del x
    assert gone() is None
    assert error is not None
    assert "RuntimeError: lost" in str(error)
    assert error.__notes__ == ["caused by KeyError: 'the key'"]
    assert error.__context__ is None


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("says nothing")


def test_causes_that_go_round_or_say_nothing_are_let_go_too() -> None:
    error, mute = interop.CopyError("no"), Mute()
    error.__cause__, mute.__cause__ = mute, mute
    assert without_frames(error) is error
    assert error.__cause__ is None
    assert error.__notes__ == ["caused by Mute"]


class Borrower:
    """A producer whose capsule leaves the memory to it, as onnxruntime's of an OrtValue on a numpy array does."""

    def __init__(self) -> None:
        self.memory = np.arange(3.0)

    def __dlpack__(self, **options: Any) -> Any:
        return make_view(
            self.memory.ctypes.data, (3,), (1,), (2, 64, 1), (1, 0), readonly=False, owner=None
        ).__dlpack__(max_version=options.get("max_version"))

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize("call", [interop.to_numpy, interop.to_torch, interop.view])
def test_a_producer_lives_as_long_as_what_was_made_of_it(call: Any) -> None:
    producer = Borrower()
    alive = weakref.ref(producer)
    result = call(producer)
    del producer
    gc.collect()
    assert alive() is not None
    assert interop.to_numpy(result).tolist() == [0, 1, 2]
    del result
    gc.collect()
    assert alive() is None
