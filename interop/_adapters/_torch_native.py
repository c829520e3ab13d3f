"""torch's native ops in host memory: how a tensor is read, resolved, cast, taken in and copied without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch.autograd import forward_ad

from interop import _layout
from interop._adapters._shared.native import UNSEEN
from interop._adapters._torch_memory import KEEPER
from interop._adapters._torch_shortcuts import NUMPYS_OWN, RECORDING, move_to_host, numpy_calls, record
from interop._adapters._torch_tracing import ALLOCATES, NOT_TRACING, UNTRACED
from interop._devices import CPU
from interop._dtypes import BY_NAME
from interop._native import (
    CallOp,
    Cell,
    CopyToExchangeOp,
    ExchangeAPI,
    ExchangeReader,
    ExchangeWriter,
    Guards,
    Op,
    Reader,
    ReadOp,
    SmallOp,
    ToExchangeOp,
    Writer,
)
from interop._options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interop._contract import Adapter
    from interop._dtypes import DType
    from interop._native import Shortcut
    from interop._plan.case import Case
    from interop._plan.plan import Step

# Where the methods are defined: bound through it, no look-up is paid per call.
_Base: Any = torch.Tensor.__base__

_INTEGERS: Final = {1: torch.uint8, 2: torch.int16}

#: int4 and its like are exported as integers of 8 bits.
_BYTES: Final = (torch.int8, torch.uint8)

#: The casts that have a method of their own, which parses no arguments: a third of what ``to(dtype)`` costs.
_CASTS: Final[Mapping[str, Any]] = {
    "float64": _Base.double,
    "float32": _Base.float,
    "float16": _Base.half,
    "bfloat16": _Base.bfloat16,
    "int64": _Base.long,
    "int32": _Base.int,
    "int16": _Base.short,
    "int8": _Base.char,
    "bool": _Base.bool,
}


class TorchNative:
    """torch's own side of recipes in host memory.

    Parameters
    ----------
    api
        torch's exchange API; None before torch 2.10, where tensors are read by the adapter's verbs.
    dtypes
        torch's element types that the adapter can hand over, with their names.
    """

    name = "torch"

    def __init__(self, api: ExchangeAPI | None, dtypes: Mapping[Any, str]) -> None:
        self._api = api
        self._reader = UNSEEN if api is None else _reader(api, dtypes)
        # torch's own, behind whose back nothing is written: it counts the version and records the graph.
        self._writer = None if api is None else ExchangeWriter(api, _Base.copy_)
        self._moves = () if api is None else (move_to_host(api, dtypes),)
        self.readers: Mapping[type, Reader] = dict.fromkeys((torch.Tensor, torch.nn.Parameter), self._reader)

    def shortcuts(self, _tp: type, to: Adapter, options: Options) -> tuple[Shortcut, ...]:
        """torch's own call to numpy, and its own move to the host."""
        if to.name != "numpy":
            return ()
        moves = self._moves if options == Options(device=(CPU, 0)) else ()
        return (*numpy_calls(self._api, self._reader, options), *moves)

    def hand_out(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """Nothing where the tensor's own memory is handed on: that knows no graph. Else torch resolves and casts."""
        verbs = [step.do for step in steps]
        if case.facts.grad == "forward":
            return None
        if verbs in ([], ["detach"]):
            return []
        resolved = case.facts.pending & {"conj", "neg"}
        if verbs[-1] not in ("copy", "cast") or case.facts.pending - resolved or case.same or not _keeps_strides(case):
            return None
        if steps[-1].allocate != self.name or (verbs[-1] == "copy" and not resolved):
            return None
        calls = [_Base.detach] if "detach" in verbs else []
        calls += [call for name, call in _RESOLVE.items() if name in resolved]
        if verbs[-1] == "cast":
            if case.dtype.name not in _CASTS:
                return None
            calls.append(_CASTS[case.dtype.name])
        if case.options.order == "C":
            calls.append(_Base.contiguous)
        return [SmallOp(), *map(CallOp, calls), ReadOp(self._reader)]

    def writer(self, _values: DType, _into: DType) -> Writer | None:
        """What writes into tensors: copy_, which casts as torch casts."""
        return self._writer

    def take_in(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """A tensor on the memory, or a copy in C order in torch's own; inside torch its operations keep the graph."""
        if case.same or self._api is None:
            return None
        verbs = [step.do for step in steps]
        if verbs == ["wrap"]:
            return [ToExchangeOp(self._api, UNTRACED)]
        if verbs == ["copy"] and _in_c_order(case):
            return [CopyToExchangeOp(self._api, ALLOCATES, torch.Tensor)]
        if verbs == ["cast"] and case.dtype.name in _CASTS and _keeps_strides(case) and _can_be_wrapped(case):
            calls = [_CASTS[case.dtype.name], *([_Base.contiguous] if case.options.order == "C" else [])]
            return [SmallOp(), ToExchangeOp(self._api, UNTRACED), *map(CallOp, calls)]
        return None


_RESOLVE: Final[Mapping[str, Any]] = {"conj": _Base.resolve_conj, "neg": _Base.resolve_neg}


def _keeps_strides(case: Case) -> bool:
    """Whether torch's operations lay their result out as the plan says: strides with gaps become those of C order."""
    facts = case.facts
    if case.options.order == "F" or facts.strides is None:
        return False
    if case.options.order == "C" or _layout.is_dense(facts.shape, facts.strides):
        return True
    return _layout.follows(
        facts.shape, _layout.compact_strides(facts.shape, facts.strides), _layout.c_strides(facts.shape)
    )


def _can_be_wrapped(case: Case) -> bool:
    facts = case.facts
    assert facts.strides is not None
    return case.is_aligned and _layout.fits(facts.shape, facts.strides, case.room.strides)


def _in_c_order(case: Case) -> bool:
    return _layout.follows(case.facts.shape, case.fresh_strides, _layout.c_strides(case.facts.shape))


#: The state of this thread in which a tensor is what it seems. While torch.jit.trace records, what crosses becomes a
#: constant of the trace; in dual_level(), whose level isn't below 0, numpy() and DLPack drop a tangent unseen.
_STATE: Final = Guards(cells=(Cell(vars(forward_ad), "_current_level", -1),), calls=NOT_TRACING)


def _reader(api: ExchangeAPI, dtypes: Mapping[Any, str]) -> ExchangeReader:
    return ExchangeReader(
        api,
        keeper=KEEPER,
        made=torch.Tensor,
        state=_STATE,
        requires_grad=_Base.requires_grad,
        is_negative=_Base.is_neg,
        is_conjugate=_Base.is_conj,
        is_host=_Base.is_cpu,
        dtype=_Base.dtype,
        byte_dtypes=_BYTES,
        # The one call that makes a storage refuse resize_, which would free the memory under the array.
        call=_Base.numpy,
        disguised={
            dtype: _INTEGERS[dtype.itemsize]
            for dtype, name in dtypes.items()
            if BY_NAME[name].numpy not in NUMPYS_OWN and dtype.itemsize in _INTEGERS
        },
        reinterpret=_Base.view,
        recording=RECORDING,
        record=record,
    )
