"""Draws the README's picture from a run of the benchmarks.

python -m benchmarks --out docs/measured && python docs/pictures.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent
INK, FAINT, OURS, THEIRS = "#1f2933", "#9aa5b1", "#2a6fdb", "#c9d2dc"

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
    libraries = f"Python {run['python']}, torch {versions['torch']}, numpy {versions['numpy']}"
    return f"One call on a 3 x 4 tensor, no copy: shorter is better. {run['cpu']}, {libraries}, {date}"


def main() -> None:
    run = json.loads((DOCS / "measured" / "benchmarks.json").read_text(encoding="utf-8"))
    rows = bars(run["results"])
    places, place = [], 0.0
    for title, *_ in rows:
        place += 2 if title else 1
        places.append(place)
    with mpl.rc_context({"font.size": 10, "text.color": INK}):
        figure, axes = plt.subplots(figsize=(9.6, 4.4), layout="constrained")
        axes.barh(places, [row[2] for row in rows], 0.8, color=[OURS if row[3] else THEIRS for row in rows])
        widest = max(row[2] for row in rows)
        for at, (title, label, nanoseconds, ours) in zip(places, rows, strict=True):
            weight = "bold" if ours else "normal"
            axes.text(
                nanoseconds + widest / 90, at, f"{nanoseconds:,.0f} ns", va="center", fontsize=9, fontweight=weight
            )
            axes.text(
                -widest / 90, at, label, va="center", ha="right", fontsize=9, family="monospace", fontweight=weight
            )
            if title:
                axes.text(widest / 90, at - 0.95, title, va="center", fontsize=10, fontweight="bold")
        axes.invert_yaxis()
        axes.set_xlim(0, widest * 1.15)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.spines["left"].set_color(FAINT)
        figure.supxlabel(_machine(run), fontsize=7.5, color=FAINT, x=0.99, ha="right")
        figure.savefig(DOCS / "_static" / "speed.png", dpi=150, facecolor="white")


if __name__ == "__main__":
    main()
