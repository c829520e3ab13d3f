"""Guards: what copies, moves between devices and casts are counted, logged and refused, in this thread or task.

All state of guards is here. Whoever copies, moves or casts asks first, where :func:`guarded` says that anybody guards:
one read of a counter of the process. What is refused raises before a byte moves; what is done is noted afterwards.
"""

cimport cython

import contextvars
import logging
import threading
from typing import NamedTuple

from interop._native._apart import called_from
from interop._words import exact_int, exact_str, shown
from interop.errors import CopyError, DeviceError, DTypeError, UnsupportedError

KINDS = ("copies", "transfers", "casts")
LEVELS = ("allow", "log", "disallow", "disallow_explicit")

cdef object _lock = threading.Lock()
cdef object _current = contextvars.ContextVar("interop guard", default=None)
# What the conversions inside were asked for, whatever their options say: "implied", or "settled" already.
cdef object _mood = contextvars.ContextVar("interop guard, mood", default="")
# The guard of the process, which the environment variable opens.
cdef object _of_process = None

_ERRORS = {"copies": CopyError, "transfers": DeviceError, "casts": DTypeError}
_NAMES = {"copies": "a copy", "transfers": "a move between devices", "casts": "a cast"}

open_guards = 0


def is_guarded():
    """Whether any guard is open in the process."""
    return open_guards != 0


class GuardedCall(NamedTuple):
    """A call that copied, moved or cast.

    Attributes
    ----------
    where
        The file and the line that called this library.
    what
        What was done, in words.
    why
        Why it was needed; empty for what was just asked for.
    """

    where: str
    what: str
    why: str


@cython.final
cdef class Event:
    """Something that is about to be done.

    Parameters
    ----------
    copied, moved
        Bytes that are written, on one device and from one to another.
    casts
        Whether the element type changes.
    asked_copy, asked_move, asked_cast
        Whether the call asked for it by an option.
    what, why
        In words; callables without arguments where the words are made when they are needed.
    """

    def __cinit__(
        self,
        *,
        copied=0,
        moved=0,
        bint casts=False,
        bint asked_copy=False,
        bint asked_move=False,
        bint asked_cast=False,
        what="",
        why="",
    ):
        self.copied = copied
        self.moved = moved
        self.casts = casts
        self.asked_copy = asked_copy
        self.asked_move = asked_move
        self.asked_cast = asked_cast
        self.what = what
        self.why = why

    def text(self):
        """What is done, in words."""
        return self.what() if callable(self.what) else self.what

    def reason(self):
        """Why, in words."""
        return self.why() if callable(self.why) else self.why

    def of(self, kind):
        """Bytes of a kind, None where there is nothing of it, and whether it was asked for."""
        if kind == "copies":
            return self.copied, self.asked_copy
        if kind == "transfers":
            return self.moved, self.asked_move
        return ((self.copied or self.moved or 0) if self.casts else None), self.asked_cast


class Guard:
    """A guard, and the record of what was done while it was open; :func:`interop.guard` makes it.

    Attributes
    ----------
    copies, moves, casts
        How many there were. A cast writes fresh memory, so that it is a copy, or a move, as well.
    bytes
        What copies and moves wrote.
    calls
        The calls that did: where, what and why.
    """

    def __init__(self, **levels):
        self._levels = {kind: _level(kind, level) for kind, level in levels.items() if level is not None}
        self.copies = self.moves = self.casts = self.bytes = 0
        self.calls = []
        self._open = False
        self._outer = self._token = None

    def __enter__(self):
        global open_guards
        if self._open:
            raise UnsupportedError("this guard is open already. Make another one: interop.guard(...).")
        self._outer = _current.get()
        self._token = _current.set(self)
        self._open = True
        with _lock:
            open_guards += 1
        return self

    def __exit__(self, *_):
        global open_guards
        self._open = False
        with _lock:
            open_guards -= 1
        try:
            _current.reset(self._token)
        except ValueError:
            # Left in another context: a generator that another task closed.
            pass
        self._outer = self._token = None

    def __repr__(self):
        counts = f"copies={self.copies}, bytes={self.bytes}, moves={self.moves}, casts={self.casts}"
        return f"<interop.guard: {counts}>"


cdef object _level(str kind, level):
    name = exact_str(level)
    if name in LEVELS:
        return name
    number = exact_int(level)
    if number is None or number < 0:
        raise UnsupportedError(
            f"{kind}={shown(level)} is not a value of this argument: pass {', '.join(map(repr, LEVELS))} or a number of bytes."
        )
    return number


cdef list _guards():
    """The open guards here, the innermost first; the process's is the outermost."""
    cdef list found = []
    guard = _current.get()
    while guard is not None:
        # A task that inherited a guard goes on without it when its block has ended.
        if guard._open:
            found.append(guard)
        guard = guard._outer
    if _of_process is not None:
        found.append(_of_process)
    return found


cpdef object permit(Event event):
    """Refuse what the innermost guard that names its kind forbids, and log what it logs.

    Raises
    ------
    DeviceError, DTypeError, CopyError
        In this order, for a move, a cast and a copy.
    """
    mood = _mood.get()
    if mood == "settled":
        return
    guards = _guards()
    for kind in ("transfers", "casts", "copies"):
        size, asked = event.of(kind)
        if size is None or (size == 0 and kind != "casts"):
            continue
        asked = asked and mood != "implied"
        level = _level_of(guards, kind)
        if level == "allow":
            continue
        if level == "log":
            # Made when it is used: importing this library changes no state of the process.
            logger = logging.getLogger("interop.guard")
            logger.warning("%s: %s (%s)%s", where(), event.text(), _NAMES[kind], "" if asked else ", not asked for")
        elif type(level) is int:
            if size > level and not asked:
                raise _refused(event, kind, f"a guard allows {level:,} bytes in a call ({kind}={level})")
        elif level == "disallow_explicit" or not asked:
            raise _refused(event, kind, f"a guard forbids {_NAMES[kind]} here ({kind}={level!r})")


cdef object _level_of(list guards, str kind):
    """That of the innermost guard which names the kind."""
    for guard in guards:
        if kind in guard._levels:
            return guard._levels[kind]
    return "allow"


cdef object _refused(Event event, str kind, str why):
    reason = event.reason()
    because = f", and it is needed: {reason}" if reason else ""
    fix = f"Do it outside of the guard's block, or inside of one that allows it: with interop.guard({kind}='allow')."
    return _ERRORS[kind](f"{event.text()}: {why}{because}. {fix}")


cpdef object note(Event event):
    """Count what was done, in every guard that is open here."""
    if _mood.get() == "settled" or not (event.copied or event.moved or event.casts):
        return
    call = None
    for guard in _guards():
        guard.copies += event.copied > 0
        guard.moves += event.moved > 0
        guard.casts += event.casts
        guard.bytes += event.copied + event.moved
        if guard is not _of_process:
            call = call or GuardedCall(where(), event.text(), event.reason())
            guard.calls.append(call)


def where():
    """The file and the line that called this library."""
    frame, _ = called_from()
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


class _Mood:
    """What holds of the conversions inside of a block."""

    def __init__(self, mood):
        self._mood = mood

    def __enter__(self):
        self._token = _mood.set(self._mood)

    def __exit__(self, *_):
        _mood.reset(self._token)


def implied():
    """A block in which nothing counts as asked for: what results go back as, and what follows another array."""
    return _Mood("implied")


def settled():
    """A block in which nothing is asked or noted: its whole has been."""
    return _Mood("settled")


def guard_process(str text not None):
    """Open a guard for the whole process, in words such as ``copies=disallow,transfers=log``; none for none."""
    global _of_process, open_guards
    levels = {}
    for part in filter(None, map(str.strip, text.split(","))):
        kind, _, level = part.partition("=")
        if kind not in KINDS or not level:
            raise UnsupportedError(
                f"INTEROP_GUARD={text!r} isn't understood at {part!r}: write copies=, transfers= or casts= with "
                f"{', '.join(LEVELS)} or a number of bytes, and commas between them."
            )
        levels[kind] = int(level) if level.isdecimal() else level
    made = Guard(**levels) if levels else None
    open_guards += (made is not None) - (_of_process is not None)
    _of_process = made
