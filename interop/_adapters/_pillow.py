"""Pillow, as a source: the pixels through the Arrow C data interface where they are one block, else by Pillow's copy.

An image is an array of (height, width) or (height, width, bands). In memory a pixel of several bands takes four bytes,
so that three bands are a view with gaps. What was exported through Arrow is constant: images are readonly.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from interop._adapters._shared.host import HostLibrary, copy_values
from interop._adapters._shared.native import HostNative
from interop._contract import Facts, Limits
from interop._devices import CPU, device_of_pair
from interop._dtypes import BY_NAME, BY_NUMPY, dtype_of_triple
from interop._layout import c_strides
from interop._native import View, make_view, ndarray_from_view, view_from_ndarray
from interop.errors import UnsupportedError


class _Mode(NamedTuple):
    """The element type of a mode, its bands, and the strides in memory; None where memory holds something else."""

    dtype: str
    bands: int = 0
    pixel: int | None = 1
    band: int = 1


#: Memory isn't what it means: "1" has 0 and 255 for a bit, LAB has its offsets, the others may have another byte order.
_MODES: Final = {
    "1": _Mode("bool", pixel=None),
    "L": _Mode("uint8"),
    "P": _Mode("uint8"),
    "I": _Mode("int32"),
    "F": _Mode("float32"),
    "I;16": _Mode("uint16", pixel=None),
    "I;16L": _Mode("uint16", pixel=None),
    "I;16B": _Mode("uint16", pixel=None),
    "I;16N": _Mode("uint16", pixel=None),
    # Two bands are the first and the last byte of a pixel.
    **{mode: _Mode("uint8", 2, pixel=4, band=3) for mode in ("LA", "La", "PA")},
    **{mode: _Mode("uint8", 3, pixel=4) for mode in ("RGB", "YCbCr", "HSV")},
    **{mode: _Mode("uint8", 4, pixel=4) for mode in ("RGBA", "RGBa", "RGBX", "CMYK")},
    "LAB": _Mode("uint8", 3, pixel=None),
}

#: Bytes of pixels that Pillow encodes at once, where it copies.
_BAND: Final = 1 << 20


def _show(x: Any) -> Any:
    view = None if getattr(x, "tile", None) else _look(x)
    return NotImplemented if view is None else ndarray_from_view(view)


class PillowAdapter(HostLibrary):
    """The adapter of Pillow images."""

    name = "PIL"
    modules = ("PIL.Image",)
    native = HostNative({Image.Image: _show})
    room = Limits(dtypes=frozenset(row.name for row in BY_NUMPY.values()))

    def claims(self, tp: type, /) -> bool:
        """Images, of files too."""
        return issubclass(tp, Image.Image)

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off mode and size, and the address off an export through Arrow, which copies nothing."""
        if isinstance(x, np.ndarray):
            # What an image was copied to, in the middle of a plan.
            return super().describe(x)
        if not getattr(x, "tile", None):
            view = _look(x)
            if view is not None:
                return super().describe(view)
            return _facts(x, certain=True)
        return _facts(x, certain=False)

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Read the file."""
        if "lazy" in what and isinstance(x, Image.Image):
            x.load()
        return x

    def view(self, x: Any, /) -> View:
        """Look at the pixels of an image that is one block, or at what one was copied to."""
        if isinstance(x, View):
            return x
        if isinstance(x, np.ndarray):
            return view_from_ndarray(x)
        view = _look(x)
        if view is None:
            msg = f"a PIL image of mode {x.mode}, {x.size}, is copied by Pillow, never looked at."
            raise AssertionError(msg)
        return view

    def wrap(self, view: View, /) -> Any:
        """Make an array: there is no image on memory that is there."""
        return ndarray_from_view(view)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write what Pillow encodes, some rows at a time, so that no second copy of the image is made."""
        into = ndarray_from_view(dst) if isinstance(dst, View) else dst
        if not isinstance(src, Image.Image):
            copy_values(into, ndarray_from_view(self.view(src)))
            return
        width, height = src.size
        rows = max(1, _BAND // max(1, 4 * width))
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            copy_values(into[top:bottom], np.asarray(src.crop((0, top, width, bottom))))


def _mode(x: Any) -> _Mode:
    mode = _MODES.get(x.mode)
    if mode is None:
        msg = (
            f"a PIL image of mode {x.mode!r}, {x.size}, is no tensor that other libraries know. Pass x.convert('RGB')."
        )
        raise UnsupportedError(msg)
    return mode


def _shape(x: Any, mode: _Mode) -> tuple[int, ...]:
    width, height = x.size
    return (height, width, mode.bands) if mode.bands else (height, width)


def _facts(x: Any, *, certain: bool) -> Facts:
    mode = _mode(x)
    row = BY_NAME[mode.dtype]
    shape = _shape(x, mode)
    return Facts(
        framework="PIL",
        dtype=dtype_of_triple(row.code, row.bits, row.lanes),
        device=device_of_pair(CPU),
        shape=shape,
        strides=c_strides(shape),
        ptr=None,
        extent=None,
        readonly=True,
        pending=frozenset({"encoded"}) if certain else frozenset({"lazy"}),
        certain=certain,
        unknown="" if certain else "whether the pixels are one block of memory shows when the file has been read",
    )


def _look(x: Any) -> View | None:
    """The pixels as a View, or None where only Pillow can say what they are."""
    mode = _mode(x)
    # Since Pillow 11.3.
    if mode.pixel is None or not hasattr(x, "__arrow_c_array__"):
        return None
    try:
        exported = x.__arrow_c_array__()
    except ValueError:  # several blocks: an image of more than 16 MiB, as Pillow allocates them
        return None
    shape, row = _shape(x, mode), BY_NAME[mode.dtype]
    strides = (mode.pixel * x.width, mode.pixel, mode.band)[: len(shape)]
    triple = (row.code, row.bits, row.lanes)
    # The capsules release the pixels when they die.
    return make_view(_address(exported[1]), shape, strides, triple, (CPU, 0), readonly=True, owner=exported)


class _ArrowArray(ctypes.Structure):
    """``struct ArrowArray`` of the Arrow C data interface, as far as it is read here."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]

_capsule_pointer: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _address(capsule: Any) -> int:
    """Where the values are: those of the child, where the array is one of lists of a fixed size."""
    array = ctypes.cast(_capsule_pointer(capsule, b"arrow_array"), ctypes.POINTER(_ArrowArray)).contents
    values = array.children[0].contents if array.n_children else array
    return int(values.buffers[1] or 0)


adapter: Final = PillowAdapter()
