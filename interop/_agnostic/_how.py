"""What the decorator was told, checked once at decoration; and which argument is which."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from interop import _options
from interop._dtypes import DType
from interop._options import NEAREST
from interop._registry.targets import target_adapter, target_name
from interop._words import exact_str, name_of, shown
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._contract import Adapter

Grad = Literal["refuse", "cut", "bridge"]

#: What the decorator does with tensors that take part in automatic differentiation.
_GRADS: Final = ("refuse", "cut", "bridge")

#: The value of back_dtype= that takes what the caller's framework has.

#: The object that a method is called on, which stays itself whatever it holds.
_INSTANCE: Final = ("self", "cls")


@dataclass(frozen=True, slots=True)
class How:
    """What :func:`interop.via` was told about one function.

    Parameters
    ----------
    name
        The function's, for messages.
    framework
        The name of the framework inside.
    options
        Those of the conversion in that were given.
    only
        The parameters that are looked at; None for all.
    back
        The parameter that results follow where frameworks are mixed.
    back_dtype
        "nearest", a dtype, or None for exactly the element type of the result.
    inout
        The parameters that are written back.
    grad
        What becomes of tensors that require grad.
    vjp, jvp
        The function's derivatives, where it is its caller who knows them.
    positional
        The names of the parameters that take an argument by position.
    star
        The name of the one that takes the rest, or None.
    """

    name: str
    framework: str
    options: dict[str, Any]
    only: frozenset[str] | None
    back: str | None
    back_dtype: object
    inout: frozenset[str]
    grad: Grad
    positional: tuple[str, ...]
    star: str | None
    vjp: Callable[..., Any] | None = None
    jvp: Callable[..., Any] | None = None

    @property
    def target(self) -> Adapter:
        """The adapter of the framework inside, importing the framework if it isn't."""
        return target_adapter(self.framework)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that only the long way does."""
        return not (self.options or self.inout) and self.back_dtype == NEAREST and self.grad == "refuse"

    def looks_at(self, parameter: str) -> bool:
        """Whether the arguments of a parameter are converted."""
        if self.only is not None:
            return parameter in self.only
        return not (parameter in _INSTANCE and self.positional[:1] == (parameter,))

    @property
    def positions(self) -> int:
        """A bit for each position that is looked at, the last for all that follow."""
        count = 64
        return sum(1 << index for index in range(count) if self.looks_at(self.parameter_at(index)))

    @property
    def names(self) -> frozenset[str] | None:
        """The keywords that are looked at, or None for all."""
        return self.only

    def parameter_at(self, index: int) -> str:
        """The parameter that an argument by position belongs to."""
        if index < len(self.positional):
            return self.positional[index]
        return self.star or f"argument {index}"

    def label_at(self, index: int) -> str:
        """What a message calls it."""
        if index < len(self.positional) or self.star is None:
            return self.parameter_at(index)
        return f"{self.star}[{index - len(self.positional)}]"


def parse(function: Callable[..., Any], framework: object, told: dict[str, Any]) -> How:
    """Check what the decorator was told of a function.

    Raises
    ------
    UnsupportedError
        A value that isn't one, or a parameter that the function doesn't have.
    """
    name = str(getattr(function, "__qualname__", None) or name_of(type(function)))
    positional, star, known = _parameters(function)
    options = {key: told[key] for key in ("device", "dtype", "copy", "writable") if told[key] is not None}
    _options.parse(**options)
    named: dict[str, tuple[str, ...]] = {}
    for key in ("only", "inout", "back"):
        named[key] = _named(key, told[key])
        unknown = [each for each in named[key] if known is not None and each not in known]
        if unknown:
            has = ", ".join(sorted(known or ()))
            msg = f"{name}() has no parameter {unknown[0]!r}, which {key}= names. It has {has}."
            raise UnsupportedError(msg)
    _check_grad(name, told)
    back_dtype = told["back_dtype"]
    if back_dtype is not None and exact_str(back_dtype) != NEAREST:
        back_dtype = DType(back_dtype)
    return How(
        name=name,
        framework=target_name(framework),
        options=options,
        only=None if told["only"] is None else frozenset(named["only"]),
        back=named["back"][0] if named["back"] else None,
        back_dtype=back_dtype,
        inout=frozenset(named["inout"]),
        grad=told["grad"],
        positional=positional,
        star=star,
        vjp=told["vjp"],
        jvp=told["jvp"],
    )


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], str | None, frozenset[str] | None]:
    """The names by position, the one that takes the rest, and all of them; None where any name may come."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions of C have none
        return (), None, None
    kinds = inspect.Parameter
    positional = tuple(p.name for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD))
    star = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
    any_name = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
    return positional, star, None if any_name else frozenset(p.name for p in parameters)


def _named(key: str, told: object) -> tuple[str, ...]:
    """The parameters that an option names: one, or several."""
    if told is None:
        return ()
    if exact_str(told) is not None:
        return (str(told),)
    if key != "back" and isinstance(told, (tuple, list, set, frozenset)) and all(map(exact_str, told)):
        return tuple(told)
    accepted = "the name of a parameter" if key == "back" else "names of parameters, such as ('x', 'y')"
    raise UnsupportedError(f"{key}={shown(told)} is not a value of this argument: pass {accepted}.")


def _check_grad(name: str, told: dict[str, Any]) -> None:
    grad = exact_str(told["grad"])
    if grad not in _GRADS:
        msg = f"grad={shown(told['grad'])} is not a value of this argument: pass 'refuse', 'cut' or 'bridge'."
        raise UnsupportedError(msg)
    for key in ("vjp", "jvp"):
        if told[key] is None:
            continue
        if grad != "bridge":
            msg = f"{name}: {key}= says how gradients go back, which is for grad='bridge' alone. Leave it out."
            raise UnsupportedError(msg)
        if not callable(told[key]):
            raise UnsupportedError(f"{name}: {key}={shown(told[key])} can't be called. Pass a function.")
