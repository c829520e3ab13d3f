"""torch's DataLoader with datasets of whatever arrays: batches are torch tensors, in workers in shared memory.

torch's own collate takes torch's tensors and numpy's arrays, without bfloat16 and float8, and nothing of others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._copyto import copyto
from interop._inspect import dtype as dtype_of
from interop._pack._single import carries
from interop._registry.lookup import adapter_for_type
from interop._to import to_torch
from interop._words import name_of, with_article
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["collate", "collate_fn_map"]

#: What has a buffer and is no array to anybody who loads data.
_BYTES: Final = (bytes, bytearray, memoryview)


class _Map(dict[Any, "Callable[..., Any]"]):
    """torch's own functions by type, and one for the arrays of every other framework, also one imported later."""

    def __contains__(self, kind: object) -> bool:
        return super().__contains__(kind) or (isinstance(kind, type) and _is_array(kind))

    def __missing__(self, kind: Any) -> Callable[..., Any]:
        if isinstance(kind, type) and _is_array(kind):
            return _stacked
        raise KeyError(kind)


def _is_array(kind: type) -> bool:
    return not issubclass(kind, _BYTES) and adapter_for_type(kind) is not None


def collate_fn_map() -> dict[Any, Callable[..., Any]]:
    """Tell how elements of a batch are put together, by their type: for torch's ``collate`` with a map of one's own.

    Returns
    -------
    dict
        torch's own map, and what :func:`collate` does with arrays. A new one each time.

    Examples
    --------
    >>> from interop.integrations.torch_data import collate_fn_map
    >>> import numpy as np, torch
    >>> np.ndarray in collate_fn_map(), str in collate_fn_map()
    (True, True)
    """
    torchs = importlib.import_module("torch.utils.data._utils.collate")
    found = _Map(torchs.default_collate_fn_map)
    found[np.ndarray] = _stacked_or_theirs
    return found


def collate(batch: Sequence[Any], /) -> Any:
    """Put a batch together: ``DataLoader(dataset, collate_fn=collate)``.

    Parameters
    ----------
    batch
        Samples: arrays of any framework, or dicts, lists and tuples of them, with whatever else torch's own
        ``default_collate`` takes.

    Returns
    -------
    samples
        The same containers, with one torch tensor for each array: all of them along a new first axis, of the same
        element type. In a worker it is in shared memory, into which each sample is copied once.

    Raises
    ------
    UnsupportedError
        If the arrays of a batch differ in shape or element type.
    GradientError
        If a sample requires grad and isn't torch's.

    Examples
    --------
    >>> import ml_dtypes, numpy as np
    >>> from interop.integrations.torch_data import collate
    >>> collate([{"x": np.ones(2, ml_dtypes.bfloat16), "y": 1}, {"x": np.zeros(2, ml_dtypes.bfloat16), "y": 2}])
    {'x': tensor([[1., 1.],
            [0., 0.]], dtype=torch.bfloat16), 'y': tensor([1, 2])}
    """
    torchs = importlib.import_module("torch.utils.data._utils.collate")
    return torchs.collate(batch, collate_fn_map=collate_fn_map())


def _stacked_or_theirs(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Any:
    if carries(batch[0]):
        return _stacked(batch)
    torchs = importlib.import_module("torch.utils.data._utils.collate")
    return torchs.collate_numpy_array_fn(batch, collate_fn_map=collate_fn_map)


def _stacked(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Any:  # noqa: ARG001 - as torch calls it
    first = to_torch(batch[0], writable=False)
    whole = _room(len(batch), first)
    for number, x in enumerate(batch):
        try:
            same = dtype_of(x) == dtype_of(batch[0]) and tuple(x.shape) == tuple(first.shape)
        except InteropError as err:
            raise type(err)(f"sample {number} of a batch: {err}") from err
        if not same:
            msg = (
                f"sample {number} of a batch is {with_article(name_of(type(x)))}, {dtype_of(x)} {tuple(x.shape)}, and "
                f"the first is {dtype_of(batch[0])} {tuple(first.shape)}. Pad or cast it in the dataset."
            )
            raise UnsupportedError(msg)
        copyto(whole[number], x)
    return whole


def _room(count: int, like: Any) -> Any:
    """An empty batch, where it needn't be copied again on its way out of a worker."""
    torch = importlib.import_module("torch")
    shape = (count, *like.shape)
    if torch.utils.data.get_worker_info() is None:
        return torch.empty(shape, dtype=like.dtype)
    # As torch's own collate does.
    storage = torch.UntypedStorage._new_shared(count * like.nbytes, device="cpu")  # noqa: SLF001
    return torch.empty(0, dtype=like.dtype).set_(storage, 0, shape)
