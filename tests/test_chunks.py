"""Pieces of something big: all of it, in order, in the memory of one."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays, shapes, torch_tensors

sources = st.one_of(
    numpy_arrays(shapes=shapes(min_dims=1)), torch_tensors(shapes=shapes(min_dims=1), flavours=["conj"])
)


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@given(x=sources, nbytes=st.integers(1, 100))
def test_the_pieces_are_the_whole_and_no_larger(x: Any, nbytes: int) -> None:
    if interop.dtype(x).numpy is None:
        return
    pieces = list(interop.chunks(x, nbytes, "numpy", copy=True))
    assert sum(len(piece) for piece in pieces) == len(x)
    row = pieces[0][:1].nbytes if pieces else 0
    assert all(piece.nbytes <= max(nbytes, row) for piece in pieces)
    if pieces:
        assert_identical(np.concatenate(pieces), interop.to_numpy(x, copy=True, dtype=pieces[0].dtype))


def anonymous() -> int:
    """Bytes of memory that isn't of a file, of this process."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Anonymous"].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system doesn't tell")
@pytest.mark.parametrize("to", ["torch", "numpy"])
def test_a_map_goes_through_the_memory_of_one_piece(to: str, tmp_path: Path) -> None:
    size, piece = 1 << 28, 1 << 22
    with (tmp_path / "big").open("wb+") as file:
        os.truncate(file.fileno(), size)
        there = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # What the library takes at its first call is its own.
    next(interop.chunks(there, piece, to, copy=True))
    before, most, seen = anonymous(), 0, 0
    for part in interop.chunks(there, piece, to, copy=True):
        seen += part.nbytes
        if not seen % (1 << 26):
            most = max(most, anonymous() - before)
    assert seen == size
    assert most < size // 8


def test_pieces_of_a_map_are_views_where_that_is_possible(tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes(bytes(range(200)))
    there = np.memmap(tmp_path / "map", "u1", "r")
    for piece in interop.chunks(there, 64, "torch", writable=False):
        assert interop.shares_memory(piece, there)
    t = torch.arange(100)
    assert all(interop.shares_memory(piece, t) for piece in interop.chunks(t, 80, "numpy"))


def test_what_has_no_pieces_is_refused_at_once() -> None:
    for nbytes in (0, -1, 1.5, None, "1", True):
        with pytest.raises(interop.UnsupportedError, match="nbytes="):
            interop.chunks(np.ones(3), nbytes, "torch")  # type: ignore[arg-type]
    with pytest.raises(interop.UnsupportedError, match="without an axis"):
        interop.chunks(np.array(1), 10, "torch")
    with pytest.raises(interop.UnsupportedError):
        interop.chunks("text", 10, "torch")
    assert len(list(interop.chunks(np.ones((3, 0)), 10, "torch"))) == 1
    assert list(interop.chunks(np.ones((0, 3)), 10, "torch")) == []
