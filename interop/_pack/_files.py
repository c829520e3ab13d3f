"""Header and buffers as one block: of a file, a segment of shared memory, or a message."""

from __future__ import annotations

from typing import Any

from interop._aligned import ALIGNMENT, empty_aligned
from interop._native import view_from_ndarray
from interop._pack._header import Header, bad, length, load
from interop._words import said


def up(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def offsets(header: bytes, sizes: list[int]) -> tuple[list[int], int]:
    """Where each buffer begins in a block, and how long the block is."""
    at, found = up(len(header)), list[int]()
    for size in sizes:
        found.append(at)
        at += up(size)
    return found, at


def join(header: bytes, buffers: list[memoryview], /, *, into: Any = None) -> Any:
    """Lay a header and its buffers out in one block, each on a multiple of 64 bytes.

    Parameters
    ----------
    header, buffers
        As :func:`pack` returned them.
    into
        Writable memory to lay them out in, such as a memory map of a file; None makes memory for them.

    Returns
    -------
    memoryview
        The block: of `into`, as far as it is needed, or of memory that begins at a multiple of 64 itself. One copy.

    Raises
    ------
    UnsupportedError
        If `into` is too short, or can't be written.

    Examples
    --------
    >>> import mmap, numpy as np, tempfile, interop
    >>> header, buffers = interop.pack(np.arange(3.0))
    >>> with tempfile.TemporaryFile() as file:
    ...     _ = file.write(interop.join(header, buffers))
    ...     file.flush()
    ...     there = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    >>> interop.unpack(*interop.split(there))
    array([0., 1., 2.])
    """
    starts, size = offsets(header, [buffer.nbytes for buffer in buffers])
    if into is None:
        block = view_from_ndarray(empty_aligned(size, "uint8", alignment=ALIGNMENT)).bytes
    else:
        block = _writable(into, size)
    block[: len(header)] = header
    block[len(header) : up(len(header))] = bytes(up(len(header)) - len(header))
    for start, buffer in zip(starts, buffers, strict=True):
        end = start + buffer.nbytes
        block[start:end] = buffer
        block[end : start + up(buffer.nbytes)] = bytes(up(buffer.nbytes) - buffer.nbytes)
    return block


def _writable(into: Any, size: int) -> memoryview:
    try:
        data = memoryview(into).cast("B")
    except (TypeError, ValueError) as err:
        bad(f"into= is no memory ({said(err)})")
    if data.readonly or data.nbytes < size:
        kind = "readonly" if data.readonly else "writable"
        bad(f"into= has {data.nbytes} bytes, {kind}, and {size} are to be written")
    return data[:size]


def split(data: Any, /) -> tuple[memoryview, list[memoryview]]:
    """Find the header and the buffers in what :func:`join` laid out; nothing is copied.

    Parameters
    ----------
    data
        An object of the buffer protocol. It may be longer, as shared memory is, which comes in pages.

    Returns
    -------
    header, buffers
        For :func:`unpack`.

    Raises
    ------
    UnsupportedError
        If it begins with no header, or ends before its last buffer.

    Examples
    --------
    >>> import numpy as np, interop
    >>> block = interop.join(*interop.pack(np.arange(3.0)))
    >>> header, buffers = interop.split(block)
    >>> [b.nbytes for b in buffers]
    [24]
    """
    header, _, buffers = parted(data)
    return header, buffers


def parted(data: Any) -> tuple[memoryview, Header, list[memoryview]]:
    """A block's header, what that says, and the buffers; it is read once.

    Raises
    ------
    UnsupportedError
        As :func:`split` does.
    """
    try:
        block = memoryview(data).cast("B")
    except (TypeError, ValueError) as err:
        bad(f"it is no bytes ({said(err)})")
    end = length(block)
    if end > block.nbytes:
        bad(f"it should have {end} bytes and has {block.nbytes}")
    header = block[:end]
    read = load(header)
    at, buffers = up(end), list[memoryview]()
    for size in read.sizes:
        if at + size > block.nbytes:
            bad(f"a buffer ends at byte {at + size} of {block.nbytes}")
        buffers.append(block[at : at + size])
        at += up(size)
    return header, read, buffers
