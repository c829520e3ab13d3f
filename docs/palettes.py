"""Makes a drawing of matplotlib readable on a light page and on a dark one: its colours become names with two values.

What shows the drawing chooses: a browser by the colours of the page around it, by the system's where it is alone.
"""

from __future__ import annotations

import re
from pathlib import Path

#: What a colour of a drawing is on a dark page. All others stay as they are.
DARK = {
    "#000000": "#e6e8eb",
    "#1f2933": "#e6e8eb",
    "#1f2937": "#e6e8eb",
    "#6b7280": "#9aa3ad",
    "#9aa5b1": "#9aa3ad",
    "#ffffff": "#131416",
    "#f1f3f5": "#22262b",
    "#c9d2dc": "#4a525c",
    "#2a6fdb": "#5b9bff",
    "#a6d4ee": "#3b7a9e",
    "#9aa3ad": "#6b7580",
    "#b0b0b0": "#3a4048",
    "#cccccc": "#3a4048",
    "#0072b2": "#1a8fd1",
}

_STYLE = """<style>
:root {{ {light} }}
@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}
svg {{ fill: var(--c000000); }}
</style>
"""


def two_palettes(drawing: str) -> str:
    """The text of an SVG file of matplotlib, with both palettes and without the date of its making."""
    drawing = re.sub(r"\s*<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)

    def named(found: re.Match[str]) -> str:
        # White letters are on a colour that stays as it is.
        if found[0].startswith("<g") and "fill: #ffffff" in found[0]:
            return found[0]
        return re.sub(r"#[0-9a-f]{6}", lambda colour: _name(colour[0]), found[0])

    drawing = re.sub(r"<\w+[^>]* style=\"[^\"]*\"", named, drawing)
    drawing = re.sub(
        r" (fill|stroke)=\"(#[0-9a-f]{6})\"", lambda each: f' style="{each[1]}: {_name(each[2])}"', drawing
    )
    light, dark = (
        " ".join(f"{_variable(key)}: {value};" for key, value in each)
        for each in (zip(DARK, DARK, strict=True), DARK.items())
    )
    head = drawing.index(">", drawing.index("<svg")) + 1
    style = _STYLE.format(light=light, dark=dark)
    return (
        "\n".join(line.rstrip() for line in (drawing[:head] + "\n" + style + drawing[head:].lstrip()).splitlines())
        + "\n"
    )


def _variable(colour: str) -> str:
    return f"--c{colour[1:]}"


def _name(colour: str) -> str:
    return f"var({_variable(colour)})" if colour in DARK else colour


def keep(drawn: Path, path: Path) -> None:
    """Put a drawing where the pages show it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(two_palettes(drawn.read_text(encoding="utf-8")), encoding="utf-8")
