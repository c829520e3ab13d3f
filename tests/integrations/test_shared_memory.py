"""Shared memory: found by name in other processes, never pulled away, and gone when its owner is, however that ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

import interop
from interop.integrations.shared_memory import attach, empty_shared

SEGMENTS = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not SEGMENTS.exists(), reason="shared memory is no folder on this system")


def is_there(name: str) -> bool:
    return (SEGMENTS / name).exists()


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "bool", "complex128"])
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_both_sides_have_one_memory(dtype: str, to: str) -> None:
    with empty_shared((3, 4), dtype, to) as shared:
        assert interop.framework(shared.array) == to
        assert interop.dtype(shared.array) == dtype
        assert interop.view(shared.array).ptr % 64 == 0
        there = attach(shared.name, "numpy")
        assert not there.owner
        assert not there.array.any()
        interop.copyto(shared.array, interop.convert(np.ones((3, 4)), to, dtype=dtype))
        assert there.array.astype("c8").sum() == 12
        assert interop.framework(attach(shared.name).array) == to
    assert not is_there(shared.name)


@pytest.mark.parametrize("shape", [(), 0, (3, 0), 5, (2, 3, 4)])
def test_any_shape(shape: Any) -> None:
    with empty_shared(shape, "int16") as shared:
        expected = np.empty(shape, "i2").shape
        assert shared.array.shape == attach(shared.name).array.shape == expected


CHILD = """
import sys, numpy as np
from interop.integrations.shared_memory import attach
shared = attach(sys.argv[1], "numpy")
shared.array[:] = 7
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_worker_leaves_nothing_and_takes_nothing() -> None:
    with empty_shared(5, "float32", "torch") as shared:
        worker = child(CHILD, shared.name)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "written\n"
        assert shared.array.tolist() == [7] * 5
        worker.kill()
        worker.communicate(timeout=PATIENCE)
        assert is_there(shared.name)
        # One that ends as it should takes nothing either: Python's own tracker would.
        worker = child(CHILD, shared.name)
        worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0
        assert is_there(shared.name)
    assert not is_there(shared.name)


OWNER = """
import os, signal, sys
from multiprocessing import resource_tracker
from interop.integrations.shared_memory import empty_shared
shared = empty_shared(1000)
print(shared.name, resource_tracker._resource_tracker._pid, flush=True)
os.kill(os.getpid(), int(sys.argv[1]))
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owner_is_cleaned_up_after_by_its_tracker(how: signal.Signals) -> None:
    owner = child(OWNER, str(int(how)))
    assert owner.stdout is not None
    name = owner.stdout.readline().split()[0]
    # The tracker has the same pipe: it is closed when the tracker is through.
    owner.communicate(timeout=PATIENCE)
    assert owner.returncode == -how
    assert not is_there(name)


def test_an_owner_that_ends_or_forgets_leaves_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OWNER.replace("os.kill(os.getpid(), int(sys.argv[1]))", "")],
        check=True,
        capture_output=True,
        text=True,
        input="",
    )
    assert not is_there(done.stdout.split()[0])
    assert done.stderr == ""
    shared = empty_shared(3)
    name, array = shared.name, shared.array
    del shared
    gc.collect()
    assert not is_there(name)
    array[:] = 1


#: jax, where another test has imported it, says so of every fork.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_forked_child_takes_no_name_away() -> None:
    with empty_shared(3) as shared:
        process = os.fork()
        if process == 0:
            try:
                shared.close()
            finally:
                os._exit(0)
        os.waitpid(process, 0)
        assert is_there(shared.name)
        assert attach(shared.name).array.tolist() == [0, 0, 0]


def test_nothing_is_pulled_away_under_an_array() -> None:
    shared = empty_shared(1000, "float32", "torch")
    array, there = shared.array, attach(shared.name, "numpy")
    other = there.array
    there.close()
    shared.close()
    del shared, there
    gc.collect()
    array.fill_(3)
    assert other.sum() == 3000


def test_readonly_where_it_is_asked_for() -> None:
    with empty_shared(3) as shared:
        there = attach(shared.name, writable=False)
        with pytest.raises(ValueError, match="read-only"):
            there.array[0] = 1
        shared.array[0] = 5
        assert there.array[0] == 5
        assert attach(shared.name, "torch", writable=False).array[0] == 5


def test_jax_takes_it_as_it_is() -> None:
    pytest.importorskip("jax")
    with empty_shared(100, "float32") as shared:
        shared.array[:] = 2
        there = attach(shared.name, "jax", copy=False)
        assert there.array.unsafe_buffer_pointer() == interop.view(there.array).ptr
        assert interop.view(there.array).ptr % 64 == 0
        assert float(there.array.sum()) == 200


def test_what_can_not_be_is_one_of_our_errors() -> None:
    for name in ("", "a/b", "x" * 31, 3, "é", "a\0b"):
        with pytest.raises(interop.UnsupportedError, match="name="):
            attach(name)  # type: ignore[arg-type]
    with pytest.raises(interop.UnsupportedError, match="there is no shared memory"):
        attach("interop_not_there")
    with empty_shared(2) as shared:
        with pytest.raises(interop.UnsupportedError, match="another name"):
            empty_shared(2, name=shared.name)
        there = attach(shared.name)
        with pytest.raises(interop.UnsupportedError, match="made elsewhere"):
            there.unlink()
    shared.unlink()
    before = set(SEGMENTS.iterdir())
    wrong: list[tuple[Any, ...]] = [((-1,),), (2**62,), (3, "float65"), (3, "float32", "mlx"), (2**50, "u1")]
    for arguments in wrong:
        with pytest.raises(interop.InteropError):
            empty_shared(*arguments)
    assert set(SEGMENTS.iterdir()) <= before


def test_memory_of_others_is_refused_unread() -> None:
    theirs: Any = shared_memory.SharedMemory(create=True, size=100)
    try:
        with pytest.raises(interop.UnsupportedError, match="TIPK"):
            attach(theirs.name)
        theirs.buf[:] = os.urandom(100)
        theirs.buf[:8] = b"TIPK\x01\0\0\0"
        with pytest.raises(interop.UnsupportedError):
            attach(theirs.name)
    finally:
        theirs.close()
        theirs.unlink()


def test_python_s_own_shared_memory_finds_it() -> None:
    with empty_shared(3, "uint8", name=f"mine_{os.getpid()}") as shared:
        assert shared.name == f"mine_{os.getpid()}"
        data = (SEGMENTS / shared.name).read_bytes()
        header, buffers = interop.split(data)
        assert interop.unpack(header, buffers).tolist() == [0, 0, 0]
