"""Questions about one or two tensors: view, framework, device, dtype, shares_memory."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from interop import _options
from interop._adapters._protocol import ProtocolAdapter, Request
from interop._adapters._shared.cuda import Loan, Producer, has_streams, ordered_by_worker, refuse_forked
from interop._changes import anew, changed, is_of
from interop._compiled import public
from interop._native import door
from interop._plan.case import VIEW, same_place
from interop._plan.refusals import refuse
from interop._registry.lookup import adapter_for, asked, describe, framework_of, outline
from interop._run.book import BOOK
from interop._run.opening import found, view_case, worker_on
from interop._run.order import probe
from interop._streams import ORDERED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interop._contract import Facts
    from interop._devices import Device
    from interop._dtypes import DType
    from interop._native import View
    from interop._options import Options


@public()
@door(BOOK, VIEW)
def view(x: Any, /, *, stream: Any = None, writable: bool | None = None) -> View:
    """Look at the memory of a tensor without a framework: pointer, shape, strides, dtype, device, readonly.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks an exchange protocol.
    stream
        For device memory, the stream that the data is to be ordered on; None leaves it unordered (``v.ordered``).
    writable
        None is as the memory is; what can't say so, such as a legacy DLPack capsule, counts as readonly. True says that
        such memory may be written. False makes a readonly View, and is a promise that whoever takes its memory won't
        write: consumers of legacy capsules, which can't say readonly, get it too.

    Returns
    -------
    View
        It keeps the memory alive and exports it again through every protocol. It never copies.

    Raises
    ------
    UnsupportedError, GradientError, CopyError
        Where the memory isn't the values (a conjugate bit, another byte order), or the object isn't a plain tensor.
    ReadOnlyError
        With ``writable=True``, where the memory says that it is readonly.

    Notes
    -----
    Nothing stops ``torch.Tensor.resize_`` from freeing the memory under a View: convert to an array where somebody
    might call it.

    Examples
    --------
    >>> import numpy as np, interop
    >>> v = interop.view(np.zeros((2, 3), "float32"))
    >>> v.shape, v.strides, v.dtype, v.device, v.readonly
    ((2, 3), (3, 1), DType('float32'), Device('cpu'), False)
    """
    options = _options.parse(copy=False, writable=writable, stream=stream)
    made: View = anew(_view, x, options)
    return made.with_readonly(promised=True) if writable is False else made


def _view(x: Any, options: Options) -> View:
    source, stream = adapter_for(x), options.stream
    facts = describe(source, x)
    if not facts.certain and isinstance(source, ProtocolAdapter):
        opened: View
        opened, facts, by = found(source, _opened(source, x, facts, options))
        refuse(view_case(facts, by, options))
        if stream is None or stream == ORDERED or not has_streams(opened.device) or isinstance(opened.owner, Loan):
            return opened
        return opened.with_owner(Producer(opened, partial(_ordered_again, opened), int(stream)))
    case = view_case(facts, source, options)
    refuse(case)
    if has_streams(facts.device):
        refuse_forked(source)
    if stream is not None and stream != ORDERED and has_streams(facts.device):
        probe(source, facts.device, stream)
    made: View = asked(source, x, source.export, x, case.facts, stream)
    if not is_of(facts, made, aliased=True):
        raise changed(facts)
    made = ordered_by_worker(made, source, worker_on(facts, source), stream)
    if stream is not None and stream != ORDERED and isinstance(made.owner, Loan):
        made.owner.read_by(stream)
    return made


def _opened(source: ProtocolAdapter, x: Any, facts: Facts, options: Options = _options.DEFAULT) -> Any:
    """Export an object through its protocol; a framework that works on its device finds out which one that is."""
    worker, stream = worker_on(facts, source), options.stream
    request = Request(stream=stream, worker=worker, ordered=stream is not None, writable=options.trusts)
    with worker.using(facts.device, None) if worker is not None else nullcontext():
        return asked(source, x, source.open, x, request)


def _ordered_again(view: View, stream: int | None) -> object:
    return view.__dlpack__(stream=stream, max_version=(1, 0))


@public()
def framework(x: Any, /) -> str:
    """Name the framework that a tensor belongs to, as :func:`interop.convert` takes it where it can be a target.

    Some are sources only, such as pandas: ``interop.adapters()[name].target`` tells. What belongs to no framework that
    has an adapter, and speaks a protocol, has the name of its type: ``'bytes'``, ``'view'``.

    Examples
    --------
    >>> import torch, interop
    >>> interop.framework(torch.zeros(1))
    'torch'
    """
    return framework_of(adapter_for(x), x)


@public()
def device(x: Any, /) -> Device:
    """Tell where the memory of a tensor is.

    Examples
    --------
    >>> import numpy as np, interop
    >>> interop.device(np.zeros(1))
    Device('cpu')
    """
    return _outline(x)[1]


@public()
def dtype(x: Any, /) -> DType:
    """Tell the element type of a tensor.

    Examples
    --------
    >>> import torch, interop
    >>> interop.dtype(torch.zeros(1, dtype=torch.bfloat16))
    DType('bfloat16')
    """
    return _outline(x)[0]


@public()
def shares_memory(x: Any, y: Any, /) -> bool:
    """Tell whether the memory of two tensors, of any frameworks, overlaps.

    Returns
    -------
    bool
        Whether the ranges of addresses overlap. True may be more than the truth: two interleaved views, of the even and
        of the odd elements, count as sharing, and so do arrays of bits within one byte. False is certain where the
        addresses are known, within one mapping: polars doesn't tell where it packs booleans, and two maps of one file
        have addresses of their own, and a write through one shows in the other.

    Examples
    --------
    >>> import numpy as np, interop
    >>> a = np.zeros(4)
    >>> interop.shares_memory(a, interop.to_torch(a)[2:])
    True
    >>> interop.shares_memory(a[:2], a[2:])
    False
    """
    a, b = _placed(x), _placed(y)
    if 0 in a.shape or 0 in b.shape or not same_place(a.device, b.device):
        return False
    if x is y:
        return True
    pieces = _extents(x, a), _extents(y, b)
    return any(low < other_high and other_low < high for (low, high), (other_low, other_high) in product(*pieces))


def _extents(x: Any, facts: Facts) -> Iterable[tuple[int, int]]:
    """Where the memory is: in one piece, or where its adapter says of what it decodes, or holds in chunks."""
    if facts.extent is not None:
        return (facts.extent,)
    source = adapter_for(x)
    verb = getattr(source, "extents", None)
    return () if verb is None else cast("Iterable[tuple[int, int]]", asked(source, x, verb, x))


def _placed(x: Any) -> Facts:
    """The facts with the address, which a lazy array has only when it has been evaluated."""
    facts = _facts(x)
    if facts.extent is not None or "lazy" not in facts.pending:
        return facts
    source = adapter_for(x)
    return describe(source, asked(source, x, source.settle, x, frozenset({"lazy"})))


def _outline(x: Any) -> tuple[DType, Device]:
    """Element type and device, also of what has no values: inside of a transformed function they are known."""
    told = outline(adapter_for(x), x)
    if told is None:
        facts = _facts(x, traced=True)
        told = facts.dtype, facts.device
    return told


def _facts(x: Any, *, traced: bool = False) -> Facts:
    source = adapter_for(x)
    facts = describe(source, x, traced=traced)
    if not facts.certain and isinstance(source, ProtocolAdapter):
        return found(source, _opened(source, x, facts))[1]
    return facts
