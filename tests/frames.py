"""Which of this library's functions of Python a call enters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def frames_of(call: Callable[[], Any]) -> list[str]:
    """The functions of this library that a call enters, in their order."""
    entered: list[str] = []

    def profile(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and "/interop/" in frame.f_code.co_filename.replace("\\", "/"):
            entered.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered
