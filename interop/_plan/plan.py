"""The plan: what a conversion does, step by step, and why.

:func:`make_plan` is pure: it looks at data only, so that ``explain`` prints exactly what ``convert`` runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from interop import _layout
from interop._dtypes import INT, UINT, castable
from interop._plan.refusals import refusal

if TYPE_CHECKING:
    from interop._devices import Device
    from interop._dtypes import DType
    from interop._plan.case import Case
    from interop.errors import InteropError

Verb = Literal["keep", "detach", "settle", "wait", "restrict", "copy", "cast", "export", "wrap", "take", "transfer"]

_TEXTS: Final[dict[Verb, str]] = {
    "keep": "nothing has to be done",
    "detach": "{by} detaches the values from the graph",
    "settle": "{by} evaluates the array",
    "wait": "the host waits for what {by} has queued",
    "restrict": "{by} marks the result readonly",
    "copy": "{by} copies the values to a fresh array",
    "cast": "{by} casts to {dtype} in a fresh array",
    "export": "{by} exports its memory",
    "wrap": "{by} takes the memory as it is",
    "take": "{by} takes the memory if it can, else copies it",
    "transfer": "{by} moves the values to {device}",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes
    ----------
    do
        What: an object is kept, detached, settled, waited for, restricted (marked readonly), copied, cast, exported,
        wrapped, transferred, or (in a plan that isn't certain) taken one way or the other.
    by
        The framework that does it.
    dtype, strides, device
        Of the array that a copy, cast or transfer writes.
    readonly
        Whether what an export or a wrap hands on is readonly.
    allocate
        The framework whose memory a copy, cast or transfer writes into.
    swapped
        Whether a copy or cast writes in the other byte order.
    """

    do: Verb
    by: str
    dtype: DType | None = None
    strides: tuple[int, ...] | None = None
    device: Device | None = None
    readonly: bool = False
    allocate: str = ""
    swapped: bool = False

    @property
    def text(self) -> str:
        """The step in words."""
        words = _TEXTS[self.do].format(by=self.by, dtype=self.dtype, device=self.device)
        if self.swapped:
            return f"{words}, in the other byte order"
        return f"{words}, readonly" if self.readonly and self.do == "wrap" else words


@dataclass(frozen=True, slots=True)
class Plan:
    """What a conversion does, or why it can't be done.

    Attributes
    ----------
    source, target
        Names of the frameworks.
    ok
        Whether ``convert`` with the same arguments succeeds.
    error
        A fresh instance of the error that ``convert`` would raise, or None. It holds neither a traceback nor the errors
        that led to it, and so not the tensor; what its causes say is in its notes.
    certain
        Whether the rest is exact; where not, the last of `cautions` is the open question.
    zero_copy
        Whether the result is on the source's memory, or is the source itself.
    copied_bytes, transferred_bytes
        Bytes that copies, and moves between devices, write.
    steps
        What happens, in order.
    reasons
        Why a copy is needed, in words; empty for a view.
    cautions
        What else to know.
    """

    source: str
    target: str
    ok: bool
    error: InteropError | None
    certain: bool = True
    zero_copy: bool = False
    copied_bytes: int = 0
    transferred_bytes: int = 0
    steps: tuple[Step, ...] = ()
    reasons: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{self.source} -> {self.target}: {self._verdict()}"]
        lines += [f"  {number}. {step.text}" for number, step in enumerate(self.steps, 1)]
        lines += [f"  why: {reason}" for reason in self.reasons]
        lines += [f"  note: {caution}" for caution in self.cautions]
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.error is not None:
            return f"refused, {type(self.error).__name__}: {self.error}"
        if not self.certain and not self.zero_copy and not self.copied_bytes and not self.transferred_bytes:
            return "a view if it can be, else a copy: known only after the export"
        if self.zero_copy:
            kept = any(step.do == "keep" for step in self.steps)
            what = "the object itself" if kept else "zero-copy"
        else:
            counts = ((self.copied_bytes, "bytes copied"), (self.transferred_bytes, "bytes moved between devices"))
            what = ", ".join(f"{count:,} {words}" for count, words in counts if count) or "a copy of 0 bytes"
        return what if self.certain else f"{what} (as far as can be told before the export)"


def make_plan(case: Case) -> Plan:
    """Plan one conversion."""
    source, target = case.facts.framework, case.target
    questions: tuple[str, ...] = () if case.facts.certain else (case.facts.unknown,)
    if case.limits is not None and not case.limits.certain and not case.same:
        questions += (f"what {target} can hold shows when it is asked: it may copy, or refuse",)
    error = refusal(case)
    if error is not None:
        return Plan(source, target, ok=False, error=error, certain=case.facts.certain, cautions=questions)
    steps = _steps(case)
    return Plan(
        source=source,
        target=target,
        ok=True,
        error=None,
        certain=not questions,
        zero_copy=not case.reasons,
        copied_bytes=_written(case, steps, "copy", "cast") if case.reasons else 0,
        transferred_bytes=_written(case, steps, "transfer") if case.moves else 0,
        steps=steps,
        reasons=case.reasons,
        cautions=(*_cautions(case), *_passes(steps), *questions),
    )


def _written(case: Case, steps: tuple[Step, ...], *verbs: Verb) -> int:
    dtypes = [step.dtype for step in steps if step.do in verbs and step.dtype is not None]
    return sum(_layout.nbytes(case.facts.shape, dtype.itemsize) for dtype in dtypes)


def _passes(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """What to know where the values are written more than once before they are where they were asked for."""
    writers = [step.by for step in steps if step.do in ("copy", "cast")]
    if len(writers) <= 1:
        return ()
    who = " nor ".join(dict.fromkeys(writers))
    does = f"neither {who} does" if who != writers[0] else f"{who} doesn't do"
    return (f"the values are written {len(writers)} times: {does} all of it in one pass",)


def _cautions(case: Case) -> tuple[str, ...]:
    facts, alias = case.facts, not case.reasons and not case.same
    found = []
    if case.options.nearest and case.casts:
        found.append(_nearest_text(case))
    if alias and facts.readonly and case.room.readonly == "drops":
        found.append(f"{case.target} shows readonly memory as writable: you promised not to write")
    if alias and case.room.immutable and not facts.readonly:
        found.append(f"{case.target} may cache what it read: don't write to the source while the result lives")
    if alias and facts.strides is not None and not facts.readonly and _layout.overlaps(facts.shape, facts.strides):
        still = any(stride == 0 and n > 1 for n, stride in zip(facts.shape, facts.strides, strict=True))
        why = "a stride is 0" if still else "their strides overlap"
        found.append(f"several indices share one element ({why}): a write shows at each of them")
    return tuple(found)


def _nearest_text(case: Case) -> str:
    facts, dtype = case.facts, case.dtype
    missing = f"{case.target} has no {facts.dtype} there"
    if castable(facts.dtype, dtype, "safe"):
        return f"{missing}: {dtype} holds every value of it"
    lost = "integers that don't fit wrap" if dtype.code in (INT, UINT) else "values may be rounded, or overflow"
    return f"{missing}, and {dtype} is the widest of its kind: {lost}"


def _steps(case: Case) -> tuple[Step, ...]:
    if case.options.swapped and case.reasons:
        return _in_other_order(case, _native_steps(case))
    return _native_steps(case)


def _in_other_order(case: Case, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same, with what the target writes last in the other byte order, which it alone can write."""
    *first, last = [step for step in steps if step.do != "restrict"]
    written = last.do in ("copy", "cast") and last.by == case.target
    if written or last.do == "wrap":
        last = last if written else _fresh(case, "target", after=case.dtype)
        return (*first, replace(last, swapped=True), *_restrict(case))
    return (*first, last, replace(_fresh(case, "target", after=case.dtype), swapped=True), *_restrict(case))


def _native_steps(case: Case) -> tuple[Step, ...]:
    """What happens, up to an array in this machine's byte order."""
    head = _head(case)
    if case.moves:
        return (*head, *_transfer(case), *_restrict(case))
    if case.reasons and case.same:
        return (*head, _fresh(case, "source"), *_restrict(case))
    cast_by_source = case.casts and case.source_casts and not case.target_casts_better
    handed = case.handed_copies and case.source_limits is not None
    if case.reasons and (case.unsettled or case.turned or cast_by_source or handed):
        return (*head, *_copy_by_source(case))
    if case.reasons:
        return (*head, _export(case), _fresh(case, "target"), *_restrict(case))
    if case.same:
        return (*head, *_restrict(case, already=case.facts.readonly)) or (Step("keep", case.target),)
    return (*head, _export(case, readonly=case.alias_readonly), _wrap(case, readonly=case.alias_readonly))


def _head(case: Case) -> tuple[Step, ...]:
    head = []
    if "lazy" in case.facts.pending and not case.same:
        head.append(Step("settle", case.facts.framework))
    if case.read_by_host and not case.moves:
        head.append(Step("wait", case.facts.framework))
    if case.facts.grad != "none" and case.options.detach:
        head.append(Step("detach", case.facts.framework))
    return tuple(head)


def _export(case: Case, *, readonly: bool = True) -> Step:
    return Step("export", case.facts.framework, readonly=readonly)


def _wrap(case: Case, *, readonly: bool) -> Step:
    return Step("wrap", case.target, readonly=readonly)


def _restrict(case: Case, *, already: bool = False) -> tuple[Step, ...]:
    if not case.fresh_readonly or already:
        return ()
    return (Step("restrict", case.target, readonly=True),)


def _fresh(
    case: Case, side: Literal["source", "target"], dtype: DType | None = None, *, after: DType | None = None
) -> Step:
    """One pass over the data into a fresh array, cast on the way; after a cast, from what that made."""
    by = case.facts.framework if side == "source" else case.target
    device = case.facts.device if side == "source" and not case.same else case.device
    dtype = dtype or case.dtype
    do: Verb = "copy" if dtype.name == (after or case.facts.dtype).name else "cast"
    return Step(do, by, dtype, case.fresh_strides, device, allocate=by)


def _copy_by_source(case: Case) -> tuple[Step, ...]:
    """Where only the source's framework can read its values or it casts: it writes, the target takes the result."""
    if case.casts and not case.source_casts:
        return (_fresh(case, "source", case.facts.dtype), _export(case), _fresh(case, "target"), *_restrict(case))
    if case.source_writes:
        return (replace(_fresh(case, "source"), allocate=case.target), *_restrict(case))
    if not case.source_keeps_order:
        plain = replace(_fresh(case, "source"), strides=_layout.c_strides(case.facts.shape))
        return (plain, _export(case), _fresh(case, "target", after=case.dtype), *_restrict(case))
    return (
        _fresh(case, "source"),
        _export(case, readonly=case.fresh_readonly),
        _wrap(case, readonly=case.fresh_readonly),
    )


def _transfer(case: Case) -> tuple[Step, ...]:
    """One move between devices: cast before it where that narrows, written by the side that knows the device."""
    source, target, facts = case.facts.framework, case.target, case.facts
    narrows = case.dtype.itemsize < facts.dtype.itemsize
    cast_first = case.casts and case.source_casts and (narrows or not case.target_casts)
    first: tuple[Step, ...] = ()
    if cast_first and not case.same:
        first = (_fresh(case, "source"),)
    elif (case.unsettled or (case.turned and not case.device.is_host)) and not case.same:
        first = (_fresh(case, "source", facts.dtype),)
    by = source if case.device.is_host else target
    if by == target and not case.same:
        first += (_export(case),)
    cast_last = case.casts and by == source and not (case.source_casts or case.same)
    dtype = facts.dtype if cast_last else case.dtype
    move = Step("transfer", by, dtype, case.fresh_strides, case.device, allocate=target)
    return (*first, move, *((_fresh(case, "target"),) if cast_last else ()))
