"""Trees of tensors as a header and buffers, to be sent or stored: pack, unpack, join, split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from interop._pack._arrival import Absent, array_on, framework_for, handed_over, keep_ties, memories, realign
from interop._pack._buffers import place
from interop._pack._files import join, split
from interop._pack._header import Header, Leaf, bad, dump, load
from interop._pack._landing import Landed, landed
from interop._pack._tree import Decoder, Encoder, spelled, unknown
from interop._registry.lookup import adapter_for_type
from interop._words import said, shown, text_of
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from types import ModuleType

    from interop._pack._tree import Path
    from interop._typed import ConvertOptions

__all__ = ["join", "pack", "split", "unpack"]


def pack(tree: Any, /, *, detach: bool = False) -> tuple[bytes, list[memoryview]]:
    """Turn a tree of tensors into a header and buffers, which another process, machine or language can read.

    Parameters
    ----------
    tree
        A tensor of any framework, or dicts, OrderedDicts, lists and tuples of tensors, strings, numbers and None.
        Keys are str, int, float, bool or None, and keep their type. A numpy scalar is a tensor without axes.
    detach
        Take the values of tensors that require grad, without their graph.

    Returns
    -------
    header : bytes
        ``TIPK``, version, length and JSON, as the page on packing has it.
    buffers : list of memoryview
        Bytes. They are views on the tensors' memory, where that is the host's and dense, in whatever order of axes;
        other layouts, other byte orders, conjugates and negatives are copied once, and so is memory of a device.

    Raises
    ------
    GradientError
        If a tensor requires grad and ``detach`` wasn't said.
    UnsupportedError
        If there is something else in the tree: pickle carries that (:mod:`interop.integrations.pickle`). The message
        names its place.

    See Also
    --------
    unpack : the way back.
    join : header and buffers as one block.

    Notes
    -----
    Tensors whose memory overlaps share a buffer, so that tied weights are sent once; on a device those only that are
    the same in all. Writing into a buffer writes into the tensor. Sub-byte types take a byte each, as in ml_dtypes.

    Examples
    --------
    >>> import numpy as np, interop
    >>> w = np.arange(6, dtype="float32").reshape(2, 3)
    >>> header, buffers = interop.pack({"w": w, "tied": w.T, "step": 7})
    >>> [b.nbytes for b in buffers]
    [24]
    >>> interop.unpack(header, buffers)["tied"].shape
    (3, 2)
    """
    encoder = Encoder()
    try:
        node = encoder.node(tree)
    except RecursionError:
        msg = "the tree is deeper than Python's stack is here. Flatten it."
        raise UnsupportedError(msg) from None
    leaves = _landed(encoder, detach=detach)
    places, buffers = place(leaves)
    rows = [
        Leaf(
            leaf.view.dtype.name,
            leaf.view.shape,
            strides,
            buffer,
            offset,
            leaf.framework,
            leaf.device,
            leaf.readonly,
            leaf.grad,
        )
        for leaf, (buffer, offset, strides) in zip(leaves, places, strict=True)
    ]
    return dump(Header(node, rows, [buffer.nbytes for buffer in buffers])), buffers


def _landed(encoder: Encoder, *, detach: bool) -> list[Landed]:
    """Every leaf in host memory; what is the same on a device is moved once."""
    moved: dict[Hashable, Landed] = {}
    found: list[Landed] = []
    for x, path in encoder.leaves:
        if not _is_tensor(type(x)):
            raise unknown(x, path)
        try:
            found.append(landed(x, detach=detach, moved=moved))
        except InteropError as err:
            raise _placed(err, path) from err
    return found


def _is_tensor(kind: type) -> bool:
    return adapter_for_type(kind) is not None


def _placed(error: InteropError, path: Path) -> InteropError:
    """The same error, with the place of what it is about."""
    if path is None:
        return error
    return type(error)(f"{spelled(path)}: {text_of(error)}")


def unpack(
    header: Any,
    buffers: Iterable[Any],
    /,
    to: str | ModuleType | None = None,
    *,
    absent: Absent = "numpy",
    **options: Unpack[ConvertOptions],
) -> Any:
    """Make the tree of a header again, its tensors on the buffers that arrived.

    Parameters
    ----------
    header
        Bytes, as :func:`pack` made them.
    buffers
        Objects of the buffer protocol, in the order of :func:`pack`: bytes, bytearrays, memoryviews, memory maps.
    to
        The framework of all tensors. None is the one that each was sent from, where it is imported here.
    absent
        What becomes of a tensor whose framework isn't imported, where `to` is None: ``"numpy"``, or ``"refuse"``.
    **options
        As in :func:`convert`, for each tensor: what the tensors are of now is numpy arrays on the buffers. Memory of
        a device isn't put back there, unless ``device=`` says so.

    Returns
    -------
    tree
        Tensors are views on the buffers, readonly where the buffer is or the sent tensor was, by the rules of
        :func:`convert`: torch, which can't express readonly, copies those, unless ``writable=False`` is a promise not
        to write. What doesn't lie on a multiple of its elements' size is copied. Equal tensors are one object.

    Raises
    ------
    UnsupportedError
        If the header is none, of another version, or says what the buffers can't be. Nothing in a header is executed,
        imported, or read from beyond a buffer.
    InteropError
        As :func:`convert` raises them.

    Notes
    -----
    The arrays hold an export of their buffer: a bytearray can't be resized and a map not closed under them.

    Examples
    --------
    >>> import numpy as np, torch, interop
    >>> header, buffers = interop.pack([torch.ones(2, dtype=torch.bfloat16), "a"])
    >>> arrived = [bytearray(b) for b in buffers]
    >>> interop.unpack(header, arrived)
    [tensor([1., 1.], dtype=torch.bfloat16), 'a']
    >>> interop.unpack(header, arrived, "numpy")
    [array([1, 1], dtype=bfloat16), 'a']
    """
    if absent not in ("numpy", "refuse"):
        msg = f"absent={shown(absent)} is not a value of this argument: pass 'numpy' or 'refuse'."
        raise UnsupportedError(msg)
    try:
        data = memoryview(header).cast("B")
    except (TypeError, ValueError) as err:
        bad(f"it is no bytes ({said(err)})")
    return unpack_read(load(data), buffers, to, absent, options)


def unpack_read(
    read: Header, buffers: Iterable[Any], to: str | ModuleType | None, absent: Absent, options: ConvertOptions
) -> Any:
    """What :func:`unpack` does, with a header that has been read."""
    found = memories(read, buffers)
    targets = [framework_for(leaf, absent) if to is None else to for leaf in read.leaves]
    realign(read, found)
    keep_ties(read, found, targets, options.get("writable"))
    made: dict[Any, Any] = {}
    arrays: list[Any] = []
    for leaf, target in zip(read.leaves, targets, strict=True):
        key = (leaf, target if isinstance(target, str) else id(target))
        if key not in made:
            made[key] = handed_over(array_on(leaf, found[leaf.buffer]), target, options)
        arrays.append(made[key])
    try:
        return Decoder(arrays).tree(read.tree)
    except RecursionError:
        bad("its tree is deeper than Python's stack is here")
