"""The matrix as data: pairs of cells, as JSON that a person can read too, and several environments merged into one."""

from __future__ import annotations

import json
import string
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from interop.cli._matrix import outcomes
from interop.cli._matrix.cells import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: The version of the file's form.
FORM: Final = 1

_KEYS: Final = string.ascii_letters + string.digits + "".join(map(chr, range(0xC0, 0x250)))


@dataclass(frozen=True, slots=True)
class Found:
    """What one way did to one cell: an outcome's letter, and why."""

    letter: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that a call of ours has broken."""

    way: str
    dtype: str
    column: str
    text: str


@dataclass(slots=True)
class Pair:
    """All that was found of one source and one target.

    Attributes
    ----------
    source, target
        The kinds of arrays.
    environment
        The number of the environment that it was measured in.
    ways
        The calls, ours first.
    columns
        The layouts, readonly or not.
    found
        By way, then by element type and column.
    broken
        Promises of ours that weren't kept.
    uncertain
        How many of our default calls ``explain`` wasn't certain of.
    looked
        How many calls the second judge looked at; what it didn't find so is among the broken promises.
    """

    source: str
    target: str
    environment: int = 0
    ways: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    found: dict[str, dict[tuple[str, str], Found]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    uncertain: int = 0
    looked: int = 0

    @property
    def ours(self) -> list[str]:
        """Our calls, the one without options first."""
        return [way for way in self.ways if way.partition(" ")[0] == "interop"]

    @property
    def by_hand(self) -> list[str]:
        """The calls by hand."""
        return [way for way in self.ways if way.partition(" ")[0] != "interop"]

    def cells(self) -> Iterator[tuple[str, str]]:
        """Every element type and column that the source has."""
        return iter(self.found[self.ways[0]])

    def to_json(self) -> dict[str, Any]:
        """As plain data: element types that fare alike share a row."""
        return {
            "source": self.source,
            "target": self.target,
            "environment": self.environment,
            "columns": self.columns,
            "ways": {way: self._rows(way) for way in self.ways},
            "broken": [[each.way, each.dtype, each.column, each.text] for each in self.broken],
            "uncertain": self.uncertain,
            "looked": self.looked,
        }

    def _rows(self, way: str) -> dict[str, Any]:
        found = self.found[way]
        texts = sorted({each.why for each in found.values() if each.why})
        keys = dict(zip(texts, _KEYS, strict=False))
        whys = {cell: keys.get(each.why, "-") for cell, each in found.items()}
        return {
            "found": self._grouped({cell: each.letter for cell, each in found.items()}),
            "why": self._grouped(whys),
            "texts": {keys[text]: text for text in texts if text in keys},
        }

    def _grouped(self, letters: Mapping[tuple[str, str], str]) -> dict[str, str]:
        """One string of letters, a column each, for all the element types that share it."""
        strings: dict[str, list[str]] = defaultdict(list)
        for dtype in dict.fromkeys(dtype for dtype, _ in letters):
            text = "".join(letters.get((dtype, column), outcomes.ABSENT) for column in self.columns)
            strings[text].append(dtype)
        return {" ".join(dtypes): text for text, dtypes in strings.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pair:
        """The pair that :meth:`to_json` has written down."""
        columns: list[str] = data["columns"]
        found: dict[str, dict[tuple[str, str], Found]] = {}
        for way, rows in data["ways"].items():
            letters, whys = _spread(rows["found"], columns), _spread(rows["why"], columns)
            found[way] = {
                cell: Found(letter, rows["texts"].get(whys.get(cell, "-"), "")) for cell, letter in letters.items()
            }
        return cls(
            data["source"],
            data["target"],
            data["environment"],
            list(data["ways"]),
            columns,
            found,
            [Broken(*each) for each in data["broken"]],
            data["uncertain"],
            data.get("looked", 0),  # older ones had one judge
        )


def _spread(rows: Mapping[str, str], columns: list[str]) -> dict[tuple[str, str], str]:
    cells = {
        (dtype, column): letter
        for dtypes, text in rows.items()
        for dtype in dtypes.split()
        for column, letter in zip(columns, text, strict=True)
        if letter != outcomes.ABSENT
    }
    return dict(sorted(cells.items(), key=lambda item: (DTYPES.index(item[0][0]), columns.index(item[0][1]))))


@dataclass(slots=True)
class Matrix:
    """Every pair that was measured, where, and what couldn't be.

    Attributes
    ----------
    environments
        The versions, the machine and the date of each.
    pairs
        By source and target.
    absent
        Frameworks that are installed and don't work, with what they say.
    """

    environments: list[dict[str, Any]] = field(default_factory=list)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, pair: Pair) -> None:
        """Put a pair in, unless it is there."""
        self.pairs.setdefault((pair.source, pair.target), pair)

    def names(self) -> list[str]:
        """The kinds of arrays that were met, in the order of tables."""
        from interop.cli._matrix.hands import ROWS

        met = {name for pair in self.pairs for name in pair}
        return [name for name in ROWS if name in met] + sorted(met - ROWS.keys())

    def targets(self) -> list[str]:
        """Those of them that were a target."""
        met = {target for _, target in self.pairs}
        return [name for name in self.names() if name in met]

    def blanks(self) -> bool:
        """Tell whether a source and a target that were met weren't measured together."""
        return len(self.pairs) < len(self.names()) * len(self.targets())

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        order = {name: number for number, name in enumerate(self.names())}
        pairs = sorted(self.pairs.values(), key=lambda pair: (order[pair.source], order[pair.target]))
        return {
            "form": FORM,
            "outcomes": {each.letter: each.words for each in outcomes.OUTCOMES.values()},
            "environments": self.environments,
            "absent": self.absent,
            "pairs": [pair.to_json() for pair in pairs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Matrix:
        """The matrix that :meth:`to_json` has written down.

        Raises
        ------
        ValueError
            If it is of another form.
        """
        if data.get("form") != FORM:
            msg = f"this release reads matrices of form {FORM}, and this is of form {data.get('form')}"
            raise ValueError(msg)
        matrix = cls(list(data["environments"]), {}, dict(data["absent"]))
        for each in data["pairs"]:
            matrix.add(Pair.from_json(each))
        return matrix

    def dump(self, path: Path) -> None:
        """Write it down, one pair a line, so that two versions can be compared."""
        data = self.to_json()
        pairs = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in data.pop("pairs"))
        head = json.dumps(data, indent=1, ensure_ascii=False).removesuffix("\n}")
        path.write_text(f'{head},\n "pairs": [\n{pairs}\n]}}\n', encoding="utf-8")


def load(path: Path) -> Matrix:
    """Read a matrix that :meth:`Matrix.dump` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it holds something else.
    """
    try:
        return Matrix.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as err:
        msg = f"{path} holds no matrix of this release: {type(err).__name__}: {err}"
        raise ValueError(msg) from err


def merge(matrices: Iterable[Matrix]) -> Matrix:
    """Put the matrices of several environments together; of a pair that several have, the first is kept."""
    merged = Matrix()
    for matrix in matrices:
        kept = [pair for key, pair in matrix.pairs.items() if key not in merged.pairs]
        numbers: dict[int, int] = {}
        for old in sorted({pair.environment for pair in kept}):
            if matrix.environments[old] not in merged.environments:
                merged.environments.append(matrix.environments[old])
            numbers[old] = merged.environments.index(matrix.environments[old])
        for pair in kept:
            pair.environment = numbers[pair.environment]
            merged.add(pair)
        for name, why in matrix.absent.items():
            merged.absent.setdefault(name, why)
    met = set(merged.names())
    merged.absent = {name: why for name, why in merged.absent.items() if name not in met}
    return merged
