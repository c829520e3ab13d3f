"""What an object is to a decorated function, by its type: what the call in C asks when it meets one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interop import _to
from interop._adapters._protocol import ProtocolAdapter
from interop._adapters._shared.wrappers import Wrapper
from interop._adapters._view import ViewAdapter
from interop._agnostic._calls import classify_result
from interop._agnostic._containers import classify
from interop._contract import SupportsDressing
from interop._convert import convert
from interop._devices import CPU, NAMES
from interop._native import CONTAINER, FOREIGN, KEEP, OWN, PASS, SCALAR, SLOW
from interop._registry.lookup import adapter_for_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop._agnostic._how import How
    from interop._contract import Adapter


def door_to(framework: str) -> Callable[[Any], Any]:
    """What converts to a framework by the defaults."""
    door = getattr(_to, f"to_{framework}", None)
    return door if door is not None else lambda x: convert(x, framework)


class Kinds:
    """What objects are to one function, by their types; frameworks are numbered as they are met."""

    def __init__(self, how: How) -> None:
        self.how = how
        self.backs: dict[int, Callable[[Any], Any]] = {}
        self.numbers: dict[str, int] = {}

    def __call__(self, x: Any) -> int:
        kind, _ = classify_result(x)
        if kind == KEEP:
            return PASS
        if kind == CONTAINER:
            return SLOW
        if classify(x)[0] == KEEP:
            return SCALAR
        return self._of_tensor(type(x))

    def _of_tensor(self, tp: type) -> int:
        adapter = adapter_for_type(tp)
        if adapter is None or isinstance(adapter, (ProtocolAdapter, ViewAdapter, Wrapper)):
            return SLOW
        how = self.how
        if adapter.name == how.framework:
            return SLOW if how.options else OWN
        if not how.is_plain or not (_is_on_one_host(adapter) and _is_on_one_host(how.target)):
            return SLOW
        if isinstance(adapter, SupportsDressing):
            return SLOW
        if not (_is_host_alone(adapter) or _is_host_alone(how.target)):
            return SLOW
        number = self.numbers.setdefault(adapter.name, FOREIGN + len(self.numbers))
        self.backs[number] = door_to(adapter.name)
        return number


def _is_host_alone(adapter: Adapter) -> bool:
    return all(adapter.limits(code) is None for code in NAMES if code != CPU)


def _is_on_one_host(adapter: Adapter) -> bool:
    room = adapter.limits(CPU)
    return room is not None and room.devices is None
