"""The way of a call from jax: what is around its arrays is put aside, and jax differentiates a function of arrays."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any, Final

import jax
from jax.core import Tracer

from interop._adapters._jax import PACKED
from interop._agnostic._bridge._jax_memory import given_back, home_of, lent
from interop._agnostic._bridge._jax_primitive import call, likes_of
from interop._agnostic._bridge._jax_rows import Rowed
from interop._agnostic._bridge._structure import placed, stand_in, taken
from interop._agnostic._calls import Call, arguments_of
from interop._dtypes import BY_NAME, BY_NUMPY
from interop._registry.lookup import adapter_for, describe
from interop._registry.targets import target_adapter
from interop.errors import DTypeError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from interop._agnostic._bridge._jax_function import Like, Written
    from interop._agnostic._how import How

#: What makes a function of arrays in a row, by the framework inside; of all others, the caller's own derivatives.
_MAKERS: Final[Mapping[str, str]] = {"torch": "interop._agnostic._bridge._jax_torch:torch_function"}
_BY_CALLER: Final = "interop._agnostic._bridge._jax_given:given_function"

#: The element types that jax packs.
_PACKED: Final = frozenset(BY_NAME[name].numpy for name in PACKED)

#: How many calls of one function are kept, by what was around their arrays: a number that changes at each step makes
#: each of them another one.
_MOST: Final = 256


def bridge_into_jax(function: Callable[..., Any], inner: str, how: How) -> Callable[..., Any]:
    """Make of a function of another library one that jax differentiates, compiles and batches."""
    return _Bridge(function, inner, how).call


class _Bridge:
    def __init__(self, function: Callable[..., Any], inner: str, how: How) -> None:
        module, name = _MAKERS.get(inner, _BY_CALLER).split(":")
        self._make: Callable[..., Written] = getattr(importlib.import_module(module), name)
        self.function, self.how = function, how
        self._made: dict[Hashable, Written] = {}
        self._lock = threading.Lock()

    def call(self, /, *given: Any, **named: Any) -> Any:
        tensors, key = taken(self.how, given, named)
        likes = self._likes(tensors, given, named)
        written = self._written(key, given, named, len(tensors))
        if any(isinstance(x, Tracer) for x in tensors):
            results = call(written, tensors)
            around = written.around(likes)
        else:
            written.check(likes)
            results, found = written.run([lent(written, x) for x in tensors])
            assert found is not None
            around = found
            home = home_of(tensors)
            results = [given_back(written, x, home) for x in results]
        return around.build(results)

    def _likes(self, tensors: Sequence[Any], given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Like, ...]:
        if not all(isinstance(x, jax.Array) for x in tensors):
            # Somebody else's are among them: that is refused there, by the names of the arguments.
            Call(self.how).home_of(arguments_of(self.how, given, named))
        name = self.how.name
        for x in tensors:
            if x.dtype not in BY_NUMPY or x.dtype in _PACKED:
                describe(adapter_for(x), x, traced=True)
                msg = f"{name}() got a jax array of {x.dtype}, which jax packs. Pass x.astype('int8')."
                raise DTypeError(msg)
            if not all(isinstance(each, int) for each in x.shape):
                msg = f"{name}() got a jax array {x.shape}, and torch's shapes are numbers. Export it for one shape."
                raise UnsupportedError(msg)
        return likes_of(tensors)

    def _written(self, key: Hashable, given: tuple[Any, ...], named: dict[str, Any], count: int) -> Written:
        held = target_adapter("jax").limits(1)
        assert held is not None
        if key is not None:
            key = (key, held.dtypes)
            found = self._made.get(key)
            if found is not None:
                return found
        inside, options = placed(self.how, given, named, lambda _: stand_in())
        made = self._make(Rowed(self.function, self.how, inside, options, held.dtypes - PACKED), count)
        if key is not None:
            with self._lock:
                made = self._made.setdefault(key, made)
                if len(self._made) > _MOST:
                    del self._made[next(iter(self._made))]
        return made
