"""The core takes DLPack capsules apart and makes them: every malformed one, each deleter once, on any thread."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import inspect
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from memory import anonymous_memory, once_in_three
from patience import PATIENCE
from torch.utils.dlpack import from_dlpack as torch_from_dlpack

from interop import _native
from interop._native import (
    ExchangeAPI,
    View,
    make_view,
    ndarray_from_view,
    view_from_capsule,
    view_from_dlpack,
    view_from_ndarray,
)
from interop.errors import CopyError, DeviceError, DTypeError, InteropError, UnsupportedError
from interop.testing import fakes
from interop.testing.fakes import MalformedProducer, VersionedProducer

Array = np.ndarray[Any, Any]

# True descriptions of what this release knows no name for: a View says them, and nothing else takes them.
NAMELESS = {
    "unknown dtype code",
    "opaque handles",
    "floats of 8 bits",
    "2 lanes",
    "integers of 24 bits",
    "unknown device",
}

# What torch takes and gives changed twice: max_version came with 2.9, the exchange API with 2.10.
TORCH_TAKES_VERSIONED = "max_version" in inspect.signature(torch.Tensor.__dlpack__).parameters
TORCH_EXCHANGES = ExchangeAPI.of(torch.Tensor) is not None

capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def run(script: str) -> str:
    """Run a script in an interpreter of its own, which has to end well and without a word on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture
def array() -> Array:
    return np.arange(12, dtype="float32").reshape(3, 4)


into_torch: Any = torch_from_dlpack


class Owner:
    """Something that a weak reference can watch."""


def owned(owner: object, array: Array, device: tuple[int, int] = (1, 0)) -> View:
    return make_view(array.ctypes.data, array.shape, None, (2, 32, 1), device, readonly=False, owner=owner)


# Taking capsules apart.


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("flaw", [*fakes.MALFORMED_FIELDS])
def test_malformed_fields_are_refused_and_deleted_once(array: Array, flaw: str, legacy: bool) -> None:
    with MalformedProducer(array, flaw, legacy=legacy) as fake:
        capsule = fake.capsule()
        if flaw in NAMELESS:
            view = view_from_capsule(capsule)
            with pytest.raises((DTypeError, DeviceError)):
                ndarray_from_view(view)
            assert fake.live == 1
            del view
        else:
            with pytest.raises(InteropError):
                view_from_capsule(capsule)
        assert fake.deleted == 1
        assert capsule_name(capsule) == (b"used_dltensor" if legacy else b"used_dltensor_versioned")
        with pytest.raises(UnsupportedError, match="consumed"):
            view_from_capsule(capsule)


@pytest.mark.parametrize("flaw", [*fakes.MALFORMED_VERSIONS])
def test_of_another_major_version_only_the_deleter_is_called(array: Array, flaw: str) -> None:
    with MalformedProducer(array, flaw) as fake:
        with pytest.raises(UnsupportedError, match="version"):
            view_from_capsule(fake.capsule())
        assert fake.deleted == 1


@pytest.mark.parametrize("flaw", [*fakes.MALFORMED_ANSWERS])
def test_answers_that_are_no_capsule(array: Array, flaw: str) -> None:
    with MalformedProducer(array, flaw) as fake, pytest.raises(UnsupportedError, match=r"MalformedProducer.*capsule"):
        view_from_dlpack(fake)


@pytest.mark.parametrize("name", [b"tensor", b"dltensor_versioned_", b"dlpack_exchange_api", b"", b"DLTENSOR"])
def test_a_refusal_before_ownership_leaves_the_capsule_as_it_was(array: Array, name: bytes) -> None:
    with VersionedProducer(array) as fake:
        capsule = fake.capsule(name=name or b"x")
        with pytest.raises(UnsupportedError, match="no DLPack capsule"):
            view_from_capsule(capsule)
        assert capsule_name(capsule) == (name or b"x")
        assert fake.live == 1
        del capsule
        assert fake.live == 0


@pytest.mark.parametrize("x", [None, 0, "dltensor", object(), np.zeros(2)])
def test_what_is_no_capsule(x: Any) -> None:
    with pytest.raises(UnsupportedError, match="no DLPack capsule"):
        view_from_capsule(x)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 4), (1, 1)])
@pytest.mark.parametrize("oddity", [*fakes.UNUSUAL_FIELDS])
def test_unusual_fields_are_taken(oddity: str, shape: tuple[int, ...], legacy: bool) -> None:
    array = np.arange(max(1, int(np.prod(shape))) + 20, dtype="int8")[16:][: int(np.prod(shape))].reshape(shape)
    overrides = fakes.UNUSUAL_FIELDS[oddity](array)
    if legacy:
        overrides["version"] = None
    with VersionedProducer(array, **overrides) as fake:
        view = view_from_capsule(fake.capsule(), legacy_readonly=False)
        assert (view.shape, view.readonly, view.byte_offset) == (shape, False, 0)
        assert view.ptr == array.ctypes.data or array.size == 0
        assert view.contiguous
        np.testing.assert_array_equal(ndarray_from_view(view), array)
        del view


def test_a_byte_offset_moves_the_pointer_but_not_on_metal(array: Array) -> None:
    with VersionedProducer(array, byte_offset=64, data=4096) as fake:
        view = view_from_capsule(fake.capsule())
        assert (view.ptr, view.byte_offset) == (4160, 0)
        del view
    with VersionedProducer(array, byte_offset=64, data=4096, device=(8, 0)) as fake:
        view = view_from_capsule(fake.capsule())
        assert (view.ptr, view.byte_offset) == (4096, 64)
        fields = fakes.read(view.__dlpack__(stream=-1, max_version=(1, 3)))
        assert (fields.data, fields.byte_offset) == (4096, 64)
        del view


def test_legacy_capsules_count_as_readonly(array: Array) -> None:
    with fakes.LegacyProducer(array) as fake:
        assert view_from_capsule(fake.capsule()).readonly
        assert not view_from_capsule(fake.capsule(), legacy_readonly=False).readonly


def test_flags_are_taken(array: Array) -> None:
    with VersionedProducer(array, flags=fakes.READ_ONLY | fakes.IS_COPIED) as fake:
        view = view_from_capsule(fake.capsule())
        assert view.readonly
        assert view.copied
        # A copy that was made for this View isn't the sole owner's that imports it next.
        assert fakes.read(view.__dlpack__(max_version=(1, 0))).flags == fakes.READ_ONLY
        del view


sides = st.integers(-1, 4) | st.sampled_from([2**31, 2**40, 2**62, 2**63 - 1, -(2**63)])
steps = st.integers(-4, 4) | st.sampled_from([2**31, -(2**40), 2**62, 2**63 - 1, -(2**63)])
words = st.integers(0, 64) | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 0x7F0000001000])


@given(
    shape=st.lists(sides, max_size=10),
    strides=st.none() | st.lists(steps, min_size=10, max_size=10),
    dtype=st.tuples(st.integers(0, 20), st.sampled_from([0, 1, 4, 6, 8, 16, 24, 32, 64, 128, 255]), st.integers(0, 3)),
    device=st.tuples(st.integers(-1, 22), st.integers(-1, 3)),
    data=words,
    byte_offset=words,
    flags=st.integers(0, 15) | st.just(2**64 - 1),
    version=st.none() | st.tuples(st.integers(0, 2), st.integers(0, 9)),
)
@example([2**62, 0, 2**62], None, (2, 32, 1), (1, 0), 4096, 0, 0, (1, 3))
@example([0] * 9, [2**63 - 1] * 10, (2, 32, 1), (1, 0), 0, 0, 0, (1, 3))
def test_whatever_a_capsule_says_ends_in_a_view_or_an_error_of_ours(
    shape: list[int],
    strides: list[int] | None,
    dtype: tuple[int, int, int],
    device: tuple[int, int],
    data: int,
    byte_offset: int,
    flags: int,
    version: tuple[int, int] | None,
) -> None:
    fake = VersionedProducer(
        np.ones(3),
        shape=tuple(shape),
        strides=None if strides is None else tuple(strides[: len(shape)]),
        dtype=dtype,
        device=device,
        data=data,
        byte_offset=byte_offset,
        flags=flags,
        version=version,
    )
    try:
        view = view_from_capsule(fake.capsule())
    except InteropError:
        fake.assert_released()
        return
    assert fake.live == 1
    assert view.shape == tuple(shape)
    low, high = view.extent
    assert low <= view.ptr <= high < 2**64
    # Not every device's pointer is an address.
    assert low >= 0 or not view.device.is_host
    assert 0 <= view.nbytes < 2**63
    assert (view.size == 0) == (0 in shape)
    assert all(side >= 0 for side in shape)
    repr(view)
    if version is not None and not (view.readonly and not flags & 1):
        again = fakes.read(view.__dlpack__(stream=-1, max_version=(1, 3)))
        assert (again.shape, again.strides, again.dtype, again.device) == (view.shape, view.strides, dtype, device)
    if view.size == 0:
        with contextlib.suppress(InteropError):
            assert ndarray_from_view(view).shape == view.shape
    del view
    fake.assert_released()


# Asking producers.


def test_the_keywords_are_worked_out_once_and_by_signature(array: Array) -> None:
    asked: list[dict[str, Any]] = []

    class OnlyStream:
        def __dlpack__(self, stream: Any = None) -> Any:
            asked.append({"stream": stream})
            return array.__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    class Anything:
        def __dlpack__(self, **keywords: Any) -> Any:
            asked.append(keywords)
            return view_from_ndarray(array).__dlpack__(**keywords)

    assert view_from_dlpack(OnlyStream()).readonly
    assert not view_from_dlpack(Anything()).readonly
    assert asked == [{"stream": None}, {"max_version": (1, 3)}]


def test_a_type_error_inside_a_producer_is_its_own(array: Array) -> None:
    calls = []

    class Broken:
        def __dlpack__(
            self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
        ) -> Any:
            calls.append(max_version)
            raise TypeError("unexpected keyword argument 'max_version'")

    with pytest.raises(UnsupportedError, match=r"Broken.*TypeError: unexpected keyword") as caught:
        view_from_dlpack(Broken())
    assert isinstance(caught.value.__cause__, TypeError)
    assert calls == [(1, 3)]


def test_a_method_without_a_signature_is_tried() -> None:
    class Builtin:
        # A C function that knows no keywords, and has no signature for `inspect`.
        __dlpack__ = getattr

    with pytest.raises(UnsupportedError, match="TypeError"):
        view_from_dlpack(Builtin())


@pytest.mark.parametrize("error", [BufferError("no"), RuntimeError("no"), AssertionError("no"), ValueError("no")])
def test_what_a_producer_raises_is_chained(array: Array, error: Exception) -> None:
    class Refusing:
        def __dlpack__(self, **keywords: Any) -> Any:
            raise error

    with pytest.raises(UnsupportedError, match=f"Refusing.*{type(error).__name__}: no") as caught:
        view_from_dlpack(Refusing())
    assert caught.value.__cause__ is error
    with pytest.raises(DeviceError):
        view_from_dlpack(Refusing(), dl_device=(1, 0))
    wanted = CopyError if isinstance(error, (BufferError, ValueError)) else UnsupportedError
    with pytest.raises(wanted):
        view_from_dlpack(Refusing(), copy=False)


def test_keyboard_interrupt_isnt_swallowed() -> None:
    class Slow:
        def __dlpack__(self, **keywords: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        view_from_dlpack(Slow())


def test_copy_is_passed_on(array: Array) -> None:
    with VersionedProducer(array) as fake:
        assert view_from_dlpack(fake, copy=True).copied
        assert not view_from_dlpack(fake, copy=False).copied
        assert [call.copy for call in fake.calls] == [True, False]
    with fakes.CopyForcer(array) as forcer, pytest.raises(CopyError):
        view_from_dlpack(forcer, copy=False)


@pytest.mark.parametrize("name", [*fakes.LIARS])
def test_liars_end_in_a_view_or_an_error_of_ours(array: Array, name: str) -> None:
    with fakes.LIARS[name](array) as fake:
        try:
            view = view_from_dlpack(fake)
        except InteropError as error:
            said = str(error)
        else:
            said = type(fake).__name__
            np.testing.assert_array_equal(ndarray_from_view(view) if view.device.is_host else array, array)
            del view
        assert type(fake).__name__ in said


# Making capsules.


@pytest.mark.parametrize("max_version", [None, (1, 0), (1, 3), (2, 0)])
def test_an_unconsumed_capsule_frees_what_it_holds(array: Array, max_version: Any) -> None:
    owner = Owner()
    gone = weakref.ref(owner)
    capsule = owned(owner, array).__dlpack__(max_version=max_version)
    del owner
    assert gone() is not None
    assert capsule_name(capsule) == (b"dltensor" if max_version is None else b"dltensor_versioned")
    del capsule
    assert gone() is None


@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_a_consumed_capsule_leaves_it_to_the_consumer(array: Array, max_version: Any) -> None:
    if max_version and not TORCH_TAKES_VERSIONED:
        pytest.skip("this torch takes legacy capsules only")
    owner = Owner()
    gone = weakref.ref(owner)
    capsule = owned(owner, array).__dlpack__(max_version=max_version)
    del owner
    tensor = torch_from_dlpack(capsule)
    del capsule
    assert gone() is not None
    assert tensor.data_ptr() == array.ctypes.data
    del tensor
    gc.collect()
    assert gone() is None


def test_what_capsules_say(array: Array) -> None:
    view = view_from_ndarray(array[:, ::-2])
    fields = fakes.read(view.__dlpack__(max_version=(1, 0)))
    assert (fields.version, fields.flags, fields.byte_offset) == ((1, 3), 0, 0)
    assert (fields.data, fields.shape, fields.strides) == (array[:, -1:].ctypes.data, (3, 2), (4, -2))
    scalar = fakes.read(view_from_ndarray(np.array(1.0)).__dlpack__(max_version=(1, 0)))
    assert (scalar.ndim, scalar.shape) == (0, ())


def consume(capsule: Any, start: threading.Barrier, views: list[View], errors: list[BaseException]) -> None:
    start.wait()
    try:
        views.append(view_from_capsule(capsule))
    except BaseException as error:
        errors.append(error)


def test_one_capsule_among_eight_threads(array: Array) -> None:
    for legacy in (False, True):
        fake = VersionedProducer(array, version=None if legacy else (1, 3))
        for _ in range(200):
            capsule = fake.capsule()
            start = threading.Barrier(8)
            views: list[View] = []
            errors: list[BaseException] = []

            threads = [threading.Thread(target=consume, args=(capsule, start, views, errors)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(views) == 1
            assert [type(error) for error in errors] == [UnsupportedError] * 7
            views.clear()
        fake.assert_released()


@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_a_deleter_on_a_thread_that_python_doesnt_know(array: Array, max_version: Any) -> None:
    # The thread that pthread_create starts runs the deleter itself, without the GIL and without a thread state.
    libc = ctypes.CDLL(None)
    owner = Owner()
    gone = weakref.ref(owner)
    for _ in range(50):
        managed = surrendered(owned(owner, array).__dlpack__(max_version=max_version))
        deleter = ctypes.cast(managed.deleter, ctypes.c_void_p)
        thread = ctypes.c_ulong()
        assert libc.pthread_create(ctypes.byref(thread), None, deleter, ctypes.c_void_p(ctypes.addressof(managed))) == 0
        assert libc.pthread_join(thread, None) == 0
    del owner
    assert gone() is None


def surrendered(capsule: Any) -> Any:
    """Take the managed tensor out of a capsule; its deleter is then up to the caller."""
    address = fakes.consume(capsule).surrender()
    versioned = capsule_name(capsule) == b"used_dltensor_versioned"

    # What stands before the deleter is the version in one struct and the tensor in the other.
    class Head(ctypes.Structure):
        _fields_ = (
            ("before", ctypes.c_byte * (8 if versioned else 48)),
            ("context", ctypes.c_void_p),
            ("deleter", ctypes.c_void_p),
        )

    return Head.from_address(address)


def test_a_deleter_keeps_the_exception_that_is_on_its_way(array: Array) -> None:
    class Noisy:
        def __del__(self) -> None:
            try:
                raise KeyError
            except KeyError:
                pass

    no_number: Any = int
    for max_version in (None, (1, 0)):
        # The only reference to the capsule is the call's, which drops it with the exception set.
        with pytest.raises(TypeError, match="PyCapsule"):
            no_number(owned(Noisy(), array).__dlpack__(max_version=max_version))


def test_cycles_through_the_owner_are_collected(array: Array) -> None:
    class Node:
        view: View

        def __del__(self) -> None:
            # Whatever the collector has cleared by now, the memory is still there.
            seen.append(self.view.shape)

    seen: list[Any] = []
    node = Node()
    node.view = owned((node, array), array)
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    assert seen == [(3, 4)]


# Where deleters run late: forked children, and after the interpreter has gone.

FORK = """
    import os, weakref, numpy as np
    from interop._native import make_view, view_from_capsule
    from interop.testing.fakes import VersionedProducer

    class Owner:
        pass

    a = np.zeros(8, "float32")

    def chain(device):
        owner = Owner()
        view = make_view(a.ctypes.data, (8,), None, (2, 32, 1), device, readonly=False, owner=owner)
        return weakref.ref(owner), view.__dlpack__(stream=-1, max_version=(1, 0))

    host, host_capsule = chain((1, 0))
    pinned, pinned_capsule = chain((3, 0))
    cuda, cuda_capsule = chain((2, 0))
    imported = VersionedProducer(a, device=(2, 0))
    pinned_import = VersionedProducer(a, device=(3, 0))
    views = [view_from_capsule(fake.capsule()) for fake in (imported, pinned_import)]
    pid = os.fork()
    if pid == 0:
        del host_capsule, pinned_capsule, cuda_capsule, views
        ok = (host() is None, pinned() is None, cuda() is None) == (True, True, False)
        os._exit(0 if ok and (imported.deleted, pinned_import.deleted) == (0, 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    del host_capsule, pinned_capsule, cuda_capsule, views
    assert (host(), pinned(), cuda()) == (None,) * 3
    assert (imported.deleted, pinned_import.deleted) == (1, 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_in_a_forked_child_device_memory_is_leaked_and_host_memory_freed() -> None:
    run(FORK)


SHUTDOWN = {
    "torch holds ours": "t = torch.from_dlpack(v)",
    "torch holds ours, through the exchange API": "t = ExchangeAPI.of(torch.Tensor).wrap(v)",
    "numpy holds ours": "t = np.from_dlpack(v)",
    "we hold torch's": "t = view_from_dlpack(torch.zeros(5))",
    "we hold torch's, through the exchange API": "t = ExchangeAPI.of(torch.Tensor).export(torch.zeros(5))",
    "an unconsumed capsule": "t = v.__dlpack__(max_version=(1, 0))",
    "an unconsumed legacy capsule": "t = v.__dlpack__()",
    "a memoryview": "t = memoryview(v)",
    "a cycle": "class N: pass\nt = N(); t.t = t; t.v = torch.from_dlpack(v); t.w = v",
    "held by the module itself": "sys.modules['interop'].leftover = torch.from_dlpack(v)",
    "held by a builtin": "import builtins; builtins.leftover = torch.from_dlpack(v)",
    # Not with torch, which ends the process by itself when a daemon thread of its is stopped.
    "a daemon thread lets go late": (
        "import threading\n"
        "began = threading.Event()\n"
        "def late():\n"
        "    while True: np.from_dlpack(v.with_owner(a)).view(); began.set()\n"
        "threading.Thread(target=late, daemon=True).start(); began.wait()"
    ),
    "at exit": "import atexit; atexit.register(lambda t=torch.from_dlpack(v): t.sum())",
}


@pytest.mark.parametrize("case", [*SHUTDOWN])
def test_interpreter_shutdown(case: str) -> None:
    if "exchange API" in case and not TORCH_EXCHANGES:
        pytest.skip("this torch has no exchange API")
    head = (
        "import sys, numpy as np, torch\n"
        "from interop._native import *\n"
        "a = np.zeros(8, 'float32')\n"
        "v = view_from_ndarray(a)\n"
    )
    run(head + SHUTDOWN[case] + "\nprint('done')\n")


def test_a_deleter_after_the_interpreter_has_gone() -> None:
    # Py_AtExit functions run last of all, when there is no GIL to take: numpy#22507 was a fatal abort there.
    run(
        """
        import ctypes, numpy as np
        from interop._native import view_from_ndarray
        from interop.testing.fakes import consume
        capsule = view_from_ndarray(np.zeros(8)).__dlpack__(max_version=(1, 0))
        address = consume(capsule).surrender()
        libc = ctypes.CDLL(None)
        deleter = ctypes.c_void_p.from_address(address + 16).value
        # Called with the argument, after Python's own end.
        assert libc.__cxa_atexit(ctypes.c_void_p(deleter), ctypes.c_void_p(address), None) == 0
        """
    )


def test_a_subinterpreter_is_refused() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    out = run(
        f"""
        import numpy
        import {interpreters.__name__} as interpreters
        import interop._native._export
        one = interpreters.create()
        code = '''
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("interop._native._export", {{path!r}})
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except ImportError:
            print("refused", flush=True)
        '''
        import textwrap
        interpreters.run_string(one, textwrap.dedent(code).format(path=interop._native._export.__file__))
        interpreters.destroy(one)
        """
    )
    assert out.strip() == "refused"


# Nothing leaks, and nothing is freed twice.

CYCLES = 100_000


def cycles() -> dict[str, Any]:
    a = np.arange(12, dtype="float32").reshape(3, 4)
    t = torch.arange(12.0)
    view = view_from_ndarray(a)
    deep = view_from_ndarray(np.zeros((1,) * 20))
    api = _native.ExchangeAPI.of(torch.Tensor)
    ours = _native.ExchangeAPI.of(View)
    client = fakes.ExchangeClient(View)
    assert ours is not None
    found = {
        "a View of an ndarray": lambda: view_from_ndarray(a),
        "an ndarray of a View": lambda: ndarray_from_view(view),
        "a View of twenty axes": deep.with_readonly,
        "an unconsumed capsule": lambda: view.__dlpack__(max_version=(1, 0)),
        "an unconsumed legacy capsule": view.__dlpack__,
        "a copy": lambda: view.__dlpack__(max_version=(1, 0), copy=True),
        "a capsule and back": lambda: view_from_capsule(view.__dlpack__(max_version=(1, 0))),
        "a buffer": lambda: memoryview(view),
        "an array interface": lambda: view.__array_interface__,
        "a capsule taken twice": lambda: taken_twice(view.__dlpack__(max_version=(1, 0))),
        "a refused dtype": lambda: refused(lambda: ndarray_from_view(deep.with_device(2, 0))),
        "our own exchange API": lambda: ours.wrap(ours.export(view)),
        "our own exchange API, lending": lambda: ours.peek(view, a),
        "numpy's DLPack": lambda: np.from_dlpack(view),
    }
    memory = fakes.describe(np.zeros(1000))
    found["what the View's API allocates"] = lambda: client.allocate(memory).release()
    if api is not None:
        found["torch's exchange API"] = lambda: api.export(t)
        found["torch's exchange API, lending"] = lambda: api.peek(t, None)
        found["into torch"] = lambda: api.wrap(view)
        found["what torch refuses"] = lambda: refused(lambda: api.wrap(deep.with_device(99, 0)))
    return found


def taken_twice(capsule: Any) -> None:
    view = view_from_capsule(capsule)
    refused(lambda: view_from_capsule(capsule))
    del view


def refused(call: Any) -> None:
    try:
        call()
    except (InteropError, TypeError, BufferError):
        return
    msg = "it was taken"
    raise AssertionError(msg)


def cast_alone() -> None:
    ctypes.cast(ctypes.c_void_p(4096), ctypes.c_void_p)


def blocks_kept_by(call: Any, count: int) -> int:
    gc.collect()
    blocks = sys.getallocatedblocks()
    for _ in range(count):
        call()
    gc.collect()
    return sys.getallocatedblocks() - blocks


def leaves_nothing(call: Any, count: int) -> bool:
    """Whether so many calls keep neither memory nor objects."""
    before = anonymous_memory()
    # An object leaked per cycle would be 100,000 blocks, a struct of DLPack's 10 MB.
    blocks = blocks_kept_by(call, count)
    return blocks < 200 and anonymous_memory() - before < 2 << 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the resident memory")
@pytest.mark.parametrize("name", [*cycles()])
def test_a_hundred_thousand_cycles_leave_nothing(name: str) -> None:
    call = cycles()[name]
    # An error of torch's takes a millisecond, since it looks for its own stack; ctypes is slow too.
    count = CYCLES // 50 if name in ("what torch refuses", "what the View's API allocates") else CYCLES
    if name == "what the View's API allocates" and blocks_kept_by(cast_alone, count) > 200:
        pytest.skip("ctypes.cast, by which it is called, leaks in this Python")  # 3.13 without the GIL
    for _ in range(count // 10):
        call()
    gc.collect()
    assert once_in_three(lambda: leaves_nothing(call, count))


def test_references_are_balanced(array: Array) -> None:
    references = sys.getrefcount(array)
    view = view_from_ndarray(array)
    for _ in range(100):
        np.from_dlpack(view)
        into_torch(view)
        ndarray_from_view(view)
        with pytest.raises(BufferError):
            view.__dlpack__(max_version=(1, 0), dl_device=(2, 0))
    del view
    assert sys.getrefcount(array) == references
