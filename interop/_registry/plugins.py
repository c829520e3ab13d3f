"""What installed packages offer, and an account of the adapters that are broken.

A broken one is named in the error of whoever needs it, and breaks nothing else: other types and targets go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The entry-point group under which a package offers an adapter; the entry's name is the module that loads it.
ENTRY_POINTS: Final = "interop.adapters"


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapter that an installed package offers.

    Attributes
    ----------
    name
        The module whose presence loads it.
    value
        Where it is: ``"module:attribute"``.
    package, version
        The distribution.
    """

    name: str
    value: str
    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}, entry point {self.name} = {self.value!r}"


#: What is wrong, by adapter's name: the last thing that was noticed. Read by doctor and by errors.
_faults: Final[dict[str, str]] = {}
#: Those that failed when they were asked which types they claim.
_silent: Final[set[str]] = set()


def note(name: str, what: str) -> str:
    """Write down what is wrong with an adapter; returns it."""
    _faults[name] = what
    return what


def mute(name: str) -> None:
    """Write down that an adapter failed when it was asked which types it claims."""
    _silent.add(name)


def forget(name: str) -> None:
    """Drop what was wrong: another adapter has the name now."""
    _faults.pop(name, None)
    _silent.discard(name)


def silent() -> str:
    """What kept adapters from saying which types are theirs, one of which may be the one that nobody claims."""
    return next((what for name, what in _faults.items() if name in _silent), "")


def faults() -> Mapping[str, str]:
    """What is known to be wrong, by the adapter's name."""
    return dict(_faults)


@cache
def entries() -> tuple[Entry, ...]:
    """The adapters that installed packages offer."""
    from importlib import metadata  # noqa: PLC0415 - takes longer to import than all the rest together

    found: list[Entry] = []
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        package, version = (entry.dist.name, entry.dist.version) if entry.dist else (entry.name, "of unknown version")
        found.append(Entry(entry.name, entry.value, package, version))
    return tuple(found)


def usable_entries(taken: Iterable[str]) -> dict[str, Entry]:
    """Those whose names are free, by name; an installed package doesn't replace an adapter that is there."""
    usable: dict[str, Entry] = {}
    built_in = frozenset(taken)
    for entry in entries():
        if entry.name in built_in:
            note(str(entry), f"{entry.name!r} has a built-in adapter: call interop.register() to replace it")
        elif entry.name in usable:
            note(str(entry), f"{usable[entry.name].package} offers an adapter of the same name: uninstall one")
        else:
            usable[entry.name] = entry
    return usable
