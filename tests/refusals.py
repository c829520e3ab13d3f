"""What holds of every refusal, whatever was passed: it is foretold, and neither plan nor error keeps that alive."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

import interop

DOORS: tuple[Callable[[Any], Any], ...] = (interop.to_numpy, interop.to_torch, interop.view)


def refused(x: Any, to: str = "numpy", calls: tuple[Callable[[Any], Any], ...] = DOORS) -> str:
    """Return the text by which an object is refused, by a plan and by calls.

    Parameters
    ----------
    x
        The object.
    to
        The target of the plan, and of a conversion.
    calls
        What else refuses it.
    """
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(x)
        plan = interop.explain(x, to)
        assert isinstance(plan.error, interop.UnsupportedError)
        # A traceback holds frames, which hold their arguments; so do those of the errors that led to this one.
        assert [plan.error.__traceback__, plan.error.__cause__, plan.error.__context__] == [None] * 3
        assert x is None or sys.getrefcount(x) == before
        for call in (lambda x: interop.convert(x, to), *calls):
            with pytest.raises(interop.UnsupportedError, match=r"(?s).{40}"):
                call(x)
            assert x is None or sys.getrefcount(x) == before
    finally:
        gc.enable()
    return str(plan.error)
