"""The frameworks that this run was asked to test, one row each: how they make an array and read one, by themselves.

A row calls nothing of interop: what it makes is what a user of the framework would have, and what it reads is the
judge. A framework joins the laws by its row.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from interop._dtypes import BY_NAME, BY_NUMPY

Array = np.ndarray[Any, Any]

ASKED = frozenset(os.environ.get("INTEROP_TEST_FRAMEWORKS", "numpy,torch").split(","))

NATIVE = frozenset(
    {"bool", "complex64", "complex128", "float16", "float32", "float64"}
    | {f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)}
)
SMALL = frozenset(name for name in BY_NAME if name.startswith("float8_"))
PACKED = frozenset({"int4", "uint4"})


@dataclass(frozen=True)
class Framework:
    """One framework.

    Parameters
    ----------
    name
        As interop takes it.
    module
        What it is imported by.
    dtypes
        The element types that it has.
    make
        An array with the values of a numpy array in C order, in memory of its own.
    read
        The values of an array as a numpy array.
    views
        Calls of its own that give the same memory in another layout, by name.
    readonly
        Whether its arrays can't be written.
    fill
        Writes 1 into every element of an array, in place, where that can be done.
    lazy
        Whether an array's memory is there only when it has been evaluated.
    own
        The element types that never cross without a copy into it.
    c_only
        Whether its arrays are in C order, always.
    source_only
        Whether it can't be a target.
    min_dims
        The fewest dimensions of its arrays.
    at_hub
        Whether its pairs are those with numpy and torch only.
    """

    name: str
    module: str
    dtypes: frozenset[str]
    make: Callable[[Array], Any] = field(repr=False)
    read: Callable[[Any], Array] = field(repr=False)
    views: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict, repr=False)
    readonly: bool = False
    fill: Callable[[Any], None] | None = field(default=None, repr=False)
    lazy: bool = False
    own: frozenset[str] = frozenset()
    c_only: bool = False
    source_only: bool = False
    min_dims: int = 0
    at_hub: bool = False

    @cached_property
    def here(self) -> bool:
        """Whether this run was asked to test it."""
        return self.module in ASKED

    def __str__(self) -> str:
        return self.name


def _dtype(name: str) -> np.dtype[Any]:
    dtype = BY_NAME[name].numpy
    assert dtype is not None
    return dtype


def bits(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    """What must be the same on both sides: the element type, the shape, and the bytes in C order."""
    row = BY_NUMPY[array.dtype.newbyteorder("=") if array.dtype.kind in "iufc" else array.dtype]
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return row.name, array.shape, native.tobytes()


def _reversed(x: Any) -> Any:
    return x[::-1] if x.ndim else x


def _stepped(x: Any) -> Any:
    return x[..., ::2] if x.ndim else x


def _numpy() -> Framework:
    def fill(x: Array) -> None:
        x[...] = 1

    return Framework(
        "numpy",
        "numpy",
        frozenset(row.name for row in BY_NUMPY.values()),
        make=np.copy,
        read=np.array,
        views={"transposed": np.transpose, "reversed": np.flip, "stepped": _stepped},
        fill=fill,
    )


def _torch() -> Framework:
    import torch

    carriers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}

    def make(a: Array) -> Any:
        carrier = {1: "u1", 2: "i2", 4: "i4", 8: "i8", 16: "c16"}[a.itemsize]
        plain = torch.from_numpy(np.ascontiguousarray(a).view(carrier).reshape(a.shape).copy())
        return plain.view(getattr(torch, BY_NUMPY[a.dtype].name))

    def read(x: Any) -> Array:
        name = str(x.dtype).removeprefix("torch.")
        plain = x.contiguous().view(carriers[x.element_size()]).numpy()
        return np.array(plain).view(_dtype(name)).reshape(tuple(x.shape))

    return Framework(
        "torch",
        "torch",
        frozenset(name for name in BY_NAME if name not in PACKED and hasattr(torch, name) and BY_NAME[name].bits >= 8)
        & frozenset(row.name for row in BY_NUMPY.values()),
        make=make,
        read=read,
        views={
            "transposed": lambda x: x.permute(tuple(range(x.ndim))[::-1]),
            "stepped": _stepped,
        },
        fill=lambda x: x.fill_(1),
    )


def _jax() -> Framework:
    import jax
    import jax.numpy as jnp

    # Whether its 64-bit types are on is for tests of its own.
    jax.config.update("jax_enable_x64", True)
    return Framework(
        "jax",
        "jax",
        frozenset({"bfloat16", "float4_e2m1fn"}) | NATIVE | SMALL | PACKED,
        make=jnp.array,
        read=np.array,
        readonly=True,
        own=PACKED | {"float4_e2m1fn"},
    )


def _tensorflow() -> Framework:
    import tensorflow as tf

    own = frozenset(
        {"float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float4_e2m1fn"}
    )
    return Framework(
        "tensorflow",
        "tensorflow",
        frozenset({"bfloat16"}) | NATIVE | own | PACKED,
        make=tf.constant,
        read=lambda x: np.array(x.numpy()),
        readonly=True,
        c_only=True,
        own=own | PACKED,
    )


def _mlx() -> Framework:
    import mlx.core as mx

    def read(x: Any) -> Array:
        if x.dtype == mx.bfloat16:
            return np.array(x.view(mx.uint16)).view(_dtype("bfloat16"))
        return np.array(x)

    def make(a: Array) -> Any:
        return mx.array(a, dtype=mx.bool_ if a.dtype == bool else getattr(mx, BY_NUMPY[a.dtype].name))

    return Framework(
        "mlx",
        "mlx",
        frozenset({"bfloat16"}) | NATIVE - {"complex128"},
        make=make,
        read=read,
        views={
            "transposed": lambda x: x.T,
            "reversed": _reversed,
            "stepped": _stepped,
        },
        lazy=True,
        own=frozenset(BY_NAME),
    )


def _paddle() -> Framework:
    import paddle

    floats = {"bfloat16": "u2", "float8_e4m3fn": "u1", "float8_e5m2": "u1"}

    def make(a: Array) -> Any:
        name = BY_NUMPY[a.dtype].name
        if name == "bfloat16":  # to_tensor takes uint16 for it
            return paddle.to_tensor(a.view("u2")).reshape(a.shape)
        if name in floats:
            return paddle.to_tensor(a.view("u1")).reshape(a.shape).view(name) if a.size else paddle.empty(a.shape, name)
        if name in ("uint16", "uint32", "uint64"):
            return paddle.from_dlpack(a.copy())
        return paddle.to_tensor(a).reshape(a.shape)

    def read(x: Any) -> Array:
        name = str(x.dtype).removeprefix("paddle.")
        if name == "bfloat16" and x.dtype != paddle.bfloat16:
            name = "uint16"  # which prints as its older name
        plain = x.detach().view("uint8") if name.startswith("float8") else x.detach()
        return np.array(plain.numpy()).view(_dtype(name))

    def where_it_can(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def view(x: Any) -> Any:
            try:
                return call(x)
            except RuntimeError:  # it has no kernel for the type
                return x

        return view

    return Framework(
        "paddle",
        "paddle",
        frozenset(floats) | NATIVE,
        make=make,
        read=read,
        views={
            "transposed": where_it_can(lambda x: x.T if x.ndim > 1 else x),
            "reversed": where_it_can(_reversed),
            "stepped": where_it_can(lambda x: x[::2] if x.ndim else x),
        },
    )


def _tvm_ffi() -> Framework:
    import tvm_ffi

    def read(x: Any) -> Array:
        try:
            return np.array(np.from_dlpack(x))
        except (BufferError, RuntimeError):  # an element type of ml_dtypes
            dtype: Any = BY_NAME[str(x.dtype)].numpy
            if not x.numel():
                return np.empty(tuple(x.shape), dtype)
            first = np.frombuffer((ctypes.c_char * x.dtype.itemsize).from_address(x.data_ptr()), f"u{x.dtype.itemsize}")
            steps = [step * x.dtype.itemsize for step in x.strides]
            return np.array(np.lib.stride_tricks.as_strided(first, tuple(x.shape), steps)).view(dtype)

    return Framework(
        "tvm_ffi",
        "tvm_ffi",
        # It takes complex numbers too, and can't say so: x.dtype raises.
        NATIVE - {"complex64", "complex128"},
        make=lambda a: tvm_ffi.from_dlpack(a.copy()),
        read=read,
        at_hub=True,
    )


def _warp() -> Framework:
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING

    def make(a: Array) -> Any:
        return wp.array(a, dtype=getattr(wp, BY_NUMPY[a.dtype].name), device="cpu", copy=True)

    return Framework(
        "warp",
        "warp",
        frozenset({"bfloat16"}) | NATIVE - {"complex64", "complex128"},
        make=make,
        read=lambda x: np.array(x.numpy()),
        views={"transposed": lambda x: x.transpose(), "stepped": lambda x: x[::2] if x.size else x},
        fill=lambda x: x.fill_(1),
        min_dims=1,
        at_hub=True,
    )


def _array_api_strict() -> Framework:
    import array_api_strict as xp

    def fill(x: Any) -> None:
        x[...] = xp.ones((), dtype=x.dtype)

    return Framework(
        "array_api_strict",
        "array_api_strict",
        NATIVE - {"float16"},
        make=lambda a: xp.asarray(a, copy=True),
        read=np.array,
        views={"transposed": lambda x: x.T if x.ndim == 2 else x, "reversed": xp.flip},
        fill=fill,
        at_hub=True,
    )


_ROWS: Mapping[str, Callable[[], Framework]] = {
    "numpy": _numpy,
    "torch": _torch,
    "jax": _jax,
    "tensorflow": _tensorflow,
    "mlx": _mlx,
    "paddle": _paddle,
    "tvm_ffi": _tvm_ffi,
    "warp": _warp,
    "array_api_strict": _array_api_strict,
}

#: By name; only those are imported that were asked for.
FRAMEWORKS: Mapping[str, Framework] = {name: row() for name, row in _ROWS.items() if name in ASKED}

#: Those that the other tests don't have.
GUESTS = tuple(name for name in FRAMEWORKS if name not in ("numpy", "torch"))

_HUB = frozenset({"numpy", "torch"})

#: Each guest with everyone, in both directions; some with numpy and torch only.
PAIRS = tuple(
    (source, target)
    for source in FRAMEWORKS
    for target in FRAMEWORKS
    if (source in GUESTS or target in GUESTS)
    and not FRAMEWORKS[target].source_only
    and (source == target or not (FRAMEWORKS[source].at_hub or FRAMEWORKS[target].at_hub) or {source, target} & _HUB)
)
