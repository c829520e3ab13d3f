"""Objects of others, for messages and checks of arguments: whatever their own methods do, nothing here raises.

A ``__class__``, a ``__repr__`` or a metaclass of somebody else's may raise, lie, or take forever to say a lot. So no
object is asked of what type it is, and every message takes its words from here.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from typing import Any, Final, TypeGuard, TypeVar

_T = TypeVar("_T")

# Of type itself: a metaclass may have attributes of these names.
_module_of: Final = type.__dict__["__module__"].__get__
_qualified_name_of: Final = type.__dict__["__qualname__"].__get__
_name_of: Final = type.__dict__["__name__"].__get__

#: What a message shows of one object, in characters.
_MOST: Final = 100


class _Short(reprlib.Repr):
    """The repr of an object in a line; of a container, of its first elements."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxother = self.maxlong = _MOST

    def repr_instance(self, x: Any, level: int) -> str:  # noqa: ARG002 - as its base has it
        """One line, and not reprlib's own words for one that raises."""
        return _cut(" ".join(repr(x).split()), _MOST)


_short: Final = _Short()


def is_a(x: object, kind: type[_T]) -> TypeGuard[_T]:
    """Tell whether an object is of a type, by its own type alone: ``isinstance`` asks its ``__class__``, too."""
    return issubclass(type(x), kind)


def exact_str(x: object) -> str | None:
    """The characters of a string of whatever subclass; None of anything else."""
    return str.__str__(x) if is_a(x, str) else None


def exact_int(x: object) -> int | None:
    """The number that an int of whatever subclass is, other than a bool; None of anything else."""
    return int.__index__(x) if is_a(x, int) and not is_a(x, bool) else None


def module_of(tp: type) -> str:
    """The module of a type; empty where it says none, as a class body with ``__module__ = None`` does."""
    try:
        return exact_str(_module_of(tp)) or ""
    except AttributeError:  # taken out of the class
        return ""


def name_of(tp: type) -> str:
    """The name of a type with its module, unless it is a builtin."""
    module, name = module_of(tp), _qualified_name_of(tp)
    return _cut(name if module in ("", "builtins") else f"{module}.{name}", 2 * _MOST)


def short_name_of(tp: type) -> str:
    """The name of a type alone."""
    return _cut(_name_of(tp), _MOST)


def with_article(name: str) -> str:
    """``an IndexedSlices``, ``a Tensor``, ``a uint8``."""
    spoken = name.lower()
    vowel = spoken[:1] in set("aeiou") and not spoken.startswith(("uni", "uint", "us"))
    return f"{'an' if vowel else 'a'} {name}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown(x: object) -> str:
    """The repr of an object in a line, or its type's name."""
    try:
        return str.__str__(_short.repr(x))
    except Exception:  # noqa: BLE001 - whatever it is, the message is about something else
        return f"<{name_of(type(x))} object>"


def text_of(error: BaseException) -> str:
    """What an exception says; its type's name where that is nothing."""
    try:
        return str.__str__(str(error)) or short_name_of(type(error))
    except Exception:  # noqa: BLE001 - whatever it is, the message is about something else
        return short_name_of(type(error))


def first_line_of(error: BaseException) -> str:
    """The first line of what an exception says, to go on from."""
    return text_of(error).strip().partition("\n")[0].rstrip(".")


def said(error: BaseException) -> str:
    """The type of an exception and what it says, to go on from."""
    name, text = short_name_of(type(error)), text_of(error).rstrip(".")
    return name if text == name else f"{name}: {text}"


#: A string in code (an apostrophe in a word comes after a letter), or the object that a message is about, in a call.
_IN_A_CALL: Final = re.compile(r"""(?<=[(\[,= ])(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<![\w.])x(?=[.\[,)])""")


def about(text: str, held: str) -> str:
    """What a message advises of ``x``, said of what `held` spells: of what a wrapper holds, for who has the wrapper."""
    return _IN_A_CALL.sub(lambda found: held if found[0] == "x" else found[0], text)


def advice(calls: Sequence[str], otherwise: str = "Encode its values as numbers first.") -> str:
    """The sentence that names calls of which each makes a tensor, or what to do where there is none."""
    *others, last = calls or ("",)
    return f"Pass {', '.join(others)}{' or ' * bool(others)}{last}." if last else otherwise
