"""Violations that are known: in which version they were seen, and where the library's authors were told.

The tests expect exactly these, so that a version in which one is mended is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Known:
    """A violation that was seen.

    Parameters
    ----------
    version
        The version of the library in which it was.
    upstream
        The issue or change that is about it; empty where none was found.
    """

    version: str
    upstream: str = ""


KNOWN: Final[Mapping[str, Mapping[str, Known]]] = MappingProxyType({})
