"""Targets without an adapter: any module that has ``from_dlpack``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interop._adapters._protocol import ProtocolAdapter
from interop._adapters._shared.drafts import Draft, Drafting
from interop._adapters._shared.host import without_odd_strides
from interop._contract import Facts, Limits
from interop._devices import HOST_ACCESSIBLE
from interop._dtypes import BY_NAME
from interop._native import View, view_from_dlpack

if TYPE_CHECKING:
    from types import ModuleType


class ModuleAdapter(Drafting, ProtocolAdapter):
    """A library known only by its ``from_dlpack``: what it can hold shows when it is asked."""

    # Whether its arrays can say readonly can't be known, so readonly memory is copied for it. A negative stride ends
    # the process in torch's from_dlpack (pytorch#188023), which other libraries lead to.
    _limits = Limits(dtypes=frozenset(BY_NAME), strides="nonnegative", readonly="drops", certain=False)

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__.partition(".")[0])
        self.modules = (module.__name__,)
        self._from_dlpack = module.from_dlpack

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory of every element type: the library itself refuses what it doesn't know."""
        return self._limits if device_type in HOST_ACCESSIBLE else None

    def describe(self, x: Any, /) -> Facts:
        """Export the array to see what it is: only results are described here."""
        if isinstance(x, Draft):
            return self.describe_draft(x)
        return super().describe(x if isinstance(x, View) else view_from_dlpack(x))

    def export(self, x: Any, _facts: Facts, _stream: Any, /) -> View:
        """Export through ``__dlpack__``."""
        if isinstance(x, Draft):
            return x.view
        return x if isinstance(x, View) else view_from_dlpack(x)

    def wrap(self, view: View, /) -> Any:
        """Hand the View to the library's own ``from_dlpack``."""
        return self._from_dlpack(without_odd_strides(view))

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Make the array of a draft: a library that copies what it is handed, and what it exports, can't be written."""
        return self.written(x) if "written" in what else super().settle(x, what)

    def finish(self, draft: Draft) -> Any:
        """Hand over memory that has its values."""
        return self.wrap(draft.view)
