"""The core's parts of the GPU handoff, with halves and streams of these tests: who has to wait, and who is asked."""

from __future__ import annotations

import gc
import os
import types
from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import pytest

import interop
from interop._native import (
    CalledStreams,
    CurrentStream,
    Handover,
    Lender,
    Loan,
    Taker,
)
from interop._streams import Stream


class Recorded(Loan):
    """A loan that tells when somebody has to wait."""

    __slots__ = ()
    returned: ClassVar[list[Any]] = []

    def give_back(self) -> None:
        self.returned.append(self.memory)


@pytest.fixture(autouse=True)
def returned() -> Generator[list[Any]]:
    Recorded.returned.clear()
    yield Recorded.returned
    Recorded.postponed.clear()


def framework(handle: int) -> tuple[Any, CalledStreams]:
    """A framework that works on a stream, and the way to ask it."""
    current = types.SimpleNamespace(ptr=handle)
    return current, CalledStreams(lambda _index: current, "ptr")


def on(streams: CalledStreams) -> tuple[Stream, ...]:
    return (Stream(streams(0), None, None, CurrentStream(streams, 0)),)


def test_the_null_handle_is_the_default_stream() -> None:
    _, streams = framework(0)
    assert streams(0) == CurrentStream(streams, 0)() == 1


def test_what_was_read_where_it_is_reused_goes_at_once(returned: list[Any]) -> None:
    _, streams = framework(7)
    there = on(streams)
    Recorded("memory", None, None, there, there)
    gc.collect()
    assert returned == []


@pytest.mark.parametrize(
    "case", ["another stream by now", "another home", "two readers", "a stream that can't be asked"]
)
def test_whatever_else_was_read_is_given_back(case: str, returned: list[Any]) -> None:
    current, streams = framework(7)
    there = on(streams)
    homes, readers = there, there
    if case == "another home":
        homes = on(framework(8)[1])
    if case == "two readers":
        homes = readers = (*there, *there)
    loan = Recorded("memory", None, None, homes, readers)
    if case == "another stream by now":
        current.ptr = 9
    if case == "a stream that can't be asked":
        del current.ptr
    del loan
    assert returned == ["memory"]


def test_what_nobody_read_goes_at_once(returned: list[Any]) -> None:
    Recorded("memory", None, None)
    assert returned == []


def test_a_loan_asks_its_class(returned: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, streams = framework(7)
    there = on(streams)
    monkeypatch.setattr(Recorded, "stayed_home", lambda _loan: False)
    Recorded("memory", None, None, there, there)
    assert returned == ["memory"]


def test_what_was_postponed_is_given_back_with_the_next_loan(returned: list[Any]) -> None:
    first = Recorded("first", None, None)
    Recorded.postponed.append(first)
    Recorded("second", None, None)
    assert returned == ["first"]
    assert not Recorded.postponed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_never_takes_it_that_nobody_waits(returned: list[Any]) -> None:
    _, streams = framework(7)
    there = on(streams)
    loan = Recorded("memory", None, None, there, there)
    before = loan.in_child
    child = os.fork()
    if child == 0:
        told = loan.in_child
        del loan
        os._exit(0 if told and returned == ["memory"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not before


def test_a_handover_of_two_halves() -> None:
    view = interop.view(np.arange(3))
    asked: list[int] = []

    def reader(index: int) -> int:
        asked.append(index)
        return 5

    def lend(x: Any, ask: Any) -> Any:
        return view if ask(2) == 5 and x == "x" else NotImplemented

    shortcut = Handover(lend, reader, lambda lent: ("taken", lent))
    assert shortcut("x") == ("taken", view)
    assert shortcut("y") is NotImplemented
    assert asked == [2, 2]


def handover(half: str, function: Any) -> Handover:
    """A handover one part of which does what a function does."""
    view = interop.view(np.arange(3))
    return Handover(
        function if half == "lend" else lambda _x, ask: (ask(0), view)[1],
        function if half == "reader" else lambda _index: 1,
        function if half == "take" else lambda x: x,
    )


@pytest.mark.parametrize("half", ["lend", "reader", "take"])
def test_a_handover_never_raises(half: str) -> None:
    def fail(*_arguments: Any) -> Any:
        raise ZeroDivisionError

    assert handover(half, fail)("x") is NotImplemented


def test_halves_that_say_nothing_refuse() -> None:
    assert Lender()("x", lambda _index: 1) is NotImplemented
    assert Taker()(interop.view(np.arange(3))) is NotImplemented


@pytest.mark.parametrize("half", ["lend", "reader", "take"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_passes_a_handover(half: str, error: type[BaseException]) -> None:
    def fail(*_arguments: Any) -> Any:
        raise error

    with pytest.raises(error):
        handover(half, fail)("x")
