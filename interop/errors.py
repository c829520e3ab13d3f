"""The errors: six, each also the builtin exception that callers of the protocols already catch.

Every message says what was passed, why it can't be done, and the call that would work; :func:`message` puts the
three together, so that no caller forgets one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interop._registry.frameworks import TARGETS
from interop._whole import check
from interop._words import said, text_of, with_article

if TYPE_CHECKING:
    from interop._contract import Facts

# Every part of the package comes here first.
check()

__all__ = [
    "CopyError",
    "DTypeError",
    "DeviceError",
    "GradientError",
    "InteropError",
    "ReadOnlyError",
    "UnsupportedError",
]


class InteropError(Exception):
    """The base of every error that this library raises on purpose."""


class UnsupportedError(InteropError, TypeError):
    """What was passed is no tensor that can be handed over, or the target can't take part.

    Masked, sparse, meta, fake, traced and sharded arrays, strings, malformed capsules.
    """


class NotInstalledError(UnsupportedError, ImportError):
    """The target framework isn't installed: an :class:`UnsupportedError` that is an ImportError too."""

    def __init__(self, text: str, *, name: str = "") -> None:
        super().__init__(text)
        self.name = name


class GradientError(InteropError, BufferError, RuntimeError):
    """A tensor that takes part in automatic differentiation would leave its framework."""


class DeviceError(InteropError, ValueError):
    """The tensor is on a device where the target can't live, or the device or stream named isn't one."""


class DTypeError(InteropError, TypeError):
    """The target has no element type that is exactly the source's."""


class ReadOnlyError(InteropError, BufferError, ValueError):
    """Readonly memory would be handed to a framework that can't express readonly."""


class CopyError(InteropError, BufferError, ValueError):
    """A copy is needed and ``copy=False`` forbids it."""


#: When several errors apply, the first of these wins: the planner asks what stands against a conversion in this order.
PRECEDENCE: Final = (UnsupportedError, GradientError, DeviceError, DTypeError, ReadOnlyError, CopyError)


# A chain of causes may be of any length, and may even be closed by its author.
_CAUSES: Final = 8


def without_frames(error: InteropError) -> InteropError:
    """Return an error to be kept: what holds frames is gone from it, and the frames with what they hold, the tensor.

    An error holds its traceback, and those that it was raised from, or while handling, which hold theirs. What its
    causes say stays, as notes.
    """
    cause, told = error.__cause__, text_of(error)
    for _ in range(_CAUSES):
        if cause is None:
            break
        text = said(cause)
        if text not in told:
            error.add_note(f"caused by {text}")
            told += text
        # Who raises an error by a name of its own is held by it, and holds it.
        cause.__traceback__ = None
        cause = cause.__cause__
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def message(what: str, why: str, fix: str) -> str:
    """Put an error's text together: what was asked, why it can't be, what to type instead."""
    return f"{what}: {why}. {fix}"


def describe_facts(facts: Facts, *, layout: bool = False) -> str:
    """One line on a tensor for a message: ``a torch tensor, float32 (2, 3) on cpu``."""
    tensor = with_article(f"{facts.framework} tensor")
    if not facts.certain:
        return f"{tensor} on {facts.device}"
    text = f"{tensor}, {facts.dtype} {facts.shape} on {facts.device}"
    if layout and facts.strides is not None:
        text += f", strides {facts.strides}"
    return text + (", readonly" if facts.readonly else "")


def call_text(to: str, **options: object) -> str:
    """Spell the call that would work: ``interop.to_numpy(x, device='cpu')``."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"interop.to_{to}(x{given})" if to in TARGETS else f"interop.convert(x, {to!r}{given})"
