"""Functions of other libraries for callers with tensors of torch: eager, under its transforms, and compiled."""

from __future__ import annotations

import importlib
import itertools
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import torch

from interop._agnostic._bridge._structure import placed, stand_in, taken
from interop._agnostic._bridge._torch_function import carried, is_recorded, is_watched
from interop._agnostic._bridge._torch_op import hidden
from interop._agnostic._calls import Call, arguments_of
from interop.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from interop._agnostic._bridge._torch_flat import Flat
    from interop._agnostic._how import How

_PLAIN: Final = frozenset({torch.Tensor, torch.nn.Parameter})

#: What makes a function in a row, by the framework inside; of all others, the caller's own derivative.
_MAKERS: Final[Mapping[str, str]] = {"jax": "interop._agnostic._bridge._torch_jax:jax_flat"}
_BY_CALLER: Final = "interop._agnostic._bridge._torch_user:user_flat"

#: How many structures of arguments a function keeps what it traced for: a number that changes with each call is one.
_KEPT: Final = 256


_count: Final = itertools.count()

#: The roads by what Dynamo takes for a constant, as it does text and, where shapes are dynamic, no number.
ROADS: Final[weakref.WeakValueDictionary[str, Road]] = weakref.WeakValueDictionary()


class Road:
    """A function, called with tensors of torch."""

    #: Whether Dynamo traces here and now.
    traces: Any = staticmethod(torch.compiler.is_compiling)
    hidden: Any = staticmethod(hidden)

    def __init__(self, function: Callable[..., Any], inner: str, spec: How) -> None:
        module, name = _MAKERS.get(inner, _BY_CALLER).split(":")
        self.function, self.how = function, spec
        self._make = getattr(importlib.import_module(module), name)
        self._flats: OrderedDict[Hashable, Flat] = OrderedDict()
        #: The ones of tensors alone, by how many there are.
        self._rows: dict[int, Flat] = {}
        self._looks_at_all = spec.only is None and spec.looks_at(spec.parameter_at(0))
        self.number = f"{spec.name}:{next(_count)}"
        ROADS[self.number] = self

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call it now, by whichever way carries what torch records."""
        return hidden(self._call)(given, named)

    def _call(self, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        row = self._rows.get(len(given)) if not named and _PLAIN.issuperset(map(type, given)) else None
        tensors, flat = self.flat_of(given, named) if row is None else (given, row)
        results, structure = carried(flat, tensors) if is_watched(tensors) else flat.run(tensors)
        if not results and is_recorded(tensors):
            raise _no_tensor(self.how)
        return structure.build(results) if structure is not None else None

    def traced(self, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What Dynamo follows in the place of a call; NotImplemented where the graph has to end."""
        from interop._agnostic._bridge._torch_traced import traced  # noqa: PLC0415 - it imports Dynamo, which takes seconds

        return traced(self.number, given, named)

    def ends(self) -> None:
        """End Dynamo's graph here."""
        from interop._agnostic._bridge._torch_traced import break_graph  # noqa: PLC0415 - as above

        break_graph(self.how.name)

    def flat_of(
        self, given: tuple[Any, ...], named: dict[str, Any], *, checked: bool = True
    ) -> tuple[Sequence[torch.Tensor], Flat]:
        """The tensors of a call, and the function of them in a row; unchecked where others stand for them."""
        if self._looks_at_all and not named and _PLAIN.issuperset(map(type, given)):
            tensors: Sequence[torch.Tensor] = given
            key: Hashable | None = ((0,) * len(given), ())
        else:
            tensors, key = taken(self.how, given, named)
            if checked and not all(isinstance(x, torch.Tensor) for x in tensors):
                # Says who is what.
                Call(self.how).home_of(arguments_of(self.how, given, named))
        found = None if key is None else self._flats.get(key)
        if found is None:
            found = self._made(given, named, key, len(tensors))
        if tensors is given:
            self._rows[len(given)] = found
        return tensors, found

    def _made(self, given: tuple[Any, ...], named: dict[str, Any], key: Hashable | None, count: int) -> Flat:
        inside, options = placed(self.how, given, named, lambda _: stand_in())
        flat: Flat = self._make(self.how, self.function, inside, options, count, kept=key is not None)
        if key is not None:
            flat = self._flats.setdefault(key, flat)
            while len(self._flats) > _KEPT:
                self._flats.popitem(last=False)
        return flat


def bridge_into_torch(function: Callable[..., Any], inner: str, spec: How) -> Road:
    """Make of a function of another library one that torch differentiates."""
    return Road(function, inner, spec)


def _no_tensor(how: How) -> GradientError:
    msg = (
        f"{how.name}() was given a tensor that requires grad, and returned no tensor at all, so the gradient would end "
        "there. Return a tensor (an array of the library inside), or decorate with grad='cut'."
    )
    return GradientError(msg)
