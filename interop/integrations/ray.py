"""ray's object store: arrays of every framework and element type go in once and come out without a copy.

ray itself keeps numpy's own arrays in the store as they are, and pickles torch's, jax's and ml_dtypes' into it: getting
100 MB of them took 50 to 270 ms where numpy's took one.
"""

from __future__ import annotations

import importlib
import pickle
from typing import TYPE_CHECKING, Any, Final

from interop._pack._single import arrived, carries, home_of, home_types, sent
from interop._registry import frameworks
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._typed import ConvertOptions

__all__ = ["hook", "register", "unregister"]

#: As pickle has it from protocol 5 on, which ray uses.
_PROTOCOL: Final = 5

_registered: Final[set[type]] = set()
#: What this process promised of the arrays that it gets.
_promised: Final[dict[str, bool | None]] = {"writable": None}


def register(*frameworks: str, writable: bool | None = None) -> None:
    """Have ray keep the plain arrays of frameworks as they are, in this process, before or after ``ray.init``.

    Parameters
    ----------
    *frameworks
        Which, as `to` takes them; they are imported. None is those that are imported now.
    writable
        False promises that this process doesn't write into what it gets: frameworks that can't express readonly, such
        as torch, then have it from the store without a copy, too. With None they get a copy of their own.

    Raises
    ------
    UnsupportedError
        If ray or a framework isn't installed.

    See Also
    --------
    hook : the same for ray's workers.

    Notes
    -----
    What is in the store is readonly for everybody: numpy's arrays say so, jax's can't be written anyway. A write into a
    tensor of torch that was got with ``writable=False`` ends the process. A tensor that requires grad is refused when
    it is put: put ``x.detach()``.
    """
    util = _util()
    for name in frameworks:
        _import(name)
    _promised["writable"] = writable
    for kind in home_types().values():
        util.register_serializer(kind, serializer=_apart, deserializer=_together)
        _registered.add(kind)


def unregister() -> None:
    """Have ray pickle them again. What is in the store still comes out."""
    util = _util()
    while _registered:
        util.deregister_serializer(_registered.pop())
    _promised["writable"] = None


def hook(*frameworks: str, writable: bool | None = None) -> Callable[[], None]:
    """What to start ray's workers with, so that they register too.

    Parameters
    ----------
    *frameworks, writable
        As in :func:`register`: in each worker.

    Returns
    -------
    callable
        For ``ray.init(runtime_env={"worker_process_setup_hook": hook("torch")})``.
    """

    # ray wants a function with a name, which a partial has not.
    def setup() -> None:
        register(*frameworks, writable=writable)

    return setup


def _util() -> Any:
    try:
        return importlib.import_module("ray.util")
    except ImportError as err:
        msg = "ray isn't installed: pip install ray."
        raise UnsupportedError(msg) from err


def _import(name: str) -> None:
    row = frameworks.row_of(name)
    module = name if row is None else row.module
    try:
        importlib.import_module(module)
    except ImportError as err:
        msg = f"{name} isn't installed here: pip install {name if row is None else row.install}."
        raise UnsupportedError(msg) from err


def _apart(x: Any) -> tuple[Any, ...]:
    """What ray keeps of an array: a few values, and its memory."""
    framework = home_of(x)
    if framework is None or not carries(x):
        return (None, *x.__reduce_ex__(_PROTOCOL))
    one = sent(x)
    return framework, one.dtype, one.shape, one.strides, pickle.PickleBuffer(one.data)


def _together(parts: tuple[Any, ...]) -> Any:
    """The array again, on the store's memory. Its place is kept from version to version: it is named in the store."""
    framework, *rest = parts
    if framework is None:
        function, arguments, *state = rest
        made = function(*arguments)
        if state and state[0] is not None:
            made.__setstate__(state[0])
        return made
    dtype, shape, strides, data = rest
    promised = _promised["writable"]
    options: ConvertOptions = {} if promised is None else {"writable": promised}
    return arrived(framework, dtype, shape, strides, data, options=options)
