"""The doors: functions to whoever looks at them, and one look-up on the exact type to whoever calls them."""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import os
import pickle
import pydoc
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import interop
from interop import _registry
from interop._native import CallRoute, Cell, Guards, IdentityRoute, Route, clear_hot_routes, door, hot_routes, view_door
from interop.errors import UnsupportedError

DOORS = [interop.to_numpy, interop.to_torch, interop.to_cupy, interop.convert, interop.view]


def slow(x: Any, /, *, device: object = None, copy: bool | None = None, detach: bool = False) -> Any:
    """Answer for what no route takes."""
    return ("slow", x, device, copy, detach)


@pytest.fixture
def table() -> Any:
    yield hot_routes("a target of this test")
    clear_hot_routes()
    for adapter in reversed(list(_registry._loaded.values())):
        _registry._install_routes(adapter)


def made(function: Any = slow) -> Any:
    return door("a target of this test")(function)


class Thing:
    """An object of nobody's."""


# To whoever looks.


@pytest.mark.parametrize("function", DOORS, ids=lambda function: function.__name__)
def test_a_door_is_a_function_to_whoever_looks_at_it(function: Any) -> None:
    assert callable(function)
    assert inspect.isroutine(function)
    assert inspect.unwrap(function).__name__ == function.__name__
    assert "stream" in inspect.signature(function).parameters
    assert next(iter(inspect.signature(function).parameters.values())).kind is inspect.Parameter.POSITIONAL_ONLY
    assert function.__module__ in {"interop._convert", "interop._doors", "interop._inspect"}
    shown = pydoc.plain(pydoc.render_doc(function))
    # From Python 3.13 on a signature that is too long for one line has a line for each parameter.
    assert "".join(shown.splitlines()[2:4]).replace(" ", "").startswith(f"{function.__name__}(x")
    assert "Parameters" in shown
    assert repr(function).startswith(f"<function {function.__name__} at ")


@pytest.mark.parametrize("function", DOORS, ids=lambda function: function.__name__)
def test_a_door_is_pickled_and_copied_as_a_function_is(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert weakref.ref(function)() is function


def test_a_door_binds_in_a_class() -> None:
    class Mine:
        numbers = np.arange(3.0)
        as_view = interop.view

        def __array__(self, *_: Any, **__: Any) -> Any:
            raise AssertionError

    with pytest.raises(UnsupportedError, match="Mine"):
        Mine().as_view()
    assert Mine.as_view is interop.view


def test_a_door_whose_function_was_never_said_is_no_crash() -> None:
    kind: Any = type(interop.view)
    empty = kind.__new__(kind)
    with pytest.raises(TypeError):
        empty(1)
    with pytest.raises(AttributeError):
        _ = empty.__name__


# To whoever calls.


def test_a_door_passes_on_what_no_route_takes(table: Any) -> None:
    to_it = made()
    assert to_it(1) == ("slow", 1, None, None, False)
    assert to_it(1, copy=True, device="x") == ("slow", 1, "x", True, False)
    table[int] = CallRoute(lambda x: NotImplemented)
    assert to_it(1) == ("slow", 1, None, None, False)
    for arguments, options in [((), {}), ((1, 2), {}), ((1,), {"wrong": 1}), ((), {"x": 1})]:
        with pytest.raises(TypeError, match="slow\\(\\)"):
            to_it(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "hot"),
    [
        ({}, True),
        ({"device": None, "copy": None, "detach": False}, True),
        ({"copy": False}, True),
        ({"copy": True}, False),
        ({"copy": 0}, False),
        ({"device": "cpu"}, False),
        ({"detach": True}, False),
        ({"copy": False, "device": "cpu"}, False),
    ],
)
def test_a_route_is_taken_where_nothing_is_asked_for(options: dict[str, Any], hot: bool, table: Any) -> None:
    table[int] = CallRoute(lambda x: "hot")
    assert (made()(1, **options) == "hot") is hot


def test_a_route_counts_as_soon_as_it_is_there_and_no_longer(table: Any) -> None:
    to_it = made()
    for _ in range(3):
        assert to_it(1)[0] == "slow"
        table[int] = CallRoute(lambda x: "first")
        assert to_it(1) == "first"
        table[int] = CallRoute(lambda x: "second")
        assert to_it(1) == "second"
        del table[int]
        assert to_it(1)[0] == "slow"
        table[int] = CallRoute(lambda x: "third")
        assert to_it(1) == "third"
        clear_hot_routes()
        assert to_it(1)[0] == "slow"


def test_a_route_is_of_exactly_its_type(table: Any) -> None:
    table[int] = CallRoute(lambda x: "hot")
    assert made()(True)[0] == "slow"


class Liar(type):
    """Of types that say that they equal another, so that a dictionary finds what is the other one's."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(np.ndarray)


class Unhashable(type):
    """Of types that no dictionary takes."""

    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment] # what Python itself does beside an __eq__


@pytest.mark.parametrize("meta", [Liar, Unhashable])
def test_types_that_a_dictionary_mistakes_or_refuses(meta: Any, table: Any) -> None:
    interop.view(np.zeros(2))
    Pretends = meta("Pretends", (), {})
    for call in (interop.view, interop.to_torch, interop.to_numpy):
        with pytest.raises(UnsupportedError):
            call(Pretends())
    table[np.ndarray] = IdentityRoute()
    assert made()(Pretends())[0] == "slow"


@pytest.mark.usefixtures("types_die")
def test_types_that_die_leave_no_route_to_their_successors(table: Any) -> None:
    """A new class often gets the address of one that has just died."""
    to_it = made()
    addresses = set()
    for turn in range(40):
        kind = type("Kind", (), {})
        addresses.add(id(kind))
        thing = kind()
        if turn % 2:
            table[kind] = CallRoute(lambda x: "hot")
            assert to_it(thing) == "hot"
            del table[kind]
        assert to_it(thing)[0] == "slow"
        del kind, thing
        gc.collect()
    assert len(addresses) < 40, "no address came back, so that nothing was tested"


def test_a_route_for_views_only(table: Any) -> None:
    table[int] = CallRoute(lambda x: "hot", views_only=True)
    assert made()(1)[0] == "slow"
    assert made()(1, copy=None)[0] == "slow"
    assert made()(1, copy=False) == "hot"
    assert made()(1, device=None, copy=False) == "hot"


def test_what_is_no_route_is_not_called(table: Any) -> None:
    table[int] = lambda x: "hot"
    assert made()(1)[0] == "slow"
    with pytest.raises(TypeError, match="a route is called"):
        CallRoute("no function")  # type: ignore[arg-type] # what must be refused


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_a_route_raises_costs_no_reference(error: type[BaseException], table: Any) -> None:
    def route(x: Any) -> Any:
        raise error

    table[Thing] = CallRoute(route)
    thing = Thing()
    to_it = made()
    caught = contextlib.nullcontext() if issubclass(error, Exception) else contextlib.suppress(error)
    before = sys.getrefcount(route), sys.getrefcount(thing)
    for _ in range(1000):
        with caught:
            assert to_it(thing)[0] == "slow"
    assert (sys.getrefcount(route), sys.getrefcount(thing)) == before


def test_a_route_that_removes_itself_while_it_runs(table: Any) -> None:
    class Marked:
        pass

    def route(x: Any) -> Any:
        clear_hot_routes()
        gc.collect()
        return marker

    marker = Marked()
    to_it = made()
    for _ in range(10):
        table[Thing] = CallRoute(route)
        assert to_it(Thing()) is marker
        assert to_it(Thing())[0] == "slow"


def test_a_million_calls_leave_nothing() -> None:
    array = np.arange(6.0).reshape(2, 3)
    calls: list[Any] = [
        lambda: interop.to_numpy(array),
        lambda: interop.convert(array, "numpy"),
        lambda: interop.view(array, stream=None),
        lambda: interop.to_numpy(array, copy=False, device=None),
    ]
    for call in calls:
        for _ in range(10_000):
            call()
        gc.collect()
        before = sys.getallocatedblocks(), sys.getrefcount(array), sys.getrefcount(np.ndarray), sys.getrefcount(None)
        for _ in range(250_000):
            call()
        gc.collect()
        after = sys.getallocatedblocks(), sys.getrefcount(array), sys.getrefcount(np.ndarray), sys.getrefcount(None)
        assert all(abs(now - then) < 200 for now, then in zip(after, before, strict=True)), (before, after)


def test_threads_that_call_while_others_change_the_table(table: Any) -> None:
    stop = threading.Event()
    wrong: list[object] = []
    to_it = made()
    kinds: list[type] = [type(f"Kind{index}", (), {}) for index in range(8)]

    def call(seed: int) -> None:
        generator = random.Random(seed)
        while not stop.is_set():
            kind = generator.choice(kinds)
            got = to_it(kind())
            if got is not kind and got[0] != "slow":
                wrong.append(got)

    def change() -> None:
        generator = random.Random(0)
        for _ in range(20_000):
            kind = generator.choice(kinds)
            if generator.random() < 0.5:
                table[kind] = CallRoute(type)
            else:
                table.pop(kind, None)
        stop.set()

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(3)] + [threading.Thread(target=change)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert not wrong


def test_a_door_may_call_itself_without_end() -> None:
    def again(x: Any, /) -> Any:
        return to_it(x)

    to_it = view_door(again)
    with pytest.raises(RecursionError):
        to_it(Thing())


def test_while_the_interpreter_goes() -> None:
    program = textwrap.dedent("""
        import atexit, gc, sys
        import numpy as np
        import interop

        class Last:
            # The defaults outlive the module's names.
            def __del__(self, call=interop.to_numpy, view=interop.view, array=np.arange(3.0)):
                for _ in range(10):
                    try:
                        call(array), view(array)
                    except Exception:
                        pass

        kept = Last()
        cycle = [Last()]
        cycle.append(cycle)
        sys.modules["kept until the end"] = Last()
        atexit.register(Last().__del__)
        gc.collect()
    """)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_forked_child() -> None:
    array = np.arange(3.0)
    interop.view(array)
    child = os.fork()
    if child == 0:
        ok = interop.view(array).shape == (3,) and interop.to_numpy(array) is array
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The parts.


def test_a_part_is_filled_in_once() -> None:
    """A route that somebody else is running looks at its parts without holding them."""
    cell = Cell({"a": 1}, "a", 1)
    cell.__init__({"b": 2}, "b", 2)  # type: ignore[misc] # what must be harmless
    with pytest.raises(TypeError):
        Cell.__new__(Cell)
    guards = Guards(attributes=((Thing.__dict__["__dict__"], None),))
    guards.__init__()  # type: ignore[misc] # the same
    assert not gc.is_tracked(Route()) or gc.get_referents(guards)


def test_a_descriptor_that_has_lost_its_getter() -> None:
    from interop import _native

    class Reads:
        def __get__(self, x: Any, tp: Any = None) -> bool:
            return False

    reads = Reads()
    route = _native.NumpyCallRoute(
        behind=_native.Guards(),
        before=_native.Guards(),
        call=lambda x: np.zeros(3)[:],
        dtype=reads,
        plain=(),
        disguised={},
        reinterpret=lambda x, dtype: x,
        cell=Cell({"a": 1}, "a", 1),
        guards=Guards(attributes=((reads, False),)),
    )
    assert isinstance(route(Thing()), np.ndarray)
    del Reads.__get__
    assert route(Thing()) is NotImplemented
