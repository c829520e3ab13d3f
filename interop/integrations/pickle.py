"""Pickle protocol 5 of tensors: the memory out of band, without a copy, whatever the framework and the element type.

The reducers sit on a pickler of this module. Nothing is put into :mod:`copyreg`, which would change ``copy.copy`` and
every other pickler, too.
"""

from __future__ import annotations

import bisect
import copyreg
import io
import pickle
from typing import TYPE_CHECKING, Any, Final, Unpack

from interop._pack._single import arrived, carries, home_of, home_types, sent, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from interop._pack._single import Sent
    from interop._typed import ConvertOptions

__all__ = ["Pickler", "Unpickler", "dispatch_table", "dumps", "loads", "pickler", "reducer_override", "reducers"]

#: The protocol from which on buffers travel apart from the stream.
_PROTOCOL: Final = 5


def _restored(framework: str, dtype: str, shape: Any, strides: Any, data: Any) -> Any:
    """What a stream calls for an array; its place and its arguments are kept from version to version."""
    return arrived(framework, dtype, shape, strides, data)


def _tied(base: Any, framework: str, dtype: str, shape: Any, layout: Any) -> Any:
    """What a stream calls for an array on the memory of another one in the stream."""
    return within(base, framework, dtype, shape, layout)


def _reduced(framework: str, one: Sent) -> tuple[Any, ...]:
    return _restored, (framework, one.dtype, one.shape, one.strides, pickle.PickleBuffer(one.data))


def reducer_override(x: Any, /, *, detach: bool = False) -> Any:
    """Take a plain array of any framework apart, as ``Pickler.reducer_override`` does.

    Parameters
    ----------
    x
        Whatever a pickler meets.
    detach
        Take the values of tensors that require grad, without their graph.

    Returns
    -------
    tuple
        For ``__reduce__``, with a :class:`pickle.PickleBuffer` on the memory; NotImplemented of what is no plain array.
        Subclasses, such as torch's Parameter, are their framework's: it takes them apart to a plain array, which is
        then carried.

    Raises
    ------
    GradientError
        If a tensor requires grad and ``detach`` wasn't said.

    See Also
    --------
    Pickler : does it too, and keeps arrays together that are on one memory.

    Examples
    --------
    >>> import io, pickle, torch
    >>> from interop.integrations.pickle import reducer_override
    >>> class Mine(pickle.Pickler):
    ...     def reducer_override(self, x):
    ...         return reducer_override(x)
    >>> stream = io.BytesIO()
    >>> Mine(stream, 5).dump(torch.ones(2, dtype=torch.bfloat16))
    >>> pickle.loads(stream.getvalue())
    tensor([1., 1.], dtype=torch.bfloat16)
    """
    framework = home_of(x)
    if framework is None or not carries(x):
        return NotImplemented
    return _reduced(framework, sent(x, detach=detach))


def dispatch_table() -> dict[type, Callable[[Any], Any]]:
    """Reducers by type, for ``Pickler.dispatch_table``.

    Returns
    -------
    dict
        Those of :mod:`copyreg`, and of the plain arrays of the frameworks that are imported now. A new one each time.

    Examples
    --------
    >>> import io, pickle, torch
    >>> from interop.integrations.pickle import dispatch_table
    >>> stream = io.BytesIO()
    >>> mine = pickle.Pickler(stream, 5)
    >>> mine.dispatch_table = dispatch_table()
    >>> mine.dump(torch.tensor([1 + 2j]).conj())
    >>> pickle.loads(stream.getvalue())
    tensor([1.-2.j])
    """
    return {**copyreg.dispatch_table, **reducers()}


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Reducers of plain arrays by type, for what adds them to others: loky's ``job_reducers`` and ``result_reducers``.

    Returns
    -------
    dict
        Of the frameworks that are imported now. A new one each time.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.integrations.pickle import reducers
    >>> np.ndarray in reducers()
    True
    """
    return dict.fromkeys(home_types().values(), _reduce)


def _reduce(x: Any) -> Any:
    reduced = reducer_override(x)
    return x.__reduce_ex__(_PROTOCOL) if reduced is NotImplemented else reduced


class _Arrays:
    """What makes a pickler carry arrays: mixed in before another pickler, whose own overrides come after it."""

    detach = False
    # The arrays that are in the stream, by where their memory begins. It is held, copies too: what is made at the
    # address of one that is gone would be taken for it.
    _starts: list[int] | None = None
    _anchors: list[tuple[int, Any, Any]]

    def reducer_override(self, x: Any, /) -> Any:
        """Take arrays apart; all else is as it was."""
        framework = home_of(x)
        if framework is None or not carries(x):
            others = getattr(super(), "reducer_override", None)
            return NotImplemented if others is None else others(x)
        one = sent(x, detach=self.detach)
        if not one.whole or not one.memory.size:
            return _reduced(framework, one)
        low, high = one.memory.extent
        starts = self._starts
        if starts is None:
            # Of most streams it is the first and the last.
            self._starts, self._anchors = [low], [(high, x, one.memory)]
            return _reduced(framework, one)
        place = bisect.bisect_right(starts, low)
        if place and self._anchors[place - 1][0] >= high:
            layout = (one.memory.strides, one.memory.ptr - starts[place - 1])
            return _tied, (self._anchors[place - 1][1], framework, one.dtype, one.shape, layout)
        starts.insert(place, low)
        self._anchors.insert(place, (high, x, one.memory))
        return _reduced(framework, one)


class Pickler(_Arrays, pickle.Pickler):
    """A :class:`pickle.Pickler` that carries plain arrays of every framework, out of band where that is asked for.

    Parameters
    ----------
    file, protocol, buffer_callback
        As of :class:`pickle.Pickler`; protocol 5 is the default.
    detach
        Take the values of tensors that require grad, without their graph.

    Notes
    -----
    An array that lies wholly in the memory of one that came before it in the stream arrives on that one's memory. It
    is read by any ``pickle.load``, where this library and the framework are installed.

    Examples
    --------
    >>> import io, pickle, torch
    >>> from interop.integrations.pickle import Pickler
    >>> w = torch.zeros(2)
    >>> stream = io.BytesIO()
    >>> Pickler(stream).dump([w, w[1:]])
    >>> base, tied = pickle.loads(stream.getvalue())
    >>> tied[0] = 5
    >>> base
    tensor([0., 5.])
    """

    def __init__(self, file: Any, protocol: int = _PROTOCOL, *, detach: bool = False, **keywords: Any) -> None:
        super().__init__(file, protocol, **keywords)
        self.detach = detach


class _Bare(_Arrays, pickle.Pickler):
    """Without an ``__init__`` of Python's, which takes as long as a small array does."""


def pickler(base: type) -> type:
    """Make a pickler class that carries arrays out of another one, such as ``cloudpickle.CloudPickler``.

    Parameters
    ----------
    base
        A class whose instances have ``reducer_override``, as those of :class:`pickle.Pickler` do.

    Returns
    -------
    type
        A subclass of it. Its instances have an attribute `detach`, False until somebody sets it, as in :func:`dumps`.

    Examples
    --------
    >>> import io, pickle
    >>> from interop.integrations.pickle import pickler
    >>> pickler(pickle.Pickler)(io.BytesIO(), 5).dump({1})
    """
    return type(f"Arrays{base.__name__}", (_Arrays, base), {"__doc__": f"{base.__name__} that carries arrays."})


def dumps(
    x: Any,
    /,
    protocol: int = _PROTOCOL,
    *,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    detach: bool = False,
) -> bytes:
    """Pickle anything, its arrays without a copy where `buffer_callback` takes them.

    Parameters
    ----------
    x
        What pickle takes, with plain arrays of any framework anywhere in it.
    protocol, buffer_callback
        As in :func:`pickle.dumps`. Below protocol 5 arrays are an error.
    detach
        Take the values of tensors that require grad, without their graph.

    Returns
    -------
    bytes
        For :func:`loads`, and for :func:`pickle.loads`.

    Raises
    ------
    GradientError
        If a tensor requires grad and ``detach`` wasn't said.

    Examples
    --------
    >>> import torch
    >>> from interop.integrations.pickle import dumps, loads
    >>> t = torch.ones(1000, dtype=torch.bfloat16)
    >>> buffers = []
    >>> stream = dumps(t, buffer_callback=buffers.append)
    >>> len(stream) < 200, buffers[0].raw().nbytes
    (True, 2000)
    >>> loads(stream, buffers=buffers).data_ptr() == t.data_ptr()
    True
    """
    stream = io.BytesIO()
    carrier = _Bare(stream, protocol, buffer_callback=buffer_callback)
    if detach:
        carrier.detach = True
    carrier.dump(x)
    return stream.getvalue()


class Unpickler(pickle.Unpickler):
    """A :class:`pickle.Unpickler` that puts every array into one framework.

    Parameters
    ----------
    file, buffers
        As of :class:`pickle.Unpickler`.
    to
        The framework; None is the one that each array was sent from.
    **options
        As in :func:`interop.convert`.
    """

    def __init__(
        self, file: Any, /, *, buffers: Iterable[Any] | None = None, to: Any = None, **options: Unpack[ConvertOptions]
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._to, self._options = to, options

    def find_class(self, module: str, name: str, /) -> Any:
        """Have arrays made where they are asked for; all else is as it was."""
        found = super().find_class(module, name)
        if found is _restored:
            return self._restored
        return self._tied if found is _tied else found

    def _restored(self, framework: str, dtype: str, shape: Any, strides: Any, data: Any) -> Any:
        return arrived(self._to or framework, dtype, shape, strides, data, options=self._options)

    def _tied(self, base: Any, framework: str, dtype: str, shape: Any, layout: Any) -> Any:
        return within(base, self._to or framework, dtype, shape, layout)


def loads(
    data: Any,
    /,
    *,
    buffers: Iterable[Any] | None = None,
    to: str | ModuleType | None = None,
    **options: Unpack[ConvertOptions],
) -> Any:
    """Unpickle what :func:`dumps` made, its arrays on the buffers that arrived.

    Parameters
    ----------
    data, buffers
        As in :func:`pickle.loads`. As there: never of somebody who isn't trusted, whose pickle may do anything.
    to
        The framework of all arrays. None is the one that each was sent from, which is imported, as pickle does with
        what it restores; one that isn't installed is an error that says so.
    **options
        As in :func:`interop.convert`, for each array.

    Returns
    -------
    object
        What was pickled. Arrays are readonly where their buffer is (``bytes``); torch copies those, unless
        ``writable=False`` promises not to write.

    Examples
    --------
    >>> import torch
    >>> from interop.integrations.pickle import dumps, loads
    >>> loads(dumps({"w": torch.ones(2)}), to="numpy")
    {'w': array([1., 1.], dtype=float32)}
    """
    return Unpickler(io.BytesIO(data), buffers=buffers, to=to, **options).load()
