"""Functions of torch inside jax: as jax's own in every transformation, and what jax can't have is refused by name."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads
from patience import PATIENCE

import interop
from interop._agnostic._bridge import _jax, _jax_memory


@pytest.fixture(autouse=True)
def wide() -> Any:
    with jax.enable_x64(True):
        yield


def bridged(function: Any) -> Any:
    return interop.via("torch", grad="bridge")(function)


def torch_elementwise(x: Any, y: Any) -> Any:
    return torch.sin(x) * y


def torch_along(x: Any, y: Any) -> Any:
    return {"all": (x * y).sum(), "so far": [(x**2).cumsum(0), x.softmax(0)]}


def jax_elementwise(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y


def jax_along(x: Any, y: Any) -> Any:
    return {"all": (x * y).sum(), "so far": [(x**2).cumsum(0), jax.nn.softmax(x)]}


PAIRS = [(bridged(torch_elementwise), jax_elementwise), (bridged(torch_along), jax_along)]

with jax.enable_x64(True):
    A, B = jnp.linspace(0.1, 1, 4), jnp.linspace(1, 2, 4)
    BATCH = jnp.stack([A, B, A * 2])


def total(f: Any) -> Any:
    return lambda *xs: sum(x.sum() for x in jax.tree.leaves(f(*xs)))


def same(found: Any, wanted: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert isinstance(x, jax.Array)
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


#: Each is what somebody does with a function of two arrays.
TRANSFORMED: dict[str, Any] = {
    "called": lambda f: f(A, B),
    "grad": lambda f: jax.grad(total(f), (0, 1))(A, B),
    "value_and_grad": lambda f: jax.value_and_grad(total(f))(A, B),
    "jvp": lambda f: jax.jvp(f, (A, B), (B, A)),
    "linearize": lambda f: jax.linearize(f, A, B)[1](B, A),
    "jacrev": lambda f: jax.jacrev(f)(A, B),
    "jacfwd": lambda f: jax.jacfwd(f, 1)(A, B),
    "hessian": lambda f: jax.hessian(total(f), (0, 1))(A, B),
    "jacrev of jacrev": lambda f: jax.jacrev(jax.jacrev(total(f)))(A, B),
    "jacrev of jacfwd": lambda f: jax.jacrev(jax.jacfwd(total(f)))(A, B),
    "vmap": lambda f: jax.vmap(f)(BATCH, BATCH),
    "vmap of one": lambda f: jax.vmap(f, (None, 0))(A, BATCH),
    "vmap along the last axis": lambda f: jax.vmap(f, (1, None))(BATCH.T, B),
    "vmap of vmap": lambda f: jax.vmap(jax.vmap(f, (0, None)), (None, 0))(BATCH, BATCH),
    "vmap of grad": lambda f: jax.vmap(jax.grad(total(f)), (0, None))(BATCH, B),
    "grad of vmap": lambda f: jax.grad(total(jax.vmap(f, (None, 0))))(A, BATCH),
    "vmap of hessian": lambda f: jax.vmap(jax.hessian(total(f)), (0, None))(BATCH, B),
    "grad of checkpoint": lambda f: jax.grad(total(jax.checkpoint(f)))(A, B),
    "grad of scan": lambda f: jax.grad(lambda a: jax.lax.scan(lambda c, x: (c * total(f)(x, a), c), 1.0, BATCH)[0])(A),
    "vmap of grad of scan": lambda f: jax.vmap(
        jax.grad(lambda a: jax.lax.scan(lambda c, x: (c * total(f)(x, a), c), 1.0, BATCH)[0])
    )(BATCH),
    "grad of cond": lambda f: jax.grad(lambda a: jax.lax.cond(a[0] > 0, total(f), lambda x, y: x.sum(), a, B))(A),
    "one array twice": lambda f: jax.grad(lambda a: total(f)(a, a))(A),
    "a linear map of a batch transposed": lambda f: jax.linear_transpose(pushed(f), A)(jnp.ones(3)),
    "and transposed again": lambda f: jax.linear_transpose(
        lambda c: jax.linear_transpose(pushed(f), A)(c)[0], jnp.ones(3)
    )(A),
}


def pushed(f: Any) -> Any:
    """One tangent through a batch: a linear map that is batched, while what it is linear in isn't."""
    return lambda t: jax.vmap(lambda x: jax.jvp(lambda q: total(f)(q, B), (x,), (t,))[1])(BATCH)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("pair", PAIRS, ids=["elementwise", "along"])
@pytest.mark.parametrize("transformed", TRANSFORMED)
def test_it_is_as_the_same_function_of_jax(transformed: str, pair: tuple[Any, Any], compiled: bool) -> None:
    use = TRANSFORMED[transformed]

    def used(f: Any) -> Any:
        return jax.jit(lambda: use(f))() if compiled else use(f)

    same(used(pair[0]), used(pair[1]))


@pytest.mark.parametrize("pair", PAIRS, ids=["elementwise", "along"])
def test_derivatives_are_those_of_differences(pair: tuple[Any, Any]) -> None:
    check_grads(lambda *xs: jax.tree.leaves(pair[0](*xs)), (A, B), 2, modes=["rev", "fwd"])


@pytest.mark.parametrize(
    "function", [lambda z: z * torch.sin(z), lambda z: z.abs() * z.real, lambda z: torch.view_as_real(z)[..., 1] * z]
)
def test_complex_derivatives_are_those_of_differences(function: Any) -> None:
    check_grads(bridged(function), (jnp.array([1 + 2j, 0.5 - 1j]),), 2, modes=["rev", "fwd"])


def test_complex_gradients_are_jaxs_own() -> None:
    z = jnp.array([1 + 2j, 0.5 - 1j])
    made = jax.grad(bridged(lambda z: (z * z.conj() * z).real.sum()))(z)
    same(made, jax.grad(lambda z: (z * z.conj() * z).real.sum())(z))
    holomorphic = jax.grad(bridged(lambda z: (z**3).sum()), holomorphic=True)(z)
    same(holomorphic, 3 * z**2)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "name",
    ["bfloat16", "float16", "float32", "float64", "int8", "int64", "uint8", "bool", "complex64", "float8_e4m3fn"],
)
def test_every_element_type_goes_in_and_back(name: str, compiled: bool) -> None:
    def turned(x: torch.Tensor) -> torch.Tensor:
        assert interop.dtype(x) == name
        return x.flip(0) if name != "float8_e4m3fn" else x.view(torch.uint8).flip(0).view(x.dtype)

    use = jax.jit(bridged(turned)) if compiled else bridged(turned)
    for shape in ((3,), (0,), (2, 0), (1,)):
        x = jnp.arange(np.prod(shape)).reshape(shape).astype(jnp.bool_ if name == "bool" else name)
        made = use(x)
        assert made.dtype == x.dtype
        assert interop.to_numpy(made).tobytes() == interop.to_numpy(x)[::-1].tobytes()
    assert bridged(lambda x: x * 1)(jnp.float32(3)).shape == ()


def test_bfloat16_is_differentiated() -> None:
    x = jnp.ones(3, jnp.bfloat16)
    for use in (jax.grad, lambda f: jax.jit(jax.grad(f))):
        made = use(bridged(lambda x: (x * x).sum()))(x)
        assert made.dtype == jnp.bfloat16
        assert made.tolist() == [2, 2, 2]


def test_results_that_jax_has_no_type_for_are_cast_and_so_are_their_gradients() -> None:
    with jax.enable_x64(False):
        x = jnp.ones(3)
        wider = bridged(lambda x: (x.double() * 2, x.argmax()))
        for use in (lambda f: f, jax.jit):
            values, index = use(wider)(x)
            assert (values.dtype, index.dtype) == (jnp.float32, jnp.int32)
        assert jax.grad(lambda x: wider(x)[0].sum())(x).tolist() == [2, 2, 2]
        exact: Any = interop.via("torch", grad="bridge", back_dtype=None)(lambda x: x.double())
        with pytest.raises(interop.DTypeError, match="jax_enable_x64"):
            exact(x)
    # The switch is part of what a function is kept by.
    assert wider(jnp.ones(3))[0].dtype == jnp.float64


def test_integers_numbers_and_trees_come_in_and_go_back() -> None:
    def taken(tree: Any, index: Any, *, scale: float = 1.0) -> Any:
        w = tree["w"][0]
        return {"y": w[index] * scale, "at": w.argmax(), "name": tree["name"], "n": index.shape[0]}

    f = bridged(taken)
    w, index = jnp.array([1.0, 5.0, 2.0]), jnp.array([1, 2, 2])
    for use in (f, jax.jit(f, static_argnames="scale")):
        if use is f:
            made = use({"w": [w], "name": "weights"}, index, scale=2.0)
            assert (made["name"], made["n"]) == ("weights", 3)
            same((made["y"], made["at"]), (w[index] * 2, jnp.int64(1)))
    gradient = jax.jit(jax.grad(lambda w: f({"w": [w], "name": "weights"}, index, scale=3.0)["y"].sum()))(w)
    assert gradient.tolist() == [0, 3, 6]
    nothing = jax.grad(lambda i: f({"w": [w], "name": ""}, i)["y"].sum(), allow_int=True)(index)
    assert nothing.dtype == jax.dtypes.float0


def test_a_module_and_its_parameters() -> None:
    model = torch.nn.Linear(3, 2).double()

    @interop.via("torch", grad="bridge")
    def applied(parameters: Any, x: Any) -> Any:
        return torch.func.functional_call(model, parameters, (x,))

    parameters = interop.convert_tree({name: p.detach() for name, p in model.named_parameters()}, "jax")
    x = np.linspace(0, 1, 12).reshape(4, 3)
    value, found = jax.jit(jax.value_and_grad(lambda p: (applied(p, jnp.array(x)) ** 2).sum()))(parameters)
    loss = model(torch.from_numpy(x)).square().sum()
    loss.backward()
    assert value == pytest.approx(loss.item())
    for name, p in model.named_parameters():
        assert p.grad is not None
        np.testing.assert_allclose(found[name], p.grad, rtol=1e-12)
        p.grad = None
    # Closed over, it is a constant, and its own gradients aren't touched.
    same(jax.grad(lambda x: bridged(model)(x).sum())(x), jnp.array(model.weight.detach().sum(0).expand(4, 3).numpy()))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    "model",
    [
        torch.nn.LSTM(4, 3),
        torch.nn.MultiheadAttention(4, 2),
        torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0),
        torch.nn.TransformerEncoderLayer(4, 2, 8).eval(),
        torch.nn.BatchNorm1d(4).eval(),
        torch.nn.Conv1d(5, 2, 3),
    ],
    ids=lambda model: type(model).__name__,
)
def test_modules_are_differentiated_as_torch_does(model: Any) -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        made = model(x, x, x) if isinstance(model, torch.nn.MultiheadAttention) else model(x)
        first: torch.Tensor = made[0] if isinstance(made, tuple) else made
        return first.square().sum()

    x = torch.linspace(-1, 1, 20).reshape(5, 4).requires_grad_()
    (wanted,) = torch.autograd.grad(loss(x), x)
    found = jax.jit(jax.grad(bridged(loss)))(jnp.array(x.detach().numpy()))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_published_examples_of_torch2jax() -> None:
    """The examples of rdyro/torch2jax's README, without its example arguments and output shapes."""
    a, b = (jax.random.normal(jax.random.PRNGKey(seed), (10, 2), jnp.float32) for seed in (0, 1))
    add = bridged(lambda a, b: a + b)
    same(add(a, b), a + b)
    same(jax.jit(add)(a, b), a + b)

    def several(a: Any, b: Any) -> Any:
        # It has .to(a), which torch's tensors without values can't do to a module.
        layer = torch.nn.Linear(2, 20, dtype=a.dtype)
        return a + b, torch.norm(a), layer(a * b)

    for use in (bridged(several), jax.jit(bridged(several))):
        x, y, z = use(a, b)
        same(x, a + b)
        np.testing.assert_allclose(y, jnp.linalg.norm(a), rtol=1e-6)
        assert z.shape == (10, 20)

    loss = bridged(torch.nn.MSELoss())
    x, y = A, B
    gradient = jax.grad(loss, argnums=(0, 1))
    same(gradient(x, y), (2 * (x - y) / 4, 2 * (y - x) / 4))
    same(jax.jit(gradient)(x, y), gradient(x, y))
    # What it says can't be, and the way around it that it names.
    same(jax.hessian(loss)(x, y), jax.jacobian(jax.jacobian(loss))(x, y))
    # Shapes may change.
    compute = jax.jit(lambda a, b, c: add(a, b) - c)
    same(compute(a, b, a), a + b - a)
    same(compute(x, y, x), x + y - x)


def test_it_is_looked_at_once_for_each_shape_and_called_no_more_than_needed() -> None:
    calls: list[bool] = []

    def counted(x: torch.Tensor) -> torch.Tensor:
        calls.append(type(x) is torch.Tensor)
        return x * 2

    f = bridged(counted)
    step = jax.jit(f)
    for _ in range(3):
        jax.block_until_ready(step(jnp.ones(3)))
    # Once without values, and no real call beside the three.
    assert calls == [False, True, True, True]
    f(jnp.ones(3))
    f(jnp.ones(3))
    assert calls == [False, True, True, True, True, True]
    f(jnp.ones(4))
    assert calls[6:] == [False, True]
    del calls[:]
    jax.block_until_ready(jax.jit(lambda x: (f(x), 1)[1] + x.sum())(jnp.ones(3)))
    assert calls == [], "what nobody needs is not called"


def test_numbers_beside_arrays_make_functions_of_their_own_and_old_ones_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_jax, "_MOST", 8)
    f = bridged(lambda x, by: x * by)
    x = jnp.ones(2)
    assert [f(x, by).tolist() for by in (1, True, 1.0, 2)] == [[1, 1], [1, 1], [1, 1], [2, 2]]
    for by in range(30):
        assert f(x, by / 7)[0] == by / 7
    gc.collect()
    before = len(gc.get_objects())
    for by in range(30, 230):
        f(x, by / 7)
    gc.collect()
    assert len(gc.get_objects()) - before < 200


def test_results_have_memory_of_their_own() -> None:
    x = jnp.arange(3.0)
    pinned = torch.arange(3.0)
    f = bridged(lambda x: (x, x, x[1:], pinned))
    for use in (f, jax.jit(f)):
        made = use(x)
        assert not any(interop.shares_memory(each, other) for each in made for other in (x, pinned))
        assert made[3].tolist() == [0, 1, 2]
    pinned += 1
    assert made[3].tolist() == [0, 1, 2]


def test_arguments_are_jaxs_own_memory() -> None:
    seen: list[int] = []
    x = jax.block_until_ready(jnp.arange(1000.0))

    def looked(x: torch.Tensor) -> torch.Tensor:
        if type(x) is torch.Tensor:
            seen.append(x.data_ptr())
        return x.sum()

    f = bridged(looked)
    f(x)
    jax.block_until_ready(jax.jit(f)(x))
    assert seen == [x.unsafe_buffer_pointer()] * 2


def test_nothing_of_jax_runs_in_a_callback() -> None:
    """An array made there waits for the pool of threads that runs the callback (jax#24255)."""
    entered: list[str] = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    class Seeing(_jax_memory._Visit):
        def _run(self, given: Any, made: Any) -> None:
            def profile(frame: Any, event: str, _: Any) -> None:
                if event == "call" and frame.f_globals.get("__name__", "").startswith("jax"):
                    entered.append(frame.f_code.co_name)

            sys.setprofile(profile)
            try:
                super()._run(given, made)
            finally:
                sys.setprofile(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jax_memory, "_Visit", Seeing)
        made = jax.jit(jax.grad(lambda x: bridged(watched)(x).sum()))(jnp.ones(3))
        assert made.tolist() == [2, 2, 2]
    assert entered == []


def test_threads_share_a_compiled_function() -> None:
    step = jax.jit(jax.value_and_grad(total(bridged(torch_elementwise))))
    wanted = jax.value_and_grad(total(jax_elementwise))(A, B)
    found: list[Any] = []

    def work() -> None:
        with jax.enable_x64(True):
            found.extend(step(A, B) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert len(found) == 80
    for each in found:
        same(each, wanted)


def test_it_works_where_jax_has_no_buffer_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jax_memory, "buffer_callback", None)
    f = bridged(torch_elementwise)
    same(jax.jit(jax.value_and_grad(total(f)))(A, B), jax.value_and_grad(total(jax_elementwise))(A, B))
    assert jax.jit(f)(jnp.ones(3, jnp.bfloat16), jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_write_into_an_argument_is_refused_before_it_happens() -> None:
    x = jnp.zeros(4)

    def into_a_view(x: torch.Tensor) -> torch.Tensor:
        x[1:].add_(1)
        return x * 1

    def unseen(x: torch.Tensor) -> torch.Tensor:
        x.data.mul_(2)
        return x * 1

    for function in (lambda x: x.add_(1), into_a_view, unseen, lambda x: torch.sin(x, out=x)):
        for use in (bridged(function), jax.jit(bridged(function)), lambda x, f=function: jax.vmap(bridged(f))(x[None])):
            with pytest.raises(interop.ReadOnlyError, match=r"writes into an argument.*clone"):
                use(x)
    assert x.tolist() == [0] * 4
    assert bridged(lambda x: x.clone().add_(1))(x).tolist() == [1] * 4
    assert bridged(lambda x: (x * 1).add_(1).view(2, 2).mul_(2).flatten())(x).tolist() == [2] * 4


def test_modules_that_write_their_buffers_are_refused_and_the_named_ways_work() -> None:
    model = torch.nn.BatchNorm1d(3).double()
    x = jnp.array(np.random.default_rng(0).normal(size=(4, 3)))
    for use in (bridged(model), jax.jit(bridged(model)), jax.grad(lambda x: bridged(model)(x).sum())):
        with pytest.raises(interop.UnsupportedError, match=r"closes over.*model\.eval\(\)"):
            use(x)
    averages = torch.zeros(3).double(), torch.ones(3).double()
    with pytest.raises(interop.UnsupportedError, match="closes over"):
        # Its schema doesn't say that it writes.
        bridged(lambda x: torch.nn.functional.batch_norm(x, *averages, training=True))(x)
    with pytest.raises(interop.UnsupportedError, match="closes over"):
        bridged(lambda x: averages[0][1:].add_(1).sum() + x)(x)
    assert model.num_batches_tracked == 0
    assert model.running_mean is not None
    assert model.running_mean.tolist() == averages[0].tolist() == [0, 0, 0]

    @interop.via("torch", grad="bridge")
    def trained(state: Any, x: Any) -> Any:
        state = {name: each.clone() for name, each in state.items()}
        return torch.func.functional_call(model, state, (x,)), state

    state = interop.convert_tree({name: each.detach() for name, each in model.state_dict().items()}, "jax")
    made, after = jax.jit(trained)(state, x)
    assert after["num_batches_tracked"] == 1
    np.testing.assert_allclose(after["running_mean"], 0.1 * np.mean(x, 0))
    np.testing.assert_allclose(made, model(torch.from_numpy(np.array(x))).detach(), rtol=1e-12)
    model.eval()
    same(jax.jit(bridged(model))(x), bridged(model)(x))


def test_a_constant_made_in_the_function_may_be_written() -> None:
    def filled(x: torch.Tensor) -> torch.Tensor:
        made = torch.tensor([1.0, 2.0], dtype=torch.float64)
        made += x
        made[0] = 7
        return made

    assert jax.jit(bridged(filled))(jnp.ones(2)).tolist() == [7, 3]


def test_a_module_that_was_switched_after_it_was_compiled() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout()).double().eval()
    f = bridged(model)
    step = jax.jit(f)
    x = jnp.ones((2, 3))
    wanted = step(x)
    model.train()
    with pytest.raises(Exception, match=r"switched between training and evaluation after jax had compiled"):
        jax.block_until_ready(step(x))
    with pytest.raises(interop.UnsupportedError, match="closes over"):
        f(x)
    model.eval()
    same(step(x), wanted)
    same(f(x), wanted)


def test_random_numbers_are_drawn_and_neither_differentiated_nor_batched() -> None:
    f = bridged(lambda x: torch.nn.functional.dropout(x, 0.5))
    x = jnp.ones(1000)
    for use in (f, jax.jit(f)):
        assert 100 < int((use(x) == 0).sum()) < 900
    for use in (jax.grad, lambda f: jax.jit(jax.grad(f))):
        with pytest.raises(interop.GradientError, match=r"random.*jax\.random"):
            use(lambda x: f(x).sum())(x)
    with pytest.raises(interop.UnsupportedError, match=r"random.*jax\.random"):
        jax.vmap(f)(x[None])
    # The way out: numbers that are an argument.
    g = bridged(lambda x, mask: x * mask / 0.5)
    mask = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
    same(jax.grad(lambda x: g(x, mask).sum())(x), mask / 0.5)


LOOKS = {
    "item": lambda x: x * x.sum().item(),
    "if": lambda x: x if x.sum() > 0 else -x,
    "numpy": lambda x: torch.from_numpy(np.sin(x.numpy())),
    "mask": lambda x: x[x > 0],
    "tolist": lambda x: torch.tensor(x.tolist()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_depends_on_values_is_refused_by_name(look: str) -> None:
    f = bridged(LOOKS[look])
    for use in (f, jax.jit(f), jax.grad(lambda x: f(x).sum()), lambda x: jax.vmap(f)(x[None])):
        with pytest.raises(interop.UnsupportedError, match=r"looks at values.*torch\.where"):
            use(jnp.ones(3))


def test_what_the_function_raises_comes_out_as_it_is() -> None:
    class MineError(Exception):
        pass

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise MineError

    for use in (bridged(broken), jax.jit(bridged(broken)), jax.grad(bridged(broken))):
        with pytest.raises(MineError):
            use(jnp.ones(()))

    def later(x: torch.Tensor) -> torch.Tensor:
        if type(x) is torch.Tensor:
            raise MineError("broken when it ran")
        return x.sum()

    for use in (bridged(later), jax.grad(bridged(later))):
        with pytest.raises(MineError, match="broken when it ran"):
            use(jnp.ones(2))
    # Out of a compiled function jax lets nothing through but text.
    with pytest.raises(Exception, match=r"MineError.*broken when it ran"):
        jax.block_until_ready(jax.jit(bridged(later))(jnp.ones(2)))

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
            raise MineError("broken on its way back")

    through: Any = Backward.apply
    g = bridged(lambda x: through(x).sum())
    for use in (jax.grad(g), jax.jit(jax.grad(g))):
        with pytest.raises(MineError, match="broken on its way back"):
            use(jnp.ones(2))
    assert bridged(torch_elementwise)(jnp.ones(2), jnp.ones(2)).shape == (2,)


def test_a_function_that_keeps_an_argument_is_told_so() -> None:
    kept: list[torch.Tensor] = []

    def keeping(x: torch.Tensor) -> torch.Tensor:
        if type(x) is torch.Tensor:
            kept.append(x)
        return x * 2

    with pytest.raises(Exception, match="kept an argument beyond the call"):
        jax.block_until_ready(jax.jit(bridged(keeping))(jnp.ones(3)))
    # Called here and now, the tensor holds the array.
    kept.clear()
    bridged(keeping)(jnp.arange(3.0))
    gc.collect()
    assert kept[0].tolist() == [0, 1, 2]


def test_other_shapes_the_second_time_are_an_error() -> None:
    sizes = iter([3, 2])

    def shrinking(x: torch.Tensor) -> torch.Tensor:
        return x[: next(sizes)] * 1

    with pytest.raises(Exception, match=r"returned float64 \(2,\) where it returned float64 \(3,\) before"):
        jax.block_until_ready(jax.jit(bridged(shrinking))(jnp.ones(3)))


def test_what_it_is_not_for_is_refused_by_name() -> None:
    f = bridged(torch_elementwise)
    x = jnp.ones(3)
    mixed = r"several kinds \(x: jax on cpu; y: numpy on cpu\).*Convert them first\.$"
    with pytest.raises(interop.UnsupportedError, match=mixed):
        f(x, np.ones(3))
    with pytest.raises(interop.GradientError, match=r"returned no tensor at all"):
        bridged(lambda x: x.shape[0])(x)
    with pytest.raises(interop.UnsupportedError, match=r"key_data"):
        f(jax.random.key(0), x)
    with pytest.raises(interop.DTypeError, match=r"int4"):
        f(x.astype(jnp.int4), x)
    with pytest.raises(interop.UnsupportedError, match=r"to_dense"):
        bridged(lambda x: x.to_sparse())(x)
    shape = jax.export.symbolic_shape("n")
    with pytest.raises(interop.UnsupportedError, match=r"shapes are numbers"):
        jax.export.export(jax.jit(lambda x: f(x, x)))(jax.ShapeDtypeStruct(shape, jnp.float32))
    for platform in ("tpu", "cuda"):
        with pytest.raises(interop.DeviceError, match=rf"compiled for {platform}.*jax\.devices\('cpu'\)"):
            jax.export.export(jax.jit(lambda x: f(x, x)), platforms=[platform])(jax.ShapeDtypeStruct((3,), jnp.float32))


def test_operators_without_a_forward_mode_are_refused_where_torch_gives_zeros() -> None:
    @torch.library.custom_op("interop_tests::sine", mutates_args=())
    def sine(x: torch.Tensor) -> torch.Tensor:
        return x.sin()

    sine.register_fake(torch.empty_like)
    sine.register_autograd(
        lambda ctx, g: g * ctx.saved_tensors[0].cos(),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    f = bridged(sine)
    x = A
    for use in (jax.grad(lambda x: f(x).sum()), jax.jit(jax.grad(lambda x: f(x).sum()))):
        same(use(x), jnp.cos(x))
    for use in (lambda x: jax.jvp(f, (x,), (x,)), jax.jit(lambda x: jax.jvp(f, (x,), (x,)))):
        with pytest.raises(interop.GradientError, match=r"interop_tests.sine.*gives zeros.*jax\.vjp"):
            use(x)


def test_functions_that_torch_alone_can_differentiate() -> None:
    class Old(torch.autograd.Function):
        """Of the form that torch.func doesn't take."""

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            made: torch.Tensor = gradients[0] * x.cos()
            return made

    through: Any = Old.apply
    f = bridged(lambda x: through(x).sum())
    same(jax.jit(jax.grad(f))(A), jnp.cos(A))
    with pytest.raises(RuntimeError, match="setup_context"):
        jax.hessian(f)(A)


def test_jax_inside_torch_inside_compiled_jax_waits_for_itself_and_is_refused() -> None:
    inner: Any = interop.via("jax", grad="bridge")(lambda x: jnp.sin(x) * 1)
    outer = bridged(lambda x: inner(x) * 2)
    x = A
    same(outer(x), 2 * jnp.sin(x))
    same(jax.grad(lambda x: outer(x).sum())(x), 2 * jnp.cos(x))
    with pytest.raises(interop.UnsupportedError, match="jax waits for itself"):
        jax.jit(outer)(x)


SEVERAL = """
import jax, jax.numpy as jnp, numpy as np, torch, interop
from jax.sharding import Mesh, NamedSharding, PartitionSpec

f = interop.via("torch", grad="bridge")(lambda x: torch.sin(x).cumsum(0))
first, second = jax.devices()
mesh = Mesh(np.array([first, second]), ("i",))
x = jnp.arange(8.0)
for use in (f, jax.jit(f), jax.grad(lambda x: f(x).sum()), jax.jit(jax.grad(lambda x: f(x).sum()))):
    assert use(jax.device_put(x, second)).devices() == {second}
for spec in ("i", None):
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec(spec)))
    for use in (f, jax.jit(f)):
        try:
            use(spread)
        except interop.UnsupportedError as err:
            assert "2 devices" in str(err), err
        else:
            raise AssertionError
    # The named ways out.
    assert jax.jit(f)(jax.device_put(spread, jax.devices()[0])).shape == (8,)
    parts = jax.jit(jax.shard_map(f, mesh=mesh, in_specs=PartitionSpec("i"), out_specs=PartitionSpec("i")))(spread)
    np.testing.assert_allclose(parts, np.concatenate([np.sin(half).cumsum() for half in np.split(x, 2)]), rtol=1e-5)
"""


def test_arrays_on_several_devices_are_refused_and_shards_are_not() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SEVERAL)],
        env={**os.environ, **flags},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
