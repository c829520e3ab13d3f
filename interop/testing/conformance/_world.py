"""The array libraries that are known here: how each makes an array of numpy's, imports, and is read."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from interop.testing.conformance._subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROWS: Final = (
    Subject(
        name="numpy",
        imports="import numpy as np",
        make="np.asarray",
        from_dlpack="np.from_dlpack",
        readonly="lambda a: (a.setflags(write=False), a)[1]",
        refused=('np.array(["a"])', 'np.array([1], "M8[s]")', 'np.zeros(2, "longdouble")', "np.array([None])"),
    ),
    Subject(
        name="torch",
        imports="import torch",
        make="torch.from_numpy",
        small='lambda a: torch.from_numpy(a.view(f"u{a.itemsize}")).view(getattr(torch, a.dtype.name))',
        from_dlpack="torch.from_dlpack",
        to_numpy="lambda y: y.numpy()",
        refused=(
            "torch.ones(2, requires_grad=True)",
            "torch.ones(2).to_sparse()",
            'torch.ones(2, device="meta")',
            "torch.ones(2, dtype=torch.complex64).conj()",
        ),
        tricky=(("torch.tensor([1 - 2j]).conj().imag", "[2.0]"),),
    ),
    Subject(
        name="jax",
        imports='import jax, jax.numpy as jnp\njax.config.update("jax_enable_x64", True)',
        make="jnp.asarray",
        from_dlpack="jax.dlpack.from_dlpack",
        to_numpy="np.asarray",
        readonly="jnp.asarray",
    ),
    Subject(
        name="tensorflow",
        imports="import tensorflow as tf",
        make="tf.constant",
        # It takes a capsule, and no object with __dlpack__.
        from_dlpack="lambda x: tf.experimental.dlpack.from_dlpack(x.__dlpack__())",
        to_numpy="lambda y: y.numpy()",
        readonly="tf.constant",
        refused=('tf.constant(["a"])',),
    ),
    Subject(
        name="mlx",
        imports="import mlx.core as mx",
        make="mx.array",
        from_dlpack="mx.from_dlpack",
        to_numpy="np.array",
    ),
    Subject(
        name="paddle",
        imports="import paddle",
        make="paddle.to_tensor",
        from_dlpack="paddle.from_dlpack",
        to_numpy="lambda y: y.numpy()",
    ),
    Subject(
        name="pyarrow.Array",
        imports="import pyarrow as pa",
        make="pa.array",
        from_dlpack="pa.Array.from_dlpack",
        to_numpy="lambda y: y.to_numpy(zero_copy_only=False)",
        readonly="pa.array",
        refused=('pa.array(["a"])', "pa.array([1, None])", "pa.array([True])"),
        ndims=(1,),
    ),
    Subject(
        name="pyarrow.Tensor",
        imports="import pyarrow as pa",
        make="pa.Tensor.from_numpy",
        from_dlpack="pa.Tensor.from_dlpack",
        to_numpy="lambda y: y.to_numpy()",
        readonly="lambda a: (a.setflags(write=False), pa.Tensor.from_numpy(a))[1]",
    ),
    Subject(name="tvm_ffi", imports="import tvm_ffi", make="tvm_ffi.from_dlpack", from_dlpack="tvm_ffi.from_dlpack"),
    Subject(
        name="warp",
        imports="import warp as wp\nwp.config.quiet = True; wp.init()",
        make="wp.array",
        from_dlpack="wp.from_dlpack",
        to_numpy="lambda y: y.numpy()",
    ),
    Subject(
        name="array_api_strict",
        imports="import array_api_strict as xp",
        make="xp.asarray",
        from_dlpack="xp.from_dlpack",
        readonly="lambda a: (a.setflags(write=False), xp.asarray(a, copy=False))[1]",
    ),
    Subject(
        name="dpnp",
        imports="import dpnp",
        make="dpnp.asarray",
        from_dlpack="dpnp.from_dlpack",
        to_numpy="lambda y: dpnp.asnumpy(y)",
    ),
    Subject(
        name="cupy",
        imports="import cupy",
        make="cupy.asarray",
        # A device library takes nothing from the host, which is where the checks' exports are.
        to_numpy="lambda y: cupy.asnumpy(y)",
    ),
)

#: The libraries that are known by name.
WORLD: Final[Mapping[str, Subject]] = MappingProxyType({row.name: row for row in _ROWS})
