"""One door a framework: :func:`interop.convert` with its target fixed and its result typed.

A door looks for a recipe first. What it says of itself is its framework's name, the type of its
result and what to know there; what it does is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, cast

from interop._compiled import public
from interop._convert import convert, convert_to
from interop._native import door
from interop._run.book import BOOK

if TYPE_CHECKING:
    from collections.abc import Callable

    import cupy
    import dpnp
    import jax
    import mlx.core
    import numpy as np
    import paddle
    import pyarrow as pa
    import tensorflow as tf
    import torch
    import tvm_ffi
    import warp
    from array_api_strict._array_object import Array as StrictArray

    from interop._typed import ConvertOptions, MakeDoor


def _put_recipes_before(target: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the recipes to a framework in front of a function, and show its options one by one."""
    made: Callable[[Callable[..., Any]], Callable[..., Any]] = door(BOOK, target)
    return lambda slow: public(options_of=convert)(made(slow))


_door = cast("MakeDoor", _put_recipes_before)


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


@_door("jax")
def to_jax(x: Any, /, **options: Unpack[ConvertOptions]) -> jax.Array:
    """Hand a tensor to jax; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. jax assumes that memory never changes: writable memory is copied, before the call
        returns, unless ``copy=False`` says that an alias is wanted. 64-bit types need ``jax_enable_x64``.

    Returns
    -------
    jax.Array
        On the memory of `x` where that is readonly, dense and on a multiple of 64 bytes; :func:`empty_aligned` makes
        memory that is.

    Examples
    --------
    >>> import jax, interop
    >>> a = interop.empty_aligned(3, "float32")
    >>> a[:] = 1, 2, 3
    >>> interop.to_jax(a, copy=False).sum()
    Array(6., dtype=float32)
    """
    result: jax.Array = convert_to("jax", x, options)
    return result


@_door("tensorflow")
def to_tensorflow(x: Any, /, **options: Unpack[ConvertOptions]) -> tf.Tensor:
    """Hand a tensor to tensorflow; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. tensorflow assumes that memory never changes: writable memory is copied, before the
        call returns, unless ``copy=False`` says that an alias is wanted.

    Returns
    -------
    tensorflow.Tensor
        On the memory of `x` where that is readonly, in C order and on a multiple of 64 bytes, without which
        tensorflow ends the process; :func:`empty_aligned` makes memory that is.

    Examples
    --------
    >>> import numpy as np, tensorflow, interop
    >>> interop.to_tensorflow(np.arange(3.0, dtype="float32")).numpy()
    array([0., 1., 2.], dtype=float32)
    """
    result: tf.Tensor = convert_to("tensorflow", x, options)
    return result


@_door("mlx")
def to_mlx(x: Any, /, **options: Unpack[ConvertOptions]) -> mlx.core.array:
    """Hand a tensor to mlx; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. mlx has float64 on the CPU only, and no complex128.

    Returns
    -------
    mlx.core.array
        A copy: mlx keeps its elements in memory of its own only.

    Examples
    --------
    >>> import numpy as np, mlx.core, interop
    >>> interop.to_mlx(np.arange(3.0, dtype="float32"))
    array([0, 1, 2], dtype=float32)
    """
    result: mlx.core.array = convert_to("mlx", x, options)
    return result


@_door("paddle")
def to_paddle(x: Any, /, **options: Unpack[ConvertOptions]) -> paddle.Tensor:
    """Hand a tensor to paddle; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. paddle can't express readonly: a readonly source is copied unless ``writable=False``
        promises that nobody writes.

    Returns
    -------
    paddle.Tensor
        On the memory of `x` where possible, with at most nine dimensions.

    Examples
    --------
    >>> import numpy as np, paddle, interop
    >>> interop.to_paddle(np.arange(3.0, dtype="float32")).tolist()
    [0.0, 1.0, 2.0]
    """
    result: paddle.Tensor = convert_to("paddle", x, options)
    return result


@_door("pyarrow")
def to_pyarrow(x: Any, /, **options: Unpack[ConvertOptions]) -> pa.Array | pa.Tensor:
    """Hand a tensor to pyarrow; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. Arrow packs booleans into bits: ``dtype="uint8"`` hands them over a byte each.

    Returns
    -------
    pyarrow.Array or pyarrow.Tensor
        An array, which is readonly, of a tensor of one dimension; a tensor of any other number. On the memory of `x`
        where possible: an array has no strides, so that elements with gaps between them are copied.

    Examples
    --------
    >>> import numpy as np, interop
    >>> print(interop.to_pyarrow(np.arange(3)).to_pylist())
    [0, 1, 2]
    >>> interop.to_pyarrow(np.eye(2)).shape
    (2, 2)
    """
    result: pa.Array | pa.Tensor = convert_to("pyarrow", x, options)
    return result


@_door("tvm_ffi")
def to_tvm_ffi(x: Any, /, **options: Unpack[ConvertOptions]) -> tvm_ffi.Tensor:
    """Hand a tensor to tvm_ffi; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. tvm_ffi can't express readonly: a readonly source is copied unless ``writable=False``
        promises that nobody writes.

    Returns
    -------
    tvm_ffi.Tensor
        On the memory of `x` where possible.

    Examples
    --------
    >>> import numpy as np, interop
    >>> interop.to_tvm_ffi(np.eye(2, dtype="float32")).dtype
    dtype('float32')
    """
    result: tvm_ffi.Tensor = convert_to("tvm_ffi", x, options)
    return result


@_door("warp")
def to_warp(x: Any, /, **options: Unpack[ConvertOptions]) -> warp.array[Any]:
    """Hand a tensor to warp; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. warp can't express readonly: a readonly source is copied unless ``writable=False``
        promises that nobody writes.

    Returns
    -------
    warp.array
        Of scalars, with one to four dimensions, on the memory of `x` where possible.

    Examples
    --------
    >>> import numpy as np, interop, warp
    >>> warp.config.log_level = warp.LOG_WARNING  # else it says hello
    >>> interop.to_warp(np.eye(2, dtype="float32"))
    array(shape=(2, 2), dtype=float32)
    """
    result: warp.array[Any] = convert_to("warp", x, options)
    return result


@_door("dpnp")
def to_dpnp(x: Any, /, **options: Unpack[ConvertOptions]) -> dpnp.ndarray:
    """Hand a tensor to dpnp; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. Host memory needs ``device="oneapi"`` or ``device="oneapi:1"``; a SYCL device that is a
        CPU is no host.

    Returns
    -------
    dpnp.ndarray
        On the memory of `x` where that is memory of a SYCL device.

    Examples
    --------
    >>> import dpnp, numpy as np, interop
    >>> interop.to_dpnp(np.eye(2, dtype="float32"), device="oneapi")
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    result: dpnp.ndarray = convert_to("dpnp", x, options)
    return result


@_door("array_api_strict")
def to_array_api_strict(x: Any, /, **options: Unpack[ConvertOptions]) -> StrictArray:
    """Hand a tensor to array_api_strict; the options are those of :func:`convert`.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    device, dtype, order, copy, writable, detach, stream
        As in :func:`convert`. A device may be one of its own, such as ``array_api_strict.Device("device1")``.

    Returns
    -------
    array_api_strict.Array
        On the memory of `x` where possible; readonly where the source is.

    Examples
    --------
    >>> import numpy as np, interop
    >>> interop.to_array_api_strict(np.arange(3.0))
    Array([0., 1., 2.], dtype=array_api_strict.float64)
    """
    result: StrictArray = convert_to("array_api_strict", x, options)
    return result
