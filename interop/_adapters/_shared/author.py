"""The adapter that most authors want: arrays in host memory, which numpy can look at and make."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, Final, cast

import numpy as np

from interop._adapters._shared.host import HostLibrary, copy_values
from interop._adapters._shared.native import HostNative
from interop._contract import Facts, Limits, Pending
from interop._dtypes import BY_NUMPY
from interop._native import View, ndarray_from_view, view_from_ndarray
from interop._words import name_of, short_name_of, shown, with_article

#: What a recipe doesn't ask again.
_ASKED: Final = ("describe", "export", "settle", "view", "wrap")


class HostAdapter(HostLibrary):
    """An adapter to derive from: of a library whose arrays are strided memory of the host.

    Two methods have to be written, :meth:`to_numpy` and :meth:`from_numpy`. The rest has defaults; what your library
    does differently is said by overriding its method, as :class:`Adapter` lists them.

    Attributes
    ----------
    name : str
        Your library's name, as ``to`` takes it.
    types : tuple of type
        The types of your arrays, exactly these: a subclass may mean more.
    modules : tuple of str
        The modules whose presence means that your library is there; the name, where it is left out.
    room : Limits
        What an array of yours can hold: everything that numpy can, where it is left out.

    Examples
    --------
    >>> import numpy as np, interop
    >>> from interop.protocols import HostAdapter, Limits
    >>> class Column:
    ...     def __init__(self, cells):
    ...         self.cells = cells
    >>> class ColumnAdapter(HostAdapter):
    ...     name = "columns"
    ...     types = (Column,)
    ...     room = Limits(frozenset({"float32", "float64"}), max_ndim=1)
    ...
    ...     def to_numpy(self, x):
    ...         return x.cells
    ...
    ...     def from_numpy(self, array):
    ...         return Column(array)
    >>> adapter = ColumnAdapter()
    >>> adapter.wrap(interop.view(np.arange(2.0))).cells
    array([0., 1.])
    """

    types: tuple[type, ...] = ()
    room = Limits(frozenset(row.name for row in BY_NUMPY.values()), max_ndim=32)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Take the name for the module that it mostly is."""
        super().__init_subclass__(**keywords)
        if not cls.modules and cls.name:
            cls.modules = (cls.name,)
        for own in cast("tuple[object, ...]", cls.types):
            if not isinstance(own, type):
                msg = f"types holds {shown(own)}, no type"
                raise TypeError(msg)

    def to_numpy(self, x: Any, /) -> np.ndarray[Any, Any]:
        """Return an ndarray on the memory of `x`, never a copy, that keeps the memory alive; readonly if `x` is."""
        raise NotImplementedError

    def from_numpy(self, array: np.ndarray[Any, Any], /) -> Any:
        """Return one of your arrays on the memory of `array`, never a copy; readonly if it is, where that exists."""
        raise NotImplementedError

    def pending(self, _x: Any, /) -> frozenset[Pending]:
        """Tell why the memory isn't the values: nothing, or ``{"encoded"}`` where :meth:`values` computes them."""
        return frozenset()

    def values(self, x: Any, /) -> np.ndarray[Any, Any]:
        """Return the values of `x` where they have to be computed; else its memory."""
        return self.to_numpy(x)

    @cached_property
    def native(self) -> HostNative | None:
        """What calls the methods above without the planner, where an array of the same kind has been met before.

        None where something is overridden that is asked of every object.
        """
        if any(getattr(type(self), name) is not getattr(HostAdapter, name) for name in _ASKED):
            return None
        return HostNative(dict.fromkeys(self.types, self._show), take=self._take)

    def _show(self, x: Any) -> Any:
        return NotImplemented if self.pending(x) else self.to_numpy(x)

    def _take(self, array: np.ndarray[Any, Any]) -> Any:
        # Any: an author's method is looked at, not believed.
        made: Any = self.from_numpy(array)
        facts = self.describe(made) if self.claims(type(made)) else None
        there = facts is not None and facts.ptr == array.ctypes.data and facts.shape == array.shape
        return made if there else NotImplemented

    def claims(self, tp: type, /) -> bool:
        """Exactly the types."""
        return any(tp is own for own in self.types)

    def view(self, x: Any, /) -> View:
        """Look at the memory through numpy."""
        array: Any = self.to_numpy(x)
        if not isinstance(array, np.ndarray):
            msg = f"to_numpy() returned {with_article(name_of(type(array)))}, no ndarray"
            raise TypeError(msg)
        return view_from_ndarray(array)

    def wrap(self, view: View, /) -> Any:
        """Hand the View over as an ndarray."""
        return self.from_numpy(ndarray_from_view(view))

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the ndarray."""
        facts, pending = super().describe(x), self.pending(x)
        if "encoded" in pending and type(self).values is HostAdapter.values:
            # The memory would be handed out for the values.
            msg = "pending() tells of encoded memory, and there is no values() that decodes it"
            raise TypeError(msg)
        return replace(facts, pending=pending) if pending else facts

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write the values with numpy, cast as numpy casts; not into memory that isn't the values."""
        if not isinstance(dst, View) and self.pending(dst):
            # The memory would hold the values, and be decoded to others.
            msg = f"the memory of this {short_name_of(type(dst))} isn't its values"
            raise TypeError(msg)
        into = (dst if isinstance(dst, View) else self.view(dst)).with_readonly(False)
        copy_values(ndarray_from_view(into), ndarray_from_view(src) if isinstance(src, View) else self.values(src))
