"""Gradients across the border of two libraries: functions of one, differentiated by the other."""

from interop._agnostic._bridge._choice import Bridged, check

__all__ = ["Bridged", "check"]
