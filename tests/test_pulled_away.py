"""Memory that belongs to an object which can be closed or resized: held while anything looks at it, refused afterwards.

numpy lets the buffer go that an ndarray was made on, so closing or resizing its object frees the memory under it
(numpy#23305). What goes through here holds an export of that buffer.
"""

from __future__ import annotations

import array
import ctypes
import mmap
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import interop

Array = np.ndarray[Any, Any]

#: What makes an array of these values on the memory of an object, and what pulls that memory away.
Made = tuple[Array, Callable[[], object]]

VALUES = np.arange(1.0, 9.0)


def _bytearray() -> Made:
    memory = bytearray(VALUES.tobytes())
    return np.ndarray((8,), "f8", buffer=memory), lambda: memory.extend(bytes(1 << 16))


def _slice_of_a_bytearray() -> Made:
    memory = bytearray(8) + bytearray(VALUES.tobytes())
    return np.ndarray((8,), "f8", buffer=memoryview(memory)[8:]), memory.clear


def _array() -> Made:
    memory = array.array("d", VALUES)
    return np.ndarray((8,), "f8", buffer=memory), lambda: memory.extend(range(1 << 12))


def _map() -> Made:
    memory = mmap.mmap(-1, 64)
    memory.write(VALUES.tobytes())
    return np.ndarray((8,), "f8", buffer=memory), memory.close


def _shrunk_map() -> Made:
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    memory[page : page + 64] = VALUES.tobytes()
    return np.ndarray((8,), "f8", buffer=memory, offset=page), lambda: memory.resize(page)


def _memoryview() -> Made:
    made = np.frombuffer(bytearray(VALUES.tobytes()), "f8")
    base: Any = made.base
    return made, base.release


def _strided() -> Made:
    memory = bytearray(VALUES.tobytes())
    whole = np.ndarray((4,), "f8", buffer=memory)
    return np.lib.stride_tricks.as_strided(whole, (8,), (8,)), memory.clear


MAKERS: dict[str, Callable[[], Made]] = {
    "a bytearray": _bytearray,
    "a slice of a bytearray": _slice_of_a_bytearray,
    "an array.array": _array,
    "an mmap": _map,
    "an mmap that is shrunk": _shrunk_map,
    "a memoryview": _memoryview,
    "a bytearray, through as_strided": _strided,
}


@pytest.fixture(params=[*MAKERS, "a memmap", "a memmap of a part", "shared memory"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """An array of VALUES, and what pulls its memory away."""
    path = tmp_path / "values"
    if request.param == "shared memory":
        shared = SharedMemory(create=True, size=64)
        x = np.ndarray((8,), "f8", buffer=shared.buf)
        x[:] = VALUES
        yield x, shared.close
        del x
        shared.close()
        shared.unlink()
        return
    if request.param in MAKERS:
        yield MAKERS[request.param]()
        return
    (np.concatenate([VALUES, VALUES]) if request.param == "a memmap of a part" else VALUES).tofile(path)
    mapped: Any = np.memmap(path, "f8", "r+", offset=0 if request.param == "a memmap" else 64)
    yield mapped, mapped._mmap.close


def _capsule(x: Array) -> Any:
    return from_dlpack(interop.view(x).__dlpack__())


ROADS: dict[str, Callable[[Array], Any]] = {
    "to_torch": interop.to_torch,
    "to_torch, copy=False": lambda x: interop.to_torch(x, copy=False),
    "to_torch, writable=False": lambda x: interop.to_torch(x, writable=False),
    "to_torch, detach=True": lambda x: interop.to_torch(x, detach=True),
    "to_torch, device='cpu'": lambda x: interop.to_torch(x, device="cpu", order="C"),
    "to_numpy, writable=False": lambda x: interop.to_numpy(x, writable=False),
    "convert_like": lambda x: interop.convert_like(x, torch.zeros(1)),
    "view": interop.view,
    "an array of a view": lambda x: interop.to_numpy(interop.view(x)),
    "a tensor of a view": lambda x: interop.to_torch(interop.view(x)),
    "a view of an array of a view": lambda x: interop.view(interop.to_numpy(interop.view(x))[1:]),
    "a tensor and back": lambda x: interop.to_numpy(interop.to_torch(x)),
    "the capsule of a view": _capsule,
    "the buffer of a view": lambda x: np.asarray(memoryview(interop.view(x))),
    "the interface of a view": lambda x: np.asarray(interop.view(x)),
    "another type of array": lambda x: interop.to_torch(np.asarray(x)[:, None].T),
}


@pytest.mark.parametrize("road", ROADS)
def test_memory_isnt_pulled_away_from_under_a_view(made: Made, road: str) -> None:
    x, pull = made
    result = ROADS[road](x)
    del x, made
    for _ in range(2):
        with pytest.raises(BufferError):
            pull()
    seen = interop.to_numpy(result, copy=True).ravel()
    assert seen.tolist() == VALUES[-seen.size :].tolist()
    del result
    # Nothing is left behind that holds it.
    pull()


@pytest.mark.parametrize("copying", [{"copy": True}, {"dtype": "float32"}])
def test_a_copy_holds_nothing(made: Made, copying: dict[str, Any]) -> None:
    x, pull = made
    copies: list[Any] = [interop.to_torch(x, **copying), interop.to_numpy(x, **copying)]
    assert interop.explain(x, "torch", **copying).ok
    del x
    pull()
    assert [copy.tolist() for copy in copies] == [VALUES.tolist()] * 2


GONE: dict[str, Callable[[Array], Any]] = {
    **ROADS,
    "to_torch, copy=True": lambda x: interop.to_torch(x, copy=True),
    "to_numpy, copy=True": lambda x: interop.to_numpy(x, copy=True),
    "to_torch, dtype='int8'": lambda x: interop.to_torch(x, dtype="int8"),
    "the other byte order": lambda x: interop.to_torch(x.view(x.dtype.newbyteorder("S"))),
    "copyto, as source": lambda x: interop.copyto(torch.zeros(8), x),
    "copyto, as destination": lambda x: interop.copyto(x, torch.zeros(8)),
    "device": interop.device,
}


@pytest.mark.parametrize("road", GONE)
@pytest.mark.parametrize("kind", MAKERS)
def test_memory_that_was_pulled_away_before_is_refused(kind: str, road: str) -> None:
    x, pull = MAKERS[kind]()
    pull()
    with pytest.raises(interop.UnsupportedError, match="the memory of this ndarray is gone") as caught:
        GONE[road](x)
    assert "Make the array again" in str(caught.value)


def test_explain_says_so_too() -> None:
    x, pull = _map()
    assert interop.explain(x, "torch").zero_copy
    pull()
    plan = interop.explain(x, "torch")
    assert isinstance(plan.error, interop.UnsupportedError)
    assert "mmap closed" in str(plan.error)


def test_what_is_empty_needs_no_memory() -> None:
    memory = bytearray(8)
    x = np.ndarray((0, 3), "f8", buffer=memory)
    memory.clear()
    assert interop.to_torch(x).shape == (0, 3)
    assert interop.view(x[:, ::-1]).shape == (0, 3)


@pytest.mark.parametrize("step", [1, -1, 2, -3])
def test_every_layout_on_a_buffer_is_in_it(step: int) -> None:
    memory = bytearray(VALUES.tobytes())
    for x in (
        np.ndarray((8,), "f8", buffer=memory)[::step],
        np.ndarray((2, 4), "f8", buffer=memory)[::step, ::step],
        np.ndarray((2, 2, 2), "f8", buffer=memory, order="F")[:, ::step],
        np.asarray(memoryview(memory).cast("d"))[::step],
        np.asarray(memoryview(memory).cast("d")[::step]),
        np.asarray(memoryview(memory).cast("d")[::step])[::-1],
    ):
        v = interop.view(x)
        assert v.ptr == x.__array_interface__["data"][0]
        assert interop.to_numpy(v).tolist() == x.tolist()
        with pytest.raises(BufferError):
            memory.clear()
        del v
    del x
    memory.clear()


def test_an_array_of_numpys_own_memory_is_its_own_keeper() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for y in (x, x[1:], x.T[::-1]):
        assert interop.view(y).owner is y
    text = np.frombuffer(b"12345678", "f8")
    assert interop.view(text).owner is text


def test_a_view_names_whose_memory_it_is() -> None:
    memory = bytearray(16)
    x = np.ndarray((2,), "f8", buffer=memory)
    owner: Any = interop.view(x).owner
    assert owner.array is x
    assert owner.exporter is memory


@pytest.mark.parametrize("road", ROADS)
def test_nothing_leaks(road: str) -> None:
    memory = bytearray(VALUES.tobytes())
    x = np.ndarray((8,), "f8", buffer=memory)
    for _ in range(10):
        ROADS[road](x)
    before = (sys.getrefcount(memory), sys.getrefcount(x))
    for _ in range(200):
        ROADS[road](x)
    assert (sys.getrefcount(memory), sys.getrefcount(x)) == before


class Owner:
    """Stands for an object that has a buffer and says no."""

    def __init__(self) -> None:
        self.memory = np.arange(4.0)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.memory.__array_interface__


def test_a_base_without_a_buffer_changes_nothing() -> None:
    x = np.asarray(Owner())
    assert isinstance(x.base, Owner)
    assert interop.view(x).owner is x
    assert interop.to_torch(x).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("road", ["to_torch", "view", "to_torch, writable=False"])
def test_a_function_that_returns_what_is_on_shared_memory(road: str) -> None:
    """The SharedMemory goes when the function returns, and closes its map: nothing may be left on freed memory."""
    code = f"""
        import sys
        import numpy as np
        from multiprocessing.shared_memory import SharedMemory
        import interop
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_pulled_away import ROADS

        told = []
        sys.unraisablehook = lambda unraisable: told.append(unraisable.exc_type)
        shared = SharedMemory(create=True, size=1 << 20)
        np.ndarray(1 << 17, buffer=shared.buf)[:] = 7

        def load():
            attached = SharedMemory(name=shared.name)
            return ROADS[{road!r}](np.ndarray(1 << 17, buffer=attached.buf))

        result = load()
        rubbish = [np.ones(1 << 17) for _ in range(8)]
        assert (interop.to_numpy(result) == 7).all()
        assert told == [BufferError]
        shared.close()
        shared.unlink()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.xfail(reason="ctypes.resize asks nobody who has a buffer (python/cpython#154524)", strict=True)
def test_ctypes_resize_is_held_off() -> None:
    memory: Any = (ctypes.c_double * 8)(*VALUES)
    v = interop.view(np.ndarray((8,), "f8", buffer=memory))
    with pytest.raises(BufferError):
        ctypes.resize(memory, 1 << 20)
    del v


def test_what_ctypes_has_resized_is_refused() -> None:
    memory: Any = (ctypes.c_double * 8)(*VALUES)
    x = np.ndarray((8,), "f8", buffer=memory)
    assert interop.to_torch(x).tolist() == VALUES.tolist()
    ctypes.resize(memory, 1 << 24)
    with pytest.raises(interop.UnsupportedError, match="gone"):
        interop.view(x)


def test_two_maps_of_one_file_share_it_and_no_address(tmp_path: Path) -> None:
    path = tmp_path / "values"
    VALUES.tofile(path)
    one, other = (np.memmap(path, "f8", "r+") for _ in range(2))
    assert not interop.shares_memory(one, other)
    interop.to_torch(one)[0] = 42
    assert other[0] == 42
