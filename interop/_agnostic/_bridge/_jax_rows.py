"""A function that a person wrote, as one of tensors in a row, and which types its results go back as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interop._agnostic._bridge._structure import Structure, leaves_of, placed
from interop._agnostic._containers import classify
from interop._native import LEAF
from interop._options import NEAREST
from interop._plan.nearest import nearest
from interop.errors import DTypeError, GradientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interop._agnostic._how import How


class Rowed:
    """A function with what was around the arrays of a call.

    Parameters
    ----------
    function, how
        The function, and what the decorator was told of it.
    given, named
        The arguments, with a stand-in for each tensor.
    held
        The element types that jax has now.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        how: How,
        given: tuple[Any, ...],
        named: dict[str, Any],
        held: frozenset[str],
    ) -> None:
        self.function, self.how, self.given, self.named, self.held = function, how, given, named, held
        #: Whether the arguments are the tensors, and nothing else.
        self._bare = not named and all(classify(x)[0] == LEAF for x in given)
        #: What is around a result that is a tensor itself, by the types of such results.
        self._alone: dict[type, Structure] = {}

    def arguments(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these tensors in them."""
        if self._bare:
            return tuple(tensors), {}
        rest = iter(tensors)
        return placed(self.how, self.given, self.named, lambda _: next(rest))

    def call(self, tensors: Sequence[Any]) -> tuple[list[Any], Structure]:
        """The results in a row, and what is around them."""
        given, named = self.arguments(tensors)
        result = self.function(*given, **named)
        around = self._alone.get(type(result))
        if around is not None:
            return [result], around
        row, around = leaves_of(result), Structure(result, self.how.name)
        if not row:
            msg = (
                f"{self.how.name}() was given jax arrays, and returned no tensor at all, so a gradient would end "
                "there. Return a tensor (an array of the library inside), or decorate with grad='cut'."
            )
            raise GradientError(msg)
        if row[0] is result and not isinstance(result, np.generic):
            self._alone[type(result)] = around
        return [np.asarray(x) if isinstance(x, np.generic) else x for x in row], around

    def type_back(self, own: str) -> str:
        """The name of the element type that a result of another one has in jax."""
        asked = self.how.back_dtype
        wanted = nearest(own, self.held) if asked == NEAREST else own if asked is None else str(asked)
        if wanted is None or wanted not in self.held:
            msg = (
                f"{self.how.name}() returned {own}, and jax has no {wanted or own} here. Decorate with "
                "back_dtype='nearest', or switch on jax.config.update('jax_enable_x64', True)."
            )
            raise DTypeError(msg)
        return wanted
