"""What adapters share whose arrays can't be written: memory is filled first, and becomes an array then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interop import _layout
from interop._adapters._shared.host import HostOnly, copy_on_host
from interop._aligned import aligned
from interop._contract import Facts
from interop._native import View, view_from_ndarray

if TYPE_CHECKING:
    from interop._devices import Device
    from interop._dtypes import DType


class Draft:
    """A fresh array to be: what it is to hold, and its memory from when that is first asked for.

    Parameters
    ----------
    dtype, shape, strides, device
        Of the array; strides in elements.

    Attributes
    ----------
    made
        The array, where its framework has made it by an operation of its own.
    """

    __slots__ = ("_array", "device", "dtype", "made", "shape", "strides")

    def __init__(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device) -> None:
        self.dtype, self.shape, self.strides, self.device = dtype, shape, strides, device
        self.made: Any = None
        self._array: np.ndarray[Any, Any] | None = None

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The memory, which every framework can take."""
        if self._array is None:
            self._array = aligned(self.shape, self.dtype, self.strides)
        return self._array

    @property
    def view(self) -> View:
        """The same as a View."""
        return view_from_ndarray(self.array)

    @property
    def is_c(self) -> bool:
        """Whether the array is to be in C order."""
        return _layout.is_c(self.shape, self.strides)


def copied(array: np.ndarray[Any, Any], view: View) -> View:
    """Copy an ndarray, whose View is given, to memory that every framework takes."""
    made = aligned(view.shape, view.dtype, view.strides)
    np.copyto(made, array)
    return view_from_ndarray(made)


def traced_facts(framework: str, dtype: DType, device: Device, shape: tuple[int, ...], text: str) -> Facts:
    """Say what is known of what only stands for an array inside of a compiled function."""
    return Facts(
        framework=framework,
        dtype=dtype,
        device=device,
        shape=shape,
        strides=_layout.c_strides(shape),
        ptr=None,
        extent=None,
        readonly=True,
        immutable=True,
        traced=text,
    )


class Drafting(HostOnly):
    """The verbs that deal with drafts; an adapter adds what makes an array of one."""

    name: str

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Promise an array: there is none before it has its values."""
        return Draft(dtype, shape, strides, device)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write into a draft, or into the memory of another framework's array."""
        own = not isinstance(src, View)
        if isinstance(dst, View):
            copy_on_host(dst, self.readable(src, dst.dtype) if own else src)
        elif own:
            dst.made = self.fresh(src, dst)
        else:
            self.fill(dst, src)

    def fill(self, draft: Draft, src: View) -> None:
        """Write values of another framework into a draft."""
        copy_on_host(draft.view, src)

    def fresh(self, x: Any, draft: Draft) -> Any:
        """Return a copy of an array of this framework as a draft says, or None where the draft has been written."""
        copy_on_host(draft.view, self.readable(x, draft.dtype))
        return None

    def readable(self, x: Any, dtype: DType) -> View:
        """Return the values of an array of this framework as host memory, cast by the framework where it can."""
        raise NotImplementedError

    def finish(self, draft: Draft) -> Any:
        """Make the array of a draft that has been written."""
        raise NotImplementedError

    def written(self, draft: Draft) -> Any:
        """Return the array that a draft has become."""
        return self.finish(draft) if draft.made is None else draft.made

    def describe_draft(self, draft: Draft) -> Facts:
        """What is to be written: by another framework, into the draft's memory."""
        view = draft.view
        return Facts(
            framework=self.name,
            dtype=draft.dtype,
            device=draft.device,
            shape=draft.shape,
            strides=view.strides,
            ptr=view.ptr,
            extent=view.extent,
            readonly=False,
        )
