"""torch's tracers: what crosses between torch and others isn't recorded, and of its own calls only some say so.

While torch.jit.trace records, ``numpy()`` and ``from_numpy`` warn that values become constants; DLPack and the exchange
API say nothing. What torch does on the way would be recorded, and what others write into its memory wouldn't: the trace
would give memory that nobody has written. So nothing is recorded of what crosses, and one warning says so.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import warnings
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import torch

from interop._native import Guards, Switch, called_from
from interop._words import name_of, with_article

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_P = ParamSpec("_P")
_R = TypeVar("_R")

_C: Final[Any] = vars(torch)["_C"]
_jit: Final[Any] = torch.jit

is_tracing: Final[Callable[[], bool]] = _C._is_tracing  # noqa: SLF001 - the public one is a function of Python, and slower
_state: Final[Callable[[], object]] = _C._get_tracing_state  # noqa: SLF001 - nothing public pauses recording
_set_state: Final[Callable[[object], None]] = _C._set_tracing_state  # noqa: SLF001 - nothing public pauses it

#: Whether the thread's tracer is on, in libc10: what torch itself asks wherever it warns.
_INCLUDED: Final = "_ZN3c104impl28tls_is_dispatch_key_includedENS_11DispatchKeyE"


def _question(key: str, slow: Callable[[], bool]) -> Callable[[], bool]:
    """The same question without a call of Python, which costs what is fast a fifth; where this torch has it so."""
    name = "libc10.dylib" if sys.platform == "darwin" else "libc10.so"
    try:
        function = getattr(ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name)), _INCLUDED)
        number = int(_C._parse_dispatch_key(key))  # noqa: SLF001 - nothing public says a key's number, and versions differ
        switch = Switch(ctypes.cast(function, ctypes.c_void_p).value or 0, number)
    except (OSError, AttributeError, RuntimeError):
        return slow
    return switch if switch() is slow() else slow


def _has_modes() -> bool:
    """Whether a dispatch mode is on, such as a fake one: what torch allocates there may have no memory."""
    return bool(_C._len_torch_dispatch_stack())  # noqa: SLF001 - nothing public tells


#: For what nothing else tells.
NOT_TRACING: Final = ((_question("Tracer", is_tracing), False),)
UNTRACED: Final = Guards(calls=NOT_TRACING)

#: The same where torch allocates.
ALLOCATES: Final = Guards(calls=(*NOT_TRACING, (_question("Python", _has_modes), False)))

_NOWHERE: Final = nullcontext()

#: In torch's own words.
_TEXT: Final = (
    "Converting a tensor by interop might cause the trace to be incorrect. We can't record the data flow between torch "
    "and another library, nor the shape of what interop allocates, so this value will be treated as a constant in the "
    "future. This means that the trace might not generalize to other inputs!"
)


def warn_if_tracing() -> None:
    """Warn as torch does, at the line of whoever called this library."""
    if is_tracing():
        # warnings has skip_file_prefixes since Python 3.12.
        _, between = called_from()
        warnings.warn(_TEXT, _jit.TracerWarning, stacklevel=between + 1)


def crossing() -> AbstractContextManager[None]:
    """Around what goes from torch to another library or back: it warns, and nothing of it is recorded."""
    warn_if_tracing()
    return unrecorded()


def unrecorded() -> AbstractContextManager[None]:
    """Around what must not be recorded."""
    return _unrecorded() if is_tracing() else _NOWHERE


@contextmanager
def _unrecorded() -> Generator[None]:
    state = _state()
    _set_state(None)
    try:
        yield
    finally:
        _set_state(state)


def _within(
    context: Callable[[], AbstractContextManager[None]],
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make a decorator: while torch records, the method runs in this context."""

    def decorate(method: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(method)
        def checked(*arguments: _P.args, **keywords: _P.kwargs) -> _R:
            if not is_tracing():
                return method(*arguments, **keywords)
            with context():
                return method(*arguments, **keywords)

        return checked

    return decorate


def crosses(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have a method that hands memory out, or takes it in, do so as :func:`crossing` says."""
    return _within(crossing)(method)


def looks(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have a method that only looks see plain numbers, which torch's lengths aren't while it records."""
    return _within(unrecorded)(method)


def proxy_text(x: Any) -> str:
    """Why what stands for a tensor in torch.fx is refused: it answers to every name, and records that it was asked."""
    return (
        f"{with_article(name_of(type(x)))} only records operations and has no values. Convert outside of the traced "
        "function, or keep the function that converts out of the trace by torch.fx.wrap."
    )
