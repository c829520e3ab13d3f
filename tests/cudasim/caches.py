"""Handing the frameworks' cached device memory back to the device, so that what is left has an owner."""

from __future__ import annotations

import sys
from collections.abc import Callable


def _torch() -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _cupy() -> None:
    import cupy

    # The pool has a part for each device, and frees that of the current one alone.
    for index in range(cupy.cuda.runtime.getDeviceCount()):
        with cupy.cuda.Device(index):
            cupy.get_default_memory_pool().free_all_blocks()


#: What each framework calls for it.
CACHES: dict[str, Callable[[], None]] = {"torch": _torch, "cupy": _cupy}


def empty() -> None:
    """Empty the caches of the frameworks that have been imported."""
    for name, call in CACHES.items():
        if name in sys.modules:
            call()
