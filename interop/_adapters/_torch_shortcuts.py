"""torch's shortcuts: what gives the answer for a plain tensor at once, composed from the core's generic parts.

Whatever a check doesn't like is looked at, and is the planner's, which knows why. torch's own entry points skip those
checks, so each stands here.
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
from interop._adapters._shared.cuda import Loan
from interop._adapters._torch_memory import KEEPER
from interop._adapters._torch_tracing import NOT_TRACING, UNTRACED
from interop._devices import CPU
from interop._dtypes import BY_NAME
from interop._native import (
    Cell,
    ExchangeAPI,
    ExchangeLender,
    ExchangeMove,
    Flag,
    Guards,
    Named,
    NumpyCall,
    PlainTensors,
    Switch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from interop._adapters._torch_cuda import TorchStreams
    from interop._native import Reader
    from interop._options import Options

# Where the methods are defined: bound through it, no look-up is paid per call.
_Base: Any = torch.Tensor.__base__

#: What numpy() takes. The element types of ml_dtypes go through integers of the same size.
NUMPYS_OWN: Final = frozenset(np.dtype(character) for character in "?bhilqBHILQefdFD")

#: Switches the recording of gradients: what set_grad_enabled calls, whose object costs as much as the rest.
record: Final[Callable[[bool], None]] = torch._C._set_grad_enabled  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - nothing public is as fast

# Below 0 outside of dual_level(), where no tensor can carry a forward-mode tangent: numpy() and DLPack drop it unseen.
_NO_TANGENT: Final = Cell(vars(forward_ad), "_current_level", -1)

#: numpy() itself warns while torch.jit.trace records. But where it then refuses a type, or a warning is an error, the
#: trace ends in an assertion of torch's; so it isn't called there, if asking costs nothing.
_BEFORE: Final = UNTRACED if isinstance(NOT_TRACING[0][0], Switch) else Guards()


def numpy_calls(api: ExchangeAPI | None, reader: Reader, options: Options) -> tuple[NumpyCall, ...]:
    """torch's own call to numpy, where it gives what the options ask for.

    Parameters
    ----------
    api
        Describes tensors; without it options are looked at by the planner.
    reader
        Looks whether a tensor lies in memory that is kept.
    options
        What is asked for. Where nothing is, small arrays aren't looked at.
    """
    wanted = None if options.dtype is None else _BY_NAME.get(options.dtype.name)
    looks = not options.asks_nothing
    if not _is_met(options) or (wanted is None and options.dtype is not None) or (looks and api is None):
        return ()
    return (
        NumpyCall(
            call=_Base.numpy,
            address=_Base.data_ptr,
            reader=reader,
            cell=_NO_TANGENT,
            before=_BEFORE,
            requires_grad=_Base.requires_grad,
            recording=RECORDING,
            api=api,
            keeper=KEEPER if looks else None,
            record=record if options.detach else None,
            dtype=_Base.dtype,
            wanted=wanted,
            contiguous=_Base.is_contiguous if options.order == "C" else None,
            readonly=options.writable is False,
        ),
    )


#: The element types that numpy() takes, by name.
_BY_NAME: Final[dict[str, Any]] = {
    name: getattr(torch, name) for name, row in BY_NAME.items() if row.numpy in NUMPYS_OWN and hasattr(torch, name)
}


def _is_met(options: Options) -> bool:
    """Whether what numpy() gives can be what is asked for: a view of host memory, which may be written."""
    other = options.copy or options.stream is not None or options.swapped or options.order == "F"
    return not other and options.device in (None, (CPU, 0))


def _grad_mode() -> Callable[[], object]:
    """Whether gradients are recorded: asked of torch's stable C interface, where this torch has it."""
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    try:
        function = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name)).aoti_torch_grad_mode_is_enabled
    except (OSError, AttributeError):
        return torch.is_grad_enabled
    return Flag(ctypes.cast(function, ctypes.c_void_p).value or 0)


#: Whether gradients are recorded.
RECORDING: Final = _grad_mode()

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


def move_to_host(api: ExchangeAPI, dtypes: Mapping[Any, str]) -> ExchangeMove:
    """From a CUDA device to numpy as torch does; what needs more than that is the planner's."""
    plain = [name for name in dtypes.values() if BY_NAME[name].numpy in NUMPYS_OWN]
    # numpy() itself refuses a conjugate or negative bit.
    guards = Guards(attributes=((_Base.requires_grad, False),), methods=((_captured, False),), cells=(_NO_TANGENT,))
    return ExchangeMove(
        _plain(api, guards), dtypes=triples(plain), calls=(_Base.cpu, _Base.numpy), is_host=_Base.is_cpu
    )


def lender(api: ExchangeAPI, adapter: TorchStreams) -> ExchangeLender:
    """torch's half of the handovers that start here.

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
