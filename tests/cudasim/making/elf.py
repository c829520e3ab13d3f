"""What a shared library needs and doesn't define, read by the linker's own tools."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Symbol(NamedTuple):
    """An undefined symbol, and the version that it has to have: "" for any."""

    name: str
    version: str


@dataclass(frozen=True)
class Library:
    """A shared library as the loader sees it.

    Attributes
    ----------
    needed
        The names of the libraries that it needs.
    versions
        Of each version of a symbol, the library that it comes from.
    undefined
        The symbols that others have to define.
    """

    needed: frozenset[str]
    versions: dict[str, str]
    undefined: frozenset[Symbol]


def tool(*command: str | Path) -> str:
    """What one of the linker's tools prints."""
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return done.stdout


def read(path: Path) -> Library:
    """Read what `path` needs."""
    headers = tool("objdump", "-p", path)
    needed = re.findall(r"^\s+NEEDED\s+(\S+)", headers, re.MULTILINE)
    versions: dict[str, str] = {}
    for library, nodes in re.findall(r"^\s+required from (\S+):\n((?:\s+0x.*\n)+)", headers, re.MULTILINE):
        versions |= dict.fromkeys((line.split()[-1] for line in nodes.splitlines()), library)
    names = (line.split()[-1].partition("@") for line in tool("nm", "-D", "--undefined-only", path).splitlines())
    return Library(
        frozenset(needed), versions, frozenset(Symbol(name, version.lstrip("@")) for name, _, version in names)
    )


def defined(path: Path) -> set[str]:
    """The functions that a library defines for others."""
    lines = (line.split() for line in tool("nm", "-D", "--defined-only", path).splitlines())
    return {fields[2].partition("@")[0] for fields in lines if len(fields) == 3 and fields[1] in "TW"}
