"""Producers that speak DLPack and nothing else, one for each form that producers have had over the years."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from interop.testing._capsules import IS_COPIED, READ_ONLY, Fields
from interop.testing.fakes import _ledger
from interop.testing.fakes._base import Array, DLPackFake

if TYPE_CHECKING:
    from typing import Unpack

    from typing_extensions import CapsuleType

    from interop.testing._capsules import Overrides

CPU = (1, 0)


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of ``__dlpack__`` asked for."""

    stream: Any = None
    max_version: tuple[int, int] | None = None
    dl_device: tuple[int, int] | None = None
    copy: bool | None = None


class Producer(DLPackFake):
    """What the DLPack producers share: a list of the calls, and the answer of an honest producer on the host.

    Attributes
    ----------
    calls
        What each call of ``__dlpack__`` asked for.
    """

    #: Whether managed tensors have a version, and so can say that they are readonly or a copy.
    versioned: ClassVar[bool] = False

    def __init__(self, array: Array, **overrides: Unpack[Overrides]) -> None:
        if not self.versioned:
            overrides.setdefault("version", None)
        super().__init__(array, **overrides)
        self.calls: list[Call] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.fields.device

    def answer(self, call: Call) -> CapsuleType:
        """Write a call of ``__dlpack__`` down, and respond in the newest version that the caller knows."""
        self.calls.append(call)
        if call.max_version is None or call.max_version < (1, 0):
            return self.respond(call, version=None)
        return self.respond(call)

    def respond(self, call: Call, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Do what the standard says; `overrides` come on top of the fake's fields."""
        if self.fields.flags & READ_ONLY and not call.copy and self.versioned and "version" in overrides:
            msg = f"{self!r} is readonly, which a legacy capsule can't say"
            raise BufferError(msg)
        if call.stream is not None:
            msg = f"{self!r} is on the host, where stream has to be None, not {call.stream!r}"
            raise ValueError(msg)
        if call.dl_device not in (None, self.fields.device):
            msg = f"{self!r} can't be exported to device {call.dl_device}"
            raise BufferError(msg)
        return self.copied(**overrides) if call.copy else self.capsule(**overrides)

    def copied(self, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Return a capsule on a copy, in C order, that says it is one."""
        copy = self.array.copy(order="C")
        true = self._fields_of(copy)
        return _ledger.new_capsule(replace(true, **overrides), copy, self._tally)

    def _fields_of(self, copy: Array) -> Fields:
        itemsize = copy.itemsize
        return replace(
            self.fields,
            data=copy.ctypes.data,
            byte_offset=0,
            strides=tuple(stride // itemsize for stride in copy.strides),
            flags=self.fields.flags & ~READ_ONLY | IS_COPIED,
        )


class VersionedProducer(Producer):
    """DLPack 1.x with every keyword; without ``max_version``, or with one below 1, it refuses.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import VersionedProducer
    >>> fake = VersionedProducer(np.arange(3), version=(1, 0), byte_offset=64)
    >>> np.from_dlpack(fake)
    array([0, 1, 2])
    >>> fake.calls
    [Call(stream=None, max_version=(1, 0), dl_device=None, copy=None)]
    >>> fake.assert_released()
    """

    versioned = True

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType:
        if max_version is None or max_version < (1, 0):
            msg = f"{self!r} exports versioned capsules only, and max_version is {max_version}"
            raise BufferError(msg)
        return self.answer(Call(stream, max_version, dl_device, copy))


class EitherProducer(Producer):
    """DLPack 1.x with every keyword; without ``max_version`` a legacy capsule, unless the memory is readonly."""

    versioned = True

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType:
        return self.answer(Call(stream, max_version, dl_device, copy))


class LegacyProducer(Producer):
    """DLPack 0.x with every keyword: it may answer ``max_version=(1, 0)`` with an older capsule, and does."""

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType:
        return self.answer(Call(stream, max_version, dl_device, copy))


class OpenProducer(Producer):
    """DLPack 1.x behind ``**keywords``, as wrappers of another library's arrays write it."""

    versioned = True

    def __dlpack__(self, **keywords: Any) -> CapsuleType:
        return self.answer(Call(**keywords))


class UnmovingProducer(Producer):
    """DLPack 1.x before it had ``dl_device`` and ``copy``: ``stream`` and ``max_version`` only."""

    versioned = True

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None) -> CapsuleType:
        return self.answer(Call(stream, max_version))


class StreamProducer(Producer):
    """DLPack 0.x as of 2021: ``stream`` is the only keyword, and others are a TypeError of the call itself."""

    def __dlpack__(self, stream: Any = None) -> CapsuleType:
        return self.answer(Call(stream))


class BareProducer(Producer):
    """DLPack 0.x with no keyword at all."""

    def __dlpack__(self) -> CapsuleType:
        return self.answer(Call())


class CapsuleProducer(Producer):
    """Raw capsules: :meth:`source` gives a fresh one each time.

    Parameters
    ----------
    array
        The memory.
    **overrides
        Fields to fill differently; ``version=None`` gives legacy capsules.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import CapsuleProducer
    >>> fake = CapsuleProducer(np.arange(3), version=None)
    >>> capsule = fake.source()
    >>> fake.live
    1
    >>> del capsule
    >>> fake.live
    0
    """

    versioned = True

    def source(self) -> CapsuleType:
        """Return a fresh capsule."""
        return self.capsule()
