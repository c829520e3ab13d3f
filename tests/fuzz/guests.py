"""Sources of the other frameworks, those that a run was asked to test; ``frameworks/table.py`` makes their arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from fuzz import sources_of_numpy, texts
from fuzz.programs import Source

#: Libraries of columns, which the table hasn't: what makes one of `a`, which has one axis, and where it is read.
COLUMNS: Final = {
    "pandas": ("x = pandas.Series(a)", "x = pandas.Series(a)[1:]", "x = pandas.Series(a, dtype=a.dtype.name.title())"),
    "polars": ("x = polars.Series('x', a)", "x = polars.Series('x', a)[1:]"),
    "pyarrow": ("x = pyarrow.array(a)", "x = pyarrow.array(a)[1:]", "x = pyarrow.Tensor.from_numpy(a)"),
}
_OF_COLUMNS: Final = tuple(name for name in texts.REAL if name != "float16")


def _column(library: str) -> Callable[[Random], Source]:
    def make(random: Random) -> Source:
        name = random.choice(_OF_COLUMNS)
        text = random.choice(COLUMNS[library])
        # Its own words for integers that may be missing begin with a capital letter.
        if "title" in text and not name.startswith("int"):
            text = COLUMNS[library][0]
        shape = (random.choice((0, 1, 3, 7)),)
        return Source(f"{sources_of_numpy.values(random, name, shape)}\n{text}", f"{library}", library, dtype=name)

    return make


def _guest(name: str, framework: Any) -> Callable[[Random], Source]:
    held = sorted(framework.dtypes & set(texts.SIZES))

    def make(random: Random) -> Source:
        dtype = random.choice(held)
        shape = texts.shape(random, least=framework.min_dims)
        text = f"{sources_of_numpy.values(random, dtype, shape)}\nx = FRAMEWORKS[{name!r}].make(a)"
        views = list(framework.views)
        if views and random.random() < 0.5:
            text += f"\nx = FRAMEWORKS[{name!r}].views[{random.choice(views)!r}](x)"
        return Source(text, name, name, dtype=dtype)

    return make


def sources(frameworks: Sequence[str]) -> list[tuple[int, Callable[[Random], Source]]]:
    """Those of the frameworks that may be used, beside numpy and torch."""
    others = [name for name in frameworks if name not in ("numpy", "torch", "cupy")]
    if not others:
        return []
    from frameworks.table import FRAMEWORKS

    found = [(6, _guest(name, FRAMEWORKS[name])) for name in others if name in FRAMEWORKS]
    return [*found, *((3, _column(name)) for name in others if name in COLUMNS)]
