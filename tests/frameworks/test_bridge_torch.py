"""Functions of jax inside torch: values and gradients of every order and mode are those of the native function."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import interop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = torch.func
D = torch.float64
TRACES: list[str] = []

bridge: Callable[[Any], Any] = interop.via("jax", grad="bridge")


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    torch.manual_seed(0)
    with jax.enable_x64(True):
        yield


@bridge
def product(x: Any, y: Any) -> Any:
    TRACES.append("product")
    return jnp.sin(x) * y


def native(x: Any, y: Any) -> Any:
    return torch.sin(x) * y


def values(*shape: int, grad: bool = False, dtype: Any = D) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=grad)


def close(made: Any, wanted: Any) -> None:
    torch.testing.assert_close(made, wanted)


def test_gradcheck_of_every_order_and_mode() -> None:
    x, y = values(2, grad=True), values(2, grad=True)
    assert torch.autograd.gradcheck(product, (x, y), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(product, (x, y), check_fwd_over_rev=True)
    of_complex = bridge(lambda z: z * jnp.sin(z))
    z = values(2, grad=True, dtype=torch.complex128)
    assert torch.autograd.gradcheck(of_complex, (z,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(of_complex, (z,))
    assert torch.autograd.gradcheck(bridge(lambda z: jnp.abs(z) ** 2), (z,))


def test_third_order() -> None:
    x, y = values(4, grad=True), values(4, grad=True)

    def of_order(function: Any, order: int) -> Any:
        made = function(x, y)
        for _ in range(order):
            (made,) = torch.autograd.grad(made.sum(), x, create_graph=True)
        return made

    for order in range(4):
        close(of_order(product, order), of_order(native, order))


#: Transforms of torch.func, of a function of two vectors of five.
TRANSFORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad": lambda f, x, y: F.grad(lambda a: f(a, y).sum())(x),
    "vjp": lambda f, x, y: F.vjp(f, x, y)[1](torch.arange(5.0, dtype=D)),
    "jvp": lambda f, x, y: F.jvp(f, (x, y), (y, x)),
    "jacrev": lambda f, x, y: F.jacrev(f, (0, 1))(x, y),
    "jacfwd": lambda f, x, y: F.jacfwd(f, (0, 1))(x, y),
    "hessian": lambda f, x, y: F.hessian(lambda a: f(a, y).sum())(x),
    "jacrev of jacrev": lambda f, x, y: F.jacrev(F.jacrev(lambda a: f(a, y).sum()))(x),
    "jacfwd of jacfwd": lambda f, x, y: F.jacfwd(F.jacfwd(lambda a: f(a, y).sum()))(x),
    "vmap": lambda f, x, y: F.vmap(f, (0, None))(torch.stack([x, y]), y),
    "vmap of another axis": lambda f, x, y: F.vmap(f, (1, 0))(torch.stack([x, y], 1), torch.stack([y, x])),
    "vmap of vmap": lambda f, x, y: F.vmap(F.vmap(f))(torch.outer(x, y), torch.outer(y, y)),
    "vmap of grad": lambda f, x, y: F.vmap(F.grad(lambda a, b: f(a, b).sum()))(
        torch.stack([x, y]), torch.stack([y, x])
    ),
    "grad of vmap": lambda f, x, y: F.grad(lambda a: F.vmap(f, (0, None))(a, y).sum())(torch.stack([x, y])),
    "functionalize": lambda f, x, y: F.functionalize(f)(x, y),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    x, y = values(5), values(5)
    close(TRANSFORMS[name](product, x, y), TRANSFORMS[name](native, x, y))


def test_vmap_isnt_elementwise() -> None:
    normed = bridge(lambda x: x / jnp.sqrt((x**2).sum()))
    batch = values(3, 4)
    close(F.vmap(normed)(batch), batch / batch.norm(dim=1, keepdim=True))
    close(F.vmap(normed, 1, 1)(batch), batch / batch.norm(dim=0, keepdim=True))


def test_forward_mode_by_dual_tensors() -> None:
    x, y, t = values(3), values(3), values(3)
    with forward_ad.dual_level():
        made = forward_ad.unpack_dual(product(forward_ad.make_dual(x, t), y))
        close(made.tangent, torch.cos(x) * y * t)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True)
class Weights:
    w: Any
    scale: float = 1.0


def test_trees_integers_constants_and_unused_inputs() -> None:
    @bridge
    def of_trees(p: Any, index: Any, *, scale: float = 1.0, flag: Any = None, other: Any = None) -> Any:
        w = p["w"][0]
        assert flag is None or type(flag) is str
        return {"y": (w[index] * scale, w.sum()), "n": jnp.argmax(w), "name": "text", "pair": Pair(w * 2, None)}

    w, other = values(4, grad=True), values(2, grad=True)
    index = torch.tensor([1, 3, 3])
    made = of_trees({"w": [w], "k": 3}, index, scale=2.0, flag="on", other=other)
    assert (made["name"], made["pair"].right, type(made["pair"])) == ("text", None, Pair)
    assert made["n"].dtype == torch.int64
    assert not made["n"].requires_grad
    close(made["y"][0], w[index] * 2)
    total = made["y"][0].sum() + made["pair"].left.sum()
    gradients = torch.autograd.grad(total, (w, other), allow_unused=True)
    (wanted,) = torch.autograd.grad((w[index] * 2).sum() + (w * 2).sum(), w)
    close(gradients[0], wanted)
    close(gradients[1], torch.zeros_like(other))
    # Each number of its own, by its type too.
    for scale in (1, 1.0, True, -0.0, 0.0, 3.0):
        close(of_trees({"w": [w]}, index, scale=scale)["y"][0], w[index] * scale)


@pytest.mark.parametrize("holder", [lambda w: Pair(w, w), lambda w: OrderedDict(left=w, right=w), Weights])
def test_containers(holder: Any) -> None:
    get = bridge(
        lambda tree: (tree.left if isinstance(tree, Pair) else tree["left"] if isinstance(tree, dict) else tree.w) ** 2
    )
    w = values(3, grad=True)
    made = get(holder(w))
    close(made, w**2)
    close(torch.autograd.grad(made.sum(), w)[0], 2 * w)
    close(get(holder(w * 2)), 4 * w**2)


def test_an_object_that_may_change_is_asked_each_time() -> None:
    class Model:
        scale = 2.0

        @interop.via("jax", grad="bridge")
        def scaled(self, x: Any) -> Any:
            return jnp.sin(x) * self.scale

    model, x = Model(), values(3, grad=True)
    for model.scale in (2.0, 5.0):
        made = model.scaled(x)
        close(made, torch.sin(x) * model.scale)
        close(torch.autograd.grad(made.sum(), x)[0], torch.cos(x) * model.scale)
    close(Model.scaled(model, x), torch.sin(x) * 5)


def test_retained_graphs_hooks_threads_and_checkpoints() -> None:
    x, y = values(3, grad=True), values(3, grad=True)
    wanted = torch.cos(x) * y
    made, seen = product(x, y), list[Any]()
    made.register_hook(seen.append)
    for _ in range(2):
        close(torch.autograd.grad(made.sum(), x, retain_graph=True)[0], wanted)
    assert len(seen) == 2
    torch.autograd.grad(made.sum(), x)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(made.sum(), x)
    close(torch.autograd.grad(checkpoint(product, x, y, use_reentrant=False).sum(), x)[0], wanted)

    def work() -> None:
        with jax.enable_x64(True):
            seen.append(torch.autograd.grad(product(x, y).sum(), x)[0])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    close(seen[-1], wanted)


def test_modes_that_record_nothing() -> None:
    x = values(3, grad=True)
    with torch.no_grad():
        assert not product(x, x).requires_grad
    with torch.inference_mode():
        assert product(values(3), values(3)).is_inference()
    assert product(x.detach(), x.detach()).grad_fn is None


def test_a_write_between_forward_and_backward_is_torchs_error() -> None:
    x = values(4096, grad=True)
    middle = x * 1
    made = bridge(lambda x: x * x)(middle)
    with torch.no_grad():
        middle.mul_(100)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        made.sum().backward()
    assert x.grad is None
    # A write into the result changes no gradient.
    made = bridge(lambda x: x * x)(x)
    with torch.no_grad():
        made.zero_()
    close(torch.autograd.grad(made.sum(), x)[0], 2 * x)


def test_results_are_memory_of_their_own() -> None:
    constant = jnp.ones(4096)

    @bridge
    def several(x: Any) -> Any:
        doubled = x * 2
        return x, doubled, doubled, constant, [jax.jit(lambda y: y)(x)]

    x = torch.from_numpy(interop.empty_aligned(4096, "float64")).fill_(1)
    made = several(x)
    leaves = [*made[:4], made[4][0]]
    assert len({leaf.data_ptr() for leaf in (x, *leaves)}) == 6
    for leaf in leaves:
        leaf.zero_()
    assert float(x.sum()) == float(constant.sum()) == 4096
    close(several(x)[3], torch.ones(4096, dtype=D))


def test_host_memory_is_aliased_and_a_write_after_the_call_changes_nothing() -> None:
    x = torch.from_numpy(interop.empty_aligned((1 << 20,), "float32")).fill_(1)
    summed = bridge(lambda x: jnp.cumsum(x)[-1] + 0 * jnp.sort(x)[0])
    with interop.guard() as seen:
        for _ in range(5):
            made = summed(x)
            x.fill_(7)
            assert float(made) == 1 << 20
            x.fill_(1)
    assert seen.copies == 0


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[:, ::2], lambda x: x[1], lambda x: x.expand(2, 3, 4)])
def test_layouts_of_arguments_and_of_gradients(view: Any) -> None:
    x = values(3, 4, grad=True)
    reduces: tuple[Any, ...] = (
        lambda made: made.sum(),
        lambda made: (made.transpose(0, -1) * 2).sum(),
        lambda made: made[..., 0].sum(),
    )
    for reduce in reduces:
        functions: tuple[Any, ...] = (product, native)
        made, wanted = (torch.autograd.grad(reduce(f(view(x), view(x))), x)[0] for f in functions)
        close(made, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_element_types_stay(dtype: Any) -> None:
    x = torch.ones(3, dtype=dtype, requires_grad=True)
    made = bridge(lambda x: x * 3)(x)
    (gradient,) = torch.autograd.grad(made, x, torch.ones_like(made))
    assert made.dtype == gradient.dtype == dtype
    assert gradient.tolist() == [3, 3, 3]


def test_pending_bits_and_empty_tensors() -> None:
    z = values(3, dtype=torch.complex128)
    twice = bridge(lambda x: x * 2)
    close(twice(z.conj()), z.conj() * 2)
    close(twice(z.conj().imag), z.conj().imag * 2)
    assert twice(torch.zeros(0, 3)).shape == (0, 3)


def test_what_jax_would_narrow_is_refused() -> None:
    x = values(3, grad=True)
    with jax.enable_x64(False):
        with pytest.raises(
            interop.DTypeError, match=r"product\(\) got a float64.*jax_enable_x64.*x.to\(torch.float32\)"
        ):
            product(x, x)
        small = x.to(torch.float32)
        close(product(small, small), native(small, small))
    close(product(x, x), native(x, x))


def test_nothing_is_traced_again() -> None:
    x, y = values(7, grad=True), values(7, grad=True)

    def step() -> None:
        made = product(x, y)
        (first,) = torch.autograd.grad(made.sum(), x, create_graph=True)
        torch.autograd.grad(first.sum(), x)
        F.vmap(product)(torch.stack([x, y]), torch.stack([x, y]))

    step()
    before = len(TRACES)
    for _ in range(5):
        step()
    assert len(TRACES) == before


def test_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = values(5, grad=True), values(5)

    def step() -> weakref.ref[Any]:
        made = product(x, y)
        made.sum().backward()
        x.grad = None
        return weakref.ref(made)

    refs = [step() for _ in range(20)]
    gc.collect()
    counts = []
    for _ in range(3):
        for _ in range(30):
            step()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 50
    assert not any(ref() is not None for ref in refs)
    # A function dies with what was traced for it, and what was made for numbers is bounded.
    monkeypatch.setattr("interop._agnostic._bridge._torch._KEPT", 2)
    function = bridge(lambda x, k: x * k)
    for k in range(5):
        close(function(y, k), y * k)
    assert len(function._roads[torch.Tensor]._flats) == 2
    died = weakref.ref(function._roads[torch.Tensor])
    (gradient,) = torch.autograd.grad(function(x, 3).sum(), x)
    del function, gradient
    gc.collect()
    assert died() is None


def test_what_the_function_raises_comes_out_as_it_is() -> None:
    class OwnError(Exception):
        pass

    @bridge
    def fails(x: Any) -> Any:
        raise OwnError("inside")

    x = values(3, grad=True)
    calls: tuple[Any, ...] = (
        lambda: fails(x),
        lambda: fails(x.detach()),
        lambda: F.grad(lambda a: fails(a).sum())(x.detach()),
    )
    for call in calls:
        with pytest.raises(OwnError, match="inside"):
            call()

    once: Any = jax.custom_vjp(lambda x: x * 2)

    def back(_: Any, __: Any) -> Any:
        raise OwnError("in the gradient")

    once.defvjp(lambda x: (x * 2, None), back)
    other = values(3, grad=True)
    made = (bridge(once)(x) + other).sum()
    with pytest.raises(OwnError, match="in the gradient"):
        made.backward()
    assert x.grad is None
    # Both libraries go on.
    close(torch.autograd.grad(product(x, other).sum(), x)[0], torch.cos(x) * other)


def test_a_function_without_a_tensor_in_its_result() -> None:
    said = bridge(lambda x: {"rank": x.ndim})
    assert said(values(3)) == {"rank": 1}
    with pytest.raises(interop.GradientError, match=r"returned no tensor at all.*Return a tensor.*grad='cut'"):
        said(values(3, grad=True))


def test_a_function_that_returns_other_shapes_the_second_time() -> None:
    lengths = iter([3, 2, 1])
    unsteady = bridge(lambda x: x[: next(lengths)] * 1.0)
    x = values(3, grad=True)
    made = unsteady(x)
    with pytest.raises(interop.UnsupportedError, match=r"returned arrays of the shapes \[\(3,\)\].*\[\(2,\)\]"):
        made.sum().backward()
    assert x.grad is None


def test_shapes_that_depend_on_values_are_refused_by_jax() -> None:
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        bridge(lambda x: x[x > 0])(values(3))


def test_refusals_name_the_way_out() -> None:
    x, y = values(3, grad=True), values(3)
    with pytest.raises(
        interop.UnsupportedError, match=r"product\(\) got tensors of several kinds \(x: torch on cpu; y: numpy"
    ):
        product(x, y.numpy())
    with pytest.raises(interop.UnsupportedError, match="meta tensor"):
        product(y.to("meta"), y.to("meta"))
    with pytest.raises(interop.GradientError, match=r"is_grads_batched=True.*torch\.func\.jacrev"):
        torch.autograd.grad(product(x, y), x, torch.eye(3, dtype=D), is_grads_batched=True)
    with pytest.raises(interop.GradientError, match=r"compiled or traced, has no forward mode .*linearize.*zeros"):
        F.linearize(product, y, y)
    nest: list[Any] = [x]
    nest.append(nest)
    with pytest.raises(interop.UnsupportedError, match="holds itself"):
        product(nest, y)


def test_other_callers() -> None:
    a = np.ones(3)
    assert type(product(a, a)) is np.ndarray
    assert isinstance(product(jnp.ones(3), jnp.ones(3)), jax.Array)
    close(
        torch.tensor(np.asarray(jax.grad(lambda x: product(x, jnp.ones(3)).sum())(jnp.ones(3)))),
        torch.ones(3, dtype=D).cos(),
    )
    assert product(2.0, 3.0) == pytest.approx(float(np.sin(2.0) * 3))


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_traces_of_torch_jit_say_so() -> None:
    x = values(3)
    with pytest.warns(vars(torch.jit)["TracerWarning"]):
        torch.jit.trace(lambda x: product(x, x) + x, (x,), check_trace=False)


def test_explain_and_only() -> None:
    x = values(3, grad=True)
    plan = product.explain(torch.from_numpy(interop.empty_aligned(3, "float64")), torch.ones(8, dtype=D)[1:])
    assert plan.ok
    assert [each.copied_bytes for each in plan.arguments.values()] == [0, 56]
    second: Any = interop.via("jax", grad="bridge", only=("x",))(lambda x, y: x * float(y.sum()))
    close(second(x, np.ones(3)), x * 3)


# What the libraries that did this before show in their own pages.


def test_the_example_of_jax2torch() -> None:
    jax_pow: Any = jax.jit(lambda x: x**2)

    torch_pow = bridge(jax_pow)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch_pow(x)
    close(y, torch.tensor([1.0, 4.0]))
    y.sum().backward()
    close(x.grad, torch.tensor([2.0, 4.0]))


def test_the_examples_of_torch2jax_the_other_way() -> None:
    weights = torch.randn(3, 2, dtype=D, requires_grad=True)
    a, b = values(4, 3), values(4, 2)
    loss = bridge(lambda x, p: jnp.mean((x @ p["w"] - p["y"]) ** 2))
    made = loss(a, {"w": weights, "y": b})
    wanted = torch.mean((a @ weights - b) ** 2)
    close(made, wanted)
    close(torch.autograd.grad(made, weights)[0], torch.autograd.grad(wanted, weights)[0])
    hessian = F.hessian(lambda w: loss(a, {"w": w, "y": b}))(weights.detach())
    close(hessian, F.hessian(lambda w: torch.mean((a @ w - b) ** 2))(weights.detach()))
