"""Recipes: what is compiled does what the planner says, is found again for arrays of its kind, and runs no Python."""

from __future__ import annotations

import functools
import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from frames import frames_of
from hypothesis import given
from torch.autograd import forward_ad
from toys import registered

import interop
from interop import _options
from interop._adapters._numpy import NumpyAdapter
from interop._convert import _convert
from interop._native import ExchangeAPI, forget_recipes
from interop._registry.targets import target_adapter
from interop._run import book
from interop.testing.compare import assert_identical
from interop.testing.strategies import numpy_arrays, torch_tensors

if ExchangeAPI.of(torch.Tensor) is None:
    pytest.skip("recipes of torch need its exchange API, which came with torch 2.10", allow_module_level=True)

EVERY_FLAVOUR = ["plain", "conj", "neg", "requires_grad", "parameter"]

SOURCES: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    "torch": lambda: torch_tensors(flavours=EVERY_FLAVOUR),
    "numpy": numpy_arrays,
}

#: Options of a call.
Chosen = dict[str, Any]

#: Each option with the values that a recipe can have; the first of each is alone a call of its own.
VALUES: dict[str, tuple[Any, ...]] = {
    "device": ("cpu", torch.device("cpu")),
    "dtype": ("float64", "float32", "bfloat16", "complex64", "int8", np.float16),
    "order": ("C", "F"),
    "copy": (True, False),
    "writable": (False, True),
    "detach": (True,),
}


def options() -> st.SearchStrategy[dict[str, Any]]:
    """No option, one, or two."""
    names = st.lists(st.sampled_from(sorted(VALUES)), max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: st.sampled_from(VALUES[name]) for name in chosen}))


def outcome(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except interop.InteropError as error:
        return None, error


def described(x: Any) -> tuple[Any, ...]:
    """What shows of a result, by its framework's own attributes: a View can't have every stride of numpy's."""
    strides, readonly = (x.strides, not x.flags.writeable) if isinstance(x, np.ndarray) else (x.stride(), False)
    # Along an axis of length 1 no stride counts.
    steps = tuple(step for n, step in zip(x.shape, strides, strict=True) if n > 1) if 0 not in x.shape else ()
    return (type(x), tuple(x.shape), steps, x.dtype, str(interop.device(x)), readonly)


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("source", SOURCES)
@given(data=st.data())
def test_a_recipe_does_what_the_planner_does(source: str, to: str, data: st.DataObject) -> None:
    x = data.draw(SOURCES[source]())
    chosen = data.draw(options())
    call = getattr(interop, f"to_{to}")
    planned, refused = outcome(lambda: _convert(x, target_adapter(to), _options.parse(**chosen)))
    # The first call of a kind learns, the second one applies what was learned.
    for _ in range(2):
        result, error = outcome(lambda: call(x, **chosen))
        assert type(error) is type(refused)
        assert str(error) == str(refused)
        if error is not None:
            continue
        if planned is x:
            assert result is x
            continue
        assert described(result) == described(planned)
        # torch itself negates zero to +0 or to -0, by the loop that it picks.
        signs = not (isinstance(x, torch.Tensor) and x.is_neg())
        with np.errstate(all="ignore"):
            assert_identical(*((planned, result) if signs else (planned + 0, result + 0)))
        assert (result is x or interop.shares_memory(x, result)) == interop.shares_memory(x, planned)
        if isinstance(planned, torch.Tensor):
            assert result.requires_grad == planned.requires_grad


#: The function of Python behind the compiled callable.
slow_copyto: Any = vars(interop.copyto)["__wrapped__"]


@given(x=numpy_arrays(), y=torch_tensors(), casting=st.sampled_from(["no", "safe", "same_kind", "unsafe"]))
def test_copyto_writes_what_numpy_writes(x: Any, y: torch.Tensor, casting: Any) -> None:
    for dst, src in ((x, y), (y, x)):
        fresh = [interop.convert(dst, interop.framework(dst), copy=True, writable=True) for _ in range(3)]
        _, refused = outcome(functools.partial(slow_copyto, fresh[0], src, casting=casting))
        for into in fresh[1:]:
            _, error = outcome(functools.partial(interop.copyto, into, src, casting=casting))
            assert (type(error), str(error)) == (type(refused), str(refused))
            assert_identical(fresh[0], into)


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64, np.float64, np.int16])
def test_what_is_known_of_aligned_memory_says_nothing_of_other_memory(dtype: Any) -> None:
    """torch's loops read complex128 by aligned loads, which end the process elsewhere: c10::complex is alignas(16)."""
    memory = np.zeros(512, np.uint8)
    size = np.dtype(dtype).itemsize
    start = -memory.ctypes.data % 64
    for shape in ((), (3,), (3, 3)):
        count = math.prod(shape)
        # The kind is learned where it is aligned, and met again wherever numpy may put it.
        for offset in (0, 64, *range(1, 65)):
            there = memory[start + offset :][: count * size]
            there[...] = range(count * size)
            src = there.view(dtype).reshape(shape)
            for _ in range(2):
                into = torch.zeros((4, *shape) if offset % 2 else shape, dtype=interop.to_torch(src).dtype)
                interop.copyto(into, src)
                assert_identical(interop.to_numpy(into), np.broadcast_to(src, into.shape))


# What runs.


def calls() -> Iterator[tuple[str, Callable[[], Any]]]:
    t, a = torch.ones(2, 3), np.ones((2, 3), np.float32)
    readonly = a.copy()
    readonly.flags.writeable = False
    grad = torch.ones(2, 3, requires_grad=True)
    complex_tensor = torch.ones(2, 3, dtype=torch.complex64)
    v = interop.view(a)
    sources = {"torch": t, "numpy": a, "view": v}
    alone = [{}, *({name: values[0]} for name, values in VALUES.items())]
    for (name, x), to, chosen in itertools.product(sources.items(), ("numpy", "torch"), alone):
        # Inside one framework its own operations serve, which keep the graph.
        if name == to or (chosen.get("order") == "F" and to == "torch"):
            continue
        yield f"{name} to {to} {chosen}", functools.partial(getattr(interop, f"to_{to}"), x, **chosen)
    yield "a graph", lambda: interop.to_numpy(grad, detach=True)
    yield "a graph, copied", lambda: interop.to_numpy(grad, detach=True, copy=True)
    yield "conj", lambda: interop.to_numpy(complex_tensor.conj())
    yield "neg", lambda: interop.to_numpy(complex_tensor.conj().imag)
    yield "bfloat16", lambda: interop.to_numpy(torch.ones(2, dtype=torch.bfloat16))
    yield "readonly", lambda: interop.to_torch(readonly)
    yield "readonly, promised", lambda: interop.to_torch(readonly, writable=False)
    yield "a module", lambda: interop.convert(t, np)
    yield "a name", lambda: interop.convert(t, "numpy")
    given_options: Any = {"copy": True}
    yield "keywords of a dictionary", lambda: interop.to_numpy(t, **given_options)
    yield "partial", functools.partial(interop.to_numpy, t, copy=True)
    yield "a device of its own", lambda: interop.to_numpy(t, device=t.device)
    yield "like an array", lambda: interop.convert_like(t, a)
    yield "like a tensor", lambda: interop.convert_like(a, t)
    yield "view of a tensor", lambda: interop.view(t)
    yield "view of an array", lambda: interop.view(a)
    yield "copyto an array", lambda: interop.copyto(a, t)
    yield "copyto a tensor", lambda: interop.copyto(t, a)
    yield "copyto with a rule", lambda: interop.copyto(a, t, casting="unsafe")


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in calls()])
def test_the_second_call_runs_no_python_of_ours(call: Callable[[], Any]) -> None:
    call()
    call()
    assert frames_of(call) == []


def planned_during(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> int:
    count = 0
    real: Any = vars(book)["recipe_of"]

    def counting(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        return real(*arguments)

    monkeypatch.setattr(book, "recipe_of", counting)
    call()
    monkeypatch.setattr(book, "recipe_of", real)
    return count


def test_ten_thousand_shapes_of_one_layout_are_one_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = np.ones(20_000, np.float32)
    tensor = torch.ones(20_000)
    interop.to_torch(memory[:3], copy=True)

    def convert() -> None:
        for n in range(2, 10_002):
            interop.to_torch(memory[:n], copy=True)
            interop.to_numpy(tensor[:n], writable=False)

    assert planned_during(monkeypatch, convert) <= 4


# What makes a recipe stale.


class Taken(NumpyAdapter):
    """It claims what numpy's own adapter does, and refuses it."""

    name = "taken"
    native: Any = None

    def describe(self, x: Any, /) -> Any:
        msg = f"{x} is taken."
        raise interop.UnsupportedError(msg)

    def claims(self, tp: type, /) -> bool:
        return tp is np.ndarray


def test_an_adapter_that_takes_a_type_over_is_asked_at_once() -> None:
    a = np.ones(3, np.float32)
    assert interop.to_torch(a, writable=False).tolist() == [1, 1, 1]
    every: tuple[dict[str, Any], ...] = ({}, {"writable": False}, {"copy": True})
    with registered(Taken()):
        for chosen in every:
            with pytest.raises(interop.UnsupportedError, match="is taken"):
                interop.to_torch(a, **chosen)
        with pytest.raises(interop.UnsupportedError, match="is taken"):
            interop.view(a)
        with pytest.raises(interop.UnsupportedError, match="is taken"):
            interop.copyto(a, torch.zeros(3))
    # And no longer than it is there.
    for chosen in every:
        assert interop.to_torch(a, **chosen).tolist() == [1, 1, 1]


def test_what_is_asked_of_each_tensor_and_thread_is_asked_at_each_call() -> None:
    t = torch.ones(3)
    every: list[Chosen] = [{}, {"writable": False}, {"copy": True}, {"device": "cpu"}]
    for chosen in every:
        for _ in range(3):
            assert interop.to_numpy(t, **chosen).tolist() == [1, 1, 1]
        with pytest.raises(interop.GradientError):
            interop.to_numpy(t.clone().requires_grad_(), **chosen)
        with torch.no_grad(), pytest.raises(interop.GradientError):
            interop.to_numpy(t.clone().requires_grad_(), **chosen)
        with forward_ad.dual_level(), pytest.raises(interop.GradientError):
            interop.to_numpy(forward_ad.make_dual(t, t), **chosen)
        with pytest.raises(interop.UnsupportedError):
            torch.func.vmap(lambda x, chosen=chosen: (interop.to_numpy(x, **chosen), x)[1])(t)
        assert interop.to_numpy(t, **chosen).tolist() == [1, 1, 1]


def test_detach_leaves_the_recording_of_gradients_as_it_was() -> None:
    t = torch.ones(3, requires_grad=True)
    for _ in range(3):
        assert interop.to_numpy(t, detach=True).tolist() == [1, 1, 1]
        assert torch.is_grad_enabled()
        with torch.no_grad():
            interop.to_numpy(t, detach=True)
            assert not torch.is_grad_enabled()


def test_true_and_one_are_two_values() -> None:
    t = torch.ones(3)
    interop.to_numpy(t, copy=True)
    every: list[Chosen] = [{"copy": 1}, {"copy": np.bool_(True)}, {"detach": None}]
    for wrong in every:
        with pytest.raises(interop.InteropError):
            interop.to_numpy(t, **wrong)


def test_threads_share_one_book() -> None:
    wrong: list[Any] = []
    every: list[Chosen] = [{}, {"copy": True}, {"writable": False}, {"dtype": "float64"}]
    stop = threading.Event()

    def convert(value: float) -> None:
        t, a = torch.full((3,), value), np.full(3, value, np.float32)
        for _ in range(2_000):
            for chosen in every:
                results = (interop.to_numpy(t, **chosen), interop.to_torch(a, **chosen))
                wrong.extend(result for result in results if result.tolist() != [value] * 3)

    def forget() -> None:
        while not stop.is_set():
            forget_recipes()

    forgetting = threading.Thread(target=forget)
    threads = [threading.Thread(target=convert, args=(float(n),)) for n in range(4)]
    forgetting.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    forgetting.join()
    assert not wrong


def test_a_book_is_bounded() -> None:
    t = torch.ones(3)
    for n in range(2_000):
        # Each a value of its own, which is none.
        with pytest.raises(interop.InteropError):
            interop.to_numpy(t, dtype=f"float{n + 100}")
    before = sys.getrefcount(t)
    for _ in range(200):
        interop.to_numpy(t, copy=True)
    assert sys.getrefcount(t) == before


def test_what_explain_shows_of_a_view_is_the_plan_that_is_applied() -> None:
    t, a = torch.ones(2, 3), np.ones((2, 3), np.float32)
    every: list[Chosen] = [{}, {"device": "cpu"}, {"dtype": "float32"}]
    for (x, to), chosen in itertools.product(((t, "numpy"), (a, "torch"), (interop.view(a), "torch")), every):
        interop.convert(x, to, **chosen)
        plan = interop.explain(x, to, **chosen)
        assert plan.zero_copy
        assert plan is interop.explain(x, to, **chosen)
        recipe = book.BOOK.recipe(x, to, chosen)
        assert recipe is not None
        assert recipe.plan is plan


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 0)])
def test_a_copy_of_nothing(shape: tuple[int, ...]) -> None:
    """Of nothing there may be no address; the sanitizers see what is done with it."""
    every: list[Chosen] = [{}, {"copy": True}, {"dtype": "float64"}]
    for x in (torch.zeros(shape), torch.zeros(shape).transpose(0, -1), np.zeros(shape, np.float32)):
        for to, chosen in itertools.product(("numpy", "torch"), every):
            for _ in range(2):
                made = interop.convert(x, to, **chosen)
                assert tuple(made.shape) == tuple(x.shape)
