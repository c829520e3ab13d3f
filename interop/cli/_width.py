"""How wide what goes into a pipe may be."""

from __future__ import annotations

import os
import sys


def pipe_width() -> int | None:
    """Return the width that ``COLUMNS`` asks for; None where it says nothing."""
    try:
        width = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        return None
    return width if width > 0 else None


def console_width(wide: int) -> int | None:
    """Return the width for a rich console: None, its own, on a terminal; in a pipe what was asked for, or `wide`."""
    return None if sys.stdout.isatty() else pipe_width() or wide
