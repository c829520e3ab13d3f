"""The decorator: any framework in, the caller's own back, and nothing lost on the way that nobody was told of."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import registered

import interop
from interop._plan.nearest import nearest
from interop._registry import frameworks
from interop.protocols import HostAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

T, U = torch.arange(3.0), torch.ones(3)


@interop.via("numpy")
def add(x: Any, y: Any = 2.0, *rest: Any, scale: Any = 1) -> Any:
    """Adds."""
    assert isinstance(x, np.ndarray)
    return (x + y) * scale


@interop.via("numpy")
def echo(x: Any) -> Any:
    return {"x": x, "n": [x, x.sum()], "s": "text", "none": None}


@interop.via("torch")
def twice(x: Any) -> Any:
    assert isinstance(x, torch.Tensor)
    return x * 2


#: A function inside of each framework that gives its callers' own back.
CALLS: dict[str, tuple[Any, Any, list[float]]] = {
    "torch into numpy": (add, T, [2, 3, 4]),
    "numpy into torch": (twice, np.arange(3.0), [0, 2, 4]),
    "numpy itself": (add, np.arange(3.0), [2, 3, 4]),
    "torch itself": (twice, T, [0, 2, 4]),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_are_of_the_callers_framework(name: str) -> None:
    function, x, want = CALLS[name]
    for _ in range(2):
        made = function(x)
        assert type(made) is type(x)
        assert made.tolist() == want


def test_arguments_come_by_position_name_and_container() -> None:
    assert torch.equal(add(T, U), T + U)
    assert torch.equal(add(x=T, y=U, scale=2), (T + U) * 2)
    assert torch.equal(interop.via("numpy")(lambda d: d["a"][0] + d["b"])({"a": (T,), "b": U}), T + U)
    # A function of C has no names for its arguments.
    function: Any = interop.via("numpy")(np.add)
    assert torch.equal(function(T, U), T + U)


def test_what_is_passed_twice_is_one_object_inside() -> None:
    @interop.via("numpy")
    def same(x: Any, y: Any) -> bool:
        return x is y

    assert same(T, T)
    assert same(T, y=T)
    assert same([T], [T]) is False
    assert interop.via("numpy")(lambda xs: xs[0] is xs[1]["a"])([T, {"a": T}])


def test_more_arguments_than_the_short_way_takes() -> None:
    many: Any = interop.via("numpy")(lambda *xs, **named: sum(xs) + sum(named.values()))
    tensors = [torch.full((2,), float(number)) for number in range(70)]
    assert many(*tensors, **{f"x{number}": U[:2] for number in range(30)}).tolist() == [2445, 2445]


def test_everything_else_is_untouched() -> None:
    things = ["text", b"b", None, 3, np.float32(2), object(), {1}, (x for x in "ab"), (2, 3), [1, "a"]]
    seen: list[Any] = []

    @interop.via("numpy")
    def function(x: Any, *rest: Any) -> Any:
        seen.extend(rest)
        return x

    function(T, *things)
    assert all(a is b for a, b in zip(seen, things, strict=True))


def test_without_a_tensor_the_result_is_the_functions() -> None:
    made = interop.via("torch")(np.ones)(2)
    assert isinstance(made, np.ndarray)


def test_an_argument_that_is_returned_is_the_callers_own() -> None:
    made = echo(T)
    assert made["x"] is T
    assert made["n"][0] is T
    assert isinstance(made["n"][1], torch.Tensor)
    assert made["n"][1].ndim == 0
    assert made["s"] == "text"
    assert interop.via("numpy")(lambda x: x)(T) is T
    # Its element type is another now.
    assert interop.via("numpy", dtype="float64")(lambda x: x)(T).dtype == torch.float64


def test_a_part_of_an_argument_that_is_returned_lies_in_the_callers_memory() -> None:
    made = interop.via("numpy")(lambda x: x[1:])(T)
    assert made.data_ptr() == T[1:].data_ptr()


def test_tensors_of_several_kinds_are_refused_or_follow_one() -> None:
    with pytest.raises(interop.UnsupportedError, match=r"\(x: torch on cpu; y: numpy on cpu\).*back='x'"):
        add(T, np.ones(3))
    with pytest.raises(interop.UnsupportedError, match=r"y\[\"a\"\]\[0\]: torch on cpu"):
        add(np.ones(3), {"a": [T]})

    @interop.via("numpy", back="y")
    def function(x: Any, y: Any) -> Any:
        return x + y

    assert isinstance(function(np.ones(3), T), torch.Tensor)
    assert isinstance(function(T, np.ones(3)), np.ndarray)
    with pytest.raises(interop.UnsupportedError, match="back='y' names an argument that holds no tensor"):
        function([T, np.ones(3)], 1)
    with pytest.raises(interop.UnsupportedError, match=r"back='y' names an argument that isn't given"):
        interop.via("numpy", back="y")(lambda x, y=1: x)([T, np.ones(3)])


def test_only_what_is_named_is_looked_at() -> None:
    @interop.via("numpy", only="x")
    def function(x: Any, raw: Any, *, key: Any = None) -> Any:
        assert isinstance(raw, torch.Tensor)
        assert key is None or isinstance(key, torch.Tensor)
        return x + 1

    assert torch.equal(function(T, U), T + 1)
    assert torch.equal(function(T, U, key=U), T + 1)
    assert torch.equal(function(raw=U, x=T), T + 1)
    # What isn't looked at decides nothing.
    assert isinstance(function(np.ones(2), U), np.ndarray)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"only": ("z",)}, interop.UnsupportedError, "has no parameter 'z', which only= names. It has x"),
        ({"back": "z"}, interop.UnsupportedError, "has no parameter 'z', which back= names"),
        ({"inout": ("z",)}, interop.UnsupportedError, "has no parameter 'z', which inout= names"),
        ({"inout": 3}, interop.UnsupportedError, "inout=3 is not a value"),
        ({"back": ("x", "y")}, interop.UnsupportedError, "pass the name of a parameter"),
        ({"copy": "yes"}, interop.UnsupportedError, "copy='yes' is not a value"),
        ({"dtype": "no"}, interop.DTypeError, "'no'"),
        ({"back_dtype": "no"}, interop.DTypeError, "'no'"),
        ({"grad": "keep"}, interop.UnsupportedError, "grad='keep' is not a value"),
        ({"grad": "bridge"}, interop.GradientError, "grad='bridge' needs vjp=.*grad='cut'"),
        ({"vjp": len}, interop.UnsupportedError, "vjp= says how gradients go back"),
    ],
)
def test_wrong_options_are_refused_at_decoration(options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        interop.via("numpy", **options)(lambda x: x)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(interop.UnsupportedError, match="can't be called"):
        interop.via("numpy")(3)  # type: ignore[type-var]
    with pytest.raises(interop.UnsupportedError, match="names no framework"):
        interop.via(3)(len)  # type: ignore[arg-type]


# Gradients.


def test_a_gradient_is_refused_or_cut() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(interop.GradientError, match=r"^add\(\), argument x: .*grad='cut'.*grad='bridge'"):
        add(x)
    with pytest.raises(interop.GradientError, match=r"^add\(\), argument x\[\"w\"\]\[1\]: "):
        add({"w": [T, x]})
    made = interop.via("numpy", grad="cut")(lambda x: x + 1)(x)
    assert made.tolist() == [2, 2]
    assert not made.requires_grad


def test_where_no_graph_is_recorded_nothing_is_refused() -> None:
    x = torch.nn.Parameter(torch.ones(2))
    with torch.no_grad():
        assert add(x).tolist() == [3, 3]
        assert add({"x": x}["x"], [x][0]).tolist() == [2, 2]
    with torch.inference_mode():
        assert add(torch.ones(2)).tolist() == [3, 3]
        assert twice(np.ones(2)).tolist() == [2, 2]


def test_a_tangent_is_refused_without_a_graph_too() -> None:
    forward = torch.autograd.forward_ad
    with forward.dual_level(), torch.no_grad():
        dual = forward.make_dual(torch.ones(2), torch.ones(2))
        with pytest.raises(interop.GradientError):
            add(dual)


def test_the_own_frameworks_graph_stays() -> None:
    x = torch.ones(2, requires_grad=True)
    twice(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


# Writes.


def test_a_write_is_refused_by_numpy() -> None:
    @interop.via("numpy")
    def writes(x: Any) -> Any:
        x[0] = 5

    for x in (torch.zeros(3), [torch.zeros(3)][0]):
        with pytest.raises(ValueError, match="read-only"):
            writes(x)
        assert x.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        interop.via("numpy", dtype="float64")(lambda x: x.__setitem__(0, 5))(torch.zeros(3))
    # The own framework's arguments are as they are.
    a = np.zeros(3)
    writes(a)
    assert a.tolist() == [5, 0, 0]


@pytest.mark.parametrize("options", [{}, {"dtype": "float64"}, {"copy": True}])
def test_a_write_is_found_out_in_torch(options: Any) -> None:
    @interop.via("torch", **options)
    def writes(x: Any, *, key: Any = None) -> Any:
        (x if key is None else key).mul_(2)
        return [x]

    with pytest.raises(interop.ReadOnlyError, match=r"writes\(\) wrote into x, .*inout=\('x',\)"):
        writes(np.ones(3, "f4"))
    with pytest.raises(interop.ReadOnlyError, match="wrote into key"):
        writes(np.ones(3, "f4"), key=np.ones(3, "f4"))


@pytest.mark.parametrize("options", [{}, {"dtype": "float64"}, {"copy": True}])
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_inout_reaches_every_caller(framework: str, options: Any) -> None:
    @interop.via(framework, inout=("out",), **options)
    def fill(x: Any, out: Any) -> Any:
        out[:] = x * 2
        return out

    for x, out in ((T, torch.zeros(3)), (np.arange(3.0), np.zeros(3))):
        made = fill(x, out)
        assert out.tolist() == [0, 2, 4]
        assert options.get("dtype") or made is out


def test_inout_of_what_cannot_be_written_is_refused_before_the_call() -> None:
    called = []

    @interop.via("torch", inout="out")
    def fill(out: Any) -> Any:
        called.append(out)

    a = np.zeros(3)
    a.flags.writeable = False
    with pytest.raises(interop.ReadOnlyError, match=r"fill\(\) writes into out"):
        fill(a)
    assert not called


# Results.


def test_what_cannot_go_back_is_refused_with_its_path() -> None:
    for result in (np.array([object()]), np.ones(2, np.longdouble)):
        with pytest.raises(interop.UnsupportedError, match=r'^.*lambda>\(\), result\["a"\]: '):
            interop.via("numpy")(lambda x, result=result: {"a": result})(T)
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(interop.UnsupportedError, match=r"\(\), result\[0\] is a container that holds itself"):
        interop.via("numpy")(lambda x: cycle)(T)
    with pytest.raises(interop.UnsupportedError, match=r"\(\), argument x\[0\] is a container that holds itself"):
        add(cycle)


def test_a_result_goes_back_as_what_the_caller_has_or_was_asked_for() -> None:
    assert add(T.bfloat16(), 1).dtype == torch.bfloat16
    assert interop.via("numpy", back_dtype="float16")(lambda x: x + 1)(T).dtype == torch.float16
    # torch has no float8_e3m4: float16 holds it.
    assert interop.via("numpy")(lambda x: x.astype("float8_e3m4"))(T).dtype in (torch.float16, torch.bfloat16)
    with pytest.raises(interop.DTypeError, match=r"result: "):
        interop.via("numpy", back_dtype=None)(lambda x: x.astype("float8_e3m4"))(T)


def test_the_nearest_type() -> None:
    no64 = frozenset({"bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "bfloat16", "float32"})
    assert nearest("int64", no64) == "int32"
    assert nearest("uint64", no64) == "uint32"
    assert nearest("float64", no64) == "float32"
    assert nearest("float8_e5m2", no64) == "float16"
    assert nearest("float8_e8m0fnu", no64) == "bfloat16"
    assert nearest("uint8", frozenset({"int8", "int16", "int32"})) == "int16"
    assert nearest("float32", no64) == "float32"
    assert nearest("complex64", no64) is None
    assert nearest("nonsense", no64) is None


def test_what_the_function_raises_comes_out_as_it_is() -> None:
    err = KeyError("mine")

    def raises(x: Any) -> Any:
        raise err

    for x in (T, np.ones(2), [T]):
        with pytest.raises(KeyError) as caught:
            interop.via("numpy")(raises)(x)
        assert caught.value is err


def test_a_call_with_wrong_arguments_says_what_the_function_says() -> None:
    with pytest.raises(TypeError, match=r"add\(\) got an unexpected keyword argument 'nope'"):
        add(T, nope=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        add()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Kinds of functions.


class Model:
    k = 3

    @interop.via("numpy")
    def method(self, x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        return x * self.k

    @classmethod
    @interop.via("numpy")
    def of_class(cls, x: Any) -> Any:
        return x * cls.k

    @staticmethod
    @interop.via("numpy")
    def static(x: Any) -> Any:
        return x * 2

    @interop.via("numpy")
    @classmethod
    def inside_out(cls, x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        return x * cls.k


def test_methods() -> None:
    assert torch.equal(Model().method(T), T * 3)
    assert torch.equal(Model.method(Model(), T), T * 3)
    assert torch.equal(Model.of_class(T), T * 3)
    assert torch.equal(Model().of_class(T), T * 3)
    assert torch.equal(Model.static(T), T * 2)
    assert torch.equal(Model.inside_out(T), T * 3)


def test_the_object_of_a_method_stays_itself() -> None:
    @dataclass
    class Holder:
        a: Any

        @interop.via("numpy")
        def me(self, x: Any) -> Any:
            assert isinstance(self.a, torch.Tensor)
            self.count = 1
            return x

    holder = Holder(T)
    holder.me(U)
    assert holder.count == 1


def test_a_generator() -> None:
    closed = []

    @interop.via("numpy")
    def total(x: Any) -> Generator[Any, Any, Any]:
        try:
            while True:
                try:
                    got = yield x
                except KeyError:
                    got = x
                if got is None:
                    return x.sum()
                assert isinstance(got, np.ndarray)
                x = x + got
        finally:
            closed.append(1)

    assert inspect.isgeneratorfunction(total)
    steps = total(T)
    assert next(steps) is T
    assert torch.equal(steps.send(U), T + U)
    assert torch.equal(steps.throw(KeyError()), (T + U) * 2)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == ((T + U) * 2).sum()
    assert closed == [1]
    early = total(T)
    next(early)
    early.close()
    assert closed == [1, 1]
    with pytest.raises(ValueError, match="mine"):
        steps = total(T)
        next(steps)
        steps.throw(ValueError("mine"))
    assert closed == [1, 1, 1]


def test_async_functions_and_generators() -> None:
    closed = []

    @interop.via("numpy")
    async def later(x: Any) -> Any:
        await asyncio.sleep(0)
        return x + 1

    @interop.via("numpy")
    async def several(x: Any) -> AsyncGenerator[Any, Any]:
        try:
            for i in range(3):
                try:
                    yield x + i
                except KeyError:
                    yield x * 10
        finally:
            closed.append(1)

    async def main() -> Any:
        made = [await later(T), *[each async for each in several(T)]]
        steps = several(T)
        await anext(steps)
        made.append(await steps.athrow(KeyError()))
        await steps.aclose()
        return made

    assert inspect.iscoroutinefunction(later)
    assert inspect.isasyncgenfunction(several)
    made = asyncio.run(main())
    for got, want in zip(made, (T + 1, T, T + 1, T + 2, T * 10), strict=True):
        assert torch.equal(got, want)
    assert closed == [1, 1]


def plain(x: Any) -> Any:
    return x + 1


renamed = interop.via("numpy", dtype="float64")(plain)


def test_what_a_function_is_to_whoever_looks_at_it() -> None:
    assert str(inspect.signature(add)) == "(x: 'Any', y: 'Any' = 2.0, *rest: 'Any', scale: 'Any' = 1) -> 'Any'"
    assert add.__name__ == "add"
    assert add.__doc__ == "Adds."
    assert add.__wrapped__.__name__ == "add"  # type: ignore[attr-defined]
    assert repr(add).startswith("<interop.via('numpy') of <function add at ")
    assert pickle.loads(pickle.dumps(add)) is add
    assert copy.deepcopy(add) is add
    again = pickle.loads(pickle.dumps(renamed))
    assert again(T).dtype == torch.float64


def test_explain() -> None:
    plan = add.explain(T, {"a": U.to(torch.bfloat16)})  # type: ignore[attr-defined]
    assert list(plan.arguments) == ["x", 'y["a"]']
    assert plan.ok
    assert plan.copied_bytes == 0
    assert plan.back == "torch on cpu"
    assert str(plan).splitlines()[-1] == "results: go back to torch on cpu"
    assert interop.via("numpy", copy=True)(plain).explain(T).copied_bytes == 12  # type: ignore[attr-defined]
    refused = add.explain(torch.ones(2, requires_grad=True))  # type: ignore[attr-defined]
    assert isinstance(refused.error, interop.GradientError)
    assert isinstance(add.explain(T, np.ones(3)).error, interop.UnsupportedError)  # type: ignore[attr-defined]
    assert add.explain(3).back == ""  # type: ignore[attr-defined]
    assert Model().method.explain  # type: ignore[attr-defined]


def test_types_are_forgotten_when_they_die_and_when_an_adapter_comes() -> None:
    def use() -> weakref.ref[type]:
        class Mine:
            pass

        assert add(T, 1, Mine()) is not None
        return weakref.ref(Mine)

    for _ in range(20):
        died = use()
        gc.collect()
        assert died() is None
    assert torch.equal(add(T), T + 2)


def test_a_framework_that_is_not_installed_is_refused_when_it_is_called() -> None:
    absent = next(
        (row.name for row in frameworks.rows().values() if not frameworks.is_installed(row.module) and not row.instead),
        None,
    )
    if absent is None:
        pytest.skip("every framework is installed here")
    function: Callable[..., Any] = interop.via(absent)(plain)
    with pytest.raises(interop.UnsupportedError, match="can't be imported"):
        function(T)


tensors = st.sampled_from([T, U, torch.ones(2, 3).T, torch.arange(4), torch.tensor(2.0)])
trees = st.recursive(
    st.one_of(tensors, st.integers(), st.text(max_size=2), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=2), inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=6,
)


@given(trees, trees)
def test_decorated_is_convert_call_convert(x: Any, y: Any) -> None:
    def function(x: Any, y: Any) -> Any:
        return [y, x, (x,)]

    decorated: Callable[..., Any] = interop.via("numpy")(function)
    made = decorated(x, y=y)
    want = interop.convert_tree(function(interop.convert_tree(x, "numpy"), interop.convert_tree(y, "numpy")), "torch")
    assert repr(made) == repr(want)


class Quantity:
    def __init__(self, array: Any, unit: str) -> None:
        self.array, self.unit = array, unit


class Quantities(HostAdapter):
    name = "quantities"
    modules = ()
    types = (Quantity,)

    def to_numpy(self, x: Quantity, /) -> Any:
        return x.array

    def from_numpy(self, array: Any, /) -> Quantity:
        return Quantity(array, "")

    def dress(self, made: Quantity, like: Quantity, /) -> Quantity:
        return Quantity(made.array, like.unit)


@interop.via("numpy", back="y")
def product(x: Any, y: Any) -> Any:
    return x * y


def test_a_result_is_dressed_as_the_argument_that_is_named() -> None:
    with registered(Quantities()):
        assert product(Quantity(np.ones(2), "m"), Quantity(np.ones(2), "s")).unit == "s"


def test_an_array_made_of_another_of_its_framework_is_dressed() -> None:
    with registered(Quantities()):
        x = Quantity(np.arange(6.0)[::2], "m")
        for _ in range(2):
            for made in (
                interop.convert(x, "quantities", copy=True),
                interop.convert(x, "quantities", dtype="float32"),
                interop.convert(x, "quantities", order="C"),
                interop.convert(x, "quantities", writable=False),
            ):
                assert (made is not x, made.unit, made.array.tolist()) == (True, "m", [0, 2, 4])
            assert interop.convert_like(x, x, copy=True).unit == "m"
            assert interop.convert_tree([x], "quantities", copy=True)[0].unit == "m"
        assert interop.convert(x, "quantities") is x
        assert interop.convert(np.ones(2), "quantities").unit == ""


def test_what_dressing_raises_is_the_cause_of_our_error() -> None:
    class Broken(Quantities):
        def dress(self, made: Quantity, like: Quantity, /) -> Quantity:
            raise KeyError(like.unit)

    with registered(Broken()), pytest.raises(interop.UnsupportedError) as caught:
        interop.convert(Quantity(np.ones(2), "m"), "quantities", copy=True)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_adapter_dresses_results_in_the_callers_class() -> None:
    with registered(Quantities()):
        x = Quantity(np.arange(3.0), "m")
        for _ in range(2):
            made = add(x)
            assert (made.array.tolist(), made.unit) == ([2, 3, 4], "m")
        assert interop.convert_tree([x], "numpy")[0].tolist() == [0, 1, 2]


def test_a_meta_tensor_is_told_what_makes_it_real() -> None:
    """It can't be moved: torch can't copy out of it."""
    with pytest.raises(interop.InteropError, match=r"torch\.empty_like\(x, device='cpu'\)"):
        interop.via("numpy")(lambda x: x)(torch.ones(2, device="meta"))
