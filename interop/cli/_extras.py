"""What a command needs beyond the library itself, and the one line that says what to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class MissingExtraError(Exception):
    """A command needs libraries that can't be imported."""


def need(libraries: Mapping[str, str]) -> None:
    """Import what a command needs, or say in one line what is missing and what installs it.

    Parameters
    ----------
    libraries
        The modules, each with the extra of this distribution that brings it.

    Raises
    ------
    MissingExtraError
        Naming every module that can't be imported, and the ``pip install`` that brings them all.
    """
    missing = {name: why for name in libraries if (why := _failure(name)) is not None}
    if missing:
        extras = ",".join(sorted({libraries[name] for name in missing}))
        found = "; ".join(f"{name} ({why})" for name, why in missing.items())
        msg = f'this needs what can\'t be imported here: {found}. Install it: pip install "tensor-interop[{extras}]"'
        raise MissingExtraError(msg)


def _failure(name: str) -> str | None:
    """Why a module can't be imported, in one line, or None."""
    try:
        importlib.import_module(name)
    except ImportError as err:
        return " ".join(str(err).split())
    return None
