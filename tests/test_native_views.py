"""The View, the protocols that it speaks and those that it is made from; what a protocol refuses is a BufferError."""

from __future__ import annotations

import array as arrays
import contextlib
import ctypes
import enum
import gc
import itertools
import mmap
from typing import TYPE_CHECKING, Any, cast

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.dlpack import from_dlpack as torch_from_dlpack

from interop import _native
from interop._dtypes import ROWS
from interop._native import (
    View,
    make_view,
    ndarray_from_view,
    view_from_cuda_array_interface,
    view_from_ndarray,
)
from interop.errors import DeviceError, DTypeError, InteropError, UnsupportedError
from interop.testing import assert_identical, fakes
from interop.testing.strategies import numpy_arrays

if TYPE_CHECKING:
    from collections.abc import Callable


Array = np.ndarray[Any, Any]

HELD = [row for row in ROWS if row.numpy is not None]
PLAIN = [row for row in HELD if row.bits >= 8 and row.code in (0, 1, 2, 5, 6)]
SMALL = [row for row in HELD if row not in PLAIN]

into_torch: Any = torch_from_dlpack

# numpy before 2.1 asks for legacy capsules, which can't say that memory is read-only.
NUMPY_ASKS_FOR_VERSIONED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"
#: Those between ask nobody for the copy that they were asked for.
NUMPY_ASKS_FOR_COPIES = np.lib.NumpyVersion(np.__version__) >= "2.2.5"


@pytest.fixture
def array() -> Array:
    return np.arange(6, dtype="float32").reshape(2, 3)


def on(
    device: tuple[int, int], *, owner: object = None, ordered: bool = True, dtype: tuple[int, int, int] = (2, 32, 1)
) -> View:
    return make_view(0x1000, (2, 3), None, dtype, device, readonly=False, owner=owner, ordered=ordered)


def view_from_buffer(x: Any) -> View:
    made = _native.view_from_buffer(x)
    assert isinstance(made, View)
    return made


def view_from_array_interface(x: Any) -> View:
    made = _native.view_from_array_interface(x)
    assert isinstance(made, View)
    return made


def described(array: Array, **changes: Any) -> Any:
    """An object with an ``__array_interface__`` like that of an array, changed."""
    interface = {**array.__array_interface__, **changes}
    # Not the names of fields, which is what there is to say of nothing else.
    interface.pop("descr")
    return type("Described", (), {"__array_interface__": interface, "array": array})()


# What a View says.


def test_what_a_view_says(array: Array) -> None:
    view = view_from_ndarray(array.T)
    assert (view.ptr, view.shape, view.strides, view.ndim) == (array.ctypes.data, (3, 2), (1, 3), 2)
    assert (str(view.dtype), view.itemsize, view.size, view.nbytes) == ("float32", 4, 6, 24)
    assert (str(view.device), view.readonly, view.contiguous, view.ordered, view.copied) == (
        "cpu",
        False,
        False,
        True,
        False,
    )
    assert view.extent == (view.ptr, view.ptr + 24)
    assert np.shares_memory(view.owner, array)
    array.flags.writeable = False
    assert repr(view_from_ndarray(array)) == "View(float32, (2, 3), strides=(3, 1), cpu, readonly)"
    assert repr(on((2, 1))) == "View(float32, (2, 3), strides=(3, 1), cuda:1)"


@pytest.mark.parametrize(
    ("make", "contiguous", "low", "high"),
    [
        (lambda a: a[::-1, ::-1], False, -20, 4),
        (lambda a: a[::-1], False, -12, 12),
        (lambda a: a[:, ::2], False, 0, 24),
        (lambda a: a[:0], True, 0, 0),
        (lambda a: np.broadcast_to(a[0, 0], (4, 4)), False, 0, 4),
        (lambda a: np.lib.stride_tricks.as_strided(a, (1, 3), (7 * 4, 4)), True, 0, 12),
        (lambda a: a[0, 0:1].reshape(()), True, 0, 4),
    ],
)
def test_extent_and_contiguous(make: Any, contiguous: bool, low: int, high: int, array: Array) -> None:
    view = view_from_ndarray(make(array))
    assert view.contiguous == contiguous
    assert view.extent == (view.ptr + low, view.ptr + high)


@given(numpy_arrays())
def test_an_ndarray_and_back(array: Array) -> None:
    try:
        view = view_from_ndarray(array)
    except InteropError:
        assert not array.dtype.isnative or any(step % array.itemsize for step in array.strides)
        return
    again = ndarray_from_view(view)
    assert (again.ctypes.data, again.strides) == (array.ctypes.data, array.strides)
    assert (again.flags.writeable, again.flags.aligned) == (array.flags.writeable, array.flags.aligned)
    assert (again.flags.c_contiguous, again.flags.f_contiguous) == (array.flags.c_contiguous, array.flags.f_contiguous)
    assert_identical(again, array)


@pytest.mark.parametrize("ndim", [0, 1, 7, 8, 9, 16, 17, 31, 32, 33, 63, 64])
def test_any_number_of_axes(ndim: int) -> None:
    if ndim > 32 and np.__version__ < "2":
        pytest.skip("this numpy has 32 axes at most")
    array = np.arange(2.0).reshape((2, *(1,) * (ndim - 1))) if ndim else np.array(2.0)
    view = view_from_ndarray(array)
    assert view.shape == array.shape
    assert view.with_readonly().shape == array.shape
    for other in (np.from_dlpack(view), ndarray_from_view(view), np.asarray(memoryview(view))):
        assert_identical(other, array)
    if ndim <= 32:
        assert_identical(into_torch(view).numpy(), array)


def test_more_axes_than_that() -> None:
    with pytest.raises(UnsupportedError, match="64 axes"):
        make_view(4096, (1,) * 65, None, (2, 32, 1), (1, 0), readonly=False, owner=None)


@pytest.mark.parametrize(
    ("ptr", "shape", "strides", "dtype", "device"),
    [
        (0, (2,), None, (2, 32, 1), (1, 0)),
        (4096, (-1,), None, (2, 32, 1), (1, 0)),
        (4096, (2**40, 2**40), None, (2, 32, 1), (1, 0)),
        (4096, (2**62, 0, 2**62), None, (2, 32, 1), (1, 0)),
        (4096, (2,), (-(2**63),), (2, 32, 1), (1, 0)),
        (4096, (2**64,), None, (2, 32, 1), (1, 0)),
        (4096, (2,), (2**64,), (2, 32, 1), (1, 0)),
        (4096, (2, 2), (1,), (2, 32, 1), (1, 0)),
        (4096, (2**32,), (-1,), (2, 32, 1), (1, 0)),
        (2**64 - 8, (3,), None, (2, 32, 1), (1, 0)),
        (2**64, (3,), None, (2, 32, 1), (1, 0)),
        (-1, (3,), None, (2, 32, 1), (1, 0)),
        (4096, (3,), None, (2, 0, 1), (1, 0)),
        (4096, (3,), None, (2, 32, 0), (1, 0)),
        (4096, (3,), None, (2, 3200, 1), (1, 0)),
        (4096, (3,), None, (2, 32, 1), (2**40, 0)),
        (4096, ("3",), None, (2, 32, 1), (1, 0)),
    ],
)
def test_what_cant_be_memory(ptr: Any, shape: Any, strides: Any, dtype: Any, device: Any) -> None:
    with pytest.raises(UnsupportedError):
        make_view(ptr, shape, strides, dtype, device, readonly=False, owner=None)


def test_an_empty_array_needs_no_memory() -> None:
    for readonly in (False, True):
        view = make_view(0, (0, 3, 2), None, (2, 32, 1), (1, 0), readonly=readonly, owner=None)
        assert view.extent == (0, 0)
        taken = [np.from_dlpack(view)] if NUMPY_ASKS_FOR_VERSIONED or not readonly else []
        for made in (ndarray_from_view(view), np.asarray(view), *taken):
            assert (made.shape, made.dtype) == ((0, 3, 2), np.float32)
        flags = ndarray_from_view(view).flags
        assert (flags.c_contiguous, flags.writeable) == (True, not readonly)


@pytest.mark.parametrize("row", HELD, ids=lambda row: row.name)
def test_every_dtype_that_numpy_holds(row: Any) -> None:
    array = np.zeros((2, 3), np.uint8).repeat(row.numpy.itemsize).view(row.numpy).reshape(2, 3)
    view = view_from_ndarray(array)
    assert (view.dtype.code, view.dtype.bits, view.dtype.lanes) == (row.code, row.bits, row.lanes)
    made = ndarray_from_view(view)
    assert made.dtype is array.dtype or made.dtype == array.dtype
    fields = fakes.read(view.__dlpack__(max_version=(1, 3)))
    assert fields.dtype == (row.code, row.bits, row.lanes)
    assert fields.flags == (fakes.SUBBYTE_PADDED if row.bits < 8 else 0)


@pytest.mark.parametrize("character", "bBhHiIlLqQ")
def test_every_name_that_c_has_for_an_integer(character: str) -> None:
    array = np.arange(3, dtype=character)
    assert ndarray_from_view(view_from_ndarray(array)).dtype == array.dtype


@pytest.mark.parametrize("dtype", [">f4", "S3", "U2", "M8[s]", "m8[s]", "O", "V4", "g", [("a", "f4")]])
def test_dtypes_that_dlpack_lacks(dtype: Any) -> None:
    with pytest.raises(DTypeError, match="can't express"):
        view_from_ndarray(np.zeros(3, dtype))


def test_strides_of_broken_elements() -> None:
    no_array: Any = [1]
    field = np.zeros(3, [("a", "i1"), ("b", "f4")])["b"]
    with pytest.raises(DTypeError, match="strides"):
        view_from_ndarray(field)
    with pytest.raises(UnsupportedError, match="no ndarray"):
        view_from_ndarray(no_array)


@pytest.mark.parametrize(
    "dtype", [(0, 24, 1), (0, 5, 1), (2, 8, 1), (2, 32, 2), (99, 32, 1), (5, 32, 1), (0, 255, 1), (31, 255, 65535)]
)
def test_dtypes_that_numpy_lacks(dtype: Any) -> None:
    # Integers of 24 bits, read as those of 16, would be wrong values.
    view = make_view(np.zeros(9, "int8").ctypes.data, (0,), None, dtype, (1, 0), readonly=False, owner=None)
    with pytest.raises(DTypeError):
        ndarray_from_view(view)
    with pytest.raises(BufferError, match=r"interop\.to_numpy"):
        memoryview(view)
    assert not hasattr(view, "__array_interface__")


def test_numpy_doesnt_reach_a_device() -> None:
    with pytest.raises(DeviceError, match="cuda:0"):
        ndarray_from_view(on((2, 0)))
    for kind in (3, 11, 13):
        assert ndarray_from_view(view_from_ndarray(np.ones(3)).with_device(kind, 1)).sum() == 3


def test_a_view_isnt_made_by_hand() -> None:
    for call in (View, lambda: View.__init__(View.__new__(View)), lambda: type("Sub", (View,), {})):
        with pytest.raises(TypeError):
            call()


def test_a_view_that_nobody_filled_is_harmless() -> None:
    view = View.__new__(View)
    for name in dir(View):
        with contextlib.suppress(AttributeError, InteropError):
            getattr(view, name)


def test_derived_views(array: Array) -> None:
    view = view_from_ndarray(array)
    assert view.with_readonly().readonly
    assert not view.with_readonly().with_readonly(False).readonly
    assert view.with_device(3, 1).__dlpack_device__() == (3, 1)
    assert view.with_owner("x").owner == "x"
    assert (view.readonly, view.__dlpack_device__(), view.owner) == (False, (1, 0), array)


# DLPack.


class Kind(enum.IntEnum):
    CPU = 1


class Word(enum.Enum):
    CPU = "cpu"


@pytest.mark.parametrize("dl_device", [None, (1, 0), (1, 5), (Kind.CPU, 0), [1, 0]])
@pytest.mark.parametrize("stream", [None, -1, np.int64(-1)])
@pytest.mark.parametrize("copy", [None, False, True])
@pytest.mark.parametrize("max_version", [None, (0, 8), (1, 0), (1, 3), (2, 7)])
def test_every_argument_of_dlpack(array: Array, dl_device: Any, stream: Any, copy: Any, max_version: Any) -> None:
    view = view_from_ndarray(array.T)
    fields = fakes.read(view.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy))
    versioned = max_version is not None and max_version >= (1, 0)
    assert (fields.version is not None) == versioned
    assert (fields.device, fields.shape) == ((1, 0), (3, 2))
    assert fields.strides == ((2, 1) if copy else (1, 3))
    assert (fields.data != array.ctypes.data) == (copy is True)
    if versioned:
        assert fields.flags == (fakes.IS_COPIED if copy else 0)


class Awkward:
    """Raises a TypeError whatever is done with it."""

    def _raise(self, *_: Any) -> Any:
        raise TypeError

    __index__ = __int__ = __iter__ = __bool__ = __eq__ = __len__ = __getitem__ = _raise
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "arguments",
    [
        {"dl_device": (2, 0)},
        {"dl_device": (3, 0)},
        {"dl_device": 1},
        {"dl_device": "cpu"},
        {"dl_device": (1,)},
        {"dl_device": (1, 0, 0)},
        {"dl_device": (Word.CPU, 0)},
        {"dl_device": (2**40, 0)},
        {"dl_device": (None, None)},
        {"dl_device": Awkward()},
        {"stream": 1},
        {"stream": 0},
        {"stream": 2},
        {"stream": "1"},
        {"stream": 1.5},
        {"stream": np.zeros(2)},
        {"stream": Awkward()},
        {"copy": 1},
        {"copy": "yes"},
        {"copy": np.True_},
        {"copy": Awkward()},
        {"max_version": 1},
        {"max_version": ()},
        {"max_version": "1.0"},
        {"max_version": (None, 0)},
        {"max_version": Awkward()},
    ],
)
def test_what_dlpack_refuses_is_a_buffer_error(array: Array, arguments: dict[str, Any]) -> None:
    # A TypeError would have the consumer ask again without the arguments, and get what it didn't ask for.
    with pytest.raises(BufferError):
        view_from_ndarray(array).__dlpack__(**arguments)


def test_readonly_is_said_or_refused(array: Array) -> None:
    view = view_from_ndarray(array).with_readonly()
    assert fakes.read(view.__dlpack__(max_version=(1, 0))).flags == fakes.READ_ONLY
    with pytest.raises(BufferError, match="max_version"):
        view.__dlpack__()
    # A copy is the consumer's to write.
    assert fakes.read(view.__dlpack__(copy=True)).version is None
    assert fakes.read(view.__dlpack__(copy=True, max_version=(1, 0))).flags == fakes.IS_COPIED
    if NUMPY_ASKS_FOR_VERSIONED:
        assert not np.from_dlpack(view).flags.writeable
    if NUMPY_ASKS_FOR_COPIES:
        assert np.from_dlpack(view, copy=True).flags.writeable


def test_a_byte_for_each_small_element_is_said_or_refused() -> None:
    array = np.zeros(4, ml_dtypes.int4)
    view = view_from_ndarray(array)
    assert fakes.read(view.__dlpack__(max_version=(1, 0))).flags == fakes.SUBBYTE_PADDED
    assert fakes.read(view.__dlpack__(max_version=(1, 0), copy=True)).flags == fakes.SUBBYTE_PADDED | fakes.IS_COPIED
    with pytest.raises(BufferError, match="a byte each"):
        view.__dlpack__()
    # A pair in a byte has nothing to say.
    pair = make_view(array.ctypes.data, (4,), None, (17, 4, 2), (1, 0), readonly=False, owner=array)
    assert fakes.read(pair.__dlpack__()).dtype == (17, 4, 2)


@given(numpy_arrays())
def test_a_copy_is_one(array: Array) -> None:
    try:
        view = view_from_ndarray(array)
    except InteropError:
        return
    with fakes.consume(view.__dlpack__(copy=True, max_version=(1, 3))) as copied:
        assert_identical(copied.array(), array)
        assert copied.fields.data % 64 == 0
        if array.size:
            made = copied.array()
            assert not np.may_share_memory(made, array)
        del copied


def test_host_memory_of_other_names_is_the_hosts(array: Array) -> None:
    for kind in (3, 11, 13):
        view = view_from_ndarray(array).with_device(kind, 2)
        assert fakes.read(view.__dlpack__()).device == (kind, 2)
        assert fakes.read(view.__dlpack__(dl_device=(1, 0))).device == (1, 0)
        assert fakes.read(view.__dlpack__(dl_device=(kind, 2))).device == (kind, 2)
        assert fakes.read(view.__dlpack__(dl_device=(1, 0), copy=True)).device == (1, 0)
        with pytest.raises(BufferError):
            view.__dlpack__(dl_device=(kind, 2), copy=True)
        with pytest.raises(BufferError):
            view.__dlpack__(dl_device=(kind, 1))


class Orderer:
    """An owner that can order its memory on a stream."""

    def __init__(self, array: Array, error: Exception | None = None) -> None:
        self.array, self.error = array, error
        self.streams: list[Any] = []

    def __dlpack__(self, *, stream: Any = None) -> Any:
        if self.error is not None:
            raise self.error
        self.streams.append(stream)
        return self.array.__dlpack__()


@pytest.mark.parametrize(
    ("device", "streams", "instead"),
    [((2, 0), (0,), "pass 1"), ((13, 0), (0,), "pass 1"), ((10, 0), (1, 2), "pass 0")],
    ids=["CUDA", "managed", "ROCm"],
)
def test_a_stream_that_dlpack_disallows_is_refused(
    device: tuple[int, int], streams: tuple[int, ...], instead: str, array: Array
) -> None:
    owner = Orderer(array)
    view = make_view(0x1000, (1,), None, (2, 32, 1), device, readonly=False, owner=owner)
    for stream in streams:
        with pytest.raises(BufferError, match=f"stream={stream} is ambiguous.*{instead}"):
            view.__dlpack__(stream=stream)
    assert owner.streams == []
    for stream in {0, 1, 2, 3} - set(streams):
        view.__dlpack__(stream=stream)
    assert owner.streams == sorted({0, 1, 2, 3} - set(streams))


@pytest.mark.parametrize("stream", [None, 1, 2, 0xDEAD])
def test_device_memory_is_ordered_by_its_owner(array: Array, stream: Any) -> None:
    owner = Orderer(array)
    assert fakes.read(on((2, 0), owner=owner).__dlpack__(stream=stream)).device == (2, 0)
    assert owner.streams == [stream]
    assert fakes.read(on((2, 0), owner=owner).__dlpack__(stream=-1)).device == (2, 0)
    assert owner.streams == [stream]
    with pytest.raises(BufferError, match="stream=-1"):
        on((2, 0)).__dlpack__(stream=stream)
    with pytest.raises(BufferError, match="no wait"):
        on((2, 0), owner=Orderer(array, TypeError("no wait"))).__dlpack__(stream=stream)


def test_a_readonly_view_of_a_readonly_view_is_ordered_though_it_has_no_legacy_capsule(array: Array) -> None:
    owner = Orderer(array)
    inner = on((2, 0), owner=owner).with_readonly()
    outer = make_view(0x1000, (1,), None, (2, 32, 1), (2, 0), readonly=True, owner=inner)
    assert fakes.read(outer.__dlpack__(stream=5, max_version=(1, 0))).device == (2, 0)
    assert owner.streams == [5]
    with pytest.raises(BufferError, match="legacy"):
        outer.__dlpack__(stream=5)


def test_managed_memory_has_streams_for_those_who_name_one(array: Array) -> None:
    owner = Orderer(array)
    view = make_view(array.ctypes.data, (2, 3), None, (2, 32, 1), (13, 0), readonly=False, owner=owner)
    view.__dlpack__()
    assert owner.streams == []
    view.__dlpack__(stream=7)
    assert owner.streams == [7]


def test_a_device_view_of_a_producer_is_ordered_by_the_producer(array: Array) -> None:
    asked: list[Any] = []

    class Producer(fakes.VersionedProducer):
        def __dlpack__(self, *, stream: Any = None, **keywords: Any) -> Any:
            asked.append(stream)
            return super().__dlpack__(max_version=(1, 0))

    with Producer(array, device=(2, 0)) as fake:
        view = _native.view_from_dlpack(fake, stream=5)
        assert view.ordered
        fakes.read(view.__dlpack__(stream=9, max_version=(1, 0)))
        assert asked == [5, 9]
        assert not _native.view_from_dlpack(fake).ordered
        raw = _native.view_from_capsule(fake.capsule())
        with pytest.raises(BufferError, match="capsule"):
            raw.__dlpack__(stream=9)
        fakes.read(raw.__dlpack__(stream=-1))
        del view, raw


def test_a_device_views_copy_is_refused() -> None:
    with pytest.raises(BufferError, match="host memory only"):
        on((2, 0)).__dlpack__(stream=-1, copy=True)


# The buffer protocol.

REQUESTS = {
    "simple": 0,
    "writable": 1,
    "format": 4,
    "nd": 8,
    "strides": 0x18,
    "C": 0x38,
    "F": 0x58,
    "any": 0x98,
    "full": 0x11D,
    "full, readonly": 0x11C,
}


class Buffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _python(name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


get_buffer = _python("PyObject_GetBuffer", ctypes.c_int, ctypes.py_object, ctypes.POINTER(Buffer), ctypes.c_int)
release_buffer = _python("PyBuffer_Release", None, ctypes.POINTER(Buffer))


def asked_for(x: Any, flags: int) -> dict[str, Any] | None:
    """What a buffer request gets, or None where it is refused."""
    buffer = Buffer()
    try:
        get_buffer(x, ctypes.byref(buffer), flags)
    except (BufferError, ValueError):  # numpy's refusals are ValueErrors
        return None
    got = {
        "buf": buffer.buf,
        "len": buffer.len,
        "itemsize": buffer.itemsize,
        "readonly": bool(buffer.readonly),
        "format": buffer.format,
        "shape": buffer.shape[: buffer.ndim] if buffer.shape else None,
        "strides": buffer.strides[: buffer.ndim] if buffer.strides else None,
    }
    release_buffer(ctypes.byref(buffer))
    return got


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("request_name", [*REQUESTS])
@pytest.mark.parametrize("layout", ["C", "F", "stepped", "reversed", "scalar", "line"])
def test_a_view_answers_every_request_as_numpy_does(layout: str, request_name: str, readonly: bool) -> None:
    base = np.arange(24, dtype="int32").reshape(4, 6)
    array = {
        "C": base,
        "F": base.T,
        "stepped": base[:, ::2],
        "reversed": base[::-1],
        "scalar": base[0, 0:1].reshape(()),
        "line": base[0],
    }[layout]
    if readonly:
        array = array.view()
        array.flags.writeable = False
    flags = REQUESTS[request_name]
    assert asked_for(view_from_ndarray(array), flags) == asked_for(array, flags)


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.name)
def test_buffers_and_interfaces_of_every_plain_dtype(row: Any) -> None:
    array = np.arange(6).astype(row.numpy).reshape(2, 3)[:, ::-1]
    view = view_from_ndarray(array)
    assert memoryview(view).format == memoryview(cast("Any", array)).format
    assert view.__array_interface__["typestr"] == array.__array_interface__["typestr"]
    for made in (np.asarray(memoryview(view)), np.asarray(described(array)), np.asarray(view)):
        assert made.ctypes.data == array.ctypes.data
        assert_identical(made, array)
    for again in (view_from_buffer(array), view_from_buffer(view), view_from_array_interface(view)):
        assert (again.ptr, again.shape, again.strides, again.dtype) == (view.ptr, view.shape, view.strides, view.dtype)


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_the_small_types_have_neither(row: Any) -> None:
    view = view_from_ndarray(np.zeros(3, row.numpy))
    with pytest.raises(BufferError, match=r"interop\.to_numpy"):
        memoryview(view)
    with pytest.raises(AttributeError, match=row.name):
        _ = view.__array_interface__


def test_device_memory_has_neither() -> None:
    with pytest.raises(BufferError, match="cuda:0"):
        memoryview(on((2, 0)))
    assert not hasattr(on((2, 0)), "__array_interface__")


def test_a_buffer_keeps_the_view_and_the_memory() -> None:
    memory = memoryview(view_from_ndarray(np.arange(1000.0)))
    others = [np.zeros(1000) for _ in range(50)]
    assert memory[999] == 999
    del others


def test_buffers_of_python() -> None:
    data = bytearray(b"abcd")
    view = view_from_buffer(data)
    assert (view.shape, str(view.dtype), view.readonly) == ((4,), "uint8", False)
    with pytest.raises(BufferError):
        data.append(0)
    del view
    data.append(0)
    assert view_from_buffer(b"abc").readonly
    assert str(view_from_buffer(arrays.array("d", [1.0])).dtype) == "float64"
    assert view_from_buffer(memoryview(b"abcdef")[::-2]).strides == (-2,)
    assert view_from_buffer(memoryview(b"").cast("B")).shape == (0,)
    assert str(view_from_buffer((ctypes.c_int16 * 3 * 2)()).dtype) == "int16"
    with mmap.mmap(-1, 16) as mapped:
        view = view_from_buffer(mapped)
        with pytest.raises(BufferError):
            mapped.close()
        del view


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.zeros(3, "U2"), DTypeError),
        (np.zeros(3, "O"), DTypeError),
        (np.zeros(3, [("a", "f4")]), DTypeError),
        (np.zeros(3, "g"), DTypeError),
        (memoryview(b"abc").cast("c"), DTypeError),
        (np.zeros(3, "M8[s]"), UnsupportedError),
        (object(), UnsupportedError),
        (None, UnsupportedError),
        ("text", UnsupportedError),
    ],
)
def test_buffers_that_are_no_tensor(x: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        view_from_buffer(x)


READS: tuple[Any, ...] = (
    _native.view_from_buffer,
    lambda x: _native.view_from_array_interface(described(np.asarray(x))),
)


@pytest.mark.parametrize(
    "x",
    [
        np.arange(3, dtype=">f4"),
        (ctypes.c_uint32.__ctype_be__ * 2)(1, 2),
        np.array([(1, 2.5), (3, 4.5)], [("a", "i1"), ("b", "f4")])["b"],
        np.array([[(1, 2.5), (3, 4.5)]], [("a", "i1"), ("b", ">f8")])["b"][:, ::-1],
        np.array(7, ">i2"),
    ],
    ids=["other order", "ctypes", "field", "field in the other order", "scalar"],
)
@pytest.mark.parametrize(
    "read", [_native.view_from_buffer, lambda x: _native.view_from_array_interface(described(np.asarray(x)))]
)
def test_elements_that_no_view_can_describe_are_an_ndarray_on_the_memory(x: Any, read: Any) -> None:
    a, wanted = read(x), np.asarray(x)
    assert type(a) is np.ndarray
    assert a.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
    assert np.array_equal(a, wanted)
    assert (a.ctypes.data, a.flags.writeable) == (wanted.ctypes.data, wanted.flags.writeable)


@pytest.mark.parametrize("read", READS)
def test_strides_of_axes_of_length_1_mean_nothing(read: Any) -> None:
    a = np.lib.stride_tricks.as_strided(np.arange(6, dtype="f4"), (3, 1), (8, 5))[:, :1]
    view = read(a)
    assert (view.ptr, view.shape, view.strides[0]) == (a.ctypes.data, (3, 1), 2)
    assert_identical(ndarray_from_view(view), a)


def test_a_released_memoryview() -> None:
    memory = memoryview(b"abc")
    memory.release()
    with pytest.raises(UnsupportedError, match="released"):
        view_from_buffer(memory)


# The array interfaces.


@given(numpy_arrays())
def test_the_array_interface_of_any_array(array: Array) -> None:
    try:
        view = _native.view_from_array_interface(described(array))
    except InteropError:
        assert not [row for row in PLAIN if row.numpy == array.dtype]
        return
    if isinstance(view, np.ndarray):
        assert not array.dtype.isnative or any(step % array.itemsize for step in array.strides)
        assert (view.ctypes.data, view.flags.writeable) == (array.ctypes.data, array.flags.writeable) or not array.size
        assert_identical(view, array)
        return
    assert (view.ptr, view.shape, view.readonly) == (array.ctypes.data, array.shape, not array.flags.writeable)
    assert_identical(ndarray_from_view(view), array)


def test_the_interfaces_object_is_kept(array: Array) -> None:
    thing = described(array)
    view = view_from_array_interface(thing)
    assert cast("tuple[Any, ...]", view.owner)[0] is thing


def test_interfaces_on_a_buffer(array: Array) -> None:
    data = bytearray(range(64))
    for owner in (data, memoryview(data)[::1], np.frombuffer(data, "V8")):
        view = view_from_array_interface(described(array, data=owner, typestr="|u1", shape=(3,), offset=5))
        assert bytes(memoryview(view)) == bytes([5, 6, 7])
    assert view_from_array_interface(described(array, data=b"abcdef", typestr="|u1", shape=(2,))).readonly
    strided = view_from_array_interface(
        described(array, data=data, typestr="|u1", shape=(2, 2), strides=(-2, 8), offset=2)
    )
    assert np.asarray(memoryview(strided)).tolist() == [[2, 10], [0, 8]]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mask": np.ones(3, bool)}, UnsupportedError),
        ({"typestr": "<f16"}, DTypeError),
        ({"typestr": "<c4"}, DTypeError),
        ({"typestr": "|O8"}, DTypeError),
        ({"typestr": "|S4"}, DTypeError),
        ({"typestr": "<U1"}, DTypeError),
        ({"typestr": "<M8[s]"}, UnsupportedError),
        ({"typestr": "|V4"}, DTypeError),
        ({"typestr": "|t1"}, DTypeError),
        ({"typestr": None}, UnsupportedError),
        ({"typestr": ""}, UnsupportedError),
        ({"shape": (-1,)}, UnsupportedError),
        ({"shape": None}, UnsupportedError),
        ({"shape": (2.0,)}, UnsupportedError),
        ({"shape": (2**70,)}, UnsupportedError),
        ({"shape": (2**40, 2**40), "strides": (0, 0)}, UnsupportedError),
        ({"shape": (1,) * 65}, UnsupportedError),
        ({"strides": (4,)}, UnsupportedError),
        ({"strides": (12, "4")}, UnsupportedError),
        ({"strides": 4}, UnsupportedError),
        ({"data": (0, False)}, UnsupportedError),
        ({"data": (-8, False)}, UnsupportedError),
        ({"data": (2**64, False)}, UnsupportedError),
        ({"data": ("0x1000", False)}, UnsupportedError),
        ({"data": (None, False)}, UnsupportedError),
        ({"data": (4096,)}, UnsupportedError),
        ({"data": ()}, UnsupportedError),
        ({"data": 4096}, UnsupportedError),
        ({"data": b"abcdefgh"}, UnsupportedError),
        ({"data": bytes(24), "offset": 1}, UnsupportedError),
        ({"data": bytes(24), "offset": -1}, UnsupportedError),
        ({"data": bytes(24), "offset": "1"}, UnsupportedError),
        ({"data": bytes(24), "strides": (-12, 4)}, UnsupportedError),
        ({"data": bytes(24), "strides": (16, 4)}, UnsupportedError),
        ({"data": memoryview(bytes(96))[::2]}, UnsupportedError),
        ({"data": None}, UnsupportedError),
    ],
)
def test_interfaces_that_are_no_tensor(array: Array, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"__array_interface__ of a [\w.]+\.Described"):
        view_from_array_interface(described(array, **changes))


@pytest.mark.parametrize("interface", [None, 3, {}, {"shape": (2,)}, [("shape", (2,))]])
def test_interfaces_that_are_no_description(interface: Any) -> None:
    with pytest.raises(UnsupportedError):
        view_from_array_interface(type("Odd", (), {"__array_interface__": interface})())


def test_an_interface_that_raises() -> None:
    class Raising:
        @property
        def __array_interface__(self) -> Any:
            raise KeyError("f8")

        __cuda_array_interface__ = __array_interface__

    for take in (view_from_array_interface, view_from_cuda_array_interface):
        with pytest.raises(UnsupportedError, match="KeyError") as caught:
            take(Raising())
        assert isinstance(caught.value.__cause__, KeyError)


def cuda(**changes: Any) -> Any:
    interface = {"shape": (2, 3), "typestr": "<f4", "data": (0x1000, False), "version": 3, **changes}
    return type("Cuda", (), {"__cuda_array_interface__": interface})()


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("stream", [None, 1, 2, 0xDEAD])
def test_the_cuda_array_interface(version: int, stream: Any) -> None:
    thing = cuda(version=version, stream=stream, data=(0x1000, True), strides=(4, 8))
    view, waits_for = view_from_cuda_array_interface(thing, device_index=3)
    assert (view.ptr, view.strides, view.__dlpack_device__()) == (0x1000, (1, 2), (2, 3))
    assert (view.readonly, view.ordered, waits_for) == (True, False, stream)
    assert cast("tuple[Any, ...]", view.owner)[0] is thing


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": 0},
        {"stream": -1},
        {"stream": "1"},
        {"mask": cuda()},
        {"data": (0, False)},
        {"data": None},
        {"data": b""},
    ],
)
def test_cuda_array_interfaces_that_are_no_tensor(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        view_from_cuda_array_interface(cuda(**changes))


def test_an_empty_cuda_array_has_no_pointer() -> None:
    view, _ = view_from_cuda_array_interface(cuda(shape=(0, 3), data=(0, False)))
    assert (view.ptr, view.size) == (0, 0)
    empty = make_view(0x1000, (0, 3), None, (2, 32, 1), (2, 0), readonly=False, owner=None)
    assert empty.__cuda_array_interface__["data"] == (0, False)


def test_the_views_cuda_array_interface() -> None:
    for kind in (2, 13):
        assert on((kind, 1)).__cuda_array_interface__ == {
            "shape": (2, 3),
            "typestr": "<f4",
            "data": (0x1000, False),
            "strides": None,
            "version": 3,
            "stream": None,
        }
    absent: dict[str, Callable[[], View]] = {
        "on cpu": lambda: on((1, 0)),
        "on rocm:0": lambda: on((10, 0)),
        "isn't ordered": lambda: on((2, 0), ordered=False),
        "bfloat16": lambda: on((2, 0), dtype=(4, 16, 1)),
        "complex32": lambda: on((2, 0), dtype=(5, 32, 1)),
    }
    for why, make in absent.items():
        with pytest.raises(AttributeError, match=why):
            _ = make().__cuda_array_interface__


# Everything at once.


@given(numpy_arrays(), st.sampled_from(["dlpack", "buffer", "interface", "torch"]))
def test_any_array_through_a_view_into_another_library(array: Array, way: str) -> None:
    if way == "torch" and any(step < 0 for step in array.strides):
        return  # torch aborts the process on negative strides, from anybody (pytorch#188023)
    try:
        view = view_from_ndarray(array)
        ways: dict[str, Callable[[], Any]] = {
            "dlpack": lambda: fakes.consume(view.__dlpack__(max_version=(1, 3))).array(),
            "buffer": lambda: np.asarray(memoryview(view)),
            "interface": lambda: np.asarray(described(ndarray_from_view(view), **view.__array_interface__)),
            "torch": lambda: into_torch(view.with_readonly(False)).numpy(),
        }
        made = ways[way]()
    except (BufferError, AttributeError, InteropError, RuntimeError, TypeError, ValueError):
        return
    assert made.flags.writeable == (array.flags.writeable or way == "torch") or not array.size
    assert_identical(made, array)


def test_an_array_that_gets_more_axes_while_it_is_looked_at() -> None:
    """A View has room for so many axes as the array had: a finalizer runs where it is allocated."""
    array = np.arange(6.0)
    shapes = itertools.cycle([(1,) * 28 + (2, 3), (6,)])  # numpy 1 has 32 axes at most

    def reshape(phase: str, _info: Any) -> None:
        if phase == "start":
            array.resize(next(shapes), refcheck=False)

    before = gc.get_threshold()
    views: list[View] = []
    gc.callbacks.append(reshape)
    try:
        for threshold in range(1, 8):
            gc.set_threshold(threshold)
            # They are kept, so that each is allocated anew.
            views.extend([view_from_ndarray(array) for _ in range(100)])
    finally:
        gc.callbacks.remove(reshape)
        gc.set_threshold(*before)
    assert {(view.shape, view.strides) for view in views} == {((6,), (1,)), ((1,) * 28 + (2, 3), (6,) * 28 + (3, 1))}
