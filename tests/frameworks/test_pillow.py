"""Pillow images: every mode, through Arrow where the pixels are one block and mean what they are."""

from __future__ import annotations

import gc
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

import interop
from interop.testing import assert_identical

#: The modes whose memory is handed over as it is, and those that Pillow has to encode.
VIEWS = ["L", "P", "I", "F", "LA", "La", "PA", "RGB", "YCbCr", "HSV", "RGBA", "RGBa", "RGBX", "CMYK"]
COPIES = ["1", "I;16", "I;16L", "I;16B", "LAB"]
#: More pixels than Pillow puts into one block of memory.
LARGE = (3000, 2000)


def image(mode: str, size: tuple[int, int]) -> Any:
    length = len(Image.new(mode, size).tobytes())
    rng = np.random.default_rng(len(mode))
    raw = rng.random(length // 4, "float32").tobytes() if mode == "F" else rng.integers(0, 256, length, "u1").tobytes()
    return Image.frombytes(mode, size, raw) if length else Image.new(mode, size)


@pytest.mark.parametrize("size", [(4, 3), (5, 3), (1, 1), (7, 5), (0, 0), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize("mode", VIEWS + COPIES)
def test_every_mode_is_what_numpy_makes_of_it(mode: str, size: tuple[int, int]) -> None:
    x = image(mode, size)
    expected = np.asarray(x)
    plan = interop.explain(x, "numpy")
    a = interop.to_numpy(x)
    assert_identical(a, expected.astype(expected.dtype.newbyteorder("=")))
    assert a.shape == expected.shape
    assert plan.certain
    assert plan.zero_copy == (mode in VIEWS)
    assert a.flags.writeable == (not plan.zero_copy)
    assert plan.copied_bytes == (0 if plan.zero_copy else a.nbytes)


@pytest.mark.parametrize("mode", VIEWS)
def test_a_view_sees_what_pillow_writes(mode: str) -> None:
    x = image(mode, (6, 4))
    a = interop.to_numpy(x)
    assert interop.shares_memory(a, x)
    other = x.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x.paste(other)
    assert_identical(a, np.asarray(other))


def test_a_large_image_is_copied_and_the_plan_says_so() -> None:
    x = Image.new("RGB", LARGE, (1, 2, 3))
    plan = interop.explain(x, "numpy")
    assert (plan.certain, plan.zero_copy, plan.copied_bytes) == (True, False, 3000 * 2000 * 3)
    assert plan.reasons == ("the memory isn't plain elements: only its own framework can decode it",)
    assert_identical(interop.to_numpy(x), np.asarray(x))
    with pytest.raises(interop.CopyError):
        interop.to_numpy(x, copy=False)


def test_a_copy_makes_no_second_one_on_the_way() -> None:
    x = Image.new("RGB", LARGE)
    size = 3000 * 2000 * 3
    tracemalloc.start()
    a = interop.to_numpy(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert a.nbytes == size
    assert peak < 1.3 * size


def test_an_image_that_has_not_been_read_is_not_read_to_explain() -> None:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(file, "png")
    x = Image.open(io.BytesIO(file.getvalue()))
    plan = interop.explain(x, "numpy")
    assert x.tile
    assert not plan.certain
    assert "has been read" in plan.cautions[-1]
    assert_identical(interop.to_numpy(x), np.full((4, 5, 3), (1, 2, 3), "uint8"))
    assert interop.explain(x, "numpy").certain


def test_images_are_readonly() -> None:
    torch = pytest.importorskip("torch")
    x = Image.new("RGB", (4, 3), (1, 2, 3))
    assert not interop.to_numpy(x).flags.writeable
    interop.to_torch(x).fill_(9)
    assert x.getpixel((0, 0)) == (1, 2, 3)
    with pytest.raises(interop.ReadOnlyError):
        interop.to_torch(x, copy=False)
    t = interop.to_torch(x, writable=False)
    assert t.stride() == (16, 4, 1)
    assert torch.equal(t, torch.tensor([1, 2, 3], dtype=torch.uint8).expand(3, 4, 3))


def test_pixels_live_as_long_as_their_view() -> None:
    a = interop.to_numpy(Image.new("RGBA", (200, 300), (1, 2, 3, 4)))
    gc.collect()
    rubbish = [Image.new("RGBA", (200, 300), (9, 9, 9, 9)) for _ in range(8)]
    assert (a == (1, 2, 3, 4)).all()
    del rubbish


def test_an_image_is_no_target() -> None:
    with pytest.raises(interop.UnsupportedError, match=r"PIL\.Image\.fromarray\(interop\.to_numpy\(x\)\)"):
        interop.convert(np.zeros((2, 2), "uint8"), "PIL")


def test_casts_and_orders_are_one_pass() -> None:
    for mode in ("RGB", "1", "I;16"):
        x = image(mode, (5, 4))
        expected = np.asarray(x)
        assert_identical(interop.to_numpy(x, dtype="float32"), expected.astype("float32"))
        assert interop.to_numpy(x, order="F").flags.f_contiguous
        assert_identical(interop.to_numpy(x, order="F"), expected.astype(expected.dtype.newbyteorder("=")))
