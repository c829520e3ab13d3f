"""Trees, decorated functions and guards on a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import interop

torch = pytest.importorskip("torch")
cupy = pytest.importorskip("cupy")

A = np.arange(6, dtype="f4").reshape(2, 3)


def on(framework: str) -> Any:
    return interop.convert(A, framework, device="cuda:0")


def pointer(x: Any) -> int:
    return int(x.data_ptr()) if hasattr(x, "data_ptr") else int(x.data.ptr)


def numbers(x: Any) -> Any:
    return interop.to_numpy(x, device="cpu").tolist()


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_to_the_host_and_back_only_where_that_is_named(framework: str) -> None:
    x = on(framework)

    @interop.via("numpy", device="cpu")
    def function(x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        return x * 2, x

    made, own = function(x)
    assert type(made) is type(x)
    assert interop.device(made) == "cuda:0"
    assert own is x
    assert numbers(made) == (A * 2).tolist()
    plan = function.explain(x)  # type: ignore[attr-defined]
    assert plan.transferred_bytes == A.nbytes
    assert plan.back == f"{framework} on cuda:0"
    with pytest.raises(interop.DeviceError, match=r"argument x: .*Decorate with device='cpu'"):
        interop.via("numpy")(lambda x: x)(x)


@pytest.mark.parametrize(("outside", "inside"), [("torch", "cupy"), ("cupy", "torch")])
def test_between_two_frameworks_of_the_device_nothing_moves(outside: str, inside: str) -> None:
    x = on(outside)
    seen = []

    @interop.via(inside)
    def function(x: Any) -> Any:
        seen.append(pointer(x))
        # The simulated device runs no kernels; to copy is all that it can.
        return x[1:], x.clone() if hasattr(x, "clone") else x.copy()

    with interop.guard(copies="disallow_explicit", transfers="disallow_explicit") as guard:
        part, made = function(x)
    assert seen == [pointer(x)]
    assert pointer(part) == pointer(x) + 12
    assert type(part) is type(x) is type(made)
    assert numbers(made) == A.tolist()
    assert guard.bytes == 0


def test_a_mixed_call_is_refused() -> None:
    with pytest.raises(interop.UnsupportedError, match="x: torch on cuda:0; y: torch on cpu"):
        interop.via("cupy")(lambda x, y: x)(on("torch"), torch.ones(2))


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_a_tree_moves_and_stays_tied(framework: str) -> None:
    x = on(framework)
    tree = {"a": x, "b": [x, x.reshape(-1)[:3]]}
    plan = interop.explain_tree(tree, "numpy", device="cpu")
    with interop.guard() as seen:
        made = interop.convert_tree(tree, "numpy", device="cpu")
    assert made["a"] is made["b"][0]
    assert made["a"].tolist() == A.tolist()
    assert made["b"][1].tolist() == A.reshape(-1)[:3].tolist()
    assert seen.bytes == plan.transferred_bytes
    if framework == "torch":
        # One storage is moved once.
        assert (seen.moves, seen.bytes) == (1, A.nbytes)
        assert np.shares_memory(made["a"], made["b"][1])
    back = interop.convert_tree(made, framework, device="cuda:0")
    assert numbers(back["b"][1]) == A.reshape(-1)[:3].tolist()


def test_moves_are_counted_and_refused() -> None:
    x, host = on("torch"), torch.zeros(2, 3)
    with interop.guard() as seen:
        interop.to_numpy(x, device="cpu")
        interop.to_cupy(A, device="cuda:0")
        interop.copyto(host, x)
    assert (seen.moves, seen.bytes, seen.copies) == (3, 3 * A.nbytes, 0)
    with interop.no_transfers():
        for call in (
            lambda: interop.to_numpy(x, device="cpu"),
            lambda: interop.to_cupy(A, device="cuda:0"),
            lambda: interop.copyto(host, x),
            lambda: interop.convert_like(A, x),
            lambda: interop.convert_tree([A], "torch", device="cuda:0"),
        ):
            with pytest.raises(interop.DeviceError, match="a guard forbids a move between devices"):
                call()
        # It isn't moved.
        interop.to_cupy(x)
        interop.to_torch(A, copy=True)


def test_a_move_that_no_option_named() -> None:
    x = on("torch")
    with interop.guard(transfers="disallow"):
        interop.to_numpy(x, device="cpu")
        with pytest.raises(interop.DeviceError, match="transfers='disallow'"):
            interop.convert_like(A, x)
        function: Any = interop.via("numpy", device="cpu")(lambda x: x + 1)
        with pytest.raises(interop.DeviceError, match="result: "):
            function(x)
