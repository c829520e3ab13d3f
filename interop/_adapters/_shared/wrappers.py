"""Sources that wrap an array: what they hold is handed over, by the adapter of its own framework.

None of them can be a target: what else they hold (labels, an index, a name) no array has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interop._adapters._numpy import adapter as host
from interop._adapters._protocol import ProtocolAdapter
from interop._adapters._shared.native import HostNative
from interop._contract import ADAPTER_API
from interop._words import about, name_of, text_of, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from interop._contract import Adapter, Facts, Limits
    from interop._devices import Device
    from interop._dtypes import DType
    from interop._native import View


def _held(x: Any) -> tuple[str, str]:
    return with_article(name_of(type(x))), "numpy.asarray(x)"


class Wrapped:
    """The adapter of wrappers that hold one framework's arrays: that framework's, with the wrapper taken off first.

    Parameters
    ----------
    name
        Of the wrappers' library.
    unwrap
        Returns what an object wraps, or the object itself where it is no wrapper: a copy in the middle of a plan.
    inner
        The adapter of what is wrapped.
    held
        Says what an object is, and spells what it wraps, for messages.
    """

    api = ADAPTER_API

    def __init__(
        self,
        name: str,
        modules: tuple[str, ...],
        unwrap: Callable[[Any], Any],
        inner: Adapter,
        held: Callable[[Any], tuple[str, str]] = _held,
    ) -> None:
        self.name = name
        self.held = held
        self.modules = modules
        self.unwrap = unwrap
        self.inner = inner
        #: The framework whose arrays are behind the wrapper.
        self.behind: str = getattr(inner, "behind", "") or getattr(inner, "family", inner.name)
        #: What :func:`interop.framework` says of it.
        self.family = name
        #: What keeps the memory of what is wrapped, where that may move.
        self.keeper = getattr(inner, "keeper", None)
        #: What its library shows is read by the reader of its type; nothing is done before that is handed on.
        self.native = HostNative({})

    def claims(self, _tp: type, /) -> bool:
        """Which of the library's types there are is for its :class:`Wrapper` to say."""
        return False

    def limits(self, device_type: int, /) -> Limits | None:
        """What can be cast is for the framework of what is wrapped to say."""
        return self.inner.limits(device_type)

    def describe(self, x: Any, /) -> Facts:
        """The facts of what is wrapped, under the wrapper's name."""
        facts: Facts = self._of_held(x, self.inner.describe)
        return replace(facts, framework=self.name)

    def _of_held(self, x: Any, ask: Callable[[Any], Any]) -> Any:
        """Ask of what is wrapped; what is advised then is advised of the wrapper."""
        inner = self.unwrap(x)
        try:
            return ask(inner)
        except UnsupportedError as err:
            if inner is x:
                raise
            what, spelled = self.held(x)
            raise UnsupportedError(f"{what} holds no tensor: {about(text_of(err), spelled)}") from err

    def extents(self, x: Any, /) -> Any:
        """Where it lies, as what is wrapped: where its adapter tells."""
        verb = getattr(self.inner, "extents", None)
        return () if verb is None else verb(self.unwrap(x))

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Settle what is wrapped."""
        inner = self.unwrap(x)
        if isinstance(self.inner, ProtocolAdapter) and "lazy" in what:
            return self.inner.open(inner)
        return self.inner.settle(inner, what)

    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """Borrow the memory of what is wrapped."""
        return self.inner.export(self.unwrap(x), facts, stream)

    def wrap(self, view: View, /) -> Any:
        """Leave it to the framework of what is wrapped: for a step in the middle."""
        return self.inner.wrap(view)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate in the framework of what is wrapped: for a copy by the source."""
        return self.inner.empty(dtype, shape, strides, device)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with the framework of what is wrapped."""
        self.inner.assign(self.unwrap(dst), self.unwrap(src))

    def current_device(self, device_type: int, /) -> int:
        """As what is wrapped."""
        return self.inner.current_device(device_type)

    def current_stream(self, device: Device, /) -> int | None:
        """As what is wrapped."""
        return self.inner.current_stream(device)

    def using(self, device: Device, stream: int | None, /) -> AbstractContextManager[None]:
        """As what is wrapped."""
        return self.inner.using(device, stream)

    def order(self, device: Device, before: int | None, /, *after: int) -> None:
        """As what is wrapped."""
        self.inner.order(device, before, *after)

    def capturing(self, device: Device, stream: int, /) -> bool:
        """As what is wrapped."""
        return self.inner.capturing(device, stream)

    def retain(self, memory: Any, stream: int, /) -> tuple[int, ...]:
        """As what is wrapped: it is that framework's memory."""
        return self.inner.retain(memory, stream)

    def locate(self, ptr: int, /) -> int | None:
        """As what is wrapped."""
        return self.inner.locate(ptr)

    def native_dtypes(self) -> Mapping[Any, str]:
        """None of its own."""
        return {}

    def native_device(self, _device: object, /) -> tuple[int, int] | None:
        """None of its own."""
        return None

    def native_stream(self, _stream: object, /) -> int | None:
        """None of its own."""
        return None


def read_by_numpy(adapter: Adapter) -> Wrapped:
    """The adapter of what another one has opened into an ndarray: it can't be a View."""
    return Wrapped(adapter.name, adapter.modules, lambda opened: opened, host)


class Wrapper(Wrapped):
    """The adapter of a library of wrappers; the registry asks :meth:`adapter_of` for the one of an object."""

    def __init__(
        self,
        name: str,
        modules: tuple[str, ...],
        claims: Callable[[type], bool],
        unwrap: Callable[[Any], Any],
        shown: Mapping[type, Callable[[Any], Any]] | None = None,
        *,
        held: Callable[[Any], tuple[str, str]] = _held,
    ) -> None:
        super().__init__(name, modules, unwrap, host, held)
        self._claims = claims
        self.native = HostNative(shown or {})

    def claims(self, tp: type, /) -> bool:
        """The library's types."""
        return self._claims(tp)

    def limits(self, _device_type: int, /) -> Limits | None:
        """Nothing can be made here: wrappers are sources only."""
        return None

    def adapter_of(self, x: Any, adapter_for: Callable[[Any], Adapter], /) -> Adapter:
        """The adapter of one wrapper, by what it wraps."""
        return Wrapped(self.name, self.modules, self.unwrap, self._of_held(x, adapter_for), self.held)
