"""The pictures: each square is a pair, filled by what becomes of its cells; by hand first, then through interop.

The colours are Okabe and Ito's, which people with any colour vision tell apart, and what is bad is hatched too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from interop.cli._matrix import outcomes, verdict
from interop.cli._matrix.cells import DTYPES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from interop.cli._matrix.results import Matrix

_INK: Final = "#1f2937"
_SOFT: Final = "#6b7280"

#: A square of which less is possible has no number: 100 % of next to nothing would be read as praise.
_TELLING: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fill:
    """What a part of a square looks like, and what it says."""

    group: str
    colour: str
    words: str
    hatch: str = ""


#: From the bottom of a square to its top.
FILLS: Final = (
    Fill("view", "#0072b2", "zero-copy: on the same memory"),
    Fill("copy", "#a6d4ee", "one copy, the values right"),
    Fill("error", "#9aa3ad", "an error, though a right result exists"),
    Fill(
        "bad", "#d55e00", "harm: wrong values, crash, hang, readonly memory written, type changed without a word", "xxx"
    ),
    Fill("none", "#f1f3f5", "the target has no such element type or shape"),
)


class Cells(Protocol):
    """Tells the parts of the square in a row and a column, by hand or ours."""

    def __call__(self, row: str, column: str, /, *, ours: bool) -> dict[str, float]: ...


def shares(found: Counter[str]) -> dict[str, float]:
    """What part of some cells each group is; cells without an element say nothing."""
    groups = dict.fromkeys((fill.group for fill in FILLS), 0)
    for letter, number in found.items():
        group = outcomes.OUTCOMES[letter].group
        if group in groups:
            groups[group] += number
    total = sum(groups.values())
    return {group: number / total for group, number in groups.items()} if total else {}


def draw_pairs(matrix: Matrix, path: Path) -> None:
    """Draw the heat map of pairs: sources down, targets across."""
    names, targets = matrix.names(), matrix.targets()

    def cell(source: str, target: str, *, ours: bool) -> dict[str, float]:
        pair = matrix.pairs.get((source, target))
        return {} if pair is None else shares(verdict.count([pair], ours=ours))

    _draw(path, names, targets, cell, "What becomes of a tensor, from each library to each other", stacked=True)


def draw_dtypes(matrix: Matrix, path: Path) -> None:
    """Draw the heat map of element types: types down, targets across, over all sources."""
    targets = matrix.targets()

    def cell(dtype: str, target: str, *, ours: bool) -> dict[str, float]:
        pairs = [pair for pair in matrix.pairs.values() if pair.target == target]
        return shares(verdict.count(pairs, ours=ours, dtype=dtype))

    met = {dtype for pair in matrix.pairs.values() for dtype, _ in pair.cells()}
    dtypes = [dtype for dtype in DTYPES if dtype in met]
    _draw(
        path, dtypes, targets, cell, "What becomes of each element type, by the library that it goes to", stacked=False
    )


def _draw(
    path: Path,
    rows: Sequence[str],
    columns: Sequence[str],
    cell: Cells,
    title: str,
    *,
    stacked: bool,
) -> None:
    """Draw two panels of squares, one below the other where there are few rows, and what they mean in words."""
    down, across = (2, 1) if stacked else (1, 2)
    size = across * (0.66 * len(columns) + 0.4) + 1.9, down * (0.4 * len(rows) + 0.9) + 2.2
    figure = Figure(figsize=(max(size[0], 9), size[1]), layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", fontsize=15, weight="bold", color=_INK)
    panels = figure.subplots(down, across, sharex=True, sharey=True)
    for axes, ours in zip(panels, (False, True), strict=True):
        _panel(axes, rows, columns, partial(cell, ours=ours))
        heading = "through interop" if ours else "by hand: every call that people write"
        axes.set_title(heading, loc="left", fontsize=12.5, color=_INK, weight="bold", pad=10)
        axes.set_xlabel("to \N{RIGHTWARDS ARROW}", color=_SOFT, fontsize=10, loc="left")
        axes.xaxis.set_label_position("top")
        if stacked:
            axes.set_ylabel("\N{LEFTWARDS ARROW} from", color=_SOFT, fontsize=10, loc="top")
    _legend(figure)
    figure.savefig(path, dpi=130)


def _legend(figure: Any) -> None:
    words = (
        "A square is filled, from below, by what happens to its tensors: every element type and layout, writable\n"
        "and readonly. The number is the part of the possible that is zero-copy, in %. What is blank wasn't measured."
    )
    patches: list[Any] = [
        Patch(facecolor=fill.colour, edgecolor="white", hatch=fill.hatch, label=fill.words, linewidth=0)
        for fill in FILLS
    ]
    place = {"loc": "outside lower left", "ncols": 1, "alignment": "left"}
    figure.legend(handles=patches, frameon=False, fontsize=10, labelcolor=_INK, title=words, title_fontsize=10, **place)


def _panel(
    axes: Any, rows: Sequence[str], columns: Sequence[str], cell: Callable[[str, str], dict[str, float]]
) -> None:
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            _square(axes, x, y, cell(row, column))
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="left", fontsize=9.5, color=_INK)
    axes.set_yticks(range(len(rows)), rows, fontsize=9.5, color=_INK)
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _square(axes: Any, x: int, y: int, parts: dict[str, float]) -> None:
    """One square, filled from the bottom, with its zero-copy part in the middle."""
    if not parts:  # not measured
        return
    bottom, side = y + 0.45, 0.9
    for fill in FILLS:
        part = parts[fill.group] * side
        if part:
            look: dict[str, Any] = {"facecolor": fill.colour, "edgecolor": "white", "hatch": fill.hatch, "linewidth": 0}
            axes.add_patch(Rectangle((x - side / 2, bottom - part), side, part, **look))
            bottom -= part
    possible = 1 - parts["none"]
    if possible > _TELLING:
        number = f"{100 * parts['view'] / possible:.0f}"
        outline = [withStroke(linewidth=2.5, foreground="white")]
        axes.text(x, y, number, ha="center", va="center", fontsize=9, color=_INK, weight="bold", path_effects=outline)
