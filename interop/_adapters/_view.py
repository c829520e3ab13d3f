"""Our own View as a source: what was exported once can be handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop._adapters._shared.cuda import Loan, has_streams
from interop._adapters._shared.host import HostOnly
from interop._adapters._shared.native import HostNative
from interop._contract import ADAPTER_API, Facts, Limits
from interop._native import View, ViewReader, find
from interop._streams import ORDERED
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._devices import Device
    from interop._dtypes import DType


def orders(owner: object) -> bool:
    """Whether the owner of a View's memory can order it on a stream."""
    return bool(getattr(owner, "orders", find(type(owner), "__dlpack__") is not None))


class ViewAdapter(HostOnly):
    """A source only: a View has neither memory of its own nor operations."""

    api = ADAPTER_API
    native = HostNative({View: ViewReader()})
    name = "view"
    modules: tuple[str, ...] = ()

    def claims(self, tp: type, /) -> bool:
        """Exactly our View."""
        return tp is View

    def limits(self, _device_type: int, /) -> Limits | None:
        """Nothing can be made or cast here."""
        return None

    def describe(self, x: View, /) -> Facts:
        """Everything about a View is known."""
        return Facts(
            framework=self.name,
            dtype=x.dtype,
            device=x.device,
            shape=x.shape,
            strides=x.strides,
            ptr=x.ptr,
            extent=x.extent,
            readonly=x.readonly,
            orderable=x.ordered or orders(x.owner),
        )

    def settle(self, x: Any, _what: frozenset[str], /) -> Any:
        """Nothing is pending."""
        return x

    def export(self, x: View, facts: Facts, stream: Any, /) -> View:
        """It is one already; whoever owns its memory orders it."""
        if not has_streams(facts.device) or stream is None or stream == ORDERED:
            return x
        if isinstance(x.owner, Loan):
            x.owner.order(stream)
        elif orders(x.owner):
            owner: Any = x.owner
            owner.__dlpack__(stream=int(stream))
        return x

    def wrap(self, view: View, /) -> View:
        """It is one already."""
        return view

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Refuse: a View has no memory of its own."""
        msg = f"a View can't allocate {dtype} {shape} (strides {strides}) on {device}: convert to a framework."
        raise UnsupportedError(msg)

    def assign(self, _dst: Any, _src: Any, /) -> None:
        """Refuse: a View has no operations."""
        msg = "a View can't be written through: convert it to a framework and write there."
        raise UnsupportedError(msg)

    def native_dtypes(self) -> Mapping[Any, str]:
        """None of its own."""
        return {}

    def native_device(self, _device: object, /) -> tuple[int, int] | None:
        """None of its own."""
        return None


adapter: Final = ViewAdapter()


def view_source(tp: type) -> ViewAdapter | None:
    """The adapter of our own View."""
    return adapter if adapter.claims(tp) else None
