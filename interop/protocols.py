"""What an adapter is, as data and verbs, and the protocols that arrays speak.

For authors of array libraries and for type checkers. An adapter *declares* (:class:`Limits` of its framework on a
device, :class:`Facts` of one object) and *obeys* (export, wrap, empty, assign, ...); it never decides. All
decisions are the planner's, so a third party's adapter is as good as a built-in one and ``explain`` can't drift
from ``convert``.
"""

from __future__ import annotations

from interop._adapters._shared.author import HostAdapter
from interop._contract import (
    ADAPTER_API,
    Adapter,
    Facts,
    Limits,
    SupportsArrayInterface,
    SupportsCudaArrayInterface,
    SupportsDLPack,
    SupportsDressing,
    SupportsKeeping,
    SupportsLending,
)
from interop._native import Keeper, make_view

__all__ = [
    "ADAPTER_API",
    "Adapter",
    "Facts",
    "HostAdapter",
    "Keeper",
    "Limits",
    "SupportsArrayInterface",
    "SupportsCudaArrayInterface",
    "SupportsDLPack",
    "SupportsDressing",
    "SupportsKeeping",
    "SupportsLending",
    "make_view",
]
