"""numpy's native ops: how an array is read, taken in, copied and cast without a Python frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._native import CopyToNdarrayOp, NdarrayReader, NdarrayWriter, Op, Reader, ReadOp, ToNdarrayOp, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interop._contract import Adapter
    from interop._dtypes import DType
    from interop._native import Shortcut
    from interop._options import Options
    from interop._plan.case import Case
    from interop._plan.plan import Step

READER: Final = NdarrayReader()


class NumpyNative:
    """numpy's own side of recipes."""

    readers: Final[Mapping[type, Reader]] = {np.ndarray: READER}

    def hand_out(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """Nothing where the array's own memory is handed on; else numpy copies and casts."""
        if not steps:
            return []
        if case.same or len(steps) != 1 or steps[0].allocate != "numpy":
            return None
        written = written_by_numpy(steps, case)
        return None if written is None else [*written, ReadOp(READER)]

    def shortcuts(self, _tp: type, _to: Adapter, _options: Options) -> tuple[Shortcut, ...]:
        """None: nothing is sooner than a look."""
        return ()

    def writer(self, values: DType, into: DType) -> Writer | None:
        """What writes into ndarrays, as numpy casts."""
        if values.numpy is None or into.numpy is None or not np.can_cast(values.numpy, into.numpy, "unsafe"):
            return None
        return NdarrayWriter(None if _casts_silently(values.numpy, into.numpy) else _quiet)

    def take_in(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """An array on the memory, or a copy in numpy's own."""
        if [step.do for step in steps] == ["wrap"]:
            return [ToNdarrayOp(readonly=steps[0].readonly)]
        return written_by_numpy(steps, case)


def written_by_numpy(steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
    """The op of a copy or cast in numpy's memory, marked readonly or not."""
    verbs = [step.do for step in steps]
    if verbs not in (["copy"], ["cast"], ["copy", "restrict"], ["cast", "restrict"]):
        return None
    facts, order = case.facts, case.options.order
    if facts.strides is None or facts.pending - {"conj", "neg"}:
        return None
    if case.dtype.numpy is None or facts.dtype.numpy is None:
        return None
    if order is None and not _is_numpys_own_order(case):
        return None
    dtype = None if verbs[0] == "copy" else case.dtype.numpy
    if dtype is not None and not np.can_cast(facts.dtype.numpy, dtype, "unsafe"):
        return None
    quiet = None if dtype is None or _casts_silently(facts.dtype.numpy, dtype) else _quiet
    return [CopyToNdarrayOp(order=order, dtype=dtype, quiet=quiet, readonly="restrict" in verbs)]


def _casts_silently(values: np.dtype[Any], into: np.dtype[Any]) -> bool:
    """Whether numpy has nothing to say of a cast; of a signalling NaN it has, even where nothing is lost."""
    return values == into or (np.can_cast(values, into, "safe") and values.kind in "iub")


#: A cast that overflows or meets NaN gives what the hardware gives: the caller asked for the element type by name.
_quiet: Final[Any] = partial(np.errstate, all="ignore")


def _is_numpys_own_order(case: Case) -> bool:
    """Whether numpy's order "K" gives the strides of the plan; of broadcast axes it doesn't."""
    facts = case.facts
    assert facts.strides is not None
    broadcast = any(step == 0 and n > 1 for n, step in zip(facts.shape, facts.strides, strict=True))
    return not broadcast or 0 in facts.shape


NATIVE: Final = NumpyNative()
