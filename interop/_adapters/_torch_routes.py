"""The hot routes of torch, composed from the core's generic parts.

A route takes a plain tensor that needs nothing done; whatever a check doesn't like goes to the planner, which knows
why. torch's own entry points skip those checks, so each stands here.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.autograd import forward_ad

from interop._adapters import _torch_cuda
from interop._adapters._cuda import Loan
from interop._adapters._torch_cuda import API
from interop._adapters._torch_memory import KEEPER
from interop._adapters._torch_tracing import NOT_TRACING, UNTRACED
from interop._dtypes import BY_NAME
from interop._native import (
    Cell,
    ExchangeAPI,
    ExchangeLender,
    ExchangeMoveRoute,
    ExchangeRoute,
    Flag,
    Guards,
    IdentityRoute,
    Named,
    NdarrayRoute,
    NumpyCallRoute,
    PlainTensors,
    Switch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from interop._adapters._torch_cuda import TorchStreams

# Where the methods are defined: bound through it, no look-up is paid per call.
_Base: Any = torch.Tensor.__base__


# numpy() takes the element types of numpy itself; those of ml_dtypes go through integers of the same size.
NUMPYS_OWN: Final = frozenset(np.dtype(character) for character in "?bhilqBHILQefdFD")
_LIKELY: Final = (torch.float32, torch.int64, torch.float64, torch.float16, torch.bool, torch.int32, torch.uint8)
_INTEGERS: Final = {1: torch.uint8, 2: torch.int16}


def hot_routes_of_torch(dtypes: Mapping[Any, str]) -> Mapping[tuple[type, str], Callable[[Any], Any]]:
    """Return torch's routes by exact type and target.

    Parameters
    ----------
    dtypes
        torch's element types that the adapter can hand over, with their names.
    """
    routes: dict[tuple[type, str], Callable[[Any], Any]] = {}
    from_torch: dict[str, Callable[[Any], Any]] = {"torch": IdentityRoute(), "numpy": _numpy_route(dtypes)}
    if API is not None:
        # Before torch 2.10 there is none: the planner's way serves.
        from_torch["view"] = ExchangeRoute(_plain(API, _NOTHING_PENDING))
        routes[np.ndarray, "torch"] = NdarrayRoute(API, dtypes=triples(dtypes.values()), guards=UNTRACED)
    for tp in (torch.Tensor, torch.nn.Parameter):
        routes.update({(tp, target): route for target, route in from_torch.items()})
    return routes


# Below 0 outside of dual_level(), where no tensor can carry a forward-mode tangent: numpy() and DLPack drop it unseen.
_NO_TANGENT: Final = Cell(vars(forward_ad), "_current_level", -1)


def _numpy_route(dtypes: Mapping[Any, str]) -> NumpyCallRoute:
    # numpy() is the one call that makes a storage refuse resize_, which would free the memory under the array.
    plain = tuple(sorted((dtype for dtype, name in dtypes.items() if BY_NAME[name].numpy in NUMPYS_OWN), key=_likely))
    disguised = {
        dtype: (_INTEGERS[dtype.itemsize], BY_NAME[name].numpy)
        for dtype, name in dtypes.items()
        if dtype not in plain and BY_NAME[name].numpy is not None and dtype.itemsize in _INTEGERS
    }
    return NumpyCallRoute(
        call=_Base.numpy,
        dtype=_Base.dtype,
        plain=plain,
        disguised=disguised,
        reinterpret=_Base.view,
        cell=_NO_TANGENT,
        # numpy() looks at requires_grad only where gradients are recorded, and an integer view has none.
        guards=Guards(attributes=((_Base.requires_grad, False),)),
        sees=_grad_mode(),
        behind=Guards(attributes=((_Base.requires_grad, False),), calls=NOT_TRACING),
        # numpy() itself warns while torch.jit.trace records. But where it then refuses a type, or a warning is an
        # error, the trace ends in an assertion of torch's; so it isn't called there, if asking costs nothing.
        before=UNTRACED if isinstance(NOT_TRACING[0][0], Switch) else Guards(),
        address=_Base.data_ptr,
        lender=None if API is None else _plain(API, _NOTHING_PENDING),
    )


def _grad_mode() -> Callable[[], object]:
    """Whether gradients are recorded: asked of torch's stable C interface, where this torch has it."""
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    try:
        function = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name)).aoti_torch_grad_mode_is_enabled
    except (OSError, AttributeError):
        return torch.is_grad_enabled
    return Flag(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _likely(dtype: torch.dtype) -> int:
    return _LIKELY.index(dtype) if dtype in _LIKELY else len(_LIKELY)


#: What the exchange API doesn't look at.
_NOTHING_PENDING: Final = Guards(
    attributes=((_Base.requires_grad, False),),
    methods=((_Base.is_neg, False),),
    complex_methods=((_Base.is_conj, False),),
    cells=(_NO_TANGENT,),
    calls=NOT_TRACING,
)

#: int4 and its like are exported as integers of 8 bits.
_BYTES: Final = (torch.int8, torch.uint8)


def triples(names: Iterable[str]) -> list[tuple[int, int, int]]:
    """DLPack's triples of element types."""
    return [(row.code, row.bits, row.lanes) for row in map(BY_NAME.__getitem__, names)]


def _plain(api: ExchangeAPI, guards: Guards) -> PlainTensors:
    return PlainTensors(api, keeper=KEEPER, guards=guards, dtype=_Base.dtype, byte_dtypes=_BYTES)


def _captured(_x: torch.Tensor) -> bool:
    """Whether a graph is captured, which ends in an error where its stream is waited for: the planner says so first."""
    return torch.cuda.is_current_stream_capturing()


def move_to_host(api: ExchangeAPI, dtypes: Mapping[Any, str]) -> ExchangeMoveRoute:
    """From a CUDA device to numpy as torch does; what needs more than that is the planner's."""
    plain = [name for name in dtypes.values() if BY_NAME[name].numpy in NUMPYS_OWN]
    # numpy() itself refuses a conjugate or negative bit.
    guards = Guards(attributes=((_Base.requires_grad, False),), methods=((_captured, False),), cells=(_NO_TANGENT,))
    return ExchangeMoveRoute(_plain(api, guards), dtypes=triples(plain), calls=(_Base.cpu, _Base.numpy))


def lender(api: ExchangeAPI, adapter: TorchStreams) -> ExchangeLender:
    """torch's half of the hot routes on CUDA that start here.

    Memory that isn't torch's own to reuse is the planner's: ``record_stream`` does nothing for it.
    """
    names = vars(_torch_cuda)
    return ExchangeLender(
        _plain(api, _NOTHING_PENDING),
        loan=Loan,
        lender=adapter,
        streams=_torch_cuda.STREAMS,
        own_stream=Named(names, "own_stream"),
        record=Named(names, "record_stream"),
        reusable=torch.UntypedStorage.resizable,
    )
