"""Safetensors files, written and read here and by safetensors itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop.integrations.safetensors import load_file, load_metadata, save_file
from interop.testing import assert_identical
from interop.testing.strategies import torch_tensors

safetensors = pytest.importorskip("safetensors")
theirs = pytest.importorskip("safetensors.torch")
numpys = pytest.importorskip("safetensors.numpy")

DTYPES = [
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16"),
    *("float32", "float64", "complex64", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def some(dtype: str) -> torch.Tensor:
    kind = getattr(torch, dtype)
    raw = torch.arange(12 * kind.itemsize, dtype=torch.uint8)
    return (raw % 2).bool().reshape(3, 4) if dtype == "bool" else raw.view(kind).reshape(3, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_either_writes_the_other_reads(dtype: str, path: Path) -> None:
    t = some(dtype)
    save_file({"t": t, "turned": t.T.clone(memory_format=torch.preserve_format)}, path, {"by": "interop"})
    got = theirs.load_file(path)
    assert_identical(got["t"], t)
    assert_identical(got["turned"], t.T)
    assert load_metadata(path) == {"by": "interop"}
    theirs.save_file({"t": t}, path)
    assert_identical(load_file(path, "torch")["t"], t)
    ours = load_file(path)["t"]
    assert type(ours) is np.ndarray
    assert_identical(interop.to_torch(ours), t)


@given(x=torch_tensors(flavours=["plain", "conj"], dtypes=st.sampled_from(DTYPES)))
def test_every_layout_is_written_in_c_order(x: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("layouts") / "x"
    save_file({"x": x}, path)
    got = theirs.load_file(path)["x"]
    assert_identical(got, x.resolve_conj().contiguous())
    assert_identical(load_file(path, "torch")["x"], got)


def test_tensors_lie_on_the_map_and_writes_stay_here(path: Path) -> None:
    save_file({"w": torch.arange(1000.0), "b": np.ones(3, "i8")}, path)
    before = path.read_bytes()
    for to in ("numpy", "torch"):
        got = load_file(path, to, copy=False)
        got["w"][:] = 7
        assert float(got["w"].sum()) == 7000
        assert path.read_bytes() == before
    assert not load_file(path, writable=False)["w"].flags.writeable
    assert load_file(path, "torch", writable=False, copy=False)["w"][3] == 3


def test_frameworks_share_a_file(path: Path) -> None:
    jax = pytest.importorskip("jax")
    sent = {
        "j": jax.numpy.ones(3, "bfloat16"),
        "t": torch.ones(2, dtype=torch.float8_e5m2),
        "n": np.arange(4, dtype="i4"),
    }
    save_file(sent, path)
    got = load_file(path, "jax")
    assert got["j"].dtype == "bfloat16"
    assert got["n"].tolist() == [0, 1, 2, 3]
    assert interop.to_torch(got["t"], writable=False).dtype == torch.float8_e5m2


def test_ties_are_refused_unless_they_are_to_be_copied(path: Path) -> None:
    w = torch.arange(6.0)
    with pytest.raises(interop.UnsupportedError, match=r"'a' and 'b'.*ties='copy'"):
        save_file({"a": w, "b": w[2:]}, path)
    save_file({"a": w, "b": w[2:]}, path, ties="copy")
    assert load_file(path)["b"].tolist() == [2, 3, 4, 5]
    # On one storage, and not on one memory.
    save_file({"a": w[:3], "b": w[3:]}, path)


def test_only_some(path: Path) -> None:
    save_file({"a": torch.ones(2), "b": torch.zeros(2)}, path)
    assert list(load_file(path, names=["b"])) == ["b"]
    with pytest.raises(interop.UnsupportedError, match="no tensor 'c' in this file, but a, b"):
        load_file(path, names=["c"])


def test_what_can_not_be_saved(path: Path) -> None:
    with pytest.raises(interop.GradientError, match=r"w: .*detach=True"):
        save_file({"w": torch.ones(1, requires_grad=True)}, path)
    with pytest.raises(interop.DTypeError, match="w is complex128"):
        save_file({"w": np.ones(1, "c16")}, path)
    with pytest.raises(interop.UnsupportedError, match="names are strings"):
        save_file({1: np.ones(1)}, path)  # type: ignore[dict-item]
    with pytest.raises(interop.UnsupportedError, match="can't write"):
        save_file({"w": np.ones(1)}, path / "nowhere")
    with pytest.raises(interop.UnsupportedError, match="w: "):
        save_file({"w": "text"}, path)


def blob(header: Any, data: bytes = bytes(24), size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


ROW = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        blob(b"{", bytes(0)),
        blob([]),
        blob({"a": ROW}, size=2**63),
        blob({"a": ROW}, size=10**6),
        blob({"a": ROW}, bytes(23)),
        blob({"a": 3}),
        blob({"a": {"dtype": "F32"}}),
        *(
            blob({"a": ROW | {"data_offsets": each}})
            for each in ([0, 25], [-1, 23], [24, 0], [0], [0, 12], "ab", [0.0, 24])
        ),
        *(blob({"a": ROW | {"shape": each}}) for each in ([2, 4], [-2, -3], [2**62, 2**62, 0], "23", [True, 6], [[6]])),
        *(blob({"a": ROW | {"dtype": each}}) for each in ("F33", None, ["F32"], "F64", "F6_E2M3")),
        blob(b"[" * 100_000),
    ],
)
def test_a_file_that_is_none_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(interop.InteropError):
        load_file(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(interop.UnsupportedError, match="can't be mapped"):
        load_file(path)


def test_misaligned_tensors_are_copied(path: Path) -> None:
    path.write_bytes(
        blob(
            {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": ROW | {"data_offsets": [1, 25]}},
            bytes(25),
        )
    )
    got = load_file(path)
    assert got["b"].flags.aligned
    assert got["b"].shape == (2, 3)
