"""Guards: a block in which copies, moves between devices and casts are counted, logged or refused."""

from __future__ import annotations

import os
from typing import Final, Literal

from interop._native import Guard, guard_process

Level = Literal["allow", "log", "disallow", "disallow_explicit"] | int

#: Levels for the whole process, such as ``copies=disallow,transfers=log``.
VARIABLE: Final = "INTEROP_GUARD"


def guard(*, copies: Level | None = None, transfers: Level | None = None, casts: Level | None = None) -> Guard:
    """Count, log or refuse what copies, moves between devices and casts in a block.

    Parameters
    ----------
    copies, transfers, casts
        What becomes of them: ``"allow"`` counts them; ``"log"`` writes each to the logger ``interop.guard`` as well;
        ``"disallow"`` refuses what the call didn't ask for by an option (``copy=True``, ``device=``, a ``dtype=`` by
        name, ``order=``, ``writable=True``); ``"disallow_explicit"`` refuses all; a number of bytes allows that much
        in one call, and what was asked for. None leaves a kind to the guard around this one, and to ``"allow"`` where
        there is none.

    Returns
    -------
    Guard
        A context manager. Its attributes ``copies``, ``bytes``, ``moves`` and ``casts`` are numbers, ``calls`` has
        where, what and why of each. They stay when the block has ended.

    Raises
    ------
    CopyError, DeviceError, DTypeError
        In the block, from the call that would copy, move or cast, before a byte moves.

    Notes
    -----
    It holds for this thread or task, and for tasks that are started in the block until the block ends; not for threads
    that are started in it. Where guards nest, the inner one decides about the kinds that it names, and all of them
    count. What another library does by itself isn't seen: only what goes through this one.

    ``INTEROP_GUARD="copies=disallow,transfers=log"`` in the environment is a guard around the whole process.

    See Also
    --------
    no_copies, no_transfers : the strictest level of one kind.

    Examples
    --------
    >>> import numpy as np, interop
    >>> with interop.guard(copies=64) as seen:
    ...     t = interop.to_torch(np.arange(3)[::-1])
    >>> seen.copies, seen.bytes
    (1, 24)
    >>> seen.calls[0].why
    "torch can't hold negative strides such as (-1,)"
    """
    return Guard(copies=copies, transfers=transfers, casts=casts)


def no_copies() -> Guard:
    """A block in which nothing is copied, asked for or not: what would be is a CopyError.

    Examples
    --------
    >>> import numpy as np, interop
    >>> with interop.no_copies():
    ...     interop.to_torch(np.arange(3), copy=True)
    Traceback (most recent call last):
    interop.errors.CopyError: numpy -> torch: 24 bytes copied: a guard forbids a copy here ...
    """
    return Guard(copies="disallow_explicit")


def no_transfers() -> Guard:
    """A block in which nothing moves between devices, asked for or not: what would is a DeviceError."""
    return Guard(transfers="disallow_explicit")


guard_process(os.environ.get(VARIABLE, ""))
