"""How much memory this process has of its own, and how tests of what leaks ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

STATM = Path("/proc/self/statm")


def anonymous_memory() -> int:
    """Resident bytes that no file is behind: pages of libraries come and go with what else the machine does."""
    _, resident, shared, *_ = map(int, STATM.read_text(encoding="ascii").split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def once_in_three(leaves_nothing: Callable[[], bool]) -> bool:
    """Whether one round of three leaves nothing: a leak is there in each, what an allocator keeps for later in one."""
    return any(leaves_nothing() for _ in range(3))
