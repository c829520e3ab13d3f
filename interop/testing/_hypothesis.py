"""What is taken from hypothesis, which is an extra."""

from __future__ import annotations

try:
    from hypothesis import note
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    _msg = 'interop.testing.strategies needs hypothesis: pip install "tensor-interop[testing]"'
    raise ImportError(_msg) from error

__all__ = ["SearchStrategy", "note", "st"]
