"""Fakes: tensor producers in pure Python that speak one protocol each, or speak it badly, and count what they hand out.

A consumer that is right on all of them is right on the array libraries that exist, on those that existed, and on
objects that nobody should have written. The fakes need no GPU and no array library but NumPy, and nothing in them
uses this library's own exchange.

Honest producers are in :data:`PRODUCERS`; :data:`UNUSUAL_FIELDS` has exports that are odd and true, which a consumer
has to take; :data:`MALFORMED` and :data:`MALFORMED_EXCHANGE_TYPES` what it has to refuse; :data:`LIARS` what it
may not believe.

Examples
--------
>>> import numpy as np
>>> from interop.testing.fakes import LegacyProducer
>>> fake = LegacyProducer(np.arange(3))
>>> array = np.from_dlpack(fake)
>>> fake.exports, fake.live
(1, 1)
>>> del array
>>> fake.assert_released()
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from interop.testing._capsules import IS_COPIED, READ_ONLY, SUBBYTE_PADDED, Fields, Overrides, describe
from interop.testing.fakes._base import DLPackFake, Fake
from interop.testing.fakes._client import ExchangeClient
from interop.testing.fakes._consumer import Consumed, consume, read
from interop.testing.fakes._devices import FakeCudaArray, FakeDeviceArray, FakeRuntime
from interop.testing.fakes._dlpack import (
    BareProducer,
    Call,
    CapsuleProducer,
    EitherProducer,
    LegacyProducer,
    OpenProducer,
    Producer,
    StreamProducer,
    UnmovingProducer,
    VersionedProducer,
)
from interop.testing.fakes._exchange import (
    EXCHANGE_TYPES,
    MALFORMED_EXCHANGE_TYPES,
    ExchangeFake,
    ExchangeProducer,
    exchange_type,
)
from interop.testing.fakes._interfaces import ArrayInterfaceProducer, BufferProducer, CudaArrayInterfaceProducer
from interop.testing.fakes._liars import (
    LIARS,
    CopyForcer,
    CopyIgnorer,
    CopyPretender,
    DeviceLiar,
    RaisingProducer,
    trapped,
)
from interop.testing.fakes._malformed import (
    MALFORMED,
    MALFORMED_ANSWERS,
    MALFORMED_FIELDS,
    MALFORMED_VERSIONS,
    UNUSUAL_FIELDS,
    MalformedProducer,
)

__all__ = [
    "EXCHANGE_TYPES",
    "IS_COPIED",
    "LIARS",
    "MALFORMED",
    "MALFORMED_ANSWERS",
    "MALFORMED_EXCHANGE_TYPES",
    "MALFORMED_FIELDS",
    "MALFORMED_VERSIONS",
    "PRODUCERS",
    "READ_ONLY",
    "SUBBYTE_PADDED",
    "UNUSUAL_FIELDS",
    "ArrayInterfaceProducer",
    "BareProducer",
    "BufferProducer",
    "Call",
    "CapsuleProducer",
    "Consumed",
    "CopyForcer",
    "CopyIgnorer",
    "CopyPretender",
    "CudaArrayInterfaceProducer",
    "DLPackFake",
    "DeviceLiar",
    "EitherProducer",
    "ExchangeClient",
    "ExchangeFake",
    "ExchangeProducer",
    "Fake",
    "FakeCudaArray",
    "FakeDeviceArray",
    "FakeRuntime",
    "Fields",
    "LegacyProducer",
    "MalformedProducer",
    "OpenProducer",
    "Overrides",
    "Producer",
    "RaisingProducer",
    "StreamProducer",
    "UnmovingProducer",
    "VersionedProducer",
    "consume",
    "describe",
    "exchange_type",
    "read",
    "trapped",
]

#: Honest producers of host memory by the protocol they speak; each takes an array.
PRODUCERS: Final[Mapping[str, Callable[[Any], Fake]]] = MappingProxyType(
    {
        "versioned DLPack": VersionedProducer,
        "DLPack of either version": EitherProducer,
        "legacy DLPack": LegacyProducer,
        "DLPack behind **keywords": OpenProducer,
        "DLPack without dl_device and copy": UnmovingProducer,
        "DLPack with stream only": StreamProducer,
        "DLPack without keywords": BareProducer,
        "a versioned capsule": CapsuleProducer,
        "a legacy capsule": lambda array: CapsuleProducer(array, version=None),
        "the C exchange API": ExchangeProducer,
        "the array interface": ArrayInterfaceProducer,
        "the buffer protocol": BufferProducer,
    }
)
