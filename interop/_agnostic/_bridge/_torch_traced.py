"""What Dynamo traces of a call: plain Python that takes the tensors out, and one operator.

Nobody imports this module but Dynamo. It follows each line of :func:`traced`, and takes what the functions that are
marked return for constants. What it can't trace ends the graph, and the call is made between two graphs.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import _dynamo as dynamo
from torch._dynamo import eval_frame
from torch.autograd import forward_ad

from interop._agnostic._bridge._choice import Bridged
from interop._agnostic._bridge._structure import stand_in
from interop._agnostic._bridge._torch import ROADS, Road
from interop._agnostic._bridge._torch_function import carried, crossing
from interop._agnostic._bridge._torch_op import around, conjugated, hidden, is_smooth, key_of, operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_dynamo: Final[Any] = dynamo
_constant: Final[Callable[[Callable[..., Any]], Callable[..., Any]]] = _dynamo.assume_constant_result
_forward: Final[Any] = forward_ad
_C: Final[Any] = vars(torch)["_C"]

#: Dynamo's tensors pretend to be of the type that they stand for.
_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)

#: What is a constant in a graph, which is traced again for another.
_CONSTANT: Final = (bool, int, float, complex, str, bytes, type(None))

#: What stood where, in a form that Dynamo takes for a constant.
_TENSOR, _VALUE, _DICT, _LIST, _TUPLE = range(5)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _codes(each)


# What is called between two graphs, and a gradient there, Dynamo would look into anew, frame by frame. Following a call
# into these goes on.
for _function in (Bridged.__call__, Bridged.__get__, Road.__call__, hidden, carried, crossing, conjugated, is_smooth):
    for _code in _codes(_function.__code__):
        eval_frame.skip_code(_code)


def traced(number: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The result of the road of this number, or NotImplemented where the graph has to end."""
    if not _is_in_reverse_alone():
        return NotImplemented
    tensors: list[Any] = []
    spec = _taken((given, named), tensors, _PLAIN)
    if spec is None or not tensors:
        return NotImplemented
    key = _key(number, spec)
    if key is None:
        return NotImplemented
    # Its fake says what is around the results.
    results = operator(key, tensors)
    found = _result_spec(key)
    return NotImplemented if found is None else _rebuilt(found, results)


def break_graph(name: str) -> None:
    """End the graph here; where it has to be whole, this is what the error says."""
    _dynamo.graph_break(
        msg=f"{name}(), decorated with grad='bridge', can't be traced here, and is called between two graphs: "
        "torch.func.grad, jvp, hessian and the like inside of what is compiled, an object or a container among its "
        "arguments that isn't a number, text, dict, list or tuple, or no tensor at all."
    )


@_constant
def _is_in_reverse_alone() -> bool:
    """Whether no transform is on but vmap: an operator has no rule for the others, and torch takes zeros for jvp."""
    if _forward._current_level >= 0:  # noqa: SLF001 - nothing public tells
        return False
    stack = _C._functorch.get_interpreter_stack()  # noqa: SLF001 - nothing public tells
    return all(each.key() == _C._functorch.TransformType.Vmap for each in stack or ())  # noqa: SLF001 - as above


def _taken(x: Any, tensors: list[Any], kinds: tuple[type, ...]) -> Any:
    """What an object is made of, whose tensors are appended; None where it holds what can't be traced."""
    if isinstance(x, kinds):
        tensors.append(x)
        return (_TENSOR,)
    if type(x) in _CONSTANT:
        return (_VALUE, x)
    if type(x) is dict:
        children = [_taken(each, tensors, kinds) for each in x.values()]
        return None if None in children else (_DICT, tuple(x), tuple(children))
    if type(x) is list or type(x) is tuple:
        children = [_taken(each, tensors, kinds) for each in x]
        return None if None in children else (_LIST if type(x) is list else _TUPLE, tuple(children))
    return None


def _rebuilt(spec: Any, tensors: Any) -> Any:
    """The object that was taken apart, with these tensors in it."""
    return _put(spec, tensors, [0])


def _put(spec: Any, tensors: Any, next_one: list[int]) -> Any:
    kind = spec[0]
    if kind == _TENSOR:
        index = next_one[0]
        next_one[0] = index + 1
        return tensors[index]
    if kind == _VALUE:
        return spec[1]
    children = [_put(each, tensors, next_one) for each in spec[-1]]
    if kind == _DICT:
        return dict(zip(spec[1], children, strict=True))
    return children if kind == _LIST else tuple(children)


@_constant
def _key(number: str, spec: Any) -> str | None:
    """The name of the function with these arguments, which is that of the eager call."""
    road = ROADS.get(number)
    if road is None:
        return None
    places: list[Any] = []
    _taken_places(spec, places)
    given, named = _put(spec, places, [0])
    return key_of(road.flat_of(given, named, checked=False)[1])


def _taken_places(spec: Any, places: list[Any]) -> None:
    if spec[0] == _TENSOR:
        places.append(stand_in())
    elif spec[0] != _VALUE:
        for each in spec[-1]:
            _taken_places(each, places)


@_constant
def _result_spec(key: str) -> Any:
    """What is around the results, as the operator's fake found it just now."""
    structure = around(key)
    return None if structure is None or not structure.count else _taken(structure.skeleton, [], (np.ndarray,))
