"""Exports that no consumer may accept, and unusual ones that every consumer must.

Both are tables, from a name that a failing test prints to what is different from a truthful export.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from interop.testing._capsules import Overrides
from interop.testing.fakes._consumer import consume
from interop.testing.fakes._dlpack import Call, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop.testing.fakes._base import Array

#: Names of exports whose fields are beyond what any array can be, with the fields. The array needs one dimension
#: or more, and elements.
MALFORMED_FIELDS: Final[Mapping[str, Overrides]] = MappingProxyType(
    {
        "NULL data": {"data": 0},
        "NULL shape": {"shape": None, "strides": None, "ndim": 1},
        "negative ndim": {"ndim": -1},
        "huge ndim": {"ndim": 2**31 - 1},
        "1000 dimensions": {"shape": (1,) * 1000, "strides": (1,) * 1000},
        "negative side": {"shape": (-1,), "strides": (1,)},
        "overflowing size": {"shape": (2**40, 2**40), "strides": (1, 1)},
        "overflowing size, NULL strides": {"shape": (2**40, 2**40), "strides": None},
        "overflowing extent": {"shape": (3, 2), "strides": (2**62, 1)},
        "overflowing stride": {"shape": (2,), "strides": (-(2**63),)},
        "overflowing offset": {"byte_offset": 2**64 - 1, "data": 2**64 - 1},
        "unknown dtype code": {"dtype": (99, 32, 1)},
        "opaque handles": {"dtype": (3, 64, 1)},
        "elements of 0 bits": {"dtype": (2, 0, 1)},
        "integers of 24 bits": {"dtype": (0, 24, 1)},
        "floats of 8 bits": {"dtype": (2, 8, 1)},
        "bool of 1 bit": {"dtype": (6, 1, 1)},
        "2 lanes": {"dtype": (2, 32, 2)},
        "0 lanes": {"dtype": (2, 32, 0)},
        "packed int4": {"dtype": (0, 4, 1)},
        "packed float4": {"dtype": (17, 4, 1)},
        "packed float6": {"dtype": (15, 6, 1)},
        "unknown device": {"device": (99, 0)},
        "device type 0": {"device": (0, 0)},
        "negative device type": {"device": (-1, 0)},
    }
)

#: The same for what only a versioned capsule can say. Of another major version only the deleter may be called.
MALFORMED_VERSIONS: Final[Mapping[str, Overrides]] = MappingProxyType(
    {
        "major version 0": {"version": (0, 8)},
        "major version 2": {"version": (2, 0)},
        "major version 2, nonsense beyond": {"version": (2, 0), "data": 1, "ndim": 7, "shape": None, "strides": None},
    }
)


def _consumed(fake: Producer) -> object:
    capsule = fake.capsule()
    consume(capsule).release()
    return capsule


#: Names of answers of ``__dlpack__`` that are no unconsumed capsule, with what makes them.
MALFORMED_ANSWERS: Final[Mapping[str, Callable[[Producer], object]]] = MappingProxyType(
    {
        "None": lambda _: None,
        "an int": lambda _: 0,
        "the producer itself": lambda fake: fake,
        "a capsule that is consumed": _consumed,
        "a capsule of another name": lambda fake: fake.capsule(name=b"tensor"),
        "a capsule of a longer name": lambda fake: fake.capsule(name=b"dltensor_versioned_"),
        "a capsule of the exchange API's name": lambda fake: fake.capsule(name=b"dlpack_exchange_api"),
    }
)

#: Names of exports that are unusual but true, which every consumer has to take as they are.
UNUSUAL_FIELDS: Final[Mapping[str, Callable[[Array], Overrides]]] = MappingProxyType(
    {
        "byte offset": lambda _: {"byte_offset": 64},
        "odd byte offset": lambda _: {"byte_offset": 1},
        "NULL strides": lambda a: {"strides": None} if a.flags.c_contiguous else {},
        "NULL shape and strides": lambda a: {} if a.ndim else {"shape": None, "strides": None},
        "NULL data": lambda a: {} if a.size else {"data": 0},
        "wild strides of an empty array": lambda a: {} if a.size else {"strides": (2**40,) * a.ndim},
        "no deleter": lambda _: {"deleter": False},
        "newer minor version": lambda _: {"version": (1, 99)},
        "oldest version": lambda _: {"version": (1, 0)},
        "pinned by CUDA": lambda _: {"device": (3, 0)},
        "pinned by ROCm": lambda _: {"device": (11, 0)},
        "managed by CUDA": lambda _: {"device": (13, 0)},
        "managed by CUDA, device 3": lambda _: {"device": (13, 3)},
    }
)

_OVERRIDES: Final[Mapping[str, Overrides]] = MappingProxyType({**MALFORMED_FIELDS, **MALFORMED_VERSIONS})

#: Every flaw that :class:`MalformedProducer` knows.
MALFORMED: Final = (*_OVERRIDES, *MALFORMED_ANSWERS)


class MalformedProducer(Producer):
    """A producer with every keyword, whose exports no consumer may accept.

    Whatever a consumer does with them, each export ends exactly once.

    Parameters
    ----------
    array
        The memory; of one dimension or more, with elements.
    flaw
        A name in :data:`MALFORMED`.
    legacy
        Whether the flaw is in a legacy capsule.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import MalformedProducer, read
    >>> fake = MalformedProducer(np.ones(3), "negative ndim")
    >>> read(fake.__dlpack__()).ndim, fake.live
    (-1, 0)
    """

    versioned = True

    def __init__(self, array: Array, flaw: str, *, legacy: bool = False) -> None:
        if not array.size or not array.ndim:
            msg = f"the flaws show on an array of one dimension or more with elements, not of shape {array.shape}"
            raise ValueError(msg)
        self.flaw = flaw
        overrides = _OVERRIDES.get(flaw, Overrides())
        version: Overrides = {"version": None if legacy else (1, 3)}
        super().__init__(array, **(version | overrides))

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        self.calls.append(Call(stream, max_version, dl_device, copy))
        answer = MALFORMED_ANSWERS.get(self.flaw)
        return self.capsule() if answer is None else answer(self)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __repr__(self) -> str:
        return f"MalformedProducer({self.flaw!r})"
