"""The libraries that the demo plays with, loaded where they are used."""

from __future__ import annotations

import importlib
from typing import Any


def load(name: str) -> Any:
    """Import a library; what comes from it is untyped, as everything is that crosses between libraries."""
    return importlib.import_module(name)
