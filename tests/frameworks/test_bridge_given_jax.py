"""Functions of numpy inside jax, with their author's derivatives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import interop


@pytest.fixture(autouse=True)
def wide() -> Any:
    with jax.enable_x64(True):
        yield


def written(x: Any, y: Any) -> Any:
    assert not x.flags.writeable
    assert not y.flags.writeable
    return np.sin(x) * y, {"sum": x.sum(), "at": np.argmax(y)}


def pulled(args: Any, result: Any, cotangent: Any) -> Any:
    x, y = args
    made, more = result
    assert made.shape == x.shape
    assert more["at"].dtype == np.int64
    first, rest = cotangent
    return first * np.cos(x) * y + rest["sum"], first * np.sin(x)


def pushed(args: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = args, tangents
    return np.cos(x) * y * dx + np.sin(x) * dy, {"sum": dx.sum(), "at": np.int64(0)}


def of_jax(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y, {"sum": x.sum(), "at": jnp.argmax(y)}


BOTH: Any = interop.via("numpy", grad="bridge", vjp=pulled, jvp=pushed)(written)
REVERSE: Any = interop.via("numpy", grad="bridge", vjp=pulled)(written)

with jax.enable_x64(True):
    A, B = jnp.linspace(0.1, 1, 4), jnp.linspace(1, 2, 4)
    BATCH = jnp.stack([A, B, A * 2])


def total(f: Any) -> Any:
    def summed(x: Any, y: Any) -> Any:
        first, rest = f(x, y)
        return first.sum() + 2 * rest["sum"]

    return summed


def same(found: Any, wanted: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert x.dtype == y.dtype
        if x.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


IN_REVERSE: dict[str, Any] = {
    "called": lambda f: f(A, B),
    "grad": lambda f: jax.grad(total(f), (0, 1))(A, B),
    "grad of one": lambda f: jax.grad(total(f), 1)(A, B),
    "jacrev": lambda f: jax.jacrev(lambda x, y: f(x, y)[0])(A, B),
    "vmap": lambda f: jax.vmap(f, (0, None))(BATCH, B),
    "vmap of no element": lambda f: jax.vmap(f, (0, None))(BATCH[:0], B),
    "vmap along the last axis": lambda f: jax.vmap(f, (None, 1))(A, BATCH.T),
    "vmap of grad": lambda f: jax.vmap(jax.grad(total(f)), (0, None))(BATCH, B),
    "grad of vmap": lambda f: jax.grad(lambda y: jax.vmap(total(f), (0, None))(BATCH, y).sum())(B),
    "grad of scan": lambda f: jax.grad(lambda y: jax.lax.scan(lambda c, x: (c + total(f)(x, y), c), 0.0, BATCH)[0])(B),
}
FORWARD: dict[str, Any] = {
    "jvp": lambda f: jax.jvp(f, (A, B), (B, A)),
    "jvp of one": lambda f: jax.jvp(lambda y: f(A, y), (B,), (A,)),
    "jacfwd": lambda f: jax.jacfwd(lambda x, y: f(x, y)[0])(A, B),
    "vmap of jvp": lambda f: jax.vmap(lambda x: jax.jvp(lambda y: f(x, y)[0], (B,), (A,)))(BATCH),
    "transposed twice": lambda f: jax.linear_transpose(
        lambda c: jax.linear_transpose(lambda t: jax.vmap(lambda x: one_pushed(f, x, t))(BATCH), A)(c)[0], BATCH
    )(A),
}


def one_pushed(f: Any, x: Any, t: Any) -> Any:
    return jax.jvp(lambda q: f(q, B)[0], (x,), (t,))[1]


CASES = [
    *((name, use, f) for name, use in IN_REVERSE.items() for f in (BOTH, REVERSE)),
    *((name, use, BOTH) for name, use in FORWARD.items()),
]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("use", "f"), [case[1:] for case in CASES], ids=[f"{name}-{'both' if f is BOTH else 'vjp'}" for name, _, f in CASES]
)
def test_it_is_as_the_same_function_of_jax(use: Any, f: Any, compiled: bool) -> None:
    found = jax.jit(lambda: use(f))() if compiled else use(f)
    same(found, use(of_jax))


def test_derivatives_are_those_of_differences() -> None:
    check_grads(lambda x, y: BOTH(jnp.asarray(x), jnp.asarray(y))[0], (A, B), 1, modes=["rev", "fwd"])


def test_cotangents_are_jaxs_own_of_complex_arrays_too() -> None:
    square: Any = interop.via("numpy", grad="bridge", vjp=lambda args, result, c: (2 * args[0] * c,))(lambda z: z * z)
    z = jnp.array([1 + 2j, 0.5 - 1j])
    loss: Any = lambda f: lambda z: (f(z) * (1 - 2j)).real.sum()
    same(jax.grad(loss(square))(z), jax.grad(loss(lambda z: z * z))(z))


def test_what_has_no_derivative_says_so() -> None:
    for use in (
        lambda: jax.jvp(REVERSE, (A, B), (A, B)),
        jax.jit(lambda: jax.jvp(REVERSE, (A, B), (A, B))),
        lambda: jax.hessian(total(REVERSE))(A, B),
    ):
        with pytest.raises(interop.GradientError, match=r"no forward mode.*jvp="):
            use()
    for f in (BOTH, REVERSE):
        for use in (jax.jacrev(jax.grad(total(f))), jax.jit(jax.jacrev(jax.grad(total(f))))):
            with pytest.raises(interop.GradientError, match="differentiated twice"):
                use(A, B)
    with pytest.raises(interop.GradientError, match="Pass the array by position"):
        jax.grad(lambda y: REVERSE(A, y=y)[0].sum())(B)
    same(REVERSE(A, y=B), of_jax(A, B))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("vjp", "match"),
    [
        (lambda *_: np.ones(4), "returned 1 arrays for the tensors among the arguments, and there are 2"),
        (lambda *_: (np.ones(4),) * 3, "returned 3 arrays"),
        (lambda *_: (np.ones(3), None), r"of the shape \(3,\) for an array of the shape \(4,\)"),
        (lambda *_: ("no", None), r"returned str"),
    ],
)
def test_wrong_cotangents_are_an_error(vjp: Any, match: str, compiled: bool) -> None:
    f = interop.via("numpy", grad="bridge", vjp=vjp)(written)
    use = jax.grad(total(f))
    with pytest.raises(Exception if compiled else interop.UnsupportedError, match=match):
        jax.block_until_ready((jax.jit(use) if compiled else use)(A, B))


def test_none_is_no_gradient_and_cotangents_are_cast() -> None:
    f = interop.via("numpy", grad="bridge", vjp=lambda args, result, c: (None, np.ones(4, "float32")))(written)
    first, second = jax.jit(jax.grad(total(f), (0, 1)))(A, B)
    assert first.tolist() == [0] * 4
    assert (second.dtype, second.tolist()) == (jnp.float64, [1] * 4)


def test_it_is_called_with_ones_where_there_are_no_values_and_never_else() -> None:
    seen: list[list[float]] = []

    def counted(x: Any) -> Any:
        seen.append(x.tolist())
        return x * 2

    f = interop.via("numpy", grad="bridge", vjp=lambda args, result, c: (2 * c,))(counted)
    f(A[:2] * 0)
    jax.grad(lambda x: f(x).sum())(A[:2] * 0)
    assert seen == [[0, 0]] * 2
    step = jax.jit(f)
    jax.block_until_ready([step(jnp.zeros(3)) for _ in range(2)])
    assert seen[2:] == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_what_was_computed_of_ones_is_nobodys_result() -> None:
    first: Any = interop.via("numpy", grad="bridge", vjp=lambda args, result, c: (c[0],))
    mean: Any = first(lambda x: (x * 1, float(x.mean())))
    assert mean(A)[1] == pytest.approx(float(A.mean()))
    with pytest.raises(interop.UnsupportedError, match=r"np\.asarray\(loss\)"):
        jax.jit(mean)(A[:3])
    named: Any = first(lambda x: (x * 1, "high" if x.mean() > 0.9 else "low"))
    with pytest.raises(Exception, match="other values beside its arrays"):
        jax.block_until_ready(jax.jit(lambda x: named(x)[0])(A[:3]))
    array: Any = first(lambda x: (x * 1, np.asarray(x.mean())))
    same(jax.jit(array)(A), (A, A.mean()))


def test_shapes_that_depend_on_values_and_writes_are_refused() -> None:
    some: Any = interop.via("numpy", grad="bridge", vjp=lambda *_: (None,))(lambda x: x[x > 0.5])
    with pytest.raises(Exception, match=r"returned float64 \(2,\) where it returned float64 \(4,\) before"):
        jax.block_until_ready(jax.jit(some)(A))

    def writing(x: Any) -> Any:
        x += 1
        return x

    x = jnp.zeros(3)
    for use in (interop.via("numpy", grad="bridge", vjp=lambda *_: (None,))(writing),):
        for each in (use, jax.jit(use)):
            with pytest.raises(ValueError, match="read-only"):
                each(x)
    assert x.tolist() == [0, 0, 0]


def test_what_it_raises() -> None:
    class MineError(Exception):
        pass

    def picky(x: Any) -> Any:
        if (x == 1).all():
            raise MineError
        return x * 1

    f = interop.via("numpy", grad="bridge", vjp=lambda *_: (None,))(picky)
    with pytest.raises(MineError):
        f(jnp.ones(2))
    with pytest.raises(MineError) as caught:
        jax.jit(f)(A)
    assert any("with ones" in note for note in caught.value.__notes__)
    assert f(A).tolist() == A.tolist()
