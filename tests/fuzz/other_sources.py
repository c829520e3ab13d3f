"""Sources without a framework: buffers, what speaks a protocol, capsules, Views; and what is no tensor at all."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from fuzz import sources_of_numpy, sources_of_torch, texts
from fuzz.programs import Source

BUFFERS: Final = {
    "bytes": ("x = bytes(range(7))\ntruth = np.frombuffer(x, 'u1')", "uint8"),
    "no bytes": ("x = b''\ntruth = np.frombuffer(b'-', 'u1')[:0]", "uint8"),
    "bytearray": ("x = bytearray(range(7))\ntruth = np.frombuffer(x, 'u1')", "uint8"),
    "memoryview": ("x = memoryview(bytearray(range(9)))[1::2]\ntruth = np.asarray(x)", "uint8"),
    "memoryview, reversed": ("x = memoryview(bytes(range(9)))[::-1]\ntruth = np.asarray(x)", "uint8"),
    "memoryview of shorts": ("x = memoryview(bytearray(range(12))).cast('h', (2, 3))\ntruth = np.asarray(x)", "int16"),
    "memoryview of booleans": ("x = memoryview(bytes([0, 1, 1])).cast('?')\ntruth = np.asarray(x)", "bool"),
    "a ctypes array": ("x = (ctypes.c_float * 3)(1, 2, 3)\ntruth = np.ctypeslib.as_array(x)", "float32"),
    "a ctypes matrix": ("x = ((ctypes.c_int32 * 3) * 2)()\ntruth = np.ctypeslib.as_array(x)", "int32"),
    "a map": ("x = mmap.mmap(-1, 64)\ntruth = np.frombuffer(x, 'u1')", "uint8"),
    **{
        f"array of {code}": (f"x = array.array({code!r}, [0, 1, 2, 3])\ntruth = np.asarray(memoryview(x))", name)
        for code, name in (
            ("b", "int8"),
            ("B", "uint8"),
            ("h", "int16"),
            ("i", "int32"),
            ("q", "int64"),
            ("Q", "uint64"),
        )
    },
    **{
        f"array of {code}": (f"x = array.array({code!r}, [0.5, 1, 2])\ntruth = np.asarray(memoryview(x))", name)
        for code, name in (("f", "float32"), ("d", "float64"))
    },
}

#: What makes of `a`, an array whose memory it is on, an object that says so in another way.
PROTOCOLS: Final = {
    "an interface": "x = Interface(a)\ntruth = a",
    "a DLPack object": "x = DLPack(a)\ntruth = a",
    "an old DLPack object": "x = OldDLPack(a)\ntruth = a",
    "both protocols": "x = Both(a)\ntruth = a",
    "a view": "x = interop.view(a)\ntruth = a",
    "a readonly view": "x = interop.view(a).with_readonly()\ntruth = a[...]\ntruth.flags.writeable = False",
    "a view of a view": "x = interop.view(interop.view(a))\ntruth = a",
}
CAPSULES: Final = {
    "a capsule": "x = interop.view(a).__dlpack__(max_version=(1, 3))\ntruth = a",
    "numpy's capsule": "x = a.__dlpack__(max_version=(1, 0))\ntruth = a",
    "an old capsule": "x = interop.view(a).__dlpack__()\ntruth = a",
    "a copied capsule": "x = interop.view(a).__dlpack__(max_version=(1, 3), copy=True)\ntruth = a.copy()",
}
OF_TORCH: Final = {
    "a view of torch": "x = interop.view(t)\ntruth = t",
    "a DLPack object of torch": "x = DLPack(t)\ntruth = t",
    "torch's capsule": "x = t.__dlpack__(max_version=(1, 0))\ntruth = t",
}

#: What no conversion takes.
NOTHING: Final = {
    "None": "x = None",
    "a number": "x = 1.5",
    "a list": "x = [1.0, 2.0]",
    "a string": "x = 'abc'",
    "a dict": "x = {'a': np.ones(3)}",
    "a class": "x = np.ndarray",
    "a class of torch's": "x = torch.Tensor",
    "a function": "x = len",
    "an __array__": "x = Arrayed()",
    "a raising object": "x = Raising()",
    "a raising interface": "x = RaisingInterface()",
    "a used capsule": "x = np.arange(3.0).__dlpack__()\nnp.from_dlpack(OldDLPack(np.ones(1)))\ninterop.view(x)",
    "an array of pointers": "x = (ctypes.c_void_p * 3)()",
    "a structure": "x = array.array('u', 'abc')",
    "a storage": "x = torch.ones(3).untyped_storage()",
    "a dtype": "x = np.dtype('f4')",
    "a released memoryview": "x = memoryview(b'abc')\nx.release()",
}


def buffer(random: Random) -> Source:
    """Something of the standard library with a buffer."""
    name, (text, dtype) = random.choice(list(BUFFERS.items()))
    return Source(text, name, "", dtype=dtype, plain=True)


def _array(random: Random) -> tuple[str, str]:
    name = random.choice(texts.COMMON)
    shape = texts.shape(random)
    text = sources_of_numpy.values(random, name, shape)
    if len(shape) and random.random() < 0.3:
        text += "\na = a[::2]"
    return text, name


def protocol(random: Random) -> Source:
    """An object that speaks a protocol."""
    kind, made = random.choice(list(PROTOCOLS.items()))
    text, dtype = _array(random)
    # What can't say whether it may be written counts as readonly.
    return Source(f"{text}\n{made}", kind, "", dtype=dtype, plain=True, unsaid="old" in kind)


def capsule(random: Random) -> Source:
    """A capsule, which is good for one call."""
    kind, made = random.choice(list(CAPSULES.items()))
    text, dtype = _array(random)
    return Source(
        f"{text}\n{made}",
        kind,
        "",
        dtype=dtype,
        plain=True,
        once=True,
        unsaid="old" in kind,
        placed="copied" not in kind,
    )


def of_torch(random: Random) -> Source:
    """The same, of a tensor."""
    kind, made = random.choice(list(OF_TORCH.items()))
    dtype = texts.dtype(random)
    text = sources_of_torch.values(random, dtype, texts.shape(random))
    return Source(f"{text}\n{made}", kind, "", dtype=dtype, once="capsule" in kind)


def nothing(random: Random) -> Source:
    """What is no tensor."""
    name, text = random.choice(list(NOTHING.items()))
    return Source(text, name, "", opaque=True)


SOURCES: Final[tuple[tuple[int, Callable[[Random], Source]], ...]] = (
    (6, buffer),
    (8, protocol),
    (4, capsule),
    (3, of_torch),
    (2, nothing),
)
