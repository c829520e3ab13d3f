"""The header that goes with the buffers: eight bytes, a length, and JSON that any language reads.

Nothing in a header is executed or imported. What one says is checked before it is believed: no leaf is larger than its
buffer or reaches beyond it, and no stride is 0, so that nothing grows on arrival.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from typing import Any, Final, NamedTuple, NoReturn

from interop._dtypes import BY_NAME, DType
from interop._layout import extent
from interop._words import said, shown
from interop.errors import UnsupportedError

#: ``TIPK``, the version (major, minor), two zeros, and the length of the JSON: a little-endian integer of 32 bits.
MAGIC: Final = b"TIPK"
VERSION: Final = (1, 0)
_PREFIX: Final = struct.Struct("<4sBBHI")

#: A tree that is deeper is refused on both sides, so that every reader's stack is deep enough.
DEPTH: Final = 200

_MOST_AXES: Final = 64
_LARGEST: Final = 2**62


class Leaf(NamedTuple):
    """One tensor of a tree: which bytes of which buffer it is, and what they mean.

    `strides` are in elements, and None for C order; `offset` is the first element's, in bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    buffer: int
    offset: int
    framework: str
    device: str
    readonly: bool
    grad: bool = False

    @classmethod
    def checked(
        cls, dtype: Any, shape: Any, strides: Any, size: int, offset: int = 0, *, readonly: bool = False
    ) -> Leaf:
        """A leaf alone on a buffer of `size` bytes, which another process said.

        Raises
        ------
        UnsupportedError
            If it can't be.
        """
        row = {"dtype": dtype, "shape": list(shape), "buffer": 0, "offset": offset, "framework": "", "device": "cpu"}
        if strides is not None:
            row["strides"] = list(strides)
        return _leaf(row | {"readonly": readonly}, [size])


class Header(NamedTuple):
    """What a header says: the tree as nodes, its leaves, and how many bytes each buffer has."""

    tree: Any
    leaves: list[Leaf]
    sizes: list[int]


def bad(why: str) -> NoReturn:
    """Refuse a header.

    Raises
    ------
    UnsupportedError
        Always.
    """
    msg = (
        f"this is no header that can be read here: {why}. Pass header and buffers as interop.pack(tree) returned them, "
        "or what interop.split(data) gives of a file."
    )
    raise UnsupportedError(msg)


def check_machine() -> None:
    """Refuse to guess: elements are little-endian, and a machine that isn't has never been tried.

    Raises
    ------
    UnsupportedError
        On a big-endian machine.
    """
    if sys.byteorder != "little":
        msg = "buffers are little-endian, and this machine isn't. Send interop.to_numpy(x).astype('<f4') as bytes."
        raise UnsupportedError(msg)


def dump(header: Header) -> bytes:
    """Spell a header."""
    check_machine()
    body = json.dumps(
        {"tree": header.tree, "leaves": [_row(leaf) for leaf in header.leaves], "buffers": header.sizes},
        separators=(",", ":"),
        allow_nan=False,
    ).encode("ascii")
    if len(body) >= 1 << 32:
        msg = f"a header of {len(body)} bytes has no place for its length. Pack parts of the tree one by one."
        raise UnsupportedError(msg)
    return _PREFIX.pack(MAGIC, *VERSION, 0, len(body)) + body


def _row(leaf: Leaf) -> dict[str, Any]:
    row: dict[str, Any] = {"dtype": leaf.dtype, "shape": leaf.shape, "buffer": leaf.buffer, "offset": leaf.offset}
    if leaf.strides is not None:
        row["strides"] = leaf.strides
    row |= {"framework": leaf.framework, "device": leaf.device}
    if leaf.readonly:
        row["readonly"] = True
    if leaf.grad:
        row["grad"] = True
    return row


def length(data: memoryview) -> int:
    """How many bytes of `data` are its header, by its first twelve."""
    if len(data) < _PREFIX.size:
        bad(f"it has {len(data)} bytes, and the shortest has {_PREFIX.size}")
    magic, major, minor, zero, size = _PREFIX.unpack(data[: _PREFIX.size])
    if magic != MAGIC:
        bad("it doesn't begin with TIPK")
    if major != VERSION[0]:
        bad(f"it has version {major}.{minor}, and this is a reader of version {VERSION[0]}")
    if zero:
        bad("the two bytes behind its version aren't 0")
    return _PREFIX.size + int(size)


def load(data: memoryview) -> Header:
    """Read a header, and check every leaf against the size of its buffer.

    Raises
    ------
    UnsupportedError
        If anything is wrong with it.
    """
    check_machine()
    size = length(data)
    if len(data) != size:
        bad(f"it should have {size} bytes and has {len(data)}")
    try:
        body: Any = json.loads(bytes(data[_PREFIX.size :]), parse_constant=bad)
    except (ValueError, RecursionError) as err:
        bad(f"it holds no JSON ({said(err)})")
    if type(body) is not dict or not {"tree", "leaves", "buffers"} <= body.keys():
        bad("it lacks a tree, leaves or buffers")
    if type(body["leaves"]) is not list or type(body["buffers"]) is not list:
        bad("its leaves or buffers are no lists")
    sizes = [_count(size, "the size of a buffer") for size in body["buffers"]]
    return Header(body["tree"], [_leaf(row, sizes) for row in body["leaves"]], sizes)


def _leaf(row: Any, sizes: list[int]) -> Leaf:
    if type(row) is not dict or not {"dtype", "shape", "buffer", "offset", "framework", "device"} <= row.keys():
        bad(f"a leaf lacks its dtype, shape, buffer, offset, framework or device: {shown(row)}")
    name, shape, strides = row["dtype"], row["shape"], row.get("strides")
    if type(name) is not str or name not in BY_NAME:
        bad(f"{shown(name)} is no element type")
    if type(shape) is not list or len(shape) > _MOST_AXES:
        bad(f"{shown(shape)} is no shape")
    if strides is not None and (type(strides) is not list or len(strides) != len(shape)):
        bad(f"the strides {shown(strides)} don't fit the shape {shown(shape)}")
    readonly, grad = row.get("readonly", False), row.get("grad", False)
    if type(readonly) is not bool or type(grad) is not bool:
        bad("a leaf's flags are neither true nor false")
    if type(row["framework"]) is not str or type(row["device"]) is not str:
        bad("a leaf's framework or device is no text")
    leaf = Leaf(
        name,
        tuple([_count(side, "a side of a shape") for side in shape]),
        None if strides is None else tuple([_number(step, -_LARGEST, "a stride") for step in strides]),
        _count(row["buffer"], "the number of a buffer"),
        _count(row["offset"], "an offset"),
        row["framework"],
        row["device"],
        readonly,
        grad,
    )
    if leaf.buffer >= len(sizes):
        bad(f"a leaf is in buffer {leaf.buffer}, and there are {len(sizes)}")
    _check_room(leaf, sizes[leaf.buffer])
    return leaf


def _check_room(leaf: Leaf, size: int) -> None:
    """Refuse a leaf that isn't wholly inside of its buffer, or that has more bytes than it."""
    itemsize = DType(leaf.dtype).itemsize
    # numpy and torch count the lengths although an axis is empty.
    if math.prod(side or 1 for side in leaf.shape) * itemsize > _LARGEST:
        bad(f"no memory has the shape {leaf.shape}")
    if leaf.offset > size or math.prod(leaf.shape) * itemsize > size:
        bad(f"{leaf.dtype} {leaf.shape} is larger than its buffer of {size} bytes")
    if 0 in leaf.shape:
        return
    if leaf.strides is None:
        if leaf.offset + math.prod(leaf.shape) * itemsize > size:
            bad(f"{leaf.dtype} {leaf.shape} at {leaf.offset} reaches beyond its buffer of {size} bytes")
        return
    if any(step == 0 and side > 1 for side, step in zip(leaf.shape, leaf.strides, strict=True)):
        bad(f"a leaf has a stride of 0: {leaf.strides}")
    low, high = extent(leaf.offset, leaf.shape, tuple([step * itemsize for step in leaf.strides]), itemsize)
    if low < 0 or high > size:
        bad(f"{leaf.dtype} {leaf.shape} with strides {leaf.strides} reaches beyond its buffer of {size} bytes")


def _count(value: Any, what: str) -> int:
    return _number(value, 0, what)


def _number(value: Any, low: int, what: str) -> int:
    # A bool is an int too, and no number.
    if type(value) is not int or not low <= value <= _LARGEST:
        bad(f"{what} is {shown(value)}")
    return value
