"""Arrays that lie in several blocks: in chunks, in columns, or packed. They can only be copied, one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from interop import _layout
from interop._adapters._numpy import adapter as host
from interop._adapters._shared.host import HostLibrary, copy_values
from interop._contract import Facts, Limits
from interop._devices import CPU, device_of_pair
from interop._dtypes import BY_NAME, dtype_of_triple
from interop._native import View, ndarray_from_view, view_from_ndarray

if TYPE_CHECKING:
    from interop._contract import Pending


class Outline(NamedTuple):
    """What the copy will be: the name of its element type, its shape, and why there is no memory to be shared."""

    dtype: str
    shape: tuple[int, ...]
    pending: Pending = "chunked"


class InPieces(HostLibrary):
    """The adapter of one library's arrays in several blocks, and of numpy's arrays that they are copied into.

    Parameters
    ----------
    name
        The library's.
    outline
        Tells what a copy of an object will be, or refuses the object.
    pieces
        Yields, of an object, each block as an ndarray with the index of the place in the whole where it goes.
    """

    #: The framework that a copy is.
    behind: Final = "numpy"

    def __init__(
        self,
        name: str,
        outline: Callable[[Any], Outline],
        pieces: Callable[[Any], Iterator[tuple[Any, np.ndarray[Any, Any]]]],
    ) -> None:
        self.name = name
        self._outline = outline
        self._pieces = pieces

    def claims(self, _tp: type, /) -> bool:
        """Which objects these are is for the library's own adapter to say."""
        return False

    def limits(self, device_type: int, /) -> Limits | None:
        """What numpy holds."""
        return host.limits(device_type)

    def extents(self, x: Any, /) -> list[tuple[int, int]]:
        """Where each piece lies; of what is packed only copies are seen."""
        if type(x) is np.ndarray or self._outline(x).pending == "encoded":
            return []
        return [view_from_ndarray(piece).extent for _, piece in self._pieces(x) if piece.size]

    def view(self, x: Any, /) -> View:
        """Look at a copy."""
        return view_from_ndarray(x)

    def wrap(self, view: View, /) -> Any:
        """Make an ndarray, for a step in the middle."""
        return host.wrap(view)

    def describe(self, x: Any, /) -> Facts:
        """Tell what the copy will be."""
        if type(x) is np.ndarray:
            return super().describe(x)
        dtype, shape, pending = self._outline(x)
        row = BY_NAME[dtype]
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=device_of_pair(CPU),
            shape=shape,
            strides=_layout.c_strides(shape),
            ptr=None,
            extent=None,
            readonly=True,
            pending=frozenset({pending}),
        )

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy, piece by piece."""
        if isinstance(src, (View, np.ndarray)):
            super().assign(dst, src)
            return
        into = ndarray_from_view((dst if isinstance(dst, View) else self.view(dst)).with_readonly(False))
        for place, piece in self._pieces(src):
            copy_values(into[place], piece)


def in_rows(pieces: Iterator[np.ndarray[Any, Any]]) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
    """Place pieces one after the other along the first axis."""
    start = 0
    for piece in pieces:
        yield slice(start, start + len(piece)), piece
        start += len(piece)
