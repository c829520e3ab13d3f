"""What torch.compile reads where a public function is called: the same in torch's own operations.

Dynamo follows every line of :func:`traced`; its tensors and ndarrays have types, shapes and strides, but no memory.
None of it runs when the compiled function does. NotImplemented is the answer to what Dynamo can't follow, and to
whatever the call itself may refuse: the graph ends there, and the call is made between two graphs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import _dynamo, _numpy

from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._devices import CPU, Device, device_of_pair
from interop._dtypes import BY_NAME, RULES, DType, castable
from interop._native import run_apart_by
from interop._options import parse

_C: Final[Any] = vars(torch)["_C"]

#: The options of a conversion.
_OPTIONS: Final = tuple(inspect.signature(parse).parameters)

#: Dynamo's tensors pretend to be of the type that they stand for. Others may mean more than their values.
_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)

#: Of an option that is true, false or not said.
_FLAGS: Final = (bool, type(None))

_HOST: Final = torch.device("cpu")
_CPU: Final = device_of_pair(CPU)

#: Element types as callers name them; whatever else names one ends the graph.
_NAMED: Final[dict[Any, torch.dtype]] = {
    **BY_OUR_NAME,
    **{dtype: dtype for dtype in DTYPES},
    **{row.numpy.type: BY_OUR_NAME[name] for name, row in BY_NAME.items() if name in BY_OUR_NAME and row.numpy},
    **{kind: BY_OUR_NAME[DType(kind).name] for kind in (bool, int, float, complex)},
}


def _is_in_numpy(name: str) -> bool:
    try:
        _numpy.dtype(name)
    except TypeError:
        return False
    return True


#: Those that Dynamo's numpy has. With others ``numpy()`` doesn't end the graph: it raises a TypeError.
_IN_NUMPY: Final = frozenset(dtype for name, dtype in BY_OUR_NAME.items() if _is_in_numpy(name))

_DTYPES: Final = {dtype: DType(name) for dtype, name in DTYPES.items()}

_CASTS: Final = {
    rule: frozenset((a, b) for a in DTYPES for b in DTYPES if castable(_DTYPES[a], _DTYPES[b], rule)) for rule in RULES
}


def traced(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What the public function of this name gives, or NotImplemented."""
    function, count, keywords = _TRACED.get(name, _NOT_TRACED)
    if function is None or len(arguments) != count:
        return NotImplemented
    for option in options:
        if option not in keywords:
            return NotImplemented
    # Inside of vmap, grad or jvp the call itself refuses tensors; there the question alone ends the graph.
    if _C._functorch.maybe_current_level() is not None:  # noqa: SLF001 - nothing public tells
        return NotImplemented
    return function(*arguments, **options)


def break_graph(name: str) -> None:
    """End the graph here; where it has to be whole, this is what the error says."""
    _dynamo.graph_break(msg=f"interop.{name} can't be traced with these arguments, and is called between two graphs.")


def _call(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    return function(*arguments, **options)


# Nobody imports this module but Dynamo, with the first call of ours that it sees.
run_apart_by(torch.compiler.disable(_call))


def _convert(x: Any, to: Any, /, **options: Any) -> Any:
    if to is torch:
        to = "torch"
    elif to is np:
        to = "numpy"
    converts = _TARGETS.get(to) if type(to) is str else None
    return NotImplemented if converts is None else converts(x, **options)


def _convert_like(x: Any, ref: Any, /, *, device: Any = None, **options: Any) -> Any:
    framework = _framework(ref)
    if framework is NotImplemented:
        return NotImplemented
    if device is None:
        device = "cpu" if framework == "numpy" else ref.device
    return _TARGETS[framework](x, device=device, **options)


def _to_torch(x: Any, /, *, stream: Any = None, writable: Any = None, detach: Any = False, **options: Any) -> Any:
    if stream is not None or type(writable) not in _FLAGS or type(detach) is not bool or not _is_known(x):
        return NotImplemented
    tensor = torch.from_numpy(x) if type(x) is np.ndarray else x
    return _changed(tensor.detach() if detach and tensor.requires_grad else tensor, **options)


def _to_numpy(x: Any, /, *, stream: Any = None, writable: Any = None, detach: Any = False, **options: Any) -> Any:
    # Dynamo's ndarrays can't be readonly.
    if stream is not None or type(writable) not in _FLAGS or writable is False or type(detach) is not bool:
        return NotImplemented
    if not _is_known(x):
        return NotImplemented
    if type(x) is np.ndarray:
        tensor = torch.from_numpy(x)
        changed = _changed(tensor, **options)
        if changed is tensor:
            return x
    else:
        if x.requires_grad and not detach:
            return NotImplemented
        # A tensor may be the conjugate or the negative of its memory; all others are returned as they are.
        changed = _changed((x.detach() if x.requires_grad else x).resolve_conj().resolve_neg(), **options)
    if changed is NotImplemented or changed.dtype not in _IN_NUMPY or changed.device.type != "cpu":
        return NotImplemented
    return changed.numpy()


def _changed(x: Any, /, *, device: Any = None, dtype: Any = None, order: Any = None, copy: Any = None) -> Any:
    """The tensor as it is asked for: itself where it is that already."""
    there = x.device if device is None else _device_named(device, x.device)
    wanted = x.dtype if dtype is None else _dtype_named(dtype)
    if there is None or wanted is None or (x.dtype, wanted) not in _CASTS["unsafe"]:
        return NotImplemented
    if order not in (None, "C", "F") or type(copy) not in _FLAGS:
        return NotImplemented
    changed = x.to(there) if there != x.device else x
    if wanted != x.dtype:
        changed = changed.to(wanted)
    if order is not None:
        changed = _ordered(changed, order)
    if changed is x:
        return x.clone() if copy else x
    return NotImplemented if copy is False else changed


def _ordered(x: Any, order: str) -> Any:
    """The tensor in an order, by a copy if need be."""
    if order == "C":
        return x if x.is_contiguous() else x.contiguous()
    axes = tuple(reversed(range(x.ndim)))
    turned = x.permute(axes)
    return x if turned.is_contiguous() else turned.contiguous().permute(axes)


def _copyto(dst: Any, src: Any, /, *, casting: Any = "same_kind") -> Any:
    # Whether an ndarray is readonly Dynamo doesn't know.
    if type(dst) not in _PLAIN or not _is_known(dst) or not _is_known(src) or type(casting) is not str:
        return NotImplemented
    values = torch.from_numpy(src) if type(src) is np.ndarray else src
    if (values.dtype, dst.dtype) not in _CASTS.get(casting, ()) or not _broadcasts(values.shape, dst):
        return NotImplemented
    if dst.requires_grad and dst.is_leaf and torch.is_grad_enabled():
        return NotImplemented
    # They may overlap; where they don't, compilers see that this copy is in vain.
    dst.copy_(values.clone())
    return None


def _broadcasts(shape: tuple[int, ...], dst: Any) -> bool:
    """Whether values of a shape can be written, one into each element of memory."""
    if len(shape) > dst.ndim:
        return False
    for n, into in zip(reversed(shape), reversed(dst.shape), strict=False):
        if n not in (1, into):
            return False
    return all(step != 0 or n < 2 for step, n in zip(dst.stride(), dst.shape, strict=True))  # noqa: PLR2004 - one element


def _device(x: Any, /) -> Any:
    # The index of what isn't numbered is a question to the machine.
    if _framework(x) is NotImplemented or (type(x) is not np.ndarray and x.device.type != "cpu"):
        return NotImplemented
    return _CPU


def _dtype(x: Any, /) -> Any:
    if _framework(x) is NotImplemented:
        return NotImplemented
    return _DTYPES.get(torch.from_numpy(x).dtype if type(x) is np.ndarray else x.dtype, NotImplemented)


def _framework(x: Any, /) -> Any:
    return "numpy" if type(x) is np.ndarray else "torch" if type(x) in _PLAIN else NotImplemented


def _is_known(x: Any) -> bool:
    """Whether an object is an array whose elements lie in strided memory, as far as Dynamo knows."""
    return type(x) is np.ndarray or (type(x) in _PLAIN and x.layout is torch.strided and not x.is_quantized)


def _dtype_named(dtype: Any) -> Any:
    """torch's element type of this name, or None."""
    return _NAMED.get(dtype.name if isinstance(dtype, DType) else dtype)


def _device_named(device: Any, here: Any) -> Any:
    """torch's device of this name, if it is the host or where the tensor is already; else None."""
    if isinstance(device, Device):
        device = str(device)
    if type(device) is str:
        if device == "cpu":
            return _HOST
        return here if device in (here.type, f"{here.type}:{here.index}") else None
    if not isinstance(device, torch.device):
        return None
    if device.type == here.type and device.index in (None, here.index):
        return here
    return _HOST if device.type == "cpu" else None


_TARGETS: Final[dict[str, Callable[..., Any]]] = {"numpy": _to_numpy, "torch": _to_torch}

#: With the number of arguments and the keywords. What is not here ends the graph: what gives a View, a Plan or another
#: library's array, and what asks for addresses.
_TRACED: Final[dict[str, tuple[Callable[..., Any] | None, int, tuple[str, ...]]]] = {
    "convert": (_convert, 2, _OPTIONS),
    "convert_like": (_convert_like, 2, _OPTIONS),
    "copyto": (_copyto, 2, ("casting",)),
    "device": (_device, 1, ()),
    "dtype": (_dtype, 1, ()),
    "framework": (_framework, 1, ()),
    "to_numpy": (_to_numpy, 1, _OPTIONS),
    "to_torch": (_to_torch, 1, _OPTIONS),
}
_NOT_TRACED: Final = (None, 0, ())
