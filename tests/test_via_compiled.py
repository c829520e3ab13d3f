"""Decorated functions inside of torch.compile: one graph, and the results of the eager call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import interop

if TYPE_CHECKING:
    from collections.abc import Callable

X = torch.arange(5.0)
WANT = torch.log1p(torch.exp(X)) * 2


@interop.via("numpy")
def softplus(x: Any, y: Any = 2.0) -> Any:
    return np.log1p(np.exp(x)) * y


@interop.via("torch")
def softplus_of_torch(x: Any, y: Any = 2.0) -> Any:
    return torch.log1p(torch.exp(x)) * y


@interop.via("numpy")
def of_trees(batch: Any) -> Any:
    return {"y": [softplus(batch["x"][0])]}


class Model:
    @interop.via("numpy")
    def method(self, x: Any) -> Any:
        return np.log1p(np.exp(x)) * 2


MODEL = Model()

CALLS: dict[str, Callable[[Any], Any]] = {
    "numpy inside": softplus,
    "by keyword": lambda x: softplus(x=x, y=2.0),
    "torch inside": softplus_of_torch,
    "containers": lambda x: of_trees({"x": (x,)})["y"][0],
    "method": MODEL.method,
    "method of an object made inside": lambda x: Model().method(x),
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", CALLS)
def test_a_full_graph_with_the_eager_result(name: str, backend: str) -> None:
    torch._dynamo.reset()
    function = CALLS[name]
    compiled = torch.compile(function, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(X), WANT)
    torch.testing.assert_close(function(X), WANT)


def test_what_cannot_be_traced_breaks_the_graph_and_is_right() -> None:
    torch._dynamo.reset()

    @interop.via("numpy", dtype="float64")
    def function(x: Any) -> Any:
        return np.log1p(np.exp(x)) * 2

    made = torch.compile(lambda x: function(x) + 0, backend="eager")(X)
    assert made.dtype == torch.float64
    torch.testing.assert_close(made, WANT.double(), rtol=1e-6, atol=1e-6)
