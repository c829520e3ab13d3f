"""Targets without an adapter: any module that has ``from_dlpack``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interop._adapters._host import copy_on_host
from interop._adapters._protocol import ProtocolAdapter
from interop._devices import HOST_ACCESSIBLE
from interop._dtypes import BY_NAME, DType
from interop._native import View, view_from_dlpack, view_from_ndarray
from interop.protocols import Facts, Limits

if TYPE_CHECKING:
    from types import ModuleType

    from interop._devices import Device


class ModuleAdapter(ProtocolAdapter):
    """A library known only by its ``from_dlpack``: what it can hold shows when it is asked."""

    # Whether its arrays can say readonly can't be known, so readonly memory is copied for it.
    _limits = Limits(dtypes=frozenset(BY_NAME), readonly="drops", certain=False)

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__.partition(".")[0])
        self.modules = (module.__name__,)
        self._from_dlpack = module.from_dlpack

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory of every element type: the library itself refuses what it doesn't know."""
        return self._limits if device_type in HOST_ACCESSIBLE else None

    def describe(self, x: Any, /) -> Facts:
        """Export the array to see what it is: only results are described here."""
        return super().describe(x if isinstance(x, View) else view_from_dlpack(x))

    def export(self, x: Any, _facts: Facts, _stream: Any, /) -> View:
        """Export through ``__dlpack__``."""
        return x if isinstance(x, View) else view_from_dlpack(x)

    def wrap(self, view: View, /) -> Any:
        """Hand the View to the library's own ``from_dlpack``."""
        return self._from_dlpack(view)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate with numpy and hand that over."""
        from interop._adapters._numpy import adapter as host

        return self.wrap(view_from_ndarray(host.empty(dtype, shape, strides, device)))

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write through the exported memory."""
        copy_on_host(dst if isinstance(dst, View) else view_from_dlpack(dst), src)
