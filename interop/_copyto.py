"""Writing into memory that exists, through the operation of the framework that it belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from interop._adapters._shared.cuda import has_streams, refuse_forked
from interop._adapters._shared.wrappers import Wrapped
from interop._changes import anew, changed
from interop._compiled import public
from interop._convert import convert, convert_for_now
from interop._dtypes import RULES, castable, parse_casting
from interop._inspect import shares_memory, view
from interop._layout import nbytes
from interop._native import (
    Apart,
    Event,
    View,
    Writer,
    Writes,
    copyto_door,
    is_guarded,
    note,
    permit,
    settled,
    view_from_ndarray,
)
from interop._options import parse
from interop._plan.case import same_place
from interop._plan.refusals import refusal
from interop._registry.lookup import adapter_for, asked, describe
from interop._run.opening import case_of
from interop._run.recipes import native_ops
from interop._run.steps import keeper_of
from interop._to import to_numpy
from interop._words import first_line_of
from interop.errors import (
    CopyError,
    DTypeError,
    GradientError,
    InteropError,
    ReadOnlyError,
    UnsupportedError,
    call_text,
    describe_facts,
    message,
)

if TYPE_CHECKING:
    from interop._contract import Adapter, Facts
    from interop._options import Options

Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]


def _writer(dst: Any, src: Any, casting: Casting) -> Writer | None:
    """What writes one kind of array into another, whatever their shapes; None where each call has to be looked at."""
    if casting not in RULES:
        return None
    into, source = adapter_for(dst), adapter_for(src)
    native = native_ops(into)
    try:
        there, here = describe(into, dst), describe(source, src)
    except InteropError:
        return None
    if native is None or there.readonly or here.pending or not here.certain:
        return None
    if here.framework != there.framework:
        # What the planner would read as it is: torch's loops end the process on memory that isn't aligned.
        case = case_of(here, source, into, _reading(here, into, there))
        if here.grad != "none" or refusal(case) is not None or case.reasons:
            return None
    return native.writer(here.dtype, there.dtype) if castable(here.dtype, there.dtype, casting) else None


_DEFAULT: Final = "same_kind"


@public()
@copyto_door(Writes(Apart(_writer)), _DEFAULT)
def copyto(dst: Any, src: Any, *, casting: Casting = _DEFAULT) -> None:
    """Write the values of one tensor into another, of any framework, on any device.

    Parameters
    ----------
    dst
        What is written. Its framework's own operation writes, so that torch counts the version and records the graph.
    src
        What is read; its shape must broadcast to that of `dst`.
    casting
        What may be cast, in numpy's words: ``"no"``, ``"equiv"``, ``"safe"``, ``"same_kind"`` or ``"unsafe"``.

    Raises
    ------
    ReadOnlyError
        `dst` is readonly.
    DTypeError
        `casting` forbids the cast.
    CopyError
        The shapes don't broadcast.
    GradientError
        `src` requires grad and belongs to another framework, or `dst` is a leaf that requires grad.

    Examples
    --------
    >>> import numpy as np, torch, interop
    >>> a = np.zeros((2, 2))
    >>> interop.copyto(a, torch.tensor([1.0, 2.0]))
    >>> a
    array([[1., 2.],
           [1., 2.]])
    """
    rule = parse_casting(casting)
    if not is_guarded():
        anew(_copyto, dst, src, rule)
        return
    event = _event(dst, src)
    permit(event)
    with settled():
        anew(_copyto, dst, src, rule)
    note(event)


def _event(dst: Any, src: Any) -> Event:
    """What those who guard are told: what is written was asked for, a cast to its type by name wasn't."""
    there, here = (describe(adapter_for(x), x) for x in (dst, src))
    moves = not same_place(here.device, there.device)
    known = there if there.certain else here
    # Of what only an export shows, such as a bytearray, the length isn't known before.
    size = nbytes(known.shape, known.dtype.itemsize) if known.certain else view(dst).nbytes
    return Event(
        copied=0 if moves else size,
        moved=size if moves else 0,
        casts=here.certain and there.certain and here.dtype.name != there.dtype.name,
        asked_copy=True,
        asked_move=True,
        what=lambda: f"copyto of {describe_facts(here)} into {describe_facts(there)}",
    )


def _copyto(dst: Any, src: Any, rule: str) -> None:
    wrapper = adapter_for(dst)
    if isinstance(wrapper, Wrapped):
        dst = asked(wrapper, dst, wrapper.unwrap, dst)
    if not describe(adapter_for(dst), dst).certain or type(dst) is View:
        # No operation of its own to write with: its memory is written as an ndarray.
        dst = to_numpy(dst, copy=False)
    into, source = adapter_for(dst), adapter_for(src)
    there, here = describe(into, dst), describe(source, src)
    # For a message: what was passed may be a wrapper.
    named = replace(there, framework=wrapper.name) if isinstance(wrapper, Wrapped) else there
    if here.certain:
        _check(there, here, rule, named)
    else:
        _refuse_readonly(there, named)
    if here.framework != into.name:
        if _written_through(dst, there, src, here, source):
            return
        src = convert_for_now(src, into.name, _reading(here, into, there))
        now = describe(into, src)
        if not here.certain:
            _check(there, now, rule, named)
        elif now.shape != here.shape:
            raise changed(here)
        here = now
    if shares_memory(dst, src) and (there.ptr, there.strides) != (here.ptr, here.strides):
        src = convert(src, into.name, copy=True)
    try:
        into.assign(dst, src)
    except MemoryError as err:
        what = f"not enough memory to write {describe_facts(here)} into {describe_facts(there)}"
        fix = f"Free memory on {there.device}, or write it part by part."
        raise CopyError(message(what, first_line_of(err), fix)) from err
    except Exception as err:
        raise _refused(into, there, here, err) from err


def _refused(into: Adapter, there: Facts, here: Facts, err: Exception) -> InteropError:
    """What to say where a framework refuses to write."""
    if has_streams(there.device):
        refuse_forked(into, err)
    what = f"{into.name} can't write {describe_facts(here)} into {describe_facts(there)}"
    if there.grad != "none":
        fix = "Write into x.detach(), which shares its memory."
        return GradientError(message(what, first_line_of(err), fix))
    return UnsupportedError(message(what, first_line_of(err), "Write into a fresh array and convert that."))


def _written_through(dst: Any, there: Facts, src: Any, here: Facts, source: Adapter) -> bool:
    """Whether memory that may move was copied to an ndarray in one pass, where nothing else has to be done."""
    keeper = keeper_of(source)
    plain = keeper is not None and type(dst) is np.ndarray and here.device.is_host and here.grad == "none"
    if keeper is None or not plain or here.pending or there.pending:
        return False
    if (here.dtype.name, here.shape) != (there.dtype.name, there.shape) or shares_memory(dst, src):
        return False
    view = source.export(src, here, None)
    if not keeper.copy(view_from_ndarray(dst), view):
        raise changed(here)
    return True


def _reading(here: Facts, into: Adapter, there: Facts) -> Options:
    """How the destination's framework reads the source: as its own element type where it lacks the source's."""
    limits = into.limits(there.device.type_code)
    lacks = limits is not None and here.dtype.name not in limits.dtypes
    return parse(device=there.device, writable=False, dtype=there.dtype if lacks else None)


def _refuse_readonly(there: Facts, named: Facts) -> None:
    if there.readonly:
        # What others may not write, its own framework may: a variable is assigned to.
        fix = f"Write by {there.framework}'s own calls, or into a copy." if there.immutable else "Write into a copy."
        raise ReadOnlyError(message(f"can't write into {describe_facts(named)}", "it is readonly", fix))


def _check(there: Facts, here: Facts, casting: str, named: Facts) -> None:
    """Refuse what can't be written, in the order in which errors win."""
    what = f"can't write {describe_facts(here)} into {describe_facts(there)}"
    if here.grad != "none" and here.framework != there.framework:
        why = f"the source takes part in automatic differentiation, and {there.framework} knows nothing of its graph"
        detached = call_text(here.framework, detach=True).replace("(x", "(src")
        fix = f"interop.copyto(dst, {detached}) writes the values."
        raise GradientError(message(what, why, fix))
    if not castable(here.dtype, there.dtype, casting):
        why = f"casting={casting!r} forbids {here.dtype} to {there.dtype}"
        raise DTypeError(message(what, why, "casting='unsafe' allows every cast but complex to real."))
    _refuse_readonly(there, named)
    try:
        fits = np.broadcast_shapes(here.shape, there.shape) == there.shape
    except ValueError:
        fits = False
    if not fits:
        fix = f"Pass a source of shape {there.shape}, or one that broadcasts to it: src.reshape(...)."
        raise CopyError(message(what, f"{here.shape} doesn't broadcast to {there.shape}", fix))
