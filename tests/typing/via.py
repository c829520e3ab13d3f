"""What a type checker makes of decorated functions: mypy --strict and pyright read this; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, assert_type

import numpy as np

import interop

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array")


@interop.via("numpy")
def softplus(x: Array, *, axis: int | None = None) -> Array:
    assert axis is None
    y: Any = x
    made: Array = np.log1p(np.exp(y))
    return made


class Model:
    @interop.via("numpy", back="x", only=("x",))
    def step(self, x: Array, n: int) -> Array:
        return x

    @classmethod
    @interop.via(np)
    def make(cls, x: Array) -> Array:
        return x

    @staticmethod
    @interop.via("numpy", inout="x")
    def plain(x: Array) -> Array:
        return x


@interop.via("numpy")
async def later(x: Array) -> Array:
    return x


@interop.via("numpy")
def several(x: Array) -> Iterator[Array]:
    yield x


@interop.via("numpy")
async def several_later(x: Array) -> AsyncIterator[Array]:
    yield x


@interop.via("numpy")
def of_ndarrays(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x


async def waits(t: torch.Tensor) -> None:
    assert_type(await later(t), "torch.Tensor")


def uses(t: torch.Tensor, a: np.ndarray[Any, Any]) -> None:
    assert_type(softplus(t, axis=0), "torch.Tensor")
    assert_type(softplus(a), np.ndarray[Any, Any])
    assert_type(Model().step(t, 4), "torch.Tensor")
    assert_type(Model.make(t), "torch.Tensor")
    assert_type(Model.plain(t), "torch.Tensor")
    assert_type(several(t), "Iterator[torch.Tensor]")
    assert_type(several_later(t), "AsyncIterator[torch.Tensor]")

    softplus(t, axes=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Model().step(t)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Model().step(t, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.via("numpy", copy="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    interop.via("numpy", grad="keep")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # The author's annotation counts: a type variable takes every caller's array, an ndarray doesn't.
    of_ndarrays(t)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    with interop.guard(copies="disallow", transfers=4096) as seen, interop.no_copies(), interop.no_transfers():
        assert_type(seen, interop.Guard)
    assert_type(seen.copies, int)
    assert_type(seen.calls, list[interop.GuardedCall])
    interop.guard(copies="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plan = interop.explain_tree({"a": t}, "numpy")
    assert_type(plan, interop.TreePlan)
    assert_type(plan.leaves["a"], interop.Plan)
