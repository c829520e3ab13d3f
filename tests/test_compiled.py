"""Inside of torch.compile: what a function gives, and what it has written, is the same as without it."""

from __future__ import annotations

import copy
import inspect
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import interop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Those without a C++ compiler, which take every law for itself; inductor takes them all at once.
QUICK = ("eager", "aot_eager")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


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
    if isinstance(result, tuple):
        return tuple(map(plain, result))
    if isinstance(result, torch.Tensor):
        return "torch", str(result.dtype), result.stride(), result.requires_grad, result.tolist()
    if isinstance(result, np.ndarray):
        return "numpy", str(result.dtype), result.strides, result.flags.writeable, result.tolist()
    return type(result), result


@pytest.mark.parametrize("backend", QUICK)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_one_graph_gives_and_writes_the_same(law: Callable[[Any], Any], backend: str) -> None:
    x, y = numbers(), numbers()
    wanted = law(x)
    found = torch.compile(law, backend=backend, fullgraph=True)(y)
    assert (plain(found), plain(y)) == (plain(wanted), plain(x))
