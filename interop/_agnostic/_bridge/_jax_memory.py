"""jax's memory lent to a function of another library for one call, and the results put into jax's.

Inside of a compiled function the arguments are jax's live, immutable arrays, handed over as writable memory: they are
lent readonly where the library can say so, and what keeps one beyond the call is told so. No array of jax is made
there: on a busy pool of threads that waits for itself (jax#24255).
"""

from __future__ import annotations

import gc
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np

from interop._convert import convert
from interop._copyto import copyto
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._bridge._jax_function import Function, Like
    from interop._agnostic._bridge._structure import Structure

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:  # before jax 0.6.2
    buffer_callback = None

_as_array: Final[Callable[[Any], np.ndarray[Any, Any]]] = np.asarray


def computed(function: Function, arrays: Sequence[Any], likes: tuple[Like, ...]) -> list[Any]:
    """Call a function here and now, with jax's arrays and for new ones."""
    function.check(likes)
    results, around = function.run([lent(function, x) for x in arrays])
    if around is not None:
        function.check_around(likes, around)
    home = home_of(arrays)
    return [given_back(function, each, home) for each in results]


def home_of(arrays: Sequence[Any]) -> Any:
    """The device that results go back to; None for the host, where there is but one."""
    concrete = next((x for x in arrays if isinstance(x, jax.Array)), None)
    device = None if concrete is None else next(iter(concrete.devices()))
    return None if device is _first_on_host() else device


@cache
def _first_on_host() -> Any:
    return jax.local_devices(backend="cpu")[0]


def lent(function: Function, array: Any) -> Any:
    """The other library's tensor on jax's memory. Nobody writes into it: functions that do are refused beforehand."""
    # jax's constants are arrays of a subclass of numpy's.
    x = array if isinstance(array, jax.Array) else jax.numpy.asarray(array)
    return convert(x, function.inner, writable=False)


def given_back(function: Function, result: Any, home: Any) -> Any:
    """A result as an array of jax, on memory of its own."""
    away = home if home is not None or str(getattr(result, "device", "cpu")) == "cpu" else "cpu"
    try:
        return convert(result, "jax", copy=True, detach=True, device=away)
    except InteropError as err:
        raise type(err)(f"{function.name}(), result: {err}") from err


def called_back(function: Function, likes: tuple[Like, ...], outs: tuple[Like, ...]) -> Callable[..., Sequence[Any]]:
    """What calls a function out of a compiled one: on the buffers themselves, where this jax has such a callback."""
    types = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in outs]
    visit = _Visit(function, likes, outs)
    if buffer_callback is None:
        return lambda *arrays: jax.pure_callback(visit.by_copies, types, *arrays)
    made: Callable[..., Sequence[Any]] = buffer_callback(visit.on_buffers, types)
    return made


class _Visit:
    """A call out of a compiled function: what it is of, what is passed, and what has to come back."""

    def __init__(self, function: Function, likes: tuple[Like, ...], outs: tuple[Like, ...]) -> None:
        self.function, self.likes, self.outs = function, likes, outs
        self.wanted = tuple([(each.shape, each.dtype.name) for each in outs])

    def on_buffers(self, _context: Any, out_buffers: Sequence[Any], *in_buffers: Any) -> None:
        """On jax's own memory."""
        self._run(list(map(_as_array, in_buffers)), list(map(_as_array, out_buffers)))

    def by_copies(self, *arrays: Any) -> list[np.ndarray[Any, Any]]:
        """On copies that jax makes."""
        made = [np.empty(each.shape, each.dtype) for each in self.outs]
        self._run(list(map(_as_array, arrays)), made)
        return made

    def _run(self, given: list[np.ndarray[Any, Any]], made: list[np.ndarray[Any, Any]]) -> None:
        self.function.check_again(self.likes)
        # Nothing here may hold an argument, or a result that is one, beyond the call.
        around = self._put(made, self.function.run([self._lent(each) for each in given]))
        if around is not None:
            self.function.check_around(self.likes, around)
        self._check_returned(given)

    def _lent(self, array: np.ndarray[Any, Any]) -> Any:
        array.flags.writeable = False
        return array if self.function.inner == "numpy" else convert(array, self.function.inner, writable=False)

    def _put(self, made: list[np.ndarray[Any, Any]], returned: tuple[list[Any], Structure | None]) -> Structure | None:
        results, around = returned
        found = self.function.likes_of(results)
        if found != self.wanted:
            msg = (
                f"{self.function.name}() returned {_spelled(found)} where it returned {_spelled(self.wanted)} before, "
                "for arguments of the same shapes. Inside of a compiled function shapes depend on shapes alone: return "
                "one shape, padded."
            )
            raise UnsupportedError(msg)
        for out, result in zip(made, results, strict=True):
            copyto(out, result)
        return around

    def _check_returned(self, given: list[np.ndarray[Any, Any]]) -> None:
        """Arguments are memory of the compiled program's, which is another's after the call."""
        lent_out = list(map(weakref.ref, given))
        given.clear()
        if any(each() is not None for each in lent_out):
            gc.collect()
        if any(each() is not None for each in lent_out):
            msg = (
                f"{self.function.name}() has kept an argument beyond the call, and its memory is jax's again. Keep a "
                "copy of it."
            )
            raise UnsupportedError(msg)


def _spelled(likes: Sequence[tuple[Any, str]]) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for shape, name in likes) or "nothing"
