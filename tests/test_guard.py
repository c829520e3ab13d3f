"""Guards: what copies, moves and casts is counted, logged and refused, and nothing else is."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from patience import PATIENCE

import interop
from interop._native import is_guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    assert not is_guarded()
    yield
    assert not is_guarded()


T = torch.arange(3.0)


def reversed_array() -> Any:
    return np.arange(3.0)[::-1]


def readonly() -> Any:
    a = np.arange(3.0)
    a.flags.writeable = False
    return a


#: Roads on which something is copied: how often, how many bytes, how often it is cast, and whether the call asked.
COPIES: dict[str, tuple[Callable[[], Any], int, int, int, bool]] = {
    "to_torch of negative strides": (lambda: interop.to_torch(reversed_array()), 1, 24, 0, False),
    "to_torch of readonly": (lambda: interop.to_torch(readonly()), 1, 24, 0, False),
    "convert": (lambda: interop.convert(reversed_array(), "torch"), 1, 24, 0, False),
    "convert_like": (lambda: interop.convert_like(reversed_array(), torch.ones(1)), 1, 24, 0, False),
    "conjugate": (lambda: interop.to_numpy(torch.ones(3, dtype=torch.complex64).conj()), 1, 24, 0, False),
    "copy=True": (lambda: interop.to_numpy(torch.ones(3), copy=True), 1, 12, 0, True),
    "order=": (lambda: interop.to_numpy(torch.ones(3, 2).T, order="C"), 1, 24, 0, True),
    "writable=True": (lambda: interop.to_numpy(readonly(), writable=True), 1, 24, 0, True),
    "dtype=": (lambda: interop.to_numpy(torch.ones(3), dtype="float64"), 1, 24, 1, True),
    "inside one framework": (lambda: interop.to_torch(torch.ones(3), copy=True), 1, 12, 0, True),
    "copyto": (lambda: interop.copyto(np.ones(3, "f4"), torch.ones(3)), 1, 12, 0, True),
    "copyto of another kind": (lambda: interop.copyto(torch.ones(3), np.ones(3)[::-1]), 1, 12, 1, True),
    "copyto of a buffer": (lambda: interop.copyto(bytearray(4), np.ones(4, "u1")), 1, 4, 0, True),
    "a View's own copy": (lambda: np.from_dlpack(interop.view(np.ones(3)), copy=True), 1, 24, 0, True),
    "tree": (lambda: interop.convert_tree([reversed_array(), {"a": torch.ones(2)}], "torch"), 1, 24, 0, False),
    "tree, tied": (lambda: interop.convert_tree([T, T, T[1:]], "numpy", copy=True), 1, 12, 0, True),
    "via, in": (lambda: interop.via("torch")(lambda x: None)(reversed_array()), 1, 24, 0, False),
    "via, back": (lambda: interop.via("numpy")(lambda _: reversed_array())(T), 1, 24, 0, False),
}
#: Roads on which nothing is.
VIEWS: dict[str, Callable[[], Any]] = {
    "to_numpy": lambda: interop.to_numpy(torch.ones(3)),
    "to_torch": lambda: interop.to_torch(np.ones(3)),
    "itself": lambda: interop.to_torch(T),
    "detach": lambda: interop.to_numpy(torch.ones(3, requires_grad=True), detach=True),
    "bfloat16": lambda: interop.to_numpy(torch.ones(3, dtype=torch.bfloat16)),
    "writable=False": lambda: interop.to_torch(readonly(), writable=False),
    "view": lambda: interop.view(T),
    "tree": lambda: interop.convert_tree([T, {"a": np.ones(2)}], "numpy"),
    "via": lambda: interop.via("numpy")(lambda x: x[1:])(T),
    "nothing": lambda: interop.to_torch(np.ones(0)[::-1]),
    "explain": lambda: interop.explain(reversed_array(), "torch"),
}


@pytest.mark.parametrize("road", COPIES)
def test_what_is_copied_is_counted(road: str) -> None:
    call, copies, nbytes, casts, _ = COPIES[road]
    for _ in range(2):
        with interop.guard() as seen:
            call()
        assert (seen.copies, seen.bytes, seen.casts, seen.moves) == (copies, nbytes, casts, 0)
        assert len(seen.calls) == copies
        assert seen.calls[0].where.startswith(f"{__file__}:")


@pytest.mark.parametrize("road", VIEWS)
def test_what_is_not_copied_is_not_counted_and_never_refused(road: str) -> None:
    with interop.guard(copies="disallow_explicit", transfers="disallow_explicit", casts="disallow_explicit") as seen:
        VIEWS[road]()
    assert (seen.copies, seen.bytes, seen.calls) == (0, 0, [])


@pytest.mark.parametrize("road", COPIES)
def test_no_copies_refuses_all(road: str) -> None:
    call = COPIES[road][0]
    with interop.no_copies() as seen, pytest.raises(interop.CopyError, match="a guard forbids a copy here"):
        call()
    assert seen.copies == 0
    # Outside of the block, and inside of one that allows it, as the message says.
    call()
    with interop.no_copies(), interop.guard(copies="allow"):
        call()


@pytest.mark.parametrize("road", COPIES)
def test_disallow_refuses_what_was_not_asked_for(road: str) -> None:
    call, *_, asked = COPIES[road]
    with interop.guard(copies="disallow") as seen:
        if asked:
            call()
        else:
            with pytest.raises(interop.CopyError, match="copies='disallow'"):
                call()
    assert seen.copies == int(asked)


def test_a_number_of_bytes_passes() -> None:
    with interop.guard(copies=24) as seen:
        interop.to_torch(reversed_array())
        with pytest.raises(interop.CopyError, match=r"allows 24 bytes in a call \(copies=24\)"):
            interop.to_torch(np.arange(4.0)[::-1])
        # Asked for.
        interop.to_torch(np.arange(4.0), copy=True)
    assert seen.copies == 2


def test_a_refused_cast() -> None:
    with interop.guard(casts="disallow") as seen:
        interop.to_numpy(T, dtype="float64")
        with pytest.raises(interop.DTypeError, match="a guard forbids a cast here"):
            interop.copyto(np.ones(3), T)
        function: Callable[[Any], Any] = interop.via("numpy")(lambda x: x.astype("float8_e3m4"))
        with pytest.raises(interop.DTypeError, match=r"result: .*a guard forbids a cast"):
            function(T)
    assert seen.casts == 1
    with interop.guard(casts="disallow_explicit"), pytest.raises(interop.DTypeError):
        interop.to_numpy(T, dtype="float64")


def test_a_refusal_is_before_anything_is_done() -> None:
    t, dst = torch.ones(3), np.zeros(3, "f4")
    with interop.no_copies():
        for call in (
            lambda: interop.to_numpy(t, copy=True),
            lambda: interop.copyto(dst, t),
            lambda: interop.convert_tree([t, reversed_array()], "torch", copy=True),
        ):
            with pytest.raises(interop.CopyError):
                call()
    assert t.untyped_storage().resizable()
    assert dst.tolist() == [0, 0, 0]


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "interop.guard"), interop.guard(copies="log") as seen:
        interop.to_torch(reversed_array())
        interop.to_numpy(T, copy=True)
    first, second = caplog.messages
    assert first.startswith(f"{__file__}:")
    assert first.endswith("numpy -> torch: 24 bytes copied (a copy), not asked for")
    assert second.endswith("torch -> numpy: 12 bytes copied (a copy)")
    assert seen.copies == 2


def test_the_inner_guard_decides_about_what_it_names_and_all_count() -> None:
    with interop.guard(copies="disallow") as outer:
        with interop.guard(casts="disallow") as inner, pytest.raises(interop.CopyError):
            interop.to_torch(reversed_array())
        with interop.guard(copies="allow") as inner:
            interop.to_torch(reversed_array())
        assert (outer.copies, inner.copies) == (1, 1)
        with pytest.raises(interop.CopyError):
            interop.to_torch(reversed_array())


@pytest.mark.parametrize("wrong", ["no", -1, 2.5, True, b"log"])
def test_what_is_no_level_is_refused(wrong: Any) -> None:
    with pytest.raises(interop.UnsupportedError, match=r"copies=.* is not a value of this argument"):
        interop.guard(copies=wrong)


def test_a_guard_is_entered_once_at_a_time() -> None:
    guard = interop.guard()
    with guard:
        with pytest.raises(interop.UnsupportedError, match="is open already"):
            guard.__enter__()
        interop.to_torch(reversed_array())
    assert repr(guard) == "<interop.guard: copies=1, bytes=24, moves=0, casts=0>"


def test_other_threads_are_not_guarded() -> None:
    made = []
    with interop.no_copies() as seen:
        # Python without the GIL hands a thread the context of the one that starts it.
        empty = contextvars.Context()
        thread = threading.Thread(target=lambda: made.append(empty.run(interop.to_torch, reversed_array())))
        thread.start()
        thread.join(PATIENCE)
    assert len(made) == 1
    assert seen.copies == 0


def test_tasks() -> None:
    async def copies() -> None:
        interop.to_torch(reversed_array())

    async def late(event: asyncio.Event) -> None:
        await event.wait()
        await copies()

    async def main() -> None:
        event = asyncio.Event()
        with interop.no_copies() as seen:
            with pytest.raises(interop.CopyError):
                await asyncio.create_task(copies())
            task = asyncio.create_task(late(event))
            await asyncio.sleep(0)
        event.set()
        # The block has ended.
        await task
        assert seen.copies == 0
        ready, done = asyncio.Event(), asyncio.Event()

        async def guarded() -> int:
            with interop.guard() as seen:
                ready.set()
                await done.wait()
                return seen.copies

        sibling = asyncio.create_task(guarded())
        await ready.wait()
        await copies()
        done.set()
        assert await sibling == 0

    asyncio.run(main())


def test_a_guard_that_is_left_in_another_context() -> None:
    def generator() -> Any:
        with interop.guard() as seen:
            yield seen

    steps = generator()
    seen = next(steps)
    contextvars.copy_context().run(steps.close)
    interop.to_torch(reversed_array())
    assert seen.copies == 0


def run(code: str, levels: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"INTEROP_GUARD": levels},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_environment_guards_a_process() -> None:
    code = """
        import threading, numpy as np, interop
        def refused():
            try: interop.to_numpy(np.ones(3), writable=True, order="C")
            except interop.CopyError: print("view?")
            try: interop.to_numpy(np.ones((2, 3)).T, order="C")
            except interop.CopyError as err: print("copies='disallow_explicit'" in str(err))
        refused()
        thread = threading.Thread(target=refused); thread.start(); thread.join()
        with interop.guard(copies="allow"): interop.to_numpy(np.ones((2, 3)).T, order="C")
    """
    done = run(code, "copies=disallow_explicit, casts=log")
    assert done.stderr == ""
    assert done.stdout.split() == ["True", "True"]
    wrong = run("import interop", "copies=disallow,moves=log")
    assert "INTEROP_GUARD='copies=disallow,moves=log' isn't understood at 'moves=log'" in wrong.stderr


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["interop.testing.plugin"]')
    pytester.makepyfile(
        """
        import numpy as np, pytest, interop

        def test_counts(interop_guard):
            interop.to_numpy(np.ones(3), copy=True)
            assert interop_guard.copies == 1

        @pytest.mark.interop_guard(copies="disallow_explicit")
        def test_refuses(interop_guard):
            with pytest.raises(interop.CopyError):
                interop.to_numpy(np.ones(3), copy=True)

        @pytest.mark.interop_guard(copies="never")
        def test_wrong(interop_guard):
            pass
        """
    )
    result = pytester.runpytest_inprocess("--strict-markers")
    result.assert_outcomes(passed=2, errors=1)


def test_an_allocators_own_counters_agree() -> None:
    import tracemalloc

    a = np.zeros(1 << 18)
    tracemalloc.start()
    try:
        options: Any
        for options in ({}, {"copy": True}, {"dtype": "float32"}, {"order": "F"}):
            made = None
            with interop.guard() as seen:
                before = tracemalloc.get_traced_memory()[0]
                made = interop.to_numpy(a.reshape(512, 512), **options)
                grown = tracemalloc.get_traced_memory()[0] - before
            # Some kilobytes are Python's own.
            assert abs(grown - seen.bytes) < 1 << 16
            assert interop.shares_memory(made, a) == (seen.bytes == 0)
    finally:
        tracemalloc.stop()
