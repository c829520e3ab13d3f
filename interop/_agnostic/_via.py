"""The decorator for functions that are written for one framework and called with any."""

from __future__ import annotations

import functools
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from interop._agnostic._bridge import Bridged, check
from interop._agnostic._calls import Call, arguments_of
from interop._agnostic._how import How, parse
from interop._agnostic._kinds import Kinds, door_to
from interop._agnostic._plans import plans_of
from interop._agnostic._traced import hiding, holds, is_traced, mapped, traced_ways
from interop._agnostic._wrappers import WRAPPERS, entered
from interop._native import Via, call_slowly, keep_vectorcall
from interop._options import NEAREST
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from interop._contract import Adapter
    from interop._plan.plan import Plan
    from interop._typed import DeviceLike, DtypeLike

_F = TypeVar("_F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a call of a function that :func:`interop.via` decorated does with its arguments.

    Attributes
    ----------
    ok, error
        Whether the function would be called, and the error that is raised else.
    arguments
        The plan of each tensor by where it is, such as ``x`` or ``batch["labels"][0]``.
    copied_bytes, transferred_bytes
        Bytes that are written before the function is called.
    back
        The framework and the device that results go back to; empty where no argument is a tensor. What a result costs
        depends on what the function returns.
    """

    ok: bool
    error: InteropError | None
    arguments: Mapping[str, Plan]
    back: str

    @property
    def copied_bytes(self) -> int:
        """Bytes that copies write."""
        return sum(plan.copied_bytes for plan in self.arguments.values())

    @property
    def transferred_bytes(self) -> int:
        """Bytes that moves between devices write."""
        return sum(plan.transferred_bytes for plan in self.arguments.values())

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{where}: {plan}" for where, plan in self.arguments.items()]
        if self.error is not None:
            lines.append(f"refused, {type(self.error).__name__}: {self.error}")
        else:
            lines.append(f"results: {f'go back to {self.back}' if self.back else 'come as they are'}")
        return "\n".join(lines)


def via(
    framework: str | ModuleType,
    /,
    *,
    device: DeviceLike | None = None,
    dtype: DtypeLike | None = None,
    copy: bool | None = None,
    writable: bool | None = None,
    only: str | Sequence[str] | None = None,
    back: str | None = None,
    back_dtype: DtypeLike | None = NEAREST,
    inout: str | Sequence[str] = (),
    grad: Literal["refuse", "cut", "bridge"] = "refuse",
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
) -> Callable[[_F], _F]:
    """Decorate a function that is written for one framework: its callers may use any, and get their own back.

    Parameters
    ----------
    framework
        What the function computes with: a name, a module, or an array-api-compat namespace, as in :func:`convert`.
    device, dtype, copy, writable
        How tensors come in, as in :func:`convert`. Tensors of a GPU come to a framework of the host with
        ``device="cpu"`` only. With one of these the framework's own tensors are converted, too.
    only
        The parameters that are looked at, by name; None for all but a method's ``self`` or ``cls``.
    back
        The parameter whose framework and device results have where the callers' tensors are of several kinds. Without
        it such a call is an error.
    back_dtype
        What results are cast to: ``"nearest"`` for the result's own element type, or what is nearest to it where the
        caller's framework lacks it (jax without x64 has no int64); None for exactly that; a dtype.
    inout
        The parameters that the function writes into, whose arguments see the write whether they were copied or not.
    grad
        What becomes of a tensor that requires grad, and of another framework: ``"refuse"`` raises, ``"cut"`` takes the
        values without the graph. Where nothing is recorded (``torch.no_grad``) nothing is cut, and nothing refused.
        ``"bridge"`` carries gradients across: functions of jax for callers of torch, of torch for callers of jax, and
        of all others by the derivatives that come with them. It takes none of the options that convert arguments.
    vjp, jvp
        For ``grad="bridge"`` and a library that doesn't differentiate. ``vjp(args, result, cotangent)`` returns one
        cotangent, or None, for each tensor of `args`, which are the positional arguments as the function got them;
        ``jvp(args, tangents)`` returns what the function does, with tangents in the place of tensors.

    Returns
    -------
    Callable
        A decorator of functions, methods, classmethods, staticmethods, async functions and generators. What it returns
        has the function's signature, and a method ``explain`` that takes the same arguments.

    Raises
    ------
    UnsupportedError
        Tensors of several frameworks or devices come in and `back` names none, or one can't come in, or a result can't
        go back. The message names the argument, and the path in it.
    GradientError, DeviceError, DTypeError, CopyError
        As :func:`convert`, of an argument or a result.
    ReadOnlyError
        The function wrote into an argument that `inout` doesn't name, or `inout` names one that can't be written. numpy
        says the former itself, by a ValueError: a converted argument is handed in readonly where the framework can say
        so.

    See Also
    --------
    convert_tree : containers of tensors.

    Notes
    -----
    Tensors in containers count, as in :func:`convert_tree`; Python's numbers, numpy's scalars and everything else come
    through as they are and decide nothing. An argument that the function returns comes back as the caller's own object.
    numpy's scalars in a result become 0-d arrays of the caller's framework. What the function raises comes out as it
    is.
    The framework's own callers get what the function itself gives, at the cost of one look at each argument.

    Examples
    --------
    >>> import numpy as np, torch, interop
    >>> @interop.via("numpy")
    ... def softplus(x):
    ...     return np.log1p(np.exp(x))
    >>> softplus(torch.zeros(2))
    tensor([0.6931, 0.6931])
    >>> softplus(np.zeros(1))
    array([0.69314718])
    """
    told = {
        "device": device,
        "dtype": dtype,
        "copy": copy,
        "writable": writable,
        "only": only,
        "back": back,
        "back_dtype": back_dtype,
        "inout": inout,
        "grad": grad,
        "vjp": vjp,
        "jvp": jvp,
    }

    def decorate(function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(decorate(function.__func__))
        if not callable(function):
            msg = f"{function!r} can't be called. Put @interop.via(...) above a function."
            raise UnsupportedError(msg)
        return _decorated(function, framework, told)

    return decorate


def _decorated(function: Callable[..., Any], framework: object, told: dict[str, Any]) -> Any:
    how = parse(function, framework, told)
    if how.grad == "bridge":
        check(how.name, how.framework, told)
        bridged = Bridged(function, how, (_decorated, (function, framework, told)))
        vars(bridged)["explain"] = functools.partial(_explain, how)
        return bridged
    for is_kind, wrap in WRAPPERS:
        if is_kind(function):
            wrapped = functools.wraps(function)(wrap(function, how))
            vars(wrapped)["explain"] = functools.partial(_explain, how)
            return wrapped
    return _Function(function, how, (function, framework, told))


class _Function(Via):
    """A decorated function; calls are taken by C, and where Dynamo traces by ``__call__``."""

    def __init__(self, function: Callable[..., Any], how: How, made_of: tuple[Any, ...]) -> None:
        kinds = Kinds(how)
        super().__init__(
            function,
            classify=kinds,
            come=door_to(how.framework),
            backs=kinds.backs,
            slow=_slow,
            slow_back=_slow_back,
            version=getattr(_loaded(how), "writes", (None,))[0],
            hide=hiding(),
            positions=how.positions,
            names=how.names,
        )
        functools.update_wrapper(self, function)
        self.how, self._made_of = how, made_of
        self._ways = traced_ways(how)
        # The object of a method isn't looked at.
        self._first = int(not how.looks_at(how.parameter_at(0)))

    def __call__(self, *given: Any, **named: Any) -> Any:
        """What Dynamo reads in the place of the call of C: arguments one by one, by calls that it traces."""
        ways = self._ways
        if ways is None or not all(is_traced(x, ways) for x in (*given[self._first :], *named.values())):
            return call_slowly(self, given, named)
        came = any(holds(x, ways.goes) for x in (*given, *named.values()))
        inside = [mapped(x, ways.goes, ways.out) for x in given]
        options = {name: mapped(x, ways.goes, ways.out) for name, x in named.items()}
        result = self.function(*inside, **options)
        return mapped(result, ways.comes, ways.into) if came else result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        if self._ways is not None and self._ways.traces():
            # Dynamo traces no bound method of what is no function.
            return functools.partial(self, instance)
        return types.MethodType(self, instance)

    def explain(self, /, *given: Any, **named: Any) -> CallPlan:
        """Tell what a call with these arguments would do with them; the function isn't called.

        Of a method the object comes first: ``Model.step.explain(model, x)``.
        """
        return _explain(self.how, *given, **named)

    def __reduce__(self) -> Any:
        names = vars(self)
        here: Any = sys.modules.get(names.get("__module__", ""))
        for part in names.get("__qualname__", "").split("."):
            here = getattr(here, part, None)
        return names["__qualname__"] if here is self else (_decorated, self._made_of)

    def __repr__(self) -> str:
        return f"<interop.via({self.how.framework!r}) of {self.function!r}>"


keep_vectorcall(_Function)


def _loaded(how: How) -> Adapter | None:
    try:
        return how.target
    except InteropError:
        # What isn't installed is refused when it is called.
        return None


def _slow(function: _Function, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    call, inside, options = entered(function.how, given, named)
    return call.leave(function.function(*inside, **options))


def _slow_back(function: _Function, result: Any, came: list[tuple[Any, Any, int | str, bool]]) -> Any:
    return Call.after(function.how, came).leave(result)


def _explain(how: How, /, *given: Any, **named: Any) -> CallPlan:
    call, arguments = Call(how), arguments_of(how, given, named)
    try:
        home = call.home_of(arguments)
        plans = plans_of(how, arguments)
    except InteropError as err:
        return CallPlan(ok=False, error=err, arguments={}, back="")
    wrong = next((plan.error for plan in plans.values() if plan.error is not None), None)
    back = "" if home is None else str(home)
    return CallPlan(ok=wrong is None, error=wrong, arguments=plans, back=back)
