"""Trees, decorated functions, namespaces and guards with the frameworks beside numpy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import FRAMEWORKS

import interop

#: Those whose arrays can go back, of those that this run was asked for.
NAMES = [name for name in ("jax", "mlx", "array_api_strict", "paddle", "tensorflow") if name in FRAMEWORKS]

A = np.arange(6, dtype="f4").reshape(2, 3)


def of(name: str, a: Any = A) -> Any:
    return interop.convert(a, name)


@interop.via("numpy")
def scaled(x: Any, by: Any = 2.0) -> Any:
    assert isinstance(x, np.ndarray)
    return {"y": x * by, "sum": x.sum(), "arg": np.argmax(x), "x": x}


@interop.via("torch")
def of_torch(x: Any) -> Any:
    assert isinstance(x, torch.Tensor)
    return x * 2, x


@pytest.mark.parametrize("name", NAMES)
def test_any_framework_in_and_the_callers_own_back(name: str) -> None:
    x = of(name)
    for function in (scaled, of_torch):
        for given in (x, [x], {"a": x}):
            made: Any = function(given if function is of_torch and given is x else x)
            first, own = (made["y"], made["x"]) if function is scaled else made
            assert type(first) is type(x)
            assert own is x
            assert interop.to_numpy(first).tolist() == (A * 2).tolist()
    assert interop.framework(scaled(x)["sum"]) == name
    # argmax's int64 may have no place there: then what is nearest has.
    assert interop.to_numpy(scaled(x)["arg"]).item() == 5


@pytest.mark.parametrize("name", NAMES)
def test_written_for_it_and_called_with_others(name: str) -> None:
    function: Any = interop.via(name)(lambda x, n=1: [x + x, x])
    for x in (A, torch.from_numpy(A.copy()), of(name)):
        made = function(x)
        assert type(made[0]) is type(x)
        assert made[1] is x
        assert interop.to_numpy(made[0]).tolist() == (A * 2).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_refused_for_inout(name: str) -> None:
    x = of(name)
    if not interop.view(x).readonly:
        pytest.skip(f"{name} can be written into")

    @interop.via("numpy", inout="out")
    def fill(out: Any) -> Any:
        raise AssertionError

    with pytest.raises(interop.ReadOnlyError, match="writes into out"):
        fill(x)


@pytest.mark.parametrize("name", NAMES)
def test_trees_go_there_and_back(name: str) -> None:
    b = torch.arange(6.0)
    small = torch.ones(2, dtype=torch.float16 if name == "array_api_strict" else torch.bfloat16)
    if not interop.explain(small, name).ok:
        small = small.float()
    tree = {"a": A, "b": [b, b.view(2, 3), b], "small": small, "s": "text"}
    made = interop.convert_tree(tree, name)
    assert made["b"][0] is made["b"][2]
    assert made["s"] == "text"
    back = interop.convert_tree(made, "numpy")
    assert back["b"][1].tolist() == b.view(2, 3).tolist()
    assert back["small"].dtype == interop.dtype(small).name
    plan = interop.explain_tree(tree, name)
    assert plan.ok
    assert set(plan.leaves) == {'tree["a"]', 'tree["b"][0]', 'tree["b"][1]', 'tree["small"]'}


@pytest.mark.parametrize("name", NAMES)
def test_a_tied_tree_does_not_double(name: str) -> None:
    t = torch.ones(64)
    tied = {"a": t, "b": t.view(64), "c": t}
    with interop.guard() as seen:
        made = interop.convert_tree(tied, name)
    assert made["a"] is made["c"]
    assert made["a"] is made["b"] or not seen.copies
    assert seen.bytes <= t.nbytes
    assert interop.explain_tree(tied, name).copied_bytes == seen.bytes


@pytest.mark.parametrize("name", NAMES)
def test_guards_count_what_pointers_show(name: str) -> None:
    for make in (lambda: torch.from_numpy(A.copy()), A.copy, lambda: A.copy()[:, ::-1], lambda: A.copy().T):
        x = make()
        with interop.guard() as seen:
            there = interop.convert(x, name)
        if name != "mlx":
            assert interop.shares_memory(x, there) == (seen.copies == 0)
        assert seen.bytes in (0, A.nbytes)
        assert interop.explain(x, name).copied_bytes == seen.bytes
        with interop.guard(copies="disallow") as strict:
            if seen.copies:
                with pytest.raises(interop.CopyError):
                    interop.convert(x, name)
            else:
                interop.convert(x, name)
        assert strict.copies == 0


@pytest.mark.skipif("jax" not in FRAMEWORKS, reason="needs jax")
class TestJax:
    def test_a_tracer_is_a_tensor(self) -> None:
        import jax
        import jax.numpy as jnp

        own: Any = interop.via("jax")(lambda x: jnp.sin(x) * 2)
        x = jnp.ones(3)
        assert np.allclose(jax.jit(own)(x), own(x))
        assert np.allclose(jax.vmap(own)(x), own(x))
        assert np.allclose(jax.grad(lambda x: own(x).sum())(x), 2 * np.cos(1.0))
        with pytest.raises(interop.UnsupportedError, match=r"scaled\(\), argument x: "):
            jax.jit(scaled)(x)

    def test_without_x64_results_are_the_nearest(self) -> None:
        import jax

        if jax.config.jax_enable_x64:
            pytest.skip("x64 is on")
        made = interop.via("numpy")(lambda x: x.astype("f8"))(of("jax"))
        assert made.dtype == "float32"
        with pytest.raises(interop.DTypeError, match="result: "):
            interop.via("numpy", back_dtype=None)(lambda x: x.astype("f8"))(of("jax"))

    def test_classes_that_jaxs_registry_knows(self) -> None:
        import jax

        class Mine:
            def __init__(self, a: Any, note: str) -> None:
                self.a, self.note = a, note

        jax.tree_util.register_pytree_node(Mine, lambda x: ((x.a, None), x.note), lambda note, a: Mine(a[0], note))
        made = interop.convert_tree({"m": Mine(A, "n")}, "jax")["m"]
        assert isinstance(made.a, jax.Array)
        assert made.note == "n"

    def test_mixed_frameworks(self) -> None:
        with pytest.raises(interop.UnsupportedError, match="x: jax on cpu; by: torch on cpu"):
            scaled(of("jax"), torch.ones(3))

    def test_namespace(self) -> None:
        pytest.importorskip("array_api_compat")
        assert interop.namespace(of("jax")).__name__ == "jax.numpy"
        assert interop.namespace(like="jax").__name__ == "jax.numpy"
