"""One door a framework: :func:`interop.convert` with its target fixed and its result typed.

A door stands behind the hot routes to its framework. What it says of itself is its framework's name, the type of its
result and what to know there; what it does is the same for all.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from interop._convert import ConvertOptions, convert, convert_to
from interop._native import door

if TYPE_CHECKING:
    from collections.abc import Callable

    import cupy
    import numpy as np
    import torch

_Door = TypeVar("_Door", bound="Callable[..., Any]")

#: What help() shows: the options by name, as a type checker sees them. All but `to` is as convert's.
_OPTIONS: Final = tuple(one for one in inspect.signature(convert).parameters.values() if one.name != "to")


def _door(target: str) -> Callable[[_Door], _Door]:
    """Put the hot routes to a framework in front of a function, and show its options one by one."""

    def decorate(slow: _Door) -> _Door:
        fast = door(target)(slow)
        returns = slow.__annotations__["return"]
        vars(fast)["__signature__"] = inspect.Signature(_OPTIONS, return_annotation=returns)
        return fast

    return decorate


@_door("numpy")
def to_numpy(x: Any, /, **options: Unpack[ConvertOptions]) -> np.ndarray[Any, Any]:
    """Hand a tensor to numpy; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. Memory of a GPU needs ``device="cpu"``.

    Returns
    -------
    numpy.ndarray
        On the memory of `x` where possible. bfloat16, float8 and the other small floats keep their type, as
        ml_dtypes' extension of numpy. Readonly where the source is.

    Examples
    --------
    >>> import torch, interop
    >>> interop.to_numpy(torch.tensor([1.5, 2.5], dtype=torch.bfloat16))
    array([1.5, 2.5], dtype=bfloat16)
    """
    result: np.ndarray[Any, Any] = convert_to("numpy", x, options)
    return result


@_door("torch")
def to_torch(x: Any, /, **options: Unpack[ConvertOptions]) -> torch.Tensor:
    """Hand a tensor to torch; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. torch can't express readonly: a readonly source is copied unless ``writable=False``
        promises that nobody writes.

    Returns
    -------
    torch.Tensor
        On the memory of `x` where possible.

    Examples
    --------
    >>> import numpy as np, interop
    >>> interop.to_torch(np.eye(2, dtype="float32"))
    tensor([[1., 0.],
            [0., 1.]])
    """
    result: torch.Tensor = convert_to("torch", x, options)
    return result


@_door("cupy")
def to_cupy(x: Any, /, **options: Unpack[ConvertOptions]) -> cupy.ndarray:
    """Hand a tensor to cupy; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. Host memory needs ``device="cuda"`` or ``device="cuda:1"``.

    Returns
    -------
    cupy.ndarray
        On the memory of `x` where possible.
    """
    result: cupy.ndarray = convert_to("cupy", x, options)
    return result
