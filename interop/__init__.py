"""Hand a tensor from one library to another: one call, any library, no surprises."""

# Before all else: what is imported next looks whether this file has been overwritten.
__distribution__ = "tensor-interop"
__version__ = "0.1.0"

from interop._agnostic._guard import guard, no_copies, no_transfers
from interop._agnostic._namespace import namespace
from interop._agnostic._trees import TreePlan, convert_tree, explain_tree
from interop._agnostic._via import CallPlan, via
from interop._aligned import empty_aligned
from interop._chunks import chunks
from interop._convert import convert, convert_like, explain
from interop._copyto import copyto
from interop._current import current_stream, use_stream
from interop._devices import Device
from interop._dtypes import DType
from interop._inspect import device, dtype, framework, shares_memory, view
from interop._native import Guard, GuardedCall, View
from interop._pack import join, pack, split, unpack
from interop._plan.plan import Plan, Step
from interop._registry.lookup import AdapterInfo, adapters, register
from interop._streams import Stream
from interop._to import (
    to_array_api_strict,
    to_cupy,
    to_dpnp,
    to_jax,
    to_mlx,
    to_numpy,
    to_paddle,
    to_pyarrow,
    to_tensorflow,
    to_torch,
    to_tvm_ffi,
    to_warp,
)
from interop.errors import (
    CopyError,
    DeviceError,
    DTypeError,
    GradientError,
    InteropError,
    ReadOnlyError,
    UnsupportedError,
)

__all__ = [
    "AdapterInfo",
    "CallPlan",
    "CopyError",
    "DType",
    "DTypeError",
    "Device",
    "DeviceError",
    "GradientError",
    "Guard",
    "GuardedCall",
    "InteropError",
    "Plan",
    "ReadOnlyError",
    "Step",
    "Stream",
    "TreePlan",
    "UnsupportedError",
    "View",
    "adapters",
    "chunks",
    "convert",
    "convert_like",
    "convert_tree",
    "copyto",
    "current_stream",
    "device",
    "dtype",
    "empty_aligned",
    "explain",
    "explain_tree",
    "framework",
    "guard",
    "join",
    "namespace",
    "no_copies",
    "no_transfers",
    "pack",
    "register",
    "shares_memory",
    "split",
    "to_array_api_strict",
    "to_cupy",
    "to_dpnp",
    "to_jax",
    "to_mlx",
    "to_numpy",
    "to_paddle",
    "to_pyarrow",
    "to_tensorflow",
    "to_torch",
    "to_tvm_ffi",
    "to_warp",
    "unpack",
    "use_stream",
    "via",
    "view",
]
