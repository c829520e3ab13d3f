"""The DLPack C exchange API: other types' as a caller, and the View's own as a callee."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import interop
from interop._native import ExchangeAPI, View, make_view, ndarray_from_view, view_from_ndarray
from interop.errors import InteropError, UnsupportedError
from interop.testing import assert_identical, fakes
from interop.testing.fakes import ExchangeClient, ExchangeProducer, exchange_type

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

TORCHS = ExchangeAPI.of(torch.Tensor)
needs_torchs = pytest.mark.skipif(TORCHS is None, reason="this torch has no exchange API")


@pytest.fixture
def array() -> Array:
    return np.arange(6, dtype="int16").reshape(2, 3)


def api_of(tp: type) -> ExchangeAPI:
    api = ExchangeAPI.of(tp)
    assert api is not None
    return api


# As a caller.


@pytest.mark.parametrize("name", [*fakes.EXCHANGE_TYPES])
def test_every_api_that_can_be_used(name: str, array: Array) -> None:
    tp = fakes.EXCHANGE_TYPES[name]
    api = api_of(tp)
    assert api.version[0] == 1
    fake = tp(array.T)
    view = api.export(fake)
    assert (view.ptr, view.shape, view.strides) == (array.ctypes.data, (3, 2), (1, 3))
    assert_identical(ndarray_from_view(view), array.T)
    assert fake.live == 1
    del view
    fake.assert_released()


@pytest.mark.parametrize("name", [*fakes.MALFORMED_EXCHANGE_TYPES])
def test_every_api_that_cant(name: str, array: Array) -> None:
    tp = fakes.MALFORMED_EXCHANGE_TYPES[name]
    try:
        api = ExchangeAPI.of(tp)
        if api is not None:
            api.export(tp(array))
    except UnsupportedError:
        return
    assert api is None


@pytest.mark.parametrize("tp", [int, object, np.ndarray, type])
def test_types_without_one(tp: type) -> None:
    assert ExchangeAPI.of(tp) is None


def test_the_first_spelling_goes_first(array: Array) -> None:
    newer = exchange_type("Both", versions=((1, 7),))
    older = exchange_type("BothOlder", versions=((1, 2),), spelling="__c_dlpack_exchange_api__")
    newer.__c_dlpack_exchange_api__ = older.__c_dlpack_exchange_api__  # type: ignore[attr-defined]
    assert api_of(newer).version == (1, 7)


def test_missing_functions_are_errors_of_ours(array: Array) -> None:
    api = api_of(fakes.EXCHANGE_TYPES["export only"])
    with pytest.raises(UnsupportedError):
        api.wrap(view_from_ndarray(array))
    with pytest.raises(UnsupportedError):
        api.current_work_stream(1, 0)
    no_lending = fakes.EXCHANGE_TYPES["no lending"]
    with pytest.raises(UnsupportedError, match="export"):
        api_of(no_lending).peek(no_lending(array), None)


@pytest.mark.parametrize("error", [BufferError("no"), RuntimeError("no"), TypeError("no")])
def test_what_an_api_raises_is_chained(array: Array, error: Exception) -> None:
    tp = exchange_type(f"Raises{type(error).__name__}", raises=error)
    calls: list[Callable[[Any], View]] = [lambda x: api_of(tp).export(x), lambda x: api_of(tp).peek(x, None)]
    for call in calls:
        with pytest.raises(UnsupportedError, match=f"{type(error).__name__}: no") as caught:
            call(tp(array))
        assert isinstance(caught.value.__cause__, type(error))


@pytest.mark.parametrize("flaw", [*fakes.MALFORMED_FIELDS])
def test_malformed_tensors(array: Array, flaw: str) -> None:
    fake = ExchangeProducer(array, **fakes.MALFORMED_FIELDS[flaw])
    api = api_of(ExchangeProducer)
    for call in (api.export, lambda x: api.peek(x, x)):
        try:
            view = call(fake)
        except InteropError:
            pass
        else:
            with pytest.raises(InteropError):
                ndarray_from_view(view)
            del view
    fake.assert_released()


def test_of_another_major_version_only_the_deleter_is_called(array: Array) -> None:
    with ExchangeProducer(array, version=(2, 0)) as fake:
        with pytest.raises(UnsupportedError, match=r"2\.0"):
            api_of(ExchangeProducer).export(fake)
        assert fake.deleted == 1


def test_peek_copies_shape_and_strides_and_holds_the_owner(array: Array) -> None:
    owner = type("Owner", (), {})()
    gone = weakref.ref(owner)
    fake = ExchangeProducer(array.T)
    view = api_of(ExchangeProducer).peek(fake, owner)
    del owner, fake
    assert (view.shape, view.strides, view.owner) == ((3, 2), (1, 3), gone())
    assert view.owner is not None
    del view
    assert gone() is None


@needs_torchs
def test_torch(array: Array) -> None:
    assert TORCHS is not None
    assert TORCHS.version >= (1, 2)
    assert TORCHS.current_work_stream(1, 0) == 0
    tensor = torch.from_numpy(array).t()
    for view in (TORCHS.export(tensor), TORCHS.peek(tensor, tensor.untyped_storage())):
        assert (view.ptr, view.shape, view.strides) == (array.ctypes.data, (3, 2), (1, 3))
    made = TORCHS.wrap(view_from_ndarray(array.T))
    assert type(made) is torch.Tensor
    assert (made.data_ptr(), made.stride()) == (array.ctypes.data, (1, 3))
    for bad in (torch.zeros(2, device="meta"), torch.zeros(2).to_sparse()):
        with pytest.raises(UnsupportedError):
            TORCHS.export(bad)


@needs_torchs
@pytest.mark.parametrize("under_lock", [False, True])
def test_an_owner_is_released_on_the_spot_or_outside_of_the_librarys_lock(array: Array, under_lock: bool) -> None:
    """What is put off is done by the main thread, which can't while it waits for another one."""
    api = ExchangeAPI.of(torch.Tensor, deletes_under_lock=under_lock)
    assert api is not None

    class Owner:
        pass

    owner = Owner()
    gone = weakref.ref(owner)
    memory = make_view(array.ctypes.data, (6,), (1,), (0, 16, 1), (1, 0), readonly=False, owner=(owner, array))
    made = [api.wrap(memory)]
    del owner, memory
    found: list[bool] = []

    def release() -> None:
        made.clear()
        found.append(gone() is None)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    api.wrap(view_from_ndarray(array))
    found.append(gone() is None)
    # Without the GIL an object ends in the thread that made it, the main thread here.
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert found == [gil and not under_lock, True]


@needs_torchs
@pytest.mark.parametrize(
    ("dtype", "device"),
    [((2, 32, 1), (99, 0)), ((99, 32, 1), (1, 0)), ((2, 32, 2), (1, 0)), ((0, 4, 1), (1, 0)), ((2, 32, 1), (2, 0))],
)
def test_what_torch_refuses_is_freed_once(array: Array, dtype: Any, device: Any) -> None:
    assert TORCHS is not None
    owner = type("Owner", (), {})()
    gone = weakref.ref(owner)
    view = make_view(array.ctypes.data, (2,), None, dtype, device, readonly=False, owner=owner)
    references = sys.getrefcount(owner)
    for _ in range(100):
        # torch without CUDA takes a View of CUDA memory, and the tensor goes at once.
        with contextlib.suppress(UnsupportedError):
            TORCHS.wrap(view)
    assert sys.getrefcount(owner) == references
    del view, owner
    assert gone() is None


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("status", [0, -1])
def test_whoever_fails_to_take_a_tensor_it_is_freed_once(array: Array, status: int, deletes: bool) -> None:
    # DLPack doesn't say whose it is then: there are types that have deleted it, and types that haven't.
    def take(address: int, _out: object) -> int:
        if deletes:
            deleter = ctypes.c_void_p.from_address(address + 16).value or 0
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter)(address)
        return status

    tp = exchange_type(f"Fails{status}{deletes}")
    callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(take)
    ExchangeClient(tp).api.managed_tensor_to_py_object_no_sync = ctypes.cast(callback, ctypes.c_void_p).value
    view = view_from_ndarray(array)
    references = sys.getrefcount(array)
    for _ in range(100):
        with pytest.raises(UnsupportedError, match="can't be wrapped"):
            api_of(tp).wrap(view)
    assert sys.getrefcount(array) == references


def test_wrap_needs_a_view() -> None:
    not_views: list[Any] = [None, np.zeros(2)]
    for x in not_views:
        with pytest.raises(TypeError):
            api_of(ExchangeProducer).wrap(x)


def test_it_isnt_made_by_hand() -> None:
    with pytest.raises(TypeError):
        ExchangeAPI()


# The View's own.


def test_the_views_api(array: Array) -> None:
    client = ExchangeClient(View)
    assert client.versions == [(1, 3)]
    assert View.__c_dlpack_exchange_api__ is View.__dlpack_c_exchange_api__
    assert client.current_stream((1, 0)) == 0
    view = view_from_ndarray(array.T).with_readonly()
    fields = client.lend(view)
    assert (fields.data, fields.shape, fields.strides, fields.dtype) == (array.ctypes.data, (3, 2), (1, 3), (0, 16, 1))
    with client.export(view) as exported:
        assert (exported.fields.flags, exported.fields.version) == (fakes.READ_ONLY, (1, 3))
        assert_identical(exported.array(), array.T)
        del exported
    received = client.receive(fakes.consume(view_from_ndarray(array).__dlpack__(max_version=(1, 0))))
    assert type(received) is View
    assert (received.ptr, received.readonly) == (array.ctypes.data, False)


def test_references_are_balanced(array: Array) -> None:
    client = ExchangeClient(View)
    view = view_from_ndarray(array)
    references = sys.getrefcount(array), sys.getrefcount(view)
    for _ in range(100):
        with client.export(view):
            pass
        client.lend(view)
        client.receive(client.export(view))
    assert (sys.getrefcount(array), sys.getrefcount(view)) == references


@pytest.mark.parametrize("x", [None, 3, np.zeros(2), object(), torch.zeros(2)])
def test_it_takes_views_only(x: Any) -> None:
    client = ExchangeClient(View)
    for call in (client.export, client.lend):
        with pytest.raises(BufferError, match="no View"):
            call(x)


def test_it_is_for_host_memory() -> None:
    client = ExchangeClient(View)
    view = make_view(4096, (2,), None, (2, 32, 1), (2, 0), readonly=False, owner=None)
    for call in (client.export, client.lend):
        with pytest.raises(BufferError, match="cuda:0"):
            call(view)
    with pytest.raises(BufferError, match="no current stream"):
        client.current_stream((2, 0))


@pytest.mark.parametrize("flaw", [*fakes.MALFORMED_FIELDS, *fakes.MALFORMED_VERSIONS])
def test_what_it_refuses_stays_the_callers(array: Array, flaw: str) -> None:
    overrides = {**fakes.MALFORMED_FIELDS, **fakes.MALFORMED_VERSIONS}[flaw]
    fake = ExchangeProducer(array, **overrides)
    api = ExchangeClient(View).api
    receive = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))(
        api.managed_tensor_to_py_object_no_sync
    )
    out = ctypes.c_void_p()
    address = fake.give()
    try:
        receive(address, ctypes.byref(out))
    except InteropError:
        assert not out.value
        assert fake.live == 1
        deleter = ctypes.c_void_p.from_address(address + 16).value or 0
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter)(address)
    else:
        view = ctypes.cast(out, ctypes.py_object).value
        # One more than the local name's, which Python 3.14 lends to the call.
        alone = object()
        assert sys.getrefcount(view) == sys.getrefcount(alone) + 1
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(view))
        del view
    fake.assert_released()


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3), (1,) * 64])
def test_it_allocates(shape: tuple[int, ...]) -> None:
    if len(shape) > 32 and np.__version__ < "2":
        pytest.skip("this numpy has 32 axes at most")
    like = fakes.describe(np.zeros(1, "float32"), shape=shape, strides=None, data=0)
    tensor = ExchangeClient(View).allocate(like)
    assert tensor.fields.data % 64 == 0
    made = tensor.array()
    made[...] = 7
    assert (made.shape, made.flags.c_contiguous, tensor.fields.device) == (shape, True, (1, 0))
    del tensor
    assert (made == 7).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"device": (2, 0)},
        {"shape": (-1,)},
        {"shape": (2**40, 2**40)},
        {"shape": (1,) * 65},
        {"ndim": -1},
        {"dtype": (2, 0, 1)},
        {"dtype": (2, 32, 0)},
    ],
)
@pytest.mark.parametrize("listening", [False, True])
def test_it_refuses_to_allocate(changes: Any, listening: bool) -> None:
    like = fakes.describe(np.zeros(1, "float32"), strides=None, data=0, **changes)
    if not listening:
        with pytest.raises(SystemError):
            ExchangeClient(View).allocate(like)
        return
    said: list[tuple[Any, bytes, bytes]] = []
    set_error = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)(
        lambda *words: said.append(words)
    )
    allocate = ctypes.CFUNCTYPE(ctypes.c_int, *(ctypes.c_void_p,) * 4)(
        ExchangeClient(View).api.managed_tensor_allocator
    )
    from interop.testing._capsules import new_managed

    managed, _buffers = new_managed(like, None)
    out = ctypes.c_void_p()
    # Without the GIL, as a C library would call it.
    status = allocate(ctypes.byref(managed.dl_tensor), ctypes.byref(out), 77, ctypes.cast(set_error, ctypes.c_void_p))
    assert (status, out.value) == (-1, None)
    assert [words[:2] for words in said] == [(77, b"BufferError")]


def test_tvm_ffi_takes_views_through_it(array: Array) -> None:
    tvm_ffi = pytest.importorskip("tvm_ffi")
    echo = tvm_ffi.get_global_func("testing.echo", allow_missing=True) or pytest.skip(
        "tvm_ffi's own test function is missing"
    )
    view = view_from_ndarray(array)
    for made in (tvm_ffi.from_dlpack(view), echo(view)):
        assert_identical(np.from_dlpack(made), array)
        assert np.from_dlpack(made).ctypes.data == array.ctypes.data
    del made


@needs_torchs
def test_torch_takes_what_the_view_gives_and_the_other_way_round(array: Array) -> None:
    theirs, ours = ExchangeClient(torch.Tensor), ExchangeClient(View)
    tensor = theirs.receive(ours.export(view_from_ndarray(array)))
    assert_identical(tensor, array)
    view = ours.receive(theirs.export(tensor))
    assert (view.ptr, view.shape) == (array.ctypes.data, (2, 3))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "bool", "int8", "float32"])
def test_a_torch_without_the_api_and_without_float8_in_dlpack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch before 2.10 says "Unsupported code 10" of such a capsule."""
    from torch.utils.dlpack import from_dlpack

    from interop import _native
    from interop._adapters import _torch

    def takes(capsule: Any) -> Any:
        assert _native.peek_capsule(capsule).dtype.code < 7
        return from_dlpack(capsule)

    monkeypatch.setattr(_torch, "_API", None)
    monkeypatch.setattr(_torch, "from_dlpack", takes)
    a = np.arange(6).astype(interop.DType(name).numpy).reshape(2, 3)
    t = _torch.adapter.wrap(interop.view(a))
    assert (t.data_ptr(), tuple(t.shape), t.stride()) == (a.ctypes.data, (2, 3), (3, 1))
    assert interop.to_numpy(t).tobytes() == a.tobytes()
