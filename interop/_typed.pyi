"""What type checkers and editors are told of the doors, whichever frameworks are installed.

pyright calls a type of an absent package unknown, and in strict mode reports each use of a function that returns one.
So a door is an instance of a class, which is known, and has two signatures: the first fits where the package is absent,
since an unknown type fits everything, and returns Any; the second, where it is present, returns the framework's type.
mypy takes an absent type for Any and ends at the same.
"""

# Where a package is absent, and only there, pyright finds that the second of two signatures is never used.
# pyright: reportOverlappingOverload=false

from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

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

from interop._devices import Device
from interop._dtypes import DType
from interop._options import Order

_T_co = TypeVar("_T_co", covariant=True)

# What a framework's own device object has, one of these: no number has any of them.
class _OfType(Protocol):  # torch, tvm_ffi, mlx
    @property
    def type(self) -> object: ...

class _OfPlatform(Protocol):  # jax
    @property
    def platform(self) -> str: ...

class _Sharding(Protocol):  # jax: as what the device of an array on one device is typed, too
    @property
    def device_set(self) -> object: ...

class _Numbered(Protocol):  # cupy
    @property
    def id(self) -> int: ...

class _Named(Protocol):  # dpctl, tensorflow, mlx
    @property
    def name(self) -> str: ...

class _Place(Protocol):  # paddle
    def is_cpu_place(self) -> bool: ...

class _StrictDevice(Protocol):
    @property
    def _device(self) -> object: ...

#: What `device=` takes. 3 is none: DLPack's kind and index are a pair.
DeviceLike: TypeAlias = (
    Literal["cpu", "cuda"]  # noqa: PYI051 - editors complete them
    | str
    | Device
    | tuple[int, int]
    | list[int]
    | _OfType
    | _OfPlatform
    | _Sharding
    | _Numbered
    | _Named
    | _Place
    | _StrictDevice
)

# What a framework's own dtype object has, one of these.
class _Sized(Protocol):  # torch, numpy
    @property
    def itemsize(self) -> int: ...

class _WithSize(Protocol):  # mlx, tensorflow
    @property
    def size(self) -> int: ...

class _BitWide(Protocol):  # pyarrow
    @property
    def bit_width(self) -> int: ...

class _WithDtype(Protocol):  # jax.numpy.float32
    @property
    def dtype(self) -> object: ...

class _StrictDtype(Protocol):
    @property
    def _np_dtype(self) -> object: ...

DtypeName: TypeAlias = Literal[
    "nearest",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "complex64",
    "complex128",
    "float8_e4m3fn",
    "float8_e5m2",
]

#: What `dtype=` takes. paddle's types say nothing of its element types: pass their names.
DtypeLike: TypeAlias = (
    DtypeName
    | str
    | DType
    | np.dtype[Any]
    | type[Any]
    | tuple[int, int, int]
    | _Sized
    | _WithSize
    | _BitWide
    | _WithDtype
    | _Named
    | _StrictDtype
)

class ConvertOptions(TypedDict, total=False):
    """The options of every conversion; :func:`interop.convert` tells what each value means."""

    device: DeviceLike | None
    dtype: DtypeLike | None
    order: Order | None
    copy: bool | None
    writable: bool | None
    detach: bool
    stream: Any

class _Nobody: ...

class _Absent(Protocol):
    """A door whose framework is of an unknown type: no array is a _Nobody."""

    @property
    def result(self) -> _Nobody: ...

class Function:
    """What a function has besides its call."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

class Door(Function, Generic[_T_co]):
    @property
    def result(self) -> _T_co: ...
    @overload
    def __call__(
        self: _Absent,
        x: Any,
        /,
        *,
        device: DeviceLike | None = None,
        dtype: DtypeLike | None = None,
        order: Order | None = None,
        copy: bool | None = None,
        writable: bool | None = None,
        detach: bool = False,
        stream: Any = None,
    ) -> Any: ...
    @overload
    def __call__(
        self,
        x: Any,
        /,
        *,
        device: DeviceLike | None = None,
        dtype: DtypeLike | None = None,
        order: Order | None = None,
        copy: bool | None = None,
        writable: bool | None = None,
        detach: bool = False,
        stream: Any = None,
    ) -> _T_co: ...

class ToNumpy(Door[np.ndarray[Any, Any]]): ...
class ToTorch(Door[torch.Tensor]): ...
class ToCupy(Door[cupy.ndarray]): ...
class ToJax(Door[jax.Array]): ...
class ToTensorflow(Door[tf.Tensor]): ...
class ToMlx(Door[mlx.core.array]): ...
class ToPaddle(Door[paddle.Tensor]): ...
class ToPyarrow(Door[pa.Array | pa.Tensor]): ...
class ToTvmFfi(Door[tvm_ffi.Tensor]): ...
class ToWarp(Door[warp.array[Any]]): ...
class ToDpnp(Door[dpnp.ndarray]): ...
class ToArrayApiStrict(Door[StrictArray]): ...

# The same for convert, which is asked about each framework.
class _NoTorch(Protocol):
    @property
    def in_torch(self) -> _Nobody: ...

class _NoCupy(Protocol):
    @property
    def in_cupy(self) -> _Nobody: ...

class _NoJax(Protocol):
    @property
    def in_jax(self) -> _Nobody: ...

class _NoTensorflow(Protocol):
    @property
    def in_tensorflow(self) -> _Nobody: ...

class _NoMlx(Protocol):
    @property
    def in_mlx(self) -> _Nobody: ...

class _NoPaddle(Protocol):
    @property
    def in_paddle(self) -> _Nobody: ...

class _NoPyarrow(Protocol):
    @property
    def in_pyarrow(self) -> _Nobody: ...

class _NoTvmFfi(Protocol):
    @property
    def in_tvm_ffi(self) -> _Nobody: ...

class _NoWarp(Protocol):
    @property
    def in_warp(self) -> _Nobody: ...

class _NoDpnp(Protocol):
    @property
    def in_dpnp(self) -> _Nobody: ...

class _NoStrict(Protocol):
    @property
    def in_strict(self) -> _Nobody: ...

class Convert(Function):
    @property
    def in_torch(self) -> torch.Tensor: ...
    @property
    def in_cupy(self) -> cupy.ndarray: ...
    @property
    def in_jax(self) -> jax.Array: ...
    @property
    def in_tensorflow(self) -> tf.Tensor: ...
    @property
    def in_mlx(self) -> mlx.core.array: ...
    @property
    def in_paddle(self) -> paddle.Tensor: ...
    @property
    def in_pyarrow(self) -> pa.Array | pa.Tensor: ...
    @property
    def in_tvm_ffi(self) -> tvm_ffi.Tensor: ...
    @property
    def in_warp(self) -> warp.array[Any]: ...
    @property
    def in_dpnp(self) -> dpnp.ndarray: ...
    @property
    def in_strict(self) -> StrictArray: ...
    @overload
    def __call__(self, x: Any, to: Literal["numpy"], /, **options: Unpack[ConvertOptions]) -> np.ndarray[Any, Any]: ...
    @overload
    def __call__(self: _NoTorch, x: Any, to: Literal["torch"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["torch"], /, **options: Unpack[ConvertOptions]) -> torch.Tensor: ...
    @overload
    def __call__(self: _NoCupy, x: Any, to: Literal["cupy"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["cupy"], /, **options: Unpack[ConvertOptions]) -> cupy.ndarray: ...
    @overload
    def __call__(self: _NoJax, x: Any, to: Literal["jax"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["jax"], /, **options: Unpack[ConvertOptions]) -> jax.Array: ...
    @overload
    def __call__(
        self: _NoTensorflow, x: Any, to: Literal["tensorflow"], /, **options: Unpack[ConvertOptions]
    ) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["tensorflow"], /, **options: Unpack[ConvertOptions]) -> tf.Tensor: ...
    @overload
    def __call__(self: _NoMlx, x: Any, to: Literal["mlx"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["mlx"], /, **options: Unpack[ConvertOptions]) -> mlx.core.array: ...
    @overload
    def __call__(self: _NoPaddle, x: Any, to: Literal["paddle"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["paddle"], /, **options: Unpack[ConvertOptions]) -> paddle.Tensor: ...
    @overload
    def __call__(self: _NoPyarrow, x: Any, to: Literal["pyarrow"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(
        self, x: Any, to: Literal["pyarrow"], /, **options: Unpack[ConvertOptions]
    ) -> pa.Array | pa.Tensor: ...
    @overload
    def __call__(self: _NoTvmFfi, x: Any, to: Literal["tvm_ffi"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["tvm_ffi"], /, **options: Unpack[ConvertOptions]) -> tvm_ffi.Tensor: ...
    @overload
    def __call__(self: _NoWarp, x: Any, to: Literal["warp"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["warp"], /, **options: Unpack[ConvertOptions]) -> warp.array[Any]: ...
    @overload
    def __call__(self: _NoDpnp, x: Any, to: Literal["dpnp"], /, **options: Unpack[ConvertOptions]) -> Any: ...
    @overload
    def __call__(self, x: Any, to: Literal["dpnp"], /, **options: Unpack[ConvertOptions]) -> dpnp.ndarray: ...
    @overload
    def __call__(
        self: _NoStrict, x: Any, to: Literal["array_api_strict"], /, **options: Unpack[ConvertOptions]
    ) -> Any: ...
    @overload
    def __call__(
        self, x: Any, to: Literal["array_api_strict"], /, **options: Unpack[ConvertOptions]
    ) -> StrictArray: ...
    @overload
    def __call__(self, x: Any, to: str | ModuleType, /, **options: Unpack[ConvertOptions]) -> Any: ...

class MakeDoor(Protocol):
    """The decorator of each door, by its framework's name."""

    @overload
    def __call__(self, target: Literal["numpy"], /) -> Callable[[Callable[..., Any]], ToNumpy]: ...
    @overload
    def __call__(self, target: Literal["torch"], /) -> Callable[[Callable[..., Any]], ToTorch]: ...
    @overload
    def __call__(self, target: Literal["cupy"], /) -> Callable[[Callable[..., Any]], ToCupy]: ...
    @overload
    def __call__(self, target: Literal["jax"], /) -> Callable[[Callable[..., Any]], ToJax]: ...
    @overload
    def __call__(self, target: Literal["tensorflow"], /) -> Callable[[Callable[..., Any]], ToTensorflow]: ...
    @overload
    def __call__(self, target: Literal["mlx"], /) -> Callable[[Callable[..., Any]], ToMlx]: ...
    @overload
    def __call__(self, target: Literal["paddle"], /) -> Callable[[Callable[..., Any]], ToPaddle]: ...
    @overload
    def __call__(self, target: Literal["pyarrow"], /) -> Callable[[Callable[..., Any]], ToPyarrow]: ...
    @overload
    def __call__(self, target: Literal["tvm_ffi"], /) -> Callable[[Callable[..., Any]], ToTvmFfi]: ...
    @overload
    def __call__(self, target: Literal["warp"], /) -> Callable[[Callable[..., Any]], ToWarp]: ...
    @overload
    def __call__(self, target: Literal["dpnp"], /) -> Callable[[Callable[..., Any]], ToDpnp]: ...
    @overload
    def __call__(self, target: Literal["array_api_strict"], /) -> Callable[[Callable[..., Any]], ToArrayApiStrict]: ...
