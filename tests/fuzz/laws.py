"""What has to hold of every call, whatever it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

import interop
from fuzz import casts, reading

if TYPE_CHECKING:
    from fuzz.programs import Case
    from fuzz.reading import Found

ERRORS: Final = (
    interop.UnsupportedError,
    interop.GradientError,
    interop.DeviceError,
    interop.DTypeError,
    interop.ReadOnlyError,
    interop.CopyError,
)


class Broken(Exception):
    """A law that a call has broken, by its name."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law


@dataclass
class Seen:
    """A case and what came of it.

    Parameters
    ----------
    case
        Which.
    names
        What its program has named.
    truth
        What the object held before the call; None where it has no values.
    result, error
        What the call returned or raised.
    plan
        What ``explain`` said before; None where there was nothing to explain.
    plan_error
        What it raised itself.
    """

    case: Case
    names: dict[str, Any]
    truth: Found | None
    result: Any = None
    error: BaseException | None = None
    plan: Any = None
    plan_error: BaseException | None = None


def need(fact: object, law: str, what: str | Callable[[], str]) -> None:
    """Raise unless a fact is one; what takes long to say is said when it has to be."""
    if not fact:
        raise Broken(law, what if isinstance(what, str) else what())


def short(error: BaseException | None) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {error}"


# Of all calls.


def errors_are_ours(seen: Seen) -> None:
    """Only the six come out, each exactly what it is."""
    error = seen.error
    if error is None:
        return
    need(isinstance(error, interop.InteropError), "only its own errors", short(error))
    need(any(isinstance(error, kind) for kind in ERRORS), "only its own errors", f"a bare {type(error).__name__}")
    need(len(str(error)) > 20, "errors say what to do", short(error))


# Of conversions.


def explained(seen: Seen) -> None:
    """``explain`` says of a call what comes of it, wherever it is certain."""
    plan, error, call = seen.plan, seen.error, seen.case.call
    if seen.plan_error is not None:
        same = type(seen.plan_error) is type(error)
        need(same, "explain raises what convert raises", lambda: f"{short(seen.plan_error)} and not {short(error)}")
        return
    if plan is None or not plan.certain:
        return
    need(plan.ok == (error is None), "explain tells whether it works", lambda: f"{plan}\nbut: {short(error)}")
    if error is not None:
        same = type(plan.error) is type(error) and str(plan.error) == str(error)
        need(same, "explain has the very error", lambda: f"{short(plan.error)}\nand not {short(error)}")
        return
    truth = seen.truth
    if truth is None or seen.case.source.encoded:
        return
    result = truth if seen.result is seen.names["x"] else reading.read(seen.result)
    if result.extent is None or truth.extent is None or not truth.data or not call.target:
        return
    shared = overlap(result.extent, truth.extent)
    need(
        plan.zero_copy == shared,
        "explain tells views from copies",
        lambda: f"{plan}\nbut the memory is {'' if shared else 'not '}shared",
    )
    copied = 0 if plan.zero_copy else result.nbytes
    # Where it is copied and then cast, both count.
    passes = sum(step.do in ("copy", "cast") for step in plan.steps)
    right = plan.copied_bytes == copied if passes < 2 else plan.copied_bytes > copied
    need(right, "explain counts the bytes", lambda: f"{plan.copied_bytes} and not {copied}:\n{plan}")


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two ranges of addresses have one in common."""
    return a[0] < b[1] and b[0] < a[1]


def wanted_dtype(seen: Seen) -> str | None:
    """The element type that was asked for, by name; None where none was."""
    text = seen.case.call.options.get("dtype")
    return None if text is None or text == "None" else interop.DType(eval(text, seen.names)).name


def converted(seen: Seen) -> None:
    """Type, values, memory, order and flags of a result are as asked for."""
    case, result = seen.case, seen.result
    call, source = case.call, case.source
    kept = result is seen.names["x"]
    need(
        kept or is_of(call.target, result) or type(result) is type(seen.names["x"]),
        "the result is the target's",
        f"a {type(result)}",
    )
    if source.opaque or seen.truth is None:
        need(kept, "what has no values isn't handed over", f"it gave a {type(result).__name__}")
        return
    truth, found = seen.truth, seen.truth if kept else reading.read(result)
    wanted = wanted_dtype(seen)
    if source.encoded and wanted is None:
        need(kept, "what is encoded isn't handed over", f"it gave a {type(result).__name__}")
        return
    need(found.shape == truth.shape, "the shape stays", lambda: f"{found.shape} and not {truth.shape}")
    need(
        found.dtype == (wanted or truth.dtype),
        "the element type is exact",
        lambda: f"{found.dtype}, not {wanted or truth.dtype}",
    )
    wrong = casts.difference(truth, found, signs=not source.signless)
    need(wrong is None, "the values are right", f"{wrong}")
    memory(seen, truth, found)
    order(seen, result)
    grads(seen, result, kept=kept)


def is_of(target: str, result: Any) -> bool:
    """Whether a result is what a target's arrays are."""
    if target == "numpy":
        return type(result) is np.ndarray
    if target == "torch":
        return isinstance(result, torch.Tensor)
    return reading.root(result) in (target, "jaxlib" if target == "jax" else target)


def memory(seen: Seen, truth: Found, found: Found) -> None:
    """Aliases and copies are what was asked for, and nothing readonly becomes writable."""
    options, target = seen.case.call.options, seen.case.call.target
    copy, writable = options.get("copy"), options.get("writable")
    if not truth.data or found.extent is None or truth.extent is None:
        return
    shared = overlap(found.extent, truth.extent)
    if copy == "True":
        need(not shared, "copy=True is a fresh allocation", lambda: f"{found.extent} overlaps {truth.extent}")
    if copy == "False":
        need(found.ptr == truth.ptr, "copy=False is a view", f"it is at {found.ptr}, not {truth.ptr}")
    if target == "torch":
        # It can't say so.
        promised = writable == "False" or seen.result is seen.names["x"]
        need(not (shared and truth.readonly) or promised, "readonly stays readonly", "it is writable now")
    if target != "numpy":
        return
    if shared and truth.readonly:
        need(found.readonly, "readonly stays readonly", "it is writable now")
    if writable == "True":
        need(not found.readonly, "writable=True is writable", "it is readonly")
    elif writable == "False":
        need(found.readonly, "writable=False is readonly, where that can be said", "it is writable")
    elif shared and truth.readonly is False and not seen.case.source.unsaid:
        need(not found.readonly, "writable stays writable", "it is readonly")


def order(seen: Seen, result: Any) -> None:
    """The memory is in the order that was asked for."""
    asked = seen.case.call.options.get("order")
    if asked not in ("'C'", "'F'"):
        return
    if isinstance(result, np.ndarray):
        right = result.flags.c_contiguous if asked == "'C'" else result.flags.f_contiguous
    elif isinstance(result, torch.Tensor):
        right = (result if asked == "'C'" else result.permute(tuple(range(result.ndim))[::-1])).is_contiguous()
    else:
        return
    need(right, "the order is the one that was asked for", lambda: f"{type(result)} in another order")


def grads(seen: Seen, result: Any, *, kept: bool) -> None:
    """A graph stays inside of its framework, unless it was detached."""
    if not isinstance(result, torch.Tensor) or not seen.case.source.graph:
        return
    detached = seen.case.call.options.get("detach") == "True"
    need(not (detached and result.requires_grad), "detach=True has no graph", "it requires grad")
    # A cast to integers has no gradient, and neither has a copy that was made where none is recorded.
    if not detached and result.is_floating_point():
        need(result.requires_grad, "the graph stays inside of its framework", f"no grad, kept: {kept}")


#: What can't keep a plain source from being converted, by option.
_HARMLESS: Final = {
    "order": ("'C'", "'F'", "None"),
    "writable": ("True", "False", "None"),
    "detach": ("True", "False"),
    "stream": ("None", "-1"),
    "copy": ("True", "None"),
    "device": ("'cpu'", "torch.device('cpu')", "(1, 0)", "interop.Device('cpu')"),
}


def must_work(seen: Seen) -> None:
    """What everyone can take isn't refused."""
    case, error = seen.case, seen.error
    call, source = case.call, case.source
    if error is None or not source.plain or call.target not in ("numpy", "torch"):
        return
    if any(text not in _HARMLESS.get(name, ()) for name, text in call.options.items()):
        return
    if source.graph and call.options.get("detach") != "True":
        return
    raise Broken("what everyone can take is converted", short(error))


def resizable(seen: Seen) -> None:
    """What isn't on a tensor's memory doesn't keep its storage from being resized."""
    call = seen.case.call
    if seen.error is None and call.kind in ("view", "convert", "convert_like"):
        truth = seen.truth
        if call.kind == "view" or seen.result is seen.names["x"]:
            return
        if truth is None or truth.extent is None or not truth.data:
            return
        found = reading.read(seen.result)
        if found.extent is None:
            return
        if overlap(found.extent, truth.extent):
            return
    need(reading.resizable(seen.names["x"]), "the storage stays resizable", f"it is locked: {short(seen.error)}")
