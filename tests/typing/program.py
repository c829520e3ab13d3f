"""A user's program, for strict type checkers, whichever frameworks are installed; nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import interop


def handed_over(a: np.ndarray[Any, Any]) -> None:
    t = interop.to_torch(a, copy=False)
    j = interop.to_jax(t)
    print(t.sum(), j)
    assert_type(interop.to_numpy(t), np.ndarray[Any, Any])
    assert_type(interop.convert(j, "numpy"), np.ndarray[Any, Any])
    for made in (interop.convert(a, "torch"), interop.convert(a, "jax", copy=True), interop.convert(a, "mlx")):
        print(made)
    for door in (interop.to_cupy, interop.to_tensorflow, interop.to_mlx, interop.to_paddle, interop.to_pyarrow):
        print(door.__name__)
    rest = (interop.to_tvm_ffi, interop.to_warp, interop.to_dpnp, interop.to_array_api_strict)
    print([door(a) for door in rest])
    for piece in interop.chunks(a, 1 << 20, "torch"):
        print(piece)


def like(a: np.ndarray[Any, Any], x: Any) -> None:
    assert_type(interop.convert_like(x, a), np.ndarray[Any, Any])
    # Of a type that nothing is known of nothing is known.
    assert_type(interop.convert_like(a, x), Any)


def options(a: np.ndarray[Any, Any]) -> None:
    interop.to_numpy(a, device="cpu", dtype="float32", order="C", copy=True, writable=False, detach=True)
    interop.to_numpy(a, device=(1, 0), dtype=np.float32)
    interop.to_numpy(a, device=interop.device(a), dtype=interop.dtype(a))
    interop.convert(a, np, dtype=float)
    interop.convert(a, "numpy", dtype=a.dtype, device=None)
    plan = interop.explain(a, "torch", dtype="bfloat16", device="cuda:1")
    assert_type(plan, interop.Plan)
    assert_type(interop.view(a).strides, tuple[int, ...])
    assert_type(interop.empty_aligned(3, "bfloat16"), np.ndarray[Any, Any])


def wrong(a: np.ndarray[Any, Any]) -> None:
    interop.to_numpy(a, device=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.to_numpy(a, dtype=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.to_numpy(a, order="K")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.to_numpy(a, copy="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.to_numpy(a, dtpye="f4")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    interop.explain(a, "torch", device=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.empty_aligned(3, 4)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.via("numpy", device=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.convert_like(a, a, device=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # Of several signatures none fits.
    interop.to_jax(a, device=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    give = interop.convert
    give(a, "jax", dtype=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
