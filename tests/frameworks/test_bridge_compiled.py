"""Functions of jax and of numpy inside of torch.compile and torch.export: one graph, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch._dynamo import exc
from torch._subclasses import FakeTensorMode

import interop
from interop._agnostic._bridge import _torch_op

if TYPE_CHECKING:
    from collections.abc import Iterator

D = torch.float64
F = torch.func

pytestmark = [
    # torch says it of itself: when inductor is imported, and of a graph that goes on with what isn't a leaf.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    with jax.enable_x64(True):
        yield


@interop.via("jax", grad="bridge")
def of_jax(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y


@interop.via(
    "numpy",
    grad="bridge",
    vjp=lambda args, _, ct: (ct * np.cos(args[0]) * args[1], ct * np.sin(args[0])),
    jvp=lambda args, ts: ts[0] * np.cos(args[0]) * args[1] + ts[1] * np.sin(args[0]),
)
def of_numpy(x: Any, y: Any) -> Any:
    return np.sin(x) * y


COMPILE: Any = torch.compile

FUNCTIONS: dict[str, Any] = {"jax": of_jax, "numpy": of_numpy}


@interop.via("jax", grad="bridge")
def of_trees(p: Any, index: Any, *, scale: float = 1.0) -> Any:
    w = p["w"][0]
    return {"y": (w[index] * scale, w.sum()), "n": jnp.argmax(w), "name": "text"}


def native(x: Any, y: Any) -> Any:
    return torch.sin(x) * y


def values(*shape: int, grad: bool = True) -> torch.Tensor:
    return torch.randn(*shape, dtype=D, requires_grad=grad)


def agree(function: Any, wanted: Any, *arguments: Any, **options: Any) -> Any:
    """A compiled function's values and gradients are the native one's."""
    compiled = COMPILE(function, fullgraph=True, **{"backend": "aot_eager", **options})
    made, want = compiled(*arguments), wanted(*arguments)
    torch.testing.assert_close(made, want)
    leaves = [x for x in arguments if x.requires_grad]
    if leaves:
        torch.testing.assert_close(torch.autograd.grad(made.sum(), leaves), torch.autograd.grad(want.sum(), leaves))
    return compiled


@pytest.mark.parametrize("inner", FUNCTIONS)
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_a_full_graph_forward_and_backward(inner: str, backend: str) -> None:
    f = FUNCTIONS[inner]
    agree(lambda x, y: f(x * 2, y) + 1, lambda x, y: native(x * 2, y) + 1, values(5), values(5), backend=backend)
    agree(
        lambda x, y: f(x, y.detach()), lambda x, y: native(x, y.detach()), values(5, grad=False), values(5, grad=False)
    )


def test_the_function_itself() -> None:
    agree(of_jax, native, values(3), values(3))


def test_trees_and_numbers() -> None:
    index = torch.tensor([1, 3, 3])

    def model(w: Any) -> Any:
        made = of_trees({"w": [w * 2], "k": 3}, index, scale=2.0)
        return made["y"][0] * made["y"][1] if made["name"] == "text" else made["n"]

    agree(model, lambda w: (w * 2)[index] * 2 * (w * 2).sum(), values(4))


@pytest.mark.parametrize("inner", FUNCTIONS)
def test_dynamic_shapes(inner: str) -> None:
    f = FUNCTIONS[inner]
    compiled = agree(lambda x: f(x, x) * 2, lambda x: native(x, x) * 2, values(7), dynamic=True)
    for size in (7, 9, 12):
        x = values(size)
        torch.testing.assert_close(compiled(x), native(x, x) * 2)


def test_one_graph_for_all_sizes() -> None:
    graphs = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    joined: Any = interop.via("jax", grad="bridge")(lambda x, y: jnp.concatenate([x.T @ y, y[:1]]))
    compiled = torch.compile(lambda x, y: joined(x, y) * 2, fullgraph=True, backend=backend, dynamic=True)
    for rows, columns in ((4, 3), (6, 5), (9, 2)):
        x, y = values(rows, columns), values(rows, 8)
        made, want = compiled(x, y), torch.cat([x.T @ y, y[:1]]) * 2
        torch.testing.assert_close(made, want)
        torch.testing.assert_close(torch.autograd.grad(made.sum(), (x, y)), torch.autograd.grad(want.sum(), (x, y)))
    assert len(graphs) == 1


class Model(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return of_jax(x, x) + 1


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    x = values(5, grad=False)
    exported = torch.export.export(Model(), (x,), strict=strict)
    torch.testing.assert_close(exported.module()(x + 1), native(x + 1, x + 1) + 1)
    size = torch.export.Dim("n", min=2)
    exported = torch.export.export(Model(), (x,), dynamic_shapes={"x": {0: size}}, strict=strict)
    for count in (3, 8):
        other = values(count, grad=False)
        torch.testing.assert_close(exported.module()(other), native(other, other) + 1)


def test_transforms_of_what_is_compiled() -> None:
    x, y, batch = values(5, grad=False), values(5, grad=False), values(2, 5, grad=False)
    agree(lambda a: F.vmap(of_jax)(a, batch), lambda a: native(a, batch), batch)
    agree(lambda a: F.vmap(of_numpy)(a, batch), lambda a: native(a, batch), batch)
    compiled = torch.compile(lambda a: of_jax(a, y), backend="aot_eager")
    torch.testing.assert_close(F.grad(lambda a: compiled(a).sum())(x), torch.cos(x) * y)
    torch.testing.assert_close(F.vmap(compiled)(batch), native(batch, y))


def test_forward_mode_is_refused_by_name_and_never_zero() -> None:
    x, t = values(5, grad=False), values(5, grad=False)

    def pushed(a: Any) -> Any:
        return F.jvp(lambda b: of_jax(b, t), (a,), (t,))[1]

    with pytest.raises(exc.Unsupported, match=r"of_jax\(\), decorated with grad='bridge', can't be traced"):
        torch.compile(pushed, fullgraph=True, backend="aot_eager")(x)
    # Where the graph may end, the eager call does it.
    torch.testing.assert_close(torch.compile(pushed, backend="aot_eager")(x), torch.cos(x) * t * t)
    compiled = torch.compile(lambda a: of_jax(a, t), backend="aot_eager", fullgraph=True)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, t)
        with pytest.raises(exc.Unsupported, match=r"of_jax\(\), decorated with grad='bridge', can't"):
            compiled(dual)
    compiled(x)
    key = next(key for key in _torch_op._by_key if key.startswith("of_jax"))
    with pytest.raises(interop.GradientError, match=r"of_jax\(\), compiled or traced, has no forward mode"):
        F.jvp(lambda a: _torch_op.operator(key, [a, t])[0], (x,), (t,))


def test_what_cant_be_traced_is_called_between_two_graphs() -> None:
    class Scaled:
        scale = 2.0

        @interop.via("jax", grad="bridge")
        def method(self, x: Any) -> Any:
            return jnp.sin(x) * self.scale

    scaled, x = Scaled(), values(5)
    compiled = torch.compile(lambda a: scaled.method(a * 2) + 1, backend="aot_eager")
    made = compiled(x)
    torch.testing.assert_close(made, torch.sin(x * 2) * 2 + 1)
    torch.testing.assert_close(torch.autograd.grad(made.sum(), x)[0], torch.cos(x * 2) * 4)
    torch.testing.assert_close(
        torch.compile(F.grad(lambda b: of_jax(b, b).sum()), backend="aot_eager")(x.detach()),
        torch.cos(x) * x + torch.sin(x),
    )


def test_double_backward() -> None:
    x, y = values(5), values(5)
    compiled = torch.compile(of_jax, backend="eager", fullgraph=True)
    (first,) = torch.autograd.grad(compiled(x, y).sum(), x, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(first.sum(), x)[0], -torch.sin(x) * y)


def test_fake_tensors_and_opcheck() -> None:
    x, y = values(5), values(5)
    with FakeTensorMode() as mode:
        assert of_jax(mode.from_tensor(x), mode.from_tensor(y)).shape == (5,)
    torch.compile(lambda a, b: (of_jax(a, b), of_numpy(a, b)), backend="eager", fullgraph=True)(x, y)
    for name in ("of_jax", "of_numpy"):
        key = next(key for key in _torch_op._by_key if key.startswith(name))
        checked = torch.library.opcheck(_torch_op.operator, (key, [x, y]))
        assert set(checked.values()) == {"SUCCESS"}


def test_a_graph_of_another_process_finds_no_other_function() -> None:
    with pytest.raises(interop.UnsupportedError, match=r"a graph calls of_jax\(\), .*in another process"):
        _torch_op.operator("of_jax:0123456789abcdef:0", [values(3)])


def test_numpy_that_returns_other_shapes_than_it_was_compiled_for() -> None:
    where: Any = interop.via("numpy", grad="bridge", vjp=lambda args, _, ct: (None,))(lambda x: np.flatnonzero(x > 0))
    compiled = torch.compile(lambda a: where(a) * 2, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(torch.ones(3)), torch.arange(3) * 2)
    with pytest.raises(interop.UnsupportedError, match=r"int64\[3\] when it was compiled, and int64\[1\] now"):
        compiled(torch.tensor([-1.0, 2.0, -3.0]))
