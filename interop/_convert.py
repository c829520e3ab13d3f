"""The front door: convert, convert_like, explain; to_numpy and its siblings are in :mod:`interop._to`.

The native door looks for a recipe first: what was planned for an object of the same kind. Everything else goes down the
stair of plan, execute and adapters.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from interop import _options
from interop._changes import anew
from interop._compiled import public
from interop._native import convert_door, implied, is_guarded, like_door
from interop._plan.made import plan_of
from interop._plan.plan import Plan, Step, make_plan
from interop._plan.refusals import refuse
from interop._registry.lookup import adapter_for, describe, framework_of, outline
from interop._registry.targets import target_adapter
from interop._run.book import BOOK
from interop._run.execute import execute
from interop._run.opening import carried, carried_facts, carrier_of, case_of, open_source
from interop._words import name_of, with_article
from interop.errors import (
    CopyError,
    DeviceError,
    DTypeError,
    InteropError,
    UnsupportedError,
    call_text,
    without_frames,
)

if TYPE_CHECKING:
    from types import ModuleType

    from interop._contract import Adapter
    from interop._options import Options, Order
    from interop._typed import ConvertOptions, DeviceLike, DtypeLike


_Ref = TypeVar("_Ref")


@public()
@convert_door(BOOK)
def convert(
    x: Any,
    to: str | ModuleType,
    /,
    *,
    device: DeviceLike | None = None,
    dtype: DtypeLike | None = None,
    order: Order | None = None,
    copy: bool | None = None,
    writable: bool | None = None,
    detach: bool = False,
    stream: Any = None,
) -> Any:
    """Hand a tensor to another framework: on the same memory where that is possible.

    Parameters
    ----------
    x
        An array of any framework, or an object that speaks DLPack, an array interface or the buffer protocol.
    to
        A framework's name (``"numpy"``, ``"torch"``, ...), its module, or an array-api-compat namespace of it, also a
        copy that another package brings along.
    device
        None leaves the data where it is, and raises where the target can't live there. A device (``"cpu"``,
        ``"cuda"``, ``"cuda:1"``, a framework's own device object, a DLPack pair) moves it there if it isn't there.
    dtype
        None keeps exactly the element type. A name or any framework's dtype object casts; complex to real is refused.
        ``"nearest"`` keeps it where the target has it there and then (jax without x64 has no float64), else takes the
        smallest that holds every value, else the widest of its kind: :func:`explain` says which, and what may be lost.
        numpy's dtype objects also name a byte order: in numpy the result has it, elsewhere the other one is refused.
    order
        None keeps the strides; ``"C"`` or ``"F"`` gives contiguous memory in that order, by a copy if need be.
    copy
        None gives a view where possible, else a copy; False gives a view or raises before a byte moves; True gives
        a fresh allocation that shares no byte with the source.
    writable
        None is as the source is. True copies a readonly source. False is a promise not to write: readonly memory
        can be aliased by a framework that can't express readonly; where it can, the result is readonly.
    detach
        Hand over the values of a tensor that requires grad, without its graph.
    stream
        None orders the data against the target framework's current stream on its device; also a framework's stream,
        an object with ``__cuda_stream__``, a handle, or -1 for data that is ordered already.

    Returns
    -------
    array
        Of the target framework; `x` itself where it is of that framework and nothing has to be done.

    Raises
    ------
    UnsupportedError
        `x` is no tensor that can be handed over (masked, sparse, fake, ...), or the target isn't installed.
    GradientError
        It requires grad and ``detach`` wasn't said.
    DeviceError, DTypeError, ReadOnlyError, CopyError
        The target can't live on its device, has no such element type, can't express readonly, or a copy is needed
        and ``copy=False`` forbids it. The message names the call that works.

    See Also
    --------
    explain : what a conversion would do, and why, without doing it.

    Examples
    --------
    >>> import numpy as np, interop
    >>> t = interop.convert(np.arange(3.0), "torch")
    >>> t.mul_(2)
    tensor([0., 2., 4.], dtype=torch.float64)
    >>> interop.convert(t, "numpy", copy=False)
    array([0., 2., 4.])
    """
    options = _options.parse(
        device=device, dtype=dtype, order=order, copy=copy, writable=writable, detach=detach, stream=stream
    )
    return _convert(x, target_adapter(to), options)


def convert_to(target: str, x: Any, options: ConvertOptions) -> Any:
    """Convert to a built-in framework: what the doors of :mod:`interop._to` do where no recipe takes `x`."""
    return _convert(x, target_adapter(target), _options.parse(**options) if options else _options.DEFAULT)


@public(options_of=convert)
@like_door(BOOK)
def convert_like(x: Any, ref: _Ref, /, **options: Unpack[ConvertOptions]) -> _Ref:
    """Hand a tensor to the framework of another one, on the other one's device.

    Parameters
    ----------
    x
        As in :func:`convert`.
    ref
        The array whose framework and device the result has.
    **options
        As in :func:`convert`; ``device`` overrides that of `ref`.

    Returns
    -------
    array
        Of the framework of `ref`. It is typed as `ref` is; where that is of a subclass (numpy's scalars, torch's
        parameters) it is the framework's plain array.

    Examples
    --------
    >>> import numpy as np, torch, interop
    >>> interop.convert_like(np.ones(2), torch.zeros(1))
    tensor([1., 1.], dtype=torch.float64)
    """
    reference = adapter_for(ref)
    # Of what wraps an array (a Series, a DataArray), that array's framework.
    name = getattr(reference, "behind", "") or framework_of(reference, ref)
    try:
        target = target_adapter(name)
    except UnsupportedError as err:
        like = with_article(name_of(type(ref)))
        msg = (
            f"{like} is memory of no framework, so that no array is like it. Name one: {call_text('numpy', **options)}."
        )
        raise UnsupportedError(msg) from err
    known = outline(reference, ref)
    facts = None if known is not None else describe(reference, ref, traced=True)
    named = options.get("device") is not None
    if known is not None:
        options.setdefault("device", known[1])
    elif facts is not None and not facts.traced:
        options.setdefault("device", facts.device)
    with implied() if is_guarded() and not named else nullcontext():
        converted: _Ref = _convert(x, target, _options.parse(**options))
    return converted


@public(options_of=convert)
def explain(x: Any, to: str | ModuleType, /, **options: Unpack[ConvertOptions]) -> Plan:
    """Tell what :func:`convert` with the same arguments would do, and why; nothing moves.

    Parameters
    ----------
    x, to, **options
        As in :func:`convert`.

    Returns
    -------
    Plan
        ``print(plan)`` is for people, its fields are for programs. What is no tensor is a failed plan.

    Raises
    ------
    InteropError
        Only for arguments that no conversion takes: an unknown target, an option that isn't one.

    Notes
    -----
    It never exports, evaluates, waits or copies. Where that leaves something open (a lazy array, an object that only
    speaks a protocol), ``plan.certain`` is False and the open question stands in ``plan.cautions``.

    Examples
    --------
    >>> import numpy as np, interop
    >>> print(interop.explain(np.zeros(3)[::-1], "torch"))
    numpy -> torch: 24 bytes copied
      1. numpy exports its memory
      2. torch copies the values to a fresh array
      why: torch can't hold negative strides such as (-1,)
    """
    known = BOOK.recipe(x, to, dict(options))
    if known is not None and known.aliases:
        # Of a view nothing differs between the objects of a kind.
        plan: Plan = known.plan
        return plan
    return _explained(x, target_adapter(to), _options.parse(**options))


def _explained(x: Any, target: Adapter, parsed: Options) -> Plan:
    name = name_of(type(x))
    try:
        source = adapter_for(x)
        name = framework_of(source, x)
        if _is_kept(x, source, target, parsed):
            kept = Step("keep", target.name)
            return Plan(source.name, target.name, ok=True, error=None, zero_copy=True, steps=(kept,))
        facts = describe(source, x, traced=True)
        case = case_of(facts, source, target, parsed)
    except InteropError as err:
        return Plan(name, target.name, ok=False, error=without_frames(err))
    plan = make_plan(case)
    if plan.ok and facts.certain:
        try:
            carrier = carrier_of(case, source, target)
        except InteropError as err:
            return Plan(source.name, target.name, ok=False, error=without_frames(err))
        if carrier is not None:
            plan = make_plan(case_of(carried_facts(facts, carrier), carrier, target, parsed))
    # Of a lazy array all but its strides is known.
    known = "lazy" in facts.pending and not isinstance(plan.error, CopyError)
    # A target that lacks the element type that was asked for refuses whatever comes.
    lacked = isinstance(plan.error, DTypeError) and parsed.dtype is not None and case.dtype.name not in case.room.dtypes
    if facts.certain or known or lacked or isinstance(plan.error, DeviceError):
        return plan
    steps = (
        Step("export", source.name),
        Step("take", target.name),
    )
    return Plan(
        source.name,
        target.name,
        ok=True,
        error=None,
        certain=False,
        zero_copy=False,
        steps=steps,
        cautions=plan.cautions,
    )


def _is_kept(x: Any, source: Adapter, target: Adapter, options: Options) -> bool:
    """Whether the object itself is the answer, its memory unseen: even of one that couldn't leave its framework."""
    if source.name != target.name or options.asks_nothing:
        return source.name == target.name
    # It may have no memory: inside of a transformed function its element type and device are all that is known.
    found = outline(source, x) if options.asks_what_it_is else None
    return found is not None and options.is_met_by(*found)


def _convert(x: Any, target: Adapter, options: Options) -> Any:
    """Convert, or begin anew where `x` is given other memory meanwhile."""
    return anew(_convert_once, x, target, options, True)


def convert_for_now(x: Any, to: str, options: Options) -> Any:
    """What :func:`convert` gives, to be read at once and dropped: nothing is locked for it, but rather copied."""
    return anew(_convert_once, x, target_adapter(to), options, False)


def _convert_once(x: Any, target: Adapter, options: Options, lasting: bool) -> Any:  # noqa: FBT001 - handed through
    source = adapter_for(x)
    if _is_kept(x, source, target, options):
        return x
    facts, opened = describe(source, x, traced=True), x
    # Inside one framework nothing has to be known of a lazy array: its own operations keep it lazy.
    if not facts.certain and not (source.name == target.name and "lazy" in facts.pending):
        opened, facts, source = open_source(x, facts, source, target, options)
    case = case_of(facts, source, target, options)
    plan = plan_of(case)
    carrier = carrier_of(case, source, target) if plan.ok and (case.moves or case.handed_copies) else None
    if carrier is not None:
        opened, facts = carried(opened, facts, source, carrier, options.stream)
        source, case = carrier, case_of(facts, carrier, target, options)
        plan = make_plan(case)
    if not plan.ok:
        refuse(case)
    if plan.steps[0].do == "keep":
        return x
    return execute(plan, case, opened, source, target, lasting=lasting)
