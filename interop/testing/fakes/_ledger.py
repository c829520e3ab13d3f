"""Who handed out what: every managed tensor of every fake, from its export to the call of its deleter.

Callbacks and structs are held here, in module globals, so that they outlive whatever exports them.

The ledger also holds each capsule that a fake returned, until nobody else does. A capsule's destructor may run
while its consumer raises, a ctypes callback that runs then would swallow the consumer's exception, and nothing in
pure Python can put it back. So capsules die here, where nothing is in flight.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from interop.testing._capsules import (
    DELETER,
    DESTRUCTOR,
    Fields,
    Managed,
    capsule_new,
    dying_name,
    dying_pointer,
    immortal,
    new_managed,
    static_name,
)

if TYPE_CHECKING:
    from typing_extensions import CapsuleType


@dataclass(slots=True)
class Tally:
    """What one fake has handed out and got back."""

    exports: int = 0
    deleted: int = 0
    repeated: int = 0


class _Export:
    __slots__ = ("keep", "managed", "tally")

    def __init__(self, managed: Managed, keep: object, tally: Tally) -> None:
        self.managed, self.keep, self.tally = managed, keep, tally


# Reentrant: deleting an export may end another one.
_lock: Final = threading.RLock()
_live: Final[dict[int, _Export]] = {}
_immortal: Final[list[_Export]] = []
# Structs whose deleter has run stay allocated for a while, so that a second call of it is known for what it is.
_deleted: Final[deque[_Export]] = deque(maxlen=256)
_capsules: Final[list[CapsuleType]] = []
_FEWEST: Final = 64
_sweep_at = _FEWEST
# Something once the interpreter is about to let its modules go: from then on the names of this one mean nothing.
_closed: Final[list[bool]] = []


def _delete(address: int, closed: list[bool] = _closed) -> None:
    if closed:
        return
    with _lock:
        export = _live.pop(address, None)
        if export is None:
            for gone in _deleted:
                if ctypes.addressof(gone.managed) == address:
                    gone.tally.repeated += 1
            return
        export.tally.deleted += 1
        export.keep = None
        # Whoever still reads the struct shall notice.
        export.managed.dl_tensor.data, export.managed.dl_tensor.ndim = None, -1
        _deleted.append(export)


def _destroy(capsule: int, closed: list[bool] = _closed) -> None:
    if closed:
        return
    name = dying_name(capsule)
    if name is None or not name.startswith(b"used_"):
        address = dying_pointer(capsule, name)
        if address in _live:
            _delete(address)


# Who holds a capsule of a fake, or its memory, may let go of it after this module has gone.
_deleter: Final = immortal(DELETER(_delete))
_destructor: Final = immortal(DESTRUCTOR(_destroy))
_deleter_address: Final = ctypes.cast(_deleter, ctypes.c_void_p).value
_destructor_address: Final = ctypes.cast(_destructor, ctypes.c_void_p).value


def export(fields: Fields, keep: object, tally: Tally) -> int:
    """Make a managed tensor that owns `keep`; return its address."""
    managed, buffers = new_managed(fields, _deleter_address if fields.deleter else None)
    made = _Export(managed, (keep, buffers), tally)
    address = ctypes.addressof(managed)
    with _lock:
        if fields.deleter:
            _live[address] = made
            tally.exports += 1
        else:  # nobody can say when it ends, so it never does
            _immortal.append(made)
    return address


def new_capsule(fields: Fields, keep: object, tally: Tally) -> CapsuleType:
    """Make a capsule that owns a managed tensor that owns `keep`."""
    address = export(fields, keep, tally)
    capsule: CapsuleType = capsule_new(address, static_name(fields.capsule_name), _destructor_address)
    with _lock:
        _capsules.append(capsule)
        if len(_capsules) >= _sweep_at:
            sweep()
    return capsule


def ended(tally: Tally) -> None:
    """Count the end of an export that no managed tensor stands for."""
    with _lock:
        tally.deleted += 1


def _references(held: list[Any], index: int) -> int:
    return sys.getrefcount(held[index])


# What _references() says of an object that only its list holds; it differs between versions of Python.
_ALONE: Final = _references([object()], 0)


def sweep() -> None:
    """Let go of the capsules that nobody else holds; those that nobody consumed free what they own."""
    global _sweep_at  # noqa: PLW0603 - one threshold for the one list
    with _lock:
        kept = [_capsules[i] for i in range(len(_capsules)) if _references(_capsules, i) > _ALONE]
        gone, _capsules[:] = list(_capsules), kept
        _sweep_at = 2 * len(kept) + _FEWEST
    del gone


# The last that is registered is the first that is called.
atexit.register(_closed.append, True)
atexit.register(sweep)
