"""What the command line takes, and what it says of anything else: the argument, and the nearest right one."""

from __future__ import annotations

import argparse
import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_N = TypeVar("_N", int, float)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names what is nearest to a word; nothing where nothing is near."""
    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


#: What argparse says of an option that it doesn't know, and of a value that is none of a few.
_UNKNOWN: Final = re.compile(r"unrecognized arguments: (\S+)")
_NO_CHOICE: Final = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser that names what is nearest to what it doesn't know."""

    def __init__(self, **options: Any) -> None:
        # A prefix that is taken for an option today means another one tomorrow.
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message with what is nearest, and end with status 2."""
        unknown, choice = _UNKNOWN.search(message), _NO_CHOICE.search(message)
        if unknown:
            message += "." + nearest(unknown[1].partition("=")[0], self._option_string_actions)
        elif choice:
            message += "." + nearest(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)


def _number(kind: Callable[[str], _N], fits: Callable[[_N], bool], what: str) -> Callable[[str], _N]:
    def parse(text: str) -> _N:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not math.isfinite(number) or not fits(number):
            msg = f"{text!r} is not {what}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return parse


#: The values of options that are numbers.
seconds: Final = _number(float, lambda number: number > 0, "a number of seconds above 0, such as 60")
seconds_or_none: Final = _number(float, lambda number: number >= 0, "a number of seconds, such as 0.3; 0 is the least")
count: Final = _number(int, lambda number: number > 0, "a number of 1 or more")
