"""Sources of numpy: every element type in every layout, and what only looks like an array."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from fuzz import texts
from fuzz.programs import Source


def dtype_text(name: str) -> str:
    """The spelling of an element type for numpy."""
    return f"ml_dtypes.{name}" if name in texts.SMALL or name in texts.PACKED else repr(name)


def values(random: Random, name: str, shape: texts.Shape) -> str:
    """Statements that make `a`, an array in C order: numbers that count, or any bits."""
    count = texts.size(shape)
    if random.random() < 0.5 or not count:
        most = 2 if name == "bool" else 3 if name in texts.PACKED else 16
        return f"a = (np.arange({count}) % {most}).astype('f4').astype({dtype_text(name)}).reshape({shape})"
    return f"a = {texts.bits(random, name, count)}.view({dtype_text(name)}).reshape({shape})"


#: as_strided goes by the array interface, which has no words for the types of ml_dtypes.
_RAW: Final = "b = a.view(f'V{a.itemsize}')\n"

#: What makes `x` of `a`, by name, with the fewest axes that it needs.
LAYOUTS: Final[dict[str, tuple[int, str]]] = {
    "c": (0, "x = a"),
    "fortran": (0, "x = np.asfortranarray(a)"),
    "transposed": (0, "x = a.T"),
    "moved": (2, "x = np.moveaxis(a, 0, -1)"),
    "stepped": (1, "x = a[::2]"),
    "stepped inside": (1, "x = a[..., ::3]"),
    "reversed": (1, "x = a[::-1]"),
    "reversed inside": (1, "x = a[..., ::-1]"),
    "from the middle": (1, "x = a[len(a) // 2:]"),
    "broadcast": (0, "x = np.broadcast_to(a, (2, *a.shape))"),
    "repeated": (0, "x = as_strided(a.view(f'V{a.itemsize}'), (3, *a.shape), (0, *a.strides)).view(a.dtype)"),
    "overlapping": (
        1,
        _RAW
        + "x = as_strided(b, (2, *a.shape[:-1], max(a.shape[-1] - 1, 0)), (a.strides[-1], *a.strides)).view(a.dtype)",
    ),
    "axes of length 1": (
        0,
        _RAW + "x = as_strided(b, (1, *a.shape, 1), (999 * a.itemsize, *a.strides, -7 * a.itemsize)).view(a.dtype)",
    ),
    "unaligned": (0, "x = np.frombuffer(bytearray(b'-' + a.tobytes()), 'u1')[1:].view(a.dtype).reshape(a.shape)"),
    "readonly": (0, "x = a\nx.flags.writeable = False"),
    "readonly, reversed": (1, "x = a[::-1]\nx.flags.writeable = False"),
    "other byte order": (0, "x = a.astype(a.dtype.newbyteorder('>'))"),
    "other byte order, readonly": (0, "x = a.astype(a.dtype.newbyteorder('>'))[...]\nx.flags.writeable = False"),
    "a field": (0, "record = np.zeros(a.shape, [('x', 'u1'), ('y', a.dtype)])\nrecord['y'] = a\nx = record['y']"),
    "an even field": (
        0,
        "record = np.zeros(a.shape, [('y', a.dtype), ('z', a.dtype)])\nrecord['y'] = a\nx = record['y']",
    ),
    "of an array that owns": (0, "x = a.copy()"),
    "aligned": (0, "x = interop.empty_aligned(a.shape, a.dtype)\nx[...] = a"),
}

#: What an array of any type isn't: where its values are as good as an array's, and where they mean more.
PLAIN_KINDS: Final = {
    "a memory map": "x = np.memmap(tempfile.TemporaryFile(), a.dtype, 'w+', shape=a.shape or (1,))\nx[...] = a",
    "a readonly memory map": (
        "f = tempfile.TemporaryFile()\nf.write(a.tobytes())\nx = np.memmap(f, a.dtype, 'r', shape=a.shape or (1,))"
    ),
    "a matrix": "x = a.reshape(-1, 1).view(np.matrix)",
    "a tensor's": "t = torch.from_numpy(a.copy())\nx = interop.to_numpy(t)",
    "a tensor's, readonly": "t = torch.from_numpy(a.copy())\nx = interop.to_numpy(t, writable=False)",
    "a view's": "x = interop.to_numpy(interop.view(bytearray(a.tobytes() or b'-')))[::1]\na = None",
}
SCALAR: Final = "x = a.reshape(-1)[0]"

OPAQUE: Final = {
    "a masked array": "x = np.ma.masked_array(np.arange(3.0), [0, 1, 0])",
    "an unmasked array": "x = np.ma.masked_array(np.arange(3.0))",
    "a subclass": "x = np.arange(3.0).view(Annotated)",
    "an array of objects": "x = np.array([1, None, 'a'], object)",
    "an array of numbers as objects": "x = np.array([1, 2.5], object)",
    "strings": "x = np.array(['a', 'bc'])",
    "byte strings": "x = np.array([b'a', b'bc'])",
    "dates": "x = np.array(['2026-11-27', 'NaT'], 'M8[D]')",
    "durations": "x = np.array([1, 2], 'm8[s]')",
    "structures": "x = np.zeros(3, [('x', 'f4'), ('y', 'i2')])",
    "raw bytes": "x = np.zeros(3, 'V4')",
    "long doubles": "x = np.arange(3, dtype='longdouble')",
    "complex long doubles": "x = np.arange(3, dtype='clongdouble')",
    "a recarray": "x = np.zeros(3, [('x', 'f4')]).view(np.recarray)",
    "a string scalar": "x = np.str_('a')",
    "a date scalar": "x = np.datetime64('2026-11-27')",
    "a structure scalar": "x = np.zeros(1, [('x', 'f4')])[0]",
}


def array(random: Random) -> Source:
    """A plain array in any layout."""
    layout, (least, text) = random.choice(list(LAYOUTS.items()))
    name = random.choice(texts.PACKED) if random.random() < 0.05 else texts.dtype(random)
    shape = texts.shape(random, least=least)
    if layout == "aligned" and name in texts.PACKED:
        layout, text = "c", "x = a"
    made = f"{values(random, name, shape)}\n{text}"
    return Source(made, f"numpy, {layout}", "numpy", dtype=name, plain=name in texts.COMMON)


def kind(random: Random) -> Source:
    """A memory map or a matrix."""
    name, text = random.choice(list(PLAIN_KINDS.items()))
    dtype = random.choice(texts.COMMON)
    shape = texts.shape(random)
    if not texts.size(shape):
        shape = (3,)
    kept = "uint8" if name == "a view's" else dtype
    return Source(f"{values(random, dtype, shape)}\n{text}", f"numpy, {name}", "numpy", dtype=kept, plain=True)


def scalar(random: Random) -> Source:
    """One of numpy's scalars."""
    name = texts.dtype(random)
    return Source(f"{values(random, name, (1,))}\n{SCALAR}", "numpy scalar", "numpy", dtype=name, placed=False)


def opaque(random: Random) -> Source:
    """What means more than its numbers."""
    name, text = random.choice(list(OPAQUE.items()))
    return Source(text, f"numpy, {name}", "numpy", opaque=True)


SOURCES: Final[tuple[tuple[int, Callable[[Random], Source]], ...]] = ((30, array), (4, kind), (2, scalar), (3, opaque))
