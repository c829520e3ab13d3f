"""What is peculiar to paddle: what its exchange API doesn't look at, names of types, gradients, dimensions, a lock."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import paddle
import pytest
from patience import PATIENCE
from refusals import refused

import interop
from interop.protocols import make_view

torch = pytest.importorskip("torch")


def test_zero_copy_both_ways() -> None:
    a = np.arange(12, dtype="float32").reshape(3, 4)
    for layout in (a, a.T, a[:, ::2], a[1]):
        x = interop.to_paddle(layout)
        assert x.data_ptr() == layout.ctypes.data
        assert x.numpy().tolist() == layout.tolist()
        back = interop.to_numpy(x)
        assert (back.ctypes.data, back.strides) == (layout.ctypes.data, layout.strides)
    x = interop.to_paddle(torch.ones(3))
    x[0] = 7
    assert interop.to_torch(x).tolist() == [7, 1, 1]


def test_negative_strides_never_reach_it() -> None:
    """paddle.from_dlpack takes them, and the first read runs out of memory."""
    a = np.arange(5, dtype="float32")[::-1]
    with pytest.raises(interop.CopyError, match="negative strides"):
        interop.to_paddle(a, copy=False)
    assert interop.to_paddle(a).tolist() == [4, 3, 2, 1, 0]
    x = paddle.arange(5)[::-1]
    assert interop.to_numpy(x).tolist() == x.tolist()


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64", "bool", "bfloat16", "float8_e4m3fn"])
def test_types_keep_their_bits(name: str) -> None:
    """paddle.to_tensor takes uint16 for bfloat16."""
    a = np.array([1, 2, 3, 0]).astype(interop.DType(name).numpy)
    x = interop.to_paddle(a)
    assert x.data_ptr() == a.ctypes.data
    assert interop.dtype(x) == name
    back = interop.to_numpy(x)
    assert (back.dtype, back.tobytes()) == (a.dtype, a.tobytes())
    assert interop.to_paddle(x, copy=True).data_ptr() != x.data_ptr()
    assert interop.to_paddle(a, dtype="float32").tolist() == a.astype("float32").tolist()
    assert interop.to_numpy(x, dtype="int32").tolist() == a.astype("int32").tolist()


def test_gradients_are_refused_where_its_exchange_api_exports_them() -> None:
    x = paddle.ones([2])
    x.stop_gradient = False
    for call in (interop.to_numpy, interop.to_torch, interop.view):
        with pytest.raises(interop.GradientError, match="detach"):
            call(x)
    assert interop.to_numpy(x, detach=True).ctypes.data == x.data_ptr()
    assert interop.to_paddle(x) is x
    copied = interop.to_paddle(x, copy=True)
    assert not copied.stop_gradient
    (copied * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(interop.GradientError):
        interop.to_numpy(paddle.nn.Linear(2, 2).weight)


def test_readonly_memory_is_copied() -> None:
    a = np.frombuffer(b"12345678", np.uint8)
    x = interop.to_paddle(a)
    x[0] = 0
    assert bytes(a) == b"12345678"
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_paddle(a, copy=False)


def test_what_is_no_block_of_memory_is_refused_by_name() -> None:
    assert "x.to_dense()" in refused(paddle.sparse.sparse_coo_tensor([[0], [1]], [1.0]))
    paddle.enable_static()
    try:
        x = paddle.static.data("x", [2, 2], "float32")
    finally:
        paddle.disable_static()
    assert "static" in refused(x)


def test_ten_dimensions_are_too_many() -> None:
    with pytest.raises(interop.UnsupportedError, match="at most 9 dimensions"):
        interop.to_paddle(np.ones((1,) * 10, np.float32))


def test_a_device_that_is_not_there_never_reaches_it() -> None:
    """A capsule that says CUDA ends the process of a build without CUDA."""
    memory = np.ones(3, np.float32)
    fake = make_view(memory.ctypes.data, (3,), (1,), (2, 32, 1), (2, 0), readonly=False, owner=memory)
    with pytest.raises(interop.DeviceError):
        interop.to_paddle(fake)


def test_what_was_handed_over_outlives_its_tensor() -> None:
    y = paddle.arange(1000, dtype="float32")
    b = interop.to_numpy(y)
    y.reshape_([10, 100])
    del y
    gc.collect()
    paddle.zeros([1000])
    assert b.tolist() == list(range(1000))


#: Ways back to paddle of a tensor on imported memory, by interop's own doors and by another library's.
AGAIN = {
    "a View": "interop.to_paddle(interop.view(x))",
    "a torch tensor": "interop.to_paddle(interop.to_torch(x))",
    "an ndarray": "interop.to_paddle(interop.to_numpy(x))",
    "an ndarray by hand": "interop.to_paddle(np.from_dlpack(x))",
    "three times": "interop.to_paddle(interop.to_numpy(interop.to_paddle(interop.to_numpy(x))))",
}


def ended(code: str) -> str:
    """What a program prints in the end; one that waits for a lock that is never free fails the test."""
    setup = "import gc, threading, weakref\nimport numpy as np, paddle, torch\nimport interop\n"
    program = [sys.executable, "-W", "ignore", "-c", setup + code]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=PATIENCE, env=env)
    except subprocess.TimeoutExpired:
        pytest.fail("the program hangs")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", AGAIN)
def test_a_tensor_on_imported_memory_is_imported_again_and_released(way: str) -> None:
    """paddle calls a deleter under a lock, and a deleter that released its tensor waited for that lock for ever."""
    code = f"""
class Array(np.ndarray): pass
a = np.arange(6, dtype="float32").view(Array)
gone = weakref.ref(a)
x = interop.to_paddle(np.asarray(a), copy=False)
y = {AGAIN[way]}
assert y.data_ptr() == x.data_ptr() == a.ctypes.data
del a, x
assert y.tolist() == [0, 1, 2, 3, 4, 5]
del y
gc.collect()
print("released" if gone() is None else "kept")
"""
    assert ended(code) == "released\n"


def test_threads_import_again_and_release_at_once() -> None:
    code = """
a = np.arange(6, dtype="float32")
def work():
    for _ in range(200):
        interop.to_paddle(interop.view(interop.to_paddle(a, copy=False)))
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
print("done")
"""
    assert ended(code) == "done\n"


def test_what_was_lent_is_given_back_soon() -> None:
    """Not on the spot, which would be under paddle's lock: between two instructions, or with the next loan."""

    class Array(np.ndarray[Any, Any]):
        pass

    def lent() -> weakref.ref[Any]:
        a = np.ones(1000, np.float32).view(Array)
        interop.to_paddle(np.asarray(a))
        return weakref.ref(a)

    left = [lent() for _ in range(100)]
    gc.collect()
    assert [ref() for ref in left] == [None] * 100
    # In a thread that isn't the main one, which runs what was put off.
    threads = [threading.Thread(target=lambda: left.append(lent())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    interop.to_paddle(np.ones(2, np.float32))
    assert [ref() for ref in left] == [None] * 104


def test_copyto_goes_through_paddle() -> None:
    x = paddle.zeros([3])
    version = x.inplace_version
    interop.copyto(x, np.array([1, 2, 3], np.float32))
    assert x.tolist() == [1, 2, 3]
    assert x.inplace_version > version
    x.stop_gradient = False
    with pytest.raises(interop.GradientError):
        interop.copyto(x, np.zeros(3, np.float32))


def test_places_are_devices() -> None:
    assert interop.Device(paddle.CPUPlace()) == "cpu"
    # Its __dlpack_device__ says (1, None).
    assert interop.device(paddle.ones([1])) == "cpu"
