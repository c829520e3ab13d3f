"""Whether two arrays of any two frameworks hold the same values: to the bit, or nearly.

Memory is read by each framework's own means, never through this library's exchange, which is what is tested.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ml_dtypes
import numpy as np

from interop._dtypes import BY_NAME, BY_NUMPY, BY_TRIPLE
from interop.testing.fakes import consume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Bits", "assert_allclose", "assert_identical", "bits"]


class Bits(NamedTuple):
    """An array's values, whatever its framework: the element type's name, and numpy bytes in C order."""

    framework: str
    dtype: str
    shape: tuple[int, ...]
    #: One row of bytes for each element.
    rows: np.ndarray[Any, np.dtype[np.uint8]]


def _rows(flat: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return flat.reshape(count, -1) if count else np.empty((0, 1), np.uint8)


def _read_numpy(x: Any) -> Bits:
    array = np.asarray(x)
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    row = BY_NUMPY.get(native.dtype)
    flat = np.frombuffer(native.tobytes(), np.uint8)
    return Bits("numpy", str(native.dtype) if row is None else row.name, array.shape, _rows(flat, array.size))


def _read_torch(x: Any) -> Bits:
    import torch

    # Cloned, for .numpy() would forbid x for good to resize its storage.
    plain = x.detach().resolve_conj().resolve_neg().cpu().clone(memory_format=torch.contiguous_format)
    flat = plain.reshape(-1).view(torch.uint8).numpy()
    return Bits("torch", str(x.dtype).removeprefix("torch."), tuple(x.shape), _rows(flat, x.numel()))


def _read_cupy(x: Any) -> Bits:
    return _read_numpy(x.get())._replace(framework="cupy")


def _read_asarray(x: Any) -> Bits:
    # DLPack has no code for some of their types (int4), and packs others (float4).
    return _read_numpy(np.asarray(x))._replace(framework=_root(x))


def _read_tensorflow(x: Any) -> Bits:
    return _read_numpy(x.numpy())._replace(framework="tensorflow")


def _read_pyarrow(x: Any) -> Bits:
    if str(getattr(x, "type", "")) == "bool" and not x.null_count:  # bits, which DLPack hasn't
        return _read_numpy(x.to_numpy(zero_copy_only=False))._replace(framework="pyarrow")
    return _read_dlpack(x)


def _read_dlpack(x: Any) -> Bits:
    if not hasattr(x, "__dlpack__"):
        msg = f"no way to read a {type(x).__name__}: pass readers={{{_root(x)!r}: a function to Bits}}"
        raise TypeError(msg)
    with consume(_on_host(x)) as tensor:
        row = BY_TRIPLE[tensor.fields.dtype]
        array = tensor.array()
        return Bits(_root(x), row.name, array.shape, _rows(np.frombuffer(array.tobytes(), np.uint8), array.size))


def _on_host(x: Any) -> Any:
    # Many refuse dl_device, each by an error of its own, though it is where they are.
    if x.__dlpack_device__()[0] == 1:
        try:
            return x.__dlpack__(max_version=(1, 3))
        except TypeError:  # an older producer
            return x.__dlpack__()
    return x.__dlpack__(max_version=(1, 3), dl_device=(1, 0))


def _root(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


#: How to read arrays, by the first part of their type's module.
READERS: Final[Mapping[str, Callable[[Any], Bits]]] = MappingProxyType(
    {
        "builtins": _read_numpy,
        "numpy": _read_numpy,
        "ml_dtypes": _read_numpy,
        "torch": _read_torch,
        "cupy": _read_cupy,
        "jax": _read_asarray,
        "jaxlib": _read_asarray,
        "tensorflow": _read_tensorflow,
        "pyarrow": _read_pyarrow,
    }
)


def bits(x: Any, /, *, readers: Mapping[str, Callable[[Any], Bits]] | None = None) -> Bits:
    """Read an array's element type, shape and bytes.

    Parameters
    ----------
    x
        An array of numpy, torch, cupy, jax, tensorflow or pyarrow, or what exports itself to the host through DLPack.
    readers
        How to read others, by the first part of their type's module.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.compare import bits
    >>> bits(np.array([-0.0], "float16")).rows
    array([[  0, 128]], dtype=uint8)
    """
    root = _root(x)
    read = (readers or {}).get(root) or READERS.get(root) or _read_dlpack
    return read(x)


def assert_identical(
    x: Any, y: Any, /, *, device: bool = False, readers: Mapping[str, Callable[[Any], Bits]] | None = None
) -> None:
    """Fail unless two arrays have one element type, one shape and the same bits, NaN payloads and zeros' signs too.

    Parameters
    ----------
    x, y
        Arrays of any framework; byte order and layout don't count.
    device
        Whether they have to be on one device too, as their ``__dlpack_device__`` says.
    readers
        See :func:`bits`.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing import assert_identical
    >>> assert_identical(np.arange(3), np.arange(6)[::2] // 2)
    >>> assert_identical(np.array([1.0, 0.0], "float16"), np.array([1.0, -0.0], "float16"))
    Traceback (most recent call last):
    AssertionError: 1 of 2 elements differ, the first at (1,): 0x0000 (0.0) in numpy, 0x8000 (-0.0) in numpy
    """
    a, b = bits(x, readers=readers), bits(y, readers=readers)
    if device:
        _same("devices", a, b, _device(x), _device(y))
    _same("element types", a, b, a.dtype, b.dtype)
    _same("shapes", a, b, a.shape, b.shape)
    _all_same((a.rows != b.rows).any(axis=1), a, b)


def _all_same(differ: np.ndarray[Any, Any], a: Bits, b: Bits, how: str = "") -> None:
    different = np.flatnonzero(differ)
    if different.size:
        first = different[0]
        index = tuple(int(i) for i in np.unravel_index(first, a.shape))
        msg = (
            f"{different.size} of {len(a.rows)} elements differ{how}, the first at {index}: "
            f"{_show(a, first)} in {a.framework}, {_show(b, first)} in {b.framework}"
        )
        raise AssertionError(msg)


def _device(x: Any) -> tuple[int, int]:
    kind, index = x.__dlpack_device__() if hasattr(x, "__dlpack_device__") else (1, 0)
    return int(kind), int(index or 0)


def _same(what: str, a: Bits, b: Bits, of_a: object, of_b: object) -> None:
    if of_a != of_b:
        msg = f"{what} differ: {of_a} in {a.framework}, {of_b} in {b.framework}"
        raise AssertionError(msg)


def _show(of: Bits, index: int) -> str:
    row = of.rows[index]
    dtype = BY_NAME[of.dtype].numpy if of.dtype in BY_NAME else None
    value = "" if dtype is None else f" ({row.copy().view(dtype)[0]})"
    return f"0x{row[::-1].tobytes().hex()}{value}"


def assert_allclose(
    x: Any,
    y: Any,
    /,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    readers: Mapping[str, Callable[[Any], Bits]] | None = None,
) -> None:
    """Fail unless two arrays of one shape have nearly the same values, whatever their element types.

    Parameters
    ----------
    x, y
        Arrays of any framework. NaN is near NaN, of any payload.
    rtol, atol
        How near; by default what the coarser of the two element types can hold.
    readers
        See :func:`bits`.

    Examples
    --------
    >>> import ml_dtypes, numpy as np
    >>> from interop.testing import assert_allclose
    >>> third = np.array([1 / 3])
    >>> assert_allclose(third, third.astype(ml_dtypes.bfloat16))
    >>> assert_allclose(np.array([1.0, 2.0]), np.array([1.0, 2.5], "float32"), rtol=0.1)
    Traceback (most recent call last):
    AssertionError: 1 of 2 elements differ by more than rtol=0.1, atol=0.0, the first at (1,): 0x4000000000000000 (2.0)
    in numpy, 0x40200000 (2.5) in numpy
    """
    a, b = bits(x, readers=readers), bits(y, readers=readers)
    _same("shapes", a, b, a.shape, b.shape)
    near = max(_epsilon(a.dtype), _epsilon(b.dtype)) ** 0.75 if rtol is None else rtol
    close = np.isclose(_widened(a), _widened(b), rtol=near, atol=atol, equal_nan=True)
    _all_same(~close.reshape(-1), a, b, how=f" by more than rtol={near:.3g}, atol={atol}")


def _epsilon(name: str) -> float:
    dtype = BY_NAME[name].numpy
    exact = np.issubdtype(dtype, np.integer) or dtype == np.bool_ or name.startswith(("int", "uint"))
    if exact or dtype is None:
        return 0.0
    return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]


def _widened(of: Bits) -> np.ndarray[Any, Any]:
    dtype = BY_NAME[of.dtype].numpy
    if dtype is None:
        msg = f"numpy can't compute with {of.dtype}"
        raise TypeError(msg)
    array = of.rows.reshape(-1).view(dtype).reshape(of.shape)
    wide = np.complex128 if of.dtype.startswith("complex") else np.float64
    with np.errstate(all="ignore"):
        return array.astype(wide)
