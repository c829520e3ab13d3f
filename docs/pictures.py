"""Draws the pictures of the pages: from a run of the benchmarks, from the measured matrix, and by the pages' examples.

python -m benchmarks --out docs/measured && python docs/refresh.py pictures
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import heatmaps
import matplotlib as mpl
import palettes

from interop.cli._matrix import results

mpl.use("svg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent
STATIC = DOCS / "_static"
INK, FAINT, OURS, THEIRS = "#1f2933", "#9aa5b1", "#2a6fdb", "#c9d2dc"

#: One picture is one file, whenever it is drawn.
plt.rcParams.update({"svg.hashsalt": "interop"})

#: What is drawn: the comparison's name, its title, and the calls beside ours.
GROUPS = (
    ("to_numpy", "torch to numpy", ("t.numpy()", "np.from_dlpack(t)")),
    ("to_torch", "numpy to torch", ("torch.from_numpy(a)", "torch.from_dlpack(a)")),
    ("bfloat16 to_numpy", "bfloat16, torch to numpy", ("t.view(torch.int16).numpy().view(bfloat16)",)),
    ("bfloat16 to_torch", "bfloat16, numpy to torch", ("torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)",)),
)


def bars(results: list[dict[str, Any]]) -> list[tuple[str, str, float, bool]]:
    """Title (of the first of a group), label, nanoseconds, whether it is ours."""
    found = []
    for name, title, others in GROUPS:
        rows = {row["against"]: row for row in results if row["name"] == name}
        first = rows[others[0]]
        found.append((title, f"interop.{first['call']}", first["ours"], True))
        found += [("", other, rows[other]["theirs"], False) for other in others]
    return found


def _machine(run: dict[str, Any]) -> str:
    versions, date = run["versions"], run["date"][:10]
    return (
        "One call on a 3 x 4 tensor, no copy: shorter is better.\n"
        f"{run['cpu']}, Python {run['python']}, torch {versions['torch']}, numpy {versions['numpy']}, {date}"
    )


def speed(path: Path) -> None:
    """Bars with their calls above them, so narrow that a phone shows them in a size that can be read."""
    run = json.loads((DOCS / "measured" / "benchmarks.json").read_text(encoding="utf-8"))
    rows = bars(run["results"])
    places, place = [], 0.0
    for title, *_ in rows:
        place += 2.7 if title else 1.5
        places.append(place)
    with mpl.rc_context({"font.size": 10, "text.color": INK}):
        figure, axes = plt.subplots(figsize=(5.6, 6.4), layout="constrained")
        axes.barh(places, [row[2] for row in rows], 0.55, color=[OURS if row[3] else THEIRS for row in rows])
        widest = max(row[2] for row in rows)
        for at, (title, label, nanoseconds, ours) in zip(places, rows, strict=True):
            weight = "bold" if ours else "normal"
            figures = {"va": "center", "fontsize": 10, "fontweight": weight}
            axes.text(nanoseconds + widest / 90, at, f"{nanoseconds:,.0f} ns", **figures)
            axes.text(0, at - 0.55, label, family="monospace", **figures)
            if title:
                axes.text(0, at - 1.35, title, va="center", fontsize=12, fontweight="bold")
        axes.invert_yaxis()
        axes.set_xlim(0, widest * 1.2)
        axes.set_ylim(places[-1] + 0.5, places[0] - 1.7)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
        figure.supxlabel(_machine(run), fontsize=8.5, color=FAINT, x=0.02, ha="left")
        figure.savefig(path)
    plt.close(figure)


def measured() -> None:
    """Draw what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        speed(Path(folder) / "speed.svg")
        palettes.keep(Path(folder) / "speed.svg", STATIC / "speed.svg")
    found = results.load(DOCS / "measured" / "matrix.json")
    for name, text in heatmaps.drawn(found).items():
        (STATIC / name).write_text(text, encoding="utf-8")


def drawn_by(run: Callable[[], Any], kept: Path = STATIC / "examples") -> list[str]:
    """Run what draws into the current folder, and keep that where the pages show it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run()
        plt.close("all")
        found = sorted(each for each in Path().iterdir() if each.suffix in {".png", ".svg"})
        for each in found:
            if each.suffix == ".svg":
                palettes.keep(each, kept / each.name)
            else:
                shutil.copy(each, kept / each.name)
        return [each.name for each in found]
