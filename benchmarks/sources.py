"""The few helpers that the rows' code needs beside the libraries themselves."""

from __future__ import annotations

import atexit
import pickle
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from multiprocessing import shared_memory
from operator import attrgetter
from typing import Any, Final

import numpy as np

from interop import empty_aligned, via

Array = np.ndarray[Any, Any]

#: To convert like, and to write into.
an_array: Final[Array] = np.zeros((3, 4), np.float32)

#: Looks at a description of memory, which some make only when they are asked.
read: Final = attrgetter("ptr", "shape", "strides", "dtype")


def aligned() -> Array:
    """Make an array that every framework takes as it is."""
    made = empty_aligned((3, 4), "float32")
    made[...] = np.random.default_rng(0).random((3, 4), np.float32)
    return made


#: Functions of numpy's, and the same for any framework's arrays.
add: Final = np.add
added: Final[Any] = via("numpy")(np.add)
negated: Final[Any] = via("numpy")(np.negative)


def tensors() -> dict[str, Any]:
    """Make a thousand tensors, as the weights of a model."""
    import torch

    return {f"layer.{number}.weight": torch.rand(3, 4) for number in range(1000)}


def locked_tensors() -> dict[str, Any]:
    """Make a thousand tensors whose memory can't be resized any more, as that of what ``torch.load`` reads."""
    import torch

    return {name: torch.from_numpy(tensor.numpy()) for name, tensor in tensors().items()}


def frozen(array: Array) -> Array:
    """Mark an array readonly."""
    array.setflags(write=False)
    return array


def swapped(array: Array) -> Array:
    """Give the array the other byte order, in place."""
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder())


def there_and_back(dumps: Callable[..., bytes], x: Any) -> Any:
    """Pickle out of band, and unpickle on the same buffers."""
    buffers: list[pickle.PickleBuffer] = []
    return pickle.loads(dumps(x, protocol=5, buffer_callback=buffers.append), buffers=buffers)


@cache
def a_file(megabytes: int) -> str:
    """A safetensors file; it is removed when the process ends."""
    from interop.integrations.safetensors import save_file

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/w.safetensors"
    save_file({"w": np.ones(megabytes << 18, np.float32)}, path)
    return path


@cache
def a_segment() -> Any:
    """An array in shared memory."""
    from interop.integrations.shared_memory import empty_shared

    return empty_shared((1000, 1000), "bfloat16")


def their_attach(name: str) -> Any:
    """Find a segment as Python itself does: without shape and element type."""
    return shared_memory.SharedMemory(name)


def as_ndarray(result: Any) -> Array:
    """Read any result of a row as an array, without the library under test: its bits, where numpy lacks the type."""
    if isinstance(result, np.ndarray | memoryview) or not hasattr(result, "__dlpack__"):
        return np.asarray(result)
    if type(result).__module__ == "torch":
        import torch

        plain = result.detach().cpu()
        bits = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.uint8}.get(plain.dtype)
        return np.asarray(plain if bits is None else plain.view(bits))
    if on_a_device(result):
        return np.from_dlpack(result, device="cpu")
    return np.from_dlpack(result)


def on_a_device(x: Any) -> bool:
    """Whether the memory isn't the host's: kDLCPU is 1."""
    return int(x.__dlpack_device__()[0]) != 1


def bits(array: Array) -> bytes:
    """The values as bytes, in C order and the machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False).tobytes()


def pointer(x: Any) -> int:
    """Where the first element is."""
    if type(x).__module__ == "torch":
        return int(x.data_ptr())
    if type(x).__module__.startswith("cupy"):
        return int(x.__cuda_array_interface__["data"][0])
    return int(as_ndarray(x).__array_interface__["data"][0])
