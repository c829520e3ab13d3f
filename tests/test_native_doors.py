"""The doors: functions to whoever looks at them, and a look into a book of recipes to whoever calls them."""

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
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import interop
from interop._native import (
    Book,
    CallOp,
    CallReader,
    Cell,
    Entry,
    Guards,
    Handover,
    NdarrayReader,
    NumpyCall,
    Reader,
    Recipe,
    ToNdarrayOp,
    add_readers,
    convert_door,
    door,
    forget_recipes,
    like_door,
)
from interop._registry import lookup
from interop.errors import UnsupportedError

DOORS = [interop.to_numpy, interop.to_torch, interop.to_cupy, interop.convert, interop.view]

#: Of a book, which has places for seven.
NAMES = ("device", "dtype", "order", "copy", "writable", "detach", "stream")


def slow(x: Any, /, *, device: object = None, copy: bool | None = None, detach: bool = False) -> Any:
    """Answer for what no recipe takes."""
    return ("slow", x, device, copy, detach)


class Thing:
    """An object of nobody's but this file's, with the memory that it shows."""

    def __init__(self, array: Any = None) -> None:
        self.array = np.arange(3.0) if array is None else array


def readable(kind: type) -> type:
    """Have objects of a class read by what they show; a class that is read never dies."""
    add_readers("things", {kind: CallReader(lambda x: x.array)})
    return kind


readable(Thing)


def at_once(function: Callable[[Any], Any]) -> Entry:
    """An entry that answers by a shortcut: an object isn't looked at."""
    return Entry(
        Reader(), None, shortcuts=(Handover(lambda x, _ask: function(x), lambda _index: 1, lambda made: made),)
    )


def facts_of(x: Thing) -> Any:
    """What the planner would say of the memory that a thing shows."""
    return lookup.describe(lookup.adapter_for(x.array), x.array)


def by_recipe(function: Callable[[Any], Any]) -> Entry:
    """An entry that answers by a recipe: an object is looked at, and planned for where it is the first of its kind."""
    return Entry(CallReader(lambda x: x.array), lambda x: (facts_of(x), Recipe(None, (CallOp(function),))))


WAYS = pytest.mark.parametrize("way", [at_once, by_recipe])


def as_it_is(_name: str, value: object) -> object:
    return value


def book(make: Callable[..., Any], parse: Callable[[str, object], object] = as_it_is) -> Book:
    return Book(NAMES, ("detach",), parse=parse, make=make)


def made(make: Callable[..., Any], parse: Callable[[str, object], object] = as_it_is) -> Any:
    """A door in front of the slow function."""
    return door(book(make, parse), "a target of this test")(slow)


# To whoever looks.


@pytest.mark.parametrize("function", DOORS, ids=lambda function: function.__name__)
def test_a_door_is_a_function_to_whoever_looks_at_it(function: Any) -> None:
    assert callable(function)
    assert inspect.isroutine(function)
    assert inspect.unwrap(function).__name__ == function.__name__
    assert "stream" in inspect.signature(function).parameters
    assert next(iter(inspect.signature(function).parameters.values())).kind is inspect.Parameter.POSITIONAL_ONLY
    assert function.__module__ in {"interop._convert", "interop._to", "interop._inspect"}
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


def test_a_door_passes_on_what_no_recipe_takes() -> None:
    thing = Thing()
    for make in (
        lambda *_: None,
        lambda *_: at_once(lambda x: NotImplemented),
        lambda *_: by_recipe(lambda x: NotImplemented),
    ):
        to_it = made(make)
        for x in (1, thing):
            assert to_it(x) == ("slow", x, None, None, False)
            assert to_it(x, copy=True, device="x") == ("slow", x, "x", True, False)
            for arguments, options in [((), {}), ((x, 2), {}), ((x,), {"wrong": 1}), ((), {"x": 1})]:
                with pytest.raises(TypeError, match="slow\\(\\)"):
                    to_it(*arguments, **options)


def test_an_entry_is_asked_for_with_what_was_said() -> None:
    asked: list[Any] = []

    def make(x: Any, target: Any, values: tuple[Any, ...]) -> Entry:
        asked.append((type(x), target, values))
        number = len(asked)
        return at_once(lambda x: ("hot", number))

    to_it = made(make, lambda name, value: f"{name} {value!r}")
    thing = Thing()
    calls: list[dict[str, Any]] = [
        {},
        {"copy": False},
        {"copy": True},
        # Equal to True, and no value of copy.
        {"copy": 1},
        {"device": "cpu"},
        {"detach": True},
        {"device": "cpu", "copy": False},
    ]
    for number, options in enumerate(calls, 1):
        for _ in range(3):
            assert to_it(thing, **options) == ("hot", number)
        values = tuple(f"{name} {options[name]!r}" if name in options else None for name in NAMES)
        assert asked[-1] == (Thing, "a target of this test", values)
    # What says nothing, the same in another order, and what is equal and another object.
    same: list[tuple[dict[str, Any], int]] = [
        ({"device": None, "copy": None, "detach": False}, 1),
        ({"copy": False, "device": "cpu"}, 7),
        ({"device": str(b"cpu", "ascii")}, 5),
        ({str(b"device", "ascii"): "cpu"}, 5),
    ]
    for options, number in same:
        assert to_it(thing, **options) == ("hot", number)
        assert len(asked) == len(calls)


class Raises:
    """A value that can't be looked up."""

    def __hash__(self) -> int:
        raise ValueError


class Unequal:
    """A value that equals nothing, and says so by an error."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise ValueError


@pytest.mark.parametrize("value", [[1], Raises()], ids=lambda value: type(value).__name__)
def test_a_value_that_cant_be_kept_is_passed_on(value: Any) -> None:
    to_it = made(lambda *_: at_once(lambda x: "hot"))
    thing = Thing()
    for _ in range(3):
        assert to_it(thing, device=value) == ("slow", thing, value, None, False)
        assert to_it(thing) == "hot"


def test_values_of_a_class_of_python_are_passed_on() -> None:
    """Kept, they would live as long as the process; and what they answer is up to their author."""
    to_it = made(lambda *_: at_once(lambda x: "hot"))
    thing = Thing()
    for make in (Unequal, lambda: type("Mine", (str,), {})("cpu"), lambda: type("Class", (), {})):
        value: Any = make()
        alive = weakref.ref(value)
        for _ in range(3):
            assert to_it(thing, device=value)[0] == "slow"
        del value
        gc.collect()
        assert alive() is None


def test_a_value_that_has_no_form_is_passed_on_and_asked_about_once() -> None:
    asked: list[Any] = []

    def parse(name: str, value: object) -> object:
        asked.append((name, value))
        return NotImplemented if value == "odd" else value

    to_it = made(lambda *_: at_once(lambda x: "hot"), parse)
    for _ in range(3):
        assert to_it(Thing(), device="odd")[0] == "slow"
        assert to_it(Thing(), device="cpu") == "hot"
    assert [value for _, value in asked if value != "odd"] == ["cpu"]


@pytest.mark.parametrize("part", ["make", "parse"])
def test_what_is_raised_while_looking_up_is_left_to_the_function(part: str) -> None:
    error: type[BaseException] = ValueError

    def fail(*_: Any) -> Any:
        raise error

    entry = at_once(lambda x: "hot")
    to_it = made(fail if part == "make" else lambda *_: entry, fail if part == "parse" else as_it_is)
    thing = Thing()
    for _ in range(3):
        assert to_it(thing, device="cpu") == ("slow", thing, "cpu", None, False)
    # Nobody can hold a program up.
    for error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            to_it(thing, device="cpu")


@WAYS
def test_a_recipe_counts_until_it_is_forgotten(way: Any) -> None:
    answers: list[str | None] = ["first"]
    to_it = made(lambda *_: None if answers[0] is None else way(lambda x, answer=answers[0]: answer))
    for answer in ("first", None, "second", None, None, "third"):
        answers[0] = answer
        forget_recipes()
        for _ in range(3):
            assert to_it(Thing()) == answer if answer else to_it(Thing())[0] == "slow"
            assert to_it(Thing(), copy=True) == answer if answer else to_it(Thing(), copy=True)[0] == "slow"
        answers[0] = "unasked"
        assert to_it(Thing()) == answer if answer else to_it(Thing())[0] == "slow"


def test_an_entry_is_of_exactly_its_type() -> None:
    class Special(Thing):
        pass

    to_it = made(lambda *_: at_once(lambda x: "hot"))
    assert to_it(Thing()) == "hot"
    assert to_it(Special())[0] == "slow"
    # One that is read too has an entry of its own.
    readable(Special)
    to_it = made(lambda x, *_: at_once(lambda _: type(x)))
    for _ in range(3):
        assert to_it(Thing()) is Thing
        assert to_it(Special()) is Special


class Liar(type):
    """Of types that say that they equal another, so that a dictionary finds what is the other one's."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(Thing)


class Unhashable(type):
    """Of types that no dictionary takes."""

    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment] # what Python itself does beside an __eq__


@pytest.mark.parametrize("meta", [Liar, Unhashable])
def test_types_that_a_dictionary_mistakes_or_refuses(meta: Any) -> None:
    interop.view(np.zeros(2))
    Pretends = meta("Pretends", (), {})
    for call in (interop.view, interop.to_torch, interop.to_numpy):
        with pytest.raises(UnsupportedError):
            call(Pretends())
    to_it = made(lambda *_: at_once(lambda x: "hot"))
    for _ in range(3):
        assert to_it(Thing()) == "hot"
        assert to_it(Pretends())[0] == "slow"


@pytest.mark.usefixtures("types_die")
def test_types_that_die_leave_no_entry_to_their_successors() -> None:
    """A new class often gets the address of one that has just died; one that is read lives on."""
    to_it = made(lambda x, *_: at_once(lambda _: type(x)))
    addresses: list[int] = []
    for turn in range(40):
        kind = type("Kind", (), {})
        addresses.append(id(kind))
        assert to_it(kind())[0] == "slow"
        if turn % 8 == 7:
            readable(kind)
            assert to_it(kind()) is kind
            assert to_it(kind(), copy=True) is kind
        del kind
        gc.collect(1)
    assert len(set(addresses)) < 40, "no address came back, so that nothing was tested"


def test_what_is_no_part_is_refused_when_it_is_put_together() -> None:
    entry: Any = Entry
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: entry(Reader(), None, shortcuts=(print,)), "no shortcut"),
        (lambda: entry(None, None), "reader"),
        (lambda: entry(print, None), "reader"),
        (lambda: Recipe(None, (print,)), "no op"),  # type: ignore[arg-type] # what must be refused, as those below
        (lambda: CallReader("no function"), "this can't be"),  # type: ignore[arg-type]
        (lambda: Book(("device",), (), parse=as_it_is, make=print), "7 options"),
        (lambda: door("no book", "numpy"), "book"),  # type: ignore[arg-type]
        (lambda: door(book(print), None), "target"),  # type: ignore[arg-type]
    ]
    for make, words in wrong:
        with pytest.raises(TypeError, match=words):
            make()
    with pytest.raises(TypeError):
        made(lambda *_: "no entry")(Thing())


@WAYS
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_raised_costs_no_reference(error: type[BaseException], way: Any) -> None:
    def function(x: Any) -> Any:
        raise error

    thing = Thing()
    entry = way(function)
    to_it = made(lambda *_: entry)
    caught = contextlib.nullcontext() if issubclass(error, Exception) else contextlib.suppress(error)
    counted = (function, thing, thing.array, entry)
    before: list[int] = []
    for turn in range(1001):
        if turn == 1:
            before = [sys.getrefcount(x) for x in counted]
        with caught:
            assert to_it(thing)[0] == "slow"
            assert issubclass(error, Exception)
    assert [sys.getrefcount(x) for x in counted] == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_planning_or_looking_raises_costs_no_reference(error: type[BaseException]) -> None:
    def fail(_: Any) -> Any:
        raise error

    thing = Thing()
    show = fail if error is not ValueError else lambda x: x.array
    planning = made(lambda *_: Entry(CallReader(lambda x: x.array), fail))
    looking = made(lambda *_: Entry(CallReader(show), lambda x: (None, None)))
    for to_it in (planning, looking):
        before = (0, 0)
        for turn in range(1001):
            if turn == 1:
                before = sys.getrefcount(thing), sys.getrefcount(thing.array)
            with contextlib.suppress(error):
                to_it(thing)
        assert (sys.getrefcount(thing), sys.getrefcount(thing.array)) == before


@WAYS
def test_recipes_that_are_forgotten_while_one_is_applied(way: Any) -> None:
    class Marked:
        pass

    def use() -> weakref.ref[Marked]:
        marker = Marked()

        def function(x: Any) -> Any:
            forget_recipes()
            # More calls than the book has places, so that nothing but this call holds the entry.
            for n in range(600):
                to_it(Thing(), stream=n)
            gc.collect(0)
            return marker

        def make(x: Any, target: Any, values: tuple[Any, ...]) -> Any:
            return None if values[-1] is not None else way(function)

        to_it: Any = door(book(make), "a target")(lambda x, /, **_: "slow")
        for _ in range(5):
            assert to_it(Thing()) is marker
        return weakref.ref(marker)

    alive = use()
    gc.collect()
    assert alive() is None


# What a recipe is of.


def planned(entry_of: Callable[..., Any]) -> tuple[Any, list[Any]]:
    """A door and what has been planned for."""
    seen: list[Any] = []

    def plan(x: Any) -> Any:
        seen.append(x.array.shape)
        return entry_of(x)

    entry = Entry(CallReader(lambda x: x.array), plan)
    return made(lambda *_: entry), seen


def test_things_of_one_layout_are_planned_for_once() -> None:
    to_it, seen = planned(lambda x: (facts_of(x), Recipe(None, (CallOp(lambda x: ("hot", x)),))))
    for n in range(2, 100):
        thing = Thing(np.zeros((n, 3)))
        assert to_it(thing) == ("hot", thing)
    assert seen == [(2, 3)]
    # Another element type, another order, readonly memory.
    readonly = np.zeros((2, 3))
    readonly.flags.writeable = False
    for array in (np.zeros((2, 3), np.int8), np.zeros((3, 2)).T, readonly):
        before = len(seen)
        for _ in range(3):
            assert to_it(Thing(array))[0] == "hot"
        assert len(seen) == before + 1


def test_what_is_left_to_python_isnt_planned_twice() -> None:
    to_it, seen = planned(lambda x: (facts_of(x), Recipe(None)))
    for _ in range(10):
        assert to_it(Thing())[0] == "slow"
    assert len(seen) == 1


def test_what_there_is_no_recipe_of_isnt_planned_in_vain_for_ever() -> None:
    to_it, seen = planned(lambda x: (None, None))
    for _ in range(100):
        assert to_it(Thing())[0] == "slow"
    assert len(seen) <= 3


def test_a_recipe_is_never_applied_to_a_thing_of_another_kind() -> None:
    """A plan for one kind whose object was another one by the time that it was read again."""

    def plan(x: Any) -> Any:
        facts = facts_of(x)
        x.array = x.array.astype(np.int8)
        return facts, Recipe(None, (CallOp(lambda x: x.array.dtype),))

    entry = Entry(CallReader(lambda x: x.array), plan)
    to_it = made(lambda *_: entry)
    assert to_it(Thing())[0] == "slow"
    assert to_it(Thing()) == np.float64


def test_unusual_things_are_never_planned_for() -> None:
    to_it, seen = planned(lambda x: (facts_of(x), Recipe(None, (CallOp(lambda x: "hot"),))))
    unusual = [7, NotImplemented, np.zeros(2, "M8[s]"), np.zeros(2, ">i4"), np.zeros(2, object), np.ma.zeros(2)]
    for array in unusual:
        assert to_it(Thing(array))[0] == "slow"
    assert seen == []


def test_an_array_on_what_is_shown_keeps_it_alive() -> None:
    entry = Entry(CallReader(lambda x: x.array), lambda x: (facts_of(x), Recipe(None, (ToNdarrayOp(),), aliases=True)))
    to_it = made(lambda *_: entry)
    for _ in range(3):
        memory = np.full(1000, 7.0)
        alive = weakref.ref(memory)
        array = to_it(Thing(memory))
        address = memory.ctypes.data
        del memory
        rubbish = [np.full(1000, -1.0) for _ in range(8)]
        assert array.ctypes.data == address
        assert array.tolist() == [7.0] * 1000
        assert alive() is not None
        del array, rubbish
        gc.collect()
        assert alive() is None


def test_pages_are_bounded() -> None:
    to_it, _ = planned(lambda x: (facts_of(x), Recipe(None, (CallOp(lambda x: x.array.dtype),))))
    for _ in range(3):
        for name in "?bhilqBHILQefdFD":
            for array in (np.zeros((2, 3), name), np.zeros((3, 2), name).T, np.zeros((4, 6), name)[::2, ::2]):
                assert to_it(Thing(array)) == array.dtype


# Doors whose target is an argument.


def test_the_target_of_convert_is_its_second_argument() -> None:
    convert: Any = convert_door(
        book(lambda x, target, values: None if target == "nowhere" else at_once(lambda _: (target, values[3])))
    )(lambda x, to, /, **options: ("slow", to, options))
    for _ in range(3):
        for target in ("a", "b", np):
            assert convert(Thing(), target) == (target, None)
            assert convert(Thing(), target, copy=True) == (target, True)
        assert convert(Thing(), "nowhere", copy=True) == ("slow", "nowhere", {"copy": True})
        # What is neither a name nor a module.
        others: tuple[Any, ...] = (["a"], (1, 2), None, type("Mine", (str,), {})("a"))
        for target in others:
            assert convert(Thing(), target) == ("slow", target, {})


def test_the_target_of_convert_like_is_an_objects_framework_on_its_device() -> None:
    asked: list[Any] = []

    def make(x: Any, target: Any, values: tuple[Any, ...]) -> Entry:
        asked.append((target, values[0]))
        return at_once(lambda _: "hot")

    like: Any = like_door(book(make))(lambda x, ref, /, **options: ("slow", options))
    for _ in range(3):
        assert like(Thing(), np.zeros(2)) == "hot"
        assert like(Thing(), np.zeros(2), device="mine") == "hot"
        # Where a thing is nobody knows without asking, and of what isn't read nothing is known.
        assert like(Thing(), Thing()) == ("slow", {})
        assert like(Thing(), 7, copy=True) == ("slow", {"copy": True})
    assert asked == [("numpy", "cpu"), ("numpy", "mine")]


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


def test_threads_that_call_while_others_forget() -> None:
    stop = threading.Event()
    wrong: list[object] = []
    kinds: list[type] = [readable(type(f"Kind{index}", (Thing,), {})) for index in range(8)]
    turns = iter(range(10**9))

    def make(x: Any, *_: Any) -> Any:
        way = (at_once, by_recipe, None)[next(turns) % 3]
        return None if way is None else way(type)

    to_it = made(make)

    def call(seed: int) -> None:
        generator = random.Random(seed)
        while not stop.is_set():
            kind = generator.choice(kinds)
            options: dict[str, Any] = generator.choice([{}, {}, {"copy": True}, {"device": "cpu"}])
            got = to_it(kind(), **options)
            if got is not kind and got[0] != "slow":
                wrong.append(got)

    def forget() -> None:
        for _ in range(2_000):
            forget_recipes()
            for kind in kinds:
                to_it(kind())
        stop.set()

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(3)] + [threading.Thread(target=forget)]
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

    to_it = door(book(lambda *_: None), "a target")(again)
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
    """One that somebody else is using looks at its own parts without holding them."""
    reads = Thing.__dict__["__dict__"]
    cell = Cell({"a": 1}, "a", 1)
    cell.__init__({"b": 2}, "b", 2)  # type: ignore[misc] # what must be harmless
    with pytest.raises(TypeError):
        Cell.__new__(Cell)
    Guards(attributes=((reads, None),)).__init__()  # type: ignore[misc] # the same
    to_it = made(lambda *_: entry)
    entry = by_recipe(lambda x: "hot")
    assert to_it(Thing()) == "hot"
    entry.__init__(Reader(), None, keeps=True)  # type: ignore[misc] # the same
    assert to_it(Thing()) == "hot"


def numpy_call(**parts: Any) -> NumpyCall:
    """A call to numpy of things that lie in memory of numpy's."""
    memory = np.zeros(3)
    whole: dict[str, Any] = {
        "call": lambda x: memory[:],
        "address": lambda x: memory.ctypes.data,
        "reader": NdarrayReader(),
        "cell": Cell({"a": 1}, "a", 1),
        "before": Guards(),
        "requires_grad": lambda x: False,
        "recording": lambda: False,
    }
    return NumpyCall(**whole | parts)


def test_a_descriptor_that_has_lost_its_getter() -> None:
    class Reads:
        def __get__(self, x: Any, tp: Any = None) -> bool:
            return False

    call = numpy_call(requires_grad=Reads())
    assert isinstance(call(Thing()), np.ndarray)
    del Reads.__get__
    assert call(Thing()) is NotImplemented


def refuse(*_: Any) -> Any:
    raise ValueError


@pytest.mark.parametrize(
    "parts",
    [
        {"address": refuse},
        {"address": lambda x: 0},
        {"address": lambda x: -1},
        {"address": lambda x: 1 << 70},
        {"address": lambda x: "there"},
        {"requires_grad": lambda x: True},
        {"requires_grad": refuse},
        {"recording": refuse, "requires_grad": lambda x: True},
        {"cell": Cell({"a": 1}, "a", 2)},
        {"cell": Cell({}, "a", 1)},
        {"before": Guards(calls=((lambda: 1, 2),))},
        {"before": Guards(calls=((refuse, 2),))},
        {"call": refuse},
        {"call": lambda x: None},
        {"call": lambda x: [1, 2]},
        {"call": lambda x: np.zeros(3)},
    ],
    ids="-".join,
)
def test_a_call_to_numpy_answers_only_where_every_part_says_yes(parts: dict[str, Any]) -> None:
    assert isinstance(numpy_call()(Thing()), np.ndarray)
    assert numpy_call(**parts)(Thing()) is NotImplemented
