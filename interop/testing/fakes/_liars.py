"""Producers whose memory is in order and whose manners aren't: they lie, raise, or trap who looks at them."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from interop.testing._capsules import IS_COPIED
from interop.testing.fakes._dlpack import Call, EitherProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from typing_extensions import CapsuleType

    from interop.testing._capsules import Overrides
    from interop.testing.fakes._base import Array


class DeviceLiar(EitherProducer):
    """``__dlpack_device__`` says something else than the capsule.

    Parameters
    ----------
    array
        The memory.
    says
        What ``__dlpack_device__`` returns, such as ``(2, 0)``, ``(1, None)`` or what is no pair at all.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import DeviceLiar
    >>> DeviceLiar(np.ones(3), says=(1, None)).__dlpack_device__()
    (1, None)
    """

    def __init__(self, array: Array, *, says: Any = (2, 0), **overrides: Any) -> None:
        super().__init__(array, **overrides)
        self.says = says

    def __dlpack_device__(self) -> Any:
        return self.says


class CopyIgnorer(EitherProducer):
    """Takes ``copy=True`` and gives the memory itself, without a word."""

    def respond(self, call: Call, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Respond as though `copy` weren't there."""
        return super().respond(replace(call, copy=None), **overrides)


class CopyPretender(CopyIgnorer):
    """Gives the memory itself, and says that it is a copy that the consumer owns."""

    def __init__(self, array: Array, **overrides: Any) -> None:
        overrides.setdefault("flags", IS_COPIED)
        super().__init__(array, **overrides)


class CopyForcer(EitherProducer):
    """Gives a copy whatever is asked, even with ``copy=False``."""

    def respond(self, call: Call, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Respond with a copy."""
        return super().respond(replace(call, copy=True), **overrides)


def _fresh(error: BaseException) -> BaseException:
    # The original never gets a traceback, which would keep alive the frames of whoever called.
    return copy(error)


class RaisingProducer(EitherProducer):
    """Takes every keyword, and raises inside one of its methods: a bug, and no sign of an old protocol.

    Parameters
    ----------
    array
        The memory.
    error
        What it raises.
    method
        Where: ``"__dlpack__"`` or ``"__dlpack_device__"``.
    calls_before
        How many calls go well before.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import RaisingProducer
    >>> np.from_dlpack(RaisingProducer(np.ones(3), KeyError("float8")))
    Traceback (most recent call last):
    KeyError: 'float8'
    """

    def __init__(
        self, array: Array, error: BaseException, *, method: str = "__dlpack__", calls_before: int = 0
    ) -> None:
        super().__init__(array)
        self.error, self.method, self.left = error, method, calls_before

    def respond(self, call: Call, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Respond, or raise."""
        self._raise_in("__dlpack__")
        return super().respond(call, **overrides)

    def __dlpack_device__(self) -> tuple[int, int]:
        self._raise_in("__dlpack_device__")
        return super().__dlpack_device__()

    def _raise_in(self, method: str) -> None:
        if method != self.method:
            return
        if self.left:
            self.left -= 1
            return
        raise _fresh(self.error)


def trapped(attribute: str, error: BaseException, base: type[EitherProducer] = EitherProducer) -> type[EitherProducer]:
    """Return a type of honest producers, one attribute of which raises when it is looked at.

    As torch's ``__cuda_array_interface__`` does: a RuntimeError where a gradient is required, a KeyError for
    float8. ``hasattr`` swallows neither.

    Parameters
    ----------
    attribute
        The attribute's name.
    error
        What reading it raises.
    base
        The type to derive from.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import trapped
    >>> fake = trapped("__cuda_array_interface__", KeyError("float8"))(np.arange(3))
    >>> np.from_dlpack(fake)
    array([0, 1, 2])
    >>> hasattr(fake, "__cuda_array_interface__")
    Traceback (most recent call last):
    KeyError: 'float8'
    """

    def trap(_: object) -> Any:
        raise _fresh(error)

    return type(f"Trapped{base.__name__}", (base,), {attribute: property(trap)})


#: Liars by name; each takes an array. What they export is good memory: a consumer may refuse it, or take it for
#: what it is, and may not believe the lie.
LIARS: Final[Mapping[str, Callable[[Array], EitherProducer]]] = MappingProxyType(
    {
        "says CUDA, exports the host": lambda a: DeviceLiar(a, says=(2, 0)),
        "says the host, exports CUDA": lambda a: DeviceLiar(a, says=(1, 0), device=(2, 0)),
        "says CUDA 0, exports CUDA 1": lambda a: DeviceLiar(a, says=(2, 0), device=(2, 1)),
        "says pinned, exports the host": lambda a: DeviceLiar(a, says=(3, 0)),
        "device index None": lambda a: DeviceLiar(a, says=(1, None)),
        "device is None": lambda a: DeviceLiar(a, says=None),
        "device is a string": lambda a: DeviceLiar(a, says="cpu"),
        "device is three numbers": lambda a: DeviceLiar(a, says=(1, 0, 0)),
        "device is floats": lambda a: DeviceLiar(a, says=(1.0, 0.0)),
        "device beyond an int": lambda a: DeviceLiar(a, says=(2**70, 0)),
        "ignores copy": CopyIgnorer,
        "says copied, aliases": CopyPretender,
        "copies though told not to": CopyForcer,
    }
)
