"""Inside of torch.compile: what a function gives, and what it has written, is the same as without it."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import re
import shutil
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
import torch._inductor.config as inductor
from torch._dynamo.exc import Unsupported

import interop
from interop._native import called_natively, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# inductor uses the first itself, and leaves what is complex to torch.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method`", "ignore:Torchinductor does not support code generation for complex operators"
)


@pytest.fixture(scope="module", autouse=True)
def _compilers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever was compiled before is forgotten, and what these tests compile isn't kept for later runs."""
    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        # Else it starts a torch for each set of vector instructions, to see whether they work.
        with inductor.patch({"cpp.vec_isa_ok": False, "cpp.simdlen": 1, "compile_threads": 1}):
            yield
    torch.compiler.reset()


def numbers() -> torch.Tensor:
    return torch.arange(6.0).reshape(2, 3)


# Each takes one tensor of float32, (2, 3), and is one graph.


def write_into_the_input(x: Any) -> Any:
    a = interop.to_numpy(x)
    a += 1
    return x * 2


def write_before_a_read(x: Any) -> Any:
    a = interop.to_numpy(x)
    y = x + 1
    a += 1
    return y + x


def write_into_an_intermediate(x: Any) -> Any:
    y = x * 2
    a = interop.to_numpy(y)
    a[0] = 100
    return y + 1


def write_into_a_slice(x: Any) -> Any:
    a = interop.to_numpy(x[:, 1:])
    a *= 3
    return x + 0


def write_by_convert(x: Any) -> Any:
    a = interop.convert(x, "numpy", copy=False)
    a -= 1
    return x * 2


def write_by_convert_to_the_module(x: Any) -> Any:
    a = interop.convert(x, np)
    a -= 1
    return interop.convert(a, torch) * 2


def write_into_a_copy(x: Any) -> Any:
    a = interop.to_numpy(x, copy=True)
    a += 1
    return x * 2, interop.to_torch(a)


def write_into_a_cast(x: Any) -> Any:
    a = interop.to_numpy(x, dtype="float64")
    a += 1
    return x * 2, a


def write_into_a_cast_that_is_none(x: Any) -> Any:
    a = interop.to_numpy(x, dtype=np.float32)
    a += 1
    return x * 2, a


def write_into_another_order(x: Any) -> Any:
    a, b = interop.to_numpy(x, order="C"), interop.to_numpy(x, order="F")
    a += 1
    b += 10
    return x * 2, a, b


def write_into_a_tensor_of_an_array(x: Any) -> Any:
    a = interop.to_numpy(x)
    t = interop.to_torch(a)
    t += 1
    return a * 2, x * 2


def write_into_a_copied_tensor(x: Any) -> Any:
    t = interop.to_torch(x, copy=True)
    t += 1
    return x * 2, t


def itself(x: Any) -> Any:
    t = interop.to_torch(x)
    t += 1
    return x * 2, t is x, interop.to_torch(x, dtype="float32", device="cpu", order="C", detach=True) is x


def values_without_the_graph(x: Any) -> Any:
    w = (x * 2).requires_grad_()
    a = interop.to_numpy(w * 3, detach=True)
    t = interop.to_torch(w * 3, detach=True)
    return a, t, t.requires_grad


def the_graph_stays(x: Any) -> Any:
    w = (x * 2).requires_grad_()
    t = interop.to_torch(w * 3, dtype="float64", copy=True)
    return t.requires_grad, interop.to_torch(w) is w


def like_another(x: Any) -> Any:
    a = interop.convert_like(x, np.zeros(1))
    a += 1
    t = interop.convert_like(a, x, copy=True)
    t += 1
    return x * 2, a, t


def small_floats_inside_of_torch(x: Any) -> Any:
    return interop.to_torch(x, dtype="bfloat16"), interop.to_numpy(x.to(torch.bfloat16), dtype="float32")


def conjugates(x: Any) -> Any:
    z = torch.complex(x, x + 1).conj()
    a = interop.to_numpy(z)
    a += 1
    return z * 1, a


def questions(x: Any) -> Any:
    a = interop.to_numpy(x)
    named = interop.framework(x), interop.framework(a)
    same = interop.device(x) == "cpu", interop.device(a) == "cpu", interop.dtype(x) == "float32"
    again = interop.to_numpy(x + 1, device=interop.device(x), dtype=interop.dtype(a))
    return named, same, again


def answers(x: Any) -> Any:
    return interop.framework(x), interop.device(x), interop.dtype(x), interop.dtype(interop.to_numpy(x))


def write_by_copyto(x: Any) -> Any:
    y = x * 2
    interop.copyto(y, x + 1)
    interop.copyto(x, np.ones(3, "float32"))
    return y, x * 2


def write_by_copyto_with_a_cast(x: Any) -> Any:
    y = (x * 2).to(torch.float64)
    interop.copyto(y[0], interop.to_numpy(x)[1])
    interop.copyto(x, y, casting="unsafe")
    return y


def write_by_copyto_where_both_overlap(x: Any) -> Any:
    interop.copyto(x[:, 1:], x[:, :-1])
    interop.copyto(x[1:], interop.to_numpy(x)[:-1])
    return x * 2


LAWS = [
    write_into_the_input,
    write_before_a_read,
    write_into_an_intermediate,
    write_into_a_slice,
    write_by_convert,
    write_by_convert_to_the_module,
    write_into_a_copy,
    write_into_a_cast,
    write_into_a_cast_that_is_none,
    write_into_another_order,
    write_into_a_tensor_of_an_array,
    write_into_a_copied_tensor,
    itself,
    values_without_the_graph,
    the_graph_stays,
    like_another,
    small_floats_inside_of_torch,
    conjugates,
    questions,
    answers,
    write_by_copyto,
    write_by_copyto_with_a_cast,
    write_by_copyto_where_both_overlap,
]


def plain(result: Any) -> Any:
    """What can be compared: types, element types, shapes, strides and values."""
    if isinstance(result, (tuple, list)):
        return tuple(map(plain, result))
    if isinstance(result, torch.Tensor):
        strides = result.stride() if result.numel() else ()
        return "torch", str(result.dtype), tuple(result.shape), strides, result.requires_grad, result.tolist()
    if isinstance(result, np.ndarray):
        strides = result.strides if result.size else ()
        return "numpy", str(result.dtype), result.shape, strides, result.flags.writeable, result.tolist()
    return type(result), result


def each_law(tensors: list[Any]) -> Any:
    return [law(x) for law, x in zip(LAWS, tensors, strict=True)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_one_graph_gives_and_writes_the_same(law: Callable[[Any], Any]) -> None:
    x, y = numbers(), numbers()
    wanted = law(x)
    found = torch.compile(law, backend="aot_eager", fullgraph=True)(y)
    assert (plain(found), plain(y)) == (plain(wanted), plain(x))


@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(
                    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="needs a C++ compiler"
                ),
            ],
        ),
    ],
)
def test_all_laws_in_one_graph(backend: str) -> None:
    """One compilation for all, since each call of a C++ compiler takes seconds."""
    xs, ys = [numbers() for _ in LAWS], [numbers() for _ in LAWS]
    wanted = each_law(xs)
    found = torch.compile(each_law, backend=backend, fullgraph=True)(ys)
    for law, *both in zip(LAWS, found, ys, wanted, xs, strict=True):
        assert plain(tuple(both[:2])) == plain(tuple(both[2:])), law.__name__


OPTIONS: list[dict[str, Any]] = [
    {},
    {"stream": None, "writable": None, "device": "cpu"},
    {"copy": False},
    {"copy": True},
    {"detach": True},
    {"writable": True},
    {"device": torch.device("cpu"), "copy": True},
    {"dtype": "float32"},
    {"dtype": torch.float64},
    {"dtype": np.float16},
    {"dtype": int},
    {"dtype": bool, "copy": True},
    {"dtype": "float64", "order": "C"},
    {"order": "C"},
    {"order": "F"},
    {"order": "F", "copy": True},
    {"order": "C", "copy": True, "detach": True},
]

SOURCES: dict[str, Callable[[], Any]] = {
    "tensor": numbers,
    "transposed": lambda: numbers().T,
    "with gaps": lambda: numbers()[:, ::2],
    "expanded": lambda: torch.ones(2, 1).expand(2, 3),
    "scalar": lambda: torch.tensor(2.0),
    "empty": lambda: torch.zeros(0, 3),
    "three axes": lambda: torch.arange(24.0).reshape(2, 3, 4).permute(1, 2, 0),
    "float64": lambda: numbers().double(),
    "parameter without grad": lambda: torch.nn.Parameter(numbers(), requires_grad=False),
    "ndarray": lambda: numbers().numpy(),
    "transposed ndarray": lambda: numbers().numpy().T,
    "integers": lambda: np.arange(6).reshape(2, 3),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_option_gives_the_same(kind: str) -> None:
    """Values, layout, and whether the result is the source, or on its memory."""
    torch.compiler.reset()
    x = SOURCES[kind]()

    def result(x: Any, to: str, options: dict[str, Any]) -> Any:
        try:
            return interop.convert(x, to, **options)
        except interop.InteropError:
            return None

    calls = [(to, options) for to in ("numpy", "torch") for options in OPTIONS if result(x, to, options) is not None]

    def every(x: Any) -> Any:
        return [interop.convert(x, to, **options) for to, options in calls]

    wanted = every(x)
    found = torch.compile(every, backend="aot_eager", fullgraph=True)(x)
    assert len(calls) > len(OPTIONS)
    for call, one, other in zip(calls, found, wanted, strict=True):
        assert plain(one) == plain(other), call
        assert (one is x) == (other is x), call
        assert interop.shares_memory(one, x) == interop.shares_memory(other, x), call


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_shapes_may_vary(backend: str) -> None:
    def function(x: Any) -> Any:
        y = x * 2
        interop.copyto(y, x[:1])
        return y, interop.to_numpy(x, order="F", dtype="float64")

    compiled = torch.compile(function, backend=backend, fullgraph=True, dynamic=True)
    for n in (2, 3, 5, 7):
        x = torch.rand(n, n + 1)
        assert plain(compiled(x)) == plain(function(x))


def test_gradients_go_through() -> None:
    def loss(w: Any) -> Any:
        return (interop.to_torch(w, dtype="float64", copy=True) ** 2).sum()

    w = numbers().requires_grad_()
    torch.compile(loss, backend="aot_eager", fullgraph=True)(w).backward()
    assert w.grad is not None
    assert w.grad.tolist() == (2 * numbers()).tolist()


COPIES: Any = {"copy": True}


class Model(torch.nn.Module):
    convert = interop.to_numpy

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        most = partial(interop.to_numpy, detach=True)(self.linear.weight).max()
        return self.linear(x) + interop.to_torch(Model.convert(x, **COPIES)) + most


def test_a_model_is_compiled_and_exported() -> None:
    model, x = Model(), numbers()
    wanted = model(x)
    assert torch.allclose(torch.compile(model, backend="aot_eager", fullgraph=True)(x), wanted)
    assert torch.allclose(torch.export.export(model, (x,), strict=True).module()(x), wanted)


def test_a_public_function_itself_is_compiled() -> None:
    compiled = torch.compile(interop.to_numpy, backend="aot_eager", fullgraph=True)
    assert compiled(numbers()).tolist() == numbers().tolist()


# What can't be traced is called between two graphs.


def written_ndarray(x: Any) -> Any:
    out = np.zeros((2, 3))
    interop.copyto(out, x + 1)
    return out


BROKEN: list[Callable[[Any], Any]] = [
    lambda x: interop.view(x + 1).shape,
    lambda x: str(interop.explain(x + 1, "numpy")),
    lambda x: interop.shares_memory(x, x[1:]),
    lambda x: interop.to_numpy(x.to(torch.bfloat16)).dtype.name,
    lambda x: interop.to_numpy(x + 1, writable=False),
    lambda x: interop.to_numpy(x + 1, dtype=np.dtype("float64")),
    lambda x: interop.convert(interop.view(x + 1), "torch"),
    written_ndarray,
]


def through_numpy(x: Any) -> Any:
    return interop.to_torch(interop.to_numpy(x, detach=True)).sum()


def inside_of_vmap(x: Any) -> Any:
    return torch.func.vmap(through_numpy)(x)


def inside_of_grad(x: Any) -> Any:
    return torch.func.grad(through_numpy)(x)


REFUSED: list[Callable[[Any], Any]] = [
    lambda x: interop.to_numpy(x.clone().requires_grad_() * 2),
    lambda x: interop.to_numpy(x, dtype="float64", copy=False),
    lambda x: interop.to_numpy(x + 1j, dtype="float32"),
    lambda x: interop.to_numpy(x, copy=1),  # type: ignore[arg-type] # what must be refused
    lambda x: interop.to_numpy(x, order="K"),  # type: ignore[arg-type] # what must be refused
    lambda x: interop.to_numpy(x, dtype="nonsense"),
    lambda x: interop.to_numpy(x, cpy=True),  # type: ignore[call-arg] # what must be refused
    lambda x: interop.to_numpy(x, x),  # type: ignore[call-arg] # what must be refused
    lambda x: interop.to_numpy(x.to_sparse()),
    lambda x: interop.convert(x, "nonsense"),
    lambda x: interop.convert_like(x, 3),
    lambda x: interop.to_torch([1, 2]),
    lambda x: interop.device([1, 2]),
    lambda x: interop.copyto(x, torch.ones(7)),
    lambda x: interop.copyto(x.int(), x),
    lambda x: interop.copyto(x, x, casting="nonsense"),  # type: ignore[arg-type] # what must be refused
    lambda x: interop.copyto(x[:1].expand(2, 3), x),
    lambda x: interop.copyto(torch.nn.Parameter(x), x),
    inside_of_vmap,
    inside_of_grad,
]


@pytest.mark.parametrize("call", BROKEN)
def test_what_breaks_the_graph_gives_the_same(call: Callable[[Any], Any]) -> None:
    compiled = torch.compile(call, backend="aot_eager")
    assert plain(compiled(numbers())) == plain(call(numbers()))
    torch.compiler.reset()
    whole = torch.compile(call, backend="aot_eager", fullgraph=True)
    with pytest.raises(Unsupported, match=r"interop\.[a-z_]+ can't be traced with these arguments"):
        whole(numbers())


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_refused_is_refused_in_the_same_words(call: Callable[[Any], Any]) -> None:
    with pytest.raises((interop.InteropError, TypeError)) as wanted:
        call(numbers())
    with pytest.raises(wanted.type) as found:
        torch.compile(call, backend="aot_eager")(numbers())
    assert str(found.value) == str(wanted.value)


def test_the_planner_is_never_compiled() -> None:
    """Between two graphs no frame of this library is: Dynamo would show it tensors without memory."""

    def function(x: Any) -> Any:
        return interop.view(x + 1).shape, interop.to_numpy(x.to(torch.bfloat16), order="F")

    torch._dynamo.utils.clear_compilation_metrics()
    torch.compile(function, backend="aot_eager")(numbers())
    files = {str(one.co_filename) for one in torch._dynamo.utils.get_compilation_metrics()}
    assert __file__ in files
    assert not [file for file in files if Path(file).is_relative_to(Path(interop.__file__).parent)]


@pytest.mark.xfail(strict=True, reason="torch: two graphs know nothing of memory that a third library shares")
def test_a_write_through_another_library_after_a_break() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        a = np.asarray(interop.view(y))
        a += 1
        return y + 1

    found = torch.compile(function, backend="aot_eager")(numbers())
    assert plain(found) == plain(function(numbers()))


@pytest.mark.xfail(strict=True, reason="torch makes readonly arrays writable: pytorch#112524")
def test_a_write_into_a_tensor_of_a_readonly_array() -> None:
    def function(a: Any) -> Any:
        t = interop.to_torch(a)
        t += 1
        return t

    a = np.zeros(3, "float32")
    a.flags.writeable = False
    torch.compile(function, backend="aot_eager")(a)
    assert not a.flags.writeable
    assert a.tolist() == [0, 0, 0]


# To whoever calls without a compiler.


PUBLIC = [
    *(getattr(interop, name) for name in interop.__all__ if name.startswith("to_")),
    *(interop.convert, interop.convert_like, interop.explain, interop.copyto, interop.view),
    *(interop.framework, interop.device, interop.dtype, interop.shares_memory),
]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_a_wrong_keyword_names_the_call_and_the_nearest_option(function: Any) -> None:
    parameters = inspect.signature(function).parameters.values()
    arguments = [np.zeros(1)] * sum(one.kind is inspect.Parameter.POSITIONAL_ONLY for one in parameters)
    keywords = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert all(one.default is not inspect.Parameter.empty for one in parameters if one.name in keywords)
    named = re.escape(f"{function.__name__}() got an unexpected keyword argument ")
    for name in keywords:
        with pytest.raises(TypeError, match=rf"^{named}'{name}s'\. Did you mean '{name}'\?$"):
            function(*arguments, **{f"{name}s": None})
    with pytest.raises(TypeError, match=rf"^{named}'zzzzzz'\. It takes .*{keywords[-1] if keywords else 'none'}\.$"):
        function(*arguments, zzzzzz=None)


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_a_public_function_is_a_function_to_whoever_looks(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function
    assert callable(function)
    assert inspect.isroutine(cast("Any", function))
    assert function.__doc__ == inspect.unwrap(function).__doc__
    assert f"{function.__name__}(x" in pydoc.plain(pydoc.render_doc(function)) or function is interop.copyto
    assert "options" not in inspect.signature(function).parameters
    thing = torch.ones(1)
    assert cast("Any", function).__get__(thing, torch.Tensor).__self__ is thing


def test_the_method_of_python_gives_the_same() -> None:
    function: Any = interop.to_numpy
    assert function.__call__(numbers()).tolist() == numbers().tolist()
    with pytest.raises(TypeError, match="no subclass of Door"):
        called_natively(int)  # type: ignore[type-var] # what must be refused
    with pytest.raises(TypeError, match="no subclass of Door"):
        of_kind(len, int)  # type: ignore[type-var] # what must be refused


def test_nothing_of_torch_is_loaded_for_it() -> None:
    program = """
        import sys
        import numpy as np
        import interop

        interop.to_numpy(np.zeros(1)), interop.device(np.zeros(1)), interop.explain(np.zeros(1), "numpy")
        assert "torch" not in sys.modules
        import torch

        loaded = set(sys.modules)
        interop.to_numpy(torch.zeros(1), copy=True), interop.dtype(torch.zeros(1)), interop.view(torch.zeros(1))
        assert not [name for name in set(sys.modules) - loaded if name.startswith("torch.")]
        assert "interop._adapters._torch_compiled" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_call_costs_no_python_after_a_compiler_has_met_this_library() -> None:
    torch.compile(lambda x: interop.to_numpy(x.to(torch.bfloat16)), backend="eager")(numbers())
    t, other, like = numbers(), numbers(), np.zeros(1)
    calls: list[Callable[[], Any]] = [
        lambda: interop.to_numpy(t),
        lambda: interop.to_numpy(t, copy=True),
        lambda: interop.convert_like(t, like),
        lambda: interop.copyto(other, t),
    ]
    for call in calls:
        for _ in range(2):
            call()
        entered: list[str] = []

        def note(frame: FrameType, event: str, _: Any, entered: list[str] = entered) -> None:
            if event == "call":
                entered.append(frame.f_code.co_name)

        sys.setprofile(note)
        try:
            call()
        finally:
            sys.setprofile(None)
        assert entered == ["<lambda>"]
