"""The support matrix as two pictures: squares filled by what becomes of their tensors, in letters and two palettes.

They show what `interop matrix --out` draws, made for pages: letters stay letters, and dark pages have dark squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from typing import Any

from interop.cli._matrix import pictures, results, verdict
from interop.cli._matrix.cells import DTYPES

WIDE, HIGH, GAP = 54, 30, 3
LEFT, ABOVE, LINE = 158, 92, 21
#: A square of which less is possible has no number, as in the pictures of the command.
TELLING = 0.1

DARK = {"view": "#1a86c7", "copy": "#2f6a8c", "error": "#6b7580", "bad": "#d55e00", "none": "#20242a"}
LIGHT = {fill.group: fill.colour for fill in pictures.FILLS}

STYLE = """<style>
svg {{ font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
svg {{ --page: #ffffff; --ink: #1f2937; {light} }}
@media (prefers-color-scheme: dark) {{ svg {{ --page: #131416; --ink: #e6e8eb; {dark} }} }}
text {{ fill: var(--ink); }}
.n {{ text-anchor: middle; font-weight: 700; stroke: var(--page); stroke-width: 3px; paint-order: stroke; }}
.r {{ text-anchor: end; }}
.h {{ font-size: 16px; font-weight: 700; }}
{classes}
</style>
<defs><pattern id="bad" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="var(--bad)"/><path d="M0 0H6M0 0V6" stroke="var(--page)" stroke-width="1.4"/>
</pattern></defs>"""


def pairs(matrix: results.Matrix) -> str:
    """Sources down, targets across; by hand above, and through interop below."""

    def cell(source: str, target: str, *, ours: bool) -> dict[str, float]:
        pair = matrix.pairs.get((source, target))
        return {} if pair is None else pictures.shares(verdict.count([pair], ours=ours))

    return _drawn(matrix.names(), matrix.targets(), cell, "What becomes of a tensor, from each library to each other")


def dtypes(matrix: results.Matrix) -> str:
    """Element types down, targets across, over all sources."""

    def cell(dtype: str, target: str, *, ours: bool) -> dict[str, float]:
        found = [pair for pair in matrix.pairs.values() if pair.target == target]
        return pictures.shares(verdict.count(found, ours=ours, dtype=dtype))

    met = {dtype for pair in matrix.pairs.values() for dtype, _ in pair.cells()}
    rows = [dtype for dtype in DTYPES if dtype in met]
    return _drawn(rows, matrix.targets(), cell, "What becomes of each element type, by the library that it goes to")


def _drawn(rows: Sequence[str], columns: Sequence[str], cell: pictures.Cells, title: str) -> str:
    width = LEFT + len(columns) * WIDE + 78
    panel = ABOVE + len(rows) * HIGH + 46
    height = 40 + 2 * panel + LINE * (len(pictures.FILLS) + 4)
    parts = [_head(width, height, title)]
    for number, ours in enumerate((False, True)):
        heading = "through interop" if ours else "by hand: every call that people write"
        parts += _panel(40 + number * panel, rows, columns, partial(cell, ours=ours), heading)
    parts += _legend(40 + 2 * panel)
    return "\n".join([*parts, "</svg>", ""])


def _head(width: int, height: int, title: str) -> str:
    light, dark = ("".join(f"--{name}: {value}; " for name, value in each.items()) for each in (LIGHT, DARK))
    classes = "\n".join(
        f".{name} {{ fill: {f'url(#{name})' if name == 'bad' else f'var(--{name})'}; }}" for name in LIGHT
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">\n'
        f"<title>{escape(title)}</title>\n{STYLE.format(light=light, dark=dark, classes=classes)}\n"
        f'<rect width="100%" height="100%" fill="var(--page)"/>\n<text class="h" x="12" y="24">{escape(title)}</text>'
    )


def _panel(
    top: int, rows: Sequence[str], columns: Sequence[str], cell: Callable[[str, str], dict[str, float]], heading: str
) -> Iterator[str]:
    yield f'<text class="h" x="{LEFT}" y="{top + 24}">{escape(heading)}</text>'
    for place, column in enumerate(columns):
        x, y = LEFT + place * WIDE + WIDE // 2 - 4, top + ABOVE + 14
        yield f'<text transform="translate({x} {y}) rotate(-35)">{escape(column)}</text>'
    for line, row in enumerate(rows):
        y = top + ABOVE + 22 + line * HIGH
        yield f'<text class="r" x="{LEFT - 8}" y="{y + 19}">{escape(row)}</text>'
        for place, column in enumerate(columns):
            yield from _square(LEFT + place * WIDE, y, cell(row, column))


def _square(x: int, y: int, shares: dict[str, float]) -> Iterator[str]:
    """One square, filled from the bottom, with its zero-copy part in the middle."""
    if not shares:  # not measured
        return
    wide, high = WIDE - GAP, HIGH - GAP
    bottom = float(y + high)
    for fill in pictures.FILLS:
        part = shares[fill.group] * high
        if part:
            bottom -= part
            yield f'<rect class="{fill.group}" x="{x}" y="{bottom:.1f}" width="{wide}" height="{part:.1f}"/>'
    possible = 1 - shares["none"]
    if possible > TELLING:
        number = f"{100 * shares['view'] / possible:.0f}"
        yield f'<text class="n" x="{x + wide / 2:g}" y="{y + 18}">{number}</text>'


def _legend(top: int) -> Iterator[str]:
    words = (
        "A square is filled, from below, by what happens to its tensors: every element type and layout,",
        "writable and readonly. The number is the part of the possible that is zero-copy, in %.",
    )
    for line, text in enumerate(words):
        yield f'<text x="12" y="{top + 14 + line * LINE}">{text}</text>'
    for line, fill in enumerate(pictures.FILLS, len(words)):
        y = top + 14 + line * LINE
        yield f'<rect class="{fill.group}" x="12" y="{y - 11}" width="30" height="13"/>'
        yield f'<text x="52" y="{y}">{escape(fill.words)}</text>'


def drawn(data: Any) -> dict[str, str]:
    return {"matrix-pairs.svg": pairs(data), "matrix-dtypes.svg": dtypes(data)}
