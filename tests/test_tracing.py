"""While a tracer of torch records, what crosses to or from another library is said to be a constant, and no more."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import torch
from frames import frames_of
from torch._subclasses.fake_tensor import FakeTensorMode

import interop
from interop._adapters import _torch_tracing
from interop._native import ExchangeAPI, Switch

if TYPE_CHECKING:
    from collections.abc import Callable

_jit: Any = torch.jit

A = np.arange(4, dtype="f4")
READONLY = np.arange(4, dtype="f4")
READONLY.flags.writeable = False
LOCKED = torch.from_numpy(A)


def traced(function: Callable[[torch.Tensor], Any], x: torch.Tensor | None = None) -> Any:
    """What torch.jit.trace makes of a function; it is deprecated, and that isn't the matter here."""
    with warnings.catch_warnings():
        # A DeprecationWarning up to torch 2.13, and a FutureWarning since.
        warnings.filterwarnings("ignore", message="`torch.jit.trace`")
        return _jit.trace(function, (torch.arange(4.0) if x is None else x,), check_trace=False)


def said(call: Callable[[torch.Tensor], Any]) -> tuple[list[warnings.WarningMessage], Any]:
    """What a call warns of while it is traced, and what it returns."""
    found: list[Any] = []

    def function(t: torch.Tensor) -> torch.Tensor:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.extend((caught, call(t)))
        return t * 2

    traced(function)
    return found[0], found[1]


def copied(t: torch.Tensor) -> np.ndarray[Any, Any]:
    out = np.zeros(4)
    interop.copyto(out, t)
    return out


def filled(t: torch.Tensor) -> torch.Tensor:
    out = t * 0
    interop.copyto(out, A)
    return out


#: Out of torch, by every road; each gives [0, 1, 2, 3].
OUT: dict[str, Callable[[torch.Tensor], Any]] = {
    "to_numpy": interop.to_numpy,
    # Nothing has to be locked any more, which is what torch itself warns of.
    "to_numpy of a locked storage": lambda _: interop.to_numpy(LOCKED, copy=True),
    **{
        f"to_numpy, {option}": lambda t, option=option, value=value: interop.to_numpy(t, **{option: value})  # type: ignore[misc]
        for option, value in (
            *(("copy", True), ("copy", False), ("dtype", "float64"), ("order", "C"), ("writable", False)),
            *(("device", "cpu"), ("detach", True), ("dtype", np.dtype(">f4"))),
        )
    },
    "to_numpy of bfloat16": lambda t: interop.to_numpy(t.bfloat16()),
    "to_numpy of a conjugate": lambda t: interop.to_numpy(torch.complex(t, t).conj()).real,
    "to_numpy of a subclass": lambda t: interop.to_numpy(t.as_subclass(type("T", (torch.Tensor,), {}))),
    "view": lambda t: np.asarray(interop.view(t)),
    "view of a slice": lambda t: np.asarray(interop.view(torch.cat([t, t])[:4])),
    "convert": lambda t: interop.convert(t, np),
    "convert_like": lambda t: interop.convert_like(t, A),
    "copyto": copied,
}

#: Into torch, by every road; each gives [0, 1, 2, 3].
INTO: dict[str, Callable[[torch.Tensor], Any]] = {
    "to_torch": lambda _: interop.to_torch(A),
    "to_torch of a readonly array": lambda _: interop.to_torch(READONLY),
    "to_torch, copy": lambda _: interop.to_torch(A, copy=True),
    "to_torch, dtype": lambda _: interop.to_torch(A, dtype="float64"),
    "to_torch of the other byte order": lambda _: interop.to_torch(A.astype(A.dtype.newbyteorder())),
    "to_torch of negative strides": lambda _: interop.to_torch(A[::-1].copy()[::-1]),
    "to_torch of bfloat16": lambda _: interop.to_torch(A.astype(ml_dtypes.bfloat16)),
    "to_torch of a View": lambda _: interop.to_torch(interop.view(A)),
    "to_torch of bytes": lambda _: interop.to_torch(bytes(range(4))),
    "convert": lambda _: interop.convert(A, torch),
    "convert_like": lambda t: interop.convert_like(A, t),
    "copyto": filled,
}

#: What needs no value.
SILENT: dict[str, Callable[[torch.Tensor], Any]] = {
    "itself": interop.to_torch,
    "itself, like another": lambda t: interop.convert_like(t, t),
    "framework": interop.framework,
    "device": interop.device,
    "dtype": interop.dtype,
    "explain": lambda t: str(interop.explain(t, "numpy", copy=True)),
    "explain into torch": lambda _: interop.explain(READONLY, "torch"),
    "shares_memory": lambda t: interop.shares_memory(t, t),
    "copyto inside torch": lambda t: interop.copyto(t * 0, t),
    "between others": lambda _: interop.to_numpy(interop.view(A)),
}


@pytest.mark.parametrize("road", [*OUT, *(f"into, {name}" for name in INTO)])
def test_what_crosses_is_said_to_be_a_constant(road: str) -> None:
    call = INTO[road.removeprefix("into, ")] if road.startswith("into, ") else OUT[road]
    for _ in range(2):  # planned, and remembered
        caught, made = said(call)
        assert made.tolist() == [0, 1, 2, 3]
        assert {each.category for each in caught} == {_jit.TracerWarning}
        # Where whoever called can see it.
        assert {each.filename for each in caught} == {__file__}


@pytest.mark.parametrize("road", SILENT)
def test_what_needs_no_value_says_nothing(road: str) -> None:
    caught, _ = said(SILENT[road])
    assert caught == []


@pytest.mark.parametrize("road", INTO)
def test_what_comes_in_is_in_the_trace_as_it_was(road: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _jit.TracerWarning)
        kept = traced(lambda t: t + INTO[road](t))
    # Memory that is written behind the tracer's back would be whatever lies there.
    junk = [torch.full((4,), float("nan")) for _ in range(64)]
    del junk
    assert kept(torch.arange(4.0) + 10).tolist() == [10, 12, 14, 16]


def test_torchs_own_operations_are_recorded() -> None:
    calls: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
        lambda t: interop.to_torch(t) * 2,
        lambda t: interop.to_torch(t, dtype="float64") * 2,
        lambda t: interop.to_torch(t, copy=True) * 2,
    )
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", _jit.TracerWarning)
            kept = traced(call)
        assert kept(torch.arange(4.0) + 1).tolist() == [2, 4, 6, 8]
    # The shape of what is allocated isn't: a tensor of another shape would be broadcast to it, or refused.
    for call in calls[1:]:
        caught, _ = said(call)
        assert {each.category for each in caught} == {_jit.TracerWarning}


def test_a_warning_that_is_an_error_leaves_the_tracer_on() -> None:
    # Where torch can't be asked without a call of Python, its own numpy() is called: what it warns of, and then
    # refuses, ends the trace in an assertion of its own.
    (question, _), *_ = _torch_tracing.NOT_TRACING

    def function(t: torch.Tensor) -> torch.Tensor:
        roads = (*OUT.values(), *INTO.values())
        for call in roads if isinstance(question, Switch) else INTO.values():
            with warnings.catch_warnings():
                warnings.simplefilter("error", _jit.TracerWarning)
                with pytest.raises((_jit.TracerWarning, interop.InteropError)):
                    call(t)
            assert _jit.is_tracing()
        return t * 2

    assert traced(function)(torch.ones(4)).tolist() == [2, 2, 2, 2]
    assert not _jit.is_tracing()


def test_an_error_leaves_the_tracer_on() -> None:
    def function(t: torch.Tensor) -> torch.Tensor:
        with pytest.raises(interop.DTypeError):
            interop.to_numpy(torch.complex(t, t), dtype="float32")
        with warnings.catch_warnings(), pytest.raises(interop.InteropError):
            warnings.simplefilter("ignore")
            interop.copyto(t, np.ones((2, 2)))
        assert _jit.is_tracing()
        return t * 2

    traced(function)


@pytest.mark.skipif(ExchangeAPI.of(torch.Tensor) is None, reason="this torch has no exchange API")
def test_recipes_ask_each_time() -> None:
    """What is applied natively while nobody records is the planner's while somebody does, who says it."""
    (question, wanted), *_ = _torch_tracing.NOT_TRACING
    t, a = torch.ones(3), np.ones(3)
    calls: list[Callable[[], Any]] = [lambda: interop.view(t), lambda: interop.to_torch(a)]
    for call in (*calls, *calls):
        call()

    def answers() -> list[bool]:
        return [frames_of(call) == [] for call in calls]

    elsewhere: list[bool] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        assert question() is not wanted
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert answers() == [False, False]
        # A tracer is its thread's.
        thread = threading.Thread(target=lambda: elsewhere.extend((question() is wanted, *answers())))
        thread.start()
        thread.join()
        with _torch_tracing.unrecorded():
            assert question() is wanted
            assert answers() == [True, True]
        assert question() is not wanted
        return x * 2

    assert question() is wanted
    assert answers() == [True, True]
    traced(function)
    assert elsewhere == [True, True, True]
    assert question() is wanted
    assert answers() == [True, True]


class Model(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return interop.to_numpy(x)


def test_a_proxy_that_records_operations_is_refused_in_true_words() -> None:
    with pytest.raises(interop.UnsupportedError, match=r"only records operations and has no values.*torch\.fx\.wrap"):
        torch.fx.symbolic_trace(Model())
    proxy = torch.fx.Proxy(torch.fx.Node(torch.fx.Graph(), "x", "placeholder", "x", (), {}))
    before = list(proxy.tracer.graph.nodes) if hasattr(proxy.tracer, "graph") else []
    for call in (interop.view, interop.device, interop.dtype, lambda x: interop.convert_like(np.ones(1), x)):
        with pytest.raises(interop.UnsupportedError, match="only records operations"):
            call(proxy)
    assert (list(proxy.tracer.graph.nodes) if hasattr(proxy.tracer, "graph") else []) == before
    # What needs no value works.
    kept: Any = interop.to_torch(proxy)
    assert kept is proxy
    assert interop.framework(proxy) == "torch"
    assert not interop.explain(proxy, "numpy").ok


def questions(v: torch.Tensor) -> torch.Tensor:
    """What needs no value, of a tensor that may have none."""
    assert interop.framework(v) == "torch"
    assert interop.dtype(v) == "float32"
    assert interop.device(v) == "cpu"
    for kept in (
        interop.to_torch(v),
        interop.to_torch(v, copy=False),
        interop.to_torch(v, dtype="float32"),
        interop.to_torch(v, dtype=np.float32, device="cpu"),
        interop.convert(v, torch, device=torch.device("cpu")),
        interop.convert_like(v, v),
    ):
        assert kept is v
    assert interop.explain(v, "torch", device="cpu", dtype="float32").steps[0].do == "keep"
    return v * 2


def meta_mode(v: torch.Tensor) -> None:
    with FakeTensorMode() as mode:
        questions(mode.from_tensor(v))


#: The transformations, each of which calls a function with what has no memory of its own.
TRANSFORMED: dict[str, Callable[[torch.Tensor], object]] = {
    "vmap": torch.func.vmap(questions),
    "grad": torch.func.grad(lambda v: questions(v).sum()),
    "jvp": lambda v: torch.func.jvp(questions, (v,), (v,)),
    "functionalize": torch.func.functionalize(questions),
    "requires_grad": lambda v: questions(v.clone().requires_grad_()),
    "fake": meta_mode,
    "jit.trace": lambda v: traced(questions, v),
}


@pytest.mark.parametrize("transformed", TRANSFORMED)
def test_what_needs_no_value_works_in_transformed_functions(transformed: str) -> None:
    TRANSFORMED[transformed](torch.ones(3, 2))


def test_what_needs_values_is_refused_in_transformed_functions() -> None:
    def function(v: torch.Tensor) -> torch.Tensor:
        for call in (interop.to_numpy, interop.view, lambda v: interop.to_torch(v, dtype="float64")):
            with pytest.raises(interop.UnsupportedError):
                call(v)
        return v * 2

    torch.func.vmap(function)(torch.ones(3, 2))


def test_what_is_exported_keeps_its_own_operations() -> None:
    class Exported(torch.nn.Module):
        def forward(self, v: torch.Tensor) -> torch.Tensor:
            return questions(v)

    program = torch.export.export(Exported(), (torch.ones(3, 2),), strict=False)
    assert program.module()(torch.ones(3, 2)).tolist() == [[2, 2]] * 3
