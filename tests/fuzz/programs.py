"""A case as a program: statements that make an object, and a call; and what it is printed as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: What a program may use, and how it comes by it.
IMPORTS: Final = {
    "suppress": "from contextlib import suppress",
    "array": "import array",
    "ctypes": "import ctypes",
    "mmap": "import mmap",
    "tempfile": "import tempfile",
    "ml_dtypes": "import ml_dtypes",
    "np": "import numpy as np",
    "torch": "import torch",
    "pandas": "import pandas",
    "polars": "import polars",
    "pyarrow": "import pyarrow",
    "as_strided": "from numpy.lib.stride_tricks import as_strided",
    "FakeTensorMode": "from torch._subclasses import FakeTensorMode",
    "interop": "import interop",
    "FRAMEWORKS": "from frameworks.table import FRAMEWORKS  # PYTHONPATH=tests",
    **{
        name: f"from fuzz.objects import {name}  # PYTHONPATH=tests"
        for name in (
            *("Annotated", "Arrayed", "Both", "DLPack", "Interface", "Labelled", "OldDLPack"),
            *("Raising", "RaisingInterface", "Wrapped"),
        )
    },
}

_NAME: Final = re.compile(r"(?<![.\w'])[A-Za-z_]\w*")


@dataclass(frozen=True)
class Source:
    """How an object is made, and what is known of it.

    Parameters
    ----------
    text
        Statements that leave it as `x`, and what its values are read of as `truth`, where that is another object.
    kind
        What it is, in words.
    framework
        Its framework; empty where it has none.
    dtype
        The name of its element type.
    plain
        Whether everyone can take it who has its element type.
    graph
        Whether it takes part in automatic differentiation.
    once
        Whether a call consumes it.
    unsaid
        Whether it can't say that it may be written.
    placed
        Whether its memory is that of `truth`.
    encoded
        Whether its own framework alone can decode it, by a cast.
    signless
        Whether its own framework's operations disagree about the signs of its zeros.
    opaque
        Whether it has no values to hand over.
    """

    text: str
    kind: str
    framework: str
    dtype: str = ""
    plain: bool = False
    graph: bool = False
    once: bool = False
    unsaid: bool = False
    placed: bool = True
    encoded: bool = False
    signless: bool = False
    opaque: bool = False


@dataclass(frozen=True)
class Call:
    """What is done with `x`.

    Parameters
    ----------
    kind
        A name in ``running.LAWS``.
    function
        What is called, as text.
    arguments
        Its arguments by position, as text.
    before
        Statements that make what else it takes.
    target
        The framework of the result.
    options
        Those by name, as text.
    writes
        Whether it may change what `x` holds.
    """

    kind: str
    function: str
    arguments: tuple[str, ...] = ("x",)
    before: str = ""
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False

    def __str__(self) -> str:
        given = [*self.arguments, *(f"{name}={text}" for name, text in self.options.items())]
        return f"{self.function}({', '.join(given)})"


@dataclass(frozen=True)
class Case:
    """One case, by its number."""

    number: int
    source: Source
    call: Call

    @property
    def setup(self) -> str:
        """What comes before the call."""
        return f"{self.source.text}\n{self.call.before}" if self.call.before else self.source.text

    def __str__(self) -> str:
        body = f"{self.setup}\n{self.call}"
        names = set(_NAME.findall(body))
        return "\n".join([*(line for name, line in IMPORTS.items() if name in names), body])
