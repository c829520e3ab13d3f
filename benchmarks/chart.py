"""Draws the results: what the promised calls cost against their budgets, and every way to do the main tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.budgets import Result, Verdict
from benchmarks.rows import LARGE, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK: Final = "#1f2933"
_FAINT: Final = "#9aa5b1"
_OURS: Final = "#2a6fdb"
_THEIRS: Final = "#c9d2dc"
_COLOURS: Final = {
    Verdict.MET: "#2e9e6b",
    Verdict.CLOSE: "#e0a526",
    Verdict.MISSED: "#d64545",
}

_OVER_THE_GRID: Final[dict[str, Any]] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
#: Letters of a label, beyond which it takes two lines.
_LONG: Final = 64

#: The tasks of the second panel, by the names of their comparisons.
_TASKS: Final = {
    "to_numpy": "torch to numpy",
    "to_torch": "numpy to torch",
    "bfloat16 to_numpy": "bfloat16, torch to numpy",
    "bfloat16 to_torch": "bfloat16, numpy to torch",
    "view of torch": "a neutral view of a torch tensor",
    "view of numpy": "a neutral view of a numpy array",
}

#: Beyond this a bar of the first panel is cut off, and its label says where it ends.
_WIDEST: Final = 2.2


def draw(results: Sequence[Result], machine: str, path: Path) -> bool:
    """Draw what there is to draw; False where that is nothing."""
    promised = [each for each in results if each.limit is not None and each.section in (SMALL, LARGE) and each.figure]
    tasks = [row for name in _TASKS for row in _task(name, results)]
    if not promised and not tasks:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    heights = [max(len(promised), 1), max(len(tasks), 1)]
    with mpl.rc_context({"font.size": 9.5, "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK}):
        figure, (first, second) = plt.subplots(
            2, 1, figsize=(13, 2.4 + 0.27 * sum(heights)), height_ratios=heights, layout="constrained"
        )
        _ratios(first, promised)
        _times(second, tasks)
        figure.text(0.005, -0.012, machine, fontsize=7, color=_FAINT, va="top")
        figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)
        plt.close(figure)
    return True


def _ratios(axes: Axes, rows: Sequence[Result]) -> None:
    places = range(len(rows))
    figures = [each.figure or 0.0 for each in rows]
    axes.barh(
        places, [min(figure, _WIDEST) for figure in figures], 0.62, color=[_COLOURS[each.verdict] for each in rows]
    )
    for place, each, figure in zip(places, rows, figures, strict=True):
        limit = each.limit or 0.0
        axes.plot([limit, limit], [place - 0.42, place + 0.42], color=_INK, linewidth=2.2, solid_capstyle="butt")
        end = max(min(figure, _WIDEST), limit)
        text = f"{figure:.2f}  (at most {limit:.2f})"
        axes.text(end + 0.02, place, text, va="center", fontsize=9, bbox=_OVER_THE_GRID)
    axes.axvline(1, color=_FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(places, [_label(each) for each in rows])
    axes.set_xlim(0, _WIDEST + 0.3)
    _style(axes, "Time of our call, the other's being 1; the black mark is the budget")


def _label(each: Result) -> str:
    # Of a large one also what it is, but for framework and element type: "64 MiB, readonly".
    given = each.given.split(" ", 2)[2] + ":  " if each.section == LARGE else ""
    ours, other = given + each.call, f"vs  {each.against}"
    return f"{ours}  {other}" if len(ours) + len(other) < _LONG else f"{ours}\n{other}"


def _times(axes: Axes, rows: Sequence[tuple[str, str, float, bool]]) -> None:
    places = range(len(rows))
    axes.barh(places, [row[2] for row in rows], 0.7, color=[_OURS if row[3] else _THEIRS for row in rows])
    widest = max((row[2] for row in rows), default=1.0)
    for place, (task, _, nanoseconds, ours) in zip(places, rows, strict=True):
        axes.text(nanoseconds + widest / 150, place, f"{nanoseconds:,.0f}", va="center", fontsize=8.5)
        if ours:
            axes.text(widest * 1.08, place, task, va="center", ha="right", fontsize=9.5, fontweight="bold")
    axes.set_yticks(places, [row[1] for row in rows])
    for place, label, row in zip(places, axes.get_yticklabels(), rows, strict=True):
        if row[3]:
            axes.axhline(place - 0.5, color=_FAINT, linewidth=0.6 if place else 0)
            label.set_fontweight("bold")
    axes.set_xlim(0, widest * 1.08)
    _style(axes, "Nanoseconds for a call on a small tensor (3x4)")


def _task(name: str, results: Sequence[Result]) -> list[tuple[str, str, float, bool]]:
    """Our call first, then the others from the fastest."""
    rows = [each for each in results if (each.section, each.name) == (SMALL, name) and each.ours and each.theirs]
    others = sorted((each.theirs or 0.0, each.against) for each in rows)
    ours = [(_TASKS[name], each.call, each.ours or 0.0, True) for each in rows[:1]]
    return ours + [(_TASKS[name], against, nanoseconds, False) for nanoseconds, against in others]


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=8)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.margins(y=0.01)
    for label in axes.get_yticklabels():
        label.set_fontfamily("monospace")
        label.set_fontsize(8.5)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_FAINT)
    axes.set_xticks([])
