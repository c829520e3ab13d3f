"""Native ops of frameworks in host memory that show their objects to numpy, and take ndarrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop._native import CallOp, CallReader, FeedOp, Op, Reader, ToNdarrayOp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from interop._contract import Adapter
    from interop._dtypes import DType
    from interop._native import Shortcut, Writer
    from interop._options import Options
    from interop._plan.case import Case
    from interop._plan.plan import Step

#: Finds every object unusual: of types of which nothing but the identity is known without the adapter.
UNSEEN: Final = Reader()


class HostNative:
    """The native ops of a framework that is read, and written to, by way of ndarrays.

    Each function returns NotImplemented where an object is unusual; then the adapter's verbs serve.

    Parameters
    ----------
    shown
        By exact type, what shows its objects as an ndarray or a View, on the same memory and as writable as they are;
        or their reader, or None where nothing does.
    take
        Makes an array of the framework on an ndarray's memory.
    copy
        Makes a copy of an ndarray.
    """

    def __init__(
        self,
        shown: Mapping[type, Callable[[Any], Any] | Reader | None],
        *,
        take: Callable[[Any], Any] | None = None,
        copy: Callable[[Any], Any] | None = None,
    ) -> None:
        self.readers: Mapping[type, Reader] = {tp: _reader(show) for tp, show in shown.items()}
        self._take = take
        self._copy = copy

    def hand_out(self, steps: Sequence[Step], _case: Case) -> Sequence[Op] | None:
        """Nothing, where the memory is handed on as it is."""
        return None if steps else []

    def take_in(self, steps: Sequence[Step], case: Case) -> Sequence[Op] | None:
        """An array on the memory, or a copy of it."""
        if case.same or case.facts.pending:
            return None
        verbs = [step.do for step in steps]
        if verbs == ["wrap"] and self._take is not None:
            return [ToNdarrayOp(readonly=steps[0].readonly), CallOp(self._take)]
        # A copy that is asked for is made in any case; else what can be taken as it is would be a view.
        if verbs == ["copy"] and self._copy is not None and case.options.order is None:
            return [FeedOp(self._copy, self._take or _nothing)]
        return None

    def shortcuts(self, _tp: type, _to: Adapter, _options: Options) -> tuple[Shortcut, ...]:
        """None: nothing is sooner than a look."""
        return ()

    def writer(self, _values: DType, _into: DType) -> Writer | None:
        """None: it writes by its verbs."""
        return None


def _reader(show: Callable[[Any], Any] | Reader | None) -> Reader:
    if isinstance(show, Reader):
        return show
    return UNSEEN if show is None else CallReader(show)


def _nothing(_a: Any) -> Any:
    return NotImplemented
