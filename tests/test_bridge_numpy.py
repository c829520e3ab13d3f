"""Functions of numpy inside torch, with the derivatives that their author passes: grad="bridge"."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import interop

if TYPE_CHECKING:
    from collections.abc import Callable

D = torch.float64
F = torch.func
SEEN: list[Any] = []


def bridged(**options: Any) -> Callable[[Any], Any]:
    return interop.via("numpy", grad="bridge", **options)


def vjp(args: Any, result: Any, cotangent: Any) -> Any:
    SEEN.append((args, result, cotangent))
    x, y = args
    return cotangent * np.cos(x) * y, cotangent * np.sin(x)


def jvp(args: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = args, tangents
    return dx * np.cos(x) * y + dy * np.sin(x)


@bridged(vjp=vjp, jvp=jvp)
def product(x: Any, y: Any) -> Any:
    return np.sin(x) * y


def values(*shape: int, grad: bool = True) -> torch.Tensor:
    return torch.randn(*shape, dtype=D, requires_grad=grad)


def test_gradcheck_in_both_modes() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(product, (values(4), values(4)), check_forward_ad=True)


def test_transforms() -> None:
    x, y = values(4, grad=False), values(4, grad=False)

    def native(a: Any, b: Any) -> Any:
        return torch.sin(a) * b

    for transform in (
        lambda f: F.grad(lambda a: f(a, y).sum())(x),
        lambda f: F.jacrev(f, (0, 1))(x, y),
        lambda f: F.jacfwd(f, (0, 1))(x, y),
        lambda f: F.jvp(lambda a: f(a, y), (x,), (y,)),
        lambda f: F.vmap(f, (0, None))(torch.stack([x, y]), y),
        lambda f: F.vmap(F.grad(lambda a: f(a, y).sum()))(torch.stack([x, y])),
        lambda f: F.grad(lambda a: F.vmap(f, (0, None))(a, y).sum())(torch.stack([x, y])),
    ):
        torch.testing.assert_close(transform(product), transform(native))


def test_what_a_derivative_gets() -> None:
    x, y = values(3), values(3)
    made = product(x, y)
    SEEN.clear()
    made.backward(torch.ones(3, dtype=D).expand(3))
    ((args, result, cotangent),) = SEEN
    assert [type(each) for each in (*args, result, cotangent)] == [np.ndarray] * 4
    assert not any(each.flags.writeable for each in (*args, result, cotangent))
    assert args[0].ctypes.data == x.data_ptr()
    assert result.ctypes.data == made.data_ptr()


def test_trees_and_none() -> None:
    def back(args: Any, result: Any, cotangent: Any) -> Any:
        assert cotangent["n"].tolist() == 0
        assert (result["text"], args[0]["scale"]) == ("said", 2)
        return [cotangent["y"][0] * args[0]["scale"] + cotangent["s"], None]

    @bridged(vjp=back)
    def of_trees(tree: Any, index: Any) -> Any:
        w = tree["w"]
        return {"y": [w * tree["scale"]], "s": w.sum(), "n": np.argmax(w), "text": "said", "index": index}

    w, index = values(3), torch.tensor([1])
    made = of_trees({"w": w, "scale": 2}, index)
    assert made["n"].dtype == torch.int64
    assert made["s"].shape == ()
    assert made["index"].data_ptr() != index.data_ptr()
    (gradient,) = torch.autograd.grad(made["y"][0].sum() + made["s"], w)
    assert gradient.tolist() == [3, 3, 3]


def test_results_are_memory_of_their_own() -> None:
    same = bridged(vjp=lambda args, _, ct: ct[0] + ct[1])(lambda x: (x, x))
    x = values(3)
    first, second = same(x)
    assert len({x.data_ptr(), first.data_ptr(), second.data_ptr()}) == 3
    assert torch.autograd.grad((first + second).sum(), x)[0].tolist() == [2, 2, 2]


def test_complex_cotangents_are_those_of_the_linear_map() -> None:
    factor = 2 + 3j
    scaled = bridged(vjp=lambda args, _, ct: ct * factor)(lambda z: z * factor)
    z = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(scaled, (z,))


def test_a_cotangent_is_cast_to_its_arguments_type() -> None:
    twice = bridged(vjp=lambda args, _, ct: np.float64(2) * ct.astype("f8"))(lambda x: x * 2)
    x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    (gradient,) = torch.autograd.grad(twice(x).sum(), x)
    assert gradient.dtype == torch.bfloat16
    assert gradient.tolist() == [2, 2, 2]


def test_a_write_between_forward_and_backward_is_torchs_error() -> None:
    x, y = values(3), values(3)
    for written in (0, 1):
        middle = x * 1
        made = product(middle, y)
        with torch.no_grad():
            (middle, made)[written].mul_(100)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            made.sum().backward()
    assert x.grad is None


def test_nothing_recorded_nothing_asked() -> None:
    silent = bridged(vjp=vjp)(lambda x: x.shape)
    with torch.no_grad():
        assert silent(values(3)) == (3,)
    assert silent(values(3, grad=False)) == (3,)
    with pytest.raises(interop.GradientError, match="returned no tensor at all"):
        silent(values(3))
    assert product(np.ones(2), np.ones(2)).tolist() == (np.sin(np.ones(2))).tolist()


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (lambda args, _, ct: (ct,), r"vjp= returned 1 cotangents for 2 tensors"),
        (
            lambda args, _, ct: (ct[:1], None),
            r"vjp= returned an array of the shape \(1,\) for a tensor of the shape \(3,\)",
        ),
        (lambda args, _, ct: ("text", None), r"vjp= returned str for a tensor"),
    ],
)
def test_wrong_derivatives_are_refused(back: Any, text: str) -> None:
    x = values(3)
    made = bridged(vjp=back)(lambda x, y: x * y)(x, x.detach())
    with pytest.raises(interop.UnsupportedError, match=text):
        made.sum().backward()
    assert x.grad is None


def test_what_is_raised_comes_out_as_it_is() -> None:
    def back(*_: Any) -> Any:
        raise KeyError("in the gradient")

    fails = bridged(vjp=back)
    x = values(3)
    with pytest.raises(KeyError, match="in the gradient"):
        fails(lambda x: x * 2)(x).sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        fails(lambda x: x.fill(0))(x)
    assert torch.autograd.grad(product(x, x.detach()).sum(), x)[0] is not None


def test_refusals_name_the_way_out() -> None:
    x, y = values(3), values(3)
    (first,) = torch.autograd.grad(product(x, y).sum(), x, create_graph=True)
    with pytest.raises(interop.GradientError, match=r"product\(\) is differentiated twice.*jax"):
        torch.autograd.grad(first.sum(), x)
    alone = bridged(vjp=vjp)(lambda x, y: x * y)
    with pytest.raises(interop.GradientError, match=r"no forward mode.*without jvp=.*vjp, jacrev"):
        F.jvp(lambda a: alone(a, y), (x.detach(),), (y.detach(),))
    with pytest.raises(interop.GradientError, match=r"as a keyword argument.*by position"):
        alone(x, y=y).sum().backward()


@pytest.mark.parametrize(
    ("framework", "options", "error", "text"),
    [
        ("numpy", {}, interop.GradientError, "numpy differentiates no functions, so grad='bridge' needs vjp="),
        ("jax", {"vjp": vjp}, interop.UnsupportedError, "jax differentiates its own functions, so vjp= has no use"),
        ("numpy", {"vjp": 3}, interop.UnsupportedError, "vjp=3 can't be called"),
        ("numpy", {"vjp": vjp, "dtype": "float32"}, interop.UnsupportedError, "grad='bridge' takes no dtype="),
        ("numpy", {"vjp": vjp, "inout": "x"}, interop.UnsupportedError, "grad='bridge' takes no inout="),
    ],
)
def test_wrong_options_are_refused_at_decoration(framework: str, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        interop.via(framework, grad="bridge", **options)(lambda x, y: x * y)


def test_generators_and_coroutines_are_refused() -> None:
    async def later(x: Any) -> Any:
        return x

    with pytest.raises(interop.UnsupportedError, match=r"generator or async.*Decorate the part that computes"):
        bridged(vjp=vjp)(later)


def test_a_decorated_function_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(product)) is product
    assert "grad='bridge'" in repr(product)
    assert product.explain(values(3), values(3)).ok


class Model:
    factor = 3.0

    @bridged(vjp=lambda args, _, ct: ct * args[0].factor)
    def scaled(self, x: Any) -> Any:
        return x * self.factor


def test_methods() -> None:
    model, x = Model(), values(3)
    for model.factor in (3.0, 4.0):
        assert torch.autograd.grad(model.scaled(x).sum(), x)[0].tolist() == [model.factor] * 3
