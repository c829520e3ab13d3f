"""Which of this library's functions of Python a call enters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final


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


#: What plans, once for a kind of object or at each call.
PLANNER: Final = frozenset({"_convert_once", "make_plan", "plan_of", "recipe_of", "view_recipe_of"})


def is_planned(call: Callable[[], Any]) -> bool:
    """Whether a call goes by the planner's way; a recipe may still call an adapter's own functions."""
    return not PLANNER.isdisjoint(frames_of(call))
