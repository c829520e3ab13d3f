"""The CUDA runtime's own rules, asked of the runtime itself: what the simulated device claims, and a GPU can confirm.

Nothing here knows which of the two it runs on, except for tests that are marked `sim_only`.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Generator, Iterator
from ctypes import c_void_p
from typing import Any

import pytest

import cudasim
from cudasim.runtime import HostFunction, Runtime


@pytest.fixture
def rt(torch: Any) -> Iterator[Runtime]:
    """The runtime, and everything that a test has made with it destroyed afterwards."""
    torch.cuda.init()
    torch.cuda.synchronize()
    # By its name, and so the one that torch has loaded.
    runtime = Runtime(ctypes.CDLL("libcudart.so.13"))
    yield runtime
    runtime.close()


Gate = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def gate(rt: Runtime) -> Gate:
    """`with gate(stream):` holds a stream back: what is submitted to it inside the block runs after the block.

    A host function that waits for a semaphore of the C library: Python, its lock and its signals have no part in it.
    """
    libc = ctypes.CDLL(None)
    keep: list[Any] = []

    @contextlib.contextmanager
    def held(stream: int) -> Generator[None]:
        semaphore = ctypes.create_string_buffer(64)
        keep.append(semaphore)
        libc.sem_init(semaphore, 0, 0)
        rt.call("LaunchHostFunc", stream, ctypes.cast(libc.sem_wait, c_void_p), ctypes.cast(semaphore, c_void_p))
        try:
            yield
        finally:
            libc.sem_post(semaphore)

    return held


@pytest.fixture
def small_memory() -> Iterator[Callable[[int], None]]:
    """Give device 0 so many bytes beside those that are taken, until the test is over (simulated device)."""
    yield lambda size: cudasim.set_memory(0, cudasim.counter("live_bytes") + size)
    cudasim.set_memory(0, 0)


@pytest.fixture
def counted() -> Iterator[tuple[c_void_p, Callable[[], int]]]:
    """A host function, and how often it has been called."""
    calls: list[int] = []
    function = HostFunction(calls.append)
    yield ctypes.cast(function, c_void_p), lambda: len(calls)
    del function  # it had to live as long as the runtime could call it
