"""The one table of versions, `versions.toml`, for the code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("versions.toml")


@dataclass(frozen=True)
class Versions:
    """The table.

    Attributes
    ----------
    python, cuda
        `major.minor`.
    frameworks
        Installed without what they depend on.
    packages
        What these import, and what the tests need.
    build
        What is needed to compile.
    headers
        The packages that hold CUDA's headers.
    """

    python: str
    cuda: str
    frameworks: dict[str, str]
    packages: dict[str, str]
    build: dict[str, str]
    headers: dict[str, str]

    @property
    def cupy(self) -> str:
        """cupy's version, whatever its package is called for this CUDA."""
        return next(version for name, version in self.frameworks.items() if name.startswith("cupy"))

    @property
    def cuda_number(self) -> int:
        """CUDA's version as its headers write it: 13000."""
        major, minor = self.cuda.split(".")
        return int(major) * 1000 + int(minor) * 10


@cache
def versions() -> Versions:
    """Read the table."""
    return Versions(**tomllib.loads(TABLE.read_text(encoding="utf-8")))


def requirements(table: dict[str, str]) -> list[str]:
    """A part of the table as pip wants it: ["torch==2.14.1", ...]."""
    return [f"{name}=={version}" for name, version in table.items()]
