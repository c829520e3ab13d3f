"""dask.distributed: arrays of every framework and element type between the processes of a cluster.

distributed's own serializers take torch's tensors without bfloat16, float8, conjugates and negatives, and pickle jax's
arrays. These replace them, in the process that calls :func:`register`: the client's, and each worker's, by a preload
(``dask worker --preload interop.integrations.dask``) or by ``client.register_plugin(dask.WorkerPlugin())``.
"""

from __future__ import annotations

import importlib
import math
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from interop._inspect import device, dtype, framework
from interop._pack._single import arrived, carries, home_types, sent
from interop._registry import frameworks
from interop._words import name_of, with_article
from interop.errors import GradientError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._typed import ConvertOptions

__all__ = ["dask_setup", "dask_teardown", "register", "unregister"]

#: Registers in every worker, also in those that come later: ``client.register_plugin(dask.WorkerPlugin())``.
WorkerPlugin: Any

#: By which a header is known as ours.
_KEY: Final = "interop"

#: Where dask asks by type: what writes and reads an array, how large it is, and what it is known by.
_DISPATCHES: Final = (
    ("distributed.protocol.serialize", "dask_serialize"),
    ("distributed.protocol.serialize", "dask_deserialize"),
    ("dask.sizeof", "sizeof"),
    ("dask.tokenize", "normalize_token"),
)

#: What was registered for a type before, in each of them; and, by package, what was to be called when it is imported.
_before: Final[dict[type, list[Any]]] = {}
_waiting: Final[dict[tuple[int, str], Any]] = {}


def register() -> None:
    """Have distributed send the arrays of all frameworks by this library, in this process; again is as good as once.

    Frameworks that are imported later count too. numpy's arrays stay distributed's, but those of ml_dtypes' types.

    Raises
    ------
    UnsupportedError
        If distributed isn't installed.

    Notes
    -----
    A tensor that requires grad is sent with that flag, and its `grad`; one that has a history is refused, since that
    stays behind. Arrays arrive writable where they were, readonly where they were; those of a device arrive there.

    Examples
    --------
    >>> from distributed.protocol import deserialize, serialize  # what a cluster does
    >>> import torch
    >>> from interop.integrations import dask
    >>> dask.register()
    >>> deserialize(*serialize(torch.ones(2, dtype=torch.bfloat16)))
    tensor([1., 1.], dtype=torch.bfloat16)
    >>> dask.unregister()
    """
    for side, dispatch in enumerate(_dispatches()):
        for package in _packages():
            if (side, package) in _waiting:
                continue
            previous = _lazy(dispatch).pop(package, None)
            if package in sys.modules:
                # Now: later it would register its own for the types that are taken here.
                if previous is not None:
                    previous()
            else:
                _waiting[side, package] = previous
                dispatch.register_lazy(package, partial(_take_met, package, previous))
    _take_all(None)


def unregister() -> None:
    """Give back to distributed what :func:`register` took."""
    for side, dispatch in enumerate(_dispatches()):
        for kind, before in _before.items():
            if before[side] is None:
                _lookup(dispatch).pop(kind, None)
            else:
                dispatch.register(kind, before[side])
        for package in _packages():
            previous = _waiting.pop((side, package), None)
            if _lazy(dispatch).pop(package, None) is not None and previous is not None:
                dispatch.register_lazy(package, previous)
    _before.clear()


def dask_setup(_worker: Any) -> None:
    """Register in a worker, or a scheduler, that was started with ``--preload interop.integrations.dask``."""
    register()


def dask_teardown(_worker: Any) -> None:
    """Unregister when the worker ends."""
    unregister()


def __getattr__(name: str) -> Any:
    # Its base is the engine's, which is imported when somebody asks for it.
    if name != "WorkerPlugin":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    base = _distributed("distributed").WorkerPlugin
    plugin = type(
        "WorkerPlugin",
        (base,),
        {
            "__doc__": "Registers in every worker, also in those that come later: ``client.register_plugin``.",
            "__module__": __name__,
            "name": "interop",
            "setup": lambda _self, worker: dask_setup(worker),
            "teardown": lambda _self, worker: dask_teardown(worker),
        },
    )
    globals()[name] = plugin
    return plugin


def _distributed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as err:
        msg = "dask.distributed isn't installed: pip install distributed."
        raise UnsupportedError(msg) from err


def _dispatches() -> list[Any]:
    return [getattr(_distributed(module), name) for module, name in _DISPATCHES]


# dask has no call that takes a registration back, or says what is registered.


def _lookup(dispatch: Any) -> dict[type, Any]:
    return cast("dict[type, Any]", dispatch._lookup)  # noqa: SLF001


def _lazy(dispatch: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", dispatch._lazy)  # noqa: SLF001


def _packages() -> list[str]:
    """Where the types of arrays are from."""
    rows = [row for row in frameworks.ROWS if not row.instead]
    return [name for row in rows for name in (row.module.partition(".")[0], row.types_in) if name]


def _take_met(package: str, previous: Callable[[], Any] | None) -> None:
    """What dask calls when it meets the first object from a package."""
    for row in frameworks.ROWS:
        if row.types_in == package:
            # Where it arrived, its type was imported, and not yet what it is of: jaxlib without jax.
            importlib.import_module(row.module)
    _take_all(previous)


def _take_all(previous: Callable[[], Any] | None) -> None:
    """Call what was to be called when a package is imported, and take its types over then."""
    if previous is not None:
        previous()
    for kind in home_types().values():
        _take(kind)


def _take(kind: type) -> None:
    if kind in _before:
        return
    dispatches = _dispatches()
    _before[kind] = [_registered(dispatch, kind) for dispatch in dispatches]
    for dispatch, ours, before in zip(dispatches, _OURS, _before[kind], strict=True):
        dispatch.register(kind, partial(ours, before))


def _registered(dispatch: Any, kind: type) -> Any:
    # Not by dispatch(), which calls what waits for the package, and that is perhaps what is calling.
    return _lookup(dispatch).get(kind)


def _serialize(before: Any, x: Any, context: Any = None) -> tuple[dict[str, Any], list[Any]]:
    """What distributed calls: a header that msgpack takes, and buffers."""
    if before is not None and not _ours(x):
        options = {"context": context} if _distributed("distributed.utils").has_keyword(before, "context") else {}
        return cast("tuple[dict[str, Any], list[Any]]", before(x, **options))
    graph = bool(getattr(x, "requires_grad", False))
    if graph and not x.is_leaf:
        msg = (
            f"{with_article(name_of(type(x)))} has a history, which stays where it is: distributed can't send it. "
            "Send x.detach()."
        )
        raise GradientError(msg)
    one = sent(x, detach=graph)
    header: dict[str, Any] = {
        "array": [framework(x), one.dtype, one.shape, one.strides],
        "readonly": one.readonly,
        "device": str(device(x)),
        "requires_grad": graph,
    }
    frames: list[Any] = [one.data]
    # A tensor with a history warns when it is asked for its gradient, and has none.
    gradient = getattr(x, "grad", None) if graph or hasattr(x, "is_leaf") else None
    if gradient is not None:
        header["grad"], more = _serialize(None, gradient)
        frames += more
    return {_KEY: header}, frames


def _ours(x: Any) -> bool:
    """Whether distributed would lose something: numpy's own element types it sends as well as anybody."""
    return carries(x) and (type(x) is not np.ndarray or x.dtype.isbuiltin != 1)


def _deserialize(before: Any, header: dict[str, Any], frames: list[Any]) -> Any:
    if _KEY not in header:
        if before is None:
            msg = (
                "an array came that was sent otherwise than here: call interop.integrations.dask.register() there, too."
            )
            raise UnsupportedError(msg)
        return before(header, frames)
    return _received(header[_KEY], list(frames))


def _received(header: dict[str, Any], frames: list[Any]) -> Any:
    name, kind, shape, strides = header["array"]
    options: ConvertOptions = {} if header["readonly"] else {"writable": True}
    if not header["device"].startswith("cpu"):
        options = {"device": header["device"]}
    data = frames[0] if frames else b""
    made = arrived(name, kind, tuple(shape), strides, data, readonly=header["readonly"], options=options)
    if header["requires_grad"]:
        made.requires_grad_()
    if "grad" in header:
        made.grad = _received(header["grad"][_KEY], frames[1:])
    return made


def _size(before: Any, x: Any) -> int:
    """How many bytes it is: dask takes it for next to nothing, blocks its loop for it, and counts no memory."""
    if before is not None:
        return int(before(x))
    return int(dtype(x).itemsize * math.prod(x.shape))


def _token(before: Any, x: Any) -> Any:
    """What it is known by: its values, where dask would pickle the array and hash that."""
    if before is not None:
        return before(x)
    one = sent(x, detach=True)
    digest = _distributed("dask.hashing").hash_buffer_hex(one.data)
    return ("interop", framework(x), one.dtype, one.shape, one.strides, str(device(x)), digest)


_OURS: Final[tuple[Callable[..., Any], ...]] = (_serialize, _deserialize, _size, _token)
