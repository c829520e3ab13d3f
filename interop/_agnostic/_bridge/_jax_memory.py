"""jax's memory lent to a function of another library for one call, and the results put into jax's.

Inside of a compiled function the arguments are jax's live, immutable arrays, handed over as writable memory: they are
lent readonly where the library can say so, and what keeps one beyond the call is told so. No array of jax is made
there: on a busy pool of threads that waits for itself (jax#24255).
"""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np

from interop._convert import convert
from interop._copyto import copyto
from interop._inspect import dtype
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
    """The device that results go back to."""
    concrete = next((x for x in arrays if isinstance(x, jax.Array)), None)
    return None if concrete is None else next(iter(concrete.devices()))


def lent(function: Function, array: Any) -> Any:
    """The other library's tensor on jax's memory. Nobody writes into it: functions that do are refused beforehand."""
    # jax's constants are arrays of a subclass of numpy's.
    return convert(array if isinstance(array, jax.Array) else jax.numpy.asarray(array), function.inner, writable=False)


def given_back(function: Function, result: Any, home: Any) -> Any:
    """A result as an array of jax, on memory of its own."""
    try:
        return convert(result, "jax", copy=True, detach=True, device=home)
    except InteropError as err:
        raise type(err)(f"{function.name}(), result: {err}") from err


def called_back(function: Function, likes: tuple[Like, ...], outs: tuple[Like, ...]) -> Callable[..., Sequence[Any]]:
    """What calls a function out of a compiled one: on the buffers themselves, where this jax has such a callback."""
    types = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in outs]
    if buffer_callback is None:
        return _by_copies(function, likes, outs, types)

    def body(_context: Any, out_buffers: Sequence[Any], *in_buffers: Any) -> None:
        _run_on(function, likes, outs, list(map(_as_array, in_buffers)), list(map(_as_array, out_buffers)))

    return lambda *arrays: buffer_callback(body, types)(*arrays)


def _by_copies(
    function: Function, likes: tuple[Like, ...], outs: tuple[Like, ...], types: list[Any]
) -> Callable[..., Sequence[Any]]:
    def body(*arrays: Any) -> list[np.ndarray[Any, Any]]:
        made = [np.empty(each.shape, each.dtype) for each in outs]
        _run_on(function, likes, outs, list(map(_as_array, arrays)), made)
        return made

    return lambda *arrays: jax.pure_callback(body, types, *arrays)


def _run_on(
    function: Function,
    likes: tuple[Like, ...],
    outs: tuple[Like, ...],
    given: list[np.ndarray[Any, Any]],
    made: list[np.ndarray[Any, Any]],
) -> None:
    # Nothing here may hold an argument, or a result that is one, beyond the call.
    around = _put(made, function.run([_lent_readonly(function, each) for each in given]), function, outs)
    if around is not None:
        function.check_around(likes, around)
    _check_returned(function, given)


def _lent_readonly(function: Function, array: np.ndarray[Any, Any]) -> Any:
    array.flags.writeable = False
    return array if function.inner == "numpy" else convert(array, function.inner, writable=False)


def _put(
    made: list[np.ndarray[Any, Any]], row: tuple[list[Any], Structure | None], function: Function, outs: tuple[Like, ...]
) -> Structure | None:
    results, around = row
    _check_results(function, results, outs)
    for out, result in zip(made, results, strict=True):
        copyto(out, result)
    return around


def _check_results(function: Function, results: list[Any], outs: tuple[Like, ...]) -> None:
    found = [(tuple(x.shape), dtype(x).name) for x in results]
    wanted = [(each.shape, each.dtype.name) for each in outs]
    if found != wanted:
        msg = (
            f"{function.name}() returned {_spelled(found)} where it returned {_spelled(wanted)} before, for arguments "
            "of the same shapes. Inside of a compiled function shapes depend on shapes alone: return one shape, padded."
        )
        raise UnsupportedError(msg)


def _spelled(likes: Sequence[tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name} {shape}" for shape, name in likes) or "nothing"


def _check_returned(function: Function, given: list[np.ndarray[Any, Any]]) -> None:
    """Arguments are memory of the compiled program's, which is another's after the call."""
    lent_out = [weakref.ref(each) for each in given]
    given.clear()
    if any(each() is not None for each in lent_out):
        gc.collect()
    if any(each() is not None for each in lent_out):
        msg = (
            f"{function.name}() has kept an argument beyond the call, and its memory is jax's again. Keep a copy of it."
        )
        raise UnsupportedError(msg)
