"""Which way gradients take: a table from the caller's framework to what carries them, loaded when somebody calls."""

from __future__ import annotations

import functools
import importlib
import sys
import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from interop._agnostic._calls import Call, arguments_of
from interop._agnostic._wrappers import WRAPPERS, entered
from interop._registry.lookup import loaded_adapters
from interop.errors import GradientError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._agnostic._how import How

#: What makes of a function one that the caller's framework differentiates: ``make(function, inner, spec)``, where
#: `inner` is the name of the framework inside and `spec` what the decorator was told. It is called with the arguments
#: as the caller passed them, tensors of the caller's framework among them, and returns what the caller gets.
BRIDGES: Final[Mapping[str, str]] = {
    "torch": "interop._agnostic._bridge._torch:bridge_into_torch",
    "jax": "interop._agnostic._bridge._jax:bridge_into_jax",
}

#: The frameworks whose functions are differentiated by themselves, for which callers. For all others the caller
#: passes vjp=.
DERIVED: Final[Mapping[str, str]] = {"jax": "torch", "torch": "jax"}

#: Options that say how an argument is converted. The bridge aliases what it can.
_NOT_TAKEN: Final = ("device", "dtype", "copy", "writable", "inout", "back")


def check(name: str, framework: str, told: Mapping[str, Any]) -> None:
    """Refuse, where the function is decorated, what ``grad="bridge"`` doesn't do.

    Raises
    ------
    UnsupportedError
        An option that isn't for it.
    GradientError
        A function of a framework that doesn't differentiate comes without its derivative.
    """
    for key in _NOT_TAKEN:
        if told[key] is not None and told[key] != ():
            msg = (
                f"{name}: grad='bridge' takes no {key}=: what it converts has to stay in the caller's graph. Leave it "
                "out, and convert with the caller's own operations before the call."
            )
            raise UnsupportedError(msg)
    if framework in DERIVED:
        for key in ("vjp", "jvp"):
            if told[key] is not None:
                msg = f"{name}: {framework} differentiates its own functions, so {key}= has no use. Leave it out."
                raise UnsupportedError(msg)
    elif told["vjp"] is None:
        msg = (
            f"{name}: {framework} differentiates no functions, so grad='bridge' needs vjp=, a function of (args, "
            "result, cotangent) that returns one cotangent, or None, for each tensor of args. Pass it, or grad='cut' "
            "for the values without the graph."
        )
        raise GradientError(msg)


class Bridged:
    """A decorated function that gradients go through."""

    def __init__(self, function: Callable[..., Any], how: How, made_by: tuple[Any, tuple[Any, ...]]) -> None:
        if any(is_kind(function) for is_kind, _ in WRAPPERS):
            msg = (
                f"{how.name} is a generator or async, and grad='bridge' is for functions that return once. Decorate "
                "the part that computes."
            )
            raise UnsupportedError(msg)
        functools.update_wrapper(self, function)
        self.function, self.how, self._made_by = function, how, made_by
        #: What a call becomes, by the caller's framework, and by the type of the first tensor that is met.
        self._made: dict[str, Callable[..., Any]] = {how.framework: self._own}
        self._roads: dict[type, Callable[..., Any]] = {}
        self._traced: Traced | None = None
        for adapter in loaded_adapters():
            if hasattr(adapter, "traces"):
                self._learn(adapter.name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the function; gradients go through where the caller's framework records them."""
        traced = self._traced
        if traced is not None and traced.traces():
            found = traced.traced(given, named)
            if found is not NotImplemented:
                return found
            traced.ends()
        for x in given:
            road = self._roads.get(type(x))
            if road is not None:
                return road(*given, **named)
        slowly = self._slowly if traced is None else traced.hidden(self._slowly)
        return slowly(given, named)

    def _slowly(self, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Find out whose tensors these are: all of one framework, or it is an error that says who is what."""
        home = Call(self.how).home_of(arguments_of(self.how, given, named))
        if home is None:
            return self.function(*given, **named)
        road = self._learn(home.framework)
        if road is None:
            # Nothing of this framework's is recorded, or it is refused as anywhere.
            call, inside, options = entered(replace(self.how, grad="refuse"), given, named)
            return call.leave(self.function(*inside, **options))
        self._roads.setdefault(type(home.like), road)
        return self.function(*given, **named) if home.framework == self.how.framework else road(*given, **named)

    def _own(self, *given: Any, **named: Any) -> Any:
        """A call with the own framework's tensors: the bare function, unless others are among them."""
        if not named and len({type(x) for x in given}) == 1:
            return self.function(*given)
        return self._slowly(given, named)

    def _learn(self, framework: str) -> Callable[..., Any] | None:
        """What a call from a framework becomes; None where nothing carries its gradients."""
        if framework not in self._made and framework in BRIDGES:
            module, name = BRIDGES[framework].split(":")
            make = getattr(importlib.import_module(module), name)
            self._made[framework] = road = make(self.function, self.how.framework, self.how)
            if hasattr(road, "traces"):
                self._traced = road
        return self._made.get(framework)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        if self._traced is not None and self._traced.traces():
            # Dynamo traces no bound method of what is no function.
            return functools.partial(self, instance)
        return types.MethodType(self, instance)

    def __reduce__(self) -> Any:
        names = vars(self)
        here: Any = sys.modules.get(names.get("__module__", ""))
        for part in names.get("__qualname__", "").split("."):
            here = getattr(here, part, None)
        return names["__qualname__"] if here is self else self._made_by

    def __repr__(self) -> str:
        return f"<interop.via({self.how.framework!r}, grad='bridge') of {self.function!r}>"


class Traced(Protocol):
    """A road that a compiler can trace.

    `traces` says whether it does here and now; `traced` is what it follows, and NotImplemented where the graph has to
    end, which `ends` does. What `hidden` returns the compiler doesn't look into.
    """

    def traces(self) -> bool: ...
    def traced(self, given: tuple[Any, ...], named: dict[str, Any], /) -> Any: ...
    def ends(self) -> None: ...
    def hidden(self, function: Callable[..., Any], /) -> Callable[..., Any]: ...
    def __call__(self, *given: Any, **named: Any) -> Any: ...
